"""Tests of push, fetch and materialize with a folder as remote: nothing half, nothing unproved."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from gitml import faults
from gitml.errors import FormatError, StorageError, UsageError
from gitml.files import hash_file
from gitml.storage import (
    Cache,
    FetchError,
    Pointer,
    PushResult,
    Remote,
    delete,
    fetch,
    manifest,
    materialize,
    missing,
    objects,
    push,
)
from tests.artifacts import MODEL, objects_in, overwrite, read_folder, store_file, store_folder

NOWHERE = Pointer("0" * 32, 1)


@pytest.fixture
def cache(tmp_path: Path) -> Cache:
    """The cache of this clone, empty."""
    return Cache(tmp_path / "cache")


@pytest.fixture
def other(tmp_path: Path) -> Cache:
    """The cache of another clone."""
    return Cache(tmp_path / "other")


@pytest.fixture
def remote(tmp_path: Path) -> Remote:
    """A folder that is not there yet."""
    return Remote("gitml", str(tmp_path / "remote" / "gitml"))


@pytest.fixture
def model(cache: Cache, tmp_path: Path) -> Pointer:
    """A folder in the cache."""
    return store_folder(cache, tmp_path, MODEL)


def in_remote(remote: Remote, md5: str) -> Path:
    """Where the object lies in the remote."""
    return Path(remote.url) / "files" / "md5" / md5[:2] / md5[2:]


# -- push ----------------------------------------------------------------------------------


def test_push_uploads_a_folder_with_its_files(cache: Cache, remote: Remote, model: Pointer) -> None:
    """The manifest and every file of it, read-only and in DVC's layout."""
    result = push(cache, remote, [model])
    assert result == PushResult(pushed=frozenset(objects_in(cache.root)))
    assert len(result.pushed) == len(MODEL) + 1
    assert objects_in(Path(remote.url)) == result.pushed
    for md5 in result.pushed:
        assert in_remote(remote, md5).read_bytes() == cache.path(md5).read_bytes()
        assert in_remote(remote, md5).stat().st_mode & 0o222 == 0


def test_a_second_push_finds_everything(cache: Cache, remote: Remote, model: Pointer) -> None:
    """What the remote has is not sent again."""
    first = push(cache, remote, [model])
    assert push(cache, remote, [model]) == PushResult(present=first.pushed)


def test_push_names_what_nobody_has(cache: Cache, remote: Remote, model: Pointer) -> None:
    """A pointer whose object is gone is missing; the others are pushed."""
    assert push(cache, remote, [model, NOWHERE]).missing == {NOWHERE.md5}
    assert push(cache, remote, [model]).present == objects_in(cache.root)


def test_a_folder_with_a_lost_file_is_not_pushed(
    cache: Cache, remote: Remote, model: Pointer
) -> None:
    """Its other files are, but no manifest promises what the remote lacks."""
    lost = cache.manifest(model.md5)[0].md5
    cache.remove(lost)
    result = push(cache, remote, [model])
    assert result.missing == {lost, model.md5}
    assert objects_in(Path(remote.url)) == result.pushed == objects_in(cache.root) - {model.md5}


def test_a_folder_is_missing_when_the_remote_has_lost_a_file(
    cache: Cache, remote: Remote, model: Pointer
) -> None:
    """A manifest in the remote is no proof while the files can be checked."""
    push(cache, remote, [model])
    lost = cache.manifest(model.md5)[0].md5
    delete(remote, [lost])
    assert missing(cache, remote, [model]) == {lost, model.md5}
    assert push(cache, remote, [model]).pushed == {lost}
    assert missing(cache, remote, [model]) == frozenset()


def test_folders_that_a_clone_never_fetched_are_taken_by_their_manifest(
    cache: Cache, other: Cache, remote: Remote, model: Pointer
) -> None:
    """A clone without the artifacts can still tell that the remote has them."""
    assert missing(other, remote, [model]) == {model.md5}
    push(cache, remote, [model])
    assert missing(other, remote, [model]) == frozenset()
    assert push(other, remote, [model]) == PushResult(present=frozenset({model.md5}))


