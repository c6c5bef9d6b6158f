"""The text of a pull request that gives a stage to a version: what changes, side by side. Pure.

Its outline is `templates/pull_request.md`. Whatever people or runs have named is inline code.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from string import Template

from gitml.models.compatibility import Compatibility
from gitml.resources import resource
from gitml.review import markdown
from gitml.review.code import FileChange
from gitml.review.compare import Comparison, Difference, MetricDifference, compare
from gitml.review.markdown import code
from gitml.tracking.moments import time_to_text
from gitml.tracking.record import RunRecord

_MOST = 40  # rows of one table: a person reads it
_MEANING = {
    "same": "is the same: clients notice nothing",
    "compatible": "changes, and clients of the version in use go on working",
    "incompatible": "changes, and **clients of the version in use may fail**",
}
ASKED = "asked"
_MARKS = {
    "passed": "✅ passed",
    "failed": "❌ failed",
    "unknown": "❌ unknown",  # which does not pass either
    ASKED: "⏳ asked by the check",
}


@dataclass(frozen=True, slots=True)
class Side:
    """A version of the model: its run, the commit that its tag is on, and who registered it."""

    version: str
    record: RunRecord
    commit: str
    digest: str
    by: str = ""


@dataclass(frozen=True, slots=True)
class Gate:
    """A gate that the version has to pass: as it is written, and `passed`, `failed` or `unknown`.

    Before it was judged at all it is `asked`.
    """

    text: str
    outcome: str
    why: str


@dataclass(frozen=True, slots=True)
class Promotion:
    """What is proposed: `what` in words; `current` is the version in that stage, None without one.

    `signature` is how that of the proposed version differs. `files` are those of the code that
    differ, None where that can't be told, and `diff_url` is the page that shows how, or empty.
    """

    what: str
    proposed: Side
    current: Side | None = None
    signature: Compatibility | None = None
    gates: Sequence[Gate] = ()
    files: Sequence[FileChange] | None = None
    diff_url: str = ""


def body(promotion: Promotion) -> str:
    """The pull request's text."""
    outline = Template(resource("templates", "pull_request.md").read_text(encoding="utf-8"))
    current, proposed = promotion.current, promotion.proposed
    records = [side.record for side in (current, proposed) if side is not None]
    found = compare(records)
    parts = {
        "what": iter([promotion.what]),
        "versions": _versions(current, proposed),
        "metrics": _metrics(found),
        "signature": _signature(promotion.signature),
        "gates": _gates(promotion.gates),
        "params": _differences("params", found.params, is_alone=current is None),
        "data": _differences("datasets", found.data, is_alone=current is None),
        "code": _code(promotion),
    }
    return outline.substitute({key: "\n".join(lines) for key, lines in parts.items()})


def _versions(current: Side | None, proposed: Side) -> Iterator[str]:
    """Who trained each version, when, from which code."""
    sides = [side for side in (current, proposed) if side is not None]
    rows = [
        ("Version", [code(side.version) for side in sides]),
        ("Run", [f"{code(side.record.name)} {code(side.record.run_id)}" for side in sides]),
        ("Experiment", [code(side.record.experiment) for side in sides]),
        ("Trained by", [code(side.record.user) for side in sides]),
        ("Trained on", [_moment(side.record) for side in sides]),
        ("Registered by", [code(side.by.partition(" <")[0]) for side in sides]),
        ("Code", [_code_of(side) for side in sides]),
        ("Digest", [code(side.digest) for side in sides]),
    ]
    titles = ["", "In this stage now", "Proposed"] if current else ["", "Proposed"]
    yield from markdown.table(titles, [[title, *cells] for title, cells in rows])


def _moment(record: RunRecord) -> str:
    return time_to_text(record.start_time)[:16].replace("T", " ") + " UTC"


def _code_of(side: Side) -> str:
    """The commit of a version's code, and what of it was not committed."""
    its = side.record.code
    words = ", with changes that were not committed" if its.dirty else ""
    drift = ", **which changed while it ran**" if its.drift else ""
    return code((its.commit or its.tree or "")[:12]) + words + drift


