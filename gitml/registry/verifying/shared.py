"""Checks of tags against those at the remote, where others read them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from gitml import git
from gitml.git import Progress
from gitml.registry import main_branch, publishing
from gitml.registry.tags import StageTag, parse_tag
from gitml.registry.verifying import finding
from gitml.registry.verifying.evidence import Evidence
from gitml.registry.verifying.finding import Finding
from gitml.tracking import exchange, registry_tags
from gitml.tracking.place import Place


def fetch(place: Place, progress: Progress | None = None) -> dict[str, str]:
    """The registry's tags at the remote with their ids; those that are not here come in.

    Versions are read where runs are shared, with the runs, and stages where the main branch is.
    No tag moves here.
    """
    found: dict[str, str] = {}
    versions, stages, ref = publishing.remote(place), main_branch.remote(place), place.ledger.ref
    for name in dict.fromkeys(it for it in (versions, stages) if it is not None):
        there = git.remote_refs(place.repo, name, ref, *registry_tags.PATTERNS)
        if name == versions:
            exchange.track(place, name, there.get(ref), progress)
        wanted = {
            tag: id
            for tag, id in registry_tags.of_registry(there).items()
            if name == (stages if _is_stage(tag) else versions)
        }
        registry_tags.pull(place, name, wanted, progress)
        found.update({registry_tags.short(tag): id for tag, id in wanted.items()})
    return found


def _is_stage(ref: str) -> bool:
    return isinstance(parse_tag(registry_tags.short(ref)), StageTag)


def check(evidence: Evidence, there: Mapping[str, str]) -> Iterator[Finding]:
    """The tags that are others here than at the remote, or that it does not have."""
    for name, tag in evidence.tags.items():
        if name not in there:
            what = "it is here, and not at the remote"
            fix = "gitml push; or if it was deleted there on purpose: git tag --delete " + name
            yield Finding(finding.DELETED, name, what, tag.id, "nothing", fix)
        elif there[name] != tag.id:
            what = "it is another object here than at the remote; tags never move"
            fix = f"find out who moved it, then remove the wrong one: {evidence.removal(name)}"
            yield Finding(finding.MOVED, name, what, tag.id, there[name], fix)
