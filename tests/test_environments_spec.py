"""What an environment is made of: the files that say so, and what identifies it."""

from __future__ import annotations

import contextlib
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gitml.documents import load_yaml
from gitml.environments import Spec, read_spec
from gitml.environments.counterparts import on_pypi, packages
from gitml.environments.requirements import lines, package, parse, without_hashes
from gitml.environments.spec import python_version
from gitml.errors import GitmlError, UsageError

CORPUS = Path(__file__).with_name("hostile") / "environments.yaml"


def cases() -> list[Any]:
    """The corpus as parameters, a case for each."""
    listed = load_yaml(CORPUS.read_bytes(), CORPUS.name)
    return [pytest.param(case, id=case["name"]) for case in listed]


def write(folder: Path, contents: dict[str, str]) -> Path:
    """A folder with files of these contents."""
    for name, text in contents.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if text.startswith("link:"):
            path.symlink_to(text.removeprefix("link:"))
        elif text == "pipe:":
            os.mkfifo(path)
        else:
            path.write_text(text, encoding="utf-8")
    return folder


# -- hostile files -------------------------------------------------------------------------


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes here")
@pytest.mark.parametrize("case", cases())
def test_what_could_run_or_fetch_something_else_is_refused(
    case: dict[str, Any], tmp_path: Path
) -> None:
    """A file means what it says or is refused in one line; more is taken only when allowed."""
    place = write(tmp_path, case["files"]) / case.get("read", "")
    if "error" not in case:
        assert given_by(read_spec(place), tmp_path) == case["gives"]
        return
    with pytest.raises(GitmlError) as refused:
        read_spec(place)
    message = str(refused.value)
    assert case["error"] in message
    assert message.isprintable()
    assert len(message) < 300
    assert "secret" not in message
    if "allowed" in case:
        assert given_by(read_spec(place, allow_code=True), tmp_path) == case["allowed"]
        assert "allow_code" in message


def given_by(spec: Spec, folder: Path) -> list[str]:
    """The options and requirements of a spec, its folder by one name."""
    return [line.replace(str(folder), "FOLDER") for line in (*spec.options, *spec.requirements)]


# -- files as they are ---------------------------------------------------------------------

PYTHON_ENV = """
python: 3.11.7
build_dependencies:
- pip==23.2.1
- setuptools==65.5.0
- wheel
dependencies:
- -r requirements.txt
"""
REQUIREMENTS = """
mlflow==3.17.2
-c constraints.txt
scikit_learn==1.5.2
"""
CONDA = """
channels:
- conda-forge
dependencies:
- python=3.11.7
- pip<=23.2.1
- scikit-learn=1.5
- pip:
  - mlflow==3.17.2
name: mlflow-env
"""


def test_a_models_python_env_is_read_with_its_requirements(tmp_path: Path) -> None:
    """python_env.yaml gives the Python and the tools, requirements.txt the rest."""
    write(
        tmp_path,
        {
            "python_env.yaml": PYTHON_ENV,
            "conda.yaml": CONDA,
            "requirements.txt": REQUIREMENTS,
            "constraints.txt": "scipy<2\n",
        },
    )
    expected = Spec(
        python="3.11.7",
        requirements=("mlflow==3.17.2", "scikit-learn==1.5.2"),
        constraints=("scipy<2",),
        build=("pip==23.2.1", "setuptools==65.5.0", "wheel"),
        source="python_env.yaml",
    )
    assert read_spec(tmp_path) == expected
    assert read_spec(tmp_path / "python_env.yaml") == expected
    assert read_spec(tmp_path, conda=True) == read_spec(tmp_path / "conda.yaml")


def test_conda_is_read_where_there_is_nothing_better(tmp_path: Path) -> None:
    """conda.yaml gives Python, conda's packages, the channels, and what is pip's."""
    write(tmp_path, {"conda.yaml": CONDA})
    assert read_spec(tmp_path) == Spec(
        python="3.11.7",
        requirements=("mlflow==3.17.2",),
        conda=("pip<=23.2.1", "scikit-learn=1.5"),
        channels=("conda-forge",),
        source="conda.yaml",
    )
    (tmp_path / "conda.yaml").rename(tmp_path / "requirements.txt")
    (tmp_path / "requirements.txt").write_text("numpy\n")
    assert read_spec(tmp_path, conda=True).requirements == ("numpy",)


