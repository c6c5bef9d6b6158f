"""What is settled before a job of a Ray cluster begins: no cluster is needed."""

from __future__ import annotations

import json
import os
import zipfile
from pathlib import Path
from typing import Any

import pytest

from gitml import projects as public
from gitml.errors import FormatError, UsageError
from gitml.projects import backend_config
from gitml.projects.confinement import Mount
from gitml.projects.ray import cargo, settings
from gitml.projects.ray.client import ClusterError
from gitml.projects.task import Request, command_of
from gitml.tracking.names import new_run_id
from gitml.tracking.place import Place
from tests import projects

PROJECT = """
    name: demo
    entry_points:
      main: {command: "true"}
    """


@pytest.mark.parametrize(
    ("config", "problem"),
    [
        ({}, "say which Ray cluster: --address"),
        ({"adress": "http://head:8265"}, "did you mean 'address'"),
        ({"address": "http://head:8265"}, "another machine; name a spool"),
        ({"address": "http://127.0.0.1:1", "runtime_env": {"working_dir": "."}}, "working_dir"),
        ({"address": "http://127.0.0.1:1", "entrypoint_num_cpus": "two"}, "entrypoint_num_cpus"),
    ],
)
def test_a_configuration_that_can_not_be_is_refused(
    config: dict[str, Any], problem: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is missing or misspelt is named, with what to do."""
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    with pytest.raises((UsageError, FormatError), match=problem):
        settings.read(config)


def test_a_cluster_that_does_not_answer_is_named(repo: Path) -> None:
    """Then nothing has run, and the message has the address without a password."""
    pytest.importorskip("ray", reason="needs Ray: pip install 'gitml[ray]'")
    projects.write(repo, {"MLproject": PROJECT})
    config = {"address": "http://ada:geheim@127.0.0.1:1"}
    with pytest.raises(ClusterError, match=r"http://127\.0\.0\.1:1 .*no answer"):
        public.run(".", backend="ray", backend_config=config)
    assert projects.runs(repo) == []


def test_credentials_of_a_configuration_are_not_recorded() -> None:
    """Headers and variables that are named like credentials are masked, wherever they stand."""
    config = {
        "address": "http://ada:geheim@head:8265",
        "headers": {"X-Who": "geheim"},
        "runtime_env": {"env_vars": {"API_TOKEN": "geheim", "COLOR": "red"}},
    }
    words = " ".join(command_of(Request(backend="ray", backend_config=config)))
    assert "geheim" not in words
    assert "http://head:8265" in words
    assert '"COLOR": "red"' in words
    with pytest.raises(UsageError, match="give it again, with --backend-config"):
        backend_config.known(backend_config.masked(config))


def test_a_job_elsewhere_whose_client_died_is_told_of_once(clone: Place) -> None:
    """No command waits for a network: it says where that run's record is."""
    run_id = new_run_id()
    home = clone.home / "ray" / run_id
    home.mkdir(parents=True)
    job = {"job": f"gitml-{run_id}-12ab", "address": "http://head:8265", "spool": "s3://b/ray/x"}
    (home / "job.json").write_text(json.dumps(job))
    said = projects.gitml("runs", "list").stderr.decode()
    assert f"gitml-{run_id}-12ab at http://head:8265 may go on" in said
    assert "gitml collect s3://b/ray/x" in said
    assert b"may go on" not in projects.gitml("runs", "list").stderr


def test_the_cargo_is_the_project_as_git_has_it(repo: Path, tmp_path: Path) -> None:
    """Links become what they lead to within the project, and the same files the same bytes."""
    projects.write(repo, {".gitignore": "secret\n", "secret": "x", "lib/a.py": "a", "run.sh": "b"})
    (repo / "run.sh").chmod(0o755)
    (repo / "link").symlink_to("lib")
    (repo / "outside").symlink_to(tmp_path)
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "b.csv").write_text("b")
    mount = Mount(tmp_path / "data", cargo.DATA / "0" / "data")
    packed = cargo.project(repo, [mount], tmp_path / "one.zip")
    with zipfile.ZipFile(packed) as archive:
        names = set(archive.namelist())
        assert archive.getinfo("run.sh").external_attr >> 16 & 0o111
    own = {".gitignore", "train.py", "lib/a.py", "link/a.py", "run.sh"}
    assert names == {*own, ".gitml-data/0/data/b.csv"}
    again = cargo.project(repo, [mount], tmp_path / "two.zip")
    assert again.read_bytes() == packed.read_bytes()


def test_a_cargo_that_is_too_large_names_what_is(repo: Path, tmp_path: Path) -> None:
    """A cluster takes so many bytes; the largest files are told."""
    (repo / "big.bin").write_bytes(os.urandom(50_000))
    with pytest.raises(UsageError, match=r"'big\.bin' 0 MB.*by a URL"):
        cargo.project(repo, [], tmp_path / "one.zip", largest=40_000)


@pytest.mark.parametrize("manager", ["conda", "uv"])
def test_an_environment_that_a_cluster_can_not_have_is_refused(
    repo: Path, manager: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """There is no conda, and no environment for a project that names none."""
    projects.write(repo, {"MLproject": PROJECT})
    monkeypatch.setenv("RAY_ADDRESS", "http://127.0.0.1:1")
    with pytest.raises(UsageError, match=r"no 'conda'|names no environment"):
        public.run(".", backend="ray", env_manager=manager)
