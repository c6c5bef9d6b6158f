"""A temporary work tree of the caller's repository, in which a project runs.

It has a folder in the user's cache folder, with a lock that its process holds. What a process
that was killed left there is taken away by the next one.
"""

from __future__ import annotations

import contextlib
import os
import posixpath
import re
import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path

from gitml import caches, git, locks
from gitml.errors import FormatError, GitError, GitmlError, UsageError, shown
from gitml.projects import large_files
from gitml.tracking.place import Place, place_of, set_owner

_REPOSITORY = "repository"  # a file that names the git folder that has the work tree
CODE = "code"  # the work tree, below the folder
_LINK, _MODULE = b"120000", b"160000"


@contextlib.contextmanager
def workspace() -> Iterator[Path]:
    """A new folder for the length of a block; with the work tree in it, if there is one, it goes.

    Raises StorageError when there is no place for it.
    """
    folder = caches.folder("projects") / secrets.token_hex(8)
    with locks.held(folder.with_suffix(".lock"), remove=True):
        folder.mkdir(mode=0o700)
        try:
            yield folder
        finally:
            _remove(folder)


def pattern() -> str:
    """A regular expression for the top of any such work tree, as the beginning of a path."""
    top = re.escape(str(caches.folder("projects")))
    sep = re.escape(os.sep)
    return f"{top}{sep}[0-9a-f]{{16}}{sep}{CODE}{sep}"


def sweep() -> None:
    """Take away the folders of processes that died."""
    with contextlib.suppress(GitmlError, OSError):
        for folder in [path for path in caches.folder("projects").iterdir() if path.is_dir()]:
            with contextlib.suppress(GitmlError, OSError):
                _sweep(folder)


def _sweep(folder: Path) -> None:
    descriptor = locks.acquire(folder.with_suffix(".lock"))
    if descriptor is None:
        return  # its process lives
    try:
        _remove(folder)
        folder.with_suffix(".lock").unlink(missing_ok=True)
    finally:
        locks.release(descriptor)


def _remove(folder: Path) -> None:
    with contextlib.suppress(OSError, GitmlError):
        common = Path(os.fsdecode((folder / _REPOSITORY).read_bytes()))
        repo = git.Repository(None, common, common)
        git.attempt(repo, "worktree", "remove", "--force", "--force", "--", str(folder / CODE))
        shutil.rmtree(folder / CODE, ignore_errors=True)
        git.attempt(repo, "worktree", "prune")
    shutil.rmtree(folder, ignore_errors=True)


def check_out(place: Place, owner: Path, commit: str, folder: Path) -> Place:
    """Write a commit into a work tree below `folder`; the place of its runs, with all of `owner`'s.

    No hook and no filter runs; files of Git LFS stay pointers. Raises FormatError for a commit with
    a link that leads out of it.
    """
    links = check_links(place.repo, commit)
    (folder / _REPOSITORY).write_bytes(os.fsencode(place.repo.common_dir))
    target = folder / CODE
    off = git.without_filters(place.repo)
    try:
        args = ("worktree", "add", "--detach", "--quiet", "--", str(target), commit)
        git.run(place.repo, *off, *args)
    except GitError as error:
        raise GitError(f"the project can't be checked out: {error}") from None
    repo = git.find(target)
    if repo.root is None or repo.root.resolve() != target.resolve():
        raise GitError("the project can't be checked out: its folder is no work tree")
    for name in links:  # one link may lead through another
        if not (target / name).resolve().is_relative_to(target.resolve()):
            raise _outside(name)
    set_owner(repo, owner)
    return place_of(repo, target)


def inside(top: Path, subdirectory: str) -> Path:
    """The folder of a project in its checkout; UsageError when there is none, or outside."""
    folder = top / subdirectory
    if not folder.resolve().is_relative_to(top.resolve()) or ".git" in Path(subdirectory).parts:
        raise UsageError(f"the subdirectory {shown(subdirectory)} is outside the project")
    if not folder.is_dir():
        raise UsageError(f"the project has no folder {shown(subdirectory)}")
    return folder


def lacking(repo: git.Repository) -> list[str]:
    """What the work tree lacks of its commit, in words: submodules, and files of Git LFS."""
    empty = [path for path in modules(repo) if repo.root and not any((repo.root / path).iterdir())]
    said = [f"the submodule {shown(name)} is not fetched; its folder is empty" for name in empty]
    files = [path.relative_to(repo.place).as_posix() for path in large_files.pointers(repo)]
    if files:
        some = ", ".join(map(shown, files[:3])) + (", ..." if len(files) > 3 else "")
        said.append(f"what Git LFS holds is not fetched; there are pointers in {some}")
    return said


def modules(repo: git.Repository) -> dict[str, str]:
    """The submodules of the commit in a work tree: their paths, and the commits there."""
    listed = git.run(repo, "ls-tree", "-r", "-z", "--full-tree", "HEAD")
    entries = (line.partition(b"\t") for line in listed.split(b"\0") if line)
    return {
        os.fsdecode(path): meta.split(b" ")[2].decode()
        for meta, _, path in entries
        if meta[:6] == _MODULE
    }


def check_links(repo: git.Repository, commit: str) -> list[str]:
    """The links of a commit, none of which leads out of it: to read one would read other files."""
    listed = git.run(repo, "ls-tree", "-r", "-z", "--full-tree", commit)
    entries = (line.partition(b"\t") for line in listed.split(b"\0") if line)
    links = [(meta.split(b" ")[2].decode(), path) for meta, _, path in entries if meta[:6] == _LINK]
    targets = git.read_objects(repo, [blob for blob, _ in links])
    for (_, path), target in zip(links, targets, strict=True):
        name, aim = os.fsdecode(path), os.fsdecode(target).replace("\\", "/")
        there = posixpath.normpath(posixpath.join(posixpath.dirname(name), aim))
        if posixpath.isabs(aim) or ":" in aim or there.split("/")[0] in ("..", ".git"):
            raise _outside(name)
    return [os.fsdecode(path) for _, path in links]


def _outside(name: str) -> FormatError:
    return FormatError(f"the project's link {shown(name)} leads out of it; it can't be run")
