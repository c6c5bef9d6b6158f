"""What the server answers to a request that it does not take."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from gitml.errors import UsageError

MAX_MESSAGE = 900  # bytes, so that the whole answer stays below 1 kB

_NOTHING: Mapping[str, str] = MappingProxyType({})
CODES = {
    400: "BAD_REQUEST",
    403: "PERMISSION_DENIED",
    404: "ENDPOINT_NOT_FOUND",
    405: "METHOD_NOT_ALLOWED",
    408: "REQUEST_TIMEOUT",
    413: "REQUEST_TOO_LARGE",
    415: "UNSUPPORTED_MEDIA_TYPE",
    500: "INTERNAL_ERROR",
    503: "TEMPORARILY_UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}


class RefusedError(UsageError):
    """A request that is not answered with a prediction: the HTTP status, a code, and why.

    The message names the field that is wrong and never holds what the client sent there.
    """

    def __init__(
        self,
        message: str,
        status: int = 400,
        *,
        code: str | None = None,
        headers: Mapping[str, str] = _NOTHING,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code or CODES.get(status, "BAD_REQUEST")
        self.headers = headers

    def body(self) -> bytes:
        """The answer's body: JSON of at most 1 kB."""
        import orjson

        return orjson.dumps({"error_code": self.code, "message": bounded(str(self))})


class ModelFailedError(RefusedError):
    """The model itself failed; the client learns only how its error is called."""


def bounded(message: str) -> str:
    """A message that fits into an answer: one line, nothing that JSON would write longer."""
    text = "".join(char if char.isprintable() else " " for char in message)
    data = text.replace("\\", "/").replace('"', "'").encode("utf-8", "replace")
    if len(data) <= MAX_MESSAGE:
        return data.decode()
    return data[: MAX_MESSAGE - 3].decode("utf-8", "ignore") + "…"


def invalid(message: str) -> RefusedError:
    """The refusal of a body whose form is right and whose values are not; MLflow's code for it."""
    return RefusedError(message, code="INVALID_PARAMETER_VALUE")
