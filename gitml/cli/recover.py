"""`gitml recover`."""

from __future__ import annotations

import click

from gitml.cli import output
from gitml.cli.figures import plural
from gitml.cli.here import here
from gitml.errors import StorageError, shown
from gitml.projects import checkout, leftovers
from gitml.tracking import recording, returning, store
from gitml.tracking.place import Place


@click.command()
@click.option("--lost", is_flag=True, help="Also runs of other machines that fell silent.")
@click.option("--aside", is_flag=True, help="Also what pull and push set aside, if that can be.")
def recover(lost: bool, aside: bool) -> None:
    """Record runs whose process has died before it could.

    Every command does so for runs of this machine. Doing it again does no harm. With --aside, a
    run that was deleted for good elsewhere comes back under a new id.
    """
    place = here()
    checkout.sweep()
    for problem in leftovers.sweep(place):
        output.warn(problem)
    came = _bring_back(place) if aside else 0
    found = recording.recover(place, lost=lost)
    done = [run for run in found if run.problem is None]
    for run in done:
        record = store.record(place, run.run_id)
        output.say_run(record, record.status)
    for run in found:
        if run.problem is not None:
            output.warn(f"run {run.run_id}: {run.problem}")
    if len(done) < len(found):
        left = plural(len(found) - len(done), "run")
        raise StorageError(f"{left} could not be recorded; their journals are kept")
    if not found and not came:
        output.remark("nothing to recover")


def _bring_back(place: Place) -> int:
    """Bring back what was set aside, and say of the rest why it stays; how many runs came."""
    came = returning.bring_back(place)
    for record in came:
        output.say_run(record, "brought back")
    for left in returning.look(place):
        for name, why in left.lost.items():
            output.warn(f"{shown(name)} stays aside: {why}; to let go of it; run: {left.let_go}")
    return len(came)
