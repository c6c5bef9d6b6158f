"""Artifacts as MLflow's users name and log them; the answers are those of MLflow 3.17.2."""

from __future__ import annotations

from collections.abc import Callable
from io import BytesIO
from pathlib import Path, PurePosixPath
from typing import Any

import pytest

import gitml as mlflow
from gitml.exceptions import MlflowException
from gitml.tracking import MlflowClient

pytestmark = pytest.mark.usefixtures("new_script")

SPELLINGS = ("rep/x.json", "./rep/x.json", "rep//x.json", "rep/./x.json", "rep/../rep/x.json")


@pytest.mark.parametrize("spelling", [*SPELLINGS, PurePosixPath("rep/x.json"), Path("rep/x.json")])
def test_a_path_may_be_spelt_in_any_way(spelling: Any, tmp_path: Path) -> None:
    """Whatever names an artifact, text or a path, is written and read in one normal form."""
    client = MlflowClient()
    (tmp_path / "x.json").write_text("{}", encoding="utf-8")
    with mlflow.start_run() as run:
        mlflow.log_dict({"a": 1}, spelling)
    run_id = run.info.run_id
    assert [item.path for item in client.list_artifacts(run_id, "rep")] == ["rep/x.json"]
    loaded = mlflow.artifacts.download_artifacts(run_id=run_id, artifact_path=spelling)
    assert Path(loaded).read_text(encoding="utf-8") == '{\n  "a": 1\n}'
    assert mlflow.artifacts.load_dict(f"runs:/{run_id}/{spelling}") == {"a": 1}
    folder = PurePosixPath(spelling).parent if isinstance(spelling, Path) else "./rep/"
    assert [item.path for item in client.list_artifacts(run_id, folder)] == ["rep/x.json"]
    client.log_artifact(run_id, tmp_path / "x.json", folder)
    assert mlflow.artifacts.load_dict(f"runs:/{run_id}/rep/x.json") == {}


@pytest.mark.parametrize("path", ["../x.txt", "a/../../x.txt", "/x.txt", Path("..", "x.txt"), ".."])
def test_a_path_that_leads_out_is_refused(path: Any, tmp_path: Path) -> None:
    """However it is given, as a file or as a folder; nothing is logged."""
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "x.txt").write_text("x", encoding="utf-8")
    with mlflow.start_run() as run:
        for log in (
            lambda: mlflow.log_text("x", path),
            lambda: mlflow.log_artifact(tmp_path / "data" / "x.txt", path),
            lambda: mlflow.log_artifacts(tmp_path / "data", path),
        ):
            with pytest.raises(MlflowException, match="artifact path"):
                log()
    assert mlflow.artifacts.list_artifacts(run_id=run.info.run_id) == []


def test_every_function_takes_a_path() -> None:
    """The fluent functions and the client's take `pathlib.Path` for an artifact's name."""
    numpy, client = pytest.importorskip("numpy"), MlflowClient()
    pytest.importorskip("PIL")
    plotly = pytest.importorskip("plotly.graph_objects")
    image, figure = numpy.zeros((2, 2), dtype="uint8"), plotly.Figure()
    logs: dict[str, Callable[[Any], Any]] = {
        "a.txt": lambda path: mlflow.log_text("x", path),
        "b.json": lambda path: mlflow.log_dict({}, path),
        "c.png": lambda path: mlflow.log_image(image, path),
        "d.html": lambda path: mlflow.log_figure(figure, path),
        "e.json": lambda path: mlflow.log_table({"a": [1]}, path),
        "f.bin": lambda path: mlflow.log_stream(BytesIO(b"x"), path),
        "g.txt": lambda path: client.log_text(run_id, "x", path),
        "h.json": lambda path: client.log_dict(run_id, {}, path),
        "i.png": lambda path: client.log_image(run_id, image, path),
        "j.html": lambda path: client.log_figure(run_id, figure, path),
        "k.json": lambda path: client.log_table(run_id, {"a": [1]}, path),
    }
    with mlflow.start_run() as run:
        run_id = run.info.run_id
        for name, log in logs.items():
            log(Path("out") / name)
        assert mlflow.get_artifact_uri(Path("out", "a.txt")) == f"runs:/{run_id}/out/a.txt"
    listed = client.list_artifacts(run_id, Path("out"))
    assert [item.path for item in listed] == [f"out/{name}" for name in logs]
    assert Path(client.download_artifacts(run_id, Path("out", "a.txt"))).read_text() == "x"
    assert len(mlflow.load_table(Path("out", "e.json"), [run_id])) == 1


