"""Push and pull between clones: a git remote that checks objects, and a real DVC remote."""

from __future__ import annotations

import errno as os_errno
import json
import os
import re
import shutil
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest

from gitml import git as git_gate
from gitml import storage
from gitml.errors import GitError, UsageError
from gitml.git import network
from gitml.tracking import changes, download, exchange, garbage, store
from tests import invariants
from tests.artifacts import dvc, objects_in
from tests.clones import BIG, LEDGER, Clone, clone, records, team
from tests.conftest import run_git
from tests.trainings import environment

REMOTE_LEDGER = "refs/remotes/origin/gitml/runs"


@pytest.fixture
def pair(tmp_path: Path, bare: Path) -> tuple[Clone, Clone]:
    """Two clones of one remote, without a place for artifacts."""
    one, two = team(tmp_path, bare, "ann", "bob")
    return one, two


@pytest.fixture
def rich(tmp_path: Path, bare: Path) -> tuple[Clone, Clone]:
    """Two clones that share a git remote and a DVC remote."""
    one, two = team(tmp_path, bare, "ann", "bob", dvc=True)
    return one, two


@pytest.fixture
def forge(bare: Path) -> Path:
    """The bare repository with reflogs, to see how each ref moved."""
    run_git(bare, "config", "core.logAllRefUpdates", "always")
    return bare


def model() -> dict[str, bytes]:
    """Files of a run that are too large for its commit."""
    return {"model.bin": os.urandom(BIG)}


def refuse(bare: Path, condition: str, words: str) -> None:
    """Let the remote refuse pushes: a hook that ends with 1 when the shell `condition` holds."""
    hook = bare / "hooks" / "pre-receive"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text(
        "#!/bin/sh\n"
        "while read old new ref; do\n"
        '  case $old in *[!0]*) range="$old..$new";; *) range=$new;; esac\n'
        f"  if {condition}; then echo '{words}' >&2; exit 1; fi\n"
        "done\n"
    )
    hook.chmod(0o755)


def mentions(word: str) -> str:
    """A condition of `refuse`: a commit that is pushed has `word` in its message."""
    return f"git log --format=%B $range | grep -q {word}"


# -- together --------------------------------------------------------------------------------


def test_runs_reach_the_other_clone(pair: tuple[Clone, Clone], bare: Path) -> None:
    """Push publishes, pull brings in, and both say which runs went."""
    ann, bob = pair
    run_id = ann.run("first", params={"depth": 3})
    assert ann.push().runs == (run_id,)
    assert bob.pull().runs == (run_id,)
    assert bob.records()["first"].params == {"depth": 3}
    assert run_git(bare, "fsck", "--strict", "--full") == ""


def test_clones_that_diverged_hold_all_runs(pair: tuple[Clone, Clone], bare: Path) -> None:
    """Both recorded: the second push unites and tells only of what it sent."""
    ann, bob = pair
    first, second = ann.run("first"), bob.run("second")
    ann.push()
    assert bob.push().runs == (second,)
    assert ann.pull().runs == (second,)
    assert set(ann.records()) == set(bob.records()) == set(records(bare)) == {"first", "second"}
    assert first != second


def test_a_pull_tells_of_what_came_in_only(pair: tuple[Clone, Clone]) -> None:
    """Own runs that are written again on top of the others are no news."""
    ann, bob = pair
    ann.run("first")
    second = bob.run("second")
    bob.push()
    assert ann.pull().runs == (second,)
    assert ann.pull().runs == ()


def test_the_same_run_changed_on_both_sides(pair: tuple[Clone, Clone], bare: Path) -> None:
    """Stamps decide for each tag, whoever pushes first, and the merged run is told."""
    ann, bob = pair
    shared = ann.run("shared")
    ann.push()
    bob.pull()
    ann.tag(shared, owner="ann", team="churn")
    bob.tag(shared, owner="bob")
    bob.tag(shared, owner="bob again")
    ann.push()
    report = bob.push()
    assert report.merged == (shared,)
    ann.pull()
    for held in (ann.records(), bob.records(), records(bare)):
        assert held["shared"].tags == {"owner": "bob again", "team": "churn"}


def test_a_deletion_and_a_restoration_travel(pair: tuple[Clone, Clone]) -> None:
    """Deleting is a mark like any other field."""
    ann, bob = pair
    shared = ann.run("shared")
    ann.push()
    bob.pull()
    changes.delete(bob.place, [shared])
    bob.push()
    ann.pull()
    assert ann.records()["shared"].deleted
    changes.restore(ann.place, [shared])
    ann.push()
    bob.pull()
    assert not bob.records()["shared"].deleted


