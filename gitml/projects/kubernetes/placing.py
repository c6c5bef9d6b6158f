"""What of a run in a cluster is settled before it starts: the image, the variables, the place."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from gitml.clusters import Cluster, connect
from gitml.errors import UsageError, shown
from gitml.projects.image import Wish
from gitml.projects.kubernetes import image, settings
from gitml.projects.kubernetes.settings import Settings
from gitml.projects.mlproject import DockerEnv, EntryPoint, Project
from gitml.projects.parameters import Parameter, is_uri, text
from gitml.projects.runtime import Runtime, Tell
from gitml.tracking import environment as machine
from gitml.tracking import system_tags
from gitml.tracking.redact import is_secret_name

KUBERNETES = "kubernetes"


@dataclass(frozen=True, slots=True)
class Placement:
    """A Job to be: its cluster and namespace, the image, and the variables that it gets.

    `called` is the image as the project calls it. `secrets` are values that must not be recorded.
    """

    cluster: Cluster
    namespace: str
    settings: Settings
    image: str
    called: str
    variables: Mapping[str, str]
    secrets: tuple[str, ...] = ()

    @property
    def tags(self) -> dict[str, str]:
        """What the run's tags say of it."""
        return {
            system_tags.DOCKER_IMAGE_URI: self.called,
            system_tags.DOCKER_IMAGE_ID: self.image,
            "gitml.kubernetes.namespace": self.namespace,
        }


def prepare(
    project: Project, given: Mapping[str, object], wish: Wish, tell: Tell | None
) -> tuple[Placement, Runtime]:
    """Settle where a project's Job runs and what it gets; and what the record says of it.

    Raises UsageError, FormatError, `BuildError` and `EngineError`; the cluster was asked nothing.
    """
    told = settings.read(given)
    variables = _variables(project, told)
    if wish.as_it_is:
        ready = image.as_it_is(project)
    elif told.repository is None:
        raise UsageError(
            "the backend kubernetes is not told where to push the project's image: repository-uri;"
            " or run the image that the project names as it is: --skip-image-build"
        )
    else:
        ready = image.pushed(project, told.repository, told.spool, wish, tell)
    cluster = connect(told.context)
    namespace = told.namespace or _of_template(told.template) or cluster.namespace
    if tell is not None and _volumes(project):
        tell("The project's volumes are left out: in a cluster they are those of the template")
    secrets = tuple(value for name, value in variables.items() if is_secret_name(name))
    placed = Placement(cluster, namespace, told, ready.reference, ready.called, variables, secrets)
    here = replace(machine.environment(), python=ready.python)
    return placed, Runtime(KUBERNETES, {}, here, ready.packages)


def _of_template(template: Mapping[str, object]) -> str | None:
    metadata = template.get("metadata")
    found = metadata.get("namespace") if isinstance(metadata, dict) else None
    return None if found is None else str(found)


def _volumes(project: Project) -> tuple[str, ...]:
    return project.environment.volumes if isinstance(project.environment, DockerEnv) else ()


# -- variables -----------------------------------------------------------------------------


def _variables(project: Project, told: Settings) -> dict[str, str]:
    """The project's variables, and those of the caller's that he names himself.

    What the project wants of the caller must come from the template, a Secret as a rule: it is not
    for a project to say what of the caller's environment can be read in a cluster.
    """
    named = project.environment.environment if isinstance(project.environment, DockerEnv) else ()
    there = set(_of_container(told.template))
    for name, value in named:
        if value is None and not there & {name, None} and name not in told.environment:
            raise UsageError(
                f"the project takes the variable {name} from you, which a pod does not have; put it"
                " into the env of the template, from a Secret, or name it under environment in the"
                " backend's configuration"
            )
    missing = [name for name in told.environment if name not in os.environ]
    if missing:
        raise UsageError(f"the pod is to get the variable {missing[0]}, and it is not set; set it")
    own = {name: value for name, value in named if value is not None}
    return {**own, **{name: os.environ[name] for name in told.environment}}


def _of_container(template: Mapping[str, object]) -> Iterator[str | None]:
    """The names of the variables in a template; None where some come from elsewhere."""
    inner: object = template
    for key in ("spec", "template", "spec"):
        inner = (inner.get(key) or {}) if isinstance(inner, dict) else {}
    containers = inner.get("containers") if isinstance(inner, dict) else None
    for one in (containers or ())[:1]:
        for variable in one.get("env") or ():
            if isinstance(variable, dict):
                yield str(variable.get("name"))
        if one.get("envFrom"):
            yield None


# -- what a pod sees of the data that parameters name --------------------------------------


def parameters_of(entry: EntryPoint, given: Mapping[str, object], folder: Path) -> EntryPoint:
    """The entry point whose paths are those of the pod: in the project, or absolute ones there.

    Nothing of this machine is sent there. Raises UsageError for what would have to be.
    """
    for parameter in entry.parameters:
        value = given.get(parameter.name, parameter.default)
        if parameter.type in ("path", "uri") and value is not None:
            _check(parameter, text(value), folder)
    return replace(entry, parameters=tuple(map(_as_text, entry.parameters)))


def _as_text(parameter: Parameter) -> Parameter:
    return replace(parameter, type="string") if parameter.type in ("path", "uri") else parameter


def _check(parameter: Parameter, value: str, folder: Path) -> None:
    if is_uri(value):
        if parameter.type == "uri":
            return
        raise UsageError(
            f"the parameter {shown(parameter.name)} names {shown(value)}, which is not fetched for"
            " a pod; have the script read it (type uri), or give the path of a volume there"
        )
    path = PurePosixPath(value)
    if path.is_absolute():
        return
    if ".." in path.parts or not (folder / path).exists():
        raise UsageError(
            f"the parameter {shown(parameter.name)}: there is no {shown(value)} in the project,"
            " which is what a pod has; an absolute path is one of the pod, of a volume, say"
        )
