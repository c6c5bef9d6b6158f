"""SSH keys for tests, with which clones sign their tags."""

from __future__ import annotations

import subprocess
from pathlib import Path

from tests.clones import Clone


def key_of(folder: Path, name: str) -> tuple[Path, str]:
    """An SSH key of its own, and the line that lists it."""
    path = folder / f"key-{name}"
    argv = ("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", name, "-f", str(path))
    subprocess.run(argv, check=True)
    kind, text, _ = path.with_suffix(".pub").read_text("utf-8").split(" ", 2)
    return path, f"{name}@example.org {kind} {text}\n"


def signing(one: Clone, key: Path) -> None:
    """Have a clone sign its tags."""
    one.git("config", "gpg.format", "ssh")
    one.git("config", "user.signingkey", str(key))
    one.git("config", "tag.gpgSign", "true")
