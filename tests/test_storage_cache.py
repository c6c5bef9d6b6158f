"""Tests of the cache: DVC's layout, atomic, durable, safe among many writers."""

from __future__ import annotations

import errno
import os
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from gitml import files
from gitml.errors import FormatError, StorageError
from gitml.files import hash_file
from gitml.storage import Cache, Entry, Pointer
from gitml.storage import folder as folder_module
from tests.artifacts import MODEL, objects_in, overwrite, store_file, store_folder

HELLO = "5d41402abc4b2a76b9719d911017c592"


@pytest.fixture
def cache(tmp_path: Path) -> Cache:
    """The cache of this clone, empty."""
    return Cache(tmp_path / "cache")


def test_an_object_lies_where_dvc_looks_for_it(cache: Cache, tmp_path: Path) -> None:
    """files/md5, two digits, thirty digits; read-only."""
    assert not cache.has(HELLO)
    assert store_file(cache, tmp_path, b"hello") == Pointer(HELLO, 5)
    path = tmp_path / "cache" / "files" / "md5" / HELLO[:2] / HELLO[2:]
    assert path.read_bytes() == b"hello"
    assert stat.S_IMODE(path.stat().st_mode) & 0o222 == 0
    assert cache.has(HELLO)
    assert cache.path(HELLO) == path


def test_the_staged_file_is_moved(cache: Cache, tmp_path: Path) -> None:
    """Nothing stays behind: not the staged file, no draft."""
    store_file(cache, tmp_path, b"hello")
    assert [path.name for path in tmp_path.iterdir()] == ["cache"]
    assert [path.name for path in (tmp_path / "cache/files/md5").iterdir()] == [HELLO[:2]]


def test_the_same_object_again_heals_it(cache: Cache, tmp_path: Path) -> None:
    """The bytes that were hashed a moment ago replace what lies there."""
    store_file(cache, tmp_path, b"hello")
    overwrite(cache.path(HELLO), b"hexxo")
    store_file(cache, tmp_path, b"hello")
    assert cache.path(HELLO).read_bytes() == b"hello"


