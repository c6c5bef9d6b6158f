"""The git remote: whether it answers, what is in the way there, what it lacks."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping

from gitml import git
from gitml.errors import GitError, UsageError, plural, shown
from gitml.tracking import autopush, exchange, refusals, sync
from gitml.tracking.doctor.finding import ERROR, NOTE, WARNING, Finding, within
from gitml.tracking.doctor.ledger import is_broken
from gitml.tracking.place import Place
from gitml.tracking.redact import redact_url

_PATIENCE = 15.0  # seconds for a remote to answer
_FAILURES = 3  # pushes in a row that make it a matter
_MOVES = 20  # entries of a reflog that are looked at


def credentials(place: Place) -> Iterator[Finding]:
    """Passwords and tokens in the URLs of remotes."""
    for key, url in git.settings(place.repo).items():
        if not (key.startswith("remote.") and key.endswith((".url", ".pushurl"))):
            continue
        clean = redact_url(url)
        if clean != url:
            name = key.removeprefix("remote.").rpartition(".")[0]
            push = ["--push"] if key.endswith(".pushurl") else []
            yield Finding(
                WARNING,
                f"the URL of the git remote {shown(name)} holds a password or a token, in plain"
                " text in .git/config; a credential helper keeps it better",
                shlex.join(["git", "remote", "set-url", *push, name, clean]),
            )


def remote(place: Place) -> Iterator[Finding]:
    """Whether the ledger's remote is there and answers, and what it has."""
    try:
        name = exchange.remote_name(place)
    except UsageError as error:
        severity = ERROR if git.text(place.repo, "remote") else NOTE
        what, _, fix = str(error).partition("; ")
        yield Finding(severity, f"{what}; runs stay in this clone", fix.removeprefix("run: "))
        return
    try:
        there = within(_PATIENCE, lambda: git.remote_refs(place.repo, name, "refs/heads/*"))
    except GitError as error:
        yield _unreachable(place, name, error)
        return
    yield from _in_the_way(place, name, there)
    yield from _gone(place, name, there)


def _unreachable(place: Place, name: str, error: GitError) -> Finding:
    is_name = name in git.text(place.repo, "remote").split()
    remote = name if is_name else "REMOTE"
    known = refusals.explain(f"{error.stderr} {error}", place.ledger.short, remote)
    return Finding(
        WARNING,
        f"the git remote {shown(redact_url(name))} can't be reached: {error}",
        known.fix if known else f"git remote set-url {remote} URL",
    )


def _in_the_way(place: Place, name: str, there: Mapping[str, str]) -> Iterator[Finding]:
    parts = place.ledger.short.split("/")
    for branch in ("/".join(parts[:count]) for count in range(1, len(parts))):
        commit = there.get(f"refs/heads/{branch}")
        if commit is not None:
            old = f"{commit}:refs/heads/{branch}-old"
            yield Finding(
                ERROR,
                f"the remote has a branch {shown(branch)}, which leaves no room for the ledger"
                f" {place.ledger.short}",
                shlex.join(["git", "push", name, old, f":refs/heads/{branch}"]),
            )


def _gone(place: Place, name: str, there: Mapping[str, str]) -> Iterator[Finding]:
    known = git.resolve(place.repo, exchange.tracking_ref(place))
    if known is not None and place.ledger.ref not in there:
        yield Finding(ERROR, "the remote has lost its ledger; the runs are here", "gitml push")


def rewritten(place: Place) -> Iterator[Finding]:
    """Runs that were on the remote once and are not any more, though nobody collected them."""
    try:
        ref = exchange.tracking_ref(place)
    except UsageError:
        return
    now = git.resolve(place.repo, ref)
    if now is None:
        return
    done = git.attempt(place.repo, "reflog", "show", f"--max-count={_MOVES}", "--format=%H", ref)
    moves = dict.fromkeys(done.stdout.decode().split())
    lost: set[str] = set()
    for old in moves:
        known = git.succeeds(place.repo, "cat-file", "-e", f"{old}:")
        if known and not git.is_ancestor(place.repo, old, now):
            lost |= sync.run_ids(place.repo, old)
    lost -= sync.run_ids(place.repo, now) | sync.tombstones(place.repo, now)
    if lost:
        yield Finding(
            ERROR,
            f"the remote's ledger was rewritten and lacks {plural(len(lost), 'run')} that it had",
            "gitml push",
        )


def unpushed(place: Place) -> Iterator[Finding]:
    """Runs that only this clone has; and pushes by themselves that keep failing."""
    last = autopush.outcomes(place)[-_FAILURES:]
    problem = last[-1].problem if last else None
    if len(last) == _FAILURES and problem and all(outcome.problem for outcome in last):
        said = problem.removesuffix("; run: gitml doctor")
        what = f"the last {_FAILURES} pushes in the background failed: {said}"
        yield Finding(WARNING, what, "gitml push")
    try:
        there = git.resolve(place.repo, exchange.tracking_ref(place))
    except UsageError:
        return
    ours = None if is_broken(place.ledger) else place.ledger.local()
    if ours is not None and (waiting := sync.run_commits(place.repo, ours, there)):
        yield Finding(NOTE, f"{plural(len(waiting), 'run')} not pushed yet", "gitml push")


CHECKS = (credentials, remote, rewritten, unpushed)
