"""The board of a sweep: live on a terminal, else a line for each trial that ends."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator, Sequence

from rich.console import Console, ConsoleOptions, RenderResult
from rich.live import Live
from rich.text import Text

from gitml.cli import output
from gitml.cli.figures import duration, number, numbers, plural
from gitml.cli.plain import plain
from gitml.cli.table import Cell, Column, Table
from gitml.projects.sweeps.trials import DONE, FAILED, RUNNING, STOPPED, Board, Trial

_AROUND = 6  # lines of a terminal that are left for what stands around the table
_WORDS = {STOPPED: "stopped early"}
_STYLES = {RUNNING: "cyan", STOPPED: "dim", FAILED: "red"}


@contextlib.contextmanager
def watching() -> Iterator[Callable[[Board], None]]:
    """A function that shows a sweep to whoever watches, as long as the block lasts."""
    if not sys.stderr.isatty():
        yield _Lines().show
        return
    shown = _Screen()
    console = Console(stderr=True, highlight=False, markup=False, emoji=False)
    with Live(shown, console=console, refresh_per_second=4):
        yield shown.show


class _Screen:
    """The newest board, drawn whenever it is asked for."""

    def __init__(self) -> None:
        self._board: Board | None = None

    def show(self, board: Board) -> None:
        self._board = board

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        if self._board is not None:
            height = max(options.size.height - _AROUND, 3)
            for line in drawn(self._board, options.max_width, height):
                line.no_wrap, line.overflow = True, "ellipsis"
                yield line


class _Lines:
    """Says each end of a trial once."""

    def __init__(self) -> None:
        self._said: set[int] = set()
        self._is_first = True

    def show(self, board: Board) -> None:
        over = [trial for trial in board.trials if trial.state != RUNNING]
        new = [trial for trial in over if trial.number not in self._said]
        self._said.update(trial.number for trial in new)
        if self._is_first and new:  # of a sweep that goes on
            output.remark(f"{plural(len(new), 'run')} of {board.plan.runs} ended before")
        elif not self._is_first:
            output.remark(*(said(trial, board) for trial in new))
        self._is_first = False


def said(trial: Trial, board: Board) -> str:
    """One line on a trial that ended."""
    what = _WORDS.get(trial.state, trial.state)
    if trial.state == DONE:
        what = f"{board.plan.metric} {number(trial.value)}" + (", reused" if trial.reused else "")
    elif trial.state == FAILED:
        what = f"failed: {trial.reason}"
    params = " ".join(f"{name}={text}" for name, text in trial.params.items())
    mark = "  best so far" if trial == board.best else ""
    id = (trial.run_id or "")[-8:] or "-" * 8
    return f"{board.ended} of {board.plan.runs}  {id}  {params}  {what}{mark}"


def drawn(board: Board, width: int, height: int) -> list[Text]:
    """The board as at most `height` lines and two: what goes on, and the newest that ended."""
    best, running = board.best, [one for one in board.trials if one.state == RUNNING]
    head = f"{board.name}  {board.ended} of {board.plan.runs} ended, {len(running)} running"
    if best is not None:
        head += f", best {board.plan.metric} {number(best.value)}"
    over = [one for one in board.trials if one.state != RUNNING and one != best]
    room = max(height - len(running) - 2, 1)
    chosen = [*([best] if best else []), *running, *reversed(over[-room:])]
    return [Text(plain(head), style="bold"), *_table(chosen[:height], best, board, width)]


def _table(trials: list[Trial], best: Trial | None, board: Board, width: int) -> Iterator[Text]:
    names = list(dict.fromkeys(name for trial in trials for name in trial.params))
    figures = numbers([trial.value for trial in trials])
    columns = [
        Column("#", right=True),
        Column("RUN"),
        Column("STATE"),
        Column(board.plan.metric, right=True),
        *(Column(name, right=True, optional=True) for name in names),
        Column("TOOK", right=True, optional=True),
    ]
    rows = [_row(trial, figure, names, best) for trial, figure in zip(trials, figures, strict=True)]
    table, _ = Table.of(columns, rows).fitting(width)
    yield from table.lines()


def _row(trial: Trial, figure: str, names: Sequence[str], best: Trial | None) -> list[Cell | str]:
    style = "bold green" if trial == best else _STYLES.get(trial.state, "")
    return [
        str(trial.number),
        Cell((trial.run_id or "")[-8:], "yellow"),
        Cell(_state(trial, best), style),
        figure,
        *(trial.params.get(name, "") for name in names),
        "" if trial.seconds is None else duration(round(trial.seconds * 1000)),
    ]


def _state(trial: Trial, best: Trial | None) -> str:
    if trial == best:
        return "best"
    return "reused" if trial.reused else _WORDS.get(trial.state, trial.state)
