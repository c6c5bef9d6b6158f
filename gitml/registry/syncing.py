"""Bringing tags in line with the main branch: the missing ones are created, one push each.

Nothing is moved or deleted, so it may run twice at once, or again: who comes second finds nothing
to do. The tags are read before the main branch, which so is never older than what they tell.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass, replace

from gitml.errors import GitError, GitmlError
from gitml.git import Progress
from gitml.registry import (
    approving,
    catalog,
    desired,
    main_branch,
    plan,
    publishing,
    recorded,
    registering,
    shared_tags,
    stages,
    verified,
)
from gitml.registry.approving import Approver
from gitml.registry.catalog import Catalog, Registered
from gitml.registry.files import path_of
from gitml.registry.main_branch import Main
from gitml.registry.plan import NewStage, NewVersion, Step
from gitml.registry.recorded import Runs
from gitml.registry.shared_tags import Shared
from gitml.registry.stages import StageNote, Stages, Taken
from gitml.registry.tags import Link, VersionNote, message
from gitml.tracking.place import Place

_TRIES = 100


@dataclass(frozen=True, slots=True)
class Synced:
    """A tag by its `state`: created; missing, for want of `why`; wrong, so that its model waits.

    `stage` is None for a version, `commit` what the tag stands on. A file that can't be read is
    wrong, too, by its path.
    """

    tag: str
    name: str
    version: str
    stage: str | None
    commit: str
    state: str
    why: str = ""


CREATED, MISSING, WRONG = "created", "missing", "wrong"
_MOVED = "it is another object here than at the remote; see: gitml registry verify --remote"
_LONE = "it is here, and not at the remote; push it: gitml push; or delete it: git tag --delete"


def sync(
    place: Place,
    *,
    dry_run: bool = False,
    approved_by: Approver = approving.nobody,
    progress: Progress | None = None,
) -> list[Synced]:
    """Create the tags that the main branch asks for, and tell what stays out of sync.

    Nothing is created in a dry run. A tag that is refused, or that can't be signed, stays missing,
    and the others are created. Raises GitError when a remote can't be read.
    """
    made: list[Synced] = []
    refused: dict[str, Synced] = {}
    for _ in range(_TRIES):
        seen = _look(place, progress)
        if seen is None:
            return []
        todo, wrong = _plan(place, seen)
        steps = [step for step in todo if not _waits(step, refused)]
        if dry_run or not steps:
            missing = [_row(step, seen.main, MISSING) for step in steps]
            return [*made, *missing, *refused.values(), *wrong]
        for step in steps:
            if _waits(step, refused):
                continue
            done = _done(place, seen, step, approved_by, progress)
            if done is None:
                break  # somebody was faster: look again
            row, seen = done
            if row.state == CREATED:
                made.append(row)
            else:
                refused[_key(step)] = row
    raise GitError("others change the registry's tags again and again; try again later")


@dataclass(frozen=True, slots=True)
class _Seen:
    """What was looked at, the tags before the main branch, and what was made since.

    Other processes make tags in this clone, too: what they do meanwhile is for the next look.
    """

    there: Shared
    book: Catalog
    stages: Stages
    main: Main


def _look(place: Place, progress: Progress | None) -> _Seen | None:
    """None when the main branch has no commit."""
    there = shared_tags.fetch(place, progress)
    book, known = catalog.read(place.repo), stages.read(place.repo)
    main = main_branch.fetch(place, progress)
    return None if main is None else _Seen(there, book, known, main)


def _plan(place: Place, seen: _Seen) -> tuple[list[Step], list[Synced]]:
    """What is missing, and what no tag can put right; models with such a thing have to wait."""
    decided, unread = desired.readable_at(place.repo, seen.main.commit)
    found = plan.plan(decided, seen.book, seen.stages)
    wrong = [
        *(_wrong(it.name, it.tag, it.why) for it in found.problems),
        *(_wrong(name, path_of(name), why) for name, why in unread.items()),
        *(_wrong(re.split("[@#]", tag)[0], tag, _MOVED) for tag in seen.there.moved),
        *(_wrong(re.split("[@#]", tag)[0], tag, f"{_LONE} {tag}") for tag in seen.there.lone),
    ]
    doubtful = {it.name for it in wrong}
    return [step for step in found.steps if step.tag.name not in doubtful], wrong


def _key(step: Step) -> str:
    """What a step is for; the number of a stage's tag may be another the next time."""
    return f"{step.tag.name}#{step.tag.stage}" if isinstance(step, NewStage) else str(step.tag)


