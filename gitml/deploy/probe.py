"""Asking a scoring server what it serves, whether it is well, and for a prediction."""

from __future__ import annotations

import http.client
import json
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from gitml.errors import UsageError, shown

_SECONDS = 5.0  # for an answer; a prediction may take longer
_PREDICTION_SECONDS = 60.0
_MAX = 1 << 16  # bytes of an answer that are read
_KEYS = ("model", "version", "run_id", "digest")


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


def look(address: Address) -> Live:
    """What answers there now."""
    try:
        status, body = _ask(address, "GET", "/version")
    except OSError as error:
        return Live(why=_reason(error))
    told = _document(body) if status == 200 else None
    if told is None or "gitml_version" not in told:
        return Live(is_there=True, why="what answers there is no server of gitml's")
    names = {key: told[key] if isinstance(told.get(key), str) else None for key in _KEYS}
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


def _ask(
    address: Address,
    method: str,
    path: str,
    body: bytes | None = None,
    seconds: float = _SECONDS,
) -> tuple[int, bytes]:
    """The status and the first bytes of an answer; OSError without one."""
    kind = http.client.HTTPSConnection if address.is_secure else http.client.HTTPConnection
    connection = kind(address.host, address.port, timeout=seconds)
    headers = {"Content-Type": "application/json"} if body is not None else {}
    try:
        connection.request(method, address.path + path or "/", body, headers)
        answer = connection.getresponse()
        return answer.status, answer.read(_MAX)
    except http.client.HTTPException as error:
        raise OSError(f"it does not speak HTTP: {type(error).__name__}") from error
    finally:
        connection.close()


def _document(body: bytes) -> dict[str, Any] | None:
    try:
        told = json.loads(body)
    except ValueError:
        return None
    return told if isinstance(told, dict) else None


def _refusal(status: int, body: bytes) -> str:
    told = _document(body) or {}
    return f"it answers {status}: {shown(str(told.get('message') or 'without saying why'))}"


def _reason(error: OSError) -> str:
    return "it does not answer in time" if isinstance(error, TimeoutError) else _said(error)


def _said(error: OSError) -> str:
    return "nothing answers" if isinstance(error, ConnectionError) else shown(str(error))
