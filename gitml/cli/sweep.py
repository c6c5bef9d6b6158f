"""`gitml sweep`: an entry point with many combinations of its parameters, as runs of a run."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import click

from gitml.cli import output
from gitml.cli.figures import duration, number, plural
from gitml.cli.running import (
    address_option,
    agreed,
    backend_config_option,
    manager_option,
    pairs,
    result_option,
    timeout_option,
    told_backend,
    version_option,
    yes_option,
)
from gitml.errors import NoRepositoryError
from gitml.projects.mlproject import MAIN
from gitml.projects.sweeps.plan import GOALS, SAMPLERS

if TYPE_CHECKING:
    from gitml.projects.sweeps.sweeping import Hooks, Sweep

_REQUEST = ("entry_point", "version", "allow_extra", "env_manager", "backend", "timeout")
_SEARCH = ("metric", "goal", "sampler", "max_runs", "parallel", "early_stop", "reuse", "seed")


@click.command()
@click.argument("uri", metavar="PROJECT", default=".")
@click.option(
    "--entry-point", "-e", default=MAIN, show_default=True, metavar="NAME", help="What to run."
)
@click.option(
    *("--param", "-P", "params"),
    multiple=True,
    metavar="NAME=VALUES",
    help="A range such as 0.001..0.1:log or 2..8, a list such as 2,4,8, or one value.",
)
@click.option(
    "--metric", metavar="NAME", help="What the runs are compared by, such as metrics.auc."
)
@click.option("--goal", type=click.Choice(GOALS), help="What is better: more, or less.")
@click.option(
    "--sampler",
    type=click.Choice(SAMPLERS),
    help="By default grid, where the values can be counted, else tpe.",
)
@click.option("--max-runs", type=int, metavar="N", help="By default the whole grid, else 20.")
@click.option("--parallel", type=int, metavar="N", help="How many runs at once; by default 1.")
@click.option("--early-stop", is_flag=True, help="End runs that are worse than half of the others.")
@click.option("--reuse", is_flag=True, help="Run nothing that is recorded already.")
@click.option("--seed", type=int, metavar="N", default=0, help="Another one draws other points.")
@click.option("--resume", metavar="RUN", help="Go on with a sweep that was interrupted.")
@click.option("--allow-extra", is_flag=True, help="Pass unknown parameters on as --NAME VALUE.")
@click.option("--experiment-name", metavar="NAME", help="The experiment of the runs.")
@click.option("--run-name", metavar="NAME", help="The name of the sweep's run.")
@manager_option("Who builds the environment; as for gitml run.")
@click.option("--backend", "-b", default="local", show_default=True, help="Where the runs run.")
@backend_config_option
@address_option
@click.option(
    "--skip-image-build", is_flag=True, help="Run the image as it is, with no gitml added."
)
@timeout_option("Stop a run after so long.")
@version_option
@result_option
@yes_option
def sweep(uri: str, params: Sequence[str], format: str, yes: bool, **given: Any) -> None:
    """Search for the best parameters of PROJECT, by default the folder that you are in.

    Each combination is a run, below the run of the sweep. Ctrl-C ends them all; --resume goes on.
    The exit code is 1 when no run comes to a value of the metric.
    """
    from gitml.cli.here import recovered

    with contextlib.suppress(NoRepositoryError):  # a project elsewhere has one of its own
        recovered()
    found = _searched(_action(uri, pairs(params), given), yes)
    if format == "json":
        output.say_json(_document(found))
    else:
        output.say(*_lines(found))


def _action(uri: str, values: dict[str, str], given: dict[str, Any]) -> Callable[[Hooks], Sweep]:
    """What is asked for: a new sweep, or to go on with one."""
    from gitml.projects.execution import Marks
    from gitml.projects.image import Wish
    from gitml.projects.sweeps import sweeping
    from gitml.projects.task import Request

    config = told_backend(given)
    run, more = given["resume"], {name: given[name] for name in ("max_runs", "parallel")}
    if run is not None:
        _refuse_with_resume(given)
        return lambda hooks: sweeping.go_on(run, values, hooks, **more, config=config)
    if given["metric"] is None or given["goal"] is None:
        raise click.UsageError("a sweep needs --metric, and --goal maximize or minimize")
    told = {name: given[name] for name in _REQUEST}
    image = Wish(as_it_is=given["skip_image_build"])
    request = Request(uri, parameters=values, **told, image=image, backend_config=config)
    search = {name: given[name] for name in _SEARCH}
    search["parallel"] = 1 if search["parallel"] is None else search["parallel"]
    marks = Marks(given["experiment_name"], run_name=given["run_name"])
    return lambda hooks: sweeping.begin(request, search, marks, hooks)


def _refuse_with_resume(given: dict[str, Any]) -> None:
    """A sweep goes on as it was asked for; other options would not do what they say."""
    context = click.get_current_context()
    allowed = {"resume", "params", "max_runs", "parallel", "backend_config", "address"}
    allowed |= {"format", "yes"}
    for parameter in context.command.params:
        source = context.get_parameter_source(str(parameter.name))
        if parameter.name not in allowed and source == click.core.ParameterSource.COMMANDLINE:
            name = (
                parameter.opts[0]
                if parameter.opts[0].startswith("-")
                else f"a {parameter.human_readable_name}"
            )
            raise click.UsageError(f"{name} can't be given with --resume")


def _searched(action: Callable[[Hooks], Sweep], yes: bool) -> Sweep:
    """Run the sweep while it is shown; how to go on with it is said when it is stopped."""
    from gitml.cli.board import watching
    from gitml.projects.sweeps.engine import SweepError
    from gitml.projects.sweeps.sweeping import Hooks

    begun: list[str] = []

    def started(run_id: str) -> None:
        begun.append(run_id)
        output.remark(f"sweep {run_id}")

    ask = agreed(yes)
    try:
        with watching() as watch:
            return action(Hooks(output.remark, started, watch, ask))
    except SweepError as error:
        output.remark(*(f"  {line}" for line in error.said))
        raise
    except (KeyboardInterrupt, SystemExit):
        if begun:
            output.remark(f"stopped; to go on: gitml sweep --resume {begun[0][-8:]}")
        raise


def _lines(found: Sweep) -> list[str]:
    board, best = found.board, found.board.best
    assert best is not None
    counts = Counter(trial.state for trial in board.trials)
    told = {"done": "done", "stopped": "stopped early", "failed": "failed"}
    ends = ", ".join(f"{counts[state]} {word}" for state, word in told.items() if counts[state])
    lines = [
        f"best        {board.plan.metric} {number(best.value)}  run {found.best_run_id[-8:]}",
        f"params      {' '.join(f'{name}={text}' for name, text in best.params.items())}",
    ]
    if found.importance:
        shares = ", ".join(f"{name} {share:.0%}" for name, share in found.importance.items())
        lines.append(f"importance  {shares}")
    lines.append(f"runs        {ends}, below run {board.run_id[-8:]}")
    reused = sum(trial.reused for trial in board.trials)
    if reused:
        took = duration(round(found.saved * 1000))
        lines.append(f"reused      {plural(reused, 'run')} recorded before, which took {took}")
    return [*lines, f"again       {found.command}"]


def _document(found: Sweep) -> dict[str, Any]:
    from gitml.projects.sweeps import document

    told = document.described(found.board, found.importance, found.command)
    return {"run_id": found.run_id, "name": found.board.name, **told}
