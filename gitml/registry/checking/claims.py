"""Versions of a change that have no tag: their lines are all there is, and so all has to be shown.

Where a forge lets only CI make tags, the promotion carries the version. Its run has to be in the
remote's ledger as the line says, its number free, and no lower than the signature asks for.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace

from gitml import git
from gitml.errors import FormatError
from gitml.git import Progress
from gitml.models.compatibility import compare
from gitml.registry import recorded, untagged
from gitml.registry.checking import known
from gitml.registry.checking.known import Key, Known
from gitml.registry.checking.problem import Problem
from gitml.registry.files import ModelFile, path_of
from gitml.registry.recorded import Runs
from gitml.registry.tags import VersionTag, parse_tag
from gitml.registry.verified import signature_of
from gitml.registry.version import PARTS, Version
from gitml.tracking.place import Place

Files = Mapping[str, ModelFile]
_NOTHING = ModelFile()
_LETTER = re.compile(r"[a-z]", re.IGNORECASE)


def read(
    place: Place, runs: Runs, keys: Iterable[Key], files: Files, progress: Progress | None = None
) -> tuple[dict[Key, Known], list[Problem]]:
    """The versions that have a line in `files` which their runs bear out, and what is wrong."""
    found: dict[Key, Known] = {}
    problems = []
    for name, version in keys:
        try:
            found[name, version] = _known(place, runs, name, version, files, progress)
        except FormatError as error:
            problems.append(Problem(path_of(name), str(error)))
    return found, problems


def _known(
    place: Place,
    runs: Runs,
    name: str,
    version: Version,
    files: Files,
    progress: Progress | None,
) -> Known:
    tag, now = VersionTag(name, version), files.get(name, _NOTHING)
    if version not in now.versions:
        where = "at the remote" if runs.remote else "here"
        raise FormatError(f"there is no tag {tag} {where}; register it first")
    run = recorded.run_of(place, runs, tag, now.versions[version], progress)
    return Known(untagged.of_line(name, version, now), run)


def check(
    place: Place,
    runs: Runs,
    new: Mapping[Key, Known],
    base: Files,
    head: Files,
    progress: Progress | None = None,
) -> Iterator[Problem]:
    """What is wrong with the numbers of new versions without a tag."""
    tags = _tags(place, runs, {name for name, _ in new})
    for (name, version), item in new.items():
        path, entry = path_of(name), head[name].versions[version]
        other = base.get(name, _NOTHING).versions.get(version)
        if other is not None and other != entry:
            what = f"{version} is by now the model of run {other.run}, by the base"
            yield Problem(path, f"{what}; register the run {entry.run} again, for the next number")
            continue
        for taken in sorted({tag.name for tag in tags} - {name}):
            if taken.casefold() == name.casefold():
                yield Problem(path, f"the model differs from {taken!r} only in case")
        there = {tag.version for tag in tags if tag.name == name}
        lines = {**base.get(name, _NOTHING).versions, **head[name].versions}
        before = max((it for it in {*there, *lines} if it < version), default=None)
        if before is None:
            continue
        known_before = _before(place, runs, (name, before), before in there, base, head, progress)
        if isinstance(known_before, Problem):
            yield known_before
        elif why := _too_low(known_before, item):
            yield Problem(path, why)


def _tags(place: Place, runs: Runs, names: Iterable[str]) -> list[VersionTag]:
    """The versions that have tags, of these models and of those that differ only in case."""
    any_case = [_LETTER.sub(lambda it: f"[{it[0].lower()}{it[0].upper()}]", it) for it in names]
    patterns = [f"refs/tags/{name}@v*" for name in any_case]
    if not patterns:
        return []
    if runs.remote is None:
        refs = [ref.name for ref in git.refs(place.repo, *patterns)]
    else:
        refs = [*git.remote_refs(place.repo, runs.remote, *patterns)]
    found = (parse_tag(ref.removeprefix("refs/tags/")) for ref in refs)
    return [tag for tag in found if isinstance(tag, VersionTag)]


def _before(
    place: Place,
    runs: Runs,
    key: Key,
    is_tagged: bool,
    base: Files,
    head: Files,
    progress: Progress | None,
) -> Known | Problem:
    """The version that comes before, whose signature tells what the next number is."""
    if is_tagged:
        problems = known.fetch(place, runs.remote, [key], progress).problems
        found, bad = known.read(place, [key])
        problems += bad
    else:
        name = key[0]
        files = base if key[1] in base.get(name, _NOTHING).versions else head
        found, problems = read(place, runs, [key], files, progress)
    if key in found:
        return found[key]
    why = problems[0].message
    return replace(
        problems[0], message=f"{key[0]}@{key[1]}, which comes before, is not sound: {why}"
    )


def _too_low(before: Known, item: Known) -> str:
    """Why a version has too low a number; empty when it has not."""
    old, new = (signature_of(it.run, it.item.note.path) for it in (before, item))
    level = compare(old, new).level
    least = before.item.version.bumped(PARTS[level])
    if item.item.version >= least:
        return ""
    what = f"{item.item.version} is too low: the signature of {before.item.version} is {level}"
    return f"{what}, which makes it {least} at least; register it again, for that number"
