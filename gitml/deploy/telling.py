"""What an agent tells those who ask over HTTP: `/status` as JSON, `/metrics` for Prometheus."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple

from gitml.deploy.agent import Report
from gitml.deploy.state import State
from gitml.errors import StorageError, shown
from gitml.version import __version__

_SECONDS = 10.0  # that a client may take to ask
_TEXT = "text/plain; version=0.0.4; charset=utf-8"
_HELP = {
    "gitml_agent_rounds_total": "Rounds of looking at the remote.",
    "gitml_agent_errors_total": "Rounds that failed.",
    "gitml_agent_last_look_seconds": "When a round last succeeded, in seconds since 1970.",
    "gitml_agent_results_total": "What came of deployments.",
    "gitml_deployment_synced": "Whether what runs is what should.",
    "gitml_deployment_healthy": "Whether what runs is well.",
    "gitml_deployment_failures": "Tries in a row that failed.",
    "gitml_deployment_info": "The version that should run, and that which does.",
}


def document(report: Report) -> dict[str, Any]:
    """What `/status` tells; its keys are stable."""
    pairs = zip(report.states, report.failures, strict=True)
    return {
        "gitml_version": __version__,
        "looked": report.looked or None,
        "commit": report.commit or None,
        "error": report.error or None,
        "rounds": report.rounds,
        "deployments": [{**row(one), "failures": tried.failures} for one, tried in pairs],
    }


def row(one: State) -> dict[str, Any]:
    """A deployment; its keys are stable."""
    live = one.live
    return {
        "stage": one.deployment.stage,
        "model": one.deployment.model,
        "target": one.deployment.target,
        "wanted": str(one.wanted.version) if one.wanted else None,
        "live": {"version": live.version, "run_id": live.run_id, "digest": live.digest},
        "sync": one.sync,
        "health": one.health,
        "frozen": one.deployment.frozen,
        "note": one.note or None,
    }


def metrics(report: Report) -> str:
    """What `/metrics` tells, in the text format of Prometheus."""
    found: dict[str, list[str]] = {name: [] for name in _HELP}
    for name, labels, value in _samples(report):
        text = ",".join(f'{key}="{_escaped(said)}"' for key, said in labels.items())
        found[name].append(f"{name}{{{text}}} {value}" if text else f"{name} {value}")
    lines = []
    for name, samples in found.items():
        kind = "counter" if name.endswith("_total") else "gauge"
        lines += [f"# HELP {name} {_HELP[name]}", f"# TYPE {name} {kind}", *samples]
    return "\n".join(lines) + "\n"


def _samples(report: Report) -> Iterator[tuple[str, dict[str, str], float]]:
    yield "gitml_agent_rounds_total", {}, report.rounds
    yield "gitml_agent_errors_total", {}, report.errors
    yield "gitml_agent_last_look_seconds", {}, report.looked
    for result, count in sorted(report.results.items()):
        yield "gitml_agent_results_total", {"result": result.replace(" ", "_")}, count
    for one, tried in zip(report.states, report.failures, strict=True):
        told = row(one)
        labels = {"stage": told["stage"], "model": told["model"]}
        yield "gitml_deployment_synced", labels, int(told["sync"] == "Synced")
        yield "gitml_deployment_healthy", labels, int(told["health"] == "Healthy")
        yield "gitml_deployment_failures", labels, tried.failures
        versions = {"wanted": told["wanted"] or "", "live": told["live"]["version"] or ""}
        yield "gitml_deployment_info", {**labels, **versions}, 1


def _escaped(text: str) -> str:
    return text.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")


# -- the server ----------------------------------------------------------------------------


def serve(host: str, port: int, report: Callable[[], Report], late: float) -> ThreadingHTTPServer:
    """Answer in the background; `/ping` fails when no round has succeeded for `late` seconds.

    Raises StorageError when the address can't be had.
    """

    class Handler(_Handler):
        def answer(self, path: str) -> _Answer:
            return _answer(path, report(), late)

    try:
        server = _Server((host, port), Handler)
    except OSError as error:
        why = error.strerror or str(error)
        raise StorageError(f"can't listen on {shown(host)}, port {port}: {why}") from None
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server


class _Answer(NamedTuple):
    """A status of HTTP, a type and a text."""

    status: int
    kind: str
    text: str


def _answer(path: str, now: Report, late: float) -> _Answer:
    if path == "/status":
        return _Answer(200, "application/json", json.dumps(document(now), indent=2) + "\n")
    if path == "/metrics":
        return _Answer(200, _TEXT, metrics(now))
    if path == "/ping":
        return _Answer(200 if time.time() - now.looked < late else 503, "text/plain", "\n")
    return _Answer(404, "text/plain", "there are /status, /metrics and /ping\n")


class _Handler(BaseHTTPRequestHandler):
    timeout = _SECONDS
    server_version, sys_version = "gitml", ""

    def answer(self, path: str) -> _Answer:
        """What is told at a path."""
        raise NotImplementedError

    def do_GET(self) -> None:
        told = self.answer(self.path.partition("?")[0])
        body = told.text.encode()
        self.send_response(told.status)
        self.send_header("Content-Type", told.kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing: the agent tells what it does."""


class _Server(ThreadingHTTPServer):
    def handle_error(self, request: object, client_address: object) -> None:
        """A client that goes away is no fault of ours."""