def test_a_missing_folder_is_no_failure(tmp_path: Path) -> None:
    """`log_artifacts` of a folder that is not there warns, logs nothing, and goes on."""
    (tmp_path / "file.txt").write_text("x", encoding="utf-8")
    with mlflow.start_run() as run:
        for place in (tmp_path / "nothing", tmp_path / "file.txt"):
            with pytest.warns(UserWarning, match="there is no folder"):
                mlflow.log_artifacts(place)
        mlflow.log_metric("after", 1)
    assert mlflow.artifacts.list_artifacts(run_id=run.info.run_id) == []
    assert mlflow.get_run(run.info.run_id).data.metrics == {"after": 1.0}


def test_files_that_can_not_be_held_are_left_out_in_one_warning(tmp_path: Path) -> None:
    """A clone with its `.git`, logged whole, is logged without it; the training goes on."""
    folder = tmp_path / "clone"
    for number in range(9):
        path = folder / ".git" / "objects" / str(number)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("x", encoding="utf-8")
    (folder / "config.json").write_text("{}", encoding="utf-8")
    (folder / ".gitattributes").write_text("* -text", encoding="utf-8")
    with mlflow.start_run() as run, pytest.warns(UserWarning, match="not logged") as warned:
        mlflow.log_artifacts(folder, "model")
    assert [str(item.message).count(".git/objects") for item in warned] == [6]
    assert "and 4 more" in str(warned[0].message)
    listed = mlflow.artifacts.list_artifacts(run_id=run.info.run_id, artifact_path="model")
    assert [item.path for item in listed] == ["model/.gitattributes", "model/config.json"]
    whole = mlflow.artifacts.download_artifacts(run_id=run.info.run_id)
    assert Path(whole, "model", ".gitattributes").read_text(encoding="utf-8") == "* -text"


def test_tables_are_those_that_mlflow_makes() -> None:
    """Numbers as names stay numbers; columns of unequal length are the cells of one row."""
    numpy, pandas = pytest.importorskip("numpy"), pytest.importorskip("pandas")
    with mlflow.start_run() as run:
        for _ in range(2):
            mlflow.log_table(pandas.DataFrame(numpy.eye(2)), "eye.json")
        mlflow.log_table({"a": [1, 2], "b": [3]}, "unequal.json")
        mlflow.log_table({0: [1], "x": [2]}, "keys.json")
    ids = [run.info.run_id]
    eye = mlflow.load_table("eye.json", ids)
    assert list(eye.columns) == [0, 1]
    assert eye.to_numpy().tolist() == [[1, 0], [0, 1]] * 2
    assert mlflow.load_table("unequal.json", ids).to_dict("records") == [{"a": [1, 2], "b": [3]}]
    assert list(mlflow.load_table("keys.json", ids).columns) == [0, "x"]


def test_times_of_runs_beside_a_table_are_times() -> None:
    """`extra_columns` has start and end as `search_runs` has them."""
    mlflow.set_experiment("times")
    with mlflow.start_run() as run:
        mlflow.log_table({"a": [1]}, "t.json")
        live = mlflow.load_table("t.json", extra_columns=["end_time"])
    assert live.end_time.isna().all()
    table = mlflow.load_table("t.json", extra_columns=["start_time", "end_time", "run_id"])
    frame = mlflow.search_runs()
    for name in ("start_time", "end_time"):
        assert str(table[name].dt.tz) == "UTC"
        assert list(table[name]) == list(frame[name])
    assert list(table.run_id) == [run.info.run_id]
