"""Templates of workflows: text with `@@name` for a value, and lines for some settings only. Pure.

`#if NAME` and `#end` stand on lines of their own around such lines; `#if !NAME` is the contrary.
Nothing else is special, so that what CI itself replaces, `${{ ... }}` and `$NAME`, stays.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from string import Template

_IF = re.compile(r"\s*#if (!?)(\w+)\s*")
_END = re.compile(r"\s*#end\s*")


class _Text(Template):
    delimiter = "@@"


def render(text: str, values: Mapping[str, str], known: Mapping[str, bool]) -> str:
    """The text with its values, and without the lines that are for other settings.

    KeyError for a name that nobody knows: a fault of the template.
    """
    return _Text("".join(_kept(text, known))).substitute(values)


def _kept(text: str, known: Mapping[str, bool]) -> Iterator[str]:
    told: list[bool] = []
    for line in text.splitlines(keepends=True):
        if found := _IF.fullmatch(line):
            told.append(known[found[2]] != bool(found[1]))
        elif _END.fullmatch(line):
            told.pop()
        elif all(told):
            yield line
