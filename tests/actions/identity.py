"""The tokens by which a job says who it is: GitHub's OpenID Connect provider, for tests.

A job that has `id-token: write` gets an address and a token in its variables. Whoever asks there,
for an audience, gets a token that the hub has signed; its claims are those that GitHub documents.
A cloud checks it by the keys that the hub publishes.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Mapping
from functools import cached_property
from typing import Any
from urllib.parse import quote

from joserfc import jwt
from joserfc.jwk import KeySet, RSAKey

from tests.actions.errors import UnsupportedError

PATH = "/_services/token"  # where the provider of a GitHub of one's own is
_LIFE = 300  # seconds
_BY_REF = ("push", "schedule", "workflow_dispatch", "repository_dispatch")


class Issuer:
    """Signs tokens, for whoever has what a job was given to ask for them."""

    def __init__(self) -> None:
        self.url = ""  # of the hub
        self._claims: dict[str, Mapping[str, str]] = {}

    @cached_property
    def _keys(self) -> KeySet:
        return KeySet([RSAKey.generate_key(parameters={"kid": "hub"})])

    def grant(self, token: str, claims: Mapping[str, str]) -> Mapping[str, str]:
        """Let a token ask for what says these claims; the variables of the job."""
        self._claims[token] = claims
        return {
            "ACTIONS_ID_TOKEN_REQUEST_URL": f"{self.url}{PATH}/request?api-version=2.0",
            "ACTIONS_ID_TOKEN_REQUEST_TOKEN": token,
        }

    def revoke(self, token: str) -> None:
        """Let it ask for nothing more, as when the job has ended."""
        self._claims.pop(token, None)

    def answer(self, path: str, query: Mapping[str, str], bearer: str) -> tuple[int, Any]:
        """What is answered below `PATH`: a token, or by what it is checked."""
        issuer = f"{self.url}{PATH}"
        if path == f"{PATH}/.well-known/openid-configuration":
            return 200, {"issuer": issuer, "jwks_uri": f"{issuer}/.well-known/jwks"}
        if path == f"{PATH}/.well-known/jwks":
            return 200, self._keys.as_dict(private=False)
        claims = self._claims.get(bearer)
        if path != f"{PATH}/request" or query.get("api-version") != "2.0" or claims is None:
            return 401, {"message": "no token for this"}
        now = int(time.time())
        told = {
            **claims,
            "iss": issuer,
            "aud": query.get("audience") or f"{self.url}/{claims['repository_owner']}",
            "jti": str(uuid.uuid4()),
            "iat": now,
            "nbf": now - 60,
            "exp": now + _LIFE,
        }
        return 200, {"value": jwt.encode({"alg": "RS256", "kid": "hub"}, told, self._keys)}


def claims(
    github: Mapping[str, Any], caller: str, called: str, environment: str | None
) -> dict[str, str]:
    """What a job's token says of it; an environment takes the place of the ref in the subject.

    `caller` is the path of the workflow that was started, `called` of the one that has the job.
    """
    repository, ref = str(github["repository"]), str(github["ref"])
    told = {
        name: str(github[name])
        for name in (
            "actor", "base_ref", "event_name", "head_ref", "ref", "ref_type", "repository",
            "repository_owner", "run_attempt", "run_id", "run_number", "sha", "workflow",
        )
    }  # fmt: skip
    told["workflow_ref"] = f"{repository}/{caller}@{ref}"
    told["job_workflow_ref"] = f"{repository}/{called}@{ref}"
    told["workflow_sha"] = told["job_workflow_sha"] = told["sha"]
    told["repository_visibility"] = "private"
    if environment is not None:
        told["environment"] = environment
    told["sub"] = f"repo:{repository}:{_what(told)}"
    return told


def _what(told: Mapping[str, str]) -> str:
    if "environment" in told:
        return f"environment:{quote(told['environment'], safe=' ').replace('%2F', '/')}"
    if told["event_name"] == "pull_request":
        return "pull_request"
    if told["event_name"] not in _BY_REF:
        raise UnsupportedError(f"the subject of a token for {told['event_name']}")
    return f"ref:{told['ref']}"
