"""The image of a pod, built by a real engine and pushed to a registry of this machine."""

from __future__ import annotations

import io
import json
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from gitml import projects as public
from gitml.environments import BuildError
from tests import image_registry, projects
from tests.clusters import Api, cluster
from tests.conftest import Git
from tests.image_registry import Registry

__all__ = ["cluster"]
pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="the images are Linux's"),
    pytest.mark.slow,
]
PROJECT = """
    name: demo
    docker_env: {image: "python:3.11-slim"}
    entry_points:
      main: {command: "python train.py"}
    """


@pytest.fixture
def registry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Registry]:
    """A registry that the engine may push to."""
    with image_registry.trusted(tmp_path, monkeypatch) as found:
        yield found


@pytest.fixture
def demo(repo: Path, git: Git) -> Path:
    """A project that names an image, with a file that git ignores."""
    projects.write(repo, {"MLproject": PROJECT, ".gitignore": ".env\n", ".env": "PASSWORD=hidden"})
    git("add", ".")
    git("commit", "--quiet", "--message", "A project")
    return repo


def test_the_image_has_the_project_and_is_named_by_its_digest(
    demo: Path, cluster: Api, registry: Registry
) -> None:
    """The Job names what was pushed; a file that git ignores is in no layer of it."""
    told = {
        "spool": str(demo.parent / "spool"),
        "repository-uri": f"{registry.host}/team/churn",
        "start-timeout": 1,
    }
    with pytest.raises(public.EntryPointError, match="ErrImagePull"):
        public.run(".", backend="kubernetes", backend_config=told, docker_args={"network": "host"})
    first = cluster.made[0]["spec"]["template"]["spec"]["containers"][0]
    name, _, digest = first["image"].partition("@")
    assert name == f"{registry.host}/team/churn"
    _, data = registry.manifests[f"team/churn@{digest}"]
    manifest = json.loads(data)
    assert json.loads(registry.blobs[manifest["config"]["digest"]])["config"]["WorkingDir"] == (
        "/mlflow/projects/code"
    )
    names = files_of(registry.blobs[manifest["layers"][-1]["digest"]])
    if "mlflow/projects/code/train.py" not in names:  # the working directory is a layer, too
        names = files_of(registry.blobs[manifest["layers"][-2]["digest"]])
    assert {"mlflow/projects/code/train.py", "mlflow/projects/code/MLproject"} <= names
    assert "mlflow/projects/code/.env" not in names
    (run,) = projects.runs(demo)
    assert run.tags["mlflow.docker.image.id"] == first["image"]


def files_of(layer: bytes) -> set[str]:
    """The paths in a layer of an image."""
    with tarfile.open(fileobj=io.BytesIO(layer)) as packed:
        return set(packed.getnames())


def test_a_registry_that_is_not_there_is_told_of(
    demo: Path, cluster: Api, registry: Registry
) -> None:
    """Nothing has run then."""
    told = {"spool": str(demo.parent / "spool"), "repository-uri": "127.0.0.1:9/team/churn"}
    with pytest.raises(BuildError, match="can't be pushed"):
        public.run(".", backend="kubernetes", backend_config=told, docker_args={"network": "host"})
    assert (cluster.requests, projects.runs(demo)) == ([], [])
    subprocess.run(["git", "status", "--short"], cwd=demo, check=True)
