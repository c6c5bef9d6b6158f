"""Runs in a file, for a job that may not push: a bundle of git's with the run commits in it.

One job runs the project's code, with no right to write, and leaves a bundle; another, which runs
none of it, takes the runs out and pushes them. What the first one leaves is a stranger's: only
whole new runs are taken, on code that is at the remote already, and nothing else that is in it.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from gitml import git, storage
from gitml.errors import FormatError, GitError, UsageError, shown
from gitml.tracking import artifact_exchange, bundled, exchange, pointers, sync
from gitml.tracking.commits import RunAgain, checked_path
from gitml.tracking.ledger import Entry
from gitml.tracking.names import run_path
from gitml.tracking.place import Place
from gitml.tracking.record import RUNNING, RunRecord
from gitml.tracking.typed import MALFORMED

REFS = "refs/gitml/bundle/"  # one for each run of a bundle, by its id
_REF = re.compile(rf"([0-9a-f]{{40,64}}) {REFS}([0-9a-f]{{32}})")
_MOST = 1000  # runs
# What CI runs. On the commit of a run it would run once that gets a tag, with the tag's rights.
_OF_CI = (
    ".github", ".gitlab", ".gitlab-ci.yml", ".gitea", ".forgejo", ".woodpecker", ".woodpecker.yml",
    ".woodpecker.yaml", ".drone.yml", ".circleci", ".buildkite", ".travis.yml", "Jenkinsfile",
    "azure-pipelines.yml", "bitbucket-pipelines.yml",
)  # fmt: skip


class Arrived(NamedTuple):
    """A run that a bundle has, and the change that puts it into the ledger, None if it is there."""

    record: RunRecord
    change: RunAgain | None


# -- write ---------------------------------------------------------------------------------


def unpublished(place: Place) -> list[str]:
    """The runs that are recorded here and not at the remote, as far as is known, by age."""
    ours = place.ledger.local()
    known = git.resolve(place.repo, place.ledger.tracking)
    return [] if ours is None else sorted(sync.run_commits(place.repo, ours, known))


def write(place: Place, runs: Sequence[str], file: Path) -> None:
    """Upload the artifacts of recorded runs, then put their commits into a file.

    Raises UsageError for a run that is not recorded here, StorageError or GitError when that fails.
    """
    if not runs:
        raise UsageError("there is no run to put into a bundle: none was recorded here")
    known = git.resolve(place.repo, place.ledger.tracking)
    upload = artifact_exchange.upload(place, known, None)
    if lacking := sorted(upload.withheld.keys() & set(runs)):
        why = upload.withheld[lacking[0]]
        raise UsageError(f"run {lacking[0][-8:]} can't go into a bundle: {why}")
    commits = {run: _recorded(place, run).commit for run in runs}
    with _held(place.repo, commits):
        names = [f"{REFS}{run}" for run in commits]
        git.run(place.repo, "bundle", "create", "--quiet", str(file.resolve()), *names,
                "--not", "--remotes")  # fmt: skip


def _recorded(place: Place, run: str) -> Entry:
    head = place.ledger.local()
    entry = None if head is None else place.ledger.find(run, [head])
    if entry is None:
        raise UsageError(f"run {run[-8:]} is not recorded in this clone")
    return entry


@contextlib.contextmanager
def _held(repo: git.Repository, commits: dict[str, str]) -> Iterator[None]:
    """Have a ref for each of the runs, as long as it is needed."""
    git.update_refs(repo, [f"update {REFS}{run} {commit}" for run, commit in commits.items()])
    try:
        yield
    finally:
        git.update_refs(repo, [f"delete {REFS}{run}" for run in commits])


# -- read ----------------------------------------------------------------------------------


@contextlib.contextmanager
def read(place: Place, file: Path) -> Iterator[list[Arrived]]:
    """The runs of a bundle, each checked, oldest first; they may be `add`ed within the context.

    Raises UsageError for a file that is no bundle, FormatError for one that has anything but new
    runs, and GitError when git refuses it, or a remote that it needs can't be read.
    """
    bundled.check_file(file)
    exchange.pull(place)
    runs = _runs(place.repo, file)
    bundled.check_objects(place.repo, file)
    known = git.text(place.repo, "rev-parse", "HEAD", "--branches", "--remotes").split()
    specs = [f"+{REFS}{run}:{REFS}{run}" for run in runs]
    git.fetch(place.repo, str(file.resolve()), specs)
    try:
        bundled.check_sizes(place.repo, runs.values(), known)
        yield [_arrived(place, run, commit, known, runs) for run, commit in sorted(runs.items())]
    finally:
        there = git.refs(place.repo, *(f"{REFS}{run}" for run in runs))
        git.update_refs(place.repo, [f"delete {ref.name}" for ref in there])


def add(place: Place, arrived: Sequence[Arrived]) -> None:
    """Put runs of a bundle into the ledger, all of them or none."""
    if new := [it.change for it in arrived if it.change is not None]:
        place.ledger.append(new)


def _runs(repo: git.Repository, file: Path) -> dict[str, str]:
    """The commits that a bundle names, by run."""
    done = git.attempt(repo, "bundle", "list-heads", str(file.resolve()))
    lines = done.stdout.decode("utf-8", "replace").splitlines()
    if done.returncode or not lines:
        raise UsageError(f"{shown(str(file))} is no bundle; gitml runs bundle makes one")
    found = {}
    for line in lines:
        match = _REF.fullmatch(line)
        if match is None:
            raise FormatError(f"the bundle has {shown(line.partition(' ')[2])}, which is no run")
        found[match[2]] = match[1]
    if len(found) > _MOST:
        raise FormatError(f"the bundle has {len(found)} runs, at most {_MOST} are allowed")
    return found


def _arrived(
    place: Place, run: str, commit: str, known: Sequence[str], others: dict[str, str]
) -> Arrived:
    there = place.ledger.find(run)
    if there is not None and there.commit == commit:  # the job was started again
        return Arrived(there.record, None)
    try:
        _check_commits(place.repo, run, commit, known)
        entry = place.ledger.at(commit)
        _check(place, entry, run, others)
        sync.summaries(place.repo, entry.files)
    except (*MALFORMED, GitError) as error:
        raise FormatError(f"run {run[-8:]} of the bundle can't be read: {shown(error)}") from None
    time = (entry.record.end_time or entry.record.start_time) // 1000
    files = {sync.RUN_JSON: entry.blob, **entry.files}
    return Arrived(entry.record, RunAgain(entry.record, files, commit, time))


def _check_commits(repo: git.Repository, run: str, commit: str, known: Sequence[str]) -> None:
    """Refuse commits that are not of this run, and code of CI's that is not on its code commit."""
    excluded = [f"^{it}" for it in known]
    form = "--format=%H%x00%P%x00%(trailers:key=Run-Id,valueonly,separator=)"
    log = git.text(repo, "log", "--topo-order", form, commit, *excluded, "--")
    new = [line.split("\0") for line in log.split("\n") if line]
    if not new or any(run_id != run for _, _, run_id in new):
        raise FormatError(f"run {run[-8:]} of the bundle stands on commits that are not its own")
    codes = {it for _, parents, _ in new for it in parents.split()} - {it for it, *_ in new}
    rules = {git.text(repo, "ls-tree", it, "--", *_OF_CI) for it in (*codes, *(n[0] for n in new))}
    if len(codes) != 1 or len(rules) != 1:
        raise FormatError(
            f"run {run[-8:]} of the bundle changes what CI runs, such as {_OF_CI[0]}: commit that"
            " first"
        )
    (code,) = codes
    for id, *_ in new:
        try:
            bundled.check_tree(repo, id, code)
        except FormatError as error:
            raise FormatError(f"run {run[-8:]} of the bundle can't be taken: {error}") from None


