"""The gate to Kubernetes: who the user is there, and the few requests that gitml makes.

Contexts, certificates, proxies, plugins that fetch tokens and the account of a pod are those of the
library `kubernetes`. What is asked and answered stays JSON, as it is: the library's types refuse
manifests that a cluster takes (`cpu: 1`), and differ from one of its releases to the next.
"""

from __future__ import annotations

import contextlib
import json
import os
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote, urlencode

from gitml.errors import GitmlError, UsageError, shown

_JOBS, _CORE, _APPS = "/apis/batch/v1", "/api/v1", "/apis/apps/v1"
_KINDS = {  # what is applied, as the paths of the API have it
    "Deployment": (_APPS, "deployments"),
    "ReplicaSet": (_APPS, "replicasets"),
    "Service": (_CORE, "services"),
}
_TYPES = {"PATCH": "application/apply-patch+yaml"}  # which JSON is, too
_PATIENCE = (10.0, 30.0)  # seconds to be connected, and for an answer
_PAUSE = 1.0  # seconds until pods that can't be watched are looked at again
_QUIET = 60.0  # seconds of a log in which nothing comes, before it is asked for again
_MOST = 300  # characters of what a cluster says
_MOST_LOG = 1 << 20  # bytes of a log's end
_PLACE = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")  # of a pod's own
# What a cluster says that has much to do, or is just being started again.
_PASSING = frozenset({408, 425, 429, 500, 502, 503, 504})


class ClusterError(GitmlError):
    """A cluster refused, or does not answer; the message has its own words.

    `status` is that of HTTP, 0 where no answer came. `passes` tells whether it may be otherwise
    when it is asked again.
    """

    def __init__(self, message: str, status: int = 0, *, passes: bool = False) -> None:
        super().__init__(message)
        self.status = status
        self.passes = passes or status in _PASSING


class _Access(NamedTuple):
    """How a cluster is reached: its address, connections with the user's certificates, and who."""

    configuration: Any
    pool: Any

    def headers(self) -> dict[str, str]:
        settings = self.configuration.auth_settings().values()  # a token that is over is renewed
        return {str(it["key"]): str(it["value"]) for it in settings if it["in"] == "header"}


