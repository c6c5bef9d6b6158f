"""`gitml runs tag`."""

from __future__ import annotations

import click

from gitml.cli.here import recovered
from gitml.cli.names import run_argument
from gitml.errors import UsageError, shown
from gitml.tracking import changes, store


@click.command()
@run_argument()
@click.argument("tags", metavar="[KEY=VALUE]...", nargs=-1)
@click.option("-d", "--delete", "deleted", multiple=True, metavar="KEY", help="Delete this tag.")
def tag(run: str, tags: tuple[str, ...], deleted: tuple[str, ...]) -> None:
    """Set tags of a run, or delete them."""
    wanted = {**dict(map(_pair, tags)), **dict.fromkeys(deleted)}
    if not wanted:
        raise UsageError("name a tag to set (KEY=VALUE) or to delete (--delete KEY)")
    place = recovered()
    changes.tag(place, store.resolve(place, run), wanted)


def _pair(text: str) -> tuple[str, str | None]:
    key, equals, value = text.partition("=")
    if not equals:
        raise UsageError(
            f"{shown(text)} is not KEY=VALUE; the run comes first, then the tags to set;"
            f" to delete one: --delete {key}"
        )
    return key, value
