"""The index follows the ledger, whatever becomes of its heads, its file and its neighbours."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import gitml
from gitml import git as gate
from gitml import process
from gitml.documents import dump_json
from gitml.errors import UsageError
from gitml.git import Repository
from gitml.tracking import experiment
from gitml.tracking.experiment import ExperimentRecord, experiment_path
from gitml.tracking.index import (
    Index,
    database,
    documents,
    index_path,
    location,
    memory,
    update,
)
from gitml.tracking.names import run_path
from gitml.tracking.record import RunRecord, Stamp, to_document
from tests.conftest import Git
from tests.ledgers import LEDGER, append, make_ledger, make_runs

ORIGIN = "refs/remotes/origin/gitml/runs"
OTHER = "refs/remotes/other/gitml/runs"

RUNS = list(make_runs(12))


@pytest.fixture
def place(repo: Path) -> Repository:
    """A repository without a ledger."""
    return gate.find(repo)


@pytest.fixture
def ledger(place: Repository) -> Repository:
    """A repository with twelve runs."""
    append(place.place, RUNS)
    return place


def ids(index: Index, text: str = "", **more: object) -> list[str]:
    """The ids that a search finds."""
    return [row.run_id for row in index.search(text, **more)]  # type: ignore[arg-type]


def contents(index: Index) -> list[tuple[object, ...]]:
    """All that an index knows of its runs, whatever numbers it gave them."""
    found = []
    for row in index.search(view="all", order_by="run_id"):
        found.append((row, index.records([row])[0]))
    return [*found, *index.experiments(), *index.problems(), *index.metric_keys()]


def same_as_new(index: Index, place: Repository) -> bool:
    """Whether an index that was kept up to date says what one made from nothing says."""
    index.refresh()
    known = contents(index)
    index.close()
    path = index_path(place)
    assert path is not None
    database.delete(path)
    with_new = Index.open(place)
    return contents(with_new) == known


def ids_of(runs: Sequence[RunRecord]) -> list[str]:
    """The ids of runs made oldest first, the newest first."""
    return [run.run_id for run in reversed(runs)]


# -- what is found -------------------------------------------------------------------------


def test_no_ledger(place: Repository) -> None:
    """A repository without runs has an index without runs."""
    index = Index.open(place)
    assert index.search() == []
    assert index.count() == 0
    assert index.find("latest") == []
    assert index.experiments() == []
    assert index.metric_keys() == []


def test_rows(ledger: Repository, git: Git) -> None:
    """A row tells what listings show, where the run's file is, and its run commit."""
    row = Index.open(ledger).search(limit=1)[0]
    run = RUNS[-1]
    assert (row.run_id, row.name, row.experiment, row.experiment_id, row.status) == (
        run.run_id, run.name, run.experiment, run.experiment_id, run.status,
    )  # fmt: skip
    assert (row.start_time, row.end_time, row.user) == (run.start_time, run.end_time, run.user)
    assert row.folder == run_path(run.experiment_id, run.run_id)
    assert row.blobs == (git("rev-parse", f"{LEDGER}:{row.folder}/run.json"),)
    assert row.commit == git("rev-parse", f"{LEDGER}^2")


def test_records(ledger: Repository) -> None:
    """The records of rows come in the order of the rows, as they were recorded."""
    index = Index.open(ledger)
    rows = index.search("metrics.auc > 0.3", "metrics.auc DESC")
    assert len(rows) > 3
    known = {run.run_id: run for run in RUNS}
    assert index.records(rows) == [known[row.run_id] for row in rows]
    assert index.records([]) == []


def test_pages(ledger: Repository) -> None:
    """Limit and offset cut a page out of the whole."""
    index = Index.open(ledger)
    assert ids(index) == ids_of(RUNS)
    assert ids(index, limit=5, offset=3) == ids_of(RUNS)[3:8]
    assert ids(index, limit=0) == ids(index, offset=50) == ids(index, offset=2**70) == []
    assert ids(index, limit=2**70) == ids_of(RUNS)
    assert index.count("metrics.auc > 0.3") == len(index.search("metrics.auc > 0.3"))


def test_refused_questions(ledger: Repository) -> None:
    """What makes no sense is refused before anything is asked."""
    index = Index.open(ledger)
    with pytest.raises(UsageError, match="did you mean 'metrics'"):
        index.search("metric_s.a > 1")
    with pytest.raises(UsageError, match="view 'gone' is not one; use one of active, deleted, all"):
        index.search(view="gone")
    with pytest.raises(UsageError, match="must not be negative"):
        index.search(limit=-1)


