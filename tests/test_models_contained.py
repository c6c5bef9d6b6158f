"""Tests of paths and files in a stranger's folder: they are in it, and they are files."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gitml.errors import FormatError, GitmlError
from gitml.models.contained import files_of, inside
from gitml.models.private import is_private
from gitml.tracking.walk import files_under

needs_posix = pytest.mark.skipif(sys.platform == "win32", reason="made of POSIX files")


@given(st.text(max_size=30))
def test_a_path_stays_inside_or_is_refused(
    tmp_path_factory: pytest.TempPathFactory, name: str
) -> None:
    """Whatever a text names, it is a place in the folder or an error."""
    folder = tmp_path_factory.getbasetemp() / "inside"
    folder.mkdir(exist_ok=True)
    for text in (name, f"a/{name}", f"{name}/..", f"../{name}"):
        try:
            path = inside(folder, text, "data")
        except FormatError:
            continue
        assert path.resolve().is_relative_to(folder.resolve())
        assert ".." not in text.split("/")


@pytest.mark.parametrize(
    "name",
    [
        "/etc", "..", "a/../b", "a/..", "\\etc", "a\\b", "C:", "C:/a", "c:a", "file:///a",
        "s3:/a/b", "a\0b", "//a", 1, None, ["a"],
    ],
)  # fmt: skip
def test_what_is_no_relative_path_is_refused(tmp_path: Path, name: object) -> None:
    """Absolute paths, drives, URLs, backslashes, NULs and steps upwards, in one line."""
    with pytest.raises(FormatError) as refused:
        inside(tmp_path, name, "MLmodel: data")
    assert str(refused.value).startswith("MLmodel: data")
    assert str(refused.value).isprintable()


@pytest.mark.parametrize("name", ["a", "a/b", "a//b", "a/", ".", "", "%2e%2e/a", "~", "...", "é"])
def test_a_relative_path_need_not_be_there(tmp_path: Path, name: str) -> None:
    """A name is taken as it is written, and nothing is decoded in it."""
    assert inside(tmp_path, name, "data") == tmp_path / name


@needs_posix
def test_a_path_goes_through_no_link(tmp_path: Path) -> None:
    """Not even through one that stays in the folder, and not at its end."""
    (tmp_path / "real").mkdir()
    (tmp_path / "real" / "file").touch()
    (tmp_path / "link").symlink_to("real")
    (tmp_path / "real" / "link").symlink_to("file")
    for name in ("link", "link/file", "real/link", "real/./link", "link/nothing"):
        with pytest.raises(FormatError, match="is a symbolic link"):
            inside(tmp_path, name, "data")
    assert inside(tmp_path, "real/file", "data").is_file()


@needs_posix
def test_the_files_of_a_folder_are_listed_without_links(tmp_path: Path) -> None:
    """Files come sorted with their path; a link to one of them is not followed."""
    (tmp_path / "b" / "c").mkdir(parents=True)
    for name in ("a", "b/c/d", "b/e"):
        (tmp_path / name).touch()
    (tmp_path / "link").symlink_to("b")
    (tmp_path / "z").symlink_to("a")
    assert list(files_of(tmp_path)) == [
        (tmp_path / name, name) for name in ("a", "b/c/d", "b/e")
    ]  # fmt: skip


@needs_posix
def test_folders_without_end_are_refused(tmp_path: Path) -> None:
    """What is too deep for a walk is told in words, by every walk over a model."""
    deep = tmp_path.joinpath(*["d"] * 300)
    deep.mkdir(parents=True)
    for walk in (files_of, files_under):
        with pytest.raises(GitmlError, match="more than 200 folders deep"):
            list(walk(tmp_path))
    with pytest.raises(GitmlError, match="more than 200 folders deep"):
        is_private(tmp_path)
