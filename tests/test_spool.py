"""Runs that are written into a spool, where there is neither git nor a repository, and collected.

Every writer is a process of its own whose PATH has no git, outside of any repository.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from gitml import git
from gitml.storage import Bucket
from gitml.tracking import collecting, live, spooled, store
from gitml.tracking.collecting import KNOWN, RECORDED, RUNNING, collect
from gitml.tracking.place import Place, place_of
from gitml.tracking.spool import Spool
from tests import invariants, trainings
from tests.conftest import run_git
from tests.invariants import UserState
from tests.spools import (
    ONE,
    OPEN,
    SMALL,
    collected,
    run,
    running,
    shown,
    start_ranks,
    told,
)
from tests.waiting import until

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="kills with SIGKILL")

# -- the acceptance ---------------------------------------------------------------------------


def test_a_job_of_four_ranks_becomes_one_run(node: Path, anywhere: Spool, clone: Place) -> None:
    """One rank is killed; every acknowledged point is in the run, also when collected twice.

    Its curve is to be seen from the clone while it goes on.
    """
    spool = anywhere
    repo = Path(str(clone.repo.root))
    before = UserState.of(repo)
    ranks = start_ranks(node, spool)
    (going,) = until(lambda: running(clone, spool, points=20))
    os.kill(ranks[2].pid, signal.SIGKILL)
    listed = json.loads(shown(repo, "runs", "list", "--format", "json"))
    assert [(it["run_id"], it["status"]) for it in listed] == [(going.run_id, "RUNNING")]
    assert "loss" in shown(repo, "runs", "show", going.run_id)
    (node / "stop").touch()
    said = {rank: process.communicate(timeout=60) for rank, process in ranks.items()}
    assert {rank: ranks[rank].returncode for rank in said} == {0: 0, 1: 0, 2: -9, 3: 0}
    assert [err for _, err in said.values() if err] == []
    acknowledged = [call for out, _ in said.values() for call in trainings.calls(out)]
    words = until(lambda: collected(clone, spool, RECORDED))
    assert words == {going.run_id: RECORDED}
    head = clone.ledger.local()
    for _ in range(2):
        assert [one.word for one in collect(clone, spool)] == [KNOWN]
    assert clone.ledger.local() == head
    runs = invariants.check(repo, acknowledged, before)
    assert list(runs) == [going.run_id]
    assert {call["run"] for call in acknowledged} == {going.run_id}
    found = store.record(clone, going.run_id)
    assert sorted(it.kind for it in found.sessions.values()) == ["join"] * 3 + ["start"]
    assert found.param_conflicts == {}
    assert set(found.artifacts) == {f"rank-{rank}.txt" for rank in range(4)}


# -- one run ----------------------------------------------------------------------------------


def test_a_run_holds_all_that_was_logged(node: Path, anywhere: Spool, clone: Place) -> None:
    """Params, points, tags and artifacts, small and large; and what it ran on."""
    spool = anywhere
    repo = Path(str(clone.repo.root))
    before = UserState.of(repo)
    done = run(node, spool, ONE)
    assert [one.word for one in collect(clone, spool)] == [RECORDED]
    invariants.check(repo, done.acknowledged, before)
    found = store.record(clone, done.runs()[0])
    assert (found.name, found.experiment, found.status) == ("one", "churn", "FINISHED")
    assert found.source.name == "train.py"
    entry = clone.ledger.find(found.run_id)
    assert entry is not None
    assert "requirements.txt" in entry.files


def test_the_code_is_what_the_submitter_said(node: Path, spool: Spool, clone: Place) -> None:
    """A commit stands under the run; a tree is its code without one."""
    head = run_git(Path(str(clone.repo.root)), "rev-parse", "HEAD")
    tree = run_git(Path(str(clone.repo.root)), "rev-parse", "HEAD^{tree}")
    for code in (head, head[:12], tree):
        run(node, spool, ONE, GITML_CODE=code)
    of_head, of_short, of_tree = sorted(collect(clone, spool), key=lambda one: one.run_id)
    for one in (of_head, of_short):
        assert one.record is not None
        assert one.remark is None
        assert (one.record.code.commit, one.record.code.tree) == (head, tree)
        entry = clone.ledger.find(one.run_id)
        assert entry is not None
        assert run_git(Path(str(clone.repo.root)), "rev-parse", f"{entry.commit}^") == head
    assert of_tree.record is not None
    assert (of_tree.record.code.commit, of_tree.record.code.tree) == (None, tree)


@pytest.mark.parametrize(
    ("code", "problem"),
    [
        ("", "GITML_CODE was not set where the run was written"),
        ("f" * 40, f"GITML_CODE was {'f' * 40}, which is not in this repository"),
        ("--help", "GITML_CODE was '--help', which is no id"),
        ("refs/heads/main", "GITML_CODE was 'refs/heads/main', which is no id"),
    ],
)
def test_code_that_is_not_there_is_told(
    node: Path, spool: Spool, clone: Place, code: str, problem: str
) -> None:
    """The run is recorded all the same, and says what is missing."""
    run(node, spool, ONE, GITML_CODE=code)
    (one,) = collect(clone, spool)
    assert (one.word, one.remark) == (RECORDED, problem)
    assert one.record is not None
    assert dict(one.record.code.incomplete) == {".": problem}


def test_what_needs_a_repository_says_so(node: Path, spool: Spool) -> None:
    """What only a repository can tell is one clear line; a run's own data can be read."""
    body = """
    from gitml import MlflowClient
    with mlflow.start_run():
        mlflow.log_metric("loss", 0.5)
        assert mlflow.get_run(run_id()).data.metrics == {"loss": 0.5}
    assert mlflow.last_active_run().info.status == "FINISHED"
    for call in (
        mlflow.search_runs,
        mlflow.search_experiments,
        lambda: mlflow.get_run("01a2162fadcb738ca29131899ff85a4b"),
        lambda: mlflow.artifacts.list_artifacts("runs:/01a2162fadcb738ca29131899ff85a4b"),
        lambda: MlflowClient().get_metric_history("01a2162fadcb738ca29131899ff85a4b", "loss"),
    ):
        try:
            call()
        except mlflow.exceptions.MlflowException as error:
            assert "GITML_SPOOL" in str(error) and "\\n" not in str(error)
        else:
            raise SystemExit("it answered")
    assert mlflow.get_tracking_uri() == os.environ["GITML_SPOOL"]
    """
    run(node, spool, body)


