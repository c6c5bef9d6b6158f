"""Checks of the main branch's files: they can be read, and what they name is there."""

from __future__ import annotations

from collections.abc import Iterator

from gitml.registry.files import ModelFile, path_of
from gitml.registry.verifying import finding
from gitml.registry.verifying.evidence import Evidence
from gitml.registry.verifying.finding import Finding


def check(evidence: Evidence) -> Iterator[Finding]:
    """What is wrong with the files, or with the tags by them."""
    for path, why in evidence.unread.items():
        yield Finding(finding.FILE, path, why, fix="correct it by a pull request")
    for name, now in sorted(evidence.decided.items()):
        yield from _missing(evidence, name, now)
        yield from _in_force(evidence, name, now)


def _missing(evidence: Evidence, name: str, now: ModelFile) -> Iterator[Finding]:
    """The versions that a file names and no tag is."""
    named = {*now.stages.values(), *now.aliases.values(), *now.listed, *now.versions}
    for version in sorted(named):
        tag = f"{name}@{version}"
        if tag not in evidence.tags:
            expected = f"a tag on {now.versions[version].commit}" if version in now.versions else ""
            what = f"{path_of(name)} names {version}, and there is no such tag here"
            fix = "gitml pull; if it stays so: gitml registry sync"
            yield Finding(finding.MISSING, tag, what, expected or "a tag", "nothing", fix)


def _in_force(evidence: Evidence, name: str, now: ModelFile) -> Iterator[Finding]:
    """The stages whose last tag tells another version than the file."""
    held = evidence.stages.held(name)
    for stage, version in now.stages.items():
        last = held.get(stage)
        if last is None or last.note.version != version:
            found = f"{last.note.version} by {last.tag}" if last else "no tag"
            what = f"{path_of(name)} gives {version} the stage {stage}, and the tags do not"
            subject = str(last.tag) if last else f"{name}#{stage}"
            fix = "gitml registry sync"
            yield Finding(finding.OUT_OF_SYNC, subject, what, str(version), found, fix)
