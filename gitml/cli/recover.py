"""`gitml recover`."""

from __future__ import annotations

import click

from gitml.cli import output
from gitml.cli.figures import plural
from gitml.cli.here import here
from gitml.errors import StorageError
from gitml.projects import checkout
from gitml.tracking import recording, store


@click.command()
@click.option("--lost", is_flag=True, help="Also runs of other machines that fell silent.")
def recover(lost: bool) -> None:
    """Record runs whose process has died before it could.

    Every command does so for runs of this machine. Doing it again does no harm.
    """
    place = here()
    checkout.sweep()
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
    if not found:
        output.remark("nothing to recover")
