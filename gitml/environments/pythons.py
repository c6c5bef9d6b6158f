"""The Pythons that are on this machine, and which of them a spec asks for."""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from packaging.specifiers import SpecifierSet
from packaging.version import InvalidVersion, Version

from gitml.environments.spec import is_version, minor


@dataclass(frozen=True, slots=True)
class Python:
    """An interpreter and its version, such as 3.11.7."""

    version: str
    path: Path


def running() -> Python:
    """The interpreter that is running; inside a virtual environment, the one it was made from."""
    base = getattr(sys, "_base_executable", None) or sys.executable
    return Python(platform.python_version(), Path(base))


def interpreter(place: Path) -> Path:
    """The interpreter of the environment `place`."""
    windows = (place / "Scripts" / "python.exe", place / "python.exe")
    return next((path for path in windows if path.exists()), place / "bin" / "python")


def of_pyenv() -> list[Python]:
    """The Pythons that pyenv keeps, those too that are not switched on."""
    root = os.environ.get("PYENV_ROOT") or os.path.join(os.path.expanduser("~"), ".pyenv")
    found = Path(root, "versions").glob("*/bin/python3")
    return [Python(path.parent.parent.name, path) for path in found if _is_plain(path)]


def _is_plain(path: Path) -> bool:
    try:
        return bool(Version(path.parent.parent.name))
    except InvalidVersion:
        return False  # pypy, or a virtual environment by another name


def choose(wanted: str, found: Iterable[Python]) -> Python | None:
    """The first Python of exactly a version, else the newest that fits; None when none does."""
    known = list(found)
    if is_version(wanted):
        known = [python for python in known if _fits(python, wanted)]
    else:
        known = [python for python in known if SpecifierSet(wanted).contains(python.version)]
    return max(known, key=lambda python: Version(python.version), default=None)


def _fits(python: Python, wanted: str) -> bool:
    exact = wanted.count(".") == 2
    return python.version == wanted if exact else minor(python.version) == wanted


def listed(found: Iterable[Python]) -> str:
    """The versions of Pythons, as a message lists them."""
    return ", ".join(sorted({python.version for python in found}, key=Version))
