"""What a search over parameters comes to: the best ones, all results, and runs of the best few."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from gitml.models.flavors.sklearn_autolog.training import CONTEXT, params_of, tags_of
from gitml.tracking.autolog import log_params

if TYPE_CHECKING:
    from gitml.tracking.datasets import Dataset

RESULTS = "cv_results.csv"
_KEPT = ("mean_", "std_", "rank_")


def log_search(
    search: Any, run_id: str, most: int | None, tags: Mapping[str, str], used: Dataset | None
) -> None:
    """Log a fitted search to its run, and its best `most` candidates (None: all) as child runs.

    `used` is what it was fitted on, an input of the child runs, too.
    """
    from gitml.tracking import fluent

    if hasattr(search, "best_params_"):
        log_params({f"best_{key}": value for key, value in search.best_params_.items()}, run_id)
    if hasattr(search, "best_score_"):
        fluent.log_metric("best_cv_score", search.best_score_, run_id=run_id)
    results = search.cv_results_
    fluent.log_text(results_text(results), RESULTS, run_id=run_id)
    for number in best_candidates(results, most):
        _log_candidate(search, results, number, tags, used)


def results_text(results: Mapping[str, Any]) -> str:
    """The results of all candidates as CSV."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(results)
    writer.writerows(zip(*results.values(), strict=True))
    return text.getvalue()


def best_candidates(results: Mapping[str, Any], most: int | None) -> list[int]:
    """The numbers of the best candidates, best first, by the first ranking that there is."""
    ranking = next((key for key in results if key.startswith("rank_test_")), None)
    numbers = range(len(results["params"]))
    ordered = sorted(numbers, key=lambda number: results[ranking][number]) if ranking else numbers
    return list(ordered)[: len(ordered) if most is None else max(0, most)]


def _log_candidate(
    search: Any, results: Mapping[str, Any], number: int, tags: Mapping[str, str],
    used: Dataset | None,
) -> None:  # fmt: skip
    from sklearn.base import clone

    from gitml.tracking import fluent

    candidate = clone(search.estimator).set_params(**clone(results["params"][number], safe=False))
    named = {**tags, **tags_of(candidate), "mlflow.autologging": "sklearn"}
    with fluent.start_run(nested=True, tags=named) as child:
        log_params(params_of(candidate), child.info.run_id)
        if used is not None:
            fluent.log_input(used, context=CONTEXT)
        fluent.log_metrics(
            {key: float(results[key][number]) for key in results if key.startswith(_KEPT)}
        )
