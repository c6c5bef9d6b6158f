"""Bringing what runs to what the main branch says, one deployment after another."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from gitml import locks
from gitml.deploy import attempts, release, state
from gitml.deploy.choosing import folder, target
from gitml.deploy.deployments import Deployment, chosen
from gitml.deploy.errors import DeployError
from gitml.deploy.release import Tell
from gitml.deploy.state import State
from gitml.deploy.wanted import Wanted, stages, state_of
from gitml.errors import GitmlError
from gitml.files import make_folder
from gitml.registry import desired
from gitml.registry.catalog import Registered
from gitml.tracking.place import Place

_WAIT = 900.0  # seconds for another process that deploys the same
_SWITCH = 10.0  # seconds until nothing but the new version answers
_TICK = 0.1
DEPLOYED, REMOVED, WOULD, NOTHING = "deployed", "removed", "would deploy", "nothing to do"
FROZEN, WAITING, FAILED = "frozen", "waiting", "failed"
PROPOSED = "proposed"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What was done for a deployment, one of the words above.

    `why` and `log` tell of what failed, and `why` where something was proposed.
    """

    before: State
    done: str
    why: str = ""
    log: tuple[str, ...] = ()


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
    for one in chosen(told.deployments, wish.stage, wish.model, stages(place, told)):
        done.append(_deploy(place, told, one, wish, tell))
        note(done[-1])
    return done


def take_down(place: Place, told: Wanted, stage: str, model: str | None) -> list[Outcome]:
    """Serve nothing any more in a stage, until the next time that it is deployed; not if frozen."""
    done = []
    for one in chosen(told.deployments, stage, model, stages(place, told)):
        home = folder(place, one)
        make_folder(home)
        with locks.held(home / "deploy.lock", _WAIT):
            now = state_of(place, told, one)
            if one.frozen:
                done.append(Outcome(now, FROZEN))
                continue
            target(place, one).remove()
        done.append(Outcome(now, REMOVED if now.live.is_ours else NOTHING))
    return done


def _deploy(place: Place, told: Wanted, one: Deployment, wish: Wish, tell: Tell) -> Outcome:
    home = folder(place, one)
    make_folder(home)
    with locks.held(home / "deploy.lock", _WAIT):
        now = state_of(place, told, one)
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
    item = now.wanted
    digest = item.note.digest if item is not None else ""
    pause = attempts.read(home).wait(digest, time.time())
    if wish.patient and pause:
        why = f"it failed before ({attempts.read(home).why}); the next try is in {pause:.0f} s"
        return Outcome(now, WAITING, why)
    asked = ""
    try:
        if item is None:
            target(place, now.deployment).remove()
        else:
            asked = _serve(place, told, now, item, home, tell)
    except (GitmlError, OSError) as error:
        attempts.failed(home, digest, str(error))
        return Outcome(now, FAILED, str(error), getattr(error, "log", ()))
    attempts.succeeded(home)
    if item is None:
        return Outcome(now, REMOVED)
    return Outcome(now, PROPOSED, asked) if asked else Outcome(now, DEPLOYED)


def _serve(place: Place, told: Wanted, now: State, item: Registered, home: Path, tell: Tell) -> str:
    """Have a version serve, or proposed to those who decide, as the answer says."""
    one = now.deployment
    reviewed = told.files.get(one.model, desired.NOTHING)
    ready = release.prepare(place, item, reviewed, home / "models")
    where = target(place, one)
    if asked := where.deploy(ready, tell):
        return asked
    end = time.monotonic() + _SWITCH
    while not (state.serves(live := where.live(), item) and live.is_well):
        if time.monotonic() > end:
            why = live.why or f"{live.model} {live.version} does"
            raise DeployError(f"{item.tag} was started, but does not answer: {why}")
        time.sleep(_TICK)  # the one before answers for a moment, too
    return ""