def test_views(place: Repository) -> None:
    """Deleted runs are seen only by those who ask for them."""
    append(place.place, [RUNS[0], RUNS[1].set("deleted", True, "w")])
    index = Index.open(place)
    assert ids(index) == [RUNS[0].run_id]
    assert ids(index, view="deleted") == [RUNS[1].run_id]
    assert ids(index, view="all") == ids_of(RUNS[:2])


def test_experiments_in_searches(place: Repository) -> None:
    """A search may be confined to experiments; no ids at all find nothing."""
    other = replace(RUNS[1], experiment="Fraud", experiment_id="fraud-1")
    append(place.place, [RUNS[0], other])
    index = Index.open(place)
    assert ids(index, experiment_ids=["fraud-1", "x"]) == [other.run_id]
    assert ids(index, experiment_ids=["fraud-1"]) == [other.run_id]
    assert ids(index, experiment_ids=[]) == ids(index, experiment_ids=["\udcff"]) == []
    assert ids(index, "experiment = 'Fraud'") == [other.run_id]


def test_live_runs(ledger: Repository) -> None:
    """Live runs are found beside recorded ones, and instead of the recorded form of themselves."""
    resumed = replace(RUNS[0], status="RUNNING", end_time=None)
    young = replace(RUNS[1], run_id="f" * 32, name="young", start_time=2**41, status="RUNNING")
    live = [resumed, young]
    index = Index.open(ledger)
    rows = index.search("status = 'RUNNING'", live=live)
    assert [row.record for row in rows] == [young, resumed]
    assert index.records(rows) == [young, resumed]
    assert ids(index, live=live, limit=2) == [young.run_id, RUNS[-1].run_id]
    assert index.count(live=live) == len(RUNS) + 1
    assert index.find("latest", live=live) == index.find("young", live=live) == [young.run_id]


# -- names of runs -------------------------------------------------------------------------


def test_finding_by_id(ledger: Repository) -> None:
    """A run is found by its id, and by a unique beginning or end of it in any case."""
    index = Index.open(ledger)
    for run in RUNS:
        for text in (run.run_id, run.run_id[:20], run.run_id[-8:].upper(), run.run_id[-4:]):
            assert index.find(text) == [run.run_id]
    assert index.find(RUNS[0].run_id[-3:]) == index.find("0" * 32) == index.find("") == []


def test_ambiguous_ids(place: Repository) -> None:
    """What may mean several runs finds them all, the newest first."""
    twin = replace(RUNS[0], run_id=RUNS[0].run_id[:20] + RUNS[1].run_id[20:], start_time=2**41)
    append(place.place, [RUNS[0], twin, RUNS[2]])
    assert Index.open(place).find(twin.run_id[:20]) == [twin.run_id, RUNS[0].run_id]


def test_finding_by_name(place: Repository) -> None:
    """A name finds all runs of that name, deleted ones only when there is no other."""
    twin = replace(RUNS[1], name=RUNS[0].name)
    gone = replace(RUNS[2], name=RUNS[0].name, deleted=True)
    alone = replace(RUNS[3], deleted=True)
    append(place.place, [RUNS[0], twin, gone, alone])
    index = Index.open(place)
    assert index.find(RUNS[0].name) == [twin.run_id, RUNS[0].run_id]
    assert index.find(alone.name) == index.find(alone.run_id) == [alone.run_id]
    assert index.find("latest") == [twin.run_id]
    assert index.find("nobody") == index.find("no\udcff") == []


def test_digits_before_names(place: Repository) -> None:
    """A text that ends the id of one run and names another means the id."""
    named = replace(RUNS[1], name=RUNS[0].run_id[-6:])
    append(place.place, [RUNS[0], named])
    assert Index.open(place).find(named.name) == [RUNS[0].run_id]


def test_rows_for(ledger: Repository) -> None:
    """Rows are looked up by id, in the order asked for; an unknown id has none."""
    index = Index.open(ledger)
    asked = [RUNS[4].run_id, "0" * 32, RUNS[2].run_id]
    assert [row.run_id for row in index.rows_for(asked)] == [RUNS[4].run_id, RUNS[2].run_id]


def test_keys(place: Repository) -> None:
    """The keys in use are listed; one whose last run went is no longer."""
    append(place.place, [replace(RUNS[0], params={"only": 1}), RUNS[1]])
    index = Index.open(place)
    assert "auc" in index.metric_keys()
    assert {"only", "model"} <= set(index.param_keys())
    assert index.tag_keys() == sorted(RUNS[1].tags)
    append(place.place, [], removed=[run_path("churn", RUNS[0].run_id)])
    index.refresh()
    assert "only" not in index.param_keys()


# -- experiments ---------------------------------------------------------------------------


def described(made: ExperimentRecord) -> tuple[str, bytes]:
    """The file of an experiment."""
    return experiment_path(made.id), dump_json(experiment.to_document(made))


