"""Files of the ledger that can't be read any more: their newest version that can."""

from __future__ import annotations

import contextlib
import time

from gitml import documents, git
from gitml.errors import GitmlError
from gitml.tracking import experiment
from gitml.tracking.commits import Change, LedgerEdit, RunAgain
from gitml.tracking.ledger import Ledger
from gitml.tracking.recording import RUN_JSON


def restored(book: Ledger, path: str) -> Change | None:
    """What puts a file back as it was last when it could be read; None when it never could.

    `path` is that of a run.json, whose run comes back whole, or of an experiment's file.
    """
    head = book.head()
    log = git.text(book.repo, "log", "--first-parent", "--format=%H %P", str(head), "--", path)
    for commit, *parents in (line.split() for line in log.splitlines()):
        with contextlib.suppress(GitmlError):
            if path.endswith(f"/{RUN_JSON}") and len(parents) > 1:
                return _run(book, path.removesuffix(f"/{RUN_JSON}"), commit, parents[1])
            if path.endswith(f"/{experiment.FILE}"):
                return _experiment(book, path, commit, git.resolve(book.repo, f"{head}:{path}"))
    return None


def _run(book: Ledger, folder: str, head: str, commit: str) -> Change:
    entry = book.entry(folder, commit, head=head)
    end = (entry.record.end_time or entry.record.start_time) // 1000
    return RunAgain(entry.record, {RUN_JSON: entry.blob, **entry.files}, commit, end)


def _experiment(book: Ledger, path: str, commit: str, now: str | None) -> Change:
    data = next(git.read_objects(book.repo, [f"{commit}:{path}"]))
    name = experiment.from_document(documents.load_json(data, path)).name
    return LedgerEdit(
        f"{name}: experiment restored", int(time.time()), {path: data}, before={path: now}
    )
