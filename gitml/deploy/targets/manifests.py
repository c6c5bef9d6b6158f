"""What Kubernetes is told of a deployment: its Deployment and its Service. Pure.

Formats: Deployment of apps/v1, Service of v1. A user's template is a Deployment, in which all
stays that gitml has nothing to say of.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from gitml.deploy.release import Release
from gitml.deploy.targets import naming
from gitml.deploy.targets.naming import Named
from gitml.errors import FormatError, shown
from gitml.models.images.dockerfile import PORT
from gitml.models.serving.limits import Limits

_CONTAINER, _PORT_NAME = "model", "http"
_LEAVING = 5  # seconds until nothing sends requests to a pod that is to end
_PERIOD = 2  # seconds between looks at a pod that starts


@dataclass(frozen=True, slots=True)
class Shape(Named):
    """How a model stands in a cluster.

    `port` is the Service's. `replicas` is None where something else says how many pods there are.
    A pod may take so many seconds to start (`start_timeout`).
    """

    port: int = 80
    replicas: int | None = None
    start_timeout: float = 600.0
    template: Mapping[str, Any] = field(default_factory=dict)

    @property
    def selector(self) -> str:
        """What its pods are found by."""
        return ",".join(f"{key}={value}" for key, value in self.tags.items())


def service(shape: Shape, namespace: str) -> dict[str, Any]:
    """The Service: where clients find whatever version serves."""
    port = {"name": _PORT_NAME, "port": shape.port, "targetPort": _PORT_NAME, "protocol": "TCP"}
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": _metadata(shape, namespace),
        "spec": {"selector": shape.tags, "ports": [port]},
    }


def deployment(shape: Shape, namespace: str, image: str, release: Release) -> dict[str, Any]:
    """The Deployment of a version: a new pod serves once it has predicted, and none is lacking."""
    made: dict[str, Any] = copy.deepcopy(dict(shape.template))
    made |= {"apiVersion": "apps/v1", "kind": "Deployment"}
    made["metadata"] = _merged(made.get("metadata"), _metadata(shape, namespace))
    spec = _part(made, "spec")
    spec["selector"] = {"matchLabels": shape.tags}
    spec["strategy"] = {
        "type": "RollingUpdate",
        "rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1},
    }
    spec["progressDeadlineSeconds"] = math.ceil(shape.start_timeout)
    spec.setdefault("revisionHistoryLimit", 3)
    if shape.replicas is not None:
        spec["replicas"] = shape.replicas
    pod = _part(spec, "template")
    pod["metadata"] = _merged(
        pod.get("metadata"), {"labels": shape.tags, "annotations": naming.told_of(release)}
    )
    _fill_pod(_part(pod, "spec"), image, shape)
    return made


def restored(wanted: Mapping[str, Any], before: Mapping[str, Any]) -> dict[str, Any]:
    """The Deployment with the pods of a ReplicaSet of it: what served, and is to go on."""
    template = copy.deepcopy(dict(before["spec"]["template"]))
    template["metadata"] = {
        key: {name: it for name, it in value.items() if name != "pod-template-hash"}
        for key, value in template["metadata"].items()
        if key in ("labels", "annotations")
    }
    return {**wanted, "spec": {**wanted["spec"], "template": template}}


def check(document: Any, where: str) -> None:
    """Refuse what is no template of a Deployment, as far as gitml fills it in. FormatError."""
    inner = _mapping(document, where, "the Deployment")
    if (inner.get("apiVersion"), inner.get("kind")) != ("apps/v1", "Deployment"):
        raise FormatError(f"{where} is no Deployment: its apiVersion is apps/v1, its kind that")
    _check_metadata(inner, where, "metadata")
    inner = _mapping(inner.get("spec"), where, "spec")
    inner = _mapping(inner.get("template"), where, "spec.template")
    _check_metadata(inner, where, "spec.template.metadata")
    inner = _mapping(inner.get("spec"), where, "spec.template.spec")
    _listed(inner.get("volumes"), where, "a volume")
    seconds = inner.get("terminationGracePeriodSeconds")
    if seconds is not None and type(seconds) is not int:
        raise FormatError(f"{where}: terminationGracePeriodSeconds is no number of seconds")
    containers = inner.get("containers")
    if containers is not None and not (isinstance(containers, list) and containers):
        raise FormatError(f"{where}: spec.template.spec.containers is no list of containers")
    for one in _listed(containers, where, "a container"):
        _listed(one.get("ports"), where, "a port")
        _listed(one.get("volumeMounts"), where, "a volumeMount")
        for key in ("lifecycle", "securityContext", "readinessProbe", "livenessProbe"):
            _mapping(one.get(key), where, key)


def _listed(value: Any, where: str, name: str) -> list[Mapping[str, Any]]:
    """A list of mappings of which one is called so."""
    if value is not None and not isinstance(value, list):
        raise FormatError(f"{where}: there is no list, {name} each, but {shown(value)}")
    return [_mapping(one, where, name) for one in value or ()]


def _check_metadata(document: Mapping[str, Any], where: str, name: str) -> None:
    inner = _mapping(document.get("metadata"), where, name)
    for key in ("labels", "annotations"):
        _mapping(inner.get(key), where, f"{name}.{key}")


def _mapping(value: Any, where: str, name: str) -> Mapping[str, Any]:
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise FormatError(f"{where}: {name} is no mapping but {shown(value)}")
    return value


def told_by(document: Mapping[str, Any]) -> dict[str, str | None]:
    """Which version a pod, or the template of one, is of: by the fields of `Live`."""
    said = (document.get("metadata") or {}).get("annotations") or {}
    return naming.told_by(said)


def is_owned(document: Mapping[str, Any], shape: Shape) -> bool:
    """Whether a thing of the cluster was made for this deployment."""
    return shape.owns((document.get("metadata") or {}).get("labels"))


def container_of(pod: Mapping[str, Any]) -> str:
    """The name of the container that serves: the first."""
    return str(pod["spec"]["containers"][0]["name"])


# -- the pod -------------------------------------------------------------------------------


def _fill_pod(pod: dict[str, Any], image: str, shape: Shape) -> None:
    pod.setdefault("automountServiceAccountToken", False)
    pod["terminationGracePeriodSeconds"] = max(
        int(pod.get("terminationGracePeriodSeconds") or 0), int(_LEAVING + Limits().farewell + 5)
    )
    pod["containers"] = pod.get("containers") or [{}]
    one = pod["containers"][0]
    one.setdefault("name", _CONTAINER)
    one["image"] = image
    ports = [it for it in one.get("ports") or [] if it.get("name") != _PORT_NAME]
    one["ports"] = [{"name": _PORT_NAME, "containerPort": PORT, "protocol": "TCP"}, *ports]
    # A pod gets requests once it has predicted for the model's own example.
    one["startupProbe"] = {
        **_asked("/ready", _PERIOD, math.ceil(shape.start_timeout / _PERIOD)),
        "timeoutSeconds": 60,
    }
    one["readinessProbe"] = one.get("readinessProbe") or _asked("/ping", 5, 3)
    one["livenessProbe"] = one.get("livenessProbe") or _asked("/ping", 10, 6)
    # Who sends requests learns a little late that a pod ends; until then it goes on to answer.
    leave = {"exec": {"command": ["sleep", str(_LEAVING)]}}
    one["lifecycle"] = {"preStop": leave, **(one.get("lifecycle") or {})}
    one["securityContext"] = {**_CONFINED, **(one.get("securityContext") or {})}
    if not any(it.get("mountPath") == "/tmp" for it in one.get("volumeMounts") or []):
        one["volumeMounts"] = [
            *(one.get("volumeMounts") or []),
            {"name": "tmp", "mountPath": "/tmp"},
        ]
        pod["volumes"] = [*(pod.get("volumes") or []), {"name": "tmp", "emptyDir": {}}]


_CONFINED = {
    "allowPrivilegeEscalation": False,
    "capabilities": {"drop": ["ALL"]},
    "readOnlyRootFilesystem": True,
    "runAsNonRoot": True,
    "seccompProfile": {"type": "RuntimeDefault"},
}


def _asked(path: str, period: int, failures: int) -> dict[str, Any]:
    asked = {"path": path, "port": _PORT_NAME, "scheme": "HTTP"}
    return {
        "httpGet": asked,
        "periodSeconds": period,
        "failureThreshold": failures,
        "timeoutSeconds": 5,
    }


def _metadata(shape: Shape, namespace: str) -> dict[str, Any]:
    known = {"app.kubernetes.io/name": shape.name, "app.kubernetes.io/managed-by": "gitml"}
    return {"name": shape.name, "namespace": namespace, "labels": {**known, **shape.tags}}


def _merged(given: Any, own: Mapping[str, Any]) -> dict[str, Any]:
    """Metadata of a template with gitml's, which come before."""
    found: dict[str, Any] = dict(given or {})
    for key, value in own.items():
        found[key] = {**(found.get(key) or {}), **value} if isinstance(value, dict) else value
    return found


def _part(document: dict[str, Any], key: str) -> dict[str, Any]:
    """The mapping at a key, which is there from now on."""
    document[key] = document.get(key) or {}
    return document[key]  # type: ignore[no-any-return]
