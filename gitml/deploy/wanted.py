"""What the main branch says is to run, judged, and how that compares with what does."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from gitml import config, git
from gitml.deploy import release
from gitml.deploy.choosing import target
from gitml.deploy.deployments import Deployment, deployments
from gitml.deploy.probe import Live
from gitml.deploy.state import State
from gitml.documents import load_yaml, validate_yaml
from gitml.errors import FormatError, GitmlError, UsageError, shown
from gitml.registry import catalog, desired, main_branch, signers
from gitml.registry.catalog import Catalog, Registered
from gitml.registry.files import ModelFile
from gitml.registry.main_branch import Main
from gitml.registry.signers import Signers
from gitml.registry.tags import VersionTag
from gitml.tracking.place import Place

_MOVED = (
    "the tag {tag} is not at the remote what it is here: it was moved or deleted, or never pushed;"
    " see: gitml registry verify --remote"
)


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a commit of the main branch says: its deployments, the models' files and their tags.

    `signers` are those whose signatures count, if it lists any. `moved` are the names of tags that
    are others at the remote than here.
    """

    main: Main
    deployments: tuple[Deployment, ...]
    files: Mapping[str, ModelFile]
    book: Catalog
    signers: Signers | None = None
    moved: frozenset[str] = frozenset()


def wanted(place: Place, *, offline: bool = False) -> Wanted:
    """What the main branch says now, or as it was fetched last when `offline`.

    Raises UsageError without a main branch, GitError when it can't be fetched, and FormatError for
    files that can't be read.
    """
    main = main_branch.known(place) if offline else main_branch.fetch(place)
    if main is None:
        raise UsageError("there is no main branch yet that says what is deployed; commit, and push")
    files = desired.read_at(place.repo, main.commit)
    found = deployments(
        _settings(place, main).deployments,
        {name: now.stages for name, now in files.items()},
        main.commit,
    )
    online = main.remote is not None and not offline
    moved = _fetch_tags(place, main.remote, files) if online and main.remote else frozenset()
    may_sign = signers.read_at(place.repo, main.commit)
    return Wanted(main, tuple(found), files, catalog.read(place.repo), may_sign, moved)


def _settings(place: Place, main: Main) -> config.Config:
    """The gitml.yaml of the main branch; what is wrong with its deployments is told by line."""
    blob = git.resolve(place.repo, f"{main.commit}:{config.FILE_NAME}")
    if blob is None:
        return config.Config()
    data = next(git.read_objects(place.repo, [blob]))
    found = config.parse(load_yaml(data, config.FILE_NAME))
    validate_yaml({"deployments": dict(found.deployments)}, data, "gitml", config.FILE_NAME)
    return found


def _fetch_tags(place: Place, remote: str, files: Mapping[str, ModelFile]) -> frozenset[str]:
    """Fetch the tags of versions that hold a stage; the names of those that are here otherwise."""
    tags = {f"refs/tags/{name}@{it}" for name, now in files.items() for it in now.stages.values()}
    if not tags:
        return frozenset()
    there = git.remote_refs(place.repo, remote, *sorted(tags))
    here = {ref.name: ref.id for ref in git.refs(place.repo, *tags)}
    if missing := sorted(tags & there.keys() - here.keys()):
        git.fetch(place.repo, remote, [f"{tag}:{tag}" for tag in missing])
    return frozenset(
        tag.removeprefix("refs/tags/") for tag in tags & here.keys() if there.get(tag) != here[tag]
    )


def states(place: Place, told: Wanted, some: Iterable[Deployment]) -> list[State]:
    """How deployments stand."""
    return [state_of(place, told, one) for one in some]


def state_of(place: Place, told: Wanted, one: Deployment) -> State:
    """How one stands; its version is judged, from git alone."""
    item, problem, live = None, "", Live()
    now = told.files.get(one.model, desired.NOTHING)
    if (version := now.stages.get(one.stage)) is not None:
        try:
            tag = VersionTag(one.model, version)
            item = _tagged(told.book, tag)
            if str(tag) in told.moved:
                raise FormatError(_MOVED.format(tag=str(tag)))
            release.check(place, item, now)
            _check_signed(place, item, told.signers)
        except GitmlError as error:
            problem = str(error)
    try:
        live = target(place, one).live()
    except GitmlError as error:
        problem = problem or str(error)
    return State(one, item, live, problem)


def _tagged(book: Catalog, tag: VersionTag) -> Registered:
    """The version of a tag; UsageError when it is not there, or is none of the registry's."""
    for item in book.models.get(tag.name, ()):
        if item.version == tag.version:
            return item
    name = str(tag)
    forged = next((said for said in book.problems if shown(name) in said), None)
    raise UsageError(
        forged or f"there is no tag {shown(name)} at the remote; make it: gitml registry sync"
    )


def _check_signed(place: Place, item: Registered, listed: Signers | None) -> None:
    """Refuse a tag that nobody has signed who may, where the main branch says who."""
    if listed is None:
        return
    tag = str(item.tag)
    bad = signers.unsigned(place.repo, {tag: item.tag_id}, listed)
    if tag in bad:
        asked = listed.asked(tag)
        raise FormatError(
            f"the tag {shown(tag)} is not signed by {asked} ({signers.SSH}): {bad[tag]}"
        )
