"""A script of MLflow's users: fits, scores and metrics of scikit-learn, and what is logged of them.

`python tests/sklearn_habits.py > tests/sklearn_facts.json`, where MLflow is installed, writes down
what MLflow logs; test_sklearn_evaluation.py compares gitml with it.
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any


def train_and_judge(mlflow: Any) -> None:
    """The script. Nothing here is for tests: names of variables and of calls are logged."""
    import numpy as np
    from sklearn import metrics
    from sklearn.datasets import make_classification
    from sklearn.linear_model import LogisticRegression, Ridge
    from sklearn.model_selection import GridSearchCV

    def evaluate(fitted: Any, inputs: Any) -> Any:
        return fitted.score(inputs, y_test)

    X, y = make_classification(80, 4, random_state=0)  # noqa: N806
    X_train, y_train, X_test, y_test = X[:60], y[:60], X[60:], y[60:]  # noqa: N806
    with mlflow.start_run():
        model = LogisticRegression().fit(X_train, y_train)
        model.score(X_test, y_test)
        pred = model.predict(X_test)
        metrics.accuracy_score(y_test, pred)
        metrics.accuracy_score(y_true=y_test, y_pred=pred, normalize=False)
        metrics.accuracy_score(y_test, pred, sample_weight=np.ones(20))
        proba = model.predict_proba(X_test)
        metrics.log_loss(y_test, proba)
        metrics.roc_auc_score(y_test, proba[:, 1])
        metrics.confusion_matrix(y_test, pred)
        metrics.f1_score(y_test, pred, average=None)
        metrics.precision_recall_fscore_support(y_test, pred)
        some = model.predict(X_test[:10].repeat(2, 0))
        metrics.f1_score(y_test, some, zero_division=0, average="macro", labels=None)
        metrics.classification_report(y_test, pred)
        model.score(X=X_test, y=y_test, sample_weight=None)
        evaluate(model, X_test)
        metrics.fbeta_score(y_test, pred, beta=0.5)
        metrics.accuracy_score(pred, y_test)
        other = X_test.copy() + 1
        model.predict(other)
    ridge = Ridge().fit(X_train, y_train)
    estimated = ridge.predict(X_test)
    metrics.mean_squared_error(y_test, estimated)
    metrics.r2_score(y_test, estimated)
    ridge.score(X_test, y_test)
    search = GridSearchCV(LogisticRegression(), {"C": [0.1, 1]}, cv=2).fit(X_train, y_train)
    search.score(X_test, y_test)
    metrics.accuracy_score(y_test, search.predict(X_test))


def facts(mlflow: Any) -> Iterator[dict[str, Any]]:
    """What each run has of evaluations, oldest run first, child runs last; values to ten digits."""
    runs = mlflow.search_runs(output_format="list", order_by=["start_time ASC"])
    for run in sorted(runs, key=lambda run: run.data.metrics.get("rank_test_score", 0)):
        listed = [item.path for item in mlflow.artifacts.list_artifacts(run_id=run.info.run_id)]
        uri = f"runs:/{run.info.run_id}/metric_info.json"
        yield {
            "estimator": run.data.tags["estimator_name"],
            "nested": "mlflow.parentRunId" in run.data.tags,
            "metrics": {
                key: float(f"{value:.10g}")
                for key, value in sorted(run.data.metrics.items())
                if not key.startswith("training_") and "_time" not in key
            },
            "inputs": [
                {
                    "name": given.dataset.name,
                    "context": {tag.key: tag.value for tag in given.tags}["mlflow.data.context"],
                    "schema": json.loads(given.dataset.schema),
                }
                for given in run.inputs.dataset_inputs
            ],
            "info": mlflow.artifacts.load_text(uri) if "metric_info.json" in listed else None,
        }


def main() -> None:
    """Measure MLflow."""
    import mlflow

    with tempfile.TemporaryDirectory() as folder:
        mlflow.set_tracking_uri(f"sqlite:///{Path(folder) / 'mlflow.db'}")
        mlflow.sklearn.autolog(log_models=False)
        train_and_judge(mlflow)
        json.dump(list(facts(mlflow)), sys.stdout, indent=2)


if __name__ == "__main__":
    main()
