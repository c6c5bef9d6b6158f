"""What others put into a ledger costs that run or experiment alone; all else goes on."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gitml.tracking import doctor, recording, returning, starting, store, sync
from gitml.tracking.names import new_run_id, run_path
from gitml.tracking.record import FINISHED
from tests.clones import LEDGER, Clone, team
from tests.planted import plant


@pytest.fixture
def pair(tmp_path: Path, bare: Path) -> tuple[Clone, Clone]:
    """Two clones of one repository, and a run that both have."""
    one, two = team(tmp_path, bare, "ann", "bob")
    one.run("first")
    one.push()
    two.pull()
    return one, two


def only(one: Clone) -> tuple[str, str]:
    """The id and the folder of the one run."""
    (record,) = one.records().values()
    return record.run_id, run_path(record.experiment_id, record.run_id)


def publish(one: Clone, bare: Path, commit: str) -> None:
    """Make a commit the remote's ledger, as somebody with plain git can."""
    one.git("push", "--quiet", "--force", str(bare), f"{commit}:{LEDGER}")


def document(one: Clone, path: str) -> dict[str, Any]:
    """A JSON file of the ledger."""
    found = json.loads(one.git("show", f"{LEDGER}:{path}"))
    assert isinstance(found, dict)
    return found


FOLDERS = (
    b"runs/con/x", "runs/e\u0301/x".encode(), b"runs/a /x", b"runs/\x1b[31m/x", b"runs/\xff\xfe/x",
    b"runs/a\nb/x", b"runs/file", b"deleted/\xff", b"deleted/a\nb", b"deleted/a/b",
)  # fmt: skip


@pytest.mark.parametrize("path", FOLDERS)
def test_an_odd_folder_is_passed_over(pair: tuple[Clone, Clone], bare: Path, path: bytes) -> None:
    """A dead run is recovered, a run is resumed, and all is pushed, whatever else lies there."""
    one, two = pair
    publish(one, bare, plant(one.folder, LEDGER, {path: b"{}"}))
    two.pull()
    run_id, _ = only(two)
    two.run("again", resume=run_id)
    session, record = starting.start(two.place, starting.Wish(name="dead"))
    session.end(FINISHED)
    assert [run.problem for run in recording.recover(two.place)] == [None]
    two.push()
    assert two.place.ledger.find(record.run_id) is not None
    assert len(store.search(two.place)) == 2
    assert two.pull().problems == ()


Mutate = Callable[[dict[str, Any]], object]
RECORDS: dict[str, bytes | Mutate | None] = {
    "no run.json": None,
    "a list": b"[]",
    "no UTF-8": b"\xff",
    "a number as name": lambda it: it.update(name=5, clock={"name": [99, "z"]}),
    "a list as name": lambda it: it.update(name=[], clock={"name": [99, "z"]}),
    "another run": lambda it: it.update(run_id=new_run_id()),
    "another experiment": lambda it: it.update(experiment_id="../../x"),
    "a reserved artifact": lambda it: it.update(
        artifacts={"con": {"size": 1, "sha256": "a", "where": "git"}}
    ),
    "numbers as tags": lambda it: it.update(tags={"a": 5}),
    "no clock": lambda it: it.update(clock=None),
    "a newer schema": lambda it: it.update(schema=2),
}


@pytest.mark.parametrize("what", RECORDS)
def test_a_bad_run_there_stops_no_other(pair: tuple[Clone, Clone], bare: Path, what: str) -> None:
    """What was recorded here goes to the remote, though a run that both have is damaged there."""
    one, two = pair
    run_id, folder = only(one)
    change = RECORDS[what]
    data = change
    if callable(change):
        found = document(one, f"{folder}/run.json")
        change(found)
        data = json.dumps(found).encode()
    files = {f"{folder}/run.json".encode(): data}
    if what == "a reserved artifact":
        files[f"{folder}/artifacts/con".encode()] = b"1"
    two.tag(run_id, mine="1")
    other = two.run("other")
    publish(one, bare, plant(one.folder, LEDGER, files))  # type: ignore[arg-type]
    pulled = two.pull()
    assert other in two.push().runs
    names = one.git("ls-remote", str(bare), LEDGER).split()[0]
    two.git("cat-file", "-e", f"{names}:{run_path('default', other)}/run.json")
    if what == "a newer schema":
        assert any(run_id in problem for problem in pulled.problems)
        assert two.git("for-each-ref", sync.ASIDE_REFS)
    assert two.pull().problems == ()