def test_experiments_are_known_by_name(node: Path, spool: Spool, clone: Place) -> None:
    """A script may ask for, or create, an experiment; it comes to be when the run is collected."""
    body = """
    found = mlflow.get_experiment_by_name("My study")
    id = found.experiment_id if found else mlflow.create_experiment("My study")
    with mlflow.start_run(experiment_id=id):
        metric("loss", 0.5, 1)
    """
    done = run(node, spool, body)
    collect(clone, spool)
    assert store.record(clone, done.runs()[0]).experiment == "My study"


# -- ends, good and bad -----------------------------------------------------------------------


@pytest.fixture
def going(node: Path, spool: Spool) -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    """A process that goes on, and the id of its run."""
    script = trainings.write(node, OPEN)
    process = trainings.start(script, cwd=node, env=told(node, spool))
    assert process.stdout is not None
    call = json.loads(process.stdout.readline())
    yield process, call["run"]
    process.kill()
    process.communicate()


def test_a_killed_run_is_recorded_at_once_where_its_machine_is(
    going: tuple[subprocess.Popen[bytes], str], spool: Spool, clone: Place
) -> None:
    """On the machine of the writer nobody waits for its silence."""
    process, run_id = going
    assert [one.word for one in collect(clone, spool)] == [RUNNING]
    process.kill()
    process.communicate()
    assert [one.word for one in collect(clone, spool)] == [RECORDED]
    found = store.record(clone, run_id)
    assert (found.status, found.metrics["loss"].count) == ("KILLED", 1)


