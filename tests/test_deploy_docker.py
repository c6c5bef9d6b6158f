"""The target docker, at the real engine: a version's image proves itself, then has the port."""

from __future__ import annotations

import subprocess
import uuid
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from gitml.containers import find_engine
from gitml.deploy.errors import DeployError
from gitml.deploy.targets.docker import Docker
from tests.containers import ask, described, engine_or_skip
from tests.ports import free_port
from tests.versions import release


@pytest.fixture
def docker(index: None) -> Iterator[Docker]:
    """A deployment of the engine; nothing of it is left."""
    engine = engine_or_skip()
    one = Docker(f"gitml-test-{uuid.uuid4().hex[:8]}", "127.0.0.1", free_port(), "host")
    yield one
    for name in (one.name, f"{one.name}-next", f"{one.name}-old"):
        subprocess.run([engine, "rm", "--force", name], capture_output=True, check=False)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_versions_replace_each_other(tmp_path: Path, docker: Docker) -> None:
    """One that can not predict changes nothing, and leaves nothing."""
    model = docker.name.replace("gitml-", "")
    first, second = (release(tmp_path, number, model=model) for number in (1, 2))
    bad = release(tmp_path, 3, "raise RuntimeError('no')", model)
    said: list[str] = []
    try:
        docker.deploy(first, said.append)
        live = docker.live()
        assert (live.is_well, live.model, live.version) == (True, model, "v1.0.0")
        assert live.digest == first.digest
        settings = described(docker.name)["HostConfig"]
        assert settings["ReadonlyRootfs"]
        assert settings["RestartPolicy"]["Name"] == "unless-stopped"
        docker.deploy(second, said.append)
        assert docker.live().version == "v2.0.0"
        with pytest.raises(DeployError, match="does not predict for the model's own example"):
            docker.deploy(bad, said.append)
        with pytest.raises(DeployError, match="was asked for"):
            docker.deploy(
                replace(first, digest=first.digest[:-1] + "x", folder=second.folder), said.append
            )
        assert docker.live().version == "v2.0.0"
        names = ask("ps", "--all", "--format", "{{.Names}}", "--filter", f"name={docker.name}")
        assert names.split() == [docker.name]
        docker.remove()
        assert not docker.live().is_there
        assert not ask("ps", "--all", "--quiet", "--filter", f"name={docker.name}")
    finally:
        found = ask("images", "--format", "{{.Repository}}:{{.Tag}}").split()
        mine = [name for name in found if f"/{model}:" in name]
        subprocess.run([find_engine(), "image", "rm", "--force", *mine], check=False)
