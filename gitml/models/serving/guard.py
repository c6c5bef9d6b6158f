"""What every request passes: who may ask, and what every answer carries.

A page in a browser must not reach a server on the user's own machine: not by a host name that an
attacker points to 127.0.0.1, and not by a form or script of another site.
"""

from __future__ import annotations

import ipaddress
import re
import time
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from gitml.models.serving.bodies import Receive
from gitml.models.serving.metrics import Metrics
from gitml.models.serving.refused import RefusedError

Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Scope = MutableMapping[str, Any]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

MAX_HEAD = 65_536  # bytes
CLOSE = {"Connection": "close"}  # what may follow on the connection is not read
_CLOSED = (b"connection", b"close")
_HEADERS = (
    (b"x-content-type-options", b"nosniff"),
    (b"cache-control", b"no-store"),
)
_HOST = re.compile(r"(?:[\w.-]+|\[[0-9a-fA-F:.]+\])(?::\d{1,5})?", re.ASCII)
_SAFE = ("GET", "HEAD", "OPTIONS")


def is_loopback(host: str) -> bool:
    """Whether a host name or address is that of this machine alone."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


class Guard:
    """An ASGI application around another one: checks, counts, and adds headers.

    `local` says that the server listens to its own machine only.
    """

    def __init__(self, app: App, metrics: Metrics, *, local: bool) -> None:
        self._app = app
        self._metrics = metrics
        self._local = local

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        start, status = time.perf_counter(), 499  # the client went away
        # The parser stops at an Upgrade, which no server has to obey.
        more = (_CLOSED,) if any(name == b"upgrade" for name, _ in scope["headers"]) else ()

        async def sent(message: MutableMapping[str, Any]) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message.get("headers", ()), *_HEADERS, *more]
            await send(message)

        self._metrics.start()
        try:
            refusal = check(scope, local=self._local)
            if refusal is None:
                await self._app(scope, receive, sent)
            else:
                await refuse(sent, refusal)
        finally:
            self._metrics.end(scope["path"], status, time.perf_counter() - start)


def check(scope: Scope, *, local: bool) -> RefusedError | None:
    """Why a request is refused whatever it asks for; None when it is not."""
    if (refusal := _check_framing(scope)) is not None:
        return refusal
    size = len(scope["raw_path"]) + sum(len(name) + len(it) for name, it in scope["headers"])
    if size > MAX_HEAD or scope["http_version"] not in ("1.0", "1.1"):
        return RefusedError("the head of the request is too long, or no HTTP/1.1", headers=CLOSE)
    hosts = [value for name, value in scope["headers"] if name == b"host"]
    host = hosts[0].decode("latin-1") if len(hosts) == 1 else ""
    if not _HOST.fullmatch(host):
        return RefusedError("the request must have one Host")
    if local and not is_loopback(_name(host)):
        return RefusedError(
            "this server answers to localhost and 127.0.0.1 only; serve with --host to open it", 403
        )
    if scope["method"] not in _SAFE and _is_foreign(scope["headers"], host):
        return RefusedError("requests from pages of other sites are refused", 403)
    return None


def _check_framing(scope: Scope) -> RefusedError | None:
    """Refuse what a proxy before this server may understand in another way."""
    headers = scope["headers"]
    names = [name for name, _ in headers]
    codings = [value for name, value in headers if name == b"transfer-encoding"]
    if names.count(b"content-length") + len(codings) > 1:
        return RefusedError("the request says its length in two ways", headers=CLOSE)
    if codings and (codings[0].lower() != b"chunked" or scope["http_version"] == "1.0"):
        return RefusedError("a Transfer-Encoding can be chunked only", headers=CLOSE)
    if names.count(b"content-type") > 1:
        return RefusedError("the request must have one Content-Type", headers=CLOSE)
    if b"upgrade" in names and (codings or b"content-length" in names):
        return RefusedError("a request with a body can't be one for an Upgrade", headers=CLOSE)
    return None


def _is_foreign(headers: list[tuple[bytes, bytes]], host: str) -> bool:
    """Whether a browser says that a page of another site sends the request."""
    return any(
        (name == b"origin" and not _is_own(value.decode("latin-1"), host))
        or (name == b"sec-fetch-site" and value in (b"cross-site", b"same-site"))
        for name, value in headers
    )


def _name(host: str) -> str:
    """The host without its port."""
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host.partition(":")[0].rstrip(".").lower()


def _is_own(origin: str, host: str) -> bool:
    scheme, _, rest = origin.partition("://")
    return scheme in ("http", "https") and rest.lower() == host.lower()


async def respond(
    send: Send, status: int, body: bytes, headers: tuple[tuple[bytes, bytes], ...] = ()
) -> None:
    """Send a whole answer, JSON unless `headers` say another type."""
    typed = any(name == b"content-type" for name, _ in headers)
    kind = () if typed else ((b"content-type", b"application/json"),)
    length = (b"content-length", str(len(body)).encode())
    await send(
        {"type": "http.response.start", "status": status, "headers": [*kind, length, *headers]}
    )
    await send({"type": "http.response.body", "body": body})


async def refuse(send: Send, refused: RefusedError) -> None:
    """Send a refusal."""
    headers = ((name.lower().encode(), text.encode()) for name, text in refused.headers.items())
    await respond(send, refused.status, refused.body(), tuple(headers))
