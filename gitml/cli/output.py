"""Where the command line writes: results to standard output, remarks to standard error.

Colours are rich's to decide: none without a terminal, none with NO_COLOR.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import Any

from rich.console import Console
from rich.text import Text

from gitml.cli.plain import json_text, plain
from gitml.tracking.record import RunRecord

UNLIMITED = 1_000_000


def console(*, err: bool = False) -> Console:
    """A console on standard output, or on standard error, that takes text as it is."""
    if err:
        sys.stdout.flush()  # so that what goes to one place keeps its order
    stream = sys.stderr if err else sys.stdout
    return Console(file=stream, highlight=False, markup=False, emoji=False, soft_wrap=True)


def width() -> int:
    """How many columns a line of output may take: the terminal's, and no limit in a pipe."""
    out = console()
    return out.width if out.is_terminal else UNLIMITED


def say(*lines: str | Text) -> None:
    """Write lines to standard output, made harmless."""
    out = console()
    for line in lines:
        out.print(_harmless(line))


def say_run(record: RunRecord, word: str) -> None:
    """Write one line that names a run: the end of its id, its name, and a word on it."""
    line = Text.assemble((record.run_id[-8:], "yellow"), "  ", (plain(record.name), "bold"))
    say(line.append(f"  {plain(word)}"))


def remark(*lines: str) -> None:
    """Write lines that are not part of the result to standard error, made harmless."""
    out = console(err=True)
    for line in lines:
        out.print(Text(plain(line), style="dim"))


def warn(line: str) -> None:
    """Write a warning to standard error, made harmless."""
    console(err=True).print(Text(f"gitml: {plain(line)}", style="yellow"))


def _harmless(line: str | Text) -> str | Text:
    """A line as it may be shown, whatever its maker forgot."""
    if isinstance(line, Text) and line.plain.isprintable():
        return line
    return plain(line)


def say_json(document: Any) -> None:
    """Write a JSON document; characters that act on a terminal are escaped in it."""
    sys.stdout.write(json_text(document))


def say_text(text: str) -> None:
    """Write text that is made harmless already, as it is."""
    sys.stdout.write(text)


def say_raw(lines: Iterable[str]) -> None:
    """Write lines that are made harmless already, without a style."""
    for line in lines:
        sys.stdout.write(line + "\n")
