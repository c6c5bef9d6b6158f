"""The versions in a model's file: one line each, placed so that git merges two promotions. Pure.

Each stage has a comment of its own below `versions:`, and a version that a promotion adds comes
right behind that of its stage. So promotions to two stages change lines that are apart. When both
add the same version its line stands twice after the merge, and counts once.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from gitml.documents import Edit, edit_yaml
from gitml.registry.version import PATTERN, Version

_BLOCK = re.compile(rb"^versions:[ \t]*(?:\{\}[ \t]*)?(?:#.*)?\n(?:(?:[ \t].*)?\n)*", re.MULTILINE)
_LINE = re.compile(rb"^  " + PATTERN.encode() + rb": \{.*\}[ \t]*\n", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class VersionEntry:
    """What a promoted version is: its run, run commit, path and digest, and some metrics."""

    run: str
    commit: str
    path: str
    digest: str
    metrics: Mapping[str, float | str]


def entry_of(document: Mapping[str, Any]) -> VersionEntry:
    """The entry that a valid file holds."""
    plain = {key: str(document[key]) for key in ("run", "commit", "path", "digest")}
    return VersionEntry(**plain, metrics=dict(document.get("metrics") or {}))


def new_file(stages: Sequence[str]) -> bytes:
    """A model's file in which no version holds a stage, with a place for each of them."""
    return b"schema: 1\n" + _places(stages)


def with_places(data: bytes, stages: Sequence[str]) -> bytes:
    """A model's file with a place for each stage; as it is when it speaks of stages or versions."""
    is_plain = re.search(rb"^schema:", data, re.MULTILINE) is not None
    if not is_plain or re.search(rb"^(?:stages|versions)\b", data, re.MULTILINE):
        return data
    return (data if data.endswith(b"\n") else data + b"\n") + b"\n" + _places(stages)


def _places(stages: Sequence[str]) -> bytes:
    held = "\n\n".join(f"  {stage}:" for stage in stages)
    places = "\n\n".join(f"  # {stage}" for stage in stages)
    return f"stages:\n{held}\n\nversions:\n{places}\n".encode()


def with_entry(data: bytes, stage: str, version: Version, entry: VersionEntry) -> bytes:
    """A model's file that has the version's line; as it is when it has one already."""
    data = once(data)
    line = _line(version, entry)
    if re.search(rb"^  " + re.escape(str(version)).encode() + rb":", data, re.MULTILINE):
        return data
    block = _BLOCK.search(data)
    if block is None:
        ended = data if data.endswith(b"\n") else data + b"\n"
        return ended + b"\nversions:\n" + _place(stage) + line
    text = re.sub(rb"^versions:[ \t]*\{\}", b"versions:", block[0])
    if place := re.search(rb"^  # " + re.escape(stage).encode() + rb"[ \t]*\n", text, re.M):
        text = text[: place.end()] + line + text[place.end() :]
    else:
        text = text.rstrip(b"\n") + b"\n\n" + _place(stage) + line + _blank_end(text)
    return data[: block.start()] + text + data[block.end() :]


def once(data: bytes) -> bytes:
    """The file without lines of versions that stand twice, word for word."""
    seen: set[bytes] = set()

    def first(line: re.Match[bytes]) -> bytes:
        known = line[0] in seen
        seen.add(line[0])
        return b"" if known else line[0]

    return _LINE.sub(first, data)


def _place(stage: str) -> bytes:
    return f"  # {stage}\n".encode()


def _blank_end(text: bytes) -> bytes:
    return b"\n" if text.endswith(b"\n\n") else b""


def _line(version: Version, entry: VersionEntry) -> bytes:
    """The line of a version: a mapping on one line, as JSON is written but for its keys' quotes."""
    document = {
        "run": entry.run, "commit": entry.commit, "path": entry.path, "digest": entry.digest,
        "metrics": dict(entry.metrics),
    }  # fmt: skip
    made = edit_yaml(b"", [Edit((str(version),), document)], "the entry")
    return b"  " + made
