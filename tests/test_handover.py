"""Runs of DVC's experiments outlive the temporary folder that DVC makes for them and removes."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

import pytest

from gitml.tracking.handover import HandoverWarning
from tests import invariants
from tests.artifacts import dvc, objects_in
from tests.clones import BIG, Clone, team
from tests.conftest import run_git

TRAIN = f"""
import gitml, json
lr = json.load(open("params.json"))["lr"]
with gitml.start_run(run_name=f"lr-{{lr}}"):
    gitml.log_param("lr", lr)
    gitml.log_text(str(lr) * {BIG}, "large.txt")
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
    """With its code, its params and its large artifact, which can be pushed."""
    stage = {"cmd": f'"{sys.executable}" train.py', "deps": ["train.py"], "params": [
        {"params.json": ["lr"]}]}  # fmt: skip
    (clone.folder / "dvc.yaml").write_text(json.dumps({"stages": {"train": stage}}))
    (clone.folder / "train.py").write_text(TRAIN)
    (clone.folder / "params.json").write_text('{"lr": 1}')
    clone.git("add", ".")
    clone.git("commit", "--quiet", "--message", "A stage")
    dvc(clone.folder, "exp", "run", "--quiet", "--temp", "--set-param", "params.json:lr=2")
    (record,) = clone.records().values()
    assert record.params == {"lr": 2}
    commit = clone.git("log", "-1", "--format=%P", "gitml/runs").split()[-1]
    assert json.loads(clone.git("show", f"{commit}:params.json")) == {"lr": 2}
    assert clone.push().objects == 1
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


def test_a_run_that_can_not_be_handed_over_is_told(clone: Clone) -> None:
    """It is recorded in the copy, and the training goes on."""
    copy = copy_of(clone, "tmp1")
    clone.run("before")
    clone.git("checkout", "--quiet", "gitml/runs")
    with pytest.warns(HandoverWarning, match=r"temporary folder of DVC only.*checked out"):
        copy.run("one")
    assert set(copy.records()) == {"one"}
