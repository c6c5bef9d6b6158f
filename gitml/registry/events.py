"""What happened to a model, told by its tags: versions registered, stages taken. Pure but for git.

Stage tags are in the order of their numbers, whatever the clocks said.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from operator import attrgetter
from typing import Any

from gitml import git
from gitml.registry import catalog
from gitml.registry.catalog import Registered
from gitml.registry.tags import StageTag, parse_tag, trailers
from gitml.tracking.moments import time_to_text

_STAGES = "refs/tags/*#*"


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that happened: `what` is `registered` or the stage that the version took.

    `time` is in ms since the epoch, `by` who did it, `commit` where its tag stands.
    """

    time: int
    what: str
    name: str
    version: str
    tag: str
    by: str
    commit: str
    run_id: str


def history(repo: git.Repository, name: str) -> list[Event]:
    """All events of a model, the oldest first; UsageError when there is no model of that name."""
    versions = catalog.read(repo).versions(name)
    found = [*map(_registered, versions), *_staged(repo, name)]
    return sorted(found, key=attrgetter("time"))


def _registered(item: Registered) -> Event:
    note = item.note
    return Event(
        item.time, "registered", item.name, str(item.version), str(item.tag), note.by, item.commit,
        note.run_id,
    )  # fmt: skip


def _staged(repo: git.Repository, name: str) -> Iterator[Event]:
    """The stages that versions took; no earlier than the one before, whatever the clock said."""
    tags = [(parse_tag(tag.name), tag) for tag in git.tags(repo, _STAGES)]
    mine = [(it, tag) for it, tag in tags if isinstance(it, StageTag) and it.name == name]
    last = 0
    for it, tag in sorted(mine, key=lambda pair: pair[0].number):
        if tag.commit is None or tag.inner != tag.name:
            continue
        said = trailers(tag.body)
        last = max(last, tag.time * 1000)
        yield Event(
            last, it.stage, name, said.get("Version", "?"), tag.name,
            said.get("Approved-By", "unknown"), tag.commit, said.get("Run-Id", ""),
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
    }
