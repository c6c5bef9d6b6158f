"""The check of a change: its files, its versions, and the gates of each stage that it gives."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from gitml import config, git
from gitml.documents import load_yaml
from gitml.errors import FormatError, UsageError, shown
from gitml.git import Keys, Progress
from gitml.models.compatibility import Compatibility, compare
from gitml.projects import verdict
from gitml.registry import main_branch, signers, vouching
from gitml.registry.checking import commands, known, side
from gitml.registry.checking.known import Key, Known
from gitml.registry.checking.moves import Move, moves, to_verify
from gitml.registry.checking.problem import Problem
from gitml.registry.checking.remarks import remarks
from gitml.registry.checking.report import Judged, Report
from gitml.registry.checking.side import Side
from gitml.registry.files import ModelFile, path_of
from gitml.registry.gates import Answer, Command, Evaluation, Evidence, Gate, judge, with_age
from gitml.registry.verified import signature_of
from gitml.tracking.place import Place
from gitml.tracking.record import MetricSummary, RunRecord
from gitml.tracking.search import facts
from gitml.tracking.system_tags import PROJECT_ENTRY_POINT

_NOTHING = ModelFile()


@dataclass(frozen=True, slots=True)
class Ground:
    """What all versions of a change are judged by, and what it changes.

    `changed` are the stages that it gives away, `versions` those of its versions whose tags and
    runs are sound, `problems` what is wrong otherwise, `remarks` what a reviewer should see.
    """

    place: Place
    base: Side
    head: Side
    changed: Sequence[Move]
    versions: Mapping[Key, Known]
    problems: Sequence[Problem]
    remarks: tuple[str, ...]
    keys: Keys | None
    approvals: Sequence[str] | None = None


def check(
    place: Place,
    base: str,
    head: str = "HEAD",
    *,
    approvals: Sequence[str] | None = None,
    progress: Progress | None = None,
) -> Report:
    """Check what `head` changes, which is to be merged into `base`; both are revisions.

    `approvals` are those who approve the change as it is now, None where nobody can tell. Raises
    UsageError for a revision that is not here, FormatError when a file of the base can't be read,
    GitError when the remote can't.
    """
    found = replace(ground(place, base, head, progress), approvals=approvals)
    problems, judged = [*found.problems], []
    for move in found.changed:
        try:
            judged.append(_judged(found, move))
        except FormatError as error:  # a run says what no run can
            judged.append(Judged(move))
            problems.append(Problem(path_of(move.name), str(error)))
    told = tuple(dict.fromkeys(problems))
    return Report(found.base.commit, found.head.commit, told, tuple(judged), found.remarks)


def ground(place: Place, base: str, head: str, progress: Progress | None = None) -> Ground:
    """What a change is judged by, with the tags that it takes; raises as `check` does."""
    repo, remote = place.repo, main_branch.remote(place)
    onto, tip = commit_of(place, base, remote), commit_of(place, head, remote)
    start = _start(repo, onto, tip)
    problems = side.validate(repo, tip)
    now, then = side.read(repo, onto, strict=True), side.read(repo, tip, strict=False)
    fork = now if start == onto else side.read(repo, start, strict=False)
    changed = moves(now.models, fork.models, then.models)
    new = [*to_verify(fork.models, then.models)]
    old = [(it.name, it.before) for it in changed if it.before is not None]
    wanted = list(dict.fromkeys([*new, *old]))
    shared = runs_at(repo, onto, remote) if wanted else None
    problems += known.fetch(place, shared, wanted, progress)
    versions, bad = known.read(place, wanted)
    problems += bad
    for key in new:
        if key in versions:
            problems += known.compare(then.models[key[0]], versions[key])
    problems += _unknown_stages(now, then, changed)
    if changed:
        known.fetch_vouched(place, shared, versions.values(), progress)
    keys, besides = signers.read_at(repo, onto), remarks(repo, fork, then)
    besides += _not_deployed(repo, keys, [versions[key] for key in new if key in versions])
    told = tuple(problems)
    return Ground(place, now, then, tuple(changed), versions, told, besides, keys)


def _not_deployed(repo: git.Repository, keys: Keys | None, new: Sequence[Known]) -> tuple[str, ...]:
    """Of versions that pass without a signature, as no gate asks for it: that they are not run."""
    if keys is None:
        return ()
    try:
        bad = git.unsigned(repo, [it.item.tag_id for it in new], keys)
    except FormatError:  # the gate tells of keys that can't be read
        return ()
    return tuple(
        f"{it.item.name}@{it.item.version} is not deployed: {bad[it.item.tag_id]}"
        for it in new
        if it.item.tag_id in bad
    )


def _start(repo: git.Repository, base: str, head: str) -> str:
    """Where the change began. Where that is not one commit, all that differs from the base counts.

    So it is in a shallow clone, and when both sides have merged one another.
    """
    found = git.attempt(repo, "merge-base", "--all", base, head).stdout.decode().split()
    return found[0] if len(found) == 1 else base


def runs_at(repo: git.Repository, base: str, remote: str | None) -> str | None:
    """The remote with the runs and the tags of versions, which the base may put elsewhere."""
    (data,) = git.read_present(repo, [f"{base}:{config.FILE_NAME}"])
    settings = config.parse(load_yaml(data or b"{}", config.FILE_NAME))
    named = settings.ledger.remote
    return remote if named == config.Ledger().remote else named


def commit_of(place: Place, revision: str, remote: str | None) -> str:
    """The commit that a revision names; a full id is fetched, if it is not here."""
    git.check_revision(revision)
    found = git.resolve(place.repo, f"{revision}^{{commit}}")
    is_id = len(revision) in (40, 64) and not set(revision) - set("0123456789abcdef")
    if found is None and is_id and remote is not None:
        git.fetch(place.repo, remote, [revision], depth=known.depth_of(place.repo))
        found = git.resolve(place.repo, f"{revision}^{{commit}}")
    if found is None:
        raise UsageError(f"there is no commit {shown(revision)} here; fetch it first")
    return found


def _unknown_stages(base: Side, head: Side, changed: Sequence[Move]) -> list[Problem]:
    """The stages that are given to a version, or get gates, and the policy does not know."""
    named = {(it.name, it.stage) for it in changed if it.version is not None}
    for name, now in head.models.items():
        before = base.models.get(name, _NOTHING).gates
        named |= {(name, stage) for stage in now.gates if stage not in before}
    return [
        Problem(path_of(name), f"the policy knows {why}")
        for name, stage in sorted(named)
        if (why := base.policy.unknown(stage))
    ]


# -- judging -------------------------------------------------------------------------------


def _judged(ground: Ground, move: Move) -> Judged:
    """A stage that changes hands; when nobody gets it there is nothing to judge."""
    if move.version is None:
        return Judged(move)
    new = ground.versions.get((move.name, move.version))
    if new is None:
        return Judged(move)  # why it is not known is among the problems
    now = ground.versions.get((move.name, move.before)) if move.before else None
    change = None if now is None else _change(now, new)
    asked, brought = _of_base(ground, move), _own(ground.head, move)
    verdicts = judge((*asked, *brought), _evidence(ground, new, now, change, asked))
    return Judged(move, new, now, change, verdicts)


def _of_base(ground: Ground, move: Move) -> list[Gate]:
    """The gates of the policy and the model's own, as the base has them: these alone may run."""
    return [*ground.base.policy.gates.get(move.stage, ()), *_own(ground.base, move)]


