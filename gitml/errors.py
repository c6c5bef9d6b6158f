"""The errors that gitml raises on purpose, one kind for each person who must act.

Every message is one line: what is wrong with what, and what to do about it.

- `GitmlError`: base of all; catch it to catch everything that gitml reports. It has what
  MLflow's exception has: `message`, `error_code`, `serialize_as_json` and the HTTP status.
    - `UsageError`: the input is wrong; the caller changes it. Exit code 2.
    - `MissingFileError`: there is no such file; a FileNotFoundError, too. Exit code 2.
    - `NoRepositoryError`: there is no git repository to record in. Exit code 2.
    - `GitError`: a git command failed. Exit code 3.
    - `StorageError`: the disk, a DVC remote or an artifact failed. Exit code 3.
    - `FormatError`: a file in the repository can't be read as what it should be. Exit code 3.
    - `ForgeError`: a forge refused, or did not answer as it should. Exit code 3.
"""

from __future__ import annotations

_SHOWN = 80

# MLflow's codes, as far as the errors here can tell.
INTERNAL, INVALID = "INTERNAL_ERROR", "INVALID_PARAMETER_VALUE"
NOT_FOUND, TAKEN = "RESOURCE_DOES_NOT_EXIST", "RESOURCE_ALREADY_EXISTS"
_HTTP_STATUS = {INVALID: 400, "BAD_REQUEST": 400, TAKEN: 400, NOT_FOUND: 404}


class GitmlError(Exception):
    """Base of every error that gitml reports to a person; `error_code` is MLflow's name for it."""

    exit_code = 3
    error_code: str = INTERNAL

    def __init__(self, message: object = "", error_code: object = None, **details: object) -> None:
        super().__init__(message)
        self.message = str(message)
        self.json_kwargs = details
        if isinstance(error_code, str):
            self.error_code = error_code

    @classmethod
    def invalid_parameter_value(cls, message: object, **details: object) -> GitmlError:
        """An error that says that the caller passed something wrong."""
        return cls(message, INVALID, **details)

    def get_http_status_code(self) -> int:
        """The HTTP status that a server would answer with."""
        return _HTTP_STATUS.get(self.error_code, 500)

    def serialize_as_json(self) -> str:
        """The code, the message and the details as JSON text."""
        import json

        plain = {"error_code": self.error_code, "message": self.message, **self.json_kwargs}
        return json.dumps(plain)


class UsageError(GitmlError):
    """The caller's input is wrong; nothing was changed."""

    exit_code = 2
    error_code = INVALID


class MissingFileError(UsageError, FileNotFoundError):
    """A file that is to be logged is not there."""


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


class ForgeError(GitmlError):
    """A forge refused, or did not answer as it should.

    `status` is that of HTTP, None without an answer; `unsure` tells that what was asked for may
    have been done all the same.
    """

    def __init__(self, message: str, *, status: int | None = None, unsure: bool = False) -> None:
        super().__init__(message)
        self.status = status
        self.unsure = unsure


def shown(value: object) -> str:
    """`value` as it may appear in a message: escaped, on one line, at most 80 characters."""
    text = ascii(value) if not isinstance(value, str) else _escaped(value)
    return text if len(text) <= _SHOWN else text[: _SHOWN - 1] + "…"


def plural(count: int, one: str, many: str = "") -> str:
    """A count of things, such as `1 run` or `3 runs`."""
    return f"{count} {one if count == 1 else many or one + 's'}"


def _escaped(text: str) -> str:
    quoted = "".join(char if char.isprintable() else ascii(char)[1:-1] for char in text[:_SHOWN])
    return f"'{quoted}'" if len(text) <= _SHOWN else f"'{quoted}"
