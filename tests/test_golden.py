"""Ledgers and journals that earlier versions have written: they are read for ever."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from gitml.tracking import recording, store
from gitml.tracking.experiment import to_document as experiment_to_document
from gitml.tracking.place import Place
from gitml.tracking.record import to_document
from tests import invariants
from tests.clones import Clone
from tests.conftest import run_git

GOLDEN = Path(__file__).resolve().parent / "golden"
VERSIONS = sorted(path.name for path in GOLDEN.iterdir() if path.is_dir())


@pytest.fixture(params=VERSIONS)
def golden(request: pytest.FixtureRequest) -> Path:
    """The folder of each golden ledger."""
    return GOLDEN / str(request.param)


@pytest.fixture
def old(golden: Path, tmp_path: Path) -> Clone:
    """A repository as a version of gitml has left it."""
    folder = tmp_path / "old"
    folder.mkdir()
    run_git(folder, "init", "--quiet", "--initial-branch=main")
    run_git(folder, "config", "user.name", "Ada")
    run_git(folder, "config", "user.email", "ada@example.org")
    with (golden / "ledger.txt").open("rb") as stream:
        subprocess.run(("git", "fast-import", "--quiet"), cwd=folder, stdin=stream, check=True)
    run_git(folder, "reset", "--quiet", "--hard")
    for name in ("cache", "live"):
        shutil.copytree(golden / name, folder / ".git" / "gitml" / name)
    for path in (folder / ".git" / "gitml" / "live").rglob("*"):
        os.utime(path, (1_767_225_600, 1_767_225_600))  # a process that is long gone
    dvc = f"['remote \"storage\"']\n    url = {tmp_path}/dvc\n"
    (folder / ".dvc" / "config.local").write_text(dvc)
    return Clone(folder)


def read(place: Place) -> dict[str, Any]:
    """All that there is to read: runs, their histories and artifacts, and experiments."""
    runs = sorted(store.search(place, view="all"), key=lambda record: record.run_id)
    return {
        "runs": [to_document(record) for record in runs],
        "histories": {
            f"{record.run_id} {key}": [
                [step, at, repr(value)]
                for _, step, at, value in store.history(place, record.run_id, key)
            ]
            for record in runs
            for key in record.metrics
        },
        "artifacts": {
            f"{record.run_id} {path}": store.artifact(place, record.run_id, path).decode()
            for record in runs
            for path in record.artifacts
        },
        "experiments": [experiment_to_document(item) for item in store.experiments(place)],
    }


def test_what_was_recorded_is_read_as_it_was(old: Clone, golden: Path) -> None:
    """Runs, histories, artifacts and experiments, and a killed run out of its journal."""
    invariants.check_sound(old.folder)
    done = recording.recover(old.place, lost=True)
    assert [(run.problem, run.run_id) for run in done] == [(None, live(golden))]
    expected = json.loads((golden / "expected.json").read_text("utf-8"))
    assert read(old.place) == expected
    invariants.check_sound(old.folder)


def live(golden: Path) -> str:
    """The run that was killed."""
    (folder,) = (golden / "live").iterdir()
    return folder.name


def test_what_was_recorded_can_be_gone_on_with(old: Clone, bare: Path) -> None:
    """Old runs are tagged, resumed and pushed; nothing that was in them goes."""
    before = {record.run_id: record for record in store.search(old.place)}
    for run_id in before:
        old.tag(run_id, now="1")
    (first,) = (run_id for run_id, record in before.items() if record.name == "first")
    old.run("again", metric=0.25, resume=first)
    run_git(old.folder, "remote", "add", "origin", str(bare))
    report = old.push()
    assert (report.problems, report.withheld) == ((), {})
    after = {record.run_id: record for record in store.search(old.place)}
    for run_id, record in before.items():
        now = to_document(after[run_id])
        for name, value in to_document(record).items():
            if isinstance(value, dict) and name not in ("clock", "metrics"):
                assert value.items() <= now[name].items(), name
    assert after[first].metrics["auc"].count == before[first].metrics["auc"].count + 1
    invariants.check_sound(bare)
