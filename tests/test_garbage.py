"""`gitml gc`: what is marked goes, what anything names stays, wherever it is named."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from gitml import git as git_gate
from gitml import storage
from gitml.cli.main import run
from gitml.errors import GitError, StorageError, UsageError
from gitml.tracking import (
    changes,
    doctor,
    download,
    exchange,
    finishing,
    garbage,
    reachable,
    returning,
    starting,
    store,
)
from gitml.tracking.commits import LedgerEdit
from gitml.tracking.garbage import Collected, Options, collect, plan
from gitml.tracking.mending import GUARDS
from gitml.tracking.names import following_run_id, new_run_id
from gitml.tracking.place import Place, place_of
from gitml.tracking.starting import Wish
from tests.artifacts import objects_in, store_file
from tests.cli import Caller
from tests.clones import BIG, LEDGER, Clone, records, team
from tests.conftest import run_git

DAY = 86_400
HERE, REMOTE = Options(), Options(remote=True)


@pytest.fixture
def pair(tmp_path: Path, bare: Path) -> tuple[Clone, Clone]:
    """Two clones that share a git remote and a DVC remote."""
    one, two = team(tmp_path, bare, "ann", "bob", dvc=True)
    return one, two


@pytest.fixture
def ann(pair: tuple[Clone, Clone]) -> Clone:
    """One clone."""
    return pair[0]


@pytest.fixture
def there(tmp_path: Path) -> Path:
    """The folder of the runs' DVC remote."""
    return tmp_path / "dvc" / "gitml"


def model(seed: int = 0) -> bytes:
    """A file that is too large for a run commit; the same for the same seed."""
    return bytes([seed % 256]) * BIG + str(seed).encode()


def age(folder: Path, days: float = 30) -> None:
    """Make all objects of a cache or directory remote so many days old."""
    then = time.time() - days * DAY
    for path in folder.rglob("files/md5/*/*"):
        os.utime(path, (then, then))


def gone(one: Clone, options: Options = HERE) -> Collected:
    """Collect all that there is, with a cache that is not new."""
    age(one.place.cache.root)
    return collect(one.place, plan(one.place, options))


def in_cache(one: Clone) -> set[str]:
    """The objects in a clone's cache."""
    return objects_in(one.place.cache.root)


def recorded(one: Clone, name: str, seed: int) -> tuple[str, str]:
    """Record a run with one file in DVC; the run and the object."""
    run_id = one.run(name, files={"model.bin": model(seed)})
    return run_id, one.pointer(run_id).md5


def delete(one: Clone, *run_ids: str) -> None:
    """Mark runs as deleted."""
    changes.delete(one.place, run_ids)


# -- runs ------------------------------------------------------------------------------------


def test_a_run_that_was_deleted_for_good_is_told_as_that(ann: Clone) -> None:
    """Whoever asks for it learns when that was and by whom; the commit names the runs."""
    runs = {ann.run(f"run {number}"): number for number in range(52)}
    ann.git("config", "user.name", "Bob")
    delete(ann, *runs)
    gone(ann)
    first, *_, last = runs
    for text in (first, first[-8:], last):
        with pytest.raises(UsageError, match=r"was deleted for good on 20\d\d-\d\d-\d\d by 'Bob'"):
            store.record(ann.place, store.resolve(ann.place, text))
    with pytest.raises(UsageError, match="was deleted for good"):
        changes.tag(ann.place, last, {"k": "v"})
    with pytest.raises(UsageError, match="not found; see"):
        store.record(ann.place, new_run_id())
    body = ann.git("log", "-1", "--format=%b", LEDGER).splitlines()
    assert f"  {first} default: run 0" in body or f"  {last} default: run 51" in body
    assert (len(body), body[-1]) == (51, "  and 2 more, which are in its tree below deleted/")
    assert ann.git("log", "-1", "--format=%(trailers)", LEDGER) == ""


def test_a_plan_lists_and_changes_nothing(ann: Clone) -> None:
    """Marked runs and the objects that only they name, with sizes."""
    bad, lost = recorded(ann, "bad", 1)
    recorded(ann, "good", 2)
    delete(ann, bad)
    age(ann.place.cache.root)
    before = ann.git("rev-parse", LEDGER), in_cache(ann)
    found = plan(ann.place)
    assert [(run.run_id, run.name, run.experiment) for run in found.runs] == [
        (bad, "bad", "default")
    ]
    assert [item.md5 for item in found.in_cache] == [lost]
    assert garbage.size_of(found.in_cache) == len(model(1))
    assert (ann.git("rev-parse", LEDGER), in_cache(ann)) == before


def test_a_marked_run_is_taken_out(ann: Clone) -> None:
    """Its folder and its objects go, its tombstone stays; others are as they were."""
    bad, lost = recorded(ann, "bad", 1)
    good, kept = recorded(ann, "good", 2)
    delete(ann, bad)
    done = gone(ann)
    assert done.runs == (bad,)
    assert [item.md5 for item in done.from_cache] == [lost]
    assert set(ann.records()) == {"good"}
    assert ann.git("ls-tree", "--name-only", f"{LEDGER}:deleted") == bad
    assert in_cache(ann) == {kept}
    assert [record.run_id for record in store.search(ann.place, view="all")] == [good]
    assert plan(ann.place).is_empty
    assert ann.git("fsck", "--strict", "--full") == ""


