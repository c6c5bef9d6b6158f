"""DVC's locks, held by another process or left by one that died: they are in nobody's way."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from gitml.cli.main import run as command
from gitml.tracking import changes, download, exchange, garbage
from tests import invariants
from tests.artifacts import dvc
from tests.clones import BIG, Clone, team

HOLD_REPO = """
import sys, time
from dvc.repo import Repo
with Repo().lock:
    print("held", flush=True)
    time.sleep(600)
"""


@pytest.fixture
def pair(tmp_path: Path, bare: Path) -> tuple[Clone, Clone]:
    """Two clones that share a git remote and a DVC remote; the first has a stage for DVC."""
    one, two = team(tmp_path, bare, "ann", "bob", dvc=True)
    (one.folder / "wait.py").write_text(
        "import os, pathlib, time\n"
        "pathlib.Path('begun').touch()\n"
        "while not os.path.exists('go'):\n    time.sleep(0.01)\n"
        "pathlib.Path('out.bin').write_bytes(b'made')\n"
    )
    stage = {"cmd": f'"{sys.executable}" wait.py', "deps": ["wait.py"], "outs": ["out.bin"]}
    (one.folder / "dvc.yaml").write_text(json.dumps({"stages": {"wait": stage}}))
    (one.folder / ".gitignore").write_text("/out.bin\n/begun\n/go\n")
    one.git("add", ".")
    one.git("commit", "--quiet", "--message", "A stage")
    return one, two


@contextmanager
def reproducing(one: Clone) -> Iterator[subprocess.Popen[bytes]]:
    """A `dvc repro` that is in its stage, and holds what DVC locks for that.

    DVC writes its file of locks several times before; the stage itself says that it began.
    """
    args = (sys.executable, "-m", "dvc", "repro", "--quiet")
    process = subprocess.Popen(args, cwd=one.folder, start_new_session=True)
    try:
        until((one.folder / "begun").exists)
        yield process
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def until(happened: Callable[[], bool]) -> None:
    """Wait for something, for at most a minute."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        with suppress(FileNotFoundError):
            if happened():
                return
        time.sleep(0.01)
    raise AssertionError("it did not happen")


def rwlock(one: Clone) -> Path:
    """The file in which DVC's processes say which paths they read and write."""
    return one.folder / ".dvc" / "tmp" / "rwlock"


def use(pair: tuple[Clone, Clone]) -> None:
    """Record a run with a large artifact, push, fetch it elsewhere, collect, and look."""
    ann, bob = pair
    model = os.urandom(8) * (BIG // 8)
    run_id = ann.run("kept", files={"model.bin": model})
    gone = ann.run("gone", files={"model.bin": model[::-1]})
    assert set(ann.push().runs) == {run_id, gone}
    assert bob.pull(artifacts=True).problems == ()
    other = bob.run("other", files={"other.bin": model[1:]})
    bob.push()
    assert ann.pull(artifacts=True).objects == 1
    assert read(ann, other, "other.bin") == model[1:]
    changes.delete(ann.place, [gone])
    options = garbage.Options(remote=True, keep=0)
    done = garbage.collect(ann.place, garbage.plan(ann.place, options))
    assert (done.runs, done.problems) == ((gone,), ())
    assert exchange.push(ann.place).problems == ()
    assert command(["doctor"]) == 0
    assert read(bob, run_id, "model.bin") == model


def read(one: Clone, run_id: str, path: str) -> bytes:
    """An artifact of a recorded run."""
    entry = one.place.ledger.find(run_id)
    assert entry is not None
    return download.read(one.place, entry.record, entry.commit, path)


def test_nothing_waits_for_a_dvc_that_is_at_work(
    pair: tuple[Clone, Clone], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Beside `dvc repro`, which reads and writes paths of the project; it ends as if alone."""
    ann, _ = pair
    monkeypatch.chdir(ann.folder)
    with reproducing(ann) as process:
        held = rwlock(ann).read_bytes()
        use(pair)
        assert rwlock(ann).read_bytes() == held
        assert process.poll() is None
        (ann.folder / "go").touch()
        assert process.wait(timeout=60) == 0
    assert (ann.folder / "out.bin").read_bytes() == b"made"
    invariants.check_sound(ann.folder)


def test_nothing_waits_for_the_lock_of_a_dvc_repository(
    pair: tuple[Clone, Clone], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As long as another process holds it, stock DVC itself refuses."""
    ann, _ = pair
    monkeypatch.chdir(ann.folder)
    process = subprocess.Popen(
        (sys.executable, "-c", HOLD_REPO), cwd=ann.folder, stdout=subprocess.PIPE
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == b"held\n"
        assert dvc(ann.folder, "add", "wait.py", check=False).returncode != 0
        use(pair)
    finally:
        process.kill()
        process.communicate()


def test_what_a_killed_dvc_left_is_in_nobodys_way(
    pair: tuple[Clone, Clone], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A `dvc repro` that was killed in its stage says for ever that it is at work."""
    ann, _ = pair
    monkeypatch.chdir(ann.folder)
    with reproducing(ann):
        pass
    held = rwlock(ann).read_bytes()
    assert b"repro" in held
    use(pair)
    assert rwlock(ann).read_bytes() == held


def test_a_damaged_lock_of_dvc_is_in_nobodys_way(
    pair: tuple[Clone, Clone], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stock DVC can't read it; gitml does not."""
    ann, _ = pair
    monkeypatch.chdir(ann.folder)
    rwlock(ann).parent.mkdir(exist_ok=True)
    rwlock(ann).write_text("{torn")
    assert dvc(ann.folder, "repro", check=False).returncode != 0
    use(pair)
    assert rwlock(ann).read_text() == "{torn"
