"""What `gitml.yaml` says of deployments: for each stage a target, and how models go there. Pure.

Format: the key `deployments` of schemas/gitml.schema.json.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from gitml.documents import validate
from gitml.errors import UsageError, shown

WHERE = "gitml.yaml: deployments"
HOST, PORT = "127.0.0.1", 5000  # of this machine, where the settings name no others
_NONE: Mapping[str, Any] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Deployment:
    """How the version of a model in a stage is deployed.

    `options` are the target's; files that they name are those of `commit`. `frozen`: nothing is
    changed. `prune`: what runs is taken away once no version is in the stage.
    """

    stage: str
    model: str
    target: str
    options: Mapping[str, Any] = field(default_factory=lambda: _NONE)
    frozen: bool = False
    prune: bool = False
    commit: str = ""

    @property
    def name(self) -> str:
        """As a person calls it."""
        return f"{self.model} in {self.stage}"


def deployments(
    settings: Mapping[str, Any], models: Mapping[str, Iterable[str]], commit: str = ""
) -> list[Deployment]:
    """The deployments of models, given with the stages that their files know, at a commit.

    Raises FormatError for settings that are not valid, UsageError for two at one address.
    """
    validate({"deployments": dict(settings)}, "gitml", "gitml.yaml")
    found = [
        _deployment(stage, model, told, commit)
        for stage, told in settings.items()
        for model in _models(stage, told, models)
    ]
    _check_apart(found)
    return found


def _models(
    stage: str, told: Mapping[str, Any], models: Mapping[str, Iterable[str]]
) -> Iterator[str]:
    named = told.get("models") or {}
    yield from sorted({*named, *(name for name, stages in models.items() if stage in stages)})


_OWN = ("target", "frozen", "prune", "models")


def _deployment(stage: str, model: str, told: Mapping[str, Any], commit: str) -> Deployment:
    merged = {**told, **((told.get("models") or {}).get(model) or {})}
    options = {key: value for key, value in merged.items() if key not in _OWN}
    return Deployment(
        stage,
        model,
        merged["target"],
        MappingProxyType(options),
        bool(merged.get("frozen")),
        bool(merged.get("prune")),
        commit,
    )


def chosen(
    found: Iterable[Deployment],
    stage: str | None,
    model: str | None,
    stages: Iterable[str] = (),
) -> list[Deployment]:
    """Those of a stage and of a model; all without. UsageError when there are none.

    Of `stages`, those that the settings name, there may be none: no model has come that far yet.
    """
    kept = [
        one for one in found if stage in (None, one.stage) and (model is None or one.model == model)
    ]
    is_named = model is None and stage in set(stages)
    if not kept and (stage or model) and not is_named:
        what = " and ".join(map(shown, filter(None, (model, stage))))
        raise UsageError(f"nothing is deployed for {what}; gitml.yaml names what is: deployments")
    return kept


def _check_apart(found: Iterable[Deployment]) -> None:
    """Refuse two deployments that would take each other's address on this machine."""
    taken: dict[tuple[object, ...], Deployment] = {}
    for one in found:
        if one.target not in ("local", "docker"):
            continue
        port = one.options.get("port") or PORT
        place = (one.options.get("host") or HOST, port)
        if other := taken.get(place):
            raise UsageError(
                f"{WHERE}: {other.name} and {one.name} are both on port {port}; give each one of"
                f" its own: models: {{{one.model}: {{port: ...}}}}"
            )
        taken[place] = one
