"""What an image of a Python environment is made of: a Python, a platform, libraries."""

from __future__ import annotations

import platform
import re

from gitml.environments import pythons
from gitml.environments.requirements import package
from gitml.environments.spec import Spec, is_version, minor
from gitml.errors import UsageError, shown

_PLATFORMS = {
    "linux/amd64": "x86_64-manylinux_2_28",
    "linux/arm64": "aarch64-manylinux_2_28",
}
# Libraries of the system that a package's wheel needs and a slim image does not have.
_LIBRARIES = {"lightgbm": "libgomp1"}


def check_not_local(spec: Spec) -> None:
    """Refuse what is in a folder of this machine: an image does not have it."""
    for line in spec.requirements:
        if _is_here(line):
            raise UsageError(
                f"{spec.source}: {shown(line)} is on this machine only; take it from an index"
            )


def _is_here(line: str) -> bool:
    wanted = package(line)
    if wanted is None:
        return "://" not in line
    return (wanted.url or "").startswith("file:")


def version_of(spec: Spec) -> str:
    """The Python of the image, such as 3.11: the spec's, or the running one if that will do."""
    wanted = spec.python or minor(pythons.running().version)
    if is_version(wanted):
        return minor(wanted)
    if found := pythons.choose(wanted, [pythons.running()]):
        return minor(found.version)
    raise UsageError(f"{spec.source} asks for Python {wanted}; write one version of it there")


def base_of(python: str) -> str:
    """The image that has this Python, and little else."""
    return f"python:{python}-slim"


def uv_platform(wanted: str | None = None) -> str:
    """A platform such as `linux/amd64`, by default this machine's, as uv calls it."""
    arm = platform.machine().lower() in ("arm64", "aarch64")
    wanted = wanted or f"linux/{'arm64' if arm else 'amd64'}"
    if wanted not in _PLATFORMS:
        raise UsageError(f"{shown(wanted)} is no platform for images; {' or '.join(_PLATFORMS)} is")
    return _PLATFORMS[wanted]


def libraries_of(locked: str) -> tuple[str, ...]:
    """The packages of Debian that locked requirements are known to need."""
    names = set(re.findall(r"^([a-z0-9-]+)==", locked, re.MULTILINE))
    return tuple(library for name, library in _LIBRARIES.items() if name in names)
