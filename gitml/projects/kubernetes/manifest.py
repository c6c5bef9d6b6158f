"""The Job of a run: the user's template with the image, the command and the run filled in. Pure."""

from __future__ import annotations

import copy
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from gitml.clusters.pods import OOM_NOTE

RUN_LABEL = "gitml.run_id"
_CONTAINER = "run"  # where the template does not call it otherwise
_NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
_LIFE = 3600  # seconds that a Job which has ended stays, where the template does not say
_LEAST_LIFE = 60  # so long at least, for how it ended is to be read
_SLACK = 60  # seconds after which the cluster ends what gitml did not
_WORDS = 20  # seconds that what was recorded may take to arrive

# The first process of the pod. It tells what it starts to end when it is told so itself, which a
# first process without a handler would never hear; waits until what was logged has left for the
# spool, also of a process that was killed; and tells of a process that memory was lacking for.
FIRST = f"""
shell=sh; command -v bash >/dev/null 2>&1 && shell=bash
if command -v setsid >/dev/null 2>&1; then group=-; setsid "$shell" "$@" &
else group=; "$shell" "$@" & fi
child=$!
trap 'kill -TERM "$group$child" 2>/dev/null' TERM INT
code=0
while kill -0 "$child" 2>/dev/null; do wait "$child"; code=$?; done
left={_WORDS}
while [ "$left" -gt 0 ] && ls "${{TMPDIR:-/tmp}}"/gitml-spool*/*/live/*/*.jsonl >/dev/null 2>&1
do sleep 1; left=$((left - 1)); done
[ -w /dev/termination-log ] &&
for file in /sys/fs/cgroup/memory.events /sys/fs/cgroup/memory/memory.oom_control; do
  [ -r "$file" ] && while read -r name count; do
    [ "$name" = oom_kill ] && [ "$count" != 0 ] && echo "{OOM_NOTE}" >/dev/termination-log
  done <"$file"
done 2>/dev/null
exit "$code"
"""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a Job is to run, and for which run: `argv` is that of bash, without its name.

    `project` are the variables that the project sets, which the template's come before, and `own`
    are gitml's, which come before those. After `timeout` seconds it is to have ended.
    """

    name: str
    namespace: str
    run_id: str
    image: str
    argv: Sequence[str]
    project: Mapping[str, str]
    own: Mapping[str, str]
    timeout: float | None = None


def job(template: Mapping[str, Any], wanted: Wanted) -> dict[str, Any]:
    """The manifest of a Job."""
    made: dict[str, Any] = copy.deepcopy(dict(template))
    made |= {"apiVersion": "batch/v1", "kind": "Job"}
    metadata = _inner(made, "metadata")
    metadata.pop("generateName", None)
    metadata |= {"name": wanted.name, "namespace": wanted.namespace}
    _inner(metadata, "labels")[RUN_LABEL] = wanted.run_id
    spec = _inner(made, "spec")
    spec.setdefault("backoffLimit", 0)
    life = spec.get("ttlSecondsAfterFinished")
    spec["ttlSecondsAfterFinished"] = max(life, _LEAST_LIFE) if isinstance(life, int) else _LIFE
    if wanted.timeout is not None:
        limits = [math.ceil(wanted.timeout) + _SLACK, spec.get("activeDeadlineSeconds")]
        spec["activeDeadlineSeconds"] = min(it for it in limits if isinstance(it, int))
    pod = _inner(spec, "template")
    _inner(_inner(pod, "metadata"), "labels")[RUN_LABEL] = wanted.run_id
    inner = _inner(pod, "spec")
    inner["restartPolicy"] = "Never"
    inner["containers"] = inner.get("containers") or [{}]
    _fill(inner["containers"][0], wanted)
    return made


def container_of(manifest: Mapping[str, Any]) -> str:
    """The name of the container that runs the command: the first."""
    return str(manifest["spec"]["template"]["spec"]["containers"][0]["name"])


def grace_of(manifest: Mapping[str, Any]) -> float:
    """How many seconds its pod has to end by itself; Kubernetes' default is 30."""
    told = manifest["spec"]["template"]["spec"].get("terminationGracePeriodSeconds")
    return float(told) if isinstance(told, int) else 30.0


def _fill(container: dict[str, Any], wanted: Wanted) -> None:
    # MLflow's templates have sentences where something is to be filled in.
    if not _NAME.fullmatch(str(container.get("name"))):
        container["name"] = _CONTAINER
    container["image"] = wanted.image
    # The image's own entry point is run first, which a command would replace. The cluster puts
    # variables in the place of $(NAME), which no value is meant for.
    container.pop("command", None)
    argv = ["/bin/sh", "-c", FIRST, "gitml-run", *wanted.argv]
    container["args"] = [one.replace("$", "$$") for one in argv]
    container["env"] = list(_variables(container.get("env") or [], wanted))


def _variables(told: Sequence[Any], wanted: Wanted) -> list[dict[str, Any]]:
    """The variables, each once: the project's, the template's, gitml's; the later ones count."""
    named = {str(one.get("name")): dict(one) for one in told if isinstance(one, dict)}
    project = {name: _literal(name, value) for name, value in wanted.project.items()}
    own = {name: _literal(name, value) for name, value in wanted.own.items()}
    return list({**project, **named, **own}.values())


def _literal(name: str, value: str) -> dict[str, Any]:
    return {"name": name, "value": value.replace("$", "$$")}


def _inner(document: dict[str, Any], key: str) -> dict[str, Any]:
    """The mapping at a key, which is there from now on."""
    found = document.get(key)
    document[key] = found if isinstance(found, dict) else {}
    return document[key]  # type: ignore[no-any-return]
