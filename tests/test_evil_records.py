"""A run whose record holds what it must not costs no other run, and never ends in a traceback.

Each is written into the ledger by plain git, as somebody who can push may do.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import gitml
from gitml.tracking.names import new_run_id
from tests import evil_records
from tests.cli import Caller
from tests.evil_records import EVIL

# Where one evil value of each kind of field stands; every value of EVIL is tried at each.
PLACES: tuple[tuple[Any, ...], ...] = (
    ("name",), ("status",), ("start_time",), ("deleted",), ("params",), ("params", "lr"),
    ("metrics",), ("metrics", "auc", "last"), ("metrics", "auc", "step"), ("tags", "team"),
    ("datasets", 0), ("datasets", 0, "source"), ("datasets", 0, "source_type"),
    ("datasets", 0, "tags"), ("artifacts", "notes.txt"), ("artifacts", "notes.txt", "size"),
    ("models", "model"), ("models", "model", "flavors"), ("sessions",),
    ("source", "command"), ("code", "dirty"), ("code", "drift"), ("environment",),
    ("environment", "python"), ("environment", "cpus"), ("clock",), ("clock", "status"),
    ("param_conflicts", "seed"), ("schema",), ("unheard_of",),
)  # fmt: skip


@pytest.fixture
def caller(capsys: pytest.CaptureFixture[str]) -> Caller:
    """Calls the command line."""
    return Caller(capsys)


def good(repo: Path) -> str:
    """The id of a run that gitml recorded."""
    with gitml.start_run(run_name="good") as run:
        gitml.log_metric("auc", 0.5)
    return run.info.run_id


def planted(repo: Path, places: tuple[tuple[Any, ...], ...]) -> dict[str, str]:
    """Runs with every evil value at each of some places: what each is, by id."""
    made = {new_run_id(): (path, name, value) for path in places for name, value in EVIL.items()}
    evil = {id: evil_records.spoilt(id, path, value) for id, (path, _, value) in made.items()}
    for run_id in list(evil)[::2]:  # the index reads those in another way
        evil[run_id] = evil_records.finite(evil[run_id])
    evil_records.record(repo, evil)
    return {id: f"{'.'.join(map(str, path))}: {name}" for id, (path, name, _) in made.items()}


@pytest.mark.slow
@pytest.mark.parametrize("place", PLACES, ids=lambda place: ".".join(map(str, place)))
def test_commands_on_an_evil_record(
    repo: Path, capsys: pytest.CaptureFixture[str], place: tuple[Any, ...]
) -> None:
    """It is shown, compared and tagged, or refused in one line; never is it called a bug."""
    from gitml.cli.main import run

    first = good(repo)
    evil = planted(repo, (place,))
    wrong = []
    for number, (run_id, what) in enumerate(evil.items()):
        commands = [["runs", "show", run_id]]
        if number % 3 == 0:
            commands += [["runs", "diff", first, run_id], ["runs", "tag", run_id, "k=v"]]
        for command in commands:
            code = run(command)
            told = capsys.readouterr().err
            if code not in (0, 2, 3) or "Traceback" in told or (code and told.count("\n") != 1):
                wrong.append((what, command[1], code, told[:200]))
    assert wrong == []
    assert first in json.loads(_listed(capsys))


def _listed(capsys: pytest.CaptureFixture[str]) -> str:
    from gitml.cli.main import run

    assert run(["runs", "list", "--format", "json"]) == 0
    return json.dumps([item["run_id"] for item in json.loads(capsys.readouterr().out)])


def test_the_first_listing_names_what_it_can_not_read(repo: Path, caller: Caller) -> None:
    """Of a record without NaN and infinities the index reads only what it needs."""
    first, second = good(repo), new_run_id()
    evil = evil_records.spoilt(second, ("artifacts",), [])
    evil_records.record(repo, {second: evil_records.finite(evil)})
    done = caller("runs", "list", "--limit", "0")
    assert first[-8:] in done.out
    assert second in done.err
    assert "no mapping" in done.err
    assert caller("runs", "list", "--format", "json").json[0]["run_id"] == first


def test_the_other_runs_still_work(repo: Path, caller: Caller, tmp_path: Path) -> None:
    """With every evil record there, the good run is listed, shown, exported, tagged, added to."""
    first = good(repo)
    planted(repo, PLACES)
    later = good(repo)
    names = [item["name"] for item in caller("runs", "list", "--format", "json").json]
    assert names.count("good") == 2
    caller("runs", "export", "--all", "--output", tmp_path / "all.csv")
    assert (tmp_path / "all.csv").read_text("utf-8").count("good") >= 2
    caller("runs", "export", "--all", "--output", tmp_path / "all.json")
    assert "good" in (tmp_path / "all.json").read_text("utf-8")
    assert caller("runs", "show", first, "--format", "json").json["name"] == "good"
    caller("runs", "diff", first, later)
    caller("runs", "tag", first, "k=v")
    gitml.MlflowClient().log_metric(first, "auc", 0.7)
    run = gitml.get_run(first)
    assert (run.data.tags["k"], run.data.metrics["auc"]) == ("v", 0.7)
    frame = gitml.search_runs(filter_string="metrics.auc > 0.6", search_all_experiments=True)
    assert first in list(frame["run_id"])
