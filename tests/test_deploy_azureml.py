"""The target azureml: Azure's own library, whose requests a workspace of the tests answers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from gitml.deploy.deployments import deployments
from gitml.deploy.errors import DeployError
from gitml.deploy.release import Release, Tell
from gitml.deploy.targets import azureml, naming
from gitml.deploy.targets.azureml import AzureML, Endpoint, converted
from gitml.errors import FormatError, UsageError
from tests.azure_workspace import Credential, Workspace, install
from tests.clones import team
from tests.deployments import decide, deploy, register, save, settings
from tests.versions import quiet

TABLE = {"columns": ["a"], "data": [[1], [2]]}
BODY = '{"dataframe_split": {"columns": ["a"], "data": [[1], [2]]}}'
ENDPOINT = Endpoint("churn-production-0123abcd", "0123abcd")
WHERE = ("00000000-0000-0000-0000-000000000000", "rg", "ws")


def release(folder: Path, number: int) -> Release:
    """A version whose every prediction is its number."""
    digest = f"sha256:{number}{'0' * 63}"
    path = save(folder / f"v{number}", number)
    return Release(
        "churn", f"v{number}.0.0", f"{number:032x}", digest, path, lambda *_: Path("python"), BODY
    )


def answered(tags: dict[str, str], request: dict[str, Any]) -> tuple[int, Any]:
    """What a version predicts; the third one can't."""
    assert request == {"input_data": {**TABLE, "index": [0, 1]}}
    if tags["gitml.version"] == "v3.0.0":
        return 424, {"error": "no such table"}
    return 200, [1, 1]


@pytest.fixture
def workspace(monkeypatch: pytest.MonkeyPatch) -> Workspace:
    """A workspace that answers all requests of Azure's library."""
    pytest.importorskip("azure.ai.ml", reason="azure-ai-ml is not installed: make frameworks")
    pytest.importorskip("azure.identity")
    found = Workspace(answered)
    install(found, monkeypatch)
    return found


@pytest.fixture
def churn(workspace: Workspace) -> AzureML:
    """A deployment in it."""

    def connect() -> Any:
        from azure.ai.ml import MLClient

        return MLClient(Credential(), *WHERE)

    return AzureML(ENDPOINT, lambda *_: None, lambda: None, connect)


pytestmark = pytest.mark.filterwarnings("ignore")  # Azure's library has many of its own


def test_versions_replace_each_other(workspace: Workspace, churn: AzureML, tmp_path: Path) -> None:
    """Each is a deployment of its own, which gets all requests once it has predicted."""
    assert not churn.live().is_there
    first = release(tmp_path, 1)
    assert churn.deploy(first, quiet) == ""
    live = churn.live()
    assert (live.is_there, live.is_ours, live.is_well) == (True, True, True)
    assert (live.model, live.version) == ("churn", "v1.0.0")
    assert (live.run_id, live.digest) == (first.run_id, first.digest)
    sent = {path.rpartition("/")[2]: data for path, data in workspace.blobs.items()}
    assert sent["MLmodel"] == (first.folder / "MLmodel").read_bytes()
    churn.deploy(release(tmp_path, 2), quiet)
    assert churn.live().version == "v2.0.0"
    (only,) = workspace.of("deployments").values()
    assert only["tags"]["gitml.version"] == "v2.0.0"
    assert only["properties"]["instanceType"] == "Standard_DS3_v2"
    workspace.blobs.clear()
    churn.deploy(first, quiet)
    assert (churn.live().version, workspace.blobs) == ("v1.0.0", {})
    churn.remove()
    assert not churn.live().is_there
    assert workspace.of("deployments") == {}


def test_a_version_that_can_not_predict_there_gets_no_requests(
    workspace: Workspace, churn: AzureML, tmp_path: Path
) -> None:
    """The one before goes on; of the new one nothing is left but its log, which is told."""
    churn.deploy(release(tmp_path, 1), quiet)
    with pytest.raises(DeployError, match="does not predict for the model's own ex") as failure:
        churn.deploy(release(tmp_path, 3), quiet)
    assert failure.value.log == ("the server starts", "no such table")
    assert churn.live().version == "v1.0.0"
    (endpoint,) = workspace.of("onlineEndpoints").values()
    (name,) = workspace.of("deployments")
    assert endpoint["properties"]["traffic"] == {name: 100}


