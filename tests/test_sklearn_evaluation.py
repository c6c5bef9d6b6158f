"""How a model was judged is logged as MLflow 3.17 does it: metrics, data, metric_info.json."""

from __future__ import annotations

import inspect
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import sklearn.metrics
from sklearn.linear_model import Ridge

import gitml
import gitml.sklearn
from gitml.models.flavors.sklearn_autolog.evaluation import call_text
from gitml.tracking import autolog as hooks
from gitml.tracking.entities import Run
from tests import sklearn_habits
from tests.conftest import Git
from tests.logged import the_run

FACTS = json.loads((Path(__file__).parent / "sklearn_facts.json").read_text(encoding="utf-8"))


@pytest.fixture(autouse=True)
def _on(repo: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(hooks, "_said", set())
    gitml.sklearn.autolog(log_models=False)
    yield
    gitml.sklearn.autolog(disable=True)


@pytest.fixture(scope="module")
def data() -> tuple[Any, Any]:
    """Rows and what they come to."""
    x = np.random.default_rng(0).normal(size=(30, 3))
    return x, x @ [1.0, 2.0, 3.0]


def contexts(run: Run) -> list[str]:
    """The contexts of a run's inputs."""
    return [tag.value for given in run.inputs.dataset_inputs for tag in given.tags]


def info(run: Run) -> dict[str, str]:
    """What metric_info.json says."""
    found: dict[str, str] = gitml.artifacts.load_dict(f"runs:/{run.info.run_id}/metric_info.json")
    return found


def lines(text: str | None) -> list[str]:
    """The lines of metric_info.json; the name of one parameter is scikit-learn 1.9's."""
    return (text or "").replace("y_proba=", "y_pred=").splitlines()


def test_a_script_logs_what_it_logs_with_mlflow() -> None:
    """The same keys, values, inputs and file, run by run; sklearn_facts.json was measured."""
    sklearn_habits.train_and_judge(gitml)
    found = list(sklearn_habits.facts(gitml))
    assert [run["estimator"] for run in found] == [run["estimator"] for run in FACTS]
    for ours, theirs in zip(found, FACTS, strict=True):
        assert ours["nested"] == theirs["nested"]
        assert ours["metrics"] == pytest.approx(theirs["metrics"], rel=1e-3)
        assert ours["inputs"] == theirs["inputs"]
        assert lines(ours["info"]) == lines(theirs["info"])


def test_a_score_brings_its_data_too(data: tuple[Any, Any]) -> None:
    """Unlike MLflow, which logs the data of predictions only; the same data are one input."""
    with gitml.start_run():
        model = Ridge().fit(*data)
        rows = pd.DataFrame(data[0][:5])
        model.fit(pd.DataFrame(data[0]), data[1])
        model.score(rows, data[1][:5])
        model.score(rows, data[1][:5])
        sklearn.metrics.r2_score(data[1][:5], model.predict(rows))
    assert contexts(the_run()) == ["train", "train", "eval"]
    assert list(info(the_run())) == ["Ridge_score-2_rows", "Ridge_score_rows", "r2_score_rows"]


def test_of_a_run_that_has_ended(data: tuple[Any, Any], git: Git) -> None:
    """A metric brings its data and metric_info.json in one change; a prediction alone nothing."""
    model = Ridge().fit(*data)

    def records() -> int:
        return int(git("rev-list", "--count", "--first-parent", "gitml/runs"))

    before = records()
    test = data[0][:7]
    predicted = model.predict(test)
    assert records() == before
    assert contexts(the_run()) == ["train"]
    sklearn.metrics.r2_score(data[1][:7], predicted)
    assert records() == before + 1
    assert contexts(the_run()) == ["train", "eval"]
    model.score(test, data[1][:7])
    run = the_run()
    assert records() == before + 2
    assert contexts(run) == ["train", "eval"]
    assert info(run) == {
        "Ridge_score_test": "Ridge.score(X=test, y=<ndarray>)",
        "r2_score_test": "r2_score(y_true=<ndarray>, y_pred=predicted)",
    }


def test_without_data(data: tuple[Any, Any]) -> None:
    """`log_datasets=False` leaves out data of every context, and nothing else."""
    gitml.sklearn.autolog(log_models=False, log_datasets=False)
    with gitml.start_run():
        Ridge().fit(*data).score(*data)
    assert contexts(the_run()) == []
    assert len(info(the_run())) == 1


def test_no_metric_no_file(data: tuple[Any, Any]) -> None:
    """A run whose model nobody judged has no metric_info.json."""
    with gitml.start_run() as run:
        Ridge().fit(*data).predict(data[0])
    assert contexts(the_run()) == ["train", "eval"]
    assert gitml.artifacts.list_artifacts(run_id=run.info.run_id) == []


def test_arguments_of_a_call(data: tuple[Any, Any]) -> None:
    """Plain values are written as they are, a long text is cut, anything else is its variable."""
    frame = inspect.currentframe()
    truth = data[1]
    given = {"alpha": 0.5, "text": "x" * 40, "name": "short", "none": None, "data": [1]}
    text = call_text(sklearn.metrics.r2_score, "", (truth,), given, frame)
    cut = "x" * 32 + "..."
    assert text == (
        f"r2_score(y_true=truth, alpha=0.5, text='{cut}', name='short', none=None, data=<list>)"
    )


def test_lists_are_data(data: tuple[Any, Any]) -> None:
    """Rows in a list are an input like an array of them."""
    with gitml.start_run():
        Ridge().fit(*data).predict(data[0].tolist())
    assert contexts(the_run()) == ["train", "eval"]


def test_what_is_no_data_is_told_once(
    data: tuple[Any, Any], caplog: pytest.LogCaptureFixture
) -> None:
    """Data that can't be described are told as a log message; the metric is logged all the same."""

    class Odd(np.ndarray):  # type: ignore[type-arg]
        @property
        def digest(self) -> str:
            raise RuntimeError("no digest")

        def to_dict(self) -> None: ...

    with gitml.start_run():
        model = Ridge().fit(*data)
        odd = data[0].view(Odd)
        for _ in range(2):
            model.score(odd, data[1])
    assert caplog.messages == ["sklearn autologging: RuntimeError: no digest"]
    assert list(info(the_run())) == ["Ridge_score-2_odd", "Ridge_score_odd"]
    assert contexts(the_run()) == ["train"]
