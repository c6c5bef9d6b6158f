"""What the user tells the backend: which cluster, which template, which image, which spool.

All of it is the user's. A project brings none of it, whatever files lie in its folder.
Format: schemas/kubernetes-backend.schema.json; the template is a Job of Kubernetes' batch/v1.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gitml.documents import load_yaml, validate_yaml
from gitml.errors import FormatError, UsageError, shown
from gitml.files import shown_path
from gitml.tracking import spool
from gitml.urls import without_user_info

_WHERE = "the configuration of the backend kubernetes"
_REPOSITORY = re.compile(r"[a-z0-9][\w.-]*(?::\d+)?(?:/[a-z0-9][a-z0-9._-]*)*", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Settings:
    """Where a run's Job comes to be: `spool` is a URL, or a folder that is here and in the pod.

    `template` is the Job that is filled in. `repository` is where the image is pushed to, and
    `environment` are the variables of the user's whose values the pod gets. The pod is to start in
    `patience` seconds.
    """

    spool: str
    template: Mapping[str, Any] = field(default_factory=dict)
    context: str | None = None
    namespace: str | None = None
    repository: str | None = None
    environment: tuple[str, ...] = ()
    patience: float | None = None


def read(given: Mapping[str, object]) -> Settings:
    """The settings that the user gave. Raises UsageError and FormatError."""
    if not given:
        raise UsageError(
            "the backend kubernetes is told where to run and to record: --backend-config FILE, with"
            " at least: spool"
        )
    validate_yaml(given, json.dumps(given).encode(), "kubernetes-backend", _WHERE)
    told = {name: str(value) for name, value in given.items() if isinstance(value, str)}
    names, patience = given.get("environment"), given.get("start-timeout")
    template = told.get("kube-job-template-path")
    return Settings(
        _spool(told["spool"]),
        {} if template is None else _template(Path(template).expanduser()),
        told.get("kube-context"),
        told.get("namespace"),
        _repository(told.get("repository-uri")),
        tuple(map(str, names)) if isinstance(names, list | tuple) else (),
        float(patience) if isinstance(patience, int | float) else None,
    )


def _spool(text: str) -> str:
    url = spool.url_of(text)
    if url is None:
        return str(spool.folder_of(text))
    if without_user_info(url) != url:
        raise UsageError(
            "the spool's URL holds a login, which could be read in the Job; give the pod a service"
            " account or a Secret in the template"
        )
    return url


def _repository(text: str | None) -> str | None:
    if text is not None and not _REPOSITORY.fullmatch(text):
        raise UsageError(
            f"the repository-uri {shown(text)} is no repository of a registry, such as"
            " registry.example.org/team/churn; it has no tag"
        )
    return text


def _template(path: Path) -> Mapping[str, Any]:
    """The Job in a file, as far as gitml fills it in; the cluster looks at the rest."""
    where = shown_path(path)
    try:
        data = path.read_bytes()
    except OSError as error:
        raise UsageError(f"can't read kube-job-template-path {where}: {error.strerror}") from None
    found = load_yaml(data, where, aliases=True)
    check(found, where)
    assert isinstance(found, dict)
    return found


def check(document: Any, where: str) -> None:
    """Refuse what is no template of a Job of one pod that runs once. Raises FormatError."""
    job = _part(document, where, "the Job")
    if (job.get("apiVersion"), job.get("kind")) != ("batch/v1", "Job"):
        raise FormatError(f"{where} is no Job: its apiVersion is batch/v1 and its kind is Job")
    _part(job.get("metadata"), where, "metadata")
    spec = _part(job.get("spec"), where, "spec")
    for name in ("parallelism", "completions"):
        if spec.get(name) not in (None, 1):
            raise FormatError(f"{where}: {name} is {shown(spec[name])}; a run is one pod: leave it")
    pod = _part(spec.get("template"), where, "spec.template")
    _part(pod.get("metadata"), where, "spec.template.metadata")
    inner = _part(pod.get("spec"), where, "spec.template.spec")
    if inner.get("restartPolicy") not in (None, "Never"):
        raise FormatError(
            f"{where}: restartPolicy is {shown(inner['restartPolicy'])}, and a run's is Never; to"
            " try again give a backoffLimit"
        )
    containers = inner.get("containers")
    if containers is not None and not (isinstance(containers, list) and containers):
        raise FormatError(f"{where}: spec.template.spec.containers is no list of containers")
    for one in containers or ():
        _part(one, where, "a container")


def _part(value: Any, where: str, name: str) -> Mapping[str, Any]:
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise FormatError(f"{where}: {name} is no mapping but {shown(value)}")
    return value
