"""The ledger: the branch that holds every run, written and read through git alone.

A write makes its objects as one pack and then moves the branch, and drops the live refs that
are done, in one ref transaction that compares the branch with what was read. A lock keeps the
writers of one machine from racing; across machines and file systems without locks the
comparison does, and the loser writes again.
"""

from __future__ import annotations

import contextlib
import errno
import itertools
import os
import random
import re
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from gitml import faults, git, turns
from gitml.documents import load_json
from gitml.errors import FormatError, GitError, StorageError, shown
from gitml.tracking import conditions, mending, position
from gitml.tracking.commits import RUN_FOLDER, Change, RunChange, Stream, commits_of
from gitml.tracking.conditions import ChangedError, InTheWayError
from gitml.tracking.contents import files_of
from gitml.tracking.names import is_component, run_path
from gitml.tracking.position import Position
from gitml.tracking.record import RunRecord, from_document

__all__ = [
    "DEFAULT_REF", "ChangedError", "Entry", "Ledger", "Written",
]  # fmt: skip

DEFAULT_REF = "refs/heads/gitml/runs"
_URL_REMOTE = "gitml-ledger"  # in the name of the tracking ref of a remote that is a URL
_PACKS = 100
_READ_BACKS = 10
_IMPORT = (
    "-c", "core.fsync=pack,pack-metadata",  # the guard need not survive a power loss
    "-c", "core.ignoreCase=false",  # git sets it for the work tree's sake; here it would join files
    "fast-import", "--quiet", "--done",
)  # fmt: skip
_READ_ONLY = (errno.EROFS, errno.EACCES, errno.EPERM)


class Written(NamedTuple):
    """A change as it was recorded: its run commit and its ledger commit."""

    run: str
    ledger: str


@dataclass(frozen=True, slots=True)
class Entry:
    """A run as the ledger holds it: its record, its newest run commit and its files' blobs.

    `blob` is that of its run.json, which is not among `files`.
    """

    record: RunRecord
    commit: str
    files: Mapping[str, str]
    blob: str


class _Made(NamedTuple):
    """What was written: the changes, what they continue, their stream, guard, and new ids."""

    changes: Sequence[Change]
    onto: str | None
    stream: bytes
    guard: str
    written: list[Written]