def test_experiments(place: Repository) -> None:
    """Experiments exist through runs, live runs and files of their own."""
    empty = ExperimentRecord("empty", "Empty", tags={"a": "b"}, created=5)
    append(place.place, RUNS[:2], files=[described(empty)])
    live = replace(RUNS[2], experiment="Live", experiment_id="live-1")
    found = Index.open(place).experiments(live=[live])
    assert found == [
        empty,
        ExperimentRecord("live-1", "Live", created=live.start_time),
        ExperimentRecord("churn", "churn", created=RUNS[0].start_time),
    ]


def test_renamed_experiment(ledger: Repository) -> None:
    """The runs of an experiment that was renamed have its new name, in searches and in records."""
    index = Index.open(ledger)
    renamed = ExperimentRecord("churn", "churn").set("name", "Leaving", "w")
    append(ledger.place, [], files=[described(renamed)])
    index.refresh()
    late = replace(next(make_runs(1, seed=9)), start_time=2**41)
    append(ledger.place, [late])
    index.refresh()
    assert ids(index, "experiment = 'Leaving'") == [late.run_id, *ids_of(RUNS)]
    assert {run.experiment for run in index.records(index.search())} == {"Leaving"}
    live = replace(late, run_id="f" * 32)
    assert ids(index, "experiment = 'Leaving'", live=[live], limit=1) == [late.run_id]
    assert index.count("experiment = 'Leaving'", live=[live]) == len(RUNS) + 2
    assert same_as_new(index, ledger)


def test_deleted_experiment(ledger: Repository) -> None:
    """The runs of a deleted experiment count as deleted, until it is restored."""
    index = Index.open(ledger)
    gone = ExperimentRecord("churn", "churn").set("deleted", True, "w")
    append(ledger.place, [], files=[described(gone)])
    index.refresh()
    live = replace(RUNS[0], run_id="f" * 32)
    assert ids(index, live=[live]) == index.find("latest") == []
    assert len(ids(index, view="deleted", live=[live])) == len(RUNS) + 1
    append(ledger.place, [], files=[described(gone.set("deleted", False, "w"))])
    index.refresh()
    assert ids(index) == ids_of(RUNS)
    assert same_as_new(index, ledger)


# -- following the ledger ------------------------------------------------------------------


def test_new_and_changed_runs(ledger: Repository) -> None:
    """After each change of the ledger the index says what a new one would say."""
    index = Index.open(ledger)
    changed = RUNS[3].set("tags.team", "blue", "w").set("deleted", True, "w")
    append(ledger.place, [changed, *make_runs(3, seed=7, experiment="fraud")])
    assert changed.run_id in ids(index)
    index.refresh()
    assert changed.run_id not in ids(index)
    assert ids(index, "tags.team = 'blue'", view="all") == [changed.run_id]
    assert same_as_new(index, ledger)


def test_many_new_runs(ledger: Repository) -> None:
    """A large pull is indexed as a small one is."""
    index = Index.open(ledger)
    append(ledger.place, make_runs(2500, seed=3))
    index.refresh()
    assert index.count() == len(RUNS) + 2500
    connection = sqlite3.connect(str(index_path(ledger)))
    plan = "SELECT name FROM sqlite_master WHERE type = 'index' AND name LIKE '%_by_%'"
    assert {name for (name,) in connection.execute(plan)} == set(database.INDEXES)
    connection.close()


def test_runs_that_go(ledger: Repository) -> None:
    """A run that is taken out of the tree is no longer found."""
    index = Index.open(ledger)
    append(ledger.place, [], removed=[run_path("churn", RUNS[5].run_id)])
    assert same_as_new(index, ledger)
    assert RUNS[5].run_id not in ids(Index.open(ledger))


def test_plain_clone(place: Repository, git: Git) -> None:
    """In a plain clone the runs are those of origin; the first local record changes no answer."""
    append(place.place, RUNS, ref=ORIGIN)
    index = Index.open(place)
    assert ids(index) == ids_of(RUNS)
    git("update-ref", LEDGER, git("rev-parse", ORIGIN))
    index.refresh()
    assert ids(index) == ids_of(RUNS)
    append(place.place, list(make_runs(1, seed=5)))
    index.refresh()
    assert len(ids(index)) == len(RUNS) + 1
    assert same_as_new(index, place)


def test_heads_unite(ledger: Repository, git: Git) -> None:
    """Runs of every head are found once; one that goes with its remote is forgotten."""
    git("update-ref", ORIGIN, git("rev-parse", LEDGER))
    theirs, others = make_runs(2, seed=11), list(make_runs(2, seed=12))
    append(ledger.place, theirs, ref=ORIGIN)
    index = Index.open(ledger)
    assert len(ids(index)) == len(RUNS) + 2
    append(ledger.place, others, ref=OTHER)
    index.refresh()
    assert len(ids(index)) == len(RUNS) + 4
    git("update-ref", "-d", OTHER)
    index.refresh()
    assert not {run.run_id for run in others} & set(ids(index))
    assert same_as_new(index, ledger)


