"""What a bundle has brought, looked at by kind, size and name before any of it is read.

It is a stranger's. Refused is what no tree may hold, such as `..` and `.git`, what would be too
much to read, and what a run has no use for.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Collection, Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from gitml import git
from gitml.errors import FormatError, GitError, UsageError, shown
from gitml.tracking.commits import RUN_FOLDER

_MEGABYTE = 1 << 20
LARGEST_FILE = 512 * _MEGABYTE
LARGEST = {"commit": _MEGABYTE, "tree": 16 * _MEGABYTE, "blob": 64 * _MEGABYTE}
LARGEST_RECORD = 16 * _MEGABYTE  # run.json, which has no more than two thousand artifacts
MOST_BYTES = 1024 * _MEGABYTE  # of all that is new, unpacked
MOST_OBJECTS = 200_000
_LONGEST_HEAD = _MEGABYTE  # with the names of a thousand runs and what the bundle stands on
_PLAIN, _PROGRAM = "100644", "100755"


def check_file(file: Path) -> None:
    """Refuse a file that git would have to read for too long to say what is in it."""
    try:
        if not file.is_file():  # one that is a pipe is never at its end
            raise UsageError(f"{shown(str(file))} is no file")
        size = file.stat().st_size
        with file.open("rb") as opened:
            head, ends, pack = opened.read(_LONGEST_HEAD).partition(b"\n\n")
    except OSError as error:
        raise UsageError(f"{shown(str(file))} can't be read: {error.strerror}") from None
    if size > LARGEST_FILE:
        raise FormatError(_more("the bundle has", size, LARGEST_FILE))
    if not ends and size > len(head):
        raise FormatError(f"the bundle says what it has in more than {_LONGEST_HEAD} bytes")
    count = int.from_bytes(pack[8:12], "big")  # gitformat-pack(5)
    if count > MOST_OBJECTS:
        raise FormatError(f"the bundle has {count} objects, at most {MOST_OBJECTS} are allowed")


def check_objects(repo: git.Repository, file: Path) -> None:
    """Refuse a bundle with what git itself refuses of others. Raises FormatError."""
    with file.open("rb", buffering=0) as pack:
        head = pack.read(_LONGEST_HEAD).partition(b"\n\n")[0]
        pack.seek(len(head) + 2)
        try:
            git.check_pack(repo, pack)
        except GitError as error:
            raise FormatError(f"the bundle can't be taken: {error}") from None


def check_sizes(repo: git.Repository, commits: Iterable[str], known: Sequence[str]) -> None:
    """Refuse commits that bring an object, or in all, more than it may be. Raises FormatError."""
    asked = "".join(f"{it}\n" for it in (*commits, *(f"^{it}" for it in known))).encode()
    ids = git.run(repo, "rev-list", "--objects", "--no-object-names", "--stdin", input=asked)
    form = "--batch-check=%(objecttype) %(objectsize) %(objectname)"
    told = git.run(repo, "cat-file", form, "--buffer", input=ids).decode()
    total = 0
    for kind, size, id in (line.split(" ") for line in told.splitlines()):
        total += int(size)
        if int(size) > LARGEST.get(kind, 0):
            raise FormatError(_more(f"the {kind} {id[:12]} has", int(size), LARGEST.get(kind, 0)))
    if total > MOST_BYTES:
        raise FormatError(_more("the bundle has unpacked", total, MOST_BYTES))


def _more(what: str, size: int, most: int) -> str:
    return f"{what} {size / _MEGABYTE:.1f} MB, at most {most // _MEGABYTE} MB are allowed"


# -- names ---------------------------------------------------------------------------------


class _Entry(NamedTuple):
    mode: str
    id: str
    path: str


def check_tree(repo: git.Repository, commit: str, code: str) -> None:
    """Refuse a run's tree with other things than files where `code`, its commit, has none.

    So it is with links, submodules, and names that are another's in other case or another form of
    Unicode: these would be one file where somebody checks the run out. Raises FormatError.
    """
    _check_record(repo, commit)
    entries = list(_entries(repo, commit))
    known = set(_entries(repo, code))
    for entry in entries:
        what = _KINDS.get(entry.mode, "no plain file")
        if entry.path.startswith(f"{RUN_FOLDER}/") and entry.mode != _PLAIN:
            raise FormatError(f"{shown(entry.path)} is {what}")
        if entry.mode not in (_PLAIN, _PROGRAM) and entry not in known:
            raise FormatError(f"{shown(entry.path)} is {what}; commit that first")
    _check_names([it.path for it in entries], {it.path for it in known})


_KINDS = {"120000": "a symbolic link", "160000": "a submodule", _PROGRAM: "a program"}


def _check_record(repo: git.Repository, commit: str) -> None:
    asked = f"{commit}:{RUN_FOLDER}/run.json\n".encode()
    size = git.run(repo, "cat-file", "--batch-check=%(objectsize)", input=asked).strip()
    if size.isdigit() and int(size) > LARGEST_RECORD:
        raise FormatError(_more("run.json has", int(size), LARGEST_RECORD))


def _entries(repo: git.Repository, commit: str) -> Iterator[_Entry]:
    """What is in the tree of a commit."""
    out = git.run(repo, "ls-tree", "-r", "-z", "--full-tree", commit)
    for line in out.split(b"\0")[:-1]:
        meta, _, path = line.partition(b"\t")
        mode, _, id = meta.decode().split(" ")
        yield _Entry(mode, id, path.decode("utf-8", "surrogateescape"))


def _check_names(paths: Iterable[str], known: Collection[str]) -> None:
    """Refuse new paths that fall together with others, or their folders with others' folders."""
    seen: dict[str, tuple[str, bool]] = {}
    for path in paths:
        is_new = path not in known
        for name in _with_folders(path):
            other, was_new = seen.setdefault(_folded(name), (name, is_new))
            if other != name and (is_new or was_new):
                raise FormatError(f"{shown(name)} and {shown(other)} are told apart by case alone")


def _with_folders(path: str) -> Iterator[str]:
    parts = path.split("/")
    for length in range(1, len(parts) + 1):
        yield "/".join(parts[:length])


def _folded(name: str) -> str:
    return unicodedata.normalize("NFC", unicodedata.normalize("NFD", name).casefold())
