"""A disk that is full, a quota, a limit on files: what is held in memory lands or is named."""

from __future__ import annotations

import errno
import hashlib
import io
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import gitml
import gitml.sklearn
from gitml import git as gate
from gitml.errors import StorageError, UsageError
from gitml.tracking import finishing, recording, staging, starting
from gitml.tracking.place import place_of
from tests import invariants, trainings

needs_disk = pytest.mark.skipif(
    shutil.which("unshare") is None, reason="needs a file system of its own"
)
no_limits = pytest.mark.skipif(sys.platform == "win32", reason="there are no resource limits")

FILLING = """
import threading
ballast = os.environ["BALLAST"]

def fill():
    with open(ballast, "wb", buffering=0) as file:
        for size in (65536, 1):
            try:
                while True:
                    file.write(b"x" * size)
            except OSError:
                pass

def wait_for(run_ids):
    client = mlflow.MlflowClient()
    while any(not recorded(client, run_id) for run_id in run_ids):
        time.sleep(0.1)

def recorded(client, run_id):
    try:
        return client.get_run(run_id).info.status == "FINISHED"
    except mlflow.MlflowException:
        return False
"""


def on_small_disk(repo: Path, tmp_path: Path, body: str) -> trainings.Outcome:
    """Run a training in a copy of `repo` on a disk of 4 MB, which then takes its place."""
    script, disk = trainings.write(tmp_path, FILLING + body), tmp_path / "disk"
    disk.mkdir()
    shell = (
        f"mount -t tmpfs -o size=4m none {disk} && cp -r {repo} {disk}/repo && cd {disk}/repo"
        f" && {sys.executable} {script}; echo code=$? >&2; cp -r {disk}/repo {tmp_path}/after"
    )
    root = () if os.geteuid() == 0 else ("--map-root-user",)
    env = trainings.environment({"BALLAST": str(disk / "ballast")})
    done = subprocess.run(
        ("unshare", *root, "--mount", "sh", "-c", shell), capture_output=True, env=env, check=False
    )
    said, found, code = done.stderr.decode().rpartition("code=")
    if not found:
        pytest.skip("mounting is not allowed here")
    shutil.rmtree(repo)
    (tmp_path / "after").rename(repo)
    return trainings.Outcome(int(code), trainings.calls(done.stdout), said)


THREE_ENDS = """
client = mlflow.MlflowClient()
with mlflow.start_run() as run:
    me = run.info.run_id
    metric("loss", 1, 0, me)
    other = client.create_run("0").info.run_id
    def end_other():
        mlflow.MlflowClient().set_terminated(other)
        said(run=other, ended="FINISHED")
    fill()
    text("held.txt", "y" * 50_000, me)
    for step in range(500):
        metric("loss", step, step + 1, me)
    client.log_param(other, "a", 1)
    said(run=other, param=["a", 1])
    thread = threading.Thread(target=end_other)
    thread.start()
    thread.join()
said(run=me, ended="FINISHED")
with mlflow.start_run() as run:  # on a disk that is full from its first moment
    late = run.info.run_id
    param("b", 2, late)
said(run=late, ended="FINISHED")
"""


@needs_disk
@pytest.mark.parametrize("lives_on", [True, False], ids=["while it lives", "at its exit"])
def test_runs_that_ended_on_a_full_disk_land_later(
    repo: Path, tmp_path: Path, lives_on: bool
) -> None:
    """As soon as there is space, all runs are recorded, whichever thread had ended them."""
    then = "os.unlink(ballast)\nwait_for([me, other, late])\nsaid(landed=True)\n"
    if not lives_on:
        then = "later = threading.Timer(1.5, os.unlink, [ballast])\nlater.daemon = True\n"
        then += "later.start()\n"
    before = invariants.UserState.of(repo)
    outcome = on_small_disk(repo, tmp_path, THREE_ENDS + then)
    assert outcome.code == 0, outcome.stderr
    assert outcome.stderr.count("RecordingWarning") == 3
    assert "could not be kept" not in outcome.stderr
    calls = [call for call in outcome.acknowledged if "run" in call]
    assert len(calls) == 507
    assert lives_on == ({"landed": True} in outcome.acknowledged)
    runs = invariants.check(repo, calls, before, in_flight=0)
    assert len(runs) == 3
    assert [*(repo / ".git/objects/pack").glob("tmp_*"), *(repo / ".git").glob("*crash*")] == []


