"""A cloud for tests: it believes a hub's tokens, for what it was told to, and has a bucket.

It checks a token as AWS, Azure and Google do: the signature by the keys that the issuer publishes,
then issuer, audience, times and subject. What it gives out opens the bucket, which is an S3 server
behind it, until it expires.
"""

from __future__ import annotations

import json
import re
import secrets
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

from tests.actions.identity import PATH


class DeniedError(Exception):
    """The cloud does not let somebody in."""


class Trust(NamedTuple):
    """Who may be what: the subject of a token, for an audience, and a role or an account."""

    principal: str
    audience: str
    subject: str


class Credentials(NamedTuple):
    """What a role's session is known by."""

    key: str
    secret: str
    session: str


class Cloud:
    """What it trusts, and who is logged in."""

    def __init__(self, bucket: str) -> None:
        self.issuer = ""
        self.bucket = bucket
        self.url = ""
        self.trusts: list[Trust] = []
        self.sessions: dict[str, tuple[str, str]] = {}  # the principal and the key of each
        self.logins: list[tuple[str, str]] = []  # of which principal by which subject

    def believe(self, hub: str) -> None:
        """Take the tokens that a hub has signed."""
        self.issuer = f"{hub}{PATH}"

    def trust(self, principal: str, audience: str, *subjects: str) -> None:
        """Let these subjects be a principal."""
        self.trusts += [Trust(principal, audience, subject) for subject in subjects]

    def login(self, principal: str, token: str) -> Credentials:
        """Let somebody in by a token. Raises DeniedError."""
        claims = self._verified(token)
        asked = Trust(principal, claims["aud"], claims["sub"])
        if asked not in self.trusts:
            raise DeniedError(f"AccessDenied: {asked.subject} may not be {principal}")
        self.logins.append((principal, asked.subject))
        return self.issue(principal)

    def issue(self, principal: str) -> Credentials:
        """New credentials of a principal."""
        found = Credentials(
            f"ASIA{secrets.token_hex(8).upper()}", *map(secrets.token_hex, (20, 32))
        )
        self.sessions[found.session] = (principal, found.key)
        return found

    def expire(self, principal: str) -> None:
        """Let an hour go by: who is logged in as a principal is so no longer."""
        self.sessions = {key: it for key, it in self.sessions.items() if it[0] != principal}

    def admits(self, authorization: str, session: str) -> bool:
        """Whether a request is of somebody who is logged in."""
        found = re.search(r"Credential=([A-Z0-9]+)/", authorization)
        return found is not None and self.sessions.get(session, ("", ""))[1] == found[1]

    def _verified(self, token: str) -> dict[str, Any]:
        told = _json(f"{self.issuer}/.well-known/openid-configuration")
        keys = KeySet.import_key_set(_json(told["jwks_uri"]))
        try:
            claims = jwt.decode(token, keys, algorithms=["RS256"]).claims
        except (JoseError, ValueError) as error:
            raise DeniedError(f"InvalidIdentityToken: {error}") from error
        if not (told["issuer"] == self.issuer == claims["iss"]):
            raise DeniedError(f"InvalidIdentityToken: of {claims['iss']}")
        if not claims["nbf"] <= time.time() < claims["exp"]:
            raise DeniedError("ExpiredTokenException")
        return claims


def _json(url: str) -> Any:
    with urllib.request.urlopen(url, timeout=30) as told:
        return json.loads(told.read())


@contextmanager
def before(bucket: str) -> Iterator[Cloud]:
    """A cloud before an S3 server, as long as the block runs."""
    cloud = Cloud(bucket)

    class Handler(_Gate):
        behind = cloud

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    cloud.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield cloud
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Gate(BaseHTTPRequestHandler):
    """Passes a request on to the bucket if it is of somebody who is logged in."""

    protocol_version = "HTTP/1.1"
    behind: Cloud

    def log_message(self, *_: Any) -> None:
        """Say nothing."""

    def do_GET(self) -> None:
        """Answer one request; the other methods are served by the same."""
        self.close_connection = True
        if self.path.startswith(EXPIRE):
            self.behind.expire(self.path.removeprefix(EXPIRE))
            self._send(200, {}, b"")
            return
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        known = [self.headers.get(it, "") for it in ("Authorization", "X-Amz-Security-Token")]
        if not self.behind.admits(*known):
            self._send(403, {}, b"<Error><Code>ExpiredToken</Code></Error>")
            return
        host = urlsplit(self.behind.bucket).netloc
        connection = HTTPConnection(host, timeout=60)
        connection.request(self.command, self.path, body, dict(self.headers.items()))
        answer = connection.getresponse()
        kept = {name: value for name, value in answer.getheaders() if name not in _HOP}
        self._send(answer.status, kept, answer.read())
        connection.close()

    do_HEAD = do_POST = do_PUT = do_DELETE = do_GET  # noqa: N815

    def _send(self, status: int, headers: dict[str, str], body: bytes) -> None:
        self.send_response(status)
        told = headers if self.command == "HEAD" else {**headers, "Content-Length": str(len(body))}
        for name, value in told.items():
            self.send_header(name, value)
        self.send_header("Connection", "close")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)


EXPIRE = "/expire?"  # and a principal: an hour goes by for it
_HOP = ("Connection", "Transfer-Encoding", "Server", "Date")
