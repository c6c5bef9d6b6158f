"""Whether a run came out as another did."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest

from gitml.errors import UsageError
from gitml.projects import verdict
from gitml.projects.verdict import Rules, Tolerance
from gitml.tracking.record import Code, Dataset, Environment, MetricSummary, RunRecord

LOCK = ("numpy==2.0", "# own==1.0 is a local folder")
BLANK = RunRecord(
    "0" * 32, "a", "default", "1", "FINISHED", 0,
    code=Code(tree="t"), environment=Environment(python="3.11.2", platform="Linux"),
)  # fmt: skip


def with_metrics(**values: float) -> RunRecord:
    """A run with these metrics."""
    return replace(
        BLANK, metrics={key: MetricSummary(it, 0, it, it, 1) for key, it in values.items()}
    )


def judge(
    one: RunRecord, other: RunRecord, *, lock: tuple[str, ...] = LOCK, **how: Any
) -> verdict.Verdict:
    """The verdict on two runs, the second with another lock."""
    return verdict.judge(one, other, (LOCK, lock), how.pop("rules", Rules()), **how)


@pytest.mark.parametrize(
    ("one", "other", "agreement"),
    [
        (0.1 + 0.2, 0.3, "within"),
        (0.25, 0.25, "equal"),
        (1.0, 1.00001, "different"),
        (0.0, 1e-13, "within"),
        (math.nan, math.nan, "equal"),
        (math.inf, math.inf, "equal"),
        (math.inf, -math.inf, "different"),
        (math.nan, 1.0, "different"),
    ],
)
def test_a_metric_is_equal_within_or_different(one: float, other: float, agreement: str) -> None:
    """By default a millionth of the value is what other hardware may change."""
    made = judge(with_metrics(m=one), with_metrics(m=other))
    assert [item.agreement for item in made.metrics] == [agreement]
    assert made.reproduced == (agreement != "different")


def test_a_metric_that_is_missing_is_no_reproduction() -> None:
    """And one that came in addition is."""
    assert judge(with_metrics(a=1.0), with_metrics()).metrics[0].agreement == "missing"
    assert not judge(with_metrics(a=1.0), with_metrics()).reproduced
    assert judge(with_metrics(a=1.0), with_metrics(a=1.0, b=2.0)).reproduced


def test_metrics_of_the_machine_and_ignored_ones_do_not_count() -> None:
    """A time never comes twice."""
    one = with_metrics(**{"system/cpu": 1.0, "fit_seconds": 2.0, "auc": 0.5})
    other = with_metrics(**{"system/cpu": 3.0, "fit_seconds": 4.0, "auc": 0.5})
    assert not judge(one, other).reproduced
    assert judge(one, other, rules=Rules(ignored=["*_seconds"])).reproduced


def test_tolerances_as_text() -> None:
    """Absolute, in percent, or both; those of one metric replace the others for it."""
    assert verdict.rules([]) == Rules(Tolerance(1e-6, 1e-12))
    assert verdict.rules(["0"]).tolerance == Tolerance(0.0, 0.0)
    found = verdict.rules(["0.01", "1%", "auc=0.5%", "a=b=2"], ["x"])
    assert found == Rules(
        Tolerance(0.01, 0.01), {"auc": Tolerance(0.005, 0.0), "a=b": Tolerance(0.0, 2.0)}, ("x",)
    )
    for text in ("", "x", "-1", "nan", "auc=", "1e999"):
        with pytest.raises(UsageError, match="is no tolerance"):
            verdict.rules([text])
    with pytest.raises(UsageError, match="no metric 'acu'; did you mean 'auc'"):
        verdict.rules(["acu=1"]).check(["auc"])


def test_other_code_data_params_or_an_other_end_are_no_reproduction() -> None:
    """Whatever the metrics are."""
    data = Dataset("rows", "d1", "train")
    others = {
        "code": replace(BLANK, code=Code(tree="u")),
        "data": replace(BLANK, datasets=(replace(data, digest="d2"),)),
        "params": replace(BLANK, params={"lr": 2}),
        "status": replace(BLANK, status="FAILED", reason="it broke"),
    }
    for name, other in others.items():
        one = replace(BLANK, datasets=(data,) if name == "data" else ())
        made = judge(one, other)
        assert [part.name for part in made.parts if part.word == "different"] == [name]
        assert not made.reproduced


def test_another_environment_is_told_and_is_no_failure() -> None:
    """What comes out is what counts; where a package is from says nothing of its version."""
    made = judge(BLANK, BLANK, lock=("numpy==2.1", "own==1.0"))
    (part,) = (part for part in made.parts if part.name == "environment")
    folder = "own was a folder: of it only what is in the commit is known"
    assert (part.word, part.notes) == ("different", ("numpy 2.0 then, 2.1 now", folder))
    assert made.reproduced


def test_code_that_was_not_recorded_as_a_whole_is_unknown() -> None:
    """The tree is the same, and yet there is more."""
    code = Code(tree="t", drift=("lib.py",), incomplete={"big.bin": "over 5 MB"})
    made = judge(replace(BLANK, code=code), BLANK)
    assert made.parts[0].word == "unknown"
    assert len(made.parts[0].notes) == 2
