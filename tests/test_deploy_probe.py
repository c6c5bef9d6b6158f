"""Asking what is live: whatever answers there, the one who asks goes on."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from gitml.deploy import probe
from gitml.deploy.probe import Address


@contextmanager
def answering(data: bytes, pause: float = 0.0) -> Iterator[Address]:
    """Something that says these bytes to everybody, with a pause after each if one is given."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            while True:
                try:
                    line, _ = server.accept()
                    with line:
                        line.recv(1000)
                        for at in range(0, len(data), 1 if pause else len(data)):
                            line.sendall(data[at : at + 1] if pause else data)
                            time.sleep(pause)
                except OSError:
                    return

        threading.Thread(target=serve, daemon=True).start()
        yield Address("127.0.0.1", server.getsockname()[1])


def http(body: bytes) -> bytes:
    """An answer of HTTP."""
    return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)


@pytest.mark.parametrize(
    "data", [b"HTTP/1.1 200 OK\r\n" + b"X" * 900, b"HTTP/1.1 200 OK\r\n\r\n" + b"{" * 900]
)
def test_a_drip_is_no_answer(data: bytes) -> None:
    """A byte now and then, in the headers or behind them, holds nobody for longer than silence."""
    with answering(data, 0.1) as address:
        begun = time.monotonic()
        live = probe.look(address)
        assert (live.is_there, live.why) == (False, "it does not answer in time")
        assert time.monotonic() - begun < 30


@pytest.mark.parametrize(
    "data",
    [
        http(b"[" * 60_000),
        http(b'{"gitml_version": ' + b"9" * 5000 + b"}"),
        http(b"\xff"),
        b"HTTP/1.1 abc\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    ],
)
def test_nonsense_is_no_server_of_ours(data: bytes) -> None:
    """However deep, long or broken it is."""
    with answering(data) as address:
        live = probe.look(address)
        assert not live.is_ours
        assert live.why.isprintable()


def test_names_that_act_are_no_names() -> None:
    """They would go on into tables, logs and metrics."""
    body = b'{"gitml_version": "1", "model": "\\ud800", "version": "\\u001b[31m", "run_id": "a"}'
    with answering(http(body)) as address:
        live = probe.look(address)
    assert (live.is_ours, live.model, live.version, live.run_id) == (True, None, None, "a")


@pytest.mark.parametrize("host", ["a" * 70 + ".example", "a..b", "two words", "["])
def test_a_host_that_can_be_none_does_not_answer(host: str) -> None:
    """Settings may hold any line."""
    live = probe.look(Address(host, 1))
    assert (live.is_there, bool(live.why)) == (False, True)
