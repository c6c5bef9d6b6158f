"""Programs of the machines that jobs run on: `gh`, and `uvx` once an action has installed it."""

from __future__ import annotations

import shlex
import shutil
import sys
from pathlib import Path

from tests.actions.hub import Hub


def install(folder: Path, hub: Hub) -> Path:
    """Put `gh` into `bin`, and `uvx` into the folder that is returned."""
    here = Path(__file__).parent
    for name in ("uv", "bin", "code"):
        (folder / name).mkdir(parents=True)
    for source in ("uvx.py", "attestations.py"):
        shutil.copy(here / source, folder / "code" / f"run_{source}")
    _write(folder / "uv" / "uvx", folder / "code" / "run_uvx.py")
    _write(folder / "bin" / "gh", folder / "code" / "run_attestations.py", hub.attestations)
    return folder / "uv"


def _write(path: Path, *command: Path) -> None:
    words = " ".join(shlex.quote(str(word)) for word in (sys.executable, *command))
    path.write_text(f'#!/bin/sh\nexec {words} "$@"\n', "utf-8")
    path.chmod(0o755)
