"""MLproject files: MLflow's format, and what is wrong with a file, by line and column."""

from __future__ import annotations

from pathlib import Path

import pytest

from gitml.errors import FormatError, UsageError
from gitml.projects import mlproject
from gitml.projects.mlproject import DockerEnv, Project
from gitml.projects.parameters import Parameter, values


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A project's folder with a script and a data file."""
    (tmp_path / "train.py").write_text("")
    (tmp_path / "data.csv").write_text("")
    return tmp_path


def project(folder: Path, text: str) -> Project:
    """The project of a folder with that MLproject file."""
    (folder / "MLproject").write_text(text)
    return mlproject.read(folder)


def test_entry_points_have_commands_and_parameters_in_both_forms(folder: Path) -> None:
    """A bare word is a type; a mapping has a type and a default; types have several names."""
    found = project(
        folder,
        """
        name: churn
        entry_points:
          main:
            parameters:
              data: path
              rate: {type: float, default: 0.10}
              epochs: {type: integer, default: 5}
              verbose: {type: bool, default: true}
              max-depth: {type str, default: "auto"}
              note: {default: no}
              seed:
            command: "python train.py {data} {rate} {epochs} {verbose} {max-depth} {note} {seed}"
          report: {command: python report.py}
        """,
    )
    assert found.name == "churn"
    assert found.entry_point("report").parameters == ()
    assert found.entry_point().parameters == (
        Parameter("data", "path"),
        Parameter("rate", "float", "0.1"),
        Parameter("epochs", "int", "5"),
        Parameter("verbose", "bool", "True"),
        Parameter("max-depth", "string", "auto"),
        Parameter("note", "string", "no"),
        Parameter("seed", "string"),
    )


def test_the_name_of_the_file_is_taken_in_any_case(folder: Path) -> None:
    """MLproject, MLProject, mlproject; but not two of them."""
    (folder / "MLProject").write_text("name: x")
    assert mlproject.read(folder).name == "x"
    (folder / "mlproject").write_text("name: y")
    if len([path for path in folder.iterdir() if path.name.lower() == "mlproject"]) == 2:
        with pytest.raises(UsageError, match="has MLProject and mlproject; a project has one"):
            mlproject.read(folder)


def test_a_folder_without_the_file_has_its_scripts(folder: Path) -> None:
    """By their paths, and none that is outside."""
    found = mlproject.read(folder)
    entry_point = found.entry_point("train.py")
    text, *words = entry_point.command.argv("bash", {}, {"x": "1"})[2:]
    assert text.endswith('; python \'./train.py\' "${__gitml_1}" "${__gitml_2}"')
    assert words == ["bash", "--x", "1"]
    for name in ("../x.py", "/etc/x.py", "none.py", "data.csv", "main"):
        with pytest.raises(UsageError):
            found.entry_point(name)


@pytest.mark.parametrize("name", ["python_env.yaml", "conda.yaml", "requirements.txt"])
def test_the_environment_is_the_file_beside_unless_one_is_named(folder: Path, name: str) -> None:
    """In MLflow's order."""
    (folder / name).write_text("")
    assert project(folder, "name: x").environment == folder / name
    (folder / "own.yaml").write_text("")
    assert project(folder, "conda_env: own.yaml").environment == folder / "own.yaml"


def test_an_image_with_volumes_and_variables(folder: Path) -> None:
    """A variable is passed on from the caller, or has a value here."""
    text = "docker_env: {image: i:1, volumes: ['/d:/d:ro'], environment: [A, [B, 1]]}"
    wanted = DockerEnv("i:1", ("/d:/d:ro",), (("A", None), ("B", "1")))
    assert project(folder, text).environment == wanted


