"""The target `sagemaker`: an endpoint of Amazon SageMaker, of the version's own image.

SageMaker starts new machines, asks them for `/ping`, and only then sends them the requests; when
they don't answer, the old ones go on. The image has predicted in a container here before.
"""

from __future__ import annotations

import contextlib
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from gitml.deploy.errors import DeployError, line
from gitml.deploy.probe import Live
from gitml.deploy.release import Release, Tell
from gitml.deploy.targets import naming
from gitml.deploy.targets.naming import Named
from gitml.errors import UsageError, shown

_TICK = 10.0  # seconds between looks
_SLACK = 600.0  # seconds that machines may take to come, beside the model
_CHANGING = ("Creating", "Updating", "SystemUpdating", "RollingBack", "Deleting")
_SERVING = ("InService", "Updating", "SystemUpdating", "RollingBack")
_VARIANT = "model"


@dataclass(frozen=True, slots=True)
class Endpoint(Named):
    """An endpoint, and the machines behind it.

    `role` is the ARN of what the model may do. A container may take so many seconds to be well
    (`start_timeout`).
    """

    role: str
    region: str | None = None
    instance_type: str = "ml.m5.large"
    instances: int = 1
    start_timeout: float = 600.0


@dataclass(frozen=True, slots=True)
class SageMaker:
    """A deployment in the user's account.

    `check` raises UsageError where he has not allowed it. `publish` pushes the image of a version
    that has proven itself, and returns its name. `connect` makes a client of a region.
    """

    endpoint: Endpoint
    publish: Callable[[Release, Tell], str]
    check: Callable[[], None]
    connect: Callable[[str | None], Any]
    tick: float = _TICK

    def live(self) -> Live:
        """What runs."""
        client = self._client()
        with _told():
            found = self._found(client)
            if found is None:
                return Live(why="there is no endpoint")
            if not self._is_own(client, found):
                return Live(is_there=True, why=f"the endpoint {self.endpoint.name} is not gitml's")
            arn = self._config(client, found)["EndpointConfigArn"]
            names = naming.told_by(_tags(client, arn))
        status = str(found["EndpointStatus"])
        is_well = status in _SERVING
        why = "" if is_well else f"{status}: {line(str(found.get('FailureReason') or ''))}"
        return Live(True, True, is_well, **names, why=why)

    def deploy(self, release: Release, tell: Tell) -> str:
        """Serve a version instead of another one, which goes on on a DeployError."""
        client = self._client()
        with _told():
            before = self._settled(client)
            if before is not None and not self._is_own(client, before):
                raise UsageError(
                    f"the endpoint {shown(self.endpoint.name)} is not of this deployment; delete"
                    " it, or deploy the model elsewhere"
                )
        image = self.publish(release, tell)
        name = f"{self.endpoint.name[:48].rstrip('-')}-{uuid.uuid4().hex[:12]}"
        with _told():
            if before is not None and before["EndpointStatus"] == "Failed":
                self._delete(client, before)
                before = None
        tell(f"starting {release.name} {release.version} on {self.endpoint.instance_type}")
        try:
            with _told():
                self._configure(client, name, image, release)
                self._switch(client, name, is_new=before is None)
        except DeployError:
            self._undo(client, name, is_new=before is None)
            raise
        if before is not None:
            _forget(client, str(before["EndpointConfigName"]))
        return ""

    def remove(self) -> None:
        """Serve nothing any more."""
        client = self._client()
        with _told():
            found = self._settled(client)
            if found is not None and not self._is_own(client, found):
                raise UsageError(f"the endpoint {shown(self.endpoint.name)} is not gitml's")
            if found is not None:
                self._delete(client, found)

    # -- what SageMaker is told ------------------------------------------------------------

    def _client(self) -> Any:
        self.check()
        with _told():
            return self.connect(self.endpoint.region)

    def _configure(self, client: Any, name: str, image: str, release: Release) -> None:
        """A model and the configuration of an endpoint that serves it, both of one name."""
        one, tags = self.endpoint, {**self.endpoint.tags, **naming.told_of(release)}
        listed = [{"Key": key, "Value": value} for key, value in tags.items()]
        client.create_model(
            ModelName=name,
            PrimaryContainer={"Image": image},
            ExecutionRoleArn=one.role,
            Tags=listed,
        )
        variant = {
            "VariantName": _VARIANT,
            "ModelName": name,
            "InitialInstanceCount": one.instances,
            "InstanceType": one.instance_type,
            "ContainerStartupHealthCheckTimeoutInSeconds": int(
                min(3600, max(60, one.start_timeout))
            ),
        }
        client.create_endpoint_config(
            EndpointConfigName=name, ProductionVariants=[variant], Tags=listed
        )

    def _switch(self, client: Any, config: str, *, is_new: bool) -> None:
        """Have the endpoint serve by a configuration; DeployError when it does not."""
        told = {"EndpointName": self.endpoint.name, "EndpointConfigName": config}
        if is_new:
            tags = [{"Key": key, "Value": value} for key, value in self.endpoint.tags.items()]
            client.create_endpoint(**told, Tags=tags)
        else:
            client.update_endpoint(**told)
        found = self._settled(client)
        if found is None:
            raise DeployError("the endpoint was deleted meanwhile")
        if found["EndpointStatus"] != "InService" or found["EndpointConfigName"] != config:
            why = line(str(found.get("FailureReason") or found["EndpointStatus"]))
            raise DeployError(f"SageMaker does not serve it: {why}")

    def _undo(self, client: Any, name: str, *, is_new: bool) -> None:
        """Leave nothing of a version that does not serve."""
        with contextlib.suppress(DeployError), _told():
            found = self._found(client)
            if found is not None and is_new:
                client.delete_endpoint(EndpointName=self.endpoint.name)
            if found is None or is_new or found["EndpointConfigName"] != name:
                _forget(client, name)

    def _delete(self, client: Any, found: Mapping[str, Any]) -> None:
        client.delete_endpoint(EndpointName=self.endpoint.name)
        _forget(client, str(found["EndpointConfigName"]))

    # -- what SageMaker tells --------------------------------------------------------------

    def _found(self, client: Any) -> Mapping[str, Any] | None:
        """The endpoint as it is; None when there is none."""
        from botocore.exceptions import ClientError

        try:
            found: Mapping[str, Any] = client.describe_endpoint(EndpointName=self.endpoint.name)
        except ClientError as error:
            if "could not find" in str(error).lower():
                return None
            raise
        return found

    def _settled(self, client: Any) -> Mapping[str, Any] | None:
        """The endpoint once nothing changes there any more; DeployError when that takes long."""
        end = time.monotonic() + self.endpoint.start_timeout + _SLACK
        while (found := self._found(client)) is not None and found["EndpointStatus"] in _CHANGING:
            if time.monotonic() > end:
                raise DeployError(f"the endpoint is still {found['EndpointStatus']}")
            time.sleep(self.tick)
        return found

    def _config(self, client: Any, found: Mapping[str, Any]) -> Mapping[str, Any]:
        told: Mapping[str, Any] = client.describe_endpoint_config(
            EndpointConfigName=found["EndpointConfigName"]
        )
        return told

    def _is_own(self, client: Any, found: Mapping[str, Any]) -> bool:
        return self.endpoint.owns(_tags(client, found["EndpointArn"]))