def test_a_file_from_another_file_system_is_copied(
    cache: Cache, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where a rename is impossible the object still appears by one."""
    staged = tmp_path / "staged"
    staged.write_bytes(b"hello")
    real = folder_module.replace

    def replace(path: Path, target: Path) -> None:
        if path == staged:
            raise OSError(18, "Invalid cross-device link")
        real(path, target)

    monkeypatch.setattr(folder_module, "replace", replace)
    cache.add_file(staged, HELLO)
    assert cache.path(HELLO).read_bytes() == b"hello"
    assert not staged.exists()


def test_many_writers_of_one_object_agree(cache: Cache, tmp_path: Path) -> None:
    """Processes and threads that store the same bytes all succeed."""
    threads = [
        threading.Thread(target=store_file, args=(cache, tmp_path, b"hello" * 1000))
        for _ in range(16)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    (md5,) = objects_in(cache.root)
    assert cache.verified(md5).read_bytes() == b"hello" * 1000


def test_the_bytes_are_on_the_disk_before_the_name_is(
    cache: Cache, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Power loss: the file is synced, then renamed, then the folders that got a name are synced."""
    events: list[tuple[str, str]] = []
    sync, replace = files.sync, folder_module.replace
    cache.temporary()  # the folders above are there
    staged = tmp_path / "staged"
    staged.write_bytes(b"hello")

    def noted_sync(path: Path) -> None:
        events.append(("sync", path.name))
        sync(path)

    def noted_replace(path: Path, target: Path) -> None:
        events.append(("rename", target.name))
        replace(path, target)

    monkeypatch.setattr(files, "sync", noted_sync)
    monkeypatch.setattr(folder_module, "replace", noted_replace)
    cache.add_file(staged, HELLO)
    assert events[:2] == [("sync", "staged"), ("rename", HELLO[2:])]
    assert set(events[2:]) == {("sync", HELLO[:2]), ("sync", "md5")}


def test_a_tree_is_a_manifest_of_its_files(cache: Cache, tmp_path: Path) -> None:
    """The id, the total size and the number of files; and it is read back sorted."""
    pointer = store_folder(cache, tmp_path, {"b/hello": b"hello", "a": b""})
    assert pointer.size == 5
    assert pointer.nfiles == 2
    assert pointer.is_dir
    listed = cache.manifest(pointer.md5)
    assert listed == [Entry("a", "d41d8cd98f00b204e9800998ecf8427e"), Entry("b/hello", HELLO)]


def test_a_tree_with_a_path_nobody_could_read_is_refused(cache: Cache) -> None:
    """What a reader would refuse is not written in the first place."""
    with pytest.raises(FormatError, match="leaves the folder"):
        cache.add_tree([("../x", HELLO, 5)])


def test_paths_are_made_of_object_ids_only(cache: Cache) -> None:
    """Nothing that is no id becomes a path."""
    for md5 in ("../../../../etc/passwd", "", "xyz", HELLO + "/.."):
        with pytest.raises(FormatError, match="not the id of a DVC object"):
            cache.path(md5)


@pytest.mark.parametrize("bad", [b"hexxo", b"hell", b""])
def test_a_damaged_object_is_set_aside(cache: Cache, tmp_path: Path, bad: bytes) -> None:
    """Flipped or cut, it is named, kept for a look, and no longer in the cache."""
    store_file(cache, tmp_path, b"hello")
    overwrite(cache.path(HELLO), bad)
    with pytest.raises(StorageError, match=f"{HELLO} in the local cache is damaged"):
        cache.verified(HELLO)
    assert not cache.has(HELLO)
    assert (cache.root / "damaged" / HELLO).read_bytes() == bad


def test_a_damaged_manifest_is_set_aside(cache: Cache, tmp_path: Path) -> None:
    """A manifest is hashed whenever it is read."""
    pointer = store_folder(cache, tmp_path, MODEL)
    overwrite(cache.path(pointer.md5), b"[]")
    with pytest.raises(StorageError, match="is damaged"):
        cache.manifest(pointer.md5)
    with pytest.raises(StorageError, match="is not in the local cache"):
        cache.manifest(pointer.md5)


def test_objects_lists_what_is_there(cache: Cache, tmp_path: Path) -> None:
    """Id, size and age of each object, nothing else that lies around."""
    assert list(cache.objects()) == []
    pointer = store_folder(cache, tmp_path, MODEL)
    cache.temporary().write_bytes(b"draft")
    (cache.root / "files/md5/README").write_text("hi")
    (cache.root / "files/md5/ab").mkdir(exist_ok=True)
    (cache.root / "files/md5/ab/notes.txt").write_text("hi")
    found = {item.md5: item for item in cache.objects()}
    assert set(found) == {pointer.md5, *(entry.md5 for entry in cache.manifest(pointer.md5))}
    assert found[pointer.md5].size == cache.path(pointer.md5).stat().st_size
    assert found[pointer.md5].modified == cache.path(pointer.md5).stat().st_mtime


def test_remove_forgets_an_object(cache: Cache, tmp_path: Path) -> None:
    """Removing twice is no error."""
    store_file(cache, tmp_path, b"hello")
    cache.remove(HELLO)
    cache.remove(HELLO)
    assert not cache.has(HELLO)


def test_sweep_removes_old_drafts_only(cache: Cache, tmp_path: Path) -> None:
    """What a killed writer left goes after a day; objects and fresh drafts stay."""
    store_file(cache, tmp_path, b"hello")
    old, new = cache.temporary(), cache.temporary()
    for draft in (old, new):
        draft.write_bytes(b"x")
    os.utime(old, (0, 0))
    os.utime(cache.path(HELLO), (0, 0))
    cache.sweep()
    assert not old.exists()
    assert new.exists()
    assert cache.has(HELLO)


def test_something_else_at_the_place_of_an_object_is_not_one(cache: Cache, tmp_path: Path) -> None:
    """A link or a folder is no object, and no reader follows it."""
    secret = tmp_path / "secret"
    secret.write_bytes(b"hello")
    path = cache.path(HELLO)
    path.parent.mkdir(parents=True)
    path.symlink_to(secret)
    assert not cache.has(HELLO)
    with pytest.raises(StorageError, match="is not in the local cache"):
        cache.verified(HELLO)


def test_a_disk_that_refuses_is_a_storage_error(cache: Cache, tmp_path: Path) -> None:
    """The message names the object and the folder."""
    staged = tmp_path / "staged"
    staged.write_bytes(b"hello")
    cache.root.write_text("in the way")
    with pytest.raises(StorageError, match=f"can't store {HELLO} in .*cache"):
        cache.add_file(staged, HELLO)
    assert hash_file(staged).md5 == HELLO


@pytest.mark.parametrize("name", ["ENOSPC", "EIO"])
def test_a_failing_disk_is_a_storage_error(
    name: str, cache: Cache, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The staged file stays for the next try, and the errno for whoever wants to know."""
    staged = tmp_path / "staged"
    staged.write_bytes(b"hello")

    def fail(path: Path) -> None:
        raise OSError(getattr(errno, name), os.strerror(getattr(errno, name)))

    monkeypatch.setattr(files, "sync", fail)
    with pytest.raises(StorageError) as caught:
        cache.add_file(staged, HELLO)
    assert isinstance(caught.value.__cause__, OSError)
    assert caught.value.__cause__.errno == getattr(errno, name)
    monkeypatch.undo()
    cache.add_file(staged, HELLO)
    cache.verified(HELLO)


def test_recording_imports_nothing_of_dvc(tmp_path: Path) -> None:
    """Adding to the cache, and pushing to a folder, loads neither DVC nor its libraries."""
    script = """
import sys
from pathlib import Path
from gitml.storage import Cache, Pointer, Remote, materialize, push
from tests.artifacts import store_folder
cache = Cache(Path("cache"))
pointer = store_folder(cache, Path.cwd(), {"a/b": b"hello", "c": b"x"})
push(cache, Remote("gitml", str(Path("remote").absolute())), [pointer])
materialize(cache, pointer, Path("out"))
heavy = {"dvc", "dvc_data", "dvc_objects", "fsspec", "yaml", "numpy", "git"}
print(sorted(heavy & {name.partition(".")[0] for name in sys.modules}))
"""
    root = str(Path(__file__).parent.parent)
    done = subprocess.run(
        (sys.executable, "-c", script),
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": root},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "[]\n"