def test_a_damaged_object_is_not_pushed(cache: Cache, remote: Remote, tmp_path: Path) -> None:
    """Bytes are hashed on the way out too: a bad one would stay in the remote for ever."""
    pointer = store_file(cache, tmp_path, b"weights")
    overwrite(cache.path(pointer.md5), b"weixhts")
    with pytest.raises(StorageError, match=f"{pointer.md5} in the local cache is damaged"):
        push(cache, remote, [pointer])
    assert objects_in(Path(remote.url)) == set()


def test_progress_counts_the_bytes(cache: Cache, remote: Remote, model: Pointer) -> None:
    """It rises to the total, on the way out and on the way back."""
    told: list[tuple[int, int]] = []
    push(cache, remote, [model], lambda done, total: told.append((done, total)))
    size = sum(item.size or 0 for item in cache.objects())
    assert told[-1] == (size, size)
    assert [done for done, _ in told] == sorted(done for done, _ in told)
    told.clear()
    other = Cache(cache.root.parent / "third")
    fetch(other, [remote], [model], lambda done, total: told.append((done, total)))
    assert told[-1] == (model.size, model.size)


def test_a_remote_that_refuses_is_a_storage_error(
    cache: Cache, model: Pointer, tmp_path: Path
) -> None:
    """One line that names the remote."""
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(StorageError, match=r"can't write in .*file"):
        push(cache, Remote("gitml", str(tmp_path / "file" / "gitml")), [model])


def run_push(cache: Cache, remote: Remote, pointer: Pointer, fault: str) -> int:
    """Push in another process with a fault; its return code."""
    script = (
        "import sys; from pathlib import Path; from gitml.storage import *\n"
        f"push(Cache(Path({str(cache.root)!r})), Remote('gitml', {remote.url!r}),"
        f" [Pointer({pointer.md5!r}, {pointer.size}, {pointer.nfiles})])"
    )
    root = str(Path(__file__).parent.parent)
    environment = {**os.environ, "PYTHONPATH": root, "GITML_FAULT": fault}
    return subprocess.run((sys.executable, "-c", script), env=environment, check=False).returncode


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs SIGKILL")
@pytest.mark.parametrize("step", range(1, len(MODEL) + 2))
def test_a_push_killed_at_any_object_goes_on(
    step: int, cache: Cache, remote: Remote, model: Pointer, other: Cache
) -> None:
    """Until the last file is there no manifest is; the next push sends the rest only."""
    assert "push.artifacts" in faults.POINTS
    code = run_push(cache, remote, model, f"push.artifacts:kill:{step}")
    assert code == -signal.SIGKILL
    sent = objects_in(Path(remote.url))
    assert model.md5 not in sent
    assert len(sent) < step
    assert model.md5 in missing(cache, remote, [model])
    result = push(cache, remote, [model])
    assert result.present == sent
    assert result.pushed == objects_in(cache.root) - sent
    fetch(other, [remote], [model])
    assert objects_in(other.root) == objects_in(cache.root)


# -- fetch ---------------------------------------------------------------------------------


def test_fetch_brings_what_is_lacking(
    cache: Cache, other: Cache, remote: Remote, model: Pointer, tmp_path: Path
) -> None:
    """Files and folders, with all their objects, verified."""
    single = store_file(cache, tmp_path, b"single")
    push(cache, remote, [model, single])
    fetch(other, [remote], [model, single])
    assert objects_in(other.root) == objects_in(cache.root)
    for md5 in objects_in(other.root):
        other.verified(md5)


def test_nothing_is_asked_of_the_remote_without_need(cache: Cache, model: Pointer) -> None:
    """What is in the cache is there, offline and without a remote."""
    fetch(cache, [Remote("gitml", "s3://unreachable")], [model])
    fetch(cache, [], [model])


def test_without_a_remote_the_way_to_one_is_named(other: Cache, model: Pointer) -> None:
    """The error says what to do."""
    with pytest.raises(StorageError, match="no DVC remote; add one with `gitml init --remote URL`"):
        fetch(other, [], [model])


