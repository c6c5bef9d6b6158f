"""`gitml.projects.bisect`: the commit that made a metric worse, found by running some between.

The order is git's, and so is the rule for commits that can't be judged; git's own state of a
bisection is neither read nor written. What was found out is in the runs: asked again, those that
are recorded for a commit are not run again.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import IO, Any, Literal

from gitml import git
from gitml.errors import GitmlError, UsageError, shown
from gitml.projects import checkout, execution, mlproject, replay, rerun, runtime, sources, tracked
from gitml.projects.output import to_stream
from gitml.projects.runtime import Runtime
from gitml.projects.task import Tell
from gitml.tracking import search, store
from gitml.tracking.fluent import place as fluent
from gitml.tracking.place import Place
from gitml.tracking.record import FAILED, FINISHED, RunRecord, number_to_json
from gitml.tracking.search.expressions import METRIC, keys_of

TAG = "gitml.bisect"  # of the runs that are made for one: the condition
Word = Literal["good", "bad", "skipped"]


@dataclass(frozen=True, slots=True)
class Probe:
    """What a commit came to: its run, whether that was there before, and why it was skipped."""

    commit: str
    word: Word
    run: RunRecord | None = None
    reused: bool = False
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class Bisection:
    """The commits that were looked at, and what is left: one commit, or several that are `open`.

    `first` is the commit that made it worse, None where commits that can't be judged hide it;
    `before` is its parent. `metrics` are the names in the condition.
    """

    condition: str
    metrics: tuple[str, ...]
    probes: tuple[Probe, ...]
    open: tuple[str, ...]
    first: Probe | None = None
    before: Probe | None = None


@dataclass(frozen=True, slots=True)
class Wish:
    """What the user asks for; the meaning of each is that of `bisect`."""

    metric: str
    good: str
    bad: str
    like: str | None = None
    env_manager: str | None = None
    data: str = tracked.VERIFY
    parameters: Mapping[str, str] = field(default_factory=dict)
    timeout: float | None = None


def bisect(
    metric: str,
    good: str,
    bad: str,
    *,
    like: str | None = None,
    env_manager: str | None = None,
    data: str = tracked.VERIFY,
    parameters: Mapping[str, Any] | None = None,
    timeout: float | None = None,
    allow_code: bool = False,
) -> Bisection:
    """Find the commit after which a condition such as `metrics.auc < 0.9` holds.

    `good` and `bad` are runs or commits: the condition is false for the first, and true for the
    second, which comes after it. Each commit between that must be looked at is run as the run
    `like` was, by default `bad` or `good`, in the environment that it names. A run that is
    recorded for a commit is taken as it is; a commit whose run fails, or has no such metric, is
    skipped. The rest is as for `gitml.projects.reproduce`.

    Raises UsageError when the ends are not what they should be.
    """
    values = {name: str(value) for name, value in (parameters or {}).items()}
    wish = Wish(metric, good, bad, like, env_manager, data, values, timeout)
    return perform(wish, ask=sources.allowed(allow_code))


def perform(
    wish: Wish,
    *,
    tell: Tell | None = None,
    ask: sources.Ask | None = None,
    stdout: IO[str] | None = None,
) -> Bisection:
    """The same; `tell` hears of each step, `stdout` gets the output of the runs."""
    place = fluent.place()
    condition = search.parse_filter(wish.metric)
    ends = [_end(place, text) for text in (wish.good, wish.bad)]
    like = _like(place, wish, [run for _, run in ends], ask)
    checkout.sweep()
    looker = _Looker(place, condition, _way(like, wish, tell), wish, tell or _silent, stdout)
    with execution.signals_stop():
        _check_ends(place, looker, [commit for commit, _ in ends])
        return _narrowed(place, looker, wish.metric)


def _silent(line: str) -> None:
    pass


# -- what is asked for -----------------------------------------------------------------------


def _end(place: Place, text: str) -> tuple[str, RunRecord | None]:
    """The commit that a run or a revision names, and the run."""
    try:
        found = store.record(place, store.resolve(place, text))
    except UsageError:
        commit = git.resolve(place.repo, f"{git.check_revision(text)}^{{commit}}")
        if commit is None:
            raise UsageError(f"{shown(text)} is neither a run nor a commit") from None
        return commit, None
    if found.code.commit is None or git.resolve(place.repo, found.code.commit) is None:
        raise UsageError(f"the commit of run {found.run_id[-8:]} is not in this repository")
    return found.code.commit, found


def _like(
    place: Place, wish: Wish, runs: Sequence[RunRecord | None], ask: sources.Ask | None
) -> RunRecord:
    """The run as which the commits are run."""
    known = [run.run_id for run in reversed(runs) if run is not None]
    name = wish.like or next(iter(known), None)
    if name is None:
        raise UsageError("two commits do not tell what to run; name a run: --like RUN")
    entry, is_own = sources.recorded(place, name)
    if not is_own and ask is not None:
        sources.agree_to_run(entry, ask)
    return entry.record


def _way(like: RunRecord, wish: Wish, tell: Tell | None) -> rerun.Way:
    def environment(folder: Path) -> Runtime:
        return runtime.prepare(mlproject.read(folder), wish.env_manager, tell)

    tags = {TAG: wish.metric}
    return rerun.Way(like, replay.of(like), environment, wish.parameters, tags, wish.timeout)


def _check_ends(place: Place, looker: _Looker, ends: Sequence[str]) -> None:
    """Look at both ends. Raises UsageError when they don't tell good from bad."""
    good, bad = ends
    if good == bad or not git.is_ancestor(place.repo, good, bad):
        raise UsageError(
            f"the good commit {good[:10]} is not before the bad one {bad[:10]} in the history"
        )
    for commit, word in ((good, "good"), (bad, "bad")):
        probe = looker.look(commit)
        if probe.word == "skipped":
            raise UsageError(f"the {word} commit {commit[:10]} can't be judged: {probe.reason}")
        if probe.word != word:
            raise UsageError(
                f"the commit {commit[:10]} is to be {word}, but is {probe.word}:"
                f" {looker.values(probe)}"
            )


