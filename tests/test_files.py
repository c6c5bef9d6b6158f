"""Tests of gitml.files: digests, and copies that stay what they were."""

from __future__ import annotations

import errno
import hashlib
import os
import socket
import stat
import subprocess
import sys
from io import FileIO
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gitml import files
from gitml.errors import StorageError, UsageError
from gitml.files import Digest, copy_hashed, disk, hash_file
from tests import trainings


def digest_of(data: bytes) -> Digest:
    """What the digests of `data` are."""
    return Digest(hashlib.md5(data).hexdigest(), hashlib.sha256(data).hexdigest(), len(data))


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A file of three megabytes."""
    path = tmp_path / "model.bin"
    path.write_bytes(os.urandom(3_000_000))
    return path


@given(st.binary(max_size=300))
def test_hash_file_gives_the_digests_of_the_bytes(
    tmp_path_factory: pytest.TempPathFactory, data: bytes
) -> None:
    """Both digests and the size come from one reading and are those of the bytes."""
    path = tmp_path_factory.mktemp("hash") / "file"
    path.write_bytes(data)
    assert hash_file(path) == digest_of(data)


def test_copy_hashed_copies_and_hashes(model: Path, tmp_path: Path) -> None:
    """The copy holds the same bytes, and the digests are those of the copy."""
    digest = copy_hashed(model, tmp_path / "copy")
    assert (tmp_path / "copy").read_bytes() == model.read_bytes()
    assert digest == digest_of(model.read_bytes())


def test_a_copy_outlives_a_write_into_its_source(model: Path, tmp_path: Path) -> None:
    """A copy is no hard link: what is written in place later stays out of it."""
    digest = copy_hashed(model, tmp_path / "copy")
    with model.open("r+b") as file:
        file.write(b"overwritten")
    assert hash_file(tmp_path / "copy") == digest
    assert (tmp_path / "copy").stat().st_nlink == 1


def test_copy_hashed_does_not_replace_a_file(model: Path, tmp_path: Path) -> None:
    """A target that is there already is an error, and stays."""
    (tmp_path / "copy").write_text("mine")
    with pytest.raises(StorageError, match="can't copy"):
        copy_hashed(model, tmp_path / "copy")
    assert (tmp_path / "copy").read_text() == "mine"


def test_a_symbolic_link_is_followed(model: Path, tmp_path: Path) -> None:
    """What is copied through a link is the file it leads to."""
    (tmp_path / "latest").symlink_to(model)
    copy_hashed(tmp_path / "latest", tmp_path / "copy")
    assert not (tmp_path / "copy").is_symlink()
    assert (tmp_path / "copy").read_bytes() == model.read_bytes()


def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    """A folder, a path with nothing there, and a link to nothing are refused by name."""
    (tmp_path / "dangling").symlink_to(tmp_path / "nothing")
    for name in ("nothing", "dangling"):
        with pytest.raises(UsageError, match=f"there is no file .*{name}"):
            hash_file(tmp_path / name)
    with pytest.raises(UsageError, match="is a folder"):
        copy_hashed(tmp_path, tmp_path / "copy")
    assert not (tmp_path / "copy").exists()


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_pipes_sockets_and_devices_are_refused(tmp_path: Path) -> None:
    """Nothing that could block for ever, or never end, is opened."""
    os.mkfifo(tmp_path / "fifo")
    with socket.socket(socket.AF_UNIX) as listener:
        here = Path.cwd()
        os.chdir(tmp_path)  # the path of a socket may have 100 characters
        listener.bind("socket")
        os.chdir(here)
        for path in (tmp_path / "fifo", tmp_path / "socket", Path("/dev/zero")):
            with pytest.raises(UsageError, match="is a pipe, a socket or a device"):
                copy_hashed(path, tmp_path / "copy")


def change_while_read(monkeypatch: pytest.MonkeyPatch, path: Path, times: int) -> list[int]:
    """Let another writer append to `path` on its first `times` readings."""
    real, passes = files._digest, [0]

    def digest(file: FileIO, copied: object) -> Digest:
        found = real(file, copied)  # type: ignore[arg-type]
        passes[0] += 1
        if passes[0] <= times:
            with path.open("ab") as more:
                more.write(b"more")
        return found

    monkeypatch.setattr(files, "_digest", digest)
    return passes


def test_a_file_that_changes_once_is_read_again(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The copy and the digests are those of the second reading."""
    passes = change_while_read(monkeypatch, model, times=1)
    digest = copy_hashed(model, tmp_path / "copy")
    assert passes == [2]
    assert digest == digest_of(model.read_bytes()) == digest_of((tmp_path / "copy").read_bytes())


