"""Reading and searching runs: MLflow's functions over the store."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from gitml.errors import UsageError, shown
from gitml.tracking import changes, entities, store
from gitml.tracking.entities import Run, ViewType
from gitml.tracking.fluent import experiments
from gitml.tracking.fluent.place import place, where
from gitml.tracking.system_tags import PARENT_RUN_ID

MOST_RUNS = 100_000


def get_run(run_id: str) -> Run:
    """The run with that id, live or recorded; UsageError when there is none."""
    return entities.run_of(store.record(where(), run_id))


def get_parent_run(run_id: str) -> Run | None:
    """The run that a nested run belongs to; None when it is not nested."""
    parent = get_run(run_id).data.tags.get(PARENT_RUN_ID)
    return None if parent is None else get_run(parent)


def search_runs(
    experiment_ids: Sequence[str] | str | None = None,
    filter_string: str | None = "",
    run_view_type: int = ViewType.ACTIVE_ONLY,
    max_results: int = MOST_RUNS,
    order_by: Sequence[str] | None = None,
    output_format: str = "pandas",
    search_all_experiments: bool = False,
    experiment_names: Sequence[str] | str | None = None,
) -> Any:
    """The runs that match, as a DataFrame (`pandas`) or a `list` of Run.

    Without experiments the active one is searched, as in MLflow.
    """
    if output_format not in ("pandas", "list"):
        raise UsageError(f"output_format {shown(output_format)} is neither 'pandas' nor 'list'")
    if experiment_ids and experiment_names:
        raise UsageError("search_runs takes experiment_ids or experiment_names, not both")
    records = store.search(
        place(),
        filter_string or "",
        list(order_by or ()),
        experiment_ids_of(experiment_ids, experiment_names, everything=search_all_experiments),
        ViewType.name_of(run_view_type),
        max_results,
    )
    runs = [entities.run_of(record) for record in records]
    return runs if output_format == "list" else _frame(runs)


def experiment_ids_of(
    ids: Sequence[str] | str | None, names: Sequence[str] | str | None, *, everything: bool
) -> list[str] | None:
    """The ids of the experiments to search, None for all; MLflow's `0` is the default one's.

    A text is one id or name. `everything` means what is left when neither are given.
    """
    ids, names = _listed(ids), _listed(names)
    if everything and not ids and not names:
        return None
    repo = place()
    if names is not None:
        found = [store.find_experiment(repo, name=name) for name in names]
        return [item.id for item in found if item is not None]
    if ids is not None:
        known = {str(id): store.find_experiment(repo, id=str(id)) for id in ids}
        return [id if item is None else item.id for id, item in known.items()]
    return [experiments.current(repo).id]


def _listed(texts: Sequence[str] | str | None) -> Sequence[str] | None:
    return [texts] if isinstance(texts, str) else texts


def _frame(runs: Sequence[Run]) -> Any:
    """The runs as MLflow's DataFrame: info columns, then metrics., params. and tags. columns."""
    try:
        import pandas
    except ImportError:
        raise UsageError(
            "search_runs returns a DataFrame, which needs pandas: pip install pandas; or ask for"
            " output_format='list'"
        ) from None

    columns: dict[str, list[Any]] = {
        name: [getattr(run.info, name) for run in runs]
        for name in ("run_id", "experiment_id", "status", "artifact_uri")
    }
    for name in ("start_time", "end_time"):
        times = [getattr(run.info, name) for run in runs]
        columns[name] = pandas.to_datetime(times, unit="ms", utc=True)
    for kind in ("metrics", "params", "tags"):
        keys = sorted({key for run in runs for key in getattr(run.data, kind)})
        for key in keys:
            columns[f"{kind}.{key}"] = [getattr(run.data, kind).get(key) for run in runs]
    return pandas.DataFrame(columns)


def delete_run(run_id: str) -> None:
    """Mark a run as deleted; it can be restored until `gitml gc` takes it out."""
    changes.delete(place(), [run_id])


def restore_run(run_id: str) -> None:
    """Take the mark of deletion from a run."""
    changes.restore(place(), [run_id])
