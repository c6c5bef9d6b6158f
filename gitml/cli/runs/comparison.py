"""A comparison of runs as tables for a terminal or for Markdown. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rich.text import Text

from gitml.cli import figures
from gitml.cli.output import UNLIMITED
from gitml.cli.plain import plain
from gitml.cli.runs.columns import run_cell, status_cell
from gitml.cli.runs.page import place_name
from gitml.cli.table import Cell, Column, Table
from gitml.review.code import FileChange
from gitml.review.compare import (
    ArtifactDifference,
    Comparison,
    DataDifference,
    Difference,
    MetricDifference,
    source_kind,
)
from gitml.tracking.record import Dataset

SECTIONS = ("params", "metrics", "tags", "data", "artifacts", "environment", "packages")
_ARROWS = {"higher": " ↑", "lower": " ↓", None: ""}
DRIFT = "code drift"  # stands at the top, the same or not
_BAR = 20
_FILES = 20
_LONG = 20
_NONE = Cell("-", "dim")
_HEX = re.compile(r"[0-9a-f]{32,}")


@dataclass(frozen=True, slots=True)
class Section:
    """A part of the comparison: a title, the table of what differs, and a remark on the rest."""

    title: str
    table: Table | None
    remark: str = ""


def sections(comparison: Comparison, *, everything: bool = False) -> Iterator[Section]:
    """The parts that have something to say; with `everything`, what is the same too."""
    yield Section("", _heads(comparison))
    for name in SECTIONS:
        items = [item for item in getattr(comparison, name) if item.key != DRIFT]
        chosen = items if everything else [item for item in items if not item.same]
        hidden = len(items) - len(chosen)
        remark = f"{hidden} the same" if hidden else ""
        if name == "artifacts" and not everything and len(chosen) > _FILES:
            remark = ", ".join(filter(None, [f"{len(chosen) - _FILES} more differ", remark]))
            chosen = chosen[:_FILES]
        if chosen or (remark and name in ("params", "metrics")):
            yield Section(name.capitalize(), _table(comparison, chosen), remark)
    yield from _code(comparison)


def _columns(comparison: Comparison) -> list[Column]:
    names = [_column(f"{run.name} ({run.run_id[-8:]})") for run in comparison.runs]
    return [Column(""), *names]


def _column(title: str) -> Column:
    """The column of a run, as wide as its cells: `_common` narrows it to the room there is."""
    return Column(title, widest=UNLIMITED)


def _heads(comparison: Comparison) -> Table:
    runs = comparison.runs
    facts: list[tuple[str, Sequence[Cell | str]]] = [
        ("run", [run_cell(run) for run in runs]),
        ("experiment", [run.experiment for run in runs]),
        ("status", [status_cell(run) for run in runs]),
        ("started", [figures.minute(run.start_time) for run in runs]),
        ("took", [_took(run) for run in runs]),
        ("user", [run.user for run in runs]),
    ]
    if any(run.code.drift for run in runs):
        facts.append((DRIFT, [Cell(", ".join(run.code.drift), "red") for run in runs]))
    names = [_column(run.name) for run in runs]
    return Table.of([Column(""), *names], [[Cell(key, "cyan"), *cells] for key, cells in facts])


def _took(run: Any) -> str:
    return "" if run.end_time is None else figures.duration(run.end_time - run.start_time)


def _table(
    comparison: Comparison, items: Sequence[Difference] | Sequence[MetricDifference]
) -> Table | None:
    if not items:
        return None
    return Table.of(_columns(comparison), [_row(item) for item in items])


def _row(item: Difference | MetricDifference) -> list[Cell]:
    if isinstance(item, MetricDifference):
        return [Cell(item.key + _ARROWS[item.better], "cyan"), *_metric_cells(item)]
    if isinstance(item, DataDifference):
        return [Cell(item.key, "cyan"), *map(_data_cell, item.datasets)]
    if isinstance(item, ArtifactDifference):
        return [Cell(item.key, "cyan"), *_artifact_cells(item)]
    return [Cell(item.key, "cyan"), *_value_cells(item.values)]


def _value_cells(values: Sequence[Any]) -> list[Cell]:
    """The values; of long ones that begin alike, the words from where they differ."""
    texts = [None if value is None else str(value) or "''" for value in values]
    known = [text for text in texts if text is not None]
    same = _common_start(known) if len(set(known)) > 1 else ""
    cut = max(same.rfind(mark) for mark in " /,=") + 1 if len(same) > _LONG else 0
    start = "…" if cut else ""
    return [_NONE if text is None else Cell(start + text[cut:]) for text in texts]


def _data_cell(dataset: Dataset | None) -> Cell:
    """The size of data, where it is from, and its digest."""
    if dataset is None:
        return _NONE
    profile = dataset.profile if isinstance(dataset.profile, Mapping) else {}
    count = profile.get("num_bytes")
    size = [figures.size(count)] if isinstance(count, int) else []
    return Cell(", ".join([*size, source_kind(dataset), _brief(dataset.digest)]))


def _artifact_cells(item: ArtifactDifference) -> Iterator[Cell]:
    """The size of an artifact, where it is, and its digest; whether the first run's is another."""
    for artifact in item.artifacts:
        if artifact is None:
            yield _NONE
        else:
            changed = item.values[0] not in (None, artifact.sha256)
            words = [figures.size(artifact.size), place_name(artifact.where)]
            changes = ["changed"] if changed else []
            yield Cell(", ".join([*words, *changes, _brief(artifact.sha256)]))


