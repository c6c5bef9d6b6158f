"""The errors that gitml raises on purpose, one kind for each person who must act.

Every message is one line: what is wrong with what, and what to do about it.

- `GitmlError`: base of all; catch it to catch everything that gitml reports.
    - `UsageError`: the input is wrong; the caller changes it. Exit code 2.
    - `NoRepositoryError`: there is no git repository to record in. Exit code 2.
    - `GitError`: a git command failed. Exit code 3.
    - `StorageError`: the disk, a DVC remote or an artifact failed. Exit code 3.
    - `FormatError`: a file in the repository can't be read as what it should be. Exit code 3.
"""

from __future__ import annotations

_SHOWN = 80


class GitmlError(Exception):
    """Base of every error that gitml reports to a person."""

    exit_code = 3


class UsageError(GitmlError):
    """The caller's input is wrong; nothing was changed."""

    exit_code = 2


class NoRepositoryError(UsageError):
    """There is no git repository where one is needed."""


class GitError(GitmlError):
    """A git command failed; `stderr` holds what git said, credentials taken out."""

    def __init__(self, message: str, *, returncode: int = 1, stderr: str = "") -> None:
        super().__init__(message)
        self.returncode = returncode
        self.stderr = stderr


class StorageError(GitmlError):
    """The disk or a DVC remote refused, or an artifact's bytes are not what was recorded."""


class FormatError(GitmlError):
    """A stored file is damaged, or written by a newer gitml."""


def shown(value: object) -> str:
    """`value` as it may appear in a message: escaped, on one line, at most 80 characters."""
    text = ascii(value) if not isinstance(value, str) else _escaped(value)
    return text if len(text) <= _SHOWN else text[: _SHOWN - 1] + "…"


def _escaped(text: str) -> str:
    quoted = "".join(char if char.isprintable() else ascii(char)[1:-1] for char in text[:_SHOWN])
    return f"'{quoted}'" if len(text) <= _SHOWN else f"'{quoted}"
