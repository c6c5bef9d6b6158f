"""A journal whose first line is damaged: what is left tells enough to record its run.

The first line says who writes, and how the run came to be. Of that a run's id holds when it
began, the journal's name where it was written, and the ref of its snapshot its code; the rest is
lost, and the run's description says so.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import Any

from gitml import files, git
from gitml.tracking import live, names, snapshot
from gitml.tracking.record import RUNNING, Code, RunRecord, to_document
from gitml.tracking.snapshot import LIVE_REFS

_LOST = (
    "The first line of the journal of this run was damaged. What it said is lost: the name, the"
    " experiment, the first tags, the source and the environment. All that was logged and could"
    " still be read is here."
)


def beginning(repo: git.Repository, writer: live.Writer, kind: str, experiment: str) -> Any:
    """A first event in the place of one that can't be read, of a writer of that kind.

    `experiment` is the name of the one that takes a run whose own is lost.
    """
    run_id = writer.journal.parent.name
    began = int(run_id[:12], 16)
    owner = live.Owner(writer.host, writer.pid, "", "")
    event = {"kind": kind, "owner": live.owner_to_document(owner), "time": began}
    if kind != "start":
        return event
    base = _base(repo, run_id)
    record = RunRecord(
        run_id=run_id,
        name=f"recovered-{run_id[-8:]}",
        experiment=experiment,
        experiment_id=names.experiment_id(experiment),
        status=RUNNING,
        start_time=began,
        description=_LOST,
        code=Code(commit=base.get("commit"), tree=base.get("tree")),
    )
    return {**event, "record": to_document(record), "base": base}


def set_aside(writer: live.Writer) -> None:
    """Move a journal out of the way that has no line to record but holds something: no byte goes.

    What a process was killed at has no whole line either: nobody can tell one from the other.
    """
    with contextlib.suppress(FileNotFoundError):
        data = writer.journal.read_bytes()
        if b"\n" not in data and data.strip(b"\0"):
            run = writer.journal.parent
            folder = _folder(run.parent.parent)
            files.make_folder(folder)
            os.replace(writer.journal, folder / f"{run.name}-{writer.journal.name}")


def aside(home: Path) -> list[Path]:
    """The journals that were set aside."""
    return sorted(_folder(home).glob("*.jsonl"))


def _folder(home: Path) -> Path:
    return home / "damaged"


def _base(repo: git.Repository, run_id: str) -> dict[str, Any]:
    """The snapshot that the run's ref holds."""
    ref = LIVE_REFS + run_id
    held = git.resolve(repo, ref)
    if held is None:
        return {}
    return {**snapshot.told_by(repo, held), "live": held, "ref": ref}