def test_without_garbage_nothing_is_written(ann: Clone) -> None:
    """No empty ledger commit is made."""
    recorded(ann, "good", 1)
    head = ann.git("rev-parse", LEDGER)
    assert gone(ann) == Collected()
    assert ann.git("rev-parse", LEDGER) == head


def test_a_run_that_was_restored_meanwhile_stays(ann: Clone) -> None:
    """Between listing and doing, the user may have thought again."""
    run_id, md5 = recorded(ann, "thought again", 1)
    delete(ann, run_id)
    age(ann.place.cache.root)
    listed = plan(ann.place)
    changes.restore(ann.place, [run_id])
    assert collect(ann.place, listed) == Collected()
    assert in_cache(ann) == {md5}


def test_only_runs_that_were_listed_are_taken_out(ann: Clone) -> None:
    """What was marked after the listing waits for the next one."""
    one, two = ann.run("one"), ann.run("two")
    delete(ann, one)
    listed = plan(ann.place)
    delete(ann, two)
    assert collect(ann.place, listed).runs == (one,)
    assert set(ann.records()) == {"two"}


def test_older_than_spares_what_was_marked_lately(ann: Clone) -> None:
    """The age counts from the mark, not from the run."""
    run_id = ann.run("one")
    delete(ann, run_id)
    assert plan(ann.place, Options(older_than=1)).runs == ()
    assert [run.run_id for run in plan(ann.place, Options(older_than=0)).runs] == [run_id]


