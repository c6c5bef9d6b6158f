"""How the code of two runs differs, asked of git; the run's own folder is left out."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from gitml import git
from gitml.tracking.commits import RUN_FOLDER

_PATHS = ("--", ":(top)", f":(top,exclude){RUN_FOLDER}")
_DIFF = (
    "diff", "--no-ext-diff", "--no-textconv", "--no-relative", "--find-renames",
    "--src-prefix=a/", "--dst-prefix=b/",
)  # fmt: skip
_END = "--end-of-options"


@dataclass(frozen=True, slots=True)
class FileChange:
    """A file that differs: lines added and removed, None of a binary file.

    `former` is its path in the first run when it was renamed.
    """

    path: str
    added: int | None
    removed: int | None
    former: str | None = None


def changed_files(repo: git.Repository, one: str, other: str) -> tuple[FileChange, ...]:
    """The files that differ between two commits, in the order of their paths."""
    output = git.run(repo, *_DIFF, "--numstat", "-z", _END, one, other, *_PATHS)
    return tuple(_changes(output))


def diff(repo: git.Repository, one: str, other: str) -> str:
    """The whole difference between two commits, as a patch."""
    return git.run(repo, *_DIFF, _END, one, other, *_PATHS).decode("utf-8", "backslashreplace")


def _changes(output: bytes) -> Iterator[FileChange]:
    """What `--numstat -z` says: a rename has an empty path and then two of its own."""
    parts = iter(output.decode("utf-8", "surrogateescape").split("\0"))
    for part in parts:
        if not part:
            continue
        added, removed, path = part.split("\t", 2)
        former = None if path else next(parts)
        yield FileChange(path or next(parts), _count(added), _count(removed), former)


def _count(text: str) -> int | None:
    return int(text) if text.isdigit() else None
