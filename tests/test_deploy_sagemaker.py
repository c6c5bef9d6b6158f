"""The target sagemaker: against moto, and where that does not know updates, a stubbed client."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from gitml.deploy import image
from gitml.deploy.deployments import deployments
from gitml.deploy.errors import DeployError
from gitml.deploy.release import Release, Tell
from gitml.deploy.targets import sagemaker
from gitml.deploy.targets.sagemaker import Endpoint, SageMaker
from gitml.errors import FormatError, UsageError
from gitml.models.images.dockerfile import dockerfile
from tests.clones import team
from tests.deployments import decide, deploy, register, settings
from tests.versions import quiet

boto3 = pytest.importorskip("boto3", reason="the library boto3 is not installed")
moto = pytest.importorskip("moto")

ROLE = "arn:aws:iam::123456789012:role/serving"
REGION = "eu-central-1"
IMAGE = f"123456789012.dkr.ecr.{REGION}.amazonaws.com/churn@sha256:{'b' * 64}"
FIRST = Release(
    "churn", "v1.0.0", "a" * 32, f"sha256:{'c' * 64}", Path("model"), lambda *_: Path("python")
)
SECOND = replace(FIRST, version="v2.0.0", run_id="d" * 32, digest=f"sha256:{'e' * 64}")
ENDPOINT = Endpoint("churn-production", "0123abcd", ROLE, REGION, start_timeout=1)


def published(one: Release, tell: Tell) -> str:
    """The image of every version."""
    return IMAGE


def target(client: Any) -> SageMaker:
    """A deployment that is told of to a client."""
    return SageMaker(ENDPOINT, published, lambda: None, lambda region: client, tick=0.0)


@pytest.fixture(autouse=True)
def account(monkeypatch: pytest.MonkeyPatch) -> None:
    """Credentials of nobody."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "nobody")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "nobody")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")


@pytest.fixture
def client() -> Iterator[Any]:
    """A client of moto's SageMaker."""
    with moto.mock_aws():
        yield boto3.client("sagemaker", region_name=REGION)


# -- moto ----------------------------------------------------------------------------------


def test_a_first_version_and_its_end(client: Any) -> None:
    """Its tags say which one it is; nothing is left of it when it is taken away."""
    churn = target(client)
    assert not churn.live().is_there
    assert churn.deploy(FIRST, quiet) == ""
    live = churn.live()
    assert (live.is_there, live.is_ours, live.is_well) == (True, True, True)
    assert (live.model, live.version) == ("churn", "v1.0.0")
    assert (live.run_id, live.digest) == (FIRST.run_id, FIRST.digest)
    (named,) = client.list_models()["Models"]
    model = client.describe_model(ModelName=named["ModelName"])
    assert model["PrimaryContainer"]["Image"] == IMAGE
    assert model["ExecutionRoleArn"] == ROLE
    churn.remove()
    assert not churn.live().is_there
    assert client.list_models()["Models"] == []
    assert client.list_endpoint_configs()["EndpointConfigs"] == []


def test_an_endpoint_of_another(client: Any) -> None:
    """It is neither replaced nor taken away."""
    target(client).deploy(FIRST, quiet)
    other = SageMaker(
        replace(ENDPOINT, owner="another"), published, lambda: None, lambda region: client
    )
    assert (other.live().is_there, other.live().is_ours) == (True, False)
    with pytest.raises(UsageError, match="is not of this deployment"):
        other.deploy(SECOND, quiet)
    with pytest.raises(UsageError, match="is not gitml's"):
        other.remove()
    assert target(client).live().version == "v1.0.0"


def test_what_aws_refuses_is_said(client: Any) -> None:
    """In its words; nothing is left of the version."""
    churn = SageMaker(
        replace(ENDPOINT, instance_type="ml.none"), published, lambda: None, lambda region: client
    )
    with pytest.raises(DeployError, match=r"SageMaker: .*ml\.none"):
        churn.deploy(FIRST, quiet)
    assert client.list_models()["Models"] == []
    assert not churn.live().is_there


# -- a stubbed client ----------------------------------------------------------------------

ARN = f"arn:aws:sagemaker:{REGION}:123456789012"
AT = {"EndpointName": "churn-production"}
OLD = "churn-production-0ld"


def described(config: str, status: str, why: str = "") -> dict[str, Any]:
    """What SageMaker tells of the endpoint."""
    told = {"EndpointArn": f"{ARN}:endpoint/churn-production", "CreationTime": 0}
    told |= {"LastModifiedTime": 0, **AT, "EndpointConfigName": config, "EndpointStatus": status}
    return {**told, "FailureReason": why} if why else told


