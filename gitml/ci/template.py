"""Templates of workflows: text with `@@name` for a value, and lines for some settings only.

`#if NAME` and `#end` stand on lines of their own around such lines; `#if !NAME` is the contrary.
Nothing else is special, so that what CI itself replaces, `${{ ... }}` and `$NAME`, stays.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from string import Template

from gitml.resources import resource
from gitml.version import __version__

_IF = re.compile(r"\s*#if (!?)(\w+)\s*")
_END = re.compile(r"\s*#end\s*")


_HEADER = (
    f"Written by `gitml ci init` of gitml {__version__}: set `ci` in gitml.yaml and call it again,"
    "\n# rather than editing this file. `gitml ci drift` compares."
)


class _Text(Template):
    delimiter = "@@"


def rendered(forge: str, name: str, values: Mapping[str, str], known: Mapping[str, bool]) -> str:
    """A template of a forge, with the `header` of all that gitml writes."""
    file = resource("templates", "workflows", forge, f"{name}.yml")
    return render(file.read_text("utf-8"), {"header": _HEADER, **values}, known)


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
