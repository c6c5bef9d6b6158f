"""The fluent API: MLflow's functions, with its names, parameters and meaning.

What they return is in `entities`, what they write goes through `session`, what they read
through `store`.
"""

from __future__ import annotations

from gitml.tracking.fluent.experiments import (
    create_experiment,
    delete_experiment,
    delete_experiment_tag,
    get_experiment,
    get_experiment_by_name,
    restore_experiment,
    search_experiments,
    set_experiment,
    set_experiment_tag,
    set_experiment_tags,
)
from gitml.tracking.fluent.logs import (
    delete_tag,
    flush_artifact_async_logging,
    flush_async_logging,
    get_artifact_uri,
    log_artifact,
    log_artifacts,
    log_dict,
    log_figure,
    log_image,
    log_input,
    log_inputs,
    log_metric,
    log_metrics,
    log_param,
    log_params,
    log_stream,
    log_text,
    set_tag,
    set_tags,
)
from gitml.tracking.fluent.place import (
    get_registry_uri,
    get_tracking_uri,
    is_tracking_uri_set,
    set_registry_uri,
    set_tracking_uri,
)
from gitml.tracking.fluent.reads import (
    delete_run,
    get_parent_run,
    get_run,
    restore_run,
    search_runs,
)
from gitml.tracking.fluent.runs import (
    ActiveRun,
    RecordingWarning,
    active_run,
    end_run,
    last_active_run,
    start_run,
)
from gitml.tracking.fluent.tables import load_table, log_table

__all__ = [
    "ActiveRun",
    "RecordingWarning",
    "active_run",
    "create_experiment",
    "delete_experiment",
    "delete_experiment_tag",
    "delete_run",
    "delete_tag",
    "end_run",
    "flush_artifact_async_logging",
    "flush_async_logging",
    "get_artifact_uri",
    "get_experiment",
    "get_experiment_by_name",
    "get_parent_run",
    "get_registry_uri",
    "get_run",
    "get_tracking_uri",
    "is_tracking_uri_set",
    "last_active_run",
    "load_table",
    "log_artifact",
    "log_artifacts",
    "log_dict",
    "log_figure",
    "log_image",
    "log_input",
    "log_inputs",
    "log_metric",
    "log_metrics",
    "log_param",
    "log_params",
    "log_stream",
    "log_table",
    "log_text",
    "restore_experiment",
    "restore_run",
    "search_experiments",
    "search_runs",
    "set_experiment",
    "set_experiment_tag",
    "set_experiment_tags",
    "set_registry_uri",
    "set_tag",
    "set_tags",
    "set_tracking_uri",
    "start_run",
]
