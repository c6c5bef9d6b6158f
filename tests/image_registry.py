"""A registry of images on 127.0.0.1 for tests: it takes what an engine pushes, and keeps it."""

from __future__ import annotations

import hashlib
import itertools
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from tests import containers
from tests.http_servers import Quiet, answering

_BLOB = re.compile(r"/v2/(.+)/blobs/(sha256:[0-9a-f]{64})")
_UPLOAD = re.compile(r"/v2/(.+)/blobs/uploads/(\w*)")
_MANIFEST = re.compile(r"/v2/(.+)/manifests/(.+)")
_numbers = itertools.count()


@dataclass
class Registry:
    """What was pushed: blobs by digest, manifests by `repository:tag` and `repository@digest`."""

    host: str = ""
    blobs: dict[str, bytes] = field(default_factory=dict)
    manifests: dict[str, tuple[str, bytes]] = field(default_factory=dict)
    uploads: dict[str, bytes] = field(default_factory=dict)


class _Handler(Quiet, BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    registry: Registry

    def do_GET(self) -> None:
        path, kept = urlsplit(self.path).path, self.registry
        if found := _BLOB.fullmatch(path):
            data = kept.blobs.get(found[2])
            return self._answer(404 if data is None else 200, data or b"")
        if found := _MANIFEST.fullmatch(path):
            sign = "@" if ":" in found[2] else ":"
            kind, data = kept.manifests.get(f"{found[1]}{sign}{found[2]}", ("", b""))
            told = {"Content-Type": kind, "Docker-Content-Digest": _digest(data)}
            return self._answer(200, data, **told) if kind else self._answer(404)
        return self._answer(200)

    do_HEAD = do_GET  # noqa: N815 - the names are http.server's

    def do_POST(self) -> None:
        """Begin an upload."""
        found = _UPLOAD.fullmatch(urlsplit(self.path).path)
        assert found is not None
        name = f"u{next(_numbers)}"  # an engine has several at a time
        self.registry.uploads[name] = b""
        self._answer(202, Location=f"/v2/{found[1]}/blobs/uploads/{name}", Range="0-0")

    def do_PATCH(self) -> None:
        """Go on with an upload."""
        found = _UPLOAD.fullmatch(urlsplit(self.path).path)
        assert found is not None
        self.registry.uploads[found[2]] += self._body()
        size = len(self.registry.uploads[found[2]])
        self._answer(202, Location=self.path, Range=f"0-{size - 1}")

    def do_PUT(self) -> None:
        """End an upload, or take a manifest."""
        parts, data = urlsplit(self.path), self._body()
        if found := _MANIFEST.fullmatch(parts.path):
            kept = self.headers["Content-Type"], data
            self.registry.manifests[f"{found[1]}:{found[2]}"] = kept
            self.registry.manifests[f"{found[1]}@{_digest(data)}"] = kept
            return self._answer(201, **{"Docker-Content-Digest": _digest(data)})
        found = _UPLOAD.fullmatch(parts.path)
        assert found is not None
        data = self.registry.uploads.pop(found[2]) + data
        assert parse_qs(parts.query)["digest"] == [_digest(data)]
        self.registry.blobs[_digest(data)] = data
        return self._answer(201)

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding") != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))
        parts = []
        while size := int(self.rfile.readline(), 16):
            parts.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(parts)

    def _answer(self, code: int, data: bytes = b"", **told: str) -> None:
        self.send_response(code)
        for name, value in {"Content-Length": str(len(data)), **told}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)


def _digest(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


@contextmanager
def serving() -> Iterator[Registry]:
    """A registry, until the end of the block."""
    registry = Registry()
    with answering(type("Handler", (_Handler,), {"registry": registry})) as registry.host:
        yield registry


@contextmanager
def trusted(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Registry]:
    """A registry that podman may push to without TLS, as docker may anyway on this machine.

    Skips the test where no engine answers. `folder` gets the settings.
    """
    containers.engine_or_skip()
    with serving() as found, containers.tidied():
        conf = folder / "registries.conf"
        text = f'[[registry]]\nlocation = "{found.host}"\ninsecure = true\n'
        conf.write_text(text, encoding="utf-8")
        monkeypatch.setenv("CONTAINERS_REGISTRIES_CONF", str(conf))
        yield found
