"""`gitml runs delete` and `gitml runs restore`."""

from __future__ import annotations

import click

from gitml.cli import output
from gitml.cli.figures import plural
from gitml.cli.here import recovered
from gitml.cli.names import run_argument
from gitml.tracking import changes, store
from gitml.tracking.place import Place

_NAMED = 5


@click.command()
@run_argument(many=True)
def delete(runs: tuple[str, ...]) -> None:
    """Mark runs as deleted.

    They can be restored until `gitml gc` takes them out.
    """
    place = recovered()
    done = changes.delete(place, _ids(place, runs))
    names = " ".join(run.run_id[-8:] for run in done) if len(done) <= _NAMED else "RUN..."
    output.say(f"{plural(len(done), 'run')} deleted; to take it back: gitml runs restore {names}")


@click.command()
@run_argument(many=True)
def restore(runs: tuple[str, ...]) -> None:
    """Take the mark of deletion from runs."""
    place = recovered()
    done = changes.restore(place, _ids(place, runs))
    output.say(f"{plural(len(done), 'run')} restored")


def _ids(place: Place, runs: tuple[str, ...]) -> list[str]:
    """The runs that were named, each once."""
    return list(dict.fromkeys(store.resolve(place, name) for name in runs))
