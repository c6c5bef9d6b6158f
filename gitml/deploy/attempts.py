"""How often a version could not be deployed, and when it may be tried again."""

from __future__ import annotations

import json
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from gitml.documents import load_json, write_atomic
from gitml.errors import FormatError
from gitml.files import make_folder

_FILE = "attempts.json"
_FIRST = 30.0  # seconds until the second try; doubled with each
_LONGEST = 3600.0


@dataclass(frozen=True, slots=True)
class Attempts:
    """Tries of one version, by its digest, that failed in a row; `last` in s since 1970."""

    digest: str = ""
    failures: int = 0
    last: float = 0.0
    why: str = ""

    def wait(self, digest: str, now: float) -> float:
        """For how many seconds a version is not to be tried again."""
        if digest != self.digest or not self.failures:
            return 0.0
        pause = min(_FIRST * 2.0 ** (self.failures - 1), _LONGEST)
        return max(0.0, self.last + pause - now) if self.last <= now else pause


def read(folder: Path) -> Attempts:
    """Those of the deployment whose files are in `folder`."""
    try:
        return Attempts(**load_json((folder / _FILE).read_bytes(), _FILE))
    except (OSError, FormatError, TypeError):
        return Attempts()


def failed(folder: Path, digest: str, why: str) -> None:
    """Note a try that failed."""
    before = read(folder)
    failures = before.failures + 1 if before.digest == digest else 1
    make_folder(folder)
    now = Attempts(digest, failures, time.time(), why)
    write_atomic(folder / _FILE, json.dumps(asdict(now)).encode())


def succeeded(folder: Path) -> None:
    """Forget those before."""
    (folder / _FILE).unlink(missing_ok=True)
