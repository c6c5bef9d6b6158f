"""The snapshot: the tree of the tracked files as they are on disk when a run starts.

It is built in a copy of the index, never in the index itself. The copy keeps the index's
modification time: with a newer one git would take a file that was edited, at the same size,
within the second of the last index write for unchanged.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import secrets
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gitml import faults, files, git
from gitml.tracking import status
from gitml.tracking.status import Change, Status

LIVE_REFS = "refs/gitml/live/"
SUBJECT = "gitml: snapshot of a live run"
_NO_MODE, _FILE_MODE = "000000", "100644"
_UNTRACKED_SHOWN = 200
# DVC sets it for an experiment, and writes the index with libgit2: entries that do not hold any
# more, of params of the same length that were set within the second, look to git as if they did.
_DVC_EXPERIMENT = "DVC_EXP_NAME"


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The code of a run.

    `tree` holds it; `commit` is HEAD (None in a repository without commits) and `commit_time`
    its committer date in seconds; `live` is the commit that keeps the tree from `git gc`. `dirty`
    says that the tree holds more than HEAD's, `untracked` names files that it does not hold.
    """

    tree: str
    live: str | None
    commit: str | None
    commit_time: int
    branch: str | None
    dirty: bool
    untracked: tuple[str, ...]
    incomplete: dict[str, str]


def take(
    repo: git.Repository,
    *,
    scope: Path | None = None,
    max_file: int = 5_000_000,
    modules: Sequence[Path] = (),
    filters: bool = True,
) -> Snapshot:
    """Take the snapshot of `scope` (a folder, by default the whole work tree).

    `modules` are the files that the process has loaded: those of them that git does not track,
    and does not ignore, are stored too. What can't be stored is named in `incomplete`, why, and
    never stops the run; that holds for files over `max_file` bytes that changed. Without `filters`
    those that the user has set up, such as Git LFS, are not run.
    """
    if repo.root is None:
        return of_head(repo)
    off = [] if filters else git.without_filters(repo)
    seen, head, flagged = _look(repo, off)
    tree = head.tree
    work = _Work(repo, repo.root, scope or repo.root, max_file, "0" * len(tree), off)
    plan = work.plan(seen, flagged, modules)
    if plan.is_needed:
        tree = work.write(plan, seen.commit)
    live = _keep(repo, tree, seen.commit, head) if tree != head.tree else seen.commit
    dirty = bool(seen.changes or plan.from_disk)
    left = [path for path in seen.untracked if path not in plan.from_disk]
    others = tuple(name_of(path) for path in left[:_UNTRACKED_SHOWN])
    return Snapshot(tree, live, seen.commit, head.time, seen.branch, dirty, others, plan.incomplete)


@dataclass(frozen=True, slots=True)
class _Head:
    tree: str
    time: int


def _look(repo: git.Repository, off: Sequence[str]) -> tuple[Status, _Head, list[bytes]]:
    """The status, HEAD's tree and date, and the paths that git was told not to look at.

    What only a new commit or a new index can change is asked once in a process.
    """
    index = _index_version(repo)
    asked: list[Sequence[str]] = [(*off, *status.COMMAND)]
    if index not in _flagged:
        asked += [("ls-files", "-z", "-v"), ("log", "-1", "--format=%H %T %ct", "HEAD")]
    states, *rest = git.attempt_together(repo, *asked)
    if _DVC_EXPERIMENT in os.environ:
        with _index_copy(repo) as copy:
            env = {"GIT_INDEX_FILE": str(copy)} if copy.exists() else {}
            states = git.attempt(repo, *status.COMMAND, env=env)
    output = states.stdout
    if states.returncode:  # with a filter that fails, git tells nothing at all
        output = git.run(repo, *git.without_filters(repo), *status.COMMAND)
    if rest:
        _flagged[index] = [found[2:] for found in _FLAGGED.findall(b"\0" + rest[0].stdout)]
        _note_head(rest[1].stdout)
    seen = status.parse(output)
    if seen.commit and seen.commit not in _heads:
        _note_head(git.run(repo, "log", "-1", "--format=%H %T %ct", seen.commit))
    head = _heads[seen.commit] if seen.commit else _Head(_empty_tree(repo), 0)
    return seen, head, _flagged[index]


