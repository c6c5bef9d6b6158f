"""What git knows of a repository here: where it is, its settings, refs and objects."""

from __future__ import annotations

import contextlib
import os
import re
import shlex
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from gitml import locks, process
from gitml.errors import FormatError, GitError, NoRepositoryError, shown
from gitml.files import is_strange, shown_path, work_tree_of
from gitml.git.commands import (
    OPTIONS,
    Repository,
    attempt,
    environment,
    failure,
    run,
    succeeds,
    text,
)

_REPACK_PAUSE = 5.0
LARGEST = 64 << 20  # bytes of a file that is read whole; that of a run has less than one MB

_found: dict[Path, Repository] = {}


def find(start: Path | None = None) -> Repository:
    """The repository that holds `start`, by default the current folder.

    Raises NoRepositoryError, which names `git init`, when there is none.
    """
    try:
        place = (start or Path.cwd()).resolve()
    except FileNotFoundError:
        raise NoRepositoryError(
            "the current folder was deleted; change to another, or name the repository in"
            " GITML_REPO"
        ) from None
    known = _found.get(place)
    if known is None or _is_gone(known):
        known = _found[place] = _discover(place)
    return known


def _is_gone(repo: Repository) -> bool:
    """Whether there is no such repository any more; one that can't be looked at now comes back."""
    try:
        return not (repo.git_dir / "HEAD").exists()
    except OSError:
        return False


def _discover(place: Path) -> Repository:
    asked = ("--git-dir", "--git-common-dir", "--is-inside-work-tree", "--show-toplevel")
    done = attempt(place, "rev-parse", *asked)
    lines = os.fsdecode(done.stdout).split("\n")
    if len(lines) < 4:
        said = done.stderr.decode("utf-8", "replace").strip()
        if "not a git repository" in said or not said:
            where = shown(str(place))
            raise NoRepositoryError(f"{where} is not in a git repository; run: git init")
        raise failure(("rev-parse",), done)
    if len(lines) > len(asked) + 1:
        raise NoRepositoryError(f"{shown(str(place))} has a line break in its path; rename it")
    root = Path(lines[3]) if done.returncode == 0 and lines[2] == "true" else None
    repo = Repository(root, (place / lines[0]).resolve(), (place / lines[1]).resolve())
    if place.is_relative_to(repo.git_dir):
        _check_own(repo.git_dir)
    _check_around(repo)
    _check_home(repo)
    return repo


def _check_around(repo: Repository) -> None:
    """Refuse a `.git` whose settings say that its files are not those around it.

    In a folder that was downloaded they might be the user's home: a run would take a snapshot.
    """
    if repo.root is not None and not _leads_to(repo.root / ".git", repo.git_dir):
        raise NoRepositoryError(
            f"{shown(str(repo.git_dir))} says that its files are in {shown(str(repo.root))}"
            " (core.worktree), which is not the folder that it is in; if you don't want that, run:"
            f" git config --file {shlex.quote(str(repo.git_dir / 'config'))} --unset core.worktree"
        )


def _check_home(repo: Repository) -> None:
    """Refuse links and pipes in gitml's own folder: it removes files there, and waits for none.

    In a folder that was downloaded a link might lead to the user's home.
    """
    with contextlib.suppress(OSError):  # it is not there, or nobody may look into it
        odd = next(filter(is_strange, (repo.home, *repo.home.iterdir())), None)
        if odd is not None:
            kind = "a symbolic link" if odd.is_symlink() else "no file"
            raise NoRepositoryError(
                f"{shown_path(odd)} is {kind}; gitml writes and removes files there, and follows"
                f" no links; to take it away, run: {shlex.join(['rm', str(odd)])}"
            )


def _leads_to(path: Path, git_dir: Path) -> bool:
    """Whether a `.git` is the folder, or the file of a work tree that names it."""
    try:
        if not path.is_file():
            return path.samefile(git_dir)
        text = os.fsdecode(path.read_bytes()).removeprefix("gitdir:").strip()
        return (path.parent / text).samefile(git_dir)
    except (OSError, ValueError):
        return False


