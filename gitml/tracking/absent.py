"""Runs that are not there: what became of them, as far as the ledger tells."""

from __future__ import annotations

import re
from collections.abc import Iterable

from gitml import git
from gitml.errors import NOT_FOUND, UsageError, shown
from gitml.tracking import sync
from gitml.tracking.commits import Identity, printable
from gitml.tracking.place import Place

_MOST_TOLD = 50
_PART = re.compile(r"[0-9a-f]{4,31}")


def told(runs: Iterable[tuple[str, str, str]]) -> str:
    """What the commit that deletes runs for good says of each: its id, experiment and name."""
    lines = [f"  {id} {printable(experiment)}: {printable(name)}" for id, experiment, name in runs]
    more = len(lines) - _MOST_TOLD
    rest = [f"  and {more} more, which are in its tree below deleted/"] if more > 0 else []
    return "\n".join([*lines[:_MOST_TOLD], *rest])  # a line that begins with a space is no trailer


def error(place: Place, run_id: str) -> UsageError:
    """The error for a run that is not there; of one deleted for good: when, and by whom."""
    known = _deleted(place, run_id)
    return UsageError(known or f"run {shown(run_id)} not found; see: gitml runs list", NOT_FOUND)


def unknown(place: Place, text: str) -> UsageError:
    """The error of naming no run; where `text` is a part of the id of a deleted one, its end."""
    part = text.lower()
    heads = [ref.id for ref in place.ledger.own_heads()] if _PART.fullmatch(part) else []
    gone = {run_id for head in heads for run_id in sync.tombstones(place.repo, head)}
    meant = [run_id for run_id in gone if run_id.startswith(part) or run_id.endswith(part)]
    if len(meant) == 1:
        return error(place, meant[0])
    return UsageError(
        f"no run is called {shown(text)}; give its name, or at least 4 digits of its id: see"
        " gitml runs list",
        NOT_FOUND,
    )


def _deleted(place: Place, run_id: str) -> str | None:
    """How a run was deleted for good; None when it was not."""
    if not place.ledger.is_buried(run_id):
        return None
    told = ("log", "-1", "--first-parent", "--format=%an%x00%cs")
    for head in place.ledger.own_heads():
        who, found, day = git.text(place.repo, *told, head.id, "--", f"deleted/{run_id}").partition(
            "\0"
        )
        if found:
            by = "" if who == Identity().name else f" by {shown(who)}"
            return f"run {run_id} was deleted for good on {day}{by}, by gitml gc"
    return f"run {run_id} was deleted for good, by gitml gc"