class Cluster:
    """A cluster as one context of the user's has it; None stands for the current one.

    Every method raises ClusterError for whatever comes instead of an answer.
    """

    def __init__(self, context: str | None, namespace: str, access: _Access) -> None:
        self.context, self.namespace = context, namespace
        self._access = access
        self._mutex = threading.Lock()

    def create_job(self, namespace: str, manifest: Mapping[str, Any]) -> None:
        """Make a Job; a field that Kubernetes does not have is an error, not left out."""
        query = {"fieldValidation": "Strict", "fieldManager": "gitml"}
        self._answer("POST", _path(_JOBS, namespace, "jobs"), query, manifest)

    def job(self, namespace: str, name: str) -> Mapping[str, Any] | None:
        """A Job as it is now; None when there is none of that name."""
        with _or_none() as found:
            found.append(self._answer("GET", _path(_JOBS, namespace, "jobs", name)))
        return found[0] if found else None

    def delete_job(self, namespace: str, name: str) -> None:
        """Take a Job away, if it is there; its pods are told to end, and go."""
        path = _path(_JOBS, namespace, "jobs", name)
        with _or_none():
            self._answer("DELETE", path, {"propagationPolicy": "Background"})

    def get(self, kind: str, namespace: str, name: str) -> Mapping[str, Any] | None:
        """A Deployment or a Service as it is now; None when there is none of that name."""
        with _or_none() as found:
            found.append(self._answer("GET", _of_kind(kind, namespace, name)))
        return found[0] if found else None

    def listed(self, kind: str, namespace: str, selector: str) -> Sequence[Mapping[str, Any]]:
        """Those of a kind that have a label."""
        found = self._answer("GET", _of_kind(kind, namespace), {"labelSelector": selector})
        return found.get("items") or ()

    def apply(self, namespace: str, manifest: Mapping[str, Any]) -> Mapping[str, Any]:
        """Make a thing as its manifest says, or bring the one that is there to it; what it is then.

        What others have set, and the manifest does not name, stays: an autoscaler's replicas, say.
        A field that Kubernetes does not have is an error.
        """
        query = {"fieldManager": "gitml", "fieldValidation": "Strict", "force": "true"}
        path = _of_kind(str(manifest["kind"]), namespace, str(manifest["metadata"]["name"]))
        return self._answer("PATCH", path, query, manifest)

    def delete(self, kind: str, namespace: str, name: str) -> None:
        """Take a thing away, if it is there; its pods are told to end, and go."""
        with _or_none():
            query = {"propagationPolicy": "Background"}
            self._answer("DELETE", _of_kind(kind, namespace, name), query)

    def pods(self, namespace: str, selector: str) -> tuple[Sequence[Mapping[str, Any]], str]:
        """The pods with a label, and the version of that list, for `wait`."""
        found = self._answer("GET", _path(_CORE, namespace, "pods"), {"labelSelector": selector})
        version = (found.get("metadata") or {}).get("resourceVersion")
        return found.get("items") or (), str(version or "")

    def wait(self, namespace: str, selector: str, version: str, seconds: int) -> None:
        """Wait until the pods with a label are otherwise than in that list, or the time is over.

        A version that the cluster has forgotten is a change, and so is a connection that breaks.
        """
        query = {"labelSelector": selector, "watch": "true", "timeoutSeconds": str(seconds)}
        query |= {"resourceVersion": version} if version else {}
        path = _path(_CORE, namespace, "pods")
        try:
            with self._opened("GET", path, query, quiet=seconds + _PATIENCE[1]) as answer:
                next(answer.stream(None), b"")
        except ClusterError:  # what is wrong is told when the pods are listed
            time.sleep(_PAUSE)

    def delete_pod(self, namespace: str, name: str) -> None:
        """Kill a pod."""
        with _or_none():
            path = _path(_CORE, namespace, "pods", name)
            self._answer("DELETE", path, {"gracePeriodSeconds": "0"})

    def events(self, namespace: str, name: str) -> Sequence[Mapping[str, Any]]:
        """What was noted of a thing of that name; nothing where the user may not see that."""
        query = {"fieldSelector": f"involvedObject.name={name}"}
        try:
            found = self._answer("GET", _path(_CORE, namespace, "events"), query)
        except ClusterError:
            return ()
        return found.get("items") or ()

    def log(self, namespace: str, pod: str, container: str, seconds: int | None) -> Iterator[bytes]:
        """What a container says, of the last `seconds` and then as it comes; lines have their time.

        It ends with the container, and at times before.
        """
        query = {"container": container, "follow": "true", "timestamps": "true"}
        query |= {"sinceSeconds": str(seconds)} if seconds else {}
        path = _path(_CORE, namespace, "pods", pod, "log")
        with self._opened("GET", path, query, quiet=_QUIET) as answer:
            yield from answer.stream(None)

    def tail(
        self, namespace: str, pod: str, container: str, lines: int, *, previous: bool = False
    ) -> list[str]:
        """The last lines that a container has said, or the `previous` one that it came after."""
        query = {"container": container, "tailLines": str(lines)}
        query |= {"previous": "true"} if previous else {}
        with self._opened("GET", _path(_CORE, namespace, "pods", pod, "log"), query) as answer:
            text: str = answer.read(_MOST_LOG).decode("utf-8", "replace")
        return text.splitlines()[-lines:]

    def _answer(
        self, method: str, path: str, query: Mapping[str, str] | None = None, body: Any = None
    ) -> Mapping[str, Any]:
        with self._opened(method, path, query or {}, body) as answer:
            data = answer.read()
        try:
            found = json.loads(data)
        except ValueError:
            found = None
        if not isinstance(found, dict):  # something between may be in trouble
            raise ClusterError(f"{self} does not answer as Kubernetes does", passes=True)
        return found

    @contextlib.contextmanager
    def _opened(
        self,
        method: str,
        path: str,
        query: Mapping[str, str],
        body: Any = None,
        quiet: float = _PATIENCE[1],
    ) -> Iterator[Any]:
        """The answer to a request, whose body is still to be read."""
        from urllib3.exceptions import HTTPError, SSLError

        try:
            answer = self._asked(method, path, query, body, quiet)
            try:
                if answer.status >= 300:
                    raise ClusterError(_refusal(str(self), answer), answer.status)
                yield answer
            finally:
                answer.close()  # what is left of it is not waited for
        except (HTTPError, OSError) as error:
            passes = not isinstance(error, SSLError)  # a wrong certificate stays so
            message = f"{self} does not answer: {_line(str(error))}"
            raise ClusterError(message, passes=passes) from None

    def _asked(
        self,
        method: str,
        path: str,
        query: Mapping[str, str],
        body: Any,
        quiet: float,
        again: bool = False,
    ) -> Any:
        """The answer; who is not known any more asks `again`, by what his kubeconfig says now."""
        with self._mutex:
            access = self._access
            headers = {"Accept": "application/json, */*", **access.headers()}
        data = None if body is None else json.dumps(body).encode()
        headers |= {} if data is None else {"Content-Type": _TYPES.get(method, "application/json")}
        from urllib3 import Timeout

        url = (
            access.configuration.host.rstrip("/") + path + (f"?{urlencode(query)}" if query else "")
        )
        timeout = Timeout(connect=_PATIENCE[0], read=quiet)
        answer = access.pool.request(
            method, url, body=data, headers=headers, timeout=timeout,
            preload_content=False, retries=False, redirect=False,
        )  # fmt: skip
        if answer.status == 401 and not again and self._renew(access):
            answer.close()
            return self._asked(method, path, query, body, quiet, again=True)
        return answer

    def _renew(self, old: _Access) -> bool:
        """Read anew who the user is; whether that is told otherwise than it was."""
        with self._mutex:
            if self._access is not old:
                return True
            before = old.headers()
            with contextlib.suppress(GitmlError):
                self._access = _access(self.context)[0]
            return self._access.headers() != before

    def __str__(self) -> str:
        named = f" {shown(self.context)}" if self.context else ""
        return f"the cluster{named}"


