"""What `gitml deploy` and the keeper of an address tell each other, by files in one folder."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from gitml.documents import load_json, write_atomic
from gitml.errors import FormatError
from gitml.models.serving.candidate import Served

LOCK, LOG = "keeper.lock", "server.log"
TRYING, LIVE, FAILED = "trying", "live", "failed"
_ASKED, _TOLD = "asked.json", "told.json"


@dataclass(frozen=True, slots=True)
class Asked:
    """What is to be served, with which interpreter; without `served` the keeper is to end.

    `request` is the body of a prediction that must succeed before; empty when there is none.
    """

    id: str
    host: str = ""
    port: int = 0
    python: str = ""
    served: Served | None = None
    request: str = ""


@dataclass(frozen=True, slots=True)
class Told:
    """What became of it: TRYING, LIVE or FAILED, then `why` and the end of what the server said."""

    id: str
    state: str
    port: int = 0
    why: str = ""
    log: tuple[str, ...] = ()


def ask(folder: Path, asked: Asked) -> None:
    """Leave word for the keeper."""
    write_atomic(folder / _ASKED, _dumped(asked), 0o600)


def asked(folder: Path) -> Asked | None:
    """What was asked last; None where nothing was."""
    found = _loaded(folder / _ASKED)
    if found is None:
        return None
    served = found.pop("served", None)
    return Asked(**found, served=served and Served(**served))


def tell(folder: Path, told: Told) -> None:
    """Leave word for who asked."""
    write_atomic(folder / _TOLD, _dumped(told), 0o600)


def told(folder: Path) -> Told | None:
    """What the keeper told last."""
    found = _loaded(folder / _TOLD)
    return None if found is None else Told(**{**found, "log": tuple(found.get("log", ()))})


def forget(folder: Path) -> None:
    """Take away what was said for or by a keeper that is gone."""
    for name in (_ASKED, _TOLD):
        (folder / name).unlink(missing_ok=True)


def _dumped(value: Any) -> bytes:
    return json.dumps(asdict(value)).encode() + os.linesep.encode()


def _loaded(path: Path) -> dict[str, Any] | None:
    try:
        found = load_json(path.read_bytes(), path.name)
    except (OSError, FormatError):
        return None
    return found if isinstance(found, dict) else None
