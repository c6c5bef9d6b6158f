"""What is in a spool may be anybody's: nothing of it runs, leads elsewhere, or harms other runs."""

from __future__ import annotations

import json
import os
import sys
import time
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gitml.errors import GitmlError
from gitml.tracking import names, recording, spooling, starting, store
from gitml.tracking.collecting import PROBLEM, RECORDED, RUNNING, collect
from gitml.tracking.place import Place
from gitml.tracking.spool import Spool
from tests import invariants
from tests.conftest import run_git
from tests.evil_records import EVIL, Raw
from tests.invariants import UserState

Event = dict[str, Any]
POINT: Event = {"m": ["loss", 1, 1_767_225_600_000, 0.5]}
END: Event = {"end": {"status": "FINISHED", "reason": None, "time": 1_767_225_700_000}}
SHA, MD5 = (
    "2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae",
    "acbd18db4cc2f85cedef654fccc4a4d8",
)  # of `foo`


@pytest.fixture
def honest(spool: Spool) -> str:
    """A run beside the hostile ones, which is recorded whatever they are."""
    session, record = spooling.start(spool, starting.Wish(name="honest"))
    session.metric("loss", 0.5, 1, 1_767_225_600_000)
    session.end("FINISHED")
    return record.run_id


def artifact(**more: Any) -> Event:
    """The event of a logged file with the content `foo`."""
    file = {
        "path": "a.txt",
        "file": "0123abcd-0123456789abcdef",
        "size": 3,
        "sha256": SHA,
        "md5": MD5,
    }
    return {"artifact": {**file, **more}, "t": 1_767_225_600_000}


def beginning(run_id: str, **more: Any) -> Event:
    """The first event of a start."""
    record = {
        "schema": 1, "run_id": run_id, "name": "evil", "experiment": "churn",
        "experiment_id": "churn", "status": "RUNNING", "start_time": "2026-01-01T00:00:00Z",
    }  # fmt: skip
    owner = {"host": "elsewhere", "pid": 7, "started": "1", "boot": "x"}
    document = {"schema": 1, "kind": "start", "owner": owner, "time": 1_767_225_600_000}
    record.update(more.pop("record", {}))
    return {"begin": {**document, "record": record, "base": {}, "requirements": "", **more}}


def line(event: Any) -> bytes:
    """An event as a line with a checksum that is right; raw text stands for itself."""
    text = event.text if isinstance(event, Raw) else json.dumps(event, separators=(",", ":"))
    body = text.encode()[1:]
    return b'{"crc":"%08x",%b\n' % (zlib.crc32(body), body)


def plant(spool: Spool, *events: Any, run_id: str | None = None, name: str = "") -> str:
    """Write a journal into the spool, with a file `foo` beside it; the run's id."""
    run_id = run_id or names.new_run_id()
    folder = spool.home / "live" / run_id
    (folder / "files").mkdir(parents=True, exist_ok=True)
    (folder / "files" / "0123abcd-0123456789abcdef").write_bytes(b"foo")
    data = b"".join(map(line, events))
    (folder / (name or "elsewhere-7-0123abcd.jsonl")).write_bytes(data)
    return run_id


def check(clone: Place, spool: Spool, honest: str, evil: str) -> str:
    """Only the honest run is recorded, the other stays and is named; what is said of that."""
    repo = Path(str(clone.repo.root))
    before = UserState.of(repo)
    found = {one.run_id: one for one in collect(clone, spool, delete=True)}
    assert found[honest].word == RECORDED
    assert found[evil].word == PROBLEM, found[evil]
    assert (spool.home / "live" / evil).is_dir()
    assert before.differences(UserState.of(repo)) == []
    assert list(invariants.stored(repo)) == [honest]
    assert recording.recover(clone) == []
    assert not clone.live_run(evil).folder.exists()
    remark = str(found[evil].remark)
    assert remark.isprintable()
    assert len(remark) < 500
    return remark