@needs_disk
def test_a_disk_that_is_full_for_ever_loses_what_is_named(repo: Path, tmp_path: Path) -> None:
    """At its exit a process says of each run what is lost; what was acknowledged is not."""
    before = invariants.UserState.of(repo)
    outcome = on_small_disk(repo, tmp_path, THREE_ENDS)
    assert outcome.code == 0, outcome.stderr
    lost = [line for line in outcome.stderr.splitlines() if "could not be kept" in line]
    assert 2 <= len(lost) <= 3  # a short journal may fit in what its file has already
    assert any("1 artifact ('held.txt')" in line for line in lost), lost
    me = outcome.runs()[0]
    kept = [call for call in outcome.acknowledged if call.get("metric", [0, 9])[1] == 0]
    runs = invariants.check(repo, kept[:1], before, in_flight=500)
    assert runs[me].status == "KILLED"


FULL_FOR_A_WHILE = """
with mlflow.start_run() as run:
    me = run.info.run_id
    for number in range(3000):
        if number == 500:
            fill()
        if number in (600, 700):
            text(f"held-{number}.txt", "y" * 50_000, me)
        if number == 2500:
            os.unlink(ballast)
        metric("loss", number, number, me)
said(run=me, ended="FINISHED")
"""


@needs_disk
def test_a_full_disk_for_a_while_loses_nothing(repo: Path, tmp_path: Path) -> None:
    """On a disk that is really full for a while, nothing is lost, torn or written twice."""
    before = invariants.UserState.of(repo)
    outcome = on_small_disk(repo, tmp_path, FULL_FOR_A_WHILE)
    assert outcome.code == 0, outcome.stderr
    assert outcome.stderr.count("NotAcknowledgedWarning") >= 1
    assert len(outcome.acknowledged) == 3003
    invariants.check(repo, outcome.acknowledged, before, in_flight=0)


LIMITED = """
import resource
resource.setrlimit(resource.RLIMIT_FSIZE, (65536, resource.RLIM_INFINITY))
with mlflow.start_run() as run:
    me = run.info.run_id
    for step in range(3000):
        if step == 2900 and sys.argv[1] == "for a while":
            resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY,) * 2)
        if step == 10:
            text("large.txt", "y" * 100_000, me)
        metric("loss", step, step, me)
said(run=me, ended="FINISHED")
"""


@no_limits
@pytest.mark.parametrize("how", ["for a while", "for ever"])
def test_a_limit_on_files_is_a_full_disk(repo: Path, tmp_path: Path, how: str) -> None:
    """`ulimit -f` holds calls in memory, stops no training, and is named with its remedy."""
    before = invariants.UserState.of(repo)
    outcome = trainings.run(trainings.write(tmp_path, LIMITED), how, cwd=repo)
    assert outcome.code == 0, outcome.stderr
    assert "File too large: log calls of run" in outcome.stderr
    calls = outcome.acknowledged
    if how == "for ever":
        assert "raise the limit on the size of a file (ulimit -f)" in outcome.stderr
        assert "could not be kept" in outcome.stderr
        calls = [call for call in calls if call.get("metric", [0, 9999])[1] < 500]
    invariants.check(repo, calls, before, in_flight=0 if how == "for a while" else 3000)


WORKER = """
import multiprocessing

def work():
    with mlflow.start_run() as run:
        metric("loss", 1, 0, run.info.run_id)

if __name__ == "__main__":
    worker = multiprocessing.get_context(sys.argv[1]).Process(target=work)
    worker.start()
    worker.join()
    assert worker.exitcode == 0
"""


@no_limits
@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_a_worker_says_what_is_lost(repo: Path, tmp_path: Path, method: str) -> None:
    """Processes of `multiprocessing` end without the exit of a script, and tell all the same."""
    script = trainings.write(tmp_path, WORKER)
    env = {"GITML_FAULT": "journal.append:ENOSPC:2+"}
    outcome = trainings.run(script, method, cwd=repo, env=env)
    assert outcome.code == 0, outcome.stderr
    assert outcome.stderr.count("2 log calls could not be kept") == 1


FORK = """
with mlflow.start_run() as run:
    me = run.info.run_id
    param("a", 1, me)
    text("held.txt", "text", me)
said(run=me, ended="FINISHED")
child = os.fork()
if child == 0:
    with mlflow.start_run() as run:
        mine = run.info.run_id
        param("b", 1, mine)
    said(run=mine, ended="FINISHED")
    os._exit(0)
assert os.waitpid(child, 0)[1] == 0
"""


@no_limits
def test_a_forked_child_leaves_what_its_parent_holds_alone(repo: Path, tmp_path: Path) -> None:
    """A fork beside a run that is not on the disk yet: each process writes its own, once."""
    before = invariants.UserState.of(repo)
    env = {"GITML_FAULT": "journal.append:ENOSPC:2-6"}
    outcome = trainings.run(trainings.write(tmp_path, FORK), cwd=repo, env=env)
    assert outcome.code == 0, outcome.stderr
    assert "could not be kept" not in outcome.stderr
    assert len(outcome.acknowledged) == 5
    invariants.check(repo, outcome.acknowledged, before, in_flight=0)


