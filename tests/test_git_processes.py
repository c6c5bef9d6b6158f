"""How many git processes a call takes: each costs some milliseconds, on Windows many."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import gitml
from gitml import process
from gitml.cli.main import main
from gitml.tracking import MlflowClient, starting
from tests import trainings


@pytest.fixture(autouse=True)
def _here(repo: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.chdir(repo)
    yield
    gitml.set_tracking_uri("")


@pytest.fixture
def run_id(repo: Path) -> str:
    """A recorded run that has two points of a metric, and of which nobody knows where it is."""
    with gitml.start_run(run_name="first") as run:
        gitml.log_metrics({"a": 1, "b": 2})
    gitml.get_run(run.info.run_id)  # the index knows it
    (repo / ".git" / "gitml" / "position").unlink()
    starting._asked.clear()
    return run.info.run_id


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The git commands that are started, in order."""
    found: list[str] = []

    def note(argv: Any) -> None:
        words = [word for word in argv[1:] if word != "-c" and "=" not in word]
        found.append(" ".join(words[:2]))

    one, several = process.run, process.run_together

    def run(argv: Any, **options: Any) -> Any:
        note(argv)
        return one(argv, **options)

    def run_together(lines: Any, **options: Any) -> Any:
        for argv in lines:
            note(argv)
        return several(lines, **options)

    monkeypatch.setattr(process, "run", run)
    monkeypatch.setattr(process, "run_together", run_together)
    return found


CALLS: dict[str, tuple[int, Callable[[MlflowClient, str], object]]] = {
    "get_run": (3, lambda client, run_id: client.get_run(run_id)),
    "set_tag": (10, lambda client, run_id: client.set_tag(run_id, "k", "v")),
    "log_param": (10, lambda client, run_id: client.log_param(run_id, "k", "v")),
    "log_metric": (11, lambda client, run_id: client.log_metric(run_id, "a", 3)),
    "log_text": (10, lambda client, run_id: client.log_text(run_id, "x", "x.txt")),
    "delete_run": (10, lambda client, run_id: client.delete_run(run_id)),
    "set_terminated": (10, lambda client, run_id: client.set_terminated(run_id, "FAILED")),
}


@pytest.mark.parametrize("name", CALLS)
def test_a_call_on_a_run_that_has_ended(name: str, run_id: str, counted: list[str]) -> None:
    """A process's first call needs no more than this, once it has found the repository."""
    most, call = CALLS[name]
    call(MlflowClient(), run_id)
    assert len(counted) <= most, counted


@pytest.mark.parametrize("name", ["set_tag", "log_metric"])
def test_the_next_call(name: str, run_id: str, counted: list[str]) -> None:
    """The process knows where the ledger is; the index reads what the first call changed."""
    most, call = CALLS[name]
    call(MlflowClient(), run_id)
    counted.clear()
    call(MlflowClient(), run_id)
    assert len(counted) <= most, counted


ONE_RUN = """
with mlflow.start_run():
    mlflow.log_metric("a", 1)
"""


def test_a_run_after_that_of_another_process(
    repo: Path, tmp_path: Path, counted: list[str]
) -> None:
    """Where a process has left the ledger the next one goes on, without a look at it."""
    script = trainings.write(tmp_path, ONE_RUN)
    with gitml.start_run():
        gitml.log_metric("a", 1)
    assert trainings.run(script, cwd=repo).code == 0
    with gitml.start_run():
        gitml.log_metric("a", 1)
        counted.clear()
    assert counted == ["fast-import --quiet", "update-ref --no-deref", "cat-file"]


def test_a_tag_by_the_command_line(run_id: str, counted: list[str]) -> None:
    """The command looks for dead runs, too."""
    with pytest.raises(SystemExit) as end:
        main(["runs", "tag", run_id, "k=v"])
    assert end.value.code == 0
    assert len(counted) <= 11, counted


def test_a_change_meanwhile_is_not_lost(run_id: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What another process records between a call's look and its write stays."""
    from gitml.tracking import changes, recording
    from gitml.tracking.fluent.place import place

    record, other = recording.record, [True]

    def late(*args: Any, **options: Any) -> Any:
        if other:
            other.clear()
            changes.tag(place(), run_id, {"other": "x"})
        return record(*args, **options)

    monkeypatch.setattr(recording, "record", late)
    client = MlflowClient()
    client.log_metric(run_id, "a", 3)
    run = client.get_run(run_id)
    assert run.data.tags["other"] == "x"
    assert run.data.metrics == {"a": 3.0, "b": 2.0}
    history = client.get_metric_history(run_id, "a")
    assert [point.value for point in history] == [1.0, 3.0]


def test_a_tag_keeps_the_metrics(run_id: str) -> None:
    """Their histories are not read again, and their summaries stay."""
    before = gitml.get_run(run_id).record.metrics
    MlflowClient().set_tag(run_id, "k", "v")
    assert gitml.get_run(run_id).record.metrics == before
