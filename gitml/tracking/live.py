"""Live runs: the folders of their journals, who writes them, and whether the writer lives.

<common git dir>/gitml/live/<run id>/<writer>.jsonl   the journal of one writer
                                     <writer>.lock    held as long as the writer lives
                                     files/           artifacts that were logged, staged
"""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from gitml import files, locks
from gitml.errors import StorageError
from gitml.tracking.names import check_run_id, is_run_id

HEARTBEAT_LIMIT = 180.0  # seconds without a heartbeat after which a writer elsewhere is LOST

_WRITER = re.compile(r"-(\d+)-[0-9a-f]+$")
ALIVE, DEAD, GONE = "alive", "dead", "gone"
ELSEWHERE, OVER = "elsewhere", "over"  # boots of owners that somebody else has looked after


@dataclass(frozen=True, slots=True)
class Owner:
    """The process behind a journal: `started` and `boot` tell apart two uses of one pid."""

    host: str
    pid: int
    started: str
    boot: str


@dataclass(frozen=True, slots=True)
class Writer:
    """One journal of a live run."""

    journal: Path

    @property
    def name(self) -> str:
        """The writer's name, `<host>-<pid>-<nonce>`."""
        return self.journal.stem

    @property
    def lock(self) -> Path:
        """The file whose lock the writer holds."""
        return self.journal.with_suffix(".lock")

    @property
    def host(self) -> str:
        """The machine that it wrote on, as far as its name tells."""
        return _WRITER.sub("", self.name)

    @property
    def pid(self) -> int:
        """The process that it belonged to, as its name tells."""
        found = _WRITER.search(self.name)
        return int(found[1]) if found else 0

    def state(self, owner: Owner | None) -> str:
        """ALIVE or DEAD as far as this machine can tell; GONE: elsewhere, and silent for long.

        Where the journal does not tell its owner, silence alone is taken for death.
        """
        if locks.is_held(self.lock):
            return ALIVE
        if owner is None:
            is_gone = self.host == _host_part() and not _exists(self.pid)
            return DEAD if is_gone or self.silent_seconds() > HEARTBEAT_LIMIT else ALIVE
        if owner.boot == OVER:
            return DEAD
        here = this_process()
        if (owner.host, owner.boot) == (here.host, here.boot):
            return ALIVE if _lives(owner) else DEAD
        return GONE if self.silent_seconds() > HEARTBEAT_LIMIT else ALIVE

    def silent_seconds(self) -> float:
        """How long ago the writer last gave a sign of life."""
        return time.time() - self.journal.stat().st_mtime


@dataclass(frozen=True, slots=True)
class LiveRun:
    """The folder of a run that is not, or not wholly, recorded yet."""

    folder: Path

    @property
    def run_id(self) -> str:
        """The run's id, which is the folder's name."""
        return self.folder.name

    @property
    def files(self) -> Path:
        """Where logged artifacts are staged."""
        return self.folder / "files"

    def writers(self) -> list[Writer]:
        """The journals of the run, by name; what is a link or a pipe is none."""
        journals = sorted(self.folder.glob("*.jsonl"))
        return [Writer(path) for path in journals if not files.is_strange(path)]

    def sync(self) -> None:
        """Bring what was written to the disk, as far as that is possible."""
        for path in (*self.folder.rglob("*"), self.folder, self.folder.parent):
            with contextlib.suppress(OSError):
                files.sync(path)

    def new_writer(self) -> Writer:
        """The path of a journal for this process; two calls give two."""
        return Writer(self.folder / f"{_host_part()}-{os.getpid()}-{secrets.token_hex(4)}.jsonl")


def folder(home: Path, run_id: str) -> LiveRun:
    """The place of the live run `run_id` in a repository's gitml folder `home`.

    UsageError for what is no run id: a name from outside never becomes a path. StorageError where
    a link leads elsewhere.
    """
    found = home / "live" / check_run_id(run_id)
    if found.is_symlink():
        raise StorageError(f"{files.shown_path(found)} is a symbolic link; remove it")
    return LiveRun(found)


def runs(home: Path) -> Iterator[LiveRun]:
    """The runs that are live, or were when their process died; oldest first."""
    try:
        names = sorted(os.listdir(home / "live"))
    except FileNotFoundError:
        return
    for name in names:
        if is_run_id(name) and not (home / "live" / name).is_symlink():
            yield LiveRun(home / "live" / name)


@lru_cache(maxsize=1)
def _process_of(pid: int) -> Owner:
    return Owner(socket.gethostname(), pid, _started(pid) or "", _boot())


def this_process() -> Owner:
    """The owner that stands for the current process."""
    return _process_of(os.getpid())


def owner_to_document(owner: Owner) -> dict[str, Any]:
    """The owner as a journal's first line holds it."""
    return {
        "host": owner.host,
        "pid": owner.pid,
        "started": owner.started,
        "boot": owner.boot,
    }


def owner_from_document(document: dict[str, Any]) -> Owner:
    """The owner that `owner_to_document` wrote."""
    return Owner(*(document[key] for key in ("host", "pid", "started", "boot")))


def _host_part() -> str:
    name = "".join(c if c.isascii() and c.isalnum() else "-" for c in socket.gethostname().lower())
    return name[:40].strip("-") or "host"


def _lives(owner: Owner) -> bool:
    if not _exists(owner.pid):
        return False
    started = _started(owner.pid)
    return started is None or not owner.started or started == owner.started


def _exists(pid: int) -> bool:
    if os.name == "nt":  # os.kill would end the process there
        return _windows_exists(pid)
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _started(pid: int) -> str | None:
    """When the process started, in the system's own words; None where they are not to be had."""
    if not (_PROC / "self" / "stat").exists():
        return _psutil_started(pid)
    try:
        stat = (_PROC / str(pid) / "stat").read_bytes()
    except OSError:
        return None
    fields = stat[stat.rindex(b")") :].split()
    return "ended" if fields[1] in (b"Z", b"X") else fields[20].decode()


_PROC = Path("/proc")


def _psutil_started(pid: int) -> str | None:
    import psutil

    try:
        return str(psutil.Process(pid).create_time())
    except psutil.Error:
        return None


def _windows_exists(pid: int) -> bool:
    import psutil

    return bool(psutil.pid_exists(pid))


def _boot() -> str:
    """What tells one boot of this machine from another."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        pass
    import psutil

    return str(round(psutil.boot_time() / 10))
