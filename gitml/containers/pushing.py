"""Pushing an image to its registry, with the login that the engine has."""

from __future__ import annotations

import re
import tempfile
from pathlib import Path

from gitml.containers.engine import EngineError, ask
from gitml.environments.complaints import BuildError
from gitml.errors import shown

_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")


def push(engine: str, name: str, repository: str) -> str:
    """Push an image; its name by the digest that the registry knows it by. Raises BuildError."""
    with tempfile.TemporaryDirectory(prefix="gitml-push-") as folder:
        file = Path(folder, "digest")
        options = (f"--digestfile={file}",) if engine == "podman" else ()
        try:
            said = ask(engine, "push", *options, name, timeout=None)
        except EngineError as error:
            raise BuildError(
                f"the image {shown(name)} can't be pushed ({error}); log in: {engine} login"
            ) from None
        told = file.read_text("utf-8") if file.is_file() else said
    # What an engine calls an image's digest otherwise may be that of its own, uncompressed form.
    found = _DIGEST.findall(told)
    return f"{repository}@{found[-1]}" if found else name
