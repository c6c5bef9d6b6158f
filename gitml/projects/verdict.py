"""Whether a run came out as another did: its ingredients, and each of its metrics. Pure."""

from __future__ import annotations

import fnmatch
import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from gitml.documents import near_miss
from gitml.errors import UsageError, shown
from gitml.tracking.record import Json, RunRecord, number_to_json

RELATIVE = 1e-6  # by default: what the order of a sum on other hardware may change
ABSOLUTE = 1e-12  # the same for values that are zero, but for rounding
_SYSTEM = "system/"  # metrics of the machine, not of the model
FETCHED = "gitml.data."  # begins the tags of a run that tell what came from URLs
_PACKAGE = re.compile(r"(?:# )?(?P<name>[\w.-]+)(?:==| @ )(?P<version>\S+)(?P<local>.*)")

Word = Literal["same", "different", "unknown"]
Agreement = Literal["equal", "within", "different", "missing"]


@dataclass(frozen=True, slots=True)
class Tolerance:
    """How far two values may be apart: by `absolute`, or by `relative` times the larger one."""

    relative: float = RELATIVE
    absolute: float = ABSOLUTE

    def __str__(self) -> str:
        parts = [f"{self.relative:g} of the value"] if self.relative else []
        parts += [f"{self.absolute:g}"] if self.absolute or not parts else []
        return " or ".join(parts)

    def admits(self, one: float, other: float) -> bool:
        """Whether the values are as near."""
        return math.isclose(one, other, rel_tol=self.relative, abs_tol=self.absolute)


@dataclass(frozen=True, slots=True)
class Rules:
    """What counts as the same: a tolerance, others for some metrics, and metrics left out.

    The last are patterns such as `*_seconds`. Metrics of the machine are left out anyway.
    """

    tolerance: Tolerance = Tolerance()
    by_metric: Mapping[str, Tolerance] = field(default_factory=dict)
    ignored: Sequence[str] = ()

    def check(self, metrics: Iterable[str]) -> None:
        """Raise UsageError for a rule on a metric that there is not."""
        known = sorted(metrics)
        for name in self.by_metric:
            if name not in known:
                hint = near_miss(name, known) or f"; it has {', '.join(known) or 'none'}"
                raise UsageError(f"the run has no metric {shown(name)}{hint}")

    def of(self, metric: str) -> Tolerance | None:
        """How far a metric may be off; None when it does not count."""
        if metric.startswith(_SYSTEM) or any(
            fnmatch.fnmatchcase(metric, it) for it in self.ignored
        ):
            return None
        return self.by_metric.get(metric, self.tolerance)


@dataclass(frozen=True, slots=True)
class Part:
    """One ingredient of the runs, whether both had the same, and what there is to say of it."""

    name: str
    word: Word
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class MetricVerdict:
    """The last values of one metric; `difference` is None where it can't be told."""

    key: str
    values: tuple[float | None, float | None]
    tolerance: Tolerance
    agreement: Agreement

    @property
    def difference(self) -> float | None:
        """How far the second value is above the first."""
        one, other = self.values
        if one is None or other is None or not math.isfinite(other - one):
            return None
        return other - one


@dataclass(frozen=True, slots=True)
class Verdict:
    """How two runs compare. Environments may differ: what comes out is what counts."""

    parts: tuple[Part, ...]
    metrics: tuple[MetricVerdict, ...]

    @property
    def reproduced(self) -> bool:
        """Whether the second run came out as the first did, from the same code and data."""
        counted = (part for part in self.parts if part.name != "environment")
        return all(part.word != "different" for part in counted) and all(
            metric.agreement in ("equal", "within") for metric in self.metrics
        )


def judge(
    original: RunRecord,
    again: RunRecord,
    locks: tuple[Sequence[str], Sequence[str]],
    rules: Rules,
    *,
    data: Sequence[str] = (),
    portable: Callable[[str, Json], Json] = lambda name, value: value,
) -> Verdict:
    """Compare a run with one that was made to be the same.

    `locks` are the installed packages of each; `data` says what else is known of the data;
    `portable` gives a param, by name and value, without the folder in which a run took place.
    """
    parts = (
        _code(original, again),
        _data(original, again, data),
        _environment(original, again, locks),
        _params(original, again, portable),
        _status(original, again),
    )
    keys = [(key, rules.of(key)) for key in sorted(original.metrics)]
    metrics = (_metric(key, original, again, it) for key, it in keys if it is not None)
    return Verdict(parts, tuple(metrics))


def _metric(key: str, one: RunRecord, other: RunRecord, tolerance: Tolerance) -> MetricVerdict:
    value = one.metrics[key].last
    again = other.metrics[key].last if key in other.metrics else None
    return MetricVerdict(key, (value, again), tolerance, _agreement(value, again, tolerance))


def _agreement(value: float, again: float | None, tolerance: Tolerance) -> Agreement:
    if again is None:
        return "missing"
    if value == again or (math.isnan(value) and math.isnan(again)):
        return "equal"
    return "within" if tolerance.admits(value, again) else "different"


# -- ingredients ---------------------------------------------------------------------------


def _code(one: RunRecord, other: RunRecord) -> Part:
    notes = [f"{path} was not recorded: {why}" for path, why in one.code.incomplete.items()]
    notes += [f"{path} changed while the run went on" for path in one.code.drift]
    if one.code.tree is None or one.code.tree != other.code.tree:
        return Part("code", "different" if one.code.tree else "unknown", tuple(notes))
    return Part("code", "unknown" if notes else "same", tuple(notes))


