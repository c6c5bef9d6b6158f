"""`gitml ci init` and `gitml ci drift`."""

from __future__ import annotations

import os
import shlex
import sys
from pathlib import Path

import click

from gitml.ci import generated, setting_up, settings
from gitml.ci.file import File
from gitml.ci.generated import FORGES, Difference
from gitml.ci.settings import Settings
from gitml.cli import output
from gitml.cli.here import here
from gitml.cli.plain import plain, plain_lines
from gitml.errors import UsageError

_SOURCE = (
    "jobs install {} from the package index of their machines; is that ours there? else name a"
    " place and a commit: gitml, below ci in gitml.yaml"
)
_forge = click.option(
    "--forge", type=click.Choice(sorted(FORGES)), help="By default the one that the remote is at."
)


@click.command()
@_forge
@click.option("--force", is_flag=True, help="Replace files that were edited, without a question.")
@click.pass_context
def init(ctx: click.Context, forge: str | None, force: bool) -> None:
    """Write the workflows by which the forge's CI checks, tags, trains and deploys models.

    They are made of what is set in gitml.yaml, under `ci`. A file that is there and is another is
    shown as a diff, and replaced only if you say so. Commits nothing.
    """
    told, root, files = _files(forge)
    found = generated.differences(root, files)
    kept = [one for one in found if not _agreed(one, force)]
    written = [one.file for one in found if one not in kept]
    for one in found:
        if one not in kept:
            generated.write(root, one.file._replace(text=one.after or ""))
            output.say(f"wrote {one.file.path}  ({one.file.what})")
    if written:
        _tell_next(forge, told, root, written)
    if not told.source and any(one.before is None for one in found):
        output.remark(_SOURCE.format(told.requirement()))
    if not found:
        output.remark("nothing to do: the workflows are as they would be written")
    if kept:
        output.warn(f"left as they are: {', '.join(one.file.path for one in kept)}; see --force")
        ctx.exit(1)


@click.command()
@_forge
@click.pass_context
def drift(ctx: click.Context, forge: str | None) -> None:
    """Compare the workflows with what `gitml ci init` would write; ends with 1 if they differ."""
    _, root, files = _files(forge)
    found = generated.differences(root, files)
    for one in found:
        _show(one)
    if not found:
        output.remark("the workflows are as they would be written")
    ctx.exit(int(bool(found)))


def _files(forge: str | None) -> tuple[Settings, Path, list[File]]:
    place = here()
    told, root = settings.read(place), settings.top(place)
    name = forge or generated.forge_of(place, told)
    if name is None:
        raise UsageError(f"which forge runs the workflows? say --forge {' or '.join(FORGES)}")
    for line in generated.unheeded(root, name, told):
        output.warn(line)
    return told, root, FORGES[name](told)


def _tell_next(forge: str | None, told: Settings, root: Path, written: list[File]) -> None:
    """Say what is left to do, here and at the forge."""
    names = [Path(os.path.relpath(root / it.path)).as_posix() for it in written]
    output.say("now run:", f"  git add {plain(shlex.join(names))}")
    output.say('  git commit --message "Workflows of gitml"')
    if name := forge or generated.forge_of(here(), told):
        output.say("and set at the forge, once:")
        output.say(*(f"  {plain(step)}" for step in setting_up.steps(name, told)))


def _agreed(one: Difference, force: bool) -> bool:
    """Whether a file may be written."""
    if one.before is None:
        return True
    _show(one)
    if one.after is None:
        return False
    return force or (sys.stdin.isatty() and click.confirm(f"Replace {one.file.path}?", err=True))


def _show(one: Difference) -> None:
    if one.before is None:
        output.say(f"{one.file.path} is missing")
    elif one.after is None:
        output.say(f"{one.file.path} is yours; {one.file.by_hand}")
    else:
        output.say(*plain_lines(one.diff))
