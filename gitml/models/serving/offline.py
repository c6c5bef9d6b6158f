"""Predictions for a file, without a server: the same formats and answers."""

from __future__ import annotations

from pathlib import PurePath
from typing import Literal

from gitml.errors import UsageError, shown
from gitml.models import load
from gitml.models.serving import loading, written
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


def format_to(name: str | None) -> Format:
    """The format of predictions that go to a file of this name: JSON unless it tells another."""
    suffix = PurePath(name or "").suffix.lower()
    return "csv" if suffix == ".csv" else "parquet" if suffix == ".parquet" else "json"


def predict(
    uri: str, data: bytes, form: Format, *, to: Format = "json", allow_code: bool = False
) -> bytes:
    """The answer of a model to a body in one of the server's formats, as what a file holds.

    Raises RefusedError for data that the model can't take, UsageError for predictions that are not
    of the format `to`, and UntrustedModelError as loading does.
    """
    source, model = load.opened(uri, allow_code=allow_code)
    scorer = Scorer(loading.loaded(source, model), _UNLIMITED)
    if to == "json":
        return scorer.score(data, FORMATS[form]) + b"\n"
    predictions = scorer.predictions(data, FORMATS[form])
    return written.as_csv(predictions) if to == "csv" else written.as_parquet(predictions)
