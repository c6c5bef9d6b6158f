"""GitHub's workflows of gitml where no secret is kept: jobs log in by what the hub says of them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import released
from tests.actions import cloud
from tests.actions.cloud import Cloud
from tests.actions.runner import Environment
from tests.actions.runs import Run
from tests.clones import records
from tests.released import Team
from tests.test_workflows_github_train import PROJECT, TRAIN

LOGIN = ".github/actions/gitml-login/action.yml"
AWS = "aws-actions/configure-aws-credentials@ececac1a45f3b08a01d2dd070d28d111c5fe6722"
ROLE = "arn:aws:iam::123456789012:role/gitml-"
ACTION = f"""\
name: Log in
description: Credentials for the DVC remote
runs:
  using: composite
  steps:
    - uses: {AWS}
      with:
        role-to-assume: {ROLE}${{{{ github.job }}}}
        aws-region: eu-central-1
"""
BIG = "x = " + repr("weights " * 40_000)  # more than goes into a commit
TRAINS = TRAIN.replace("number = int", f"{BIG}\nnumber = int").replace(
    "return [", "assert x\n    return ["
)


@pytest.fixture
def believer(endpoint: str) -> Iterator[Cloud]:
    """A cloud with a bucket; whom it trusts is said once there is a hub."""
    with cloud.before(endpoint) as found:
        yield found


@pytest.fixture
def team(
    believer: Cloud, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Team]:
    """A team whose artifacts are in a bucket, for which CI has no secret; ada has a key of hers."""
    with released.standing(released.begun(tmp_path_factory), tmp_path / "team") as found:
        believer.believe(found.hub.url)
        found.runner.cloud = believer
        remote = f"s3://bucket/{tmp_path.name}\n    endpointurl = {believer.url}\n"
        config = f"[core]\n    remote = store\n['remote \"store\"']\n    url = {remote}"
        folder = found.ada.folder / ".dvc"
        folder.mkdir()
        adas = believer.issue("ada")
        (folder / "config.local").write_text(
            f"['remote \"store\"']\n    access_key_id = {adas.key}\n"
            f"    secret_access_key = {adas.secret}\n    session_token = {adas.session}\n"
        )
        (found.ada.folder / LOGIN).parent.mkdir(parents=True)
        propose = {"model": "churn", "stage": "production", "if": ["metrics.auc >= 0.9"]}
        files = {".dvc/config": config, ".dvc/.gitignore": "/config.local\n", LOGIN: ACTION}
        files |= {"train.py": TRAINS, "MLproject": PROJECT}
        found.configure({"oidc": True, "extras": ["s3"], "train": {"propose": propose}}, files)
        found.runner.environments["production"] = Environment(branches=("main",))
        found.hub.lets_workflows_propose = True
        for job, subject in {
            "deploy": "environment:production",
            "train": "ref:refs/heads/main",
            "record": "ref:refs/heads/main",
            "propose": "ref:refs/heads/main",
        }.items():
            believer.trust(f"{ROLE}{job}", "sts.amazonaws.com", f"repo:ada/churn:{subject}")
        yield found


def test_a_deployment_logs_in_as_its_environment(team: Team, believer: Cloud) -> None:
    """What is served was fetched from a bucket that nobody opens without a login.

    The model is code, too: it is started without what the job could ask for more with.
    """
    names = "('GITHUB_TOKEN', 'ACTIONS_ID_TOKEN_REQUEST_TOKEN')"
    team.version(3, code=f"{BIG}; import os; assert not [it for it in {names} if it in os.environ]")
    team.hub.take()
    team.decide("v3.0.0")
    (sync,) = team.runner.settle()
    assert sync.result == "success", sync.log
    assert (team.tags(), team.served) == (["churn#production#1"], "v3.0.0")
    assert believer.logins == [(f"{ROLE}deploy", "repo:ada/churn:environment:production")]


def test_without_its_login_a_deployment_has_no_model(team: Team) -> None:
    """The bucket is closed to it: what was reviewed is tagged, and nothing is served."""
    team.version(3, code=BIG)
    path = ".github/workflows/gitml-deploy.yml"
    text = (team.ada.folder / path).read_text("utf-8")
    team.commit("No login", {path: text.replace("- uses: ./.github/actions/gitml-login", "")})
    team.hub.take()
    team.decide("v3.0.0")
    (sync,) = team.runner.settle()
    assert sync.results["deploy / deploy (production)"] == "failure"
    assert (team.tags(), team.served) == (["churn#production#1"], None)


def test_what_ci_trains_goes_to_the_bucket_and_into_production(team: Team, believer: Cloud) -> None:
    """Each job logs in as itself, and none as the deployment before there is one."""
    team.hub.dispatch("gitml-train.yml")
    (train,) = team.runner.settle()
    assert train.results == dict.fromkeys(("train", "record", "propose"), "success"), train.log
    assert "train-97" in records(team.hub.bare)
    assert {who for who, _ in believer.logins} == {f"{ROLE}{it}" for it in train.results}
    (pull,) = team.hub.pulls
    (tag,) = set(team.tags("churn@*")) - {"churn@v1.0.0", "churn@v2.0.0"}
    team.merge(pull.number)
    assert (team.tags(), team.served) == (["churn#production#1"], tag.partition("@")[2])


def test_a_training_of_hours_still_uploads_what_it_made(team: Team, believer: Cloud) -> None:
    """A login ends after an hour: there is another one before the artifacts are uploaded."""
    url = f"{believer.url}{cloud.EXPIRE}{ROLE}train"
    late = f"import urllib.request\nurllib.request.urlopen({url!r}).read()\n"
    team.commit("A long training", {"train.py": TRAINS + late})
    team.hub.take()
    team.hub.dispatch("gitml-train.yml")
    (train,) = team.runner.settle()
    assert train.results == dict.fromkeys(("train", "record", "propose"), "success"), train.log
    team.merge(team.hub.pulls[0].number)
    assert team.served is not None


STEAL = f"""\
on: pull_request
permissions: {{contents: read, id-token: write}}
jobs:
  deploy:
    runs-on: ubuntu-latest
    steps:
      - uses: actions/checkout@3d3c42e5aac5ba805825da76410c181273ba90b1
      - id: login
        uses: {AWS}
        with: {{role-to-assume: '{ROLE}deploy', aws-region: eu-central-1}}
      - run: echo "<$AWS_SESSION_TOKEN>"
