"""Calling the command line in tests, and what a terminal must never get to see."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any

import pytest

from gitml.cli.main import run

# Control characters but the line feed, bidirectional marks, zero-width and other format ones.
UNSAFE = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2066-\u2069\ufeff]")
HOSTILE = "a\x1b[31mred\x1b]0;title\x07\r\nforged \u202egnp.exe\x9b2J\u200b\u2028|*[x](y)<b>\ud800"


@dataclass(frozen=True)
class Called:
    """What a command did: its exit code and what it wrote."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """Standard output as JSON."""
        return json.loads(self.out)

    @property
    def lines(self) -> list[str]:
        """The lines of standard output."""
        return self.out.splitlines()


class Caller:
    """`caller("runs", "list")` calls `gitml runs list` in this process."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self._capsys = capsys

    def __call__(self, *args: object, code: int = 0) -> Called:
        """Call it; `code` is the exit code that must come of it."""
        self._capsys.readouterr()
        done = run([str(arg) for arg in args])
        out, err = self._capsys.readouterr()
        assert done == code, err or out
        assert code == 0 or code == 1 or err.count("\n") == 1, f"not one line: {err}"
        return Called(done, out, err)
