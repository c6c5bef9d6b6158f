"""Decisions about a model that need no gate: aliases, the archive, the description.

Each is an edit of the model's file in the work tree, which the user commits and has reviewed.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from gitml.documents import Edit
from gitml.errors import NOT_FOUND, UsageError, shown
from gitml.registry import catalog, desired, files
from gitml.registry.files import ModelFile
from gitml.registry.tags import check_alias, check_model_name
from gitml.registry.version import Version
from gitml.tracking.place import Place


def set_alias(place: Place, name: str, alias: str, version: str | None) -> str:
    """Give an alias to a version, or with None take it away; the path of the edited file.

    Raises UsageError when there is no such version or alias, or a stage has that name.
    """
    check_alias(alias)
    wanted = None if version is None else catalog.read(place.repo).version(name, version).version

    def decide(now: ModelFile) -> list[Edit]:
        if wanted is None and alias not in now.aliases:
            raise UsageError(f"{shown(name)} has no alias {shown(alias)}", NOT_FOUND)
        if wanted is not None and alias.lower() in now.stages:
            raise UsageError(f"{shown(alias)} is a stage of {shown(name)}; use another word")
        return files.aliased(alias, wanted)

    return _changed(place, name, decide)


def archive(place: Place, name: str, versions: Sequence[str], *, undo: bool = False) -> str:
    """Mark versions as archived, or take the mark away; the path of the edited file.

    Raises UsageError for a version that is not there, or that holds a stage.
    """
    book = catalog.read(place.repo)
    wanted = {book.version(name, version).version for version in versions}

    def decide(now: ModelFile) -> list[Edit]:
        _check_free(name, now, wanted)
        if undo:
            _check_listed(name, now, wanted)
            return files.archived({*now.listed} - wanted)
        return files.archived({*now.listed} | wanted)

    return _changed(place, name, decide)


def _check_free(name: str, now: ModelFile, versions: Iterable[Version]) -> None:
    for version in versions:
        stages = [stage for stage, held in now.stages.items() if held == version]
        if stages:
            what = f"{name} {version} holds the stage {stages[0]}"
            raise UsageError(f"{what}; promote another version to it first")


def _check_listed(name: str, now: ModelFile, versions: Iterable[Version]) -> None:
    """Refuse to take a mark away that nobody has set."""
    for version in versions:
        if version in now.versions:
            what = f"{name} {version} is archived because it lost its stage"
            raise UsageError(f"{what}; promote it to one to use it again")


def describe(place: Place, name: str, description: str) -> str:
    """Say what a model is for; the path of the edited file."""
    check_model_name(name)
    return _changed(place, name, lambda _: files.described(description))


def _changed(place: Place, name: str, decide: desired.Decide) -> str:
    desired.change(place, name, decide)
    return files.path_of(name)
