"""What the pickles in some data would import, found without executing any of it.

Content decides, not names: pickles are found in compressed files, archives and NumPy's files too.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from gitml.models.contained import opened
from gitml.models.pickles.harmless import is_harmless
from gitml.models.pickles.search import Search
from gitml.models.pickles.stream import Budget

__all__ = ["PickleScan", "scan"]


@dataclass(frozen=True, slots=True)
class PickleScan:
    """What is known of the pickles in some data.

    `pickles` counts them, `imports` are the sorted `module.name` that loading them would import.
    `unresolved` says that there are others whose names are computed only when they are loaded,
    `calls` that something is called or given a state. `problem` says why the data can't be read to
    its end, None when it was. `containers` are the kinds of files that they lie in, such as gzip.
    """

    pickles: int = 0
    imports: tuple[str, ...] = ()
    unresolved: bool = False
    calls: bool = False
    problem: str | None = None
    containers: tuple[str, ...] = ()

    @property
    def unsafe_imports(self) -> tuple[str, ...]:
        """Those imports that are not known to make plain data only."""
        return tuple(name for name in self.imports if not is_harmless(name))

    @property
    def executes(self) -> bool:
        """Whether loading can run what the author wants: also when that can't be told."""
        return bool(self.unsafe_imports or self.unresolved or self.problem)


def scan(data: bytes | Path) -> PickleScan:
    """Look for pickles in a file, or in bytes as a file would have them.

    Takes time in proportion to the size, and little memory. Raises `FormatError` for what is no
    regular file, `StorageError` when it can't be read.
    """
    if isinstance(data, bytes):
        return _scan(io.BytesIO(data))
    with opened(data) as file:
        return _scan(file)


def _scan(file: BinaryIO) -> PickleScan:
    size = file.seek(0, io.SEEK_END)
    search = Search(Budget(size))
    search.whole(file, size)
    return PickleScan(
        search.pickles,
        tuple(sorted(search.names)),
        search.unresolved,
        search.calls,
        search.problem,
        tuple(dict.fromkeys(search.containers)),
    )