def test_fetch_can_be_confined(cache: Cache, other: Cache, remote: Remote, model: Pointer) -> None:
    """To files, and to what is below a folder; an unknown path is an error."""
    push(cache, remote, [model])
    fetch(other, [remote], [model], only=["conf"])
    assert len(objects_in(other.root)) == 2
    fetch(other, [remote], [model], only=["empty", "conf/MLmodel"])
    assert len(objects_in(other.root)) == 3
    with pytest.raises(UsageError, match="has no file 'con'"):
        fetch(other, [remote], [model], only=["con"])


def test_an_object_that_the_remote_lacks_is_named(other: Cache, remote: Remote) -> None:
    """With the remote, and what to do."""
    Path(remote.url).mkdir(parents=True)
    advice = "run in a clone that has it: gitml push --artifacts"
    with pytest.raises(StorageError, match=f"lacks the object {NOWHERE.md5}; {advice}"):
        fetch(other, [remote], [NOWHERE])


def test_a_folder_that_is_not_there_is_told_from_one_that_lacks_an_object(
    other: Cache, remote: Remote
) -> None:
    """As a share that is not mounted: the way to the artifact is to bring the folder back."""
    with pytest.raises(StorageError, match=r"the folder of the DVC remote gitml .* is not there"):
        fetch(other, [remote], [NOWHERE])


def test_what_one_remote_lacks_comes_from_the_next(
    cache: Cache, other: Cache, remote: Remote, model: Pointer, tmp_path: Path
) -> None:
    """Whatever is the matter with the first: away, empty, damaged, or not to be reached."""
    push(cache, remote, [model])
    away, empty, bad, unreachable = (
        Remote("gitml", str(tmp_path / name)) for name in ("away", "empty", "bad", "file")
    )
    Path(empty.url).mkdir()
    Path(unreachable.url).write_text("in the way")
    push(cache, bad, [model])
    for md5 in objects_in(Path(bad.url)):
        overwrite(in_remote(bad, md5), b"evil")
    for number, first in enumerate((away, empty, bad, unreachable)):
        clone = Cache(tmp_path / f"clone{number}")
        assert fetch(clone, [first, remote], [model]) == objects_in(cache.root)
        assert objects_in(clone.root) == objects_in(cache.root)


def test_when_no_remote_gives_an_object_each_says_why(
    other: Cache, remote: Remote, tmp_path: Path
) -> None:
    """And the advice stands once, at the end."""
    places = [Remote("gitml", str(tmp_path / name)) for name in ("a", "b")]
    for place in places:
        Path(place.url).mkdir()
    with pytest.raises(FetchError) as caught:
        fetch(other, [*places, remote], [NOWHERE])
    said = str(caught.value)
    for place in (*places, remote):
        assert place.url in said
    assert said.endswith("gitml push --artifacts")
    assert caught.value.reasons.keys() == {NOWHERE.md5}


def test_what_can_come_does(
    cache: Cache, other: Cache, remote: Remote, model: Pointer, tmp_path: Path
) -> None:
    """One object that is lost keeps no other from coming; the folder that needs it is named."""
    single = store_file(cache, tmp_path, b"single")
    push(cache, remote, [model, single])
    lost = cache.manifest(model.md5)[0].md5
    delete(remote, [lost])
    with pytest.raises(FetchError, match=lost) as caught:
        fetch(other, [remote], [model, NOWHERE, single])
    assert caught.value.reasons.keys() == {model.md5, NOWHERE.md5}
    assert caught.value.fetched == objects_in(other.root) == objects_in(cache.root) - {lost}
    push(cache, remote, [model])
    assert fetch(other, [remote], [model, single]) == {lost}


def tampered(good: bytes, others: list[bytes]) -> dict[str, bytes]:
    """Ways to put other bytes in the place of `good`."""
    flipped = bytes([good[0] ^ 1]) + good[1:] if good else b"x"
    return {
        "flipped": flipped,
        "truncated": good[:-1] if good else b"y",
        "emptied": b"" if good else b"z",
        "appended": good + b"\0",
        "swapped": next(data for data in others if data != good),
    }


