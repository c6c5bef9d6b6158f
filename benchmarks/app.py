"""The command line of the measurements."""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from benchmarks import machine, report
from benchmarks.bench import QUICK, Bench, Sizes
from benchmarks.groups import GROUPS
from benchmarks.peers import Peers, version_of
from benchmarks.row import MeasureError, Row, Unit

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "benchmarks" / "RESULTS.md"


def main(argv: Sequence[str] | None = None) -> int:
    """Measure, print every figure as it comes, and write the page after a full run."""
    options = _options(argv)
    chosen = options.only or list(GROUPS)
    python = options.mlflow_python or sys.executable
    version = version_of(python)
    if options.mlflow_python and version is None:
        print(f"{python} can't import MLflow", file=sys.stderr)
        return 2
    with tempfile.TemporaryDirectory(
        prefix="gitml-bench-", dir=options.work, ignore_cleanup_errors=True
    ) as folder:
        bench = Bench(Path(folder).resolve(), QUICK if options.quick else Sizes())
        peers = Peers(bench, python if version else None)
        about = machine.about(bench.work, ROOT)
        about["MLflow"] = version or "not there; give --mlflow-python an interpreter that has it"
        print(*(f"{name}: {value}" for name, value in about.items()), sep="\n", flush=True)
        sections = {_title(name): list(_said(name, bench, peers)) for name in chosen}
    target = options.output or (None if options.quick or options.only else RESULTS)
    if target is not None:
        target.write_text(report.page(about, sections), encoding="utf-8")
        print(f"written to {target}")
    return 0


def _title(name: str) -> str:
    return f"{(GROUPS[name].__doc__ or name).rstrip('.')} (`--only {name}`)"


def _said(name: str, bench: Bench, peers: Peers) -> Iterator[Row]:
    """The rows of a group, printed; one that fails as a whole is a row too."""
    try:
        for row in GROUPS[name](bench, peers):
            print(report.line(row), flush=True)
            yield row
    except MeasureError as error:
        row = Row(name, Unit.SECONDS, str(error))
        print(report.line(row), flush=True)
        yield row


def _options(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="benchmarks", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="ledgers of 1,000 and 10,000 runs")
    parser.add_argument("--only", action="append", choices=list(GROUPS), help="one group")
    parser.add_argument("--mlflow-python", metavar="PATH", help="an interpreter that has MLflow")
    parser.add_argument("--output", type=Path, metavar="FILE", help="where the page goes")
    parser.add_argument("--work", type=Path, metavar="DIR", help="where temporary files go")
    return parser.parse_args(argv)
