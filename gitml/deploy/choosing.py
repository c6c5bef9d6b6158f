"""What does the work of a deployment: the target that it names, with what it says of it."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any, cast

from gitml import git
from gitml.clusters import context_of
from gitml.deploy import code, image, permission, probe, trial
from gitml.deploy.deployments import HOST, PORT, Deployment
from gitml.deploy.release import Release, Tell
from gitml.deploy.targets import Target, azureml, manifests, naming, sagemaker
from gitml.deploy.targets.command import Command, Programs
from gitml.deploy.targets.docker import Docker
from gitml.deploy.targets.gitops import GitOps, Watched
from gitml.deploy.targets.kubernetes import Kubernetes
from gitml.deploy.targets.local import Local
from gitml.documents import load_yaml
from gitml.environments import Manager
from gitml.errors import UsageError, shown
from gitml.tracking.place import Place


def folder(place: Place, one: Deployment) -> Path:
    """Where the files of a deployment are on this machine."""
    return place.home / "deployments" / one.stage / one.model


def target(place: Place, one: Deployment) -> Target:
    """What does the work. Raises UsageError or FormatError where a file that it names lacks."""
    return _TARGETS[one.target](place, one)


def _local(place: Place, one: Deployment) -> Target:
    return Local(folder(place, one) / "keeper", *_address(one), _manager(one))


def _docker(place: Place, one: Deployment) -> Target:
    name = f"gitml-{_short(place)}-{one.stage}-{one.model}"
    return Docker(name, *_address(one), one.options.get("network"))


def _address(one: Deployment) -> tuple[str, int]:
    return str(one.options.get("host") or HOST), int(one.options.get("port") or PORT)


def _manager(one: Deployment) -> Manager:
    return cast(Manager, one.options.get("env_manager") or "uv")


def _trying(place: Place, one: Deployment) -> Callable[[Release, Tell], None]:
    """What tries a version on this machine."""
    return lambda release, tell: trial.try_out(release, _manager(one), folder(place, one), tell)


def _kubernetes(place: Place, one: Deployment) -> Target:
    told = one.options
    if told.get("mode") == "gitops":
        return _gitops(place, one)
    registry, context = str(told["registry"]), told.get("context")
    namespace = told.get("namespace")
    shape = manifests.Shape(
        naming.name_of(one.model, one.stage),
        _short(place),
        template=_template(place, one, told.get("manifest")),
        **_given(told, port=int, replicas=int, start_timeout=float),
    )
    where = (namespace or "-", registry)
    return Kubernetes(
        shape,
        _publishing(told),
        lambda: permission.check(place, "kubernetes", context_of(context), *where),
        context,
        namespace,
    )


def _gitops(place: Place, one: Deployment) -> Target:
    told = one.options
    registry, url = str(told["registry"]), str(told.get("repository") or _origin(place))
    watched = Watched(url, str(told["file"]), registry, told.get("branch"))
    address = probe.address_of(str(told["url"]))
    leads = (permission.named(place, url), registry, address.url)
    return GitOps(
        f"{one.stage}/{one.model}",
        watched,
        address,
        _publishing(told, proven=True),
        lambda: permission.check(place, "gitops", *leads),
    )


def _origin(place: Place) -> str:
    """The URL of the repository itself, for a clone of it elsewhere."""
    own = git.settings(place.repo).get("remote.origin.url")
    if own is None:
        raise UsageError("there is no remote origin to propose a change at; name a repository")
    there = git.folder_of(place.repo, own)
    return own if there is None else os.path.abspath(there)


def _publishing(told: Mapping[str, Any], *, proven: bool = False) -> Callable[[Release, Tell], str]:
    wish = image.Wish(str(told["registry"]), told.get("network"), told.get("platform"))
    return lambda release, tell: image.publish(release, wish, tell, proven=proven)


def _command(place: Place, one: Deployment) -> Target:
    told = one.options
    return Command(
        (one.stage, one.model),
        Programs(tuple(told["deploy"]), **_given(told, remove=tuple, timeout=float)),
        probe.address_of(str(told.get("url") or told["health"])),
        not told.get("url"),
        folder(place, one),
        lambda: code.checked_out(place, one.commit),
        lambda: permission.check(place, "command"),
        _trying(place, one),
    )


def _sagemaker(place: Place, one: Deployment) -> Target:
    told = one.options
    registry = str(told["registry"])
    endpoint = sagemaker.Endpoint(
        naming.name_of(one.model, one.stage),
        _short(place),
        str(told["role"]),
        **_given(told, region=str, instance_type=str, instances=int, start_timeout=float),
    )
    where = (endpoint.region or "-", endpoint.role, registry, *_machines(endpoint))
    wish = image.Wish(registry, told.get("network"), "linux/amd64", any_words=True)
    return sagemaker.SageMaker(
        endpoint,
        lambda release, tell: image.publish(release, wish, tell, proven=True),
        lambda: permission.check(place, "sagemaker", *where),
        sagemaker.connect,
    )


def _azureml(place: Place, one: Deployment) -> Target:
    told = one.options
    where = [str(told[key]) for key in ("subscription", "resource_group", "workspace")]
    owner = _short(place)
    name = f"{naming.name_of(one.model, one.stage, 23)}-{owner}"  # no other in the region has it
    endpoint = azureml.Endpoint(name, owner, **_given(told, instance_type=str, instances=int))
    return azureml.AzureML(
        endpoint,
        _trying(place, one),
        lambda: permission.check(place, "azureml", *where, *_machines(endpoint)),
        lambda: azureml.connect(*where),
    )


def _machines(endpoint: sagemaker.Endpoint | azureml.Endpoint) -> tuple[str, str]:
    """What is paid for, as a permission names it."""
    return endpoint.instance_type, str(endpoint.instances)


def _given(told: Mapping[str, Any], **kinds: Callable[[Any], Any]) -> dict[str, Any]:
    """The options that gitml.yaml gives; each of the others is what its field is by default."""
    return {key: kind(told[key]) for key, kind in kinds.items() if told.get(key) is not None}


def _template(place: Place, one: Deployment, path: str | None) -> Mapping[str, Any]:
    """The Deployment in a file of the main branch, from which gitml's is made."""
    if path is None:
        return {}
    (data,) = git.read_present(place.repo, [f"{one.commit}:{path}"])
    if data is None:
        raise UsageError(f"there is no {shown(path)} on the main branch; {one.name} is made of it")
    found = load_yaml(data, path)
    manifests.check(found, path)
    return cast(Mapping[str, Any], found)


def _short(place: Place) -> str:
    """What tells a repository's things from those of others; the same in all its clones."""
    own = git.settings(place.repo).get("remote.origin.url") or str(place.repo.common_dir)
    return sha256(own.encode()).hexdigest()[:8]


_TARGETS: Mapping[str, Callable[[Place, Deployment], Target]] = {
    "local": _local,
    "docker": _docker,
    "kubernetes": _kubernetes,
    "command": _command,
    "sagemaker": _sagemaker,
    "azureml": _azureml,
}
