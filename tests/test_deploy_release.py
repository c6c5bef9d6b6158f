"""A version that is ready to be deployed: the environment that it is served in."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

from gitml.deploy import release
from gitml.registry import desired
from gitml.registry.catalog import Registered
from tests import projects
from tests.clones import Clone, team
from tests.deployments import register

PROJECT = {
    "MLproject": "name: prices\npython_env: python_env.yaml\n",
    "python_env.yaml": "dependencies: [six==1.16.0]\n",
}


def built(one: Clone, item: Registered, folder: Path) -> tuple[str, list[str]]:
    """Which version of six a version's environment has, and what was said while it was made."""
    said: list[str] = []
    ready = release.prepare(one.place, item, desired.NOTHING, folder)
    python = ready.interpreter("uv", said.append)
    argv = [python, "-c", "import six, gitml.models.serving; print(six.__version__)"]
    done = subprocess.run(argv, cwd=folder, check=True, capture_output=True, text=True)
    return done.stdout.strip(), said


def commit(one: Clone, *args: str) -> None:
    """Commit what git is told of."""
    one.git(*args)
    one.git("commit", "--quiet", "--message", "The project")


@pytest.mark.slow
@pytest.mark.usefixtures("index")
def test_the_environment_is_that_of_the_project_at_the_versions_commit(
    tmp_path: Path, bare: Path
) -> None:
    """Whatever is checked out by now; without a project it is the model's own. It is built once."""
    (ann,) = team(tmp_path, bare, "ann", dvc=True)
    own: Sequence[str] = ["six==1.17.0"]
    projects.write(ann.folder, PROJECT)
    commit(ann, "add", *PROJECT)
    of_project = register(ann, 1, requirements=own)
    commit(ann, "rm", "--quiet", *PROJECT)
    of_model = register(ann, 2, requirements=own)
    found, said = built(ann, of_project, tmp_path)
    assert (found, any("six" in line or "Install" in line for line in said)) == ("1.16.0", True)
    assert built(ann, of_project, tmp_path) == ("1.16.0", [])
    assert built(ann, of_model, tmp_path)[0] == "1.17.0"
