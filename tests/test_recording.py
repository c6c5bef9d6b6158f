"""Recording: what journals say becomes runs, once, whoever records and however often."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from gitml import git as gate
from gitml.errors import GitError, StorageError, UsageError
from gitml.tracking import (
    changes,
    doctor,
    finishing,
    journal,
    live,
    missing,
    recording,
    salvage,
    starting,
)
from gitml.tracking.commits import RunChange
from gitml.tracking.doctor import running
from gitml.tracking.ledger import DEFAULT_REF as LEDGER
from gitml.tracking.ledger import Ledger
from gitml.tracking.names import new_run_id
from gitml.tracking.place import Place, place_of
from gitml.tracking.record import RunRecord
from gitml.tracking.session import Session, begin
from tests import invariants
from tests.conftest import Git


@pytest.fixture
def place(repo: Path) -> Place:
    """Where the runs of the test's repository are recorded."""
    return place_of(gate.find(repo))


def started(place: Place) -> tuple[Session, RunRecord]:
    """A run that was just started, with one point."""
    session, record = starting.start(place, starting.Wish())
    session.metric("loss", 1.0, 0, 1000)
    return session, record


def head(place: Place) -> str | None:
    """The ledger's newest commit."""
    return place.ledger.local()


def points(repo: Path, run_id: str) -> list[tuple[str, int]]:
    """The points of a recorded run, without times and values."""
    return sorted((key, step) for key, step, *_ in invariants.stored(repo)[run_id].points)


def elsewhere(session: Session, *, silent: bool) -> Path:
    """Make a session look as if a process on another machine wrote it; its journal."""
    (journal_path,) = session.run.folder.glob("*.jsonl")
    assert session._writing is not None
    session._writing.abandon()
    lines = journal_path.read_bytes().splitlines(keepends=True)
    event = dict(journal.read(journal_path).events[0]["begin"])
    event["owner"] = {**event["owner"], "host": "elsewhere"}
    copy = journal.Journal(journal_path.with_suffix(".copy"))
    copy.append({"begin": event})
    copy.abandon()
    first = journal_path.with_suffix(".copy").read_bytes()
    journal_path.with_suffix(".copy").unlink()
    journal_path.write_bytes(b"".join((first, *lines[1:])))
    moment = time.time() - (live.HEARTBEAT_LIMIT + 60 if silent else 0)
    os.utime(journal_path, (moment, moment))
    return journal_path


def test_to_record_again_changes_nothing(place: Place) -> None:
    """A run that is recorded is not recorded again, by whatever road."""
    session, record = started(place)
    finishing.finish(place, session, record, "FINISHED")
    before = head(place)
    assert recording.recover(place) == []
    assert not recording.record(place, session.run)
    assert head(place) == before


