"""The keys of filters and orders: entities and attributes with their other names, quoting."""

from __future__ import annotations

import re
from typing import NoReturn

from gitml.errors import shown
from gitml.tracking.names import normal
from gitml.tracking.search.expressions import (
    ATTRIBUTE,
    DATASET,
    METRIC,
    NUMBER_ATTRIBUTES,
    PARAM,
    SUMMARIES,
    TAG,
    TEXT_ATTRIBUTES,
    Key,
)
from gitml.tracking.search.literals import number_of
from gitml.tracking.search.tokens import Reader, Token

_KEY = "a key such as metrics.loss, params.lr or start_time"
_WORDS = ("AND", "OR", "NOT", "IN", "IS", "NULL", "LIKE", "ILIKE", "ASC", "DESC")
_NAME = re.compile(
    r"""(?:(?P<entity>[^.`"]+|`[^`]*`)\.)?
    (?:(?P<bare>[^`"]+) | (?P<quoted>"(?:[^"]|"")*"|`[^`]*`)(?:\.(?P<summary>[^`"]*))?)""",
    re.VERBOSE,
)
_ENTITIES = {
    "metric": METRIC, "metrics": METRIC,
    "param": PARAM, "params": PARAM, "parameter": PARAM, "parameters": PARAM,
    "tag": TAG, "tags": TAG,
    "attribute": ATTRIBUTE, "attributes": ATTRIBUTE, "attr": ATTRIBUTE, "run": ATTRIBUTE,
    "dataset": DATASET, "datasets": DATASET, "data": DATASET,
}  # fmt: skip
_ATTRIBUTES = {
    **{name: name for name in (*TEXT_ATTRIBUTES, *NUMBER_ATTRIBUTES)},
    "name": "run_name", "run name": "run_name", "Run name": "run_name", "Run Name": "run_name",
    "user": "user_id", "created": "start_time", "Created": "start_time",
    "experiment_name": "experiment", "parent_run": "parent_run_id",
}  # fmt: skip
_DATASET_KEYS = ("name", "digest", "context")


def read_key(reader: Reader) -> Key:
    """The key that comes next."""
    token = reader.token
    found = _NAME.fullmatch(token.text) if token.kind == "name" else None
    if token.kind != "name" or token.text.upper() in _WORDS or number_of(token.text) is not None:
        reader.expected(_KEY)
    if found is None:
        reader.fail(f"{shown(token.text)} is no key; write one as metrics.`any name`", token)
    reader.next()
    name = normal(found["bare"] or _unquoted(found["quoted"]))
    if found["entity"] is None:
        return _attribute(reader, name, token, bare=True)
    entity = _ENTITIES.get(found["entity"].strip("`"))
    if entity is None:
        _fail_on_entity(reader, found["entity"].strip("`"), token)
    if entity == METRIC:
        return _metric(reader, found, name, token)
    if found["summary"] is not None:
        reader.fail("only a metric has summaries", token)
    if entity == ATTRIBUTE:
        return _attribute(reader, name, token, bare=False)
    if entity == DATASET and name not in _DATASET_KEYS:
        reader.unknown(name, "a dataset has", _DATASET_KEYS, token)
    return Key(entity, name)


def _unquoted(name: str) -> str:
    return name[1:-1].replace('""', '"') if name[0] == '"' else name[1:-1]


def _metric(reader: Reader, found: re.Match[str], name: str, token: Token) -> Key:
    """Quoted, a name is exact; bare, `loss.min` may also be the minimum of `loss`."""
    summary = found["summary"]
    if summary is not None:
        if summary not in SUMMARIES:
            reader.unknown(summary, "a metric has", SUMMARIES, token)
        return Key(METRIC, name, summary)
    base, _, last = name.rpartition(".")
    if found["bare"] and base and last in SUMMARIES:
        return Key(METRIC, name, otherwise=Key(METRIC, base, last))
    return Key(METRIC, name)


def _attribute(reader: Reader, name: str, token: Token, *, bare: bool) -> Key:
    known = _ATTRIBUTES.get(name)
    if known is None:
        hint = f"; for others write metrics.{name} or params.{name}" if bare else ""
        names = (*TEXT_ATTRIBUTES, *NUMBER_ATTRIBUTES)
        reader.unknown(name, "the attributes of a run are", names, token, hint)
    return Key(ATTRIBUTE, known)


def _fail_on_entity(reader: Reader, entity: str, token: Token) -> NoReturn:
    plural = ("metrics", "params", "tags", "attributes", "datasets")
    reader.unknown(entity, "a key begins with", plural, token)
