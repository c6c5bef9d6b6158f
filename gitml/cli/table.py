"""Tables: what a listing shows to people, as aligned columns or as Markdown. Pure but for `lines`.

Cells hold outside text as it is; rendering makes it harmless.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from rich.cells import cell_len, set_cell_size
from rich.text import Text

from gitml.cli.plain import plain

GAP = "  "
MAX_CELL = 40


@dataclass(frozen=True, slots=True)
class Cell:
    """A text with a style of rich's, such as `bold green`."""

    text: str
    style: str = ""


@dataclass(frozen=True, slots=True)
class Column:
    """A column: `right` aligns it, `optional` ones go, the last first, when space is short."""

    title: str
    right: bool = False
    optional: bool = False
    widest: int = MAX_CELL
    least: int = 0


Row = Sequence[Cell | str]
Columns = Sequence[Column | str]


@dataclass(frozen=True, slots=True)
class Table:
    """Columns and rows; a row may be shorter than the columns."""

    columns: tuple[Column, ...]
    rows: tuple[tuple[Cell, ...], ...]

    @classmethod
    def of(cls, columns: Columns, rows: Iterable[Row]) -> Table:
        """A table from titles or columns, and rows of texts or cells."""
        return cls(
            tuple(Column(item) if isinstance(item, str) else item for item in columns),
            tuple(tuple(Cell(c) if isinstance(c, str) else c for c in row) for row in rows),
        )

    def fitting(self, width: int) -> tuple[Table, list[str]]:
        """The table without the optional columns that `width` has no room for; their titles."""
        widths = self.widths()
        excess, dropped = sum(widths) + len(GAP) * (len(widths) - 1) - width, set()
        for at in reversed(range(len(self.columns))):
            if excess <= 0:
                break
            if self.columns[at].optional:
                dropped.add(at)
                excess -= widths[at] + len(GAP)
        return self.without(dropped), [self.columns[at].title for at in sorted(dropped)]

    def narrowed(self, width: int) -> Table:
        """The table with its last column cut to what `width` leaves for it, at least 10 cells."""
        *others, _ = self.widths()
        room = max(10, width - sum(others) - len(GAP) * len(others))
        last = self.columns[-1]
        last = replace(last, widest=min(last.widest, room))
        return replace(self, columns=(*self.columns[:-1], last))

    def at(self, widths: Sequence[int]) -> Table:
        """The table with columns of exactly these widths, so that several tables line up."""
        columns = zip(self.columns, widths, strict=True)
        return replace(
            self, columns=tuple(replace(c, widest=width, least=width) for c, width in columns)
        )

    def without(self, gone: Collection[int]) -> Table:
        """The table without the columns of these numbers."""
        kept = [at for at in range(len(self.columns)) if at not in gone]
        rows = tuple(tuple(row[at] for at in kept if at < len(row)) for row in self.rows)
        return replace(self, columns=tuple(self.columns[at] for at in kept), rows=rows)

    def widths(self) -> list[int]:
        """How many cells of a terminal each column takes."""
        found = []
        for at, column in enumerate(self.columns):
            cells = [cell_len(plain(row[at].text)) for row in self.rows if at < len(row)]
            widest = max([cell_len(plain(column.title)), column.least, *cells])
            found.append(min(widest, column.widest))
        return found

    def lines(self, *, indent: str = "", header: bool = True) -> Iterator[Text]:
        """The table as lines for a terminal."""
        widths = self.widths()
        titles = tuple(Cell(column.title, "bold dim") for column in self.columns)
        for row in ([titles] if header else []) + list(self.rows):
            yield self._line(row, widths, indent)

    def _line(self, row: Sequence[Cell], widths: Sequence[int], indent: str) -> Text:
        line = Text(indent)
        for at, (cell, column, width) in enumerate(zip(row, self.columns, widths, strict=False)):
            text = fitted(cell.text, width)
            space = " " * (width - cell_len(text))
            last = at == len(row) - 1
            line.append(space if column.right else "")
            line.append(text, style=cell.style)
            line.append("" if last else (GAP if column.right else space + GAP))
        line.rstrip()
        return line

    def markdown(self) -> Iterator[str]:
        """The table as lines of GitHub's Markdown."""
        rule = ["---:" if column.right else "---" for column in self.columns]
        yield _markdown_line([column.title for column in self.columns])
        yield "|" + "|".join(rule) + "|"
        for row in self.rows:
            texts = [cell.text for cell in row] + [""] * (len(self.columns) - len(row))
            yield _markdown_line(texts)


def fitted(text: str, width: int) -> str:
    """`text` made harmless, in at most `width` cells; what is cut off ends in an ellipsis."""
    line = plain(text)
    return line if cell_len(line) <= width else set_cell_size(line, width - 1).rstrip() + "…"


def _markdown_line(texts: Sequence[str]) -> str:
    return "| " + " | ".join(markdown(text) for text in texts) + " |"


# Characters that would make a cell more than text: links, images, code, HTML, another cell.
_MARKS = re.compile(r"([\\`*\[\]<>|~#!&]|(?<!\w)_|_(?!\w))")


def markdown(text: str) -> str:
    """Outside text as Markdown that shows it and does nothing else."""
    return _MARKS.sub(r"\\\1", plain(text)).replace("@", "@\u2060").replace("://", ":\u2060//")
