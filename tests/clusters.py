"""A Kubernetes API server on 127.0.0.1 for tests: with real processes in the place of pods.

It speaks the requests that gitml makes, and answers as Kubernetes does: manifests are checked by
Kubernetes' own schemas, `$(NAME)` in arguments is replaced, and what a pod is to run is really run,
as a process of this machine in the folder of its image. `trouble` has it answer otherwise.
"""

from __future__ import annotations

import contextlib
import ipaddress
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest

from tests.cluster_deployments import Pod, RefusedError, Workloads, kubernetes_validate, labelled
from tests.http_servers import Quiet, answering
from tests.trainings import ROOT

TOKEN = "a-token-of-the-cluster"
_JOBS = re.compile(r"/apis/batch/v1/namespaces/([^/]+)/jobs(?:/([^/]+))?")
_PODS = re.compile(r"/api/v1/namespaces/([^/]+)/pods(?:/([^/]+)(/log)?)?")
_WORKLOADS = re.compile(
    r"/(?:apis/apps/v1/namespaces/[^/]+/(deployments|replicasets)|api/v1/namespaces/[^/]+/(services))"
    r"(?:/([^/]+))?"
)
_EVENTS = re.compile(r"/api/v1/namespaces/([^/]+)/events")


@dataclass
class Trouble:
    """An answer in place of the right one: the next `times` requests like this get the status.

    With `cut` the answer is the right one, but for the connection, which breaks after so many
    bytes. With `late` the request has its effect, and then the connection breaks.
    """

    method: str
    path: str
    status: int = 0
    message: str = "trouble"
    times: int = 1
    cut: int | None = None
    late: bool = False
    event: bool = False


@dataclass
class Running:
    """A pod: its document, its process, and what that said, each line with its time."""

    document: dict[str, Any]
    process: subprocess.Popen[bytes] | None = None
    lines: list[tuple[str, bytes]] = field(default_factory=list)
    over: bool = False
    taken: dict[str, Any] | None = None
    is_out_of_reach: bool = False

    @property
    def name(self) -> str:
        """Its name."""
        return str(self.document["metadata"]["name"])

    def kill(self, number: int) -> None:
        """Send its first process a signal; by SIGKILL all of it ends."""
        if self.process is not None and not self.is_out_of_reach:
            below = _below(self.process.pid) if number == signal.SIGKILL else []
            for pid in (self.process.pid, *below):
                with contextlib.suppress(OSError):
                    os.kill(pid, number)


