"""Checks of the main branch's files: they can be read, and what they name is there."""

from __future__ import annotations

from collections.abc import Iterator

from gitml.registry.files import path_of
from gitml.registry.verifying import finding
from gitml.registry.verifying.evidence import Evidence
from gitml.registry.verifying.finding import Finding
from gitml.registry.version import Version


def check(evidence: Evidence) -> Iterator[Finding]:
    """What is wrong with the files, or with the tags by them."""
    for path, why in evidence.unread.items():
        yield Finding(finding.FILE, path, why, fix="correct it by a pull request")
    for name in sorted({*evidence.decided, *evidence.stages.models}):
        yield from _missing(evidence, name)
        yield from _in_force(evidence, name)


def _missing(evidence: Evidence, name: str) -> Iterator[Finding]:
    """The versions that the file or a stage's tag names, and no tag is."""
    now = evidence.file(name)
    named: dict[Version, str] = {
        item.note.version: str(item.tag) for item in evidence.stages.models.get(name, ())
    }
    by_file = {*now.stages.values(), *now.aliases.values(), *now.listed, *now.versions}
    named.update(dict.fromkeys(by_file, path_of(name)))
    for version, by in sorted(named.items()):
        tag = f"{name}@{version}"
        if tag not in evidence.tags:
            entry = now.versions.get(version)
            expected = f"a tag on {entry.commit}" if entry else "a tag"
            what = f"{by} names {version}, and there is no such tag here"
            fix = "gitml pull; if it stays so: gitml registry sync"
            yield Finding(finding.MISSING, tag, what, expected, "nothing", fix)


def _in_force(evidence: Evidence, name: str) -> Iterator[Finding]:
    """The stages whose last tag tells another version than the file."""
    held, now = evidence.stages.held(name), evidence.file(name)
    for stage, version in now.stages.items():
        last = held.get(stage)
        if last is None or last.note.version != version:
            found = f"{last.note.version} by {last.tag}" if last else "no tag"
            what = f"{path_of(name)} gives {version} the stage {stage}, and the tags do not"
            subject = str(last.tag) if last else f"{name}#{stage}"
            fix = "gitml registry sync"
            yield Finding(finding.OUT_OF_SYNC, subject, what, str(version), found, fix)
