"""Outside text as a terminal may show it: on one line, with nothing in it that acts."""

from __future__ import annotations

import json
import os
import re
import unicodedata
from typing import Any

# What is no text: control characters, bidirectional and other format characters, surrogates and
# private ones. Python calls white space other than the blank not printable either.
_SPACES = re.compile(r"\s+")


def plain(text: object) -> str:
    """`text` on one line: white space is a blank, other characters that act are escaped.

    In a job of GitHub, which looks for commands in what is printed, it is none either.
    """
    line = str(text)
    if not line.isprintable():
        line = "".join(c if c.isprintable() else _escaped(c) for c in _SPACES.sub(" ", line))
    return no_command(line) if is_read_for_commands() else line


def is_read_for_commands() -> bool:
    """Whether this is a job of GitHub."""
    return os.environ.get("GITHUB_ACTIONS") == "true"


def no_command(line: str) -> str:
    """A line in which GitHub sees no command: one begins with `::`, or with `##[` anywhere."""
    line = line.replace("##[", "##\u200b[")
    return f"\u200b{line}" if line.lstrip().startswith("::") else line


def plain_lines(text: object) -> list[str]:
    """The lines of `text`, each as it may be shown, with their leading white space kept."""
    return [plain(line.expandtabs(4)) for line in re.split(r"\r\n|[\n\r]", str(text))]


def json_text(document: Any) -> str:
    """`document` as JSON in which every character that acts is written as JSON's own escape."""
    text = json.dumps(document, indent=2, ensure_ascii=False) + "\n"
    return inert_json("".join(c if c.isprintable() or c == "\n" else _json_escape(c) for c in text))


def inert_json(text: str) -> str:
    """JSON that means the same, and in which GitHub sees no command: no line begins with `::`."""
    return text.replace("##[", "##\\u005b")


def _escaped(char: str) -> str:
    return " " if unicodedata.category(char) == "Zs" else ascii(char)[1:-1]


def _json_escape(char: str) -> str:
    units = char.encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[at]:02x}{units[at + 1]:02x}" for at in range(0, len(units), 2))
