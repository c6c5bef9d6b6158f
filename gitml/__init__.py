"""gitml: a git repository as the whole MLOps platform.

`import gitml as mlflow` runs a script that was written for MLflow's fluent API. Every name is
loaded at its first use, so that importing the package costs next to nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from gitml.version import __version__

if TYPE_CHECKING:
    from gitml.models.autolog import autolog
    from gitml.tracking.client import MlflowClient
    from gitml.tracking.entities import Experiment, Run
    from gitml.tracking.fluent import (
        ActiveRun,
        active_run,
        create_experiment,
        delete_experiment,
        delete_experiment_tag,
        delete_run,
        delete_tag,
        end_run,
        flush_async_logging,
        get_artifact_uri,
        get_experiment,
        get_experiment_by_name,
        get_parent_run,
        get_run,
        get_tracking_uri,
        is_tracking_uri_set,
        last_active_run,
        load_table,
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
        log_table,
        log_text,
        restore_run,
        search_experiments,
        search_runs,
        set_experiment,
        set_experiment_tag,
        set_experiment_tags,
        set_tag,
        set_tags,
        set_tracking_uri,
        start_run,
    )
    from gitml.tracking.media import Image
    from gitml.tracking.system_metrics import (
        disable_system_metrics_logging,
        enable_system_metrics_logging,
        set_system_metrics_node_id,
        set_system_metrics_samples_before_logging,
        set_system_metrics_sampling_interval,
    )

_FLUENT = """
ActiveRun active_run create_experiment delete_experiment delete_experiment_tag delete_run
delete_tag end_run flush_async_logging get_artifact_uri get_experiment get_experiment_by_name
get_parent_run get_run get_tracking_uri is_tracking_uri_set last_active_run load_table log_artifact
log_artifacts log_dict log_figure log_image log_input log_inputs log_metric log_metrics log_param
log_params log_stream log_table log_text restore_run search_experiments search_runs set_experiment
set_experiment_tag set_experiment_tags set_tag set_tags set_tracking_uri start_run
""".split()
_SYSTEM = """
disable_system_metrics_logging enable_system_metrics_logging set_system_metrics_node_id
set_system_metrics_samples_before_logging set_system_metrics_sampling_interval
""".split()

_HOMES = {
    **dict.fromkeys(_FLUENT, "gitml.tracking.fluent"),
    **dict.fromkeys(_SYSTEM, "gitml.tracking.system_metrics"),
    "Experiment": "gitml.tracking.entities",
    "Image": "gitml.tracking.media",
    "MlflowClient": "gitml.tracking.client",
    "MlflowException": "gitml.exceptions",
    "Run": "gitml.tracking.entities",
    "autolog": "gitml.models.autolog",
}
_MODULES = frozenset(
    """artifacts client data entities exceptions lightgbm models onnx pyfunc sklearn tracking types
    xgboost""".split()
)
# What MLflow has and gitml has not yet: the component that it comes with.
_LATER = {
    **dict.fromkeys(
        """get_registry_uri register_model search_model_versions search_registered_models
        set_registry_uri""".split(),
        "the model registry",
    ),
    **dict.fromkeys(("projects", "run"), "projects"),
    **dict.fromkeys(("keras", "pytorch", "tensorflow"), "its flavor"),
}

__all__ = [
    "ActiveRun",
    "Experiment",
    "Image",
    "MlflowClient",
    "MlflowException",
    "Run",
    "__version__",
    "active_run",
    "autolog",
    "create_experiment",
    "delete_experiment",
    "delete_experiment_tag",
    "delete_run",
    "delete_tag",
    "disable_system_metrics_logging",
    "enable_system_metrics_logging",
    "end_run",
    "flush_async_logging",
    "get_artifact_uri",
    "get_experiment",
    "get_experiment_by_name",
    "get_parent_run",
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
    "restore_run",
    "search_experiments",
    "search_runs",
    "set_experiment",
    "set_experiment_tag",
    "set_experiment_tags",
    "set_system_metrics_node_id",
    "set_system_metrics_samples_before_logging",
    "set_system_metrics_sampling_interval",
    "set_tag",
    "set_tags",
    "set_tracking_uri",
    "start_run",
]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        value = getattr(importlib.import_module(_HOMES[name]), name)
        globals()[name] = value
        return value
    if name in _MODULES:
        return importlib.import_module(f"gitml.{name}")
    if name in _LATER:
        raise AttributeError(f"gitml.{name} comes with {_LATER[name]}, which gitml has not yet")
    raise AttributeError(f"module 'gitml' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__, *_MODULES})
