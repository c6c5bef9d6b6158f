"""Which run a thread logs to, and which one it ends."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import pytest

import gitml as mlflow
from gitml.exceptions import MlflowException
from gitml.tracking import MlflowClient, store
from gitml.tracking.fluent.place import place

pytestmark = pytest.mark.usefixtures("new_script")

Answer = TypeVar("Answer")
WORKERS = 4


def in_threads(work: Callable[[int], Answer]) -> list[Answer]:
    """What `work` answers in each of several threads."""
    with ThreadPoolExecutor(WORKERS) as pool:
        return list(pool.map(work, range(WORKERS)))


def elsewhere(work: Callable[[], Answer]) -> Answer:
    """What `work` answers in another thread."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(work).result()


def afresh(number: int, together: threading.Barrier) -> str:
    """A run of a worker that first ends whatever it takes for its own; all are open at once."""
    if mlflow.active_run():
        mlflow.end_run()
    with mlflow.start_run(run_name=f"worker {number}") as run:
        together.wait()
        mlflow.log_metric("number", number)
        together.wait()
        mlflow.log_metric("later", number)
    return run.info.run_id


@pytest.mark.parametrize("with_main", [False, True])
def test_a_worker_starts_afresh(with_main: bool) -> None:
    """`if active_run(): end_run()` and a new run, in every worker: nobody ends another's run."""
    main = mlflow.start_run(run_name="main") if with_main else None
    together = threading.Barrier(WORKERS)
    ids = in_threads(lambda number: afresh(number, together))
    found = [mlflow.get_run(run_id).data.metrics for run_id in ids]
    assert found == [{"number": float(n), "later": float(n)} for n in range(WORKERS)]
    assert all(mlflow.get_parent_run(run_id) is None for run_id in ids)
    if main is not None:
        mlflow.log_metric("still", 1)
        mlflow.end_run()
        assert mlflow.get_run(main.info.run_id).data.metrics == {"still": 1.0}
    assert mlflow.active_run() is None


def test_a_worker_never_takes_part_in_the_run_of_another() -> None:
    """Without a run in the main thread a worker has none, is no child, and starts its own."""
    started, go_on = threading.Event(), threading.Event()

    def first() -> str:
        with mlflow.start_run(run_name="first") as run:
            started.set()
            go_on.wait()
        return run.info.run_id

    def nested() -> str:
        with mlflow.start_run(nested=True) as run:
            return run.info.run_id

    def logged() -> str:
        mlflow.log_metric("own", 1)
        run = mlflow.active_run()
        assert run is not None
        mlflow.end_run()
        return run.info.run_id

    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(first)
        started.wait()
        try:
            assert mlflow.active_run() is None
            assert elsewhere(mlflow.active_run) is None
            assert mlflow.get_parent_run(elsewhere(nested)) is None
            by_worker, by_main = elsewhere(logged), logged()
        finally:
            go_on.set()
    assert len({by_worker, by_main, waiting.result()}) == 3
    assert mlflow.get_run(waiting.result()).data.metrics == {}


def test_a_worker_logs_to_the_run_of_the_main_thread_and_leaves_it_open() -> None:
    """It may log, and nest its own runs there, but ends only what it started."""
    with mlflow.start_run() as main:
        elsewhere(lambda: mlflow.log_metric("by worker", 1))
        elsewhere(mlflow.end_run)
        child = elsewhere(lambda: mlflow.start_run(nested=True).info.run_id)
        mlflow.log_metric("by main", 1)
    run = mlflow.get_run(main.info.run_id)
    assert run.data.metrics == {"by worker": 1.0, "by main": 1.0}
    assert store.record(place(), child).parent_run == main.info.run_id
    assert mlflow.get_run(child).data.metrics == {}
    MlflowClient().set_terminated(child)


