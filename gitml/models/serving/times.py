"""Times of a request: text by ISO 8601, or nanoseconds since 1970.

MLflow also guesses what `02/01/2026` means, and takes seconds and milliseconds for nanoseconds;
that makes other times of them, so they are refused here.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

_ISO = re.compile(r"\d{4}(?:[^\d:]|\d{4}|$)", re.ASCII)  # what pandas has to like, too
_MISSING = ("", "NaT", "nan", "NaN")
_LEAST = 10**17  # nanoseconds; milliseconds come to so many in the year 3170843
_MOST = 2**63


class NoTimeError(ValueError):
    """Values that are no times; the message says what was expected and what came."""


def read_times(values: Iterable[Any]) -> pd.Series:
    """The times as a column, in a time zone when the texts name one. Raises NoTimeError."""
    import pandas as pd

    items = [_item(value) for value in values]
    try:
        times = pd.to_datetime(pd.Series(items, dtype=object), format="ISO8601")
    except (ValueError, OverflowError, TypeError):
        raise NoTimeError(_expected("other text, or several time zones")) from None
    if times.dt.tz is not None:
        return times
    try:
        return times.astype("datetime64[ns]")
    except (ValueError, OverflowError):
        raise NoTimeError("expected datetime in the years 1678 to 2261, got others") from None


def _item(value: Any) -> str | None:
    """A value as text that pandas reads without a guess."""
    import numpy as np

    if isinstance(value, str):
        text = value.strip()
        if text in _MISSING:
            return None
        if not _ISO.match(text):
            raise NoTimeError(_expected("other text"))
        return text.replace(",", ".")
    if value is None or value != value:
        return None
    if isinstance(value, bool) or not isinstance(value, int):
        raise NoTimeError(_expected("other values"))
    if not _LEAST <= abs(value) < _MOST:
        raise NoTimeError(_expected("a number that may be seconds or milliseconds"))
    return str(np.datetime64(value, "ns"))


def _expected(got: str) -> str:
    return f"expected datetime as text such as 2026-01-31T12:30:00, got {got}"
