"""`gitml.projects.run`: a project's entry point as a run, from MLflow's parameters."""

from __future__ import annotations

import contextlib
import shutil
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from gitml.errors import UsageError, shown
from gitml.projects import backend_config as configuration
from gitml.projects import checkout, execution, sources, task
from gitml.projects.downloads import Downloads
from gitml.projects.execution import EntryPointError, Marks, SubmittedRun
from gitml.projects.image import Wish
from gitml.projects.mlproject import MAIN
from gitml.projects.output import to_stream
from gitml.projects.task import Request, Tell
from gitml.tracking import spool

_NOT_YET = {"docker_auth": None}


def run(
    uri: str | Path,
    entry_point: str = MAIN,
    version: str | None = None,
    parameters: Mapping[str, Any] | None = None,
    docker_args: Mapping[str, Any] | None = None,
    experiment_name: str | None = None,
    experiment_id: str | None = None,
    backend: str = "local",
    backend_config: Any = None,
    storage_dir: str | Path | None = None,
    synchronous: bool = True,
    run_id: str | None = None,
    run_name: str | None = None,
    env_manager: str | None = None,
    build_image: bool = False,
    docker_auth: Any = None,
    *,
    allow_extra: bool = False,
    allow_code: bool = False,
    timeout: float | None = None,
    skip_image_build: bool = False,
) -> SubmittedRun:
    """Run an entry point of a project, and record it as a run; the parameters are MLflow's.

    `uri` is a folder, a git URL or `runs:/RUN`, with `#FOLDER` for a folder in it; `version` is a
    branch, a tag or a commit of it. A plain folder runs in place; other code runs in a temporary
    work tree of the caller's repository, where its run is recorded; that of an unknown repository,
    or of a run that only a fork has, with `allow_code` only. Parameters of type path may be
    `runs:/RUN/PATH`, `dvc:PATH` or a URL, which are fetched, into `storage_dir` if that is given.
    With `allow_extra`, unknown parameters are passed on as `--key value`; after `timeout` seconds
    it is stopped. Without `synchronous` it runs in the background, and this process waits for it
    before it ends. Under an active run, or in another project's entry point, it is a child. For a
    container, `docker_args` are options of `docker run`; its image is built from the Dockerfile
    (`build_image`), or run as it is. `backend_config` is a dictionary, or the file that holds it.

    Raises UsageError and FormatError if nothing was run, `EntryPointError` if the program failed.
    """
    _check_given(locals())
    request = Request(
        str(uri), entry_point, version, dict(parameters or {}), allow_extra, env_manager, backend,
        timeout, dict(docker_args or {}), Wish(build_image, skip_image_build),
        configuration.read(backend_config),
    )  # fmt: skip
    marks = Marks(experiment_name, experiment_id, run_name, run_id)
    ask = sources.allowed(allow_code)
    submitted = submit(request, marks, synchronous=synchronous, storage_dir=storage_dir, ask=ask)
    if synchronous:
        check(submitted)
    return submitted


def _check_given(given: Mapping[str, Any]) -> None:
    for name, default in _NOT_YET.items():
        if given[name] != default:
            raise UsageError(f"gitml's backends don't take {name}={shown(given[name])}; leave it")


def submit(
    request: Request,
    marks: Marks,
    *,
    synchronous: bool = True,
    tell: Tell | None = None,
    started: Callable[[str], None] | None = None,
    storage_dir: str | Path | None = None,
    ask: sources.Ask | None = None,
) -> SubmittedRun:
    """Run what is asked for; `tell` hears of steps that take time, `started` the run's id.

    `ask` is asked before the first run of a repository that is not known.
    """
    task.check_backend(request.backend)
    _check_repository()
    checkout.sweep()
    with contextlib.ExitStack() as outer, contextlib.ExitStack() as stack:
        if synchronous:
            outer.enter_context(execution.signals_stop())
        where = stack.enter_context(sources.opened(request, ask))
        if where.place.owner is not None and tell is not None:
            for line in checkout.lacking(where.place.repo):
                tell(line)
        downloads = Downloads(where, stack, storage_dir)
        made = downloads.noted(task.make(request, where, tell, downloads.locate))
        sinks = (to_stream(sys.stdout), to_stream(sys.stderr))
        return execution.run(
            made, marks, sinks, synchronous=synchronous, started=started, done=stack.pop_all().close
        )


def _check_repository() -> None:
    """Refuse to start a project where runs are only written, and there is no git."""
    if spool.named() is not None and shutil.which("git") is None:
        raise UsageError(
            "a run in a container or a job can't start another project's run: that needs git and a"
            " repository; start the steps from outside"
        )


def check(submitted: SubmittedRun) -> None:
    """Raise `EntryPointError` unless the entry point has succeeded."""
    outcome = submitted.outcome
    if outcome is not None and outcome.reason is not None:
        raise EntryPointError(f"{outcome.reason} (run {submitted.run_id[-8:]})", submitted.run_id)
