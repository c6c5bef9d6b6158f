"""The report of a check as GitHub reads it from a job's log: errors at the lines of files. Pure.

A log is read for commands, which begin with `::`, or with `##[` anywhere; so nothing from outside
is written there but inside of our own, escaped.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from gitml.registry.checking.report import Report

_TEXT = {"%": "%25", "\r": "%0D", "\n": "%0A"}
_VALUE = {**_TEXT, ":": "%3A", ",": "%2C"}


def errors(report: Report) -> Iterator[str]:
    """A command for each problem, and for each gate that is not passed."""
    for problem in report.problems:
        yield _error(problem.path, problem.line, "gitml", problem.message)
    for item in report.judged:
        path = f"registry/{item.move.name}.yaml"
        for verdict in item.verdicts:
            if not verdict.passed:
                said = f"{item.move}: {verdict.gate}: {verdict.why}"
                yield _error(path, None, f"gate {verdict.outcome}", said)


def quoted(lines: Iterable[str], token: str) -> Iterator[str]:
    """Lines that are no commands, whatever is in them; `token` is one that nobody can guess."""
    yield f"::stop-commands::{token}"
    yield from (line.replace("##[", "##\u200b[").replace(token, "") for line in lines)
    yield f"::{token}::"


def _error(path: str, line: int | None, title: str, message: str) -> str:
    places = {"file": path, **({} if line is None else {"line": str(line)}), "title": title}
    told = ",".join(f"{key}={_escaped(value, _VALUE)}" for key, value in places.items())
    return f"::error {told}::{_escaped(message, _TEXT)}"


def _escaped(text: str, marks: dict[str, str]) -> str:
    plain = "".join(char if char.isprintable() else ascii(char)[1:-1] for char in text)
    return "".join(marks.get(char, char) for char in plain).replace("##[", "##\u200b[")
