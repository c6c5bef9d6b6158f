"""An experiment's file: what is written is read again, and sides that differ become one."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gitml.documents import dump_json, load_json, problems
from gitml.errors import FormatError
from gitml.tracking.experiment import (
    ExperimentRecord,
    experiment_path,
    from_document,
    merge,
    to_document,
)
from gitml.tracking.record import Stamp

texts = st.text(st.characters(codec="utf-8"), max_size=4)
words = st.sampled_from(["a", "b", "c"])
stamps = st.builds(Stamp, st.integers(0, 3), words)
experiments = st.builds(
    ExperimentRecord,
    id=st.just("churn"),
    name=words,
    description=st.none() | words,
    tags=st.dictionaries(words, st.none() | texts, max_size=2),
    created=st.none() | st.integers(0, 4_102_444_800_000),
    deleted=st.booleans(),
    clock=st.dictionaries(
        st.sampled_from(["name", "description", "deleted", "tags.a", "tags.b"]), stamps
    ),
    unknown=st.dictionaries(st.sampled_from(["x", "y"]), st.integers() | texts, max_size=2),
)


def test_place() -> None:
    """The file lies beside the years of the experiment's runs."""
    assert experiment_path("churn") == "runs/churn/experiment.json"


@given(experiments)
def test_reading_what_is_written(made: ExperimentRecord) -> None:
    """An experiment that is written is read as it was."""
    assert from_document(load_json(dump_json(to_document(made)), "experiment.json")) == made


@given(experiments.map(lambda made: replace(made, unknown={})))
def test_schema(made: ExperimentRecord) -> None:
    """What is written fits the schema."""
    assert problems(to_document(made), "experiment") == []


@pytest.mark.parametrize(
    "document",
    [
        [],
        {},
        {"schema": 1},
        {"schema": 2, "id": "a", "name": "a"},
        {"schema": 1, "id": "a", "name": "a", "created": "soon"},
        {"schema": 1, "id": "a", "name": "a", "clock": {"name": 5}},
        {"schema": 1, "id": "a", "name": "a", "clock": [1]},
    ],
    ids=str,
)
def test_refused_documents(document: Any) -> None:
    """What is no experiment is refused by name."""
    with pytest.raises(FormatError, match=r"^runs/a/experiment\.json"):
        from_document(document, "runs/a/experiment.json")


@given(experiments, experiments, experiments)
def test_merging_is_a_union(
    one: ExperimentRecord, other: ExperimentRecord, third: ExperimentRecord
) -> None:
    """It does not matter who merges with whom, how often and in which order."""
    assert merge(one, other) == merge(other, one)
    assert merge(merge(one, other), third) == merge(one, merge(other, third))
    assert merge(one, one) == one
    assert merge(merge(one, other), other) == merge(one, other)


def test_the_later_change_holds() -> None:
    """Each field and each tag is that of the side which changed it last."""
    start = ExperimentRecord("churn", "churn", tags={"a": "1"}, created=7)
    one = start.set("name", "Leaving", "w").set("tags.a", "2", "w").set("tags.b", "1", "w")
    other = start.set("name", "x", "v").set("name", "Staying", "v").set("tags.a", None, "x")
    made = merge(one, other)
    assert made.name == "Staying"
    assert made.tags == {"a": None, "b": "1"}
    assert made.live_tags == {"b": "1"}
    assert made.stamp("name") == Stamp(2, "v")
    assert merge(made, replace(start, created=3)).created == 3


def test_what_only_one_side_says() -> None:
    """A tag or a description that the other side has not heard of stays."""
    told = ExperimentRecord("churn", "churn", "Who leaves", {"a": "1"}, 5)
    assert merge(told, ExperimentRecord("churn", "churn")) == told


def test_deletion_and_restoring() -> None:
    """A deletion is a change like any other."""
    gone = ExperimentRecord("churn", "churn").set("deleted", True, "w")
    assert merge(ExperimentRecord("churn", "churn"), gone).deleted
    assert not merge(gone, gone.set("deleted", False, "v")).deleted
