"""Checks of signatures, where the main branch says whose count."""

from __future__ import annotations

from collections.abc import Iterator

from gitml.registry import signers
from gitml.registry.verifying import finding
from gitml.registry.verifying.evidence import Evidence
from gitml.registry.verifying.finding import Finding


def check(evidence: Evidence) -> Iterator[Finding]:
    """The tags that nobody has signed who may."""
    if evidence.signers is None:
        return
    ids = {name: tag.id for name, tag in evidence.tags.items() if tag.inner}
    bad = signers.unsigned(evidence.place.repo, ids, evidence.signers)
    for name, found in sorted(bad.items()):
        asked = evidence.signers.asked(name)
        what = f"{asked}, as the main branch has them, has not signed it"
        fix = evidence.again(name)
        yield Finding(finding.SIGNATURE, name, what, f"the signature of {asked}", found, fix)