class Api:
    """The cluster: its images are folders of this machine, and `node` is where pods have /tmp."""

    def __init__(self, node: Path) -> None:
        self.node = node
        self.images: dict[str, Path] = {}
        self.secrets: dict[str, dict[str, str]] = {}
        self.token = TOKEN
        self.jobs: dict[str, dict[str, Any]] = {}
        self.pods: dict[str, Any] = {}  # `Running` of Jobs, `Pod` of Deployments
        self.events: list[dict[str, Any]] = []
        self.workloads = Workloads(node, self.pods, self.events)
        self.troubles: list[Trouble] = []
        self.requests: list[str] = []
        self.made: list[dict[str, Any]] = []
        self.unschedulable = ""
        self.admits = True
        self.version, self.changed = 1, threading.Condition()
        self.threads: list[threading.Thread] = []
        self.url = ""

    def trouble(self, method: str, path: str, status: int = 0, **more: Any) -> None:
        """Have the next requests of that kind answered otherwise."""
        self.troubles.append(Trouble(method, path, status, **more))

    def asked(self, pattern: str) -> list[str]:
        """The requests that were made like this, as `METHOD path?query`."""
        return [one for one in self.requests if re.search(pattern, one)]

    def bump(self) -> None:
        """Tell those who watch that something is otherwise."""
        with self.changed:
            self.version += 1
            self.changed.notify_all()

    def stop(self) -> None:
        """End all that runs."""
        self.workloads.stop()
        for pod in list(self.pods.values()):
            pod.is_out_of_reach = False
            pod.kill(signal.SIGKILL)
        self.jobs.clear()
        self.bump()
        for thread in self.threads:
            thread.join(10)

    # -- what Kubernetes' controllers do ---------------------------------------------------

    def submit(self, job: dict[str, Any]) -> None:
        """Take a Job, and have its pods run."""
        self.jobs[job["metadata"]["name"]] = job
        job["status"] = {}
        self.made.append(json.loads(json.dumps(job)))
        thread = threading.Thread(target=self._control, args=(job,), daemon=True)
        self.threads.append(thread)
        thread.start()

    def _control(self, job: dict[str, Any]) -> None:
        """The controller of Jobs: a pod, and another one when it fails and there are tries left."""
        name, spec = job["metadata"]["name"], job["spec"]
        limit = spec.get("activeDeadlineSeconds")
        if limit is not None:
            timer = threading.Timer(limit, self._deadline, args=(job,))
            timer.daemon = True
            timer.start()
        if not self.admits:
            self.events.append(
                {"type": "Warning", "involvedObject": {"name": name}, "message": "exceeded quota"}
            )
            return
        for number in range(1 + spec.get("backoffLimit", 6)):
            pod = Running(_pod(job, f"{name}-{number:05d}"))
            self.pods[pod.name] = pod
            self.bump()
            self._kubelet(pod)
            self.bump()
            if name not in self.jobs:
                del self.pods[pod.name]
                self.bump()
                return
            if job["status"].get("conditions"):
                return
            if pod.document["status"]["phase"] == "Succeeded":
                job["status"] = {"conditions": [{"type": "Complete", "status": "True"}]}
                self.bump()
                return
        told = {"reason": "BackoffLimitExceeded", "message": "Job has reached the limit"}
        job["status"] = {"conditions": [{"type": "Failed", "status": "True", **told}]}
        self.bump()

    def _deadline(self, job: dict[str, Any]) -> None:
        if job["status"].get("conditions"):
            return
        told = {"reason": "DeadlineExceeded", "message": "Job was active longer than it may be"}
        job["status"] = {"conditions": [{"type": "Failed", "status": "True", **told}]}
        self._end_pods(job["metadata"]["name"])

    def _kubelet(self, pod: Running) -> None:
        """Start what is in a pod, and wait for its end."""
        status = pod.document["status"] = {"phase": "Pending"}
        container = pod.document["spec"]["containers"][0]
        while (why := self._obstacle(container)) and self._is_wanted(pod):
            status.update(why)
            with self.changed:
                self.changed.wait(0.2)
        if not self._is_wanted(pod):
            status["phase"] = "Failed"
            return
        self._run(pod, container)

    def _is_wanted(self, pod: Running) -> bool:
        return pod.document["metadata"]["labels"]["job-name"] in self.jobs and not pod.taken

    def _obstacle(self, container: dict[str, Any]) -> dict[str, Any] | None:
        if self.unschedulable:
            told = {"reason": "Unschedulable", "message": self.unschedulable}
            return {"conditions": [{"type": "PodScheduled", "status": "False", **told}]}
        image = container["image"]
        if re.search(r"[A-Z]|\s", image.partition(":")[0]):
            return _waiting(container, "InvalidImageName", f"couldn't parse image name {image!r}")
        if image not in self.images:
            return _waiting(container, "ErrImagePull", f"{image}: not found")
        for one in container.get("env", []):
            if "valueFrom" in one and one["valueFrom"]["secretKeyRef"]["name"] not in self.secrets:
                why = f'secret "{one["valueFrom"]["secretKeyRef"]["name"]}" not found'
                return _waiting(container, "CreateContainerConfigError", why)
        return None

    def _run(self, pod: Running, container: dict[str, Any]) -> None:
        env: dict[str, str] = {}
        for one in container.get("env", []):
            if "valueFrom" in one:
                named = one["valueFrom"]["secretKeyRef"]
                env[one["name"]] = self.secrets[named["name"]][named["key"]]
            else:
                env[one["name"]] = expanded(one.get("value", ""), env)
        argv = [expanded(one, env) for one in container.get("command", [])]
        argv += [expanded(one, env) for one in container.get("args", [])]
        own = self.node / pod.name
        own.mkdir()
        base = {"PATH": f"{self.node / 'bin'}:/usr/bin:/bin", "PYTHONPATH": str(ROOT)}
        pod.process = subprocess.Popen(
            argv, cwd=self.images[container["image"]], env={**base, "TMPDIR": str(own), **env},
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            start_new_session=True,
        )  # fmt: skip
        began = _now()
        pod.document["status"] = _status(container, "Running", {"running": {"startedAt": began}})
        self.bump()
        assert pod.process.stdout is not None
        for line in pod.process.stdout:
            pod.lines.append((_stamp(), line))
            self.bump()
        code = pod.process.wait()
        pod.process.stdout.close()
        ended = {"exitCode": code if code >= 0 else 128 - code, "startedAt": began}
        ended |= {"reason": "Completed" if code == 0 else "Error", "finishedAt": _now()}
        taken = dict(pod.taken or {})
        ended |= taken.pop("terminated", {})
        phase = "Succeeded" if ended["exitCode"] == 0 and not taken else "Failed"
        pod.document["status"] = {**_status(container, phase, {"terminated": ended}), **taken}
        pod.over = True
        self.bump()

    def end_job(self, name: str) -> None:
        """Delete a Job; its pods are told to end, and go."""
        self.jobs.pop(name, None)
        self.bump()
        self._end_pods(name)

    def _end_pods(self, name: str) -> None:
        for pod in list(self.pods.values()):
            if pod.document["metadata"]["labels"].get("job-name") == name:
                grace = pod.document["spec"].get("terminationGracePeriodSeconds", 30)
                pod.kill(signal.SIGTERM)
                killer = threading.Timer(grace, pod.kill, args=(signal.SIGKILL,))
                killer.daemon = True
                killer.start()

    # -- what befalls pods -----------------------------------------------------------------

    def take(self, **status: Any) -> None:
        """Kill the pod that runs; its status then says this, `terminated` in its container's."""
        (pod,) = [one for one in self.pods.values() if one.process and not one.over]
        pod.taken = status
        pod.kill(signal.SIGKILL)


