"""Recording beside git's own housekeeping, which deletes what it takes for garbage."""

from __future__ import annotations

import re
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from gitml import git as gate
from gitml.tracking import finishing, recording, starting
from gitml.tracking.place import place_of
from tests import invariants, trainings
from tests.conftest import Git, run_git
from tests.test_concurrency import SMALL_RUNS, acknowledged, together


@contextmanager
def beside(repo: Path, *args: str) -> Iterator[list[int]]:
    """Run a git command again and again beside a block; how it ended each time."""
    codes: list[int] = []
    stop = threading.Event()

    def loop() -> None:
        while not stop.is_set():
            done = subprocess.run(("git", *args), cwd=repo, capture_output=True, check=False)
            codes.append(done.returncode)

    thread = threading.Thread(target=loop)
    thread.start()
    try:
        yield codes
    finally:
        stop.set()
        thread.join()


@pytest.mark.parametrize(
    "command",
    [
        "gc --quiet",
        "repack -a -d --quiet",
        "repack -d --quiet --geometric=2",
        "maintenance run --task=loose-objects --task=incremental-repack",
        "pack-refs --all",
    ],
)
def test_housekeeping_takes_no_run(
    repo: Path, tmp_path: Path, command: str, pytestconfig: pytest.Config
) -> None:
    """Runs that are recorded beside git's housekeeping are all there afterwards."""
    count = pytestconfig.getoption("--beside-gc")
    script = trainings.write(tmp_path, SMALL_RUNS)
    (repo / "train.py").write_text("changed = True\n")
    before = invariants.UserState.of(repo)
    with beside(repo, *command.split()) as codes:
        outcomes = together(script, [repo, repo], str(count), signal=tmp_path / "go")
    assert 0 in codes
    runs = invariants.check(repo, acknowledged(outcomes), housekept(before, repo), in_flight=0)
    assert len(runs) == 2 * count


def housekept(before: invariants.UserState, repo: Path) -> invariants.UserState:
    """The state of before, with the files that git's housekeeping itself has changed since."""
    now = invariants.UserState.of(repo)
    own = {name for name in (*before.files, *now.files) if HOUSEKEEPING.search(name)}
    kept = {name: seen for name, seen in before.files.items() if name not in own}
    return invariants.UserState(
        {**kept, **{n: now.files[n] for n in own & set(now.files)}}, now.refs
    )


HOUSEKEEPING = re.compile(r"/\.git/(info/refs|refs/heads/|gc\.)")


def test_the_ledger_lives_through_pruning(
    repo: Path, tmp_path: Path, pytestconfig: pytest.Config
) -> None:
    """Beside `git gc --prune=now`, which takes objects as they are made, no run is lost."""
    count = pytestconfig.getoption("--beside-gc")
    script = trainings.write(tmp_path, SMALL_RUNS)
    (repo / "train.py").write_text("changed = True\n")
    before = invariants.UserState.of(repo)
    with beside(repo, "gc", "--quiet", "--prune=now"):
        outcomes = together(script, [repo, repo], str(count), signal=tmp_path / "go")
    runs = invariants.check(repo, acknowledged(outcomes), housekept(before, repo), in_flight=0)
    assert len(runs) == 2 * count


def test_pruning_takes_no_snapshot_of_a_live_run(repo: Path, git: Git) -> None:
    """What a run started from is kept from `git gc --prune=now` until the run is recorded."""
    (repo / "train.py").write_text("print('changed')\n")
    place = place_of(gate.find(repo))
    session, record = starting.start(place, starting.Wish())
    git("checkout", "--quiet", "train.py")
    git("reflog", "expire", "--expire=now", "--all")
    git("gc", "--quiet", "--prune=now")
    finishing.finish(place, session, record, "FINISHED")
    entry = place.ledger.find(record.run_id)
    assert entry is not None
    assert git("show", f"{entry.commit}:train.py") == "print('changed')"
    assert entry.record.code.incomplete == {}


def test_a_run_whose_code_was_pruned_is_recorded_without_it(repo: Path, git: Git) -> None:
    """A snapshot that is gone all the same is named as missing; the run is recorded."""
    (repo / "train.py").write_text("print('changed')\n")
    place = place_of(gate.find(repo))
    session, record = starting.start(place, starting.Wish())
    session.metric("loss", 1.0, 0, 1)
    git("checkout", "--quiet", "train.py")
    git("update-ref", "-d", f"refs/gitml/live/{record.run_id}")
    git("gc", "--quiet", "--prune=now")
    session.end("FINISHED")
    recording.record(place, session.run, seconds=0)
    entry = place.ledger.find(record.run_id)
    assert entry is not None
    assert "pruned" in entry.record.code.incomplete["."]
    assert git("show", f"{entry.commit}:train.py") == "print('training')"
    assert entry.record.metrics["loss"].count == 1
    run_git(repo, "fsck", "--strict", "--full")
