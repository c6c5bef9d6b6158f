"""Editing a YAML file that people edit, too: comments, order and style of what is left stay."""

from __future__ import annotations

import io
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from gitml.documents.yaml import dump_yaml, load_yaml
from gitml.errors import FormatError

# A list that stands further in than its key; the other style has them in one column.
_INDENTED = re.compile(rb"^[^\s#-][^\n]*:[ \t]*\r?\n(?:[ \t]*#[^\n]*\n)*  - ", re.MULTILINE)
GONE = object()  # the value of an edit that takes a key out


class Edit(NamedTuple):
    """A value to set at a path of keys; `GONE` takes the last of them out.

    A number in the path is the place of an item in a list that is there.

    `apart` puts a blank line before a key that is new, so that git can merge it with another's.
    """

    path: tuple[str | int, ...]
    value: Any
    apart: bool = False


def edit_yaml(data: bytes, edits: Iterable[Edit], where: str, order: Sequence[str] = ()) -> bytes:
    """The document `data`, which `load_yaml` must take, with edits; a mapping at its top.

    `order` is where a key that is new at the top belongs among the others; behind those that it
    does not name. A list keeps the items that stay. Raises FormatError for what can't be edited.
    """
    wanted = load_yaml(data, where) or {}
    tool = _tool(data)
    document = tool.load(data.decode("utf-8-sig")) or _new_mapping()
    for edit in edits:
        _apply(document, edit, order)
        _apply_plain(wanted, edit)
    out = io.StringIO()
    tool.dump(document, out)
    made = out.getvalue().encode()
    if load_yaml(made, where) != wanted:
        raise FormatError(f"{where} can't be edited without harm; edit it by hand")
    return made


def _tool(data: bytes) -> Any:
    from ruamel.yaml import YAML

    tool = YAML(typ="rt")
    tool.preserve_quotes = True
    tool.width = 1_000_000
    tool.allow_unicode = True
    if _INDENTED.search(data):
        tool.indent(mapping=2, sequence=4, offset=2)
    return tool


def _new_mapping() -> Any:
    from ruamel.yaml.comments import CommentedMap

    return CommentedMap()


def _apply(mapping: Any, edit: Edit, order: Sequence[str]) -> None:
    *above, key = edit.path
    for name in above:
        if not isinstance(name, int) and not mapping.get(name):
            if edit.value is GONE:
                return
            _insert(mapping, name, _new_mapping(), order)
        mapping, order = mapping[name], ()
    if edit.value is GONE:
        mapping.pop(key, None)
    elif isinstance(edit.value, list) and isinstance(mapping.get(key), list):
        _keep_items(mapping[key], edit.value)
    else:
        is_new = key not in mapping and bool(mapping)
        _insert(mapping, key, _styled(edit.value), order)
        if edit.apart and is_new and not mapping.fa.flow_style():
            mapping.yaml_set_comment_before_after_key(key, before="\n")


def _insert(mapping: Any, key: str | int, value: Any, order: Sequence[str]) -> None:
    if key in mapping or key not in order:
        mapping[key] = value
        return
    before = set(order[: order.index(key)])
    known = list(mapping)
    place = max((at + 1 for at, name in enumerate(known) if name in before), default=0)
    mapping.insert(place, key, value)


def _styled(value: Any) -> Any:
    """A value as it is written: nested ones on one line, as in the rest of such files."""
    from ruamel.yaml.comments import CommentedMap, CommentedSeq

    if isinstance(value, Mapping):
        made: Any = CommentedMap({key: _styled(item) for key, item in value.items()})
    elif isinstance(value, list):
        made = CommentedSeq(_styled(item) for item in value)
    else:
        return _plain_text(value)
    made.fa.set_flow_style()
    return made


def _plain_text(value: Any) -> Any:
    """A text in quotes where another reader of YAML would take it for something else."""
    from ruamel.yaml.scalarstring import DoubleQuotedScalarString

    if isinstance(value, str) and dump_yaml([value])[2:-1] != value.encode():
        return DoubleQuotedScalarString(value)
    return value


def _keep_items(items: Any, wanted: list[Any]) -> None:
    for at in reversed(range(len(items))):
        if items[at] not in wanted:
            del items[at]
    items.extend(item for item in wanted if item not in items)


def _apply_plain(document: Any, edit: Edit) -> None:
    *above, key = edit.path
    for name in above:
        if not isinstance(name, int):
            if edit.value is GONE and not document.get(name):
                return
            document[name] = document.get(name) or {}
        document = document[name]
    if edit.value is GONE:
        document.pop(key, None)
    elif isinstance(edit.value, list) and isinstance(document.get(key), list):
        kept = [item for item in document[key] if item in edit.value]
        document[key] = kept + [item for item in edit.value if item not in kept]
    else:
        document[key] = edit.value
