"""Names that are one in Unicode form NFC are one everywhere, and nothing of either is lost."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import gitml as mlflow
from gitml.documents import load_yaml
from gitml.exceptions import MlflowException
from gitml.tracking import MlflowClient
from tests.cli import Caller

pytestmark = pytest.mark.usefixtures("new_script")


@pytest.fixture
def caller(capsys: pytest.CaptureFixture[str]) -> Caller:
    """Calls the command line."""
    return Caller(capsys)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An empty folder outside the repository."""
    (tmp_path / "data").mkdir()
    return tmp_path / "data"


COMPOSED, DECOMPOSED = "caf\u00e9", "cafe\u0301"


# Each writes under a name in the run `run_id`, and tells the names that there are then.
Field = Callable[[str, str], list[str]]


def _data(run_id: str) -> Any:
    return MlflowClient().get_run(run_id).data


def artifact(run_id: str, name: str) -> list[str]:
    """A text as an artifact."""
    MlflowClient().log_text(run_id, "x", name)
    return sorted(MlflowClient().get_run(run_id).record.artifacts)


def param(run_id: str, name: str) -> list[str]:
    """A param, with the same value each time."""
    MlflowClient().log_param(run_id, name, 1)
    return sorted(_data(run_id).params)


def metric(run_id: str, name: str) -> list[str]:
    """A metric, by the function that takes one and by that which takes many."""
    client = MlflowClient()
    client.log_metric(run_id, name, 1)
    mlflow.log_metrics({name: 2}, run_id=run_id)
    client.log_batch(run_id, [mlflow.entities.Metric(name, 3, 1, 1)])
    return sorted(_data(run_id).metrics)


def tag(run_id: str, name: str) -> list[str]:
    """A tag."""
    MlflowClient().set_tag(run_id, name, "x")
    return sorted(key for key in _data(run_id).tags if not key.startswith("mlflow."))


def experiment(run_id: str, name: str) -> list[str]:
    """An experiment, made where there is none."""
    mlflow.set_experiment(name)
    return sorted(it.name for it in mlflow.search_experiments() if it.name != "default")


FIELDS: dict[str, Field] = {
    "artifact": artifact,
    "param": param,
    "metric": metric,
    "tag": tag,
    "experiment": experiment,
}


def cases() -> list[Any]:
    """The corpus: a case for each field that it is of."""
    path = Path(__file__).parent / "hostile" / "unicode.yaml"
    return [
        pytest.param(case, field, id=f"{field}: {case['name']}")
        for case in load_yaml(path.read_bytes(), path.name)
        for field in FIELDS
        if case["field"] in ("all", field)
    ]


def unescaped(text: str) -> str:
    """A name of the corpus."""
    return text.encode("ascii").decode("unicode_escape")


@pytest.mark.parametrize(("case", "field"), cases())
def test_two_forms_of_a_name(case: dict[str, Any], field: str) -> None:
    """Whichever is given, first or later, one is kept; what is no other form is another name."""
    first, other = unescaped(case["first"]), unescaped(case["other"])
    write = FIELDS[field]
    for one, two in ((first, other), (other, first)):
        with mlflow.start_run(experiment_id="0") as run:
            pass
        write(run.info.run_id, one)
        names = write(run.info.run_id, two)
        if case["stored"] is None:
            assert {first, other} <= set(names)
        else:
            assert names == [unescaped(case["stored"])]


# -- reading -------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [COMPOSED, DECOMPOSED])
@pytest.mark.parametrize("given", [COMPOSED, DECOMPOSED])
def test_whatever_was_written_is_found(given: str, name: str, caller: Caller) -> None:
    """By the name in either form: in reads, filters, orders, deletions and on the command line."""
    client = MlflowClient()
    mlflow.set_experiment(given)
    with mlflow.start_run(run_name=given, tags={given: "x"}) as run:
        mlflow.log_text("text", f"{given}/{given}.txt")
        mlflow.log_metric(given, 1)
        mlflow.log_param(given, 1)
    run_id = run.info.run_id
    assert mlflow.artifacts.load_text(f"runs:/{run_id}/{name}/{name}.txt") == "text"
    assert [it.path for it in client.list_artifacts(run_id, name)] == [f"{COMPOSED}/{COMPOSED}.txt"]
    assert len(client.get_metric_history(run_id, name)) == 1
    assert mlflow.get_experiment_by_name(name).name == COMPOSED  # type: ignore[union-attr]
    for text in (
        f"params.`{name}` = '1'", f"metrics.`{name}` > 0", f"metrics.{name}.max > 0",
        f"tags.`{name}` = 'x'", f"run_name = '{name}'", f"run_name LIKE '%{name}%'",
    ):  # fmt: skip
        assert len(mlflow.search_runs([run.info.experiment_id], text, output_format="list")) == 1
    assert len(mlflow.search_runs(experiment_names=[name], output_format="list")) == 1
    assert [it.name for it in mlflow.search_experiments(filter_string=f"name = '{name}'")] == [
        COMPOSED
    ]
    assert run_id in caller("runs", "show", name).out
    assert run_id[-8:] in caller("runs", "list", "--experiment", name).out
    client.delete_tag(run_id, name)
    with pytest.raises(MlflowException, match="exists already"):
        mlflow.create_experiment(name)