def test_a_file_of_conda_is_known_by_what_is_in_it(tmp_path: Path) -> None:
    """A project may call its file of conda what it likes."""
    write(tmp_path, {"environment.yml": CONDA, "env.yaml": PYTHON_ENV, "requirements.txt": "a\n"})
    assert read_spec(tmp_path / "environment.yml").channels == ("conda-forge",)
    assert read_spec(tmp_path / "env.yaml").requirements == ("a",)


def test_a_root_lets_files_of_the_project_be_named(tmp_path: Path) -> None:
    """A file may name those in the root that the caller gives, not those outside of it."""
    write(tmp_path, {"common.txt": "numpy\n", "jobs/requirements.txt": "-r ../common.txt\n"})
    with pytest.raises(UsageError, match="outside of the folder"):
        read_spec(tmp_path / "jobs" / "requirements.txt")
    found = read_spec(tmp_path / "jobs" / "requirements.txt", root=tmp_path)
    assert found.requirements == ("numpy",)


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("'3.11.7'", "3.11.7"),
        ("3.11", "3.11"),
        ("3.10", "3.10"),
        ("3.9", "3.9"),
        ("'>=3.10, <3.13'", "<3.13,>=3.10"),
        ("'==3.11.*'", "3.11"),
        ("'==3.11.7'", "3.11.7"),
    ],
)
def test_a_python_is_what_its_author_meant(written: str, meant: str, tmp_path: Path) -> None:
    """A version without quotes is no decimal number, a range stays one."""
    write(tmp_path, {"python_env.yaml": f"python: {written}\ndependencies: []\n"})
    assert read_spec(tmp_path).python == meant


def test_a_file_that_is_not_utf_8_is_named(tmp_path: Path) -> None:
    """Bytes of another encoding are refused, not guessed at."""
    (tmp_path / "requirements.txt").write_bytes(b"# \xff\nnumpy\n")
    with pytest.raises(GitmlError, match=r"^requirements\.txt is not UTF-8; save it as UTF-8$"):
        read_spec(tmp_path)


def test_a_file_that_is_too_large_is_not_read(tmp_path: Path) -> None:
    """A list of requirements has no megabyte."""
    (tmp_path / "requirements.txt").write_bytes(b"#" * 1_000_001)
    with pytest.raises(GitmlError, match="over 1 MB"):
        read_spec(tmp_path)


BOMBS: dict[str, dict[str, str]] = {
    "spaces": {"requirements.txt": "numpy" + " " * 40_000 + "x\n"},
    "more spaces than a line has": {"requirements.txt": "numpy" + " " * 900_000 + "x\n"},
    "hashes that are none": {"requirements.txt": "numpy" + " --hash" * 7_000 + "\n"},
    "a long marker": {"requirements.txt": "numpy; " + " and ".join(["os_name=='x'"] * 50_000)},
    "many lines": {"requirements.txt": "numpy\n" * 20_000},
    "files in files": {
        "requirements.txt": "".join(f"-r {number}.txt\n" for number in range(200)),
        **{f"{number}.txt": "numpy\n" * 200 for number in range(200)},
    },
    "a Python of many parts": {"python_env.yaml": f"python: '{','.join(['>=3'] * 100_000)}'\n"},
}


@pytest.mark.timeout(20)
@pytest.mark.parametrize("name", BOMBS)
def test_what_would_take_long_is_refused(name: str, tmp_path: Path) -> None:
    """A stranger's file costs a moment, and its refusal is short."""
    with pytest.raises(GitmlError) as told:
        read_spec(write(tmp_path, BOMBS[name]), allow_code=True)
    assert len(str(told.value)) < 300


@pytest.mark.timeout(20)
def test_a_file_that_is_named_often_is_read_once(tmp_path: Path) -> None:
    """What it says is there then, whoever names it."""
    folder = write(
        tmp_path, {"requirements.txt": "-r a.txt\n" * 5000, "a.txt": "#\n" * 10**5 + "a"}
    )
    assert read_spec(folder).requirements == ("a",)


