"""`gitml doctor`."""

from __future__ import annotations

from dataclasses import asdict

import click
from rich.text import Text

from gitml.cli import output
from gitml.cli.here import repository
from gitml.cli.listing import format_option, show
from gitml.cli.plain import plain
from gitml.cli.table import Cell, Table
from gitml.tracking import doctor as examiner
from gitml.tracking.doctor import Finding

_STYLES = {examiner.ERROR: "bold red", examiner.WARNING: "yellow", examiner.NOTE: "dim"}
_MARGIN = max(map(len, _STYLES)) + 2


@click.command()
@click.option("--fix", is_flag=True, help="First put right what needs no decision of yours.")
@format_option
@click.pass_context
def doctor(ctx: click.Context, fix: bool, format: str) -> None:
    """Look for trouble with git, the ledger, remotes, artifacts and the machine.

    Each finding comes with the command that changes it. Ends with 1 when one is an error.
    """
    place, misread = examiner.place_to_examine(*repository())
    if fix and misread:
        output.remark("nothing was repaired: first gitml.yaml must say where the runs are")
    for done in examiner.repair(place) if fix and not misread else ():
        output.remark(done)
    found = [*([misread] if misread else []), *examiner.examine(place)]
    if format == "table":
        for finding in found:
            _say(finding)
    else:
        show(format, [asdict(finding) for finding in found], lambda: _table(found))
    ctx.exit(int(any(finding.severity == examiner.ERROR for finding in found)))


def _say(finding: Finding) -> None:
    style = _STYLES[finding.severity]
    line = Text.assemble((finding.severity.ljust(_MARGIN), style), plain(finding.what))
    output.say(line)
    if finding.fix:
        output.say(Text(f"{' ' * _MARGIN}{plain(finding.fix)}", style="bold"))


def _table(found: list[Finding]) -> Table:
    rows = [(Cell(item.severity, _STYLES[item.severity]), item.what, item.fix) for item in found]
    return Table.of(["SEVERITY", "FINDING", "FIX"], rows)