POINT = "entry_points:\n  main:\n    "


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("nam: x\n", "line 1, column 1: unknown key 'nam'; did you mean 'name'?"),
        ("name: x\nentry_point:\n", "line 2, column 1: unknown key 'entry_point'; did you mean"),
        (POINT + "comand: x\n", "line 3, column 5: entry_points/main: unknown key 'comand'; did"),
        (POINT + "parameters: {}\n", "column 3: entry_points/main: 'command' is missing"),
        (POINT + "command: [x]\n", "column 5: entry_points/main/command: must be text, not a list"),
        (
            POINT + "command: x {y}\n",
            "line 3, column 5: the command of 'main' has {y}, which is no parameter; declare it",
        ),
        (
            POINT + "parameters: {rate: float}\n    command: x {rte}\n",
            "line 4, column 5: the command of",
        ),
        (POINT + "parameters: {rate: float}\n    command: x {rte}\n", "did you mean 'rate'?"),
        (
            POINT + "parameters: {rate: flot}\n    command: x\n",
            "line 3, column 18: entry point 'main'",
        ),
        (POINT + "parameters: {rate: flot}\n    command: x\n", "'flot' is no type of 'rate'; did"),
        (POINT + "parameters: {rate: x}\n    command: x\n", "write string, int, float, bool, path"),
        (POINT + "parameters: {'a b': int}\n    command: x\n", "'a b' is not a parameter's name"),
        (POINT + "command: x {\n", "write {{ and }} for braces"),
        ("conda_env: a\npython_env: b\n", "line 1, column 1: there is python_env and conda_env; a"),
        ("python_env: ../x\n", "python_env '../x' is outside the project"),
        ("python_env: /x\n", "python_env '/x' is outside the project"),
        ("name: p\npython_env: x\n", "line 2, column 1: there is no python_env 'x'"),
        ("docker_env: {}\n", "docker_env: 'image' is missing"),
        ("docker_env: {image: --privileged}\n", "is not the name of an image"),
        ("docker_env: {image: a, volumes: [--privileged]}\n", "is not a volume"),
        ("docker_env: {image: a, environment: ['A=1']}\n", "is not the name of a variable"),
        ("- a\n", "line 1, column 1: must be a mapping"),
        ("a: b: c\n", "line 1: mapping values are not allowed"),
        ("name: !!python/object:os.system x\n", "line 1: can't take the tag"),
        ("name: &a x\ndescription: *a\n", "line 2: can't take the alias"),
        ("name: x\nname: y\n", "line 2: can't take the key 'name' a second time"),
        ("<<<<<<< ours\n", "line 1: unresolved merge"),
    ],
)
def test_a_file_that_is_none_says_where_and_what(folder: Path, text: str, message: str) -> None:
    """One line, with line and column where the file has one, and a suggestion for a typo."""
    with pytest.raises(FormatError) as refused:
        project(folder, text)
    assert message in str(refused.value)
    assert str(refused.value).startswith("MLproject")
    assert "\n" not in str(refused.value)


def test_an_unknown_entry_point_tells_what_there_is(folder: Path) -> None:
    """And what may have been meant."""
    found = project(folder, POINT + "command: x\n  train: {command: y}\n")
    with pytest.raises(UsageError, match="no entry point 'trian'; did you mean 'train'"):
        found.entry_point("trian")
    with pytest.raises(UsageError, match="no entry point 'x'; it has main, train"):
        found.entry_point("x")


# -- values --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "good", "bad"),
    [
        ("string", ["", "x y", "'"], []),
        ("int", ["0", "-12", "+3"], ["", "1.0", "1e3", "x", "1_000", "0x10", "\u0663", " 1"]),
        ("float", ["0", "-1.5", "1e-3", ".5", "nan", "inf", "-Inf"], ["", "x", "1e999", "0x1p3"]),
        ("bool", ["true", "False", "1", "no"], ["", "x", "2"]),
        ("uri", ["s3://b/k", "https://x/y", "runs:/a/b", "data.csv"], ["", "none.csv"]),
        ("path", ["data.csv", "."], ["", "none.csv", "a\0b"]),
    ],
)
def test_values_are_checked_against_the_type(
    folder: Path, monkeypatch: pytest.MonkeyPatch, kind: str, good: list[str], bad: list[str]
) -> None:
    """A good one goes on as it was written, a path as an absolute one."""
    monkeypatch.chdir(folder)
    parameter = Parameter("a", kind)
    for text in good:
        told = values([parameter], {"a": text}, folder).declared["a"]
        assert told == (str(folder / text) if (folder / text).exists() and text else text)
    for text in bad:
        with pytest.raises(UsageError, match="the parameter 'a': "):
            values([parameter], {"a": text}, folder)


def test_a_given_path_is_the_callers_and_a_default_one_the_projects(
    folder: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Relative paths, seen from where they were written."""
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    (elsewhere / "mine.csv").write_text("")
    monkeypatch.chdir(elsewhere)
    data = Parameter("data", "path", "data.csv")
    assert values([data], {}, folder).declared["data"] == str(folder / "data.csv")
    given = values([data], {"data": "mine.csv"}, folder)
    assert given.declared["data"] == str(elsewhere / "mine.csv")


def test_missing_and_unknown_parameters_are_told(folder: Path) -> None:
    """All the missing ones at once; an unknown one with what there is."""
    known = [Parameter("rate", "float"), Parameter("depth", "int"), Parameter("seed", "int", "1")]
    with pytest.raises(UsageError, match="each of the parameters 'rate', 'depth' needs a value"):
        values(known, {}, folder)
    given = {"rate": 0.5, "depth": 3, "sed": 2}
    with pytest.raises(UsageError, match="no parameter 'sed'; did you mean 'seed'"):
        values(known, given, folder)
    told = values(known, given, folder, allow_extra=True)
    assert told.declared == {"rate": "0.5", "depth": "3", "seed": "1"}
    assert told.extra == {"sed": "2"}
