"""Comparing records, and telling which of two metric values is better."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gitml.review.better import best, better
from gitml.review.code import FileChange
from gitml.review.compare import Comparison, compare, to_document
from gitml.review.rows import flat, flat_rows, row
from gitml.review.view import parse_requirements
from gitml.tracking.record import Artifact, Code, Dataset, MetricSummary, RunRecord
from tests.records import run_records

RUN = RunRecord("0" * 32, "a", "churn", "churn", "FINISHED", 0, 1500)


def metric(value: float) -> MetricSummary:
    """The summary of one point."""
    return MetricSummary(value, 0, value, value, 1)


def values(items: tuple[object, ...]) -> dict[str, tuple[object, ...]]:
    """The values of differences, by key."""
    return {item.key: item.values for item in items}  # type: ignore[attr-defined]


# -- better or worse ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    "loss val_loss train/loss valLoss logloss RMSE test-mae cross_entropy eval.perplexity"
    " error_rate latency_ms valError WER rank_test_score".split(),
)
def test_less_of_a_loss_is_better(name: str) -> None:
    """However the words of its name are joined."""
    assert better(name) == "lower"


@pytest.mark.parametrize(
    "name", "auc val_auc accuracy f1 R2 mAP neg_mean_squared_error reward hit_rate topK".split()
)
def test_more_of_a_score_is_better(name: str) -> None:
    """A negated error is a score."""
    assert better(name) == "higher"


@pytest.mark.parametrize(
    "name", [*"epoch lr learning_rate n_samples system/cpu std_test_score loss_std §".split(), ""]
)
def test_more_of_some_things_is_neither(name: str) -> None:
    """Counters and settings have no best value."""
    assert better(name) is None


def test_the_best_value() -> None:
    """It needs two values that differ; NaN and runs without the metric never win."""
    assert best("auc", [0.5, None, 0.9, math.nan]) == 2
    assert best("loss", [0.5, 0.4, 0.9]) == 1
    assert best("auc", [0.5, 0.5]) is best("auc", [0.5]) is best("epoch", [1, 2]) is None
    assert best("auc", [math.nan, 0.5]) is best("auc", []) is None


# -- comparing ---------------------------------------------------------------------------------


def test_what_differs() -> None:
    """Every key of any run is there, with None where a run has none."""
    one = replace(RUN, params={"a": 1, "b": "x", "n": None}, tags={"t": "1", "gone": None})
    other = replace(RUN, params={"a": 1, "c": True}, tags={"t": "2"})
    made = compare([one, other])
    assert values(made.params) == {"a": (1, 1), "b": ("x", None), "c": (None, True),
                                   "n": ("None", None)}  # fmt: skip
    assert [item.same for item in made.params] == [True, False, False, False]
    assert values(made.tags) == {"t": ("1", "2")}


def test_metrics_have_deltas_and_a_best() -> None:
    """Deltas are against the first run; they are None where a difference means nothing."""
    runs = [
        replace(RUN, metrics={"auc": metric(0.5), "loss": metric(1.0), "new": metric(math.nan)}),
        replace(RUN, metrics={"auc": metric(0.75), "loss": metric(2.0)}),
        replace(RUN, metrics={"auc": metric(0.25), "loss": metric(math.inf), "new": metric(1)}),
    ]
    auc, loss, new = compare(runs).metrics
    assert (auc.deltas, auc.better, auc.best) == ((0.0, 0.25, -0.25), "higher", 1)
    assert (loss.deltas, loss.better, loss.best) == ((0.0, 1.0, None), "lower", 0)
    assert (new.deltas, new.best) == ((None, None, None), None)


def test_data_is_told_apart_by_name_and_context() -> None:
    """The digest is what is compared; one name used twice stays two."""
    one = replace(RUN, datasets=(Dataset("d", "1", "train"), Dataset("d", "2", "train")))
    other = replace(RUN, datasets=(Dataset("d", "1", "train"), Dataset("d", "9", "test")))
    assert values(compare([one, other]).data) == {
        "d (test)": (None, "9"), "d (train)": ("1", "1"), "d (train) #2": ("2", None),
    }  # fmt: skip


def test_data_says_where_it_is_from() -> None:
    """What differed from its DVC pointer is not to be had from DVC: a comparison says so."""
    changed = Dataset("d", "2", source={"uri": "d.csv", "changed": True}, source_type="dvc")
    one = replace(RUN, datasets=(Dataset("d", "1", source_type="dvc"),))
    other = replace(RUN, datasets=(changed,))
    made = to_document(compare([one, other, RUN]))
    assert made["data"] == {
        "d": {"values": ["1", "2", None], "same": False, "sources": ["dvc", "dvc, changed", None]}
    }


def test_artifacts_are_compared_by_their_content() -> None:
    """Where it is kept makes no difference."""
    one = replace(RUN, artifacts={"a": Artifact(1, "aa", "git"), "b": Artifact(2, "bb", "git")})
    other = replace(RUN, artifacts={"a": Artifact(1, "aa", "artifacts/a.dvc")})
    made = to_document(compare([one, other]))["artifacts"]
    assert made == {
        "a": {"values": ["aa", "aa"], "same": True, "sizes": [1, 1],
              "where": ["git", "artifacts/a.dvc"]},
        "b": {"values": ["bb", None], "same": False, "sizes": [2, None], "where": ["git", None]},
    }  # fmt: skip


def test_packages_and_code_are_compared_as_given() -> None:
    """They come from outside the record."""
    files = [FileChange("a.py", 1, 2)]
    made = compare([RUN, RUN, RUN], [{"x": "1"}, {"x": "2", "y": "1"}, {}], [files, None])
    assert values(made.packages) == {"x": ("1", "2", None), "y": (None, "1", None)}
    assert made.code == (tuple(files), None)


@given(st.lists(run_records(), min_size=2, max_size=3))
def test_any_runs_can_be_compared(runs: list[RunRecord]) -> None:
    """A run equals itself, and the document of a comparison is JSON."""
    made = compare(runs)
    assert isinstance(made, Comparison)
    json.dumps(to_document(made), allow_nan=False)
    itself = compare([runs[0], runs[0]])
    for section in (itself.params, itself.metrics, itself.tags, itself.data, itself.environment):
        assert all(item.same for item in section)


def test_uncommitted_changes_and_drift_are_part_of_the_environment() -> None:
    """A reviewer sees that two runs of one commit did not run the same code."""
    one = replace(RUN, code=Code(commit="1" * 40))
    other = replace(RUN, code=Code(commit="1" * 40, dirty=True, drift=("m.py",)))
    found = values(compare([one, other]).environment)
    assert found["uncommitted changes"] == ("no", "yes")
    assert found["code drift"] == (None, "m.py")


@pytest.mark.parametrize(
    ("line", "name", "version"),
    [
        ("numpy==1.26.0", "numpy", "1.26.0"),
        ("Ruamel_yaml.clib===0.2", "ruamel-yaml-clib", "0.2"),
        ("x @ git+https://example.org/x@1234", "x", "git+https://example.org/x@1234"),
        ("x[extra] == 2", "x", "2"),
    ],
)
def test_packages_are_read_from_a_requirements_file(line: str, name: str, version: str) -> None:
    """Names are compared as installers do, whatever their spelling."""
    assert parse_requirements(f"# a comment\n\n{line}\n-e .\n") == {name: version}


# -- rows --------------------------------------------------------------------------------------

KEYS = (
    "run_id name experiment experiment_id status reason start_time end_time duration user"
    " description deleted parent_run source code models params metrics tags"
)


@given(run_records())
def test_a_row_has_the_keys_that_scripts_rely_on(record: RunRecord) -> None:
    """All of them, always, and every value is JSON."""
    document = row(record)
    assert list(document) == KEYS.split()
    json.dumps(document, allow_nan=False)
    assert not any(isinstance(value, dict) for key, value in flat(document).items()
                   if not key.startswith("params."))  # fmt: skip


def test_a_row_of_a_run() -> None:
    """Times are text, durations in seconds, metrics their last values; deleted tags are gone."""
    record = replace(RUN, metrics={"m": metric(math.nan)}, tags={"a": "1", "b": None})
    document = row(record)
    assert (document["start_time"], document["duration"]) == ("1970-01-01T00:00:00.000Z", 1.5)
    assert (document["metrics"], document["tags"]) == ({"m": "NaN"}, {"a": "1"})


def test_columns_of_rows_put_the_users_keys_last() -> None:
    """So that the columns that are always there stand in one place."""
    names, rows = flat_rows(
        [{"params": {"z": 1}, "name": "x"}, {"tags": {"a": ""}, "params": {"b": 2}}]
    )
    assert names == ["name", "params.b", "params.z", "tags.a"]
    assert rows == [{"params.z": 1, "name": "x"}, {"tags.a": "", "params.b": 2}]
