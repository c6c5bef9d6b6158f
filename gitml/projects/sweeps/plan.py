"""The plan of a sweep: what is searched, how, and what for. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

from gitml.errors import UsageError, shown
from gitml.projects import backend_config, parameters
from gitml.projects.confinement import LOCAL
from gitml.projects.mlproject import MAIN
from gitml.projects.sweeps import space
from gitml.projects.sweeps.space import Space
from gitml.projects.task import Request
from gitml.tracking.record import MetricSummary
from gitml.tracking.redact import is_secret_name, redact_command

GRID, RANDOM, TPE = "grid", "random", "tpe"
SAMPLERS = (GRID, RANDOM, TPE)
MAXIMIZE, MINIMIZE = "maximize", "minimize"
GOALS = (MAXIMIZE, MINIMIZE)

_RUNS = 20  # of a sweep that has no end by itself
_GRID = 1000  # the largest grid that nobody has to confirm
_MOST = 100_000  # runs of any sweep
_AT_ONCE = 256
_PREFIXES = ("metrics.", "metric.")
_SUMMARIES = ("last", "min", "max")


@dataclass(frozen=True, slots=True)
class Plan:
    """A sweep as it was asked for; the parameters of `request` are dimensions, as text.

    `runs` is how many runs it has, `parallel` how many at once. `metric` is a key, with `.min` or
    `.max` after it for another figure than the last. With `early_stop` runs are ended whose metric
    is worse than half of the others were at the same step; with `reuse` what was recorded before
    is not run again.
    """

    request: Request
    metric: str
    goal: str
    sampler: str
    runs: int
    parallel: int = 1
    early_stop: bool = False
    reuse: bool = False
    seed: int = 0

    def is_better(self, value: float, other: float) -> bool:
        """Whether one value of the metric is better than another."""
        return value > other if self.goal == MAXIMIZE else value < other

    def command(self) -> tuple[str, ...]:
        """The command line that asks for the same, without credentials."""
        request = self.request
        words = ["gitml", "sweep", request.uri]
        words += [] if request.entry_point == MAIN else ["-e", request.entry_point]
        words += ["--version", request.version] if request.version else []
        for name, text in request.parameters.items():
            words += ["-P", f"{name}={text}"]
        words += ["--metric", self.metric, "--goal", self.goal, "--sampler", self.sampler]
        words += ["--max-runs", str(self.runs), "--parallel", str(self.parallel)]
        words += ["--seed", str(self.seed)]
        words += ["--early-stop"] if self.early_stop else []
        words += ["--reuse"] if self.reuse else []
        words += ["--env-manager", request.env_manager] if request.env_manager else []
        words += ["--backend", request.backend] if request.backend != LOCAL else []
        words += backend_config.words(request.backend_config)
        words += ["--skip-image-build"] if request.image.as_it_is else []
        words += ["--allow-extra"] if request.allow_extra else []
        return redact_command(words)


def make(
    request: Request,
    searched: Space,
    *,
    metric: str,
    goal: str,
    sampler: str | None = None,
    max_runs: int | None = None,
    **more: bool | int,
) -> Plan:
    """A plan with what was left open filled in, checked. Raises UsageError.

    By default a space that can be counted is a grid, and another one is sampled 20 times.
    """
    if not space.varying(searched):
        raise UsageError(
            "nothing varies; give a range or a list, such as -P lr=0.001..0.1:log or -P depth=2,4"
        )
    for name in filter(is_secret_name, space.varying(searched)):
        raise UsageError(f"the parameter {shown(name)} is a credential; give it one value")
    size = space.size(searched)
    small = size is not None and (max_runs is None or size <= max_runs)
    sampler = sampler or (GRID if small else TPE)
    _check(sampler, SAMPLERS, "sampler")
    _check(goal, GOALS, "goal")
    if sampler == GRID and size is not None and size > _GRID and max_runs is None:
        raise UsageError(f"the grid has {size} points; say how many to run: --max-runs")
    count = max_runs if max_runs is not None else _GRID if sampler == GRID else _RUNS
    plan = Plan(request, metric_name(metric), goal, sampler, count, **more)  # type: ignore[arg-type]
    return _checked(plan, searched)


def changed(plan: Plan, searched: Space, runs: int | None, parallel: int | None) -> Plan:
    """A plan that goes on with other numbers."""
    found = replace(
        plan,
        runs=plan.runs if runs is None else runs,
        parallel=plan.parallel if parallel is None else parallel,
    )
    return _checked(found, searched)


def _checked(plan: Plan, searched: Space) -> Plan:
    """A plan whose numbers can be; a grid has no more runs than points."""
    numbers = (("max-runs", plan.runs, _MOST), ("parallel", plan.parallel, _AT_ONCE))
    for name, value, most in numbers:
        if not 1 <= value <= most:
            raise UsageError(f"--{name} is between 1 and {most}, not {value}")
    if plan.sampler != GRID:
        return plan
    return replace(plan, runs=len(space.grid(searched, plan.runs)))


def _check(value: str, known: tuple[str, ...], what: str) -> None:
    if value not in known:
        raise UsageError(f"there is no {what} {shown(value)}; there is {', '.join(known)}")


def metric_name(text: str) -> str:
    """The key of a metric, which may be written as in a filter: `metrics.auc`."""
    name = next((text[len(it) :] for it in _PREFIXES if text.startswith(it)), text)
    if not name:
        raise UsageError("the metric has no name; write --metric metrics.auc")
    return name


def key_and_figure(name: str) -> tuple[str, str]:
    """`loss.min` as the key `loss` and the figure `min`; others are the last value."""
    key, _, figure = name.rpartition(".")
    return (key, figure) if key and figure in _SUMMARIES else (name, "last")


def value_of(name: str, metrics: Mapping[str, MetricSummary]) -> float | None:
    """What the runs are compared by; None when a run has none, or no number.

    As in a filter, a metric that is called `loss.min` comes before the minimum of `loss`.
    """
    key, figure = (name, "last") if name in metrics else key_and_figure(name)
    if key not in metrics:
        return None
    value: float | None = getattr(metrics[key], figure)
    return value if value is not None and math.isfinite(value) else None


def space_of(texts: Mapping[str, object], types: Mapping[str, str]) -> dict[str, space.Dimension]:
    """The dimensions that are written, by the types of the entry point's parameters."""
    return {
        name: space.parse(name, str(text), types.get(name, "string"))
        for name, text in texts.items()
    }


def as_text(value: object) -> str:
    """A dimension as Python gives it, as it is written: a list or tuple is a list of values."""
    if isinstance(value, (list, tuple)):
        return str(space.Choice(tuple(parameters.text(one) for one in value)))
    return parameters.text(value)
