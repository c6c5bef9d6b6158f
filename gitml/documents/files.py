"""Files that are whole at every moment."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

from gitml.errors import StorageError, shown


def write_atomic(path: str | os.PathLike[str], data: bytes, mode: int | None = None) -> None:
    """Replace the file `path` by `data`, which is on the disk when this returns.

    A reader sees the old file or the new one. `mode` are the permission bits; without it the file
    keeps those it had. Raises `StorageError`.
    """
    target = Path(path)
    draft = target.with_name(f".{target.name[:100]}.{secrets.token_hex(4)}.tmp")
    try:
        if mode is None and target.exists():
            mode = target.stat().st_mode & 0o7777
        _write_draft(draft, data, mode)
        draft.replace(target)
    except OSError as error:
        _discard(draft)
        raise StorageError(f"can't write {shown(str(target))}: {error.strerror}") from error
    except BaseException:
        _discard(draft)
        raise


def _discard(draft: Path) -> None:
    try:
        draft.unlink(missing_ok=True)
    except OSError:
        pass  # what stopped the writing says more


def _write_draft(draft: Path, data: bytes, mode: int | None) -> None:
    with draft.open("xb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    if mode is not None:
        draft.chmod(mode)
