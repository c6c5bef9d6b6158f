"""Bringing what runs to what the main branch says, one deployment after another."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from gitml import config, git, locks
from gitml.deploy import attempts, release, state
from gitml.deploy.deployments import Deployment, chosen, deployments
from gitml.deploy.errors import DeployError
from gitml.deploy.release import Tell
from gitml.deploy.state import State
from gitml.deploy.targets import Target
from gitml.deploy.targets.local import Local
from gitml.documents import load_yaml
from gitml.environments import Manager
from gitml.errors import GitmlError, UsageError, shown
from gitml.files import make_folder
from gitml.registry import catalog, desired, main_branch
from gitml.registry.catalog import Catalog, Registered
from gitml.registry.files import ModelFile
from gitml.registry.main_branch import Main
from gitml.registry.tags import VersionTag
from gitml.tracking.place import Place

_WAIT = 900.0  # seconds for another process that deploys the same
_SWITCH = 10.0  # seconds until nothing but the new version answers
_TICK = 0.1
DEPLOYED, REMOVED, WOULD, NOTHING = "deployed", "removed", "would deploy", "nothing to do"
FROZEN, WAITING, FAILED = "frozen", "waiting", "failed"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What was done for a deployment, one of the words above; `why` and `log` when it failed."""

    before: State
    done: str
    why: str = ""
    log: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a commit of the main branch says: its deployments, the models' files and their tags."""

    main: Main
    deployments: tuple[Deployment, ...]
    files: Mapping[str, ModelFile]
    book: Catalog


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
        _settings(place, main).deployments, {name: now.stages for name, now in files.items()}
    )
    if main.remote is not None and not offline:
        _fetch_tags(place, main.remote, files)
    return Wanted(main, tuple(found), files, catalog.read(place.repo))


def _settings(place: Place, main: Main) -> config.Config:
    """The gitml.yaml of the main branch."""
    blob = git.resolve(place.repo, f"{main.commit}:{config.FILE_NAME}")
    if blob is None:
        return config.Config()
    data = next(git.read_objects(place.repo, [blob]))
    return config.parse(load_yaml(data, config.FILE_NAME))


def _fetch_tags(place: Place, remote: str, files: Mapping[str, ModelFile]) -> None:
    """Fetch the tags of versions that hold a stage; those that are here must be the same."""
    tags = {f"refs/tags/{name}@{it}" for name, now in files.items() for it in now.stages.values()}
    there = tags & git.remote_refs(place.repo, remote, *sorted(tags)).keys() if tags else ()
    if there:
        git.fetch(place.repo, remote, [f"{tag}:{tag}" for tag in sorted(there)])


# -- looking -------------------------------------------------------------------------------


def states(place: Place, told: Wanted, some: Iterable[Deployment]) -> list[State]:
    """How deployments stand."""
    return [_state(place, told, one) for one in some]


def _state(place: Place, told: Wanted, one: Deployment) -> State:
    item, problem = None, ""
    now = told.files.get(one.model, desired.NOTHING)
    if (version := now.stages.get(one.stage)) is not None:
        try:
            item = _tagged(told.book, VersionTag(one.model, version))
            release.check(place, item, now)
        except GitmlError as error:
            problem = str(error)
    return State(one, item, target(place, one).live(), problem)


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


def folder(place: Place, one: Deployment) -> Path:
    """Where the files of a deployment are on this machine."""
    return place.home / "deployments" / one.stage / one.model


def target(place: Place, one: Deployment) -> Target:
    """What does the work."""
    host, port = str(one.options.get("host") or "127.0.0.1"), int(one.options.get("port") or 5000)
    manager = cast(Manager, one.options.get("env_manager") or "uv")
    return Local(folder(place, one) / "keeper", host, port, manager)


# -- acting --------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Wish:
    """What is to be deployed; `patient` waits after failures, `dry_run` changes nothing."""

    stage: str | None = None
    model: str | None = None
    dry_run: bool = False
    patient: bool = False


Note = Callable[[Outcome], None]


def deploy(place: Place, told: Wanted, wish: Wish, tell: Tell, note: Note) -> list[Outcome]:
    """Bring each deployment that is wished for to what it should be; `note` hears of each.

    One that fails does not keep others from being deployed.
    """
    done = []
    for one in chosen(told.deployments, wish.stage, wish.model):
        done.append(_deploy(place, told, one, wish, tell))
        note(done[-1])
    return done


def _deploy(place: Place, told: Wanted, one: Deployment, wish: Wish, tell: Tell) -> Outcome:
    home = folder(place, one)
    make_folder(home)
    with locks.held(home / "deploy.lock", _WAIT):
        now = _state(place, told, one)
        if now.problem:
            return Outcome(now, FAILED, now.problem)
        if now.sync == state.UNKNOWN:
            return Outcome(now, FAILED, now.live.why)
        if not now.needs_work:
            return Outcome(now, NOTHING)
        if one.frozen:
            return Outcome(now, FROZEN)
        if wish.dry_run:
            return Outcome(now, WOULD)
        return _act(place, told, now, home, wish, tell)


def _act(place: Place, told: Wanted, now: State, home: Path, wish: Wish, tell: Tell) -> Outcome:
    one, item = now.deployment, now.wanted
    if item is None:
        target(place, one).remove()
        return Outcome(now, REMOVED)
    digest = item.note.digest
    pause = attempts.read(home).wait(digest, time.time())
    if wish.patient and pause:
        why = f"it failed before ({attempts.read(home).why}); the next try is in {pause:.0f} s"
        return Outcome(now, WAITING, why)
    try:
        _serve(place, told, now, item, home, tell)
    except GitmlError as error:
        attempts.failed(home, digest, str(error))
        return Outcome(now, FAILED, str(error), getattr(error, "log", ()))
    attempts.succeeded(home)
    return Outcome(now, DEPLOYED)


def _serve(
    place: Place, told: Wanted, now: State, item: Registered, home: Path, tell: Tell
) -> None:
    one = now.deployment
    reviewed = told.files.get(one.model, desired.NOTHING)
    ready = release.prepare(place, item, reviewed, home / "models")
    where = target(place, one)
    where.deploy(ready, tell)
    end = time.monotonic() + _SWITCH
    while not (state.serves(live := where.live(), item) and live.is_well):
        if time.monotonic() > end:
            why = live.why or f"{live.model} {live.version} does"
            raise DeployError(f"{item.tag} was started, but does not answer: {why}")
        time.sleep(_TICK)  # the one before answers for a moment, too
