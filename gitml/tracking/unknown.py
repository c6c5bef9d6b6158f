"""Fields of a file that this gitml does not know: kept as they are, wherever they stand. Pure.

A later version may have added them, or a person. `find` takes them out of a document, as a
document of their own that holds nothing else, and `put_back` lays that over what is written.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

Fields = Mapping[str, Any]


class Part(NamedTuple):
    """What is known of the objects in one field of a document: the names of their fields.

    The field is one object (`many` false), or a mapping of objects, or a list of objects, which
    `key` tells apart. Of several, an object that is gone takes its unknown fields along.
    """

    names: frozenset[str]
    many: bool = True
    key: Callable[[Fields], str] | None = None

    def items(self, value: Any) -> list[tuple[str, dict[str, Any]]]:
        """The objects in the field, each with its key."""
        if self.key is not None:
            return [(self.key(item), item) for item in value]
        return list(value.items()) if self.many else [("", value)]


def find(document: Fields, names: frozenset[str], parts: Mapping[str, Part]) -> dict[str, Any]:
    """The fields that are not among `names`, and the like in those that `parts` describe."""
    found = {name: value for name, value in document.items() if name not in names}
    for name, part in parts.items():
        inside = {}
        for key, item in part.items(document[name]) if name in document else ():
            if not part.names.issuperset(item):
                inside[key] = {field: item[field] for field in item.keys() - part.names}
        if inside:
            found[name] = inside if part.many else inside[""]
    return found


def put_back(document: dict[str, Any], unknown: Fields, parts: Mapping[str, Part]) -> None:
    """Add to a document the fields that `find` found in what it was made from."""
    for name, value in unknown.items():
        part = parts.get(name)
        if part is None:
            document[name] = value
            continue
        known = document.get(name, {}) if part.many else document.setdefault(name, {})
        extra = value if part.many else {"": value}
        for key, item in part.items(known):
            item.update(extra.get(key, {}))


def united(one: Fields, other: Fields, key: Callable[[Any], str]) -> dict[str, Any]:
    """The fields of both sides, object by object; of two values the one whose `key` is greater."""
    both = {name: _greater(one[name], other[name], key) for name in one.keys() & other.keys()}
    return {**one, **other, **both}


def _greater(one: Any, other: Any, key: Callable[[Any], str]) -> Any:
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        return united(one, other, key)
    # an object over anything else: else it would matter who merges with whom first
    return max(one, other, key=lambda value: (isinstance(value, Mapping), key(value)))
