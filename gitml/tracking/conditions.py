"""What must hold of a ledger before its branch moves, and afterwards."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from gitml import git
from gitml.errors import GitError, StorageError, shown
from gitml.tracking.commits import (
    README,
    RUN_FOLDER,
    Change,
    LedgerEdit,
    RunChange,
    contents_of,
    expected_contents,
)
from gitml.tracking.names import run_path
from gitml.tracking.trees import blob_id


class ChangedError(GitError):
    """What a change was made from is not there any more: read it again, and change that."""


class InTheWayError(GitError):
    """The ledger can't be moved until the user has done something."""


def check_not_checked_out(repo: git.Repository, ref: str) -> None:
    """Refuse to move a branch that somebody has checked out: his files would look changed."""
    mine, short = f"ref: {ref}", ref.removeprefix("refs/heads/")
    for head in (repo.common_dir / "HEAD", *repo.common_dir.glob("worktrees/*/HEAD")):
        try:
            taken = head.read_text("utf-8", "replace").strip() == mine
        except OSError:
            continue
        if taken:
            raise InTheWayError(
                f"the branch {short} is checked out, so no run can be recorded on it;"
                " run: git switch main && gitml recover"
            )


LEDGER_ENTRIES = frozenset(("README.md", "runs", "deleted"))
_LATE = "-20"  # commits: somebody may have merged or edited by hand
_TRAILERS = "--format=%H%x09%ct%x09%(trailers:key=Run-Id,valueonly,separator=)%x09%s"


def check_ledger(repo: git.Repository, ref: str, commit: str | None) -> None:
    """Refuse to take a user's branch for the ledger, or another's: it would be pushed, changed.

    A ledger holds no code, and its README or its last commits tell that it is one.
    """
    if commit is not None:
        look_at_ledger(repo, ref, commit)


def look_at_ledger(repo: git.Repository, ref: str, name: str) -> tuple[str, int] | None:
    """The commit `name`, and its time, if it is a ledger's; None when it can't be read.

    InTheWayError when it is not, as in `check_ledger`; `ref` is what the user calls it.
    """
    tree, log = git.attempt_together(
        repo, ("ls-tree", "-z", name), ("log", "--first-parent", _LATE, _TRAILERS, name, "--")
    )
    if tree.returncode or log.returncode:
        return None  # it is damaged, which others tell better
    entries = [entry.partition(b"\t") for entry in tree.stdout.split(b"\0") if entry]
    names = [name.decode("utf-8", "replace") for *_, name in entries]
    alien = [name for name in names if name not in LEDGER_ENTRIES and name[:1] != "."]
    lines = [line.split(b"\t", 3) for line in log.stdout.splitlines()]
    commit, time = lines[0][0].decode(), int(lines[0][1])
    has_runs = any(run_id or subject.startswith(b"gitml: ") for *_, run_id, subject in lines)
    readme = blob_id(README, len(commit)).encode()
    has_runs |= any(meta.split(b" ")[2] == readme for meta, *_ in entries)
    if alien or ".gitml" in names or not has_runs:
        why = f"it holds {shown(alien[0])}" if alien else "its commits record no runs"
        raise InTheWayError(
            f"the branch {ref.removeprefix('refs/heads/')} is no ledger: {why}; rename it, or name"
            " another as ledger.ref in gitml.yaml"
        )
    return commit, time


def check_unchanged(repo: git.Repository, head: str | None, changes: Sequence[Change]) -> None:
    """Refuse a change of what is not any more what the change was made from."""
    made_from = {path: blob for change in changes for path, blob in _made_from(change)}
    if head is None or not made_from:
        return
    lines = "".join(f"{head}:{path}\n" for path in made_from).encode()
    out = git.run(repo, "cat-file", "--batch-check=%(objectname)", input=lines).decode()
    for (path, blob), now in zip(made_from.items(), out.splitlines(), strict=True):
        if now != blob and not now.endswith(" missing"):  # missing: it is in a remote's ledger
            raise ChangedError(f"{path} was changed by another process; try again")


def _made_from(change: Change) -> Iterator[tuple[str, str | None]]:
    """The paths in the ledger that a change replaces, each with the blob that it knew there."""
    if isinstance(change, LedgerEdit):
        yield from change.before.items()
    elif isinstance(change, RunChange) and change.before is not None:
        record = change.record
        yield f"{run_path(record.experiment_id, record.run_id)}/run.json", change.before


def check_stored(output: bytes, changes: Sequence[Change]) -> None:
    """Refuse new commits that do not hold every file by its name and with its bytes.

    `output` is what fast-import answered.
    """
    digits = output.index(b"\n")
    if contents_of(output) != expected_contents(changes, digits):
        raise StorageError(
            "git stored other names or other bytes than it was given; the ledger is as it was,"
            " and the journal stays; run: gitml doctor"
        )


def is_whole(
    repo: git.Repository, changes: Sequence[Change], written: Sequence[tuple[str, str]]
) -> bool:
    """Whether every file of every new commit can be reached through its path."""
    names = [f"{ledger}^{{tree}}" for _, ledger in written]
    kinds = [b"tree"] * len(names)
    for change, (run, ledger) in zip(changes, written, strict=True):
        if isinstance(change, RunChange):
            record = change.record
            folder = run_path(record.experiment_id, record.run_id)
            for path in change.files:
                names += [
                    f"{run}:{RUN_FOLDER}/{path}",
                    f"{ledger}:{folder}/{path}",
                ]
    kinds += [b"blob"] * (len(names) - len(kinds))
    lines = "".join(f"{name}\n" for name in names).encode()
    out = git.attempt(repo, "cat-file", "--batch-check=%(objecttype)", input=lines)
    return out.stdout.split(b"\n")[:-1] == kinds


def explained(error: GitError, ref: str) -> GitError:
    """The error of a move of the branch, with what the user can do where he can."""
    short = ref.removeprefix("refs/heads/")
    name = short.split("/")[0]
    if f"'refs/heads/{name}' exists" in error.stderr:
        return InTheWayError(
            f"a branch named {name!r} is in the way of the ledger {short};"
            f" run: git branch -m {name} {name}-old && gitml recover"
        )
    return error
