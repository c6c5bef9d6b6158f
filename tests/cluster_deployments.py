"""Deployments and Services of the test cluster: controllers, probes and endpoints, for real.

Pods run as processes at free ports of this machine, in place of addresses of their own. What is
applied is merged by who owns which field; pods replace each other within `maxUnavailable` and
`maxSurge`; a pod is ready once its probes say so; and a Service has a port at which connections
reach the pods that are ready, which it learns with a delay.
"""

from __future__ import annotations

import contextlib
import copy
import hashlib
import http.client
import json
import math
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest

from tests.ports import free_port

kubernetes_validate = pytest.importorskip("kubernetes_validate")
Document = dict[str, Any]
_LAG = 0.5  # seconds until a Service knows of a pod that it should send nothing to any more
_TICK = 0.1
_PAUSE = 1.0  # seconds until a container that has ended is started again


class RefusedError(Exception):
    """What the API answers in place of what it was asked for: status and message."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


@dataclass
class Pod:
    """A pod of a Deployment: what the API tells of it, its process and what that said."""

    document: Document
    port: int
    process: subprocess.Popen[bytes] | None = None
    lines: list[tuple[str, bytes]] = field(default_factory=list)
    previous: list[tuple[str, bytes]] = field(default_factory=list)
    has_started: bool = False
    restarts: int = 0
    unready_since: float = 0.0
    over: bool = False

    @property
    def name(self) -> str:
        """Its name."""
        return str(self.document["metadata"]["name"])

    @property
    def labels(self) -> dict[str, str]:
        """Its labels."""
        found: dict[str, str] = self.document["metadata"]["labels"]
        return found

    @property
    def is_leaving(self) -> bool:
        """Whether it was told to end."""
        return "deletionTimestamp" in self.document["metadata"]

    @property
    def is_ready(self) -> bool:
        """Whether its conditions say so."""
        conditions = self.document["status"].get("conditions", ())
        return any(it["type"] == "Ready" and it["status"] == "True" for it in conditions)

    def kill(self, number: int) -> None:
        """Send its process a signal."""
        if self.process is not None:
            with contextlib.suppress(OSError):
                self.process.send_signal(number)

    def tell(self, state: Document, *, ready: bool = False) -> None:
        """Have the API tell how the container is."""
        if self.is_ready and not ready:
            self.unready_since = time.monotonic()
        name = self.document["spec"]["containers"][0]["name"]
        own = {"name": name, "state": state, "restartCount": self.restarts, "ready": ready}
        condition = {"type": "Ready", "status": "True" if ready else "False"}
        phase = "Running" if "running" in state or self.restarts else "Pending"
        self.document["status"] = {
            "phase": phase, "conditions": [condition], "containerStatuses": [own],
        }  # fmt: skip


class Workloads:
    """What the cluster has of Deployments, ReplicaSets and Services.

    `programs` are the entry points of images, in which `{port}` stands for the pod's own.
    """

    def __init__(self, node: Path, pods: dict[str, Any], events: list[Document]) -> None:
        self.node, self.pods, self.events = node, pods, events
        self.programs: dict[str, tuple[str, ...]] = {}
        self.deployments: dict[str, Document] = {}
        self.sets: dict[str, Document] = {}
        self.services: dict[str, Document] = {}
        self.proxies: dict[str, _Proxy] = {}
        self._applied: dict[tuple[str, str], Document] = {}
        self._moved: dict[str, tuple[object, float]] = {}
        self._is_over = threading.Event()
        self._mutex = threading.RLock()
        self._number = 0
        self._threads: list[threading.Thread] = []

    # -- what the API does -----------------------------------------------------------------

    def kinds(self, plural: str) -> dict[str, Document]:
        """What there is of a kind."""
        return {
            "deployments": self.deployments, "replicasets": self.sets, "services": self.services
        }[plural]  # fmt: skip

    def apply(self, plural: str, name: str, query: dict[str, str], manifest: Document) -> Document:
        """Server-side apply: what a manager no longer names goes, what others have set stays."""
        if query.get("fieldValidation") != "Strict" or not query.get("fieldManager"):
            raise RefusedError(400, "fieldManager is required")
        try:
            kubernetes_validate.validate(
                manifest, kubernetes_validate.latest_version(), strict=True
            )
        except kubernetes_validate.ValidationError as error:
            raise RefusedError(400, f"strict decoding error: {error.message}") from None
        with self._mutex:
            found = self.kinds(plural)
            before = found.get(name, {})
            made = _without(before, self._applied.get((plural, name), {}), manifest)
            made = _over(made, manifest)
            self._check(before, made)
            metadata = made["metadata"]
            changed = made.get("spec") != before.get("spec")
            metadata["generation"] = metadata.get("generation", 0) + changed
            made.setdefault("status", {})
            if plural == "deployments":
                made["spec"].setdefault("replicas", 1)
            found[name] = made
            self._applied[plural, name] = copy.deepcopy(manifest)
            if plural == "services" and name not in self.proxies:
                self.proxies[name] = _Proxy(lambda: self._endpoints(name))
            if not self._threads:
                self._start(self._control)
            return copy.deepcopy(made)

    def _check(self, before: Document, made: Document) -> None:
        """What a real API refuses."""
        if made["kind"] != "Deployment":
            return
        selector = made["spec"]["selector"]
        if before and before["spec"]["selector"] != selector:
            raise RefusedError(422, "spec.selector: field is immutable")
        labels = made["spec"]["template"]["metadata"]["labels"]
        if not selector["matchLabels"].items() <= labels.items():
            raise RefusedError(422, "`selector` does not match template `labels`")

    def delete(self, plural: str, name: str) -> None:
        """Delete a thing, and what it has made."""
        with self._mutex:
            del self.kinds(plural)[name]
            self._applied.pop((plural, name), None)
            if plural == "services":
                self.proxies.pop(name).close()
            if plural == "deployments":
                self._moved.pop(name, None)
                for key in [it for it, one in self.sets.items() if _owner(one) == name]:
                    for pod in self._of(key):
                        self._end(pod)
                    del self.sets[key]

    def port(self, service: str) -> int:
        """Where clients reach a Service."""
        return self.proxies[service].port

    def stop(self) -> None:
        """End all that runs."""
        self._is_over.set()
        for proxy in self.proxies.values():
            proxy.close()
        for pod in self._all():
            pod.kill(signal.SIGKILL)
        for thread in self._threads:
            thread.join(20)

    # -- the controller of Deployments -----------------------------------------------------

    def _start(self, work: Callable[..., None], *args: Any) -> None:
        thread = threading.Thread(target=work, args=args, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _all(self) -> list[Pod]:
        return [it for it in list(self.pods.values()) if isinstance(it, Pod)]

    def _of(self, set_name: str) -> list[Pod]:
        return [
            it for it in self._all()
            if not it.is_leaving and it.name.startswith(f"{set_name}-")
        ]  # fmt: skip

    def _control(self) -> None:
        while not self._is_over.wait(_TICK):
            with self._mutex:
                for name, document in self.deployments.items():
                    self._roll(name, document)

    def _roll(self, name: str, document: Document) -> None:
        """Come one step nearer to what a Deployment says."""
        spec = document["spec"]
        new = self._set_of(name, spec["template"])
        old = [it for it, one in self.sets.items() if _owner(one) == name and it != new]
        wanted = spec["replicas"]
        lacking, more = _bounds(spec, wanted)
        fresh, stale = self._of(new), [pod for it in old for pod in self._of(it)]
        for _ in range(min(wanted - len(fresh), wanted + more - len(fresh) - len(stale))):
            fresh.append(self._begin(new, spec["template"]))
        for pod in fresh[wanted:]:
            self._end(pod)
        unready = sum(not it.is_ready for it in fresh)
        spare = len(fresh) + len(stale) - (wanted - lacking) - unready
        for pod in [it for it in stale if not it.is_ready][: max(0, spare)]:
            self._end(pod)
        ready = [it for it in (*fresh, *stale) if it.is_ready and not it.is_leaving]
        for pod in [it for it in stale if it in ready][: max(0, len(ready) - wanted + lacking)]:
            self._end(pod)
        self._report(name, document, new)

    def _set_of(self, name: str, template: Document) -> str:
        """The ReplicaSet of a template, made if it is new."""
        text = json.dumps(template, sort_keys=True).encode()
        key = hashlib.sha256(text).hexdigest()[:10]
        found = f"{name}-{key}"
        if found not in self.sets:
            made = copy.deepcopy(template)
            made["metadata"]["labels"]["pod-template-hash"] = key
            metadata = {"name": found, "labels": made["metadata"]["labels"], "owner": name}
            self.sets[found] = {
                "kind": "ReplicaSet", "metadata": metadata, "spec": {"template": made},
                "status": {},
            }  # fmt: skip
        return found

    def _report(self, name: str, document: Document, new: str) -> None:
        """Write the status of a Deployment and of its ReplicaSets."""
        counts: dict[str, int] = {}
        for key, one in self.sets.items():
            if _owner(one) == name:
                counts[key] = sum(it.is_ready for it in self._of(key))
                one["status"] = {"readyReplicas": counts[key]} if counts[key] else {}
        pods = sum(len(self._of(it)) for it in counts)
        seen = (new, len(self._of(new)), counts[new], pods)
        spec, now = document["spec"], time.monotonic()
        last, since = self._moved.get(name, (None, now))
        if last != seen:
            self._moved[name] = (seen, since := now)
        complete = seen[1:] == (spec["replicas"],) * 3
        late = not complete and now - since > spec.get("progressDeadlineSeconds", 600)
        condition = {"type": "Progressing", "status": "False" if late else "True"}
        condition |= {"reason": "ProgressDeadlineExceeded"} if late else {}
        document["status"] = {
            "observedGeneration": document["metadata"]["generation"], "replicas": pods,
            "updatedReplicas": seen[1], "readyReplicas": sum(counts.values()),
            "availableReplicas": sum(counts.values()), "conditions": [condition],
        }  # fmt: skip

    # -- pods ------------------------------------------------------------------------------

    def _begin(self, set_name: str, template: Document) -> Pod:
        self._number += 1
        metadata = copy.deepcopy(self.sets[set_name]["spec"]["template"]["metadata"])
        metadata |= {"name": f"{set_name}-{self._number:05d}", "creationTimestamp": _now()}
        document = {"kind": "Pod", "metadata": metadata, "spec": copy.deepcopy(template["spec"])}
        pod = Pod({**document, "status": {}}, free_port())
        pod.tell({"waiting": {"reason": "ContainerCreating"}})
        self.pods[pod.name] = pod
        self._start(self._kubelet, pod)
        return pod

    def _end(self, pod: Pod) -> None:
        """Tell a pod to end: what it does before, a signal, and force in the end."""
        if not pod.is_leaving:
            if pod.is_ready:
                pod.unready_since = time.monotonic()
            pod.document["metadata"]["deletionTimestamp"] = _now()
            self._start(self._leave, pod)

    def _leave(self, pod: Pod) -> None:
        spec = pod.document["spec"]
        until = time.monotonic() + spec["terminationGracePeriodSeconds"]
        hook = spec["containers"][0].get("lifecycle", {}).get("preStop")
        if hook is not None and pod.process is not None and not self._is_over.is_set():
            subprocess.run(hook["exec"]["command"], check=True, timeout=60)
        pod.kill(signal.SIGTERM)
        while not pod.over and time.monotonic() < until and not self._is_over.is_set():
            time.sleep(_TICK)
        pod.kill(signal.SIGKILL)
        self.pods.pop(pod.name, None)

    def _kubelet(self, pod: Pod) -> None:
        """Run the container of a pod until the pod is to end, again whenever it ends itself."""
        image = pod.document["spec"]["containers"][0]["image"]
        while image not in self.programs and not self._is_done(pod):
            pod.tell({"waiting": {"reason": "ErrImagePull", "message": f"{image}: not found"}})
            time.sleep(_TICK)
        while not self._is_done(pod):
            code = self._run(pod, self.programs[image])
            if not self._is_done(pod):
                pod.restarts += 1
                pod.previous, pod.lines, pod.has_started = pod.lines, [], False
                pod.tell({"terminated": {"exitCode": code, "reason": "Error"}})
                time.sleep(_PAUSE)
        pod.over = True

    def _is_done(self, pod: Pod) -> bool:
        return pod.is_leaving or self._is_over.is_set()

    def _run(self, pod: Pod, program: tuple[str, ...]) -> int:
        own = self.node / pod.name
        own.mkdir(exist_ok=True)
        pod.process = subprocess.Popen(
            [one.replace("{port}", str(pod.port)) for one in program],
            cwd=own, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
        pod.tell({"running": {"startedAt": _now()}})
        process = pod.process
        reader = threading.Thread(target=_read, args=(pod, process), daemon=True)
        reader.start()
        prober = threading.Thread(target=self._probe, args=(pod, process), daemon=True)
        prober.start()
        code = process.wait()
        reader.join(10)
        prober.join(70)
        return code if code >= 0 else 128 - code

    def _probe(self, pod: Pod, process: subprocess.Popen[bytes]) -> None:
        """The kubelet's probes, each in its time."""
        container = pod.document["spec"]["containers"][0]
        due: dict[str, float] = dict.fromkeys(("startup", "readiness", "liveness"), 0.0)
        failures: dict[str, int] = dict.fromkeys(due, 0)
        pod.has_started = "startupProbe" not in container
        while process.poll() is None:
            for kind in ("readiness", "liveness") if pod.has_started else ("startup",):
                probe = container.get(f"{kind}Probe")
                if probe is None or time.monotonic() < due[kind]:
                    continue
                why = _asked(pod, container, probe)
                due[kind] = time.monotonic() + probe.get("periodSeconds", 10)
                failures[kind] = failures[kind] + 1 if why else 0
                if why:
                    message = f"{kind.capitalize()} probe failed: {why}"
                    self.events.append({"involvedObject": {"name": pod.name}, "message": message})
                self._judge(pod, process, kind, why, failures[kind] >= probe["failureThreshold"])
            time.sleep(_TICK)

    def _judge(
        self, pod: Pod, process: subprocess.Popen[bytes], kind: str, why: str, is_last: bool
    ) -> None:
        running = {"running": {"startedAt": _now()}}
        if kind == "startup" and not why:
            pod.has_started = True
        elif kind == "readiness" and (not why or is_last):
            pod.tell(running, ready=not why)
        elif kind != "readiness" and is_last:
            process.kill()

    def _endpoints(self, service: str) -> list[int]:
        """The ports of the pods that a Service sends to, as it knows them."""
        document = self.services.get(service)
        if document is None:
            return []
        selector, now = document["spec"]["selector"], time.monotonic()
        return [
            it.port for it in self._all()
            if selector.items() <= it.labels.items()
            and ((it.is_ready and not it.is_leaving) or 0 < now - it.unready_since < _LAG)
        ]  # fmt: skip


