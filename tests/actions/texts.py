"""Expressions inside what a workflow says: found, checked for where they stand, and replaced."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from tests.actions.errors import InvalidError, UnsupportedError
from tests.actions.expressions import (
    STATUS,
    Access,
    Call,
    Context,
    Literal,
    Node,
    Scope,
    asks_status,
    evaluate,
    parse,
    parts,
)
from tests.actions.values import Value, text, truth

_INNER = re.compile(r"\$\{\{((?:'[^']*'|[^'])*?)\}\}", re.DOTALL)

_BEFORE = frozenset({"github", "inputs", "vars"})
_JOB = _BEFORE | {"needs"}
_EACH = _JOB | {"strategy", "matrix"}
_STEP = _EACH | {"job", "runner", "env", "secrets", "steps"}
_ACTION = frozenset("github inputs env runner job strategy matrix steps".split())
# What may be named where, from GitHub's table of the availability of contexts.
PLACES = {
    "run-name": _BEFORE,
    "concurrency": _BEFORE,
    "env": _BEFORE | {"secrets"},
    "job.if": _JOB,
    "job.strategy": _JOB,
    "job.concurrency": _EACH,
    "job.environment": _EACH,
    "job.name": _EACH,
    "job.runs-on": _EACH,
    "job.timeout-minutes": _EACH,
    "job.with": _EACH,
    "job.env": _EACH | {"secrets"},
    "job.secrets": _EACH | {"secrets"},
    "job.outputs": _STEP,
    "step.if": _STEP - {"secrets"},
    "step": _STEP,
    "call.outputs": _BEFORE | {"jobs"},
    "action": _ACTION,
    "action.if": _ACTION,
}
_STATUS_PLACES = ("job.if", "step.if", "action.if")
# Of these contexts the names are known; another one is misspelt.
KNOWN = {
    "github": frozenset(
        "actor api_url base_ref event event_name head_ref job ref ref_name ref_type repository"
        " repository_owner run_attempt run_id run_number server_url sha token workflow workspace"
        .split()
    ),
    "runner": frozenset({"os", "temp", "name"}),
    "job": frozenset({"status"}),
}  # fmt: skip


def check(value: Any, place: str) -> None:
    """InvalidError when an expression in a value is wrong, or names what can't be named there."""
    for source in _sources(value):
        _check(parse(source), place)


def check_condition(told: str, place: str) -> None:
    """The same for an `if`, which is an expression by itself."""
    _check(condition(told), place)


def _check(node: Node, place: str) -> None:
    for part in parts(node):
        if isinstance(part, Context) and part.name not in PLACES[place]:
            raise InvalidError(f"{part.name} can't be named in {place}")
        if isinstance(part, Call) and part.name in STATUS and place not in _STATUS_PLACES:
            raise InvalidError(f"{part.name}() can't be called in {place}")
        if isinstance(part, Access) and isinstance(part.of, Context):
            _check_name(part.of.name, part.index)


def _check_name(context: str, index: Node) -> None:
    known = KNOWN.get(context)
    if known is None:
        return
    if not isinstance(index, Literal) or text(index.value).lower() not in known:
        raise UnsupportedError(f"{context}: another name than {', '.join(sorted(known))}")


def _sources(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        found = [match[1] for match in _INNER.finditer(value)]
        if "${{" in _INNER.sub("", value):
            raise InvalidError(f"{value!r}: an expression does not end")
        yield from found
    elif isinstance(value, dict):
        for item in value.values():
            yield from _sources(item)
    elif isinstance(value, list):
        for item in value:
            yield from _sources(item)


def expand(value: Any, scope: Scope) -> Value:
    """A value with what its expressions come to; one that is nothing else keeps its kind."""
    if isinstance(value, dict):
        return {key: expand(item, scope) for key, item in value.items()}
    if isinstance(value, list):
        return [expand(item, scope) for item in value]
    if not isinstance(value, str):
        return value
    whole = _INNER.fullmatch(value.strip())
    if whole is not None:
        return evaluate(parse(whole[1]), scope)
    return _INNER.sub(lambda found: text(evaluate(parse(found[1]), scope)), value)


def as_text(value: Any, scope: Scope) -> str:
    """The same, as a text."""
    found = expand(value, scope)
    return text(float(found) if isinstance(found, int) and found is not bool(found) else found)


def condition(told: str) -> Node:
    """An `if`, with `${{ }}` around all of it or without."""
    whole = _INNER.fullmatch(told.strip())
    if whole is None and "${{" in told:
        raise UnsupportedError(f"an `if` with an expression inside: {told!r}")
    return parse(whole[1] if whole else told)


def holds(told: str | None, scope: Scope) -> bool:
    """Whether an `if` lets a job or a step run; without a status it also asks for success."""
    node = parse("success()") if told is None else condition(told)
    if not asks_status(node) and not truth(scope.functions["success"]()):
        return False
    return truth(evaluate(node, scope))
