"""The functions have MLflow's parameters: the same names in the same order, and the defaults.

What MLflow has was asked of MLflow 3.17.2 with `inspect.signature`, and is kept here as data.
"""

from __future__ import annotations

import ast
import copy
import inspect
import re
from functools import reduce
from pathlib import Path
from typing import NamedTuple

import pytest

import gitml

SIGNATURES = """
set_tracking_uri(uri)
get_tracking_uri()
is_tracking_uri_set()
set_registry_uri(uri)
get_registry_uri()
set_experiment(experiment_name=None, experiment_id=None, trace_location=None)
create_experiment(name, artifact_location=None, tags=None, trace_location=None)
get_experiment(experiment_id)
get_experiment_by_name(name)
search_experiments(view_type=1, max_results=None, filter_string=None, order_by=None)
register_model(model_uri, name, await_registration_for=300, *, tags=None, env_pack=None)
search_registered_models(max_results=None, filter_string=None, order_by=None)
search_model_versions(max_results=None, filter_string=None, order_by=None)
delete_experiment(experiment_id)
restore_experiment(experiment_id)
set_experiment_tag(key, value)
set_experiment_tags(tags)
delete_experiment_tag(key)
start_run(run_id=None, experiment_id=None, run_name=None, nested=False, parent_run_id=None,
    tags=None, description=None, log_system_metrics=None)
end_run(status='FINISHED')
active_run()
last_active_run()
get_parent_run(run_id)
get_run(run_id)
search_runs(experiment_ids=None, filter_string='', run_view_type=1, max_results=100000,
    order_by=None, output_format='pandas', search_all_experiments=False, experiment_names=None)
delete_run(run_id)
restore_run(run_id)
log_param(key, value, synchronous=None)
log_params(params, synchronous=None, run_id=None)
log_metric(key, value, step=None, synchronous=None, timestamp=None, run_id=None, model_id=None,
    dataset=None)
log_metrics(metrics, step=None, synchronous=None, run_id=None, timestamp=None, model_id=None,
    dataset=None)
set_tag(key, value, synchronous=None)
set_tags(tags, synchronous=None)
delete_tag(key)
log_artifact(local_path, artifact_path=None, run_id=None)
log_artifacts(local_dir, artifact_path=None, run_id=None)
log_text(text, artifact_file, run_id=None)
log_dict(dictionary, artifact_file, run_id=None)
log_figure(figure, artifact_file, *, save_kwargs=None)
log_image(image, artifact_file=None, key=None, step=None, timestamp=None, synchronous=False)
log_table(data, artifact_file, run_id=None)
load_table(artifact_file, run_ids=None, extra_columns=None)
log_stream(stream, artifact_file, run_id=None)
log_input(dataset=None, context=None, tags=None, model=None)
log_inputs(datasets=None, contexts=None, tags_list=None, models=None)
get_artifact_uri(artifact_path=None)
flush_async_logging()
flush_artifact_async_logging()
config.enable_async_logging(enable=True)
autolog(log_input_examples=False, log_model_signatures=True, log_models=True, log_datasets=True,
    log_traces=True, disable=False, exclusive=False, disable_for_unsupported_versions=False,
    silent=False, extra_tags=None, exclude_flavors=None)
enable_system_metrics_logging()
disable_system_metrics_logging()
set_system_metrics_sampling_interval(interval)
set_system_metrics_samples_before_logging(samples)
set_system_metrics_node_id(node_id)
Image(image)
artifacts.list_artifacts(artifact_uri=None, run_id=None, artifact_path=None, tracking_uri=None)
artifacts.download_artifacts(artifact_uri=None, run_id=None, artifact_path=None, dst_path=None,
    tracking_uri=None, registry_uri=None)
artifacts.load_text(artifact_uri)
artifacts.load_dict(artifact_uri)
artifacts.load_image(artifact_uri)
data.from_pandas(df, source=None, targets=None, name=None, digest=None, predictions=None)
data.from_numpy(features, source=None, targets=None, name=None, digest=None)
data.get_source(dataset)
sklearn.autolog(log_input_examples=False, log_model_signatures=True, log_models=True,
    log_datasets=True, disable=False, exclusive=False, disable_for_unsupported_versions=False,
    silent=False, max_tuning_runs=5, log_post_training_metrics=True,
    serialization_format='cloudpickle', registered_model_name=None, pos_label=None,
    extra_tags=None)
entities.Metric(key, value, timestamp, step, model_id=None, dataset_name=None,
    dataset_digest=None, run_id=None)
entities.Param(key, value)
entities.RunTag(key, value)
entities.ExperimentTag(key, value)
entities.FileInfo(path, is_dir, file_size)
entities.InputTag(key, value)
entities.Dataset(name, digest, source_type, source, schema=None, profile=None)
entities.DatasetInput(dataset, tags=None)
entities.RunInfo(run_id, experiment_id, user_id, status, start_time, end_time, lifecycle_stage,
    artifact_uri=None, run_name=None)
MlflowClient(tracking_uri=None, registry_uri=None, workspace_store_uri=None)
MlflowClient.create_experiment(name, artifact_location=None, tags=None)
MlflowClient.get_experiment(experiment_id)
MlflowClient.get_experiment_by_name(name)
MlflowClient.search_experiments(view_type=1, max_results=1000, filter_string=None, order_by=None,
    page_token=None)
MlflowClient.rename_experiment(experiment_id, new_name)
MlflowClient.create_registered_model(name, tags=None, description=None, deployment_job_id=None)
MlflowClient.get_registered_model(name)
MlflowClient.update_registered_model(name, description=None, deployment_job_id=None)
MlflowClient.search_registered_models(filter_string=None, max_results=100, order_by=None,
    page_token=None)
MlflowClient.create_model_version(name, source, run_id=None, tags=None, run_link=None,
    description=None, await_creation_for=300, model_id=None)
MlflowClient.get_model_version(name, version)
MlflowClient.get_model_version_download_uri(name, version)
MlflowClient.search_model_versions(filter_string=None, max_results=10000, order_by=None,
    page_token=None)
MlflowClient.get_latest_versions(name, stages=None)
MlflowClient.set_registered_model_alias(name, alias, version)
MlflowClient.delete_registered_model_alias(name, alias)
MlflowClient.get_model_version_by_alias(name, alias)
MlflowClient.delete_experiment(experiment_id)
MlflowClient.restore_experiment(experiment_id)
MlflowClient.set_experiment_tag(experiment_id, key, value)
MlflowClient.delete_experiment_tag(experiment_id, key)
MlflowClient.create_run(experiment_id, start_time=None, tags=None, run_name=None)
MlflowClient.get_run(run_id)
MlflowClient.get_parent_run(run_id)
MlflowClient.search_runs(experiment_ids, filter_string='', run_view_type=1, max_results=1000,
    order_by=None, page_token=None)
MlflowClient.set_terminated(run_id, status=None, end_time=None)
MlflowClient.update_run(run_id, status=None, name=None)
MlflowClient.delete_run(run_id)
MlflowClient.restore_run(run_id)
MlflowClient.log_param(run_id, key, value, synchronous=None)
MlflowClient.log_metric(run_id, key, value, timestamp=None, step=None, synchronous=None,
    dataset_name=None, dataset_digest=None, model_id=None)
MlflowClient.log_batch(run_id, metrics=(), params=(), tags=(), synchronous=None)
MlflowClient.set_tag(run_id, key, value, synchronous=None)
MlflowClient.delete_tag(run_id, key)
MlflowClient.log_inputs(run_id, datasets=None, models=None)
MlflowClient.log_artifact(run_id, local_path, artifact_path=None)
MlflowClient.log_artifacts(run_id, local_dir, artifact_path=None)
MlflowClient.log_text(run_id, text, artifact_file)
MlflowClient.log_stream(run_id, stream, artifact_file)
MlflowClient.log_dict(run_id, dictionary, artifact_file)
MlflowClient.log_figure(run_id, figure, artifact_file, *, save_kwargs=None)
MlflowClient.log_image(run_id, image, artifact_file=None, key=None, step=None, timestamp=None,
    synchronous=None)
MlflowClient.log_table(run_id, data, artifact_file)
MlflowClient.load_table(experiment_id, artifact_file, run_ids=None, extra_columns=None)
MlflowClient.get_metric_history(run_id, key)
MlflowClient.list_artifacts(run_id, path=None)
MlflowClient.download_artifacts(run_id, path, dst_path=None)
"""

