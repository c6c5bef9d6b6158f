"""Where a repository's runs are and go: a branch that is checked out to look at does not decide.

gitml.yaml comes with the branch, whoever wrote it. By `ledger` a stranger's could have his runs
count as the repository's, and the user's sent to him. So what counts is what gitml.yaml says on the
default branch of the remote `origin`, or of that which the user calls so (`checkout.defaultRemote`
of git); in a repository without it, on the local `main` or `master`; else the default. A user who
wants another before it is there says so in his own configuration of git, which no clone brings.
"""

from __future__ import annotations

import shlex
from collections.abc import Collection, Mapping
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, NamedTuple

from gitml import config, git, storage
from gitml.documents import load_yaml
from gitml.errors import FormatError, UsageError, shown
from gitml.tracking.ledger import Ledger

if TYPE_CHECKING:
    from gitml.tracking.place import Place

KEY = "gitml.ledger"  # of git's configuration: "REMOTE BRANCH", such as "runs gitml/runs"
_BRANCHES = ("HEAD", "main", "master")


class Branch(NamedTuple):
    """The branch that decides, in words, its commit and the full name of the ref that says so."""

    name: str
    commit: str
    ref: str


def ledger(place: Place) -> config.Ledger:
    """The settings of the ledger whose runs are this repository's, whatever is checked out."""
    settings = _settings(place)
    return _ledger(place, settings, _branch(place, settings))


def default_branch(place: Place) -> Branch | None:
    """The default branch of `origin`, as it was fetched last; None when there is none to be seen.

    In a repository without remotes it is the local one.
    """
    return _branch(place, _settings(place))


def shares(place: Place) -> bool:
    """Whether the remote that is set is the one with which the repository shares its runs."""
    return ledger(place).remote == place.settings.ledger.remote


def own_heads(place: Place, heads: Collection[str]) -> list[str]:
    """Those of a ledger's heads, by full name, that are the repository's own, the local one first.

    The others are of remotes that were added to look at them, such as a fork.
    """
    ref = place.settings.ledger.ref
    usual = [ref, f"refs/remotes/origin/{_short(place.settings.ledger)}"]
    names = usual if set(usual).issuperset(heads) else own(place)[1]
    return [name for name in names if name in heads]


def own(place: Place) -> tuple[Ledger, list[str]]:
    """The repository's own ledger, and the full names of its heads, the local one first."""
    settings = _settings(place)
    told = _ledger(place, settings, _branch(place, settings))
    found = Ledger(place.repo, told.ref, told.remote)
    is_other = _follows_another(settings, told)
    return found, [found.tracking] if is_other else [told.ref, found.tracking]


def check(place: Place) -> None:
    """Refuse, with a UsageError, to share runs where only the branch here wants them.

    So is a ledger that is a stranger's branch of the same name.
    """
    wanted, settings = place.settings.ledger, _settings(place)
    branch = _branch(place, settings)
    own = _ledger(place, settings, branch)
    if own.remote != wanted.remote:
        other = (
            f"on {branch.name} it is {shown(own.remote)}"
            if branch
            else "no default branch that says so is known here"
        )
        agree = shlex.join(["git", "config", KEY, _text(wanted)])
        raise UsageError(
            f"the ledger's remote is {shown(wanted.remote)} by gitml.yaml here, but {other}, and"
            f" is not used unless you want it; run: {agree}"
        )
    if _follows_another(settings, wanted):
        short = _short(wanted)
        raise UsageError(
            f"the branch {short} follows another than the ledger of {shown(wanted.remote)}, as one"
            f" that was checked out to look at; run: git branch -m {short} looked-at"
        )


def check_storage(place: Place) -> None:
    """Refuse, with a UsageError, a DVC remote that only the branch here has chosen.

    Where artifacts go by themselves, as opposed to a push that somebody asks for.
    """
    remote, branch = place.remote(), _branch(place, _settings(place))
    if remote is None or branch is None:
        return
    top = git.find(place.root).root or place.root
    text = _nearest(place.repo, branch.commit, place.root, top, ".dvc/config")
    if not storage.is_known(place.root, remote, text or b""):
        raise UsageError(
            f"the DVC remote is not as on {branch.name}, and nothing goes there unasked;"
            " run: gitml push"
        )


def _follows_another(settings: Mapping[str, str], ledger: config.Ledger) -> bool:
    """Whether the local branch of the ledger follows something else.

    So it is when somebody checked out a stranger's pull request whose branch has the same name.
    """
    branch = f"branch.{_short(ledger)}"
    remote = settings.get(f"{branch}.remote", ledger.remote)
    return remote != ledger.remote or settings.get(f"{branch}.merge", ledger.ref) != ledger.ref


def _settings(place: Place) -> Mapping[str, str]:
    return git.settings(place.repo)


def _short(ledger: config.Ledger) -> str:
    return ledger.ref.removeprefix("refs/heads/")


def _text(ledger: config.Ledger) -> str:
    return f"{ledger.remote} {_short(ledger)}"


def _branch(place: Place, settings: Mapping[str, str]) -> Branch | None:
    """The default branch, as it was fetched last; None when there is none to be seen."""
    remote = settings.get("checkout.defaultremote", "origin")
    is_there = any(key.startswith(f"remote.{remote}.") for key in settings)
    where = f"refs/remotes/{remote}" if is_there else "refs/heads"
    names = [f"{where}/{it}" for it in _BRANCHES]
    heads = {ref.name: ref.id for ref in git.refs(place.repo, *names)}
    for name in names:
        if name in heads:
            short = name.removeprefix("refs/remotes/").removeprefix("refs/heads/")
            default = f"the default branch of {remote}"
            return Branch(default if name.endswith("/HEAD") else short, heads[name], name)
    return None


def _ledger(place: Place, settings: Mapping[str, str], branch: Branch | None) -> config.Ledger:
    wanted = place.settings.ledger
    if settings.get(KEY) == _text(wanted):
        return wanted
    start = place.settings.folder or place.owner or place.code.root
    if branch is None or start is None:
        return config.Ledger()
    top = (place.code if place.owner is None else git.find(place.owner)).root or start
    text = _nearest(place.repo, branch.commit, start, top, config.FILE_NAME)
    try:
        return config.parse(load_yaml(text or b"{}", config.FILE_NAME)).ledger
    except FormatError:
        return config.Ledger()


def _nearest(repo: git.Repository, commit: str, start: Path, top: Path, name: str) -> bytes | None:
    """What a file holds in a commit, in the folder `start` of the work tree `top` or above."""
    path = PurePosixPath(start.resolve().relative_to(top.resolve()).as_posix())
    names = [f"{commit}:{folder / name}" for folder in (path, *path.parents)]
    return next((text for text in git.read_present(repo, names) if text is not None), None)
