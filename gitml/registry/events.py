"""What happened to a model, told by its tags: versions registered, stages taken.

Stage tags are in the order of their numbers, whatever the clocks said.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from operator import attrgetter
from typing import Any

from gitml import git
from gitml.git import Tag
from gitml.registry import catalog, desired, untagged
from gitml.registry.catalog import Registered
from gitml.registry.proven import proven
from gitml.registry.stages import UNKNOWN
from gitml.registry.tags import StageTag, parse_tag, trailers
from gitml.tracking.moments import time_to_text
from gitml.tracking.place import Place

REGISTERED = "registered"
_STAGES = "refs/tags/*#*"


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that happened: `what` is `registered` or the stage that the version took.

    `time` is in ms since the epoch, `by` who did it, `commit` where its tag stands. All that is
    `proven` when the tag is signed by somebody who may, and else what whoever made it says.
    """

    time: int
    what: str
    name: str
    version: str
    tag: str
    by: str
    commit: str
    run_id: str
    proven: bool = False


def history(place: Place, name: str) -> list[Event]:
    """All events of a model, the oldest first; UsageError when there is no model of that name."""
    book = catalog.read(place.repo)
    begun = name in desired.names(place) or untagged.waiting(place, name)
    versions = book.models.get(name, ()) if begun else book.versions(name)
    taken = list(_taken(place.repo, name))
    ids = {str(item.tag): item.tag_id for item in versions} | {tag.name: tag.id for _, tag in taken}
    found = [*map(_registered, versions), *_staged(taken)]
    true = proven(place, ids)
    return [replace(it, proven=it.tag in true) for it in sorted(found, key=attrgetter("time"))]


def _registered(item: Registered) -> Event:
    note = item.note
    return Event(
        item.time, REGISTERED, item.name, str(item.version), str(item.tag), note.by, item.commit,
        note.run_id,
    )  # fmt: skip


def _taken(repo: git.Repository, name: str) -> Iterator[tuple[StageTag, Tag]]:
    """The tags of a model's stages, each under its own name."""
    for tag in git.tags(repo, _STAGES):
        it = parse_tag(tag.name)
        is_plain = tag.commit is not None and tag.inner == tag.name
        if is_plain and isinstance(it, StageTag) and it.name == name:
            yield it, tag


def _staged(taken: Iterable[tuple[StageTag, Tag]]) -> Iterator[Event]:
    """The stages that versions took; no earlier than the one before, whatever the clock said."""
    last = 0
    for it, tag in sorted(taken, key=lambda pair: pair[0].number):
        said = trailers(tag.body)
        last = max(last, tag.time * 1000)
        yield Event(
            last, it.stage, it.name, said.get("Version", "?"), tag.name,
            said.get("Approved-By", UNKNOWN), str(tag.commit), said.get("Run-Id", ""),
        )  # fmt: skip


def to_document(event: Event) -> dict[str, Any]:
    """The same with stable names, for listings."""
    return {
        "time": time_to_text(event.time),
        "event": event.what,
        "name": event.name,
        "version": event.version,
        "tag": event.tag,
        "by": event.by or None,
        "commit": event.commit,
        "run_id": event.run_id or None,
        "proven": event.proven,
    }