def connect(context: str | None = None) -> Cluster:
    """The cluster of a context of the user's kubeconfig, by default the current one.

    Without a kubeconfig it is the one that this process runs in. Nothing is asked yet. Raises
    UsageError when there is none.
    """
    access, namespace = _access(context)
    return Cluster(context, namespace, access)


def context_of(context: str | None = None) -> str:
    """The name of the context that `connect` takes; `in-cluster` where there is no kubeconfig.

    Nothing that a kubeconfig names is started for it. Raises UsageError when there is none.
    """
    if context is not None:
        return context
    _, config, file = _library()
    if _is_in_cluster(file):
        return "in-cluster"
    try:
        return str(config.list_kube_config_contexts(file)[1]["name"])
    except (config.ConfigException, OSError, ValueError, TypeError) as error:
        raise UsageError(f"no cluster can be reached: {_line(str(error))}") from None


def _library() -> tuple[Any, Any, str]:
    """The library's parts, and the user's kubeconfig."""
    try:
        from kubernetes import client, config
    except ImportError:
        raise UsageError(
            "the library kubernetes is not installed: pip install 'gitml[kubernetes]'"
        ) from None
    return client, config, os.environ.get("KUBECONFIG") or "~/.kube/config"


def _is_in_cluster(file: str) -> bool:
    return not _is_there(file) and "KUBERNETES_SERVICE_HOST" in os.environ


def _access(context: str | None) -> tuple[_Access, str]:
    client, config, file = _library()
    settings = client.Configuration()
    try:
        if context is None and _is_in_cluster(file):
            config.load_incluster_config(client_configuration=settings)
            namespace = _PLACE.read_text("utf-8").strip()
        else:
            config.load_kube_config(file, context, client_configuration=settings)
            namespace = _namespace(config.list_kube_config_contexts(file), context)
    except (config.ConfigException, OSError, ValueError, TypeError) as error:
        raise UsageError(f"no cluster can be reached: {_line(str(error))}") from None
    pool = client.ApiClient(settings).rest_client.pool_manager
    return _Access(settings, pool), namespace


def _is_there(files: str) -> bool:
    return any(Path(one).expanduser().is_file() for one in files.split(os.pathsep) if one)


def _namespace(contexts: Any, context: str | None) -> str:
    """The namespace of a context, as the library lists them: all, and the current one."""
    known, current = contexts
    found = next((one for one in known if one["name"] == context), current)
    return str(found["context"].get("namespace") or "default")


@contextlib.contextmanager
def _or_none() -> Iterator[list[Mapping[str, Any]]]:
    """A list to be filled; what is not there leaves it empty."""
    try:
        yield []
    except ClusterError as error:
        if error.status != 404:
            raise


def _of_kind(kind: str, namespace: str, *name: str) -> str:
    group, plural = _KINDS[kind]
    return _path(group, namespace, plural, *name)


def _path(group: str, namespace: str, *parts: str) -> str:
    return "/".join((group, "namespaces", *(quote(part, safe="") for part in (namespace, *parts))))


def _refusal(cluster: str, answer: Any) -> str:
    """What a cluster answers in place of what it was asked for."""
    data = answer.read(1 << 16, decode_content=True)
    try:
        said = str(json.loads(data).get("message") or "")
    except (ValueError, AttributeError):
        said = data.decode("utf-8", "replace")
    if answer.status == 401:
        return f"{cluster} does not know you (401): log in, or name another context ({_line(said)})"
    if answer.status == 403:
        return f"you may not do that in {cluster} (403): {_line(said)}"
    return f"{cluster} says {answer.status}: {_line(said)}"


def _line(text: str) -> str:
    """What others say, on one line that can be shown."""
    line = " ".join(text.split()) or "nothing more"
    line = "".join(char if char.isprintable() else "?" for char in line)
    return line if len(line) <= _MOST else f"{line[: _MOST - 1]}…"