def _data(one: RunRecord, other: RunRecord, known: Sequence[str]) -> Part:
    """Datasets by their digests; data that nobody logged and DVC does not track is not known of."""
    sides = [_digests(run) for run in (one, other)]
    notes = list(known)
    for name, digest in sides[0].items():
        if (now := sides[1].get(name)) != digest:
            notes.append(f"{name}: {digest} then, {now or 'not logged'} now")
    word: Word = "different" if len(notes) > len(known) else "same"
    if word == "same" and not sides[0] and not known:
        return Part("data", "unknown", ("no dataset was logged, and DVC tracks none",))
    notes += [f"{len(sides[0])} recorded"] if word == "same" and sides[0] else []
    return Part("data", word, tuple(notes))


def _digests(run: RunRecord) -> dict[str, str]:
    """The data that a run has logged, or that its parameters named by URL, with the digests."""
    named = {it.name + (f" ({it.context})" if it.context else ""): it.digest for it in run.datasets}
    fetched = {key: tag for key, tag in run.live_tags.items() if key.startswith(FETCHED)}
    return {**named, **{key.removeprefix(FETCHED): tag for key, tag in fetched.items()}}


def _environment(
    one: RunRecord, other: RunRecord, locks: tuple[Sequence[str], Sequence[str]]
) -> Part:
    sides = [versions(lock) for lock in locks]
    for side, run in zip(sides, (one, other), strict=True):
        side["Python"] = run.environment.python
    names = sorted({*sides[0], *sides[1]}, key=str.lower)
    changed = [
        f"{name} {sides[0].get(name) or 'missing'} then, {sides[1].get(name) or 'missing'} now"
        for name in names
        if sides[0].get(name) != sides[1].get(name)
    ]
    machines = [run.environment.platform for run in (one, other)]
    notes = [f"{machines[0]} then, {machines[1]} now"] if machines[0] != machines[1] else []
    folders = [name for name in _folders(locks[0]) if name != "gitml"]
    notes += [f"{name} was a folder: of it only what is in the commit is known" for name in folders]
    known: Word = "same" if sides[0].keys() - {"Python"} and not folders else "unknown"
    return Part("environment", "different" if changed else known, (*changed, *notes))


def _folders(lock: Iterable[str]) -> list[str]:
    """The packages of a lock that were folders, not copies of a version that others can have."""
    found = (_PACKAGE.match(line) for line in lock if line.startswith("#"))
    return [it["name"] for it in found if it]


def versions(lock: Iterable[str]) -> dict[str, str]:
    """What is installed by the lines of a lock: name to version, or to where it is from."""
    found = (_PACKAGE.match(line.strip()) for line in lock)
    return {re.sub(r"[-_.]+", "-", it["name"]).lower(): it["version"] for it in found if it}


def _params(one: RunRecord, other: RunRecord, portable: Callable[[str, Json], Json]) -> Part:
    changed = [
        f"{key}: {_text(one.params, key)} then, {_text(other.params, key)} now"
        for key in sorted({*one.params, *other.params})
        if _missing(one, key)
        or _missing(other, key)
        or str(portable(key, one.params[key])) != str(portable(key, other.params[key]))
    ]
    return Part("params", "different" if changed else "same", tuple(changed))


def _missing(run: RunRecord, key: str) -> bool:
    return key not in run.params


def _text(params: Mapping[str, Json], key: str) -> str:
    return shown(str(params[key])) if key in params else "not there"


def _status(one: RunRecord, other: RunRecord) -> Part:
    if one.status == other.status:
        return Part("status", "same", (other.status,))
    reason = f" ({other.reason})" if other.reason else ""
    return Part("status", "different", (f"{one.status} then, {other.status} now{reason}",))


# -- tolerances as text ----------------------------------------------------------------------


def rules(tolerances: Iterable[str], ignored: Sequence[str] = ()) -> Rules:
    """Rules from texts: `0.001` is absolute, `0.1%` relative, `auc=0.001` for one metric alone.

    What is given replaces the defaults: `0` asks for equal values. Raises UsageError.
    """
    found: dict[str, Tolerance] = {}
    for text in tolerances:
        name, _, number = text.rpartition("=")
        before = found.get(name, Tolerance(0.0, 0.0))
        share = number.endswith("%")
        value = _number(number.removesuffix("%"), text)
        relative, absolute = (value / 100, before.absolute) if share else (before.relative, value)
        found[name] = Tolerance(relative, absolute)
    return Rules(found.pop("", Tolerance()), found, tuple(ignored))


def _number(text: str, whole: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not (0 <= value < math.inf):
        raise UsageError(
            f"{shown(whole)} is no tolerance; write 0.001, 0.1% of the value, or METRIC=0.001"
        )
    return value


# -- as a document ---------------------------------------------------------------------------


def to_document(verdict: Verdict) -> dict[str, Any]:
    """The verdict as JSON."""
    return {
        "reproduced": verdict.reproduced,
        **{it.name: {"verdict": it.word, "notes": list(it.notes)} for it in verdict.parts},
        "metrics": {it.key: _metric_document(it) for it in verdict.metrics},
    }


def _metric_document(item: MetricVerdict) -> dict[str, Any]:
    original, again = (None if it is None else number_to_json(it) for it in item.values)
    return {
        "verdict": item.agreement,
        "original": original,
        "reproduced": again,
        "difference": item.difference,
        "tolerance": {"relative": item.tolerance.relative, "absolute": item.tolerance.absolute},
    }
