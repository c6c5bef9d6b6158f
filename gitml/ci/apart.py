"""Runs of a version's own code again, apart from the main branch, whose variables it must not see.

GitLab gives each job of a protected branch the project's protected variables, and no job can put
them away. So that code is run on a branch that is not protected: `gitml/reproduce/VERSION`, at a
commit of the main branch, so that the jobs are those which were reviewed. What comes of it counts
only where the pipeline is at such a commit, and was started by this token's own user: anybody
else can choose variables for one, or push to that branch.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from gitml import forge, git
from gitml.ci import version as names
from gitml.documents import write_atomic
from gitml.errors import GitError, UsageError, shown
from gitml.forge import pipelines
from gitml.forge.finding import address_of
from gitml.forge.gitlab import GitLab
from gitml.forge.pipelines import Job, Pipeline
from gitml.registry import main_branch
from gitml.registry.checking.ground import commit_of
from gitml.tracking import refusals
from gitml.tracking.place import Place

BRANCHES = "gitml/reproduce/"
WORKFLOW, JOB, BUNDLE = "reproduce", "gitml-reproduce", "gitml-run.bundle"
HERE, STARTED, GOES_ON, FAILED = "is here", "is started", "goes on", "failed"
_SKIP = "ci.skip"  # the push itself starts no pipeline
_ENDED = ("failed", "canceled", "skipped")


@dataclass(frozen=True, slots=True)
class Left:
    """How the run of a version stands, one of the words above, and the page of its pipeline."""

    word: str
    url: str = ""


def fetch(place: Place, version: str, base: str, file: Path) -> Left:
    """Put the bundle of a version's run into `file`; where there is none, have it run.

    `base` is the main branch. One that has failed is not run again at the same
    commit. Raises UsageError for another name than a version's, and where the forge is not GitLab;
    GitError when the branch is refused, ForgeError when GitLab refuses.
    """
    branch = _branch(place.repo, version)
    remote = main_branch.remote(place)
    client = None if remote is None else forge.forge_of(address_of(place.repo, remote))
    if remote is None or not isinstance(client, GitLab):
        raise UsageError("only GitLab can be asked to run it, with a token for its API")
    commit = commit_of(place, base)
    found = _newest(client, branch, commit)
    job = pipelines.job(client, found.id, JOB) if found else None
    if found is None or (_has_ended(job) and found.commit != commit):
        _push(place.repo, remote, commit, branch)
        client.dispatch(WORKFLOW, branch, {})
        return Left(STARTED)
    if job is not None and job.status == "success":
        write_atomic(file, pipelines.artifact(client, job, BUNDLE))
        return Left(HERE, found.url)
    return Left(FAILED if _has_ended(job) else GOES_ON, found.url)


def _branch(repo: git.Repository, version: str) -> str:
    """The branch of a version, which may have no tag yet, so that its name has a path in it."""
    names.parse(version)
    branch = f"{BRANCHES}{version}"
    if not git.succeeds(repo, "check-ref-format", f"refs/heads/{branch}"):
        what = f"{shown(version)} can't be run again at GitLab, where a branch would be called so"
        raise UsageError(f"{what}; log the model under a plain name, such as model")
    return branch


def _has_ended(job: Job | None) -> bool:
    return job is None or job.status in _ENDED


def _newest(client: GitLab, branch: str, main: str) -> Pipeline | None:
    """The newest pipeline that counts."""
    every = pipelines.mine(client, branch)
    return next((it for it in every if pipelines.holds(client, main, it.commit)), None)


def _push(repo: git.Repository, remote: str, commit: str, branch: str) -> None:
    (done,) = git.push(repo, remote, [f"{commit}:refs/heads/{branch}"], option=_SKIP)
    if not done.accepted:
        why = refusals.reason(done.reason, branch)
        raise GitError(f"the branch {shown(branch)} is refused: {why}; nobody else may push there")
