"""`gitml collect`."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence

import click

from gitml.cli import output
from gitml.cli.figures import plural
from gitml.cli.here import here
from gitml.errors import GitmlError, StorageError, UsageError
from gitml.tracking import collecting
from gitml.tracking.collecting import Collected
from gitml.tracking.place import Place
from gitml.tracking.spool import Spool, spool_of

_EVERY = 10.0  # seconds between two looks with --watch


@click.command()
@click.argument("spool", metavar="SPOOL")
@click.option("--lost", is_flag=True, help="Also record runs that fell silent minutes ago.")
@click.option("--delete", is_flag=True, help="Take what is recorded for certain out of the spool.")
@click.option("--watch", is_flag=True, help="Go on, and look again every 10 seconds.")
@click.option("--to", metavar="URL", help="Send on what was left in a folder; record nothing.")
def collect(spool: str, lost: bool, delete: bool, watch: bool, to: str | None) -> None:
    """Record runs that were written into a spool: a folder, or a URL.

    Runs that are over are recorded, those that go on are among the live ones then. Doing it again,
    or by two people at once, does no harm.
    """
    if to is not None and (lost or delete or watch):
        raise UsageError("--to sends runs on to another spool; it has no other options")
    if to is not None:
        _send_on(spool, to)
    elif watch:
        _watch(here(), spool_of(spool), lost=lost, delete=delete)
    else:
        _check(collecting.collect(here(), spool_of(spool), lost=lost, delete=delete), spool)


def _check(found: Sequence[Collected], spool: str) -> None:
    _tell(found)
    if not found:
        output.remark(f"there is no run in {spool_of(spool)}")
    problems = sum(one.word == collecting.PROBLEM for one in found)
    if problems:
        raise StorageError(
            f"{plural(problems, 'run')} could not be collected, and stay in {spool_of(spool)}"
        )


def _watch(place: Place, spool: Spool, *, lost: bool, delete: bool) -> None:
    """Collect for ever; what is told once is not told again before it changes."""
    told: dict[str, tuple[str, str | None]] = {}
    said = ""
    while True:
        try:
            found = collecting.collect(place, spool, lost=lost, delete=delete)
        except GitmlError as error:
            if said != (said := str(error)):
                output.warn(said)
        else:
            now = {one.run_id: (_word(one), one.remark) for one in found}
            _tell([one for one in found if told.get(one.run_id) != now[one.run_id]])
            told = now
        time.sleep(_EVERY)


def _tell(found: Sequence[Collected]) -> None:
    """Say what became of runs, and in a line for each reason which have no code."""
    without: Counter[str] = Counter()
    for one in found:
        if one.word == collecting.PROBLEM:
            output.warn(f"run {one.run_id}: {one.remark}")
        elif one.word != collecting.KNOWN and one.record is not None:
            output.say_run(one.record, _word(one))
            without.update([one.remark] if one.remark else [])
    for remark, count in without.items():
        output.warn(f"{plural(count, 'run')} recorded without the code: {remark}")


def _word(one: Collected) -> str:
    return one.record.status if one.record is not None else one.word


def _send_on(folder: str, url: str) -> None:
    """Carry what is in a folder to a spool with a URL."""
    from gitml.tracking import courier

    left = courier.send_on(spool_of(folder), spool_of(url))
    if left:
        output.remark(f"{plural(left, 'writer')} go on; do it again when they have ended")
