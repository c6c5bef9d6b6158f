"""CI scores what is proposed: on data that its author can't read, by a program that is not his."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

import gitml
from gitml.ci import confirming, evaluating, needs
from gitml.ci.evaluating import Wish
from gitml.ci.needs import Need
from gitml.registry import checking
from gitml.tracking import bundling
from gitml.tracking.record import RunRecord
from tests.clones import Clone
from tests.evaluations import HONEST, Team, begin

ENTRY, DATA = "score", "data/holdout.csv"
FORGED = """\
import gitml

class Model(gitml.pyfunc.PythonModel):
    def predict(self, context, model_input, params=None):
        return model_input["number"].to_numpy() * 0
"""


@pytest.fixture
def team(tmp_path: Path, bare: Path, monkeypatch: pytest.MonkeyPatch) -> Team:
    """A project whose policy asks for an evaluation."""
    made = begin(tmp_path, bare)
    monkeypatch.chdir(made.ada.folder)
    return made


def evaluate(job: Clone, version: str, **more: Any) -> RunRecord:
    """Evaluate a version in a job."""
    os.chdir(job.folder)
    gitml.set_tracking_uri("")
    wish = Wish(version, "HEAD", ENTRY, DATA, "local", **more)
    return evaluating.evaluate(job.place, wish, lambda line: None)


def outcomes(team: Team, branch: str) -> dict[str, str]:
    """What the check says of each gate."""
    job = team.job(f"check-{len(list(team.bare.parent.iterdir()))}", branch=branch)
    job.git("fetch", "--quiet", "--depth=1", "origin", "main:base")
    (item,) = checking.check(job.place, "base", "HEAD").judged
    return {it.gate.split(":")[0]: it.outcome for it in item.verdicts}


def test_what_ci_measures_decides(team: Team, tmp_path: Path) -> None:
    """An honest version passes once CI has scored it; one that claims 0.999 and can't, does not."""
    for name, code, expected in (("honest", HONEST, "passed"), ("forged", FORGED, "failed")):
        version = team.version(code, 0.999)
        branch = team.propose(version)
        plan = team.job(f"plan-{name}", branch=branch)
        plan.git("fetch", "--quiet", "--depth=1", "origin", "main:base")
        need = Need(version, ENTRY, DATA)
        assert needs.needs(plan.place, "base") == [need]
        assert outcomes(team, branch)["evaluate score on data/holdout.csv"] == "unknown"
        job = team.job(f"score-{name}")
        run = evaluate(job, version)
        bundling.write(job.place, [run.run_id], tmp_path / name)
        sign = team.job(f"sign-{name}", key="ci")
        tag = confirming.confirm(sign.place, tmp_path / name, need, "HEAD")
        assert tag.endswith(run.run_id)
        assert outcomes(team, branch)["evaluate score on data/holdout.csv"] == expected
        assert needs.needs(plan.place, "base") == []
