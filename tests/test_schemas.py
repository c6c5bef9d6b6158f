"""Every schema is sound, has a valid example, and describes what gitml writes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from jsonschema import Draft202012Validator

from gitml.documents import dump_json, load_json, load_yaml, problems
from gitml.tracking import experiment
from gitml.tracking.record import RunRecord, from_document, to_document
from tests.records import run_records

SCHEMAS = Path(__file__).resolve().parent.parent / "schemas"
NAMES = sorted(path.name.removesuffix(".schema.json") for path in SCHEMAS.glob("*.schema.json"))


def examples(name: str) -> list[Path]:
    """The examples of a schema: NAME.json, NAME.yaml, NAME-anything.json ..."""
    stems = (name, f"{name}-")
    return sorted(
        path
        for path in (SCHEMAS / "examples").iterdir()
        if path.stem == stems[0] or path.name.startswith(stems[1])
    )


def loaded(path: Path) -> Any:
    """The document in an example."""
    read = load_json if path.suffix == ".json" else load_yaml
    return read(path.read_bytes(), path.name)


@pytest.mark.parametrize("name", NAMES)
def test_a_schema_is_sound_and_says_what_it_describes(name: str) -> None:
    """A schema follows JSON Schema 2020-12 and has an id and a title."""
    schema = json.loads((SCHEMAS / f"{name}.schema.json").read_text(encoding="utf-8"))
    Draft202012Validator.check_schema(schema)
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert schema["$id"] == f"{name}.schema.json"
    assert schema["title"]


@pytest.mark.parametrize("name", NAMES)
def test_a_schema_has_a_valid_example(name: str) -> None:
    """Every example of a schema fits it, and there is one at least."""
    found = examples(name)
    assert found
    assert [problems(loaded(path), name) for path in found] == [[] for _ in found]


def test_every_example_belongs_to_a_schema() -> None:
    """No example is left behind when a schema goes."""
    assert sorted((SCHEMAS / "examples").iterdir()) == sorted(
        {path for name in NAMES for path in examples(name)}
    )


@given(run_records())
def test_every_run_record_fits_its_schema_and_comes_back(record: RunRecord) -> None:
    """Whatever a run holds, run.json validates and reads back as the same record."""
    data = dump_json(to_document(record))
    document = load_json(data, "run.json")
    assert problems(document, "run") == []
    assert from_document(document) == record


def test_the_run_schema_describes_every_field() -> None:
    """A field that is new in the record is new in the schema, and in its full example."""
    schema = json.loads((SCHEMAS / "run.schema.json").read_text(encoding="utf-8"))
    full = loaded(SCHEMAS / "examples" / "run.json")
    fields = set(RunRecord.__dataclass_fields__) - {"unknown"} | {"schema"}
    assert set(schema["properties"]) == fields
    assert set(full) == fields
    for path, known in described(schema):
        assert set(path_in(full, path)) == known, path


def test_the_experiment_schema_describes_every_field() -> None:
    """What gitml reads from the example it writes again, and the schema knows every field."""
    full = loaded(SCHEMAS / "examples" / "experiment.json")
    record = experiment.from_document(full)
    assert experiment.to_document(record) == full
    schema = json.loads((SCHEMAS / "experiment.schema.json").read_text(encoding="utf-8"))
    fields = set(experiment.ExperimentRecord.__dataclass_fields__) - {"unknown"} | {"schema"}
    assert set(schema["properties"]) == set(full) == fields


def described(schema: dict[str, Any]) -> Iterator[tuple[str, set[str]]]:
    """The parts of a record that the schema closes, and the keys of each."""
    for part, kind in {
        "source": "source", "code": "code", "environment": "environment", "datasets": "dataset",
        "artifacts": "artifact", "metrics": "metric", "sessions": "session",
    }.items():  # fmt: skip
        yield part, set(schema["$defs"][kind]["properties"])


def path_in(full: dict[str, Any], part: str) -> set[str]:
    """The keys that the full example's part has, taken over all of its items."""
    value = full[part]
    if part in ("source", "code", "environment"):
        return set(value)
    items = value if isinstance(value, list) else value.values()
    return {key for item in items for key in item}