# `git ls-files -v` writes a small letter for assume-unchanged, S for skip-worktree.
_FLAGGED = re.compile(rb"(?<=\0)(?:[a-z]|S) [^\0]+")
_flagged: dict[tuple[object, ...], list[bytes]] = {}
_heads: dict[str, _Head] = {}


def _note_head(line: bytes) -> None:
    if line.strip():
        commit, tree, time = line.decode().split()
        _heads[commit] = _Head(tree, int(time))


def _index_version(repo: git.Repository) -> tuple[object, ...]:
    """What tells one state of the index file from another."""
    try:
        state = (repo.git_dir / "index").stat()
    except OSError:
        return (repo.git_dir,)
    return (repo.git_dir, state.st_ino, state.st_size, state.st_mtime_ns)


def told_by(repo: git.Repository, commit: str) -> dict[str, Any]:
    """The code that a commit stands for, which is a snapshot or the code commit itself.

    As the first event of a journal has it: `commit`, `tree` and `commit_time`.
    """
    said = git.text(repo, "log", "-1", "--format=%T%n%ct%n%P%n%s", commit)
    tree, moment, parent, subject = said.split("\n")
    code = (parent or None) if subject == SUBJECT else commit  # unchanged code is held as it is
    return {"commit": code, "tree": tree, "commit_time": int(moment)}


def of_head(repo: git.Repository, problem: str | None = None) -> Snapshot:
    """HEAD itself as the snapshot: in a bare repository, or for the `problem` of a work tree."""
    incomplete = {".": problem} if problem else {}
    done = git.attempt(repo, "log", "-1", "--format=%H %T %ct", "HEAD")
    if done.returncode:
        return Snapshot(_empty_tree(repo), None, None, 0, None, False, (), incomplete)
    commit, tree, time = done.stdout.decode().split()
    branch = git.attempt(repo, "symbolic-ref", "--short", "-q", "HEAD").stdout.decode().strip()
    return Snapshot(tree, commit, commit, int(time), branch or None, False, (), incomplete)


def _empty_tree(repo: git.Repository) -> str:
    """The id of the empty tree, which depends on the repository's object format."""
    return git.run(repo, "hash-object", "-t", "tree", "--stdin", input=b"").decode().strip()


def _keep(repo: git.Repository, tree: str, commit: str | None, head: _Head) -> str:
    """A commit that holds the snapshot's tree; the same for the same code, whoever makes it."""
    who = {"NAME": "gitml", "EMAIL": "gitml@localhost", "DATE": f"@{head.time} +0000"}
    env = {
        f"GIT_{role}_{key}": value for role in ("AUTHOR", "COMMITTER") for key, value in who.items()
    }
    parents = ("-p", commit) if commit else ()
    return git.text(repo, "commit-tree", tree, *parents, "-m", SUBJECT, env=env)


def name_of(path: bytes) -> str:
    """A path as it is shown, and kept in records."""
    return path.decode("utf-8", "backslashreplace")


@dataclass(slots=True)
class _Plan:
    """What to do in the copy of the index: take paths from disk, or give them a mode and blob."""

    from_disk: list[bytes]
    entries: list[tuple[str, str, bytes]]
    incomplete: dict[str, str]
    staged: bool

    @property
    def is_needed(self) -> bool:
        return bool(self.from_disk or self.entries) or self.staged


