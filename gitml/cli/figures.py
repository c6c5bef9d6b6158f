"""Numbers, times and sizes as people read them. Pure."""

from __future__ import annotations

import datetime
import math
from collections.abc import Sequence
from typing import Any

from gitml.errors import plural as plural

_SECOND, _MINUTE, _HOUR, _DAY = 1000, 60_000, 3_600_000, 86_400_000
_UNITS = ("B", "kB", "MB", "GB", "TB", "PB")
_DIGITS = 4


def number(value: float | None) -> str:
    """A number with four significant digits; integers in full."""
    return numbers([value])[0]


def numbers(values: Sequence[float | None]) -> list[str]:
    """Numbers of one column, with as many decimals as the smallest of them needs."""
    known = [abs(v) for v in values if v is not None and math.isfinite(v) and v]
    if known and (max(known) >= 1e9 or min(known) < 1e-4):
        return [_scientific(value) for value in values]
    places = max(0, _DIGITS - 1 - math.floor(math.log10(min(known)))) if known else 0
    texts = [_decimal(value, places) for value in values]
    while places and all(text.endswith("0") or not _is_decimal(text) for text in texts):
        texts = [text[:-1] if _is_decimal(text) else text for text in texts]
        places -= 1
    return [text.removesuffix(".") for text in texts]


def _decimal(value: float | None, places: int) -> str:
    if value is None:
        return ""
    return f"{value:.{places}f}" if math.isfinite(value) else _special(value)


def _scientific(value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:.{_DIGITS}g}" if math.isfinite(value) else _special(value)


def _special(value: float) -> str:
    return "NaN" if math.isnan(value) else "inf" if value > 0 else "-inf"


def _is_decimal(text: str) -> bool:
    return "." in text


def value(thing: Any) -> str:
    """A param or a tag as text: a float is as short as it can be, nothing is cut off."""
    return "" if thing is None else str(thing)


def change(old: float | None, new: float | None, *, brief: bool = False) -> str:
    """How a number changed, such as `+0.01 (+1.1%)`; empty when that can't be told.

    A `brief` answer is the percentage, where there is one.
    """
    if old is None or new is None or not math.isfinite(new - old):
        return ""
    if new == old:
        return "="
    delta = ("+" if new > old else "") + number(new - old)
    if not old or abs((new - old) / old) >= 100:
        return delta
    share = f"{(new - old) / abs(old):+.1%}"
    return share if brief else f"{delta} ({share})"


def age(then: int, now: int) -> str:
    """How long ago a moment was, both in ms since the epoch; a date when it is long ago."""
    past = now - then
    if past >= 30 * _DAY or past < -_MINUTE:
        return date(then)
    if past < 10 * _SECOND:
        return "just now"
    for unit, length in (("day", _DAY), ("hour", _HOUR), ("min", _MINUTE), ("s", _SECOND)):
        if past >= length:
            count = past // length
            plural = "s" if count > 1 and unit in ("day", "hour") else ""
            return f"{count} {unit}{plural} ago"
    return "just now"


def date(then: int) -> str:
    """The day of a moment, in local time."""
    return _local(then).strftime("%Y-%m-%d")


def minute(then: int) -> str:
    """A moment to the minute, in local time."""
    return _local(then).strftime("%Y-%m-%d %H:%M")


def moment(then: int) -> str:
    """A moment to the second, in local time, with its offset."""
    return _local(then).strftime("%Y-%m-%d %H:%M:%S %z")


def _local(then: int) -> datetime.datetime:
    epoch = datetime.datetime(1970, 1, 1, tzinfo=datetime.timezone.utc)
    try:
        return (epoch + datetime.timedelta(milliseconds=then)).astimezone()
    except (OSError, OverflowError, ValueError):  # beyond what the platform's clock knows
        return epoch


def duration(milliseconds: int | None) -> str:
    """A length of time in its two largest units, such as `2m31s`; `?` when the clock went back."""
    if milliseconds is None:
        return ""
    if milliseconds < 0:
        return "?"
    seconds = milliseconds / 1000
    if seconds < 1:
        return f"{milliseconds}ms"
    if seconds < 60:
        return f"{seconds:.1f}s" if seconds < 10 else f"{seconds:.0f}s"
    minutes, seconds = divmod(int(seconds), 60)
    if minutes < 60:
        return f"{minutes}m{seconds:02}s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours}h{minutes:02}m" if hours < 24 else f"{hours // 24}d{hours % 24:02}h"


def size(count: int) -> str:
    """A number of bytes, such as `2.5 MB`."""
    amount, unit = float(count), 0
    while amount >= 999.5 and unit < len(_UNITS) - 1:
        amount, unit = amount / 1000, unit + 1
    return (
        f"{amount:.0f} {_UNITS[unit]}"
        if unit == 0 or amount >= 10
        else (f"{amount:.1f} {_UNITS[unit]}")
    )