# What gitml leaves out: it belongs to tracing, to MLflow 3's logged models or to its workspaces.
LEFT_OUT = {
    "MlflowClient": ["workspace_store_uri"],
    "MlflowClient.log_inputs": ["models"],
    "create_experiment": ["trace_location"],
    "entities.Metric": ["model_id", "dataset_name", "dataset_digest", "run_id"],
    "set_experiment": ["trace_location"],
}
# Where the default says the same in other words: for gitml every call is synchronous, a step of
# 0 need not be said, an entity without tags has an empty list of them.
OTHER_DEFAULTS = {
    ("entities.DatasetInput", "tags"),
    ("entities.Metric", "step"),
    ("log_image", "synchronous"),
    ("sklearn.autolog", "serialization_format"),
}


class Parameter(NamedTuple):
    """A parameter: its default as text, None without one."""

    name: str
    is_keyword_only: bool
    default: str | None


def of_mlflow() -> dict[str, list[Parameter]]:
    """MLflow's functions and their parameters."""
    text = re.sub(r"\n +", " ", SIGNATURES.strip())
    return dict(parsed(*line[:-1].split("(", 1)) for line in text.splitlines())


def parsed(name: str, parameters: str) -> tuple[str, list[Parameter]]:
    """A function's name and its parameters."""
    function = ast.parse(f"def f({parameters}): ...").body[0]
    assert isinstance(function, ast.FunctionDef)
    of = function.args
    defaults = [None] * (len(of.args) - len(of.defaults)) + of.defaults + of.kw_defaults
    return name, [
        Parameter(arg.arg, arg in of.kwonlyargs, default and ast.unparse(default))
        for arg, default in zip(of.args + of.kwonlyargs, defaults, strict=True)
    ]


