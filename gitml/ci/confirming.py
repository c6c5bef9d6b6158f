"""Runs that a job without rights has left in a bundle, recorded and signed as CI's own.

That job ran code that it judges, so what it left is a stranger's. It counts only when it is exactly
the one run that was asked for: about that version, finished, on the code that it is to be on.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from gitml import git
from gitml.ci import version
from gitml.ci.needs import Need
from gitml.errors import FormatError, GitError, shown
from gitml.git import Progress
from gitml.registry import holdout, publishing, vouching
from gitml.registry.checking.ground import commit_of
from gitml.registry.checking.known import Known
from gitml.registry.vouching import EVALUATES, REPRODUCES
from gitml.tracking import bundling, exchange
from gitml.tracking.bundling import Arrived
from gitml.tracking.commits import RUN_FOLDER
from gitml.tracking.place import Place
from gitml.tracking.record import FINISHED, RunRecord
from gitml.tracking.system_tags import PROJECT_ENTRY_POINT


def confirm(
    place: Place, file: Path, need: Need, base: str, progress: Progress | None = None
) -> str:
    """Record the run of a bundle, publish it, and sign it; the name of the tag.

    `base` is the revision whose entry point was to evaluate. Nothing of the bundle is kept unless
    it is what `need` asks for: FormatError says why it is not. Raises GitError when the remote
    refuses the run or the tag, UsageError where tags are not signed.
    """
    vouching.check_signs(place)
    commit = commit_of(place, base)
    about = version.find(place, commit, need.version, progress)
    with bundling.read(place, file) as arrived:
        run = _one(arrived)
        at = git.resolve(place.repo, f"{bundling.REFS}{run.run_id}")
        for problem in _problems(place, run, need, about, commit, str(at)):
            raise FormatError(f"run {run.run_id[-8:]} of the bundle {problem}")
        bundling.add(place, arrived)
    done = exchange.push(place, progress=progress)
    for problem in (*done.withheld.values(), *done.problems):
        raise GitError(f"the run of the bundle can't be published: {problem}")
    return vouching.vouch(place, run.run_id, publishing.remote(place))


def _one(arrived: list[Arrived]) -> RunRecord:
    if len(arrived) != 1:
        raise FormatError(f"the bundle has {len(arrived)} runs; one was asked for")
    return arrived[0].record


def _problems(
    place: Place, run: RunRecord, need: Need, about: Known, base: str, commit: str
) -> Iterator[str]:
    """Why a run is not what was asked for, in words."""
    if run.status != FINISHED:
        yield f"is {run.status}"
    tags, note = run.live_tags, about.item.note
    wanted: dict[str, str | None] = {REPRODUCES: note.run_id, EVALUATES: None}
    if need.entry_point is not None:
        wanted = {REPRODUCES: None, EVALUATES: note.digest, PROJECT_ENTRY_POINT: need.entry_point}
    for key, value in wanted.items():
        if tags.get(key) != value:
            yield f"has {shown(str(tags.get(key)))} as its tag {key}, not {value}"
    if need.entry_point is None:
        if not _is_code_of(place.repo, commit, about.item.commit):
            yield f"is not of the code of {need.version}"
        return
    if not _is_code_of(place.repo, commit, base):
        yield f"is not of the code of {base[:12]}"
    yield from _other_data(place, run, need, base)


def _is_code_of(repo: git.Repository, commit: str, other: str) -> bool:
    """Whether two commits have the same files, but for what they say of a run."""
    places = (".", f":(exclude){RUN_FOLDER}")
    done = git.attempt(repo, "diff-tree", "--quiet", "-r", commit, other, "--", *places)
    return done.returncode == 0


def _other_data(place: Place, run: RunRecord, need: Need, base: str) -> Iterator[str]:
    """What of its dataset is not as the base has it."""
    if need.dataset is None:
        return
    found = [it for it in run.datasets if it.name == need.dataset]
    data = holdout.tracked(place.repo, base, need.dataset)
    if not found:
        yield f"was not scored on {shown(need.dataset)}"
    elif data is not None and {it.digest for it in found} != {data.md5}:
        yield f"was scored on other data than {shown(need.dataset)} at {base[:12]}"