def _brief(digest: str) -> str:
    """A digest as people compare it; one that is not of hexadecimal digits stays whole."""
    return digest[:8] if _HEX.fullmatch(digest) else digest


def _common_start(texts: Sequence[str]) -> str:
    first, last = min(texts), max(texts)
    differs = (at for at, char in enumerate(first) if last[at : at + 1] != char)
    return first[: next(differs, len(first))]


def _metric_cells(item: MetricDifference) -> Iterator[Cell]:
    """Values with their change against the first; the best is marked."""
    texts = figures.numbers(item.values)
    room = max(map(len, texts))
    for at, (text, value) in enumerate(zip(texts, item.values, strict=True)):
        brief = len(item.values) > 2
        change = figures.change(item.values[0], value, brief=brief) if at else ""
        mark = " *" if item.best is not None and value == item.values[item.best] else "  "
        cell = f"{(text or '-').rjust(room)}{mark} {change}".rstrip()
        yield Cell(cell, "bold green" if mark == " *" else "" if text else "dim")


# -- code ------------------------------------------------------------------------------------


def _code(comparison: Comparison) -> Iterator[Section]:
    first = comparison.runs[0]
    for run, files in zip(comparison.runs[1:], comparison.code, strict=False):
        title = "Code" if len(comparison.runs) == 2 else f"Code of {run.name}"
        if files is None:
            yield Section(title, None, "can't be compared: a run has no commit yet")
        elif not files:
            yield Section(title, None, f"the same as that of {first.name}")
        else:
            yield Section(title, _stat(files), _totals(files))


def _stat(files: Sequence[FileChange]) -> Table:
    most = max((file.added or 0) + (file.removed or 0) for file in files)
    rows = [_file_row(file, most) for file in files[:_FILES]]
    if len(files) > _FILES:
        rows.append([f"{len(files) - _FILES} more files", "", "", ""])
    return Table.of(["", Column("", right=True), Column("", right=True), ""], rows)


def _file_row(file: FileChange, most: int) -> list[Cell | str]:
    path = f"{file.former} => {file.path}" if file.former else file.path
    if file.added is None or file.removed is None:
        return [path, "binary", "", ""]
    plus, minus = (_bar(count, most) for count in (file.added, file.removed))
    return [path, Cell(f"+{file.added}", "green"), Cell(f"-{file.removed}", "red"),
            "+" * plus + "-" * minus]  # fmt: skip


def _bar(count: int, most: int) -> int:
    return count if most <= _BAR else -(-count * _BAR // most)


def _totals(files: Iterable[FileChange]) -> str:
    known = list(files)
    added, removed = sum(f.added or 0 for f in known), sum(f.removed or 0 for f in known)
    lines = figures.plural(added, "line")
    return f"{figures.plural(len(known), 'file')}, {lines} added, {removed} removed"


# -- as lines --------------------------------------------------------------------------------


def lines(comparison: Comparison, width: int, *, everything: bool = False) -> Iterator[Text | str]:
    """The comparison for a terminal: columns of runs stand one below the other in all sections."""
    parts = list(sections(comparison, everything=everything))
    aligned = [part.table for part in parts if part.table and not part.title.startswith("Code")]
    widths = _common(aligned, len(comparison.runs), width)
    for number, part in enumerate(parts):
        if number:
            yield ""
            remark = f"  {plain(part.remark)}" if part.remark else ""
            yield Text.assemble((plain(part.title), "bold"), (remark, "dim"))
        if part.table is not None and part.table in aligned:
            yield from part.table.at(widths).lines(indent="  ", header=not part.title)
        elif part.table is not None:
            yield from part.table.lines(indent="  ", header=False)


def _common(tables: Sequence[Table], runs: int, width: int) -> list[int]:
    """Widths of the key column and of each run that suit all tables, in `width` cells."""
    wanted = [max(column) for column in zip(*(table.widths() for table in tables), strict=True)]
    room = (width - 4 - min(wanted[0], 30)) // runs - 2
    return [min(wanted[0], 30), *(min(cells, max(12, room)) for cells in wanted[1:])]


def markdown(comparison: Comparison, *, everything: bool = False) -> Iterator[str]:
    """The comparison as Markdown: a table for each section."""
    from gitml.cli.table import markdown as escaped

    for part in sections(comparison, everything=everything):
        if part.title:
            yield f"\n### {escaped(part.title)}\n"
        if part.remark:
            yield f"{escaped(part.remark)}\n"
        if part.table is not None:
            yield from part.table.markdown()