def of_gitml(name: str) -> list[Parameter]:
    """The parameters of gitml's function of that name."""
    function = reduce(getattr, name.split("."), gitml)
    return [
        Parameter(
            item.name,
            item.kind is item.KEYWORD_ONLY,
            None if item.default is item.empty else repr(item.default),
        )
        for item in inspect.signature(function).parameters.values()
        if item.name != "self"
    ]


@pytest.mark.parametrize(("name", "theirs"), of_mlflow().items())
def test_the_parameters_are_mlflows(name: str, theirs: list[Parameter]) -> None:
    """Calls by position and by name mean the same; what gitml adds comes after MLflow's."""
    expected = [item for item in theirs if item.name not in LEFT_OUT.get(name, ())]
    found = of_gitml(name)[: len(expected)]
    for mine, other in zip(found, expected, strict=True):
        assert mine[:2] == other[:2]
        if (name, mine.name) not in OTHER_DEFAULTS:
            assert mine.default == other.default
    added = of_gitml(name)[len(expected) :]
    assert all(item.default is not None for item in added)


def test_what_is_left_out_is_really_left_out() -> None:
    """The list of exceptions is no longer than the truth."""
    signatures = of_mlflow()
    for name, parameters in LEFT_OUT.items():
        assert set(parameters) <= {item.name for item in signatures[name]}
        assert not {item.name for item in of_gitml(name)} & set(parameters)
    for name, parameter in OTHER_DEFAULTS:
        theirs = {item.name: item.default for item in signatures[name]}
        mine = {item.name: item.default for item in of_gitml(name)}
        assert theirs[parameter] != mine[parameter]


def test_the_page_for_users_of_mlflow_names_every_function() -> None:
    """The table of functions is whole, and names nothing that is not there."""
    page = Path(__file__).parent.parent / "docs" / "coming-from-mlflow.md"
    table = page.read_text(encoding="utf-8").split("## ")[1]
    named = {name for name in re.findall(r"`(\w+(?:\.\w+)?)`", table) if name != "entities"}
    assert set(gitml.__all__) - {"__version__"} <= named
    client = {name for name in named if hasattr(gitml.MlflowClient, name)}
    for name in named - client - {"mlflow.entities"}:
        assert reduce(getattr, name.removeprefix("gitml.").split("."), gitml) is not None


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("genai", "mlflow.genai is of MLflow's tracing and language models"),
        ("start_span", "tracing"),
        ("spark", "a flavor that gitml does not have"),
        ("transformers", "log_artifacts"),
        ("last_logged_model", "a model belongs to its run"),
        ("doctor", "gitml doctor"),
        ("set_model_version_tag", "give tags to register_model"),
    ],
)
def test_functions_that_never_come_say_so(name: str, words: str) -> None:
    """The error says what a name of MLflow is of, and what to do instead."""
    with pytest.raises(AttributeError, match=words):
        getattr(gitml, name)
    assert not hasattr(gitml, name)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("set_model_version_tag", "give tags and description to register_model"),
        ("delete_model_version", "gitml registry archive"),
        ("rename_registered_model", "under the other name"),
        ("get_model_version_stages", "registry.yaml"),
        ("get_model_verzion", "is not there"),
    ],
)
def test_methods_that_never_come_say_so(name: str, words: str) -> None:
    """As the functions do; the client asks whether it has one without an error."""
    client = gitml.MlflowClient()
    with pytest.raises(AttributeError, match=words):
        getattr(client, name)
    assert not hasattr(client, name)
    assert copy.copy(client).tracking_uri == client.tracking_uri
