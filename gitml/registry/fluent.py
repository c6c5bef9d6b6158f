"""MLflow's functions over the registry, in the repository of the runs."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from typing import Any

from gitml.registry import catalog, desired, promoting, registering
from gitml.registry.asked import RegistrationWarning
from gitml.registry.entities import (
    ModelVersion,
    RegisteredModel,
    model_version,
    registered_model,
)
from gitml.registry.promoting import Promotion
from gitml.registry.registering import Wish
from gitml.registry.searching import search
from gitml.tracking.fluent.experiments import check_max_results
from gitml.tracking.fluent.place import place
from gitml.tracking.fluent.runs import checked_tags


def register_model(
    model_uri: str,
    name: str,
    await_registration_for: int | None = 300,
    *,
    tags: Mapping[str, Any] | None = None,
    env_pack: None = None,
    version: str | None = None,
    description: str | None = None,
) -> ModelVersion:
    """Register a model of a finished run, `runs:/RUN/PATH`, as the next version of `name`.

    Its artifacts and its run are pushed first, where the repository has a remote. `version` is
    by default the next one, which follows from the change of the signature. It is there when this
    returns. Where the remote refuses its tag, as forges do that let only CI make tags, a warning
    says so, and `status` is PENDING_REGISTRATION: `promote` carries the version, and its tag comes
    after the merge. Raises UsageError for a run that is not FINISHED and for a version that is
    taken.
    """
    where = place()
    wish = Wish(version, None, description or "", checked_tags(tags or {}))
    made = registering.register(where, model_uri, name, wish)
    if made.waits:
        warnings.warn(registering.told(made), RegistrationWarning, stacklevel=2)
    return model_version(made, desired.read(where, name))


def promote(name: str, stage: str, version: str = "latest", *, direct: bool = False) -> Promotion:
    """Propose that a version of a model takes a stage: a branch and, at a forge, a pull request.

    The work tree stays as it is. `version` is as in `models:/NAME/VERSION`. With `direct` the main
    branch itself gets the commit, in a repository without review. Raises UsageError for what is
    not there, GitError when the remote refuses, ForgeError when the forge does.
    """
    return promoting.promote(place(), name, stage, version, direct=direct)


def rollback(name: str, stage: str, *, direct: bool = False) -> Promotion:
    """Propose that the version which held a stage before takes it again, as `promote` does."""
    return promoting.rollback(place(), name, stage, direct=direct)


def search_registered_models(
    max_results: int | None = None,
    filter_string: str | None = None,
    order_by: Sequence[str] | None = None,
) -> list[RegisteredModel]:
    """The registered models that match, by name; such as `name LIKE 'churn%'`."""
    where, most = place(), check_max_results(max_results)
    book, decided = catalog.read(where.repo), desired.read_all(where)
    models = [
        registered_model(name, book.models.get(name, ()), decided.get(name, desired.NOTHING))
        for name in sorted({*book.models, *decided})
    ]
    return search(models, filter_string, order_by)[:most]


def search_model_versions(
    max_results: int | None = None,
    filter_string: str | None = None,
    order_by: Sequence[str] | None = None,
) -> list[ModelVersion]:
    """The versions that match, by model, the newest first; such as `name = 'churn'`."""
    where, most = place(), check_max_results(max_results)
    decided = desired.read_all(where)
    versions = [
        model_version(item, decided.get(name, desired.NOTHING))
        for name, items in catalog.read(where.repo).models.items()
        for item in items
    ]
    return search(versions, filter_string, order_by)[:most]