def _own(side: Side, move: Move) -> tuple[Gate, ...]:
    return side.models.get(move.name, _NOTHING).gates.get(move.stage, ())


def _evidence(
    ground: Ground,
    new: Known,
    now: Known | None,
    change: Compatibility | None,
    of_base: Sequence[Gate],
) -> Evidence:
    candidate = with_age(facts(new.run), round(time.time() * 1000))
    programs = [gate for gate in of_base if isinstance(gate, Command)]
    told = {
        "model": new.item.name,
        "version": str(new.item.version),
        "run_id": new.run.run_id,
        "metrics": {key: figures["last"] for key, figures in candidate.metrics.items()},
        "params": dict(new.run.params),
        "tags": dict(new.run.live_tags),
    }
    return Evidence(
        candidate=candidate,
        current=None if now is None else facts(now.run),
        change=change,
        reproduced=_reproduced(ground, new),
        signed=_signed(ground, new),
        approvals=ground.approvals,
        commands=commands.run(ground.place.repo, ground.base.commit, programs, told),
        evaluations=evaluations(ground, new),
        current_evaluations=() if now is None else evaluations(ground, now),
    )


def _change(now: Known, new: Known) -> Compatibility:
    old, proposed = (signature_of(it.run, it.item.note.path) for it in (now, new))
    return compare(old, proposed)


def _signed(ground: Ground, new: Known) -> Answer:
    if ground.keys is None:
        return Answer(None, f"{signers.SSH} on the base lists nobody who may sign")
    bad = git.unsigned(ground.place.repo, [new.item.tag_id], ground.keys)
    why = bad.get(new.item.tag_id)
    return Answer(why is None, why or "by a listed key")


def of_ci(ground: Ground, subject: str) -> list[RunRecord]:
    """The runs about a run or a model's digest that CI has recorded, as far as they are here."""
    found = ground.base.policy.ci_signers
    return vouching.runs(ground.place.repo, ground.keys, found, [subject])


def _reproduced(ground: Ground, new: Known) -> Answer:
    """Whether CI has run it again, with the same metrics from the same code."""
    if not ground.base.policy.ci_signers:
        return Answer(None, "registry.yaml on the base does not say who CI is (ci.signers)")
    again = of_ci(ground, new.run.run_id)
    for run in again:
        if _is_same(new.run, run):
            return Answer(True, f"CI's run {run.run_id[-8:]} came out the same")
    if again:
        return Answer(False, f"CI's run {again[-1].run_id[-8:]} came out otherwise")
    return Answer(None, "CI has recorded no run that reproduces it")


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


def evaluations(ground: Ground, version: Known) -> tuple[Evaluation, ...]:
    """What CI has measured of a version."""
    return tuple(
        Evaluation(run.live_tags.get(PROJECT_ENTRY_POINT, ""), run.run_id, facts(run))
        for run in of_ci(ground, version.item.note.digest)
    )
