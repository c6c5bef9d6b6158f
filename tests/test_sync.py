"""Uniting ledgers: what two sides hold becomes one, in any order, and nothing is lost."""

from __future__ import annotations

import itertools
import random
import secrets
import tempfile
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gitml import documents
from gitml import git as git_gate
from gitml.tracking import changes, store, sync
from gitml.tracking.commits import LedgerEdit, RunChange
from gitml.tracking.experiment import ExperimentRecord
from gitml.tracking.experiment import to_document as experiment_document
from gitml.tracking.ledger import Entry, Ledger
from gitml.tracking.names import run_path
from gitml.tracking.record import RunRecord, to_document
from tests import ledgers
from tests.clones import LEDGER, Clone, clone, team
from tests.conftest import run_git

THEIRS = "refs/remotes/other/gitml/runs"


@pytest.fixture
def pair(tmp_path: Path, bare: Path) -> tuple[Clone, Clone]:
    """Two clones that have nothing but code in common."""
    one, two = team(tmp_path, bare, "ann", "bob")
    return one, two


def look(here: Clone, there: Clone) -> str:
    """Bring the objects of another clone's ledger over; its head."""
    here.git("fetch", "--quiet", str(there.folder), f"+{LEDGER}:{THEIRS}")
    return here.git("rev-parse", THEIRS)


def unite(here: Clone, there: Clone) -> sync.United:
    """Unite the ledger of one clone with that of another."""
    united = sync.unite(here.place.ledger, look(here, there))
    run_git(here.folder, "update-ref", "-d", THEIRS)
    return united


def tree(one: Clone) -> str:
    """The id of the ledger's tree."""
    return one.git("rev-parse", f"{LEDGER}^{{tree}}")


def run_commit(one: Clone, run_id: str) -> str:
    """The newest run commit of a run."""
    entry = one.place.ledger.find(run_id)
    assert entry is not None
    return entry.commit


def bury(one: Clone, run_id: str) -> None:
    """Take a run out for ever, as `gitml gc` does."""
    record = next(r for r in one.records().values() if r.run_id == run_id)
    folder = run_path(record.experiment_id, run_id)
    edit = LedgerEdit("gitml: 1 deleted run", 0, {f"deleted/{run_id}": b""}, (folder,))
    one.place.ledger.append([edit])


def test_ledgers_that_began_apart_hold_all_runs_afterwards(pair: tuple[Clone, Clone]) -> None:
    """Run commits keep their ids; the ledger stays one line on top of the other side's."""
    ann, bob = pair
    first, second = ann.run("first"), bob.run("second")
    theirs = look(ann, bob)
    commits = {run_commit(ann, first), run_commit(bob, second)}
    united = unite(ann, bob)
    assert set(ann.records()) == {"first", "second"}
    assert {run_commit(ann, first), run_commit(ann, second)} == commits
    assert ann.git("merge-base", theirs, LEDGER) == theirs
    assert united.head == ann.git("rev-parse", LEDGER)
    assert ann.git("fsck", "--strict", "--full") == ""


def test_both_sides_come_to_the_same_tree(pair: tuple[Clone, Clone]) -> None:
    """Whoever unites first: afterwards both ledgers hold the same files."""
    ann, bob = pair
    shared = ann.run("shared", params={"depth": 3})
    unite(bob, ann)
    ann.tag(shared, team="churn", owner="ann")
    bob.tag(shared, owner="bob")
    changes.rename(bob.place, shared, "better")
    ann.run("of ann")
    bob.run("of bob")
    theirs = look(bob, ann)
    unite(ann, bob)
    sync.unite(bob.place.ledger, theirs)
    assert tree(ann) == tree(bob)
    assert set(ann.records()) == {"better", "of ann", "of bob"}


def test_uniting_again_changes_nothing(pair: tuple[Clone, Clone]) -> None:
    """A second time the head stays where it is."""
    ann, bob = pair
    ann.run("first")
    bob.run("second")
    unite(ann, bob)
    head = ann.git("rev-parse", LEDGER)
    assert unite(ann, bob).changes == ()
    assert ann.git("rev-parse", LEDGER) == head
    unite(bob, ann)
    assert bob.git("rev-parse", LEDGER) == head


