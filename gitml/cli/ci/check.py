"""`gitml ci check` and `gitml ci report`."""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import click

from gitml.cli import output
from gitml.cli.ci.comment import REPORT, forge_of_main
from gitml.cli.here import without_settings
from gitml.cli.plain import plain
from gitml.cli.progress import progress_stages
from gitml.documents import write_atomic
from gitml.errors import ForgeError
from gitml.registry import checking
from gitml.registry.checking import Report, approving, log, markdown
from gitml.registry.checking.report import to_document

F = TypeVar("F", bound=Callable[..., Any])
_MARKS = {"passed": "ok", "failed": "no", "unknown": "??"}


def revisions(command: F) -> F:
    """The options that say what is checked."""
    for option in (
        click.option("--head", default="HEAD", show_default=True, metavar="REV",
                     help="The change."),
        click.option("--base", required=True, metavar="REV", help="What it is to be merged into."),
    ):  # fmt: skip
        command = option(command)
    return command


def _asked(command: F) -> F:
    """The same, and who approves it."""
    number = click.option("--pull-request", "number", type=int, metavar="N",
                          help="Ask the forge who approves it, for approved_by.")  # fmt: skip
    return revisions(number(command))


@click.command()
@_asked
@click.option("--format", type=click.Choice(["text", "json"]), default="text", show_default=True)
@click.option(
    "--report",
    "file",
    type=click.Path(),
    help="Write the report there, as Markdown, if there is anything to tell, or an earlier one of"
    " the pull request to replace.",
)
@click.option(
    "--annotations/--no-annotations",
    "annotated",
    default=lambda: os.environ.get("GITHUB_ACTIONS") == "true",
    help="Mark the lines that are wrong, as GitHub shows it; by default in its jobs.",
)
@click.pass_context
def check(
    ctx: click.Context,
    base: str,
    head: str,
    number: int | None,
    format: str,
    file: str | None,
    annotated: bool,
) -> None:
    """Check what a change does to the registry; ends with 1 when it may not be merged.

    Every file of gitml is validated, versions are held against their tags and runs, and the gates
    of each stage that changes hands are judged. Policy and signers are those of the base. No model
    is loaded, and nothing of the change is run.
    """
    found = _checked(base, head, number)
    if file is not None and (not found.is_empty or _was_told(number)):
        write_atomic(Path(file), markdown.page(found).encode())
    if format == "json":
        output.say_json(to_document(found))
    else:
        _show(found, annotated)
    ctx.exit(0 if found.passed else 1)


@click.command()
@_asked
@click.option("-o", "--output", "file", type=click.Path(), help="A file, instead of the terminal.")
def report(base: str, head: str, number: int | None, file: str | None) -> None:
    """Write what `gitml ci check` finds as Markdown, for a comment or a summary.

    Names and values of runs are inline code in it: they are read, and do nothing.
    """
    page = markdown.page(_checked(base, head, number))
    if file is None:
        output.say_text(page)
    else:
        write_atomic(Path(file), page.encode())


def _checked(base: str, head: str, number: int | None) -> Report:
    place = without_settings()
    approvals = None
    if number is not None:
        approvals, why = approving.approved(place, number, head)
        if why:
            output.warn(f"who approves can't be told: {why}")
    with progress_stages() as progress:
        return checking.check(place, base, head, approvals=approvals, progress=progress)


def _was_told(number: int | None) -> bool:
    """Whether the pull request has a report, of what the change did before."""
    if number is None:
        return False
    try:
        return forge_of_main(without_settings()).has_comment(number, REPORT)
    except ForgeError as error:
        output.warn(f"an earlier report is not looked for: {error}")
        return False


def _show(found: Report, annotated: bool) -> None:
    lines = [plain(line) for line in _lines(found)]
    if annotated:
        output.say_commands(log.quoted(lines, secrets.token_hex(16)))
        output.say_commands(log.errors(found))
    else:
        output.say(*lines)


def _lines(found: Report) -> Iterator[str]:
    for problem in found.problems:
        yield f"{problem.path}: {problem.message}"
    yield from (f"note: {remark}" for remark in found.remarks)
    for item in found.judged:
        yield f"{item.move}{'' if item.verdicts or item.move.version is None else ': no gates'}"
        for verdict in item.verdicts:
            yield f"  {_MARKS[verdict.outcome]}  {verdict.gate}: {verdict.why}"
    if not found.problems and not found.judged:
        yield "no stage changes hands, and the files are sound"
