"""`gitml runs diff`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import click
from rich.text import Text

from gitml.cli import output
from gitml.cli.here import recovered
from gitml.cli.listing import csv_text, format_option
from gitml.cli.names import RUN
from gitml.cli.plain import plain
from gitml.cli.runs.comparison import SECTIONS, lines, markdown
from gitml.errors import UsageError
from gitml.git import Repository
from gitml.review import code
from gitml.review.compare import Comparison, compare, to_document
from gitml.review.view import RunView, packages, view
from gitml.tracking import store

_STYLES = (("+++", "bold"), ("---", "bold"), ("+", "green"), ("-", "red"), ("@@", "cyan"),
           ("diff ", "bold"))  # fmt: skip


@click.command()
@click.argument("runs", metavar="RUN RUN...", nargs=-1, required=True, type=RUN)
@click.option("--code", "whole", is_flag=True, help="Show the whole difference of the code.")
@click.option("-a", "--all", "everything", is_flag=True, help="Show what is the same, too.")
@format_option
def diff(runs: tuple[str, ...], whole: bool, everything: bool, format: str) -> None:
    """Compare runs with the first of them: params, metrics, data, environment and code."""
    if len(runs) < 2:
        raise UsageError("a comparison needs two runs or more")
    place = recovered()
    views = [view(place, store.resolve(place, name)) for name in runs]
    if whole:
        output.say(*_patches(place.repo, views))
        return
    made = compare(
        [item.record for item in views],
        [packages(place, item) for item in views],
        [_files(place.repo, views[0], other) for other in views[1:]],
    )
    _show(made, format, everything)


def _files(repo: Repository, one: RunView, other: RunView) -> tuple[code.FileChange, ...] | None:
    if one.commit is None or other.commit is None:
        return None
    return code.changed_files(repo, one.commit, other.commit)


def _show(made: Comparison, format: str, everything: bool) -> None:
    if format == "json":
        output.say_json(to_document(made))
    elif format == "csv":
        output.say_text(csv_text(_rows(made)))
    elif format == "md":
        output.say_raw(markdown(made, everything=everything))
    else:
        output.say(*lines(made, output.width(), everything=everything))


def _rows(made: Comparison) -> list[dict[str, object]]:
    """The comparison as rows: section, key, and the value in each run, by id."""
    return [
        {"section": name, "key": item.key}
        | {run.run_id: value for run, value in zip(made.runs, item.values, strict=True)}
        for name in SECTIONS
        for item in getattr(made, name)
    ]


def _patches(repo: Repository, views: Sequence[RunView]) -> Iterator[Text]:
    first = views[0]
    for other in views[1:]:
        if first.commit is None or other.commit is None:
            raise UsageError("the code can't be compared: a run has no commit yet")
        for line in code.diff(repo, first.commit, other.commit).splitlines():
            style = next((style for start, style in _STYLES if line.startswith(start)), "")
            yield Text(plain(line.expandtabs(4)), style=style)