def _check(place: Place, entry: Entry, run: str, others: dict[str, str]) -> None:
    """Refuse a run that is not whole, not new, or says what is not its to say."""
    record, name = entry.record, f"run {run[-8:]} of the bundle"
    run_path(record.experiment_id, record.run_id)
    for path in entry.files:
        checked_path(path)
    if record.run_id != run:
        raise FormatError(f"{name} is the record of another run")
    if record.status == RUNNING:
        raise FormatError(f"{name} has not ended")
    if record.parent_run not in (None, *others):
        raise FormatError(f"{name} belongs to a run that is not in the bundle")
    if place.ledger.is_buried(run) or place.ledger.find(run) is not None:
        raise FormatError(f"{name} is recorded already")
    if lacking := place.ledger.lacks(entry):
        raise FormatError(f"{name} lacks {shown(lacking[0])}")
    remote, blob = place.remote(), entry.files.get(pointers.CONFIG)
    if blob is not None:
        text = next(git.read_objects(place.repo, [blob])).decode("utf-8", "replace")
        if remote is None or text != storage.run_config_text(remote):
            raise FormatError(f"{name} has its artifacts at another DVC remote than the project's")


def top(arrived: Sequence[Arrived]) -> RunRecord:
    """The one run to which all others of a bundle belong; UsageError when there are several."""
    found = [it.record for it in arrived if it.record.parent_run is None]
    if len(found) != 1:
        raise UsageError(f"the bundle has {len(found)} runs; one was expected, and what is below")
    return found[0]
