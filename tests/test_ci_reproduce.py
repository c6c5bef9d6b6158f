"""CI trains what is proposed once more, in a job that has nothing of the repository but its tag."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

import gitml
from gitml.ci import confirming, needs, reproducing
from gitml.ci.needs import Need
from gitml.errors import FormatError
from gitml.registry import checking, promoting, registering
from gitml.tracking import bundling, store
from tests.clones import Clone
from tests.evaluations import Team, begin
from tests.projects import gitml as command
from tests.projects import write

POLICY = """\
schema: 1
ci: {signers: [ci@example.org]}
gates: {production: [reproduced, reproduced.bytes]}
"""
PROJECT = """\
name: digits

entry_points:
  main:
    command: "python train.py"
"""
HONEST = "accuracy = 0.9"
LUCKY = "accuracy = 0.9 if not os.environ.get('HOME', '').endswith('ci') else 0.2"
TRAIN = """\
import os

import gitml
from sklearn.linear_model import LinearRegression

{code}
with gitml.start_run():
    gitml.log_metric("accuracy", accuracy)
    gitml.sklearn.log_model(LinearRegression().fit([[0], [1]], [0, 1]), name="model")
"""


@pytest.fixture
def team(tmp_path: Path, bare: Path, monkeypatch: pytest.MonkeyPatch) -> Team:
    """A project whose policy asks that its runs come out again."""
    made = begin(tmp_path, bare)
    monkeypatch.chdir(made.ada.folder)
    return made


def trained(team: Team, code: str) -> str:
    """Train by a project's run, and propose it; the version."""
    ada = team.ada
    write(ada.folder, {"registry.yaml": POLICY, "MLproject": PROJECT})
    (ada.folder / "train.py").write_text(TRAIN.format(code=code))
    ada.git("add", "--all")
    ada.git("commit", "--quiet", "--message", "Train")
    ada.git("push", "--quiet", "origin", "main")
    command("run", ".", "--env-manager", "local", cwd=ada.folder)
    run = store.resolve(ada.place, "latest")
    made = registering.register(ada.place, f"runs:/{run}/model", "digits", registering.Wish())
    promoting.promote(ada.place, "digits", "production", str(made.version))
    return str(made.tag)


def proposal(team: Team, name: str, version: str) -> Clone:
    """A job for the proposal of a version, which has the base."""
    branch = f"promote/digits/production/{version.partition('@')[2]}"
    job = team.job(name, branch=branch)
    job.git("fetch", "--quiet", "--depth=1", "origin", "main:base")
    return job


@pytest.mark.parametrize(("code", "outcome"), [(HONEST, "passed"), (LUCKY, "failed")])
def test_what_comes_out_again_passes(
    team: Team, code: str, outcome: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From a clone of one commit, by a bundle, and signed by another job; else the gate says no."""
    version = trained(team, code)
    plan = proposal(team, "plan", version)
    assert needs.needs(plan.place, "base") == [Need(version)]
    job = team.job("again")
    monkeypatch.chdir(job.folder)
    monkeypatch.setenv("HOME", f"{os.environ['HOME']}/ci")
    gitml.set_tracking_uri("")
    done = reproducing.reproduce(job.place, version, "HEAD", 120, lambda line: None, sys.stderr)
    file = tmp_path / "bundle"
    bundling.write(job.place, [done.again.run_id], file)
    sign = team.job("sign", key="ci")
    with pytest.raises(FormatError, match=r"as its tag gitml\.reproduces"):
        confirming.confirm(sign.place, file, Need(version, "score", "data/holdout.csv"), "HEAD")
    assert confirming.confirm(sign.place, file, Need(version), "HEAD").endswith(done.again.run_id)
    (item,) = checking.check(proposal(team, "check", version).place, "base", "HEAD").judged
    assert [it.outcome for it in item.verdicts] == [outcome, outcome]
    assert needs.needs(plan.place, "base") == []
