"""A fork that goes on with a run of ours: what it says of the run's models does not count."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import gitml
import gitml.pyfunc
import gitml.sklearn
from gitml.errors import GitmlError
from gitml.models.trust import UntrustedModelError
from tests.clones import Clone, clone, team
from tests.models import Payload, estimator


@pytest.fixture
def ours(tmp_path: Path, bare: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Clone, str]:
    """A clone with a run of ours that has a model, and the run's id; all of it is pushed."""
    (ann,) = team(tmp_path, bare, "ann")
    monkeypatch.chdir(ann.folder)
    gitml.set_tracking_uri(ann.folder)
    with gitml.start_run() as run:
        gitml.sklearn.log_model(estimator(), name="model")
    ann.push()
    return ann, run.info.run_id


def evil(tmp_path: Path, bare: Path, ann: Clone, run_id: str, path: str) -> None:
    """A fork that resumed the run and logged a model with a payload, which Ann fetched."""
    stranger = clone(tmp_path, bare, "stranger")
    stranger.pull()
    gitml.set_tracking_uri(stranger.folder)
    with gitml.start_run(run_id=run_id):
        gitml.sklearn.log_model(Bad(str(tmp_path / "canary")), name=path)
    gitml.set_tracking_uri(ann.folder)
    ann.git("remote", "add", "fork", str(stranger.folder))
    ann.git("fetch", "--quiet", "fork", "+refs/heads/gitml/runs:refs/remotes/fork/gitml/runs")


class Bad:
    """A model that leaves a file when it is unpickled."""

    def __init__(self, canary: str) -> None:
        self.canary = canary

    def __reduce__(self) -> Any:
        return Payload(f"open({self.canary!r}, 'w').close()").__reduce__()


@pytest.mark.parametrize("has_local", [True, False])
@pytest.mark.parametrize("path", ["model", "Model", "other", "model/nested"])
def test_a_model_that_a_fork_put_into_our_run_is_a_strangers(
    ours: tuple[Clone, str], tmp_path: Path, bare: Path, path: str, has_local: bool
) -> None:
    """In the place of ours, beside it, in it, and under its name in another case."""
    ann, run_id = ours
    evil(tmp_path, bare, ann, run_id, path)
    if not has_local:  # as in a clone that never recorded anything
        ann.git("update-ref", "-d", "refs/heads/gitml/runs")
    canary = tmp_path / "canary"
    for load in (gitml.sklearn.load_model, gitml.pyfunc.load_model):
        for asked in {path, "model"}:
            try:
                load(f"runs:/{run_id}/{asked}")
            except GitmlError:
                assert asked != "model" or not has_local
            else:
                assert asked == "model"
    assert not canary.exists()


def test_the_payload_is_one(ours: tuple[Clone, str], tmp_path: Path, bare: Path) -> None:
    """With leave the stranger's model does run."""
    ann, run_id = ours
    evil(tmp_path, bare, ann, run_id, "other")
    ann.git("update-ref", "-d", "refs/heads/gitml/runs")
    ann.git("update-ref", "-d", "refs/remotes/origin/gitml/runs")
    with pytest.raises(UntrustedModelError):
        gitml.sklearn.load_model(f"runs:/{run_id}/other")
    gitml.sklearn.load_model(f"runs:/{run_id}/other", allow_code=True)
    assert (tmp_path / "canary").exists()
