"""Gates: what a version has to pass, and the verdict with the numbers that were compared."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gitml.errors import FormatError
from gitml.models.compatibility import Compatibility
from gitml.registry import files, policy
from gitml.registry.gates import Evaluation, Evidence, Verdict, judge, parse_gates, with_age
from gitml.registry.gates.condition import Answer
from gitml.tracking.search import Facts

NOW = 1_800_000_000_000
DAY = 86_400_000


def facts(
    params: dict[str, Any] | None = None,
    data: str = "may",
    end: int = NOW - 2 * DAY,
    **metrics: float,
) -> Facts:
    """Facts of a run with these metrics."""
    figures = {key: {"last": value, "min": value, "max": value} for key, value in metrics.items()}
    attributes: dict[str, str | int | None] = {
        "run_id": "0" * 32, "start_time": end - 1000, "end_time": end, "status": "FINISHED",
    }  # fmt: skip
    datasets = {"name": [data], "digest": ["1"], "context": ["train"]}
    found = Facts(attributes, figures, params or {}, {"team": "a"}, (None,) * 20, datasets)
    return with_age(found, NOW)


def verdict(gate: Any, evidence: Evidence) -> Verdict:
    """What becomes of one gate."""
    (found,) = judge(parse_gates({"production": [gate]}, "registry.yaml")["production"], evidence)
    return found


GOOD = facts(auc=0.953, loss=0.2, params={"lr": 0.1, "features": "few"})
NOW_IN = facts(auc=0.948, loss=0.2)


@pytest.mark.parametrize(
    ("gate", "outcome", "why"),
    [
        ("metrics.auc >= 0.9", "passed", "metrics.auc is 0.953, asked >= 0.9"),
        ("metrics.auc >= 0.96", "failed", "metrics.auc is 0.953, asked >= 0.96"),
        ("metrics.f1 >= 0.9", "failed", "there is no metrics.f1, asked >= 0.9"),
        ("metrics.loss.min < 0.3", "passed", "metrics.loss.min is 0.2, asked < 0.3"),
        ("params.lr <= 0.1", "passed", "params.lr is 0.1, asked <= 0.1"),
        ("params.features != 'all'", "passed", "params.features is 'few', asked != 'all'"),
        ("tags.team = 'a'", "passed", "tags.team is 'a', asked = 'a'"),
        ("data.name = 'may'", "passed", "data.name is 'may', asked = 'may'"),
        ("data.digest IS NOT NULL", "passed", "data.digest is '1', asked IS NOT NULL"),
        ("status = 'finished'", "passed", "status is 'FINISHED', asked = 'FINISHED'"),
        ("age < 30d", "passed", "age is 2d, asked < 30d"),
        ("age < 12h", "failed", "age is 2d, asked < 0.5d"),
        (
            "metrics.auc >= current.metrics.auc - 0.005",
            "passed",
            "metrics.auc is 0.953, asked >= 0.943 (metrics.auc of the current version - 0.005)",
        ),
        (
            "metrics.auc > current.metrics.auc * 1.01",
            "failed",
            "metrics.auc is 0.953, asked > 0.95748 (metrics.auc of the current version * 1.01)",
        ),
        (
            "metrics.loss <= current.metrics.f1",
            "failed",
            "metrics.loss is 0.2, asked <= metrics.f1 of the current version, which has no such"
            " number",
        ),
        (
            "metrics.auc > 0.99 OR metrics.loss < 0.3",
            "passed",
            "metrics.auc is 0.953, asked > 0.99; metrics.loss is 0.2, asked < 0.3",
        ),
    ],
)  # fmt: skip
def test_a_condition_is_judged_with_its_numbers(gate: str, outcome: str, why: str) -> None:
    """The verdict says what was found and what was asked."""
    found = verdict(gate, Evidence(GOOD, NOW_IN))
    assert (found.gate, found.outcome, found.why) == (gate, outcome, why)


@pytest.mark.parametrize(
    ("gate", "first", "missing"),
    [
        ("metrics.auc >= current.metrics.auc", True, False),
        ("NOT metrics.auc < current.metrics.auc", True, False),
        ("metrics.auc >= 0.99 AND metrics.auc >= current.metrics.auc", False, False),
        ("metrics.auc >= 0.9 OR metrics.auc >= current.metrics.auc", True, True),
        ("NOT (metrics.auc < 0.99 AND metrics.auc < current.metrics.auc)", True, False),
    ],
)
def test_the_first_version_of_a_stage_has_nothing_to_beat(
    gate: str, first: bool, missing: bool
) -> None:
    """What compares with the current version holds then, and only that; a missing number fails."""
    assert verdict(gate, Evidence(GOOD, None)).passed is first
    assert verdict(gate, Evidence(GOOD, facts(loss=0.1))).passed is missing


@pytest.mark.parametrize("number", [float("nan"), float("inf"), float("-inf")])
def test_a_run_that_diverged_does_not_pass(number: float) -> None:
    """NaN is no number that is large, or small, enough; it is on neither side."""
    odd = facts(auc=number)
    assert verdict("metrics.auc >= 0.9", Evidence(odd)).passed is (number == float("inf"))
    assert not verdict(
        "metrics.auc >= current.metrics.auc", Evidence(facts(auc=float("nan")), odd)
    ).passed
    if number != number:
        assert not verdict("metrics.auc >= current.metrics.auc", Evidence(GOOD, odd)).passed


@pytest.mark.parametrize(
    "gate",
    [
        "NOT metrics.error > 0.1",
        "NOT (metrics.error > 0.1 OR metrics.auc < 0.5)",
        "metrics.error != 0.5",
        "metrics.error NOT IN (1, 2)",
        "NOT metrics.error > current.metrics.error",
        "NOT NOT metrics.error < 0.1",
    ],
)
def test_what_a_run_does_not_tell_passes_no_gate(gate: str) -> None:
    """To leave a metric out, or to log NaN, is no way around a condition, whatever its form."""
    now = facts(error=0.05)
    assert verdict(gate, Evidence(facts(auc=0.9, error=0.01), now)).passed
    assert not verdict(gate, Evidence(facts(auc=0.9), now)).passed
    assert not verdict(gate, Evidence(facts(auc=0.9, error=float("nan")), now)).passed
    assert verdict(f"metrics.error IS NULL OR {gate}", Evidence(facts(auc=0.9), now)).passed


@given(st.floats(0, 1), st.floats(0, 1), st.floats(-0.1, 0.1))
def test_a_tolerance_is_that_of_numbers(new: float, old: float, by: float) -> None:
    """`a >= current.a + x` is the comparison of Python's floats."""
    gate = f"metrics.auc >= current.metrics.auc + {by!r}"
    found = verdict(gate, Evidence(facts(auc=new), facts(auc=old)))
    assert found.passed is (new >= old + by)