def test_a_first_version_that_fails_leaves_nothing(
    workspace: Workspace, churn: AzureML, tmp_path: Path
) -> None:
    """Neither deployment nor endpoint, which would cost."""
    with pytest.raises(DeployError):
        churn.deploy(release(tmp_path, 3), quiet)
    workspace.fails = "there is no quota for Standard_DS3_v2"
    with pytest.raises(DeployError, match="there is no quota for Standard_DS3_v2"):
        churn.deploy(release(tmp_path, 1), quiet)
    assert workspace.of("onlineEndpoints") == {}


def test_a_version_that_does_not_prove_itself_here_never_goes_there(
    workspace: Workspace, churn: AzureML, tmp_path: Path
) -> None:
    """Nothing is made or sent."""

    def refused(one: Release, tell: Tell) -> None:
        raise DeployError("it does not predict")

    with pytest.raises(DeployError):
        replace(churn, prove=refused).deploy(release(tmp_path, 1), quiet)
    assert (workspace.things, workspace.blobs) == ({}, {})


def test_an_endpoint_of_another(workspace: Workspace, churn: AzureML, tmp_path: Path) -> None:
    """It is neither replaced nor taken away."""
    churn.deploy(release(tmp_path, 1), quiet)
    other = replace(churn, endpoint=replace(ENDPOINT, owner="another"))
    assert (other.live().is_there, other.live().is_ours) == (True, False)
    acts: list[Callable[[], object]] = [
        lambda: other.deploy(release(tmp_path, 2), quiet), other.remove,
    ]  # fmt: skip
    for act in acts:
        with pytest.raises(UsageError, match="is not of this deployment"):
            act()
    assert churn.live().version == "v1.0.0"


def test_nobody_is_logged_in(
    workspace: Workspace, churn: AzureML, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the library says is passed on, on one line."""

    def lost(*scopes: str, **options: Any) -> Any:
        from azure.core.exceptions import ClientAuthenticationError

        raise ClientAuthenticationError("DefaultAzureCredential failed\nto retrieve a token")

    monkeypatch.setattr(Credential, "get_token", staticmethod(lost))
    with pytest.raises(DeployError, match="Azure: DefaultAzureCredential failed to retrieve a t"):
        churn.live()


# -- without Azure's library ---------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "made"),
    [
        ({"dataframe_split": TABLE}, {"input_data": {**TABLE, "index": [0, 1]}}),
        (
            {"dataframe_records": [{"a": 1, "b": 2}, {"a": 3}]},
            {"input_data": {"columns": ["a", "b"], "index": [0, 1], "data": [[1, 2], [3, None]]}},
        ),
        ({"inputs": [[1.0]]}, {"input_data": [[1.0]]}),
        ({"instances": [1], "params": {"k": 2}}, {"input_data": [1], "params": {"k": 2}}),
    ],
)
def test_requests_as_azure_takes_them(given: dict[str, Any], made: dict[str, Any]) -> None:
    """A table has an index, and everything is under `input_data`."""
    assert converted(given) == made


@pytest.mark.parametrize("model", ["churn", "a-very-long-name-of-a-model_that.Goes-on", "9"])
def test_names_are_those_of_endpoints(model: str) -> None:
    """3 to 32 letters, digits and hyphens, a letter first."""
    import re

    name = f"{naming.name_of(model, 'production', 23)}-0123abcd"
    assert re.fullmatch(r"[a-z][a-z0-9-]{1,30}[a-z0-9]", name)


@pytest.mark.parametrize(
    ("told", "why"),
    [
        ({}, "'subscription' is missing"),
        ({"subscription": "s", "resource_group": "g"}, "'workspace' is missing"),
        (
            {"subscription": "s", "resource_group": "g", "workspace": "w", "role": "x"},
            "'role' is n",
        ),
    ],
)
def test_settings_that_are_wrong(told: dict[str, Any], why: str) -> None:
    """The message names the key, and what there is."""
    with pytest.raises(FormatError, match=why):
        deployments({"production": {"target": "azureml", **told}}, {})


def test_the_user_allows_it_first(tmp_path: Path, bare: Path) -> None:
    """By subscription, resource group and workspace."""
    ann = team(tmp_path, bare, "ann", dvc=True)[0]
    told = dict(zip(("subscription", "resource_group", "workspace"), WHERE, strict=True))
    settings(ann, {"production": {"target": "azureml", **told}})
    decide(ann, register(ann, 1))
    (outcome,) = deploy(ann)
    assert f"azureml {WHERE[0]} rg ws Standard_DS3_v2 1'" in outcome.why


def test_the_library_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is said what to install."""
    import sys

    monkeypatch.setitem(sys.modules, "azure.ai.ml", None)
    with pytest.raises(UsageError, match=r"pip install 'gitml\[azureml\]'"):
        azureml.connect(*WHERE)