def test_recording_that_was_stopped_before_cleaning_is_not_repeated(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Journals that the ledger covers already are only cleaned away."""
    session, record = started(place)
    with monkeypatch.context() as patch:
        patch.setattr(recording, "_clean", lambda run, seen: None)
        finishing.finish(place, session, record, "FINISHED")
    before = head(place)
    assert recording.recover(place) == []
    assert head(place) == before
    assert not session.run.folder.exists()


def test_a_journal_goes_only_when_the_ledger_has_every_file(
    place: Place, repo: Path, git: Git, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run whose record is there, but not all of its files, is recorded again from the journal."""
    session, record = started(place)
    for name in ("Model.txt", "model.txt"):
        (repo / "source").write_text(name)
        session.artifacts([(repo / "source", name)])
    (repo / "source").unlink()
    with monkeypatch.context() as patch:
        patch.setattr(recording, "_clean", lambda run, seen: None)
        finishing.finish(place, session, record, "FINISHED")
    head = git("rev-parse", "gitml/runs^2")
    lossy(repo, "artifacts/model.txt", record.run_id)
    assert recording.recover(place) == [recording.Recovered(record.run_id, None)]
    assert git("rev-parse", "gitml/runs^2") == head
    found = invariants.stored(repo)[record.run_id]
    assert set(found.artifacts) == {"Model.txt", "model.txt"}
    assert not session.run.folder.exists()


def lossy(repo: Path, name: str, run_id: str) -> None:
    """Take a file of a run out of the ledger, as if git had lost it when the run was recorded."""
    index = {"GIT_INDEX_FILE": str(repo / ".git" / "scratch")}
    (path,) = (
        line
        for line in git_with(repo, index, "ls-tree", "-r", "--name-only", "gitml/runs").split("\n")
        if line.endswith(f"{run_id}/{name}")
    )
    git_with(repo, index, "read-tree", "gitml/runs")
    git_with(repo, index, "rm", "--quiet", "--cached", path)
    tree = git_with(repo, index, "write-tree")
    message = git_with(repo, index, "log", "-1", "--format=%B", "gitml/runs")
    parents = git_with(repo, index, "log", "-1", "--format=-p %P", "gitml/runs")
    commit = git_with(
        repo, index, "commit-tree", tree, *parents.replace(" ", " -p ").split()[1:], "-m", message
    )
    git_with(repo, index, "update-ref", "refs/heads/gitml/runs", commit)
    (repo / ".git" / "scratch").unlink()


def git_with(repo: Path, env: Mapping[str, str], *args: str) -> str:
    """Run git with more in its environment."""
    done = subprocess.run(
        ("git", *args), cwd=repo, env={**os.environ, **env}, capture_output=True, text=True,
        check=True,
    )  # fmt: skip
    return done.stdout.strip()


def damaged(session: Session) -> None:
    """End a session's process as a kill would, and spoil the first line of its journal."""
    (path,) = session.run.folder.glob("*.jsonl")
    assert session._writing is not None
    session._writing.abandon()
    first, rest = path.read_bytes().split(b"\n", 1)
    path.write_bytes(first[:100] + b"?" + first[101:] + b"\n" + rest)
    path.rename(path.with_name(path.name.replace(f"-{os.getpid()}-", "-99999999-")))


def test_a_run_without_its_first_line_is_recorded_all_the_same(place: Place, repo: Path) -> None:
    """What was logged is there, with the code; what only the first line said is said to be lost."""
    (repo / "train.py").write_text("print('changed')\n")
    session, record = started(place)
    session.params({"lr": 0.1})
    session.artifacts([(repo / "train.py", "train.py")])
    damaged(session)
    (live_record,) = recording.live_records(place)
    assert (live_record.status, live_record.params) == ("KILLED", {"lr": 0.1})
    assert recording.recover(place) == [recording.Recovered(record.run_id, None)]
    assert recording.recover(place) == []
    found = invariants.stored(repo)[record.run_id]
    assert found.status == "KILLED"
    assert found.record["params"] == {"lr": 0.1}
    assert points(repo, record.run_id) == [("loss", 0)]
    assert set(found.artifacts) == {"train.py"}
    assert "first line of the journal" in found.record["description"]
    assert found.record["sessions"]["start"]["skipped"] == 1
    assert found.record["code"]["commit"] == record.code.commit
    assert found.record["code"]["tree"] == record.code.tree
    assert git_with(repo, {}, "show", f"{found.commit}:train.py") == "print('changed')"
    assert git_with(repo, {}, "for-each-ref", "refs/gitml/live") == ""
    assert not session.run.folder.exists()


def test_a_resume_without_its_first_line_adds_what_it_logged(place: Place, repo: Path) -> None:
    """It is no new start of the run, and hides nothing that was recorded."""
    session, record = started(place)
    finishing.finish(place, session, record, "FINISHED")
    again, _ = starting.resume(place, record.run_id)
    again.metric("late", 1.0, 0, 1000)
    damaged(again)
    (live_record,) = recording.live_records(place)
    assert (live_record.name, set(live_record.metrics)) == (record.name, {"loss", "late"})
    assert recording.recover(place) == [recording.Recovered(record.run_id, None)]
    assert points(repo, record.run_id) == [("late", 0), ("loss", 0)]
    assert invariants.stored(repo)[record.run_id].record["name"] == record.name


def test_a_damaged_journal_of_a_live_process_is_left(place: Place) -> None:
    """As long as its writer may go on, nothing is taken from it."""
    session, _ = started(place)
    (path,) = session.run.folder.glob("*.jsonl")
    path.write_bytes(b"?" + path.read_bytes()[1:])
    assert recording.recover(place) == []
    assert session._writing is not None
    session._writing._let_go()  # a machine without locks: there the process, and silence, tell
    assert recording.recover(place) == []
    assert path.exists()
    session._writing.abandon()
    moment = time.time() - live.HEARTBEAT_LIMIT - 60
    os.utime(path, (moment, moment))
    assert [run.problem for run in recording.recover(place)] == [None]


def test_a_joiner_is_recorded_line_by_line_once(place: Place, repo: Path) -> None:
    """What a joiner logs before and after the end of the run is there once each."""
    session, record = started(place)
    joiner = Session(session.run, begin("join"))
    joiner.metric("joined", 1.0, 0, 1000)
    finishing.finish(place, session, record, "FINISHED")
    assert points(repo, record.run_id) == [("joined", 0), ("loss", 0)]
    assert recording.recover(place) == []
    joiner.metric("joined", 1.0, 1, 1001)
    finishing.finish(place, joiner, record, "FINISHED")
    assert points(repo, record.run_id) == [("joined", 0), ("joined", 1), ("loss", 0)]
    assert invariants.stored(repo)[record.run_id].status == "FINISHED"


def test_lines_that_come_while_a_run_is_recorded_stay(
    place: Place, repo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A joiner that logs, and ends, between reading and cleaning loses nothing."""
    session, record = started(place)
    joiner = Session(session.run, begin("join"))
    clean = recording._clean

    def late(*args: Any) -> None:
        if not joiner.ended:
            joiner.metric("late", 1.0, 0, 1000)
            joiner.end("FINISHED")
        clean(*args)

    with monkeypatch.context() as patch:
        patch.setattr(recording, "_clean", late)
        finishing.finish(place, session, record, "FINISHED")
    assert recording.recover(place) == [recording.Recovered(record.run_id, None)]
    assert points(repo, record.run_id) == [("late", 0), ("loss", 0)]


def test_a_writer_that_comes_while_the_folder_is_cleaned_stays(
    place: Place, repo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A joiner that begins between reading and cleaning finds its journal again."""
    session, record = started(place)
    clean = recording._clean
    joiners = []

    def late(*args: Any) -> None:
        if not joiners:
            joiners.append(Session(session.run, begin("join")))
            joiners[0].artifacts([(repo / "train.py", "late.py")])
        clean(*args)

    with monkeypatch.context() as patch:
        patch.setattr(recording, "_clean", late)
        finishing.finish(place, session, record, "FINISHED")
    finishing.finish(place, joiners[0], record, "FINISHED")
    assert set(invariants.stored(repo)[record.run_id].artifacts) == {"late.py"}


def test_a_silent_run_elsewhere_is_lost_and_comes_back(place: Place) -> None:
    """A run of another machine without a sign of life is LOST, and RUNNING again with one."""
    session, _ = started(place)
    path = elsewhere(session, silent=True)
    assert [run.status for run in recording.live_records(place)] == ["LOST"]
    assert recording.recover(place) == []
    os.utime(path)
    assert [run.status for run in recording.live_records(place)] == ["RUNNING"]


def test_a_lost_run_is_recorded_on_request_only(place: Place, repo: Path) -> None:
    """With `lost` a run that is silent elsewhere is recorded as KILLED; a living one never is."""
    lost, record = started(place)
    elsewhere(lost, silent=True)
    living, _ = started(place)
    elsewhere(living, silent=False)
    assert recording.recover(place, lost=True) == [recording.Recovered(record.run_id, None)]
    assert recording.recover(place, lost=True) == []
    assert {name: run.status for name, run in invariants.stored(repo).items()} == {
        record.run_id: "KILLED"
    }


def test_the_journal_of_a_silent_joiner_elsewhere_stays(place: Place, repo: Path) -> None:
    """A joiner on a machine that may come back is recorded, and its journal is kept for more."""
    session, record = started(place)
    joiner = Session(live.folder(place.home, record.run_id), begin("join"))
    joiner.metric("joined", 1.0, 0, 1000)
    (path,) = [w.journal for w in session.run.writers() if "join" in w.journal.read_text()[:60]]
    assert joiner._writing is not None
    joiner._writing._let_go()
    joiner._writing.abandon()
    moment = time.time() - live.HEARTBEAT_LIMIT - 60
    data = path.read_bytes()
    first = dict(journal.read(path).events[0]["begin"])
    first["owner"] = {**first["owner"], "host": "elsewhere"}
    path.unlink()
    copy = journal.Journal(path)
    copy.append({"begin": first})
    copy.abandon()
    with path.open("ab") as file:
        file.write(data.split(b"\n", 1)[1])
    os.utime(path, (moment, moment))
    finishing.finish(place, session, record, "FINISHED")
    assert points(repo, record.run_id) == [("joined", 0), ("loss", 0)]
    assert path.exists()


def test_a_damaged_line_costs_that_line_and_is_counted(place: Place, repo: Path) -> None:
    """A run with a damaged line is recorded without it, and says how many are missing."""
    session, record = started(place)
    session.metric("loss", 1.0, 1, 1001)
    (path,) = session.run.folder.glob("*.jsonl")
    data = bytearray(path.read_bytes())
    data[data.index(b'"m"') + 8] ^= 1
    path.write_bytes(data)
    finishing.finish(place, session, record, "FINISHED")
    run = invariants.stored(repo)[record.run_id]
    assert [step for _, step, *_ in run.points] == [1]
    assert run.record["sessions"]["start"]["skipped"] == 1


def test_a_run_that_ended_without_its_first_line_is_finished(place: Place, repo: Path) -> None:
    """Its end is there; its beginning is damaged, and stops nothing else."""
    session, first = started(place)
    (path,) = session.run.folder.glob("*.jsonl")
    path.write_bytes(path.read_bytes().replace(b"begin", b"bogus", 1))
    session.end("FINISHED")
    other, record = started(place)
    finishing.finish(place, other, record, "FINISHED")
    assert recording.recover(place) == [recording.Recovered(first.run_id, None)]
    runs = invariants.stored(repo)
    assert {run.status for run in runs.values()} == {"FINISHED"}
    assert set(runs) == {first.run_id, record.run_id}


@pytest.mark.parametrize("begin", [5, {}, {"kind": []}, {"kind": "start", "owner": 5, "time": 0}])
def test_a_journal_that_begins_with_nonsense_is_named_alone(place: Place, begin: Any) -> None:
    """Whatever a journal holds is told of its run in one line; the other runs are recovered."""
    session, _ = started(place)
    session.end("FINISHED")
    other = place.live_run(new_run_id()).new_writer()
    other.journal.parent.mkdir()
    line = journal.Journal(other.journal)
    line.append({"begin": begin})
    line.abandon()
    found = {run.run_id: run.problem for run in recording.recover(place)}
    assert found.pop(session.run_id) is None
    (problem,) = found.values()
    assert problem
    assert "\n" not in problem
    assert recording.live_records(place) == []
    assert any(other.journal.parent.name in finding.what for finding in running.runs(place))


def test_a_package_whose_name_is_not_text_is_recorded(place: Place, repo: Path) -> None:
    """A journal that holds such a name becomes a run all the same."""
    session, _ = started(place)
    (path,) = session.run.folder.glob("*.jsonl")
    session.end("FINISHED")
    events = journal.read(path).events
    path.unlink()
    again = journal.Journal(path)
    again.append({"begin": {**events[0]["begin"], "requirements": "q==1.0\udcff\n"}})
    for event in events[1:]:
        again.append({key: value for key, value in event.items() if key != "crc"})
    again.abandon()
    assert [run.problem for run in recording.recover(place)] == [None]
    assert session.run_id in invariants.stored(repo)


def test_the_packages_of_a_resume_are_kept_where_they_are_others(
    place: Place, git: Git, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They stand beside those of the start, and once: a reviewer reads what has changed."""
    session, record = started(place)
    finishing.finish(place, session, record, "FINISHED")

    def packages() -> list[str]:
        listed = git("ls-tree", "-r", "--name-only", LEDGER).split("\n")
        return [name.rpartition("/")[2] for name in listed if "requirements" in name]

    def resume() -> None:
        again, record = starting.resume(place, session.run_id)
        finishing.finish(place, again, record, "FINISHED")

    resume()
    assert packages() == ["requirements.txt"]
    monkeypatch.setattr(starting, "requirements", lambda: "a==1.0\n")
    resume()
    monkeypatch.undo()
    resume()
    other, first = packages()
    assert other.startswith("requirements-resume-")
    assert first == "requirements.txt"


def test_a_run_that_was_written_is_not_written_again_without_its_code(
    place: Place, repo: Path, git: Git, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where it could not be read back, and the code was out of sight for a moment."""
    session, record = started(place)
    secure = Ledger._secure

    def fail(*_: object, **__: object) -> None:
        monkeypatch.setattr(Ledger, "_secure", secure)
        raise GitError("the object was pruned")

    def poorer(_: Place, change: RunChange) -> RunChange:
        return replace(change, tree=None, parents=())

    monkeypatch.setattr(Ledger, "_secure", fail)
    monkeypatch.setattr(recording, "_without_lost_code", poorer)
    finishing.finish(place, session, record, "FINISHED")
    (line,) = git("log", "--first-parent", "--format=%P", f"--grep={record.run_id}", LEDGER).split(
        "\n"
    )
    assert git("show", f"{line.split()[-1]}:train.py") == "print('training')"
    assert not session.run.folder.exists()


@pytest.mark.parametrize("lost", [False, True])
@pytest.mark.parametrize("torn", [b"", b"\0" * 40, b'{"crc":"0123', b"\0" * 40 + b"x"])
def test_a_process_that_died_before_its_first_line_leaves_no_run(
    place: Place, torn: bytes, lost: bool
) -> None:
    """Such a journal is cleaned away; one that holds something is set aside, and named."""
    session, _ = started(place)
    for path in session.run.folder.glob("*.jsonl"):
        path.write_bytes(torn)
    assert session._writing is not None
    session._writing._let_go()
    session._writing.abandon()  # nor does it beat any more: a beat would put the journal back
    assert recording.recover(place, lost=lost) == []
    assert not session.run.folder.exists()
    assert head(place) is None
    kept = salvage.aside(place.home)
    assert [path.read_bytes() for path in kept] == [torn] * bool(torn.strip(b"\0"))
    named = [item.what for item in doctor.examine(place) if "set aside" in item.what]
    assert len(named) == len(kept)


@pytest.mark.parametrize("at", [0, 5, 100, -1])
@pytest.mark.parametrize("lost", [False, True])
def test_a_bit_of_the_first_line_costs_no_point(
    place: Place, repo: Path, at: int, lost: bool
) -> None:
    """Whatever bit has flipped, all other lines are recorded."""
    session, record = started(place)
    for step in range(1, 50):
        session.metric("loss", 1.0, step, 1000)
    (path,) = session.run.folder.glob("*.jsonl")
    data = bytearray(path.read_bytes())
    data[at if at >= 0 else data.index(b"\n")] ^= 1
    path.write_bytes(data)
    assert session._writing is not None
    session._writing.abandon()  # nor does it beat any more
    os.utime(path, (1, 1))
    assert recording.recover(place, lost=lost) == [recording.Recovered(record.run_id, None)]
    assert {("loss", step) for step in range(1, 50)} <= set(points(repo, record.run_id))


def test_a_clock_that_goes_back_does_not_reorder_a_writer(
    place: Place, repo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of two values that one writer gave, the later call counts, whatever its clock said."""
    session, record = started(place)
    moments = iter((2_000_000_000_000, 1_000_000_000_000, 1_500_000_000_000))
    monkeypatch.setattr("gitml.tracking.session.now_ms", lambda: next(moments))
    session.tags({"state": "first"})
    session.tags({"state": "last"})
    session.set(name="last")
    monkeypatch.undo()
    finishing.finish(place, session, record, "FINISHED")
    run = invariants.stored(repo)[record.run_id].record
    assert (run["tags"]["state"], run["name"]) == ("last", "last")


def test_a_log_call_after_the_end_is_refused(place: Place) -> None:
    """A thread that still holds the session of a run that has ended is told so."""
    session, record = started(place)
    finishing.finish(place, session, record, "FINISHED")
    for call in (
        lambda: session.metric("late", 1.0, 0, 0),
        lambda: session.params({"late": 1}),
        lambda: session.artifacts([(Path("train.py"), "late.py")]),
    ):
        with pytest.raises(Exception, match="the run has ended"):
            call()


@pytest.mark.skipif(os.name == "nt", reason="what is open can't be removed there")
@pytest.mark.parametrize("what", ["live", "."])
def test_what_somebody_removes_in_mid_run_is_put_back(
    place: Place, repo: Path, tmp_path: Path, what: str
) -> None:
    """Of a run whose folder is removed all calls are recorded; files that are lost are named."""
    session, record = started(place)
    for name in ("lost.txt", "kept.txt", "model/lost.bin"):
        (tmp_path / "source").write_text(name)
        if name == "kept.txt":
            shutil.rmtree(place.home / what)
        if name == "model/lost.bin":
            session.model("model", [(tmp_path / "source", name)], {})
            shutil.rmtree(session.run.files, ignore_errors=True)
            name = "kept.txt"
        session.artifacts([(tmp_path / "source", name)])
    session.metric("loss", 0.5, 1, 2000)
    with pytest.warns(missing.LostArtifactWarning) as warned:
        finishing.finish(place, session, record, "FINISHED")
    [text] = [str(item.message) for item in warned]
    assert text.endswith("removed in mid-run: 'lost.txt', 'kept.txt', 'model/lost.bin'")
    assert points(repo, record.run_id) == [("loss", 0), ("loss", 1)]
    entry = place.ledger.find(record.run_id)
    assert entry is not None
    assert (list(entry.record.artifacts), dict(entry.record.models)) == (["kept.txt"], {})
    assert entry.record.sessions["start"].skipped == 4
    assert not session.run.folder.exists()


@pytest.mark.skipif(os.name == "nt", reason="what is open can't be removed there")
def test_a_run_that_was_recorded_under_its_process_is_added_to(
    place: Place, repo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody took the writer for dead and recorded its run: what it logs later is added to it."""
    session, record = started(place)
    with monkeypatch.context() as patch:
        patch.setattr(live.Writer, "state", lambda writer, owner: live.DEAD)
        recording.recover(place)
    assert points(repo, record.run_id) == [("loss", 0)]
    session.metric("loss", 0.5, 1, 2000)
    finishing.finish(place, session, record, "FINISHED")
    assert points(repo, record.run_id) == [("loss", 0), ("loss", 1)]
    assert place.ledger.find(record.run_id).record.status == "FINISHED"


def test_a_journal_that_is_removed_before_it_is_recorded_is_missed(place: Place) -> None:
    """When the journal of a run that has ended is gone, and the run is nowhere: an error."""
    session, record = started(place)
    ending = finishing.Ending(place, session, record, "FINISHED")
    assert ending._ended is not None
    ending._ended.writing.end(ending._ended.event)
    ending._ended = None
    shutil.rmtree(session.run.folder)
    with pytest.raises(StorageError, match="was removed by somebody"):
        ending.attempt(1.0)


def test_a_run_that_could_not_be_recorded_is_not_called_running(place: Place, git: Git) -> None:
    """Who would change it learns that it has ended, and what brings it into the ledger."""
    finishing.finish(place, *started(place), "FINISHED")
    session, record = started(place)
    with pytest.raises(UsageError, match="is still running"):
        changes.entry_of(place, record.run_id)
    session.end("FINISHED")
    git("checkout", "--quiet", "gitml/runs")
    with pytest.raises(UsageError, match="is not recorded yet, though it has ended"):
        changes.tag(place, record.run_id, {"k": "v"})


def test_live_refs_of_nobody_go(place: Place, git: Git) -> None:
    """A ref that holds the snapshot of no live run is dropped once it is old, a new one is not."""
    old, new = "018f0000-0000-7000-8000-000000000000".replace("-", ""), new_run_id()
    kept = {new, f"{old}-{int(time.time()):x}-abcdabcd", "something"}
    for name in (*kept, old, f"{new}-1000-abcdabcd"):
        git("update-ref", f"refs/gitml/live/{name}", "HEAD")
    recording.recover(place)
    left = git("for-each-ref", "--format=%(refname:lstrip=3)", "refs/gitml/live/").split()
    assert set(left) == kept


def test_a_param_that_processes_contradict_is_named_when_it_is_recorded(place: Place) -> None:
    """Whoever records the run is warned once, with both values; nothing is lost."""
    session, record = started(place)
    other = Session(session.run, starting.joining(place))
    session.params({"lr": 0.1, "same": 1})
    other.params({"lr": 0.2, "same": 1})
    other.end("FINISHED")
    with pytest.warns(recording.ParamConflictWarning) as warned:
        finishing.finish(place, session, record, "FINISHED")
    [text] = [str(item.message) for item in warned]
    assert "param 'lr' was logged as '0.1' and as '0.2'" in text
    entry = place.ledger.find(record.run_id)
    assert entry is not None
    assert (entry.record.params["lr"], entry.record.param_conflicts) == (0.1, {"lr": (0.1, 0.2)})
    late = Session(session.run, starting.joining(place))
    late.params({"lr": 0.2})
    late.end("FINISHED")
    assert recording.record(place, session.run)  # and no warning, which would be an error
    worse = Session(session.run, starting.joining(place))
    worse.params({"same": 2})
    worse.end("FINISHED")
    with pytest.warns(recording.ParamConflictWarning, match="'same' was logged as '1' and as '2'"):
        recording.record(place, session.run)
