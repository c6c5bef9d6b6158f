"""`gitml runs bisect`."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import click
from rich.text import Text

from gitml import git
from gitml.cli import output
from gitml.cli.here import recovered
from gitml.cli.names import RUN
from gitml.cli.plain import plain
from gitml.cli.running import (
    agreed,
    data_option,
    manager_option,
    pairs,
    result_option,
    timeout_option,
    unrecorded_option,
    yes_option,
)
from gitml.cli.table import Cell, Row, Table

if TYPE_CHECKING:
    from gitml.projects.bisecting import Bisection, Probe

_STYLES = {"good": "green", "bad": "red"}


@click.command()
@click.argument("good", type=RUN)
@click.argument("bad", type=RUN)
@click.option(
    "--metric", required=True, metavar="CONDITION", help="What is bad, as 'metrics.auc < 0.9'."
)
@click.option("--like", type=RUN, help="The run to go by, by default BAD or GOOD.")
@manager_option("Who builds the environments; by default uv where a commit names one.")
@data_option
@unrecorded_option
@timeout_option("Stop a run after so long, and skip its commit.")
@yes_option
@result_option
def bisect(
    good: str,
    bad: str,
    metric: str,
    like: str | None,
    env_manager: str | None,
    data: str,
    params: Sequence[str],
    timeout: float | None,
    yes: bool,
    format: str,
) -> None:
    """Find the commit that made a metric worse, between GOOD and BAD, which are runs or commits.

    Commits in between are run as the run BAD was, each in a temporary work tree, and recorded;
    runs that there are already count. Stopped and started again, it goes on where it was. The exit
    code is 1 when commits that can't be judged hide the answer.
    """
    from gitml.projects.bisecting import Wish, perform, to_document

    place = recovered()
    as_json = format == "json"
    wish = Wish(metric, good, bad, like, env_manager, data, pairs(params), timeout)
    stdout = sys.stderr if as_json else None
    found = perform(wish, tell=output.remark, ask=agreed(yes), stdout=stdout)
    if as_json:
        output.say_json(to_document(found))
    else:
        output.say(*_lines(place.repo, found, output.width()))
    if found.first is None:
        click.get_current_context().exit(1)


def _lines(repo: git.Repository, found: Bisection, width: int) -> Iterator[Text | str]:
    """The commits that were looked at, and the one that made it worse."""
    rows = [_row(repo, found, probe) for probe in found.probes]
    table = Table.of(["COMMIT", "", *map(str.upper, found.metrics), "RUN", "SUBJECT"], rows)
    yield from table.narrowed(width).lines()
    yield ""
    if found.first is None:
        yield Text("The commit that made it worse is one of these; the others can't be judged:")
        yield from (f"  {_described(repo, commit)}" for commit in found.open)
        return
    commit = found.first.commit
    yield Text(f"{commit} is the first with {plain(found.condition)}", style="bold")
    yield f"  {_described(repo, commit)}"
    for key in found.metrics:
        before = "" if found.before is None else f", {_value(found.before, key)} at its parent"
        yield f"  {plain(key)} {_value(found.first, key)}{before}"


def _row(repo: git.Repository, found: Bisection, probe: Probe) -> Row:
    run = "" if probe.run is None else probe.run.run_id[-8:]
    values = [_value(probe, key) for key in found.metrics]
    subject = probe.reason or git.text(repo, "log", "-1", "--format=%s", probe.commit)
    return [probe.commit[:10], Cell(probe.word, _STYLES.get(probe.word, "yellow")), *values, run,
            subject]  # fmt: skip


def _value(probe: Probe, key: str) -> str:
    known = probe.run.metrics if probe.run is not None else {}
    return f"{known[key].last:.6g}" if key in known else "unknown"


def _described(repo: git.Repository, commit: str) -> str:
    form = "--format=%h  %s  (%an, %ad)"
    return plain(git.text(repo, "log", "-1", "--date=short", form, commit))
