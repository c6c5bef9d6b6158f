"""The number of a model's version, `v1.2.3`: what a change of the model means to its clients."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from gitml.errors import UsageError, shown

if TYPE_CHECKING:
    from gitml.models.compatibility import Level

Part = Literal["major", "minor", "patch"]

PATTERN = r"v?(0|[1-9]\d{0,8})\.(0|[1-9]\d{0,8})\.(0|[1-9]\d{0,8})"
_VERSION = re.compile(PATTERN, re.ASCII)
# What a client of the former version notices, and the part that tells so.
PARTS: dict[Level, Part] = {"same": "patch", "compatible": "minor", "incompatible": "major"}


@dataclass(frozen=True, slots=True, order=True)
class Version:
    """A version; its text is `v1.2.3`, and they are ordered by their numbers."""

    major: int
    minor: int
    patch: int

    def __str__(self) -> str:
        return f"v{self.major}.{self.minor}.{self.patch}"

    def bumped(self, part: Part) -> Version:
        """The next version in which `part` is higher, and what is below it begins at 0."""
        if part == "major":
            return Version(self.major + 1, 0, 0)
        if part == "minor":
            return Version(self.major, self.minor + 1, 0)
        return Version(self.major, self.minor, self.patch + 1)


FIRST = Version(1, 0, 0)


def find_version(text: str) -> Version | None:
    """The version that a text such as `v1.2.3` or `1.2.3` is; None when it is none."""
    found = _VERSION.fullmatch(text)
    return Version(*map(int, found.groups())) if found else None


def parse_version(text: str) -> Version:
    """The same; UsageError when it is none."""
    found = find_version(text)
    if found is None:
        raise UsageError(f"{shown(text)} is no version; write one such as v1.2.0")
    return found