def test_a_signature_is_compatible_or_not() -> None:
    """With the version that holds the stage; the reasons are told."""
    gate = "signature.compatible"
    assert verdict(gate, Evidence(GOOD)).passed
    breaks = Compatibility("incompatible", ("the input b is required",))
    found = verdict(gate, Evidence(GOOD, NOW_IN, breaks))
    assert (found.outcome, found.why) == ("failed", "the input b is required")
    assert verdict(gate, Evidence(GOOD, NOW_IN, Compatibility("compatible", ("c",)))).passed


def test_approvals_are_those_of_people() -> None:
    """One who approves twice is one; without a forge nobody knows, and that fails."""
    gate = "approved_by(2)"
    assert verdict(gate, Evidence(GOOD, approvals=("ada", "bo"))).passed
    found = verdict(gate, Evidence(GOOD, approvals=("ada", "ada")))
    assert (found.outcome, found.why) == ("failed", "approved by ada, asked 2")
    found = verdict(gate, Evidence(GOOD))
    assert (found.outcome, found.passed) == ("unknown", False)


@pytest.mark.parametrize(
    "gate", ["reproduced", "reproduced.bytes", "signed", {"command": ["true"]}]
)
def test_what_nobody_has_looked_at_does_not_pass(gate: Any) -> None:
    """Unknown is not passed."""
    found = verdict(gate, Evidence(GOOD))
    assert (found.outcome, found.passed) == ("unknown", False)
    yes = Answer(True, "seen")
    looked = {"reproduced": yes, "reproduced_bytes": yes, "signed": yes}
    known = Evidence(GOOD, **looked, commands={("true",): yes})
    assert verdict(gate, known).passed


EVALUATE = {
    "evaluate": {"entry_point": "score", "dataset": "holdout", "metrics": ["metrics.auc >= 0.9"]}
}


def measured(
    auc: float, *, entry: str = "score", data: str = "holdout", ago: int = 1
) -> Evaluation:
    """What CI measured some days ago."""
    return Evaluation(entry, "f" * 32, facts(auc=auc, data=data, end=NOW - ago * DAY))


