"""The lines of a requirements file: what each one is, in one normal form. Pure.

Of pip's format everything is read that a model or a project may need. A line that would do more
than name a package of the user's index says so in `Line.risk`; whether that is allowed is for
the caller to decide.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from gitml.errors import shown

Kind = Literal["package", "direct", "include", "constrain", "option"]

_COMMENT = re.compile(r"(?:^|\s)#.*$")  # one space: of many, each would be a place to begin
_OPTION = re.compile(r"(?:(--[a-z][a-z-]*)(?:=|\s+|$)|(-[a-zA-Z])\s*)(.*)")
_HASH = re.compile(r"\s--hash(?:=|\s+)(?P<hash>[a-z0-9]+:[0-9a-fA-F]+)(?=\s|$)")
_NAMED = re.compile(r"[\w.\[\], -]+@")
_PLACE = re.compile(  # a URL, a path, or the file of a package
    r"[a-z][a-z0-9+.-]*:|[./\\~]|[^;\[]*[/\\]|[^;]*\.(?:whl|zip|tar\.\w+)$", re.IGNORECASE
)
_USER = re.compile(r"//[^/@\s]*@")
_VARIABLE = re.compile(r"\$\{\w+\}")
_LONGEST = 50_000  # characters of a line, which may have a hash for each file of a package

_SHORT = {"-r": "--requirement", "-c": "--constraint", "-e": "--editable",
          "-i": "--index-url", "-f": "--find-links"}  # fmt: skip
_FLAGS = ("--no-index", "--pre", "--prefer-binary", "--require-hashes")
_CHOICES = ("--no-binary", "--only-binary")
_INDEXES = ("--index-url", "--extra-index-url", "--find-links", "--trusted-host")
_KNOWN = ("--requirement", "--constraint", "--editable", *_FLAGS, *_CHOICES, *_INDEXES)


@dataclass(frozen=True, slots=True)
class Line:
    """One line in its normal form; `value` is the file's name, for `include` and `constrain`.

    `risk` says what the line would do beyond naming a package, in words that follow "it".
    """

    kind: Kind
    value: str
    risk: str = ""


def lines(text: str) -> Iterator[tuple[int, str]]:
    """The lines that say something, with their numbers; continued ones are one, comments gone."""
    held, began = "", 0
    for number, raw in enumerate([*text.splitlines(), ""], 1):
        began = began or number
        comment = raw.lstrip().startswith("#")
        if raw.endswith("\\") and not comment:
            held += raw[:-1]
            continue
        if line := _COMMENT.sub("", held + ("" if comment else raw)).strip():
            yield began, line
        held, began = "", 0


def parse(line: str) -> Line:
    """What one line is. Raises ValueError, whose text says what is wrong with the line."""
    if len(line) > _LONGEST:
        raise ValueError(f"{shown(line[:_LONGEST])} is too long; no requirement is")
    found = _option(line) if line.startswith("-") else _requirement(line)
    if not found.risk and _VARIABLE.search(line):
        return replace(found, risk="takes a variable from the environment")
    return found


def _option(line: str) -> Line:
    match = _OPTION.fullmatch(line)
    name = (match[1] or _SHORT.get(match[2], "")) if match else ""
    if match is None or name not in _KNOWN:
        raise ValueError(f"{shown(line)} is no option that can be taken; take it out")
    value = match[3].strip("\"' ")
    if bool(value) == (name in _FLAGS) or re.search(r"(?:^|\s)-", value):
        raise ValueError(f"{shown(line)} is not one option with its value; write one a line")
    if name in ("--requirement", "--constraint"):
        return Line("include" if name == "--requirement" else "constrain", value)
    if name == "--editable":
        return Line("direct", f"{name} {value}", _from(value))
    risk = f"takes packages from {shown(without_user(value))}" if name in _INDEXES else ""
    return Line("option", f"{name} {value}".rstrip(), risk)


def _from(place: str) -> str:
    return f"installs from {shown(without_user(place))}"


def _requirement(line: str) -> Line:
    hashes = sorted({found["hash"].lower() for found in _HASH.finditer(line)})
    text = _HASH.sub("", line).rstrip()
    tail = "".join(f" --hash={value}" for value in hashes)
    if re.search(r"\s--", text):
        raise ValueError(f"{shown(line)} has an option that can't be taken; take it out")
    if _PLACE.match(text) and not _NAMED.match(text):
        return Line("direct", text + tail, _from(text))
    try:
        wanted = Requirement(text)
    except InvalidRequirement:
        raise ValueError(f"{shown(line)} is no requirement; write NAME==VERSION") from None
    if wanted.url:
        return Line("direct", normal(wanted) + tail, _from(wanted.url))
    return Line("package", normal(wanted) + tail)


def normal(wanted: Requirement) -> str:
    """A requirement in its one form: `name[a,b]>=1,<2; marker`."""
    extras = f"[{','.join(sorted(map(canonicalize_name, wanted.extras)))}]" if wanted.extras else ""
    place = f" @ {wanted.url}" if wanted.url else ""
    marker = f"{' ' if wanted.url else ''}; {wanted.marker}" if wanted.marker else ""
    return f"{canonicalize_name(wanted.name)}{extras}{wanted.specifier}{place}{marker}"


def without_user(line: str) -> str:
    """A line without the user name and password of its URL."""
    return _USER.sub("//", line)


def without_hashes(line: str) -> str:
    """A line in its normal form, without its hashes."""
    return line.partition(" --hash=")[0]


def package(line: str) -> Requirement | None:
    """The requirement that a line in its normal form is; None for a bare URL or path."""
    try:
        return Requirement(without_hashes(line))
    except InvalidRequirement:
        return None
