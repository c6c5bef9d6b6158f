"""`gitml registry promote` and `gitml registry rollback`."""

from __future__ import annotations

import click

from gitml.cli import output
from gitml.cli.here import recovered
from gitml.cli.progress import progress_stages
from gitml.cli.registry.names import ModelName
from gitml.errors import UsageError
from gitml.registry import promoting
from gitml.registry.promoting import Promotion
from gitml.registry.proposing import Published

_direct = click.option(
    "--direct", is_flag=True, help="Commit to the main branch, where nobody reviews."
)


@click.command()
@click.argument("model", metavar="NAME[@VERSION]", type=ModelName())
@click.argument("words", metavar="[VERSION] STAGE", nargs=-1)
@click.option("--stage", "named", metavar="STAGE", help="The stage, named so.")
@_direct
def promote(model: str, words: tuple[str, ...], named: str | None, direct: bool) -> None:
    """Propose that a version of the model NAME, by default the latest, takes STAGE.

    The change of registry/NAME.yaml is made on a branch from the main branch as it is at the
    remote, and pushed; your work tree stays as it is. Where a token is at hand the pull request
    is opened, else the page is told on which to open it. A second time brings it up to date.
    """
    name, version, stage = _understood(model, words, named)
    with progress_stages() as progress:
        done = promoting.promote(
            recovered(), name, stage, version, direct=direct, progress=progress
        )
    tell(done)


@click.command()
@click.argument("name", metavar="NAME", type=ModelName())
@click.argument("stage", metavar="STAGE")
@_direct
def rollback(name: str, stage: str, direct: bool) -> None:
    """Propose that the version of the model NAME which held STAGE before takes it again.

    It goes the same way as `gitml registry promote`; a second rollback goes one version further.
    """
    with progress_stages() as progress:
        done = promoting.rollback(recovered(), name, stage, direct=direct, progress=progress)
    tell(done)


def _understood(model: str, words: tuple[str, ...], named: str | None) -> tuple[str, str, str]:
    """Model, version and stage of `NAME@V STAGE`, `NAME V STAGE` and `NAME V --stage STAGE`."""
    name, at, version = model.partition("@")
    rest = [*([version] if at else []), *words, *([named] if named is not None else [])]
    if len(rest) not in (1, 2):
        raise UsageError("say which stage, as in: gitml registry promote NAME@VERSION STAGE")
    return name, rest[0] if len(rest) == 2 else "latest", rest[-1]


def tell(done: Promotion) -> None:
    """Say what was proposed, and where."""
    if done.change is None or done.published is None:
        output.remark(f"{done.name} {done.version} holds {done.stage} already; nothing to do")
        return
    published = done.published
    output.say(done.change.title)
    output.remark(done.change.sentence)
    if done.waits:
        tag = f"{done.name}@{done.version}"
        output.remark(f"{tag} has no tag yet; gitml registry sync makes it after the merge")
    if published.branch == published.base:
        output.say(f"committed to {published.base} as {published.commit[:12]}")
    else:
        _tell_branch(published)


def _tell_branch(published: Published) -> None:
    opened = published.opened
    output.say(f"branch {published.branch}")
    if opened is None:
        output.say(f"merge it into {published.base}: git merge {published.branch}")
    elif opened.number is not None:
        output.say(f"{'opened' if opened.created else 'updated'} {opened.url}")
    elif opened.url:
        output.say(f"open the pull request: {opened.url}")
    else:
        output.say(f"merge it into {published.base} at the remote")
    if opened is not None and opened.remark:
        output.remark(opened.remark)
