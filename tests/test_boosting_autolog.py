"""Trainings of XGBoost and LightGBM are logged once, under MLflow's names, and the best model."""

from __future__ import annotations

import pickle
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import sklearn.metrics
from sklearn.datasets import make_classification
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import gitml
import gitml.lightgbm
import gitml.pyfunc
import gitml.sklearn
import gitml.xgboost
from gitml.tracking import autolog as hooks
from gitml.tracking.entities import Run
from tests import trainings
from tests.conftest import framework
from tests.logged import runs, the_run

xgboost = framework("xgboost")
lightgbm = framework("lightgbm")

QUIET = {"verbose_eval": False}


@pytest.fixture(scope="module")
def data() -> tuple[Any, ...]:
    """A table and targets to train on, and others to judge by."""
    x, y = make_classification(120, 4, flip_y=0.2, random_state=0)
    table = pd.DataFrame(x, columns=list("abcd"))
    return table[:80], y[:80], table[80:], y[80:]


@pytest.fixture(autouse=True)
def _off(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(hooks, "_said", set())
    yield
    gitml.autolog(disable=True)
    assert hooks._said == set()  # nothing failed quietly


def history(run: Run, key: str) -> list[tuple[int, float]]:
    """Steps and values of a metric."""
    points = gitml.MlflowClient().get_metric_history(run.info.run_id, key)
    return [(point.step, point.value) for point in points]


def artifacts(run: Run) -> set[str]:
    """The names at the top of a run's artifacts."""
    return {entry.path for entry in gitml.MlflowClient().list_artifacts(run.info.run_id)}


def loaded(run: Run) -> Any:
    """The logged model, to predict with."""
    return gitml.pyfunc.load_model(f"runs:/{run.info.run_id}/model")


def contexts(run: Run) -> list[tuple[str, str]]:
    """Name and context of each input."""
    return [(it.dataset.name, it.tags[0].value) for it in run.inputs.dataset_inputs]


def train_xgboost(data: tuple[Any, ...], rounds: int = 30, **options: Any) -> Any:
    """Train a booster that stops early."""
    x, y, x_test, y_test = data
    train, test = xgboost.DMatrix(x, y), xgboost.DMatrix(x_test, y_test)
    params = {"objective": "binary:logistic", "eta": 0.8, "seed": 1}
    evals = [(train, "train"), (test, "test")]
    options = {**QUIET, "early_stopping_rounds": 3, **options}
    return xgboost.train(params, train, rounds, evals=evals, **options)


# -- boosters ------------------------------------------------------------------------------


def test_xgboost(repo: Path, data: tuple[Any, ...]) -> None:
    """Params, each round's metrics, early stopping, importance and data of `xgboost.train`."""
    gitml.xgboost.autolog(extra_tags={"team": "a"})
    heard: dict[str, Any] = {}
    model = train_xgboost(data, evals_result=heard)
    run = the_run()
    assert run.info.status == "FINISHED"
    assert (run.data.tags["team"], run.data.tags["mlflow.autologging"]) == ("a", "xgboost")
    params = run.data.params
    assert (params["eta"], params["num_boost_round"], params["maximize"]) == ("0.8", "30", "None")
    assert not {"params", "dtrain", "evals", "callbacks"} & set(params)
    values = heard["test"]["logloss"]
    best, last = model.best_iteration, len(values)
    assert last == best + 4 < 30
    assert history(run, "test-logloss") == [*enumerate(values), (last, values[best])]
    assert run.data.metrics["best_iteration"] == best
    assert run.data.metrics["stopped_iteration"] == last - 1
    assert contexts(run) == [("dataset", "train"), ("train", "eval"), ("test", "eval")]
    schema = run.inputs.dataset_inputs[0].dataset.schema or ""
    assert '"name": "d"' in schema
    weight = gitml.artifacts.load_dict(f"runs:/{run.info.run_id}/feature_importance_weight.json")
    assert weight == model.get_score()
    assert "feature_importance_weight.png" in artifacts(run)


def test_best_booster(repo: Path, data: tuple[Any, ...]) -> None:
    """The model that is logged is that of the best round, with a signature; asked, an example."""
    gitml.xgboost.autolog(log_input_examples=True)
    model = train_xgboost(data)
    assert model.num_boosted_rounds() > model.best_iteration + 1
    scored = loaded(the_run())
    best = model.predict(xgboost.DMatrix(data[2]), iteration_range=(0, model.best_iteration + 1))
    np.testing.assert_allclose(scored.predict(data[2]), best)
    assert scored.metadata.signature.inputs.input_names() == list("abcd")
    assert {str(it) for it in scored.metadata.signature.inputs.input_types()} == {"DataType.double"}
    example = f"runs:/{the_run().info.run_id}/model/input_example.json"
    assert gitml.artifacts.load_dict(example)["columns"] == list("abcd")


def test_xgboost_goes_on(repo: Path, data: tuple[Any, ...]) -> None:
    """A training that goes on from a model counts its rounds on, and finds its best one."""
    first = train_xgboost(data, 2, early_stopping_rounds=None)
    gitml.xgboost.autolog(log_models=False, log_datasets=False)
    model = train_xgboost(data, 20, xgb_model=first)
    run = the_run()
    points = history(run, "test-logloss")
    assert points[0][0] == 2
    best = dict(points[:-1])[model.best_iteration]
    assert points[-1] == (points[-2][0] + 1, best)
    assert "model" not in artifacts(run)
    assert contexts(run) == []


def test_stopped_by_a_callback(repo: Path, data: tuple[Any, ...]) -> None:
    """The user's own callbacks work as before, and early stopping by one of them is logged, too."""
    gitml.xgboost.autolog()
    theirs = [xgboost.callback.EarlyStopping(2)]
    model = train_xgboost(data, early_stopping_rounds=None, callbacks=theirs)
    assert len(theirs) == 1
    metrics = the_run().data.metrics
    assert metrics["best_iteration"] == model.best_iteration
    assert metrics["stopped_iteration"] == model.best_iteration + 2


def test_odd_names_and_functions(repo: Path, data: tuple[Any, ...]) -> None:
    """A metric with @ is logged with _at_; a function is a param by its name; no early stopping."""

    def precision(predicted: Any, truth: Any) -> tuple[str, float]:
        return "precision@2", 0.5

    gitml.xgboost.autolog(importance_types=["gain", "cover"])
    train_xgboost(data, 3, early_stopping_rounds=None, custom_metric=precision)
    run = the_run()
    assert history(run, "test-precision_at_2") == [(0, 0.5), (1, 0.5), (2, 0.5)]
    assert run.data.params["custom_metric"] == "precision"
    assert "best_iteration" not in run.data.metrics
    assert {"feature_importance_gain.json", "feature_importance_cover.png"} <= artifacts(run)


def test_lightgbm(repo: Path, data: tuple[Any, ...]) -> None:
    """The same for `lightgbm.train`, whose rounds are counted from 1."""
    gitml.lightgbm.autolog()
    x, y, x_test, y_test = data
    train = lightgbm.Dataset(x, y)
    test = lightgbm.Dataset(x_test, y_test, reference=train)
    heard: dict[str, Any] = {}
    stop, record = lightgbm.early_stopping(3, verbose=False), lightgbm.record_evaluation(heard)
    params = {"objective": "binary", "learning_rate": 0.8, "verbose": -1, "num_threads": 1}
    model = lightgbm.train(
        params, train, 40, valid_sets=[test], valid_names=["test"], callbacks=[stop, record]
    )
    run = the_run()
    values = heard["test"]["binary_logloss"]
    best, last = model.best_iteration, len(values)
    assert 0 < best < last < 40
    assert history(run, "test-binary_logloss") == [*enumerate(values), (last, values[best - 1])]
    assert run.data.metrics["best_iteration"] == best
    assert run.data.metrics["stopped_iteration"] == last
    assert run.data.params["learning_rate"] == "0.8"
    assert contexts(run) == [("dataset", "train"), ("test", "eval")]
    kinds = {f"feature_importance_{kind}" for kind in ("split", "gain")}
    names = {f"{kind}.{suffix}" for kind in kinds for suffix in ("json", "png")}
    assert artifacts(run) == {*names, "model"}
    np.testing.assert_allclose(loaded(run).predict(x_test), model.predict(x_test))
    assert loaded(run).metadata.signature.inputs.input_names() == list("abcd")


# -- estimators ----------------------------------------------------------------------------


def test_xgboost_estimator(repo: Path, data: tuple[Any, ...]) -> None:
    """A `fit` is one run, with the estimator as its model and what the data were made of."""
    gitml.xgboost.autolog()
    x, y, x_test, y_test = data
    model = xgboost.XGBClassifier(n_estimators=30, learning_rate=0.8, early_stopping_rounds=3)
    assert model.fit(x, y, eval_set=[(x_test, y_test)], verbose=False) is model
    run = the_run()
    assert run.data.params["learning_rate"] == "0.8"
    assert run.data.metrics["best_iteration"] == model.best_iteration
    values = model.evals_result()["validation_0"]["logloss"]
    assert history(run, "validation_0-logloss")[:-1] == list(enumerate(values))
    assert contexts(run) == [("dataset", "train"), ("validation_0", "eval")]
    assert '"type": "double"' in (run.inputs.dataset_inputs[0].dataset.schema or "")
    assert type(gitml.xgboost.load_model(f"runs:/{run.info.run_id}/model")) is type(model)
    assert list(loaded(run).predict(x_test)) == list(model.predict(x_test))


def test_lightgbm_estimator(repo: Path, data: tuple[Any, ...]) -> None:
    """The same for LightGBM, where nothing but the training data was given."""
    gitml.lightgbm.autolog()
    x, y, x_test, _ = data
    model = lightgbm.LGBMRegressor(n_estimators=3, verbose=-1).fit(x, y)
    run = the_run()
    assert run.data.params["num_boost_round"] == "3"
    assert contexts(run) == [("dataset", "train")]
    assert "best_iteration" not in run.data.metrics
    assert list(loaded(run).predict(x_test)) == list(model.predict(x_test))


@pytest.mark.parametrize("order", [("sklearn", "xgboost"), ("xgboost", "sklearn"), ("xgboost",)])
def test_judged_once(repo: Path, data: tuple[Any, ...], order: tuple[str, ...]) -> None:
    """Metrics and scores are logged once, whichever frameworks are logged, in whichever order."""
    x, y, x_test, y_test = data
    for name in order:
        getattr(gitml, name).autolog()
    model = xgboost.XGBClassifier(n_estimators=2).fit(x, y)
    accuracy = sklearn.metrics.accuracy_score(y_test, model.predict(x_test))
    model.score(x_test, y_test)
    judged = {key: it for key, it in the_run().data.metrics.items() if key.endswith("x_test")}
    names = ("accuracy_score_x_test", "XGBClassifier_score_x_test")
    assert judged == dict.fromkeys(names, accuracy)
    gitml.autolog(disable=True)
    sklearn.metrics.recall_score(y_test, model.predict(x_test))
    assert not any("recall" in key for key in the_run().data.metrics)


def test_off_one_by_one(repo: Path, data: tuple[Any, ...]) -> None:
    """Who stays on goes on hearing how its models are judged when another goes off."""
    x, y, x_test, y_test = data
    gitml.sklearn.autolog()
    gitml.lightgbm.autolog()
    gitml.sklearn.autolog(disable=True)
    model = lightgbm.LGBMClassifier(n_estimators=2, verbose=-1).fit(x, y)
    sklearn.metrics.accuracy_score(y_test, model.predict(x_test))
    assert "accuracy_score_x_test" in the_run().data.metrics
    gitml.lightgbm.autolog(disable=True)
    assert type(sklearn.metrics.accuracy_score).__name__ == "function"


# -- together ------------------------------------------------------------------------------


def test_inside_scikit_learn(repo: Path, data: tuple[Any, ...]) -> None:
    """With scikit-learn's autologging, a pipeline or a search is the one that is logged."""
    gitml.autolog(log_models=False)
    x, y = data[:2]
    make_pipeline(StandardScaler(), xgboost.XGBClassifier(n_estimators=2)).fit(x, y)
    run = the_run()
    assert run.data.tags["estimator_name"] == "Pipeline"
    assert run.data.params["xgbclassifier__n_estimators"] == "2"
    assert "num_boost_round" not in run.data.params
    search = GridSearchCV(lightgbm.LGBMClassifier(verbose=-1), {"n_estimators": [1, 2]}, cv=2)
    search.fit(x, y)
    names = [run.data.tags.get("estimator_name") for run in runs()]
    assert names == ["Pipeline", "GridSearchCV", "LGBMClassifier", "LGBMClassifier"]


def test_active_run(repo: Path, data: tuple[Any, ...]) -> None:
    """Trainings go to the run that is active; with `exclusive` they are then not logged."""
    gitml.xgboost.autolog(exclusive=True)
    with gitml.start_run():
        train_xgboost(data, 2)
    assert the_run().data.params == {}
    gitml.xgboost.autolog()
    with gitml.start_run() as active:
        train_xgboost(data, 2)
        assert gitml.active_run() is not None
    assert gitml.get_run(active.info.run_id).data.params["eta"] == "0.8"
    assert len(runs()) == 2


def test_failed_training(repo: Path, data: tuple[Any, ...]) -> None:
    """An exception of a training is the user's, and its run FAILED; a wrong call is no run."""
    gitml.xgboost.autolog()
    with pytest.raises(xgboost.core.XGBoostError):
        xgboost.train({"objective": "none such"}, xgboost.DMatrix(*data[:2]))
    assert the_run().info.status == "FAILED"
    with pytest.raises(TypeError):
        xgboost.train({}, None, 1, no_such="argument")


def test_nothing_changes(repo: Path, data: tuple[Any, ...]) -> None:
    """A logged training makes the same model; `train` and the estimators can be pickled."""
    plain = train_xgboost(data)
    made = xgboost.DMatrix.__init__
    gitml.autolog()
    assert train_xgboost(data).save_raw() == plain.save_raw()
    assert pickle.loads(pickle.dumps(xgboost.train)).__module__ == "xgboost.training"
    model = lightgbm.LGBMClassifier(n_estimators=2, verbose=-1).fit(*data[:2])
    assert list(pickle.loads(pickle.dumps(model)).predict(data[2])) == list(model.predict(data[2]))
    gitml.autolog(disable=True)
    assert xgboost.DMatrix.__init__ is made
    before = len(runs())
    train_xgboost(data)
    assert len(runs()) == before


def test_other_data(repo: Path, data: tuple[Any, ...], tmp_path: Path) -> None:
    """Arrays, lists, sparse matrices and files train as before; what is known of them is logged."""
    scipy = pytest.importorskip("scipy.sparse")
    gitml.xgboost.autolog()
    x, y = data[0].to_numpy(), data[1]
    train = xgboost.DMatrix(x, y)
    train.save_binary(tmp_path / "train.buffer")
    for source in (x, x.tolist(), scipy.csr_matrix(x), str(tmp_path / "train.buffer")):
        label = None if isinstance(source, str) else y
        xgboost.train({"verbosity": 0}, xgboost.DMatrix(source, label), 2)
    assert [run.info.status for run in runs()] == ["FINISHED"] * 4
    assert all("model" in artifacts(run) for run in runs())
    assert [len(run.inputs.dataset_inputs) for run in runs()] == [1] * 4


def test_imported_later(repo: Path) -> None:
    """`gitml.autolog()` hooks what is imported after it, without importing anything itself."""
    script = """
import sys, gitml
gitml.autolog(log_models=False)
assert not {"xgboost", "lightgbm", "sklearn"} & set(sys.modules)
import numpy, xgboost
xgboost.train({}, xgboost.DMatrix(numpy.ones((4, 1)), [0, 1, 0, 1]), 2)
"""
    subprocess.run([sys.executable, "-c", script], check=True, env=trainings.environment())
    assert the_run().data.params["num_boost_round"] == "2"
