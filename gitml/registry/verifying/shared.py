"""Checks of tags against those at the remote, where others read them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from gitml.registry.verifying import finding
from gitml.registry.verifying.evidence import Evidence
from gitml.registry.verifying.finding import Finding


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