def test_renamed_to_another_form() -> None:
    """The new name of an experiment, or of a run, is kept in the one form, too."""
    client = MlflowClient()
    made = mlflow.create_experiment("plain")
    client.rename_experiment(made, DECOMPOSED)
    assert mlflow.get_experiment(made).name == COMPOSED
    other = mlflow.create_experiment("other")
    with pytest.raises(MlflowException, match="another experiment"):
        client.rename_experiment(other, DECOMPOSED)
    with mlflow.start_run() as run:
        mlflow.set_tag("mlflow.runName", DECOMPOSED)
    assert mlflow.get_run(run.info.run_id).info.run_name == COMPOSED


# -- both at once --------------------------------------------------------------------------


def test_two_keys_that_are_one_are_refused_with_two_values() -> None:
    """In one call neither is dropped for the other; with one value they are one."""
    both = {COMPOSED: 1, DECOMPOSED: 2}
    with mlflow.start_run() as run:
        for log in (mlflow.log_params, mlflow.set_tags, mlflow.set_experiment_tags):
            with pytest.raises(MlflowException, match="given twice, with different values"):
                log(both)  # type: ignore[operator]
        with pytest.raises(MlflowException, match="given twice"):
            mlflow.create_experiment("tagged", tags=both)
        mlflow.log_params({COMPOSED: 1, DECOMPOSED: 1})
        mlflow.log_metrics(both)
    history = MlflowClient().get_metric_history(run.info.run_id, COMPOSED)
    assert [point.value for point in history] == [1, 2]
    assert mlflow.get_run(run.info.run_id).data.params == {COMPOSED: "1"}


@pytest.mark.skipif(sys.platform == "darwin", reason="there the two files are one already")
def test_a_folder_with_both_files(folder: Path) -> None:
    """The composed one is logged; a warning names the other, which is never put in its place."""
    for name, text in ((DECOMPOSED, "decomposed"), (COMPOSED, "composed"), ("z", "z")):
        (folder / f"{name}.txt").write_text(text)
    with mlflow.start_run() as run:
        with pytest.warns(UserWarning, match="another Unicode form; rename it") as told:
            mlflow.log_artifacts(folder)
        mlflow.log_artifact(folder / f"{DECOMPOSED}.txt", "alone")
    assert r"cafe\u0301.txt" in str(told[0].message)
    listed = sorted(mlflow.get_run(run.info.run_id).record.artifacts)
    assert listed == [f"alone/{COMPOSED}.txt", f"{COMPOSED}.txt", "z.txt"]
    uri = f"runs:/{run.info.run_id}"
    assert mlflow.artifacts.load_text(f"{uri}/{COMPOSED}.txt") == "composed"
    assert mlflow.artifacts.load_text(f"{uri}/alone/{COMPOSED}.txt") == "decomposed"


@pytest.mark.skipif(sys.platform == "darwin", reason="there the two files are one already")
def test_a_folder_with_one_in_two_forms(folder: Path) -> None:
    """Files of two folders that are one come together, as on macOS."""
    for name in (DECOMPOSED, COMPOSED):
        (folder / name).mkdir()
        (folder / name / f"{len(name)}.txt").write_text(name)
    with mlflow.start_run() as run:
        mlflow.log_artifacts(folder)
    listed = sorted(mlflow.get_run(run.info.run_id).record.artifacts)
    assert listed == [f"{COMPOSED}/4.txt", f"{COMPOSED}/5.txt"]


def test_a_file_against_a_folder_in_another_form() -> None:
    """They are one name, which can't be both; the error names it, and the run goes on."""
    with mlflow.start_run() as run:
        mlflow.log_text("x", f"{COMPOSED}/a.txt")
        with pytest.raises(MlflowException, match="is a file, but a folder of that name"):
            mlflow.log_text("x", DECOMPOSED)
        mlflow.log_text("y", "b.txt")
    assert len(mlflow.get_run(run.info.run_id).record.artifacts) == 2