def test_a_run_that_changed_on_both_sides_is_merged(pair: tuple[Clone, Clone]) -> None:
    """The new commit has both as parents and keeps the code; of one tag the higher stamp wins."""
    ann, bob = pair
    shared = ann.run("shared")
    unite(bob, ann)
    ann.tag(shared, owner="ann")
    ann.tag(shared, owner="ann again")
    bob.tag(shared, owner="bob", team="churn")
    sides = {run_commit(ann, shared), run_commit(bob, shared)}
    united = unite(ann, bob)
    assert united.merged == (shared,)
    record = ann.records()["shared"]
    assert record.tags == {"owner": "ann again", "team": "churn"}
    merged = run_commit(ann, shared)
    assert set(ann.git("log", "-1", "--format=%P", merged).split()) == sides
    assert ann.git("show", f"{merged}:train.py") == "print('training')"


def test_sessions_on_both_sides_are_united(pair: tuple[Clone, Clone]) -> None:
    """A run that was resumed on two machines has both histories, and summaries over both."""
    ann, bob = pair
    shared = ann.run("shared", metric=0.5)
    unite(bob, ann)
    ann.run("", resume=shared, metric=0.9)
    bob.run("", resume=shared, metric=0.1)
    unite(ann, bob)
    record = ann.records()["shared"]
    assert len(record.sessions) == 3
    assert record.metrics["auc"].count == 3
    assert (record.metrics["auc"].min, record.metrics["auc"].max) == (0.1, 0.9)
    points = store.history(ann.place, shared, "auc")
    assert sorted(value for *_, value in points) == [0.1, 0.5, 0.9]


def test_two_values_of_one_param_are_both_kept(pair: tuple[Clone, Clone]) -> None:
    """A param that two sessions logged differently is reported as a conflict."""
    ann, bob = pair
    shared = ann.run("shared")
    unite(bob, ann)
    ann.run("", resume=shared, params={"depth": 3})
    bob.run("", resume=shared, params={"depth": 4})
    unite(ann, bob)
    assert ann.records()["shared"].param_conflicts == {"depth": (3, 4)}


@pytest.mark.parametrize("here", [0, 1])
def test_a_tombstone_holds_for_ever(pair: tuple[Clone, Clone], here: int) -> None:
    """A run that one side took out does not come back, even if the other side changed it."""
    ann, bob = pair
    shared = ann.run("shared")
    kept = ann.run("kept")
    unite(bob, ann)
    bury(ann, shared)
    bob.tag(shared, owner="bob")
    bob.run("of bob")
    one, other = (ann, bob) if here == 0 else (bob, ann)
    unite(one, other)
    unite(other, one)
    for side in pair:
        assert set(side.records()) == {"kept", "of bob"}
        assert side.git("ls-tree", "--name-only", f"{LEDGER}:deleted") == shared
    assert kept in {record.run_id for record in ann.records().values()}


def test_experiments_are_united(pair: tuple[Clone, Clone]) -> None:
    """What two sides say of one experiment is merged field by field."""
    ann, bob = pair
    made = store.create_experiment(ann.place, "churn")
    unite(bob, ann)
    store.change_experiment(ann.place, made.id, lambda it: it.set("tags.team", "a", "ann"))
    store.change_experiment(bob.place, made.id, lambda it: it.set("description", "who", "bob"))
    unite(ann, bob)
    unite(bob, ann)
    for side in pair:
        found = store.find_experiment(side.place, name="churn")
        assert found is not None
        assert (found.description, dict(found.tags)) == ("who", {"team": "a"})


