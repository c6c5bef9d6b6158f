"""A project's environment: which one it runs in, and what of it the run's record holds."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from gitml.environments import BuildError, read_spec
from gitml.errors import FormatError, UsageError
from gitml.projects import mlproject, runtime
from tests import projects, wheelhouse

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="the commands are bash's")

SCRIPT = """
    import gitml, six, sys
    gitml.log_params({"prefix": sys.prefix, "six": six.__version__})
    """


@pytest.mark.slow
@pytest.mark.usefixtures("index")
def test_a_project_runs_in_its_own_environment_and_gitml_with_it(repo: Path) -> None:
    """By default, once it names one; all that is installed there is in requirements.txt."""
    environment = {"requirements.txt": "six==1.16.0\n", "show.py": SCRIPT}
    projects.write(repo, environment)
    first = projects.gitml("run", ".", "-e", "show.py")
    second = projects.gitml("run", ".", "-e", "show.py")
    assert b"Installed" in first.stderr
    assert b"Installed" not in second.stderr
    one, other = projects.runs(repo)
    assert one.params == other.params
    assert one.params["six"] == "1.16.0"
    assert one.params["prefix"] != sys.prefix
    assert one.tags["mlflow.project.env"] == "uv"
    lines = projects.texts(repo, one)["requirements.txt"].splitlines()
    assert "six==1.16.0" in lines
    assert any(line.startswith("gitml==") for line in lines)
    assert not any(line.startswith("pytest") for line in lines)


def test_the_current_python_tells_what_differs(repo: Path) -> None:
    """It runs all the same: that is what `local` asks for."""
    projects.write(repo, {"requirements.txt": "no-such-package==1\n", "x.py": ""})
    done = projects.gitml("run", ".", "-e", "x.py", "--env-manager", "local")
    assert b"no-such-package is not installed, no-such-package==1 is asked for" in done.stderr


def test_an_environment_that_can_not_be_built_starts_no_run(
    repo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One line, from the builder."""
    monkeypatch.setenv("UV_OFFLINE", "1")
    projects.write(repo, {"requirements.txt": "no-such-package==1\n", "x.py": "print('ran')"})
    done = projects.gitml("run", ".", "-e", "x.py", code=3)
    assert done.stdout == b""
    assert b"no-such-package" in done.stderr
    assert projects.runs(repo) == []


@pytest.mark.parametrize(
    ("files", "manager", "chosen"),
    [
        ({}, None, "local"),
        ({"python_env.yaml": "python: '3.11'\n"}, None, "uv"),
        ({"conda.yaml": ""}, None, "uv"),
        ({"pyproject.toml": ""}, None, "uv"),
        ({"conda.yaml": ""}, "conda", "conda"),
        ({"conda.yaml": ""}, "virtualenv", "uv"),
        ({"conda.yaml": ""}, "local", "local"),
        ({"MLproject": "docker_env: {image: i}\n"}, "local", "local"),
    ],
)
def test_uv_builds_what_a_project_names(
    tmp_path: Path, files: dict[str, str], manager: str | None, chosen: str
) -> None:
    """Unless another manager is asked for; MLflow's virtualenv is uv."""
    project = mlproject.read(projects.write(tmp_path, files))
    assert runtime.choose(project, manager) == chosen


def test_a_manager_that_there_is_not(tmp_path: Path) -> None:
    """What there is instead is said."""
    project = mlproject.read(tmp_path)
    with pytest.raises(UsageError, match="'pip' is no manager of environments; uv, conda or local"):
        runtime.choose(project, "pip")


# -- pyproject.toml ------------------------------------------------------------------------

PYPROJECT = """
    [project]
    name = "churn"
    version = "1.0"
    requires-python = ">=3.10"
    dependencies = ["apple>=1; python_version > '3'", "pear"]
    """


def test_the_dependencies_of_a_pyproject(tmp_path: Path) -> None:
    """Those of the project, and the Python that it needs; nothing of its tools."""
    projects.write(tmp_path, {"pyproject.toml": PYPROJECT})
    spec = read_spec(tmp_path / "pyproject.toml")
    assert spec.requirements == ('apple>=1; python_version > "3"', "pear")
    assert spec.python == ">=3.10"


def test_a_lock_beside_it_has_the_versions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the digests of the files; the project itself is no part of it."""
    house = tmp_path / "house"
    for name in ("apple", "pear"):
        wheelhouse.add_wheel(house, name)
    monkeypatch.setenv("UV_FIND_LINKS", str(house))
    monkeypatch.setenv("UV_OFFLINE", "1")
    folder = projects.write(tmp_path / "project", {"pyproject.toml": PYPROJECT})
    subprocess.run(
        [sys.executable, "-m", "uv", "lock", "--quiet", "--no-index"], cwd=folder, check=True
    )
    wheelhouse.add_wheel(house, "apple", "2.0")
    spec = read_spec(folder / "pyproject.toml", allow_code=True)
    assert [line.partition(" ")[0] for line in spec.requirements] == ["apple==1.0", "pear==1.0"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[project\n", "pyproject.toml is no TOML"),
        ("project = 1\n", "project must be a table, not 1"),
        ("[project]\ndependencies = 'a'\n", "project.dependencies must be a list of texts"),
        ("[project]\ndependencies = [1]\n", "project.dependencies must be a list of texts"),
        ("[project]\ndependencies = ['a b']\n", "'a b' is no requirement"),
        ("[project]\nrequires-python = 3\n", "requires-python must be text"),
        ("[project]\nrequires-python = 'x'\n", "'x' is no version of Python"),
        ("# " + "x" * 1_000_001, "is over 1 MB long"),
    ],
)
def test_a_pyproject_that_is_wrong_says_what(tmp_path: Path, text: str, message: str) -> None:
    """One line that names the file."""
    (tmp_path / "pyproject.toml").write_text(text)
    with pytest.raises((FormatError, UsageError), match=message) as refused:
        read_spec(tmp_path / "pyproject.toml")
    assert "\n" not in str(refused.value)


def test_a_lock_that_is_wrong_says_so(tmp_path: Path) -> None:
    """In uv's words."""
    projects.write(tmp_path, {"pyproject.toml": PYPROJECT, "uv.lock": "version = [\n"})
    with pytest.raises(BuildError, match=r"uv\.lock can't be read: "):
        read_spec(tmp_path / "pyproject.toml")