EVENTS: dict[str, Any] = {
    "a file elsewhere": artifact(file="../../../../etc/passwd"),
    "an absolute file": artifact(file="/etc/passwd"),
    "a file of another writer": artifact(file="ffffffff-0123456789abcdef"),
    "a file that is missing": artifact(file="0123abcd-ffffffffffffffff"),
    "a file of another size": artifact(size=4),
    "a file of another content": artifact(sha256="0" * 64),
    "a negative size": artifact(size=-1),
    "a path that leads out": artifact(path="../a.txt"),
    "an absolute path": artifact(path="/a.txt"),
    "a path into git": artifact(path=".git/config"),
    "a path with a backslash": artifact(path="..\\a.txt"),
    "a path that is not normal": artifact(path="a//b.txt"),
    "more than an artifact": artifact(link="/etc/passwd"),
    "a metric with a TAB": {"m": ["lo\tss", 1, 1_767_225_600_000, 0.5]},
    "a metric with a line feed": {"m": ["lo\nss", 1, 1_767_225_600_000, 0.5]},
    "a step that is no number": {"m": ["loss", "1", 1_767_225_600_000, 0.5]},
    "a step of 70 bits": {"m": ["loss", 1 << 70, 1_767_225_600_000, 0.5]},
    "a time in the year 30000": {"m": ["loss", 1, 10**15, 0.5]},
    "a value that is a text": {"m": ["loss", 1, 1_767_225_600_000, "high"]},
    "a value that is true": {"m": ["loss", 1, 1_767_225_600_000, True]},
    "a point too short": {"m": ["loss", 1]},
    "points that are none": {"ms": 5},
    "an odd tag": {"tags": {"a\x1b[31m": "b"}, "t": 1_767_225_600_000},
    "a tag that is a number": {"tags": {"a": 5}, "t": 1_767_225_600_000},
    "a long tag": {"tags": {"a": "x" * 200_000}, "t": 1_767_225_600_000},
    "a param of a megabyte": {"params": {"a": "x" * 1_000_000}},
    "a param without a key": {"params": {"": 1}},
    "params that are a list": {"params": [1]},
    "a status to set": {"set": {"status": "FINISHED"}, "t": 1_767_225_600_000},
    "a name with a line feed": {"set": {"name": "a\nb"}, "t": 1_767_225_600_000},
    "a dataset of nothing": {"dataset": {}},
    "a dataset with more": {"dataset": {"name": "a", "digest": "b", "zzz": 1}},
    "a model elsewhere": {"model": {"../m": {}}, "files": [], "t": 1_767_225_600_000},
    "a model of files elsewhere": {"model": {"m": {}}, "files": ["/etc"], "t": 1_767_225_600_000},
    "a second beginning": {"begin": {"kind": "start"}},
    "an unknown event": {"exec": "rm -rf /"},
    "nothing": {},
    "an odd end": {"end": {"status": "GREAT", "reason": None, "time": 1_767_225_700_000}},
    "an end of more": {"end": {"status": "FINISHED", "reason": None, "time": 1, "ref": "x"}},
    "two events in one": {**POINT, "params": {"a": 1}},
    "a list": Raw('["m"]'),
}  # fmt: skip


@pytest.mark.parametrize("what", EVENTS)
def test_what_no_log_call_says_is_refused(
    what: str, spool: Spool, clone: Place, honest: str
) -> None:
    """The run stays in the spool, is named, and costs no other run; nothing is left of it here."""
    evil = plant(spool, beginning(run_id := names.new_run_id()), EVENTS[what], END, run_id=run_id)
    check(clone, spool, honest, evil)


BEGINNINGS: dict[str, Callable[[str], Any]] = {
    "another run's": lambda run_id: beginning(names.new_run_id()),
    "an odd kind": lambda run_id: beginning(run_id, kind="admin"),
    "a newer schema": lambda run_id: beginning(run_id, schema=2),
    "an owner that is none": lambda run_id: beginning(run_id, owner=5),
    "a pid that is a text": lambda run_id: beginning(
        run_id, owner={"host": "a", "pid": "1", "started": "", "boot": ""}
    ),
    "a time that is none": lambda run_id: beginning(run_id, time="now"),
    "no record": lambda run_id: beginning(run_id, record={"experiment": None}),
    "an experiment elsewhere": lambda run_id: beginning(
        run_id, record={"experiment_id": "../../refs"}
    ),
    "an experiment that is an option": lambda run_id: beginning(
        run_id, record={"experiment": "--upload-pack=x"}
    ),
    "a name with a line feed": lambda run_id: beginning(run_id, record={"name": "a\nRun-Id: b"}),
    "a parent that is no run": lambda run_id: beginning(run_id, record={"parent_run": "../x"}),
    "no beginning": lambda run_id: POINT,
}


@pytest.mark.parametrize("what", BEGINNINGS)
def test_an_odd_beginning_is_refused(what: str, spool: Spool, clone: Place, honest: str) -> None:
    """The same holds for the first line."""
    run_id = names.new_run_id()
    check(clone, spool, honest, plant(spool, BEGINNINGS[what](run_id), POINT, END, run_id=run_id))


