"""The ledger: one line of commits, moved by comparison only, with what a killed git left mended."""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest

from gitml import documents, faults, locks
from gitml import git as gate
from gitml.errors import GitError, StorageError, UsageError
from gitml.tracking import ledger, mending
from gitml.tracking.commits import Identity, LedgerEdit, RunChange
from gitml.tracking.ledger import ChangedError, Entry, Ledger
from gitml.tracking.record import RunRecord, to_document
from tests import invariants, ledgers, trainings
from tests.conftest import Git, new_repository, run_git


@pytest.fixture
def book(repo: Path) -> Ledger:
    """The ledger of the test's repository."""
    return Ledger(gate.find(repo))


def run(number: int = 0) -> RunRecord:
    """A record; the same for the same number."""
    return replace(
        ledgers.make_run(random.Random(number), 1_767_225_600_000 + number, number, "churn"),
        artifacts={}, metrics={},
    )  # fmt: skip


def change(record: RunRecord, entry: Entry | None = None, **more: str) -> RunChange:
    """What writes a record, new or in place of an entry."""
    files = {"run.json": documents.dump_json(to_document(record))}
    return RunChange(
        record=record,
        files={**files, **{name.replace("_", "."): text.encode() for name, text in more.items()}},
        tree=None,
        parents=(entry.commit,) if entry else (),
        time=record.start_time // 1000,
        before=entry.blob if entry else None,
    )


def subjects(git: Git) -> list[str]:
    """The subjects of the ledger's commits, oldest first."""
    return git("log", "--first-parent", "--reverse", "--format=%s", "gitml/runs").splitlines()


def make_old(*paths: Path) -> None:
    """Make files as old as they are when a person comes back."""
    moment = time.time() - 60
    for path in paths:
        os.utime(path, (moment, moment))


# -- writing ---------------------------------------------------------------------------------


def test_each_change_is_one_commit_on_one_line(book: Ledger, git: Git) -> None:
    """The ledger grows by one commit a change, each with its run commit as second parent."""
    written = [*book.append([change(run(1)), change(run(2))]), *book.append([change(run(3))])]
    assert len(subjects(git)) == 1 + 3
    for one in written:
        assert git("rev-parse", f"{one.ledger}^2") == one.run
    assert git("rev-parse", "gitml/runs") == written[-1].ledger
    dates = git("log", "--first-parent", "--format=%ct", "gitml/runs").split()
    assert dates == sorted(dates, reverse=True)
    invariants.check_sound(Path(git("rev-parse", "--show-toplevel")))


def test_the_same_record_gives_the_same_commits(book: Ledger, tmp_path: Path) -> None:
    """A record that is replayed elsewhere gets the same run commit and the same ledger commit."""
    other = Ledger(gate.find(new_repository(tmp_path / "other")))
    assert book.append([change(run(1))]) == other.append([change(run(1))])


def test_what_is_written_is_found(book: Ledger) -> None:
    """A run is found by its id, with its files, and not when it is not there."""
    (written,) = book.append([change(run(1), notes_txt="some notes")])
    entry = book.find(run(1).run_id)
    assert entry is not None
    assert (entry.record, entry.commit, set(entry.files)) == (run(1), written.run, {"notes.txt"})
    assert book.at(written.run) == entry
    assert book.find(run(2).run_id) is None


@pytest.mark.parametrize("times", [1, 3])
def test_what_is_pruned_before_it_is_read_back_is_written_again(
    book: Ledger, git: Git, repo: Path, monkeypatch: pytest.MonkeyPatch, times: int
) -> None:
    """`git gc --prune=now` may take a record in the moment before the ledger names it."""
    book.append([change(run(1))])
    packs = repo / ".git" / "objects" / "pack"
    known, left = set(packs.iterdir()), iter(range(times))

    def prune(point: str) -> None:
        if point == "ledger.readback" and next(left, None) is not None:
            for path in set(packs.iterdir()) - known:
                path.unlink()

    monkeypatch.setattr(faults, "hit", prune)
    (written,) = book.append([change(run(2), notes_txt="kept")])
    assert next(left, None) is None
    assert git("rev-parse", "gitml/runs") == written.ledger
    assert git("show", f"{written.run}:.gitml/run/notes.txt") == "kept"
    invariants.check_sound(repo)


