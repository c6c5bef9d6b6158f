"""What the user tells a backend: a dictionary, the file that holds it, or its text, as in MLflow.

It comes from the user's side only. No project can bring one: a file is read where it is named, and
never looked for.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gitml.documents import load_yaml
from gitml.errors import FormatError, UsageError, shown
from gitml.files import shown_path


def read(given: Mapping[str, Any] | str | Path | None) -> dict[str, Any]:
    """The settings of a backend; a file is JSON or YAML, and so is text that begins with a brace.

    Raises UsageError when there is no such file, and FormatError, which tells line and column.
    """
    if given is None:
        return {}
    if isinstance(given, Mapping):
        return dict(given)
    text = str(given)
    if text.lstrip().startswith("{"):
        return _mapping(text.encode(), "the backend's configuration")
    path = Path(text).expanduser()
    try:
        return _mapping(path.read_bytes(), shown_path(path))
    except OSError as error:
        raise UsageError(
            f"can't read the backend's configuration {shown_path(path)}: {error.strerror}"
        ) from None


def _mapping(data: bytes, where: str) -> dict[str, Any]:
    document = load_yaml(data, where)
    if not isinstance(document, dict):
        raise FormatError(f"{where} is no mapping of names to values but {shown(document)}")
    return document
