"""A run as a page for a terminal: all that a reviewer wants to know of it. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from rich.text import Text

from gitml.cli import figures
from gitml.cli.curves import chart, sparkline
from gitml.cli.output import UNLIMITED
from gitml.cli.plain import plain, plain_lines
from gitml.cli.runs.columns import is_test, status_cell
from gitml.cli.table import Cell, Column, Columns, Row, Table, fitted
from gitml.review.better import better
from gitml.review.compare import source_kind
from gitml.review.view import RunCommit, RunView
from gitml.tracking.metrics import Point
from gitml.tracking.record import RunRecord

INDENT = "  "
_CHARTS = 3
_CHART_WIDTH = 60
_SHOWN_FILES = 20
_SHOWN_CHANGES = 10


@dataclass(frozen=True, slots=True)
class Page:
    """What the page is made of; `now` is the present in ms, `children` are nested runs.

    `drawn` are the metrics to draw as charts, by default the most telling ones. `commits` are
    those of the run, oldest first.
    """

    run: RunView
    now: int
    width: int = UNLIMITED
    histories: Mapping[str, Sequence[Point]] | None = None
    packages: int = 0
    children: Sequence[RunRecord] = ()
    drawn: Sequence[str] = ()
    commits: Sequence[RunCommit] = ()

    @property
    def record(self) -> RunRecord:
        """The run's record."""
        return self.run.record

    def lines(self) -> Iterator[Text | str]:
        """The page, line by line."""
        yield self._title()
        yield from self._table(self._facts())
        if self.record.description:
            yield ""
            yield from (INDENT + line for line in plain_lines(self.record.description.strip()))
        yield from self._section("Tags", self._pairs(self.record.live_tags))
        yield from self._section("Params", self._pairs(self.record.params))
        yield from self._section("Metrics", self._metrics(), header=True)
        yield from self._charts()
        yield from self._section("Data", self._data(), header=True)
        yield from self._section("Models", self._models())
        yield from self._section("Artifacts", self._artifacts())
        yield from self._section("Environment", self._environment())
        yield from self._section("Sessions", self._sessions(), header=True)
        yield from self._section("Changes", self._changes(), header=True)

    def _title(self) -> Text:
        record, status = self.record, status_cell(self.record)
        name = fitted(record.name, max(20, self.width - 50))
        when = figures.age(record.start_time, self.now)
        if record.end_time is not None:
            when += f", took {figures.duration(record.end_time - record.start_time)}"
        return Text.assemble(
            (name, "bold"), "  ", (record.run_id[-8:], "yellow"), "  ",
            (plain(status.text), status.style), f"  {when}",
        )  # fmt: skip

    # -- what is on it -----------------------------------------------------------------------

    def _facts(self) -> Iterator[tuple[str, str | Cell]]:
        record, code = self.record, self.record.code
        yield "run", record.run_id
        yield "experiment", record.experiment
        who = [*_by("by", record.user), *_by("on", record.environment.host)]
        yield "started", " ".join([figures.moment(record.start_time), *who])
        if record.reason:
            yield "reason", Cell(record.reason, "red")
        yield "command", " ".join(record.source.command) or record.source.name
        if code.commit or code.tree:
            yield "code", _code(record)
        yield from self._commit()
        if record.parent_run:
            yield "parent", record.parent_run[-8:]
        if self.children:
            yield "children", ", ".join(f"{it.run_id[-8:]} {it.name}" for it in self.children)
        for name in code.drift:
            yield "code drift", Cell(f"{name} changed while the run was going on", "red")
        for path, why in code.incomplete.items():
            yield "not captured", Cell(f"{path}: {why}", "yellow")
        if code.untracked:
            yield "untracked", _some(code.untracked)
        for key, values in record.param_conflicts.items():
            yield "conflict", Cell(f"param {key} is {' and '.join(map(str, values))}", "red")

    def _commit(self) -> Iterator[tuple[str, str]]:
        """The commit that brought the code, which `git show` reads well, and the newest one."""
        newest, first = self.run.commit or "", next(iter(self.commits), None)
        if first is None:
            yield "commit", newest
            return
        changed = "" if first.commit == newest else f", changed in {newest[:12]}"
        yield "commit", first.commit + changed
        if first.author and first.author.casefold() != self.record.user.casefold():
            yield "author", first.author

    def _metrics(self) -> Table | None:
        rows = [self._metric(key) for key in sorted(self.record.metrics, key=metric_order)]
        columns: Columns = [
            "", Column("last", right=True), Column("min", right=True), Column("max", right=True),
            Column("step", right=True, optional=True), Column("points", right=True, optional=True),
            Column("", optional=True),
        ]  # fmt: skip
        return Table.of(columns, rows) if rows else None

    def _metric(self, key: str) -> list[Cell | str]:
        item, wanted = self.record.metrics[key], better(key)
        arrow = {"higher": " ↑", "lower": " ↓"}.get(wanted or "", "")
        last, low, high = figures.numbers([item.last, item.min, item.max])
        points = (self.histories or {}).get(key, ())
        return [
            key + arrow,
            Cell(last, "bold"),
            Cell(low, "green" if wanted == "lower" else ""),
            Cell(high, "green" if wanted == "higher" else ""),
            str(item.step),
            str(item.count),
            sparkline([point.value for point in points], 16) if item.count > 1 else "",
        ]

    def _charts(self) -> Iterator[str]:
        for key in self.drawn or self._telling():
            points = [(p.step, p.value) for p in (self.histories or {}).get(key, ())]
            yield ""
            yield INDENT + plain(key)
            room = min(_CHART_WIDTH, self.width - 16)
            yield from (INDENT + line for line in chart(points, max(10, room)))

    def _telling(self) -> list[str]:
        """The metrics whose charts tell most: with a curve, and measured on test data first."""
        curved = [k for k, item in self.record.metrics.items() if item.count > 2]
        mine = [key for key in curved if not key.startswith("system/")]
        return sorted(mine, key=metric_order)[:_CHARTS]

    def _data(self) -> Table | None:
        rows = [
            [it.name, it.context or "", it.digest, source_kind(it), str(it.source.get("uri", ""))]
            for it in self.record.datasets
        ]
        columns: Columns = ["name", "context", "digest", "type", Column("source", optional=True)]
        return Table.of(columns, rows) if rows else None

    def _models(self) -> Iterator[tuple[str, str]]:
        for path, model in self.record.models.items():
            flavors = model.get("flavors")
            names = list(flavors) if isinstance(flavors, (list, dict)) else []
            yield path, ", ".join(map(str, names))

    def _artifacts(self) -> Table | None:
        items = sorted(self.record.artifacts.items())
        rows = [[path, figures.size(it.size), place_name(it.where)] for path, it in items]
        more = len(rows) - _SHOWN_FILES
        if more > 1:
            total = figures.size(sum(item.size for _, item in items))
            rows = [*rows[:_SHOWN_FILES], [f"{more} more files, {total} in all", "", ""]]
        return Table.of(["", Column("", right=True), ""], rows) if rows else None

    def _environment(self) -> Iterator[tuple[str, str]]:
        machine = self.record.environment
        yield "python", machine.python
        yield "platform", machine.platform
        yield "cpus", str(machine.cpus or "")
        yield "packages", str(self.packages or "")
        yield "gitml", machine.gitml

    def _sessions(self) -> Table | None:
        """The writers of the run, when it had more than one or a line was lost."""
        sessions = sorted(self.record.sessions.values(), key=lambda it: it.start_time)
        if len(sessions) < 2 and not any(it.skipped for it in sessions):
            return None
        rows: list[Row] = [
            [it.kind, f"{it.host} {it.pid}", figures.moment(it.start_time),
             "" if it.end_time is None else figures.duration(it.end_time - it.start_time),
             Cell(figures.plural(it.skipped, "unreadable line") if it.skipped else "", "red")]
            for it in sessions
        ]  # fmt: skip
        return Table.of(["", "process", "started", Column("took", right=True), ""], rows)

    def _changes(self) -> Table | None:
        """Who changed the run after its first commit, and when; `git show` tells what."""
        known = f"{self.record.experiment}: {self.record.name} "
        rows: list[Row] = [
            [it.commit[:12], figures.moment(it.time), it.author or "",
             it.subject.removeprefix(known)]
            for it in self.commits[1:][-_SHOWN_CHANGES:]
        ]  # fmt: skip
        return Table.of(["commit", "when", "who", ""], rows) if rows else None

    # -- how it looks ------------------------------------------------------------------------

    def _section(
        self,
        title: str,
        contents: Iterator[tuple[str, str]] | Table | None,
        *,
        header: bool = False,
    ) -> Iterator[Text | str]:
        table = contents if isinstance(contents, Table) else None
        lines = [*self._table(contents if table is None else table, header=header)]
        if lines:
            yield ""
            yield Text(title, style="bold")
            yield from lines

    def _table(
        self, contents: Iterator[tuple[str, str | Cell]] | Table | None, *, header: bool = False
    ) -> Iterator[Text]:
        if contents is None:
            return
        if not isinstance(contents, Table):
            rows = [[Cell(key, "cyan"), value] for key, value in contents if value]
            contents = Table.of([Column(""), Column("", widest=UNLIMITED)], rows)
        fitting, _ = contents.fitting(self.width - len(INDENT))
        yield from fitting.narrowed(self.width - len(INDENT)).lines(indent=INDENT, header=header)

    def _pairs(self, items: Mapping[str, object]) -> Iterator[tuple[str, str]]:
        return ((key, str(items[key]) or "''") for key in sorted(items))


def _code(record: RunRecord) -> str:
    code = record.code
    if code.commit is None:
        return f"{code.branch}, before its first commit" if code.branch else "no commit"
    words = [code.branch or "no branch", code.commit[:12]]
    return " ".join([*words, *(["with uncommitted changes"] if code.dirty else [])])


def _by(word: str, name: str) -> list[str]:
    return [f"{word} {name}"] if name else []


def _some(names: Sequence[str], most: int = 5) -> str:
    more = len(names) - most
    return ", ".join(names[:most]) + (f" and {more} more" if more > 0 else "")


def place_name(where: str) -> str:
    """Where an artifact is, in a word: git, dvc, or live while the run goes on."""
    return {"git": "git", "": "live"}.get(where, "dvc")


def metric_order(key: str) -> tuple[bool, bool, str]:
    """Orders metrics: system metrics last, what was measured on test data first."""
    return (key.startswith("system/"), not is_test(key), key)
