"""What the registry's functions return, at the place where MLflow has it."""

from __future__ import annotations

from gitml.registry.entities import ModelVersion, RegisteredModel

__all__ = ["ModelVersion", "RegisteredModel"]
