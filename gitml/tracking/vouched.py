"""Which records this repository answers for, of all that a clone can see.

Readers unite the local ledger with those of every remote, also of a fork that was only fetched to
look at it. Whoever may write to the repository is in two of them: the local one, and that of the
remote which the repository shares its runs with. Which that is, no branch that is looked at says.
"""

from __future__ import annotations

from collections.abc import Iterator

from gitml.tracking import agreed, recording
from gitml.tracking.ledger import Entry, Ledger
from gitml.tracking.place import Place
from gitml.tracking.record import RunRecord


def vouched(place: Place, run_id: str) -> Iterator[RunRecord]:
    """What is recorded of a run here and in the repository's own remote; of a live run, that."""
    run = place.live_run(run_id)
    if run.folder.is_dir() and (live := recording.live_record(place, run)) is not None:
        yield live
    yield from (entry.record for entry in vouched_entries(place, run_id))


def vouched_entries(place: Place, run_id: str) -> Iterator[Entry]:
    """The same as the ledgers have it, the local one first; none of a live run."""
    ledger, own = _own(place)
    for head in own:
        if (found := ledger.find(run_id, [head])) is not None:
            yield found


def heads(place: Place) -> list[str]:
    """The heads of the ledgers that this repository answers for, the local one first."""
    return _own(place)[1]


def _own(place: Place) -> tuple[Ledger, list[str]]:
    ledger, names = agreed.own(place)
    known = {ref.name: ref.id for ref in ledger.heads()}
    return ledger, [known[name] for name in names if name in known]