# -- conda's packages ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("conda", "pypi"),
    [
        ("numpy", "numpy"),
        ("numpy=1.26", "numpy==1.26.*"),
        ("numpy=1.26.*", "numpy==1.26.*"),
        ("numpy==1.26.4", "numpy==1.26.4"),
        ("numpy=1.26.4=py311_0", "numpy==1.26.4.*"),
        ("numpy==1.26.4=py311_0", "numpy==1.26.4"),
        ("numpy 1.26.4", "numpy==1.26.4"),
        ("numpy 1.26.*", "numpy==1.26.*"),
        ("numpy >=1.20,<2", "numpy<2,>=1.20"),
        ("numpy>=1.20, <2", "numpy<2,>=1.20"),
        ("numpy!=1.25", "numpy!=1.25"),
        ("conda-forge::numpy=1.26", "numpy==1.26.*"),
        ("Scikit-Learn", "scikit-learn"),
        ("pytorch==2.1.0", "torch==2.1.0"),
        ("matplotlib-base=3.9", "matplotlib==3.9.*"),
    ],
)
def test_a_package_that_pypi_has_too_is_taken_from_there(conda: str, pypi: str) -> None:
    """A package of conda becomes the requirement that names the same versions."""
    assert on_pypi(Spec(conda=(conda,))).requirements == (pypi,)


def test_the_tools_of_conda_are_build_tools() -> None:
    """pip, setuptools and wheel are installed first, whoever names them."""
    found = on_pypi(Spec(requirements=("a",), conda=("pip<=23", "wheel", "numpy"), channels=("c",)))
    assert found == Spec(requirements=("a", "numpy"), build=("pip<=23", "wheel"))


@pytest.mark.parametrize(
    "package", ["libgomp", "cudatoolkit=11.8", "r-base", "numpy 1.2|1.3", "numpy[build=mkl]", "-x"]
)
def test_what_only_conda_has_is_named(package: str) -> None:
    """A package without a counterpart is an error that names it and says what to do."""
    spec = Spec(conda=("numpy", package), source="conda.yaml")
    with pytest.raises(UsageError) as refused:
        on_pypi(spec)
    assert str(refused.value) == (
        f"conda.yaml asks for '{package}', of which no counterpart on PyPI is known; build the"
        " environment with conda (--env-manager conda), or list it there below pip"
    )


def test_what_is_taken_from_pypi_in_the_place_of_conda_is_told() -> None:
    """With the name and the version that they have there; but for pip and its kin."""
    said: list[str] = []
    on_pypi(Spec(conda=("pytorch=2.1", "numpy>=1", "pip"), source="conda.yaml"), said.append)
    assert said == ["conda.yaml: packages of conda are taken from PyPI: 'torch==2.1.*', 'numpy>=1'"]
    on_pypi(Spec(requirements=("numpy",)), said.append)
    assert len(said) == 1


def test_many_packages_of_conda_are_counted() -> None:
    """A message names five packages and tells how many more there are."""
    with pytest.raises(UsageError, match=r"'lib4' and 3 more, of which no"):
        on_pypi(Spec(conda=tuple(f"lib{n}" for n in range(8))))


@pytest.mark.parametrize(
    ("spec", "listed"),
    [
        (Spec(python="3.11.7"), ["python=3.11.7", "pip"]),
        (Spec(python=">=3.10,<3.13"), ["python>=3.10,<3.13", "pip"]),
        (Spec(conda=("pip<=23", "numpy")), ["pip<=23", "numpy"]),
        (Spec(conda=("pip-tools",)), ["pip-tools", "pip"]),
    ],
)
def test_conda_is_told_of_python_and_pip(spec: Spec, listed: list[str]) -> None:
    """Whatever a spec was read from, conda gets a Python and a pip."""
    assert list(packages(spec)) == listed


# -- lines ---------------------------------------------------------------------------------

NAMES = st.from_regex(r"[A-Za-z][A-Za-z0-9]{0,8}([-_.][a-z0-9]{1,5})?", fullmatch=True)
VERSIONS = st.from_regex(r"[0-9]{1,3}(\.[0-9]{1,3}){0,2}", fullmatch=True)
CLAUSES = st.tuples(st.sampled_from(["==", ">=", "<=", "!=", "<", ">", "~="]), VERSIONS).filter(
    lambda clause: clause[0] != "~=" or "." in clause[1]
)
MARKERS = st.sampled_from(
    ["", "; python_version >= '3.8'", ";sys_platform=='linux' and extra == 'a'"]
)