def expanded(text: str, env: dict[str, str]) -> str:
    """What Kubernetes makes of an argument: $(NAME) is replaced if there is one, $$ is a $."""

    def one(found: re.Match[str]) -> str:
        if found[0] == "$$":
            return "$"
        return env.get(found[1], found[0])

    return re.sub(r"\$\$|\$\(([^)]*)\)", one, text)


def _below(pid: int) -> list[int]:
    import psutil

    with contextlib.suppress(psutil.NoSuchProcess):
        return [one.pid for one in psutil.Process(pid).children(recursive=True)]
    return []


def _pod(job: dict[str, Any], name: str) -> dict[str, Any]:
    template = json.loads(json.dumps(job["spec"]["template"]))
    labels = {**template["metadata"]["labels"], "job-name": job["metadata"]["name"]}
    metadata = {"name": name, "labels": labels, "creationTimestamp": _now()}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": template["spec"]}


def _status(container: dict[str, Any], phase: str, state: dict[str, Any]) -> dict[str, Any]:
    return {"phase": phase, "containerStatuses": [{"name": container["name"], "state": state}]}


def _waiting(container: dict[str, Any], reason: str, message: str) -> dict[str, Any]:
    return _status(container, "Pending", {"waiting": {"reason": reason, "message": message}})


def _now() -> str:
    return datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


def _stamp() -> str:
    seconds, rest = divmod(time.time_ns(), 10**9)
    whole = datetime.fromtimestamp(seconds, timezone.utc).strftime("%Y-%m-%dT%H:%M:%S")
    return f"{whole}.{rest:09d}".rstrip("0") + "Z"


