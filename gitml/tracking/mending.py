"""What a killed git leaves: noted before it is started, taken away some time afterwards.

git never takes away a lock that is in its way, nor a mark by which it kept a pack. A note tells
which ones a process of gitml's may have left, and when, so that nobody else's are touched.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from gitml import files, git, locks
from gitml.errors import GitError

GUARDS = "refs/gitml/new/"
_AT_ONCE = 16
_INDEX_SECONDS = 24 * 3600.0
STALE_SECONDS = 10.0  # what is noted takes milliseconds, and waits for a second at most

_KEPT_BY = b"fast-import"  # what git fast-import writes into the mark of a pack that it makes


@contextlib.contextmanager
def noted(repo: git.Repository, *refs: str) -> Iterator[None]:
    """Keep a note, for the length of a block, that git makes a pack or changes `refs` there."""
    folder = repo.home / "git"
    note = folder / f"{os.getpid()}-{secrets.token_hex(4)}"
    with contextlib.suppress(OSError):  # then git will say what is wrong
        files.make_folder(folder)
        note.write_text("".join(f"{ref}\n" for ref in refs), "utf-8")
    try:
        yield
    except (GitError, OSError):  # git came to its end; the note of one that was stopped stays
        _remove(note)
        raise
    _remove(note)


def mend(repo: git.Repository) -> None:
    """Take away what git left where a note is old, and the guards whose time is over."""
    mend_files(repo)
    with contextlib.suppress(GitError):
        drop(repo, past_guards(ref.name for ref in git.refs(repo, GUARDS)))


def mend_files(repo: git.Repository) -> None:
    """Take away the files that git left where a note is old: its process was killed."""
    for note in _files(repo.home / "git"):
        with contextlib.suppress(OSError):
            begun = note.stat().st_mtime
            if time.time() - begun > STALE_SECONDS:
                told = [ref for ref in note.read_text("utf-8").splitlines() if _is_ref(ref)]
                refs = [*told, "packed-refs"]
                for lock in (repo.common_dir / f"{ref}.lock" for ref in refs):
                    _remove_of(lock, begun)
                _unmark(repo, begun)
                _remove(note)
    for index in _files(repo.home / "tmp"):  # whose modification time is that of the original
        with contextlib.suppress(OSError):
            if time.time() - index.stat().st_ctime > _INDEX_SECONDS:
                index.unlink()


def _is_ref(line: str) -> bool:
    """Whether a line of a note can be a ref, and no path that leads out of git's folder."""
    return line.startswith("refs/") and ".." not in line


def new_guard() -> str:
    """The name of a ref that keeps what was written from being pruned, for some time."""
    return f"{GUARDS}{max(0, int(time.time())):x}-{secrets.token_hex(4)}"


def old_guards(repo: git.Repository) -> list[str]:
    """The guards whose time is over, but for those that `git pack-refs` has packed."""
    names = (GUARDS + path.name for path in _files(repo.common_dir / GUARDS))
    return past_guards(names)[:_AT_ONCE]


def past_guards(names: Iterable[str]) -> list[str]:
    """The refs among these that are guards whose time is over."""
    return [name for name in names if name.startswith(GUARDS) and _is_past(name)]


def _is_past(guard: str) -> bool:
    """Whether the time of a guard is over, as its name tells."""
    if guard.endswith(".lock"):  # git's own, of another process that drops this guard now
        return False
    begun = guard.rpartition("/")[2].partition("-")[0]
    try:
        return abs(time.time() - int(begun, 16)) > STALE_SECONDS
    except ValueError:  # not a guard of gitml's
        return False


def drop(repo: git.Repository, refs: Sequence[str]) -> None:
    """Delete refs, those that are there, if that is possible now."""
    if refs:
        with contextlib.suppress(GitError), noted(repo, *refs):
            git.update_refs(repo, [f"delete {ref}" for ref in refs])


def _files(folder: Path) -> list[Path]:
    try:
        return [path for path in folder.iterdir() if not files.is_strange(path)]
    except OSError:
        return []


def _remove(path: Path) -> None:
    with contextlib.suppress(OSError):
        path.unlink()


def _remove_of(path: Path, begun: float) -> None:
    """Remove a file that was made while what was noted at that time could have made it."""
    with contextlib.suppress(OSError):
        if -1 <= path.stat().st_mtime - begun <= STALE_SECONDS:
            path.unlink()


def _unmark(repo: git.Repository, begun: float) -> None:
    for mark in (repo.common_dir / "objects" / "pack").glob("*.keep"):
        with contextlib.suppress(OSError):
            if mark.read_bytes() == _KEPT_BY:
                _remove_of(mark, begun)


@contextlib.contextmanager
def importing(repo: git.Repository, guard: str) -> Iterator[None]:
    """Note a `git fast-import` that makes the ref `guard`; what it leaves when it fails goes."""
    begun = time.time()
    try:
        with noted(repo, guard):
            yield
    except GitError:
        _unmark(repo, begun)
        for draft in (repo.common_dir / "objects" / "pack").glob("tmp_pack_*"):
            with contextlib.suppress(OSError):
                if draft.stat().st_mtime >= begun - 1 and _is_draft(draft):
                    draft.unlink()  # else each try on a full disk makes it fuller
        for report in repo.common_dir.glob("fast_import_crash_*"):
            with contextlib.suppress(OSError):
                if _is_of(report, guard, begun):
                    report.unlink()
        raise


def _is_draft(pack: Path) -> bool:
    """Whether fast-import makes this pack: it does not know yet how many objects are in it."""
    with pack.open("rb") as file:
        head = file.read(12)
    return head in (b"", b"PACK" + bytes((0, 0, 0, 2, 0, 0, 0, 0)))


def _is_of(report: Path, guard: str, begun: float) -> bool:
    """Whether it tells of the import that made `guard`, or tells nothing: the disk was full."""
    words = report.read_bytes()
    return guard.encode() in words or (not words and report.stat().st_mtime >= begun - 1)


def break_old(repo: git.Repository, ref: str) -> None:
    """Take away any old lock of `ref`, which none but gitml has a reason to lock for long."""
    lock = repo.common_dir / f"{ref}.lock"
    with contextlib.suppress(OSError):
        if time.time() - lock.stat().st_mtime > STALE_SECONDS:
            lock.unlink()


def sweep(folder: Path) -> None:
    """Remove the locks in a folder that nobody holds, and that are not those of a folder there."""
    for lock in folder.glob("*.lock"):
        if not lock.with_suffix("").is_dir() and not locks.is_held(lock):
            with contextlib.suppress(OSError):
                lock.unlink()
