"""The tests' runner gives jobs an identity as GitHub does, and knows three actions that log in."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from textwrap import indent

import pytest

from tests.actions import cloud
from tests.actions.cloud import Cloud, DeniedError
from tests.actions.errors import UnsupportedError
from tests.actions.runner import Environment
from tests.test_actions_runner import CALLED, CALLS, CHECKOUT, Place, at, job

__all__ = ["at"]  # a fixture

AWS = "aws-actions/configure-aws-credentials@ececac1a45f3b08a01d2dd070d28d111c5fe6722"
AZURE = "azure/login@a457da9ea143d694b1b9c7c869ebb04ebe844ef5"
GOOGLE = "google-github-actions/auth@7c6bc770dae815cd3e89ee6cdf493a5fab2cc093"
ROLE = "arn:aws:iam::123456789012:role/models"
PROVIDER = "projects/1/locations/global/workloadIdentityPools/hub/providers/churn"
ACCOUNT = "ci@acme-models.iam.gserviceaccount.com"
MAIN = "repo:ada/churn:ref:refs/heads/main"
ASKS = "permissions: {contents: read, id-token: write}"
LOGIN = f"- {{uses: '{AWS}', with: {{role-to-assume: '{ROLE}', aws-region: eu-west-1}}}}\n"
CLAIMS = """\
- shell: bash
  run: |
    answer="$(curl -sf -H "Authorization: Bearer $ACTIONS_ID_TOKEN_REQUEST_TOKEN" \\
      "$ACTIONS_ID_TOKEN_REQUEST_URL&audience=me")"
    echo "$answer" | cut -d. -f2 | tr '_-' '/+' | base64 -d 2> /dev/null || true
    echo "kept $(echo "$ACTIONS_ID_TOKEN_REQUEST_TOKEN" | rev)"
"""


@pytest.fixture
def believer(at: Place) -> Iterator[Cloud]:
    """A cloud that believes the hub, and the runner's own."""
    with cloud.before("http://127.0.0.1:1") as found:
        found.believe(at.hub.url)
        at.runner.cloud = found
        yield found


def test_a_token_says_of_which_job_it_is(at: Place) -> None:
    """The branch, or in its place the environment; and of what is called, what has called it."""
    (run,) = at.push(w=job(CLAIMS, ASKS))
    for told in (
        f'"sub":"{MAIN}"', '"aud":"me"', '"event_name":"push"', '"repository":"ada/churn"',
        f'"iss":"{at.hub.url}/_services/token"', f'"sha":"{run.event.sha}"',
        '"workflow_ref":"ada/churn/.github/workflows/w.yml@refs/heads/main"',
    ):  # fmt: skip
        assert told in run.log.replace(": ", ":").replace(", ", ","), run.log
    (run,) = at.push(w=job(CLAIMS, f"{ASKS}\nenvironment: 'to:prod'"))
    assert '"repo:ada/churn:environment:to%3Aprod"' in run.log
    called = CALLED.replace("contents: read", "contents: read, id-token: write")
    steps = called.partition("        steps:")[0] + "        steps:\n" + indent(CLAIMS, " " * 10)
    calls = CALLS.replace("contents: read", "contents: read, id-token: write")
    (run,) = at.push(w=calls, called=steps)
    log = run.jobs["call / inner"].log
    assert "/called.yml@refs/heads/main" in log.partition('"job_workflow_ref"')[2][:80]
    assert "/w.yml@refs/heads/main" in log.partition('"workflow_ref"')[2][:80]


def test_a_job_without_the_permission_has_nothing_to_ask_with(at: Place, believer: Cloud) -> None:
    """Neither by itself, nor by an action; and when it has ended, what it had is worth nothing."""
    believer.trust(ROLE, "sts.amazonaws.com", MAIN)
    (run,) = at.push(w=job("- run: env | grep -c ACTIONS_ID_TOKEN"))
    assert (run.result, "0" in run.log) == ("failure", True)
    (run,) = at.push(w=job(LOGIN))
    assert "id-token is not granted" in run.log
    (run,) = at.push(w=job(CLAIMS, ASKS))
    token = run.log.rpartition("kept ")[2].strip()[::-1]
    query = {"api-version": "2.0", "audience": "me"}
    status, _ = at.hub.identities.answer("/_services/token/request", query, token)
    assert (len(token), status) == (48, 401)


def test_each_login_leaves_what_the_real_one_leaves(at: Place, believer: Cloud) -> None:
    """Variables of AWS; the command line's session of Azure; Google's file in the workspace."""
    believer.trust(ROLE, "sts.amazonaws.com", MAIN)
    believer.trust("app", "api://AzureADTokenExchange", MAIN)
    believer.trust(ACCOUNT, f"https://iam.googleapis.com/{PROVIDER}", MAIN)
    google = f"{{workload_identity_provider: '{PROVIDER}', service_account: '{ACCOUNT}'}}"
    steps = f"""\
{LOGIN.replace("- {", "- {id: aws, ")}
- {{uses: '{AZURE}', with: {{client-id: app, tenant-id: acme, subscription-id: s}}}}
- {{id: gcp, uses: '{GOOGLE}', with: {google}}}
- env:
    ACCOUNT: ${{{{ steps.aws.outputs.aws-account-id }}}}
    FILE: ${{{{ steps.gcp.outputs.credentials_file_path }}}}
  run: |
    echo "$AWS_REGION ${{#AWS_SESSION_TOKEN}} $ACCOUNT"
    ls ~/.azure gha-creds-*.json && echo "in $GCP_PROJECT"
    test "$GOOGLE_APPLICATION_CREDENTIALS" = "$FILE"
"""
    at.runner.own_machines.add("mine")
    (run,) = at.push(w=job(steps, ASKS).replace("ubuntu-latest", "mine"))
    assert run.result == "success", run.log
    for told in ("eu-west-1 64 123456789012", "msal_token_cache.json", "in acme-models"):
        assert told in run.log
    assert sorted({who for who, _ in believer.logins}) == sorted({ROLE, "app", ACCOUNT})
    kept = at.runner.folder / "machines" / "mine"
    assert [*kept.rglob("gha-creds-*"), *kept.rglob("msal_token_cache.json")] == []


