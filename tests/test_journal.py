"""The journal: what was appended is read back, whatever happens to the file."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import threading
import warnings
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gitml.errors import StorageError, UsageError
from gitml.tracking import journal
from gitml.tracking.journal import Journal, NotAcknowledgedWarning
from tests import trainings

EVENTS: list[dict[str, Any]] = [
    {"begin": {"kind": "start", "time": 1}},
    {"m": ["loss", 0, 1, 0.1]},
    {"ms": [["a", 1, 2, 0.5], ["b", 1, 2, "NaN"]]},
    {"params": {"text": 'größe "\\ \n \x00', "big": 2**70, "none": None}},
    {"end": {"status": "FINISHED", "reason": None, "time": 2}},
]

scalars = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
)
texts = st.text(st.characters(codec="utf-8"))
values = st.recursive(
    scalars | st.text(), lambda inner: st.lists(inner) | st.dictionaries(texts, inner), max_leaves=8
)
events = st.dictionaries(st.just("note"), values, min_size=1)


def written(path: Path, events: list[dict[str, Any]]) -> Path:
    """A journal with these events."""
    made = Journal(path)
    for event in events:
        made.append(event)
    made.abandon()
    return path


def contents(path: Path, start: int = 0) -> journal.Contents:
    """What a journal holds, its events without their checksums."""
    found = journal.read(path, start)
    plain = [{key: event[key] for key in event if key != "crc"} for event in found.events]
    return journal.Contents(plain, found.lines, found.skipped)


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.lists(events, max_size=5))
def test_what_is_appended_is_read_back(tmp_path: Path, some: list[dict[str, Any]]) -> None:
    """Any event that JSON can hold comes back as it was, text that is no text included."""
    path = tmp_path / "j.jsonl"
    path.unlink(missing_ok=True)
    made = Journal(path)
    for event in some:
        made.append(event)
    made.abandon()
    if some:
        assert contents(path) == (some, len(some), 0)


def test_a_file_cut_at_any_byte_gives_the_whole_lines_before(tmp_path: Path) -> None:
    """Wherever the file ends, the whole lines count, and a torn one is reported."""
    path = written(tmp_path / "j.jsonl", EVENTS)
    data = path.read_bytes()
    for length in range(len(data) + 1):
        path.write_bytes(data[:length])
        whole = data[:length].count(b"\n")
        torn = not data[:length].endswith(b"\n") and length > 0
        assert contents(path) == (EVENTS[:whole], whole, int(torn))
        first = journal.first(path)
        assert (first is not None) == (length >= data.index(b"\n"))
        assert journal.has_ended(path) == (length >= len(data) - 1)


def test_a_changed_byte_costs_one_line_and_is_reported(tmp_path: Path) -> None:
    """Damage is never taken for data: the line is skipped and counted, the others count."""
    path = written(tmp_path / "j.jsonl", EVENTS)
    data = path.read_bytes()
    for position in range(len(data)):
        if data[position : position + 1] == b"\n":
            continue
        path.write_bytes(data[:position] + bytes([data[position] ^ 1]) + data[position + 1 :])
        found = contents(path)
        lost = data[:position].count(b"\n")
        broken = (data[position] ^ 1) == ord("\n")
        assert found.events == EVENTS[:lost] + EVENTS[lost + 1 :]
        assert found.skipped == 1 + broken


def test_reading_can_begin_in_the_middle(tmp_path: Path) -> None:
    """Lines that were recorded before are left out."""
    path = written(tmp_path / "j.jsonl", EVENTS)
    assert contents(path, 2) == (EVENTS[2:], 3, 0)
    assert contents(path, 5) == ([], 0, 0)


def test_threads_share_a_journal(tmp_path: Path) -> None:
    """Lines of threads that append at the same time are whole, and in each thread's order."""
    made = Journal(tmp_path / "j.jsonl")

    def work(number: int) -> None:
        for step in range(500):
            made.append({"m": [str(number), step, 0, 0.0]})

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    made.abandon()
    found = contents(tmp_path / "j.jsonl")
    assert (found.lines, found.skipped) == (4000, 0)
    for number in range(8):
        assert [e["m"][1] for e in found.events if e["m"][0] == str(number)] == list(range(500))


def test_nothing_comes_after_the_end(tmp_path: Path) -> None:
    """An event after the end is refused, so that the end is always the last line."""
    made = Journal(tmp_path / "j.jsonl")
    made.append(EVENTS[0])
    made.end(EVENTS[-1])
    with pytest.raises(UsageError, match="the run has ended"):
        made.append(EVENTS[1])
    made.end(EVENTS[-1])
    assert contents(tmp_path / "j.jsonl").events == [EVENTS[0], EVENTS[-1]]


def test_threads_that_log_beside_the_end_are_in_or_refused(tmp_path: Path) -> None:
    """A call beside the end either counts, before the end, or raises; none just vanishes."""
    for attempt in range(20):
        made = Journal(tmp_path / f"{attempt}.jsonl")
        made.append(EVENTS[0])
        accepted = []

        def work(made: Journal = made, accepted: list[int] = accepted) -> None:
            for step in range(10_000):
                try:
                    made.append({"m": ["a", step, 0, 0.0]})
                except UsageError:
                    return
                accepted.append(step)

        thread = threading.Thread(target=work)
        thread.start()
        while not accepted:
            pass
        made.end(EVENTS[-1])
        thread.join()
        found = contents(made.path)
        assert [event["m"][1] for event in found.events if "m" in event] == accepted
        assert "end" in found.events[-1]


