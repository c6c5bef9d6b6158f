"""The tags of the registry: their names, in GTO's grammar, and what their messages tell. Pure.

`NAME@v1.2.3` is a version and stands on a run commit. `NAME#stage#N` records that a version took
a stage and stands on a commit of the main branch; N counts over all stage tags of the model.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from gitml.documents import load_json
from gitml.errors import FormatError, UsageError, shown
from gitml.git import Tag
from gitml.registry.version import PATTERN, Version, parse_version

_NAME = r"[A-Za-z0-9](?:[A-Za-z0-9_-]{0,98}[A-Za-z0-9])?"
_IS_NAME = re.compile(_NAME, re.ASCII)
_VERSION_TAG = re.compile(rf"({_NAME})@({PATTERN})", re.ASCII)
_STAGE_TAG = re.compile(rf"({_NAME})#({_NAME})#([1-9]\d{{0,8}})", re.ASCII)
LAST_NUMBER = 999_999_999  # that a version or a tag of a stage can have
_LINK = re.compile(r"([A-Za-z0-9@#._-]+) ([0-9a-f]{40}(?:[0-9a-f]{24})?)", re.ASCII)
_TRAILER = re.compile(r"([A-Z][A-Za-z]*(?:-[A-Z][A-Za-z]*)*): (.*)")
_EMPTY: Mapping[str, str] = MappingProxyType({})


def check_model_name(name: str) -> str:
    """`name` if a registered model may have it. Raises UsageError."""
    return _checked("the model name", name)


def is_model_name(name: str) -> bool:
    """Whether a registered model may have that name."""
    return _IS_NAME.fullmatch(name) is not None


def check_stage(name: str) -> str:
    """The stage that `name` means: any case is taken, and stored in lower case."""
    return _checked("the stage", name).lower()


def check_alias(name: str) -> str:
    """`name` if a version may have it as an alias, which is told apart from a version by it."""
    if re.fullmatch(rf"latest|{PATTERN}|v?\d+", name, re.ASCII | re.IGNORECASE):
        raise UsageError(f"the alias {shown(name)} would be taken for a version; use another word")
    return _checked("the alias", name)


def _checked(what: str, name: str) -> str:
    if not is_model_name(name):
        raise UsageError(
            f"{what} {shown(name)} must be 1 to 100 letters, digits, - and _ of ASCII, with a"
            " letter or digit at both ends"
        )
    return name


@dataclass(frozen=True, slots=True)
class VersionTag:
    """`NAME@v1.2.3`."""

    name: str
    version: Version

    def __str__(self) -> str:
        return f"{self.name}@{self.version}"


@dataclass(frozen=True, slots=True)
class StageTag:
    """`NAME#stage#N`."""

    name: str
    stage: str
    number: int

    def __str__(self) -> str:
        return f"{self.name}#{self.stage}#{self.number}"


def parse_tag(text: str) -> VersionTag | StageTag | None:
    """What a tag's name says; None for a tag that is not of the registry."""
    if found := _VERSION_TAG.fullmatch(text):
        tag = VersionTag(found[1], parse_version(found[2]))
        return tag if str(tag) == text else None  # it has no v
    if found := _STAGE_TAG.fullmatch(text):
        stage = found[2]
        return StageTag(found[1], stage, int(found[3])) if stage == stage.lower() else None
    return None


# -- messages ------------------------------------------------------------------------------


def told_by(tag: Tag) -> str:
    """The message of a tag; ValueError says why it is none that the registry has made."""
    if tag.commit is None:
        raise ValueError("it is no annotated tag on a commit")
    if tag.inner != tag.name:
        raise ValueError(f"it was made as {shown(tag.inner)}, and given another name later")
    return tag.body


@dataclass(frozen=True, slots=True)
class Link:
    """A tag that was there when another of its model was made: its name, and its object's id.

    By it one that is deleted, moved or made again later is noticed, by whoever has only the tags.
    """

    tag: str
    id: str

    def __str__(self) -> str:
        return f"{self.tag} {self.id}"


