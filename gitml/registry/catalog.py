"""What the tags of a repository register: each model with its versions, read at once from git.

A tag is listed when it is what `gitml registry register` makes: annotated, under its own name, with
a message that tells run, path and digest. Whether the run bears it out is for `verified` to say.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from gitml import git
from gitml.documents import near_miss
from gitml.errors import NOT_FOUND, UsageError, shown
from gitml.git import Tag
from gitml.registry.tags import VersionNote, VersionTag, parse_tag, read_note, told_by
from gitml.registry.version import Version, find_version

VERSIONS = "refs/tags/*@v*"


@dataclass(frozen=True, slots=True)
class Registered:
    """A registered version of a model.

    `commit` is the run commit that the tag stands on, `tag_id` the tag object, `time` when it was
    registered, in ms since the epoch. `ordinal` counts the model's versions in the order in which
    they were registered, from 1: MLflow's version number. One that `waits` has no tag yet: it goes
    through a promotion, and sync makes the tag once that is merged; `why` the remote refused it.
    """

    tag: VersionTag
    note: VersionNote
    commit: str
    tag_id: str
    time: int
    ordinal: int
    waits: bool = False
    why: str = ""

    @property
    def name(self) -> str:
        """The model's name."""
        return self.tag.name

    @property
    def version(self) -> Version:
        """The version."""
        return self.tag.version

    @property
    def source(self) -> str:
        """The URI of the model in the run that made it."""
        return f"runs:/{self.note.run_id}/{self.note.path}"


@dataclass(frozen=True, slots=True)
class Catalog:
    """The models by name, each with its versions in the order of their numbers, lowest first.

    `problems` tells of tags that look like versions and are none, `taken` are the names of all.
    """

    models: Mapping[str, tuple[Registered, ...]]
    problems: tuple[str, ...] = ()
    taken: frozenset[str] = field(default=frozenset())

    def versions(self, name: str) -> tuple[Registered, ...]:
        """The versions of a model; UsageError when there is no model of that name."""
        if name not in self.models:
            hint = near_miss(name, self.models) or "; see: gitml registry list"
            raise UsageError(f"no model is registered as {shown(name)}{hint}", NOT_FOUND)
        return self.models[name]

    def latest(self, name: str) -> Registered:
        """The version of a model that was registered last."""
        return max(self.versions(name), key=lambda it: it.ordinal)

    def version(self, name: str, text: str) -> Registered:
        """A version by `v1.2.3`, `1.2.3`, `latest` or its ordinal; UsageError when there is none.

        `latest` is the one that was registered last, as in MLflow.
        """
        versions = self.versions(name)
        if text.lower() == "latest":
            return self.latest(name)
        wanted = find_version(text)
        for item in versions:
            if item.version == wanted or (wanted is None and text == str(item.ordinal)):
                return item
        known = ", ".join(str(item.version) for item in versions[-5:])
        raise UsageError(f"{shown(name)} has no version {shown(text)}; it has: {known}", NOT_FOUND)


def read(repo: git.Repository) -> Catalog:
    """The catalog of a repository's tags."""
    return of_tags(git.tags(repo, VERSIONS))


def of_tags(tags: Iterable[Tag]) -> Catalog:
    """The same of tags that were read. Pure."""
    found: dict[str, list[tuple[VersionTag, VersionNote, Tag]]] = {}
    problems, taken = [], set()
    for tag in tags:
        name = parse_tag(tag.name)
        if not isinstance(name, VersionTag):
            continue
        taken.add(tag.name)
        try:
            found.setdefault(tag.name.partition("@")[0], []).append((name, note_of(tag), tag))
        except ValueError as error:
            problems.append(f"the tag {shown(tag.name)} is no registered version: {error}")
    models = {name: tuple(_numbered(items)) for name, items in sorted(found.items()) if items}
    return Catalog(models, tuple(problems), frozenset(taken))


def note_of(tag: Tag) -> VersionNote:
    """What the tag of a version tells; ValueError says why it is no registered version."""
    return read_note(told_by(tag))


def _numbered(items: Sequence[tuple[VersionTag, VersionNote, Tag]]) -> Iterator[Registered]:
    order = sorted(items, key=lambda it: (it[2].time, it[0].version))
    ordinals = {tag.name: number for number, (_, _, tag) in enumerate(order, 1)}
    for name, note, tag in sorted(items, key=lambda it: it[0].version):
        commit = str(tag.commit)
        yield Registered(name, note, commit, tag.id, tag.time * 1000, ordinals[tag.name])
