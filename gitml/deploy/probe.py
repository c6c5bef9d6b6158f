"""Asking a scoring server what it serves, whether it is well, and for a prediction."""

from __future__ import annotations

import contextlib
import http.client
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from gitml.documents import load_json
from gitml.errors import FormatError, UsageError, shown

_SECONDS = 5.0  # for an answer; a prediction may take longer
_PREDICTION_SECONDS = 60.0
_MAX = 1 << 16  # bytes of an answer that are read
_ANY = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}
NAMES = ("model", "version", "run_id", "digest")  # what tells a version: fields of `Live`


@dataclass(frozen=True, slots=True)
class Live:
    """What answers at an address.

    `is_there` says whether anything does, `is_ours` whether that is a server of gitml's; then
    `model`, `version`, `run_id` and `digest` are what it serves, if it knows them. `is_well` tells
    that it is ready to predict, and `why` what is wrong otherwise.
    """

    is_there: bool = False
    is_ours: bool = False
    is_well: bool = False
    model: str | None = None
    version: str | None = None
    run_id: str | None = None
    digest: str | None = None
    why: str = ""


@dataclass(frozen=True, slots=True)
class Address:
    """Where a server is asked; `path` stands before the names of what it answers."""

    host: str
    port: int
    is_secure: bool = False
    path: str = ""

    @property
    def url(self) -> str:
        """As a URL."""
        name = f"[{self.host}]" if ":" in self.host else self.host
        return f"http{'s' * self.is_secure}://{name}:{self.port}{self.path}"


def address_of(url: str) -> Address:
    """The address that a URL has. Raises UsageError for what is no URL of a server."""
    try:
        parts = urlsplit(url)
        port = parts.port or (443 if parts.scheme == "https" else 80)
    except ValueError:
        raise UsageError(f"{shown(url)} is no URL of a server") from None
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.username is not None:
        raise UsageError(f"{shown(url)} is no URL of a server such as https://churn.example.org")
    return Address(parts.hostname, port, parts.scheme == "https", parts.path.rstrip("/"))


def address_at(host: str, port: int) -> Address:
    """Where a server that listens at a host of this machine is asked from here."""
    return Address(_ANY.get(host, host), port)


def look(address: Address) -> Live:
    """What answers there now."""
    try:
        status, body = _ask(address, "GET", "/version")
    except OSError as error:
        return Live(why=_reason(error))
    told = _document(body) if status == 200 else None
    if told is None or "gitml_version" not in told:
        return Live(is_there=True, why="what answers there is no server of gitml's")
    names = {key: _plain(told.get(key)) for key in NAMES}
    why = unwell(address)
    return Live(True, True, not why, **names, why=why)


def unwell(address: Address, path: str = "/ping") -> str:
    """Why a server is not ready to predict; empty when it answers 200 at a path."""
    try:
        status, body = _ask(address, "GET", path)
    except OSError as error:
        return _reason(error)
    return "" if status == 200 else _refusal(status, body)


def refuses(address: Address, request: bytes) -> str:
    """Why a server does not predict for a body of JSON; empty when it does."""
    try:
        status, body = _ask(address, "POST", "/invocations", request, _PREDICTION_SECONDS)
    except OSError as error:
        return _reason(error)
    return "" if status == 200 else _refusal(status, body)


def wrong(address: Address, digest: str, request: str) -> str:
    """Why what answers is no server of a version that is well and predicts; empty when it is.

    `request` is the body of the prediction, empty where there is none to ask for.
    """
    live = look(address)
    if not live.is_well:
        return f"it is not well: {live.why}"
    if live.digest != digest:
        return f"it serves {live.digest}, and {digest} was asked for"
    if request and (why := refuses(address, request.encode())):
        return f"it does not predict for the model's own example: {why}"
    return ""


def _ask(
    address: Address,
    method: str,
    path: str,
    body: bytes | None = None,
    seconds: float = _SECONDS,
) -> tuple[int, bytes]:
    """The status and the first bytes of an answer; OSError without one in so many seconds."""
    end = time.monotonic() + seconds
    try:
        return _asked(address, (method, path, body), seconds)
    except (http.client.HTTPException, ValueError, OSError) as error:
        if time.monotonic() >= end:
            raise TimeoutError from None
        if isinstance(error, OSError):
            raise
        is_http = isinstance(error, http.client.HTTPException)
        what = "does not speak HTTP" if is_http else "is no address"
        raise OSError(f"{address.url} {what}: {type(error).__name__}") from None


def _asked(
    address: Address, request: tuple[str, str, bytes | None], seconds: float
) -> tuple[int, bytes]:
    kind = http.client.HTTPSConnection if address.is_secure else http.client.HTTPConnection
    connection = kind(address.host, address.port, timeout=seconds)
    with contextlib.closing(connection):
        connection.connect()
        with _ending(connection.sock, seconds) as is_over:
            method, path, body = request
            headers = {"Content-Type": "application/json"} if body is not None else {}
            connection.request(method, address.path + path or "/", body, headers)
            answer = connection.getresponse()
            found = answer.status, answer.read(_MAX)
        if is_over():
            raise TimeoutError
        return found


@contextmanager
def _ending(line: socket.socket, seconds: float) -> Iterator[Callable[[], bool]]:
    """End a connection after a time, also one whose other side says a byte now and then."""
    over = threading.Event()

    def cut() -> None:
        over.set()
        with contextlib.suppress(OSError):
            socket.socket.shutdown(line, socket.SHUT_RDWR)  # below TLS, where there is any

    timer = threading.Timer(seconds, cut)
    timer.daemon = True
    timer.start()
    try:
        yield over.is_set
    finally:
        timer.cancel()


def _document(body: bytes) -> dict[str, Any] | None:
    try:
        told = load_json(body, "the answer")
    except FormatError:
        return None
    return told if isinstance(told, dict) else None


def _plain(value: object) -> str | None:
    return value if isinstance(value, str) and value.isprintable() else None


def _refusal(status: int, body: bytes) -> str:
    told = _document(body) or {}
    return f"it answers {status}: {shown(str(told.get('message') or 'without saying why'))}"


def _reason(error: OSError) -> str:
    return "it does not answer in time" if isinstance(error, TimeoutError) else _said(error)


def _said(error: OSError) -> str:
    return "nothing answers" if isinstance(error, ConnectionError) else shown(str(error))