def test_a_bad_history_there_stops_no_other(pair: tuple[Clone, Clone], bare: Path) -> None:
    """A run whose other session can't be read there is as it is here."""
    one, two = pair
    run_id, folder = only(one)
    two.tag(run_id, mine="1")
    other = two.run("other")
    bad = {f"{folder}/metrics/other.tsv".encode(): b"garbage"}
    publish(one, bare, plant(one.folder, LEDGER, bad))
    assert {run_id, other} <= set(two.push().runs)


PATHS = (
    b"metrics/con.tsv", b"artifacts/a.", b'"q', b"artifacts/a\nb",
    "artifacts/e\u0301.txt".encode(), b"artifacts/x.lock/.gitmodules",
)  # fmt: skip


@pytest.mark.parametrize("path", PATHS)
def test_a_bad_run_that_the_remote_lost_is_set_aside(
    pair: tuple[Clone, Clone], bare: Path, path: bytes
) -> None:
    """A pulled run that no tree may hold is named and kept; the others go to the remote again."""
    one, two = pair
    before = one.git("rev-parse", LEDGER)
    bad = one.run("bad")
    folder = run_path("default", bad)
    head = plant(one.folder, LEDGER, {folder.encode() + b"/" + path: b"x"})
    publish(one, bare, head)
    two.pull()
    mine = two.run("mine")
    publish(one, bare, plant(one.folder, before, {b"runs/zz": b"x"}))
    pulled = two.pull()
    assert any(bad in problem for problem in pulled.problems)
    assert two.git("for-each-ref", sync.ASIDE_REFS)
    (finding,) = (it for it in doctor.examine(two.place) if "no command can bring" in it.what)
    assert bad in finding.what
    assert finding.fix.startswith(f"git update-ref -d {sync.ASIDE_REFS}")
    assert returning.bring_back(two.place) == []
    assert returning.look(two.place)[0].lost.keys() == {bad}
    two.git(*finding.fix.split()[1:])
    assert returning.look(two.place) == []
    assert mine in two.push().runs
    assert two.pull().problems == ()


EXPERIMENTS = (
    b"[]", b"5", b"{}", b"\xff", b'{"schema":2}', b'{"schema":1,"id":"default","name":"\\ud800"}',
    b'{"schema":1,"id":5,"name":[],"tags":5,"clock":5}',
    b'{"schema":1,"id":"default","name":"n","clock":{"name":[1e400,2]}}',
)  # fmt: skip


@pytest.mark.parametrize("data", EXPERIMENTS)
def test_a_bad_experiment_stops_no_run(pair: tuple[Clone, Clone], bare: Path, data: bytes) -> None:
    """Runs are listed, recorded and pushed, though their experiment's file can't be read."""
    one, two = pair
    two.run("mine")
    store.change_experiment(two.place, "default", lambda it: it.set("tags.k", "v", "w"))
    publish(one, bare, plant(one.folder, LEDGER, {b"runs/default/experiment.json": data}))
    two.pull()
    two.push()
    assert {record.name for record in store.search(two.place)} == {"first", "mine"}


@pytest.mark.parametrize(
    "setting",
    [("trailer.separators", "#"), ("trailer.separators", "="), ("trailer.Run-Id.key", "X")],
)
def test_no_setting_of_trailers_hides_a_run(
    pair: tuple[Clone, Clone], setting: tuple[str, str]
) -> None:
    """How the user has git write trailers is no matter of the ledger."""
    one, two = pair
    one.git("config", *setting)
    run_id, _ = only(one)
    one.tag(run_id, a="1")
    assert one.run("next") in one.push().runs
    assert two.pull().runs
