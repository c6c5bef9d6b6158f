"""The records that a process asked for last: what it asks again is not decoded again."""

from __future__ import annotations

import contextlib
from collections import OrderedDict

from gitml.tracking.record import RunRecord

KEPT = 1000


class Memory:
    """Records by the blobs that they were made of, which never change. Threads may share it."""

    def __init__(self) -> None:
        self._records: OrderedDict[tuple[str, ...], RunRecord] = OrderedDict()

    def get(self, blobs: tuple[str, ...]) -> RunRecord | None:
        """The record made of these blobs, if it is kept."""
        return self._records.get(blobs)

    def keep(self, blobs: tuple[str, ...], record: RunRecord) -> None:
        """Keep a record, in the place of the one that was kept first."""
        if len(self._records) >= KEPT:
            with contextlib.suppress(KeyError):  # another thread was faster
                self._records.popitem(last=False)
        self._records[blobs] = record
