"""A job that its scheduler starts again on another machine goes on with its run."""

from __future__ import annotations

import os
import subprocess
import sys
import time
import zlib
from pathlib import Path

import orjson
import pytest

import gitml
from gitml.tracking import live, recording, store
from gitml.tracking.fluent.place import place

LOST_JOB = """
import os
import gitml

run = gitml.start_run()
gitml.log_metric("loss", 0.5, step=1)
print(run.info.run_id, flush=True)
os._exit(9)
"""


@pytest.fixture
def lost(repo: Path) -> str:
    """The id of a run whose machine has gone: another host, another boot, silent for an hour."""
    done = subprocess.run(
        (sys.executable, "-c", LOST_JOB), cwd=repo, capture_output=True, text=True, check=False
    )
    run_id = done.stdout.strip()
    journal = next(live.folder(place().home, run_id).folder.glob("*.jsonl"))
    first, *rest = journal.read_bytes().splitlines(keepends=True)
    event = orjson.loads(first)
    event["begin"]["owner"] |= {"host": "elsewhere", "boot": "another"}
    body = orjson.dumps({"begin": event["begin"]})[1:]
    journal.write_bytes(b"".join([b'{"crc":"%08x",%b\n' % (zlib.crc32(body), body), *rest]))
    hour_ago = time.time() - 3600
    os.utime(journal, (hour_ago, hour_ago))
    return run_id


def test_a_run_elsewhere_that_is_silent_is_lost(lost: str) -> None:
    """It is shown so, and nobody records it without being asked."""
    assert store.record(place(), lost).status == "LOST"
    assert recording.recover(place()) == []


def test_a_requeued_job_finishes_the_run(lost: str) -> None:
    """The new process resumes the run: both histories are in it, and it is FINISHED."""
    with gitml.start_run(run_id=lost):
        assert store.record(place(), lost).status == "RUNNING"
        gitml.log_metric("loss", 0.25, step=2)
    found = store.record(place(), lost)
    assert found.status == "FINISHED"
    assert found.metrics["loss"].count == 2
    assert {session.kind for session in found.sessions.values()} == {"start", "resume"}
    assert [run.info.status for run in gitml.search_runs(output_format="list")] == ["FINISHED"]


def test_a_lost_run_is_recorded_on_request(lost: str) -> None:
    """`recover --lost` records it as KILLED."""
    assert [item.run_id for item in recording.recover(place(), lost=True)] == [lost]
    assert store.record(place(), lost).status == "KILLED"