class _Handler(Quiet, BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    api: Api

    def do_GET(self) -> None:
        self._serve()

    do_POST = do_GET  # noqa: N815 - the names are http.server's
    do_DELETE = do_GET  # noqa: N815
    do_PATCH = do_GET  # noqa: N815

    def _serve(self) -> None:
        size = int(self.headers.get("Content-Length") or 0)
        body = self.rfile.read(size)
        parts = urlsplit(self.path)
        query = dict(parse_qsl(parts.query))
        self.api.requests.append(f"{self.command} {self.path}")
        if self.headers.get("Authorization") != f"Bearer {self.api.token}":
            return self._status(401, "Unauthorized")
        trouble = self._trouble(parts.path, query)
        if trouble is not None and trouble.status and not trouble.event:
            return self._status(trouble.status, trouble.message)
        self._limit = trouble.cut if trouble is not None else None
        if trouble is not None and trouble.late:
            self._limit = 0
        with contextlib.suppress(ConnectionError):
            self._dispatch(parts.path, query, body, trouble)
        return None

    def _trouble(self, path: str, query: dict[str, str]) -> Trouble | None:
        told = f"{path}?watch" if "watch" in query else path
        for one in self.api.troubles:
            if one.method == self.command and re.search(one.path, told) and one.times:
                one.times -= 1
                return one
        return None

    def _dispatch(
        self, path: str, query: dict[str, str], body: bytes, trouble: Trouble | None
    ) -> None:
        if found := _JOBS.fullmatch(path):
            self._job(found[2], body)
        elif found := _PODS.fullmatch(path):
            self._pods(found[2], bool(found[3]), query, trouble)
        elif found := _WORKLOADS.fullmatch(path):
            self._workload(found[1] or found[2], found[3], query, body)
        elif _EVENTS.fullmatch(path):
            name = query["fieldSelector"].partition("=")[2]
            events = [it for it in self.api.events if it["involvedObject"]["name"] == name]
            self._json({"kind": "EventList", "items": events})
        else:
            self._status(404, f"there is no {path}")

    def _job(self, name: str | None, body: bytes) -> None:
        jobs = self.api.jobs
        if self.command == "POST":
            job = json.loads(body)
            try:
                kubernetes_validate.validate(job, kubernetes_validate.latest_version(), strict=True)
            except kubernetes_validate.ValidationError as error:
                return self._status(400, f"strict decoding error: {error.message}")
            if job["metadata"]["name"] in jobs:
                return self._status(409, f"jobs.batch {job['metadata']['name']!r} already exists")
            self.api.submit(job)
            return self._json(job, 201)
        if name not in jobs:
            return self._status(404, f"jobs.batch {name!r} not found")
        found = jobs[name]
        if self.command == "DELETE":
            self.api.end_job(name)
        return self._json(found)

    def _pods(
        self, name: str | None, is_log: bool, query: dict[str, str], trouble: Trouble | None
    ) -> None:
        pods = self.api.pods
        if name is None and query.get("watch"):
            return self._watch(query, trouble)
        if name is None:
            chosen = list(labelled(pods, query["labelSelector"]))
            metadata = {"resourceVersion": str(self.api.version)}
            return self._json({"kind": "PodList", "metadata": metadata, "items": chosen})
        if name not in pods:
            return self._status(404, f"pods {name!r} not found")
        if is_log and isinstance(pods[name], Pod):
            lines = pods[name].previous if "previous" in query else pods[name].lines
            return self._text(b"".join(it for _, it in lines[-int(query["tailLines"]) :]))
        if is_log:
            return self._log(pods[name], query)
        pods[name].kill(signal.SIGKILL)
        return self._json(pods[name].document)

    def _workload(self, plural: str, name: str | None, query: dict[str, str], body: bytes) -> None:
        workloads = self.api.workloads
        found = workloads.kinds(plural)
        if name is None and self.command == "GET":
            return self._json({"items": list(labelled(found, query["labelSelector"]))})
        assert name is not None
        if self.command == "PATCH":
            assert self.headers["Content-Type"] == "application/apply-patch+yaml"
            try:
                return self._json(workloads.apply(plural, name, query, json.loads(body)))
            except RefusedError as refused:
                return self._status(refused.status, str(refused))
        if name not in found:
            return self._status(404, f"{plural}.apps {name!r} not found")
        if self.command == "DELETE":
            workloads.delete(plural, name)
            return self._json({"kind": "Status", "status": "Success"})
        return self._json(found[name])

    def _watch(self, query: dict[str, str], trouble: Trouble | None) -> None:
        self._begin("application/json")
        if trouble is not None and trouble.event:
            status = {"kind": "Status", "code": trouble.status, "message": trouble.message}
            self._chunk(json.dumps({"type": "ERROR", "object": status}).encode() + b"\n")
        else:
            since, until = int(query["resourceVersion"]), time.monotonic()
            until += float(query["timeoutSeconds"])
            with self.api.changed:
                while self.api.version == since and time.monotonic() < until:
                    self.api.changed.wait(until - time.monotonic())
            if self.api.version != since:
                self._chunk(b'{"type": "MODIFIED", "object": {"kind": "Pod"}}\n')
        self._chunk(b"")

    def _log(self, pod: Running, query: dict[str, str]) -> None:
        if pod.process is None:
            return self._status(400, "container is waiting to start: ContainerCreating")
        self._begin("text/plain")
        moment = time.time() - float(query.get("sinceSeconds", "1e9"))
        first = datetime.fromtimestamp(moment, timezone.utc).strftime("%Y-%m-%dT%H:%M:%S")
        sent = 0
        while True:
            is_over = pod.over
            while sent < len(pod.lines):
                stamp, line = pod.lines[sent]
                if stamp >= first:
                    self._chunk(f"{stamp} ".encode() + line)
                sent += 1
            if is_over:
                return self._chunk(b"")
            with self.api.changed:
                if sent == len(pod.lines) and not pod.over:
                    self.api.changed.wait(0.2)

    # -- how it is said --------------------------------------------------------------------

    def _status(self, code: int, message: str) -> None:
        self._limit = None
        self._json({"kind": "Status", "status": "Failure", "message": message, "code": code}, code)

    def _json(self, document: dict[str, Any], code: int = 200) -> None:
        data = json.dumps(document).encode()
        if self._limit is not None:
            return self._break()
        self.send_response(code)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)
        return None

    def _text(self, data: bytes) -> None:
        self._begin("text/plain")
        self._chunk(data)
        if data:
            self._chunk(b"")

    def _begin(self, kind: str) -> None:
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()

    def _chunk(self, data: bytes) -> None:
        if self._limit is not None:
            self._limit -= len(data)
            if self._limit < 0:
                data = data[: self._limit]
                self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data) if data else b"")
                self._break()
                raise ConnectionError
        self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))
        self.wfile.flush()

    def _break(self) -> None:
        self.wfile.flush()
        self.close_connection = True

    _limit: int | None = None


