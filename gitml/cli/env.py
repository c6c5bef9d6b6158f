"""`gitml env`: the environments that were built for models and projects."""

from __future__ import annotations

import time
from typing import Any

import click

from gitml.cli import output
from gitml.cli.figures import age, plural, size
from gitml.cli.lazy import Deferred, LazyGroup
from gitml.cli.listing import format_option, show
from gitml.cli.table import Cell, Column, Table
from gitml.environments import store
from gitml.environments.store import Stored
from gitml.tracking.moments import time_to_text

SECTIONS = {
    "Environments": {
        "list": Deferred("gitml.cli.env:list_environments", "List those that were built."),
        "prune": Deferred("gitml.cli.env:prune", "Remove those that nobody used for a while."),
    }
}


@click.group(cls=LazyGroup, sections=SECTIONS)
def env() -> None:
    """The environments that were built for models and projects."""


@click.command("list")
@format_option
def list_environments(format: str) -> None:
    """List the environments that were built, the last used first."""
    found = store.environments()
    show(format, [_document(item) for item in found], lambda: _table(found), "no environments yet")


@click.command()
@click.option(
    "--unused-for",
    type=click.FloatRange(min=0),
    metavar="DAYS",
    default=30.0,
    show_default=True,
    help="Only those that nobody has used so long; 0 is all.",
)
@click.option("--dry-run", is_flag=True, help="Only list what would go.")
def prune(unused_for: float, dry_run: bool) -> None:
    """Remove environments that were not used for a while; they are built again on demand.

    One that a program is running from stays.
    """
    gone = store.prune(unused_for, dry_run=dry_run)
    if not gone:
        output.remark("nothing to prune")
        return
    for item in gone:
        output.say(f"{item.key}  {size(item.size)}  {item.source}")
    total = size(sum(item.size for item in gone))
    done = "would free" if dry_run else "freed"
    output.remark(f"{done} {total} in {plural(len(gone), 'environment')}")


def _document(item: Stored) -> dict[str, Any]:
    return {
        "key": item.key,
        "path": str(item.path),
        "manager": item.manager,
        "python": item.python,
        "requirements": list(item.requirements),
        "source": item.source,
        "size": item.size,
        "created": time_to_text(item.created),
        "used": time_to_text(item.used),
    }


def _table(found: tuple[Stored, ...]) -> Table:
    now = round(time.time() * 1000)
    columns: list[Column | str] = [
        "ENVIRONMENT",
        "PYTHON",
        Column("SIZE", right=True),
        "USED",
        "MADE OF",
    ]
    rows = [
        (
            Cell(item.key[:8], "yellow"),
            item.python,
            size(item.size),
            age(item.used, now),
            ", ".join(item.requirements) or item.source,
        )
        for item in found
    ]
    return Table.of(columns, rows)
