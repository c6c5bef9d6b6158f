"""The run.json files that were recorded or asked for last, kept in the index.

To read a hundred of them from git takes five to ten times as long: a process, and deltas to undo.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from gitml.tracking.index import database

if TYPE_CHECKING:
    import sqlite3

KEPT = 2000
_MAX_BYTES = 8192  # of one document: a larger one is left in git
_AT_ONCE = 500


def kept(connection: sqlite3.Connection, blobs: Sequence[str]) -> dict[str, bytes]:
    """What is kept of the blobs, by id."""
    found: dict[str, bytes] = {}
    for at in range(0, len(blobs), _AT_ONCE):
        some = [bytes.fromhex(blob) for blob in blobs[at : at + _AT_ONCE]]
        query = f"SELECT blob, data FROM documents WHERE blob IN ({', '.join('?' * len(some))})"
        found.update((blob.hex(), data) for blob, data in connection.execute(query, some))
    return found


def is_small(data: bytes) -> bool:
    """Whether a document is one to keep."""
    return len(data) <= _MAX_BYTES


def keep(connection: sqlite3.Connection, contents: Mapping[str, bytes]) -> None:
    """Keep what blobs hold, inside a transaction, and drop what was kept longest ago."""
    connection.executemany(
        "INSERT OR IGNORE INTO documents(blob, data) VALUES (?, ?)", _small(contents)
    )
    oldest = "(SELECT max(id) FROM documents) - ?"
    connection.execute(f"DELETE FROM documents WHERE id <= {oldest}", (KEPT,))


def keep_if_free(connection: sqlite3.Connection, contents: Mapping[str, bytes]) -> None:
    """Keep what blobs hold, unless somebody else is writing or the file can't be written."""
    import sqlite3

    waiting = connection.execute("PRAGMA busy_timeout").fetchone()[0]
    connection.execute("PRAGMA busy_timeout = 0")
    try:
        with database.transaction(connection):
            keep(connection, contents)
    except sqlite3.OperationalError:
        pass
    finally:
        connection.execute(f"PRAGMA busy_timeout = {waiting}")


def _small(contents: Mapping[str, bytes]) -> Iterator[tuple[bytes, bytes]]:
    for blob, data in contents.items():
        if is_small(data):
            yield bytes.fromhex(blob), data
