"""The current interpreter against a spec: what of it is missing or another version."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version

from packaging.requirements import Requirement

from gitml.environments import counterparts, pythons
from gitml.environments.requirements import package
from gitml.environments.spec import Spec, is_version, minor
from gitml.errors import UsageError


def differences(spec: Spec) -> tuple[str, ...]:
    """What the current environment has otherwise than a spec asks, a line each.

    Packages from URLs and folders, and those that only conda has, can't be compared.
    """
    return tuple(_found(spec))


def _found(spec: Spec) -> Iterator[str]:
    here = pythons.running().version
    wanted = spec.python
    if wanted and pythons.choose(_minor(wanted), [pythons.running()]) is None:
        yield f"Python {here} is running, {wanted} is asked for"
    try:
        spec = counterparts.on_pypi(spec)
    except UsageError as error:
        yield str(error)
    for line in spec.requirements:
        asked = package(line)
        if asked is not None and not asked.url and (not asked.marker or asked.marker.evaluate()):
            yield from _difference(asked)


def _minor(wanted: str) -> str:
    """Another patch of the same Python makes no difference."""
    return minor(wanted) if is_version(wanted) else wanted


def _difference(asked: Requirement) -> Iterator[str]:
    try:
        here = version(asked.name)
    except PackageNotFoundError:
        yield f"{asked.name} is not installed, {asked.name}{asked.specifier} is asked for"
        return
    if not asked.specifier.contains(here, prereleases=True):
        yield f"{asked.name} {here} is installed, {asked.name}{asked.specifier} is asked for"
