"""Artifacts: a model into a run, into the cache and into a remote."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from benchmarks.bench import INTERNALS, Bench, Side, compare, measured, run
from benchmarks.peers import Peers
from benchmarks.row import Figure, Limit, Row, Unit, figure_of

MEGABYTE = 1_000_000


def model(bench: Bench, peers: Peers) -> Iterator[Row]:
    """A model of 1 MB, added and pushed by fresh processes."""
    repo = bench.repository("artifacts")
    remote, repeat = bench.work / "remote", bench.sizes.repeat

    def measure(side: Side) -> Figure:
        paths = [repo / f"model-{side.api}-{number}.bin" for number in range(repeat + 1)]
        for path in paths:
            path.write_bytes(os.urandom(MEGABYTE))
        _push(side, paths.pop(), remote)  # the first one warms the caches
        left = iter(paths)
        return measured(lambda: _push(side, next(left), remote), repeat)

    yield compare(
        "add + push a 1 MB model to a directory remote",
        Unit.SECONDS,
        measure,
        bench.gitml(repo),
        _dvc(bench, repo),
        limit=Limit(0.300),
        note="processes included: one of gitml, `dvc add` and `dvc push` of DVC",
    )


def logged(bench: Bench, peers: Peers) -> Iterator[Row]:
    """log_model in a run: a scikit-learn model, its requirements inferred."""
    repo = bench.repository("calls")

    def measure(side: Side) -> Figure:
        done = side.task("log_model", repeat=bench.sizes.repeat if side.api == "gitml" else 2)
        remark = f"{1000 * done['first']:.0f} ms the first time"
        return figure_of(done["samples"], done["cpu"], remark)

    yield compare(
        "log_model",
        Unit.SECONDS,
        measure,
        bench.gitml(repo),
        peers.sides(repo, "models"),
        limit=Limit(0.100),
    )


def _dvc(bench: Bench, repo: Path) -> Iterator[Side]:
    """DVC in the same repository, with a remote of its own."""
    side = replace(bench.gitml(repo), label="DVC", api="dvc")
    for arguments in (
        ("init", "--quiet"),
        ("remote", "add", "--default", "--quiet", "here", str(bench.work / "remote-dvc")),
    ):
        run([side.python, "-m", "dvc", *arguments], repo, side.variables, 60)
    yield side


def _push(side: Side, path: Path, remote: Path) -> None:
    if side.api == "dvc":
        side.process("-m", "dvc", "add", "--quiet", path.name)
        side.process("-m", "dvc", "push", "--quiet", f"{path.name}.dvc")
        return
    arguments = f'{{"path": "{path.as_posix()}", "remote": "{remote.as_posix()}"}}'
    side.process(str(INTERNALS), "gitml", "add_and_push", arguments)