def test_a_run_that_heads_have_differently(ledger: Repository, git: Git) -> None:
    """A run changed on two sides is one run, united by the function that the caller gives."""
    git("update-ref", ORIGIN, git("rev-parse", LEDGER))
    mine = RUNS[0].set("tags.mine", "1", "a")
    theirs = RUNS[0].set("tags.theirs", "1", "b")
    append(ledger.place, [mine])
    append(ledger.place, [theirs], ref=ORIGIN)

    def both(sides: Sequence[RunRecord]) -> RunRecord:
        tags = {key: value for side in sides for key, value in side.tags.items()}
        return replace(RUNS[0], tags=tags)

    index = Index.open(ledger, unite=both)
    rows = index.search("tags.mine = '1' AND tags.theirs = '1'")
    assert [row.run_id for row in rows] == [RUNS[0].run_id]
    assert len(rows[0].blobs) == 2
    assert index.records(rows)[0].tags == {**RUNS[0].tags, "mine": "1", "theirs": "1"}
    git("update-ref", ORIGIN, git("rev-parse", LEDGER))
    index.refresh()
    assert ids(index, "tags.theirs = '1'") == []
    assert len(index.rows_for([RUNS[0].run_id])[0].blobs) == 1


def test_the_newest_side_holds_by_default(ledger: Repository, git: Git) -> None:
    """Of two forms of a run the one whose status was set last is shown, in whatever order."""
    git("update-ref", ORIGIN, git("rev-parse", LEDGER))
    stamp = {"status": Stamp(9, "x")}
    append(ledger.place, [replace(RUNS[0], status="FAILED", clock=stamp)], ref=ORIGIN)
    append(ledger.place, [RUNS[0].set("tags.a", "1", "w")])
    assert RUNS[0].run_id in ids(Index.open(ledger), "status = 'FAILED'")


def test_appended_again(ledger: Repository, git: Git) -> None:
    """A ledger that was written again on top of another one is followed without a rebuild."""
    index = Index.open(ledger)
    append(ledger.place, list(make_runs(1, seed=21)), ref=ORIGIN)
    append(ledger.place, RUNS, ref=ORIGIN)
    git("update-ref", LEDGER, git("rev-parse", ORIGIN))
    index.refresh()
    assert len(ids(index)) == len(RUNS) + 1
    assert same_as_new(index, ledger)


def test_an_old_head_that_is_gone(ledger: Repository, git: Git) -> None:
    """When git has collected the commit that was indexed, the index is made anew."""
    index = Index.open(ledger)
    append(ledger.place, RUNS[:4], ref="refs/heads/fresh")
    git("update-ref", LEDGER, git("rev-parse", "fresh"))
    git("reflog", "expire", "--expire=now", "--all")
    git("gc", "--quiet", "--prune=now")
    index.refresh()
    assert ids(index) == ids_of(RUNS[:4])


def test_the_ledger_goes(ledger: Repository, git: Git) -> None:
    """Without a ledger there are no runs, and when it comes back they are there again."""
    index = Index.open(ledger)
    head = git("rev-parse", LEDGER)
    git("update-ref", "-d", LEDGER)
    index.refresh()
    assert ids(index) == []
    git("update-ref", LEDGER, head)
    index.refresh()
    assert ids(index) == ids_of(RUNS)


def test_another_ledger(ledger: Repository) -> None:
    """The name of the ledger is the caller's; the index follows the one that is asked for."""
    mine = list(make_runs(2, seed=31))
    append(ledger.place, mine, ref="refs/heads/team/ledger")
    assert ids(Index.open(ledger, "team/ledger")) == ids_of(mine)
    assert ids(Index.open(ledger)) == ids_of(RUNS)


# -- run commits ---------------------------------------------------------------------------


def commits(index: Index) -> dict[str, str | None]:
    """The run commit of each run."""
    return {row.run_id: row.commit for row in index.search(view="all")}


def logged(git: Git, ref: str = LEDGER) -> dict[str, str]:
    """The last parent of the newest ledger commit of each run."""
    trailer = "%(trailers:key=Run-Id,valueonly,separator=%x2C)"
    known: dict[str, str] = {}
    for line in git("log", "--first-parent", f"--format={trailer} %P", ref).splitlines():
        run_id, *parents = line.split(" ")
        if run_id:
            known.setdefault(run_id, parents[-1])
    return known