@pytest.mark.parametrize("how", ["flipped", "truncated", "emptied", "appended", "swapped"])
def test_every_tampered_object_is_detected(
    how: str, cache: Cache, remote: Remote, model: Pointer, tmp_path: Path
) -> None:
    """Each object in turn, read-only as DVC trusts it: named, kept out, and not removed."""
    push(cache, remote, [model])
    stored = {md5: in_remote(remote, md5).read_bytes() for md5 in objects_in(Path(remote.url))}
    for number, (md5, good) in enumerate(sorted(stored.items())):
        bad = tampered(good, list(stored.values()))[how]
        overwrite(in_remote(remote, md5), bad)
        other = Cache(tmp_path / f"clone{number}")
        with pytest.raises(StorageError, match=f"{md5} in the DVC remote gitml .* is damaged"):
            fetch(other, [remote], [model])
        assert not other.has(md5)
        assert in_remote(remote, md5).read_bytes() == bad
        assert not list(other.root.rglob(".gitml-*"))
        overwrite(in_remote(remote, md5), good)
        fetch(other, [remote], [model])


def test_a_link_in_the_remote_is_no_object(
    cache: Cache, other: Cache, remote: Remote, model: Pointer
) -> None:
    """It is not followed; a push puts the real one in its place."""
    push(cache, remote, [model])
    path = in_remote(remote, cache.manifest(model.md5)[0].md5)
    path.unlink()
    path.symlink_to("/dev/zero")
    with pytest.raises(StorageError, match="lacks the object"):
        fetch(other, [remote], [model])
    push(cache, remote, [model])
    fetch(other, [remote], [model])
    assert not path.is_symlink()


@pytest.mark.parametrize("relpath", ["../evil", "/tmp/evil", "a/../../evil", "..\\evil", "C:evil"])
def test_a_manifest_from_a_remote_cannot_leave_its_folder(
    relpath: str, cache: Cache, other: Cache, remote: Remote, tmp_path: Path
) -> None:
    """Its digest is right and its paths are hostile: refused, and nothing is written."""
    evil = store_file(cache, tmp_path, b"evil")
    data = f'[{{"md5": "{evil.md5}", "relpath": "{relpath}"}}]'.replace("\\", "\\\\").encode()
    pointer = Pointer(manifest.manifest_id(data), 4, 1)
    (tmp_path / "manifest").write_bytes(data)
    cache.add_file(tmp_path / "manifest", pointer.md5)
    for md5 in objects_in(cache.root):
        in_remote(remote, md5).parent.mkdir(parents=True, exist_ok=True)
        in_remote(remote, md5).write_bytes(cache.path(md5).read_bytes())
    before = set(tmp_path.rglob("*"))
    with pytest.raises(FetchError, match="lists"):
        fetch(other, [remote], [pointer])
    with pytest.raises(FormatError, match="lists"):
        materialize(cache, pointer, tmp_path / "out")
    written = {path for path in set(tmp_path.rglob("*")) - before if path.is_file()}
    assert written == {other.path(pointer.md5)}


# -- for the collector ---------------------------------------------------------------------


def test_objects_are_listed_with_size_and_age(cache: Cache, remote: Remote, model: Pointer) -> None:
    """What the collector needs to decide; a remote that is not there yet is empty."""
    assert list(objects(remote)) == []
    push(cache, remote, [model])
    for item in objects(remote):
        assert item.size == cache.path(item.md5).stat().st_size
        assert item.modified == in_remote(remote, item.md5).stat().st_mtime
    assert {item.md5 for item in objects(remote)} == objects_in(cache.root)


