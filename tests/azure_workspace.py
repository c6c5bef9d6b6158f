"""A workspace of Azure Machine Learning for tests, below the transport of Azure's own libraries.

It answers the requests that those make over HTTPS, and keeps what they send: endpoints, their
deployments, models, and the blobs of these. What it does not know is refused.
"""

from __future__ import annotations

import io
import json
import re
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest

Document = dict[str, Any]
_ARM = "management.azure.com"
_BLOBS = "store.blob.core.windows.net"
_SCORING = "scoring.example"
_ID = (
    "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/rg/providers"
    "/Microsoft.MachineLearningServices/workspaces/ws"
)
_STORE = {
    "datastoreType": "AzureBlob", "accountName": "store", "containerName": "models",
    "endpoint": "core.windows.net", "protocol": "https", "isDefault": True,
    "credentials": {"credentialsType": "None"},
}  # fmt: skip


@dataclass
class Workspace:
    """What is there; `predict` answers a deployment's predictions by its tags and the request."""

    predict: Callable[[dict[str, str], Document], tuple[int, Any]]
    things: dict[str, Document] = field(default_factory=dict)
    blobs: dict[str, bytes] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    fails: str = ""

    def of(self, kind: str) -> dict[str, Document]:
        """The things of a kind, by their names: `onlineEndpoints`, `deployments`, `models`."""
        found = {
            "onlineEndpoints": r"/onlineEndpoints/([^/]+)",
            "deployments": r"/onlineEndpoints/[^/]+/deployments/([^/]+)",
        }[kind]
        return {
            match[1]: one for path, one in self.things.items()
            if (match := re.fullmatch(found, path))
        }  # fmt: skip

    def answer(self, method: str, url: str, headers: Any, body: bytes) -> tuple[int, Any]:
        """Status and document, or bytes."""
        parts = urlsplit(url)
        path = unquote(parts.path)
        self.asked.append(f"{method} {parts.netloc}{path}")
        if parts.netloc == _ARM:
            return self._manage(method, path.partition("/workspaces/ws")[2], body)
        if parts.netloc == _BLOBS:
            return self._store(method, path, parts.query, body)
        if parts.netloc == _SCORING:
            return self._score(headers, json.loads(body))
        return 404, {"error": {"code": "Unknown", "message": f"{method} {url}"}}

    def _manage(self, method: str, path: str, body: bytes) -> tuple[int, Any]:
        if path in ("", "/"):
            told = {"discoveryUrl": "https://weu.api.azureml.ms/discovery", "workspaceId": "1"}
            return 200, {"id": _ID, "name": "ws", "location": "weu", "properties": told}
        if method == "POST":
            return self._act(path)
        if method in ("PUT", "PATCH"):
            return self._put(path, json.loads(body))
        if method == "DELETE":
            gone = [it for it in self.things if it == path or it.startswith(f"{path}/")]
            for one in gone:
                del self.things[one]
            return (200 if gone else 204), None
        if path in self.things:
            return 200, self.things[path]
        if path == "/datastores/workspaceblobstore":
            return 200, {"id": f"{_ID}{path}", "name": "workspaceblobstore", "properties": _STORE}
        if path.endswith(("/deployments", "/versions")):
            found = [one for it, one in self.things.items() if it.startswith(f"{path}/")]
            return 200, {"value": found}
        return 404, {"error": {"code": "ResourceNotFound", "message": f"there is no {path}"}}

    def _put(self, path: str, document: Document) -> tuple[int, Any]:
        properties = document.setdefault("properties", {})
        if "/deployments/" in path and self.fails:
            return 400, {"error": {"code": "BadRequest", "message": self.fails}}
        if re.fullmatch("/onlineEndpoints/[^/]+", path):
            names = [it.rpartition("/")[2] for it in self.things if it.startswith(f"{path}/")]
            for name in properties.get("traffic") or {}:
                if name not in names:
                    return 400, {"error": {"code": "BadRequest", "message": f"no {name}"}}
            properties |= {"scoringUri": f"https://{_SCORING}/score"}
        if "/deployments/" in path:
            properties["scaleSettings"] = {"scaleType": "Default"}
        if path.startswith("/models/"):
            properties.setdefault("flavors", {})
        properties["provisioningState"] = "Succeeded"
        made = {**document, "id": f"{_ID}{path}", "name": path.rpartition("/")[2]}
        self.things[path] = made
        return 200, made

    def _act(self, path: str) -> tuple[int, Any]:
        if path.endswith("/listKeys") or path.endswith("/listkeys"):
            return 200, {"primaryKey": "key", "secondaryKey": "key"}
        if path.endswith("/getLogs"):
            return 200, {"content": "the server starts\nno such table\n"}
        return 404, {"error": {"code": "Unknown", "message": f"POST {path}"}}

    def _store(self, method: str, path: str, query: str, body: bytes) -> tuple[int, Any]:
        if "comp=metadata" in query:
            return 200, b""
        if method == "PUT":
            self.blobs[path] = body
            return 201, b""
        return (200, self.blobs[path]) if path in self.blobs else (404, b"")

    def _score(self, headers: Any, request: Document) -> tuple[int, Any]:
        name = headers["azureml-model-deployment"]
        return self.predict(self.of("deployments")[name]["tags"], request)


class Credential:
    """Who is logged in: nobody."""

    def get_token(self, *scopes: str, **options: Any) -> Any:
        """A token that no one checks."""
        from azure.core.credentials import AccessToken

        return AccessToken("token", int(time.time()) + 3600)


def install(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have every request over HTTP answered by the workspace."""
    import requests
    import urllib3

    def send(adapter: Any, request: Any, **options: Any) -> Any:
        body = request.body or b""
        data = body.read() if hasattr(body, "read") else body
        data = data.encode() if isinstance(data, str) else data
        status, told = workspace.answer(request.method, request.url, request.headers, data)
        kind = "application/octet-stream" if isinstance(told, bytes) else "application/json"
        raw = (
            told if isinstance(told, bytes) else b"" if told is None else json.dumps(told).encode()
        )
        made = urllib3.HTTPResponse(
            body=io.BytesIO(raw), status=status, preload_content=False,
            headers={"Content-Type": kind, "Content-Length": str(len(raw))},
        )  # fmt: skip
        return adapter.build_response(request, made)

    monkeypatch.setattr(requests.adapters.HTTPAdapter, "send", send)
