"""What is said quickly of a document and its schema is what the library says."""

from __future__ import annotations

import copy
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from gitml.documents import fits
from gitml.documents.schema import schema_of
from tests.registries import make_registry
from tests.test_schemas import NAMES, examples, loaded

KNOWN = ("registered-model", "registry")
ODD: list[Any] = [
    None, True, False, 0, 1, 1.0, 1.5, -1, "", "x", "v1.0.0", "v1.0.0\n", "v01.0.0", "a" * 32, [],
    {},
    ["v1.0.0"], [None], {"schema": 1}, {"v1.0.0": None}, {"command": ["a"]}, {"command": []},
    {"evaluate": {"entry_point": "a", "metrics": ["b"]}, "command": ["a"]},
]  # fmt: skip
GATED = {
    "schema": 1,
    "gates": {"production": ["signed", {"command": ["a", "b"]}]},
}


def places(value: Any) -> list[tuple[Any, ...]]:
    """The paths of all that is in a document."""
    found: list[tuple[Any, ...]] = [()]
    if isinstance(value, (dict, list)):
        items = value.items() if isinstance(value, dict) else enumerate(value)
        found += [(key, *path) for key, item in items for path in places(item)]
    return found


def spoiled(document: Any, path: tuple[Any, ...], odd: Any, key: str | None) -> Any:
    """A document with something else at a path; with a key, in the mapping there."""
    made = copy.deepcopy(document)
    if not path and key is None:
        return odd
    inner = made
    for step in path[:-1] if key is None else path:
        inner = inner[step]
    if key is None:
        inner[path[-1]] = odd
    elif isinstance(inner, dict):
        inner[key] = odd
    return made


@pytest.mark.parametrize("name", KNOWN)
@given(data=st.data())
def test_the_quick_word_is_the_librarys(name: str, data: st.DataObject) -> None:
    """For every example of a schema, as it is and spoiled in some places."""
    check, validator = fits.check_of(schema_of(name)), Draft202012Validator(schema_of(name))
    assert check is not None
    document = data.draw(st.sampled_from([*map(loaded, examples(name)), GATED]))
    assert check(document)
    assert validator.is_valid(document)
    for _ in range(data.draw(st.integers(1, 2))):
        path = data.draw(st.sampled_from(places(document)))
        key = data.draw(st.sampled_from([None, None, "schema", "extra", "v1.0.0", "command"]))
        document = spoiled(document, path, data.draw(st.sampled_from(ODD)), key)
        assert check(document) == validator.is_valid(document), document


@pytest.mark.parametrize("name", NAMES)
def test_a_schema_with_more_is_left_to_the_library(name: str) -> None:
    """Where a keyword is not known nothing is said, rather than something that is half right."""
    assert (fits.check_of(schema_of(name)) is not None) == (name in KNOWN)
    assert fits.check_of({**schema_of(name), "minProperties": 1}) is None
    assert fits.check_of({"properties": {"a": {"items": {"format": "date"}}}}) is None


@given(st.sampled_from(ODD), st.sampled_from(ODD))
@example(1, True)
@example(1.0, 1)
@example("v1.0.0\n", "v1.0.0")
def test_constants_and_types_are_the_librarys(one: Any, other: Any) -> None:
    """A true is no 1, and 1.0 is a whole number."""
    for schema in (
        {"const": one}, {"type": "integer"}, {"type": "number"}, {"minLength": 1, "minItems": 1},
        {"oneOf": [{"type": "number"}, {"type": "integer"}]}, {"pattern": r"^v[0-9.]+\Z"},
        {"required": ["command"], "additionalProperties": {"type": "array"}},
        {"$ref": "#/$defs/it", "$defs": {"it": {"items": {"$ref": "#/$defs/it"}}}},
    ):  # fmt: skip
        check = fits.check_of(schema)
        if check is not None:
            assert check(other) == Draft202012Validator(schema).is_valid(other), (schema, other)


COUNTS = """
import sys
from gitml.cli.main import main
try:
    main()
except SystemExit:
    pass
heavy = ("jsonschema", "gitml.registry.gates", "dvc")
sys.stderr.write(" ".join(it for it in heavy if it in sys.modules))
"""


def test_listing_many_models_loads_no_more_than_it_needs(repo: Path) -> None:
    """Of three models with two versions each all is shown, and neither gates nor schemas loaded."""
    make_registry(repo, 3, 2)
    done = subprocess.run(
        (sys.executable, "-c", COUNTS, "registry", "list"),
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    lines = done.stdout.splitlines()
    assert [line.split()[:4] for line in lines[1:]] == [
        [f"model-00{number}", "v1.1.0", "2", "production"] for number in range(3)
    ]
    assert done.stderr == ""
