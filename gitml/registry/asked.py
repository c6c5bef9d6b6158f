"""Registering that was asked for when a model was logged: done once its run is recorded.

Only models of finished runs are registered, and what the version's tag stands on is the recorded
run. So it waits for the end; what can't be done then never fails the training, and is said.
"""

from __future__ import annotations

import os
import sys
import threading
import warnings

from gitml import process
from gitml.errors import GitmlError, shown
from gitml.registry import publishing, registering
from gitml.registry.tags import check_model_name as check_model_name
from gitml.tracking import active
from gitml.tracking.fluent.place import where
from gitml.tracking.place import Place
from gitml.tracking.record import FINISHED
from gitml.tracking.spool import Spool, Where

_PATIENCE = 5.0  # seconds that the end of a training waits for the remote to answer


class RegistrationWarning(UserWarning):
    """A logged model could not be registered, or waits for a promotion; what to run is said."""


def ask(run_id: str, path: str, name: str) -> None:
    """Register the model at `path` of a run as `name`: now if the run is recorded, else then."""
    run = active.of_id(run_id)
    uri = f"runs:/{run_id}/{path}"
    if run is None:
        _register(where(), FINISHED, uri, name)
    elif run.is_mine:
        run.afterwards.append(lambda status: _register(run.place, status, uri, name))
    else:
        _warn(uri, name, "its run ends in the process that this one was forked from")


def _register(place: Where, status: str, uri: str, name: str) -> None:
    try:
        if isinstance(place, Spool):
            why = "its run is recorded when the spool is collected"
        elif status != FINISHED:
            why = f"its run is {status}"
        else:
            publishing.check_answer(place, _PATIENCE)
            why = _registered(place, uri, name)
    except (GitmlError, OSError) as error:
        why = str(error)
    if why:
        _warn(uri, name, why)


def _warn(uri: str, name: str, why: str) -> None:
    warnings.warn(
        f"the model {uri} is not registered as {shown(name)}: {why}; later, run:"
        f" gitml registry register {uri} {name}",
        RegistrationWarning,
        stacklevel=3,
    )


def _registered(place: Place, uri: str, name: str) -> str:
    """Register a model; why that failed, in a process of its own, is returned.

    A script that leaves its run open ends it at its exit, when no thread can be started any more;
    uploads and pushes need some.
    """
    if threading.main_thread().is_alive():
        made = registering.register(place, uri, name)
        if made.waits:
            warnings.warn(registering.told(made), RegistrationWarning, stacklevel=3)
        return ""
    others = {key: value for key, value in os.environ.items() if not key.startswith("GITML_")}
    env = {**others, "GITML_REPO": str(place.settings.folder or place.repo.place)}
    argv = (sys.executable, "-m", "gitml", "registry", "register", uri, name)
    done = process.run(argv, cwd=process.AT_HOME, env=env)
    last = done.stderr.decode("utf-8", "replace").strip().rpartition("\n")[2]
    if not done.returncode:
        if "refuses the tag" in last:
            warnings.warn(last, RegistrationWarning, stacklevel=3)
        return ""
    return last.removeprefix("gitml: ") or f"exit code {done.returncode}"
