"""One run for one job: ranks find the run of rank 0, and a job that is started again its own."""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path

import pytest

from gitml.tracking import jobs, names, starting, store
from gitml.tracking.collecting import RECORDED, collect
from gitml.tracking.place import Place
from gitml.tracking.spool import Spool
from tests import trainings
from tests.spools import collected, run, told
from tests.waiting import until

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="kills with SIGKILL")

TWO_RUNS = """
rank = os.environ["RANK"]
for name in ("first", "second"):
    with mlflow.start_run(run_name=name):
        metric("loss", 0.5, int(rank))
"""

AGAIN = """
with mlflow.start_run(run_name="job"):
    param("lr", 0.1)
    metric("loss", 0.5, int(os.environ.get("SLURM_RESTART_COUNT", "0")))
    if "SLURM_RESTART_COUNT" not in os.environ:
        os.kill(os.getpid(), 9)
"""

LONELY = """
from gitml.tracking import jobs
jobs.WAIT_SECONDS = 0.3
import warnings
with warnings.catch_warnings(record=True) as told:
    warnings.simplefilter("always")
    for _ in range(2):
        with mlflow.start_run():
            metric("loss", 0.5, 1)
said(warned=[str(one.message) for one in told])
"""

WORKER = """
with mlflow.start_run():
    metric("loss", 0.5, int(sys.argv[1]))
"""


def kinds(place: Place, run_id: str) -> Counter[str]:
    """How the sessions of a run came to be."""
    return Counter(it.kind for it in store.record(place, run_id).sessions.values())


def test_ranks_meet_in_each_of_several_runs(node: Path, spool: Spool, clone: Place) -> None:
    """A script that starts two runs one after another makes two, with every rank in both."""
    script = trainings.write(node, TWO_RUNS)
    job = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "29500", "WORLD_SIZE": "3"}
    ranks = [
        trainings.start(script, cwd=node, env=told(node, spool, RANK=str(rank), **job))
        for rank in (2, 1, 0)
    ]
    assert [process.communicate(timeout=60)[1] for process in ranks] == [b""] * 3
    found = collect(clone, spool)
    assert [one.word for one in found] == [RECORDED] * 2
    assert [one.record and one.record.name for one in found] == ["first", "second"]
    for one in found:
        assert kinds(clone, one.run_id) == {"start": 1, "join": 2}


def test_a_requeued_job_resumes_its_run(
    node: Path, tmp_path: Path, anywhere: Spool, clone: Place
) -> None:
    """The attempts of one job are one run, although the second is on another machine."""
    job = {"SLURM_JOB_ID": "4711", "SLURM_PROCID": "0", "SLURM_NTASKS": "1"}
    script = trainings.write(node, AGAIN)
    first = trainings.run(script, cwd=node, env=told(node, anywhere, **job))
    assert first.code == -9
    (run_id,) = first.runs()
    if anywhere.url is not None:  # the courier goes on after the kill
        until(lambda: collect(clone, anywhere))
    other = tmp_path / "other"
    other.mkdir()
    again = told(node, anywhere, **job, SLURM_RESTART_COUNT="1", TMPDIR=str(other))
    second = trainings.run(script, cwd=node, env=again)
    assert (second.code, second.stderr, second.runs()) == (0, "", [run_id])
    until(lambda: collected(clone, anywhere, RECORDED) or _is_finished(clone, run_id))
    assert until(lambda: _is_finished(clone, run_id) or not collect(clone, anywhere))
    found = store.record(clone, run_id)
    assert kinds(clone, run_id) == {"start": 1, "resume": 1}
    assert (found.metrics["loss"].count, found.param_conflicts) == (2, {})


def _is_finished(clone: Place, run_id: str) -> bool:
    return store.record(clone, run_id).status == "FINISHED"


def test_a_second_launch_in_a_job_is_another_run(node: Path, spool: Spool, clone: Place) -> None:
    """A job script may call a training twice; only what the scheduler restarts is resumed."""
    job = {"SLURM_JOB_ID": "4711", "SLURM_PROCID": "0"}
    made = [run(node, spool, "with mlflow.start_run():\n    metric('a', 1, 1)", **job).runs()]
    made += [run(node, spool, "with mlflow.start_run():\n    metric('a', 1, 1)", **job).runs()]
    assert len({run_id for (run_id,) in made}) == 2
    assert [one.word for one in collect(clone, spool)] == [RECORDED] * 2


