"""What a run costs: its time, its place on the disk, and many writers at once."""

from __future__ import annotations

import contextlib
import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.bench import Bench, Side, compare, last_line, task
from benchmarks.peers import Peers
from benchmarks.row import Figure, Limit, MeasureError, Row, Unit


def warm(bench: Bench, peers: Peers) -> Iterator[Row]:
    """Whole runs in a process that has recorded some already."""
    sizes = bench.sizes
    for runs in sizes.ledgers:
        repo = bench.repository(runs=runs)
        for single in (False, True):
            if runs == sizes.peer_ledger:
                others = peers.filled(repo, runs)
            elif runs == sizes.ledgers[0]:
                others = peers.sides(repo, f"warm-{single}")
            else:
                others = iter(())
            calls = "20 calls" if single else "2 calls"
            yield compare(
                f"a run of 10 params and 10 metrics by {calls}, {runs:,} recorded",
                Unit.SECONDS,
                task("runs", count=sizes.runs, single=single),
                bench.gitml(repo),
                others,
                limit=Limit(0.030),
                note=f"start to end, warm; gitml takes a snapshot of {sizes.files:,} tracked files,"
                " MLflow notes the commit",
            )


def size(bench: Bench, peers: Peers) -> Iterator[Row]:
    """What a run takes on the disk."""
    repo, count = bench.repository("size"), bench.sizes.packed

    def measure(side: Side) -> Figure:
        before = _bytes(bench, side)
        done = side.task("runs", count=count, points=5, seconds=300)["runs"]
        return Figure((_bytes(bench, side) - before) / done)

    yield compare(
        "a run on the disk, packed",
        Unit.BYTES,
        measure,
        bench.gitml(repo),
        peers.sides(repo, "size", files=False),
        limit=Limit(3300),
        note=f"mean of {count} runs of 10 params and 10 metrics of 5 points, with the environment,"
        " after `git repack -ad`, pack and its index; MLflow: growth of the database",
    )


def _bytes(bench: Bench, side: Side) -> int:
    if side.api != "gitml":
        return Path(side.variables["MLFLOW_TRACKING_URI"].removeprefix("sqlite:///")).stat().st_size
    bench.git(side.folder, "repack", "-adq")
    packs = side.folder / ".git" / "objects" / "pack"
    return sum(path.stat().st_size for path in packs.iterdir() if path.suffix in (".pack", ".idx"))


def writers(bench: Bench, peers: Peers) -> Iterator[Row]:
    """Several processes that record at once."""
    sizes = bench.sizes

    def measure(side: Side) -> Figure:
        return together(side, sizes.writers, sizes.written)

    for files in (sizes.few_files, sizes.files):
        repo = bench.repository(f"writers-{files}", files=files)
        others = peers.sides(repo, f"writers-{files}", files=False)
        yield compare(
            f"{sizes.writers} writers in one repository of {files:,} files",
            Unit.RUNS_PER_SECOND,
            measure,
            bench.gitml(repo),
            others if files == sizes.few_files else (),
            limit=Limit(80, at_least=True),
            note=f"{sizes.written} runs each of 10 params and 10 metrics, from the first start to"
            " the last end, processes warm; ids are compared with those that can be found"
            " afterwards; MLflow's database existed",
        )


def together(side: Side, writers: int, runs: int) -> Figure:
    """The runs a second that `writers` processes record, and how many of them are lost."""
    processes = [side.start("writer", count=runs) for _ in range(writers)]
    try:
        results = _results(processes, side.patience)
    finally:
        for process in processes:
            process.kill()
            process.communicate()
    done = [id for result in results for id in result["ids"]]
    problems = [text for result in results for text in result["problems"]]
    if not done:
        raise MeasureError(f"no writer recorded anything: {problems[0]}")
    found = set(side.task("recorded")["ids"])
    lost = writers * runs - len(found & set(done))
    times = [result for result in results if result["ids"]]
    seconds = max(item["end"] for item in times) - min(item["start"] for item in times)
    why = f" ({problems[0]})" if problems else ""
    return Figure(len(done) / seconds, remark=f"{lost} of {writers * runs} lost{why}")


def _results(processes: list[subprocess.Popen[str]], seconds: float) -> list[dict[str, Any]]:
    """Let all go at once when all are ready; what each recorded, or why it ended."""
    for process in processes:
        assert process.stdout is not None
        while (line := process.stdout.readline()) and line != "ready\n":
            pass
    for process in processes:
        assert process.stdin is not None
        with contextlib.suppress(OSError):
            process.stdin.write("go\n")
            process.stdin.flush()
    return [_result(process, seconds) for process in processes]


def _result(process: subprocess.Popen[str], seconds: float) -> dict[str, Any]:
    try:
        out, errors = process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        raise MeasureError(f"more than {seconds:.0f} s, stopped") from None
    if process.returncode:
        return {"ids": [], "problems": [last_line(errors)]}
    return dict(json.loads(out.splitlines()[-1]))
