"""Groups of concurrency: one holds it, one waits, and a later one takes the place of that."""

from __future__ import annotations

from typing import Generic, TypeVar

T = TypeVar("T")


class Groups(Generic[T]):
    """Who holds each group, and who waits for it; names are the same in any case."""

    def __init__(self) -> None:
        self._held: dict[str, T] = {}
        self._waits: dict[str, T] = {}

    def enter(self, name: str, who: T) -> T | None:
        """Hold a group or wait for it; whose place in the line this takes."""
        key = name.lower()
        if key not in self._held:
            self._held[key] = who
            return None
        before = self._waits.get(key)
        self._waits[key] = who
        return before

    def holder(self, name: str) -> T | None:
        """Who holds a group."""
        return self._held.get(name.lower())

    def leave(self, name: str, who: T) -> None:
        """Give up a group, or the place in its line; who waits holds it then."""
        key = name.lower()
        if self._waits.get(key) is who:
            del self._waits[key]
        if self._held.get(key) is who:
            del self._held[key]
            if key in self._waits:
                self._held[key] = self._waits.pop(key)
