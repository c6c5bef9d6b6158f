"""Pushing by itself: when a run has ended, a detached process pushes, about once a minute.

In the repository's gitml folder:

    push.due    touched by every run that ends, removed before a push
    push.lock   held by the process that pushes, so that there is one
    push.log    what came of the last pushes, a JSON line each

The training only touches a file and, when nobody is at it, starts the process; whatever becomes
of the push is for `gitml doctor` to tell.
"""

from __future__ import annotations

import json
import os
import random
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from gitml import git, locks, process
from gitml.documents import load_json, write_atomic
from gitml.errors import FormatError, GitmlError
from gitml.tracking.place import Place, place_of

_TRIES = 4  # a push that fails is tried again after one, two and four intervals
_LIMIT = 600.0  # seconds after which a push that hangs is given up
_KEPT_LINES = 100
_SPREAD = 0.1  # clones that end their runs together do not push together


class Outcome(NamedTuple):
    """What came of a push: when it ended (ms), how many runs went, and what was wrong."""

    time: int
    runs: int
    problem: str | None


def nudge(place: Place) -> bool:
    """Have what was recorded pushed soon, if gitml.yaml wants that; whether a process was started.

    Costs a few milliseconds and never fails.
    """
    if not place.settings.push.auto or place.home != place.repo.home or not sys.executable:
        return False
    try:
        _due(place).touch()
        if locks.is_held(_lock(place)):
            return False
        folder = place.settings.folder or place.repo.place
        argv = (sys.executable, "-m", "gitml.tracking.autopush", str(folder))
        process.detach(argv, cwd=process.AT_HOME, env=_environment())
    except (OSError, RuntimeError):  # no file, no process, or an interpreter that is ending
        return False
    return True


def outcomes(place: Place) -> list[Outcome]:
    """What came of the last pushes, the oldest first."""
    try:
        lines = _log(place).read_bytes().splitlines()
    except OSError:
        return []
    found = []
    for line in lines:
        with suppress(FormatError, TypeError):  # a line that a full disk cut off
            found.append(Outcome(**load_json(line, "push.log")))
    return found


def work(place: Place) -> None:
    """Push as long as something is due, unless another process of this clone is at it."""
    while _due(place).exists():
        lock = locks.acquire(_lock(place))
        if lock is None:
            return
        try:
            _push_what_is_due(place)
        finally:
            locks.release(lock)
        # a run that ended just now found the lock held, and left its push to this process


def _push_what_is_due(place: Place) -> None:
    tries = 0
    while _due(place).exists():
        time.sleep(_pause(place, tries))
        _due(place).unlink(missing_ok=True)
        outcome = _push(place)
        _note(place, outcome)
        tries = tries + 1 if outcome.problem else 0
        if 0 < tries < _TRIES:
            _due(place).touch()


def _pause(place: Place, tries: int) -> float:
    """Seconds to wait, so that the interval has passed since the last push of this clone."""
    interval = place.settings.push.interval
    last = outcomes(place)[-1:]
    since = time.time() - last[0].time / 1000 if last else interval
    backoff = interval * float(1 << max(0, tries - 1))
    return max(0.0, backoff - max(0.0, since)) + random.uniform(0, _SPREAD * interval)


def _push(place: Place) -> Outcome:
    from gitml.tracking import agreed, exchange

    watchdog = threading.Timer(_LIMIT, _give_up, (place,))
    watchdog.daemon = True
    watchdog.start()
    try:
        agreed.check_storage(place)
        report = exchange.push(place)
    except Exception as error:  # nobody watches this process: the log is where it is told
        known = isinstance(error, (GitmlError, OSError))
        return _outcome(0, str(error) if known else f"a bug in gitml: {error!r}")
    finally:
        watchdog.cancel()
    said = [f"run {run_id} stays here: {why}" for run_id, why in report.withheld.items()]
    return _outcome(len(report.runs), "; ".join([*said, *report.problems]) or None)


def _outcome(runs: int, problem: str | None) -> Outcome:
    return Outcome(round(time.time() * 1000), runs, problem)


def _give_up(place: Place) -> None:
    _note(place, _outcome(0, f"the push did not end within {_LIMIT:.0f} seconds"))
    os._exit(1)


def _note(place: Place, outcome: Outcome) -> None:
    """Append to the log, of which the last lines are kept."""
    line = json.dumps(outcome._asdict())
    with suppress(OSError, GitmlError):
        old = _log(place).read_text("utf-8").splitlines() if _log(place).exists() else []
        write_atomic(_log(place), "".join(f"{it}\n" for it in (*old, line)[-_KEPT_LINES:]).encode())


def _due(place: Place) -> Path:
    return place.home / "push.due"


def _lock(place: Place) -> Path:
    return place.home / "push.lock"


def _log(place: Place) -> Path:
    return place.home / "push.log"


def _environment() -> dict[str, str]:
    """The environment of the process: nothing may ask a person who is not there."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith("GITML_")}
    return {"GIT_ASKPASS": "", **kept, "GIT_TERMINAL_PROMPT": "0"}


def main(folder: str) -> None:
    """Push what is due in the repository of `folder`."""
    start = Path(folder)
    repo = git.find(start)
    if "core.sshcommand" not in git.settings(repo):
        os.environ.setdefault("GIT_SSH_COMMAND", "ssh -o BatchMode=yes -o ConnectTimeout=20")
    work(place_of(repo, start))


if __name__ == "__main__":
    main(sys.argv[1])
