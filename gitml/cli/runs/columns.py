"""The columns of `gitml runs list`: those that tell runs apart, or those that were asked for. Pure.

A field is `run`, `name`, `status` and so on, or `metrics.KEY`, `params.KEY`, `tags.KEY`.
"""

from __future__ import annotations

import fnmatch
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from gitml.cli import figures
from gitml.cli.curves import sparkline
from gitml.cli.table import Cell, Column, Table
from gitml.documents import near_miss
from gitml.errors import UsageError, shown
from gitml.review.better import best, better
from gitml.tracking.metrics import Point
from gitml.tracking.record import RunRecord

DRIFT = "!"
STYLES = {
    "FINISHED": "green", "FAILED": "red", "KILLED": "red", "RUNNING": "bold cyan",
    "SCHEDULED": "cyan", "LOST": "yellow",
}  # fmt: skip
_ARROWS = {"higher": " ↑", "lower": " ↓", None: ""}
_BEST = "bold green"


@dataclass(frozen=True, slots=True)
class Sheet:
    """What there is to show: records, the present in ms, and the curve of a metric in each run."""

    records: Sequence[RunRecord]
    now: int
    metric: str | None = None
    curves: Sequence[Sequence[Point]] = ()

    def table(self, wanted: Sequence[str] = (), start: str = "started") -> Table:
        """The table of the columns `wanted`, or else of those that tell the runs apart.

        `start` is the column that then says when a run began: `started`, how long ago, or `time`.
        """
        names = self._chosen(wanted) if wanted else self._telling(start)
        made = [self._column(name, bool(wanted)) for name in names]
        columns = [column for column, _ in made]
        return Table.of(columns, list(zip(*(cells for _, cells in made), strict=True)))

    def _telling(self, start: str) -> list[str]:
        several = len({record.experiment for record in self.records}) > 1
        return [
            "run", "name", *(["experiment"] if several else []), "status", start,
            *([f"curve.{self.metric}"] if self.metric else []),
            *([f"metrics.{self.metric}"] if self.metric else []),
            *(f"metrics.{key}" for key in self._metrics() if key != self.metric),
            *(f"params.{key}" for key in self._telling_params()),
            "duration", "code",
        ]  # fmt: skip

    def _chosen(self, wanted: Sequence[str]) -> list[str]:
        chosen = [name for pattern in wanted for name in self._matching(pattern)]
        if not chosen:
            raise UsageError(f"no run has a column {shown(', '.join(wanted))}")
        return list(dict.fromkeys(chosen))

    def _matching(self, pattern: str) -> list[str]:
        """The fields that a pattern stands for; one without `*` needs no run that has it."""
        known = [*_FIELDS, *self._keys("metrics"), *self._keys("params"), *self._keys("tags")]
        found = [name for name in known if fnmatch.fnmatchcase(name, pattern)]
        if found or pattern.partition(".")[0] in ("metrics", "params", "tags"):
            return found or ([] if "*" in pattern else [pattern])
        raise UsageError(
            f"there is no column {shown(pattern)}{near_miss(pattern, known)}; columns are"
            f" {', '.join(_FIELDS)}, metrics.KEY, params.KEY, tags.KEY"
        )

    def _keys(self, kind: str) -> list[str]:
        keys = {key for record in self.records for key in getattr(record, kind)}
        return [f"{kind}.{key}" for key in sorted(keys)]

    def _metrics(self) -> list[str]:
        """The metrics, those of most runs first, then those measured on test data."""
        counts: dict[str, int] = {}
        for record in self.records:
            for key in record.metrics:
                counts[key] = counts.get(key, 0) + 1
        mine = [key for key in counts if not key.startswith("system/")]
        return sorted(mine, key=lambda key: (-counts[key], not is_test(key), key))

    def _telling_params(self) -> list[str]:
        """The params that differ between the runs; all of them when there is one run."""
        texts: dict[str, set[str]] = {}
        for record in self.records:
            for key, value in record.params.items():
                texts.setdefault(key, set()).add(str(value))
        count = {key: sum(key in record.params for record in self.records) for key in texts}
        alone = len(self.records) == 1
        return sorted(
            k for k in texts if alone or len(texts[k]) > 1 or count[k] < len(self.records)
        )

    def _column(self, name: str, chosen: bool) -> tuple[Column, list[Cell]]:
        if name in _FIELDS:
            column, cell = _FIELDS[name].column, _FIELDS[name].cell
            optional = name in ("duration", "code") and not chosen
            return (
                Column(column.title, column.right, optional, column.widest),
                [cell(record, self.now) for record in self.records],
            )
        kind, _, key = name.partition(".")
        if kind == "curve":
            cells = [Cell(sparkline([p.value for p in points])) for points in self.curves]
            return Column(key), cells
        if kind == "metrics":
            title = key + _ARROWS[better(key)]
            return Column(title, right=True, optional=not chosen), metric_cells(key, self.records)
        values = [getattr(record, kind).get(key) for record in self.records]
        right = all(isinstance(value, (int, float)) for value in values if value is not None)
        cells = [Cell(_value(record, kind, key)) for record in self.records]
        return Column(key, right, optional=not chosen, widest=24), cells


