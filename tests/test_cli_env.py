"""`gitml env` lists and prunes environments."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from gitml.environments import Environment, Spec, environment
from tests import wheelhouse
from tests.cli import Caller


@pytest.fixture
def gitml(capsys: pytest.CaptureFixture[str]) -> Caller:
    """The command line."""
    return Caller(capsys)


@pytest.fixture
def built(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Environment:
    """An environment with one package, last used 40 days ago."""
    wheelhouse.add_wheel(tmp_path, "apple")
    monkeypatch.setenv("UV_FIND_LINKS", str(tmp_path))
    monkeypatch.setenv("UV_OFFLINE", "1")
    spec = Spec(requirements=("apple==1.0",), source="python_env.yaml")
    built = environment(spec, gitml=None)
    then = time.time() - 40 * 86_400
    os.utime(built.path / "environment.json", (then, then))
    return built


def test_an_environment_is_listed(built: Environment, gitml: Caller) -> None:
    """A table for people, and every field for programs."""
    key = built.path.name.partition("-")[0]
    table = gitml("env", "list")
    assert table.lines[0].split() == ["ENVIRONMENT", "PYTHON", "SIZE", "USED", "MADE", "OF"]
    assert key[:8] in table.lines[1]
    assert "apple==1.0" in table.lines[1]
    (document,) = gitml("env", "list", "--format", "json").json
    assert document["key"] == key
    assert document["path"] == str(built.path)
    assert document["requirements"] == ["apple==1.0"]
    assert document["source"] == "python_env.yaml"
    assert sorted(document) == sorted(
        "key path manager python requirements source size created used".split()
    )


def test_nothing_is_listed_as_nothing(gitml: Caller) -> None:
    """Without environments, lists are empty and nothing is to prune."""
    assert gitml("env", "list").err == "no environments yet\n"
    assert gitml("env", "list", "--format", "json").json == []
    assert gitml("env", "prune").err == "nothing to prune\n"


def test_pruning_says_what_went(built: Environment, gitml: Caller) -> None:
    """A dry run changes nothing, a younger limit spares it, and the default takes it."""
    assert "would free" in gitml("env", "prune", "--dry-run").err
    assert gitml("env", "prune", "--unused-for", "50").err == "nothing to prune\n"
    assert built.path.exists()
    done = gitml("env", "prune")
    assert done.out.split()[0] == built.path.name.partition("-")[0]
    assert done.err.startswith("freed ")
    assert done.err.endswith(" in 1 environment\n")
    assert not built.path.exists()


def test_a_negative_age_is_refused(gitml: Caller) -> None:
    """No environment was used in the future."""
    assert "--unused-for" in gitml("env", "prune", "--unused-for", "-1", code=2).err
