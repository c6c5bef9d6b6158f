"""What loading a model would run, decided before anything of it is imported or unpickled.

The decision rests on the MLmodel document and on the content of the files. Paths that leave the
model's folder are no question of trust: they are refused always.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gitml.errors import UsageError, shown
from gitml.models import entries, installs
from gitml.models.contained import files_of, links_of, opened
from gitml.models.entries import LOADERS
from gitml.models.flavor import vouched
from gitml.models.mlmodel import PYTHON_FUNCTION
from gitml.models.serialization import serialization_of

__all__ = ["LOADERS", "Assessment", "Finding", "UntrustedModelError", "assess", "check"]

_MAX_TEXT = 1 << 20  # bytes of a file that describes an environment or names a module
_TEXTS = ("text", "json", "unknown")  # which an unpickler may take for imports
_STRANGE = ("unknown", "zip")  # kinds of which nobody knows what a loader makes
_QUIET = ("text", "json", "empty")  # kinds that nobody asks about


class UntrustedModelError(UsageError):
    """Loading a model would run code of a stranger, and nobody has allowed it."""


@dataclass(frozen=True, slots=True)
class Finding:
    """A part of a model that is loaded with it, or could be: a file, or an entry of MLmodel.

    `executes` says whether that can run code of whoever made the model, `why` how.
    """

    what: str
    executes: bool
    why: str
    imports: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Assessment:
    """All that is known of what loading a model would run."""

    findings: tuple[Finding, ...] = ()

    @property
    def executes_code(self) -> bool:
        """Whether anything of it can run code of whoever made the model."""
        return any(finding.executes for finding in self.findings)

    @property
    def imports(self) -> tuple[str, ...]:
        """What its files would import, as sorted `module.name`."""
        return tuple(sorted({name for finding in self.findings for name in finding.imports}))


def assess(folder: Path, document: Mapping[str, Any]) -> Assessment:
    """What loading the model in `folder`, described by its parsed MLmodel, would run.

    Flavors of other packages, which are installed and say that they are safe, are known as gitml's
    own are; a file of no known kind is theirs to read if the model has no other flavor.

    Raises `FormatError`, whatever is allowed, for a path in MLmodel that leaves the folder or goes
    through a link, and for a link out of the folder, a pipe or a device in it.
    """
    safe = vouched(document)
    read = entries.read(folder, document, LOADERS | frozenset(safe.values()))
    findings = [Finding(what, True, why) for what, why in read.code]
    theirs = _only_of(safe, document)
    for path, name in files_of(folder):
        findings += _of_file(path, name, read, theirs)
    for path, name in links_of(folder):  # under which a loader may find it
        if path.is_dir():
            findings.append(Finding(shown(name)[1:-1], True, "gives a folder a second name"))
        else:
            findings += _of_file(path, name, read, theirs)
    return Assessment(tuple(findings))


def check(assessment: Assessment, *, allow_code: bool, trusted: bool, name: str) -> None:
    """Raise `UntrustedModelError` if loading would run code that nobody answers for.

    `trusted` says that the model is known to be what this repository recorded, `allow_code` that
    the user takes responsibility; `name` is what the user calls the model.
    """
    threats = [finding for finding in assessment.findings if finding.executes]
    if trusted or allow_code or not threats:
        return
    first = f"{threats[0].what}: {threats[0].why}"
    more = f", and {len(threats) - 1} more" if len(threats) > 1 else ""
    raise UntrustedModelError(
        f"the model {shown(name)} can run code of whoever made it ({first}{more});"
        " if you trust them, allow it: --allow-code, or allow_code=True"
    )


# -- files ---------------------------------------------------------------------------------


def _only_of(safe: Mapping[str, str], document: Mapping[str, Any]) -> bool:
    """Whether a model is loaded by nothing but flavors of other packages that are safe."""
    flavors = dict(document.get("flavors") or {})
    generic = flavors.pop(PYTHON_FUNCTION, None)
    loaders = () if generic is None else (generic.get("loader_module"),)
    return bool(safe) and flavors.keys() <= safe.keys() and {*loaders} <= {*safe.values()}


def _of_file(path: Path, name: str, read: entries.Entries, theirs: bool) -> Iterator[Finding]:
    """What there is to say about a file: whatever executes, and what the flavors load.

    `theirs` says that files of no known kind are of formats that flavors vouch for.
    """
    told = serialization_of(path)
    loaded = any(entry in (".", name) or name.startswith(f"{entry}/") for entry in read.loaded)
    unknown = told.kind in _STRANGE and loaded and not theirs
    if name in read.pickled and told.kind in _TEXTS and not told.executes:
        yield Finding(shown(name)[1:-1], True, "is unpickled, but is none of the known pickles")
    elif told.executes or unknown or (loaded and told.kind not in _QUIET):
        yield Finding(shown(name)[1:-1], told.executes or unknown, told.why, told.imports)
    file = Path(name).name.casefold()  # some file systems find a name in any case
    if file in entries.SAVED_MODELS and not told.executes:
        yield Finding(shown(name)[1:-1], True, "a TensorFlow model, which is a program")
    if file in entries.MODULE_FILES:
        module = _content(path).decode("utf-8", "replace").strip()
        if module not in entries.MODULE_FILES[file]:
            yield Finding(shown(name)[1:-1], True, f"names {shown(module)} as a module to import")
    if name.casefold() in installs.FILES or name in read.environment:
        for why in installs.foreign(name, _content(path)):
            yield Finding(shown(name)[1:-1], True, f"the environment {why}")


def _content(path: Path) -> bytes:
    with opened(path) as file:
        return file.read(_MAX_TEXT)
