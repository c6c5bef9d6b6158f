"""Registering a model: its artifacts and its run are published, then a tag names the version.

The tag is created at the remote first, and never moved: of two people who register at once one is
told that the version is taken, and gets the next. Where the remote lets only CI make tags, the
version waits for the promotion that carries it.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType

from gitml import git
from gitml.errors import NOT_FOUND, TAKEN, FormatError, GitError, StorageError, UsageError, shown
from gitml.git import Progress
from gitml.models.compatibility import Level, compare
from gitml.models.digest import digest_of_folder
from gitml.registry import catalog, desired, main_branch, publishing, untagged, verified
from gitml.registry.catalog import Catalog, Registered
from gitml.registry.files import ModelFile
from gitml.registry.publishing import RefusedError
from gitml.registry.tags import (
    Link,
    VersionNote,
    VersionTag,
    check_model_name,
    message,
    parse_tag,
)
from gitml.registry.version import FIRST, PARTS, Part, Version, parse_version
from gitml.tracking import artifact_exchange, download, exchange, registry_tags, store
from gitml.tracking.ledger import Entry
from gitml.tracking.place import Place
from gitml.tracking.record import FINISHED, RUNNING, RunRecord
from gitml.tracking.vouched import vouched_entries

_URI = re.compile(r"runs:/+(?P<run>[^/]+)/(?P<path>.+)")
_TRIES = 100
_EMPTY: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Wish:
    """How a model is to be registered.

    Without `version` and `bump` the number follows from the signature: an incompatible change is a
    major version, a compatible one a minor, and none a patch.
    """

    version: str | None = None
    bump: Part | None = None
    description: str = ""
    tags: Mapping[str, str] = field(default_factory=lambda: _EMPTY)


_PLAIN = Wish()


def register(
    place: Place, uri: str, name: str, wish: Wish = _PLAIN, progress: Progress | None = None
) -> Registered:
    """Register the model `runs:/RUN/PATH` as the next version of the registered model `name`.

    The version `waits` where the remote refuses its tag. Raises UsageError for a run that is not
    FINISHED, a name that differs from another only in case and a version that is there,
    StorageError when the model's bytes are not those that were logged or can't be published,
    GitError when the remote refuses the run.
    """
    check_model_name(name)
    _check_case(place, catalog.read(place.repo), name)
    wanted = _wanted(wish)
    run_id, path = _of_uri(place, uri)
    _check_run(store.record(place, run_id), path)
    _check_bytes(place, _recorded(place, run_id), path)
    remote = publishing.remote(place)
    _publish(place, remote, run_id, progress)
    entry = _recorded(place, run_id)
    new = VersionTag(name, wanted or FIRST)
    for _ in range(_TRIES):
        if remote is not None:
            _pull_tags(place, remote, name, progress)
        files = {} if remote is None else _decided(place, progress)
        again = _again(place, files.get(name, desired.NOTHING), new, entry, path, wish)
        book = untagged.book(place, files)
        _check_case(place, book, name)
        tag, note = again or _next(place, book, new, entry, path, wish)
        id = _made(place, book, tag, note, entry.commit)
        try:
            is_ours = publishing.create(place, remote, str(tag), id, progress)
        except RefusedError as refused:
            return _wait(place, files, tag, id, refused.why)
        if is_ours:
            if all(item.waits for item in book.models.get(name, ())):
                _check_alone(place, remote, tag, progress)
            return catalog.read(place.repo).version(name, str(tag.version))
    raise GitError(f"others register {shown(name)} again and again; try again later")


def told(made: Registered) -> str:
    """What became of a version whose tag the remote refused, and what to do, in words."""
    has_more = made.note.description or made.note.tags
    return (
        f"the remote refuses the tag {made.tag}: {made.why or 'it is not there'}. The run and its"
        f" artifacts are pushed; the promotion carries the version, and its tag is made after the"
        f" merge: gitml registry promote {made.tag} STAGE"
        f"{'. A description and tags of the version do not come along' if has_more else ''}"
    )


def _wanted(wish: Wish) -> Version | None:
    if wish.version is not None and wish.bump is not None:
        raise UsageError("give the version or what to bump, one of them")
    return None if wish.version is None else parse_version(wish.version)


def _of_uri(place: Place, uri: str) -> tuple[str, str]:
    found = _URI.fullmatch(uri)
    if found is None:
        raise UsageError(f"{shown(uri)} is not runs:/RUN/PATH, such as runs:/latest/model")
    return store.resolve(place, found["run"]), found["path"].strip("/")


def _check_run(record: RunRecord, path: str) -> None:
    """Refuse a run whose models may not be registered, or that has none at `path`."""
    what = f"run {record.run_id[-8:]}"
    if record.deleted:
        raise UsageError(f"{what} is deleted; restore it first: gitml runs restore {record.run_id}")
    if record.status != FINISHED:
        hint = "; end it first" if record.status == RUNNING else ""
        why = f"only models of FINISHED runs are registered{hint}"
        raise UsageError(f"{what} is {record.status}; {why}")
    if path not in record.models:
        has = f"; it has: {', '.join(map(shown, record.models))}" if record.models else ""
        raise UsageError(f"{what} logged no model at {shown(path)}{has}", NOT_FOUND)


def _recorded(place: Place, run_id: str) -> Entry:
    """The run in this repository's own ledger; those of others are not registered here."""
    entry = next(vouched_entries(place, run_id), None)
    if entry is None:
        raise UsageError(
            f"run {run_id[-8:]} is not in this repository's ledger {shown(place.ledger.short)},"
            " only in one that was fetched beside it; train it here, or import it first"
        )
    return entry


