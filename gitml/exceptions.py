"""The errors of gitml, by the name and at the place that MLflow has for its own."""

from __future__ import annotations

from gitml.errors import GitmlError

MlflowException = GitmlError
RestException = GitmlError  # what a server's answer raises in MLflow

__all__ = ["MlflowException", "RestException"]
