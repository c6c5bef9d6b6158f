"""What other programs complain of, in one line: the lines that say what is wrong."""

from __future__ import annotations

import re
from collections.abc import Iterator

from gitml.environments.requirements import without_user
from gitml.errors import GitmlError

_MOST = 600  # characters of a complaint
_STYLE = re.compile(r"\x1b\[[0-9;]*[A-Za-z]|^#\d+ (?:[\d.]+ )?", re.MULTILINE)  # colours, steps
_HEAD = re.compile(r"^\s*(?:(?:error|ERROR|Error)\s*:|\u00d7)", re.MULTILINE)
_LOG = re.compile(r"^\s*\[std(?:out|err)\]\s*$", re.MULTILINE)  # what a package's build said
_HINT = re.compile(r"^\s*(?:hint:|\[notice\]).*", re.MULTILINE | re.DOTALL)
_MARK = re.compile(
    r"^\s*(?:error:|ERROR:|Error:|cause:|\u00d7|[├╰]─▶)\s*"
)  # where a statement begins


class BuildError(GitmlError):
    """An environment or an image could not be built; the message is what the builder said."""


def complaint(said: bytes) -> str:
    """The headline of what went wrong, the first cause and the last word, on one line.

    When a package failed to build, the last word is that of its own log.
    """
    text = _HINT.sub("", without_user(_STYLE.sub("", said.decode("utf-8", "replace"))))
    head = _HEAD.search(text)
    told, *logs = _LOG.split(text[head.start() :] if head else text)
    found = list(_statements(told)) if head else _last(told)
    parts = [*found[:1], *_last(logs[-1])] if logs else [*found[:2], *found[-1:]]
    line = ": ".join(part.rstrip(":. ") for part in dict.fromkeys(parts)) or "it said nothing"
    line = "".join(char if char.isprintable() else "?" for char in line)
    return line if len(line) <= _MOST else f"{line[: _MOST - 1]}…"


def _statements(text: str) -> Iterator[str]:
    """Headline and causes, without their marks; one that is broken into lines is put together."""
    held: list[str] = []
    for raw in text.splitlines():
        if _MARK.match(raw) and held:
            yield " ".join(held)
            held = []
        held += _MARK.sub("", raw).split()
    if held:
        yield " ".join(held)


def _last(text: str) -> list[str]:
    """The last line that is not blank, if there is one."""
    return [" ".join(line.split()) for line in text.splitlines() if line.strip()][-1:]
