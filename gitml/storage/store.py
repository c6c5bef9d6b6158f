"""An open remote: what every kind of remote can do with objects."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Protocol

from gitml.storage.folder import StoredObject

# Called with the number of bytes of one object that have been moved so far.
Moved = Callable[[int], None]


class Store(Protocol):
    """An open remote. Its methods raise whatever the backend raises."""

    jobs: int  # how many objects to move at a time

    def present(self, md5s: Iterable[str]) -> set[str]:
        """Those of the objects that the remote holds."""

    def put(self, md5: str, source: Path, moved: Moved) -> None:
        """Store the file `source`, which appears whole or not at all."""

    def get(self, md5: str, target: Path, moved: Moved) -> None:
        """Write the object to the new path `target`; FileNotFoundError when it is not there."""

    def delete(self, md5: str) -> None:
        """Remove the object; no error when it is not there."""

    def objects(self) -> Iterator[StoredObject]:
        """Every object that the remote holds."""