def test_delete_takes_the_manifest_before_its_files(
    cache: Cache, remote: Remote, model: Pointer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stopped half-way, no manifest is left that promises what is gone."""
    from gitml.storage.folder import ObjectFolder

    push(cache, remote, [model])
    order: list[str] = []
    monkeypatch.setattr(ObjectFolder, "remove", lambda self, md5: order.append(md5))
    delete(remote, objects_in(cache.root))
    assert order[0] == model.md5
    assert set(order) == objects_in(cache.root)


def test_delete_removes_and_forgives(cache: Cache, remote: Remote, model: Pointer) -> None:
    """Only what is named; what is not there is no error."""
    push(cache, remote, [model])
    delete(remote, [model.md5, NOWHERE.md5])
    assert objects_in(Path(remote.url)) == objects_in(cache.root) - {model.md5}


# -- materialize ---------------------------------------------------------------------------


def test_a_folder_is_written_as_it_was_logged(cache: Cache, model: Pointer, tmp_path: Path) -> None:
    """Every file, in folders that are made as needed, and nothing else beside it."""
    materialize(cache, model, tmp_path / "deep" / "out")
    assert read_folder(tmp_path / "deep" / "out") == MODEL
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["out"]


def test_a_file_replaces_a_file(cache: Cache, tmp_path: Path) -> None:
    """As a download does."""
    pointer = store_file(cache, tmp_path, b"new")
    (tmp_path / "out").write_bytes(b"old")
    materialize(cache, pointer, tmp_path / "out")
    assert (tmp_path / "out").read_bytes() == b"new"


def test_the_copies_can_be_edited(cache: Cache, model: Pointer, tmp_path: Path) -> None:
    """Without changing the cache, whose objects they may share blocks with."""
    materialize(cache, model, tmp_path / "out")
    for path in (tmp_path / "out").rglob("*"):
        if path.is_file():
            with path.open("r+b") as file:
                file.write(b"edited")
    for md5 in objects_in(cache.root):
        cache.verified(md5)


def test_materialize_can_be_confined(cache: Cache, model: Pointer, tmp_path: Path) -> None:
    """To files and folders; the objects of the others need not be there."""
    for entry in cache.manifest(model.md5):
        if entry.relpath == "model.bin":
            cache.remove(entry.md5)
    materialize(cache, model, tmp_path / "out", only=["conf/", "empty"])
    assert set(read_folder(tmp_path / "out")) == {"conf/MLmodel", "empty"}


def test_what_is_in_the_way_stays(cache: Cache, model: Pointer, tmp_path: Path) -> None:
    """A folder with something in it, a file, or a link is refused; an empty folder will do."""
    single = store_file(cache, tmp_path, b"single")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine").write_text("mine")
    (tmp_path / "file").write_text("mine")
    (tmp_path / "link").symlink_to(tmp_path / "full")
    for name, pointer, problem in (
        ("full", model, "is not empty"),
        ("file", model, "is a file"),
        ("link", model, "is a symbolic link"),
        ("link", single, "is a symbolic link"),
        ("full", single, "is a folder"),
    ):
        with pytest.raises(UsageError, match=problem):
            materialize(cache, pointer, tmp_path / name)
    assert read_folder(tmp_path / "full") == {"mine": b"mine"}
    assert (tmp_path / "file").read_text() == "mine"
    (tmp_path / "empty").mkdir()
    materialize(cache, model, tmp_path / "empty")
    assert read_folder(tmp_path / "empty") == MODEL


def test_a_damaged_object_is_never_written(cache: Cache, model: Pointer, tmp_path: Path) -> None:
    """The folder does not appear at all, and the object is set aside for the next fetch."""
    bad = cache.manifest(model.md5)[-1].md5
    overwrite(cache.path(bad), b"evil")
    with pytest.raises(StorageError, match=f"{bad} in the local cache is damaged"):
        materialize(cache, model, tmp_path / "out")
    assert {path.name for path in tmp_path.iterdir()} == {"cache"}
    with pytest.raises(StorageError, match=f"{bad} is not in the local cache"):
        materialize(cache, model, tmp_path / "out")


def test_the_recorded_sha256_is_checked(cache: Cache, model: Pointer, tmp_path: Path) -> None:
    """Bytes with the right md5 and another sha256, a forged collision, are refused."""
    digests = {
        entry.relpath: hash_file(cache.path(entry.md5)).sha256
        for entry in cache.manifest(model.md5)
    }
    materialize(cache, model, tmp_path / "good", sha256=digests)
    digests["conf/MLmodel"] = "0" * 64
    with pytest.raises(StorageError, match="'MLmodel': it is not what the run logged"):
        materialize(cache, model, tmp_path / "bad", sha256=digests)
    assert not (tmp_path / "bad").exists()
    single = store_file(cache, tmp_path, b"single")
    with pytest.raises(StorageError, match="not what the run logged"):
        materialize(cache, single, tmp_path / "single", sha256={"": "0" * 64})
