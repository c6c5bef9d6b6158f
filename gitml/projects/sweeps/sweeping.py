"""`gitml.projects.sweep` and `resume_sweep`: a search for the best parameters, as runs of a run."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from gitml.errors import UsageError
from gitml.projects import backend_config as configuration
from gitml.projects import replay, sources
from gitml.projects.execution import Marks
from gitml.projects.mlproject import MAIN
from gitml.projects.sweeps import history, parent, plan, setting, space
from gitml.projects.sweeps.child import Nursery
from gitml.projects.sweeps.engine import Engine, Watch
from gitml.projects.sweeps.parent import Parent
from gitml.projects.sweeps.study import Study
from gitml.projects.sweeps.trials import Board
from gitml.projects.task import Request, Tell, command_of
from gitml.tracking import store
from gitml.tracking.fluent import place as fluent
from gitml.tracking.redact import MASK


@dataclass(frozen=True, slots=True)
class Hooks:
    """Who hears of a sweep: of steps that take time, of its run's id, of every change."""

    tell: Tell | None = None
    started: Callable[[str], None] = lambda run_id: None
    watch: Watch = lambda board: None
    ask: sources.Ask | None = None


@dataclass(frozen=True, slots=True)
class Sweep:
    """What a sweep came to; `command` runs the best trial again.

    `importance` is the share of each parameter in the differences of the metric, largest first.
    """

    board: Board
    importance: Mapping[str, float]
    command: str

    @property
    def run_id(self) -> str:
        """The id of the run that the others are below."""
        return self.board.run_id

    @property
    def best_run_id(self) -> str:
        """The id of the best run."""
        best = self.board.best
        return str(best.run_id) if best is not None else ""

    @property
    def best_params(self) -> Mapping[str, str]:
        """The parameters of the best run that vary, as the program got them."""
        best = self.board.best
        return {} if best is None else best.params

    @property
    def best_value(self) -> float | None:
        """The best value of the metric."""
        best = self.board.best
        return None if best is None else best.value

    @property
    def saved(self) -> float:
        """How many seconds the runs took that were not run again."""
        return sum(trial.seconds or 0 for trial in self.board.trials if trial.reused)


def sweep(
    uri: str | Path,
    parameters: Mapping[str, Any],
    metric: str,
    goal: str,
    *,
    entry_point: str = MAIN,
    version: str | None = None,
    sampler: str | None = None,
    max_runs: int | None = None,
    parallel: int = 1,
    early_stop: bool = False,
    reuse: bool = False,
    seed: int = 0,
    experiment_name: str | None = None,
    run_name: str | None = None,
    env_manager: str | None = None,
    backend: str = "local",
    backend_config: Mapping[str, Any] | str | Path | None = None,
    allow_extra: bool = False,
    timeout: float | None = None,
) -> Sweep:
    """Run an entry point with many combinations of its parameters, as runs below one run.

    A parameter is a list of values, or text as on the command line: `0.001..0.1:log`, `2,4,8`.
    `metric` is compared, towards `goal`, maximize or minimize. `sampler` is grid, random or tpe;
    `parallel` runs go on at once. `early_stop` ends those that are worse than half of the others;
    `reuse` runs nothing again that is recorded with the same code, data and environment. The rest
    is as in `run`, `timeout` for each of the runs.

    Raises UsageError and FormatError when nothing was run, and `SweepError` when no run came to a
    value. Needs the extra `sweep`.
    """
    texts = {name: plan.as_text(value) for name, value in parameters.items()}
    request = Request(
        str(uri), entry_point, version, texts, allow_extra, env_manager, backend, timeout,
        backend_config=configuration.read(backend_config),
    )  # fmt: skip
    search = {
        **{"metric": metric, "goal": goal, "sampler": sampler, "max_runs": max_runs},
        **{"parallel": parallel, "early_stop": early_stop, "reuse": reuse, "seed": seed},
    }
    return begin(request, search, Marks(experiment_name, run_name=run_name), Hooks())


def resume_sweep(
    run: str,
    *,
    parameters: Mapping[str, Any] | None = None,
    max_runs: int | None = None,
    parallel: int | None = None,
    backend_config: Mapping[str, Any] | str | Path | None = None,
) -> Sweep:
    """Go on with a sweep that was interrupted: what ended stays, what was running runs again.

    `run` names its run. `max_runs` and `parallel` may be others than before; of `parameters` only
    credentials are to be given, which are not recorded. `backend_config` replaces what the backend
    was told before.
    """
    config = configuration.read(backend_config)
    return go_on(
        run, parameters or {}, Hooks(), max_runs=max_runs, parallel=parallel, config=config
    )


def begin(request: Request, search: Mapping[str, Any], marks: Marks, hooks: Hooks) -> Sweep:
    """Begin a sweep, and see it through; `search` is what `plan.make` takes."""
    with setting.opened(request, hooks.ask) as (where, locate):
        searched = setting.space_of(request, where, locate)
        made = plan.make(setting.pinned(request, where), searched, **search)
        nursery = Nursery(where, made, space.fixed(searched), locate)
        first = setting.checked(nursery, searched, hooks.tell)
        study = Study(made, searched)
        with parent.started(nursery, first, marks) as run:
            hooks.started(run.record.run_id)
            return _seen_through(Engine(nursery, study, run.record, hooks.watch, run.note), run)


def go_on(
    name: str,
    given: Mapping[str, Any],
    hooks: Hooks,
    *,
    max_runs: int | None = None,
    parallel: int | None = None,
    config: Mapping[str, Any] | None = None,
) -> Sweep:
    """Go on with the sweep of the run `name`, and see it through."""
    past = history.read(fluent.place(), name, given, config)
    with setting.opened(past.plan.request, hooks.ask) as (where, locate):
        searched = setting.space_of(past.plan.request, where, locate)
        made = plan.changed(past.plan, searched, max_runs, parallel)
        nursery = Nursery(where, made, space.fixed(searched), locate)
        setting.checked(nursery, searched, hooks.tell)
        study = Study(made, searched)
        with parent.resumed(where.place, past.record) as run:
            hooks.started(run.record.run_id)
            engine = Engine(nursery, study, run.record, hooks.watch, run.note)
            engine.recall(past.trials, past.again)
            return _seen_through(engine, run)


def _seen_through(engine: Engine, run: Parent) -> Sweep:
    """Run all of it, and keep what it came to."""
    board, importance = engine.run(), engine.importance()
    command = shlex.join(again(board))
    run.conclude(board, importance, command)
    return Sweep(board, importance, command)


def again(board: Board) -> tuple[str, ...]:
    """The command that runs the best trial again, with the code as it was on disk, and compares.

    A run that can't be reproduced is run as it was asked for.
    """
    best, request = board.best, board.plan.request
    if best is None or best.run_id is None:
        return ()
    try:
        started = replay.of(store.record(fluent.place(), best.run_id))
    except UsageError:
        values = {**board.same, **best.params}
        asked = replace(request, uri=f"runs:/{best.run_id}", version=None, parameters=values)
        return command_of(asked)
    hidden = replay.hidden(started) if isinstance(started, replay.Entry) else ()
    secrets = (word for name in hidden for word in ("-P", f"{name}={MASK}"))
    return ("gitml", "runs", "reproduce", best.run_id, *secrets)