def test_older_than_takes_what_was_marked_long_ago(
    ann: Clone, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Seen from two days later, a mark is older than a day."""
    run_id = ann.run("one")
    delete(ann, run_id)
    later = time.time() + 2 * DAY
    monkeypatch.setattr("gitml.tracking.garbage.time.time", lambda: later)
    assert [run.run_id for run in plan(ann.place, Options(older_than=1)).runs] == [run_id]


def test_runs_of_a_deleted_experiment_are_marked(ann: Clone) -> None:
    """As in MLflow, they go with their experiment; a restored experiment keeps them."""
    made = store.create_experiment(ann.place, "trial")
    session, record = starting.start(ann.place, Wish(experiment="trial", name="in trial"))
    finishing.finish(ann.place, session, record, "FINISHED")
    ann.run("other")
    store.change_experiment(ann.place, made.id, lambda it: it.set("deleted", True, "me"))
    assert [run.name for run in plan(ann.place).runs] == ["in trial"]
    store.change_experiment(ann.place, made.id, lambda it: it.set("deleted", False, "me"))
    assert plan(ann.place).runs == ()


def test_a_run_that_a_tag_stands_on_is_kept(ann: Clone) -> None:
    """The listing says which tag; the object stays too."""
    run_id, md5 = recorded(ann, "released", 1)
    entry = ann.place.ledger.find(run_id)
    assert entry is not None
    ann.git("tag", "--annotate", "--message", "v1", "churn@v1.0.0", entry.commit)
    delete(ann, run_id)
    age(ann.place.cache.root)
    found = plan(ann.place)
    assert found.is_empty
    assert found.kept == {run_id: "the tag churn@v1.0.0 stands on it"}
    assert in_cache(ann) == {md5}


def test_a_collected_run_does_not_come_back(pair: tuple[Clone, Clone], bare: Path) -> None:
    """Also when another clone changed it and pushes it afterwards."""
    ann, bob = pair
    run_id = ann.run("bad")
    ann.push()
    bob.pull()
    delete(ann, run_id)
    gone(ann)
    bob.tag(run_id, still="mine")
    bob.push()
    ann.push()
    bob.pull()
    for held in (ann.records(), bob.records(), records(bare)):
        assert held == {}


@pytest.mark.parametrize("verb", ["pull", "push"])
def test_what_was_added_to_a_collected_run_is_set_aside(
    pair: tuple[Clone, Clone], verb: str
) -> None:
    """A session that nobody else has seen is not lost with the run: it is named and kept."""
    ann, bob = pair
    run_id = ann.run("bad")
    other = ann.run("worse")
    ann.push()
    bob.pull()
    bob.run("", resume=run_id, metric=0.9, files={"model.bin": model(7)})
    entry = bob.place.ledger.find(run_id)
    assert entry is not None
    delete(ann, run_id, other)
    gone(ann)
    ann.push()
    report = bob.push() if verb == "push" else bob.pull()
    assert verb == "push" or set(report.removed) == {run_id, other}
    (problem,) = report.problems
    assert problem.startswith(f"'{run_id}' is set aside, and kept below refs/gitml/aside/")
    assert "deleted for good" in problem
    assert other not in problem
    held = bob.git("for-each-ref", "--format=%(refname)", "--contains", entry.commit)
    assert held.startswith("refs/gitml/aside/")
    assert gone(bob).from_cache == ()
    assert download.read(bob.place, entry.record, entry.commit, "model.bin") == model(7)
    assert bob.push().problems == bob.pull().problems == ()
    assert bob.records() == ann.records() == {}


def test_what_was_set_aside_comes_back_under_a_new_id(
    pair: tuple[Clone, Clone], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """With all that was added, its children and its artifacts; the doctor says how."""
    ann, bob = pair
    run_id = ann.run("bad", files={"notes.txt": b"early"})
    ann.push()
    bob.pull()
    bob.run("", resume=run_id, metric=0.9, files={"model.bin": model(7)})
    delete(ann, run_id)
    gone(ann)
    ann.push()
    bob.pull()
    found = {item.what: item.fix for item in doctor.examine(bob.place) if "aside" in item.what}
    ((what, fix),) = found.items()
    assert run_id in what
    assert "it was deleted for good elsewhere" in what
    assert fix == "gitml recover --aside"
    monkeypatch.chdir(bob.folder)
    call = Caller(capsys)
    assert call("recover", "--aside").out.endswith("  bad  brought back\n")
    (record,) = bob.records().values()
    assert record.run_id != run_id
    assert record.run_id[:12] == run_id[:12]
    assert record.live_tags["gitml.former_run_id"] == run_id
    assert len(record.sessions) == 2
    assert store.artifact(bob.place, record.run_id, "model.bin") == model(7)
    assert store.artifact(bob.place, record.run_id, "notes.txt") == b"early"
    assert "nothing to recover" in call("recover", "--aside").err
    assert not [item for item in doctor.examine(bob.place) if "aside" in item.what]
    assert bob.git("for-each-ref", "refs/gitml/aside") == ""
    assert bob.push().runs == (record.run_id,)
    ann.pull()
    assert ann.records() == bob.records()
    assert bob.git("fsck", "--strict", "--full") == ""


def test_to_bring_back_is_the_same_twice(pair: tuple[Clone, Clone]) -> None:
    """A process that was killed before the ref went makes no second copy; a child keeps its parent.

    Where a copy was deleted for good itself, that stays so: the next has another id.
    """
    ann, bob = pair
    runs = [ann.run("parent"), ann.run("child")]
    parent, child = runs
    changes.change(
        ann.place,
        [changes.entry_of(ann.place, child)],
        lambda record: replace(record, parent_run=parent),
        "child",
    )
    ann.push()
    bob.pull()
    for run_id in runs:
        bob.tag(run_id, mine="1")
    delete(ann, *runs)
    gone(ann)
    ann.push()
    bob.pull()
    tomb = {f"deleted/{following_run_id(child)}": b""}  # it had come back, and went again
    bob.place.ledger.append([LedgerEdit("gitml: 1 deleted run", 0, tomb)])
    (held,) = returning.look(bob.place)
    assert set(held.buried) == set(runs)
    first = {record.name: record for record in returning.bring_back(bob.place)}
    assert first["child"].parent_run == first["parent"].run_id
    bob.git("update-ref", held.ref, held.head)
    assert returning.bring_back(bob.place) == []
    assert {it.run_id for it in bob.records().values()} == {it.run_id for it in first.values()}
    assert first["parent"].run_id == following_run_id(parent)
    assert first["child"].run_id == following_run_id(following_run_id(child))


@pytest.mark.parametrize("how", ["restored", "tagged"])
def test_a_run_that_another_clone_needs_again_stays(pair: tuple[Clone, Clone], how: str) -> None:
    """Restored or tagged there and pushed since: the remote is asked before a run goes for ever."""
    ann, bob = pair
    run_id, md5 = recorded(ann, "one", 1)
    delete(ann, run_id)
    ann.push()
    bob.pull()
    if how == "restored":
        changes.restore(bob.place, [run_id])
    else:
        entry = bob.place.ledger.find(run_id)
        assert entry is not None
        bob.git("tag", "--annotate", "--message", "v1", "churn@v1.0.0", entry.commit)
    bob.push()
    assert gone(ann) == Collected()
    ann.push()
    bob.pull()
    assert run_id in {record.run_id for record in bob.records().values()}
    assert in_cache(ann) == {md5}


def test_offline_only_runs_go_that_nobody_else_has(pair: tuple[Clone, Clone], bare: Path) -> None:
    """The listing says why others stay; with the remote back, they go."""
    ann, _ = pair
    published = ann.run("published")
    ann.push()
    mine = ann.run("mine")
    delete(ann, published, mine)
    away = bare.rename(bare.with_name("away.git"))
    found = plan(ann.place)
    assert [run.run_id for run in found.runs] == [mine]
    assert "can't be asked" in found.kept[published]
    assert gone(ann).runs == (mine,)
    assert set(ann.records()) == {"published"}
    away.rename(bare)
    assert gone(ann).runs == (published,)


def test_a_removal_is_told_on_both_sides(pair: tuple[Clone, Clone]) -> None:
    """By the push that publishes it, and by the pull that takes the runs out of a list."""
    ann, bob = pair
    bad, _ = recorded(ann, "bad", 1)
    ann.push()
    bob.pull()
    delete(ann, bad)
    gone(ann)
    assert ann.push() == exchange.Report(removed=(bad,), moved=True)
    bob.run("own")
    assert bob.pull().removed == (bad,)
    assert bob.push().removed == bob.pull().removed == ann.pull().removed == ()


def test_the_last_word_of_two_ledgers_counts(pair: tuple[Clone, Clone]) -> None:
    """A run that was restored elsewhere, as the fetched ledger says, is not marked."""
    ann, bob = pair
    run_id = ann.run("one")
    delete(ann, run_id)
    ann.push()
    bob.pull()
    changes.restore(bob.place, [run_id])
    bob.push()
    assert ann.records()["one"].deleted
    ann.git("fetch", "--quiet")
    assert plan(ann.place).runs == ()


# -- objects in the cache --------------------------------------------------------------------


def test_an_object_that_another_run_names_stays(ann: Clone) -> None:
    """Two runs logged the same bytes."""
    bad, md5 = recorded(ann, "bad", 1)
    recorded(ann, "good", 1)
    delete(ann, bad)
    assert gone(ann).from_cache == ()
    assert in_cache(ann) == {md5}


def test_files_of_a_folder_count_as_named(ann: Clone) -> None:
    """The manifest stands for its files; those of a collected folder go, shared ones stay."""
    one = ann.run("one", files={"m/a.bin": model(1), "m/shared.bin": model(2)})
    ann.run("two", files={"m/b.bin": model(3), "m/shared.bin": model(2)})
    before = in_cache(ann)
    delete(ann, one)
    removed = {item.md5 for item in gone(ann).from_cache}
    assert len(removed) == 2
    assert ann.pointer(ann.records()["two"].run_id).md5 not in removed
    assert len(before - removed) == 3


def test_what_a_later_session_replaced_goes(ann: Clone) -> None:
    """No run names it any more; but a tag on the earlier run commit keeps it."""
    run_id, first = recorded(ann, "one", 1)
    entry = ann.place.ledger.find(run_id)
    assert entry is not None
    ann.git("tag", "--annotate", "--message", "v1", "churn@v1.0.0", entry.commit)
    ann.run("", resume=run_id, files={"model.bin": model(2)})
    assert gone(ann).from_cache == ()
    ann.git("tag", "--delete", "churn@v1.0.0")
    assert [item.md5 for item in gone(ann).from_cache] == [first]


def pointing_to(md5: str) -> str:
    """A pointer file as DVC writes it."""
    return f"outs:\n- md5: {md5}\n  size: 1\n  hash: md5\n  path: model.bin\n"


@pytest.mark.parametrize("where", ["branch", "history", "index", "disk", "stash", "lock", "merge"])
def test_a_tracked_pointer_keeps_its_object(ann: Clone, where: str) -> None:
    """In any commit of any branch, in the index, on disk, in a stash, in dvc.lock."""
    bad, md5 = recorded(ann, "bad", 1)
    name = "dvc.lock" if where == "lock" else "model.bin.dvc"
    path = ann.folder / "sub" / name
    path.parent.mkdir()
    path.write_text("outs: []\n" if where in ("disk", "stash") else pointing_to(md5))
    ann.git("add", "sub")
    if where in ("disk", "stash"):
        ann.git("commit", "--quiet", "--message", "pointer")
        path.write_text(pointing_to(md5))
    if where == "stash":
        ann.git("stash", "--quiet")
    if where in ("branch", "history", "lock", "merge"):
        ann.git("checkout", "--quiet", "-b", "side")
        ann.git("commit", "--quiet", "--message", "pointer")
        ann.git("checkout", "--quiet", "main")
    if where == "history":
        ann.git("merge", "--quiet", "side")
        ann.git("branch", "--delete", "--force", "side")
        ann.git("rm", "--quiet", "-r", "sub")
        ann.git("commit", "--quiet", "--message", "gone")
    if where == "merge":
        ann.git("merge", "--quiet", "--strategy", "ours", "--no-edit", "side")
        ann.git("branch", "--delete", "--force", "side")
    delete(ann, bad)
    assert gone(ann).runs == (bad,)
    assert in_cache(ann) == {md5}


def test_a_version_in_a_registry_file_keeps_its_objects(ann: Clone) -> None:
    """Where tags are made later, the file on a branch names the run commit first."""
    run_id, first = recorded(ann, "one", 1)
    entry = ann.place.ledger.find(run_id)
    assert entry is not None
    (ann.folder / "registry").mkdir()
    line = (
        f"schema: 1\nversions:\n  v1.0.0: {{run: {run_id}, commit: {entry.commit}, path: model}}\n"
    )
    (ann.folder / "registry" / "churn.yaml").write_text(line)
    ann.git("add", "registry")
    ann.git("commit", "--quiet", "--message", "register")
    ann.run("", resume=run_id, files={"model.bin": model(2)})
    assert gone(ann).from_cache == ()
    assert first in in_cache(ann)


def test_a_run_of_another_ledger_keeps_its_objects(ann: Clone) -> None:
    """A project in a folder may record on a ledger of its own; the cache is one."""
    folder = ann.folder / "team"
    folder.mkdir()
    (folder / "gitml.yaml").write_text("ledger: {ref: team/runs}\n")
    team_clone = TeamClone(ann.folder)
    run_id = team_clone.run("theirs", files={"model.bin": model(1)})
    assert set(records(ann.folder, "refs/heads/team/runs")) == {"theirs"}
    assert run_id
    before = in_cache(ann)
    assert gone(ann).from_cache == ()
    assert in_cache(ann) == before


class TeamClone(Clone):
    """A clone whose user works in the folder `team`."""

    @property
    def place(self) -> Place:
        """The clone as gitml sees it from that folder."""
        return place_of(git_gate.find(self.folder), self.folder / "team")


def test_a_run_that_was_only_fetched_keeps_its_objects(
    pair: tuple[Clone, Clone], there: Path
) -> None:
    """A remote-tracking ledger counts as the local one does."""
    ann, bob = pair
    run_id, md5 = recorded(ann, "one", 1)
    ann.push()
    bob.run("mine")
    bob.git("fetch", "--quiet")
    entry = bob.place.ledger.find(run_id)
    assert entry is not None
    download.read(bob.place, entry.record, entry.commit, "model.bin")
    assert gone(bob).from_cache == ()
    assert in_cache(bob) == {md5}


def test_objects_of_live_runs_stay(ann: Clone) -> None:
    """A run logs bytes that the cache has from a collected run: they are still there at its end."""
    bad, md5 = recorded(ann, "bad", 1)
    delete(ann, bad)
    place = ann.place
    session, record = starting.start(place, Wish(name="live"))
    source = ann.folder / ".git" / "staged"
    source.write_bytes(model(1))
    session.artifacts([(source, "again.bin")])
    age(place.cache.root)
    assert plan(place).in_cache == ()
    assert gone(ann).from_cache == ()
    finishing.finish(place, session, record, "FINISHED")
    assert in_cache(ann) == {md5}
    entry = place.ledger.find(record.run_id)
    assert entry is not None
    assert download.read(place, entry.record, entry.commit, "again.bin") == model(1)


@pytest.mark.parametrize("torn", ["a line", "all", "set aside"])
def test_objects_that_only_a_damaged_journal_names_stay(ann: Clone, torn: str) -> None:
    """The journal could still be mended: whatever it names may be needed then."""
    _, md5 = recorded(ann, "bad", 1)
    delete(ann, *(record.run_id for record in ann.records().values()))
    run = ann.place.live_run(new_run_id())
    journal = run.folder / "host-1-abcd1234.jsonl"
    if torn == "set aside":
        journal = ann.place.home / "damaged" / f"{run.run_id}-{journal.name}"
    journal.parent.mkdir(parents=True)
    whole = json.dumps({"path": "model.bin", "md5": md5})
    journal.write_text(f"{whole}\n" if torn == "a line" else whole)
    assert gone(ann).from_cache == ()
    assert in_cache(ann) == {md5}
    journal.unlink()
    assert [item.md5 for item in gone(ann).from_cache] == [md5]


@pytest.mark.parametrize(
    "ref",
    [
        "refs/gitml/aside/HEAD-OF-IT",
        "refs/gitml/live/HEAD-OF-IT",
        "refs/remotes/backup/gitml/runs",
        "refs/remotes/origin/team/runs",
        "refs/heads/old-runs",
        "refs/stash",
    ],
)
@pytest.mark.parametrize("taken_out", [False, True])
def test_what_any_ref_names_stays(ann: Clone, there: Path, ref: str, taken_out: bool) -> None:
    """A ledger that was set aside, of another remote or under another name, whole or a commit.

    Also when the run is not in the ledger of now, or was taken out of it for good.
    """
    ann.run("first")
    ann.push()
    before = ann.git("rev-parse", LEDGER)
    run_id, md5 = recorded(ann, "one", 1)
    head = ann.git("rev-parse", LEDGER)
    ref = ref.replace("HEAD-OF-IT", head)
    ann.git("update-ref", ref, head)
    if taken_out:
        ann.push()
        delete(ann, run_id)
    else:
        storage.push(ann.place.cache, remote_of(ann), [ann.pointer(run_id)])
        ann.git("update-ref", LEDGER, before)
    age(there)
    done = gone(ann, REMOTE)
    assert done.runs == ((run_id,) if taken_out else ())
    assert (done.from_cache, done.from_remote) == ((), ())
    assert in_cache(ann) == objects_in(there) == {md5}
    for name in (ref, *ann.git("for-each-ref", "--format=%(refname)", GUARDS).split()):
        ann.git("update-ref", "-d", name)
    assert [item.md5 for item in gone(ann, REMOTE).from_cache] == [md5]


def remote_of(one: Clone) -> storage.Remote:
    """The DVC remote of a clone's runs."""
    remote = one.place.remote()
    assert remote is not None
    return remote


def test_a_run_recorded_after_the_listing_keeps_its_objects(ann: Clone) -> None:
    """Doing looks again: the listing was made before somebody logged the same bytes."""
    bad, md5 = recorded(ann, "bad", 1)
    delete(ann, bad)
    age(ann.place.cache.root)
    listed = plan(ann.place)
    assert [item.md5 for item in listed.in_cache] == [md5]
    recorded(ann, "good", 1)
    assert collect(ann.place, listed).from_cache == ()
    assert in_cache(ann) == {md5}


def test_a_run_recorded_during_the_last_look_keeps_its_objects(
    ann: Clone, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the long look and the deletion only what is new is looked at, and it is."""
    bad, md5 = recorded(ann, "bad", 1)
    delete(ann, bad)
    age(ann.place.cache.root)
    listed = plan(ann.place)
    look = reachable.everything

    def slow(place, without):  # type: ignore[no-untyped-def]
        found = look(place, without)
        recorded(ann, "good", 1)
        return found

    monkeypatch.setattr(reachable, "everything", slow)
    assert collect(ann.place, listed).from_cache == ()
    assert in_cache(ann) == {md5}


def test_new_objects_in_the_cache_stay(ann: Clone, tmp_path: Path) -> None:
    """What a moment ago came in may be on its way into a run."""
    store_file(ann.place.cache, tmp_path, b"on its way")
    assert plan(ann.place).in_cache == ()
    assert len(gone(ann).from_cache) == 1


# -- objects in the remote -------------------------------------------------------------------


def test_objects_in_the_remote_go_when_asked(
    pair: tuple[Clone, Clone], there: Path, bare: Path
) -> None:
    """After the remote's ledger has lost the run; other clones then lose it with the next pull."""
    ann, bob = pair
    bad, lost = recorded(ann, "bad", 1)
    _, kept = recorded(ann, "good", 2)
    ann.push()
    bob.pull(artifacts=True)
    delete(ann, bad)
    age(there)
    assert gone(ann).from_remote == ()
    assert objects_in(there) == {lost, kept}
    done = gone(ann, REMOTE)
    assert [item.md5 for item in done.from_remote] == [lost]
    assert objects_in(there) == {kept}
    assert set(records(bare)) == {"good"}
    bob.pull()
    assert set(bob.records()) == {"good"}
    assert ann.git("for-each-ref", "refs/gitml/gc") == ""


def test_all_in_one_go(ann: Clone, there: Path, bare: Path) -> None:
    """One call marks nothing twice: run, tombstone, remote and cache."""
    bad, lost = recorded(ann, "bad", 1)
    ann.push()
    delete(ann, bad)
    age(there)
    done = gone(ann, REMOTE)
    assert (done.runs, done.problems) == ((bad,), ())
    assert (
        [item.md5 for item in done.from_remote] == [item.md5 for item in done.from_cache] == [lost]
    )
    assert objects_in(there) == in_cache(ann) == set()
    assert run_git(bare, "ls-tree", "--name-only", f"{LEDGER}:deleted") == bad
    age(ann.place.cache.root)
    assert plan(ann.place, REMOTE).is_empty


@pytest.mark.parametrize(
    ("days", "keep", "stays"), [(13, 14, True), (15, 14, False), (15, 30, True)]
)
def test_young_objects_in_the_remote_stay(
    ann: Clone, there: Path, days: float, keep: float, stays: bool
) -> None:
    """Another clone may have uploaded them for runs that it has not pushed yet."""
    bad, md5 = recorded(ann, "bad", 1)
    ann.push()
    delete(ann, bad)
    age(there, days)
    gone(ann, Options(remote=True, keep=keep))
    assert (md5 in objects_in(there)) == stays


def test_objects_that_were_never_ours_stay(ann: Clone, there: Path, tmp_path: Path) -> None:
    """Two projects may share a DVC remote; each collects only what it knows."""
    recorded(ann, "good", 1)
    ann.push()
    theirs = store_file(storage.Cache(there), tmp_path, b"another project's")
    age(there)
    assert gone(ann, REMOTE) == Collected()
    assert theirs.md5 in objects_in(there)


def test_what_was_replaced_goes_from_the_remote_too(ann: Clone, there: Path) -> None:
    """Also when the cache has been emptied since."""
    run_id, first = recorded(ann, "one", 1)
    ann.push()
    ann.run("", resume=run_id, files={"model.bin": model(2)})
    ann.push()
    age(there)
    for md5 in in_cache(ann):
        ann.place.cache.remove(md5)
    assert [item.md5 for item in gone(ann, REMOTE).from_remote] == [first]


def test_folders_in_the_remote_are_looked_into(
    pair: tuple[Clone, Clone], there: Path, tmp_path: Path
) -> None:
    """Files that a folder of a living run needs stay, even where no cache has its manifest."""
    ann, bob = pair
    bad = ann.run("bad", files={"m/a.bin": model(1), "m/shared.bin": model(2)})
    good = ann.run("good", files={"m/b.bin": model(3), "m/shared.bin": model(2)})
    ann.push()
    bob.pull()
    delete(bob, bad)
    age(there)
    assert in_cache(bob) == set()
    assert len(gone(bob, REMOTE).from_remote) == 2
    entry = bob.place.ledger.find(good)
    assert entry is not None
    download.download(bob.place, entry.record, entry.commit, None, tmp_path / "out")
    assert (tmp_path / "out" / "m" / "shared.bin").read_bytes() == model(2)


def test_runs_of_other_clones_count(pair: tuple[Clone, Clone], there: Path) -> None:
    """What is on the remote is fetched first: bob's run, unknown to ann, names the object."""
    ann, bob = pair
    bad, md5 = recorded(ann, "bad", 1)
    ann.push()
    recorded(bob, "good", 1)
    bob.push()
    delete(ann, bad)
    age(there)
    done = gone(ann, REMOTE)
    assert (done.runs, done.from_remote) == ((bad,), ())
    assert objects_in(there) == {md5}


@pytest.mark.parametrize("kind", ["tag", "branch"])
def test_what_only_the_remote_has_counts(
    ann: Clone, there: Path, tmp_path: Path, bare: Path, kind: str
) -> None:
    """A tag or branch at the remote that was never fetched keeps what it names."""
    run_id, first = recorded(ann, "one", 1)
    entry = ann.place.ledger.find(run_id)
    assert entry is not None
    ann.push()
    ref = "refs/tags/keep-this" if kind == "tag" else "refs/heads/feature"
    run_git(bare, "update-ref", ref, entry.commit)
    ann.run("", resume=run_id, files={"model.bin": model(2)})
    ann.push()
    age(there)
    assert gone(ann, REMOTE).from_remote == ()
    run_git(bare, "update-ref", "-d", ref)
    ann.git("fetch", "--quiet", "--prune")
    assert [item.md5 for item in gone(ann, REMOTE).from_remote] == [first]


def test_a_git_remote_that_can_not_be_read_stops_it(ann: Clone, there: Path, bare: Path) -> None:
    """Any of them: nobody knows what it names. The local part can be had without."""
    bad, md5 = recorded(ann, "bad", 1)
    ann.push()
    delete(ann, bad)
    age(there)
    ann.git("remote", "add", "backup", str(bare.with_name("nowhere.git")))
    with pytest.raises(GitError, match=r"'backup'.*git remote remove backup"):
        plan(ann.place, REMOTE)
    assert gone(ann).runs == (bad,)
    assert objects_in(there) == {md5}
    assert ann.git("for-each-ref", "refs/gitml/gc") == ""


def test_a_ledger_that_can_not_be_pushed_stops_it(
    ann: Clone, there: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As long as the remote lists the run, it keeps its objects."""
    bad, md5 = recorded(ann, "bad", 1)
    ann.push()
    delete(ann, bad)
    age(there)
    listed = plan(ann.place, REMOTE)
    assert [item.md5 for item in listed.in_remote] == [md5]

    def refused(*args: object, **more: object) -> None:
        raise GitError("the remote refuses the ledger")

    monkeypatch.setattr(exchange, "push", refused)
    with pytest.raises(GitError):
        collect(ann.place, listed)
    assert objects_in(there) == {md5}


def test_a_ledger_that_stayed_behind_keeps_the_objects(
    ann: Clone, there: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not the word of the push counts but what the remote lists afterwards."""
    bad, md5 = recorded(ann, "bad", 1)
    ann.push()
    delete(ann, bad)
    age(there)
    listed = plan(ann.place, REMOTE)
    monkeypatch.setattr(exchange, "push", lambda *args, **more: exchange.Report())
    assert collect(ann.place, listed).from_remote == ()
    assert objects_in(there) == {md5}


def test_a_run_that_is_pushed_meanwhile_gets_its_object_back(
    pair: tuple[Clone, Clone], there: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The other clone saw the object in the remote the moment before it was deleted."""
    ann, bob = pair
    bad, md5 = recorded(ann, "bad", 1)
    ann.push()
    good, _ = recorded(bob, "good", 1)
    delete(ann, bad)
    age(there)
    age(ann.place.cache.root)
    listed = plan(ann.place, REMOTE)
    remove = storage.delete

    def racing(remote: storage.Remote, md5s: Mapping[str, object]) -> None:
        bob.push()
        remove(remote, md5s)

    monkeypatch.setattr(storage, "delete", racing)
    done = collect(ann.place, listed)
    assert (done.from_remote, done.problems) == ((), ())
    assert objects_in(there) == {md5}
    assert good in {record.run_id for record in bob.records().values()}


def test_an_object_that_goes_before_the_run_that_needs_it_is_there_comes_back(
    pair: tuple[Clone, Clone], there: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A push finds it in the remote, and publishes the run only after the collector has been."""
    ann, bob = pair
    bad, md5 = recorded(ann, "bad", 1)
    ann.push()
    delete(ann, bad)
    assert gone(ann).runs == (bad,)
    ann.push()
    bob.pull()
    recorded(bob, "good", 1)
    age(there)
    collected: list[Collected] = []

    def meanwhile(point: str) -> None:
        if point == "push.refs" and not collected:
            collected.append(gone(ann, REMOTE))

    monkeypatch.setattr("gitml.faults.hit", meanwhile)
    report = bob.push()
    assert [item.md5 for item in collected[0].from_remote] == [md5]
    assert (report.objects, report.problems) == (1, ())
    assert objects_in(there) == {md5}


def test_a_shallow_clone_sees_too_little(ann: Clone, tmp_path: Path, bare: Path) -> None:
    """The error names the command that fetches the rest."""
    ann.run("one")
    ann.push()
    run_git(tmp_path, "clone", "--quiet", "--depth=1", f"file://{bare}", "shallow")
    with pytest.raises(UsageError, match="git fetch --unshallow"):
        plan(Clone(tmp_path / "shallow").place, REMOTE)


def test_without_a_dvc_remote_there_is_nothing_to_collect_there(tmp_path: Path, bare: Path) -> None:
    """The error says how to give the project one."""
    (one,) = team(tmp_path, bare, "one")
    with pytest.raises(UsageError, match="gitml init --remote"):
        plan(one.place, REMOTE)


def test_a_repository_without_a_git_remote(ann: Clone, there: Path) -> None:
    """Then what is here is all there is."""
    bad, _ = recorded(ann, "bad", 1)
    ann.push()
    delete(ann, bad)
    ann.git("remote", "remove", "origin")
    age(there)
    gone(ann, REMOTE)
    assert objects_in(there) == set()


def test_data_of_the_project_is_no_business_of_gc(ann: Clone, tmp_path: Path, bare: Path) -> None:
    """A pointer of the user's, whose objects are in his own remote only, is no obstacle."""
    (ann.folder / "data.dvc").write_text(
        f"outs:\n- md5: {'ab' * 16}.dir\n  size: 1\n  nfiles: 1\n  hash: md5\n  path: data\n"
    )
    ann.git("add", "data.dvc")
    ann.git("commit", "--quiet", "--message", "data")
    bad, md5 = recorded(ann, "bad", 1)
    ann.push()
    delete(ann, bad)
    age(tmp_path / "dvc" / "gitml")
    assert [item.md5 for item in gone(ann, REMOTE).from_remote] == [md5]


def test_a_dvc_remote_that_fails_is_an_error(ann: Clone, there: Path) -> None:
    """Nothing is deleted anywhere but the runs that were taken out."""
    bad, md5 = recorded(ann, "bad", 1)
    ann.push()
    delete(ann, bad)
    age(there)
    age(ann.place.cache.root)
    listed = plan(ann.place, REMOTE)
    there.parent.rename(there.parent.with_name("away"))
    there.parent.write_text("in the way")
    with pytest.raises(StorageError):
        collect(ann.place, listed)
    assert in_cache(ann) == {md5}


def test_nothing_of_the_user_is_touched(ann: Clone, there: Path, bare: Path) -> None:
    """HEAD, index, work tree, configuration, branches, tags and stash are as they were."""
    run_git(bare, "branch", "feature", "main")
    ann.git("fetch", "--quiet")
    bad, _ = recorded(ann, "bad", 1)
    ann.push()
    delete(ann, bad)
    age(there)
    (ann.folder / "train.py").write_text("dirty")
    before = state(ann)
    assert gone(ann, REMOTE).runs == (bad,)
    assert state(ann) == before


def state(one: Clone) -> list[object]:
    """What belongs to the user in a clone."""
    files = ("HEAD", "index", "config")
    refs = one.git(
        "for-each-ref", "--format=%(refname)", "refs/heads/main", "refs/tags", "refs/remotes"
    )
    return [(one.folder / ".git" / name).read_bytes() for name in files] + [
        refs, one.git("stash", "list"), one.git("status", "--short"),
    ]  # fmt: skip


# -- the command -----------------------------------------------------------------------------


def test_the_command_lists_first(
    ann: Clone, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without --yes nothing changes; with it, the same goes."""
    monkeypatch.chdir(ann.folder)
    bad, lost = recorded(ann, "bad", 1)
    delete(ann, bad)
    age(ann.place.cache.root)
    assert run(["gc"]) == 0
    said = capsys.readouterr()
    assert bad[-8:] in said.out
    assert "1 object, 200 kB" in said.out
    assert "--yes" in said.err
    assert in_cache(ann) == {lost}
    assert run(["gc", "--yes"]) == 0
    assert "took out 1 run; freed 1 object, 200 kB in the cache" in capsys.readouterr().out
    assert in_cache(ann) == set()
    assert run(["gc", "--yes"]) == 0
    assert "nothing to collect" in capsys.readouterr().err


def test_the_command_with_a_remote(
    ann: Clone, there: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The remote is named, and how long objects are kept is an option."""
    monkeypatch.chdir(ann.folder)
    bad, _ = recorded(ann, "bad", 1)
    ann.push()
    delete(ann, bad)
    age(there, 5)
    assert run(["gc", "--remote"]) == 0
    assert str(there) not in capsys.readouterr().out
    assert run(["gc", "--remote", "--keep", "3", "--yes"]) == 0
    out = capsys.readouterr().out
    assert str(there) in out
    assert "in the remote" in out
    assert objects_in(there) == set()