class _Proxy:
    """The address of a Service: each connection goes to one of its endpoints."""

    def __init__(self, endpoints: Callable[[], list[int]]) -> None:
        self._endpoints, self._turn = endpoints, 0
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        """Answer no more."""
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError), self._listener:
            while True:
                client, _ = self._listener.accept()
                found = self._endpoints()
                self._turn += 1
                if not found:
                    client.close()
                    continue
                try:
                    server = socket.create_connection(("127.0.0.1", found[self._turn % len(found)]))
                except OSError:
                    client.close()
                    continue
                threading.Thread(target=_join, args=(client, server), daemon=True).start()


def _join(client: socket.socket, server: socket.socket) -> None:
    """Pass on what both say, until both have ended."""
    with client, server:
        other = threading.Thread(target=_pass_on, args=(server, client), daemon=True)
        other.start()
        _pass_on(client, server)
        other.join()


def _pass_on(source: socket.socket, sink: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(1 << 16):
            sink.sendall(data)
        sink.shutdown(socket.SHUT_WR)


def _read(pod: Pod, process: subprocess.Popen[bytes]) -> None:
    assert process.stdout is not None
    with process.stdout as lines:
        for line in lines:
            pod.lines.append((_now(), line))


def _asked(pod: Pod, container: Document, probe: Document) -> str:
    """Why a probe fails, in the kubelet's words; empty when it does not."""
    told = probe["httpGet"]
    assert any(it["name"] == told["port"] for it in container["ports"])
    connection = http.client.HTTPConnection(
        "127.0.0.1", pod.port, timeout=probe.get("timeoutSeconds", 1)
    )
    try:
        connection.request("GET", told["path"], headers={"Host": "10.244.0.7:8080"})
        status = connection.getresponse().status
    except (OSError, http.client.HTTPException) as error:
        return f'Get "http://10.244.0.7:8080{told["path"]}": {error}'
    finally:
        connection.close()
    return "" if 200 <= status < 400 else f"HTTP probe failed with statuscode: {status}"


def _owner(replica_set: Document) -> str:
    found: str = replica_set["metadata"]["owner"]
    return found


def _bounds(spec: Document, wanted: int) -> tuple[int, int]:
    """How many pods may be lacking, and how many more there may be."""
    told = spec.get("strategy", {}).get("rollingUpdate", {})

    def number(value: int | str, rounded: Callable[[float], int]) -> int:
        share = isinstance(value, str) and float(value.rstrip("%")) * wanted / 100
        return rounded(share) if isinstance(value, str) else value

    lacking = number(told.get("maxUnavailable", "25%"), math.floor)
    more = number(told.get("maxSurge", "25%"), math.ceil)
    return (lacking or (not more)), more


def _without(found: Any, before: Any, now: Any) -> Any:
    """A document without the fields that were applied before and are not any more."""
    if not (isinstance(found, dict) and isinstance(before, dict)):
        return copy.deepcopy(found)
    now = now if isinstance(now, dict) else {}
    return {
        key: _without(value, before.get(key), now.get(key))
        for key, value in found.items()
        if key in now or key not in before
    }


def _over(found: Any, applied: Any) -> Any:
    """A document with the fields that are applied; lists count as a whole."""
    if not (isinstance(found, dict) and isinstance(applied, dict)):
        return copy.deepcopy(applied)
    return {**found, **{key: _over(found.get(key), value) for key, value in applied.items()}}


def _now() -> str:
    return datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


def labelled(documents: dict[str, Any], selector: str) -> Iterator[Any]:
    """Those whose labels a selector of equalities names."""
    wanted = dict(part.split("=", 1) for part in selector.split(","))
    for one in list(documents.values()):
        document = one if isinstance(one, dict) else one.document
        if wanted.items() <= (document["metadata"].get("labels") or {}).items():
            yield document
