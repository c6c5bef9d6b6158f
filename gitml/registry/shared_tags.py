"""The registry's tags at the remotes: those that are not here come in, none moves."""

from __future__ import annotations

from typing import NamedTuple

from gitml import git
from gitml.git import Progress
from gitml.registry import main_branch, publishing
from gitml.registry.tags import StageTag, parse_tag
from gitml.tracking import exchange, registry_tags
from gitml.tracking.place import Place


class Shared(NamedTuple):
    """The tags at the remotes with the ids of their objects.

    `moved` are others here than there, `lone` are here and not there.
    """

    tags: dict[str, str]
    moved: tuple[str, ...] = ()
    lone: tuple[str, ...] = ()


def fetch(place: Place, progress: Progress | None = None, *, ledger: bool = False) -> Shared:
    """Bring in the tags of others, and with `ledger` what tracks the remote's ledger.

    Versions are read where runs are shared, stages where the main branch is. GitError when a remote
    can't be read.
    """
    found: dict[str, str] = {}
    versions, stages, ref = publishing.remote(place), main_branch.remote(place), place.ledger.ref
    # Read first: a tag that another process makes meanwhile is at the remote before it is here.
    here = registry_tags.of_registry(dict(git.refs(place.repo, "refs/tags")))
    for name in dict.fromkeys(it for it in (versions, stages) if it is not None):
        there = git.remote_refs(place.repo, name, ref, *registry_tags.PATTERNS)
        if ledger and name == versions:
            exchange.track(place, name, there.get(ref), progress)
        wanted = {
            tag: id
            for tag, id in registry_tags.of_registry(there).items()
            if name == (stages if _is_stage(tag) else versions)
        }
        registry_tags.pull(place, name, wanted, progress)
        found.update(wanted)
    moved = [tag for tag, id in found.items() if here.get(tag, id) != id]
    shared = [tag for tag in here if (stages if _is_stage(tag) else versions) is not None]
    lone = [tag for tag in shared if tag not in found]
    short = registry_tags.short
    return Shared(
        {short(tag): id for tag, id in found.items()}, tuple(map(short, moved)),
        tuple(map(short, lone)),
    )  # fmt: skip


def _is_stage(ref: str) -> bool:
    return isinstance(parse_tag(registry_tags.short(ref)), StageTag)