ONCE = """
with mlflow.start_run() as run:
    param("a", 1)
said(run=run.info.run_id, ended="FINISHED")
"""


def test_a_run_in_its_journal_is_tried_once_more_at_the_exit(repo: Path, tmp_path: Path) -> None:
    """What was in the way at the end of a run, and is not any more, needs no other command."""
    script = trainings.write(tmp_path, ONCE)
    outcome = trainings.run(script, cwd=repo, env={"GITML_FAULT": "record.fold:EIO"})
    assert outcome.code == 0
    assert outcome.stderr.count("RecordingWarning") == 1
    (run_id,) = outcome.runs()
    assert invariants.stored(repo)[run_id].status == "FINISHED"


GIT_UNDER_A_LIMIT = """
import os, resource
from gitml import git
from gitml.errors import GitError

repo = git.find()
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
try:
    git.run(repo, "hash-object", "-w", "--stdin", input=os.urandom(9000))
except GitError as error:
    print(error)
"""


@no_limits
def test_what_a_limit_does_to_git_is_named(repo: Path) -> None:
    """git dies of the limit without a word; the error tells, with the remedy."""
    argv = (sys.executable, "-c", GIT_UNDER_A_LIMIT)
    done = subprocess.run(
        argv, cwd=repo, env=trainings.environment(), capture_output=True, text=True, check=True
    )
    assert done.stdout.startswith("git hash-object failed: File too large; raise the limit on the")


WITHOUT_TEMPORARY_FILES = """
import io, numpy, tempfile
tempfile.tempdir = "/dev/null/nowhere"  # as where TMPDIR is full: no file can be made there
from matplotlib.figure import Figure

figure = Figure(figsize=(1, 1))
with mlflow.start_run() as run:
    text("text.txt", "content")
    mlflow.log_dict({"a": 1}, "dict.json")
    mlflow.log_figure(figure, "plots/figure.png")
    mlflow.log_image(numpy.zeros((2, 2)), "image.png")
    mlflow.log_table({"a": [1]}, "table.json")
    mlflow.log_table({"a": [2]}, "table.json")
    mlflow.log_stream(io.BytesIO(b"bytes"), "stream.bin")
    read, write = os.pipe()
    os.write(write, b"piped")
    os.close(write)
    with open(read, "rb") as pipe:
        mlflow.log_stream(pipe, "piped.bin")
said(run=run.info.run_id, ended="FINISHED")
"""


def test_logging_needs_no_temporary_files(repo: Path, tmp_path: Path) -> None:
    """What is logged goes straight to where staged files are: TMPDIR may be full."""
    before = invariants.UserState.of(repo)
    outcome = trainings.run(trainings.write(tmp_path, WITHOUT_TEMPORARY_FILES), cwd=repo)
    assert (outcome.code, outcome.stderr) == (0, "")
    (run,) = invariants.check(repo, outcome.acknowledged, before, in_flight=0).values()
    assert sorted(run.artifacts) == [
        "dict.json", "image.png", "piped.bin", "plots/figure.png", "stream.bin", "table.json",
        "text.txt",
    ]  # fmt: skip
    assert run.artifacts["piped.bin"] == hashlib.sha256(b"piped").hexdigest()


MODEL_WITHOUT_TEMPORARY_FILES = """
import tempfile
from sklearn.linear_model import LinearRegression
model = LinearRegression().fit([[1.0], [2.0]], [1.0, 2.0])
if sys.argv[1] == "full":
    tempfile.tempdir = "/dev/null/nowhere"
with mlflow.start_run() as run:
    mlflow.sklearn.log_model(model, name="model")
    text("small.txt", "small")
    text("large/file.txt", "x" * 200_000)
me = run.info.run_id
load = mlflow.artifacts.load_text
assert load(f"runs:/{me}/small.txt") == "small"
assert load(f"runs:/{me}/large/file.txt") == "x" * 200_000
assert "artifact_path: model" in load(f"runs:/{me}/model/MLmodel")
said(run=me, ended="FINISHED")
"""


def test_models_and_reading_need_no_temporary_files(repo: Path, tmp_path: Path) -> None:
    """A model is saved on the disk of the run's files; an artifact is read where it is."""
    script = trainings.write(tmp_path, MODEL_WITHOUT_TEMPORARY_FILES)
    before = invariants.UserState.of(repo)
    outcome = trainings.run(script, "full", cwd=repo)
    assert outcome.code == 0, outcome.stderr
    (run,) = invariants.check(repo, outcome.acknowledged, before, in_flight=9).values()
    assert {"model/MLmodel", "small.txt", "large/file.txt"} <= run.artifacts.keys()