def _waits(step: Step, refused: Collection[str]) -> bool:
    """Whether a step, or what it needs, was refused."""
    return _key(step) in refused or f"{step.tag.name}@{_version_of(step)}" in refused


def _done(
    place: Place, seen: _Seen, step: Step, approved_by: Approver, progress: Progress | None
) -> tuple[Synced, _Seen] | None:
    """Create one tag, and note it as seen; None when somebody else was faster."""
    main, after = seen.main, seen
    try:
        if isinstance(step, NewVersion):
            remote = publishing.remote(place)
            id = _version_tag(place, step, remote, main, progress)
        else:
            step = _numbered(step, seen.stages)
            note = _note(step, seen, approved_by)
            remote, id = main.remote, _stage_tag(place, step, note, seen)
            taken = Taken(step.tag, note, main.commit, id, 0)
            after = replace(seen, stages=seen.stages.added(taken))
        created = publishing.create(place, remote, str(step.tag), id, progress)
    except GitmlError as error:
        return _row(step, main, MISSING, str(error)), seen
    return (_row(step, main, CREATED), after) if created else None


def _version_tag(
    place: Place, step: NewVersion, remote: str | None, main: Main, progress: Progress | None
) -> str:
    """The id of the tag object of a version that was reviewed; its run has to bear it out."""
    entry, name = step.entry, step.tag.name
    recorded.run_of(place, Runs(remote, place.ledger.ref), step.tag, entry, progress)
    book = catalog.read(place.repo)
    before = next(reversed(book.models.get(name, ())), None)
    note = VersionNote(
        run_id=entry.run,
        path=entry.path,
        digest=entry.digest,
        change="first",
        by="{} <{}>".format(*publishing.who(place)),
        follows=(Link(str(before.tag), before.tag_id),) if before else (),
        reviewed=main.commit,
    )
    run = verified.entry_of(place, Registered(step.tag, note, entry.commit, "", 0, 0))
    if before is not None:
        note = replace(note, change=registering.level_of(place, before, run, entry.path))
    last = max((item.time for item in book.models.get(name, ())), default=0)
    return publishing.make(place, str(step.tag), entry.commit, message(step.tag, note), last)


def _numbered(step: NewStage, known: Stages) -> NewStage:
    """The step with the number that comes next; another's may have been refused."""
    number = known.highest.get(step.tag.name, 0) + 1
    return replace(step, tag=replace(step.tag, number=number))


def _note(step: NewStage, seen: _Seen, approved_by: Approver) -> StageNote:
    """What the tag of a stage tells."""
    name = step.tag.name
    return StageNote(
        version=step.version,
        run_id=step.run_id,
        digest=step.digest,
        previous=step.previous,
        approved_by=approved_by(seen.main.commit, name),
        follows=seen.stages.last(name),
    )


def _stage_tag(place: Place, step: NewStage, note: StageNote, seen: _Seen) -> str:
    """The id of the tag object of a stage, on the main branch as it was seen."""
    last = max((item.time for item in seen.stages.models.get(step.tag.name, ())), default=0)
    text = stages.message(step.tag, note)
    return publishing.make(place, str(step.tag), seen.main.commit, text, last)


# -- rows ----------------------------------------------------------------------------------


def _row(step: Step, main: Main, state: str, why: str = "") -> Synced:
    return Synced(
        tag=str(step.tag),
        name=step.tag.name,
        version=_version_of(step),
        stage=step.tag.stage if isinstance(step, NewStage) else None,
        commit=main.commit if isinstance(step, NewStage) else step.entry.commit,
        state=state,
        why=why,
    )


def _version_of(step: Step) -> str:
    return str(step.version if isinstance(step, NewStage) else step.tag.version)


def _wrong(name: str, tag: str, why: str) -> Synced:
    return Synced(tag, name, "", None, "", WRONG, why)
