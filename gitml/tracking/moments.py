"""Moments as files hold them: milliseconds since the epoch as text in ISO 8601."""

from __future__ import annotations

import datetime


def time_to_text(milliseconds: int) -> str:
    """Milliseconds since the epoch as ISO 8601 in UTC, such as 2026-01-31T08:15:30.125Z."""
    seconds, rest = divmod(milliseconds, 1000)
    moment = _EPOCH + datetime.timedelta(seconds=seconds)
    return f"{moment.replace(tzinfo=None).isoformat()}.{rest:03d}Z"


def time_from_text(text: str) -> int:
    """The milliseconds that `time_to_text` wrote."""
    moment = datetime.datetime.fromisoformat(text[:-1] + "+00:00")
    return round((moment - _EPOCH) / _MILLISECOND)


_EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.timezone.utc)
_MILLISECOND = datetime.timedelta(milliseconds=1)