def _check_own(git_dir: Path) -> None:
    """Refuse a bare repository among the files of another: its settings came with a clone."""
    outer = work_tree_of(git_dir)
    if outer is None or git_dir.is_relative_to(outer / ".git"):
        return
    if run(outer, "ls-files", "-z", "--", f":(literal){git_dir}"):
        raise NoRepositoryError(
            f"{shown(str(git_dir))} is a bare repository among the files of {shown(str(outer))},"
            " whose settings anybody may have written; move it elsewhere to use it"
        )


def settings(repo: Repository | Path) -> dict[str, str]:
    """The effective git configuration; section and variable in lower case, the last value."""
    raw = run(repo, "config", "--list", "-z").decode("utf-8", "replace")
    pairs = (entry.partition("\n") for entry in raw.split("\0") if entry)
    return {key: value if found else "true" for key, found, value in pairs}


def settings_of_user(repo: Repository, pattern: str) -> list[tuple[str, str]]:
    """The settings whose keys match, and their values, that the user has set, in git's order.

    Those of the repository are left out: a `.git/config` may come with a folder from elsewhere.
    """
    said = attempt(repo, "config", "--show-scope", "-z", "--get-regexp", pattern).stdout
    parts = said.decode("utf-8", "replace").split("\0")
    return [
        (key, value)
        for scope, setting in zip(parts[::2], parts[1::2], strict=False)
        if scope in ("system", "global", "command")
        for key, _, value in [setting.partition("\n")]
    ]


def without_filters(repo: Repository) -> list[str]:
    """The options of git that switch off the filters that the user has set up, such as Git LFS."""
    off = []
    for name in settings(repo):
        if name.startswith("filter.") and name.endswith((".clean", ".process", ".smudge")):
            off += ["-c", f"{name}="]
        elif name.startswith("filter.") and name.endswith(".required"):
            off += ["-c", f"{name}=false"]
    return off


def version(place: Path | None = None) -> tuple[int, ...]:
    """The version of git, such as (2, 39, 5)."""
    words = text(place or Path.cwd(), "--version")
    found = re.search(r"\d+(\.\d+)+", words)
    return tuple(map(int, found.group().split("."))) if found else (0,)


# -- refs and objects ----------------------------------------------------------------------


class Ref(NamedTuple):
    """A ref and the id of the object that it names."""

    name: str
    id: str


def refs(repo: Repository, *patterns: str) -> list[Ref]:
    """The refs that match full-name patterns such as `refs/remotes/*/gitml/runs`."""
    out = text(repo, "for-each-ref", "--format=%(refname) %(objectname)", "--", *patterns)
    return [Ref(*line.split(" ")) for line in out.splitlines()]


def resolve(repo: Repository, name: str) -> str | None:
    """The id of the object that a full ref name, or a revision of it, stands for."""
    done = attempt(repo, "rev-parse", "--verify", "--quiet", "--end-of-options", name)
    return done.stdout.decode().strip() or None


def update_refs(repo: Repository, commands: Iterable[str]) -> None:
    """Run `update-ref --stdin` commands in one transaction: all of them, or GitError and none."""
    lines = ["start", *commands, "prepare", "commit", ""]
    run(repo, "update-ref", "--no-deref", "--stdin", input="\n".join(lines).encode())


def read_objects(repo: Repository, ids: Iterable[str]) -> Iterator[bytes]:
    """The contents of objects, in the order of `ids`, through one process.

    An id may be any revision, such as `COMMIT:path`. GitError names the first one missing.
    """
    asked = list(ids)
    for name in asked:
        if not _is_one(name):
            raise GitError(f"the repository has no object {shown(name)}")
    for name, content in zip(asked, _contents(repo, asked), strict=True):
        if content is None:
            raise GitError(f"the repository has no object {shown(name)}; run: gitml doctor")
        yield content


