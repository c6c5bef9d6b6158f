"""`ViewType`, at the place where MLflow has it."""

from __future__ import annotations

from gitml.tracking.entities import ViewType

__all__ = ["ViewType"]
