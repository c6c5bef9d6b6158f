"""The files of a folder that is logged whole."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from gitml.errors import UsageError
from gitml.tracking.walk import files_under


def names(folder: Path) -> list[str]:
    """The paths of the files under a folder."""
    return [name for _, name in files_under(folder)]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with files in it and below."""
    for name in ("b.txt", "a/z.txt", "a/b/c.txt", ".hidden", "a b/ü.txt"):
        path = tmp_path / "logged" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    (tmp_path / "logged" / "empty").mkdir()
    return tmp_path / "logged"


def test_every_file_comes_once_in_order(folder: Path) -> None:
    """Hidden ones too, those of a folder together; an empty folder has none."""
    found = list(files_under(folder))
    assert [name for _, name in found] == [
        ".hidden", "a/b/c.txt", "a/z.txt", "a b/ü.txt", "b.txt",
    ]  # fmt: skip
    assert [path.read_text() for path, _ in found] == [name for _, name in found]


def test_a_folder_without_files_has_none(tmp_path: Path) -> None:
    """It is no error to log nothing."""
    assert names(tmp_path) == []


@pytest.mark.parametrize("name", ["file", "nothing"])
def test_only_a_folder_is_walked(tmp_path: Path, name: str) -> None:
    """A file, and what is not there, are refused by name."""
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match="is not a folder"):
        names(tmp_path / name)


needs_links = pytest.mark.skipif(os.name == "nt", reason="links need a right there")


@needs_links
def test_a_link_to_a_file_inside_is_that_file(folder: Path) -> None:
    """By its own name, whether the link is relative or not."""
    (folder / "a" / "link").symlink_to("../b.txt")
    (folder / "whole").symlink_to(folder / "b.txt")
    found = {name: path.read_text() for path, name in files_under(folder)}
    assert (found["a/link"], found["whole"]) == ("b.txt", "b.txt")


@needs_links
@pytest.mark.parametrize(
    ("target", "words"),
    [
        ("../outside", "leads out of the folder"),
        ("a", "leads out of the folder, or to a folder"),
        (".", "or to a folder"),
        ("nowhere", "leads nowhere"),
        ("link", "leads nowhere"),
    ],
)
def test_any_other_link_is_refused(folder: Path, target: str, words: str) -> None:
    """One that leaves the folder, to a folder, to nothing, or to itself."""
    (folder.parent / "outside").write_text("secret")
    (folder / "link").symlink_to(target)
    with pytest.raises(UsageError, match=f"'link' is a link that .*{words}"):
        names(folder)


@needs_links
def test_the_folder_itself_may_be_behind_a_link(folder: Path) -> None:
    """What counts is where its files are."""
    (folder.parent / "behind").symlink_to(folder)
    assert len(names(folder.parent / "behind")) == 5