def _check_bytes(place: Place, entry: Entry, path: str) -> None:
    """Refuse a model whose files are not those that the run logged."""
    recorded = verified.model_of(entry, path).get("digest")
    with tempfile.TemporaryDirectory(prefix="gitml-model-") as folder:
        found = download.download(
            place, entry.record, entry.commit, path, Path(folder), flat=True
        )  # it hashes again
        digest = digest_of_folder(found)
    if digest != recorded:
        raise StorageError(
            f"the model {shown(path)} of run {entry.record.run_id[-8:]} has the digest {digest},"
            f" but {recorded} was recorded; it is not registered"
        )


# -- publishing ----------------------------------------------------------------------------


def _publish(place: Place, remote: str | None, run_id: str, progress: Progress | None) -> None:
    """Upload artifacts, then runs; StorageError when this run can't go."""
    if remote is None:
        withheld = artifact_exchange.upload(place, None, progress).withheld
    else:
        withheld = exchange.push(place, progress=progress).withheld
    if run_id in withheld:
        raise StorageError(f"run {run_id[-8:]} can't be published: {withheld[run_id]}")


def _pull_tags(place: Place, remote: str, name: str, progress: Progress | None) -> None:
    """Bring in the versions of others; GitError where one of the model was moved."""
    there = git.remote_refs(place.repo, remote, *registry_tags.PATTERNS)
    _, moved = registry_tags.pull(place, remote, there, progress)
    for problem in moved:
        if f" {name}@" in problem:
            raise GitError(problem)


# -- the version ---------------------------------------------------------------------------


def _check_case(place: Place, book: Catalog, name: str) -> None:
    """Refuse a name that another system, or a person, takes for that of another model."""
    others = {tag.partition("@")[0] for tag in book.taken} | {*desired.names(place)}
    for other in sorted(others - {name}):
        if other.casefold() == name.casefold():
            raise UsageError(f"the model {shown(name)} differs from {shown(other)} only in case")


def _check_alone(
    place: Place, remote: str | None, tag: VersionTag, progress: Progress | None
) -> None:
    """Look again after a model's first version: somebody may have been as fast with `Churn`."""
    if remote is not None:
        _pull_tags(place, remote, tag.name, progress)
    try:
        _check_case(place, catalog.read(place.repo), tag.name)
    except UsageError as error:
        gone = publishing.removal(str(tag), remote)
        raise UsageError(
            f"{error}, which was registered in the same moment; {tag} is made: agree which of the"
            f" two stays, and if it is the other, run: {gone}",
            TAKEN,
        ) from None


