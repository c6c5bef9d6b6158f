"""Whether the run that CI made of a version's run once more came out as that one says. Pure.

What is held against one another are records: figures, params and data, and of the model its
signature and the sha256 of each file. `MLmodel` says when and by which run a model was made, so it
is another each time, and is left out; how it names the model's flavors is not.
"""

from __future__ import annotations

from collections.abc import Sequence

from gitml.errors import FormatError, shown
from gitml.models.digest import digest
from gitml.projects import verdict
from gitml.registry.checking.known import Known
from gitml.registry.gates import Answer
from gitml.tracking.record import Artifact, MetricSummary, RunRecord

_LEFT_OUT = "MLmodel"
_TOLD = ("signature", "flavors")
_SOME = 3  # files that are named


def reproduced(version: Known, again: Sequence[RunRecord], *, bytewise: bool = False) -> Answer:
    """Whether one of CI's runs came out the same; with `bytewise` its model's files are, too."""
    last = Answer(None, "CI has recorded no run that reproduces it")
    for run in again:
        holds, why = _compared(version, run, bytewise)
        last = Answer(holds, f"CI's run {run.run_id[-8:]} {why}")
        if holds:
            return last
    return last


def _compared(version: Known, again: RunRecord, bytewise: bool) -> tuple[bool, str]:
    if not _is_same(version.run, again):
        return False, "came out otherwise"
    if why := _unlike(version, again):
        return False, f"came out otherwise: {why}"
    others = _other_files(version, again)
    if not others:
        return True, f"came out the same, and so did the model's files ({_LEFT_OUT} not compared)"
    some = ", ".join(map(shown, others[:_SOME])) + (" ..." if others[_SOME:] else "")
    if bytewise:
        return False, f"made a model of other bytes: {some}"
    return True, f"came out the same; its model has other bytes, which this does not judge: {some}"


def _is_same(claimed: RunRecord, again: RunRecord) -> bool:
    """Whether a run that anybody may have written is what CI's run of it came to.

    Beyond what a verdict compares, it names its code, and has the same figures of each metric that
    a gate can ask for: the lowest, the highest, the last step and the number of values.
    """
    rules = verdict.Rules()
    return (
        claimed.code.tree is not None
        and verdict.judge(claimed, again, ((), ()), rules).reproduced
        and all(
            _same_figures(item, again.metrics[key], tolerance)
            for key, item in claimed.metrics.items()
            if (tolerance := rules.of(key)) is not None
        )
    )


def _same_figures(one: MetricSummary, other: MetricSummary, tolerance: verdict.Tolerance) -> bool:
    pairs = ((one.min, other.min), (one.max, other.max))
    return (one.step, one.count) == (other.step, other.count) and all(
        a == b or (a is not None and b is not None and tolerance.admits(a, b)) for a, b in pairs
    )


# -- the model -----------------------------------------------------------------------------


def _unlike(version: Known, again: RunRecord) -> str:
    """How CI's model can't be the version's, in words: it is not there, or of another kind."""
    note = version.item.note
    path, now = note.path, again.models.get(note.path)
    if now is None:
        return f"it made no model at {shown(path)}"
    claimed, made = _files(version.run, path), _files(again, path)
    try:
        listed = digest((name, it.sha256, it.size) for name, it in claimed.items())
    except FormatError as error:
        return str(error)
    if listed != note.digest:
        return "the digest of the version is not that of the files that its run names"
    for what in _TOLD:
        if version.run.models[path].get(what) != now.get(what):
            return f"its model has another {what}" if what == _TOLD[0] else "it has other flavors"
    if odd := sorted(claimed.keys() ^ made.keys()):
        return f"one of the models has no file {shown(odd[0])}"
    return ""


def _other_files(version: Known, again: RunRecord) -> list[str]:
    """The files of the model that have other bytes than those of CI's."""
    path = version.item.note.path
    made = _files(again, path)
    return sorted(
        name
        for name, it in _files(version.run, path).items()
        if name != _LEFT_OUT and made[name].sha256 != it.sha256
    )


def _files(run: RunRecord, path: str) -> dict[str, Artifact]:
    """The files of a run's model, by their names in its folder."""
    start = f"{path}/"
    return {
        name.removeprefix(start): it for name, it in run.artifacts.items() if name.startswith(start)
    }
