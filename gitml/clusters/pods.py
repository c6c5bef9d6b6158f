"""What a pod's status says of its first container: why it does not start, and how it ended. Pure.

Format: the Pod of Kubernetes' API, version v1.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

OOM_NOTE = "gitml: out of memory"  # what the first process leaves as the container's last message
# Reasons to wait that waiting does not change.
_HOPELESS = frozenset({"InvalidImageName", "ErrImageNeverPull"})
# Reasons to wait that are errors; they may pass, and a user may mend them.
_TROUBLES = frozenset(
    """ErrImagePull ImagePullBackOff ErrRegistryUnavailable RegistryUnavailable ImageInspectError
    CreateContainerConfigError CreateContainerError RunContainerError SignatureValidationFailed
    """.split()
)
_OOM = "OOMKilled"


@dataclass(frozen=True, slots=True)
class Ended:
    """How a pod's container ended: the exit code, None when it has none, and why in words.

    `was_taken` tells that the cluster ended the pod, by evicting it, say.
    """

    code: int | None
    why: str = ""
    out_of_memory: bool = False
    was_taken: bool = False


@dataclass(frozen=True, slots=True)
class Pod:
    """A pod: whether its container has started, what it waits for in words, and how it ended.

    It is `stuck` when something is wrong that may be mended, and `hopeless` when it will not be.
    """

    name: str
    created: str
    has_started: bool
    waits_for: str = ""
    is_stuck: bool = False
    is_hopeless: bool = False
    ended: Ended | None = None


def pod_of(document: Mapping[str, Any], container: str) -> Pod:
    """The pod that a document of the cluster describes, as far as its container goes."""
    metadata, status = document.get("metadata") or {}, document.get("status") or {}
    own = next(_states(status, "containerStatuses", container), {})
    ended, started = _ended(status, own), own.get("started_at")
    waits, reason = ("", "") if started or ended else _waits(status, own)
    return Pod(
        str(metadata.get("name") or ""),
        str(metadata.get("creationTimestamp") or ""),
        bool(started),
        waits,
        is_stuck=reason in _TROUBLES,
        is_hopeless=reason in _HOPELESS,
        ended=ended,
    )


def _states(status: Mapping[str, Any], key: str, name: str | None) -> Iterator[dict[str, Any]]:
    """The states of containers, of that name or of any: their parts by name, and whether begun."""
    for one in status.get(key) or ():
        if name is None or one.get("name") == name:
            state = one.get("state") or {}
            last = (one.get("lastState") or {}).get("terminated")
            terminated = state.get("terminated") or (last if not state.get("running") else None)
            running = state.get("running")
            began = (running or terminated or {}).get("startedAt")
            yield {
                "waiting": state.get("waiting"),
                "terminated": terminated,
                "started_at": began or ("running" if running is not None else None),
            }


def _ended(status: Mapping[str, Any], own: Mapping[str, Any]) -> Ended | None:
    """How it ended; a pod that the cluster took says so itself."""
    terminated, phase = own.get("terminated"), status.get("phase")
    code = None if terminated is None else int(terminated.get("exitCode") or 0)
    if phase == "Failed" and (taken := _taken(status)):
        return Ended(code, taken, was_taken=True)
    if terminated is not None:
        said, reason = str(terminated.get("message") or ""), str(terminated.get("reason") or "")
        oom = reason == _OOM or said.strip() == OOM_NOTE
        known = reason in ("Completed", "Error", _OOM, "")
        why = "" if known else _joined(reason, said)
        return Ended(code, why, out_of_memory=oom)
    if phase == "Succeeded":
        return Ended(0)
    if phase == "Failed":
        return Ended(None, _of_init(status) or "the cluster does not say why")
    return None


def _taken(status: Mapping[str, Any]) -> str:
    """Why the cluster took the pod away; nothing when it did not."""
    if status.get("reason"):  # Evicted, NodeShutdown, Preempting ...
        return _joined(status.get("reason"), status.get("message"))
    for one in status.get("conditions") or ():
        if one.get("type") == "DisruptionTarget" and one.get("status") == "True":
            return _joined(one.get("reason"), one.get("message"))
    return ""


def _of_init(status: Mapping[str, Any]) -> str:
    """What is wrong with the containers that come before."""
    for one in status.get("initContainerStatuses") or ():
        ended = (one.get("state") or {}).get("terminated") or {}
        if ended.get("exitCode"):
            why = _joined(ended.get("reason"), ended.get("message"))
            return f"its init container {one.get('name')} ended with {ended['exitCode']} ({why})"
    return ""


def _waits(status: Mapping[str, Any], own: Mapping[str, Any]) -> tuple[str, str]:
    """What a pod waits for, in words and in Kubernetes' one word; nothing for what is usual."""
    inits = [it["waiting"] for it in _states(status, "initContainerStatuses", None)]
    for waiting in (own.get("waiting"), *inits):
        reason = str((waiting or {}).get("reason") or "")
        if reason in _HOPELESS | _TROUBLES:
            return _joined(reason, (waiting or {}).get("message")), reason
    for one in status.get("conditions") or ():
        if one.get("type") == "PodScheduled" and one.get("status") == "False":
            return _joined(one.get("reason"), one.get("message")), str(one.get("reason") or "")
    return "", ""


def _joined(reason: object, message: object) -> str:
    """Kubernetes' word and sentence on one line."""
    words = [" ".join(str(it).split()) for it in (reason, message) if it]
    line = ": ".join(words)
    line = "".join(char if char.isprintable() else "?" for char in line)
    return line if len(line) <= _MOST else f"{line[: _MOST - 1]}…"


_MOST = 300  # characters
