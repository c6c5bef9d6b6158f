"""`gitml ci propose`: what CI trained is registered and proposed where it is good enough."""

from __future__ import annotations

from pathlib import Path

import pytest

from gitml.tracking import bundling
from tests.cli import Caller
from tests.clones import Clone
from tests.conftest import run_git
from tests.promoted import begin, origin, tags, trained
from tests.test_bundling import shallow

SETTINGS = """
ci:
  train:
    propose:
      model: churn
      stage: production
      if: ["metrics.auc > current.metrics.auc"]
"""


@pytest.fixture(scope="module")
def start(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A remote with a version in production, whose auc is 0.5, and what is to be proposed."""
    folder = tmp_path_factory.mktemp("proposing")
    bare = origin(folder)
    ann = begin(folder, bare).ann
    (ann.folder / "gitml.yaml").write_text(SETTINGS)
    ann.git("add", "gitml.yaml")
    ann.git("commit", "--quiet", "--message", "Propose what is better")
    ann.git("push", "--quiet", "origin", "HEAD:main")
    return bare


@pytest.fixture
def bare(start: Path, tmp_path: Path) -> Path:
    """A copy of it for one test."""
    run_git(tmp_path, "clone", "--quiet", "--mirror", str(start), "origin.git")
    return tmp_path / "origin.git"


def proposed(bare: Path, auc: float, call: Caller, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Train in one job, and propose in another, twice; what the first time said."""
    train, record = (shallow(bare.parent, bare, name) for name in ("train", "record"))
    trained(train, auc)
    file = bare.parent / "run.bundle"
    bundling.write(train.place, bundling.unpublished(train.place), file)
    monkeypatch.chdir(record.folder)
    call("push", "--from-bundle", file)
    said = call("ci", "propose", "--from-bundle", file).lines
    before = run_git(bare, "for-each-ref")
    call("ci", "propose", "--from-bundle", file)
    assert run_git(bare, "for-each-ref") == before, "a job that is started again changes nothing"
    return said


def test_a_better_model_is_registered_and_proposed(
    bare: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The version gets its tag, and a branch gives it the stage; main stays as it is."""
    main = run_git(bare, "rev-parse", "main")
    said = proposed(bare, 0.9, Caller(capsys), monkeypatch)
    assert said[0].startswith("ok  metrics.auc > current.metrics.auc: metrics.auc is 0.9")
    assert "churn@v1.0.4" in said
    assert "churn@v1.0.4" in tags(bare)
    text = run_git(bare, "show", "promote/churn/production/v1.0.4:registry/churn.yaml")
    assert "production: v1.0.4" in text
    assert run_git(bare, "rev-parse", "main") == main


def test_a_model_that_is_no_better_is_only_recorded(
    bare: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The run is there for all to see, and neither a version nor a branch comes of it."""
    said = proposed(bare, 0.5, Caller(capsys), monkeypatch)
    assert said[0].startswith("no  metrics.auc > current.metrics.auc")
    assert "churn@v1.0.4" not in tags(bare)
    assert "promote/" not in run_git(bare, "for-each-ref", "refs/heads")


def test_what_is_proposed_has_to_be_said(
    bare: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without the key, or with a condition that is none, the command says so."""
    record = Clone(shallow(bare.parent, bare, "record").folder)
    monkeypatch.chdir(record.folder)
    call = Caller(capsys)
    assert "a bundle" in call("ci", "propose", code=2).err
    (record.folder / "gitml.yaml").write_text(SETTINGS.replace("auc >", "auc >>"))
    assert "ci/train/propose" in call("ci", "propose", "latest", code=3).err
    (record.folder / "gitml.yaml").write_text("ci: {}\n")
    assert "propose" in call("ci", "propose", "latest", code=2).err