@pytest.mark.parametrize(
    ("trusted", "audience", "why"),
    [
        ("repo:ada/churn:environment:production", "sts.amazonaws.com", "may not be"),
        (MAIN, "another", "may not be"),
        ("repo:ada/other:ref:refs/heads/main", "sts.amazonaws.com", "may not be"),
    ],
)
def test_the_cloud_lets_in_whom_it_was_told_to(
    at: Place, believer: Cloud, trusted: str, audience: str, why: str
) -> None:
    """Subject and audience count, each as a whole."""
    believer.trust(ROLE, audience, trusted)
    (run,) = at.push(w=job(LOGIN, ASKS))
    assert run.result == "failure"
    assert why in run.log


def test_the_cloud_believes_one_hub(at: Place, believer: Cloud, tmp_path: Path) -> None:
    """A token that nobody has signed, or somebody else, lets nobody in."""
    from joserfc import jwt
    from joserfc.jwk import OctKey, RSAKey

    believer.trust(ROLE, "sts.amazonaws.com", MAIN)
    claims = {"iss": believer.issuer, "aud": "sts.amazonaws.com", "sub": MAIN, "nbf": 0}
    claims |= {"exp": 9_999_999_999}
    for key, header in (
        (RSAKey.generate_key(2048, {"kid": "hub"}), {"alg": "RS256", "kid": "hub"}),
        (OctKey.import_key("0123456789abcdef0123456789abcdef"), {"alg": "HS256", "kid": "hub"}),
    ):
        with pytest.raises(DeniedError):
            believer.login(ROLE, jwt.encode(header, claims, key))


def test_an_action_of_the_project_is_that_of_the_checkout(at: Place, believer: Cloud) -> None:
    """Its steps set the job's variables, know its inputs and outputs, and see no secret."""
    at.runner.secrets["KEY"] = "canary"
    believer.trust(ROLE, "sts.amazonaws.com", MAIN)
    folder = at.ada.folder / ".github/actions/login"
    folder.mkdir(parents=True)
    action = f"""\
name: Log in
inputs: {{where: {{default: eu}}, who: {{}}}}
outputs: {{said: {{value: '${{{{ steps.say.outputs.said }}}}'}}}}
runs:
  using: composite
  steps:
    - uses: {AWS}
      with: {{role-to-assume: '{ROLE}', aws-region: '${{{{ inputs.where }}}}-west-1'}}
    - id: say
      shell: bash
      run: |
        echo "FROM_ACTION=${{{{ github.job }}}} ${{{{ inputs.who }}}}" >> "$GITHUB_ENV"
        echo "said=$AWS_REGION" >> "$GITHUB_OUTPUT"
"""
    (folder / "action.yml").write_text(action, "utf-8")
    use = "- {id: it, uses: ./.github/actions/login, with: {who: ada}}\n"
    tell = '- run: echo "<$FROM_ACTION> <${{ steps.it.outputs.said }}> <$AWS_REGION>"\n'
    (run,) = at.push(w=job(f"- uses: {CHECKOUT}\n{use}{tell}", ASKS))
    assert "<one ada> <eu-west-1> <eu-west-1>" in run.log, run.log
    (run,) = at.push(w=job(use + tell, ASKS))
    assert "is the repository checked out?" in run.log
    for old, new, error in (
        ("using: composite", "using: node24", UnsupportedError),
        ("aws-region:", "aws-regio:", UnsupportedError),
        ("      shell: bash\n", "", None),
        ("inputs.who", "secrets.KEY", None),
        ("name: Log in", "name: Log in\npost: true", UnsupportedError),
        ("ececac1", "0000000", UnsupportedError),
    ):
        assert old in action
        (folder / "action.yml").write_text(action.replace(old, new), "utf-8")
        text = job(f"- uses: {CHECKOUT}\n{use}{tell}", ASKS)
        if error is None:
            (run,) = at.push(w=text)
            assert run.result == "failure"
            assert "canary" not in run.log
        else:
            with pytest.raises(error):
                at.push(w=text)
            at.runner.runs.clear()


@pytest.mark.parametrize(
    "step",
    [
        LOGIN.replace("role-to-assume", "role"),
        LOGIN.replace("ececac1", "0000000"),
        f"- {{uses: '{AZURE}', with: {{creds: it}}}}",
        f"- {{uses: '{GOOGLE}', with: {{credentials_json: it}}}}",
    ],
)
def test_an_input_that_is_not_known_is_an_error(at: Place, step: str) -> None:
    """As is another version: what it leaves is not known either."""
    with pytest.raises(UnsupportedError):
        at.push(w=job(step, ASKS))


def test_an_environment_admits_branches_and_tags_apart(at: Place) -> None:
    """A rule for branches lets no tag through, of whatever name, and no pull request."""
    rule = Environment(branches=("main",), tags=("*#production#*",))
    admitted = [rule.admits(f"refs/{it}") for it in ("heads/main", "tags/churn#production#1")]
    refused = [rule.admits(f"refs/{it}") for it in ("tags/main", "heads/dev", "pull/1/merge")]
    assert (admitted, refused) == ([True, True], [False] * 3)
    assert Environment().admits("refs/pull/1/merge")
