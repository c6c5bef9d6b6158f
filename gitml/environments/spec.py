"""What an environment is made of. Pure."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import asdict, dataclass

from packaging.specifiers import InvalidSpecifier, SpecifierSet

from gitml.errors import UsageError, shown

_INDEXES = frozenset(
    "--index-url --extra-index-url --find-links --no-index --no-binary --only-binary".split()
)
_LONGEST = 100  # characters of the version of a Python, or of a range of them
_VERSION = re.compile(r"\d+\.\d+(?:\.\d+)?")


@dataclass(frozen=True, slots=True)
class Spec:
    """What an environment is made of; every line is in its normal form.

    `python` is a version such as `3.11.7` or `3.11`, a range such as `>=3.10,<3.13`, or None for
    the Python that asks. `build` is installed before the requirements, which may replace it.
    `conda` names packages as conda does, `channels` where conda finds them. `source` tells where
    all of it was read; it is no part of what identifies the environment.
    """

    python: str | None = None
    requirements: tuple[str, ...] = ()
    constraints: tuple[str, ...] = ()
    options: tuple[str, ...] = ()
    build: tuple[str, ...] = ()
    conda: tuple[str, ...] = ()
    channels: tuple[str, ...] = ()
    source: str = ""

    def indexes(self) -> tuple[str, ...]:
        """The options that say where packages are found, and in which of their forms."""
        return tuple(line for line in self.options if line.partition(" ")[0] in _INDEXES)

    def digest(self, *conditions: str) -> str:
        """The sha256 (hex) of the spec under conditions such as a platform; order says nothing.

        Only the order of channels and of options does, which decides where a package is found.
        """
        content = {name: value for name, value in asdict(self).items() if name != "source"}
        for name in ("requirements", "constraints", "build", "conda"):
            content[name] = sorted(set(content[name]))
        text = json.dumps([content, conditions], sort_keys=True)
        return hashlib.sha256(text.encode("utf-8", "backslashreplace")).hexdigest()


def python_version(value: object, where: str) -> str | None:
    """The Python that a file asks for, as `Spec.python` writes it. Raises `UsageError`."""
    if value is None:
        return None
    text = f"{value:.2f}" if value == 3.1 else str(value).replace(" ", "")  # an unquoted 3.10
    if _VERSION.fullmatch(text):
        return text
    try:
        wanted = SpecifierSet(text if len(text) <= _LONGEST else "")
    except InvalidSpecifier:
        wanted = SpecifierSet()
    if not wanted:
        raise UsageError(
            f"{where}: {shown(text)} is no version of Python; write one such as 3.11 or 3.11.7"
        )
    exact = re.fullmatch(rf"==({_VERSION.pattern})(\.\*)?", text)
    return exact[1] if exact else str(wanted)


def minor(python: str) -> str:
    """The first two numbers of a version, such as 3.11."""
    return ".".join(python.split(".")[:2])


def is_version(python: str) -> bool:
    """Whether a `Spec.python` is a version, not a range."""
    return _VERSION.fullmatch(python) is not None
