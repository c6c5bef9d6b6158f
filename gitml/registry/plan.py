"""What tags are missing for what the main branch has decided. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from gitml.registry import verified
from gitml.registry.catalog import Catalog, Registered
from gitml.registry.entries import VersionEntry
from gitml.registry.files import ModelFile, path_of
from gitml.registry.stages import Stages
from gitml.registry.tags import LAST_NUMBER, StageTag, VersionTag
from gitml.registry.version import Version


@dataclass(frozen=True, slots=True)
class NewVersion:
    """A version that was reviewed and has no tag."""

    tag: VersionTag
    entry: VersionEntry


@dataclass(frozen=True, slots=True)
class NewStage:
    """A stage that a version has by the main branch, and not by a tag.

    `run_id` and `digest` are those of the version, `previous` the one that the tags tell of.
    """

    tag: StageTag
    version: Version
    run_id: str
    digest: str
    previous: Version | None


Step = NewVersion | NewStage


@dataclass(frozen=True, slots=True)
class Problem:
    """Why something of the model `name` stays out of sync; `tag` is what it is about."""

    name: str
    tag: str
    why: str


@dataclass(frozen=True, slots=True)
class Plan:
    """The tags to create, in this order, and what can't be brought in sync by one."""

    steps: tuple[Step, ...] = ()
    problems: tuple[Problem, ...] = ()


def plan(decided: Mapping[str, ModelFile], book: Catalog, stages: Stages) -> Plan:
    """What is to be done so that the tags tell what the files say."""
    found = [it for name, now in sorted(decided.items()) for it in _of(name, now, book, stages)]
    return Plan(
        tuple(it for it in found if not isinstance(it, Problem)),
        tuple(it for it in found if isinstance(it, Problem)),
    )


def _of(name: str, now: ModelFile, book: Catalog, stages: Stages) -> Iterator[Step | Problem]:
    known = {item.version: item for item in book.models.get(name, ())}
    for version, entry in sorted(now.versions.items()):
        tag = VersionTag(name, version)
        if version in known:
            if problem := _differs(known[version], now):
                yield problem
        elif str(tag) in book.taken:
            yield Problem(name, str(tag), "the tag is no registered version; see: " + _VERIFY)
        else:
            yield NewVersion(tag, entry)
    yield from _stages(name, now, known, stages)


def _stages(
    name: str, now: ModelFile, known: Mapping[Version, Registered], stages: Stages
) -> Iterator[Step | Problem]:
    held, number = stages.held(name), stages.highest.get(name, 0)
    for stage, version in now.stages.items():
        last = held[stage].note.version if stage in held else None
        if last == version:
            continue
        item, entry = known.get(version), now.versions.get(version)
        if item is not None and _differs(item, now):
            continue  # told above
        if item is None and entry is None:
            why = f"{path_of(name)} gives it the stage {stage}, and there is no such version"
            yield Problem(name, f"{name}@{version}", why)
            continue
        number += 1
        if number > LAST_NUMBER:
            why = f"the tag {name}#...#{number - 1} leaves no number for another; see: {_VERIFY}"
            yield Problem(name, f"{name}#{stage}", why)
            continue
        run_id = entry.run if entry else item.note.run_id if item else ""
        digest = entry.digest if entry else item.note.digest if item else ""
        yield NewStage(StageTag(name, stage, number), version, run_id, digest, last)


_VERIFY = "gitml registry verify"


def _differs(item: Registered, now: ModelFile) -> Problem | None:
    for what, expected, found in verified.from_file(item, now):
        why = f"the tag tells {what} {found}, and {path_of(item.name)} {expected}; see: {_VERIFY}"
        return Problem(item.name, str(item.tag), why)
    return None