def test_a_repository_that_loses_all_that_is_new_is_told(
    book: Ledger, repo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Then the record is not taken for done, and its journal stays."""

    def prune(point: str) -> None:
        if point == "ledger.readback":
            for path in (repo / ".git" / "objects" / "pack").iterdir():
                path.unlink()

    monkeypatch.setattr(faults, "hit", prune)
    with pytest.raises(StorageError, match="keeps losing new objects; stop what prunes it"):
        book.append([change(run(1))])


def test_a_change_of_what_has_changed_is_refused(book: Ledger, git: Git) -> None:
    """Of two changes that were made from the same state only the first is written."""
    book.append([change(run(1))])
    entry = book.find(run(1).run_id)
    assert entry is not None
    book.append([change(replace(run(1), name="first"), entry)])
    before = git("rev-parse", "gitml/runs")
    with pytest.raises(ChangedError):
        book.append([change(replace(run(1), name="second"), entry)])
    assert git("rev-parse", "gitml/runs") == before
    edit = LedgerEdit("edit", 0, {"notes": b"mine"}, before={"notes": None})
    book.append([edit])
    with pytest.raises(ChangedError):
        book.append([replace(edit, write={"notes": b"yours"})])


def with_case_folded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have git take names that differ in case for one, as it does where it is told to."""
    words = [word.replace("ignoreCase=false", "ignoreCase=true") for word in ledger._IMPORT]
    monkeypatch.setattr(ledger, "_IMPORT", words)


def test_what_git_stores_otherwise_moves_nothing(
    book: Ledger, git: Git, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file that git has lost, or put other bytes into, is found before the ledger moves."""
    book.append([change(run(1))])
    before = git("rev-parse", "gitml/runs")
    with_case_folded(monkeypatch)
    for second in (b"other", b"same"):
        lost = change(run(2))
        lost = replace(lost, files={**lost.files, "a/Model": b"same", "a/model": second})
        with pytest.raises(StorageError, match="git stored other names"):
            book.append([change(run(3)), lost])
    with pytest.raises(StorageError, match="git stored other names"):
        book.append([LedgerEdit("two", 0, {"Notes": b"some", "notes": b"other"})])
    assert git("rev-parse", "gitml/runs") == before


def test_all_changes_are_written_or_none(book: Ledger, git: Git) -> None:
    """A change that can't be written takes those beside it along."""
    book.append([change(run(1))])
    before = git("rev-parse", "gitml/runs")
    for bad in (LedgerEdit("bad", 0, {"a/../b": b""}), LedgerEdit("bad", 0, {".git/config": b""})):
        with pytest.raises(UsageError):
            book.append([change(run(2)), bad])
    assert git("rev-parse", "gitml/runs") == before
    assert book.find(run(2).run_id) is None


def test_a_ledger_that_another_process_moved_is_continued(book: Ledger, git: Git) -> None:
    """What this process remembers of the ledger is checked: a move by others loses nothing."""
    book.append([change(run(1))])
    ledgers.append(book.repo.place, [run(2)])
    book.append([change(run(3))])
    assert {run.record["run_id"] for run in invariants.stored(book.repo.place).values()} == {
        run(number).run_id for number in (1, 2, 3)
    }


def test_what_somebody_wrote_in_the_last_moment_is_not_lost(
    book: Ledger, git: Git, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where locks do not reach, as on another machine's mount, the branch is compared."""
    book.append([change(run(1))])
    moves = iter(range(2))

    def move(point: str) -> None:
        if point == "ledger.ref" and next(moves, None) is not None:
            head = git("rev-parse", "gitml/runs")
            made = git("commit-tree", f"{head}^{{tree}}", "-p", head, "-m", "of somebody else")
            git("update-ref", "refs/heads/gitml/runs", made, head)

    monkeypatch.setattr(faults, "hit", move)
    book.append([change(run(2))])
    assert next(moves, None) is None
    assert subjects(git)[-3:] == [*["of somebody else"] * 2, f"churn: {run(2).name}"]
    assert book.find(run(1).run_id) is not None


@pytest.mark.parametrize(
    "text",
    [
        "refs/heads/gitml/runs {second} 1893456000\n",  # where the branch is not any more
        "refs/heads/gitml/runs {first} 18",  # cut off
        "refs/heads/other {first} 1893456000\n",
        "refs/heads/gitml/runs {first} soon\n",
        "",
    ],
)
def test_a_note_that_the_branch_does_not_agree_with_is_not_believed(
    book: Ledger, git: Git, text: str
) -> None:
    """The note of where the ledger was left saves a look; what it says wrongly does no harm."""
    first = book.append([change(run(1))])[0].ledger
    second = book.append([change(run(2))])[0].ledger
    git("update-ref", book.ref, first)
    (book.repo.home / "position").write_text(text.format(first=first, second=second))
    book.append([change(run(3))])
    dates = git("log", "--first-parent", "--format=%ct", "gitml/runs").split()
    assert dates == [str(run(3).start_time // 1000), str(run(1).start_time // 1000), dates[-1]]


def test_a_deleted_ledger_begins_anew(book: Ledger, git: Git) -> None:
    """Somebody deleted the branch: the next record makes one, and nothing crashes."""
    book.append([change(run(1))])
    git("branch", "--quiet", "-D", "gitml/runs")
    book.append([change(run(2))])
    assert book.find(run(1).run_id) is None
    assert book.find(run(2).run_id) is not None


@pytest.mark.parametrize(
    ("zone", "stored"),
    [("+1400", "+1400"), ("-0930", "-0930"), ("-2000", "+0000"), ("+1401", "+0000"),
     ("+012345", "+0000"), ("+0160", "+0000"), ("", "+0000"), ("+00\n0", "+0000")],
)  # fmt: skip
def test_a_time_zone_that_git_refuses_is_not_written(
    book: Ledger, git: Git, zone: str, stored: str
) -> None:
    """Whatever TZ says, and a journal has kept, the run is recorded."""
    book.append([replace(change(run(1)), identity=Identity(zone=zone))])
    assert git("log", "-1", "--format=%ad", "--date=format:%z", "gitml/runs") == stored


# -- states of the branch --------------------------------------------------------------------


def test_a_checked_out_ledger_is_not_moved(book: Ledger, git: Git) -> None:
    """Where somebody has the ledger checked out, it is refused at once, with the way out."""
    book.append([change(run(1))])
    git("checkout", "--quiet", "gitml/runs")
    with pytest.raises(GitError, match=r"checked out.*git switch main && gitml recover"):
        book.append([change(run(2))])


@pytest.mark.parametrize("name", ["train.py", "README.md", "runs/a.txt"])
def test_a_branch_of_the_users_is_not_taken_for_the_ledger(
    book: Ledger, git: Git, name: str
) -> None:
    """Whatever it holds, it stays as it is, and the way out is told."""
    git("checkout", "--quiet", "--orphan", "gitml/runs")
    git("rm", "-r", "--quiet", "--force", ".")
    (book.repo.place / name).parent.mkdir(exist_ok=True)
    (book.repo.place / name).touch()
    git("add", "--all")
    git("commit", "--quiet", "--message", "Mine")
    git("checkout", "--quiet", "--detach")
    before = git("rev-parse", "gitml/runs")
    with pytest.raises(GitError, match=r"is no ledger.*ledger\.ref in gitml\.yaml"):
        book.append([change(run(1))])
    assert git("rev-parse", "gitml/runs") == before


def test_a_branch_in_the_way_is_named(book: Ledger, git: Git) -> None:
    """A branch whose name the ledger's begins with is refused at once, with the way out."""
    git("branch", "gitml")
    with pytest.raises(GitError, match="git branch -m gitml gitml-old && gitml recover"):
        book.append([change(run(1))])


def test_a_clone_continues_the_remote_one(book: Ledger, tmp_path: Path) -> None:
    """The first record of a clone makes the local branch from the remote-tracking one."""
    book.append([change(run(1))])
    run_git(tmp_path, "clone", "--quiet", str(book.repo.root), "clone")
    other = Ledger(gate.find(tmp_path / "clone"))
    assert other.find(run(1).run_id) is not None
    (written,) = other.append([change(run(2))])
    assert run_git(tmp_path / "clone", "rev-parse", f"{written.ledger}^") == run_git(
        tmp_path / "clone", "rev-parse", "origin/gitml/runs"
    )


@pytest.mark.parametrize("has_own", [True, False])
def test_no_ledger_goes_on_from_a_forks(book: Ledger, tmp_path: Path, has_own: bool) -> None:
    """A fork that was fetched to look at is seen, but the first record doesn't take its runs in."""
    mine = new_repository(tmp_path / "mine")
    origin = Ledger(gate.find(new_repository(tmp_path / "origin")))
    if has_own:
        origin.append([change(run(1))])
    book.append([change(run(2))])
    for name, folder in (("fork", book.repo.root), ("origin", origin.repo.root)):
        run_git(mine, "remote", "add", name, str(folder))
        run_git(mine, "fetch", "--quiet", name)
    own = Ledger(gate.find(mine))
    assert own.find(run(2).run_id) is not None
    own.append([change(run(3))])
    listed = run_git(mine, "ls-tree", "-r", "--name-only", own.ref)
    found = [number for number in (1, 2, 3) if run(number).run_id in listed]
    assert found == ([1, 3] if has_own else [3])


# -- what a killed git leaves ------------------------------------------------------------------


def locks_of(book: Ledger) -> list[Path]:
    """The ref locks that a git leaves that is killed while it moves the ledger."""
    names = (f"{book.ref}.lock", "packed-refs.lock", "refs/gitml/live/x.lock")
    found = [book.repo.common_dir / name for name in names]
    for lock in found:
        lock.parent.mkdir(parents=True, exist_ok=True)
        lock.touch()
    return found


def note(book: Ledger) -> Path:
    """The note of a process that was killed while it moved the ledger."""
    path = book.repo.home / "git" / "4711-abcd"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"{book.ref}\nrefs/gitml/live/x\n")
    return path


def test_locks_of_a_killed_process_are_taken_away(book: Ledger) -> None:
    """Locks that a note tells of go, once they are old; recording goes on."""
    left = locks_of(book)
    make_old(note(book), *left)
    (written,) = book.append([change(run(1))])
    assert book.local() == written.ledger
    assert [lock for lock in left if lock.exists()] == []
    assert list((book.repo.home / "git").iterdir()) == []


def test_a_young_lock_is_somebody_at_work(book: Ledger, git: Git) -> None:
    """A lock that is not old is waited for, and never taken away."""
    left = locks_of(book)
    note(book)
    with pytest.raises(GitError, match="cannot lock ref"):
        book.append([change(run(1))], seconds=0.2)
    assert all(lock.exists() for lock in left)
    git("for-each-ref")


def test_a_lock_that_no_note_tells_of_is_somebody_elses(book: Ledger) -> None:
    """packed-refs may be locked by anybody: without a note its lock stays, and is no obstacle."""
    lock = book.repo.common_dir / "packed-refs.lock"
    lock.touch()
    make_old(lock)
    book.append([change(run(1))], done=["refs/gitml/live/x"])
    assert lock.exists()
    assert book.find(run(1).run_id) is not None


def test_an_old_lock_of_the_ledger_is_nobodys(book: Ledger) -> None:
    """Only gitml moves the ledger: an old lock of it goes, also without a note."""
    lock = book.repo.common_dir / f"{book.ref}.lock"
    lock.parent.mkdir(parents=True)
    lock.touch()
    make_old(lock)
    book.append([change(run(1))])
    assert not lock.exists()


def test_a_lock_that_is_let_go_in_time_is_waited_for(book: Ledger) -> None:
    """Somebody holds the branch for a moment: the record waits."""
    lock = book.repo.common_dir / f"{book.ref}.lock"
    lock.parent.mkdir(parents=True)
    lock.touch()
    threading.Timer(0.2, lock.unlink).start()
    book.append([change(run(1))])
    assert book.find(run(1).run_id) is not None


def test_the_mark_of_a_pack_that_a_killed_import_left_is_removed(book: Ledger, git: Git) -> None:
    """A mark that keeps the pack of a killed import from being made again goes with its note."""
    book.append([change(run(1))])
    (pack,) = (book.repo.common_dir / "objects" / "pack").glob("*.pack")
    git("update-ref", "-d", "refs/heads/gitml/runs")
    mark, foreign = pack.with_suffix(".keep"), pack.with_name("pack-of-somebody.keep")
    mark.write_text("fast-import")
    foreign.write_text("precious")
    for path in pack.parent.glob(f"{pack.stem}.*"):
        if path != mark:
            path.unlink()
    make_old(note(book), mark, foreign)
    book.append([change(run(1))])
    assert not mark.exists()
    assert foreign.exists()
    assert book.find(run(1).run_id) is not None


def test_guards_stay_for_some_time_only(book: Ledger, git: Git, repo: Path) -> None:
    """What was written is guarded by a ref that a later record, or recovery, drops."""
    book.append([change(run(1))])
    (guard,) = git("for-each-ref", "--format=%(refname)", "refs/gitml/new/").split()
    assert git("rev-parse", guard) == git("rev-parse", "gitml/runs")
    old = [f"refs/gitml/new/{int(time.time()) - 100:x}-{number}" for number in range(3)]
    for ref in old:
        git("update-ref", ref, "HEAD")
    book.append([change(run(2))])
    left = git("for-each-ref", "--format=%(refname)", "refs/gitml/new/").split()
    assert not set(left) & set(old)
    assert guard in left
    git("update-ref", old[0], "HEAD")
    git("pack-refs", "--all")
    mending.mend(book.repo)
    assert old[0] not in git("for-each-ref", "--format=%(refname)", "refs/gitml/new/").split()


def test_small_packs_are_joined_by_one_process_at_a_time(book: Ledger, git: Git) -> None:
    """While git joins packs in the background, no other one begins; its lock tells when it ends."""

    def packs() -> int:
        return len(list((book.repo.common_dir / "objects" / "pack").glob("*.pack")))

    for number in range(6):
        book.append([change(run(number))])
    mark = book.repo.home / "repacked"
    with locks.held(mark):
        make_old(mark)
        gate.repack_in_background(book.repo)
    assert time.time() - mark.stat().st_mtime > 50  # nobody has begun
    assert packs() == 6
    gate.repack_in_background(book.repo)
    while packs() > 1 or locks.is_held(mark):
        time.sleep(0.01)
    book.append([change(run(6))])
    gate.repack_in_background(book.repo)  # too soon
    assert not locks.is_held(mark)
    assert packs() == 2
    invariants.check_sound(Path(git("rev-parse", "--show-toplevel")))


def test_the_lock_of_a_guard_is_no_guard(book: Ledger, git: Git, repo: Path) -> None:
    """git has one while another process drops that guard: a record must not stumble over it."""
    book.append([change(run(1))])
    old = f"refs/gitml/new/{int(time.time()) - 100:x}-{1:08x}"
    git("update-ref", old, "HEAD")
    lock = repo / ".git" / f"{old}.lock"
    lock.touch()
    assert mending.old_guards(book.repo) == [old]
    book.append([change(run(2))])
    assert book.find(run(2).run_id) is not None
    assert lock.exists()


FAILING_IMPORT = """
import sys
from pathlib import Path
from gitml import git
from gitml.errors import GitError
from gitml.tracking import ledger, mending

repo = git.find(Path(sys.argv[1]))
guard = mending.new_guard()
stream = f"blob\\nmark :1\\ndata 1\\nx\\ncommit {guard}\\nnonsense\\n".encode()
try:
    with mending.importing(repo, guard):
        git.run(repo, "fast-import", "--quiet", "--done", input=stream)
except GitError as error:
    print(error)
"""


def test_a_failed_import_leaves_no_report_in_the_repository(repo: Path) -> None:
    """The report that git writes when an import fails is removed, and one of another's is not."""
    (repo / ".git" / "fast_import_crash_1").write_text("of somebody else")
    argv = (sys.executable, "-c", FAILING_IMPORT, str(repo))
    done = subprocess.run(argv, capture_output=True, text=True, check=True)
    assert "git fast-import failed" in done.stdout
    left = [path.name for path in (repo / ".git").glob("fast_import_crash_*")]
    assert left == ["fast_import_crash_1"]
    assert list((repo / ".git" / "objects" / "pack").glob("*.keep")) == []


# -- power loss --------------------------------------------------------------------------------


@pytest.mark.skipif(shutil.which("strace") is None, reason="looks at system calls with strace")
def test_what_a_ref_names_is_on_the_disk_before_the_ref(repo: Path, tmp_path: Path) -> None:
    """Objects reach the disk before the ledger names them, and the journal goes last of all."""
    script = trainings.write(
        tmp_path, "with mlflow.start_run() as run:\n    metric('loss', 1, 0, run.info.run_id)\n"
    )
    trace = tmp_path / "trace"
    calls = "trace=fsync,fdatasync,rename,renameat,renameat2,link,linkat,unlink,unlinkat"
    argv = ("strace", "-f", "-y", "-s", "400", "-e", calls, "-o", str(trace), sys.executable)
    subprocess.run((*argv, str(script)), cwd=repo, env=trainings.environment(), check=True)
    lines = trace.read_text().splitlines()

    def when(*words: str) -> int:
        found = [at for at, line in enumerate(lines) if all(word in line for word in words)]
        assert found, words
        return found[-1]

    moved = when("rename", "refs/heads/gitml/runs.lock")
    assert when("sync(", "objects/pack/tmp_pack_") < moved
    assert when("sync(", "objects/pack/tmp_idx_") < moved
    assert when("sync(", "refs/heads/gitml/runs.lock") < moved
    assert moved < when("unlink", ".jsonl")
