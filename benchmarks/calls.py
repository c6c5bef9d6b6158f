"""What a log call costs the training."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from benchmarks.bench import Bench, Side, compare, task
from benchmarks.machine import load
from benchmarks.peers import Peers
from benchmarks.row import Figure, Limit, MeasureError, Row, Unit, figure_of


def single(bench: Bench, peers: Peers) -> Iterator[Row]:
    """Single log_metric calls."""
    repo, sizes, before = bench.repository("calls"), bench.sizes, load()
    sides = [bench.gitml(repo), *peers.sides(repo, "single")]
    found = {side.label: _calls(side, sizes.calls, sizes.peer_calls) for side in sides}
    for part, what, limit in (
        ("median", "log_metric, median", Limit(5e-6)),
        ("p999", "log_metric, 99.9th percentile", Limit(1e-3)),
        ("worst", "log_metric, the worst call", None),
    ):
        figures = [(label, _part(measured, part)) for label, measured in found.items()]
        note = f"{sizes.calls:,} calls; {sizes.peer_calls:,} of MLflow's"
        yield Row(what, Unit.SECONDS, figures[0][1], limit, tuple(figures[1:]), note, before)


def _calls(side: Side, ours: int, theirs: int) -> dict[str, Any] | str:
    try:
        return side.task("log_metric", calls=ours if side.api == "gitml" else theirs)
    except MeasureError as error:
        return str(error)


def _part(measured: dict[str, Any] | str, part: str) -> Figure | str:
    return measured if isinstance(measured, str) else Figure(measured[part])


def batches(bench: Bench, peers: Peers) -> Iterator[Row]:
    """Many values in one call, many points in one run, and reading those."""
    repo, sizes = bench.repository("calls"), bench.sizes
    sides = list(peers.sides(repo, "batches"))
    yield compare(
        f"{sizes.batch:,} metrics in one call",
        Unit.SECONDS,
        task("log_many", metrics=sizes.batch, repeat=4 * sizes.repeat),
        bench.gitml(repo),
        sides,
        limit=Limit(0.005),
    )
    ids: dict[str, str] = {}

    def record(side: Side) -> Figure:
        done = side.task("points", count=sizes.points, batch=1000, repeat=_few(side, 5))
        ids[side.label] = done["run_id"]
        return figure_of(done["samples"], done["cpu"])

    yield compare(
        f"{sizes.points:,} points in one run, start to end",
        Unit.SECONDS,
        record,
        bench.gitml(repo),
        sides,
        limit=Limit(1.0),
        note="log_batch with 1,000 points a call",
    )

    def read(side: Side) -> Figure:
        if side.label not in ids:
            raise MeasureError("not measured: there is no such run")
        found = task("history", run_id=ids[side.label], count=sizes.points, repeat=_few(side, 7))
        return found(side)

    yield compare(
        f"history of {sizes.points:,} points read back",
        Unit.SECONDS,
        read,
        bench.gitml(repo),
        sides,
        limit=Limit(0.100),
        note="as a list of Metric objects",
    )


def _few(side: Side, ours: int) -> int:
    return ours if side.api == "gitml" else 1