@contextmanager
def serving(node: Path, certificate: Path | None = None) -> Iterator[Api]:
    """A cluster, until the end of the block, with a certificate over TLS; then all of it ends."""
    api = Api(node)
    handler = type("Handler", (_Handler,), {"api": api})
    with answering(handler, certificate=certificate) as address:
        api.url = f"http{'s' * bool(certificate)}://{address}"
        try:
            yield api
        finally:
            api.stop()


def certified(path: Path) -> Path:
    """A file with a certificate for 127.0.0.1 that no authority signed, and its key."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key, now = ec.generate_private_key(ec.SECP256R1()), datetime.now(timezone.utc)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    names = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    made = (
        x509.CertificateBuilder().subject_name(name).issuer_name(name).add_extension(names, False)
        .public_key(key.public_key()).serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(1)).not_valid_after(now + timedelta(1))
        .sign(key, hashes.SHA256())
    )  # fmt: skip
    form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    secret = key.private_bytes(*form, serialization.NoEncryption())
    path.write_bytes(secret + made.public_bytes(serialization.Encoding.PEM))
    return path


def kubeconfig(path: Path, url: str, authority: Path | None = None, **user: Any) -> Path:
    """A kubeconfig with one context, `test`, by default with the token that the cluster knows."""
    trusted = {"certificate-authority": str(authority)} if authority else {}
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "c", "cluster": {"server": url, **trusted}}],
        "users": [{"name": "u", "user": user or {"token": TOKEN}}],
        "contexts": [
            {"name": "test", "context": {"cluster": "c", "user": "u", "namespace": "training"}}
        ],
        "current-context": "test",
    }
    path.write_text(json.dumps(document), encoding="utf-8")
    return path


@pytest.fixture
def cluster(
    tmp_path: Path, node: Path, repo: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Api]:
    """A cluster that the user's kubeconfig names, and that has the image of the project `repo`."""
    for name in ("python", "python3"):
        program = node / "bin" / name
        program.write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n', encoding="utf-8")
        program.chmod(0o755)
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "kubeconfig"))
    with serving(node) as api:
        api.images["churn:1"] = repo
        kubeconfig(tmp_path / "kubeconfig", api.url)
        yield api
