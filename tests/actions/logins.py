"""The actions by which a job logs in to a cloud without a secret: AWS's, Azure's and Google's.

Each asks the hub for a token for its audience, shows it to the cloud, and leaves what the real one
leaves for the steps to come. Of their inputs only those are known that a login of this kind needs.
"""

from __future__ import annotations

import json
import os
import urllib.error
import urllib.request
from collections.abc import Mapping
from urllib.parse import quote

from tests.actions.cloud import Credentials, DeniedError
from tests.actions.errors import InvalidError
from tests.actions.work import Work

AWS_INPUTS = frozenset({"role-to-assume", "aws-region", "audience", "role-session-name"})
AZURE_INPUTS = frozenset({"client-id", "tenant-id", "subscription-id", "audience"})
GOOGLE_INPUTS = frozenset(
    {"workload_identity_provider", "service_account", "project_id", "audience"}
)


def aws(work: Work, given: Mapping[str, str]) -> dict[str, str]:
    """`aws-actions/configure-aws-credentials`: credentials of an hour, as variables."""
    role, region = _required(given, "role-to-assume", "aws-region")
    found = _login(work, role, given.get("audience") or "sts.amazonaws.com")
    work.env |= {
        "AWS_DEFAULT_REGION": region,
        "AWS_REGION": region,
        "AWS_ACCESS_KEY_ID": found.key,
        "AWS_SECRET_ACCESS_KEY": found.secret,
        "AWS_SESSION_TOKEN": found.session,
    }
    return {"aws-account-id": role.split(":")[4]}


def azure(work: Work, given: Mapping[str, str]) -> None:
    """`azure/login`: the command line's session, in the home of who runs the job."""
    client, tenant = _required(given, "client-id", "tenant-id")
    found = _login(work, client, given.get("audience") or "api://AzureADTokenExchange")
    folder = work.machine.home / ".azure"
    folder.mkdir(exist_ok=True)
    cache = folder / "msal_token_cache.json"
    told = {"secret": found.session, "client_id": client, "realm": tenant}
    cache.write_text(json.dumps({"AccessToken": {"it": told}}), "utf-8")
    work.afterwards.append(lambda: cache.unlink(missing_ok=True))


def google(work: Work, given: Mapping[str, str]) -> dict[str, str]:
    """`google-github-actions/auth`: a file of credentials, in the folder of the checkout.

    The file has what is needed to ask for another token, as long as the job runs.
    """
    provider, account = _required(given, "workload_identity_provider", "service_account")
    audience = given.get("audience") or f"https://iam.googleapis.com/{provider}"
    _login(work, account, audience)
    asked = f"{work.identity['ACTIONS_ID_TOKEN_REQUEST_URL']}&audience={quote(audience, safe='')}"
    bearer = work.identity["ACTIONS_ID_TOKEN_REQUEST_TOKEN"]
    told = {
        "type": "external_account",
        "audience": f"//iam.googleapis.com/{provider}",
        "subject_token_type": "urn:ietf:params:oauth:token-type:jwt",
        "token_url": "https://sts.googleapis.com/v1/token",
        "service_account_impersonation_url": "https://iamcredentials.googleapis.com/v1/projects/-"
        f"/serviceAccounts/{account}:generateAccessToken",
        "credential_source": {
            "url": asked,
            "headers": {"Authorization": f"Bearer {bearer}"},
            "format": {"type": "json", "subject_token_field_name": "value"},
        },
    }
    file = work.machine.workspace / f"gha-creds-{os.urandom(8).hex()}.json"
    file.write_text(json.dumps(told), "utf-8")
    file.chmod(0o640)
    work.afterwards.append(lambda: file.unlink(missing_ok=True))
    project = given.get("project_id") or account.partition("@")[2].partition(".")[0]
    names = ("CLOUDSDK_CORE_PROJECT", "CLOUDSDK_PROJECT", "GCLOUD_PROJECT", "GCP_PROJECT")
    work.env |= dict.fromkeys((*names, "GOOGLE_CLOUD_PROJECT"), project)
    files = ("CLOUDSDK_AUTH_CREDENTIAL_FILE_OVERRIDE", "GOOGLE_APPLICATION_CREDENTIALS")
    work.env |= dict.fromkeys((*files, "GOOGLE_GHA_CREDS_PATH"), str(file))
    return {"project_id": project, "credentials_file_path": str(file)}


def _required(given: Mapping[str, str], *names: str) -> tuple[str, ...]:
    for name in names:
        if not given.get(name):
            raise InvalidError(f"the input {name} is missing")
    return tuple(given[name] for name in names)


def _login(work: Work, principal: str, audience: str) -> Credentials:
    """Show the cloud a token of the job's. InvalidError where there is none, or it is refused."""
    if not work.identity:
        raise InvalidError("the job has no ACTIONS_ID_TOKEN_REQUEST_TOKEN: id-token is not granted")
    if work.cloud is None:
        raise InvalidError("there is no cloud")
    url = work.identity["ACTIONS_ID_TOKEN_REQUEST_URL"]
    request = urllib.request.Request(
        f"{url}&audience={quote(audience, safe='')}",
        headers={"Authorization": f"Bearer {work.identity['ACTIONS_ID_TOKEN_REQUEST_TOKEN']}"},
    )
    try:
        with urllib.request.urlopen(request, timeout=30) as told:
            return work.cloud.login(principal, json.loads(told.read())["value"])
    except (urllib.error.HTTPError, DeniedError) as error:
        raise InvalidError(f"no login as {principal}: {error}") from error
