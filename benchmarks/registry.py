"""The registry: what its commands take where there are many tags."""

from __future__ import annotations

from collections.abc import Iterator

from benchmarks.bench import Bench, Measure, Side, compare
from benchmarks.peers import Peers
from benchmarks.row import Figure, Limit, Row, Unit

_LIMIT = Limit(0.300)


def commands(bench: Bench, _: Peers) -> Iterator[Row]:
    """Processes from start to end, in a repository with as many tags of stages as of versions."""
    models, versions = bench.sizes.models, bench.sizes.versions
    side = bench.gitml(bench.registry())
    for words, limit in (
        (("registry", "list"), _LIMIT if models * versions >= 500 else None),
        (("registry", "show", "model-000"), None),
        (("registry", "history", "model-000"), None),
        (("status",), None),
    ):
        yield compare(
            f"{' '.join(words)}, {2 * models * versions:,} tags",
            Unit.SECONDS,
            _command(bench.sizes.starts, *words),
            side,
            limit=limit,
            note=f"{models} models of {versions} versions, each of which was promoted"
            if limit
            else "",
        )


def _command(starts: int, *arguments: str) -> Measure:
    def measure(side: Side) -> Figure:
        return side.processes("-m", side.api, *arguments, repeat=starts)

    return measure
