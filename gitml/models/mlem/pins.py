"""The versions that MLEM works with; with the newest ones of what it depends on, it does not start.

The same lines are the extra `mlem` of gitml.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from gitml.environments.requirements import package
from gitml.environments.spec import Spec

VERSION = "0.4.14"
PINS = (
    "click<8.2",
    "docker",  # MLEM imports it to write the files of an image
    "isort>=5.10,<8",  # 8 has no isort.deprecated
    f"mlem[fastapi]=={VERSION}",
    "pydantic<2",
    "typer<0.24",  # newer ones want a newer click, or none
)
# What MLEM adds to every ONNX model; the onnx of today can't be installed with it.
_OUTDATED = "protobuf==3.20.1"


def names(lines: Iterable[str]) -> set[str]:
    """The names of the packages in requirement lines."""
    return {found.name.lower() for found in map(package, lines) if found is not None}


def repaired(lines: Iterable[str]) -> list[str]:
    """Requirement lines that MLEM wrote, with which it starts: what they need is added.

    A package that is named already keeps its line, but for MLEM itself.
    """
    kept = [
        line
        for line in map(str.strip, lines)
        if line and line not in (_OUTDATED, *PINS) and names([line]) != {"mlem"}
    ]
    there = names(kept)
    return kept + [line for line in PINS if not names([line]) & there]


def with_mlem(spec: Spec) -> Spec:
    """The environment of a model with MLEM in it."""
    lines = [line for line in spec.requirements if line not in PINS and names([line]) != {"mlem"}]
    return replace(spec, requirements=(*lines, *PINS))
