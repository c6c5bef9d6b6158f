"""Projects for tests: what is in their folders, and the command line in a process of its own."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from collections.abc import Mapping
from pathlib import Path

from gitml.tracking import store
from gitml.tracking.place import place_of
from gitml.tracking.record import RunRecord


def write(folder: Path, files: Mapping[str, str]) -> Path:
    """Write files, their texts without the indentation that all lines have, into a folder."""
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(text).lstrip("\n"), encoding="utf-8")
    return folder


def command(*args: object) -> list[str]:
    """The command line of `gitml`, for a process of its own."""
    return [sys.executable, "-m", "gitml", *map(str, args)]


def gitml(
    *args: object, cwd: Path | None = None, env: Mapping[str, str] | None = None, code: int = 0
) -> subprocess.CompletedProcess[bytes]:
    """Run `gitml`; `code` is the exit code that must come of it."""
    done = subprocess.run(
        command(*args), cwd=cwd, env=env, stdin=subprocess.DEVNULL, capture_output=True, check=False
    )
    assert done.returncode == code, done.stderr.decode()
    return done


def runs(folder: Path) -> list[RunRecord]:
    """The recorded and live runs of a repository, the oldest first."""
    from gitml import git

    place = place_of(git.find(folder), folder)
    found = [store.record(place, row.run_id) for row in store.index(place).search()]
    return sorted(found, key=lambda record: record.run_id)


def texts(folder: Path, record: RunRecord) -> dict[str, str]:
    """The artifacts of a run that its commit holds, and its requirements.txt."""
    from gitml import git
    from gitml.tracking import recording

    place = place_of(git.find(folder), folder)
    entry = place.ledger.find(record.run_id)
    assert entry is not None
    found = recording.texts(place, entry, "")
    return {path.removeprefix("artifacts/"): data.decode() for path, data in found}
