"""What of a job on a Ray cluster is settled before a run starts: its Python, and the spool."""

from __future__ import annotations

import json
import secrets
import shutil
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gitml import environments
from gitml.containers.python import check_not_local
from gitml.documents import load_json
from gitml.environments import BuildError, Spec, counterparts, pythons, wheel
from gitml.environments.requirements import without_user
from gitml.environments.spec import is_version, minor
from gitml.errors import FormatError, UsageError, shown
from gitml.projects.confinement import Mount
from gitml.projects.mlproject import DockerEnv, Project
from gitml.projects.ray import answer, cargo
from gitml.projects.ray.client import Client, ClusterError, State
from gitml.projects.ray.settings import Settings
from gitml.projects.runtime import Runtime, Tell
from gitml.storage import Bucket
from gitml.tracking.place import Place
from gitml.tracking.record import Environment
from gitml.tracking.spool import Spool

RAY = "ray"
FOLDER = "ray"  # in gitml's folder of the repository: the spools of clusters on this machine
_PAUSE = 0.5  # seconds between two looks at a job
_SLOW = 10.0  # seconds without a start, after which it is said what the job waits for
_PATIENCE = 1800.0  # seconds that building a Python there may take
_STORES = {  # what reaches the store of a spool's URL
    "s3": "s3fs", "gs": "gcsfs", "gcs": "gcsfs", "az": "adlfs", "abfs": "adlfs", "abfss": "adlfs",
    "ssh": "sshfs", "sftp": "sshfs",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Cluster:
    """A cluster, and what every job of a project has there.

    `runtime_env` is Ray's, without what is packed for one run. `mounts` are files and folders of
    this machine that go with the project, each to its `target` in it.
    """

    settings: Settings
    runtime_env: Mapping[str, Any]
    mounts: tuple[Mount, ...] = ()
    secrets: tuple[str, ...] = ()
    tags: Mapping[str, str] = field(default_factory=dict)

    def spool(self, place: Place, name: str) -> Spool:
        """A spool below the one that is named, else below the repository's own folder."""
        return self.settings.spool_of(name) or Spool(place.home / FOLDER / name / "spool")


def prepare(
    project: Project,
    manager: str | None,
    config: Mapping[str, Any],
    place: Place,
    mounts: tuple[Mount, ...],
    tell: Tell | None,
) -> tuple[Cluster, Runtime]:
    """Settle what a job has, and have the cluster say what that is, for the record.

    So it is known, before a run starts, that the cluster answers, that the packages can be had, and
    that what is recorded there is seen here. Raises UsageError, `BuildError` and `ClusterError`.
    """
    from gitml.projects.ray import settings

    told = settings.read(config)
    spec = _spec(project, manager, told, tell)
    environment = dict(told.runtime_env) if spec is None else _environment(spec, told)
    cluster = Cluster(told, environment, mounts)
    found = _answer(cluster, place.to_write(), tell)
    machine, packages = Environment(**found["machine"]), tuple(found["packages"])
    if spec is not None:
        _check_python(spec, machine.python)
    return cluster, Runtime("local" if spec is None else "uv", {}, machine, packages)


# -- the Python of a job ---------------------------------------------------------------------


def _spec(project: Project, manager: str | None, told: Settings, tell: Tell | None) -> Spec | None:
    """What is installed for a project; None for the cluster's Python as it is."""
    if manager not in (None, "local", "uv", "virtualenv"):
        raise UsageError(f"on a Ray cluster there is no {shown(manager)}; use uv, or local")
    if manager == "local" or (manager is None and project.environment is None):
        return None
    if isinstance(project.environment, DockerEnv):
        raise UsageError(
            f"the project names the image {shown(project.environment.image)}, and the nodes of a"
            " Ray cluster have their own; --env-manager local runs it with what they have"
        )
    if project.environment is None:
        raise UsageError("the project names no environment for uv; use --env-manager local")
    if told.builds:
        raise UsageError(
            "both the project and the backend's configuration say which packages there are; use"
            " --env-manager local, or take them out of runtime_env"
        )
    spec = environments.read_spec(project.environment, allow_code=True, root=project.folder)
    return _checked(counterparts.on_pypi(spec, tell))


def _checked(spec: Spec) -> Spec:
    """A spec that a cluster can install."""
    check_not_local(spec)
    if not wheel.is_wanted(spec):
        raise UsageError(f"{spec.source} asks for another gitml than {wheel.release('whole')}")
    if spec.constraints:
        raise UsageError(
            f"{spec.source}: a Ray cluster takes no constraints; write them as requirements"
        )
    if secret := next((it for it in spec.indexes() if without_user(it) != it), None):
        raise UsageError(
            f"{spec.source}: {shown(without_user(secret))} holds a password, which all who see the"
            " cluster could read; set UV_INDEX_URL on its nodes"
        )
    return wheel.without(spec)


def _environment(spec: Spec, told: Settings) -> dict[str, Any]:
    """The runtime environment with the packages of a spec, and those that recording needs."""
    store = _STORES.get((told.spool or "").partition("://")[0].lower())
    needed = (*spec.requirements, *wheel.RECORDING, *([store] if store else []))
    options = ["=".join(line.split(" ", 1)) for line in spec.indexes()]
    uv = {"packages": list(needed), **({"uv_pip_install_options": options} if options else {})}
    return {**told.runtime_env, "uv": uv}


def _check_python(spec: Spec, found: str) -> None:
    """Refuse a Python that is not the one which is asked for; the last number may differ."""
    wanted = minor(spec.python) if spec.python and is_version(spec.python) else spec.python
    if wanted and pythons.choose(wanted, [pythons.Python(found, Path())]) is None:
        raise UsageError(
            f"{spec.source} asks for Python {spec.python}, and the cluster has {found}; use"
            " another cluster, or --env-manager local"
        )


# -- what the cluster says of itself ---------------------------------------------------------

_answers: dict[str, Mapping[str, Any]] = {}


def _answer(cluster: Cluster, place: Place, tell: Tell | None) -> Mapping[str, Any]:
    """What a job has there; each cluster and environment is asked once in a process."""
    told = cluster.settings
    key = json.dumps([told.address, told.spool, cluster.runtime_env])
    if key not in _answers:
        if tell is not None:
            tell(f"Asking the Ray cluster at {told.shown} what it has")
        _answers[key] = _asked(cluster, place, tell)
    return _answers[key]


def _asked(cluster: Cluster, place: Place, tell: Tell | None) -> Mapping[str, Any]:
    client, token = Client(cluster.settings), secrets.token_hex(8)
    with _place(cluster.spool(place, f"asked-{token}")) as spool:
        id = f"gitml-asked-{token}"
        with tempfile.TemporaryDirectory() as folder:
            package = cargo.gitml(Path(folder))
            told = {"GITML_SPOOL": str(spool.url or spool.home)}
            environment = with_variables(cluster.runtime_env, told)
            environment["py_modules"] = [str(package)]
            entry = "exec python -m gitml.projects.ray.answer"
            client.submit(id, entry, environment, cluster.settings.entrypoint, {})
        try:
            state = _ended(client, id, tell)
        except BaseException:
            client.stop(id)
            raise
        if state.status != "SUCCEEDED":
            raise _problem(client, id, state, cluster)
        client.forget(id)
        data = _read(spool)
    if data is None:
        raise UsageError(
            f"what the cluster at {cluster.settings.shown} writes into the spool {spool} is not"
            " there for this machine; name one that both share, such as a bucket"
        )
    try:
        found: Mapping[str, Any] = load_json(data, "the cluster's answer")
    except FormatError as error:
        raise ClusterError(str(error)) from None
    return found


def with_variables(environment: Mapping[str, Any], told: Mapping[str, str]) -> dict[str, Any]:
    """A runtime environment with more variables, which come before those that it has."""
    return {**environment, "env_vars": {**environment.get("env_vars", {}), **told}}


@contextmanager
def _place(spool: Spool) -> Iterator[Spool]:
    """A spool for one answer; what is in it goes."""
    if spool.url is None:
        try:
            spool.home.mkdir(parents=True)
        except OSError as error:
            raise UsageError(f"can't write to the spool {spool}: {error.strerror}") from None
    try:
        yield spool
    finally:
        if spool.url is None:
            shutil.rmtree(spool.home, ignore_errors=True)
            with suppress(OSError):  # it is the user's own folder, and others are in it
                spool.home.parent.rmdir()
        else:
            Bucket(spool.url).remove([answer.FILE])


def _read(spool: Spool) -> bytes | None:
    if spool.url is not None:
        return Bucket(spool.url).read_or_none(answer.FILE)
    path = spool.home / answer.FILE
    return path.read_bytes() if path.is_file() else None


def _ended(client: Client, id: str, tell: Tell | None) -> State:
    """Wait for the end of a job; what it waits for is told once."""
    began, is_told = time.monotonic(), False
    while not (state := client.state(id)).is_over:
        waited = time.monotonic() - began
        if waited > _PATIENCE:
            raise ClusterError(f"the cluster's job {id} does not come to its end: {state.message}")
        if state.status == "PENDING" and waited > _SLOW and not is_told and tell is not None:
            tell(f"The cluster says: {state.message}")
            is_told = True
        time.sleep(_PAUSE)
    return state


def _problem(client: Client, id: str, state: State, cluster: Cluster) -> Exception:
    """Why a cluster did not answer, from the last that its job said."""
    said = client.log(id).strip().splitlines() if state.code is not None else []
    why = said[-1] if said else state.message
    where = f"the Ray cluster at {cluster.settings.shown}"
    if state.code is None and "uv" in cluster.runtime_env:
        return BuildError(f"{where} can't install what the project asks for: {why[-600:]}")
    if "No module named" in why:
        return UsageError(
            f"the Python of {where} lacks what gitml needs to record ({why}); install it there:"
            f" pip install {' '.join(name.partition('>')[0] for name in wheel.RECORDING)}"
        )
    return ClusterError(f"a job of {where} does not run: {why[-600:]}")