"""


def put(team: Team, workflow: str) -> None:
    """Push a workflow to ada's branch."""
    (team.ada.folder / ".github/workflows/steal.yml").write_text(workflow, "utf-8")
    team.ada.git("add", ".")
    team.ada.git("commit", "--quiet", "--message", "Steal")
    team.ada.git("push", "--quiet", "origin", "HEAD:steal")


def stolen(team: Team) -> Run:
    """What has become of the run of that workflow."""
    (found,) = [run for run in team.runner.settle() if run.workflow.path.endswith("steal.yml")]
    return found


def test_a_pull_request_is_not_let_in(team: Team, believer: Cloud) -> None:
    """Its workflow may ask for a token, which says what it is; in the environment it may not run.

    An environment without a rule would let it: so says the tutorial.
    """
    team.ada.git("switch", "--quiet", "--create", "steal")
    put(team, STEAL)
    team.hub.propose("steal", "Steal")
    found = stolen(team)
    assert found.result == "failure"
    assert "repo:ada/churn:pull_request may not be" in found.log
    put(team, STEAL.replace("    steps:", "    environment: production\n    steps:"))
    found = stolen(team)
    assert "production was not approved" in found.log
    assert (believer.logins, "<" in found.log) == ([], False)
    team.runner.environments["production"] = Environment()
    put(team, STEAL.replace("    steps:", "    environment: production\n    steps: # again"))
    assert stolen(team).result == "success"
    assert len(believer.logins) == 1


def test_a_fork_can_not_even_ask(team: Team, believer: Cloud, tmp_path: Path) -> None:
    """What its workflow says that it may is not granted to it: it has nothing to ask with."""
    mallory = team.hub.clone(tmp_path / "mallory")
    (mallory.folder / ".github/workflows/steal.yml").write_text(STEAL, "utf-8")
    mallory.git("add", ".")
    mallory.git("commit", "--quiet", "--message", "Steal")
    team.hub.take()
    team.hub.propose_from_fork(mallory, "Steal")
    found = stolen(team)
    assert "id-token is not granted" in found.log
    assert believer.logins == []


def test_what_trains_can_not_be_the_deployment(team: Team, believer: Cloud) -> None:
    """The project's code may ask for a token of its job: it names the branch, no environment."""
    team.commit("Greedy", {LOGIN: ACTION.replace("${{ github.job }}", "deploy")})
    team.hub.take()
    team.hub.dispatch("gitml-train.yml")
    (train,) = team.runner.settle()
    assert train.results["train"] == "failure"
    assert "repo:ada/churn:ref:refs/heads/main may not be" in train.log
    assert believer.logins == []


def test_without_oidc_no_job_can_ask_who_it_is(team: Team) -> None:
    """Least of all the one that runs the project's code: nothing in its variables is of use."""
    ask = "import os\nprint('asks:', [it for it in os.environ if 'ID_TOKEN' in it])\n"
    (team.ada.folder / LOGIN).unlink()
    (team.ada.folder / ".dvc/config").write_text("")
    team.configure({"oidc": False}, {"train.py": ask + TRAIN})
    team.hub.dispatch("gitml-train.yml")
    (train,) = team.runner.settle()
    assert "asks: []" in train.log, train.log
    assert train.results["record"] == "success"


GOOGLE = "google-github-actions/auth@7c6bc770dae815cd3e89ee6cdf493a5fab2cc093"
PROVIDER = "projects/123456789/locations/global/workloadIdentityPools/github/providers/churn"
WHOM = "ci@acme-models.iam.gserviceaccount.com"


def test_a_file_of_credentials_in_the_checkout_is_no_part_of_the_code(
    team: Team, believer: Cloud
) -> None:
    """Google's action leaves one there: the run is one of the commit, and does not hold it."""
    action = ACTION + (
        f"    - uses: {GOOGLE}\n"
        f"      with: {{workload_identity_provider: {PROVIDER}, service_account: {WHOM}}}\n"
    )
    believer.trust(
        WHOM, f"https://iam.googleapis.com/{PROVIDER}", "repo:ada/churn:ref:refs/heads/main"
    )
    code = "import os\nassert os.path.isfile(os.environ['GOOGLE_APPLICATION_CREDENTIALS'])\n"
    commit = team.commit("Google, too", {LOGIN: action, "train.py": code + TRAINS})
    team.hub.take()
    team.hub.dispatch("gitml-train.yml")
    (train,) = team.runner.settle()
    assert train.results == dict.fromkeys(("train", "record", "propose"), "success"), train.log
    record = records(team.hub.bare)["train-97"]
    assert (record.code.commit, record.code.dirty) == (commit, False), record.code
