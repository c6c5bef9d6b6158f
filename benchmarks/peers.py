"""MLflow on the other side: its SQLite store, which is the default, and its file store."""

from __future__ import annotations

import shutil
import sqlite3
import subprocess
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.bench import Bench, Side

SQLITE, FILES = "MLflow, SQLite", "MLflow, files"


def version_of(python: str) -> str | None:
    """The version of MLflow that an interpreter can import; None when it has none."""
    code = "from importlib.metadata import version; print(version('mlflow'))"
    try:
        done = subprocess.run([python, "-c", code], capture_output=True, text=True, check=False)
    except OSError:
        return None
    return done.stdout.strip() or None if done.returncode == 0 else None


@dataclass
class Peers:
    """MLflow's stores, made with the interpreter `python`; without one there are none."""

    bench: Bench
    python: str | None = None
    _template: Path | None = field(default=None, init=False)
    _filled: dict[int, Side] = field(default_factory=dict, init=False)

    def sides(self, folder: Path, name: str, *, files: bool = True) -> Iterator[Side]:
        """MLflow in the repository `folder`, with empty stores called `name`."""
        if self.python is None:
            return
        yield self._sqlite(folder, name)
        if files:
            store = self.bench.work / f"{name}-files"
            yield self._side(FILES, folder, store.as_uri(), MLFLOW_ALLOW_FILE_STORE="true")

    def filled(self, folder: Path, runs: int) -> Iterator[Side]:
        """MLflow with a SQLite store of the same runs as gitml's ledger of that many."""
        if self.python is None:
            return
        if runs not in self._filled:
            side = self._sqlite(folder, f"filled-{runs}")
            experiment = int(side.task("experiment")["id"])
            fill(self.bench.work / f"filled-{runs}.db", self.bench.records(runs), experiment)
            self._filled[runs] = side
        yield self._filled[runs]

    def analyzed(self, folder: Path, runs: int) -> Iterator[Side]:
        """The same store as `filled`, and then once more after SQLite has looked at its tables."""
        yield from self.filled(folder, runs)
        if self.python is not None:
            analyze(self.bench.work / f"filled-{runs}.db")
            side = self._filled[runs]
            label = f"{SQLITE}, after ANALYZE"
            yield Side(label, side.api, side.python, folder, side.variables, side.patience)

    def _sqlite(self, folder: Path, name: str) -> Side:
        """A side with a database of its own; the tables are made once, and then copied."""
        path = self.bench.work / f"{name}.db"
        if self._template is None:
            template = self.bench.work / "template.db"
            self._side("", folder, f"sqlite:///{template}").task("experiment")
            self._template = template
        shutil.copyfile(self._template, path)
        return self._side(SQLITE, folder, f"sqlite:///{path}")

    def _side(self, label: str, folder: Path, uri: str, **more: str) -> Side:
        variables = self.bench.variables(
            MLFLOW_TRACKING_URI=uri,
            MLFLOW_DISABLE_TELEMETRY="true",
            DO_NOT_TRACK="true",
            **more,
        )
        assert self.python is not None
        return Side(label, "mlflow", self.python, folder, variables, self.bench.sizes.patience)


def fill(database: Path, records: Iterable[Any], experiment: int) -> None:
    """Write runs into MLflow's database: five points for each metric, as the ledger has."""
    with sqlite3.connect(database) as connection:
        for record in records:
            _insert(connection, record, experiment)
    connection.close()


def analyze(database: Path) -> None:
    """Let SQLite look at its tables, which MLflow never does."""
    with sqlite3.connect(database) as connection:
        connection.execute("ANALYZE")
    connection.close()


def _insert(connection: sqlite3.Connection, record: Any, experiment: int) -> None:
    run_id, start = record.run_id, record.start_time
    row = {
        "run_uuid": run_id, "name": record.name, "user_id": record.user, "status": record.status,
        "source_type": "UNKNOWN", "source_name": "", "entry_point_name": "", "source_version": "",
        "start_time": start, "end_time": record.end_time, "lifecycle_stage": "active",
        "artifact_uri": f"mlruns/{run_id}/artifacts", "experiment_id": experiment,
    }  # fmt: skip
    names, marks = ", ".join(row), ", ".join("?" * len(row))
    connection.execute(f"INSERT INTO runs ({names}) VALUES ({marks})", tuple(row.values()))
    params = ((key, str(value), run_id) for key, value in record.params.items())
    connection.executemany("INSERT INTO params (key, value, run_uuid) VALUES (?, ?, ?)", params)
    tags = {
        **record.tags, "mlflow.runName": record.name, "mlflow.user": record.user,
        "mlflow.source.name": "train.py", "mlflow.source.type": "LOCAL",
        "mlflow.source.git.commit": record.code.commit,
    }  # fmt: skip
    texts = ((key, value, run_id) for key, value in tags.items())
    connection.executemany("INSERT INTO tags (key, value, run_uuid) VALUES (?, ?, ?)", texts)
    columns = "(key, value, timestamp, step, run_uuid, is_nan) VALUES (?, ?, ?, ?, ?, 0)"
    points = list(_points(record))
    connection.executemany(f"INSERT INTO metrics {columns}", points)
    last = [point for point in points if point[3] == 4]
    connection.executemany(f"INSERT INTO latest_metrics {columns}", last)


def _points(record: Any) -> Iterator[tuple[Any, ...]]:
    for key, item in record.metrics.items():
        for step, value in enumerate((item.max, item.min, item.last, item.min, item.last)):
            yield key, value, record.start_time + step, step, record.run_id
