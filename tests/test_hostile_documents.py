"""Hostile files: each case of `hostile/documents.yaml` is read, or refused in one line."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import pytest

from gitml.documents import load_json, load_yaml
from gitml.errors import FormatError

CORPUS = Path(__file__).with_name("hostile") / "documents.yaml"
READERS = {"yaml": load_yaml, "json": load_json}


def cases() -> list[Any]:
    """The corpus as parameters, a case for each."""
    listed = load_yaml(CORPUS.read_bytes(), CORPUS.name)
    return [pytest.param(case, id=case["name"]) for case in listed]


def content(case: dict[str, Any]) -> bytes:
    """The bytes of a case's file."""
    if "base64" in case:
        return base64.b64decode(case["base64"])
    parts = case.get("parts", [case.get("text")])
    texts = (part if isinstance(part, str) else part[0] * part[1] for part in parts)
    return "".join(texts).encode()


@pytest.mark.parametrize("case", cases())
def test_reading_a_hostile_file_gives_its_plain_value_or_one_line(case: dict[str, Any]) -> None:
    """A file is read as its author meant it or refused in one line that names it."""
    read = READERS[case["as"]]
    if "error" not in case:
        value = read(content(case), "FILE")
        assert (value, kinds(value)) == (case["value"], kinds(case["value"]))
        return
    with pytest.raises(FormatError) as refused:
        read(content(case), "FILE")
    message = str(refused.value)
    assert message.isprintable()
    assert len(message) < 200
    if case["error"] == "...":
        assert message.startswith("FILE: ")
    else:
        assert message.removeprefix("FILE").removeprefix(":").strip() == case["error"]


def kinds(value: Any) -> Any:
    """The types inside a value: 1, 1.0 and True are equal, but not the same."""
    if isinstance(value, dict):
        return {key: kinds(item) for key, item in value.items()}
    return [kinds(item) for item in value] if isinstance(value, list) else type(value)
