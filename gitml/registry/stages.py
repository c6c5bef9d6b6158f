"""The tags of stages: which version took which stage, in the order of their numbers.

A stage tag is listed when it is what `gitml registry sync` makes: annotated, under its own name,
with a message that tells version, run and digest.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from gitml import git
from gitml.errors import UsageError
from gitml.git import Tag
from gitml.registry.tags import (
    Link,
    StageTag,
    one_line,
    parse_links,
    parse_tag,
    text_of,
    told_by,
    trailers,
)
from gitml.registry.version import Version, parse_version

STAGES = "refs/tags/*#*"
UNKNOWN = "unknown"  # who approved, where no forge tells


@dataclass(frozen=True, slots=True)
class StageNote:
    """What the message of a stage tag tells.

    `run_id` and `digest` are those of the version. `previous` is the version that held the stage
    before, None for the first. `approved_by` is whom the forge names, else `unknown`. `follows` are
    the stage tags of the model that had the highest number before.
    """

    version: Version
    run_id: str
    digest: str
    previous: Version | None = None
    approved_by: str = UNKNOWN
    follows: tuple[Link, ...] = ()


@dataclass(frozen=True, slots=True)
class Taken:
    """A version that took a stage.

    `commit` is that of the main branch which decided so, `tag_id` the tag object, `time` when the
    tag was made, in ms since the epoch.
    """

    tag: StageTag
    note: StageNote
    commit: str
    tag_id: str
    time: int


@dataclass(frozen=True, slots=True)
class Stages:
    """The stages that versions took by model, in the order of their numbers.

    `highest` is the highest number of each model, also of tags that tell nothing; `problems` says
    by tag why it is not listed.
    """

    models: Mapping[str, tuple[Taken, ...]]
    highest: Mapping[str, int] = field(default_factory=dict)
    problems: Mapping[str, str] = field(default_factory=dict)

    def held(self, name: str) -> dict[str, Taken]:
        """Who holds each stage of a model: the last that took it."""
        return {item.tag.stage: item for item in self.models.get(name, ())}

    def last(self, name: str) -> tuple[Link, ...]:
        """The tags of a model that have the highest number; two that were made at once share it."""
        items = self.models.get(name, ())
        top = items[-1].tag.number if items else 0
        return tuple(Link(str(it.tag), it.tag_id) for it in items if it.tag.number == top)

    def added(self, item: Taken) -> Stages:
        """The same with one more, which has the highest number."""
        name = item.tag.name
        models = {**self.models, name: (*self.models.get(name, ()), item)}
        return replace(self, models=models, highest={**self.highest, name: item.tag.number})


def read(repo: git.Repository) -> Stages:
    """The stages that the tags of a repository tell of."""
    return of_tags(git.tags(repo, STAGES))


def of_tags(tags: Iterable[Tag]) -> Stages:
    """The same of tags that were read. Pure."""
    found: dict[str, list[Taken]] = {}
    highest: dict[str, int] = {}
    problems: dict[str, str] = {}
    for tag in tags:
        name = parse_tag(tag.name)
        if not isinstance(name, StageTag):
            continue
        highest[name.name] = max(name.number, highest.get(name.name, 0))
        try:
            taken = Taken(name, _note(tag), str(tag.commit), tag.id, tag.time * 1000)
            found.setdefault(name.name, []).append(taken)
        except ValueError as error:
            problems[tag.name] = str(error)
    models = {
        name: tuple(sorted(items, key=lambda it: (it.tag.number, it.tag.stage)))
        for name, items in sorted(found.items())
    }
    return Stages(models, highest, problems)


def _note(tag: Tag) -> StageNote:
    return read_note(told_by(tag))


def message(tag: StageTag, note: StageNote) -> str:
    """The message of a stage tag: a title, and lines for programs."""
    trailers = {
        "Version": str(note.version),
        "Run-Id": note.run_id,
        "Digest": note.digest,
        **({"Previous": str(note.previous)} if note.previous else {}),
        "Approved-By": one_line(note.approved_by) or UNKNOWN,
        **({"Follows": ", ".join(map(str, note.follows))} if note.follows else {}),
    }
    return text_of(f"{tag.name} {tag.stage}: {note.version}", "", trailers)


def read_note(body: str) -> StageNote:
    """What `message` told, from a tag's message without its title; ValueError says what is wrong.

    Tags of GTO tell nothing: there the version is that of the commit.
    """
    found = trailers(body)
    try:
        return StageNote(
            version=parse_version(found["Version"]),
            run_id=found["Run-Id"],
            digest=found["Digest"],
            previous=parse_version(found["Previous"]) if "Previous" in found else None,
            approved_by=found.get("Approved-By", UNKNOWN),
            follows=parse_links(found.get("Follows", "")),
        )
    except KeyError as error:
        raise ValueError(f"its message has no line {error.args[0]}") from None
    except UsageError as error:
        raise ValueError(str(error)) from None
