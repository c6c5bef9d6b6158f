"""Markdown for forges, in which text from outside is shown and does nothing else. Pure.

Text from outside is always inline code: a forge makes neither links, mentions, images nor HTML of
it. What is not text from outside, such as a title, is written as it is.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from urllib.parse import urlsplit

LONGEST = 120
NOTHING = "-"
_TICKS = re.compile("`+")
_BAR = re.compile(r"(\\*)\|")
_SPACES = re.compile(r"\s+")
_PLAIN_URL = re.compile(r"[A-Za-z0-9._~:/?#@!$&*+,;=%-]+")


def code(text: object, longest: int = LONGEST) -> str:
    """Text from outside as inline code: on one line, cut at `longest` characters.

    Characters that act are written as escapes; a dash stands for no text.
    """
    line = _harmless(_SPACES.sub(" ", str(text)).strip())
    line = line if len(line) <= longest else line[: longest - 1] + "…"
    if not line:
        return NOTHING
    fence = "`" * (max(map(len, _TICKS.findall(line)), default=0) + 1)
    space = " " if line[0] == "`" or line[-1] == "`" else ""
    return f"{fence}{space}{line}{space}{fence}"


def block(text: str, language: str = "") -> Iterator[str]:
    """Text from outside as a block of code, line by line."""
    lines = [_harmless(line.expandtabs(4)) for line in re.split(r"\r\n|[\n\r]", text)]
    longest = max((len(run) for line in lines for run in _TICKS.findall(line)), default=0)
    fence = "`" * max(3, longest + 1)
    yield from (f"{fence}{language}", *lines, fence)


def link(label: str, url: str) -> str:
    """A link to a web page; only the label, which is Markdown, where `url` is no plain address."""
    try:
        is_page = urlsplit(url).scheme in ("http", "https")
    except ValueError:
        is_page = False
    return f"[{label}](<{url}>)" if is_page and _PLAIN_URL.fullmatch(url) else label


def table(titles: Sequence[str], rows: Iterable[Sequence[str]], *, right: int = 0) -> Iterator[str]:
    """A table whose cells are Markdown; the last `right` columns are numbers."""
    yield _row(titles)
    yield _row(["---"] * (len(titles) - right) + ["---:"] * right)
    for row in rows:
        yield _row([_BAR.sub(_escaped_bar, cell) for cell in row])


def folded(summary: str, lines: Iterable[str]) -> Iterator[str]:
    """Lines that are seen after a click on `summary`; blank lines keep them Markdown."""
    yield from (f"<details><summary>{summary}</summary>", "", *lines, "", "</details>")


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _escaped_bar(found: re.Match[str]) -> str:
    """A bar that starts no cell; behind a backslash forges differ on how to write one."""
    return f"{found[1]}\u00a6" if found[1] else "\\|"


def _harmless(line: str) -> str:
    return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in line)
