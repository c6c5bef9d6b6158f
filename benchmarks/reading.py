"""Finding runs again: searches, and the index behind them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from benchmarks.bench import INTERNALS, Bench, Measure, Side, compare, task
from benchmarks.machine import load
from benchmarks.peers import Peers
from benchmarks.row import Figure, Limit, Row, Unit, figure_of, shown

FILTER, ORDER, LIMIT = "metrics.auc > 0.5", ["metrics.loss ASC"], 100
_LIMITS = {10_000: Limit(0.005), 100_000: Limit(0.030)}


def search(bench: Bench, peers: Peers) -> Iterator[Row]:
    """The best hundred runs by one metric where another one is good."""
    sizes, question = bench.sizes, _question(4 * bench.sizes.repeat)
    for runs in [runs for runs in sizes.ledgers if runs > 1]:
        repo, limit = bench.repository(runs=runs), _LIMITS.get(runs)
        yield compare(
            f"search_runs, top {LIMIT} of {runs:,}",
            Unit.SECONDS,
            _compared(question),
            bench.gitml(repo),
            peers.analyzed(repo, runs) if runs == sizes.peer_ledger else (),
            limit=limit,
            note=f"`{FILTER}`, `{ORDER[0]}`; the whole call, with a look whether the index is up to"
            " date, and the records read; after the first time they are at hand",
        )
        yield compare(
            f"the index's part of it, {runs:,}",
            Unit.SECONDS,
            task("search", script=INTERNALS, **question),
            bench.gitml(repo),
            limit=limit,
        )


def _question(repeat: int) -> dict[str, Any]:
    return {"filter": FILTER, "order": ORDER, "limit": LIMIT, "repeat": repeat}


def _compared(question: dict[str, Any]) -> Measure:
    """The search, and whether a peer finds what the first side, gitml, has found."""
    found: list[list[str]] = []

    def measure(side: Side) -> Figure:
        done = side.task("search", **question)
        found.append(done["found"])
        other = "" if found[-1] == found[0] else ", other runs than gitml's"
        first = f"the first time {shown(done['first'], Unit.SECONDS)}"
        return figure_of(done["samples"], done["cpu"], first + other)

    return measure


def index(bench: Bench, peers: Peers) -> Iterator[Row]:
    """The index made anew, and brought up to date."""
    runs, repeat = bench.sizes.ledgers[-1], bench.sizes.repeat
    side = bench.gitml(bench.repository(runs=runs))

    def rebuilt(side: Side) -> Figure:
        done = side.task("rebuild", script=INTERNALS, runs=runs, repeat=min(repeat, 3))
        size = f"{shown(done['size'], Unit.BYTES)} on the disk"
        return figure_of(done["samples"], done["cpu"], size)

    yield compare(
        f"index made anew from {runs:,} runs",
        Unit.SECONDS,
        rebuilt,
        side,
        limit=Limit(8.0) if runs == 100_000 else None,
    )
    before = load()
    done = side.task("plus_one", script=INTERNALS, repeat=4 * repeat)
    for what, samples in (("one more run", "one"), ("nothing new", "none")):
        yield Row(
            f"index of {runs:,} runs brought up to date, {what}",
            Unit.SECONDS,
            figure_of(**done[samples]),
            Limit(0.010),
            load=before,
        )
