"""Expressions of workflows: what the runner of the tests makes of them is what GitHub does."""

from __future__ import annotations

import math
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.actions import oracle
from tests.actions.errors import InvalidError, UnsupportedError
from tests.actions.expressions import Scope, evaluate, parse
from tests.actions.values import from_json, text

SCOPE = Scope({key: from_json(value) for key, value in oracle.CONTEXTS.items()}, {})


def answer(source: str) -> dict[str, Any]:
    """What the runner says, in the oracle's form."""
    try:
        value = evaluate(parse(source), SCOPE)
    except (InvalidError, UnsupportedError):
        return {"error": True}
    return {"value": written(value), "text": text(value)}


def written(value: Any) -> Any:
    """A value as JSON has it, where a number that is none is null."""
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def test_expressions_come_to_what_github_makes_of_them() -> None:
    """Every answer of GitHub's own evaluator is the runner's, with value, text, or an error."""
    kept = oracle.kept()
    assert set(kept) == set(oracle.expressions())
    wrong = {
        source: (answer(source), expected)
        for source, expected in kept.items()
        if answer(source) != expected
    }
    assert wrong == {}
    assert sum("error" in it for it in kept.values()) > 20


def test_the_answers_are_those_of_githubs_package(tmp_path: Path) -> None:
    """What is kept is what the package says today, where npm can be asked for it."""
    if not shutil.which("node") or not shutil.which("npm"):
        pytest.skip("node is not installed")
    name = f"{oracle.PACKAGE}@{oracle.VERSION}"
    options = ("--no-audit", "--no-fund", "--ignore-scripts", "--prefix", tmp_path)
    try:
        command = ("npm", "install", *options, name)
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    except subprocess.TimeoutExpired:
        pytest.skip("npm does not answer")
    if done.returncode:
        pytest.skip(f"{name} can't be had: {done.stderr[-200:]}")
    assert dict(zip(oracle.expressions(), oracle.ask(tmp_path), strict=True)) == oracle.kept()


@pytest.mark.parametrize("source", ["hashFiles('x')", "github.event.*", "github[*]", "always(1)"])
def test_what_is_not_known_is_no_value(source: str) -> None:
    """A function that the runner lacks, and a filter, are errors."""
    with pytest.raises((InvalidError, UnsupportedError)):
        parse(source)


def test_a_place_has_its_own_contexts_and_functions() -> None:
    """A context or a status that can't be named there is an error, not an empty text."""
    for source in ("secrets.KEY", "success()"):
        with pytest.raises(InvalidError, match="here"):
            evaluate(parse(source), SCOPE)
