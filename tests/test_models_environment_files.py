"""The files that say what to install for a model are MLflow's, byte for byte, and are read back."""

from __future__ import annotations

import string
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gitml.documents import load_yaml
from gitml.errors import FormatError, GitmlError, UsageError
from gitml.models.distributions import installed_version
from gitml.models.environment_files import read, write
from gitml.models.requirements import Requirements

PYTHON = ".".join(map(str, sys.version_info[:3]))


def pinned(name: str, sign: str) -> str:
    """A package as it is installed here; the bare name where it is not."""
    version = installed_version(name)
    return f"{name}{sign}{version}" if version else name


def files(folder: Path) -> dict[str, str]:
    """The text of every file in a folder."""
    return {file.name: file.read_text(encoding="utf-8") for file in folder.iterdir()}


PYTHON_ENV = f"""\
python: {PYTHON}
build_dependencies:
- {pinned("pip", "==")}
- {pinned("setuptools", "==")}
- {pinned("wheel", "==")}
dependencies:
- -r requirements.txt
"""


def test_as_mlflow_writes_them(tmp_path: Path) -> None:
    """The files have MLflow's names, keys, order and line ends."""
    write(tmp_path, ["numpy==2.0", "scikit-learn==1.5"])
    conda = f"""\
channels:
- conda-forge
dependencies:
- python={PYTHON}
- {pinned("pip", "<=")}
- pip:
  - numpy==2.0
  - scikit-learn==1.5
name: mlflow-env
"""
    assert files(tmp_path) == {
        "requirements.txt": "numpy==2.0\nscikit-learn==1.5",
        "python_env.yaml": PYTHON_ENV,
        "conda.yaml": conda,
    }


def test_constraints(tmp_path: Path) -> None:
    """Constraints have a file of their own, which the requirements name."""
    write(tmp_path, ["numpy"], constraints=["scipy<2", "pandas<3"])
    written = files(tmp_path)
    assert written["constraints.txt"] == "scipy<2\npandas<3"
    assert written["requirements.txt"] == "numpy\n-c constraints.txt"
    assert "- pip:\n  - numpy\n  - -c constraints.txt\n" in written["conda.yaml"]


def test_without_an_interpreter_of_packages(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where pip and its kin are not installed, they are named without a version."""
    monkeypatch.setattr(sys, "path", [str(tmp_path)])
    write(tmp_path, ["numpy"])
    assert "- pip\n- setuptools\n- wheel\n" in files(tmp_path)["python_env.yaml"]
    assert "- pip\n- pip:\n  - numpy\n" in files(tmp_path)["conda.yaml"]


# -- the user's own Conda environment ------------------------------------------------------

OWN = """\
name: mine
channels: [defaults]
dependencies:
- python=3.10.1
- pip
- pip:
  - scikit-learn
  - -r more.txt
- openblas
variables: {A: b}
"""
WRITTEN = """\
channels:
- defaults
dependencies:
- python=3.10.1
- pip
- pip:
  - scikit-learn
  - numpy
  - -c constraints.txt
- openblas
name: mine
variables:
  A: b
"""


@pytest.mark.parametrize("kind", ["path", "text", "mapping"])
def test_a_conda_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    """A user's environment is kept; its pip section, files read in, becomes the requirements."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "more.txt").write_text("numpy\n-c c.txt\n", encoding="utf-8")
    (tmp_path / "c.txt").write_text("numpy<3\n", encoding="utf-8")
    (tmp_path / "own.yaml").write_text(OWN, encoding="utf-8")
    own: Any = tmp_path / "own.yaml"
    if kind != "path":
        own = str(own) if kind == "text" else load_yaml(OWN.encode(), "own.yaml")
    (tmp_path / "model").mkdir()
    write(tmp_path / "model", ["not-this"], conda_env=own)
    assert files(tmp_path / "model") == {
        "requirements.txt": "scikit-learn\nnumpy\n-c constraints.txt",
        "constraints.txt": "numpy<3",
        "python_env.yaml": PYTHON_ENV,
        "conda.yaml": WRITTEN,
    }


def test_a_conda_environment_without_pip(tmp_path: Path) -> None:
    """Without a pip section there are no requirements, and none is made."""
    write(tmp_path, [], conda_env={"name": "x", "dependencies": ["python=3.11"]})
    assert files(tmp_path)["requirements.txt"] == ""
    assert files(tmp_path)["conda.yaml"] == "dependencies:\n- python=3.11\nname: x\n"
    write(tmp_path, [], conda_env={"name": "x"})
    assert files(tmp_path)["conda.yaml"] == "dependencies: []\nname: x\n"


def test_credentials_in_a_conda_environment(tmp_path: Path) -> None:
    """Credentials go from channels, variables and the pip section alike."""
    own = {
        "channels": ["https://user:c4nary@example.org/conda"],
        "dependencies": [{"pip": ["a @ https://c4nary@example.org/a.whl"]}],
        "variables": {"INDEX": "https://user:c4nary@example.org/simple"},
    }
    write(tmp_path, [], conda_env=own)
    assert "c4nary" not in "".join(files(tmp_path).values())
    assert "- https://example.org/conda\n" in files(tmp_path)["conda.yaml"]


@pytest.mark.parametrize(
    ("own", "said"),
    [
        (7, "conda_env must be a mapping or the path of a YAML file, not 7"),
        ("missing.yaml", "there is no file 'missing.yaml'; give the conda_env or its file"),
        ("list.yaml", "conda_env must be a mapping or the path of a YAML file, not a list"),
        ("broken.yaml", "broken.yaml: line 2"),
        ({"dependencies": "numpy"}, "conda_env: dependencies must be a list, not 'numpy'"),
        ({"dependencies": [{"pip": 1}]}, "requirements must be lines"),
        ({"dependencies": [{"pip": ["numpy=1"]}]}, "'numpy=1' is no requirement"),
        ({"dependencies": [object]}, "conda_env can't be written as YAML"),
        ({"name": {1, 2}}, "conda_env can't be written as YAML"),
        ({"name": "x", 1: "y"}, "conda_env can't be written as YAML"),
        ({"name": float("nan")}, "conda_env can't be written as YAML"),
    ],
)
def test_what_is_no_conda_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, own: Any, said: str
) -> None:
    """What is no Conda environment is refused in one line, and nothing is written."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "list.yaml").write_text("- a\n", encoding="utf-8")
    (tmp_path / "broken.yaml").write_text("a: 1\na: 2\n", encoding="utf-8")
    (tmp_path / "model").mkdir()
    with pytest.raises(GitmlError) as refused:
        write(tmp_path / "model", [], conda_env=own)
    assert said in str(refused.value)
    assert "\n" not in str(refused.value)
    assert isinstance(refused.value, UsageError | FormatError)
    assert files(tmp_path / "model") == {}


# -- reading -------------------------------------------------------------------------------

LINES = st.lists(
    st.text(string.ascii_lowercase, min_size=1, max_size=5).map(lambda name: f"{name}==1.0")
)


@given(LINES, LINES)
def test_round_trip(lines: list[str], constraints: list[str]) -> None:
    """What was written is read back, from either file."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write(folder, lines, constraints=constraints)
        expected = Requirements(tuple(lines), tuple(constraints))
        assert read(folder) == expected
        (folder / "requirements.txt").unlink()
        assert read(folder) == expected


