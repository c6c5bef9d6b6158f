"""The results as a page of Markdown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from benchmarks.row import Figure, Limit, Row, Unit, shown

_READING = """\
A figure is the median of several repetitions, with the best one beside it, and the mean processor
time of one repetition with that of the git processes in it. Behind each figure of another program
stands how many times gitml's it is: below 1, gitml is the slower one. `load` is the load average of
the machine when the measurement began: what others do there makes figures worse, never better, and
touches processor time the least. Targets were set for a quiet machine.

What a returned call means. gitml: the call is in the operating system's hands, and survives the
death of the process; it is brought to the disk within about a second, and at the end of the run
the journal, the pack with the run and the reference are all synced (fdatasync and fsync) before
the journal goes. MLflow with SQLite: every call is a transaction of its own, synced (journal mode
`delete`, `synchronous=FULL`). MLflow with files: nothing is synced.
"""


def page(about: Mapping[str, str], sections: Mapping[str, Sequence[Row]]) -> str:
    """The whole page: what the machine was, how to read it, and a table for each group."""
    parts = ["# Measurements\n", _list(about), _READING]
    for title, rows in sections.items():
        parts.append(f"## {title}\n\n{table(rows)}{_notes(rows)}")
    return "\n".join(parts)


def table(rows: Sequence[Row]) -> str:
    """A Markdown table of results."""
    head = ("what", "gitml", "best", "cpu", "target", "", "others", "load")
    lines = [head, tuple("---" for _ in head), *map(_cells, rows)]
    return "".join(f"| {' | '.join(map(_escaped, line))} |\n" for line in lines)


def line(row: Row) -> str:
    """A result on one line, for the terminal."""
    _, gitml, best, cpu, target, verdict, others, load = _cells(row)
    aside = "".join(f", {name} {text}" for name, text in (("best", best), ("cpu", cpu)) if text)
    goal = f"; target {target}: {verdict.strip('*')}" if target else ""
    beside = f"; {others.replace('<br>', '; ')}" if others else ""
    note = f" [{row.note}]" if row.note else ""
    return f"{row.what}: {gitml}{aside}{goal}{beside}; load {load or '-'}{note}"


def _cells(row: Row) -> tuple[str, ...]:
    best, cpu = (row.gitml.best, row.gitml.cpu) if isinstance(row.gitml, Figure) else (None, None)
    return (
        row.what,
        _figure(row.gitml, row.unit),
        "" if best is None else shown(best, row.unit),
        "" if cpu is None else shown(cpu, Unit.SECONDS),
        _target(row.limit, row.unit),
        row.verdict,
        "<br>".join(_peer(row, label, figure) for label, figure in row.peers),
        "" if row.load is None else f"{row.load:.1f}",
    )


def _figure(figure: Figure | str, unit: Unit) -> str:
    if isinstance(figure, str):
        return figure
    return shown(figure.value, unit) + (f", {figure.remark}" if figure.remark else "")


def _target(limit: Limit | None, unit: Unit) -> str:
    if limit is None:
        return ""
    return f"{'≥' if limit.at_least else '≤'} {shown(limit.value, unit)}"


def _peer(row: Row, label: str, figure: Figure | str) -> str:
    ratio = row.times(figure) if isinstance(figure, Figure) else None
    behind = "" if ratio is None else f" ({ratio:.{1 if ratio < 10 else 0}f}x)"
    return f"{label}: {_figure(figure, row.unit)}{behind}"


def _list(about: Mapping[str, str]) -> str:
    return "".join(f"- {name}: {value}\n" for name, value in about.items())


def _notes(rows: Sequence[Row]) -> str:
    notes = [f"- {row.what}: {row.note}\n" for row in rows if row.note]
    return "\n" + "".join(notes) if notes else ""


def _escaped(cell: str) -> str:
    return cell.replace("|", "\\|").replace("\n", " ")
