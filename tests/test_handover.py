"""Runs of DVC's experiments outlive the temporary folder that DVC makes for them and removes."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

import pytest

import gitml
from gitml import git as gate
from gitml.errors import GitError
from gitml.tracking import live, recording, starting
from gitml.tracking.place import place_of
from tests import invariants
from tests.artifacts import dvc, objects_in
from tests.clones import BIG, Clone, team
from tests.conftest import run_git

TRAIN = f"""
import gitml, json, os, signal
lr = json.load(open("params.json"))["lr"]
with gitml.start_run(run_name=f"lr-{{lr}}"):
    gitml.log_param("lr", lr)
    gitml.log_text(str(lr) * {BIG}, "large.txt")
    if lr == 9:
        os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.fixture
def clone(tmp_path: Path, bare: Path) -> Clone:
    """A clone of a project that has a DVC remote."""
    (one,) = team(tmp_path, bare, "ann", dvc=True)
    return one


def copy_of(clone: Clone, *folders: str) -> Clone:
    """A temporary copy, as DVC makes one for an experiment."""
    folder = clone.folder.joinpath(".dvc", "tmp", "exps", *folders)
    run_git(clone.folder, "clone", "--quiet", "--no-hardlinks", str(clone.folder), str(folder))
    return Clone(folder)


@pytest.mark.slow
def test_an_experiment_of_dvc_is_recorded_in_the_project(clone: Clone) -> None:
    """With its code, its params and its large artifact; also one that is killed."""
    stage = {"cmd": f'"{sys.executable}" train.py', "deps": ["train.py"], "params": [
        {"params.json": ["lr"]}]}  # fmt: skip
    (clone.folder / "dvc.yaml").write_text(json.dumps({"stages": {"train": stage}}))
    (clone.folder / "train.py").write_text(TRAIN)
    (clone.folder / "params.json").write_text('{"lr": 1}')
    clone.git("add", ".")
    clone.git("commit", "--quiet", "--message", "A stage")
    experiment = ("exp", "run", "--quiet", "--temp", "--set-param")
    dvc(clone.folder, *experiment, "params.json:lr=2")
    (record,) = clone.records().values()
    assert record.params == {"lr": 2}
    dvc(clone.folder, *experiment, "params.json:lr=9", check=False)
    recording.recover(place_of(gate.find(clone.folder)))
    assert clone.records()["lr-9"].status == "KILLED"
    for lr, run_id in ((9, "gitml/runs"), (2, "gitml/runs~1")):
        parents = clone.git("log", "-1", "--format=%P", run_id).split()
        assert json.loads(clone.git("show", f"{parents[-1]}:params.json")) == {"lr": lr}
    assert clone.push().objects == 2
    assert clone.pointer(record.run_id).md5 in objects_in(clone.folder.parent / "dvc" / "gitml")


@pytest.mark.parametrize("folders", [("tmp1",), ("standalone", "tmp1")])
def test_runs_of_a_copy_join_those_of_the_project(clone: Clone, folders: tuple[str, ...]) -> None:
    """Those that are there stay; runs and changes come as they are made."""
    clone.run("before")
    copy = copy_of(clone, *folders)
    (copy.folder / "file.txt").write_text("of the copy")
    copy.git("add", ".")
    run_id = copy.run("one", files={"large.bin": b"x" * BIG})
    clone.run("between")
    copy.tag(run_id, team="risk")
    copy.run("two")
    shutil.rmtree(copy.folder)
    found = clone.records()
    assert set(found) == {"before", "one", "between", "two"}
    assert found["one"].tags == {"team": "risk"}
    assert clone.push().withheld == {}
    invariants.check_sound(clone.folder)


def test_the_first_run_of_a_project_may_be_that_of_a_copy(clone: Clone) -> None:
    """The ledger begins with it."""
    copy_of(clone, "tmp1").run("one")
    clone.run("two")
    assert set(clone.records()) == {"one", "two"}


def test_data_of_a_copy_has_the_projects_path(
    clone: Clone, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And what DVC knows of it there, not the path of a folder that is soon gone."""
    pointer = {"outs": [{"path": "data.csv", "md5": "0" * 32}]}
    (clone.folder / "data.csv.dvc").write_text(json.dumps(pointer))
    (clone.folder / "table.csv").write_text("a\n1\n")
    clone.git("add", "data.csv.dvc", "table.csv")
    clone.git("commit", "--quiet", "--message", "Data")
    copy = copy_of(clone, "tmp1")
    (copy.folder / "data.csv").write_text("a\n1\n")
    monkeypatch.chdir(copy.folder)
    with gitml.start_run(run_name="one"):
        gitml.log_input("data.csv")
        gitml.log_input("table.csv")
    tracked, table = clone.records()["one"].datasets
    assert tracked.source["uri"] == "data.csv"
    assert tracked.source["pointer"] == "data.csv.dvc"
    assert (table.source_type, table.source["uri"]) == ("git", "table.csv")


def test_a_run_of_a_copy_that_is_killed_is_the_projects(clone: Clone) -> None:
    """It can be seen there as long as it goes on, and is recovered there when the copy is gone."""
    copy = copy_of(clone, "tmp1")
    (copy.folder / "file.txt").write_text("of the copy")
    copy.git("add", ".")
    session, _ = starting.start(place_of(gate.find(copy.folder)), starting.Wish(name="one"))
    session.metric("loss", 1.0, 0, 1000)
    place = place_of(gate.find(clone.folder))
    assert [one.name for one in recording.live_records(place)] == ["one"]
    assert session._writing is not None
    session._writing.abandon()
    shutil.rmtree(copy.folder)
    clone.git("gc", "--quiet", "--prune=now")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(live.Writer, "state", lambda writer, owner: live.DEAD)
        recording.recover(place)
    (found,) = clone.records().values()
    assert (found.name, found.status, found.metrics["loss"].last) == ("one", "KILLED", 1.0)
    commit = clone.git("log", "-1", "--format=%P", "gitml/runs").split()[-1]
    assert clone.git("show", f"{commit}:file.txt") == "of the copy"


def test_a_run_that_the_project_can_not_take_waits_there(clone: Clone) -> None:
    """Its journal outlives the copy, and is recorded as soon as that is possible."""
    copy = copy_of(clone, "tmp1")
    clone.run("before")
    clone.git("checkout", "--quiet", "gitml/runs")
    with pytest.raises(GitError, match="checked out"):
        copy.run("one")
    shutil.rmtree(copy.folder)
    clone.git("checkout", "--quiet", "-")
    recording.recover(place_of(gate.find(clone.folder)))
    assert set(clone.records()) == {"before", "one"}
