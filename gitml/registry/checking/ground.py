"""What a change is judged by: the base, its own side, its versions, and what CI knows of these."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from gitml import config, git
from gitml.documents import load_yaml
from gitml.errors import FormatError, UsageError, shown
from gitml.git import Progress
from gitml.registry import desired, holdout, main_branch, signers, vouching
from gitml.registry.checking import claims, declared, known, side, signatures
from gitml.registry.checking.known import Key, Known
from gitml.registry.checking.moves import Move, moves, to_verify
from gitml.registry.checking.problem import Problem
from gitml.registry.checking.remarks import remarks
from gitml.registry.checking.side import Side
from gitml.registry.checking.signatures import Signing
from gitml.registry.files import path_of
from gitml.registry.gates import Evaluate, Evaluation, Gate
from gitml.registry.recorded import Runs
from gitml.tracking.place import Place
from gitml.tracking.record import RunRecord
from gitml.tracking.search import facts
from gitml.tracking.system_tags import PROJECT_ENTRY_POINT

_TAG_LATER = "it has no tag yet; its run is in the remote's ledger, and sync makes the tag"


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
    signing: Signing
    approvals: Sequence[str] | None = None


def ground_of(place: Place, base: str, head: str, progress: Progress | None = None) -> Ground:
    """What a change is judged by, with the tags that it takes; raises as `checking.check` does."""
    repo = place.repo
    onto, tip = commit_of(place, base), commit_of(place, head)
    start = _start(repo, onto, tip)
    problems = side.validate(repo, tip)
    problems += side.begun_twice(repo, start, onto, tip)
    now, then = side.read(repo, onto, strict=True), side.read(repo, tip, strict=False)
    fork = now if start == onto else side.read(repo, start, strict=False)
    changed = moves(now.models, fork.models, then.models)
    new = [*to_verify(fork.models, then.models)]
    old = [(it.name, it.before) for it in changed if it.before is not None]
    runs = runs_at(place, onto)
    versions, bad = _versions(place, runs, (new, then), (old, now), progress)
    problems += bad
    for key in new:
        if key in versions:
            problems += known.compare(then.models[key[0]], versions[key])
            problems += declared.problems(repo, versions[key])
    problems += _unknown_stages(now, then, changed)
    if changed:
        known.fetch_vouched(place, runs.remote, versions.values(), progress)
    who, besides = _signing(repo, now), remarks(repo, fork, then)
    taking = {(it.name, it.version) for it in changed}
    staged = [versions[key] for key in versions if key in taking]
    fresh = [versions[key] for key in new if key in versions]
    problems += signatures.problems(repo, who, staged)
    besides += signatures.remarks(repo, who, [it for it in fresh if it not in staged])
    besides += tuple(f"{it.item.tag}: {_TAG_LATER}" for it in fresh if it.item.waits)
    told = tuple(problems)
    return Ground(place, now, then, tuple(changed), versions, told, besides, who)


def _signing(repo: git.Repository, base: Side) -> Signing:
    """Whose signatures count, as the base has it, and whether CI signs."""
    listed, ci = signers.read_at(repo, base.commit), base.policy.ci_signers
    told = _settings_at(repo, base.commit) or {}
    is_set = bool((told.get("ci") or {}).get("sign"))
    is_listed = listed is not None and signers.only(listed.keys, ci) is not None
    return Signing(listed, ci, is_set or is_listed)


def _settings_at(repo: git.Repository, commit: str) -> Any:
    """The gitml.yaml of a commit, as it is written."""
    (data,) = git.read_present(repo, [f"{commit}:{config.FILE_NAME}"])
    return load_yaml(data or b"{}", config.FILE_NAME)


def _versions(
    place: Place,
    runs: Runs,
    new: tuple[Sequence[Key], Side],
    old: tuple[Sequence[Key], Side],
    progress: Progress | None,
) -> tuple[dict[Key, Known], list[Problem]]:
    """The versions of a change and those that held its stages, each with the side that has it.

    One without a tag is what its line says, as far as its run bears that out.
    """
    wanted = list(dict.fromkeys([*new[0], *old[0]]))
    if not wanted:
        return {}, []
    problems, untagged = known.fetch(place, runs.remote, wanted, progress)
    found, bad = known.read(place, [key for key in wanted if key not in untagged])
    claimed = [key for key in new[0] if key in untagged]
    held = [key for key in old[0] if key in untagged and key not in claimed]
    mine, wrong = claims.read(place, runs, claimed, new[1].models, progress)
    theirs, more = claims.read(place, runs, held, old[1].models, progress)
    wrong += claims.check(place, runs, mine, old[1].models, new[1].models, progress)
    return {**found, **mine, **theirs}, [*problems, *bad, *wrong, *more]


def _start(repo: git.Repository, base: str, head: str) -> str:
    """Where the change began. Where that is not one commit, all that differs from the base counts.

    So it is in a shallow clone, and when both sides have merged one another.
    """
    found = git.attempt(repo, "merge-base", "--all", base, head).stdout.decode().split()
    return found[0] if len(found) == 1 else base


def runs_at(place: Place, base: str) -> Runs:
    """Where runs and the tags of versions are, which the base may put elsewhere."""
    settings = config.parse(_settings_at(place.repo, base))
    named, ref = settings.ledger.remote, settings.ledger.ref
    return Runs(main_branch.remote(place) if named == config.Ledger().remote else named, ref)


def commit_of(place: Place, revision: str) -> str:
    """The commit that a revision names; a full id is fetched, if it is not here."""
    git.check_revision(revision)
    _check_one(place.repo, revision)
    found = git.resolve(place.repo, f"{revision}^{{commit}}")
    is_id = len(revision) in (40, 64) and not set(revision) - set("0123456789abcdef")
    remote = main_branch.remote(place) if found is None and is_id else None
    if remote is not None:
        git.fetch(place.repo, remote, [revision], depth=known.depth_of(place.repo))
        found = git.resolve(place.repo, f"{revision}^{{commit}}")
    if found is None:
        raise UsageError(f"there is no commit {shown(revision)} here; fetch it first")
    return found


def _check_one(repo: git.Repository, revision: str) -> None:
    """Refuse the name of a branch that somebody has given to a tag, too: git would take the tag."""
    told = ("-c", "core.warnAmbiguousRefs=true", "rev-parse", "--verify", "--end-of-options")
    is_head = re.match(r"HEAD(?![\w./-])", revision)  # which git never takes for a tag
    if not is_head and b"is ambiguous" in git.attempt(repo, *told, revision).stderr:
        what = f"{shown(revision)} names more than one thing here, such as a branch and a tag"
        raise UsageError(f"{what}; name it in full, such as refs/remotes/origin/main")


def _unknown_stages(base: Side, head: Side, changed: Sequence[Move]) -> list[Problem]:
    """The stages that are given to a version, or get gates, and the policy does not know."""
    named = {(it.name, it.stage) for it in changed if it.version is not None}
    for name, now in head.models.items():
        before = base.models.get(name, desired.NOTHING).gates
        named |= {(name, stage) for stage in now.gates if stage not in before}
    return [
        Problem(path_of(name), f"the policy knows {why}")
        for name, stage in sorted(named)
        if (why := base.policy.unknown(stage))
    ]


def gates_of_base(ground: Ground, move: Move) -> list[Gate]:
    """The gates of the policy and the model's own, as the base has them: these alone may run."""
    return [*ground.base.policy.gates.get(move.stage, ()), *own_gates(ground.base, move)]