@st.composite
def requirements(draw: st.DrawFn) -> str:
    """A requirement as a person may write it."""
    name = draw(NAMES)
    extras = draw(st.lists(NAMES, max_size=2, unique_by=str.lower))
    clauses = draw(st.lists(CLAUSES, max_size=3))
    space = draw(st.sampled_from(["", " "]))
    specifier = f"{space},{space}".join(f"{op}{space}{version}" for op, version in clauses)
    listed = f"[{','.join(extras)}]" if extras else ""
    return f"{name}{listed}{space}{specifier}{space}{draw(MARKERS)}"


@given(requirements())
def test_a_normal_form_is_its_own_normal_form(text: str) -> None:
    """What was read once reads the same again, and is a requirement."""
    found = parse(text)
    assert (found.kind, found.risk) == ("package", "")
    assert parse(found.value) == found
    assert package(found.value) is not None


@given(requirements(), st.sampled_from(["", "  # why", "\n# a line\n", "\t"]))
def test_comments_and_blanks_say_nothing(text: str, more: str) -> None:
    """A requirement is the same with a comment behind or around it."""
    assert [line for _, line in lines(f"{more}\n{text}{more}\n")] == [text.strip()]


@given(requirements(), st.lists(st.from_regex(r"[0-9a-f]{64}", fullmatch=True), min_size=1))
def test_hashes_come_after_the_requirement_in_one_order(text: str, hashes: list[str]) -> None:
    """The order of hashes says nothing, and without them the requirement is left."""
    listed = [f" --hash=sha256:{value}" for value in hashes]
    there, back = parse(text + "".join(listed)), parse(text + "".join(reversed(listed)))
    assert there == back
    assert without_hashes(there.value) == parse(text).value


@given(st.text(max_size=60))
def test_any_line_is_read_or_refused(text: str) -> None:
    """No text is too odd to be a line or a ValueError."""
    for number, line in lines(text):
        assert number >= 1
        with contextlib.suppress(ValueError):
            assert parse(line).value


# -- identity ------------------------------------------------------------------------------

FULL = Spec(
    python="3.11.7",
    requirements=("a==1", "b"),
    constraints=("c<2", "d"),
    options=("--pre", "--no-index"),
    build=("pip", "wheel"),
    conda=("x", "y"),
    channels=("conda-forge", "defaults"),
    source="python_env.yaml",
)


def test_the_same_content_is_the_same_environment() -> None:
    """Neither the order of lines, nor one that stands twice, nor the file's name identifies it."""
    other = replace(
        FULL,
        requirements=("b", "a==1", "b"),
        constraints=("d", "c<2"),
        build=("wheel", "pip"),
        conda=("y", "x"),
        source="elsewhere.yaml",
    )
    assert FULL.digest("linux") == other.digest("linux")


@pytest.mark.parametrize(
    "change",
    [
        {"python": "3.11.8"},
        {"requirements": ("a==1",)},
        {"constraints": ("c<2",)},
        {"options": ("--no-index", "--pre")},
        {"build": ("pip",)},
        {"conda": ("x",)},
        {"channels": ("defaults", "conda-forge")},
        {"requirements": ("a==1",), "constraints": ("b", "c<2", "d")},
    ],
)
def test_any_other_content_is_another_environment(change: dict[str, Any]) -> None:
    """Each part of a spec identifies it, and so does the order in which packages are looked for."""
    assert replace(FULL, **change).digest() != FULL.digest()


def test_another_machine_is_another_environment() -> None:
    """The conditions under which it is built identify an environment too."""
    assert len({FULL.digest(*conditions) for conditions in ((), ("a",), ("a", "b"), ("ab",))}) == 4


def test_python_is_refused_by_the_place_it_stands_in() -> None:
    """A message says where the version is that is none."""
    with pytest.raises(UsageError, match=r"^FILE: 'three' is no version of Python; write one"):
        python_version("three", "FILE")
