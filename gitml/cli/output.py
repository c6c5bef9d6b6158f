"""Where the command line writes: results to standard output, remarks to standard error.

Colours are rich's to decide: none without a terminal, none with NO_COLOR.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import stat
import sys
from collections.abc import Iterable, Iterator
from typing import IO, Any

from rich.console import Console
from rich.text import Text

from gitml.cli.plain import is_read_for_commands, json_text, no_command, plain
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
    if isinstance(line, Text) and plain(line) == line.plain:
        return line
    return plain(line)


def say_json(document: Any) -> None:
    """Write a JSON document; characters that act on a terminal are escaped in it."""
    sys.stdout.write(json_text(document))


def say_text(text: str) -> None:
    """Write text that a terminal may have, as it is; in the log of a job it is no command."""
    if is_read_for_commands() and not _is_file(sys.stdout):
        text = "".join(map(no_command, text.splitlines(keepends=True)))
    sys.stdout.write(text)


def say_raw(lines: Iterable[str]) -> None:
    """Write such lines, without a style."""
    for line in lines:
        say_text(line + "\n")


def say_commands(lines: Iterable[str]) -> None:
    """Write lines that GitHub is to read as commands."""
    for line in lines:
        sys.stdout.write(line + "\n")


@contextlib.contextmanager
def without_commands() -> Iterator[None]:
    """Have GitHub read nothing as a command that is written to standard error meanwhile.

    So it is with what a program says that has an answer of a stranger's, or is one's.
    """
    if not is_read_for_commands():
        yield
        return
    token = secrets.token_hex(16)
    sys.stderr.write(f"::stop-commands::{token}\n")
    try:
        yield
    finally:
        sys.stderr.write(f"\n::{token}::\n")  # what was said last may not have ended its line
        sys.stderr.flush()


def _is_file(stream: IO[str]) -> bool:
    """Whether a stream goes into a file, where it stays as it is."""
    try:
        return stat.S_ISREG(os.fstat(stream.fileno()).st_mode)
    except (OSError, ValueError):
        return False
