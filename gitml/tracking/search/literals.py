"""Numbers and times in text: as a filter writes them, and as params and attributes hold them."""

from __future__ import annotations

import datetime
import math
import re

_NUMBER = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?", re.ASCII)
_WHOLE = re.compile(r"[+-]?\d+", re.ASCII)
_SPECIAL = {
    f"{sign}{word}": value
    for word, number in (("nan", math.nan), ("inf", math.inf), ("infinity", math.inf))
    for sign, value in (("", number), ("+", number), ("-", -number))
}
_FIRST = frozenset("+-.0123456789nNiI")
_LONGEST = 400  # a number's digits: more are no number that somebody measured
_BITS = 63
_TIME = re.compile(
    r"(\d{4}-\d\d-\d\d)(?:[T ](\d\d:\d\d)(:\d\d)?(?:[.,](\d{1,9}))?)?\s*(Z|[+-]\d\d:\d\d)?",
    re.ASCII,
)
_EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.timezone.utc)


def number_of(value: object) -> int | float | None:
    """The number that a param's value or a word is; None for what is none.

    Text counts when it is written as a number ('0.001', '1e-3', 'nan'), because a param that came
    through MLflow is text. Booleans are no numbers. Integers beyond 64 bits become floats.
    """
    if type(value) is float:
        return value
    if type(value) is int:
        return _fitted(value)
    if not isinstance(value, str) or value[:1] not in _FIRST or len(value) > _LONGEST:
        return None
    if _NUMBER.fullmatch(value):
        return _fitted(int(value)) if _WHOLE.fullmatch(value) else float(value)
    return _SPECIAL.get(value.lower())


def _fitted(number: int) -> int | float:
    if -(1 << _BITS) <= number < 1 << _BITS:
        return number
    try:
        return float(number)
    except OverflowError:
        return math.inf if number > 0 else -math.inf


def time_of(text: str) -> int | None:
    """Milliseconds since the epoch of an ISO 8601 date or time, UTC unless it says otherwise."""
    found = _TIME.fullmatch(text.strip())
    if found is None:
        return None
    date, minutes, seconds, fraction, zone = found.groups()
    plain = f"{date}T{minutes or '00:00'}{seconds or ':00'}"
    offset = "+00:00" if zone in (None, "Z") else zone
    try:
        moment = datetime.datetime.fromisoformat(plain + offset)
    except ValueError:
        return None
    whole = (moment - _EPOCH) // datetime.timedelta(milliseconds=1)
    return whole + int((fraction or "0")[:3].ljust(3, "0"))