def test_a_file_that_keeps_changing_is_refused(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a second change nothing is recorded, and no copy is left behind."""
    passes = change_while_read(monkeypatch, model, times=9)
    with pytest.raises(StorageError, match="changes while it is read"):
        copy_hashed(model, tmp_path / "copy")
    assert passes == [2]
    assert not (tmp_path / "copy").exists()


def test_a_failed_copy_leaves_nothing(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An interrupted copy removes what it has written."""

    def interrupted(*_: object) -> Digest:
        raise KeyboardInterrupt

    monkeypatch.setattr(files, "_digest", interrupted)
    with pytest.raises(KeyboardInterrupt):
        copy_hashed(model, tmp_path / "copy")
    assert not (tmp_path / "copy").exists()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_disk_is_a_storage_error_with_advice() -> None:
    """The message names the action, the cause and what to do."""
    with (
        pytest.raises(StorageError, match=r"can't write it: No space left on device; free some"),
        disk("write it"),
        Path("/dev/full").open("wb", buffering=0) as full,
    ):
        full.write(b"x")


def test_disk_keeps_the_cause() -> None:
    """A caller can still ask for the errno."""
    with pytest.raises(StorageError, match="can't read it") as caught, disk("read it"):
        raise OSError(errno.EIO, os.strerror(errno.EIO))
    assert isinstance(caught.value.__cause__, OSError)
    assert caught.value.__cause__.errno == errno.EIO


@pytest.mark.parametrize("path", ["", "a", "a/b"])
def test_a_folder_below_another_is_made(tmp_path: Path, path: str) -> None:
    """With those above it; one that is there stays."""
    for _ in range(2):
        made = files.folder_below(tmp_path / "top", path)
        assert made == tmp_path / "top" / path
        assert made.is_dir()


@pytest.mark.parametrize("path", ["link", "link/a", "a/link", "a/link/b", "file", "a/../..", "/"])
def test_a_folder_below_another_is_nowhere_else(tmp_path: Path, path: str) -> None:
    """No link is followed, no file is taken for a folder, no name leads out."""
    top, outside = tmp_path / "top", tmp_path / "outside"
    outside.mkdir()
    (top / "a").mkdir(parents=True)
    (top / "file").touch()
    for link in (top / "link", top / "a/link"):
        link.symlink_to(outside)
    with pytest.raises(UsageError):
        files.folder_below(top, path)
    assert list(outside.iterdir()) == []


def test_sync_takes_files_and_folders(model: Path) -> None:
    """Both can be waited for; what is not there is an OSError."""
    files.sync(model)
    files.sync(model.parent)
    with pytest.raises(FileNotFoundError):
        files.sync(model.parent / "nothing")


def test_copies_can_be_edited(model: Path, tmp_path: Path) -> None:
    """A copy of a read-only file is not read-only itself."""
    model.chmod(0o444)
    copy_hashed(model, tmp_path / "hashed")
    files.copy(model, tmp_path / "plain")
    for name in ("hashed", "plain"):
        assert (tmp_path / name).stat().st_mode & stat.S_IWUSR
    assert (tmp_path / "plain").read_bytes() == model.read_bytes()


def test_a_long_path_is_shown_by_its_end() -> None:
    """The name of the file is what tells most; control characters are escaped all the same."""
    assert files.shown_path(Path("short")) == "'short'"
    folder = Path("/a" * 100)
    assert files.shown_path(folder / "model.bin").startswith("'…")
    assert files.shown_path(folder / "model.bin").endswith("/a/model.bin'")
    hostile = files.shown_path(folder / "evil\x1b[31m")
    assert len(hostile) <= 80
    assert "\x1b" not in hostile


def test_many_files_are_all_synced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many at once, each is on the disk when the call returns; a missing one errs."""
    paths = [tmp_path / str(number) for number in range(200)]
    for path in paths:
        path.write_text("x")
    seen, fsync = list[int](), os.fsync

    def noted(descriptor: int) -> None:
        fsync(descriptor)
        seen.append(os.fstat(descriptor).st_ino)

    monkeypatch.setattr(os, "fsync", noted)
    files.sync_all(paths)
    assert sorted(seen) == sorted(path.stat().st_ino for path in paths)
    with pytest.raises(FileNotFoundError):
        files.sync_all([*paths, tmp_path / "none"])


AT_EXIT = """
import atexit, sys
from pathlib import Path
from gitml import files

paths = list(Path(sys.argv[1]).iterdir())
atexit.register(lambda: (files.sync_all(paths), print(len(paths))))
"""


def test_many_files_are_synced_at_the_end_of_a_process(tmp_path: Path) -> None:
    """Where no thread can be started any more, they are synced one after another."""
    for number in range(50):
        (tmp_path / str(number)).touch()
    argv = (sys.executable, "-c", AT_EXIT, str(tmp_path))
    done = subprocess.run(argv, env=trainings.environment(), capture_output=True, check=False)
    assert (done.returncode, done.stdout.split(), done.stderr) == (0, [b"50"], b"")
