"""The run record at the file boundary: what a later gitml or a person has added stays."""

from __future__ import annotations

import json
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest

from gitml import documents
from gitml.errors import FormatError
from gitml.tracking import changes, finishing, starting, store
from gitml.tracking import record as run_record
from gitml.tracking.moments import time_from_text, time_to_text
from gitml.tracking.record import (
    FINISHED,
    from_document,
    to_document,
)
from gitml.tracking.unknown import united
from tests import invariants, ledgers
from tests.clones import Clone
from tests.test_schemas import SCHEMAS


def full() -> dict[str, Any]:
    """A run.json in which every field has something."""
    text = (SCHEMAS / "examples" / "run.json").read_text(encoding="utf-8")
    document: dict[str, Any] = json.loads(text)
    return document


def add(document: dict[str, Any], value: Any) -> None:
    """Put a field that nobody knows into every object of a run.json."""
    document["budget"] = value
    for part in ("source", "code", "environment"):
        document[part]["added"] = value
    for part in ("metrics", "artifacts", "sessions"):
        for item in document[part].values():
            item["added"] = value
    for item in document["datasets"]:
        item["added"] = value


@pytest.mark.parametrize("value", [1, "text", None, [1, {"a": 2}], {"deep": {"er": [None]}}])
def test_unknown_fields_are_written_as_they_were_read(value: Any) -> None:
    """In whichever object of run.json a field stands that is not known, it stays."""
    document = full()
    add(document, value)
    record = from_document(document)
    assert to_document(record) == document
    assert from_document(to_document(record)) == record


def test_every_field_of_a_part_has_its_type() -> None:
    """A field that is added to a record is read, and read as what it should be."""
    for part, decoders in run_record._FIELDS.items():
        assert decoders.keys() == {item.name for item in fields(part)}


def test_unknown_fields_go_with_what_they_are_about() -> None:
    """An artifact or a metric that is there no more leaves none behind, which would be half one."""
    document = full()
    add(document, "x")
    record = from_document(document)
    assert record.unknown["metrics"]
    bare = to_document(replace(record, metrics={}, artifacts={}))
    assert not {"metrics", "artifacts"} & bare.keys()
    assert from_document(bare).unknown.keys() == record.unknown.keys() - {"metrics", "artifacts"}


def test_unknown_fields_survive_tags_and_sessions(repo: Path) -> None:
    """A run that is tagged or resumed by this gitml keeps what another has added to it."""
    one = Clone(repo)
    run_id = one.run("one", params={"a": 1}, files={"notes.txt": b"some notes"})
    entry = one.place.ledger.find(run_id)
    assert entry is not None
    document = to_document(entry.record)
    add({"datasets": [], **document}, {"a": 1})
    record = from_document(document)
    changes.change(one.place, [entry], lambda _: record, "by a later gitml")
    one.tag(run_id, team="blue")
    session, _ = starting.resume(one.place, run_id)
    session.params({"b": 2})
    finishing.finish(one.place, session, record, FINISHED)
    now = invariants.stored(repo)[run_id].record
    assert now["metrics"]["auc"]["added"] == {"a": 1}
    assert now["artifacts"]["notes.txt"]["added"] == {"a": 1}
    assert now["environment"]["added"] == {"a": 1}
    assert now["tags"] == {"team": "blue"}
    assert set(now["params"]) == {"a", "b"}


def test_both_sides_of_a_merge_keep_their_unknown_fields() -> None:
    """Object by object; of two values of one field it does not matter which side is whose."""
    one = {"metrics": {"auc": {"p50": 1, "p90": 2}}, "x": 1}
    other = {"metrics": {"auc": {"p50": 3}, "loss": {"p50": 4}}, "x": {"y": 1}}
    both = {
        "metrics": {"auc": {"p50": 3, "p90": 2}, "loss": {"p50": 4}},
        "x": {"y": 1},
    }
    assert united(one, other, json.dumps) == united(other, one, json.dumps) == both


@pytest.mark.parametrize(
    ("schema", "words"),
    [
        (2, "run.json has schema 2, this gitml reads up to 1; upgrade gitml"),
        (99, "run.json has schema 99, this gitml reads up to 1; upgrade gitml"),
        (None, "run.json has no 'schema' number; it is not a file of gitml"),
        (True, "run.json has no 'schema' number; it is not a file of gitml"),
        ("1", "run.json has no 'schema' number; it is not a file of gitml"),
    ],
)
def test_a_newer_schema_is_refused(schema: Any, words: str) -> None:
    """One line says which schema a file has, which ones can be read, and what to do."""
    with pytest.raises(FormatError) as caught:
        from_document({**full(), "schema": schema}, "run.json")
    assert str(caught.value) == words


def test_a_run_of_a_newer_gitml_is_told_and_the_others_are_read(repo: Path) -> None:
    """One run that can't be read takes no other along, and says what to do."""
    runs = list(ledgers.make_runs(3))
    newer = {**to_document(runs[0]), "schema": 2}
    del runs[0]
    ledgers.append(repo, runs)
    path = "runs/churn/2026/01/01/" + newer["run_id"] + "/run.json"
    ledgers.append(repo, [], files=[(path, documents.dump_json(newer))])
    place = Clone(repo).place
    assert len(store.search(place)) == 2
    (problem,) = store.index(place).problems()
    assert problem.endswith("has schema 2, this gitml reads up to 1; upgrade gitml")


def test_a_time_of_any_year_has_four_digits() -> None:
    """What is written can be read, from the first year to the last."""
    for year, moment in (("0001", -62_135_596_800_000), ("9999", 253_402_300_799_999)):
        assert time_to_text(moment).startswith(f"{year}-")
        assert time_from_text(time_to_text(moment)) == moment
