"""The digest of a model: it stands for every byte and every name, and for nothing else."""

from __future__ import annotations

import hashlib
import os
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gitml.errors import FormatError, GitmlError
from gitml.models.digest import digest, digest_of_folder

NAMES = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1)
FILES = st.dictionaries(NAMES, st.binary())


def entries(files: dict[str, bytes]) -> list[tuple[str, str, int]]:
    """Files as the digest takes them."""
    return [(name, hashlib.sha256(data).hexdigest(), len(data)) for name, data in files.items()]


def test_the_digest_is_that_of_a_list_that_anyone_can_make() -> None:
    """Its definition, in other words: the sha256 of a line for each file."""
    files = {"b": b"two", "a/c": b"", "a.b": b"one"}
    lines = "".join(
        f"{hashlib.sha256(files[name]).hexdigest()} {len(files[name])} {name}\n"
        for name in ("a.b", "a/c", "b")
    )
    assert digest(entries(files)) == f"sha256:{hashlib.sha256(lines.encode()).hexdigest()}"


@given(FILES, st.randoms())
def test_the_order_of_the_files_does_not_matter(files: dict[str, bytes], chance: object) -> None:
    """A file system may list them in any."""
    shuffled = entries(files)
    chance.shuffle(shuffled)  # type: ignore[attr-defined]
    assert digest(shuffled) == digest(entries(files))


@given(FILES, FILES)
def test_other_files_have_another_digest(left: dict[str, bytes], right: dict[str, bytes]) -> None:
    """Two models have one digest only if they have the same names and the same bytes."""
    assert (digest(entries(left)) == digest(entries(right))) is (left == right)


@pytest.mark.parametrize(
    "files",
    [
        [("", "0" * 64, 1)], [("a\nb", "0" * 64, 1)], [("a\rb", "0" * 64, 1)],
        [("a\0", "0" * 64, 1)], [("\ud800", "0" * 64, 1)], [("a", "0" * 63, 1)],
        [("a", "G" * 64, 1)], [("a", "0" * 64, -1)], [("a", "0" * 64, 1), ("a", "1" * 64, 1)],
    ],
)  # fmt: skip
def test_what_would_make_two_lists_alike_is_refused(files: list[tuple[str, str, int]]) -> None:
    """No name can be taken for a line, no file stands twice, no sum is missing."""
    with pytest.raises(FormatError) as caught:
        digest(files)
    assert "\n" not in str(caught.value)


def test_a_folder_has_the_digest_of_its_files(tmp_path: Path) -> None:
    """Read from the disk, hidden ones and those in folders too; empty folders don't count."""
    files = {"MLmodel": b"flavors", "data/model.bin": b"\0\xff", ".hidden": b"h", "ünï": b""}
    for name, data in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(data)
    (tmp_path / "empty").mkdir()
    assert digest_of_folder(tmp_path) == digest(entries(files))
    (tmp_path / "data/model.bin").write_bytes(b"\0\xfe")
    assert digest_of_folder(tmp_path) != digest(entries(files))


@pytest.mark.skipif(sys.platform == "win32", reason="made of POSIX files")
def test_only_files_of_the_folder_have_a_digest(tmp_path: Path) -> None:
    """A link inside counts as its file; one that leads out, and a pipe, are refused."""
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "a").write_bytes(b"data")
    (folder / "b").symlink_to("a")
    assert digest_of_folder(folder) == digest(entries({"a": b"data", "b": b"data"}))
    (tmp_path / "out").write_bytes(b"data")
    (folder / "c").symlink_to("../out")
    with pytest.raises(GitmlError):
        digest_of_folder(folder)
    (folder / "c").unlink()
    os.mkfifo(folder / "c")
    with pytest.raises(GitmlError):
        digest_of_folder(folder)
