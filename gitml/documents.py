"""JSON and YAML in and out: strict readers, steady writers, schemas, atomic files.

What a reader returns is plain data: dictionaries with text keys, lists, text, numbers, booleans
and None. A file that is not what it should be is a `FormatError` of one line that names the file
and the place in it.
"""

from __future__ import annotations

import functools
import json
import math
import os
import re
import secrets
from collections.abc import Iterable, Mapping
from json.encoder import encode_basestring
from pathlib import Path
from typing import Any, NoReturn

from gitml.aliases import is_small
from gitml.errors import FormatError, StorageError, shown
from gitml.resources import resource

MAX_YAML_BYTES = 1_000_000
MAX_YAML_NODES = 10_000
MAX_YAML_DEPTH = 50

_CONFLICT = re.compile(r"^(?:<{7}|>{7})(?: .*)?\r?$", re.MULTILINE)

# -- JSON ----------------------------------------------------------------------------------

_COMPACT = json.JSONEncoder(
    ensure_ascii=False, allow_nan=False, sort_keys=True, separators=(", ", ": ")
)
_TO_ZEROS = bytes.maketrans(b"123456789", b"000000000")
_LONG_NUMBER = b"0" * 19  # from here on a number may not fit into 64 bits


def dump_json(value: Any) -> bytes:
    """`value` as UTF-8 JSON that reads well in a diff: keys sorted, a newline at the end.

    The two outer levels take a line for each item, anything deeper stays on its item's line.
    NaN and the infinities raise `ValueError`: JSON has no such numbers.
    """
    # Half a surrogate pair (a file name that is not UTF-8) becomes a JSON escape: read back equal.
    return (_block(value, "", 2) + "\n").encode("utf-8", "backslashreplace")


def _block(value: Any, indent: str, levels: int) -> str:
    if not levels or not value or not isinstance(value, (dict, list, tuple)):
        return _COMPACT.encode(value)
    inner = indent + "  "
    if isinstance(value, dict):
        lines = [
            f"{inner}{encode_basestring(key)}: {_block(value[key], inner, levels - 1)}"
            for key in sorted(value)
        ]
        return "{\n" + ",\n".join(lines) + f"\n{indent}}}"
    lines = [inner + _block(item, inner, levels - 1) for item in value]
    return "[\n" + ",\n".join(lines) + f"\n{indent}]"


def load_json(data: bytes, where: str) -> Any:
    """The value of the JSON document `data`; `where` names it in errors.

    Whole numbers of any length are exact. NaN and the infinities are refused.
    """
    import orjson

    if _LONG_NUMBER not in data.translate(_TO_ZEROS):  # orjson would make them floats
        try:
            return orjson.loads(data)
        except orjson.JSONDecodeError:
            pass  # the standard library takes lone surrogates, and tells errors better
    text = _decoded(data, where)
    try:
        return json.loads(text, parse_constant=_not_a_number, parse_float=_finite)
    except json.JSONDecodeError as error:
        _refuse_conflict(text, where)
        what = f"{error.msg[:1].lower()}{error.msg[1:]}" if text.strip() else "the file is empty"
        raise FormatError(f"{where}: line {error.lineno}: {what}") from None
    except RecursionError:
        raise FormatError(f"{where} is nested too deeply") from None
    except ValueError as error:
        raise FormatError(f"{where}: {error}") from None


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"the number {shown(text)} is out of range")
    return number


