"""Checks of signatures, where the main branch lists whose count."""

from __future__ import annotations

from collections.abc import Iterator

from gitml import git
from gitml.registry import signers
from gitml.registry.verifying import finding
from gitml.registry.verifying.evidence import Evidence
from gitml.registry.verifying.finding import Finding


def check(evidence: Evidence) -> Iterator[Finding]:
    """The tags that none of the listed keys has signed."""
    if evidence.keys is None:
        return
    ids = list(dict.fromkeys(tag.id for tag in evidence.tags.values() if tag.inner))
    bad = git.unsigned(evidence.place.repo, ids, evidence.keys)
    for tag in evidence.tags.values():
        if tag.id in bad:
            what = f"no key that {signers.SSH} on the main branch lists has signed it"
            fix = evidence.again(tag.name)
            expected = "the signature of a listed key"
            yield Finding(finding.SIGNATURE, tag.name, what, expected, bad[tag.id], fix)