def test_a_rank_without_rank_0_writes_its_own_run(node: Path, spool: Spool, clone: Place) -> None:
    """It waits for a while, once; then nothing is lost, and a warning says what to do."""
    done = run(node, spool, LONELY, RANK="1", MASTER_ADDR="10.0.0.1", MASTER_PORT="1")
    warned = next(call["warned"] for call in done.acknowledged if "warned" in call)
    assert len(warned) == 2
    assert "GITML_RUN_ID" in warned[0]
    assert [one.word for one in collect(clone, spool)] == [RECORDED] * 2


def test_workers_with_one_run_id_write_one_run(node: Path, anywhere: Spool, clone: Place) -> None:
    """Workers that know nothing of one another, as those of Ray, are told the run by its id."""
    run_id = names.new_run_id()
    script = trainings.write(node, WORKER)
    env = told(node, anywhere, GITML_RUN_ID=run_id)
    workers = [trainings.start(script, str(n), cwd=node, env=env) for n in range(3)]
    assert [process.communicate(timeout=60)[1] for process in workers] == [b""] * 3
    until(lambda: collected(clone, anywhere, RECORDED))
    found = store.record(clone, run_id)
    assert (found.status, found.metrics["loss"].count) == ("FINISHED", 3)
    assert kinds(clone, run_id)["start"] == 1


def test_workers_add_to_a_run_of_the_repository(node: Path, spool: Spool, clone: Place) -> None:
    """A run that was started in the clone takes in what its workers wrote elsewhere."""
    session, record = starting.start(clone, starting.Wish(name="driver"))
    session.metric("loss", 1.0, 0, 1_767_225_600_000)
    script = trainings.write(node, WORKER)
    done = trainings.run(script, "1", cwd=node, env=told(node, spool, GITML_RUN_ID=record.run_id))
    assert (done.code, done.stderr) == (0, "")
    collect(clone, spool)
    assert store.record(clone, record.run_id).status == "RUNNING"
    assert store.record(clone, record.run_id).metrics["loss"].count == 2
    session.end("FINISHED")
    collect(clone, spool)
    found = store.record(clone, record.run_id)
    assert (found.name, found.status, found.metrics["loss"].count) == ("driver", "FINISHED", 2)
    assert kinds(clone, record.run_id) == {"start": 1, "join": 1}


@pytest.mark.parametrize(
    ("environ", "rank", "again"),
    [
        ({"RANK": "3", "SLURM_PROCID": "0", "SLURM_JOB_ID": "7"}, 3, False),
        ({"SLURM_PROCID": "2", "SLURM_JOB_ID": "7", "SLURM_RESTART_COUNT": "1"}, 2, True),
        ({"OMPI_COMM_WORLD_RANK": "1", "PMIX_NAMESPACE": "prterun-1"}, 1, False),
        ({"RANK": "0", "TORCHELASTIC_RUN_ID": "ab", "TORCHELASTIC_RESTART_COUNT": "2"}, 0, True),
        ({"RANK": "1", "TORCHELASTIC_RUN_ID": "none", "MASTER_ADDR": "h"}, 1, False),
    ],
)
def test_launchers_tell_rank_and_job(environ: dict[str, str], rank: int, again: bool) -> None:
    """torchrun, Slurm and Open MPI are understood; torchrun's rank comes before Slurm's."""
    job = jobs.current(environ)
    assert job is not None
    assert (job.rank, job.is_again) == (rank, again)


@pytest.mark.parametrize(
    "environ",
    [{}, {"RANK": "1"}, {"SLURM_JOB_ID": "7"}, {"RANK": "x", "MASTER_ADDR": "h"},
     {"RANK": "0", "TORCHELASTIC_RUN_ID": "none"}],
)  # fmt: skip
def test_without_a_job_there_are_no_ranks(environ: dict[str, str]) -> None:
    """A rank without a job, or a job without a rank, tells nothing."""
    assert jobs.current(environ) is None
