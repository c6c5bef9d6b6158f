"""How long it takes until anything happens: imports, a cold script, the command line."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator
from functools import partial
from operator import attrgetter

from benchmarks.bench import Bench, Measure, Side, compare, measured, run
from benchmarks.peers import Peers
from benchmarks.row import Figure, Limit, Row, Unit

_SCRIPT = """\
import {api} as mlflow

mlflow.set_experiment("churn")
with mlflow.start_run():
    mlflow.log_params({{"lr": 0.1, "depth": 5}})
    for step in range(10):
        mlflow.log_metric("loss", 1 / (step + 1), step=step)
"""


def imports(bench: Bench, peers: Peers) -> Iterator[Row]:
    """The import alone, and a whole script."""
    repo = bench.repository("start")
    ours = bench.gitml(repo)
    others = list(peers.sides(repo, "start"))
    yield compare(
        "import, over bare Python",
        Unit.SECONDS,
        _over_bare(bench.sizes.starts),
        ours,
        others[:1],
        limit=Limit(0.060),
        note="every name of the API is loaded at its first use",
    )
    yield compare(
        "modules loaded by the import", Unit.MODULES, _modules, ours, others[:1], limit=Limit(250)
    )
    yield compare(
        "a whole script with one run, cold",
        Unit.SECONDS,
        _script(bench.sizes.starts),
        ours,
        others,
        limit=Limit(0.200),
        note="2 params and 10 metric calls, snapshot of"
        f" {bench.sizes.files:,} tracked files included, interpreter included; the experiment"
        " exists, and so do MLflow's tables",
    )


def _over_bare(starts: int) -> Measure:
    """The cost of the import: with and without it by turns, so that both meet the same load."""

    def measure(side: Side) -> Figure:
        bare, whole = "pass", f"import {side.api}"
        figures: dict[str, list[Figure]] = {bare: [], whole: []}
        side.process("-c", whole)
        for code in (bare, whole) * starts:
            figures[code].append(measured(partial(side.process, "-c", code), 1))

        def cost(key: Callable[[Figure], float], of: Callable[[list[float]], float]) -> float:
            with_it, without = (of([key(it) for it in figures[code]]) for code in (whole, bare))
            return with_it - without

        seconds, cpu = attrgetter("value"), attrgetter("cpu")
        return Figure(
            cost(seconds, statistics.median), cost(seconds, min), cost(cpu, statistics.mean)
        )

    return measure


def _modules(side: Side) -> Figure:
    code = f"import {side.api}, sys; print(len(sys.modules))"
    return Figure(float(run([side.python, "-c", code], side.folder, side.variables, 60)))


def _script(starts: int) -> Measure:
    def measure(side: Side) -> Figure:
        path = side.folder / f"train_{side.api}.py"
        path.write_text(_SCRIPT.format(api=side.api), encoding="utf-8")
        return side.processes(path.name, repeat=starts)

    return measure


def commands(bench: Bench, peers: Peers) -> Iterator[Row]:
    """The command line."""
    runs = bench.sizes.peer_ledger
    repo = bench.repository(runs=runs)
    ours, starts = bench.gitml(repo), bench.sizes.starts
    others = list(peers.filled(repo, runs))
    yield compare(
        "--version", Unit.SECONDS, _command(starts, "--version"), ours, others, limit=Limit(0.150)
    )
    for size in [size for size in bench.sizes.ledgers if size >= runs]:
        folder = bench.repository(runs=size)
        yield compare(
            f"runs list, {size:,} runs",
            Unit.SECONDS,
            _listing(starts),
            bench.gitml(folder),
            others if size == runs else (),
            limit=Limit(0.300) if size == 10_000 else None,
            note="the index is up to date; gitml shows 50 runs, MLflow all names and ids",
        )


def _command(starts: int, *arguments: str) -> Measure:
    def measure(side: Side) -> Figure:
        return side.processes("-m", side.api, *arguments, repeat=starts)

    return measure


def _listing(starts: int) -> Measure:
    def measure(side: Side) -> Figure:
        if side.api == "gitml":
            return _command(starts, "runs", "list")(side)
        id = side.task("experiment")["id"]
        return _command(min(starts, 3), "runs", "list", "--experiment-id", id)(side)

    return measure