# -- looking at a commit -----------------------------------------------------------------------


class _Looker:
    """Judges commits, each once: by a run that is recorded, else by a new one."""

    def __init__(
        self,
        place: Place,
        condition: search.Filter,
        way: rerun.Way,
        wish: Wish,
        tell: Callable[[str], None],
        stdout: IO[str] | None,
    ) -> None:
        self._place, self._condition, self._way = place, condition, way
        self._wish, self.tell = wish, tell
        self._sinks = (to_stream(stdout or sys.stdout), to_stream(sys.stderr))
        self.probes: dict[str, Probe] = {}
        self._keys = [key for key in keys_of(condition) if key.entity == METRIC]
        self.metrics = tuple(dict.fromkeys((key.otherwise or key).name for key in self._keys))
        if not self.metrics:
            raise UsageError(f"{shown(wish.metric)} names no metric; write metrics.auc < 0.9")

    def look(self, commit: str) -> Probe:
        """What the commit comes to."""
        if commit not in self.probes:
            probe = self._judged(commit, self._recorded(commit), reused=True) or self._run(commit)
            self.probes[commit] = probe
            again = " (recorded before)" if probe.reused else ""
            self.tell(f"{commit[:10]} {probe.word}: {probe.reason or self.values(probe)}{again}")
        return self.probes[commit]

    def values(self, probe: Probe) -> str:
        """The metrics of the condition, as words."""
        known = probe.run.metrics if probe.run is not None else {}
        return ", ".join(f"{key} {known[key].last:g}" for key in self.metrics if key in known)

    def _recorded(self, commit: str) -> RunRecord | None:
        """The newest run of exactly this commit that was started in the same way.

        One that failed counts when it was made for a bisection.
        """
        tree = git.resolve(self._place.repo, f"{commit}^{{tree}}")
        found = store.search(self._place, f"tags.`mlflow.source.git.commit` = '{commit}'")
        runs = [run for run in found if run.code.tree == tree and self._is_alike(run)]
        same = [run for run in runs if run.params == self._way.like.params]
        done = [run for run in (*same, *runs) if run.status == FINISHED]
        failed = [run for run in runs if run.status == FAILED and TAG in run.live_tags]
        return next(iter([*done, *failed]), None)

    def _is_alike(self, run: RunRecord) -> bool:
        try:
            return replay.of(run) == self._way.replay
        except UsageError:
            return False

    def _run(self, commit: str) -> Probe:
        try:
            with rerun.ground(self._place, commit, self._wish.data) as ground:
                root = self._place.repo.root
                done = rerun.run(ground, self._way, self._sinks, tell=self.tell, root=root)
        except GitmlError as error:
            return Probe(commit, "skipped", reason=str(error))
        judged = self._judged(commit, done.record)
        assert judged is not None
        return judged

    def _judged(self, commit: str, run: RunRecord | None, *, reused: bool = False) -> Probe | None:
        """A commit by its run; one that failed, or lacks what is asked for, says nothing."""
        if run is None:
            return None
        if run.status != FINISHED:
            reason = run.reason or f"its run is {run.status}"
            return Probe(commit, "skipped", run, reused, reason)
        facts = search.facts(run)
        for key in self._keys:
            if not search.matches(search.Comparison(key, "IS NOT NULL"), facts):
                return Probe(commit, "skipped", run, reused, f"its run has no metric {key.name}")
        word: Word = "bad" if search.matches(self._condition, facts) else "good"
        return Probe(commit, word, run, reused)


