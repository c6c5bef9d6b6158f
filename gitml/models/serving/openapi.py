"""The OpenAPI description of a served model, made of its signature."""

from __future__ import annotations

from typing import Any

from gitml.models.pyfunc import PyFuncModel


def document(model: PyFuncModel) -> dict[str, Any]:
    """The document."""
    return {"openapi": "3.1.0"}
