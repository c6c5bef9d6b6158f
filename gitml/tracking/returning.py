"""Returning: what `pull` and `push` set aside, and how it comes back.

Whether it can is asked of the ledger as it is now: a run may be readable to a newer gitml, or may
have come in by another way. A run that was deleted for good stays so under its id, for every
clone; it comes back under another, which follows from the first.
"""

from __future__ import annotations

import shlex
import time
from collections.abc import Mapping
from dataclasses import replace
from typing import NamedTuple

from gitml import documents, git
from gitml.errors import FormatError
from gitml.tracking import names, starting, sync
from gitml.tracking.commits import Change, LedgerEdit, RunChange
from gitml.tracking.ledger import Entry, Ledger
from gitml.tracking.place import Place
from gitml.tracking.record import RunRecord, to_document

FORMER_ID = "gitml.former_run_id"  # the tag of a run that came back under another id


class Aside(NamedTuple):
    """A ledger that was set aside: its ref and head, and what of it the local ledger lacks.

    `changes` can be made now. `buried` are runs that were deleted for good; they can come back
    under other ids. `lost` maps what no ledger can take to the reason.
    """

    ref: str
    head: str
    changes: tuple[Change, ...] = ()
    buried: tuple[str, ...] = ()
    lost: Mapping[str, str] = {}

    @property
    def let_go(self) -> str:
        """The command that lets go of all of it."""
        return shlex.join(["git", "update-ref", "-d", self.ref])


def look(place: Place) -> list[Aside]:
    """What is set aside, a ledger each; GitmlError when a newer gitml wrote one of them."""
    return [_look(place.ledger, ref) for ref in _refs(place.repo)]


def _refs(repo: git.Repository) -> list[git.Ref]:
    return git.refs(repo, sync.ASIDE_REFS.rstrip("/"))


def _look(book: Ledger, ref: git.Ref) -> Aside:
    local = book.local()
    if local is None:
        return Aside(*ref, lost={ref.id[:10]: "there is no local ledger to bring it back to"})
    changes, reasons = sync.missing_changes(book, ref.id, local)
    gone = sync.tombstones(book.repo, local)
    buried = tuple(name for name in reasons if name in gone)
    lost = {name: why for name, why in reasons.items() if name not in gone}
    return Aside(*ref, tuple(changes), buried, lost)


def bring_back(place: Place) -> list[RunRecord]:
    """Record again what is set aside, as far as that can be; the runs that came back.

    What can't stays aside. Done again, it does nothing more.
    """
    book, came = place.ledger, list[RunRecord]()
    for ref in _refs(place.repo):
        with book.locked():
            now, local = _look(book, ref), book.local()
            again = [*now.changes, *_again(place, now)]
            if again and local is not None:
                book.rewrite(local, again, local)
        came += [change.record for change in again if not isinstance(change, LedgerEdit)]
        if not now.lost:
            git.update_refs(place.repo, [f"delete {now.ref} {now.head}"])
    return came


def _again(place: Place, aside: Aside) -> list[RunChange]:
    """The runs of a ledger that were deleted for good, as new ones that the local one lacks."""
    book = place.ledger
    ids = {run_id: _free_id(book, run_id) for run_id in aside.buried}
    return [
        _copy(place, _entry(book, run_id, aside.head), ids)
        for run_id in aside.buried
        if book.find(ids[run_id]) is None
    ]


def _free_id(book: Ledger, run_id: str) -> str:
    """The first of the ids that follow from a run's which is not deleted for good itself."""
    free = names.following_run_id(run_id)
    while book.is_buried(free):
        free = names.following_run_id(free)
    return free


def _entry(book: Ledger, run_id: str, head: str) -> Entry:
    entry = book.find(run_id, among=[head])
    if entry is None:
        raise FormatError(f"run {run_id} is not in the ledger that was set aside, {head[:10]}")
    return entry


def _copy(place: Place, entry: Entry, ids: Mapping[str, str]) -> RunChange:
    old = entry.record
    writer = f"again-{old.run_id[-8:]}"
    record = replace(
        old,
        run_id=ids[old.run_id],
        parent_run=None if old.parent_run is None else ids.get(old.parent_run, old.parent_run),
    ).set(f"tags.{FORMER_ID}", old.run_id, writer)
    if record.deleted:
        record = record.set("deleted", False, writer)
    return RunChange(
        record=record,
        files={sync.RUN_JSON: documents.dump_json(to_document(record)), **entry.files},
        tree=None,
        parents=(entry.commit,),
        time=int(time.time()),
        identity=starting.identity(git.settings(place.repo)),
        what="brought back",
    )