def test_run_commits(ledger: Repository, git: Git) -> None:
    """A run's commit is the newest one that the ledger has for it."""
    index = Index.open(ledger)
    assert commits(index) == logged(git)
    append(ledger.place, [RUNS[2].set("tags.a", "b", "w")])
    before = commits(index)
    index.refresh()
    assert commits(index) == logged(git)
    assert commits(index)[RUNS[2].run_id] != before[RUNS[2].run_id]


def test_merged_by_hand(ledger: Repository, git: Git) -> None:
    """Where somebody merged two ledgers, the runs of both sides have their commits."""
    theirs = list(make_runs(3, seed=41))
    append(ledger.place, theirs, ref=ORIGIN)
    sides = git("rev-parse", LEDGER), git("rev-parse", ORIGIN)
    index = Index.open(ledger)
    git("update-ref", "-d", ORIGIN)
    index.refresh()
    append(ledger.place, theirs)
    tree = git("rev-parse", f"{LEDGER}^{{tree}}")
    merged = git("commit-tree", tree, "-p", sides[0], "-p", sides[1], "-m", "Merge the runs")
    git("update-ref", LEDGER, merged)
    index.refresh()
    known = {**logged(git, sides[0]), **logged(git, sides[1])}
    assert commits(index) == known
    assert same_as_new(index, ledger)


def test_a_run_without_a_ledger_commit(ledger: Repository, git: Git) -> None:
    """A ledger that somebody squashed tells no run commits; its runs are found all the same."""
    tree = git("rev-parse", f"{LEDGER}^{{tree}}")
    git("update-ref", LEDGER, git("commit-tree", tree, "-m", "Squashed"))
    index = Index.open(ledger)
    assert set(commits(index).values()) == {None}
    assert len(index.records(index.search())) == len(RUNS)


def test_a_run_that_comes_back(ledger: Repository, git: Git) -> None:
    """A run whose folder comes back by a revert has the run commit that it had."""
    known = logged(git)
    folder = run_path("churn", RUNS[1].run_id)
    tree = git("rev-parse", f"{LEDGER}^{{tree}}")
    append(ledger.place, [], removed=[folder])
    index = Index.open(ledger)
    parent = git("rev-parse", LEDGER)
    git("update-ref", LEDGER, git("commit-tree", tree, "-p", parent, "-m", "Revert"))
    index.refresh()
    assert commits(index) == known


# -- tombstones ----------------------------------------------------------------------------


def tombstone(run: RunRecord) -> tuple[str, bytes]:
    """The file that keeps a run buried."""
    return f"deleted/{run.run_id}", b""


def test_tombstones(ledger: Repository, git: Git) -> None:
    """A buried run is not found, on whatever head it still is, nor when it comes again."""
    index = Index.open(ledger)
    git("update-ref", ORIGIN, git("rev-parse", LEDGER))
    folder = run_path("churn", RUNS[5].run_id)
    append(ledger.place, [], files=[tombstone(RUNS[5])], removed=[folder])
    index.refresh()
    assert index.count(view="all") == len(RUNS) - 1
    append(ledger.place, [RUNS[5].set("tags.a", "b", "w")], ref=ORIGIN)
    index.refresh()
    assert index.find(RUNS[5].run_id) == index.rows_for([RUNS[5].run_id]) == []
    assert same_as_new(index, ledger)


def test_a_tombstone_that_goes_with_its_remote(ledger: Repository, git: Git) -> None:
    """A run buried only by a remote that was removed is there again."""
    append(ledger.place, [], files=[tombstone(RUNS[5])], ref=ORIGIN)
    index = Index.open(ledger)
    assert RUNS[5].run_id not in ids(index)
    git("update-ref", "-d", ORIGIN)
    index.refresh()
    assert ids(index) == ids_of(RUNS)


# -- what can't be read --------------------------------------------------------------------

DAMAGE = {
    "no JSON": b"{",
    "no record": b"[]",
    "nothing in it": b'{"schema": 1}',
    "a newer schema": b'{"schema": 99}',
    "no text": b"\xff\xfe",
}


@pytest.mark.parametrize("data", DAMAGE.values(), ids=DAMAGE.keys())
def test_damaged_records(ledger: Repository, data: bytes) -> None:
    """A file that can't be read hides its run and no other, and is reported by name."""
    index = Index.open(ledger)
    path = f"{run_path('churn', RUNS[5].run_id)}/run.json"
    append(ledger.place, [], files=[(path, data)])
    index.refresh()
    assert ids(index) == [run.run_id for run in reversed(RUNS) if run is not RUNS[5]]
    assert [path in problem for problem in index.problems()] == [True]
    assert same_as_new(index, ledger)
    append(ledger.place, [RUNS[5]])
    index = Index.open(ledger)
    assert (ids(index), index.problems()) == (ids_of(RUNS), [])