def test_a_plain_clone_reads_and_goes_on(
    pair: tuple[Clone, Clone], tmp_path: Path, bare: Path
) -> None:
    """A clone that has only origin/gitml/runs records on top of it, and pushes without a pull."""
    ann, _ = pair
    first = ann.run("first")
    ann.push()
    eve = clone(tmp_path, bare, "eve")
    assert eve.git("for-each-ref", LEDGER) == ""
    found = eve.place.ledger.find(first)
    assert found is not None
    assert found.record.name == "first"
    second = eve.run("second")
    assert eve.push().runs == (second,)
    assert set(records(bare)) == {"first", "second"}


def test_pushing_nothing_says_so(pair: tuple[Clone, Clone]) -> None:
    """Without a run, and again after a push, there is nothing to tell."""
    ann, _ = pair
    assert ann.push() == exchange.Report()
    ann.run("first")
    ann.push()
    assert ann.push() == exchange.Report()


def test_what_is_about_no_run_is_told_too(pair: tuple[Clone, Clone]) -> None:
    """An experiment's tag: the ledger changes at the remote, then at the colleague's."""
    ann, bob = pair
    ann.run("first")
    ann.push()
    bob.pull()
    store.create_experiment(ann.place, "churn")
    assert ann.push() == exchange.Report(moved=True)
    assert bob.pull() == exchange.Report(moved=True)
    assert ann.push() == bob.push() == bob.pull() == exchange.Report()


def test_many_clones_race(tmp_path: Path, forge: Path) -> None:
    """Processes push at once: no run is lost, none is forced, no history is rewritten."""
    clones = team(tmp_path, forge, *(f"c{number}" for number in range(4)))
    script = (
        "import sys; from tests.clones import Clone; from pathlib import Path\n"
        + textwrap.dedent(
            """
        one = Clone(Path(sys.argv[1]))
        for number in range(2):
            one.run(f"{one.folder.name}-{number}")
            one.push()
        """
        )
    )
    tests = Path(__file__).resolve().parent.parent
    started = [
        subprocess.Popen(
            [sys.executable, "-c", script, str(one.folder)], cwd=tests, stderr=subprocess.PIPE
        )
        for one in clones
    ]
    said = [process.communicate()[1].decode() for process in started]
    assert [process.returncode for process in started] == [0] * len(clones), said
    assert set(records(forge)) == {f"c{number}-{k}" for number in range(4) for k in range(2)}
    assert_never_rewound(forge, LEDGER)
    assert run_git(forge, "fsck", "--strict", "--full", "--no-dangling") == ""


def assert_never_rewound(bare: Path, ref: str) -> None:
    """Every value that the ref had is an ancestor of the next one."""
    moves = run_git(bare, "reflog", "show", "--format=%H", ref).split()
    assert moves
    for number, newer in enumerate(moves[:-1]):
        run_git(bare, "merge-base", "--is-ancestor", moves[number + 1], newer)


def test_no_push_is_forced(pair: tuple[Clone, Clone], monkeypatch: pytest.MonkeyPatch) -> None:
    """Not a refspec with a plus, nor an option that forces, in any push of two racing clones."""
    ann, bob = pair
    pushed: list[tuple[str, ...]] = []
    talk = network._talk

    def listen(repo, args, *more):  # type: ignore[no-untyped-def]
        pushed.append(tuple(args))
        return talk(repo, args, *more)

    monkeypatch.setattr(network, "_talk", listen)
    ann.run("first")
    bob.run("second")
    ann.push()
    bob.push()
    sent = [args for args in pushed if args[0] == "push"]
    assert len(sent) >= 2
    assert [
        args for args in sent if any(arg.startswith(("+", "-f", "--force")) for arg in args)
    ] == []