# -- between the ends ---------------------------------------------------------------------------


def _narrowed(place: Place, looker: _Looker, condition: str) -> Bisection:
    """Halve what is between good and bad until one commit is left, or none that can be judged."""
    while True:
        left = list(_between(place, looker.probes))
        untried = [commit for commit in left if commit not in looker.probes]
        if not untried:
            break
        steps = len(untried).bit_length()
        looker.tell(f"{len(untried)} commits are left to look at, at most about {steps} steps")
        looker.look(untried[0])
    found = Bisection(condition, looker.metrics, tuple(looker.probes.values()), tuple(left))
    if len(left) > 1:
        return found
    parents = git.text(place.repo, "rev-parse", f"{left[0]}^@").split()
    before = looker.look(parents[0]) if parents else None
    return replace(
        found, first=looker.probes[left[0]], before=before, probes=tuple(looker.probes.values())
    )


def _between(place: Place, probes: Mapping[str, Probe]) -> Iterator[str]:
    """The commits of which one made it worse, in the order in which git would look at them."""
    bad = [probe.commit for probe in probes.values() if probe.word == "bad"]
    good = [probe.commit for probe in probes.values() if probe.word == "good"]
    newest = bad[-1]  # each bad one that was looked at is below the one before it
    known = [f"^{commit}" for commit in good]
    listed = git.text(place.repo, "rev-list", "--bisect-all", newest, *known)
    yield from (line.split(" ")[0] for line in listed.splitlines())


def to_document(found: Bisection) -> dict[str, Any]:
    """The bisection as JSON."""
    return {
        "condition": found.condition,
        "first_bad": None if found.first is None else _document(found, found.first),
        "parent": None if found.before is None else _document(found, found.before),
        "candidates": list(found.open),
        "commits": [_document(found, probe) for probe in found.probes],
    }


def _document(found: Bisection, probe: Probe) -> dict[str, Any]:
    known = probe.run.metrics if probe.run is not None else {}
    return {
        "commit": probe.commit,
        "verdict": probe.word,
        "run_id": probe.run.run_id if probe.run is not None else None,
        "recorded_before": probe.reused,
        "reason": probe.reason,
        "metrics": {key: number_to_json(known[key].last) for key in found.metrics if key in known},
    }
