"""YAML: a strict reader that every other one agrees with, and a writer of block style."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable
from typing import Any, NoReturn

from gitml.documents.json import check_plain, finite
from gitml.documents.text import decoded, refuse_conflict
from gitml.errors import FormatError, shown

MAX_YAML_BYTES = 1_000_000
MAX_YAML_NODES = 10_000
MAX_YAML_DEPTH = 50

_YAML = "tag:yaml.org,2002:"
_PLAIN_TAGS = frozenset(_YAML + name for name in ("str", "int", "float", "bool", "null"))
_RESOLVED = (
    ("bool", r"true|True|TRUE|false|False|FALSE", "tTfF"),
    ("null", r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    ("int", r"[-+]?(?:0|[1-9][0-9]*)|0x[0-9a-fA-F]+", "-+0123456789"),
    ("float", r"[-+]?(?:[0-9]+\.[0-9]*|\.[0-9]+)(?:[eE][-+][0-9]+)?", "-+0123456789."),
)


def load_yaml(data: bytes, where: str, *, aliases: bool = False) -> Any:
    """The value of the YAML document `data`; an empty one is None. `where` names it in errors.

    Only true, false, null, whole numbers and decimals are anything but text: `no`, `on`, dates,
    `010` and `1:30` stay what was written. Keys are text. Aliases, merge keys, tags, a key that
    stands twice and anything over 1 MB, 10,000 values or 50 levels are refused. With `aliases`
    those are taken, and the limits hold for what they come to when they are written out.
    """
    import yaml

    if len(data) > MAX_YAML_BYTES:
        raise FormatError(f"{where} is {len(data)} bytes long; a YAML file may have 1 MB")
    text = decoded(data, where)
    refuse_conflict(text, where)
    try:
        if not _has_few_signs(text):
            _check_size(yaml.parse(text, Loader=_yaml_loader()), where, aliases)
        loader = _yaml_loader()(text)
        node = loader.get_single_node()
        if node is None:
            return None
        if not _is_small(node):
            _check_size(yaml.parse(text, Loader=_yaml_loader()), where, aliases)
            _refuse(node, where, "aliases that come to so many values when they are written out")
        _check_node(node, where)
        return loader.construct_document(node)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = f"line {mark.line + 1}: " if mark else ""
        raise FormatError(f"{where}: {place}{_yaml_problem(error)}") from None
    except RecursionError:  # of the reader that is not in C
        raise FormatError(f"{where}: can't take more than {MAX_YAML_DEPTH} levels") from None
    except (yaml.YAMLError, ValueError) as error:
        raise FormatError(f"{where}: {' '.join(str(error).split())}") from None


def _yaml_problem(error: Any) -> str:
    if error.problem == "but found another document":
        return "a second document begins; one file holds one"
    return str(error.problem or error.context)


@functools.cache
def _yaml_loader() -> Any:
    """The safe loader, in C where there is one, that takes plain words for text."""
    import yaml

    base: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    loader: Any = type("Loader", (base,), {"yaml_implicit_resolvers": {}})
    for name, pattern, first in _RESOLVED:
        loader.add_implicit_resolver(_YAML + name, re.compile(rf"^(?:{pattern})$"), list(first))
    return loader


def _has_few_signs(text: str) -> bool:
    """Whether a text can't hold too many values, which saves reading it once more.

    But for the first each value needs a sign of its own, or shares one with its key; a deep one
    needs brackets, or lines. Anything with the sign of an alias is looked at.
    """
    if "*" in text or text.count("[") + text.count("{") > _FEW or text.count("- - ") > _FEW:
        return False
    return 3 * sum(map(text.count, ":,-?[{")) < MAX_YAML_NODES


_FEW = 200


def _check_size(events: Iterable[Any], where: str, aliases: bool) -> None:
    import yaml

    nodes = depth = 0
    for event in events:
        if isinstance(event, yaml.AliasEvent) and not aliases:
            _refuse(event, where, f"the alias *{event.anchor}; write the value out")
        nodes += isinstance(event, yaml.NodeEvent)
        depth += isinstance(event, yaml.CollectionStartEvent)
        depth -= isinstance(event, yaml.CollectionEndEvent)
        if nodes > MAX_YAML_NODES:
            _refuse(event, where, f"more than {MAX_YAML_NODES} values")
        if depth > MAX_YAML_DEPTH:
            _refuse(event, where, f"more than {MAX_YAML_DEPTH} levels")


def _is_small(node: Any) -> bool:
    """Whether a composed document has few enough values and levels with its aliases written out.

    Depth first, so that it takes no more time and memory than a document at the limits.
    """
    waiting, seen = [(node, 1)], 0
    while waiting:
        node, level = waiting.pop()
        seen += 1
        is_value = not isinstance(node.value, list)  # of the level that it is in
        if seen > MAX_YAML_NODES or level > MAX_YAML_DEPTH + is_value:
            return False
        for child in () if is_value else node.value:
            parts = child if isinstance(child, tuple) else (child,)  # a key and its value
            waiting += [(part, level + 1) for part in parts]
    return True


def _check_node(node: Any, where: str) -> None:
    """Refuse what only some readers understand; make every key text."""
    import yaml

    if isinstance(node, yaml.ScalarNode):
        if node.tag not in _PLAIN_TAGS:
            _refuse(node, where, f"the tag {shown(_short(node.tag))}; write plain values")
        if node.tag == _YAML + "float":
            finite(node.value)
        elif node.tag == _YAML + "int":
            str(int(node.value, 0))  # ValueError where it is too long to be told, as JSON's
    elif node.tag not in (_YAML + "seq", _YAML + "map"):
        _refuse(node, where, f"the tag {shown(_short(node.tag))}; write plain values")
    elif isinstance(node, yaml.SequenceNode):
        for item in node.value:
            _check_node(item, where)
    else:
        _check_mapping(node, where)


def _check_mapping(node: Any, where: str) -> None:
    import yaml

    seen: set[str] = set()
    for key, value in node.value:
        if not isinstance(key, yaml.ScalarNode):
            _refuse(key, where, "a list or mapping as a key")
        if key.value == "<<" and not key.style:
            _refuse(key, where, "the merge key <<; write the keys out")
        if key.value in seen:
            _refuse(key, where, f"the key {shown(key.value)} a second time")
        seen.add(key.value)
        _check_node(key, where)
        key.tag = _YAML + "str"
        _check_node(value, where)


def _refuse(place: Any, where: str, what: str) -> NoReturn:
    raise FormatError(f"{where}: line {place.start_mark.line + 1}: can't take {what}")


def _short(tag: str) -> str:
    return "!!" + tag[len(_YAML) :] if tag.startswith(_YAML) else tag


def dump_yaml(value: Any) -> bytes:
    """`value` as UTF-8 YAML in block style, keys in the order given; every reader agrees on it.

    NaN and the infinities raise `ValueError`.
    """
    check_plain(value)  # what JSON can't hold, our YAML doesn't either
    return dump_yaml_of_users(value)


def dump_yaml_of_users(value: Any) -> bytes:
    """Data that a user logs as YAML; NaN is YAML's own. A type unknown to it raises ValueError."""
    import yaml

    options: dict[str, Any] = {"sort_keys": False, "allow_unicode": True, "width": 100}
    try:
        text = yaml.dump(value, Dumper=_yaml_dumper(), **options)
    except yaml.YAMLError as error:
        raise ValueError(str(error)) from None
    return str(text).encode("utf-8", "backslashreplace")


@functools.cache
def _yaml_dumper() -> Any:
    import yaml

    base: Any = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
    return type("Dumper", (base,), {"ignore_aliases": lambda self, data: True})


def position(data: bytes, path: Iterable[str | int]) -> tuple[int, int]:
    """Line and column, from 1, of the value at `path` in a document that `load_yaml` takes.

    For the key of a mapping it is the key's place. A path that leads nowhere ends where it leaves.
    """
    import yaml

    node = yaml.compose(decoded(data, "the file"), Loader=_yaml_loader())
    place = node
    for part in path:
        if isinstance(node, yaml.MappingNode):
            found = [pair for pair in node.value if pair[0].value == part]
        elif isinstance(node, yaml.SequenceNode) and isinstance(part, int):
            found = [(item, item) for item in node.value[part : part + 1]]
        else:
            break
        if not found:
            break
        place, node = found[0]
    return (place.start_mark.line + 1, place.start_mark.column + 1) if place else (1, 1)
