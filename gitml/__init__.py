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
    from gitml.projects.running import run
    from gitml.registry.client import MlflowClient
    from gitml.registry.fluent import (
        register_model,
        search_model_versions,
        search_registered_models,
    )
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
        flush_artifact_async_logging,
        flush_async_logging,
        get_artifact_uri,
        get_experiment,
        get_experiment_by_name,
        get_parent_run,
        get_registry_uri,
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
        restore_experiment,
        restore_run,
        search_experiments,
        search_runs,
        set_experiment,
        set_experiment_tag,
        set_experiment_tags,
        set_registry_uri,
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
delete_tag end_run flush_artifact_async_logging flush_async_logging
get_artifact_uri get_experiment get_experiment_by_name get_parent_run get_registry_uri get_run
get_tracking_uri is_tracking_uri_set last_active_run load_table log_artifact log_artifacts log_dict
log_figure log_image log_input log_inputs log_metric log_metrics log_param log_params log_stream
log_table log_text restore_experiment restore_run search_experiments search_runs set_experiment
set_experiment_tag set_experiment_tags set_registry_uri set_tag set_tags set_tracking_uri start_run
""".split()
_SYSTEM = """
disable_system_metrics_logging enable_system_metrics_logging set_system_metrics_node_id
set_system_metrics_samples_before_logging set_system_metrics_sampling_interval
""".split()

_REGISTRY = ["register_model", "search_model_versions", "search_registered_models"]

_HOMES = {
    **dict.fromkeys(_FLUENT, "gitml.tracking.fluent"),
    **dict.fromkeys(_SYSTEM, "gitml.tracking.system_metrics"),
    **dict.fromkeys(_REGISTRY, "gitml.registry.fluent"),
    "Experiment": "gitml.tracking.entities",
    "Image": "gitml.tracking.media",
    "MlflowClient": "gitml.registry.client",
    "MlflowException": "gitml.exceptions",
    "Run": "gitml.tracking.entities",
    "autolog": "gitml.models.autolog",
    "run": "gitml.projects.running",
}
_MODULES = frozenset(
    """artifacts client config data entities exceptions keras lightgbm mlem models onnx projects
    pyfunc pytorch registry sklearn tensorflow tracking types utils version xgboost""".split()
)
# What MLflow has and gitml will not have: the words that say what to do instead.
_NEVER = {
    **dict.fromkeys(
        """add_trace ag2 agent agno anthropic autogen bedrock crewai delete_trace_tag dspy
        flush_trace_async_logging gateway gemini genai get_active_trace_id get_current_active_span
        get_last_active_trace_id get_trace groq haystack langchain litellm llama_index load_prompt
        log_assessment log_expectation log_feedback log_trace mistral openai otel prompt pydantic_ai
        register_prompt search_prompts search_sessions search_traces semantic_kernel set_trace_tag
        smolagents start_span start_span_no_context strands trace tracing txtai
        update_current_trace""".split(),
        "is of MLflow's tracing and language models, which gitml does not have; use MLflow for it",
    ),
    **dict.fromkeys(
        """catboost diffusers h2o johnsnowlabs paddle pmdarima prophet pyspark sentence_transformers
        shap spacy spark statsmodels transformers""".split(),
        "is a flavor that gitml does not have; log the model's files with log_artifacts",
    ),
    **dict.fromkeys(
        """ActiveModel clear_active_model create_external_model delete_logged_model_tag
        finalize_logged_model get_active_model_id get_logged_model initialize_logged_model
        last_logged_model log_model_params log_outputs search_logged_models set_active_model
        set_logged_model_tags""".split(),
        "is of MLflow 3's logged models; in gitml a model belongs to its run",
    ),
    **dict.fromkeys(
        """create_workspace delete_workspace get_workspace list_workspaces login server
        set_workspace update_workspace""".split(),
        "is of MLflow's server, which gitml does not need",
    ),
    "set_model_version_tag": "would change a version; give tags to register_model",
    "doctor": "is a command of gitml: gitml doctor",
    "evaluate": "is of MLflow; gitml does not have it: log metrics with log_metrics",
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
    "register_model",
    "restore_experiment",
    "restore_run",
    "run",
    "search_experiments",
    "search_model_versions",
    "search_registered_models",
    "search_runs",
    "set_experiment",
    "set_experiment_tag",
    "set_experiment_tags",
    "set_registry_uri",
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
    if name in _NEVER:
        raise AttributeError(f"mlflow.{name} {_NEVER[name]}")
    raise AttributeError(f"module 'gitml' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__, *_MODULES})