def parse_links(text: str) -> tuple[Link, ...]:
    """The links that a line holds, joined by `, `; ValueError for another text."""
    found = [_LINK.fullmatch(part) for part in text.split(", ") if part]
    links = tuple(Link(it[1], it[2]) for it in found if it and parse_tag(it[1]))
    if len(links) < len(found):
        raise ValueError("its message has a damaged line Follows")
    return links


@dataclass(frozen=True, slots=True)
class VersionNote:
    """What the message of a version tag tells.

    `path` is that of the model among the run's artifacts, `digest` that of its bytes. `change` is
    how its signature differs from the former version's: `first`, `same`, `compatible` or
    `incompatible`. `by` is who registered it, a name with an address. `follows` is the tag of the
    version that was registered last before. `reviewed` is the commit of the main branch that names
    the version, where sync made the tag by that; else empty.
    """

    run_id: str
    path: str
    digest: str
    change: str
    by: str
    description: str = ""
    tags: Mapping[str, str] = field(default_factory=lambda: _EMPTY)
    follows: tuple[Link, ...] = ()
    reviewed: str = ""


def message(tag: VersionTag, note: VersionNote) -> str:
    """The message of a version tag: a title, the description, and lines for programs."""
    trailers = {
        "Run-Id": note.run_id,
        "Model-Path": json.dumps(note.path)[1:-1],
        "Digest": note.digest,
        "Signature-Change": note.change,
        "Registered-By": one_line(note.by),
    }
    if note.tags:
        trailers["Tags"] = json.dumps(dict(note.tags), sort_keys=True)
    if note.follows:
        trailers["Follows"] = ", ".join(map(str, note.follows))
    if note.reviewed:
        trailers["Reviewed-In"] = note.reviewed
    return text_of(f"{tag.name} {tag.version}", note.description.strip(), trailers)


def text_of(title: str, description: str, trailers: Mapping[str, str]) -> str:
    """A message: a title, a description if there is one, and a last paragraph for programs."""
    last = "\n".join(f"{key}: {value}" for key, value in trailers.items())
    return "\n\n".join(filter(None, (title, description, last))) + "\n"


def read_note(body: str) -> VersionNote:
    """What `message` told, from a tag's message without its title.

    Raises ValueError naming what is missing: it is a tag of another tool, or not of a model.
    """
    text = body.strip().rpartition("\n\n")[0]
    found = trailers(body)
    try:
        return VersionNote(
            run_id=found["Run-Id"],
            path=str(load_json(f'"{found["Model-Path"]}"'.encode(), "Model-Path")),
            digest=found["Digest"],
            change=found.get("Signature-Change", ""),
            by=found.get("Registered-By", ""),
            description=text,
            tags=_tags(found.get("Tags", "{}")),
            follows=parse_links(found.get("Follows", "")),
            reviewed=found.get("Reviewed-In", ""),
        )
    except KeyError as error:
        raise ValueError(f"its message has no line {error.args[0]}") from None
    except FormatError:
        raise ValueError("its message has a damaged line Model-Path or Tags") from None


def trailers(body: str) -> dict[str, str]:
    """The lines `Key: value` in the last paragraph of a tag's message."""
    lines = body.strip().rpartition("\n\n")[2].split("\n")
    return {found[1]: found[2] for line in lines if (found := _TRAILER.fullmatch(line))}


def _tags(text: str) -> dict[str, str]:
    tags = load_json(text.encode(), "Tags")
    if not isinstance(tags, dict) or not all(isinstance(it, str) for it in tags.values()):
        raise ValueError("its Tags are no mapping of texts")
    return tags


def one_line(text: str) -> str:
    """A text on one line of plain characters."""
    return "".join(char if char.isprintable() else " " for char in text)