def test_what_ci_measured_counts_not_what_the_author_logged() -> None:
    """A run that claims 0.999 is judged by the holdout; without a measurement it does not pass."""
    claims = Evidence(facts(auc=0.999))
    assert verdict(EVALUATE, claims).outcome == "unknown"
    found = verdict(EVALUATE, replace(claims, evaluations=[measured(0.6)]))
    assert (found.outcome, found.why) == (
        "failed",
        "run ffffffff: metrics.auc is 0.6, asked >= 0.9",
    )
    assert verdict(EVALUATE, replace(claims, evaluations=[measured(0.95)])).passed


def test_only_a_fitting_measurement_counts() -> None:
    """Of the gate's entry point and dataset, the newest."""
    others = [measured(0.95, entry="train"), measured(0.95, data="public")]
    assert verdict(EVALUATE, Evidence(GOOD, evaluations=others)).outcome == "unknown"
    twice = [measured(0.95, ago=3), measured(0.5, ago=1), measured(0.95, ago=2)]
    assert verdict(EVALUATE, Evidence(GOOD, evaluations=twice)).outcome == "failed"


def test_measurements_are_compared_with_measurements() -> None:
    """The current version's are CI's as well, never what its author logged."""
    asked = {"entry_point": "score", "metrics": ["metrics.auc >= current.metrics.auc"]}
    gate = {"evaluate": asked}
    here = Evidence(GOOD, facts(auc=0.1), evaluations=[measured(0.7)])
    assert verdict(gate, here).outcome == "unknown"
    assert not verdict(gate, replace(here, current_evaluations=[measured(0.8)])).passed
    assert verdict(gate, replace(here, current_evaluations=[measured(0.6)])).passed
    assert verdict(gate, replace(here, current=None)).passed


def test_a_gate_that_is_asked_twice_is_judged_once() -> None:
    """By the policy and by the model."""
    gates = parse_gates({"production": ["signed", "metrics.auc > 0", "signed"]}, "it")["production"]
    assert [found.gate for found in judge(gates, Evidence(GOOD))] == ["signed", "metrics.auc > 0"]


@pytest.mark.parametrize(
    ("gate", "why"),
    [
        ("signature.compatibel", "gates/production/0: there is no gate 'signature.compatibel'"),
        ("approved_by(0)", r"there is no gate 'approved_by\(0\)'; known: .*approved_by\(N\)"),
        ("metrics.auc => 0.9", "gates/production/0: gate, column 14"),
        ("metrics.auc >= 'high'", "column 16: metrics.auc is a number"),
        ("age < 30", "column 7: expected a time such as 30d"),
        ("current.metrics.auc < 1", "column 1: write what is asked of the new version first"),
        ("metrics.auc > current.tags.x", "only numbers of the current version"),
        ("metrics.auc > current.metrics.auc - x", "column 37: expected a number"),
        ("metrics.auc > current.metrics.auc / 0", "can't be divided by 0"),
        ("", "is not a gate|should be non-empty"),
        ({"command": []}, "."),
        ({"command": ["x"], "evaluate": {}}, "."),
        ({"evaluate": {"entry_point": "score"}}, "."),
        (3, "."),
    ],
)
def test_what_is_no_gate_is_refused_when_it_is_read(gate: Any, why: str) -> None:
    """In the policy and in a model's file, with its place; so `gitml validate` finds it."""
    import json

    text = f"schema: 1\ngates:\n  production: [{json.dumps(gate)}]\n".encode()
    for parse in (policy.parse, files.parse):
        with pytest.raises(FormatError, match=why):
            parse(text, "registry.yaml")


def test_a_policy_says_stages_gates_and_who_ci_is() -> None:
    """Without a word of them, the stages are staging and production."""
    assert policy.parse(b"schema: 1\n").stages == ("staging", "production")
    text = (
        b"schema: 1\nstages: [canary]\ngates: {canary: [signed]}\nci: {signers: [ci@example.org]}\n"
    )
    found = policy.parse(text)
    assert (found.stages, [*found.gates], found.ci_signers) == (
        ("canary",), ["canary"], ("ci@example.org",),
    )  # fmt: skip


def test_gates_of_no_stage_are_refused() -> None:
    """A misspelt stage would let every version pass."""
    with pytest.raises(FormatError, match=r"gates/prodution: there is no stage.*'production'"):
        policy.parse(b"schema: 1\ngates: {prodution: [signed]}\n")
    with pytest.raises(FormatError, match=r"gates/production.*the stages are canary"):
        policy.parse(b"schema: 1\nstages: [canary]\ngates: {production: [signed]}\n")
