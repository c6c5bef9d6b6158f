"""Versions whose tag the remote refuses, kept here until their promotion carries them.

Where only CI may make tags, a version goes through the pull request: the model's file has its line,
and sync makes the tag after the merge. Until then a ref below `refs/gitml/untagged` has the tag
object that was to be pushed; it is this clone's own.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from gitml import git
from gitml.errors import UsageError, shown
from gitml.registry import catalog
from gitml.registry.catalog import Catalog, Registered
from gitml.registry.files import ModelFile
from gitml.registry.tags import VersionNote, VersionTag, parse_tag
from gitml.registry.version import Version
from gitml.tracking.place import Place

_FOLDER = "refs/gitml/untagged/"


def keep(place: Place, tag: VersionTag, id: str) -> None:
    """Keep the tag object of a version that the remote did not take, in place of an earlier one."""
    git.update_refs(place.repo, [f"update {_FOLDER}{tag} {id}"])


def drop(place: Place, tag: VersionTag) -> None:
    """Let go of what was kept of a version."""
    git.update_refs(place.repo, [f"delete {_FOLDER}{tag}"])


def read(repo: git.Repository) -> tuple[Registered, ...]:
    """The versions that are kept, by name and number, whatever tags there are."""
    found = []
    for tag in git.tags(repo, f"{_FOLDER}*"):
        own = tag._replace(name=tag.name.removeprefix(_FOLDER))
        name = parse_tag(own.name)
        try:
            note = catalog.note_of(own)
        except ValueError:
            continue
        if isinstance(name, VersionTag) and own.commit is not None:
            item = Registered(name, note, own.commit, own.id, own.time * 1000, 0, waits=True)
            found.append(item)
    return tuple(sorted(found, key=lambda it: (it.name, it.version)))


def waiting(place: Place, name: str | None = None) -> tuple[Registered, ...]:
    """Those that have no tag yet; what is kept of others is let go of once their tag is here."""
    book, found = catalog.read(place.repo), []
    for item in read(place.repo):
        tagged = next((it for it in book.models.get(item.name, ()) if it.tag == item.tag), None)
        if tagged is None:
            found.append(item)
        elif is_same(tagged, item):
            drop(place, item.tag)
    return tuple(item for item in found if name in (None, item.name))


def pending(
    place: Place, files: Mapping[str, ModelFile], name: str | None = None
) -> tuple[Registered, ...]:
    """Those that wait here, and those that the models' files name: all that have no tag here."""
    models = book(place, files).models
    found = [item for items in models.values() for item in items if item.waits]
    return tuple(item for item in found if name in (None, item.name))


def is_same(one: Registered, other: Registered) -> bool:
    """Whether two are the same model of the same run."""
    return _what(one) == _what(other)


def _what(item: Registered) -> tuple[str, str, str, str]:
    return item.note.run_id, item.note.path, item.note.digest, item.commit


def book(place: Place, files: Mapping[str, ModelFile]) -> Catalog:
    """The catalog with the versions that wait, and those that the models' files name, at its end.

    `files` are those of the main branch; what they say of a version counts before what waits here.
    """
    known = catalog.read(place.repo)
    models, taken = dict(known.models), {*known.taken}
    of_files = [it for name, now in sorted(files.items()) for it in _of_file(name, now)]
    for item in (*of_files, *waiting(place)):
        if str(item.tag) in taken:
            continue
        taken.add(str(item.tag))
        items = (*models.get(item.name, ()), item)
        last = max((it.ordinal for it in items), default=0)
        numbered = replace(item, ordinal=last + 1)
        models[item.name] = tuple(sorted((*items[:-1], numbered), key=lambda it: it.version))
    return Catalog(dict(sorted(models.items())), known.problems, frozenset(taken))


def _of_file(name: str, now: ModelFile) -> list[Registered]:
    """The versions that a model's file names, whether they have a tag or not."""
    return [of_line(name, version, now) for version in sorted(now.versions)]


def of_line(name: str, version: Version, now: ModelFile) -> Registered:
    """A version as its line in the model's file has it."""
    entry = now.versions[version]
    note = VersionNote(entry.run, entry.path, entry.digest, "", "")
    return Registered(VersionTag(name, version), note, entry.commit, "", 0, 0, waits=True)


def check_own(place: Place, item: Registered) -> None:
    """Refuse a version of which another with that number is kept here: it was faster."""
    for kept in read(place.repo):
        if kept.tag == item.tag and not is_same(kept, item):
            source = f"runs:/{kept.note.run_id}/{kept.note.path}"
            raise UsageError(
                f"{item.tag} is by now the model of run {item.note.run_id[-8:]}, not that of"
                f" {shown(kept.note.run_id[-8:])} which was to be it; register that one again, for"
                f" the next number: gitml registry register {source} {item.name}"
            )


def hint(item: Registered, now: ModelFile) -> str:
    """What is to be done with a version that has no tag, in words; `now` is the model's file."""
    if item.version in now.versions:
        return f"{item.tag} has no tag here; if a pull brings none: gitml registry sync, as CI does"
    return f"{item.tag} waits for its promotion: gitml registry promote {item.tag} STAGE"
