"""The options that `save_model` and `log_model` of every flavor take; MLflow's names."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypedDict

from gitml.documents import unknown_key
from gitml.errors import UsageError

if TYPE_CHECKING:
    from gitml.models.signature import ModelSignature


class SaveOptions(TypedDict, total=False):
    """How a model is saved.

    `signature` is inferred from the `input_example` where only that is given; False means none.
    `pip_requirements` replace those that are inferred, `extra_pip_requirements` are added.
    """

    signature: ModelSignature | Literal[False] | None
    input_example: Any
    pip_requirements: str | Iterable[str] | None
    extra_pip_requirements: str | Iterable[str] | None
    conda_env: str | Path | Mapping[str, Any] | None
    code_paths: Iterable[str | Path] | None
    metadata: Mapping[str, Any] | None


class LogOptions(SaveOptions, total=False):
    """How a model is logged. `params` go to the run; `run_id` is by default the active run."""

    run_id: str | None
    params: Mapping[str, Any] | None
    tags: Mapping[str, Any] | None
    step: int
    registered_model_name: str | None
    await_registration_for: int
    model_type: str | None
    model_id: str | None


Options = dict[str, Any]


def split(function: str, options: Mapping[str, Any], own: Iterable[str]) -> tuple[Options, Options]:
    """The common options and the flavor's `own` ones; UsageError for a name that is neither."""
    common = LogOptions.__annotations__ if function == "log_model" else SaveOptions.__annotations__
    flavor = frozenset(own)
    for name in options:
        if name not in common and name not in flavor:
            raise UsageError(f"{function}: {unknown_key(name, [*common, *flavor])}")
    mine = {name: value for name, value in options.items() if name in flavor}
    return {name: value for name, value in options.items() if name in common}, mine