def test_a_folder_that_comes_later_is_no_loss(tmp_path: Path) -> None:
    """What can't be written at first is held, said so once, and written in order later."""
    path = tmp_path / "missing" / "j.jsonl"
    made = Journal(path)
    with pytest.warns(NotAcknowledgedWarning, match="held in memory and not acknowledged"):
        made.append(EVENTS[0])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        made.append(EVENTS[1])
        path.parent.mkdir()
        made.append(EVENTS[2])
    assert contents(path).events == EVENTS[:3]
    made.abandon()


def test_the_background_writes_what_was_held(tmp_path: Path) -> None:
    """What is held is written by the next beat too, without another call."""
    path = tmp_path / "missing" / "j.jsonl"
    made = Journal(path)
    with pytest.warns(NotAcknowledgedWarning):
        made.append(EVENTS[0])
    path.parent.mkdir()
    made.beat()
    assert contents(path).events == EVENTS[:1]
    made.abandon()


@pytest.mark.skipif(sys.platform == "win32", reason="what is open can't be removed there")
@pytest.mark.parametrize("how", ["removed", "with its folder", "replaced"])
def test_a_journal_that_is_removed_comes_back(tmp_path: Path, how: str) -> None:
    """The next beat, or the end, writes the file anew, whole, and what comes later goes into it."""
    path = tmp_path / "run" / "j.jsonl"
    made = Journal(path, lambda: path.parent.mkdir(exist_ok=True))
    made.append(EVENTS[0])
    for event, bring_back in ((EVENTS[1], made.beat), (EVENTS[2], lambda: made.end(EVENTS[-1]))):
        assert made.was_removed == (event != EVENTS[1])
        path.unlink()
        if how == "with its folder":
            path.parent.rmdir()
        elif how == "replaced":
            path.write_text("something\n")
        made.append(event)
        bring_back()
    assert contents(path).events == [*EVENTS[:3], EVENTS[-1]]
    assert [file.name for file in path.parent.iterdir()] == ["j.jsonl"]


@pytest.mark.skipif(sys.platform == "win32", reason="what is open can't be removed there")
def test_a_journal_that_can_not_come_back_yet_is_tried_again(tmp_path: Path) -> None:
    """Where the file can't be written anew, that is an error, and nothing of it is forgotten."""
    path = tmp_path / "run" / "j.jsonl"
    path.parent.mkdir()
    made = Journal(path)
    made.append(EVENTS[0])
    shutil.rmtree(path.parent)
    with pytest.raises(StorageError, match="could not be brought to the disk"):
        made.sync()
    made.append(EVENTS[1])
    path.parent.mkdir()
    made.end(EVENTS[-1])
    assert contents(path).events == [*EVENTS[:2], EVENTS[-1]]


def test_what_can_not_be_held_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond its limit the memory takes no more: then the call raises, and is not kept."""
    monkeypatch.setattr(journal, "BACKLOG_BYTES", 200)
    made = Journal(tmp_path / "missing" / "j.jsonl")
    with pytest.warns(NotAcknowledgedWarning):
        made.append(EVENTS[0])
    with pytest.raises(StorageError, match="this call was not kept"):
        made.append({"note": "x" * 200})
    made.abandon()


def test_an_end_that_can_not_be_written_says_so(tmp_path: Path) -> None:
    """The end of a journal that the disk refuses names how many calls are missing."""
    made = Journal(tmp_path / "missing" / "j.jsonl")
    with pytest.warns(NotAcknowledgedWarning):
        made.append(EVENTS[0])
    with pytest.raises(StorageError, match="2 log calls could not be brought to the disk"):
        made.end(EVENTS[-1])


SHORT_WRITES = """
import resource, signal, sys, warnings
from pathlib import Path
from gitml.tracking.journal import Journal

warnings.simplefilter("ignore")
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
made = Journal(Path(sys.argv[1]))
for limit in range(50, 2500, 7):
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
    made.append({"m": ["loss", limit, 0, 0.5]})
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
made.end({"end": {}})
"""


@pytest.mark.skipif(sys.platform == "win32", reason="there are no resource limits")
def test_half_a_line_is_completed_or_taken_back(tmp_path: Path) -> None:
    """When the system takes only a part of a line, again and again, no line is torn or lost."""
    path = tmp_path / "j.jsonl"
    argv = (sys.executable, "-c", SHORT_WRITES, str(path))
    subprocess.run(argv, env=trainings.environment(), check=True)
    found = contents(path)
    assert found.skipped == 0
    assert [event["m"][1] for event in found.events[:-1]] == list(range(50, 2500, 7))
    assert found.events[-1] == {"end": {}}


def test_lines_are_json_with_a_checksum(tmp_path: Path) -> None:
    """The format is a contract: a JSON object whose first key is the CRC of the rest."""
    import zlib

    path = written(tmp_path / "j.jsonl", [{"m": ["loss", 1, 2, 0.5]}])
    line = path.read_bytes()
    assert line == b'{"crc":"%08x","m":["loss",1,2,0.5]}\n' % zlib.crc32(b'"m":["loss",1,2,0.5]}')
    assert json.loads(line)["m"] == ["loss", 1, 2, 0.5]


@pytest.mark.skipif(sys.platform == "win32", reason="there is no fork")
def test_a_forked_child_leaves_the_journal_of_its_parent_alone(tmp_path: Path) -> None:
    """A child that lets go of an inherited journal takes nothing from its parent."""
    made = Journal(tmp_path / "j.jsonl")
    made.append(EVENTS[0])
    child = os.fork()
    if child == 0:
        made.abandon()
        os._exit(0)
    os.waitpid(child, 0)
    made.append(EVENTS[1])
    made.abandon()
    assert contents(tmp_path / "j.jsonl").events == EVENTS[:2]
