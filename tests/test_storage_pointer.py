"""Tests of pointers and manifests: DVC's bytes, and nothing hostile gets through."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from gitml.errors import FormatError
from gitml.storage import Entry, Pointer, parse_pointer, pointer_text
from gitml.storage.manifest import manifest_bytes, manifest_id, parse_manifest

MD5 = "5784a734e3fc87f9ce09fd32de721ef7"
IDS = st.text("0123456789abcdef", min_size=32, max_size=32)
SIZES = st.integers(0, 2**62)
POINTERS = st.builds(Pointer, IDS, SIZES) | st.builds(
    Pointer, IDS.map(lambda md5: md5 + ".dir"), SIZES, SIZES
)
NAMES = st.text(min_size=1, max_size=80).filter(
    lambda name: name.isprintable() and "/" not in name and name not in (".", "..")
)


# -- pointers ------------------------------------------------------------------------------


def test_a_file_pointer_has_the_layout_of_dvc() -> None:
    """Md5, size, hash and path, in this order."""
    assert pointer_text(Pointer(MD5, 500), "single.bin") == (
        f"outs:\n- md5: {MD5}\n  size: 500\n  hash: md5\n  path: single.bin\n"
    )


def test_a_folder_pointer_counts_its_files() -> None:
    """A folder has `nfiles` between size and hash."""
    assert pointer_text(Pointer(f"{MD5}.dir", 1006, 2), "model") == (
        f"outs:\n- md5: {MD5}.dir\n  size: 1006\n  nfiles: 2\n  hash: md5\n  path: model\n"
    )


@given(POINTERS, NAMES)
def test_what_is_written_is_read_back(pointer: Pointer, name: str) -> None:
    """Any pointer under any name survives the round trip."""
    assert parse_pointer(pointer_text(pointer, name).encode(), "x.dvc") == pointer


@given(POINTERS, NAMES | st.sampled_from(["a.bin", "yes", "Null", "1e5", "0x1", "-x", "a: b"]))
def test_the_text_is_what_the_yaml_library_of_dvc_writes(pointer: Pointer, name: str) -> None:
    """The quick writer knows when quotes are needed."""
    from dvc.utils.serialize import dumps_yaml

    nfiles = {} if pointer.nfiles is None else {"nfiles": pointer.nfiles}
    output = {"md5": pointer.md5, "size": pointer.size, **nfiles, "hash": "md5", "path": name}
    assert pointer_text(pointer, name) == dumps_yaml({"outs": [output]})


def test_ids_that_look_like_numbers_are_quoted() -> None:
    """An md5 of digits, or with one e, stays text for every YAML reader."""
    for md5 in ("1" * 32, "1" * 15 + "e" + "2" * 16, "0b" + "01" * 15):
        pointer = Pointer(md5, 1)
        assert parse_pointer(pointer_text(pointer, "x").encode(), "x.dvc") == pointer
        assert f"md5: '{md5}'" in pointer_text(pointer, "x")


def test_other_layouts_are_read() -> None:
    """A pointer that somebody has edited or that another DVC wrote is still one."""
    text = (
        f"wdir: .\nouts:\n  - path: m\n    hash: md5\n    md5: {MD5}\n    size: 3\n    desc: hi\n"
    )
    assert parse_pointer(text.encode(), "m.dvc") == Pointer(MD5, 3)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "no single output"),
        ("outs: []", "no single output"),
        (f"outs:\n- md5: {MD5}\n  size: 1\n  path: a", "DVC 2 or older"),
        ("outs:\n- md5: ../../../../etc/passwd\n  size: 1\n  hash: md5\n", "lacks the md5"),
        (f"outs:\n- md5: {MD5.upper()}\n  size: 1\n  hash: md5\n", "lacks the md5"),
        (f"outs:\n- md5: {MD5}\n  hash: md5\n", "lacks the md5 or the size"),
        (f"outs:\n- md5: {MD5}\n  size: -1\n  hash: md5\n", "lacks the md5 or the size"),
        (f"outs:\n- md5: {MD5}.dir\n  size: 1\n  hash: md5\n", "has `nfiles`"),
        (f"outs:\n- md5: {MD5}\n  size: 1\n  nfiles: 2\n  hash: md5\n", "has `nfiles`"),
        ("outs: &a [*a]", "m.dvc"),
        ("!!python/object/apply:os.system ['true']", "m.dvc"),
        ("\0", "m.dvc"),
    ],
)
def test_what_is_no_pointer_is_refused(text: str, problem: str) -> None:
    """One line that names the file and says what is wrong."""
    with pytest.raises(FormatError, match=problem) as caught:
        parse_pointer(text.encode(), "m.dvc")
    assert "m.dvc" in str(caught.value)


@pytest.mark.parametrize("md5", ["", MD5[:-1], MD5 + "0", MD5 + "\n", f"{MD5}.dir.dir", "../" * 11])
def test_a_pointer_holds_an_object_id(md5: str) -> None:
    """No path can be made from anything but 32 hex digits."""
    with pytest.raises(FormatError, match="not the id of a DVC object"):
        Pointer(md5, 0)


# -- manifests -----------------------------------------------------------------------------


def test_a_manifest_has_the_bytes_of_dvc() -> None:
    """Sorted by path, sorted keys, one line, ASCII."""
    data = manifest_bytes([Entry("z/ö.txt", MD5), Entry("a", "0" * 32)])
    assert data == (
        b'[{"md5": "' + b"0" * 32 + b'", "relpath": "a"}, '
        b'{"md5": "' + MD5.encode() + b'", "relpath": "z/\\u00f6.txt"}]'
    )
    assert manifest_id(b"[]") == "d751713988987e9331980363e24189ce.dir"


PARTS = st.text(min_size=1, max_size=8).filter(
    lambda part: (
        part not in (".", "..") and not set(part) & set("/\\\0:") and ".g" not in part.lower()
    )
)


@given(st.dictionaries(st.lists(PARTS, min_size=1, max_size=3).map("/".join), IDS))
def test_a_manifest_is_read_back(tree: dict[str, str]) -> None:
    """Any folder that a manifest can be made of is read back the same."""
    try:
        data = manifest_bytes(Entry(*item) for item in tree.items())
    except FormatError:
        assume(False)
    assert parse_manifest(data, "it") == sorted(Entry(*item) for item in tree.items())


@pytest.mark.parametrize(
    "relpath",
    """../x a/../../x /etc/passwd a//b a/ . .. a/./b ..\\x a\\..\\b C:\\x C:x \\\\server\\x a\0b
    .git .git/hooks/post-checkout x/.GIT/config .g\u200cit/config git~1/config .git./config
    .git::$INDEX_ALLOCATION/config \ud800""".split(),
)
def test_a_manifest_reaches_no_place_outside_its_folder(relpath: str) -> None:
    """A hostile path is refused, in what is read and in what is written."""
    data = json.dumps([{"md5": MD5, "relpath": relpath}]).encode()
    with pytest.raises(FormatError, match="the folder lists"):
        parse_manifest(data, "the folder")
    with pytest.raises(FormatError, match="the folder lists"):
        manifest_bytes([Entry(relpath, MD5)])


@pytest.mark.parametrize(
    ("rows", "problem"),
    [
        ([{"md5": MD5, "relpath": ""}], "absolute or leaves"),
        ([{"md5": MD5, "relpath": 7}], "not text"),
        ([{"md5": MD5, "relpath": "a"}, {"md5": MD5, "relpath": "a"}], "'a' twice"),
        ([{"md5": MD5, "relpath": "a/b"}, {"md5": MD5, "relpath": "a"}], "a file and as a folder"),
        ([{"md5": "../../x", "relpath": "a"}], "without an md5"),
        ([{"md5": f"{MD5}.dir", "relpath": "a"}], "without an md5"),
        ([{"relpath": "a"}], "not the manifest"),
        ({"md5": MD5}, "not the manifest"),
        ([MD5], "not the manifest"),
        (3, "not the manifest"),
    ],
)
def test_a_damaged_manifest_is_refused(rows: Any, problem: str) -> None:
    """What is not a list of files with an md5 each is named."""
    with pytest.raises(FormatError, match=problem):
        parse_manifest(json.dumps(rows).encode(), "the folder")


def test_names_that_only_look_like_git_are_kept() -> None:
    """A .gitignore in a logged folder is a file like any other."""
    entries = [Entry(path, MD5) for path in (".gitignore", "a/.gitattributes", "digit~1", "x.git")]
    assert parse_manifest(manifest_bytes(entries), "it") == sorted(entries)
