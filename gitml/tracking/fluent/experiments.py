"""Experiments: MLflow's functions over the files that the ledger has of them."""

from __future__ import annotations

import re
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

from gitml import config
from gitml.errors import NOT_FOUND, TAKEN, UsageError, shown
from gitml.tracking import names, store, values
from gitml.tracking.entities import Experiment, ViewType, stage
from gitml.tracking.experiment import ExperimentRecord
from gitml.tracking.fluent.place import place, where
from gitml.tracking.search import Facts, matches, parse_filter, parse_order, rank
from gitml.tracking.search.match import order_values
from gitml.tracking.spool import Where
from gitml.tracking.system_tags import NAMES

_active: tuple[str, str] | None = None  # the name and the id of the experiment that was set
_WRITER = "experiment"


def set_experiment(
    experiment_name: str | None = None, experiment_id: str | None = None
) -> Experiment:
    """Make an experiment the active one, by name (created when it is new) or by id."""
    global _active
    if (experiment_name is None) == (experiment_id is None):
        raise UsageError("set_experiment needs either experiment_name or experiment_id")
    if experiment_name is not None:
        name = names.check_experiment_name(experiment_name)
        found = entity(store.ensure_experiment(where(), name))
    else:
        found = get_experiment(str(experiment_id))
    _active = found.name, found.experiment_id
    return found


def chosen(experiment_id: str | None, name: str | None, target: Where) -> ExperimentRecord:
    """The experiment for a new run: as asked, else the active one; UsageError when it is deleted.

    Only its id and its name are told.
    """
    if name is not None:
        found = store.identify(target, names.check_experiment_name(name))
    elif experiment_id is not None:
        found = _of_id(target, experiment_id)
    else:
        found = current(target)
    if found.deleted:
        raise UsageError(f"the experiment {shown(found.name)} is deleted; restore it first")
    return found


def current(target: Where) -> ExperimentRecord:
    """The active experiment: the one that was set, else the one that the settings name."""
    name, id = _active or (None, None)
    name = name or config.variables().experiment_name or target.settings.experiment
    return store.identify(target, names.check_experiment_name(name), id)


def create_experiment(
    name: str, artifact_location: str | None = None, tags: Mapping[str, Any] | None = None
) -> str:
    """Create an experiment and return its id.

    A warning says that `artifact_location` is not used: artifacts go to the project's DVC remote.
    """
    if artifact_location is not None:
        warnings.warn(
            f"artifact_location {shown(artifact_location)} is not used: artifacts are recorded with"
            " the run, large ones go to the project's DVC remote",
            stacklevel=2,
        )
    checked = values.unambiguous(
        "tag",
        ((names.check_tag_key(k), values.check_tag_value(k, v)) for k, v in (tags or {}).items()),
    )
    return store.create_experiment(where(), name, checked).id


def get_experiment(experiment_id: str) -> Experiment:
    """The experiment of that id; UsageError when there is none."""
    return entity(_of_id(place(), experiment_id))


def _of_id(target: Where, experiment_id: str) -> ExperimentRecord:
    found = store.find_experiment(target, id=str(experiment_id))
    if found is None:
        raise UsageError(f"there is no experiment with id {shown(experiment_id)}", NOT_FOUND)
    return found


def get_experiment_by_name(name: str) -> Experiment | None:
    """The experiment of that name; None when there is none."""
    found = store.find_experiment(where(), name=name)
    return None if found is None else entity(found)


def search_experiments(
    view_type: int = ViewType.ACTIVE_ONLY,
    max_results: int | None = None,
    filter_string: str | None = None,
    order_by: Sequence[str] | None = None,
) -> list[Experiment]:
    """The experiments that match, newest first; filter by name and tags in MLflow's language."""
    view, most = ViewType.name_of(view_type), check_max_results(max_results)
    wanted = parse_filter(_as_of_runs(filter_string or ""))
    found = [
        item
        for item in store.experiments(place())
        if view in ("all", stage(item.deleted)) and matches(wanted, _facts(item))
    ]
    order = parse_order([_as_of_runs(term) for term in order_by or ()])
    found.sort(key=lambda item: rank(order, order_values(order, _facts(item)), _tie(item)))
    return [entity(item) for item in found[:most]]


