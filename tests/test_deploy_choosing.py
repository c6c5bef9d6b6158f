"""What a deployment's keys in gitml.yaml make of its target, and what the user is asked for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from gitml import git
from gitml.deploy import choosing
from gitml.deploy.deployments import Deployment, deployments
from gitml.deploy.targets import Target
from gitml.deploy.targets.azureml import AzureML
from gitml.deploy.targets.command import Command, Programs
from gitml.deploy.targets.kubernetes import Kubernetes
from gitml.deploy.targets.manifests import Shape
from gitml.deploy.targets.sagemaker import Endpoint, SageMaker
from gitml.errors import UsageError
from gitml.tracking.place import place_of
from tests.conftest import run_git

ROLE = "arn:aws:iam::123456789012:role/serving"
KUBERNETES = {"target": "kubernetes", "context": "prod", "registry": "registry.example.org/churn"}
SAGEMAKER = {"target": "sagemaker", "registry": "registry.example.org/churn", "role": ROLE}
AZUREML = {"target": "azureml", "subscription": "1234", "resource_group": "ml", "workspace": "w"}
COMMAND = {"target": "command", "deploy": ["./up.sh"], "url": "https://churn.example.org"}


def target(folder: Path, **told: Any) -> Target:
    """What does the work of the model churn in production."""
    return choosing.target(place_of(git.find(folder), folder), deployment(**told))


def deployment(**told: Any) -> Deployment:
    """The one that the settings name."""
    (one,) = deployments({"production": told}, {"churn": ["production"]})
    return one


@pytest.mark.parametrize(
    ("told", "line"),
    [
        (KUBERNETES, "kubernetes prod - registry.example.org/churn"),
        (
            {**KUBERNETES, "namespace": "serving"},
            "kubernetes prod serving registry.example.org/churn",
        ),
        (COMMAND, "command"),
        (SAGEMAKER, f"sagemaker - {ROLE} registry.example.org/churn ml.m5.large 1"),
        (
            {**SAGEMAKER, "region": "eu-west-1", "instance_type": "ml.p5.48xlarge", "instances": 9},
            f"sagemaker eu-west-1 {ROLE} registry.example.org/churn ml.p5.48xlarge 9",
        ),
        (AZUREML, "azureml 1234 ml w Standard_DS3_v2 1"),
        (
            {**AZUREML, "instance_type": "Standard_ND96asr_v4", "instances": 9},
            "azureml 1234 ml w Standard_ND96asr_v4 9",
        ),
    ],
)
def test_the_user_allows_a_place_and_what_is_paid_for_there(
    repo: Path, told: dict[str, Any], line: str
) -> None:
    """The line names all of it, so that another namespace or more machines are asked for anew."""
    run_git(repo, "remote", "add", "origin", "https://git.example.org/ann/churn.git")
    one = target(repo, **told)
    assert isinstance(one, Kubernetes | Command | SageMaker | AzureML)
    wanted = f"https://git.example.org/ann/churn.git {line}"
    with pytest.raises(UsageError, match="which you have not allowed yet") as error:
        one.check()
    assert str(error.value).endswith(f"--add gitml.deploys '{wanted}'")
    run_git(repo, "config", "--global", "--add", "gitml.deploys", wanted)
    one.check()


def test_what_gitml_yaml_gives_is_what_a_target_gets(repo: Path) -> None:
    """Each option is the field of its name, a number as the kind that the field has."""
    told = {"port": 8080, "replicas": 3, "start_timeout": 5}
    one = target(repo, **KUBERNETES, **told)
    assert isinstance(one, Kubernetes)
    assert (one.shape.port, one.shape.replicas, one.shape.start_timeout) == (8080, 3, 5.0)
    more = {"region": "eu-west-1", "instance_type": "ml.c5.large", "instances": 2}
    two = target(repo, **SAGEMAKER, **more, start_timeout=5)
    assert isinstance(two, SageMaker)
    name, owner = two.endpoint.name, two.endpoint.owner
    assert two.endpoint == Endpoint(name, owner, ROLE, "eu-west-1", "ml.c5.large", 2, 5.0)
    three = target(repo, **COMMAND, remove=["./down.sh"], timeout=5)
    assert isinstance(three, Command)
    assert three.programs == Programs(("./up.sh",), ("./down.sh",), 5.0)


def test_what_gitml_yaml_leaves_out_is_as_the_target_has_it(repo: Path) -> None:
    """A key that is missing, or has no value, gives way to the default of the field."""
    one = target(repo, **KUBERNETES, port=None, replicas=None, start_timeout=None)
    assert isinstance(one, Kubernetes)
    assert one.shape == Shape(one.shape.name, one.shape.owner)
    two = target(repo, **SAGEMAKER)
    assert isinstance(two, SageMaker)
    assert two.endpoint == Endpoint(two.endpoint.name, two.endpoint.owner, ROLE)
    three = target(repo, **COMMAND, remove=None)
    assert isinstance(three, Command)
    assert three.programs == Programs(("./up.sh",))