@pytest.mark.parametrize(
    "change",
    [
        {"name": ["no", "text"]},
        {"tags": {"a": ["b"]}},
        {"tags": ["a"]},
        {"metrics": {"auc": {"last": [], "step": 0, "count": 1}}},
        {"metrics": {"auc": 5}},
        {"status": None},
        {"start_time": "yesterday"},
        {"run_id": "0" * 32},
        {"datasets": [{"name": "x"}]},
    ],
    ids=str,
)
def test_records_of_wrong_types(ledger: Repository, change: dict[str, object]) -> None:
    """A record whose parts are not what they should be hides its run and no other."""
    path = f"{run_path('churn', RUNS[5].run_id)}/run.json"
    append(ledger.place, [], files=[(path, dump_json({**to_document(RUNS[5]), **change}))])
    index = Index.open(ledger)
    assert ids(index) == [run.run_id for run in reversed(RUNS) if run is not RUNS[5]]
    assert [path in problem for problem in index.problems()] == [True]


@pytest.mark.parametrize(
    "change",
    [{"sessions": {"a": {"kind": "start"}}}, {"artifacts": 5}, {"metrics": {"auc": {"step": 1}}}],
    ids=str,
)
def test_records_that_turn_out_to_be_damaged(ledger: Repository, change: dict[str, object]) -> None:
    """What a search does not look at may be wrong too: then the run goes when it is read."""
    path = f"{run_path('churn', RUNS[5].run_id)}/run.json"
    append(ledger.place, [], files=[(path, dump_json({**to_document(RUNS[5]), **change}))])
    index = Index.open(ledger)
    known = index.records(index.search())
    assert known == [run for run in reversed(RUNS) if run is not RUNS[5]]
    assert index.count() == len(RUNS) - 1
    assert [path in problem for problem in index.problems()] == [True]


def test_names_that_are_no_text(place: Repository) -> None:
    """A run with half a character in a name, as file names may have, is found."""
    odd = replace(RUNS[0], source=replace(RUNS[0].source, name="tr\udcffain.py"))
    append(place.place, [odd, RUNS[1]])
    index = Index.open(place)
    assert ids(index) == ids_of(RUNS[:2])
    assert ids(index, "tags.mlflow.source.name LIKE 'tr_ain.py'") == [odd.run_id]
    (found,) = index.records(index.rows_for([odd.run_id]))
    assert found == replace(odd, source=replace(odd.source, name="tr\\udcffain.py"))


def test_foreign_files(ledger: Repository) -> None:
    """Files that are no run's stay out of the index."""
    files = [("runs/run.json", b"{}"), ("deleted/me", b""), ("runs/churn/a/b/c/d/run.json", b"{}")]
    append(ledger.place, [], files=files)
    index = Index.open(ledger)
    assert (ids(index), index.problems()) == (ids_of(RUNS), [])


def test_damaged_experiment(ledger: Repository) -> None:
    """An experiment's file that can't be read is reported; its runs are found."""
    append(ledger.place, [], files=[(experiment_path("churn"), b"[1]")])
    index = Index.open(ledger)
    assert len(index.problems()) == 1
    assert [found.name for found in index.experiments()] == ["churn"]


# -- the file ------------------------------------------------------------------------------


def file_of(place: Repository) -> Path:
    """The index file."""
    path = index_path(place)
    assert path == place.common_dir / "gitml" / "index.sqlite"
    return path


@pytest.mark.parametrize("size", [0, 100, 5000, None])
def test_a_damaged_file(ledger: Repository, size: int | None) -> None:
    """A file that was cut short or overwritten is made anew, and nobody notices."""
    Index.open(ledger).close()
    path = file_of(ledger)
    data = path.read_bytes()
    path.write_bytes(data[:size] if size is not None else os.urandom(len(data)))
    assert ids(Index.open(ledger)) == ids_of(RUNS)
    assert ids(Index.open(ledger), "metrics.auc > -1", order_by="metrics.auc") != []


def test_damage_in_the_middle(ledger: Repository) -> None:
    """Damage that shows only when a table is read is mended during that search."""
    Index.open(ledger).close()
    path = file_of(ledger)
    data = bytearray(path.read_bytes())
    data[4096:] = b"\x55" * (len(data) - 4096)
    path.write_bytes(bytes(data))
    index = Index.open(ledger)
    assert ids(index, "metrics.auc > -1") == ids_of(RUNS)
    assert ids(Index.open(ledger)) == ids_of(RUNS)


def test_a_file_that_stays_damaged(ledger: Repository, monkeypatch: pytest.MonkeyPatch) -> None:
    """What can't be mended by a new file is done without."""
    file_of(ledger).write_bytes(b"no database" * 1000)
    monkeypatch.setattr(database, "delete", lambda path: None)
    assert ids(Index.open(ledger)) == ids_of(RUNS)