MODEL_ON_A_FULL_DISK = """
from sklearn.linear_model import LinearRegression
model = LinearRegression().fit([[1.0], [2.0]], [1.0, 2.0])
with mlflow.start_run() as run:
    me = run.info.run_id
    param("a", 1, me)
    fill()
    mlflow.sklearn.log_model(model, name="model")
    os.unlink(ballast)
said(run=me, ended="FINISHED")
"""


@needs_disk
def test_a_model_on_a_full_disk_is_held(repo: Path, tmp_path: Path) -> None:
    """Where temporary files have room, the model is saved there and held in memory."""
    before = invariants.UserState.of(repo)
    outcome = on_small_disk(repo, tmp_path, MODEL_ON_A_FULL_DISK)
    assert outcome.code == 0, outcome.stderr
    (run,) = invariants.check(repo, outcome.acknowledged, before, in_flight=9).values()
    assert "model/MLmodel" in run.artifacts


class Stubborn:
    """What no flavor can pickle."""

    def predict(self, data: object) -> object:
        """The same."""
        return data

    def __reduce__(self) -> str:
        raise ValueError("not me")


def test_a_model_that_can_not_be_saved_leaves_nothing(repo: Path) -> None:
    """Neither its half-made folder nor anything of it in the run."""
    with gitml.start_run() as run:
        with pytest.raises(ValueError, match="not me"):
            gitml.sklearn.log_model(Stubborn(), name="model")
        files = repo / ".git/gitml/live" / run.info.run_id / "files"
        assert list(files.iterdir()) == []
    assert gitml.get_run(run.info.run_id).record.artifacts == {}


def test_a_model_whose_process_was_killed_leaves_nothing(repo: Path) -> None:
    """The half-made folder goes with the journal when the run is recorded."""
    place = place_of(gate.find(repo))
    session, _ = starting.start(place, starting.Wish())
    with session.workshop() as folder:
        (folder / "model").mkdir()
        (folder / "model/weights.bin").write_bytes(b"x")
        session.end("KILLED")
        assert recording.record(place, session.run)
        assert not session.run.folder.exists()
    assert not session.run.folder.exists()
    with pytest.raises(UsageError, match="has ended"), session.workshop():
        pass


class Broken:
    """A stream that can't be read to its end."""

    def read(self, size: int) -> bytes:
        """Some bytes, then an error."""
        if self.__dict__.setdefault("said", False):
            raise OSError(5, "Input/output error")
        self.said = True
        return b"some"


class Endless:
    """A stream of zeros that can't go back."""

    def __init__(self, left: int) -> None:
        self.left = left

    def read(self, size: int) -> bytes:
        """The next bytes."""
        part = b"\0" * min(size, self.left)
        self.left -= len(part)
        return part


def test_what_can_not_be_kept_is_named_and_leaves_nothing(
    repo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An artifact that neither disk nor memory takes is an error; of its call nothing is there."""
    monkeypatch.setattr(staging, "BACKLOG_BYTES", 1000)
    place = place_of(gate.find(repo))
    session, record = starting.start(place, starting.Wish())
    source = repo / "large.bin"
    source.write_bytes(b"x" * 5000)

    def refused(point: str) -> None:
        if point == "stage.copy":
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    small = repo / "train.py"
    with monkeypatch.context() as patch:
        patch.setattr("gitml.faults.hit", refused)
        for large in (source, Endless(10)):
            with pytest.raises(StorageError, match=r"'a/large' was not kept: No space .*; free"):
                session.artifacts([(large, "a/large")])  # type: ignore[list-item]
    with pytest.raises(StorageError, match=r"can't read artifact 'broken': Input/output error"):
        session.artifacts([(small, "before"), (Broken(), "broken")])  # type: ignore[list-item]
    with pytest.raises(UsageError, match="a stream of bytes, not of text"):
        session.artifacts([(small, "before"), (io.StringIO("text"), "text")])  # type: ignore[list-item]
    assert list(session.run.files.iterdir()) == []
    session.artifacts([(small, "a"), (Endless(5000), "zeros")])  # type: ignore[list-item]
    finishing.finish(place, session, record, "FINISHED")
    assert recording.live_records(place) == []
    stored = invariants.stored(repo)[record.run_id]
    assert stored.artifacts["zeros"] == hashlib.sha256(b"\0" * 5000).hexdigest()
    assert sorted(stored.artifacts) == ["a", "zeros"]
