"""Predictions for a file, without a server: the same formats and answers."""

from __future__ import annotations

from pathlib import PurePath
from typing import Literal

from gitml.errors import UsageError, shown
from gitml.models import load
from gitml.models.serving import loading
from gitml.models.serving.limits import Limits
from gitml.models.serving.payload import CSV, JSON, PARQUET
from gitml.models.serving.score import Scorer

Format = Literal["csv", "json", "parquet"]
FORMATS: dict[Format, str] = {"csv": CSV, "json": JSON, "parquet": PARQUET}

# The user's own file may be of any size.
_UNLIMITED = Limits(body=1 << 60, rows=1 << 60)


def format_of(name: str) -> Format:
    """The format that a file's name tells. Raises UsageError when it tells none."""
    suffix = PurePath(name).suffix.lower().removeprefix(".")
    for known in FORMATS:
        if suffix == known:
            return known
    raise UsageError(
        f"{shown(name)} is none of .csv, .json and .parquet; say its format with --content-type"
    )


def predict(uri: str, data: bytes, form: Format, *, allow_code: bool = False) -> bytes:
    """The answer of a model to a body in one of the server's formats, as JSON.

    Raises RefusedError for data that the model can't take, UntrustedModelError as loading does.
    """
    source, model = load.opened(uri, allow_code=allow_code)
    return Scorer(loading.loaded(source, model), _UNLIMITED).score(data, FORMATS[form])