def test_another_schema(ledger: Repository) -> None:
    """An index of another gitml's making is made anew."""
    Index.open(ledger).close()
    connection = sqlite3.connect(file_of(ledger))
    connection.execute("PRAGMA user_version = 77")
    connection.execute("DROP TABLE num")
    connection.execute("CREATE TABLE later(a)")
    connection.close()
    assert ids(Index.open(ledger), "metrics.auc > -1") == ids_of(RUNS)


def test_a_deleted_file(ledger: Repository) -> None:
    """Deleting the index loses nothing."""
    Index.open(ledger).close()
    database.delete(file_of(ledger))
    assert ids(Index.open(ledger)) == ids_of(RUNS)


def test_a_folder_in_the_way(ledger: Repository) -> None:
    """Where no file can be made, the index is in memory."""
    path = file_of(ledger)
    path.mkdir()
    (path / "file").touch()
    assert ids(Index.open(ledger)) == ids_of(RUNS)


def test_a_repository_that_is_read_only(
    ledger: Repository, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Without leave to write in the repository, the index is in the user's cache folder."""
    allowed = os.access
    monkeypatch.setattr(
        os, "access", lambda path, mode: Path(path) != ledger.home and allowed(path, mode)
    )
    path = index_path(ledger)
    assert path is not None
    assert path.is_relative_to(Path.home())
    assert ids(Index.open(ledger)) == ids_of(RUNS)
    assert path.exists()


def test_a_network_file_system(ledger: Repository, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a network file system the index moves to a local folder; with none, to memory."""
    top = str(ledger.common_dir.resolve())
    mounts = [("/", "ext4"), (top, "nfs4"), (f"{top}-other", "ext4")]
    monkeypatch.setattr(location, "_mounts", lambda: iter(mounts))
    path = index_path(ledger)
    assert path is not None
    assert not path.is_relative_to(top)
    mounts.append(("/", "fuse.sshfs"))
    monkeypatch.setattr(location, "_mounts", lambda: iter([(os.sep, "lustre")]))
    assert index_path(ledger) is None
    assert ids(Index.open(ledger)) == ids_of(RUNS)


def test_mounts_of_this_machine(tmp_path: Path) -> None:
    """The folder of the tests is local, as far as the list of mounts tells."""
    assert any(kind for _, kind in location._mounts())
    assert not location.is_on_network(tmp_path)


# -- neighbours ----------------------------------------------------------------------------

SEARCH = """
import sys
from pathlib import Path
from gitml import git
from gitml.tracking.index import Index
index = Index.open(git.find(Path(sys.argv[1])))
print(len(index.records(index.search("metrics.auc > -1", "metrics.auc"))))
"""


def in_processes(place: Repository, count: int) -> list[str]:
    """What `count` processes find that open the index at the same time."""
    command = (sys.executable, "-c", SEARCH, str(place.place))
    env = {**os.environ, "PYTHONPATH": str(Path(__file__).parent.parent)}
    out = subprocess.PIPE
    started = [
        subprocess.Popen(command, stdout=out, stderr=subprocess.STDOUT, text=True, env=env)
        for _ in range(count)
    ]
    return [process.communicate()[0].strip() for process in started]


def test_processes_that_build_at_once(place: Repository) -> None:
    """Several processes may find the index missing at the same time."""
    make_ledger(place.place, 300)
    assert in_processes(place, 4) == ["300"] * 4


def test_processes_that_mend_at_once(place: Repository) -> None:
    """Several processes may find the index damaged at the same time."""
    make_ledger(place.place, 300)
    Index.open(place).close()
    path = file_of(place)
    path.write_bytes(b"SQLite format 3\0" + b"x" * 50_000)
    assert in_processes(place, 4) == ["300"] * 4
    assert in_processes(place, 1) == ["300"]


def test_readers_beside_a_writer(place: Repository) -> None:
    """Threads that share an index may search and refresh while runs are recorded."""
    make_ledger(place.place, 50)
    index = Index.open(place)
    seen: list[list[int]] = [[] for _ in range(3)]
    done = threading.Event()

    def read(counts: list[int]) -> None:
        while not done.is_set():
            index.refresh()
            rows = index.search("metrics.auc > -1", "metrics.auc DESC")
            counts.append(len(index.records(rows)))

    threads = [threading.Thread(target=read, args=(counts,)) for counts in seen]
    for thread in threads:
        thread.start()
    for seed in range(8):
        append(place.place, make_runs(5, seed=100 + seed))
    done.set()
    for thread in threads:
        thread.join()
    index.refresh()
    assert index.count() == 90
    assert all(counts == sorted(counts) and counts[0] >= 50 for counts in seen)


def test_a_locked_file(ledger: Repository, monkeypatch: pytest.MonkeyPatch) -> None:
    """A search does not fail because somebody holds the lock: it does without the file."""
    Index.open(ledger).close()
    append(ledger.place, list(make_runs(1, seed=51)))
    monkeypatch.setattr(database, "_WAIT_SECONDS", 0.05)
    holder = sqlite3.connect(file_of(ledger), isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    index = Index.open(ledger)
    assert index.count() == len(RUNS) + 1
    holder.execute("ROLLBACK")
    holder.close()


def test_up_to_date_asks_nothing(ledger: Repository, monkeypatch: pytest.MonkeyPatch) -> None:
    """When nothing changed, git is not asked: its files tell where the heads are."""
    index = Index.open(ledger)
    asked = counted(monkeypatch)
    index.refresh()
    index.search("metrics.auc > 0.5", "metrics.auc")
    assert asked == []


def counted(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The git commands that are run from now on."""
    asked: list[str] = []
    real = process.run

    def run(argv: Sequence[str], **more: Any) -> process.Completed:
        commands = ("for-each-ref", "cat-file", "log", "diff-tree")
        asked.append(next(arg for arg in argv if arg in commands))
        return real(argv, **more)

    monkeypatch.setattr(process, "run", run)
    return asked


def test_records_at_hand(ledger: Repository, monkeypatch: pytest.MonkeyPatch) -> None:
    """Records that were recorded or read lately need no git; older ones are read, then kept."""
    monkeypatch.setattr(documents, "KEPT", 5)
    monkeypatch.setattr(update, "KEPT", 5)
    append(ledger.place, make_runs(3, seed=2))
    index = Index.open(ledger)
    asked = counted(monkeypatch)
    rows = index.search(order_by="start_time")
    everything = index.records(rows)
    assert asked == ["cat-file"]
    assert index.records(rows[:5]) == everything[:5]
    asked.clear()
    assert index.records(rows[1:3]) == everything[1:3]
    assert len({len(index.records(rows[at : at + 5])) for at in range(5)}) == 1
    with sqlite3.connect(file_of(ledger)) as connection:
        assert connection.execute("SELECT count(*) FROM documents").fetchone() == (5,)
    connection.close()


def test_records_are_decoded_once(ledger: Repository, monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that asks again gets the same records, the oldest of them decoded anew."""
    monkeypatch.setattr(memory, "KEPT", 2)
    index = Index.open(ledger)
    rows = index.search(order_by="start_time")[:3]
    first, second = index.records(rows), index.records(rows)
    assert first == second
    again = [one is other for one, other in zip(first[1:], second[1:], strict=True)]
    assert again == [True, True]
    assert first[0] is not second[0]


def test_what_a_search_returns_may_be_changed(repo: Path) -> None:
    """The next search tells what was recorded, whatever became of the first one's answer."""
    with gitml.start_run():
        gitml.log_param("layers", [8, 8])
    client = gitml.MlflowClient()
    ids = [client.get_experiment_by_name("default").experiment_id]
    for _ in range(2):
        (run,) = client.search_runs(ids)
        assert run.data.typed_params == {"layers": [8, 8]}
        run.data.typed_params["layers"].append(1)


def test_large_records_stay_in_git(place: Repository, monkeypatch: pytest.MonkeyPatch) -> None:
    """A record that is larger than a page or two is read from git each time."""
    large = replace(RUNS[0], params={"text": "x" * 9000})
    append(place.place, [large])
    index = Index.open(place)
    asked = counted(monkeypatch)
    for _ in range(2):
        assert index.records(index.search()) == [large]
    assert asked == ["cat-file"] * 2


def test_reading_while_another_writes(ledger: Repository) -> None:
    """What is read is not kept while somebody else holds the lock; nobody waits for that."""
    index = Index.open(ledger)
    rows = index.search()
    with sqlite3.connect(file_of(ledger), isolation_level=None) as holder:
        holder.execute("DELETE FROM documents")
        holder.execute("BEGIN IMMEDIATE")
        assert len(index.records(rows)) == len(RUNS)
        holder.execute("ROLLBACK")
        assert holder.execute("SELECT count(*) FROM documents").fetchone() == (0,)
    holder.close()
    index.records(rows)
    assert index.count() == len(RUNS)


def test_forked_children(ledger: Repository) -> None:
    """A child of a fork may go on searching with the index of its parent."""
    if not hasattr(os, "fork"):
        pytest.skip("this system has no fork")
    index = Index.open(ledger)
    child = os.fork()
    if not child:
        os._exit(0 if index.count() == len(RUNS) else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert index.count() == len(RUNS)
