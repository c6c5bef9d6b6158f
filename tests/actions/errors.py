"""What goes wrong in the runner itself, which is never what a test looks for by accident."""

from __future__ import annotations


class UnsupportedError(Exception):
    """A workflow uses something that the runner does not know."""


class InvalidError(Exception):
    """GitHub would refuse the workflow, and run none of it."""
