"""One HTTP request and its answer, within a time and a size; it follows no redirect."""

from __future__ import annotations

import http.client
import socket
import threading
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import urlsplit

from gitml.forge.access import LOOPBACK

if TYPE_CHECKING:
    from urllib.request import OpenerDirector

_SILENCE = 20.0  # seconds that the other side may say nothing
_CHUNK = 65536


class Answer(NamedTuple):
    """What came back: the names of headers are in lower case."""

    status: int
    headers: Mapping[str, str]
    data: bytes


class NoAnswer(NamedTuple):
    """Why nothing came back that counts.

    `was_sent` tells that the request may have arrived, `is_final` that another try is of no use.
    """

    reason: str
    was_sent: bool = True
    is_final: bool = False


def ask(
    method: str, url: str, headers: Mapping[str, str], data: bytes | None, seconds: float, size: int
) -> Answer | NoAnswer:
    """Send a request and read its answer, of at most `size` bytes, within about `seconds`."""
    from urllib.error import URLError
    from urllib.request import Request

    watch = _Watch(seconds)
    request = Request(url, data, dict(headers), method=method)
    try:
        with watch, _opener(url, watch).open(request, timeout=min(_SILENCE, seconds)) as response:
            found = {name.lower(): value for name, value in response.headers.items()}
            return _bounded(response, found, watch, size)
    except URLError as error:  # it could not be connected, or not sent as a whole
        is_forged = type(error.reason).__name__ == "SSLCertVerificationError"
        was_sent = not (is_forged or isinstance(error.reason, _NEVER_SENT))
        return NoAnswer(_reason(error.reason, watch), was_sent, is_forged)
    except (OSError, http.client.HTTPException) as error:
        return NoAnswer(_reason(error, watch))


_NEVER_SENT = (ConnectionRefusedError, socket.gaierror)


def _bounded(
    response: Any, headers: Mapping[str, str], watch: _Watch, size: int
) -> Answer | NoAnswer:
    """The answer, unless it is too large, or comes too slowly."""
    data = bytearray()
    while chunk := response.read1(_CHUNK):
        data += chunk
        if len(data) > size:
            return NoAnswer(f"the answer has more than {size:,} bytes", is_final=True)
        if watch.is_over:
            return NoAnswer(f"the answer takes more than {watch.seconds:.0f} seconds")
    if response.length:
        return NoAnswer("the answer is cut off")
    return Answer(response.status, headers, bytes(data))


def _reason(error: object, watch: _Watch) -> str:
    if watch.is_over or isinstance(error, TimeoutError):
        return f"no answer within {watch.seconds:.0f} seconds"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return type(error).__name__ if isinstance(error, Exception) else str(error)


class _Watch:
    """Ends a connection whose other side says its headers byte by byte, for ever."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._end = time.monotonic() + seconds
        self._connection: http.client.HTTPConnection | None = None
        self._timer = threading.Timer(seconds, self._cut)
        self._timer.daemon = True

    def __enter__(self) -> None:
        self._timer.start()

    def __exit__(self, *_: object) -> None:
        self._timer.cancel()

    @property
    def is_over(self) -> bool:
        """Whether the time is up."""
        return time.monotonic() >= self._end

    def watched(self, connection: http.client.HTTPConnection) -> http.client.HTTPConnection:
        """The connection, which is this watch's from now on."""
        self._connection = connection
        return connection

    def _cut(self) -> None:
        found = self._connection.sock if self._connection else None
        if found is not None:
            try:
                found.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass  # it is closed already


def _opener(url: str, watch: _Watch) -> OpenerDirector:
    """What opens a URL, through the proxy that the environment names; nothing else is in it."""
    from urllib.request import HTTPHandler, HTTPSHandler, OpenerDirector, ProxyHandler

    class Plain(HTTPHandler):
        def http_open(self, request: Any) -> Any:
            return self.do_open(_connection(http.client.HTTPConnection, watch), request)

    class Private(HTTPSHandler):
        def https_open(self, request: Any) -> Any:
            return self.do_open(_connection(http.client.HTTPSConnection, watch), request)

    opener = OpenerDirector()
    is_here = urlsplit(url).hostname in LOOPBACK
    for handler in (ProxyHandler({} if is_here else None), Plain(), Private()):
        opener.add_handler(handler)
    return opener


def _connection(kind: type[http.client.HTTPConnection], watch: _Watch) -> Any:
    return lambda host, **options: watch.watched(kind(host, **options))
