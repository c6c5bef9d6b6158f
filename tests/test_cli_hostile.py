"""Runs that come from others may hold any text: it is shown, and never acts on a terminal."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

from gitml.tracking.record import Artifact, Code, Dataset, Environment, MetricSummary, Source
from tests.cli import HOSTILE, UNSAFE, Caller
from tests.ledgers import append, make_runs

TEXT = HOSTILE.replace("\ud800", "")  # a git commit or a JSON file holds no lone surrogate
KEY = TEXT.replace("\r\n", " ")  # a file of metrics holds no such key
COMMANDS = [
    ("runs", "list"),
    ("runs", "list", "--columns", "*"),
    ("runs", "list", "--metric", KEY),
    ("runs", "show", "latest"),
    ("runs", "artifacts", "latest"),
    ("runs", "diff", "latest", "EVIL"),
    ("runs", "diff", "latest", "EVIL", "--all"),
    ("runs", "export"),
]
LISTINGS = [command for command in COMMANDS if command[1] in ("list", "diff", "artifacts")]


@pytest.fixture
def call(capsys: pytest.CaptureFixture[str]) -> Caller:
    """Call the command line."""
    return Caller(capsys)


@pytest.fixture
def hostile(repo: Path) -> str:
    """A ledger with two runs whose every text is hostile; the id of the older one."""
    runs = [
        replace(
            run,
            name=TEXT, experiment=TEXT, user=TEXT, description=TEXT, reason=TEXT,
            params={TEXT: TEXT, "same": TEXT, f"p{number}": [TEXT]},
            metrics={KEY: MetricSummary(number, 0, number, number, 1)},
            tags={TEXT: TEXT, f"t{number}": TEXT},
            artifacts={TEXT: Artifact(1, TEXT, TEXT)},
            datasets=(Dataset(TEXT, TEXT, TEXT, {"uri": TEXT}, TEXT),),
            models={TEXT: {"flavors": {TEXT: {}}}},
            param_conflicts={TEXT: (TEXT, TEXT)},
            source=Source(TEXT, TEXT, (TEXT,), TEXT),
            code=Code(TEXT, TEXT, TEXT, True, TEXT, TEXT, (TEXT,), (TEXT,), {TEXT: TEXT}),
            environment=Environment(TEXT, TEXT, f"{TEXT}{number}", 1, TEXT),
        )
        for number, run in enumerate(make_runs(2))
    ]  # fmt: skip
    append(repo, runs)
    return runs[0].run_id


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_hostile_text_never_reaches_the_terminal(
    hostile: str, call: Caller, command: tuple[str, ...]
) -> None:
    """Neither tables nor remarks hold a character that acts."""
    shown = call(*(hostile if word == "EVIL" else word for word in command))
    assert "red" in shown.out
    assert not UNSAFE.search(shown.out + shown.err)


@pytest.mark.parametrize("format", ["json", "csv", "md"])
@pytest.mark.parametrize("command", LISTINGS, ids=" ".join)
def test_hostile_text_in_every_format(
    hostile: str, call: Caller, command: tuple[str, ...], format: str
) -> None:
    """The formats for machines are as harmless to look at."""
    if "--columns" in command and format != "md":
        return  # those have every field
    shown = call(*(hostile if word == "EVIL" else word for word in command), "--format", format)
    assert not UNSAFE.search(shown.out)
    if format == "md":
        assert "<b>" not in shown.out
        assert not re.search(r"(?<!\\)[\[\]]\w?\(", shown.out)


def test_json_keeps_hostile_text_as_it_is(hostile: str, call: Caller) -> None:
    """What a script reads is what was recorded."""
    assert call("runs", "list", "--format", "json").json[1]["name"] == TEXT
    assert call("runs", "show", hostile, "--format", "json").json["params"][TEXT] == TEXT


def test_hostile_text_forges_no_line(hostile: str, call: Caller) -> None:
    """A run takes one line of a table, whatever its name holds."""
    assert len(call("runs", "list").lines) == 3
    assert not any(line.startswith("forged") for line in call("runs", "show", "latest").lines)


def test_a_damaged_history_hides_no_run(repo: Path, call: Caller) -> None:
    """Its curve is missing; what the record says is shown."""
    damaged, well = make_runs(2)
    broken = replace(damaged, metrics={"auc\n": damaged.metrics["auc"], **damaged.metrics})
    append(repo, [broken, well])
    listed = call("runs", "list", "--metric", "auc", "--columns", "name,metrics.auc")
    assert len(listed.lines) == 3
    shown = call("runs", "show", broken.run_id)
    assert "is not a point of a metric history" in shown.err
    assert "auc" in shown.out


def test_hostile_paths_in_the_code(repo: Path, call: Caller) -> None:
    """Names of files and lines of code are outside text, too."""
    import gitml

    for name in ("one", "two"):
        Path("train.py").write_text(f"{TEXT} {name}\n", encoding="utf-8")
        with gitml.start_run(run_name=name):
            pass
    for more in ([], ["--code"], ["--format", "json"], ["--format", "md"]):
        shown = call("runs", "diff", "one", "two", *more)
        assert "train.py" in shown.out
        assert not UNSAFE.search(shown.out)
