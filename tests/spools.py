"""Spools for tests: scripts that write into one on a node without git, and what is seen of them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

from gitml.tracking import collecting
from gitml.tracking.collecting import RUNNING, collect
from gitml.tracking.place import Place
from gitml.tracking.spool import Spool
from tests import trainings

ONE = """
mlflow.set_experiment("churn")
with mlflow.start_run(run_name="one") as run:
    param("lr", 0.1)
    for step in range(20):
        metric("loss", 1 / (step + 1), step)
    tag("team", "ml")
    text("notes.txt", "small")
    text("large/model.bin", "x" * 150_000)
    me = run_id()
said(run=me, ended="FINISHED")
"""

SMALL = """
with mlflow.start_run():
    metric("loss", 0.5, 1)
    text("notes.txt", "small")
"""

RANKS = """
rank = int(os.environ["RANK"])
with mlflow.start_run(run_name="job") as run:
    me = run.info.run_id
    if rank == 0:
        param("lr", 0.1, me)
    text(f"rank-{rank}.txt", f"by rank {rank}", me)
    step = 0
    while step < 20 or not os.path.exists("stop"):
        metric("loss", 1 / (step + 1), step, me)
        step += 1
        time.sleep(0.01)
if rank == 0:
    said(run=me, ended="FINISHED")
"""

OPEN = """
mlflow.start_run(run_name="open")
metric("loss", 0.5, 1)
while not os.path.exists("stop"):
    time.sleep(0.02)
"""


def told(node: Path, spool: Spool, **more: str) -> dict[str, str]:
    """The variables of a process that writes into the spool."""
    where = spool.url or str(spool.home)
    return {"PATH": str(node / "bin"), "GITML_SPOOL": where, "TMPDIR": str(node), **more}


def run(node: Path, spool: Spool, body: str, **more: str) -> trainings.Outcome:
    """Run a script on the node to its end."""
    script = trainings.write(node, body)
    done = trainings.run(script, cwd=node, env=told(node, spool, **more))
    assert (done.code, done.stderr) == (0, "")
    return done


Ranks = dict[int, "subprocess.Popen[bytes]"]


def start_ranks(node: Path, spool: Spool, count: int = 4) -> Ranks:
    """Start the ranks of one job, as a launcher does."""
    script = trainings.write(node, RANKS)
    job = {"WORLD_SIZE": str(count), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "29500"}
    return {
        rank: trainings.start(script, cwd=node, env=told(node, spool, RANK=str(rank), **job))
        for rank in reversed(range(count))  # the others wait for rank 0
    }


def shown(repo: Path, *args: str) -> str:
    """What `gitml` prints in the clone."""
    done = subprocess.run(
        (sys.executable, "-m", "gitml", *args), cwd=repo, env=trainings.environment(),
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


def running(clone: Place, spool: Spool, points: int) -> list[Any]:
    """The run, once every rank has logged so many points that were seen in the clone."""
    if not (spool.home / "live").exists() and spool.url is None:
        return []
    found = collect(clone, spool)
    assert all(one.word in (RUNNING, collecting.WAITING) for one in found), found
    seen = [one for one in found if one.record and "loss" in one.record.metrics]
    return [
        one for one in seen
        if len(one.record.sessions) == 4 and one.record.metrics["loss"].count >= 4 * points
    ]  # fmt: skip


def collected(clone: Place, spool: Spool, word: str) -> dict[str, str] | None:
    """What became of each run of the spool, once one of them came to that word."""
    words = {one.run_id: one.word for one in collect(clone, spool)}
    return words if word in words.values() else None