def test_a_ledger_merged_by_hand_is_healed(pair: tuple[Clone, Clone]) -> None:
    """A merge that somebody made is read as what it holds, and becomes a line again."""
    ann, bob = pair
    ann.run("zero")
    unite(bob, ann)
    base = ann.git("rev-parse", LEDGER)
    ann.run("first")
    bob.run("second")
    look(ann, bob)
    ann.git("checkout", "--quiet", "gitml/runs")
    ann.git("merge", "--quiet", "--no-edit", THEIRS)
    ann.git("checkout", "--quiet", "main")
    assert set(ann.records()) == {"zero", "first", "second"}
    assert sync.run_commits(ann.place.repo, ann.git("rev-parse", LEDGER), base).keys() == {
        record.run_id for name, record in ann.records().items() if name != "zero"
    }
    sync.unite(ann.place.ledger, ann.git("rev-parse", THEIRS))
    assert set(ann.records()) == {"zero", "first", "second"}
    runs = ann.git("log", "--first-parent", "--format=%(trailers:key=Run-Id,valueonly)", LEDGER)
    assert len(runs.split()) == 3


def test_a_clone_without_a_ledger_takes_the_other_one(pair: tuple[Clone, Clone]) -> None:
    """The local branch is made from what was fetched."""
    ann, bob = pair
    ann.run("first")
    unite(bob, ann)
    assert bob.git("rev-parse", LEDGER) == ann.git("rev-parse", LEDGER)


# -- any history ---------------------------------------------------------------------------

PEOPLE = 3
ACTIONS = st.one_of(
    st.tuples(st.just("run"), st.integers(0, PEOPLE - 1)),
    st.tuples(
        st.just("tag"), st.integers(0, PEOPLE - 1), st.integers(0, 5), st.sampled_from("xyz")
    ),
    st.tuples(st.just("delete"), st.integers(0, PEOPLE - 1), st.integers(0, 5)),
    st.tuples(st.just("bury"), st.integers(0, PEOPLE - 1), st.integers(0, 5)),
    st.tuples(st.just("unite"), st.integers(0, PEOPLE - 1), st.integers(0, PEOPLE - 1)),
)


