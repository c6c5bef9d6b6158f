"""`gitml runs reproduce`."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import click
from rich.text import Text

from gitml.cli import figures, output
from gitml.cli.here import recovered
from gitml.cli.names import run_argument
from gitml.cli.running import (
    agreed,
    data_option,
    pairs,
    result_option,
    timeout_option,
    unrecorded_option,
    yes_option,
)
from gitml.cli.table import Cell, Column, Columns, Row, Table

if TYPE_CHECKING:
    from gitml.projects.reproducing import Reproduction
    from gitml.projects.verdict import MetricVerdict, Part

_STYLES = {"same": "green", "equal": "green", "within": "green", "unknown": "yellow"}
_MOST = 8  # notes of a part that a table shows


@click.command()
@run_argument()
@click.option(
    "--env",
    type=click.Choice(["original", "current"]),
    default="original",
    show_default=True,
    help="The environment that the run had, or this Python.",
)
@data_option
@click.option(
    "--tolerance",
    "tolerances",
    multiple=True,
    metavar="[METRIC=]VALUE[%]",
    help="How far metrics may be off, absolute or in % of the value; may be given more than once."
    " By default 0.0001%, or 1e-12.",
)
@click.option(
    "--ignore", multiple=True, metavar="PATTERN", help="Metrics that do not count, as *_seconds."
)
@unrecorded_option
@timeout_option("Stop the new run after so long.")
@yes_option
@result_option
def reproduce(
    run: str,
    env: str,
    data: str,
    tolerances: Sequence[str],
    ignore: Sequence[str],
    params: Sequence[str],
    timeout: float | None,
    yes: bool,
    format: str,
) -> None:
    """Run a run again, from its code, in its environment, on its data; and compare.

    It takes place in a temporary work tree; yours stays as it is. The new run is recorded, with
    the tag gitml.reproduces. The exit code is 1 when it comes out otherwise.
    """
    from gitml.projects import verdict
    from gitml.projects.reproducing import Wish, perform, to_document

    recovered()
    wish = Wish(env, data, verdict.rules(tolerances, ignore), pairs(params), timeout)
    as_json = format == "json"
    stdout = sys.stderr if as_json else None
    done = perform(run, wish, tell=output.remark, ask=agreed(yes), stdout=stdout)
    if as_json:
        output.say_json(to_document(done))
    else:
        output.say(*lines(done, output.width()))
    if not done.reproduced:
        click.get_current_context().exit(1)


def lines(done: Reproduction, width: int) -> Iterator[Text | str]:
    """The verdict for a terminal: what went in, what came out, and a line on it all."""
    yield from _parts(done.verdict.parts).narrowed(width).lines(header=False)
    yield ""
    if done.verdict.metrics:
        yield from _metrics(done.verdict.metrics).lines()
        yield ""
    yield _summary(done)


def _parts(parts: Sequence[Part]) -> Table:
    rows: list[Row] = []
    for part in parts:
        first, *rest = (*part.notes[:_MOST], *_more(part.notes), "")
        rows.append([part.name, _word(part.word), first])
        rows += [["", "", note] for note in rest if note]
    return Table.of(["", "", Column("", widest=output.UNLIMITED)], rows)


def _more(notes: Sequence[str]) -> list[str]:
    return [f"and {len(notes) - _MOST} more"] if len(notes) > _MOST else []


def _metrics(metrics: Sequence[MetricVerdict]) -> Table:
    columns: Columns = ["METRIC", Column("ORIGINAL", right=True), Column("AGAIN", right=True),
               Column("DIFFERENCE", right=True), "VERDICT", "TOLERANCE"]  # fmt: skip
    return Table.of(columns, [_metric(item) for item in metrics])


def _metric(item: MetricVerdict) -> Row:
    one, other = ("" if value is None else f"{value:.6g}" for value in item.values)
    far = "" if item.difference is None else figures.number(item.difference)
    off = "" if item.agreement == "equal" else str(item.tolerance)
    return [item.key, one, other, far, _word(item.agreement), off]


def _word(word: str) -> Cell:
    return Cell(word, _STYLES.get(word, "red"))


def _summary(done: Reproduction) -> Text:
    one, other = done.original.run_id[-8:], done.again.run_id[-8:]
    if done.reproduced:
        many = figures.plural(len(done.verdict.metrics), "metric")
        what = (
            f"with {many}" if done.verdict.metrics else "as far as can be told: it has no metrics"
        )
        return Text(f"{other} reproduces {one}, {what}", style="bold green")
    return Text(f"{other} does not reproduce {one}", style="bold red")
