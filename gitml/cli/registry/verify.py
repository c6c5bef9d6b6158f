"""`gitml registry verify`."""

from __future__ import annotations

from dataclasses import asdict

import click
from rich.text import Text

from gitml.cli import output
from gitml.cli.here import here
from gitml.cli.listing import format_option, show
from gitml.cli.plain import plain
from gitml.cli.progress import progress_stages
from gitml.cli.registry.names import ModelName
from gitml.cli.table import Cell, Table
from gitml.registry.verifying import Finding
from gitml.registry.verifying import verify as look

_MARGIN = 13


@click.command()
@click.argument("names", metavar="[NAME]...", nargs=-1, type=ModelName())
@click.option("--remote", is_flag=True, help="Ask the remotes, and hash every model's bytes.")
@format_option
@click.pass_context
def verify(ctx: click.Context, names: tuple[str, ...], remote: bool, format: str) -> None:
    """Compare tags, registry files, runs and models; name each that is not what it was.

    Forged, moved and missing tags are found, wrong digests and metrics, and stages that nobody
    decided. Ends with 1 when there is a finding, each with what was expected and what is there.
    """
    with progress_stages() as progress:
        found = look(here(), names, remote=remote, progress=progress)
    if format == "table":
        for finding in found:
            _say(finding)
        if not found:
            output.remark("all is as it should be")
    else:
        show(format, [asdict(finding) for finding in found], lambda: _table(found))
    ctx.exit(int(bool(found)))


def _say(finding: Finding) -> None:
    head = (finding.kind.ljust(_MARGIN), "bold red")
    output.say(Text.assemble(head, (plain(finding.subject), "bold"), f": {plain(finding.what)}"))
    if finding.expected or finding.found:
        line = f"expected {finding.expected}, found {finding.found}"
        output.say(f"{' ' * _MARGIN}{line}")
    if finding.fix:
        output.say(Text(f"{' ' * _MARGIN}{plain(finding.fix)}", style="bold"))


def _table(found: list[Finding]) -> Table:
    rows = [
        (Cell(it.kind, "bold red"), it.subject, it.what, it.expected, it.found, it.fix)
        for it in found
    ]
    return Table.of(["KIND", "SUBJECT", "FINDING", "EXPECTED", "FOUND", "FIX"], rows)
