"""`gitml registry history --at`: what was in which stage on a day, and how it came there."""

from __future__ import annotations

import datetime
import shutil
import subprocess
from pathlib import Path

import pytest

from gitml import git as gate
from gitml.errors import UsageError
from gitml.registry import catalog, held, stages
from gitml.registry.stages import StageNote
from gitml.registry.tags import StageTag
from tests.cli import Caller
from tests.clones import Clone
from tests.promoted import Registry, begin, made, merge, origin

MAY = [1_777_900_000 + day * 86_400 for day in range(9)]  # noon or so of nine days, in seconds


@pytest.fixture
def registry(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Registry:
    """Four versions of churn; three promotions, made today."""
    return made("sound", tmp_path_factory, lambda it: begin(it, origin(it))).copy(tmp_path)


def take(who: Clone, number: int, stage: str, version: str, time: int, by: str = "Bob") -> None:
    """A stage's tag of another day."""
    item = catalog.read(who.place.repo).version("churn", version)
    note = StageNote(item.version, item.note.run_id, item.note.digest, approved_by=by)
    tag = StageTag("churn", stage, number)
    text = stages.message(tag, note)
    eve = ("robot", "robot@example.org")
    main = who.git("rev-parse", "origin/main")
    id = gate.make_tag(who.place.repo, str(tag), main, text, eve, time)
    gate.update_refs(who.place.repo, [f"create refs/tags/{tag} {id}"])


@pytest.fixture
def may(registry: Registry) -> Clone:
    """A clone whose stages were taken on several days of a May."""
    for tag in ("churn#production#1", "churn#staging#2", "churn#production#3"):
        registry.ann.git("tag", "--delete", tag)
    for number, (stage, version) in enumerate(
        [("staging", "v1.0.0"), ("production", "v1.0.0"), ("staging", "v1.0.1"),
         ("production", "v1.0.1"), ("production", "v1.0.0")], 1,
    ):  # fmt: skip
        take(registry.ann, number, stage, version, MAY[number])
    return registry.ann


def then(who: Clone, seconds: int) -> dict[str, str]:
    """The version of each stage at a moment."""
    found = held.at(who.place, "churn", seconds * 1000)
    return {it.taken.tag.stage: str(it.taken.note.version) for it in found}


def test_each_day_has_its_versions(may: Clone) -> None:
    """From the moment of the tag until the next one of the stage; nobody before the first."""
    assert [then(may, MAY[day]) for day in range(1, 6)] == [
        {"staging": "v1.0.0"},
        {"staging": "v1.0.0", "production": "v1.0.0"},
        {"staging": "v1.0.1", "production": "v1.0.0"},
        {"staging": "v1.0.1", "production": "v1.0.1"},
        {"staging": "v1.0.1", "production": "v1.0.0"},
    ]
    assert then(may, MAY[1] - 1) == {}
    assert then(may, MAY[4] - 1) == then(may, MAY[3])


def test_a_clock_that_is_wrong_changes_no_order(may: Clone) -> None:
    """A tag counts from the one before it, whatever its date says."""
    take(may, 6, "production", "v1.0.2", MAY[0])
    assert then(may, MAY[4])["production"] == "v1.0.1"
    assert then(may, MAY[5])["production"] == "v1.0.2"


def test_who_why_and_from_what(registry: Registry) -> None:
    """Approval, decision, run, code: from a clone alone, when the remote is gone."""
    ann, place = registry.ann, registry.ann.place
    shutil.rmtree(registry.bare)
    it = next(it for it in held.at(place, "churn", 2**42) if it.taken.tag.stage == "production")
    document = held.to_document(it)
    item = catalog.read(place.repo).version("churn", "v1.0.1")
    assert (document["version"], document["tag"]) == ("v1.0.1", "churn#production#3")
    assert document["approved_by"] is None
    assert document["decided_by"] == "ann <ann@example.org>"
    assert document["decision"] == ann.git("log", "-1", "--format=%H", "--", "registry/churn.yaml")
    assert document["run_id"] == item.note.run_id
    assert document["run_commit"] == item.commit
    assert document["digest"] == item.note.digest
    assert document["code"] == ann.git("rev-list", "--max-parents=0", "main")
    assert document["data"] == []


def test_a_day_ends_at_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """A date is the end of the day here, a time is a time; all else is refused."""
    end = datetime.datetime(2026, 5, 31, 23, 59, 59, 999000).astimezone()
    assert held.moment_of("2026-05-31") == round(end.timestamp() * 1000)
    assert held.moment_of("2026-05-31T12:30Z") == held.moment_of("2026-05-31T14:30+02:00")
    assert held.moment_of("1970-01-01T00:00:01Z") == 1000
    for text in ("yesterday", "", "2026-13-01", "9999-12-31"):
        with pytest.raises(UsageError, match="is no date"):
            held.moment_of(text)


def test_the_command(
    registry: Registry, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A table for people, every field for programs."""
    monkeypatch.chdir(registry.ann.folder)
    call = Caller(capsys)
    done = call("registry", "history", "churn", "--at", "2999-01-01")
    assert done.lines[0].split()[:3] == ["STAGE", "VERSION", "SINCE"]
    assert [line.split()[:2] for line in done.lines[1:]] == [
        ["production", "v1.0.1"], ["staging", "v1.0.1"],
    ]  # fmt: skip
    rows = call("registry", "history", "churn", "--at", "2999-01-01", "--format", "json").json
    assert rows[0].keys() == {
        "name", "stage", "version", "since", "tag", "approved_by", "decided_by", "decision",
        "run_id", "run_commit", "digest", "code", "code_tree", "data", "proven",
    }  # fmt: skip
    assert "no version held" in call("registry", "history", "churn", "--at", "2020-01-01").err
    assert "is no date" in call("registry", "history", "churn", "--at", "then", code=2).err
    assert "registered" in call("registry", "history", "churn").out


def test_who_approved_is_proven_by_a_signature_alone(
    registry: Registry, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a tag tells that anybody can have made is marked; one that nobody tells of is not."""
    ann = registry.ann
    monkeypatch.chdir(ann.folder)
    call = Caller(capsys)
    assert "proven" not in call("registry", "history", "churn").out
    take(ann, 4, "production", "v1.0.2", MAY[1])
    events = ("registry", "history", "churn")
    day = (*events, "--at", "2999-01-01")
    for command in (events, day):
        assert call(*command).out.count("Bob (not proven)") == 1
    key = registry.folder / "key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)], check=True)
    (ann.folder / "registry/allowed_signers").write_text(
        f"ann@example.org {key.with_suffix('.pub').read_text()}"
    )
    merge(ann, "Whose signatures count")
    assert "Bob (not proven)" in call(*day).out
    for name, value in (("gpg.format", "ssh"), ("user.signingKey", str(key))):
        ann.git("config", name, value)
    ann.git("config", "tag.gpgSign", "true")
    take(ann, 5, "production", "v1.0.2", MAY[1])
    (row,) = [line for line in call(*day).lines if line.startswith("production")]
    assert ("Bob" in row, "proven" in row) == (True, False)
    rows = call(*events, "--format", "json").json
    assert [it["tag"] for it in rows if it["proven"]] == ["churn#production#5"]