def metric_cells(key: str, records: Sequence[RunRecord]) -> list[Cell]:
    """The last values of a metric, the best one marked."""
    values = [record.metrics[key].last if key in record.metrics else None for record in records]
    first, texts = best(key, values), figures.numbers(values)
    if first is None:
        return [Cell(text) for text in texts]
    return [
        Cell(f"{text} *", _BEST) if value == values[first] else Cell(f"{text}  ")
        for text, value in zip(texts, values, strict=True)
    ]


def _value(record: RunRecord, kind: str, key: str) -> str:
    values: Mapping[str, object] = getattr(record, kind)
    if key not in values or (kind == "tags" and values[key] is None):
        return ""
    return str(values[key])


def is_test(key: str) -> bool:
    """Whether a metric was measured on test data, as far as its name tells."""
    return key.lower().startswith(("test", "val", "eval"))


@dataclass(frozen=True, slots=True)
class _Field:
    column: Column
    cell: Callable[[RunRecord, int], Cell] = field(repr=False)


def run_cell(record: RunRecord) -> Cell:
    """The last digits of a run's id, marked when its code drifted."""
    mark = DRIFT if record.code.drift else ""
    return Cell(record.run_id[-8:] + mark, "yellow")


def status_cell(record: RunRecord) -> Cell:
    """A run's status, or that it is deleted."""
    if record.deleted:
        return Cell("deleted", "dim")
    return Cell(record.status, STYLES.get(record.status, ""))


def code_text(record: RunRecord) -> str:
    """The code commit, with `+` when there were changes that no commit held."""
    code = record.code
    return (code.commit or code.tree or "")[:7] + ("+" if code.dirty else "")


def _took(record: RunRecord, now: int) -> Cell:
    end = record.end_time or (now if record.status == "RUNNING" else None)
    return Cell("" if end is None else figures.duration(end - record.start_time))


_FIELDS = {
    "run": _Field(Column("RUN"), lambda run, _: run_cell(run)),
    "id": _Field(Column("ID"), lambda run, _: Cell(run.run_id)),
    "name": _Field(Column("NAME", widest=24), lambda run, _: Cell(run.name, "bold")),
    "experiment": _Field(Column("EXPERIMENT", widest=20), lambda run, _: Cell(run.experiment)),
    "status": _Field(Column("STATUS"), lambda run, _: status_cell(run)),
    "started": _Field(Column("STARTED"), lambda run, now: Cell(figures.age(run.start_time, now))),
    "time": _Field(Column("TIME"), lambda run, _: Cell(figures.moment(run.start_time))),
    "duration": _Field(Column("TOOK", right=True), _took),
    "user": _Field(Column("USER", widest=16), lambda run, _: Cell(run.user)),
    "code": _Field(Column("CODE"), lambda run, _: Cell(code_text(run))),
    "branch": _Field(Column("BRANCH", widest=24), lambda run, _: Cell(run.code.branch or "")),
    "source": _Field(Column("SOURCE", widest=24), lambda run, _: Cell(run.source.name)),
    "parent": _Field(Column("PARENT"), lambda run, _: Cell((run.parent_run or "")[-8:])),
    "description": _Field(Column("DESCRIPTION"), lambda run, _: Cell(run.description or "")),
}


def legend(records: Iterable[RunRecord]) -> list[str]:
    """What the marks in the table mean, as far as there are any."""
    drifted = [record for record in records if record.code.drift]
    return [f"{DRIFT} its code changed while it was running"] if drifted else []
