"""MlflowClient whole: the methods of tracking, and those of the registry."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from gitml.errors import NOT_FOUND, TAKEN, UsageError, shown
from gitml.registry import catalog, deciding, desired, fluent, locating
from gitml.registry.entities import (
    ModelVersion,
    RegisteredModel,
    model_version,
    registered_model,
)
from gitml.registry.promoting import Promotion
from gitml.registry.tags import check_model_name, check_stage
from gitml.tracking import client as tracking
from gitml.tracking.client import PagedList, in_its_repository, offset, page
from gitml.tracking.fluent.place import place

_FIXED = "would change a version, which stays as it is; give tags and description to register_model"
_KEPT = "would delete what was registered; archive it: gitml registry archive NAME VERSION"
_ANEW = "is not there; register the run's model under the other name"
_NEVER = {
    "set_model_version_tag": _FIXED,
    "delete_model_version_tag": _FIXED,
    "update_model_version": _FIXED,
    "delete_model_version": _KEPT,
    "delete_registered_model": _KEPT,
    "rename_registered_model": _ANEW,
    "copy_model_version": _ANEW,
    "set_registered_model_tag": "is not there; versions have tags: give them to register_model",
    "delete_registered_model_tag": "is not there; registered models have no tags",
    "get_model_version_stages": "is not there; the stages are in the policy, registry.yaml",
}


@in_its_repository
class MlflowClient(tracking.MlflowClient):
    """MLflow's client for the classic tracking and registry methods.

    What it decides about models, such as an alias, is written into their files in the work tree; it
    holds for others once that is on the main branch.
    """

    if not TYPE_CHECKING:  # or a misspelt method would have a type

        def __getattr__(self, name: str) -> Any:
            why = _NEVER.get(name, "is not there")
            raise AttributeError(f"MlflowClient.{name} {why}", name=name, obj=self)

    # -- models ----------------------------------------------------------------------------

    def create_registered_model(
        self,
        name: str,
        tags: Mapping[str, Any] | None = None,
        description: str | None = None,
        deployment_job_id: str | None = None,
    ) -> RegisteredModel:
        """Begin the file of a model; UsageError when there is a model of that name."""
        check_model_name(name)
        where = place()
        if name in catalog.read(where.repo).models or name in desired.names(where):
            raise UsageError(f"the model {shown(name)} exists already", TAKEN)
        if tags:
            warnings.warn("registered models have no tags; those of a version stay", stacklevel=4)
        deciding.describe(where, name, description or "")
        return _model(name)

    def get_registered_model(self, name: str) -> RegisteredModel:
        """The model of that name; UsageError when there is none."""
        return _model(name)

    def update_registered_model(
        self, name: str, description: str | None = None, deployment_job_id: str | None = None
    ) -> RegisteredModel:
        """Say what a model is for."""
        _model(name)
        if description is not None:
            deciding.describe(place(), name, description)
        return _model(name)

    def search_registered_models(
        self,
        filter_string: str | None = None,
        max_results: int = 100,
        order_by: Sequence[str] | None = None,
        page_token: str | None = None,
    ) -> PagedList:
        """The models that match, a page of them."""
        start = offset(page_token)
        found = fluent.search_registered_models(None, filter_string, order_by)[start:]
        return page(found, start, max_results)

    # -- versions --------------------------------------------------------------------------

    def create_model_version(
        self,
        name: str,
        source: str,
        run_id: str | None = None,
        tags: Mapping[str, Any] | None = None,
        run_link: str | None = None,
        description: str | None = None,
        await_creation_for: int = 300,
        model_id: str | None = None,
    ) -> ModelVersion:
        """Register the model `source`: runs:/RUN/PATH, or a path in the run `run_id`."""
        uri = f"runs:/{run_id}/{source}" if run_id and not source.startswith("runs:/") else source
        return fluent.register_model(uri, name, tags=tags, description=description)

    def get_model_version(self, name: str, version: str) -> ModelVersion:
        """A version by its number or ordinal; UsageError when there is none."""
        where = place()
        item = catalog.read(where.repo).version(name, str(version))
        return model_version(item, desired.read(where, name))

    def get_model_version_download_uri(self, name: str, version: str) -> str:
        """The URI of a version's model in its run."""
        return self.get_model_version(name, version).source

    def search_model_versions(
        self,
        filter_string: str | None = None,
        max_results: int = 10000,
        order_by: Sequence[str] | None = None,
        page_token: str | None = None,
    ) -> PagedList:
        """The versions that match, a page of them."""
        start = offset(page_token)
        found = fluent.search_model_versions(None, filter_string, order_by)[start:]
        return page(found, start, max_results)

    def get_latest_versions(
        self, name: str, stages: Sequence[str] | None = None
    ) -> list[ModelVersion]:
        """The version that holds each of the stages, by default of all; and the latest without one.

        The stage `None` asks for the latest of those that hold no stage.
        """
        wanted = None if stages is None else {check_stage(stage).capitalize() for stage in stages}
        found: dict[str, ModelVersion] = {}
        for item in fluent.search_model_versions(None, f"name = '{check_model_name(name)}'"):
            for stage in [it.capitalize() for it in item.stages] or [item.current_stage]:
                if wanted is None or stage in wanted:
                    found.setdefault(stage, replace(item, current_stage=stage))
        if not found:
            _model(name)
        return list(found.values())

    def transition_model_version_stage(
        self, name: str, version: str, stage: str, archive_existing_versions: bool = False
    ) -> ModelVersion:
        """Propose that a version takes a stage, by a branch and a pull request; the version as now.

        It holds the stage once that is merged, and the one before is archived then, as a stage is
        held by one version. `Archived` is written into the model's file in the work tree. Raises
        UsageError for the stage `None`: a stage is left to another version.
        """
        if stage.lower() == "archived":
            deciding.archive(place(), name, [str(version)])
        elif stage.lower() == "none":
            why = "a version gives up its stage when another takes it; promote that one"
            raise UsageError(f"{shown(name)} can't go to no stage: {why}")
        else:
            warnings.warn(_told(fluent.promote(name, stage, str(version))), stacklevel=4)
        return self.get_model_version(name, version)

    # -- aliases ---------------------------------------------------------------------------

    def set_registered_model_alias(self, name: str, alias: str, version: str) -> None:
        """Give an alias to a version."""
        deciding.set_alias(place(), name, alias, str(version))

    def delete_registered_model_alias(self, name: str, alias: str) -> None:
        """Take an alias away."""
        deciding.set_alias(place(), name, alias, None)

    def get_model_version_by_alias(self, name: str, alias: str) -> ModelVersion:
        """The version that has an alias; UsageError when none has."""
        where = place()
        item = locating.find(where, f"models:/{name}@{alias}")
        return model_version(item, desired.read(where, name))


def _told(done: Promotion) -> str:
    """What came of a promotion, and what is to be done."""
    what = f"{done.name} {done.version}"
    if done.published is None:
        return f"{what} holds the stage {done.stage} already"
    opened = done.published.opened
    where = opened.url if opened and opened.url else f"the branch {done.published.branch}"
    return f"{what} is proposed for {done.stage}, and holds it once this is merged: {where}"


def _model(name: str) -> RegisteredModel:
    where = place()
    versions = catalog.read(where.repo).models.get(check_model_name(name), ())
    if not versions and name not in desired.names(where):
        what = f"no model is registered as {shown(name)}; see: gitml registry list"
        raise UsageError(what, NOT_FOUND)
    return registered_model(name, versions, desired.read(where, name))
