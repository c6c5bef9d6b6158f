"""The report of a check as Markdown, for a comment or a job's summary. Pure.

Whatever people or runs have named is inline code: it does nothing but be read.
"""

from __future__ import annotations

from collections.abc import Iterator

from gitml.registry.checking.known import Known
from gitml.registry.checking.report import Judged, Report
from gitml.review import promotion
from gitml.review.markdown import code
from gitml.review.promotion import Gate, Promotion, Side

_MOST = 50  # problems and remarks; a person reads them


def page(report: Report) -> str:
    """The whole report."""
    return "\n".join(_lines(report)).rstrip() + "\n"


def _lines(report: Report) -> Iterator[str]:
    yield f"## {_headline(report)}"
    yield ""
    yield f"Of {code(report.head[:12])}, to be merged into {code(report.base[:12])}."
    yield ""
    for problem in report.problems[:_MOST]:
        place = problem.path if problem.line is None else f"{problem.path}:{problem.line}"
        yield f"- ❌ {code(place)} {code(problem.message, 300)}"
    if len(report.problems) > _MOST:
        yield f"- and {len(report.problems) - _MOST} more"
    yield from (f"- ⚠️ {code(remark, 300)}" for remark in report.remarks[:_MOST])
    if len(report.remarks) > _MOST:
        yield f"- ⚠️ and {len(report.remarks) - _MOST} more"
    for item in report.judged:
        yield ""
        yield from _judged(item)


def _headline(report: Report) -> str:
    if not report.passed:
        return "❌ This can't be merged as it is"
    return "✅ All gates are passed" if report.judged else "✅ No stage changes hands"


def _judged(item: Judged) -> Iterator[str]:
    move, mark = item.move, "✅" if item.passed else "❌"
    if move.version is None:
        yield f"### {code(move.name)}: nobody holds {code(move.stage)} any more"
        yield ""
        yield f"{code(move.before or 'no version')} held it."
        return
    yield f"### {mark} {code(move.name)} {code(move.version)} in {code(move.stage)}"
    yield ""
    if item.proposed is None:
        yield "The version can't be judged; see above."
        return
    gates = [Gate(it.gate, it.outcome, it.why) for it in item.verdicts]
    was = code(move.before) if move.before else "no version"
    what = f"{code(move.version)} takes the stage {code(move.stage)}; {was} held it."
    current = None if item.current is None else _side(item.current)
    yield promotion.body(Promotion(what, _side(item.proposed), current, item.change, gates))


def _side(known: Known) -> Side:
    item = known.item
    return Side(str(item.version), known.run, item.commit, item.note.digest, item.note.by)