def connect(region: str | None) -> Any:
    """A client of SageMaker with the user's credentials. Raises UsageError without boto3."""
    try:
        import boto3
    except ImportError:
        raise UsageError(
            "the library boto3 is not installed: pip install 'gitml[sagemaker]'"
        ) from None
    return boto3.session.Session(region_name=region).client("sagemaker")


def _forget(client: Any, name: str) -> None:
    """Delete a configuration and its model, of one name; what can't go keeps nobody."""
    with contextlib.suppress(DeployError), _told():
        client.delete_endpoint_config(EndpointConfigName=name)
    with contextlib.suppress(DeployError), _told():
        client.delete_model(ModelName=name)


def _tags(client: Any, arn: str) -> dict[str, str]:
    """The tags of a thing, all pages of them."""
    pages = client.get_paginator("list_tags").paginate(ResourceArn=arn)
    return {it["Key"]: it["Value"] for page in pages for it in page["Tags"]}


@contextlib.contextmanager
def _told() -> Iterator[None]:
    """What AWS refuses, or does not answer, as a DeployError."""
    try:
        from botocore.exceptions import BotoCoreError, ClientError
    except ImportError:
        yield  # and `connect` says so
        return
    try:
        yield
    except (BotoCoreError, ClientError) as error:
        raise DeployError(f"SageMaker: {line(str(error))}") from None