def test_a_thread_that_was_given_a_context_does_not_end_its_run() -> None:
    """`asyncio.to_thread` logs to the run of the task that called it, which stays open."""

    async def main() -> str:
        with mlflow.start_run() as run:
            await asyncio.to_thread(mlflow.log_metric, "a", 1)
            await asyncio.to_thread(mlflow.end_run)
            await asyncio.to_thread(lambda: mlflow.start_run(run_name="own") and mlflow.end_run())
            mlflow.log_metric("b", 1)
        return run.info.run_id

    for run_id in (asyncio.run(main()), elsewhere(lambda: asyncio.run(main()))):
        assert mlflow.get_run(run_id).data.metrics == {"a": 1.0, "b": 1.0}


def test_a_run_of_another_task_can_be_ended_in_the_main_thread() -> None:
    """A notebook begins a run in one cell and ends it in the next, each a context of its own."""

    async def cell(call: Callable[[], object]) -> None:
        call()

    asyncio.run(cell(mlflow.start_run))
    run = mlflow.active_run()
    assert run is not None
    asyncio.run(cell(mlflow.end_run))
    assert mlflow.active_run() is None
    assert mlflow.get_run(run.info.run_id).info.status == "FINISHED"


# -- ends ----------------------------------------------------------------------------------


def test_a_run_that_the_client_ends_in_its_block_is_still_logged_to() -> None:
    """Log calls go on meaning it, as in MLflow; it keeps the status that it was given."""
    client = MlflowClient()
    with mlflow.start_run() as run:
        mlflow.log_param("a", 1)
        client.set_terminated(run.info.run_id, "FAILED")
        assert client.get_run(run.info.run_id).info.status == "FAILED"
        mlflow.log_metric("late", 1)
        mlflow.log_text("late", "late.txt")
        with pytest.raises(MlflowException, match="already logged"):
            mlflow.log_param("a", 2)
        with pytest.raises(MlflowException, match="active already"):
            mlflow.start_run()
    assert mlflow.active_run() is None
    found = mlflow.get_run(run.info.run_id)
    assert (found.info.status, found.data.metrics) == ("FAILED", {"late": 1.0})
    assert mlflow.artifacts.load_text(f"runs:/{run.info.run_id}/late.txt") == "late"
    assert len(mlflow.search_runs(output_format="list")) == 1


def test_nothing_is_recorded_twice_for_a_run_that_the_client_ended() -> None:
    """Its block adds nothing when nothing was logged afterwards."""
    with mlflow.start_run() as run:
        MlflowClient().set_terminated(run.info.run_id)
        before = store.entry(place(), run.info.run_id)
    assert before is not None
    assert store.entry(place(), run.info.run_id) == before
    assert len(before.record.sessions) == 1


def test_the_active_run_may_be_started_again_inside_itself() -> None:
    """`start_run(run_id=..., nested=True)` logs to the same run, whose params stay one."""
    with mlflow.start_run() as outer:
        mlflow.log_param("a", 1)
        with mlflow.start_run(run_id=outer.info.run_id, nested=True) as inner:
            mlflow.log_metric("inner", 1)
            mlflow.log_param("b", 1)
        for key in ("a", "b"):
            with pytest.raises(MlflowException, match="already logged"):
                mlflow.log_param(key, 2)
        mlflow.log_metric("outer", 1)
    assert inner.info.run_id == outer.info.run_id
    run = mlflow.get_run(outer.info.run_id)
    assert (run.info.status, run.data.params) == ("FINISHED", {"a": "1", "b": "1"})
    assert run.data.metrics == {"inner": 1.0, "outer": 1.0}


def test_a_run_that_is_ended_with_no_status_is_ended() -> None:
    """A misspelt status is an error, and the run is over: FAILED, and why."""
    run = mlflow.start_run()
    with pytest.raises(MlflowException, match="'BOGUS'"):
        mlflow.end_run("BOGUS")
    assert mlflow.active_run() is None
    record = store.record(place(), run.info.run_id)
    assert record.status == "FAILED"
    assert "BOGUS" in str(record.reason)