class Stubbed:
    """A client that expects calls in their order, each checked by SageMaker's own model."""

    def __init__(self) -> None:
        from botocore.stub import ANY, Stubber

        self.any = ANY
        self.client = boto3.client("sagemaker", region_name=REGION)
        self.stub = Stubber(self.client)
        self.stub.activate()

    def tells(self, config: str, status: str, why: str = "") -> None:
        """The endpoint is asked for."""
        self.stub.add_response("describe_endpoint", described(config, status, why), AT)

    def tells_tags(self) -> None:
        """The tags of the endpoint are asked for."""
        tags = [{"Key": key, "Value": value} for key, value in ENDPOINT.tags.items()]
        self.stub.add_response("list_tags", {"Tags": tags}, {"ResourceArn": self.any})

    def makes(self) -> None:
        """A model and a configuration are made."""
        any = self.any
        self.stub.add_response(
            "create_model",
            {"ModelArn": f"{ARN}:model/new"},
            {"ModelName": any, "PrimaryContainer": {"Image": IMAGE}, "ExecutionRoleArn": ROLE,
             "Tags": any},
        )  # fmt: skip
        self.stub.add_response(
            "create_endpoint_config",
            {"EndpointConfigArn": f"{ARN}:endpoint-config/new"},
            {"EndpointConfigName": any, "ProductionVariants": any, "Tags": any},
        )
        self.stub.add_response(
            "update_endpoint",
            {"EndpointArn": f"{ARN}:endpoint/churn-production"},
            {**AT, "EndpointConfigName": any},
        )

    def forgets(self, name: Any) -> None:
        """A configuration and its model are deleted."""
        self.stub.add_response("delete_endpoint_config", {}, {"EndpointConfigName": name})
        self.stub.add_response("delete_model", {}, {"ModelName": name})


def test_an_update_takes_the_place_of_a_version(monkeypatch: pytest.MonkeyPatch) -> None:
    """The old configuration goes once the new one serves; a change that goes on is waited for."""
    monkeypatch.setattr("uuid.uuid4", lambda: type("U", (), {"hex": "f" * 32}))
    new = f"churn-production-{'f' * 12}"
    stubbed = Stubbed()
    stubbed.tells(OLD, "Updating")
    stubbed.tells(OLD, "InService")
    stubbed.tells_tags()
    stubbed.makes()
    stubbed.tells(OLD, "Updating")
    stubbed.tells(new, "InService")
    stubbed.forgets(OLD)
    assert target(stubbed.client).deploy(SECOND, quiet) == ""
    stubbed.stub.assert_no_pending_responses()


def test_an_update_that_is_rolled_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """The old one goes on; of the new one nothing is left, and why is said."""
    stubbed = Stubbed()
    stubbed.tells(OLD, "InService")
    stubbed.tells_tags()
    stubbed.makes()
    stubbed.tells(OLD, "Updating")
    stubbed.tells(OLD, "InService", "The container did not pass the ping health check.")
    stubbed.tells(OLD, "InService", "The container did not pass the ping health check.")
    stubbed.forgets(stubbed.any)
    with pytest.raises(DeployError, match="did not pass the ping health check"):
        target(stubbed.client).deploy(SECOND, quiet)
    stubbed.stub.assert_no_pending_responses()


def test_a_version_that_does_not_prove_itself_never_goes_there() -> None:
    """SageMaker is told nothing."""

    def refused(one: Release, tell: Tell) -> str:
        raise DeployError("it does not predict for the model's own example: no")

    stubbed = Stubbed()
    stubbed.tells(OLD, "InService")
    stubbed.tells_tags()
    with pytest.raises(DeployError, match="does not predict"):
        replace(target(stubbed.client), publish=refused).deploy(SECOND, quiet)
    stubbed.stub.assert_no_pending_responses()


def test_nobody_is_logged_in(monkeypatch: pytest.MonkeyPatch) -> None:
    """What boto3 says is passed on."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    churn = SageMaker(ENDPOINT, published, lambda: None, sagemaker.connect)
    with pytest.raises(DeployError, match="SageMaker: Unable to locate credentials"):
        churn.live()


# -- the image and the settings ------------------------------------------------------------


def test_the_image_serves_whatever_word_it_is_started_with() -> None:
    """SageMaker starts every image with `serve`, which is no argument of gitml's server."""
    wish = image.Wish("registry.example/churn", any_words=True)
    recipe = replace(image._recipe(FIRST, wish), base="python:3.11-slim")
    (line,) = [it for it in dockerfile(recipe, "gitml.whl").splitlines() if "ENTRYPOINT" in it]
    assert line.startswith('ENTRYPOINT ["/bin/sh", "-c", "exec python -m gitml models serve ')
    assert line.endswith('--registered-as churn@v1.0.0"]')


@pytest.mark.parametrize(
    ("told", "why"),
    [
        ({"registry": "r/churn"}, "'role' is missing"),
        ({"registry": "r/churn", "role": ROLE, "instances": 0}, "0 is not a number of machines"),
        ({"registry": "r/churn", "role": ROLE, "url": "http://h"}, "'url' is not a key of the t"),
    ],
)
def test_settings_that_are_wrong(told: dict[str, Any], why: str) -> None:
    """The message names the key, and what there is."""
    with pytest.raises(FormatError, match=why):
        deployments({"production": {"target": "sagemaker", **told}}, {})


def test_the_user_allows_it_first(tmp_path: Path, bare: Path) -> None:
    """By region, role, registry and machines."""
    ann = team(tmp_path, bare, "ann", dvc=True)[0]
    told = {"target": "sagemaker", "registry": "r/churn", "role": ROLE, "region": REGION}
    settings(ann, {"production": told})
    decide(ann, register(ann, 1))
    (outcome,) = deploy(ann)
    assert f"sagemaker {REGION} {ROLE} r/churn ml.m5.large 1'" in outcome.why