def check_max_results(number: int | None) -> int | None:
    """The most results that a search returns: not negative; None for all."""
    if isinstance(number, str):  # it comes first, as in MLflow, and many give the filter there
        raise UsageError(f"max_results is no number: {shown(number)}; or is it filter_string=?")
    if number is not None and number < 0:
        raise UsageError(f"max_results must not be negative, as {number} is")
    return number


# MLflow's keys of an experiment that a run has not; those in quotes or after a dot are others.
_TIMES = re.compile(
    r"""'(?:[^']|'')*' | "(?:[^"]|"")*" | `[^`]*`
    | (?<![\w.])(?:attributes?\.|attr\.)?(?P<key>creation_time|last_update_time)\b""",
    re.VERBOSE,
)


def _as_of_runs(text: str) -> str:
    """A filter or an order with the names that the grammar of runs has; columns stay."""
    return _TIMES.sub(lambda it: "created".ljust(len(it[0])) if it["key"] else it[0], text)


def _facts(item: ExperimentRecord) -> Facts:
    """An experiment as a search sees it, so that one grammar serves runs and experiments."""
    attributes: dict[str, str | int | None] = {
        "run_id": None,
        "run_name": item.name,
        "status": None,
        "user_id": None,
        "experiment": item.name,
        "experiment_id": item.id,
        "description": item.description,
        "parent_run_id": None,
        "start_time": item.created,
        "end_time": None,
    }
    return Facts(attributes, {}, {}, item.tags, (None,) * len(NAMES), {})


def _tie(item: ExperimentRecord) -> tuple[int, str]:
    return (-(item.created or 0), item.id)


def set_experiment_tag(key: str, value: Any) -> None:
    """Set a tag of the active experiment."""
    set_experiment_tags({key: value})


def set_experiment_tags(tags: Mapping[str, Any]) -> None:
    """Set tags of the active experiment."""
    repo = place()
    change_tags(store.ensure_experiment(repo, current(repo).name).id, tags)


def change_tags(experiment_id: str, tags: Mapping[str, Any]) -> None:
    """Set tags of an experiment."""
    checked = values.unambiguous(
        "tag", ((names.check_tag_key(k), values.check_tag_value(k, v)) for k, v in tags.items())
    )

    def edit(item: ExperimentRecord) -> ExperimentRecord:
        for key, value in checked.items():
            item = item.set(f"tags.{key}", value, _WRITER)
        return item

    store.change_experiment(place(), experiment_id, edit)


def delete_experiment_tag(key: str) -> None:
    """Delete a tag of the active experiment; UsageError when it has none of that key."""
    repo = place()
    remove_tag(store.ensure_experiment(repo, current(repo).name).id, key)


def remove_tag(experiment_id: str, key: str) -> None:
    """Delete a tag of an experiment."""
    key = names.normal(key)

    def edit(item: ExperimentRecord) -> ExperimentRecord:
        if key not in item.live_tags:
            raise UsageError(
                f"the experiment {shown(item.name)} has no tag {shown(key)}", NOT_FOUND
            )
        return item.set(f"tags.{key}", None, _WRITER)

    store.change_experiment(place(), experiment_id, edit)


def rename_experiment(experiment_id: str, new_name: str) -> None:
    """Give an experiment another name; its id and the paths of its runs stay."""
    global _active
    new_name = names.check_experiment_name(new_name)
    other = store.find_experiment(place(), name=new_name)
    if other is not None and other.id != experiment_id:
        raise UsageError(f"there is another experiment called {shown(new_name)}", TAKEN)
    before = get_experiment(experiment_id)
    store.change_experiment(
        place(), before.experiment_id, lambda item: item.set("name", new_name, _WRITER)
    )
    if _active is not None and _active[1] == before.experiment_id:
        _active = new_name, before.experiment_id


def delete_experiment(experiment_id: str) -> None:
    """Mark an experiment as deleted; it can be restored."""
    store.change_experiment(place(), experiment_id, lambda item: item.set("deleted", True, _WRITER))


def restore_experiment(experiment_id: str) -> None:
    """Take the mark of deletion from an experiment."""
    store.change_experiment(
        place(), experiment_id, lambda item: item.set("deleted", False, _WRITER)
    )


def entity(item: ExperimentRecord) -> Experiment:
    """The entity of an experiment."""
    return Experiment(
        experiment_id=item.id,
        name=item.name,
        lifecycle_stage=stage(item.deleted),
        tags=item.live_tags,
        creation_time=item.created,
        last_update_time=item.created,
        artifact_location="",
    )
