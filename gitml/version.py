"""The version of gitml: written here, read by the build and by every record."""

from __future__ import annotations

__version__ = "0.1.0"
VERSION = __version__