@settings(
    max_examples=8,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(actions=st.lists(ACTIONS, min_size=4, max_size=12))
def test_every_order_of_exchange_ends_in_one_ledger(
    bare: Path, tmp_path: Path, actions: list[tuple[object, ...]]
) -> None:
    """Whatever three people do and whoever asks whom: in the end all hold the same files."""
    with tempfile.TemporaryDirectory(dir=tmp_path) as place:
        folder = Path(place)
        if not run_git(bare, "for-each-ref"):
            team(tmp_path, bare)
        people = [clone(folder, bare, f"p{number}") for number in range(PEOPLE)]
        people[0].run("r0")
        for person in people[1:]:
            unite(person, people[0])
        numbers = itertools.count(1)
        for action in actions:
            act(people, action, numbers)
        for _ in range(2):
            for one, other in itertools.permutations(people, 2):
                unite(one, other)
        assert len({tree(person) for person in people}) == 1
        assert run_git(people[0].folder, "fsck", "--strict", "--full") == ""


def act(people: list[Clone], action: tuple[object, ...], numbers: itertools.count[int]) -> None:
    """Let one person do one thing."""
    kind, who, *more = action
    person = people[int(str(who))]
    runs = sorted(record.run_id for record in person.records().values())
    if kind == "run":
        person.run(f"r{next(numbers)}")
    elif kind == "unite":
        if more[0] != who:
            unite(person, people[int(str(more[0]))])
    elif runs:
        run_id = runs[int(str(more[0])) % len(runs)]
        if kind == "tag":
            person.tag(run_id, key=str(more[1]))
        elif kind == "delete":
            changes.delete(person.place, [run_id])
        else:
            bury(person, run_id)


# Three ledgers in one repository: what is done to each, before they are united in every order.
Edit = tuple[Any, ...]
SIDES = range(3)
EDITS = st.one_of(
    st.tuples(st.just("run"), st.sampled_from(SIDES), st.integers(0, 3)),
    st.tuples(
        st.sampled_from(["tag", "name", "param", "note", "delete", "bury", "experiment"]),
        st.sampled_from(SIDES),
        st.integers(0, 3),
        st.sampled_from("xyz"),
    ),
)


@settings(
    max_examples=25,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(edits=st.lists(EDITS, min_size=3, max_size=12))
def test_ledgers_unite_to_the_same_in_every_order(repo: Path, edits: list[Edit]) -> None:
    """Commutative, associative and idempotent: as a whole, with all that a ledger can hold."""
    place = git_gate.find(repo)
    books = [Ledger(place, f"refs/heads/side-{side}/runs") for side in SIDES]
    for ref in git_gate.refs(place, "refs/heads/side-*/runs", "refs/heads/united/*"):
        git_gate.update_refs(place, [f"delete {ref.name}"])
    books[0].append([run_change(plain_run(0), 0), run_change(plain_run(1), 0)])
    books[1].move(None, str(books[0].local()))
    for number, edit in enumerate(edits):
        edit_ledger(books[edit[1]], number, edit)
    heads = [head for book in books if (head := book.local())]
    first, *rest = heads
    orders = (heads, heads[::-1], [*rest, first], [*heads, *heads])
    results = {united(place, order) for order in orders}
    results.add(united(place, [first, united_head(place, rest)]))
    assert len(results) == 1


def united(place: git_gate.Repository, heads: Iterable[str]) -> str:
    """The tree of what ledgers are united to, one after the other."""
    return str(git_gate.resolve(place, f"{united_head(place, heads)}^{{tree}}"))


def united_head(place: git_gate.Repository, heads: Iterable[str]) -> str:
    """The ledger commit that ledgers are united to."""
    book = Ledger(place, f"refs/heads/united/{secrets.token_hex(8)}")
    for head in heads:
        sync.unite(book, head)
    return str(book.local())


def edit_ledger(book: Ledger, number: int, edit: Edit) -> None:
    """Do one thing to the ledger of one side, if its run is there."""
    kind, side, which, *value = edit
    new = plain_run(which)
    entry = book.find(new.run_id) if book.local() else None
    writer = f"{side}-{number}"
    head = book.local()
    if head and new.run_id in sync.tombstones(book.repo, head):
        return
    if kind == "run" and entry is None:
        book.append([run_change(new, side)])
    elif kind == "experiment":
        file = ExperimentRecord("churn", "churn").set("description", value[0], writer)
        data = documents.dump_json(experiment_document(file))
        book.append([LedgerEdit("edit", number, {"runs/churn/experiment.json": data})])
    elif entry is not None and kind == "bury":
        folder = run_path(new.experiment_id, new.run_id)
        book.append([LedgerEdit("bury", number, {f"deleted/{new.run_id}": b""}, (folder,))])
    elif entry is not None and value:
        book.append([run_change(edited(entry.record, kind, value[0], writer), side, entry)])


def plain_run(which: int) -> RunRecord:
    """A run that two sides may both have, as after a pull."""
    made = ledgers.make_run(random.Random(which), 1_767_225_600_000 + which, which, "churn")
    return replace(made, artifacts={}, metrics={})


def edited(record: RunRecord, kind: str, value: str, writer: str) -> RunRecord:
    """A run with one thing changed."""
    if kind == "param":
        return replace(record, params={**record.params, value: writer})
    if kind == "note":
        return replace(record, unknown={"x-notes": {value: writer}})
    if kind == "delete":
        return record.set("deleted", not record.deleted, writer)
    return record.set("tags.team" if kind == "tag" else kind, value, writer)


def run_change(record: RunRecord, side: int, entry: Entry | None = None) -> RunChange:
    """What writes a run that is new, or was changed."""
    files = {"run.json": documents.dump_json(to_document(record)), **(entry.files if entry else {})}
    parents = (entry.commit,) if entry else ()
    moment = record.start_time // 1000 + side
    before = entry.blob if entry else None
    return RunChange(record, files, None, parents, moment, before=before)


def test_a_killed_union_leaves_the_ledger_as_it_was(
    pair: tuple[Clone, Clone], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The branch moves in one step at the end: an error before that changes nothing."""
    ann, bob = pair
    ann.run("first")
    bob.run("second")
    head = ann.git("rev-parse", LEDGER)
    theirs = look(ann, bob)

    def fails(point: str) -> None:
        if point == "ledger.ref":
            raise KeyboardInterrupt

    monkeypatch.setattr("gitml.faults.hit", fails)
    with pytest.raises(KeyboardInterrupt):
        sync.unite(Ledger(git_gate.find(ann.folder)), theirs)
    assert ann.git("rev-parse", LEDGER) == head