@dataclass(frozen=True, slots=True)
class _Work:
    """One snapshot being made of a work tree."""

    repo: git.Repository
    root: Path
    scope: Path
    max_file: int
    no_blob: str
    off: Sequence[str]  # options of git

    def plan(self, seen: Status, flagged: list[bytes], modules: Sequence[Path]) -> _Plan:
        plan = _Plan([], [], {}, bool(seen.changes))
        filters = self._filters([change.path for change in seen.changes if change.in_work_tree])
        lfs = {path for path, name in filters.items() if name == b"lfs"}
        for change in seen.changes:
            self._place(change, plan, lfs)
        for path in flagged:
            self._check_flagged(path, plan)
        for path in self._loaded(seen, modules):
            self._from_disk(path, plan)
        for path in self._earlier_run():
            plan.entries.append((_NO_MODE, self.no_blob, path))
        return plan

    def _place(self, change: Change, plan: _Plan, lfs: set[bytes]) -> None:
        path, name = change.path, name_of(change.path)
        if change.unmerged:
            plan.incomplete[name] = "unmerged: holds our side"
            plan.entries.append((_NO_MODE, self.no_blob, path))
            if change.mode != _NO_MODE:
                plan.entries.append((change.mode, change.blob, path))
        elif path.startswith(b".github/"):
            plan.incomplete[name] = "workflow: holds HEAD's version"
            plan.entries.append((change.mode, change.blob, path))
        elif change.is_submodule:
            self._place_submodule(change, plan)
        elif not change.in_work_tree or not self._in_scope(path):
            pass  # the index has it as it should be
        elif path in lfs:
            plan.incomplete[name] = f"Git LFS: {self._digest(path)}"
        else:
            self._from_disk(path, plan)

    def _place_submodule(self, change: Change, plan: _Plan) -> None:
        name = name_of(change.path)
        if "M" in change.submodule or "U" in change.submodule:
            plan.incomplete[name] = "submodule with changes of its own"
        if "C" in change.submodule:
            plan.from_disk.append(change.path)
            inner = self._disk(change.path)
            if git.attempt(inner, "rev-list", "-1", "HEAD", "--not", "--remotes").stdout.strip():
                plan.incomplete[name] = "submodule at a commit that is not pushed"

    def _from_disk(self, path: bytes, plan: _Plan) -> None:
        place = self._disk(path)
        try:
            is_link, size = place.is_symlink(), place.lstat().st_size
        except OSError:
            is_link, size = True, 0  # gone: the copy of the index drops it
        if is_link:
            plan.from_disk.append(path)
        elif path.endswith(b".ipynb") and (blob := self._bare_notebook(place)):
            plan.entries.append((_FILE_MODE, blob, path))
        elif size > self.max_file:
            plan.incomplete[name_of(path)] = f"{size} bytes: {self._digest(path)}"
        else:
            plan.from_disk.append(path)

    def _check_flagged(self, path: bytes, plan: _Plan) -> None:
        """Name an assume-unchanged or skip-worktree file whose content is not the index's."""
        place = self._disk(path)
        if place.is_file() and self._in_scope(path):
            args = ("hash-object", "--", os.fsdecode(path))
            here = git.attempt(self.repo, *args).stdout.strip()
            staged = git.attempt(self.repo, "rev-parse", f":{os.fsdecode(path)}").stdout.strip()
            if here != staged:
                plan.incomplete[name_of(path)] = f"git is told not to look: {self._digest(path)}"

    def _loaded(self, seen: Status, modules: Sequence[Path]) -> list[bytes]:
        """The modules that git neither tracks nor ignores."""
        whole = {path for path in seen.untracked if not path.endswith(b"/")}
        folders = tuple(path for path in seen.untracked if path.endswith(b"/"))
        found = [inside(module, self.root) for module in modules] if seen.untracked else []
        paths = [path for path in found if path is not None and self._in_scope(path)]
        below = [path for path in paths if path.startswith(folders)]
        ignored = self._ignored(below)
        return [path for path in paths if path in whole or (path in below and path not in ignored)]

    def _ignored(self, paths: Sequence[bytes]) -> set[bytes]:
        if not paths:
            return set()
        lines = b"".join(path + b"\0" for path in paths)
        done = git.attempt(self.repo, "check-ignore", "-z", "--stdin", input=lines)
        return set(done.stdout.split(b"\0"))

    def _earlier_run(self) -> list[bytes]:
        if not (self.root / ".gitml" / "run").exists():
            return []
        out = git.run(self.repo, "ls-files", "-z", "--", ".gitml/run")
        return [path for path in out.split(b"\0") if path]

    def _filters(self, paths: list[bytes]) -> dict[bytes, bytes]:
        """Those of the paths that go through a filter, with its name; that of Git LFS is `lfs`."""
        if not paths:
            return {}
        args = ("check-attr", "-z", "--stdin", "filter")
        out = git.run(self.repo, *args, input=b"".join(path + b"\0" for path in paths)).split(b"\0")
        found = zip(out[::3], out[2::3], strict=False)
        return {path: name for path, name in found if name not in (b"unspecified", b"unset", b"")}

    def _bare_notebook(self, place: Path) -> str | None:
        """The blob of a notebook without its outputs; None when it is not one."""
        try:
            notebook = json.loads(place.read_bytes())
            for cell in notebook["cells"]:
                if cell.get("cell_type") == "code":
                    cell["outputs"], cell["execution_count"] = [], None
        except (ValueError, KeyError, TypeError, AttributeError, OSError):
            return None
        data = json.dumps(notebook, indent=1, ensure_ascii=False).encode("utf-8", "replace") + b"\n"
        return git.run(self.repo, "hash-object", "-w", "--stdin", input=data).decode().strip()

    def write(self, plan: _Plan, commit: str | None) -> str:
        """The tree that the plan makes of the index, or of HEAD where there is no index."""
        with _index_copy(self.repo) as index:
            env = {"GIT_INDEX_FILE": str(index)}
            if commit and not index.exists():
                git.run(self.repo, "read-tree", commit, env=env)
            if plan.entries:
                lines = b"".join(
                    b"%b %b\t%b\0" % (m.encode(), b.encode(), p) for m, b, p in plan.entries
                )
                args = ("update-index", "-z", "--index-info")
                if git.attempt(self.repo, *args, input=lines, env=env).returncode:
                    git.run(self.repo, *git.without_filters(self.repo), *args, input=lines, env=env)
            self._update(plan, env)
            faults.hit("snapshot.tree")
            return git.text(self.repo, "write-tree", env=env)

    def _update(self, plan: _Plan, env: dict[str, str]) -> None:
        """Take paths from disk; when that fails, one by one, naming those that fail.

        A filter that fails stops git also at paths that do not go through it.
        """
        if not plan.from_disk or self._add(plan.from_disk, env):
            return
        filtered, off = self._filters(plan.from_disk), git.without_filters(self.repo)
        for path in plan.from_disk:
            if not self._add([path], env) and (path in filtered or not self._add([path], env, off)):
                plan.incomplete[name_of(path)] = f"git could not add it: {self._digest(path)}"

    def _add(self, paths: list[bytes], env: dict[str, str], options: Sequence[str] = ()) -> bool:
        args = (*self.off, *options, "update-index", "--add", "--remove", "-z", "--stdin")
        lines = b"".join(path + b"\0" for path in paths)
        return git.attempt(self.repo, *args, input=lines, env=env).returncode == 0

    def _in_scope(self, path: bytes) -> bool:
        return self.scope == self.root or self._disk(path).is_relative_to(self.scope)

    def _disk(self, path: bytes) -> Path:
        return self.root / os.fsdecode(path)

    def _digest(self, path: bytes) -> str:
        try:
            with self._disk(path).open("rb") as file:
                digest = hashlib.sha256()
                while block := file.read(1 << 20):
                    digest.update(block)
                return f"sha256 {digest.hexdigest()}"
        except OSError:
            return "unreadable"


@contextlib.contextmanager
def _index_copy(repo: git.Repository) -> Iterator[Path]:
    """A copy of the index, which goes again; no file where there is no index."""
    folder = repo.home / "tmp"
    files.make_folder(folder)
    copy = folder / f"index-{os.getpid()}-{secrets.token_hex(4)}"
    faults.hit("snapshot.index")
    with contextlib.suppress(FileNotFoundError):
        shutil.copy2(repo.git_dir / "index", copy)
        if _DVC_EXPERIMENT in os.environ:
            os.utime(copy, (1, 1))  # older than every file, so that git compares them all
    try:
        yield copy
    finally:
        copy.unlink(missing_ok=True)


def inside(path: Path, root: Path) -> bytes | None:
    """`path` relative to `root` as git writes it, or None when it lies elsewhere."""
    try:
        return os.fsencode(path.relative_to(root).as_posix())
    except ValueError:
        return None