@pytest.mark.slow
def test_any_value_anywhere_ends_well(spool: Spool, clone: Place, honest: str) -> None:
    """Every evil value, in the place of every part of every event: refused, or recorded soundly."""
    run_ids = [
        plant(spool, beginning(run_id := names.new_run_id()), event, END, run_id=run_id)
        for event in spoilt()
    ]
    assert len(run_ids) > 500
    repo = Path(str(clone.repo.root))
    found = {one.run_id: one for one in collect(clone, spool)}
    assert found[honest].word == RECORDED
    assert {found[run_id].word for run_id in run_ids} == {PROBLEM, RECORDED}
    assert not [one for one in found.values() if "a bug" in (one.remark or "")]
    assert list((clone.home / "live").iterdir()) == []
    invariants.check_sound(repo)
    invariants.stored(repo)


def spoilt() -> list[Any]:
    """Events in which one part is an evil value."""
    sound: list[Event] = [
        POINT, {"ms": [POINT["m"]]}, {"params": {"a": 1}}, {"tags": {"a": "b"}, "t": 5},
        {"set": {"name": "a"}, "t": 5}, artifact(), {"cells": "a"}, {"drift": ["a"]},
        {"dataset": {"name": "a", "digest": "b", "source": {}, "schema": {}, "tags": {"a": "b"}}},
        {"model": {"m": {"flavors": {"a": {}}}}, "files": ["m/MLmodel"], "t": 5}, END,
    ]  # fmt: skip
    return [_with(event, path, value) for event in sound for path in _paths(event)
            for name, value in EVIL.items() if "100000" not in name]  # fmt: skip


