"""The target `azureml`: a managed online endpoint of Azure Machine Learning.

The model goes there as it is, in MLflow's format, and Azure builds what serves it. A version is a
deployment of its own behind the endpoint: it gets no requests until it has predicted for the
model's own example there, and only then the one before goes.
"""

from __future__ import annotations

import contextlib
import json
import sys
import tempfile
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gitml.deploy.errors import DeployError, line
from gitml.deploy.probe import Live
from gitml.deploy.release import Release, Tell
from gitml.deploy.targets import naming
from gitml.deploy.targets.naming import Named
from gitml.errors import UsageError, shown

_TAIL = 40  # lines of a log
_REFUSED = "it does not predict for the model's own example"
_ALL = 100  # percent of the requests
_INSTEAD = {"inputs": "input_data", "instances": "input_data"}


@dataclass(frozen=True, slots=True)
class Endpoint(Named):
    """An endpoint, and the machines behind each of its deployments."""

    instance_type: str = "Standard_DS3_v2"
    instances: int = 1


@dataclass(frozen=True, slots=True)
class AzureML:
    """A deployment in a workspace of the user's.

    `check` raises UsageError where he has not allowed it. `prove` raises DeployError for a version
    that can't predict here. `connect` makes a client of the workspace.
    """

    endpoint: Endpoint
    prove: Callable[[Release, Tell], None]
    check: Callable[[], None]
    connect: Callable[[], Any]

    def live(self) -> Live:
        """What runs: the deployment that gets all requests."""
        client = self._client()
        with _told():
            found = self._found(client)
            if found is None:
                return Live(why="there is no endpoint")
            if not self._is_own(found):
                return Live(is_there=True, why=f"the endpoint {self.endpoint.name} is not gitml's")
            name = _serving(found)
            if name is None:
                return Live(True, True, why="none of its deployments gets all requests")
            one = client.online_deployments.get(name, self.endpoint.name)
        state = _state(one)
        is_well = state in ("succeeded", "updating")
        names = naming.told_by(one.tags or {})
        return Live(True, True, is_well, **names, why="" if is_well else f"it is {line(state)}")

    def deploy(self, release: Release, tell: Tell) -> str:
        """Serve a version instead of another one, which goes on on a DeployError."""
        client = self._client()
        with _told():
            found = self._found(client)
        self._check_own(found)
        self.prove(release, tell)
        name = f"m{release.digest.rpartition(':')[2][:8]}-{uuid.uuid4().hex[:8]}"
        tell(f"starting {release.name} {release.version} on {self.endpoint.instance_type}")
        with _told():
            found = found or self._made(client)
            before = _serving(found)
        try:
            with _told():
                self._start(client, name, release)
                self._ask(client, name, release)
                found.traffic = {name: _ALL}
                client.online_endpoints.begin_create_or_update(found).result()
        except DeployError as error:
            raise DeployError(str(error), self._undone(client, name, before)) from None
        self._forget_others(client, name)
        return ""

    def remove(self) -> None:
        """Serve nothing any more."""
        client = self._client()
        with _told():
            found = self._found(client)
            self._check_own(found)
            if found is not None:
                client.online_endpoints.begin_delete(self.endpoint.name).result()

    # -- what Azure is told ----------------------------------------------------------------

    def _client(self) -> Any:
        self.check()
        with _told():
            return self.connect()

    def _made(self, client: Any) -> Any:
        """The endpoint, new, and with nothing behind it."""
        from azure.ai.ml.entities import ManagedOnlineEndpoint

        made = ManagedOnlineEndpoint(
            name=self.endpoint.name, auth_mode="key", tags=dict(self.endpoint.tags)
        )
        client.online_endpoints.begin_create_or_update(made).result()
        return client.online_endpoints.get(self.endpoint.name)

    def _model(self, client: Any, release: Release) -> Any:
        """The model in the workspace: the one that is there, or one that is still to be sent."""
        from azure.ai.ml.entities import Model
        from azure.core.exceptions import ResourceNotFoundError

        name, key = self.endpoint.name, release.digest.rpartition(":")[2][:20]
        told = naming.told_of(release)
        with contextlib.suppress(ResourceNotFoundError):
            if (client.models.get(name, version=key).tags or {}) == told:
                return f"azureml:{name}:{key}"
        return Model(
            name=name, version=key, type="mlflow_model", path=str(release.folder), tags=told
        )

    def _start(self, client: Any, name: str, release: Release) -> None:
        """A deployment of the version, which gets no requests yet."""
        from azure.ai.ml.entities import ManagedOnlineDeployment

        made = ManagedOnlineDeployment(
            name=name,
            endpoint_name=self.endpoint.name,
            model=self._model(client, release),
            instance_type=self.endpoint.instance_type,
            instance_count=self.endpoint.instances,
            tags={**self.endpoint.tags, **naming.told_of(release)},
        )
        done = client.online_deployments.begin_create_or_update(made).result()
        if (state := _state(done)) != "succeeded":
            raise DeployError(f"Azure does not serve it: it is {line(state)}")

    def _ask(self, client: Any, name: str, release: Release) -> None:
        """Have a deployment predict for the model's own example. Raises DeployError."""
        if not release.request:
            return
        with tempfile.TemporaryDirectory(prefix="gitml-request-") as folder:
            file = Path(folder, "request.json")
            file.write_text(json.dumps(converted(json.loads(release.request))), encoding="utf-8")
            try:
                with _told():
                    client.online_endpoints.invoke(
                        self.endpoint.name, deployment_name=name, request_file=str(file)
                    )
            except DeployError as error:
                raise DeployError(f"{_REFUSED}: {error}") from None
            except (AttributeError, TypeError):  # of the library, which expects another document
                raise DeployError(_REFUSED) from None

    def _undone(self, client: Any, name: str, before: str | None) -> tuple[str, ...]:
        """Leave nothing of a deployment that does not serve; the end of its log."""
        log: tuple[str, ...] = ()
        with contextlib.suppress(DeployError), _told():
            said = client.online_deployments.get_logs(name, self.endpoint.name, lines=_TAIL)
            log = tuple(str(said).splitlines()[-_TAIL:])
        with contextlib.suppress(DeployError), _told():
            found = client.online_endpoints.get(self.endpoint.name)
            if (found.traffic or {}).get(name):
                found.traffic = {before: _ALL} if before else {}
                client.online_endpoints.begin_create_or_update(found).result()
        with contextlib.suppress(DeployError), _told():
            if before is None:
                client.online_endpoints.begin_delete(self.endpoint.name).result()
            else:
                client.online_deployments.begin_delete(name, self.endpoint.name).result()
        return log

    def _forget_others(self, client: Any, name: str) -> None:
        """Delete the deployments that were there before, also those of tries that were killed."""
        with contextlib.suppress(DeployError), _told():
            for one in client.online_deployments.list(self.endpoint.name):
                if one.name != name and self.endpoint.owns(one.tags):
                    client.online_deployments.begin_delete(one.name, self.endpoint.name).result()

    # -- what Azure tells ------------------------------------------------------------------

    def _found(self, client: Any) -> Any:
        """The endpoint; None when there is none."""
        from azure.core.exceptions import ResourceNotFoundError

        try:
            return client.online_endpoints.get(self.endpoint.name)
        except ResourceNotFoundError:
            return None

    def _is_own(self, found: Any) -> bool:
        return self.endpoint.owns(found.tags)

    def _check_own(self, found: Any) -> None:
        """Refuse to touch what somebody else has made."""
        if found is not None and not self._is_own(found):
            raise UsageError(
                f"the endpoint {shown(self.endpoint.name)} is not of this deployment; delete it, or"
                " take another workspace"
            )