def _is_one(name: str) -> bool:
    """Whether git takes a name for one; it reads them by lines, and up to a NUL."""
    return "\n" not in name and "\0" not in name


def read_present(repo: Repository, names: Sequence[str]) -> list[bytes | None]:
    """The contents of objects by revisions such as `COMMIT:path`; None for what is not there.

    FormatError for one that is larger than any file of gitml's, which is not read.
    """
    there = list(_sizes(repo, names))
    found = dict(zip(there, _contents(repo, there), strict=True))
    return [found.get(name) for name in names]


def refuse_large(repo: Repository, name: str) -> None:
    """FormatError for an object, by a revision, that is larger than any file of gitml's."""
    _sizes(repo, [name])


def _sizes(repo: Repository, names: Sequence[str]) -> dict[str, int]:
    """The sizes of those objects that are there, none of which is too large to be read."""
    asked = "".join(f"{name if _is_one(name) else ''}\n" for name in names).encode()
    told = run(repo, "cat-file", "--batch-check", input=asked).splitlines()
    words = zip(names, (line.rpartition(b" ")[2] for line in told), strict=True)
    sizes = {name: int(size) for name, size in words if size.isdigit()}
    for name, size in sizes.items():
        if size > LARGEST:
            raise FormatError(f"{shown(name)} has more than {LARGEST >> 20} MB; it is not read")
    return sizes


def _contents(repo: Repository, names: Sequence[str]) -> Iterator[bytes | None]:
    """The contents of objects, by names of one line each; None for what is not there."""
    if not names:
        return
    asked = "".join(f"{name}\n" for name in names).encode()
    out = run(repo, "cat-file", "--batch", "--buffer", input=asked)
    at = 0
    for _ in names:
        end = out.index(b"\n", at)
        size = out[at:end].rpartition(b" ")[2]  # of what is there, or why it is not
        at = end + 1
        if not size.isdigit():
            yield None
            continue
        yield out[at : at + int(size)]
        at += int(size) + 1


def is_whole(repo: Repository, name: str, known: Sequence[str] = ("--branches",)) -> bool:
    """Whether an object is there with all that it needs; what `known` commits need is there."""
    return succeeds(repo, "rev-list", "--objects", "--quiet", name, "--not", *known)


def repack_in_background(repo: Repository) -> None:
    """Have git put small packs together, one process at a time; nothing is pruned.

    It begins at most every few seconds, and holds the lock on the file `repacked` until its end.
    """
    mark = repo.home / "repacked"
    with contextlib.suppress(OSError):
        if mark.exists() and time.time() - mark.stat().st_mtime < _REPACK_PAUSE:
            return
        lock = locks.acquire(mark)
        if lock is None:
            return
        try:
            mark.touch()
            argv = ("git", *OPTIONS, "repack", "-d", "-n", "--quiet", "--geometric=2")
            argv += ("--no-write-bitmap-index",)  # of a part of the packs there can be none
            process.detach(argv, cwd=repo.place, env=environment(), lock=lock)
        finally:
            os.close(lock)  # not released: git has it too, and lets go of it when it ends


def is_ancestor(repo: Repository, old: str, new: str) -> bool:
    """Whether commit `old` is `new` or one of its ancestors."""
    return succeeds(repo, "merge-base", "--is-ancestor", old, new)


def tree_files(repo: Repository, tree: str) -> Iterator[tuple[str, str]]:
    """The (path, blob id) of every file in a tree."""
    return parse_tree(run(repo, "ls-tree", "-r", "-z", "--full-tree", tree))


def parse_tree(output: bytes) -> Iterator[tuple[str, str]]:
    """The (path, blob id) of every file that `git ls-tree -r -z` listed."""
    for line in output.split(b"\0"):
        if line:
            meta, _, path = line.partition(b"\t")
            yield path.decode("utf-8", "replace"), meta.split(b" ")[2].decode()