def own_gates(side: Side, move: Move) -> tuple[Gate, ...]:
    """The gates of the model's own file for a stage."""
    return side.models.get(move.name, desired.NOTHING).gates.get(move.stage, ())


def of_ci(ground: Ground, subject: str) -> list[RunRecord]:
    """The runs about a run or a model's digest that CI has recorded, as far as they are here."""
    found = ground.base.policy.ci_signers
    return vouching.runs(ground.place.repo, ground.signing.listed, found, [subject])


def evaluations(ground: Ground, version: Known) -> tuple[Evaluation, ...]:
    """What CI has measured of a version."""
    return tuple(
        Evaluation(run.live_tags.get(PROJECT_ENTRY_POINT, ""), run.run_id, facts(run))
        for run in of_ci(ground, version.item.note.digest)
    )


def data(ground: Ground, gates: Iterable[Gate]) -> dict[str, str]:
    """The digests of the data that gates name, by name, as far as the base tracks them by DVC."""
    found: dict[str, str] = {}
    for name in {it.dataset for it in gates if isinstance(it, Evaluate) and it.dataset}:
        with contextlib.suppress(UsageError, FormatError):  # no job of CI's can evaluate on it
            tracked = holdout.tracked(ground.place.repo, ground.base.commit, name)
            found |= {} if tracked is None else {name: tracked.md5}
    return found