def test_a_race_is_run_again(
    pair: tuple[Clone, Clone], bare: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody pushes between our fetch and our push: we unite with that too."""
    ann, bob = pair
    bob.run("second")
    ann.run("first")
    push = git_gate.push
    calls = []

    def late(repo, *args, **more):  # type: ignore[no-untyped-def]
        calls.append(args)
        if len(calls) == 1:
            monkeypatch.setattr(git_gate, "push", push)
            bob.push()
        return push(repo, *args, **more)

    monkeypatch.setattr(git_gate, "push", late)
    ann.push()
    assert set(records(bare)) == {"first", "second"}


# -- a remote that changes behind our back ---------------------------------------------------


def test_runs_that_the_remote_lost_come_back(pair: tuple[Clone, Clone], forge: Path) -> None:
    """Somebody forced the remote's ledger back: it is told, and a push restores what was lost."""
    ann, bob = pair
    ann.run("first")
    ann.push()
    older = run_git(forge, "rev-parse", LEDGER)
    ann.run("second")
    ann.push()
    bob.run("third")
    run_git(forge, "update-ref", LEDGER, older)
    bob.push()
    assert set(records(forge)) == {"first", "third"}
    report = ann.push()
    assert [p for p in report.problems if "rewritten" in p]
    assert set(records(forge)) == {"first", "second", "third"}
    assert ann.push().problems == ()


def test_a_reader_keeps_what_the_remote_lost(pair: tuple[Clone, Clone], forge: Path) -> None:
    """Also a clone that had only fetched keeps the runs, when it pulls the rewritten ledger."""
    ann, bob = pair
    ann.run("first")
    ann.push()
    older = run_git(forge, "rev-parse", LEDGER)
    ann.run("second")
    ann.push()
    bob.git("fetch", "--quiet")
    run_git(forge, "update-ref", LEDGER, older)
    assert [problem for problem in bob.pull().problems if "rewritten" in problem]
    assert set(bob.records()) == {"first", "second"}


def test_a_ledger_that_was_deleted_is_made_again(pair: tuple[Clone, Clone], forge: Path) -> None:
    """Even from a clone that only fetched it; a pull tells that it is gone and keeps all runs."""
    ann, bob = pair
    ann.run("first")
    ann.push()
    bob.git("fetch", "--quiet")
    run_git(forge, "update-ref", "-d", LEDGER)
    assert [problem for problem in bob.pull().problems if "deleted" in problem]
    assert bob.push().runs != ()
    assert set(records(forge)) == {"first"}


# -- a remote that refuses -------------------------------------------------------------------


def test_a_refused_run_is_set_aside(pair: tuple[Clone, Clone], bare: Path) -> None:
    """The run that a hook rejects is named with the hook's words; all the others go through."""
    ann, bob = pair
    refuse(bare, mentions("secret-run"), "no secret runs please")
    good = [ann.run("one"), ann.run("two")]
    bad = ann.run("secret-run")
    good += [ann.run("three"), ann.run("four")]
    report = ann.push()
    assert set(report.runs) == set(good)
    assert report.withheld.keys() == {bad}
    assert "no secret runs please" in report.withheld[bad]
    assert set(records(bare)) == {"one", "two", "three", "four"}
    assert set(ann.records()) == {"one", "two", "three", "four", "secret-run"}
    bob.pull()
    assert set(bob.records()) == {"one", "two", "three", "four"}


def test_later_runs_go_past_the_one_that_was_set_aside(
    pair: tuple[Clone, Clone], bare: Path
) -> None:
    """It stays behind push after push, and goes when the remote takes it."""
    ann, _ = pair
    refuse(bare, mentions("secret-run"), "no")
    bad = ann.run("secret-run")
    ann.push()
    later = ann.run("later")
    report = ann.push()
    assert (report.runs, set(report.withheld)) == ((later,), {bad})
    (bare / "hooks" / "pre-receive").unlink()
    assert ann.push().runs == (bad,)
    assert set(records(bare)) == {"later", "secret-run"}


def test_a_run_with_a_large_file_is_told_the_setting(pair: tuple[Clone, Clone], bare: Path) -> None:
    """A forge's words about size become the setting of gitml.yaml that avoids it."""
    ann, _ = pair
    refuse(
        bare,
        "git rev-list --objects $range | git cat-file --batch-check='%(objectsize) %(rest)'"
        " | sort -n | tail -1 | awk '{exit !($1 > 50000)}'",
        "error: GH001: Large files detected. File is 60.0 kB; this exceeds the file size limit",
    )
    good = ann.run("good")
    bad = ann.run("bad", files={"notes.txt": os.urandom(60_000)})
    report = ann.push()
    assert report.runs == (good,)
    assert "artifacts.inline_unit" in report.withheld[bad]


def test_a_protected_branch_is_an_error_with_the_setting(
    pair: tuple[Clone, Clone], bare: Path
) -> None:
    """What concerns every run is one error; nothing is tried run by run."""
    ann, _ = pair
    refuse(
        bare,
        "true",
        "error: GH006: Protected branch update failed. Changes must go through a pull request.",
    )
    ann.run("first")
    with pytest.raises(GitError, match=r"pull requests only.*rules for branches.*gitml/runs"):
        ann.push()
    assert run_git(bare, "for-each-ref", LEDGER) == ""


def test_a_remote_that_takes_nothing_is_one_error(pair: tuple[Clone, Clone], bare: Path) -> None:
    """A hook that refuses every run, in words nobody knows, does not blame them one by one."""
    ann, _ = pair
    refuse(bare, mentions("Run-Id"), "out of order")
    for number in range(5):
        ann.run(f"r{number}")
    with pytest.raises(GitError, match=r"refuses the ledger: .*out of order"):
        ann.push()
    assert len(ann.records()) == 5


def test_a_branch_in_the_way_on_the_remote_is_named(pair: tuple[Clone, Clone], bare: Path) -> None:
    """A branch called gitml leaves no room for gitml/runs."""
    ann, _ = pair
    run_git(bare, "branch", "gitml", "main")
    ann.run("first")
    with pytest.raises(GitError, match="rename that branch"):
        ann.push()


def test_a_push_without_a_network_is_an_error_and_loses_nothing(
    pair: tuple[Clone, Clone], bare: Path
) -> None:
    """The runs are here, and go with the next push."""
    ann, _ = pair
    run_id = ann.run("first")
    moved = bare.rename(bare.with_name("away.git"))
    with pytest.raises(GitError):
        ann.push()
    moved.rename(bare)
    assert ann.push().runs == (run_id,)


# -- artifacts -------------------------------------------------------------------------------


def test_artifacts_travel_with_their_runs(rich: tuple[Clone, Clone], tmp_path: Path) -> None:
    """A pull with artifacts leaves nothing to be fetched later."""
    ann, bob = rich
    files = model()
    run_id = ann.run("first", files=files)
    report = ann.push()
    assert (report.runs, report.objects, report.withheld) == ((run_id,), 1, {})
    assert bob.pull(artifacts=True).objects == 1
    shutil.rmtree(tmp_path / "dvc")
    assert fetched(bob, run_id, tmp_path / "out") == files


def fetched(one: Clone, run_id: str, target: Path) -> dict[str, bytes]:
    """The artifacts of a run, downloaded to a new folder."""
    entry = one.place.ledger.find(run_id)
    assert entry is not None
    download.download(one.place, entry.record, entry.commit, None, target)
    return {path.name: path.read_bytes() for path in target.iterdir()}


def test_a_run_without_a_place_for_its_artifacts_is_withheld(
    pair: tuple[Clone, Clone], bare: Path, tmp_path: Path
) -> None:
    """It is named with what to do, goes once there is a remote, and then stock DVC can get it."""
    ann, _ = pair
    small, large = ann.run("small"), ann.run("large", files=model())
    report = ann.push()
    assert report.runs == (small,)
    assert "gitml init --remote" in report.withheld[large]
    assert set(records(bare)) == {"small"}
    storage.set_project_remote(ann.folder, str(tmp_path / "late"))
    report = ann.push()
    assert (report.runs, report.withheld) == ((large,), {})
    entry = ann.place.ledger.find(large)
    assert entry is not None
    dvc(
        tmp_path,
        "get",
        str(bare),
        ".gitml/run/artifacts/model.bin",
        "--rev",
        entry.commit,
        "-o",
        "got",
    )
    assert (tmp_path / "got").stat().st_size == BIG


def test_the_newest_commit_of_a_run_is_known_though_its_record_is_the_same(
    pair: tuple[Clone, Clone], tmp_path: Path
) -> None:
    """The first push with a DVC remote writes one more, which names the remote."""
    ann, _ = pair
    large = ann.run("large", files=model())
    before = store.entry(ann.place, large)
    storage.set_project_remote(ann.folder, str(tmp_path / "late"))
    ann.push()
    entry = store.entry(ann.place, large)
    assert before is not None
    assert entry is not None
    assert entry == ann.place.ledger.find(large)
    assert entry.files.keys() - before.files.keys() == {".dvc/config"}


def test_a_run_whose_artifacts_are_lost_is_withheld(rich: tuple[Clone, Clone], bare: Path) -> None:
    """A pointer to an object that neither this clone nor the remote has is never published."""
    ann, _ = rich
    lost = ann.run("lost", files=model())
    ann.place.cache.remove(ann.pointer(lost).md5)
    kept = ann.run("kept", files=model())
    report = ann.push()
    assert report.runs == (kept,)
    assert ann.pointer(lost).md5 in report.withheld[lost]
    assert set(records(bare)) == {"kept"}


def test_a_dvc_remote_that_fails_keeps_the_runs_here(
    rich: tuple[Clone, Clone], bare: Path, tmp_path: Path
) -> None:
    """Artifacts go first: a run whose can't stays and is named, the others go through."""
    ann, _ = rich
    first = ann.run("first", files=model())
    small = ann.run("small")
    (tmp_path / "dvc").write_text("a file is in the way")
    report = ann.push()
    assert report.runs == (small,)
    assert "could not be pushed" in report.withheld[first]
    assert set(records(bare)) == {"small"}


def test_a_run_recorded_during_the_upload_waits_for_its_artifacts(
    rich: tuple[Clone, Clone], bare: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """What the remote's ledger names, the DVC remote has, at every moment."""
    ann, _ = rich
    ann.run("first", files=model())
    upload, send = storage.push, git_gate.push
    seen = []

    def slow(*args, **more):  # type: ignore[no-untyped-def]
        result = upload(*args, **more)
        if not seen:
            ann.run("late", files=model())
        return result

    def watched(repo, remote, refspecs, progress=None):  # type: ignore[no-untyped-def]
        done = send(repo, remote, refspecs, progress)
        seen.append(set(records(bare)))
        assert len(objects_in(tmp_path / "dvc" / "gitml")) >= len(seen[-1])
        return done

    monkeypatch.setattr(storage, "push", slow)
    monkeypatch.setattr(git_gate, "push", watched)
    assert len(ann.push().runs) == 2
    assert seen == [{"first"}, {"first", "late"}]


@pytest.mark.parametrize("point", ["push.artifacts", "push.refs", "pull.merge"])
def test_a_push_that_was_killed_goes_on(
    rich: tuple[Clone, Clone], bare: Path, tmp_path: Path, point: str
) -> None:
    """Killed at any step, no pointer without its object is public; the next push does the rest."""
    ann, bob = rich
    files = {f"m{number}.bin": os.urandom(BIG) for number in range(3)}
    first, second = ann.run("first", files=files), ann.run("second", files=model())
    script = "import sys; from pathlib import Path; from tests.clones import Clone"
    script += "; Clone(Path(sys.argv[1])).push()"
    done = subprocess.run(
        [sys.executable, "-c", script, str(ann.folder)],
        cwd=Path(__file__).resolve().parent.parent,
        env={**os.environ, "GITML_FAULT": f"{point}:kill:{2 if point == 'push.artifacts' else 1}"},
        capture_output=True,
        check=False,
    )
    assert done.returncode == -9, done.stderr
    assert run_git(bare, "for-each-ref", LEDGER) == ""
    assert set(ann.push().runs) == {first, second}
    bob.pull(artifacts=True)
    assert fetched(bob, first, tmp_path / "out") == files


def command(folder: Path, name: str, fault: str) -> subprocess.CompletedProcess[str]:
    """Run `gitml push` or `gitml pull` in a process where a step fails."""
    return subprocess.run(
        [sys.executable, "-m", "gitml", name],
        cwd=folder,
        env=environment({"GITML_FAULT": fault}),
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("errno", ["ENOSPC", "EIO", "EFBIG"])
@pytest.mark.parametrize("point", ["push.artifacts", "push.refs", "pull.merge"])
def test_a_push_that_the_disk_refuses_is_one_line_and_goes_on(
    rich: tuple[Clone, Clone], bare: Path, tmp_path: Path, point: str, errno: str
) -> None:
    """At any step: no pointer without its object is public, and the next push does the rest."""
    ann, bob = rich
    files = {f"m{number}.bin": os.urandom(BIG) for number in range(2)}
    first = ann.run("first", files=files)
    head = ann.place.ledger.local()
    done = command(ann.folder, "push", f"{point}:{errno}")
    code = 1 if point == "push.artifacts" else 3  # then all but that run could go
    assert (done.returncode, done.stderr.count("\n")) == (code, 1), done.stderr
    assert os.strerror(getattr(os_errno, errno)) in done.stderr
    assert ("free some space" in done.stderr) == (errno == "ENOSPC")
    assert ("ulimit -f" in done.stderr) == (errno == "EFBIG")
    assert run_git(bare, "for-each-ref", LEDGER) == ""
    assert ann.place.ledger.local() == head
    assert ann.push().runs == (first,)
    bob.pull(artifacts=True)
    assert fetched(bob, first, tmp_path / "out") == files


@pytest.mark.parametrize("action", ["ENOSPC", "EIO", "kill"])
def test_a_pull_that_fails_half_way_changes_nothing(
    rich: tuple[Clone, Clone], bare: Path, action: str
) -> None:
    """Where two ledgers are to be united, each stays what it was until the next pull."""
    ann, bob = rich
    first, own = ann.run("first"), bob.run("own")
    ann.push()
    head = bob.place.ledger.local()
    done = command(bob.folder, "pull", f"pull.merge:{action}")
    assert done.returncode == (-9 if action == "kill" else 3), done.stderr
    assert action == "kill" or done.stderr.count("\n") == 1
    assert bob.place.ledger.local() == head
    bob.pull()
    assert {record.run_id for record in bob.records().values()} == {first, own}
    invariants.check_sound(bob.folder)


def test_no_collector_of_others_takes_artifacts(rich: tuple[Clone, Clone], tmp_path: Path) -> None:
    """After stock `dvc gc`, `git gc` and `git clean`, all runs are there, pushed or not."""
    ann, bob = rich
    pushed_files, local_files = model(), model()
    pushed = ann.run("pushed", files=pushed_files)
    ann.push()
    local = ann.run("local", files=local_files)
    (ann.folder / "data.txt").write_text("data")
    dvc(ann.folder, "add", "data.txt")
    dvc(ann.folder, "push")
    dvc(ann.folder, "gc", "-w", "-c", "-f")
    ann.git("gc", "--quiet", "--prune=now")
    ann.git("clean", "-fdx", "--quiet")
    assert fetched(ann, pushed, tmp_path / "a") == pushed_files
    assert fetched(ann, local, tmp_path / "b") == local_files
    bob.pull()
    assert fetched(bob, pushed, tmp_path / "c") == pushed_files
    assert ann.push().runs == (local,)


# -- tags ------------------------------------------------------------------------------------


def test_registry_tags_go_one_by_one(pair: tuple[Clone, Clone], bare: Path, tmp_path: Path) -> None:
    """Each in a push of its own, versions before stages; other tags are left alone."""
    ann, bob = pair
    entry = ann.place.ledger.find(ann.run("first"))
    assert entry is not None
    for name, target in (
        ("churn@v1.0.0", entry.commit),
        ("churn#production#1", "main"),
        ("churn#production#10", "main"),
        ("churn#production#2", "main"),
    ):
        ann.git("tag", "--annotate", "--message", name, name, target)
    for name in ("v7", "x@vector", "issue#12"):
        ann.git("tag", name)
    log = tmp_path / "pushes"
    hook = bare / "hooks" / "pre-receive"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text(
        f"#!/bin/sh\nwhile read old new ref; do printf '%s ' $ref; done >>'{log}'\necho >>'{log}'\n"
    )
    hook.chmod(0o755)
    expected = ("churn@v1.0.0", "churn#production#1", "churn#production#2", "churn#production#10")
    assert ann.push().tags == expected
    assert log.read_text().split("\n")[1:-1] == [f"refs/tags/{name} " for name in expected]
    assert bob.pull().tags == expected
    assert ann.push().tags == bob.pull().tags == ()


def test_a_moved_tag_is_named_and_never_overwritten(pair: tuple[Clone, Clone], bare: Path) -> None:
    """Neither push nor pull moves a tag, on either side."""
    ann, bob = pair
    ann.git("tag", "--annotate", "--message", "one", "churn#production#1", "main")
    ann.push()
    bob.pull()
    theirs = run_git(bare, "rev-parse", "churn#production#1")
    bob.git("tag", "--annotate", "--force", "--message", "other", "churn#production#1", "main")
    mine = bob.git("rev-parse", "churn#production#1")
    for report in (bob.push(), bob.pull()):
        (problem,) = report.problems
        assert "churn#production#1" in problem
    assert run_git(bare, "rev-parse", "churn#production#1") == theirs
    assert bob.git("rev-parse", "churn#production#1") == mine


def test_a_tag_on_a_withheld_run_waits(pair: tuple[Clone, Clone], bare: Path) -> None:
    """A tag would publish the run that must stay here."""
    ann, _ = pair
    entry = ann.place.ledger.find(ann.run("large", files=model()))
    good = ann.place.ledger.find(ann.run("small"))
    assert entry is not None
    assert good is not None
    ann.git("tag", "--annotate", "--message", "v1", "churn@v1.0.0", entry.commit)
    ann.git("tag", "--annotate", "--message", "v1", "other@v1.0.0", good.commit)
    report = ann.push()
    assert report.tags == ("other@v1.0.0",)
    assert [problem for problem in report.problems if "churn@v1.0.0" in problem]
    assert run_git(bare, "tag") == "other@v1.0.0"


def test_a_refused_tag_is_told(pair: tuple[Clone, Clone], bare: Path) -> None:
    """With the setting; the runs have gone before."""
    ann, _ = pair
    refuse(
        bare,
        "case $ref in refs/tags/*) true;; *) false;; esac",
        "GH013: Cannot create ref due to creations being restricted",
    )
    run_id = ann.run("first")
    ann.git("tag", "--annotate", "--message", "one", "churn#production#1", "main")
    report = ann.push()
    assert report.runs == (run_id,)
    (problem,) = report.problems
    assert "churn#production#1" in problem
    assert "names of branches and tags" in problem


# -- what is published beside the runs -------------------------------------------------------


def test_local_code_commits_are_counted(pair: tuple[Clone, Clone]) -> None:
    """Only commits of code count: not ledger commits, run commits, their changes or snapshots."""
    ann, _ = pair
    ann.run("on published code")
    assert ann.push().local_commits == 0
    for text in ("a", "b"):
        (ann.folder / "train.py").write_text(text)
        ann.git("commit", "--quiet", "--all", "--message", text)
    run_id = ann.run("on local code")
    ann.tag(run_id, team="churn")
    (ann.folder / "train.py").write_text("dirty")
    ann.run("", resume=run_id)
    assert ann.push().local_commits == 2
    ann.run("again")
    assert ann.push().local_commits == 0


def test_a_ledger_of_its_own(pair: tuple[Clone, Clone], tmp_path: Path, bare: Path) -> None:
    """`ledger.remote` may be the URL of another repository; the code's remote gets no run."""
    ann, bob = pair
    other = tmp_path / "runs.git"
    run_git(tmp_path, "init", "--quiet", "--bare", str(other))
    (ann.folder / "gitml.yaml").write_text(f"ledger: {{remote: {json.dumps(str(other))}}}\n")
    ann.git("add", ".")
    ann.git("commit", "--quiet", "--message", "A place for runs")
    ann.git("push", "--quiet", "origin", "main")
    bob.git("pull", "--quiet")
    run_id = ann.run("first")
    assert ann.push().runs == (run_id,)
    assert bob.pull().runs == (run_id,)
    assert set(records(other)) == {"first"}
    assert run_git(bare, "for-each-ref", "--format=%(refname)") == "refs/heads/main"
    second = bob.run("second")
    assert bob.push().runs == (second,)


def test_another_name_for_the_ledger(pair: tuple[Clone, Clone], bare: Path) -> None:
    """`ledger.ref` names another branch, here and at the remote."""
    ann, bob = pair
    for one in pair:
        (one.folder / "gitml.yaml").write_text("ledger: {ref: team/runs}\n")
    run_id = ann.run("first")
    ann.push()
    assert set(records(bare, "refs/heads/team/runs")) == {"first"}
    assert bob.pull().runs == (run_id,)


def test_a_users_branch_is_never_pushed_as_the_ledger(
    pair: tuple[Clone, Clone], bare: Path
) -> None:
    """Neither the local branch that the settings name nor the remote's gets a commit."""
    ann, bob = pair
    ann.run("first")
    before = run_git(bare, "rev-parse", "main")
    for one in pair:
        (one.folder / "gitml.yaml").write_text("ledger: {ref: main}\n")
        one.git("checkout", "--quiet", "--detach")
    bob.git("branch", "--quiet", "-D", "main")
    for one in pair:
        with pytest.raises(GitError, match=r"is no ledger: it holds 'train\.py'"):
            one.run("second")
        with pytest.raises(GitError, match=r"is no ledger: it holds 'train\.py'"):
            one.push()
    with pytest.raises(GitError, match=r"is no ledger: it holds 'train\.py'"):
        ann.pull()
    assert "is no ledger: it holds 'train.py'" in str(bob.pull().refused)
    assert run_git(bare, "for-each-ref", "--format=%(objectname) %(refname)").split() == [
        before, "refs/heads/main",
    ]  # fmt: skip
    assert ann.git("rev-parse", "main") == before


def test_a_remote_ledger_that_is_none_is_forgotten(pair: tuple[Clone, Clone], bare: Path) -> None:
    """It is refused in one line; what is recorded afterwards does not continue it."""
    _, bob = pair
    run_git(bare, "branch", "gitml/runs", "main")
    why = r"origin/gitml/runs is no ledger: it holds 'train\.py'"
    assert re.search(why, str(bob.pull().refused))
    with pytest.raises(GitError, match=why):
        bob.push()
    bob.run("first")
    assert set(bob.records()) == {"first"}


def no_ledger(bare: Path) -> None:
    """Somebody pushed his code to the ledger's branch."""
    run_git(bare, "update-ref", LEDGER, "main")


def rootless(bare: Path) -> None:
    """Somebody put other files on the branch, in a history of its own."""
    who = ("-c", "user.name=x", "-c", "user.email=x")
    commit = run_git(bare, *who, "commit-tree", "main^{tree}", "-m", "notes")
    run_git(bare, "update-ref", LEDGER, commit)


def damaged(bare: Path) -> None:
    """The disk of the remote has lost a file of the newest run."""
    tree = run_git(bare, "rev-parse", f"{LEDGER}^{{tree}}")
    loosened(bare)
    (bare / "objects" / tree[:2] / tree[2:]).unlink()


def loosened(bare: Path) -> None:
    """Take the objects of a bare repository out of their packs."""
    for pack in list((bare / "objects" / "pack").glob("*.pack")):
        data = pack.read_bytes()
        for path in (bare / "objects" / "pack").glob(f"{pack.stem}.*"):
            path.unlink()
        subprocess.run(("git", "unpack-objects", "-q"), cwd=bare, input=data, check=True)


@pytest.mark.parametrize("spoil", [no_ledger, rootless, damaged])
def test_a_remote_ledger_that_is_refused_stops_nothing_else(
    rich: tuple[Clone, Clone], bare: Path, spoil: Callable[[Path], None]
) -> None:
    """Tags and artifacts come, the ledger here is as it was, and a cured remote brings the rest."""
    ann, bob = rich
    first = ann.run("first", files=model())
    ann.push()
    bob.pull()
    mine = bob.run("mine")
    ann.run("second")
    ann.git("tag", "--annotate", "--message", "one", "churn#production#1", "main")
    ann.push()
    good = shutil.copytree(bare, bare.with_name("good.git"))
    spoil(bare)
    before = bob.git("rev-parse", LEDGER, "refs/remotes/origin/gitml/runs")
    report = bob.pull(artifacts=True)
    assert report.tags == ("churn#production#1",)
    assert report.objects == 1
    assert report.refused is not None
    assert [problem for problem in report.problems if str(report.refused) in problem]
    assert bob.git("rev-parse", LEDGER, "refs/remotes/origin/gitml/runs") == before
    assert set(bob.records()) == {"first", "mine"}
    with pytest.raises(GitError):
        bob.push()
    with pytest.raises(GitError):  # nobody knows what the remote's runs need
        garbage.plan(bob.place, garbage.Options(remote=True))
    shutil.rmtree(bare)
    good.rename(bare)
    assert bob.pull().refused is None
    assert set(bob.records()) == {"first", "second", "mine"}
    assert mine in bob.push().runs
    assert first in {record.run_id for record in records(bare).values()}


def test_a_repository_without_a_remote_says_what_to_do(repo: Path) -> None:
    """The error names the command."""
    with pytest.raises(UsageError, match="git remote add origin URL"):
        Clone(repo).push()


def test_an_unknown_remote_is_named(pair: tuple[Clone, Clone]) -> None:
    """The error lists the remotes that there are."""
    ann, _ = pair
    ann.git("remote", "rename", "origin", "upstream")
    with pytest.raises(UsageError, match=r"'origin'.*upstream"):
        ann.pull()


def test_nothing_of_the_user_is_touched(rich: tuple[Clone, Clone]) -> None:
    """HEAD, index, work tree, configuration and other refs are as they were."""
    ann, bob = rich
    ann.run("first", files=model())
    ann.push()
    (bob.folder / "train.py").write_text("dirty")
    before = state(bob)
    bob.pull(artifacts=True)
    bob.push()
    assert state(bob) == before


def state(one: Clone) -> list[object]:
    """What belongs to the user in a clone."""
    files = ("HEAD", "index", "config")
    refs = one.git(
        "for-each-ref", "--format=%(refname) %(objectname)", "refs/heads/main", "refs/tags"
    )
    return [(one.folder / ".git" / name).read_bytes() for name in files] + [
        refs, one.git("stash", "list"), one.git("status", "--short"),
    ]  # fmt: skip