@dataclass(frozen=True, slots=True)
class Ledger:
    """The ledger of a repository; `ref` is the full name of its branch.

    `remote` is the git remote, a name or a URL, with which the repository shares it; `is_shared`
    tells whether that is so, or a branch that is checked out only says it. Of the names of heads
    `own_among` returns those that are the repository's own, not those of a fork, the first first.
    """

    repo: git.Repository
    ref: str = DEFAULT_REF
    remote: str = "origin"
    is_shared: Callable[[], bool] = field(default=lambda: True, compare=False)
    own_among: Callable[[Collection[str]], Sequence[str]] = field(default=sorted, compare=False)

    @property
    def short(self) -> str:
        """The branch's name without `refs/heads/`."""
        return self.ref.removeprefix("refs/heads/")

    @property
    def tracking(self) -> str:
        """The full name of the branch that tracks the one in the repository's own remote."""
        name = self.remote if re.fullmatch(r"[\w.-]+", self.remote) else _URL_REMOTE
        return f"refs/remotes/{name}/{self.short}"

    def heads(self) -> list[git.Ref]:
        """The local branch, if there is one, and every remote-tracking one; the own ones first."""
        found = git.refs(self.repo, self.ref, f"refs/remotes/*/{self.short}")
        own = self.own_among([ref.name for ref in found])
        return sorted(found, key=lambda ref: own.index(ref.name) if ref.name in own else len(own))

    def own_heads(self) -> list[git.Ref]:
        """Those of the heads that are the repository's own: what a fork deleted is still here."""
        return self._own_of(self.heads())

    def _own_of(self, heads: Sequence[git.Ref]) -> list[git.Ref]:
        own = self.own_among([ref.name for ref in heads])
        return [ref for ref in heads if ref.name in own]

    def head(self) -> str | None:
        """The commit that the next record continues; None before the first."""
        return self._look().commit

    def append(
        self,
        changes: Sequence[Change],
        *,
        done: Sequence[str] = (),
        seconds: float = 15.0,
        fresh: bool = True,
    ) -> list[Written]:
        """Record changes, one ledger commit each, all of them or none.

        `done` names live refs to drop in the same transaction. `fresh` says that nobody was killed
        while he wrote the same. Tries for up to `seconds`; the errors are GitError (the branch is
        checked out or no ledger, or its name is taken), of its kind ChangedError (a run is not what
        a change was made from), and StorageError.
        """
        deadline = time.monotonic() + seconds
        drops = [*done, *mending.old_guards(self.repo)]
        for attempt in range(1000):
            try:
                with self.locked(seconds):
                    made = self._append_once(changes, drops, look=attempt > 0)
                break
            except (GitError, OSError) as error:
                mending.mend(self.repo)
                if _is_final(error) or time.monotonic() > deadline:
                    raise _as_storage(error) from None
                if attempt == 2 or "packed-refs" in str(error):
                    drops.clear()  # to delete a ref takes one more lock: it can wait, the run can't
            time.sleep(random.uniform(0.2, 1.0) * min(0.01 * 2**attempt, 0.5))
        else:
            raise StorageError("the ledger could not be written")
        if done and not drops:
            mending.drop(self.repo, done)
        self._secure(made, doubtful=attempt > 0 or not fresh)
        self._maintain()
        return made.written

    @contextlib.contextmanager
    def locked(self, seconds: float = 60.0) -> Iterator[None]:
        """Hold the ledger's lock, so that no other process of this machine writes to it."""
        with turns.held(self.repo.home / "ledger.lock", seconds):
            yield

    def local(self) -> str | None:
        """The commit of the local branch; None when there is none yet."""
        return git.resolve(self.repo, self.ref)

    def move(self, old: str | None, new: str) -> None:
        """Move the local branch from `old` to the ledger commit `new`; call it `locked`."""
        conditions.check_not_checked_out(self.repo, self.ref)
        self._move(Position(old, 0, old), None, new)

    def rewrite(self, onto: str, changes: Sequence[Change], old: str | None) -> str:
        """Move the local branch from `old` to `onto` with changes on top; call it `locked`."""
        if not changes:
            self.move(old, onto)
            return onto
        conditions.check_not_checked_out(self.repo, self.ref)
        time_of = int(git.text(self.repo, "log", "-1", "--format=%ct", onto))
        try:
            made = self._write(changes, Position(onto, time_of, old), ())
        except (GitError, OSError):
            mending.mend(self.repo)
            raise
        self._secure(made, doubtful=False)
        return made.written[-1].ledger

    def _append_once(self, changes: Sequence[Change], drops: Sequence[str], *, look: bool) -> _Made:
        conditions.check_not_checked_out(self.repo, self.ref)
        faults.hit("ledger.lock")
        found = None if look else position.noted(self.repo, self.ref)
        found = found or self._look(checked=True)
        conditions.check_unchanged(self.repo, found.commit, changes)
        return self._write(changes, found, drops)

    def _write(self, changes: Sequence[Change], start: Position, drops: Sequence[str]) -> _Made:
        """Write changes on top of `start`, guarded by a ref, and move the branch there.

        The guard stays for some time: whatever prunes may have read the branch before it moved.
        """
        guard = mending.new_guard()
        stream = Stream(guard, start.commit, start.time)
        for change in changes:
            stream.add(change)
        faults.hit("ledger.objects")
        made = _Made(changes, start.commit, stream.close(), guard, [])
        made.written.extend(self._import(made))
        self._move(start, stream.time, made.written[-1].ledger, drops)
        return made

    def _import(self, made: _Made) -> list[Written]:
        with mending.importing(self.repo, made.guard):
            out = git.run(self.repo, *_IMPORT, input=made.stream)
        conditions.check_stored(out, made.changes)
        return [Written(*ids) for ids in commits_of(out, made.changes)]

    def _move(
        self, old: Position, time_of: int | None, new: str, drops: Sequence[str] = ()
    ) -> None:
        faults.hit("ledger.ref")
        before = old.local or "0" * len(new)
        moves = [f"update {self.ref} {new} {before}", *(f"delete {ref}" for ref in drops)]
        try:
            with mending.noted(self.repo, self.ref, *drops):
                git.update_refs(self.repo, moves)
        except GitError as error:
            mending.break_old(self.repo, self.ref)
            raise conditions.explained(error, self.ref) from None
        if time_of is not None:
            position.note(self.repo, self.ref, new, time_of)

    def _secure(self, made: _Made, *, doubtful: bool) -> None:
        """Read everything back; what a `git gc --prune=now` took is written again, same ids.

        When it is `doubtful` whether git wrote it, or found it in a pack that is being pruned, it
        goes into a pack of its own first.
        """
        try:
            for _ in range(_READ_BACKS):
                faults.hit("ledger.readback")
                is_safe = not doubtful or self._pack(made)
                if is_safe and conditions.is_whole(self.repo, made.changes, made.written):
                    return
                doubtful = True
                time.sleep(random.uniform(0.02, 0.1))  # for what prunes to come to its end
                self._import(made)
        except OSError as error:
            raise _as_storage(error) from None
        raise StorageError("the repository keeps losing new objects; stop what prunes it")

    def _pack(self, made: _Made) -> bool:
        """Put all that is new into one pack, wherever it is now; whether it was all there."""
        parents = (c.parents for c in made.changes if isinstance(c, RunChange))
        known = [made.onto, *itertools.chain.from_iterable(parents)]
        wanted = [made.written[-1].ledger, *(f"^{commit}" for commit in known if commit)]
        where = str(self.repo.common_dir / "objects" / "pack" / "pack")
        lines = "".join(f"{name}\n" for name in wanted).encode()
        done = git.attempt(self.repo, "pack-objects", "--revs", "--quiet", where, input=lines)
        return done.returncode == 0

    def _look(self, *, checked: bool = False) -> Position:
        where = (self.repo, self.ref, self.tracking, self.is_shared)
        return position.look(*where, checked=checked)

    def _maintain(self) -> None:
        """Every so many records, have git put the small packs together, in the background."""
        packs = self.repo.common_dir / "objects" / "pack"
        try:
            count = sum(1 for name in os.listdir(packs) if name.endswith(".pack"))
        except OSError:
            return
        if count >= _PACKS:
            git.repack_in_background(self.repo)

    # -- reading ---------------------------------------------------------------------------

    def find(self, run_id: str, among: Sequence[str] | None = None) -> Entry | None:
        """The run as the local ledger holds it, else a remote's, that of a fork last.

        None when there is none, or it was collected.

        `among` are the heads to look at instead.
        """
        refs = [] if among else self.heads()
        if self._buried(run_id, among or [ref.id for ref in self._own_of(refs)]):
            return None
        for head in among or dict.fromkeys(ref.id for ref in refs):
            folder = self._folder(run_id, head)
            if folder is not None:
                return self.entry(folder, self.run_commit(run_id, head), head=head)
        return None

    def is_buried(self, run_id: str) -> bool:
        """Whether somebody took the run out for good."""
        return self._buried(run_id, [ref.id for ref in self.own_heads()])

    def _buried(self, run_id: str, heads: Sequence[str]) -> bool:
        tombs = "".join(f"{head}:deleted/{run_id}\n" for head in heads).encode()
        return b" blob " in git.run(self.repo, "cat-file", "--batch-check", input=tombs)

    def at(self, commit: str) -> Entry:
        """The run as its run commit `commit` holds it."""
        files = dict(git.tree_files(self.repo, f"{commit}:{RUN_FOLDER}"))
        blob = files.pop("run.json")
        text = next(git.read_objects(self.repo, [blob]))
        return Entry(from_document(load_json(text, f"{commit}:run.json")), commit, files, blob)

    def entry(self, folder: str, commit: str, *, head: str) -> Entry:
        """The run whose folder in the ledger commit `head` is `folder`; `commit` is its R."""
        files = dict(git.tree_files(self.repo, f"{head}:{folder}"))
        blob = files.pop("run.json", None)
        if blob is None:
            raise GitError(f"the ledger has no run {shown(folder)}; run: gitml doctor")
        data = next(git.read_objects(self.repo, [blob]))
        return Entry(from_document(load_json(data, f"{folder}/run.json")), commit, files, blob)

    def lacks(self, entry: Entry) -> list[str]:
        """The files of a recorded run that its record names and the ledger does not hold."""
        lines = "".join(f"{blob}\n" for blob in entry.files.values()).encode()
        out = git.run(self.repo, "cat-file", "--batch-check=%(objecttype)", input=lines)
        kinds = zip(entry.files, out.splitlines(), strict=True)
        there = {path for path, kind in kinds if kind == b"blob"}
        return sorted({*entry.files, *files_of(entry.record.artifacts)} - there)

    def _folder(self, run_id: str, head: str) -> str | None:
        """The folder of a run: its id tells the day, the experiment is looked for."""
        listed = git.attempt(self.repo, "ls-tree", "-d", "-z", "--name-only", f"{head}:runs")
        names = listed.stdout.decode("utf-8", "replace").split("\0")
        folders = [run_path(name, run_id) for name in names if is_component(name)]
        lines = "".join(f"{head}:{folder}\n" for folder in folders).encode()
        out = git.run(self.repo, "cat-file", "--batch-check=%(objecttype)", input=lines)
        found = zip(folders, out.split(b"\n"), strict=False)
        return next((folder for folder, kind in found if kind == b"tree"), None)

    def run_commit(self, run_id: str, head: str) -> str:
        """The newest run commit of a run that the ledger commit `head` holds."""
        form = "--format=%P %(trailers:key=Run-Id,valueonly,separator=)"
        log = ("log", "--first-parent", form)
        newest = ("-1", "--fixed-strings", f"--grep=Run-Id: {run_id}")
        for options in (newest, ()):  # a message may quote another run's trailer: then look at all
            for line in git.text(self.repo, *log, *options, head).splitlines():
                *parents, last = line.split(" ")
                if last == run_id and parents:
                    return parents[-1]
        raise FormatError(f"the ledger has no commit of run {run_id}; run: gitml doctor")

    def file(self, path: str) -> tuple[str, bytes] | None:
        """The blob id and content of a file of the ledger; None when it has none at `path`."""
        head = self.head()
        blob = git.resolve(self.repo, f"{head}:{path}") if head else None
        return None if blob is None else (blob, next(git.read_objects(self.repo, [blob])))


def _is_final(error: GitError | OSError) -> bool:
    """Whether another try would end in the same way."""
    read_only = isinstance(error, OSError) and error.errno in _READ_ONLY
    read_only |= isinstance(error, GitError) and os.strerror(errno.EROFS) in error.stderr
    return read_only or isinstance(error, InTheWayError | ChangedError)


def _as_storage(error: GitError | OSError) -> GitError | StorageError:
    if isinstance(error, GitError):
        return error
    return StorageError(f"the ledger can't be written: {error.strerror or error}")
