"""`gitml validate`, which the pre-commit hooks call."""

from __future__ import annotations

from pathlib import Path

import click

from gitml import git
from gitml.cli import output
from gitml.cli.listing import format_option, show
from gitml.cli.table import Table
from gitml.errors import UsageError, shown
from gitml.registry import files as model_files
from gitml.registry import policy
from gitml.validate import Finding, Reader
from gitml.validate import large_files as find_large_files
from gitml.validate import validate as find_faults


@click.command()
@click.argument("files", nargs=-1, type=click.Path())
@click.option("--large-files", is_flag=True, help="Look for files that are too large for git.")
@format_option
@click.pass_context
def validate(ctx: click.Context, files: tuple[str, ...], large_files: bool, format: str) -> None:
    """Check the files of gitml: those named, or all in this folder and below.

    Ends with 1 when something is wrong. With --large-files, the files in git's index are
    searched for those that belong in DVC.
    """
    git.find()
    for name in files:
        if not Path(name).exists():
            raise UsageError(f"there is no file {shown(name)}")
    if large_files:
        findings = find_large_files(Path.cwd(), files or None)
    else:
        readers: dict[str, Reader] = {
            "registry": policy.parse,
            "registered-model": model_files.parse,
        }
        findings = find_faults(Path.cwd(), files or None, readers)
    _show(findings, format)
    ctx.exit(1 if findings else 0)


def _show(findings: list[Finding], format: str) -> None:
    if format == "table":
        output.say(*(f"{it.path}: {it.message}" for it in findings))
        return
    documents = [{"path": it.path, "message": it.message} for it in findings]
    rows = [[it.path, it.message] for it in findings]
    show(format, documents, lambda: Table.of(["PATH", "MESSAGE"], rows))
