"""Keys of `ci` in gitml.yaml of which the pipelines of a forge make nothing. Pure.

Where nobody would miss what a key asks for it is told of, else it is refused.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from gitml import config
from gitml.ci.settings import Settings
from gitml.documents import position
from gitml.errors import UsageError


@dataclass(frozen=True, slots=True)
class Unused:
    """A key, by its path below `ci`, and why nothing comes of it, with what to do instead.

    `is_missed` says that something would be lacking which the project relies on.
    """

    path: tuple[str, ...]
    why: str
    is_missed: bool = False


def told(settings: Settings, unused: Iterable[Unused], data: bytes) -> list[str]:
    """A line for each key that is set and does nothing; `data` is the file with the settings.

    Raises UsageError for one that would be missed.
    """
    found = [it for it in unused if _is_set(settings, it.path)]
    for it in sorted(found, key=lambda one: not one.is_missed):
        if it.is_missed:
            raise UsageError(_line(it, data))
    return [_line(it, data) for it in found]


def _is_set(settings: Settings, path: tuple[str, ...]) -> bool:
    found: object = settings.told
    for key in path:
        found = found.get(key) if hasattr(found, "get") else None
    return bool(found)


def _line(it: Unused, data: bytes) -> str:
    line, _ = position(data, ["ci", *it.path])
    return f"{config.FILE_NAME}: line {line}: {'/'.join(('ci', *it.path))}: {it.why}"
