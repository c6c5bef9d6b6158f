"""Verifying the registry: tags, files, ledger and models agree, or what does not is named.

Whoever can push a tag can forge one. What he can't forge at once is the reviewed main branch, the
ledger, the run's digests and the links between tags; so each is held against the others.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from gitml.git import Progress
from gitml.registry import main_branch, shared_tags
from gitml.registry.main_branch import Main
from gitml.registry.verifying import (
    contents,
    dates,
    decisions,
    finding,
    shared,
    signed,
    stage_tags,
    versions,
)
from gitml.registry.verifying.evidence import Evidence, gather
from gitml.registry.verifying.finding import Finding
from gitml.tracking.place import Place

__all__ = ["Finding", "verify"]


def verify(
    place: Place,
    names: Sequence[str] = (),
    *,
    remote: bool = False,
    progress: Progress | None = None,
) -> list[Finding]:
    """All that is wrong with the registry, or with the models `names`; nothing when it is sound.

    What is here is compared. With `remote` the main branch and the tags at the remote are asked
    for first, and the bytes of every model are fetched and hashed. Raises GitError when the remote
    can't be read.
    """
    there = shared_tags.fetch(place, progress, ledger=True).tags if remote else None
    main = main_branch.fetch(place, progress) if remote else main_branch.known(place)
    evidence = gather(place, main, names)
    found = [*_local(evidence)]
    if there is not None:
        found += shared.check(evidence, there)
    return [*found, *contents.check(evidence, remote=remote)]


def _local(evidence: Evidence) -> Iterator[Finding]:
    yield from _unchecked(evidence, evidence.main)
    yield from versions.objects(evidence.tags.values(), evidence)
    yield from versions.check(evidence)
    yield from stage_tags.check(evidence)
    yield from dates.check(evidence)
    yield from decisions.check(evidence)
    yield from signed.check(evidence)


def _unchecked(evidence: Evidence, main: Main | None) -> Iterator[Finding]:
    """The checks that can't be done: what is not seen is not known to be good."""
    if not evidence.tags and not evidence.decided:
        return
    if main is None:
        what = "no main branch is known here, so nothing tells what was decided"
        fix = "git fetch origin; git remote set-head origin --auto"
        yield Finding(finding.UNCHECKED, "the main branch", what, "a branch", "none", fix)
    if evidence.shallow:
        what = "this clone has a part of the history only: what tags stand on can't be judged"
        fix = "git fetch --unshallow; gitml pull"
        yield Finding(finding.UNCHECKED, "the clone", what, "a whole clone", "a shallow one", fix)
    elif not evidence.runs and evidence.versions:
        ledger = evidence.place.ledger.short
        what = "the ledger is not here, so nothing tells which runs are this repository's"
        yield Finding(finding.UNCHECKED, ledger, what, "a branch", "none", "gitml pull")
