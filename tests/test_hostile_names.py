"""Hostile names and values: each case of the corpus is stored as it says, or refused."""

from __future__ import annotations

import ast
import math
import struct
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from gitml.documents import load_yaml
from gitml.errors import UsageError
from gitml.registry import tags as registry
from gitml.tracking import names

FIELDS: dict[str, Callable[[Any], Any]] = {
    "artifact path": names.check_artifact_path,
    "component": names.check_component,
    "run name": names.check_run_name,
    "run id": names.check_run_id,
    "experiment name": names.check_experiment_name,
    "experiment folder": names.experiment_id,
    "param key": names.check_param_key,
    "metric key": names.check_metric_key,
    "tag key": names.check_tag_key,
    "metric": lambda value: names.check_metric_value("k", value),
    "param": lambda value: names.check_param_value("k", value),
    "tag": lambda value: names.check_tag_value("k", value),
    "step": names.check_step,
    "timestamp": names.check_timestamp,
    "model name": registry.check_model_name,
    "stage": registry.check_stage,
    "alias": registry.check_alias,
}


def cases(file: str) -> list[Any]:
    """A file of the corpus as parameters, a case for each."""
    path = Path(__file__).with_name("hostile") / file
    listed = load_yaml(path.read_bytes(), file)
    return [pytest.param(case, id=f"{case['field']}: {case['name']}") for case in listed]


def name_of(case: dict[str, Any]) -> Any:
    """The name that a case tries."""
    if "escaped" in case:
        return case["escaped"].encode("latin-1", "backslashreplace").decode("unicode_escape")
    if "parts" in case:
        return "".join(
            part if isinstance(part, str) else part[0] * part[1] for part in case["parts"]
        )
    return case.get("text", case.get("number"))


@pytest.mark.parametrize("case", cases("names.yaml"))
def test_a_hostile_name_is_plain_or_refused(case: dict[str, Any]) -> None:
    """A name is stored as the corpus says, or refused in one line that says why."""
    name, check = name_of(case), FIELDS[case["field"]]
    if "error" in case:
        assert case["error"] in refusal(check, name)
    else:
        assert check(name) == (name if case.get("kept") else case["stored"])


def endless() -> list[Any]:
    """A list that holds itself."""
    found: list[Any] = []
    found.append(found)
    return found


def deep(levels: int) -> list[Any]:
    """A list in a list in a list ..."""
    found: list[Any] = []
    for _ in range(levels):
        found = [found]
    return found


def numpy_value(text: str) -> Any:
    """What numpy makes of `text`."""
    import numpy

    made = {
        "numpy.array([1.0, 2.0])": numpy.array([1.0, 2.0]),
        "numpy.array([[0.5]])": numpy.array([[0.5]]),
        "numpy.array([])": numpy.array([]),
        "numpy.float32(0.1)": numpy.float32(0.1),
        "numpy.int64(7)": numpy.int64(7),
        "numpy.datetime64('2026-01-31', 'ns')": numpy.datetime64("2026-01-31", "ns"),
    }
    return made[text]


MADE: dict[str, Callable[[], Any]] = {
    "nan": lambda: math.nan,
    "inf": lambda: math.inf,
    "-inf": lambda: -math.inf,
    "10 ** 400": lambda: 10**400,
    "10 ** 7000": lambda: 10**7000,
    "Decimal('1e400')": lambda: Decimal("1e400"),
    "[nan]": lambda: [math.nan],
    "a list within itself": endless,
    "a list 100000 deep": lambda: deep(100_000),
    "100000 characters": lambda: "x" * 100_000,
    "1000000 characters": lambda: "x" * 1_000_000,
}


def made(text: str) -> Any:
    """The value that a case calls `text`."""
    if text.startswith("numpy."):
        pytest.importorskip("numpy")
        return numpy_value(text)
    return MADE[text]() if text in MADE else ast.literal_eval(text)


@pytest.mark.parametrize("case", cases("values.yaml"))
def test_a_hostile_value_is_exact_or_refused(case: dict[str, Any]) -> None:
    """A value is stored with the type and the bits that the corpus says, or refused."""
    value, check = made(case.get("made", case.get("value"))), FIELDS[case["field"]]
    if "error" in case:
        assert case["error"] in refusal(check, value)
    else:
        assert exactly(check(value)) == exactly(made(case["stored"]))


def refusal(check: Callable[[Any], Any], value: Any) -> str:
    """The message of the refusal: one printable line, however long and wild the value is."""
    with pytest.raises(UsageError) as refused:
        check(value)
    message = str(refused.value)
    assert message.isprintable()
    assert len(message) < 250
    return message


def exactly(value: Any) -> tuple[type, Any]:
    """A value with its type, a float by its bits."""
    return type(value), struct.pack(">d", value) if isinstance(value, float) else value


def test_the_corpus_is_large_enough() -> None:
    """The corpus does not shrink unseen."""
    assert len(cases("names.yaml")) >= 45
    assert len(cases("values.yaml")) >= 25