def _next(
    place: Place, book: Catalog, tag: VersionTag, entry: Entry, path: str, wish: Wish
) -> tuple[VersionTag, VersionNote]:
    """The tag of the version to create, and what to tell of it."""
    known = [it for it in book.models.get(tag.name, ()) if not it.waits or _is_here(place, it)]
    before = known[-1] if known else None
    level = None if before is None else level_of(place, before, entry, path)
    note = VersionNote(
        run_id=entry.record.run_id,
        path=path,
        digest=str(verified.model_of(entry, path)["digest"]),
        change=level or "first",
        by="{} <{}>".format(*publishing.who(place)),
        description=wish.description,
        tags=wish.tags,
        follows=(Link(str(before.tag), before.tag_id),) if before and not before.waits else (),
    )
    if wish.version is not None:
        if str(tag) in book.taken:
            raise UsageError(f"{tag.name} has a version {tag.version} already", TAKEN)
        return tag, note
    version = FIRST
    if before is not None and level is not None:
        version = before.version.bumped(wish.bump or PARTS[level])
    while str(VersionTag(tag.name, version)) in book.taken:  # by one that was not looked at
        version = version.bumped("patch")
    if parse_tag(str(made := VersionTag(tag.name, version))) is None:
        last = before.version if before else version
        raise UsageError(f"no version comes after {last}; give another one: --version")
    return made, note


def _is_here(place: Place, item: Registered) -> bool:
    """Whether the run of a version without a tag is in this clone: no tag brings it along."""
    return git.resolve(place.repo, f"{item.commit}^{{commit}}") is not None


def level_of(place: Place, before: Registered, entry: Entry, path: str) -> Level:
    """How the model's signature differs from that of the version before."""
    try:
        known = verified.entry_of(place, before)
    except FormatError as error:
        gone = publishing.removal(str(before.tag), publishing.remote(place))
        why = "the next version would follow it; if it is none of yours, remove it"
        raise FormatError(f"{error}; {why}: {gone}") from None
    old = verified.signature_of(known.record, before.note.path)
    return compare(old, verified.signature_of(entry.record, path)).level


def _decided(place: Place, progress: Progress | None) -> dict[str, ModelFile]:
    """The models' files on the main branch: what they name is taken, though its tag may be late."""
    main = main_branch.fetch(place, progress)
    return {} if main is None else desired.readable_at(place.repo, main.commit)[0]


def _again(
    place: Place, now: ModelFile, new: VersionTag, entry: Entry, path: str, wish: Wish
) -> tuple[VersionTag, VersionNote] | None:
    """The version as which this model waits here; it is let go of where it gets another number.

    That is where one is asked for, the main branch gave it to another, or the run was changed.
    """
    free = {item.tag for item in untagged.waiting(place, new.name)}
    for item in untagged.read(place.repo):
        source = item.name, item.note.run_id, item.note.path
        if source != (new.name, entry.record.run_id, path):
            continue
        is_number = wish.bump is None and (wish.version is None or item.version == new.version)
        is_it = item.commit == entry.commit and not verified.from_file(item, now)
        if is_it and is_number and item.tag in free:
            return item.tag, item.note
        untagged.drop(place, item.tag)
    return None


def _wait(
    place: Place, files: Mapping[str, ModelFile], tag: VersionTag, id: str, why: str
) -> Registered:
    """Keep the version here, for the promotion that carries it; one that is kept stays as it is."""
    if all(item.tag != tag for item in untagged.read(place.repo)):
        untagged.keep(place, tag, id)
    return replace(untagged.book(place, files).version(tag.name, str(tag.version)), why=why)


def _made(place: Place, book: Catalog, tag: VersionTag, note: VersionNote, commit: str) -> str:
    """The id of the tag's object, dated after those of all other versions of the model."""
    last = max((item.time for item in book.models.get(tag.name, ())), default=0)
    return publishing.make(place, str(tag), commit, message(tag, note), last)
