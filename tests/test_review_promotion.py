"""The text of a pull request: what a reviewer has to know, in which nothing from outside acts."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings

from gitml.models.compatibility import Compatibility
from gitml.resources import resource
from gitml.review.code import FileChange
from gitml.review.promotion import Gate, Promotion, Side, body
from gitml.tracking.record import Code, Dataset, MetricSummary, RunRecord
from tests.records import run_records
from tests.test_review_markdown import HOSTILE

RUN = RunRecord("0" * 32, "calm-otter", "churn", "churn", "FINISHED", 1_700_000_000_000)
HERE = Code(commit="4be1c0" + "0" * 34, tree="0" * 40)


def metric(value: float) -> MetricSummary:
    """The summary of one point."""
    return MetricSummary(value, 0, value, value, 1)


def side(version: str, run: RunRecord = RUN, **metrics: float) -> Side:
    """A version with its metrics."""
    told = {key: metric(value) for key, value in metrics.items()}
    run = replace(run, metrics=told or run.metrics, user=run.user or "ada", code=run.code)
    return Side(version, run, "9" * 40, "sha256:" + "d" * 64, "Cleo <cleo@example.org>")


OLD = side("v1.0.0", replace(RUN, params={"lr": 0.1, "depth": 3}), auc=0.9, loss=0.2, lr=1)
NEW = side(
    "v1.1.0",
    replace(
        RUN,
        run_id="1" * 32,
        name="brave-lynx",
        params={"lr": 0.2, "depth": 3},
        code=replace(HERE, dirty=True),
        datasets=(Dataset("may", "d1"),),
    ),
    auc=0.95,
    loss=0.25,
    lr=2,
)
PLAIN = Promotion(
    "v1.1.0 takes the stage production; v1.0.0 held it.",
    NEW,
    OLD,
    Compatibility("incompatible", ("the input age is new and required",)),
    (
        Gate("metrics.auc >= 0.9", "passed", "0.95 >= 0.9"),
        Gate("approved_by(1)", "asked", ""),
        Gate("signed", "unknown", "nobody looked"),
    ),
    (FileChange("train.py", 3, 1), FileChange("logo.png", None, None)),
    "https://example.org/ada/churn/compare/a...b",
)
LINES = [
    "v1.1.0 takes the stage production; v1.0.0 held it.",
    "|  | In this stage now | Proposed |",
    "| Version | `v1.0.0` | `v1.1.0` |",
    "| Trained by | `ada` | `ada` |",
    "| Registered by | `Cleo` | `Cleo` |",
    "| Trained on | 2023-11-14 22:13 UTC | 2023-11-14 22:13 UTC |",
    "| Code | - | `4be1c0000000`, with changes that were not committed |",
    "| `auc` | 0.9 | 0.95 | +0.05, **better** |",
    "| `loss` | 0.2 | 0.25 | +0.05, worse |",
    "| `lr` | 1 | 2 | +1 |",
    "The signature changes, and **clients of the version in use may fail**.",
    "- `the input age is new and required`",
    "| `metrics.auc >= 0.9` | ✅ passed | `0.95 >= 0.9` |",
    "| `approved_by(1)` | ⏳ asked by the check | - |",
    "| `signed` | ❌ unknown | `nobody looked` |",
    "<details><summary>1 param that differs</summary>",
    "| `lr` | `0.1` | `0.2` |",
    "| `may` | - | `d1` |",
    "<details><summary>2 files of the code differ</summary>",
    "- `train.py` +3 -1",
    "- `logo.png` binary",
    "Code: [read the difference](<https://example.org/ada/churn/compare/a...b>)",
]


def test_what_a_reviewer_reads() -> None:
    """Both versions side by side: metrics, signature and its meaning, gates, data, code, people."""
    made = body(PLAIN).splitlines()
    assert [line for line in LINES if line not in made] == []
    assert not any("depth" in line for line in made)
    assert "$" not in "".join(made)


def test_the_first_version_in_a_stage_stands_alone() -> None:
    """There is nothing to compare with: all its params are told, and no client can notice."""
    made = body(Promotion("v1.1.0 takes production.", NEW)).splitlines()
    assert "| `auc` | 0.95 |" in made
    assert "<details><summary>2 params</summary>" in made
    assert "No version holds the stage, so that no client can notice a change." in made
    assert "The policy asks for none." in made


def test_much_is_cut() -> None:
    """A reviewer reads tables of a bearable length; the rest is counted."""
    many = replace(RUN, params={f"p{n}": n for n in range(1000)}, metrics={})
    made = body(Promotion("x", Side("v1.0.0", many, "9" * 40, "")))
    assert "960 more are in the runs." in made
    assert "No metrics were logged." in made
    assert len(made) < 5000


@pytest.mark.parametrize("text", HOSTILE)
def test_no_text_of_a_run_acts(text: str) -> None:
    """Names, values, users, paths and reasons are inline code, wherever they come from."""
    run = replace(
        RUN,
        name=text,
        experiment=text,
        user=text,
        params={text: text, "a": [text]},
        metrics={text: metric(1), "n": metric(float("nan"))},
        datasets=(Dataset(text, text, text),),
        code=Code(commit=text, tree=text, dirty=True, drift=(text,)),
    )
    other = replace(run, params={text: 1}, metrics={text: metric(2)}, datasets=())
    made = body(
        Promotion(
            "what",
            Side(text, run, text, text, text),
            Side(text, other, text, text, text),
            Compatibility("compatible", (text,)),
            (Gate(text, text, text),),
            (FileChange(text, 1, 1),),
            text,
        )
    )
    assert_inert(made, text)


@given(run_records(), run_records())
@settings(max_examples=30, suppress_health_check=[HealthCheck.too_slow])
def test_no_run_breaks_the_text(one: RunRecord, other: RunRecord) -> None:
    """Whatever two runs hold, tables stay tables and nothing stands outside of code."""
    made = body(Promotion("what", Side("v2.0.0", one, "", ""), Side("v1.0.0", other, "", "")))
    assert_inert(made, "")


OWN = re.compile(r"</?details>|</?summary>|\[read the difference\]\(<https?://\S+>\)")


def assert_inert(made: str, text: str) -> None:
    """Outside of inline code there is nothing but the outline's own words."""
    assert all(char.isprintable() or char == "\n" for char in made)
    for line in made.splitlines():
        rest = OWN.sub("", without_code(line))
        assert not re.search(r"[<>@`]|\]\(|https?:|\$|#\d", rest), line
        assert "\u00a6" in text or rest.count("|") in (0, 3, 4, 5), line


def without_code(line: str) -> str:
    """A line without its inline code, found as CommonMark finds it."""
    return re.sub(r"(?<!`)(`+)(?!`).*?(?<!`)\1(?!`)", "", line)


def test_the_outline_is_a_template_of_gitml() -> None:
    """A wheel carries it, and every part of it is filled in."""
    outline = resource("templates", "pull_request.md").read_text(encoding="utf-8")
    assert set(re.findall(r"\$\{(\w+)\}", outline)) == {
        "what", "versions", "metrics", "signature", "gates", "params", "data", "code",
    }  # fmt: skip
