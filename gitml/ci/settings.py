"""What the workflows of a project depend on: the key `ci` of gitml.yaml, its stages, its branch.

Format of the key: schemas/gitml.schema.json.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

from gitml import config, git
from gitml.documents import validate
from gitml.errors import UsageError, shown
from gitml.registry import files, policy
from gitml.registry.gates import Evaluate, Gate, Named
from gitml.registry.tags import is_model_name
from gitml.tracking import agreed
from gitml.tracking.place import Place
from gitml.version import __version__

_NONE: Mapping[str, tuple[str, ...]] = MappingProxyType({})
_CODE_OWNERS = tuple(
    f"{folder}CODEOWNERS" for folder in (".github/", ".gitlab/", "", "docs/")
)  # where forges look
_PLAIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/-]*")


@dataclass(frozen=True, slots=True)
class Settings:
    """The main branch's short name, the policy's stages, and the key `ci` as it was written.

    `deployed` are the stages for which gitml.yaml names a deployment. `models` are the registered
    models with their owners, `code_owners` the paths where the repository has a CODEOWNERS file.
    `measures` says that a gate asks for what CI has measured itself, and `on_machine` are the
    stages that are served by the machine on which their job runs.
    """

    branch: str
    stages: tuple[str, ...]
    told: Mapping[str, Any]
    deployed: tuple[str, ...] = ()
    models: Mapping[str, tuple[str, ...]] = field(default_factory=lambda: _NONE)
    code_owners: tuple[str, ...] = ()
    measures: bool = False
    on_machine: tuple[str, ...] = ()

    @property
    def owners(self) -> tuple[str, ...]:
        """Who owns the policy, as the forge names people; nobody where it is not said."""
        return tuple(self.told.get("owners") or ())

    @property
    def train(self) -> Mapping[str, Any]:
        """What is said of training."""
        return self.told.get("train") or {}

    @property
    def evaluate(self) -> Mapping[str, Any]:
        """What is said of evaluating."""
        return self.told.get("evaluate") or {}

    @property
    def source(self) -> str | None:
        """What is said of where jobs get gitml; None where that is left to a package index."""
        named: str | None = self.told.get("gitml")
        return named

    def requirement(self, *extras: str) -> str:
        """What jobs install, with extras beside those that the project asks for."""
        named = self.source or f"gitml=={__version__}"
        wanted = sorted({*extras, *(self.told.get("extras") or ())})
        found = re.fullmatch(r"\s*gitml\s*(.*)", named)
        if found is None or not wanted or found[1].startswith("["):
            return named
        return f"gitml[{','.join(wanted)}]{' ' if found[1].startswith('@') else ''}{found[1]}"

    @property
    def image(self) -> str | None:
        """The container image in which jobs run, at a forge whose jobs run in one."""
        return self.told.get("image")

    def runner(self, job: str) -> str | list[str] | None:
        """Where a kind of job runs: `default`, `train` or `deploy`; None where any will do."""
        runners: Mapping[str, str | list[str] | None] = self.told.get("runners") or {}
        return runners.get(job) or runners.get("default")


def read(place: Place) -> Settings:
    """The settings of a repository, as they are in its work tree.

    Raises FormatError for a file that can't be read, UsageError for a branch with a name that would
    be a pattern in a workflow.
    """
    root = top(place)
    found = config.load(root)
    told = found.ci
    written = {"ci": dict(told), "deployments": dict(found.deployments)}
    validate(written, "gitml", config.FILE_NAME)  # what stands in a workflow is a name, and no more
    file = root / policy.FILE_NAME
    rules = policy.parse(file.read_bytes()) if file.is_file() else policy.Policy()
    known = {it.stem: files.parse(it.read_bytes(), it.name) for it in _models(root)}
    return Settings(
        branch=_plain(told.get("branch") or _main(place)),
        stages=rules.stages,
        told=told,
        deployed=tuple(found.deployments),
        on_machine=tuple(stage for stage, it in found.deployments.items() if _is_on_machine(it)),
        models={name: found.owners for name, found in known.items()},
        code_owners=tuple(path for path in _CODE_OWNERS if (root / path).is_file()),
        measures=any(map(_measures, (rules.gates, *(it.gates for it in known.values())))),
    )


def _is_on_machine(deployment: Mapping[str, Any]) -> bool:
    """Whether any model is served by the machine on which the job runs."""
    models = (deployment.get("models") or {}).values()
    return any((it or {}).get("target") in ("local", "docker") for it in (deployment, *models))


def _measures(gates: Mapping[str, tuple[Gate, ...]]) -> bool:
    every = (gate for some in gates.values() for gate in some)
    return any(
        isinstance(gate, Evaluate) or (isinstance(gate, Named) and gate.runs_again)
        for gate in every
    )


def _models(root: Path) -> list[Path]:
    """The files of models; another one's name could be more than a path in CODEOWNERS."""
    found = (root / files.FOLDER).glob("*.yaml")
    return sorted(it for it in found if is_model_name(it.stem))


def proposal(place: Place) -> Mapping[str, Any]:
    """What is to be proposed of what CI trains; UsageError when gitml.yaml says nothing of it."""
    told = read(place).train.get("propose")
    if not told:
        raise UsageError("gitml.yaml does not say what is proposed: ci, train, propose")
    return dict(told)


def top(place: Place) -> Path:
    """The top of the work tree; UsageError where there is none."""
    if place.repo.root is None:
        raise UsageError("this is a bare repository; write its workflows in a clone")
    return place.repo.root


def _main(place: Place) -> str:
    """The main branch's short name; `main` where none is to be seen."""
    found = agreed.default_branch(place)
    if found is None:
        return "main"
    ref = git.attempt(place.repo, "symbolic-ref", "--quiet", found.ref).stdout.decode().strip()
    return re.sub(r"refs/(?:heads|remotes/[^/]+)/", "", ref or found.ref)


def _plain(branch: str) -> str:
    if not _PLAIN.fullmatch(branch):
        raise UsageError(
            f"the main branch {shown(branch)} has a name that workflows take for a pattern; name"
            " another: branch, below ci in gitml.yaml"
        )
    return branch
