"""The page of a served model."""

from __future__ import annotations

from gitml.models.pyfunc import PyFuncModel

FILES = {"/": "page.html"}
HEADERS: dict[str, str] = {}


def file(path: str, model: PyFuncModel) -> tuple[bytes, str]:
    """A file."""
    return b"", "text/html"