def test_a_silent_writer_elsewhere_is_lost_and_then_dead(
    going: tuple[subprocess.Popen[bytes], str], spool: Spool, clone: Place,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """LOST can be taken back; after a quarter of an hour, or when asked, it is recorded."""
    process, run_id = going
    process.kill()
    process.communicate()
    monkeypatch.setattr("gitml.tracking.live._boot", lambda: "another")
    live._process_of.cache_clear()
    (journal,) = (spool.home / "live" / run_id).glob("*.jsonl")
    for ago, word, status in ((60, RUNNING, "RUNNING"), (300, RUNNING, "LOST")):
        os.utime(journal, (time.time() - ago, time.time() - ago))
        (one,) = collect(clone, spool)
        assert (one.word, one.record and one.record.status) == (word, status)
    os.utime(journal, (time.time() - 1000, time.time() - 1000))
    (one,) = collect(clone, spool)
    assert (one.word, one.record and one.record.status) == (RECORDED, "KILLED")
    assert [one.word for one in collect(clone, spool)] == [KNOWN]
    live._process_of.cache_clear()


def test_a_writer_that_comes_back_goes_on_with_its_run(
    going: tuple[subprocess.Popen[bytes], str], node: Path, spool: Spool, clone: Place,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """Recorded as KILLED by mistake, the run is FINISHED in the end, with all its points."""
    process, _ = going
    monkeypatch.setattr(collecting, "DEAD_SECONDS", -1.0)
    monkeypatch.setattr(live, "HEARTBEAT_LIMIT", -1.0)
    monkeypatch.setattr("gitml.tracking.spooled._state", lambda writer: "unknown")
    (one,) = collect(clone, spool)
    assert (one.word, one.record and one.record.status) == (RECORDED, "KILLED")
    monkeypatch.undo()
    (node / "stop").touch()
    process.communicate(timeout=30)
    (one,) = collect(clone, spool)
    assert one.record is not None
    assert (one.record.status, one.record.metrics["loss"].count) == ("FINISHED", 1)


# -- deleting ---------------------------------------------------------------------------------


def files_in(folder: Path) -> list[str]:
    """The files below a folder."""
    return sorted(path.name for path in folder.rglob("*") if path.is_file())


def test_only_what_was_read_back_leaves_the_spool(
    going: tuple[subprocess.Popen[bytes], str], node: Path, spool: Spool, clone: Place
) -> None:
    """A run that goes on stays, whatever is asked; without `delete` everything does."""
    done = run(node, spool, ONE)
    collect(clone, spool)
    assert len(list((spool.home / "live").iterdir())) == 2
    words = {one.run_id: (one.word, one.deleted) for one in collect(clone, spool, delete=True)}
    assert words == {going[1]: (RUNNING, False), done.runs()[0]: (KNOWN, True)}
    assert [path.name for path in (spool.home / "live").iterdir()] == [going[1]]


def test_what_the_ledger_has_lost_stays(node: Path, spool: Spool, clone: Place) -> None:
    """A ledger that was deleted gets the runs once more, and before that nothing goes."""
    done = run(node, spool, ONE)
    collect(clone, spool)
    run_git(Path(str(clone.repo.root)), "update-ref", "-d", clone.ledger.ref)
    (one,) = collect(place_of(git.find(clone.repo.root)), spool, delete=True)
    assert (one.word, one.deleted) == (RECORDED, True)
    assert store.record(clone, done.runs()[0]).status == "FINISHED"
    assert files_in(spool.home / "live") == []


def test_a_run_that_was_deleted_for_good_does_not_come_back(
    node: Path, spool: Spool, clone: Place
) -> None:
    """Collected again, it is known and stays deleted."""
    repo = Path(str(clone.repo.root))
    done = run(node, spool, ONE)
    collect(clone, spool)
    shown(repo, "runs", "delete", done.runs()[0])
    shown(repo, "gc", "--keep", "0", "--yes")
    for path in (clone.home / "spools").iterdir():
        path.unlink()
    (one,) = collect(place_of(git.find(repo)), spool, delete=True)
    assert (one.word, one.deleted) == (KNOWN, True)
    assert json.loads(shown(repo, "runs", "list", "--format", "json")) == []


def test_notes_of_jobs_go_after_a_month(node: Path, anywhere: Spool, clone: Place) -> None:
    """What tells ranks of their run is not kept for ever; a note of today stays."""
    run(node, anywhere, SMALL, RANK="0", MASTER_ADDR="h", MASTER_PORT="1")
    depot = spooled.depot_of(anywhere)
    for ahead, count in ((-60.0, 1), (60.0, 0)):
        collect(clone, anywhere, delete=True)
        depot.sweep(time.time() + ahead)
        assert _notes(anywhere) == count


def _notes(spool: Spool) -> int:
    if spool.url is None:
        return len(list((spool.home / "jobs").iterdir()))
    return len(Bucket(spool.url).list("jobs"))


# -- collecting, interrupted and at once ------------------------------------------------------

COLLECT = """
from pathlib import Path
import sys
from gitml import git
from gitml.tracking.collecting import collect
from gitml.tracking.place import place_of
from gitml.tracking.spool import spool_of
words = [one.word for one in collect(place_of(git.find(Path(sys.argv[1]))), spool_of(sys.argv[2]))]
sys.stdout.write(" ".join(words))
"""
POINTS = (
    "collect.file", "collect.journal", "collect.noted", "record.fold", "cache.add",
    "ledger.objects", "ledger.ref", "ledger.readback", "record.clean", "record.cleaned",
)  # fmt: skip


@pytest.mark.parametrize("point", POINTS)
def test_a_collector_that_is_killed_is_followed_by_another(
    node: Path, spool: Spool, clone: Place, point: str
) -> None:
    """Wherever it was killed, the next one records what is left, and nothing twice."""
    repo = Path(str(clone.repo.root))
    before = UserState.of(repo)
    done = run(node, spool, ONE)
    assert _collect_apart(repo, spool, GITML_FAULT=f"{point}:kill").returncode == -9
    assert _collect_apart(repo, spool).returncode == 0
    runs = invariants.check(repo, done.acknowledged, before)
    assert list(runs) == done.runs()
    assert _collect_apart(repo, spool).stdout == b"known"


def test_people_who_collect_at_once_record_a_run_once(
    node: Path, spool: Spool, clone: Place
) -> None:
    """In one clone one waits for the other; the run is there once."""
    repo = Path(str(clone.repo.root))
    done = run(node, spool, ONE)
    both = [_start_collect(repo, spool) for _ in range(3)]
    words = sorted(process.communicate(timeout=60)[0] for process in both)
    assert words == [b"known", b"known", b"recorded"]
    found = invariants.stored(repo)
    invariants.check_acknowledged(found, done.acknowledged, 0)


def test_two_clones_that_collect_agree(
    node: Path, spool: Spool, clone: Place, bare: Path, tmp_path: Path
) -> None:
    """The same run in two clones is one run after push and pull, of the same commit."""
    repo = Path(str(clone.repo.root))
    run_git(repo, "remote", "add", "origin", str(bare))
    run_git(repo, "push", "--quiet", "origin", "main")
    run_git(tmp_path, "clone", "--quiet", str(bare), "other")
    done = run(node, spool, SMALL, GITML_CODE=run_git(repo, "rev-parse", "HEAD"))
    other = place_of(git.find(tmp_path / "other"))
    for place in (clone, other):
        assert [one.word for one in collect(place, spool)] == [RECORDED]
    commits = {place.ledger.find(done.runs()[0]).commit for place in (clone, other)}  # type: ignore[union-attr]
    assert len(commits) == 1
    shown(repo, "push")
    shown(tmp_path / "other", "pull")
    assert list(invariants.stored(tmp_path / "other")) == done.runs()


def _start_collect(
    repo: Path, spool: Spool, more: Mapping[str, str] | None = None
) -> subprocess.Popen[bytes]:
    where = spool.url or str(spool.home)
    return subprocess.Popen(
        (sys.executable, "-c", COLLECT, str(repo), where),
        cwd=repo, env=trainings.environment(more), stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip


def _collect_apart(repo: Path, spool: Spool, **more: str) -> subprocess.CompletedProcess[bytes]:
    process = _start_collect(repo, spool, more)
    out, err = process.communicate(timeout=60)
    return subprocess.CompletedProcess((), process.returncode, out, err)
