"""Ledgers for tests and benchmarks, written by one `git fast-import`: 100,000 runs in a minute."""

from __future__ import annotations

import hashlib
import random
import subprocess
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from gitml.documents import dump_json
from gitml.tracking.names import run_path
from gitml.tracking.record import (
    FINISHED,
    Artifact,
    Code,
    Environment,
    MetricSummary,
    RunRecord,
    Session,
    Source,
    Stamp,
    to_document,
)

LEDGER = "refs/heads/gitml/runs"
_FIRST = 1_767_225_600_000  # 2026-01-01
_YEAR = 365 * 86_400_000


def make_ledger(place: Path, n: int, *, seed: int = 0, ref: str = LEDGER) -> str:
    """A ledger of `n` realistic runs, spread over a year, in one pack; returns its head."""
    return append(place, make_runs(n, seed=seed), ref=ref)


def make_runs(n: int, *, seed: int = 0, experiment: str = "churn") -> Iterator[RunRecord]:
    """`n` runs of 10 params, 10 metrics of 5 steps each, and 3 tags, the oldest first."""
    rng = random.Random(seed)
    for number in range(n):
        yield make_run(rng, _FIRST + _YEAR * number // n, number, experiment)


def make_run(rng: random.Random, start: int, number: int, experiment: str) -> RunRecord:
    """One run; all in it follows from the arguments."""
    run_id = f"{start:012x}7{rng.getrandbits(12):03x}8{rng.getrandbits(60):015x}"
    session = f"host-1-{rng.getrandbits(32):08x}"
    params = {
        "lr": rng.choice((0.1, 0.01, 0.001)), "depth": rng.randrange(2, 12),
        "rounds": rng.randrange(50, 500), "subsample": round(rng.random(), 3),
        "seed": rng.getrandbits(31), "l2": rng.random(), "early_stop": rng.random() < 0.5,
        "model": rng.choice(("xgboost", "lightgbm", "logistic", "mlp")),
        "features": rng.choice(("base", "base+geo", "all")), "loss": "logloss",
    }  # fmt: skip
    metrics = {f"m{index}": _summary(rng) for index in range(8)}
    metrics |= {"auc": _summary(rng), "loss": _summary(rng)}
    tags = {"team": rng.choice("abcd"), "stage": rng.choice(("dev", "ci")), "ticket": f"T-{number}"}
    return RunRecord(
        run_id=run_id,
        name=f"calm-otter-{number}",
        experiment=experiment,
        experiment_id=experiment,
        status=FINISHED if rng.random() < 0.95 else "FAILED",
        start_time=start,
        end_time=start + rng.randrange(1000, 3_600_000),
        user=rng.choice(("ada", "grace", "edsger")),
        params=params,
        metrics=metrics,
        tags=tags,
        artifacts={"model/MLmodel": Artifact(612, f"{rng.getrandbits(256):064x}", "git")},
        source=Source("train.py", "LOCAL", ("train.py", "--depth", "5"), "train.py"),
        code=Code(_object_id(number // 50), _object_id(number // 20), "main", rng.random() < 0.3),
        environment=Environment("3.11.2", "Linux-6.1-x86_64", "node-7", 8, "0.1.0"),
        sessions={session: Session("start", "node-7", 4711, start, start + 1000, 71)},
        clock={"status": Stamp(1, session)},
    )


def _object_id(number: int) -> str:
    return hashlib.sha1(b"%d" % number).hexdigest()


def _summary(rng: random.Random) -> MetricSummary:
    low, high = sorted((rng.random(), rng.random()))
    return MetricSummary(rng.uniform(low, high), 4, low, high, 5)


def append(
    place: Path,
    runs: Iterable[RunRecord],
    *,
    ref: str = LEDGER,
    files: Sequence[tuple[str, bytes]] = (),
    removed: Sequence[str] = (),
) -> str:
    """Record runs on the ledger `ref`, one commit each, then one that changes other files.

    Every run has a run commit without a parent, and 50 lines of metric history. Returns the head.
    """
    head = _git(place, "for-each-ref", "--format=%(objectname)", ref)
    date = int(_git(place, "log", "-1", "--format=%ct", head)) if head else 0
    command = ("git", "fast-import", "--quiet", "--force", "--done")
    with subprocess.Popen(command, cwd=place, stdin=subprocess.PIPE) as process:
        assert process.stdin is not None
        parent = head.encode() or b":1"
        if not head:
            process.stdin.write(b"reset %b\ncommit %b\nmark :1\n" % (_REF, _REF) + _WHO)
            process.stdin.write(b"data 6\nLedger\nM 100644 inline README.md\ndata 0\n\n\n")
        for number, record in enumerate(runs):
            mark = 10 + 10 * number
            date = max(date, record.start_time // 1000)  # as gitml does: it never goes back
            process.stdin.write(_run(record, mark, parent, date))
            parent = b":%d" % (mark + 4)
        if files or removed:
            process.stdin.write(_edit(files, removed, parent, date))
            parent = b":2"
        process.stdin.write(b"reset %b\nfrom %b\n\n" % (ref.encode(), parent))
        process.stdin.write(b"reset %b\nfrom %b\n\ndone\n" % (_REF, b"0" * 40))
    assert process.returncode == 0
    return _git(place, "rev-parse", ref)


_REF = b"refs/gitml/scratch"
_WHO = b"committer Ada <ada@example.org> 1767225600 +0000\n"


def _run(record: RunRecord, mark: int, parent: bytes, date: int) -> bytes:
    """The blobs of a run, its run commit (mark + 3) and its ledger commit (mark + 4)."""
    document = dump_json(to_document(record))
    history = history_of(record)
    names = b"M 100644 :%d %brun.json\nM 100644 :%d %bmetrics/%b.tsv\n"
    text = f"{record.experiment}: {record.name}\n\nRun-Id: {record.run_id}\n".encode()
    folder = run_path(record.experiment_id, record.run_id).encode() + b"/"
    session = next(iter(record.sessions), "none").encode()
    who = b"committer Ada <ada@example.org> %d +0000\n"
    parts = [
        b"blob\nmark :%d\ndata %d\n%b\n" % (mark, len(document), document),
        b"blob\nmark :%d\ndata %d\n%b\n" % (mark + 1, len(history), history),
        b"reset %b\n\ncommit %b\nmark :%d\n" % (_REF, _REF, mark + 3),
        who % (record.start_time // 1000) + b"data %d\n%b\n" % (len(text), text),
        names % (mark, b".gitml/run/", mark + 1, b".gitml/run/", session),
        b"\ncommit %b\nmark :%d\n" % (_REF, mark + 4),
        who % date + b"data %d\n%b\n" % (len(text), text),
        b"from %b\nmerge :%d\n" % (parent, mark + 3),
        names % (mark, folder, mark + 1, folder, session),
    ]
    return b"".join((*parts, b"\n"))


def history_of(record: RunRecord) -> bytes:
    """A metric history of five lines for each metric."""
    lines = ["metric\tstep\ttime_ms\tvalue"]
    for key, item in record.metrics.items():
        values = (item.max, item.min, item.last, item.min, item.last)
        for step, value in enumerate(values):
            lines.append(f"{key}\t{step}\t{record.start_time + step}\t{value!r}")
    return "\n".join([*lines, ""]).encode()


def _edit(
    files: Sequence[tuple[str, bytes]], removed: Sequence[str], parent: bytes, date: int
) -> bytes:
    who = b"committer Ada <ada@example.org> %d +0000\n" % max(date, 1_767_225_600)
    parts = [b"commit %b\nmark :2\n" % _REF + who + b"data 4\nEdit\nfrom %b\n" % parent]
    parts += [b"D %b\n" % path.encode() for path in removed]
    for path, data in files:
        parts.append(b"M 100644 inline %b\ndata %d\n%b\n" % (path.encode(), len(data), data))
    return b"".join((*parts, b"\n"))


def _git(place: Path, *args: str) -> str:
    done = subprocess.run(("git", *args), cwd=place, capture_output=True, text=True, check=True)
    return done.stdout.strip()
