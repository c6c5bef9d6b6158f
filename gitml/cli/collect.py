"""`gitml collect`."""

from __future__ import annotations

import time
from collections.abc import Iterable

import click

from gitml.cli import output
from gitml.cli.figures import plural
from gitml.cli.here import here
from gitml.errors import StorageError, UsageError
from gitml.tracking import collecting
from gitml.tracking.collecting import Collected
from gitml.tracking.spool import spool_of

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
    if to is not None:
        if lost or delete or watch:
            raise UsageError("--to sends runs on to another spool; it has no other options")
        _send_on(spool, to)
        return
    place, where = here(), spool_of(spool)
    found = collecting.collect(place, where, lost=lost, delete=delete)
    told = _tell(found, {})
    while watch:
        time.sleep(_EVERY)
        found = collecting.collect(place, where, lost=lost, delete=delete)
        told = _tell(found, told)
    if not found:
        output.remark(f"there is no run in {where}")
    problems = sum(one.word == collecting.PROBLEM for one in found)
    if problems:
        raise StorageError(f"{plural(problems, 'run')} could not be collected, and stay in {where}")


def _send_on(folder: str, url: str) -> None:
    """Carry what is in a folder to a spool with a URL."""
    from gitml.tracking import courier

    left = courier.send_on(spool_of(folder), spool_of(url))
    if left:
        output.remark(f"{plural(left, 'writer')} go on; do it again when they have ended")


def _tell(found: Iterable[Collected], told: dict[str, Collected]) -> dict[str, Collected]:
    """Say what became of each run that is not as it was told before."""
    known = {one.run_id: one for one in found}
    for one in known.values():
        before = told.get(one.run_id)
        if before is None or before.word != one.word or _status(before) != _status(one):
            _tell_of(one)
    return known


def _tell_of(one: Collected) -> None:
    if one.word == collecting.PROBLEM:
        output.warn(f"run {one.run_id}: {one.remark}")
        return
    if one.record is not None and one.word != collecting.KNOWN:
        output.say_run(one.record, _status(one))
    if one.remark:
        output.warn(f"run {one.run_id[-8:]} is recorded without its code: {one.remark}")


def _status(one: Collected) -> str:
    return one.record.status if one.record is not None else one.word
