"""How far the pods of a new version have come, and what keeps them from serving. Pure.

Formats: Deployment of apps/v1, Pod and Event of v1.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from gitml.clusters import pod_of
from gitml.deploy.errors import line
from gitml.deploy.targets.manifests import container_of

_REFUSED = "probe failed: HTTP probe failed with statuscode: 503"  # of an Event, as Kubernetes says


def is_done(document: Mapping[str, Any]) -> bool:
    """Whether all pods of a Deployment are of its newest version, and ready."""
    spec, status = document.get("spec") or {}, document.get("status") or {}
    if not _is_current(document):
        return False
    counts = [int(status.get(key) or 0) for key in ("updatedReplicas", "availableReplicas")]
    wanted = int(spec.get("replicas", 1))
    return min(counts) >= wanted and int(status.get("replicas") or 0) <= wanted


def given_up(document: Mapping[str, Any]) -> str:
    """Why the cluster waits for the newest version no more; empty as long as it does."""
    for one in (document.get("status") or {}).get("conditions") or ():
        is_over = one.get("type") == "Progressing" and one.get("status") == "False"
        if is_over and _is_current(document):
            return f"{one.get('reason')}: {line(str(one.get('message') or ''))}"
    return ""


def _is_current(document: Mapping[str, Any]) -> bool:
    """Whether the controller has seen what the Deployment says now."""
    seen = (document.get("status") or {}).get("observedGeneration") or 0
    return int(seen) >= int((document.get("metadata") or {}).get("generation") or 0)


def is_ready(pod: Mapping[str, Any]) -> bool:
    """Whether a pod gets requests."""
    if (pod.get("metadata") or {}).get("deletionTimestamp"):
        return False
    conditions = (pod.get("status") or {}).get("conditions") or ()
    return any(it.get("type") == "Ready" and it.get("status") == "True" for it in conditions)


def trouble(pod: Mapping[str, Any], *, is_late: bool) -> str:
    """Why a pod of a new version will not serve; empty as long as it may.

    What may pass, such as an image that can't be pulled now, is trouble once it `is_late`.
    """
    found = pod_of(pod, container_of(pod))
    if found.is_hopeless or (is_late and found.is_stuck):
        return found.waits_for
    if not restarts(pod):
        return ""
    code = found.ended.code if found.ended else None
    if found.ended is not None and found.ended.out_of_memory:
        return "it ran out of memory"
    return f"it ended with {code} before it served" if code is not None else "it did not stay"


def restarts(pod: Mapping[str, Any]) -> int:
    """How often the container that serves was started again."""
    states = (pod.get("status") or {}).get("containerStatuses") or ()
    own = [it for it in states if it.get("name") == container_of(pod)]
    return sum(int(it.get("restartCount") or 0) for it in own)


def refused(events: Iterable[Mapping[str, Any]]) -> bool:
    """Whether a pod was asked to predict for the model's own example, and did not."""
    return any(_REFUSED in str(it.get("message") or "") for it in events)
