"""Predictions as the JSON that MLflow's server answers with."""

from __future__ import annotations

import base64
import datetime
import json
import sys
from collections.abc import Callable
from typing import Any

from gitml.errors import UsageError
from gitml.models.conversion import kind_of
from gitml.models.serving.tables import CHUNK


class AnswerError(UsageError):
    """A model's predictions are nothing that JSON can hold."""


def answer(predictions: Any, *, is_bare: bool = False) -> bytes:
    """The body of an answer; `is_bare` leaves out the key `predictions`. Raises AnswerError.

    NaN and the infinities are written as NaN and Infinity, as MLflow does.
    """
    text = _fast(predictions)
    if text is None:
        try:
            text = _dumped(_plain(predictions)).encode()
        except (AnswerError, TypeError, ValueError, RecursionError) as error:
            what = str(error) if isinstance(error, AnswerError) else "something that is not JSON"
            raise AnswerError(f"the model predicts {what}") from None
    return text if is_bare else b'{"predictions":' + text + b"}"


def _fast(predictions: Any) -> bytes | None:
    """An array of finite numbers as JSON; None for anything else."""
    numpy = sys.modules.get("numpy")
    if numpy is None or not isinstance(predictions, numpy.ndarray):
        return None
    if predictions.dtype.kind not in "iufb" or not numpy.isfinite(predictions).all():
        return None
    import orjson

    return orjson.dumps(predictions.tolist())


def _dumped(value: Any) -> str:
    """JSON; a long list is written some items at a time, so that other threads get their turn."""
    if not isinstance(value, list) or len(value) <= CHUNK:
        return json.dumps(value, default=_described)
    starts = range(0, len(value), CHUNK)
    parts = [json.dumps(value[at : at + CHUNK], default=_described)[1:-1] for at in starts]
    return f"[{', '.join(parts)}]"


def _plain(predictions: Any) -> Any:
    """Arrays and tables as lists and dictionaries."""
    pandas, numpy = sys.modules.get("pandas"), sys.modules.get("numpy")
    if numpy is not None and isinstance(predictions, numpy.ndarray):
        return predictions.tolist()
    if pandas is not None and isinstance(predictions, pandas.Series):
        predictions = predictions.to_frame()
    if pandas is not None and isinstance(predictions, pandas.DataFrame):
        names = predictions.columns.tolist()
        columns = [predictions.iloc[:, at].tolist() for at in range(len(names))]
        return [dict(zip(names, row, strict=True)) for row in zip(*columns, strict=True)]
    return predictions


def _described(value: Any) -> Any:
    """What JSON has for a value of another kind."""
    found, known = _converted(value)
    if not known:
        raise AnswerError(f"a {kind_of(value)}, which is not JSON")
    return found


def _converted(value: Any) -> tuple[Any, bool]:
    numpy = sys.modules.get("numpy")
    if numpy is not None and isinstance(value, numpy.ndarray):
        return _array(value), True
    if numpy is not None and isinstance(value, numpy.generic):
        return value.item(), True
    for kinds, convert in _CONVERSIONS:
        if isinstance(value, kinds):
            return convert(value), True
    if callable(dump := getattr(value, "model_dump", None)):  # pydantic's
        return dump(), True
    return value, False


def _array(value: Any) -> Any:
    if value.dtype == "object":
        return [_converted(item)[0] for item in value.tolist()]
    if value.dtype.kind == "S":
        return [_described(item) for item in value.tolist()]
    return value.tolist()


def _text_of(data: bytes | bytearray) -> str:
    return base64.encodebytes(data).decode("ascii")


_CONVERSIONS: tuple[tuple[Any, Callable[[Any], Any]], ...] = (
    ((bytes, bytearray), _text_of),
    ((datetime.date, datetime.time), lambda value: value.isoformat()),  # Timestamps are dates
)