# -- metrics, params and data --------------------------------------------------------------


def _metrics(found: Comparison) -> Iterator[str]:
    rows = [it for it in found.metrics if not it.key.startswith("system/")]
    if not rows:
        yield "No metrics were logged."
        return
    is_alone = len(found.runs) == 1
    titles = ["Metric", "Proposed"] if is_alone else ["Metric", "Now", "Proposed", "Change"]
    lines = [[code(it.key), *map(_number, it.values), *_judged(it)] for it in rows[:_MOST]]
    yield from markdown.table(titles, lines, right=1 if is_alone else 2)
    yield from _rest(len(rows))


def _judged(it: MetricDifference) -> list[str]:
    """How a metric changed, and whether that is better by its name."""
    if len(it.values) == 1:
        return []
    delta = it.deltas[-1]
    if delta is None or it.same:
        return ["same" if it.same else markdown.NOTHING]
    words = {None: "", 0: ", worse", 1: ", **better**"}[it.best]
    return [f"{'+' if delta > 0 else ''}{_number(delta)}{words}"]


def _number(value: float | None) -> str:
    if value is None:
        return markdown.NOTHING
    return f"{value:.6g}" if math.isfinite(value) else code(value)


def _differences(noun: str, items: Sequence[Difference], *, is_alone: bool) -> Iterator[str]:
    """The params or datasets that differ; of a version without another all of them."""
    rows = [it for it in items if is_alone or not it.same]
    if not rows:
        yield f"The {noun} are the same." if items else f"No {noun} were logged."
        return
    titles = ["", "Proposed"] if is_alone else ["", "Now", "Proposed"]
    lines = [[code(it.key), *map(_value, it.values)] for it in rows[:_MOST]]
    one = len(rows) == 1
    word = "" if is_alone else " that differs" if one else " that differ"
    summary = f"{len(rows)} {noun.removesuffix('s') if one else noun}{word}"
    table = [*markdown.table(titles, lines), *_rest(len(rows))]
    yield from markdown.folded(summary, table)


def _value(value: object) -> str:
    return markdown.NOTHING if value is None else code(value)


def _rest(count: int) -> Iterator[str]:
    if count > _MOST:
        yield from ("", f"{count - _MOST} more are in the runs.")


# -- the rest ------------------------------------------------------------------------------


def _signature(found: Compatibility | None) -> Iterator[str]:
    if found is None:
        yield "No version holds the stage, so that no client can notice a change."
        return
    yield f"The signature {_MEANING[found.level]}."
    if found.reasons:
        yield ""
    yield from (f"- {code(reason, 300)}" for reason in found.reasons[:_MOST])


def _gates(gates: Sequence[Gate]) -> Iterator[str]:
    if not gates:
        yield "The policy asks for none."
        return
    rows = [[code(it.text), _MARKS.get(it.outcome, code(it.outcome)), code(it.why)] for it in gates]
    yield from markdown.table(["Gate", "", "Why"], rows)


def _code(promotion: Promotion) -> Iterator[str]:
    """The files that differ, and where to read how."""
    files, proposed = promotion.files, promotion.proposed
    if promotion.current is None:
        yield f"Code and run: {markdown.link(code(proposed.commit[:12]), promotion.diff_url)}"
        return
    link = markdown.link("read the difference", promotion.diff_url)
    page = f" ({link})" if promotion.diff_url else ""
    if files is None:
        yield f"How the code differs can't be told here{page}."
    elif not files:
        yield f"The code is the same{page}."
    else:
        summary = f"{len(files)} files of the code differ"
        yield from markdown.folded(summary, _files(files))
        if promotion.diff_url:
            yield from ("", f"Code: {link}")


def _files(files: Sequence[FileChange]) -> Iterator[str]:
    for it in files[:_MOST]:
        lines = "binary" if it.added is None else f"+{it.added} -{it.removed}"
        yield f"- {code(it.path)} {lines}"
    yield from _rest(len(files))
