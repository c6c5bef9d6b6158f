"""A DVC project in a folder of the repository (`dvc init --subdir`): its remote is that of runs."""

from __future__ import annotations

from pathlib import Path

import pytest

from gitml import git as gate
from gitml.tracking.initialize import init
from gitml.tracking.place import place_of
from tests.artifacts import dvc, objects_in
from tests.clones import BIG, Clone, team


@pytest.fixture
def clone(tmp_path: Path, bare: Path) -> Clone:
    """A clone whose folder `deep/project` is a DVC project."""
    (one,) = team(tmp_path, bare, "ann")
    (one.folder / "deep" / "project" / "src").mkdir(parents=True)
    dvc(one.folder / "deep" / "project", "init", "--quiet", "--subdir")
    return one


def test_runs_go_to_the_remote_of_the_nearest_project(clone: Clone, tmp_path: Path) -> None:
    """Also from a folder below it; for one who is above it there is no remote."""
    project = Clone(clone.folder / "deep" / "project")
    dvc(project.folder, "remote", "add", "--quiet", "--default", "store", str(tmp_path / "store"))
    below = place_of(gate.find(clone.folder), project.folder / "src")
    assert below.remote() == project.place.remote() is not None
    assert clone.place.remote() is None
    run_id = clone.run("one", files={"large.bin": b"x" * BIG})
    assert project.push().objects == 1
    assert objects_in(tmp_path / "store" / "gitml") == {clone.pointer(run_id).md5}


def test_a_remote_is_set_in_the_nearest_project(clone: Clone, tmp_path: Path) -> None:
    """`gitml init --remote` makes no second `.dvc` above the one that is there."""
    folder = clone.folder / "deep" / "project"
    written = init(folder, str(tmp_path / "store"))
    assert not (clone.folder / ".dvc").exists()
    assert folder / ".dvc" / "config" in {it.path for it in written}
    assert Clone(folder).place.remote() is not None
