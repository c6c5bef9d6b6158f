"""scikit-learn's fits and metrics are logged under MLflow's names, and work as they did before."""

from __future__ import annotations

import copy
import csv
import inspect
import io
import pickle
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import sklearn.metrics
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.cluster import KMeans
from sklearn.compose import ColumnTransformer
from sklearn.datasets import make_classification
from sklearn.decomposition import PCA
from sklearn.ensemble import VotingClassifier
from sklearn.exceptions import NotFittedError
from sklearn.feature_selection import RFE
from sklearn.linear_model import LinearRegression, LogisticRegression, Ridge
from sklearn.model_selection import GridSearchCV, RandomizedSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler
from sklearn.svm import SVC

import gitml
import gitml.sklearn
from gitml.tracking import autolog as hooks
from gitml.tracking.entities import Run
from tests.logged import runs, the_run

ROOT = Path(__file__).parent.parent
CLASSIFIED = ("accuracy", "f1", "precision", "recall")


@pytest.fixture(scope="module")
def data() -> tuple[Any, ...]:
    """Train and test data for two classes: X, y, X, y."""
    x, y = make_classification(80, 4, random_state=0)
    return x[:60], y[:60], x[60:], y[60:]


@pytest.fixture(autouse=True)
def _off(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(hooks, "_said", set())
    yield
    gitml.sklearn.autolog(disable=True)


def metrics_of(run: Run, prefix: str = "") -> set[str]:
    """The names of metrics that begin so."""
    return {name for name in run.data.metrics if name.startswith(prefix)}


# -- a fit ---------------------------------------------------------------------------------


def test_classifier(repo: Path, data: tuple[Any, ...]) -> None:
    """A classifier's params, class, metrics and data are logged to a run of its own."""
    gitml.sklearn.autolog(extra_tags={"team": "a"})
    x, y = data[:2]
    model = LogisticRegression(C=0.5)
    assert model.fit(x, y) is model
    run = the_run()
    assert run.info.status == "FINISHED"
    assert run.data.params == {key: str(value) for key, value in model.get_params().items()}
    assert run.data.params["C"] == "0.5"
    tags = run.data.tags
    assert tags["estimator_name"] == "LogisticRegression"
    assert tags["estimator_class"] == "sklearn.linear_model._logistic.LogisticRegression"
    assert (tags["team"], tags["mlflow.autologging"]) == ("a", "sklearn")
    expected = {f"training_{name}_score" for name in CLASSIFIED}
    assert metrics_of(run) == expected | {"training_log_loss", "training_roc_auc", "training_score"}
    gitml.sklearn.autolog(disable=True)
    predicted = model.predict(x)
    accuracy = sklearn.metrics.accuracy_score(y, predicted)
    assert run.data.metrics["training_accuracy_score"] == accuracy
    assert run.data.metrics["training_score"] == accuracy
    f1 = sklearn.metrics.f1_score(y, predicted, average="weighted")
    assert run.data.metrics["training_f1_score"] == f1
    area = sklearn.metrics.roc_auc_score(y, model.predict_proba(x)[:, 1])
    assert run.data.metrics["training_roc_auc"] == area
    (used,) = run.inputs.dataset_inputs
    assert {tag.key: tag.value for tag in used.tags} == {"mlflow.data.context": "train"}
    assert used.dataset.source_type == "code"


def test_regressor_with_weights(repo: Path, data: tuple[Any, ...]) -> None:
    """A regressor's metrics are weighted as its fit was."""
    gitml.sklearn.autolog()
    x, y = data[:2]
    weights = np.arange(len(y))
    model = LinearRegression().fit(x, y, weights)
    metrics = the_run().data.metrics
    error = sklearn.metrics.mean_squared_error(y, model.predict(x), sample_weight=weights)
    assert metrics["training_mean_squared_error"] == pytest.approx(error)
    assert metrics["training_root_mean_squared_error"] == pytest.approx(error**0.5)
    assert metrics["training_score"] == pytest.approx(metrics["training_r2_score"])
    assert set(metrics) == {
        f"training_{name}"
        for name in ("mean_squared_error", "root_mean_squared_error", "mean_absolute_error",
                     "r2_score", "score")
    }  # fmt: skip


def test_three_classes(repo: Path) -> None:
    """With more than two classes everything is logged, too; `pos_label` makes metrics binary."""
    gitml.sklearn.autolog()
    x, y = make_classification(60, 4, n_informative=3, n_redundant=0, n_classes=3, random_state=0)
    LogisticRegression().fit(x, y)
    assert "training_roc_auc" in the_run().data.metrics
    gitml.sklearn.autolog(pos_label=1)
    model = LogisticRegression().fit(x, y == 1)
    expected = sklearn.metrics.recall_score(y == 1, model.predict(x))
    assert runs()[-1].data.metrics["training_recall_score"] == expected


def test_named_arguments_and_tables(repo: Path, data: tuple[Any, ...]) -> None:
    """A fit may be called by names, on a DataFrame, whose columns are logged."""
    gitml.sklearn.autolog()
    table = pd.DataFrame(data[0], columns=list("abcd"))
    SVC().fit(y=data[1], X=table)
    run = the_run()
    assert "training_accuracy_score" in run.data.metrics
    assert "training_log_loss" not in run.data.metrics
    assert '"name": "d"' in (run.inputs.dataset_inputs[0].dataset.schema or "")


def test_without_targets(repo: Path, data: tuple[Any, ...]) -> None:
    """What is fitted without targets, or with a result, has params and no metrics."""
    gitml.sklearn.autolog()
    labels = KMeans(2, n_init=1).fit_predict(data[0])
    assert labels.shape == (60,)
    PCA(2).fit_transform(data[0])
    PCA(1).fit(data[0])
    clusters, reduced, _ = runs()
    assert clusters.data.params["n_clusters"] == "2"
    assert (reduced.data.params["n_components"], reduced.data.metrics) == ("2", {})


def test_sparse_data(repo: Path, data: tuple[Any, ...]) -> None:
    """Sparse matrices are data like any other."""
    from scipy.sparse import csr_matrix

    gitml.sklearn.autolog()
    Ridge().fit(csr_matrix(data[0]), data[1])
    run = the_run()
    assert "training_r2_score" in run.data.metrics
    assert len(run.inputs.dataset_inputs) == 1


def test_only_what_is_wanted(repo: Path, data: tuple[Any, ...]) -> None:
    """Data and later metrics can be left out."""
    gitml.sklearn.autolog(log_datasets=False, log_post_training_metrics=False)
    model = Ridge().fit(*data[:2])
    model.score(*data[2:])
    sklearn.metrics.r2_score(data[3], model.predict(data[2]))
    run = the_run()
    assert run.inputs.dataset_inputs == []
    assert metrics_of(run) == metrics_of(run, "training_")


# -- the outermost fit ---------------------------------------------------------------------


def test_pipeline(repo: Path, data: tuple[Any, ...]) -> None:
    """A pipeline is one run, with the params of its steps."""
    gitml.sklearn.autolog()
    make_pipeline(StandardScaler(), PCA(2), LogisticRegression(C=2)).fit(*data[:2])
    run = the_run()
    assert run.data.tags["estimator_name"] == "Pipeline"
    assert run.data.params["logisticregression__C"] == "2"
    assert run.data.params["standardscaler"] == "StandardScaler()"


@pytest.mark.parametrize("jobs", [None, 2])
def test_meta_estimator(repo: Path, data: tuple[Any, ...], jobs: int | None) -> None:
    """Estimators that are fitted inside another, in threads too, are part of it."""
    import joblib

    gitml.sklearn.autolog()
    models = [(str(c), LogisticRegression(C=c)) for c in (1, 2)]
    with joblib.parallel_backend("threading"):
        VotingClassifier(models, voting="soft", n_jobs=jobs).fit(*data[:2])
    assert the_run().data.tags["estimator_name"] == "VotingClassifier"


def test_cross_validation(repo: Path, data: tuple[Any, ...]) -> None:
    """The fits of cross-validation are no trainings of the user's."""
    gitml.sklearn.autolog()
    scores = cross_val_score(LogisticRegression(), *data[:2], cv=3, scoring="accuracy")
    assert len(scores) == 3
    assert runs() == []


def test_preparation(repo: Path, data: tuple[Any, ...]) -> None:
    """What only prepares data is not logged by itself, nor what it fits for that."""
    gitml.sklearn.autolog()
    x, y = data[:2]
    StandardScaler().fit(x)
    StandardScaler().fit_transform(x)
    ColumnTransformer([("scale", StandardScaler(), [0])]).fit(x)
    RFE(LogisticRegression(), n_features_to_select=2).fit(x, y)
    assert runs() == []


def test_own_estimator(repo: Path, data: tuple[Any, ...]) -> None:
    """A user's estimator is logged where scikit-learn's own fit is behind it, once."""
    gitml.sklearn.autolog()

    class Mine(LogisticRegression):
        def fit(self, x: Any, y: Any) -> Any:
            return super().fit(x, y)

    class Other(ClassifierMixin, BaseEstimator):
        def fit(self, x: Any, y: Any) -> Any:
            self.classes_ = np.unique(y)
            return self

    Mine().fit(*data[:2])
    Other().fit(*data[:2])
    assert the_run().data.tags["estimator_name"] == "Mine"


# -- runs ----------------------------------------------------------------------------------


def test_in_a_run_of_the_users(
    repo: Path, data: tuple[Any, ...], caplog: pytest.LogCaptureFixture
) -> None:
    """In an active run everything goes there; a second fit adds what does not contradict."""
    gitml.sklearn.autolog()
    with gitml.start_run() as mine:
        LinearRegression().fit(*data[:2])
        Ridge().fit(*data[:2])
    run = the_run()
    assert run.info.run_id == mine.info.run_id
    assert run.data.params["n_jobs"] == "None"
    assert run.data.params["alpha"] == "1.0"
    assert "'tol' was already logged" in caplog.text
    assert "mlflow.autologging" not in run.data.tags


def test_exclusive(repo: Path, data: tuple[Any, ...]) -> None:
    """With `exclusive` a run of the user's is left alone."""
    gitml.sklearn.autolog(exclusive=True)
    with gitml.start_run():
        Ridge().fit(*data[:2])
    assert the_run().data.params == {}


def test_fit_that_fails(repo: Path, data: tuple[Any, ...]) -> None:
    """A fit that fails raises its own error, and its run is FAILED, with the params."""
    gitml.sklearn.autolog()
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        Ridge(alpha=3).fit(data[0], data[1][1:])
    with pytest.raises(TypeError, match="fit"):
        Ridge().fit()
    run = runs()[0]
    assert (run.info.status, run.data.params["alpha"]) == ("FAILED", "3")


def test_nowhere_to_record(
    tmp_path: Path, data: tuple[Any, ...], monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    """Without a repository a training goes on, and says so once."""
    monkeypatch.chdir(tmp_path)
    gitml.sklearn.autolog()
    for _ in range(2):
        assert Ridge().fit(*data[:2]).score(*data[:2]) > 0
    assert caplog.text.count("git init") == 1


def test_failures_of_logging(
    repo: Path, data: tuple[Any, ...], monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    """Whatever fails in autologging, the fit has its result, and the rest is logged."""
    gitml.sklearn.autolog()

    own = LogisticRegression.get_params

    def broken(self: Any, *args: Any, deep: bool = True) -> Any:
        if deep:
            raise RuntimeError("broken")
        return own(self, deep)

    monkeypatch.setattr(LogisticRegression, "get_params", broken)
    monkeypatch.setattr(LogisticRegression, "score", broken)
    assert LogisticRegression().fit(*data[:2]).predict(data[2]).shape == (20,)
    assert caplog.messages == ["sklearn autologging: RuntimeError: broken"]
    run = the_run()
    assert run.info.status == "FINISHED"
    assert "training_accuracy_score" in run.data.metrics


def test_threads(repo: Path, data: tuple[Any, ...]) -> None:
    """Of trainings in threads, each begun while the one before goes on, each is a run."""
    gitml.sklearn.autolog()
    begun: set[float] = set()

    def train(alpha: float) -> None:
        def train_another(x: Any) -> Any:
            if alpha < 4 and alpha not in begun:
                begun.add(alpha)
                thread = threading.Thread(target=train, args=(alpha + 1,))
                thread.start()
                thread.join(60)
            return x

        make_pipeline(FunctionTransformer(train_another), Ridge(alpha=alpha)).fit(*data[:2])

    first = threading.Thread(target=train, args=(1.0,))
    first.start()
    first.join(60)
    found = [run.data.params["ridge__alpha"] for run in runs()]
    assert sorted(found) == ["1.0", "2.0", "3.0", "4.0"]
    assert {run.info.status for run in runs()} == {"FINISHED"}


# -- metrics of a fitted model -------------------------------------------------------------


def test_metrics_on_predictions(repo: Path, data: tuple[Any, ...]) -> None:
    """Metrics of a model's predictions are named by metric, call and the data's variable."""
    gitml.sklearn.autolog()
    metrics = sklearn.metrics
    x_test, y_test = data[2:]
    with gitml.start_run():
        model = LogisticRegression().fit(*data[:2])
        predicted = model.predict(x_test)
        value = metrics.accuracy_score(y_test, predicted)
        metrics.accuracy_score(y_true=y_test, y_pred=predicted, normalize=False)
        chances = model.predict_proba(x_test)
        metrics.log_loss(y_test, chances)
        metrics.roc_auc_score(y_test, chances[:, 1])  # a part of a prediction is not known
        metrics.f1_score(y_test, list(predicted))
        metrics.confusion_matrix(y_test, predicted)  # no number
        metrics.f1_score(y_test, model.predict(x_test[:9].repeat(3, 0)[:20]), zero_division=0)
    logged = the_run().data.metrics
    assert logged["accuracy_score_x_test"] == value
    assert logged["accuracy_score-2_x_test"] == value * 20
    assert {name for name in logged if not name.startswith("training_")} == {
        "accuracy_score_x_test", "accuracy_score-2_x_test", "log_loss_x_test",
        "f1_score_unknown_dataset",
    }  # fmt: skip


def test_score(repo: Path, data: tuple[Any, ...]) -> None:
    """A model's score is named by its class; a variable that holds other data is numbered."""
    gitml.sklearn.autolog()
    with gitml.start_run():
        model = Ridge().fit(*data[:2])
        x_test, y_test = data[2:]
        value = model.score(x_test, y_test)
        x_test = x_test.copy()
        model.score(X=x_test, y=y_test)
    logged = the_run().data.metrics
    assert logged["Ridge_score_x_test"] == value
    assert metrics_of(the_run(), "Ridge") == {"Ridge_score_x_test", "Ridge_score-2_x_test-2"}


def test_variable_of_the_outermost_call(repo: Path, data: tuple[Any, ...]) -> None:
    """Data that a function was given is called as its caller calls it."""
    gitml.sklearn.autolog()

    def evaluate(model: Any, inputs: Any, *, targets: Any) -> None:
        model.score(inputs, targets)
        renamed = targets
        sklearn.metrics.r2_score(renamed, model.predict(inputs))

    validation, expected = data[2:]
    with gitml.start_run():
        evaluate(Ridge().fit(*data[:2]), validation, targets=expected)
    assert metrics_of(the_run(), "r2") == {"r2_score_validation"}
    assert metrics_of(the_run(), "Ridge") == {"Ridge_score_validation"}


def test_metric_after_the_run(repo: Path, data: tuple[Any, ...]) -> None:
    """A metric that is computed after the run has ended is added to the model's run."""
    gitml.sklearn.autolog()
    first = Ridge(alpha=1).fit(*data[:2])
    second = Ridge(alpha=2).fit(*data[:2])
    x_test, y_test = data[2:]
    first_value = sklearn.metrics.r2_score(y_test, first.predict(x_test))
    second_value = sklearn.metrics.r2_score(y_test, second.predict(x_test))
    logged = {run.data.params["alpha"]: run.data.metrics["r2_score_x_test"] for run in runs()}
    assert logged == {"1": first_value, "2": second_value}


def test_metrics_of_unknown_predictions(repo: Path, data: tuple[Any, ...]) -> None:
    """Metrics of anything else start no run."""
    model = Ridge().fit(*data[:2])
    gitml.sklearn.autolog()
    sklearn.metrics.r2_score(data[3], model.predict(data[2]))
    sklearn.metrics.accuracy_score([1, 0], [1, 1])
    model.score(*data[2:])
    assert runs() == []


# -- searches ------------------------------------------------------------------------------


def test_search(repo: Path, data: tuple[Any, ...]) -> None:
    """A search is a run with what was best, and child runs of the best candidates."""
    gitml.sklearn.autolog(max_tuning_runs=2)
    model = make_pipeline(StandardScaler(), LogisticRegression())
    grid = {"logisticregression__C": [0.001, 0.1, 10]}
    search = GridSearchCV(model, grid, cv=3, scoring="accuracy").fit(*data[:2])
    parent = next(run for run in runs() if "mlflow.parentRunId" not in run.data.tags)
    children = [run for run in runs() if run is not parent and run.info != parent.info]
    best = str(search.best_params_["logisticregression__C"])
    assert parent.data.params["best_logisticregression__C"] == best
    assert parent.data.params["cv"] == "3"
    assert "estimator__memory" not in parent.data.params
    assert parent.data.metrics["best_cv_score"] == search.best_score_
    assert "training_accuracy_score" in parent.data.metrics
    assert len(children) == 2
    for child in children:
        assert child.data.tags["mlflow.parentRunId"] == parent.info.run_id
        assert child.data.tags["estimator_name"] == "Pipeline"
    ranks = {child.data.params["logisticregression__C"]: child.data.metrics for child in children}
    assert ranks[best]["rank_test_score"] == 1
    assert ranks[best]["mean_test_score"] == search.best_score_
    assert not any(name.startswith(("split", "param")) for name in ranks[best])


def test_results_of_a_search(repo: Path, data: tuple[Any, ...]) -> None:
    """All candidates stand in cv_results.csv; all are child runs when no limit is set."""
    gitml.sklearn.autolog(max_tuning_runs=None)
    search = RandomizedSearchCV(
        Ridge(), {"alpha": [1, 2, 3]}, n_iter=3, cv=2, random_state=0,
        scoring=["r2", "neg_mean_squared_error"], refit="r2",
    ).fit(*data[:2])  # fmt: skip
    parent, *children = runs()
    assert len(children) == 3
    text = gitml.artifacts.load_text(f"runs:/{parent.info.run_id}/cv_results.csv")
    rows = list(csv.DictReader(io.StringIO(text)))
    assert [float(row["param_alpha"]) for row in rows] == list(search.cv_results_["param_alpha"])
    assert list(rows[0]) == list(search.cv_results_)
    assert "rank_test_r2" in children[0].data.metrics


def test_search_without_refit(repo: Path, data: tuple[Any, ...]) -> None:
    """A search that fits no best estimator has its results all the same."""
    gitml.sklearn.autolog(max_tuning_runs=0)
    GridSearchCV(Ridge(), {"alpha": [1, 2]}, cv=2, refit=False).fit(*data[:2])
    run = the_run()
    assert "best_alpha" in run.data.params
    assert metrics_of(run) == {"best_cv_score"}


def test_search_in_other_processes(repo: Path, data: tuple[Any, ...]) -> None:
    """A search in worker processes works, with a metric as its scorer, and is one run."""
    gitml.sklearn.autolog(max_tuning_runs=0)
    scorer = sklearn.metrics.make_scorer(sklearn.metrics.f1_score)
    model = LogisticRegression()
    search = GridSearchCV(model, {"C": [1, 2]}, cv=2, n_jobs=2, scoring=scorer).fit(*data[:2])
    assert the_run().data.metrics["best_cv_score"] == search.best_score_


# -- models --------------------------------------------------------------------------------


def test_models(repo: Path, data: tuple[Any, ...]) -> None:
    """The fitted estimator is logged with its signature, and a search's best one."""
    gitml.sklearn.autolog(max_tuning_runs=0)
    search = GridSearchCV(Ridge(), {"alpha": [1]}, cv=2).fit(*data[:2])
    run_id = the_run().info.run_id
    assert sorted(gitml.get_run(run_id).record.models) == ["best_estimator", "model"]
    best = gitml.sklearn.load_model(f"runs:/{run_id}/best_estimator")
    assert best.coef_ == pytest.approx(search.best_estimator_.coef_)
    model = gitml.pyfunc.load_model(f"runs:/{run_id}/model")
    assert model.metadata.signature is not None
    assert model.predict(data[0]) == pytest.approx(search.predict(data[0]))


def test_no_models(repo: Path, data: tuple[Any, ...]) -> None:
    """Unless that is switched off."""
    gitml.sklearn.autolog(log_models=False)
    Ridge().fit(*data[:2])
    assert the_run().record.models == {}


def test_input_examples(repo: Path, data: tuple[Any, ...]) -> None:
    """Some rows of the training data go with the model where that is wanted."""
    gitml.sklearn.autolog(log_input_examples=True)
    Ridge().fit(*data[:2])
    model = gitml.pyfunc.load_model(f"runs:/{the_run().info.run_id}/model")
    assert len(model.input_example) == 5


# -- scikit-learn stays what it is ---------------------------------------------------------


def test_estimators_behave_as_before(repo: Path, data: tuple[Any, ...]) -> None:
    """Signatures, copies, clones, pickles and optional methods are those of scikit-learn."""
    plain = inspect.signature(SVC().fit)
    gitml.sklearn.autolog()
    model = SVC()
    assert inspect.signature(model.fit) == plain
    assert [*inspect.signature(SVC.fit).parameters][0] == "self"  # noqa: RUF015
    assert model.fit.__name__ == "fit"
    assert model.fit.__self__ is model
    assert not hasattr(model, "predict_proba")
    assert hasattr(SVC(probability=True), "predict_proba")
    with pytest.raises(NotFittedError):
        model.predict(data[2])
    SVC.fit(model, *data[:2])
    assert len(runs()) == 1
    for same in (pickle.loads(pickle.dumps(model)), copy.deepcopy(model)):
        assert np.array_equal(same.predict(data[2]), model.predict(data[2]))
    assert clone(model).get_params() == model.get_params()
    fit = pickle.loads(pickle.dumps(SVC().fit))
    assert fit.__name__ == "fit"


def test_metrics_behave_as_before(data: tuple[Any, ...]) -> None:
    """A metric keeps its name, documentation and signature, and is pickled as the original."""
    original = sklearn.metrics.f1_score
    gitml.sklearn.autolog()
    patched = sklearn.metrics.f1_score
    assert patched is not original
    assert (patched.__name__, patched.__doc__) == ("f1_score", original.__doc__)
    assert inspect.signature(patched) == inspect.signature(original)
    assert pickle.loads(pickle.dumps(patched)) is original
    assert copy.deepcopy(patched) is original
    assert patched([1, 0], [1, 1]) == original([1, 0], [1, 1])


def test_output_as_tables(repo: Path, data: tuple[Any, ...]) -> None:
    """`set_output` works on patched estimators, and after they are set free."""
    gitml.sklearn.autolog()
    reduced = PCA(2).set_output(transform="pandas").fit_transform(data[0])
    assert isinstance(reduced, pd.DataFrame)
    gitml.sklearn.autolog(disable=True)
    assert isinstance(PCA(2).set_output(transform="pandas").fit_transform(data[0]), pd.DataFrame)
    assert len(runs()) == 1


def test_disable(repo: Path, data: tuple[Any, ...]) -> None:
    """Disabled, every class and function is as it was, and nothing is logged."""
    before = {name: vars(Ridge).get(name) for name in ("fit", "predict", "score")}
    functions = dict(vars(sklearn.metrics))
    later = vars(BaseEstimator).get("__init_subclass__")
    gitml.sklearn.autolog()
    gitml.sklearn.autolog(silent=True)
    gitml.sklearn.autolog(disable=True)
    assert {name: vars(Ridge).get(name) for name in before} == before
    assert dict(vars(sklearn.metrics)) == functions
    assert vars(BaseEstimator).get("__init_subclass__") is later
    model = Ridge().fit(*data[:2])
    model.score(*data[2:])
    assert runs() == []


IMPORTED_LATER = """
import sys
import gitml
from gitml.models import autolog
if sys.argv[1] == "all":
    autolog.autolog()
else:
    import gitml.sklearn
    gitml.sklearn.autolog()
assert "sklearn" not in sys.modules
from sklearn.decomposition import PCA
from sklearn.linear_model import Ridge
from sklearn.metrics import r2_score
x = [[1.0, 2.0], [2.0, 1.0], [3.0, 5.0]]
y = [1.0, 2.0, 3.0]
PCA(1).fit_transform(x)
model = Ridge().fit(x, y)
r2_score(y, model.predict(x))
runs = gitml.search_runs(output_format="list")
assert len(runs) == 2, runs
assert "r2_score_x" in runs[0].data.metrics, runs[0].data.metrics
gitml.sklearn.autolog(disable=True)
Ridge().fit(x, y)
PCA(1).fit_transform(x)
assert len(gitml.search_runs(output_format="list")) == 2
"""


@pytest.mark.parametrize("how", ["all", "own"])
def test_imported_later(repo: Path, how: str) -> None:
    """Classes and metrics that are imported after the call are logged like the others."""
    done = subprocess.run(
        [sys.executable, "-c", IMPORTED_LATER, how],
        cwd=repo, env={"PATH": "/usr/bin:/bin", "PYTHONPATH": str(ROOT), "HOME": str(repo.parent)},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")


def test_registering_comes_later(repo: Path) -> None:
    """The call says once that nothing is registered yet, and trainings are logged all the same."""
    with pytest.warns(UserWarning, match="not registered as 'churn': .*no model registry") as told:
        gitml.sklearn.autolog(registered_model_name="churn")
    assert [warning.filename for warning in told] == [__file__]
    for _ in range(2):
        LinearRegression().fit([[0.0], [1.0]], [0.0, 1.0])
    assert list(gitml.last_active_run().record.models) == ["model"]  # type: ignore[union-attr]
    gitml.sklearn.autolog(registered_model_name="churn", silent=True)