def _paths(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    below = (
        value.items()
        if isinstance(value, dict)
        else enumerate(value)
        if isinstance(value, list)
        else ()
    )
    return [
        *([path] if path else []),
        *(it for key, part in below for it in _paths(part, (*path, key))),
    ]


def _with(event: Event, path: tuple[Any, ...], value: Any) -> Any:
    changed = json.loads(json.dumps(event))
    at = changed
    for key in path[:-1]:
        at = at[key]
    at[path[-1]] = "RAW" * 9 if isinstance(value, Raw) else value
    text = json.dumps(changed)
    return Raw(text.replace('"' + "RAW" * 9 + '"', value.text) if isinstance(value, Raw) else text)


# -- what only the collector decides ----------------------------------------------------------


def test_nobody_else_names_refs_or_trees(spool: Spool, clone: Place) -> None:
    """What a first line says of refs, commits, trees and the status is not believed."""
    repo = Path(str(clone.repo.root))
    head = run_git(repo, "rev-parse", "HEAD")
    base = {"ref": "refs/heads/main", "commit": head, "tree": "f" * 40, "live": head}
    run_id = names.new_run_id()
    record = {
        "status": "FINISHED", "deleted": True, "code": {"commit": head}, "metrics": {"a": 5},
        "sessions": {}, "clock": {}, "artifacts": {},
    }  # fmt: skip
    plant(
        spool,
        beginning(run_id, base=base, record={**record, "metrics": {}}),
        POINT,
        END,
        run_id=run_id,
    )
    assert [one.word for one in collect(clone, spool)] == [RECORDED]
    assert run_git(repo, "rev-parse", "refs/heads/main") == head
    found = store.record(clone, run_id)
    assert (found.code.commit, found.deleted, found.status) == (None, False, "FINISHED")


def test_names_of_commits_are_made_harmless(spool: Spool, clone: Place) -> None:
    """A name in a spool is a name in a commit, and no line of its header."""
    run_id = names.new_run_id()
    identity = {
        "name": "a\nparent " + "0" * 40 + "\n<x>",
        "email": "x> 1 +0000\ndata 3",
        "zone": "+9999",
    }
    plant(spool, beginning(run_id, base={"identity": identity}), POINT, END, run_id=run_id)
    assert [one.word for one in collect(clone, spool)] == [RECORDED]
    invariants.check_sound(Path(str(clone.repo.root)))


def test_torn_lines_are_skipped_and_counted(spool: Spool, clone: Place) -> None:
    """As in any journal: the rest of the run is whole."""
    run_id = names.new_run_id()
    plant(spool, beginning(run_id), POINT, run_id=run_id)
    (path,) = (spool.home / "live" / run_id).glob("*.jsonl")
    with path.open("ab") as file:
        file.write(b'{"crc":"00000000","m":["loss",2,1767225600000,0.25]}\nhalf a l\n' + line(END))
    (one,) = collect(clone, spool)
    assert one.word == RECORDED
    found = store.record(clone, run_id)
    assert found.metrics["loss"].count == 1
    assert [it.skipped for it in found.sessions.values()] == [2]


def test_a_run_whose_first_line_is_torn_is_recorded(spool: Spool, clone: Place) -> None:
    """What can still be read is there, and the description says what is not."""
    run_id = names.new_run_id()
    plant(spool, beginning(run_id), POINT, END, run_id=run_id)
    (path,) = (spool.home / "live" / run_id).glob("*.jsonl")
    path.write_bytes(b"XXXX" + path.read_bytes()[4:])
    assert [one.word for one in collect(clone, spool)] == [RECORDED]
    found = store.record(clone, run_id)
    assert (found.metrics["loss"].count, found.status) == (1, "FINISHED")
    assert "damaged" in (found.description or "")


def test_a_journal_of_a_run_that_is_live_here_is_not_replaced(
    spool: Spool, clone: Place, honest: str
) -> None:
    """A journal in a spool that is called as one of this repository's stays out."""
    session, record = starting.start(clone, starting.Wish())
    (writer,) = clone.live_run(record.run_id).writers()
    before = writer.journal.read_bytes()
    plant(spool, beginning(record.run_id), END, run_id=record.run_id, name=f"{writer.name}.jsonl")
    found = {one.run_id: one.word for one in collect(clone, spool)}
    assert found == {honest: RECORDED, record.run_id: PROBLEM}
    assert writer.journal.read_bytes() == before
    session.end("FINISHED")


# -- what is there ----------------------------------------------------------------------------


@pytest.mark.skipif(sys.platform == "win32", reason="links and pipes")
def test_links_and_pipes_are_not_followed(
    spool: Spool, clone: Place, honest: str, tmp_path: Path
) -> None:
    """Neither a linked run, nor a linked or piped journal, nor a linked file is taken."""
    other = tmp_path / "other"
    run_id = names.new_run_id()
    plant(Spool(other), beginning(run_id), END, run_id=run_id)
    top = spool.home / "live"
    (top / names.new_run_id()).symlink_to(other / "live" / run_id)
    (top / run_id).mkdir()
    (top / run_id / "elsewhere-7-0123abcd.jsonl").symlink_to(
        other / "live" / run_id / "elsewhere-7-0123abcd.jsonl"
    )
    os.mkfifo(top / run_id / "elsewhere-8-0123abcd.jsonl")
    linked = plant(spool, beginning(evil := names.new_run_id()), artifact(), END, run_id=evil)
    file = top / linked / "files" / "0123abcd-0123456789abcdef"
    file.unlink()
    (tmp_path / "secret").write_bytes(b"foo")
    file.symlink_to(tmp_path / "secret")
    check(clone, spool, honest, linked)


def test_names_that_gitml_does_not_give_are_passed_over(
    spool: Spool, clone: Place, honest: str
) -> None:
    """Other files and folders in a spool are not looked at, and not deleted."""
    top = spool.home / "live"
    for name in ("..", "x", "0" * 32, "01a2162fadcb738ca29131899ff85a4b.lock", "A" * 32):
        (top / name).mkdir(exist_ok=True)
    (top / honest / "notes.txt").write_text("mine")
    (top / honest / "x.jsonl").write_bytes(line(beginning(honest)))
    (top / honest / "-rf-1-0123abcd.jsonl.part").touch()
    (one,) = collect(clone, spool, delete=True)
    assert (one.word, one.deleted) == (RECORDED, True)
    left = sorted(path.name for path in (top / honest).iterdir())
    assert left == ["-rf-1-0123abcd.jsonl.part", "notes.txt", "x.jsonl"]
    assert collect(clone, spool) == []


def test_a_journal_past_all_measure_is_refused(spool: Spool, clone: Place, honest: str) -> None:
    """It is named, and never read."""
    evil = plant(spool, beginning(run_id := names.new_run_id()), run_id=run_id)
    (path,) = (spool.home / "live" / evil).glob("*.jsonl")
    with path.open("ab") as file:
        file.truncate(1 << 40)
    assert "at most" in check(clone, spool, honest, evil)


def test_times_that_are_to_come_are_now(spool: Spool, clone: Place) -> None:
    """A writer does not live for ever because its clock does."""
    run_id = names.new_run_id()
    plant(spool, beginning(run_id), POINT, run_id=run_id)
    (path,) = (spool.home / "live" / run_id).glob("*.jsonl")
    os.utime(path, (time.time() + 10**6, time.time() + 10**6))
    assert [one.word for one in collect(clone, spool)] == [RUNNING]
    (mirror,) = clone.live_run(run_id).writers()
    assert mirror.silent_seconds() >= 0


def test_a_folder_that_is_not_there_is_told(clone: Place, tmp_path: Path) -> None:
    """A spool that was never written to, or misspelt, is one clear line."""
    with pytest.raises(GitmlError, match="there is no folder"):
        collect(clone, Spool(tmp_path / "nowhere"))