def _state(one: Any) -> str:
    """The state of a deployment, in lower case; the library has text or an enumeration for it."""
    told = one.provisioning_state
    return str(getattr(told, "value", told)).lower()


def _serving(found: Any) -> str | None:
    """The name of the deployment that gets all requests of an endpoint."""
    chosen = [name for name, share in (found.traffic or {}).items() if int(share) == _ALL]
    return str(chosen[0]) if chosen else None


def converted(request: Mapping[str, Any]) -> dict[str, Any]:
    """The body of a request as Azure's server of MLflow models takes it.

    Format: `input_data` of azureml-inference-server-http, a table with its index, or values.
    """
    made = {_INSTEAD.get(key, key): value for key, value in request.items()}
    if isinstance(table := made.pop("dataframe_split", None), dict):
        index = table.get("index") or list(range(len(table.get("data") or ())))
        made["input_data"] = {**table, "index": index}
    if isinstance(rows := made.pop("dataframe_records", None), list):
        columns = list(rows[0]) if rows else []
        data = [[row.get(name) for name in columns] for row in rows]
        made["input_data"] = {"columns": columns, "index": list(range(len(rows))), "data": data}
    return made


def connect(subscription: str, group: str, workspace: str) -> Any:
    """A client of a workspace, with the user's login. Raises UsageError without the libraries."""
    try:
        from azure.ai.ml import MLClient
        from azure.identity import DefaultAzureCredential
    except ImportError:
        raise UsageError(
            "the library azure-ai-ml is not installed: pip install 'gitml[azureml]'"
        ) from None
    return MLClient(DefaultAzureCredential(), subscription, group, workspace)


@contextlib.contextmanager
def _told() -> Iterator[None]:
    """What Azure refuses, or does not answer, as a DeployError."""
    try:
        from azure.ai.ml.exceptions import MlException
        from azure.core.exceptions import AzureError
    except ImportError:
        yield  # and `connect` says so
        return
    try:
        with contextlib.redirect_stdout(sys.stderr):  # to which the library tells how far it is
            yield
    except (AzureError, MlException) as error:
        raise DeployError(f"Azure: {line(str(error))}") from None