def _not_a_number(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON; write it as text")


def _decoded(data: bytes, where: str) -> str:
    if data.startswith((b"\xff\xfe", b"\xfe\xff")) or b"\0" in data[:4]:
        raise FormatError(f"{where} looks like UTF-16; save it as UTF-8")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise FormatError(f"{where}: line {line}: not UTF-8; save the file as UTF-8") from None


def _refuse_conflict(text: str, where: str) -> None:
    if found := _CONFLICT.search(text):
        line = text.count("\n", 0, found.start()) + 1
        raise FormatError(f"{where}: line {line}: unresolved merge; edit the file, then git add it")


# -- YAML ----------------------------------------------------------------------------------

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
    text = _decoded(data, where)
    _refuse_conflict(text, where)
    try:
        _check_size(yaml.parse(text, Loader=_yaml_loader()), where, aliases)
        loader = _yaml_loader()(text)
        node = loader.get_single_node()
        if node is None:
            return None
        if not is_small(node, MAX_YAML_NODES, MAX_YAML_DEPTH):
            _refuse(node, where, "aliases that come to so many values when they are written out")
        _check_node(node, where)
        return loader.construct_document(node)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = f"line {mark.line + 1}: " if mark else ""
        raise FormatError(f"{where}: {place}{_yaml_problem(error)}") from None
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


def _check_node(node: Any, where: str) -> None:
    """Refuse what only some readers understand; make every key text."""
    import yaml

    if isinstance(node, yaml.ScalarNode):
        if node.tag not in _PLAIN_TAGS:
            _refuse(node, where, f"the tag {shown(_short(node.tag))}; write plain values")
        if node.tag == _YAML + "float":
            _finite(node.value)
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
    _COMPACT.encode(value)  # what JSON can't hold, our YAML doesn't either
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


# -- schemas -------------------------------------------------------------------------------

_KINDS = {
    "object": "a mapping",
    "array": "a list",
    "string": "text",
    "integer": "a whole number",
    "number": "a number",
    "boolean": "true or false",
    "null": "nothing",
}


def validate(document: Any, schema_name: str, where: str) -> None:
    """Refuse a document that does not fit `schemas/<schema_name>.schema.json`."""
    for problem in problems(document, schema_name):
        raise FormatError(f"{where}: {problem}")


def problems(document: Any, schema_name: str) -> list[str]:
    """What is wrong with `document`: its schema is newer, or else each fault in order."""
    validator = _validator(schema_name)
    known = validator.schema["properties"].get("schema", {}).get("const")
    number = document.get("schema") if isinstance(document, dict) else None
    if known is not None and type(number) is int and number > known:
        return [f"has schema {number}, this gitml reads {known}; upgrade gitml"]
    faults = validator.iter_errors(document)
    return list(dict.fromkeys(_explained(fault) for fault in faults))


@functools.cache
def _validator(schema_name: str) -> Any:
    from jsonschema import Draft202012Validator

    path = resource("schemas", f"{schema_name}.schema.json")
    return Draft202012Validator(load_json(path.read_bytes(), path.name))


def _explained(fault: Any) -> str:
    from jsonschema.exceptions import best_match

    if not fault.schema.get("title"):
        fault = best_match([fault])  # of several alternatives, the one that nearly fits
    place = "/".join(str(part) for part in fault.absolute_path)
    return f"{shown(place)[1:-1]}: {_fault(fault)}" if place else _fault(fault)


def _fault(fault: Any) -> str:
    kind, wanted, value = fault.validator, fault.validator_value, fault.instance
    if kind == "additionalProperties":
        known = list(fault.schema.get("properties", {}))
        return _unknown_keys(value, known, fault.schema.get("patternProperties", {}))
    if kind == "required":
        return f"{shown(next(key for key in wanted if key not in value))} is missing"
    if kind == "type":
        names = [wanted] if isinstance(wanted, str) else wanted
        return f"must be {' or '.join(_KINDS[name] for name in names)}, not {shown_kind(value)}"
    if kind == "enum":
        names = [str(name) for name in wanted]
        return (
            f"must be one of {', '.join(names)}, not {shown_kind(value)}{near_miss(value, names)}"
        )
    if title := fault.schema.get("title"):
        return f"{shown_kind(value)} is not {title}"
    return shown(fault.message)[1:-1]


def _unknown_keys(value: Mapping[str, Any], known: list[str], patterns: Iterable[str]) -> str:
    for key in value:
        if key not in known and not any(re.search(pattern, key) for pattern in patterns):
            return unknown_key(key, known)
    raise AssertionError("every key is known")


def unknown_key(key: str, known: Iterable[str]) -> str:
    """The text that refuses the key of a file: what it may have meant, or what there is."""
    names = sorted(known)
    return f"unknown key {shown(key)}" + (near_miss(key, names) or f"; known: {', '.join(names)}")


def near_miss(word: object, known: Iterable[str]) -> str:
    """`; did you mean 'X'?` for a misspelt word, nothing when no known word is like it."""
    from difflib import get_close_matches

    close = get_close_matches(str(word), list(known), n=1)
    return f"; did you mean {shown(close[0])}?" if close else ""


def shown_kind(value: object) -> str:
    """A value of a document as a message names it: text and numbers as such, else its kind."""
    if isinstance(value, (dict, list)):
        return _KINDS["object" if isinstance(value, dict) else "array"]
    return shown(value) if isinstance(value, str) else json.dumps(value, default=str)[:80]


# -- files ---------------------------------------------------------------------------------


def write_atomic(path: str | os.PathLike[str], data: bytes, mode: int | None = None) -> None:
    """Replace the file `path` by `data`, which is on the disk when this returns.

    A reader sees the old file or the new one. `mode` are the permission bits; without it the file
    keeps those it had. Raises `StorageError`.
    """
    target = Path(path)
    draft = target.with_name(f".{target.name[:100]}.{secrets.token_hex(4)}.tmp")
    try:
        if mode is None and target.exists():
            mode = target.stat().st_mode & 0o7777
        _write_draft(draft, data, mode)
        draft.replace(target)
    except OSError as error:
        _discard(draft)
        raise StorageError(f"can't write {shown(str(target))}: {error.strerror}") from error
    except BaseException:
        _discard(draft)
        raise


def _discard(draft: Path) -> None:
    try:
        draft.unlink(missing_ok=True)
    except OSError:
        pass  # what stopped the writing says more


def _write_draft(draft: Path, data: bytes, mode: int | None) -> None:
    with draft.open("xb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    if mode is not None:
        draft.chmod(mode)
