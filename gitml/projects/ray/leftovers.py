"""Jobs whose client died: they go on, and what they record is collected, or said where it is.

A job has a folder here, `<gitml folder>/ray/<run id>`, with a lock that its client holds, and the
file `job.json` in it. On a cluster of this machine its spool is there, too.
"""

from __future__ import annotations

import contextlib
import shlex
import shutil
import time
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

from gitml import locks
from gitml.documents import dump_json, load_json, write_atomic
from gitml.errors import GitmlError, UsageError
from gitml.projects.ray import gathering, settings
from gitml.projects.ray.client import Client
from gitml.projects.ray.cluster import FOLDER, Cluster
from gitml.tracking import collecting
from gitml.tracking.names import is_run_id
from gitml.tracking.place import Place
from gitml.tracking.spool import Spool

JOB, SPOOL = "job.json", "spool"
_ENDING = 30.0  # seconds for a job to end that was told to
_NEVER = 7 * 24 * 3600.0  # seconds after which a job that recorded nothing is taken for none


@contextlib.contextmanager
def watched(place: Place, run_id: str, job: Mapping[str, str]) -> Iterator[None]:
    """Keep the folder of a job, and its lock, for the length of a block."""
    folder = place.home / FOLDER / run_id
    with locks.held(folder.with_suffix(".lock"), remove=True):
        folder.mkdir(parents=True, exist_ok=True)
        write_atomic(folder / JOB, dump_json(dict(job)))
        try:
            yield
        finally:
            (folder / JOB).unlink(missing_ok=True)
            with contextlib.suppress(OSError):  # something is left in the spool
                folder.rmdir()


def sweep(place: Place, home: Path) -> list[str]:
    """Collect what jobs have recorded whose client died; what is to be known of them, in words.

    `home` is a gitml folder of the repository.
    """
    with contextlib.suppress(OSError):
        folders = sorted(one for one in (home / FOLDER).iterdir() if is_run_id(one.name))
        return [line for folder in folders if (line := _swept(place, folder))]
    return []


def _swept(place: Place, folder: Path) -> str:
    descriptor = locks.acquire(folder.with_suffix(".lock"))
    if descriptor is None:
        return ""  # its client lives
    try:
        return _seen_to(place, folder)
    except (GitmlError, OSError, KeyError) as error:
        return f"what the Ray job of run {folder.name[-8:]} recorded can't be collected: {error}"
    finally:
        locks.release(descriptor)
        if not folder.exists():
            folder.with_suffix(".lock").unlink(missing_ok=True)


def _seen_to(place: Place, folder: Path) -> str:
    spool = Spool(folder / SPOOL)
    if spool.home.is_dir():
        found = collecting.collect(place, spool)
        is_old = time.time() - spool.home.stat().st_mtime > _NEVER
        if gathering.are_over(spool) and (found or is_old):
            collecting.forget(place, spool)
            shutil.rmtree(folder, ignore_errors=True)
        return ""
    told = load_json((folder / JOB).read_bytes(), JOB) if (folder / JOB).exists() else {}
    shutil.rmtree(folder, ignore_errors=True)
    if not told:
        return ""
    command = shlex.join(["gitml", "collect", told["spool"]])
    return (
        f"the client of run {folder.name[-8:]} died; its job {told['job']} at {told['address']} may"
        f" go on, and what it records comes in by: {command}"
    )


def end(place: Place, config: Mapping[str, Any], run_ids: Collection[str]) -> bool:
    """End the jobs that go on of some runs, and collect what they recorded; whether any did.

    Raises `ClusterError`.
    """
    told = settings.read(config)
    client, cluster = Client(told), Cluster(told, {})
    found = client.going(run_ids)
    for id in found:
        client.stop(id)
    deadline = time.monotonic() + _ENDING
    for id in found:
        while not client.state(id).is_over:
            if time.monotonic() > deadline:
                raise UsageError(f"the job {id} at {told.shown} does not end; end it there first")
            time.sleep(0.2)
    for run_id in set(found.values()):
        gathering.gather(place, cluster.spool(place, run_id), patient=True)
    return bool(found)