def test_what_others_write(tmp_path: Path) -> None:
    """Comments, options, hashes and Conda's packages stay or go as pip has it."""
    text = (
        "# Locked\r\n--index-url https://example.org\r\nnumpy==1 \\\r\n    --hash=sha256:1 # x\r\n"
    )
    (tmp_path / "requirements.txt").write_text(text, encoding="utf-8", newline="")
    lines = ("--index-url https://example.org", "numpy==1 --hash=sha256:1")
    assert read(tmp_path) == Requirements(lines)
    (tmp_path / "requirements.txt").unlink()
    assert read(tmp_path) == Requirements()
    (tmp_path / "conda.yaml").write_text("dependencies: [numpy]\n", encoding="utf-8")
    assert read(tmp_path) == Requirements()


@pytest.mark.parametrize(
    ("name", "data", "said"),
    [
        ("requirements.txt", b"-r ../secret.txt", "refers to another file: '-r ../secret.txt'"),
        ("requirements.txt", b"--constraint=/etc/passwd", "refers to another file"),
        ("requirements.txt", b"-r https://u:c4nary@example.org/r.txt", "refers to another file"),
        ("requirements.txt", b"numpy\xff", "is not UTF-8"),
        ("requirements.txt", b"numpy\n" * 200_000, "has more than 1 MB"),
        ("requirements.txt", b"numpy\n" * 20_000, "requires more than 10000 things"),
        ("conda.yaml", b"dependencies:\n- pip: numpy\n", "pip must be a list of requirement lines"),
        ("conda.yaml", b"dependencies:\n- pip: [1]\n", "pip must be a list of requirement lines"),
        ("conda.yaml", b"dependencies:\n- pip: [-r other.txt]\n", "refers to another file"),
        ("conda.yaml", b"a: &x 1\nb: *x\n", "conda.yaml: line 2"),
    ],
)
def test_hostile_files(tmp_path: Path, name: str, data: bytes, said: str) -> None:
    """A model can't make its reader open other files, and damage is named."""
    (tmp_path / name).write_bytes(data)
    (tmp_path.parent / "secret.txt").write_text("secret", encoding="utf-8")
    with pytest.raises(FormatError) as refused:
        read(tmp_path)
    assert said in str(refused.value)
    assert "c4nary" not in str(refused.value)


def test_constraints_that_refer_on(tmp_path: Path) -> None:
    """A constraints file can't name others either; one that is not named is not read."""
    (tmp_path / "requirements.txt").write_text("numpy\n", encoding="utf-8")
    (tmp_path / "constraints.txt").write_text("-c other.txt\n", encoding="utf-8")
    assert read(tmp_path) == Requirements(("numpy",))
    (tmp_path / "requirements.txt").write_text("numpy\n-c constraints.txt\n", encoding="utf-8")
    with pytest.raises(FormatError, match="refers to another file"):
        read(tmp_path)
