"""Where a project is: its URI becomes a folder to run in, and the place of its run."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from gitml import git
from gitml.errors import GitError, UsageError, shown
from gitml.files import shown_path
from gitml.projects import checkout, confinement, known, mlproject, replay, uris
from gitml.projects.kubernetes.placing import KUBERNETES
from gitml.projects.mlproject import DockerEnv
from gitml.projects.task import Request, Where, described
from gitml.tracking import mending, store, system_tags, vouched
from gitml.tracking.fluent import place as fluent
from gitml.tracking.ledger import Entry
from gitml.tracking.place import Place, place_of


@dataclass(frozen=True, slots=True)
class Proposal:
    """What is about to be run of a source that is not known: its URL, and what it executes.

    In a container, `image` is what it runs in, and `access` what it would have of this machine.
    """

    source: str
    commit: str
    entry_point: str
    command: str
    image: str | None = None
    access: tuple[str, ...] = ()


Ask = Callable[[Proposal], bool]


def allowed(allow_code: bool) -> Ask | None:
    """Who is asked where no person is: nobody where that is allowed, else all is refused."""
    return None if allow_code else _refused


def _refused(proposal: Proposal) -> bool:
    raise UsageError(
        f"{shown(proposal.source)} is not known here, and its code is not run unasked; look at it,"
        " and pass allow_code=True if you trust who wrote it"
    )


@contextlib.contextmanager
def opened(request: Request, ask: Ask | None = None) -> Iterator[Where]:
    """The folder of the project that a request names, for as long as the block lasts.

    `ask` is asked before the first run of a repository that is neither a remote of the caller's
    nor known; without it nobody is.
    """
    source = _parse(request.uri)
    if isinstance(source, uris.Folder) and request.version is None:
        yield _plain(source)
        return
    place = fluent.place()
    owner = owner_of(place)
    with checkout.workspace() as folder:
        if isinstance(source, uris.OfRun):
            where = _of_run(place, owner, source, request, folder, ask)
        elif isinstance(source, uris.Folder):
            where = _of_folder(place, owner, source, request, folder)
        else:
            where = _fetched(place, owner, source, request, folder)
            if ask is not None:
                commit = where.tags.get(system_tags.GIT_COMMIT) or _head(where)
                made = _proposal(where, source.url, commit, request)
                if not known.is_known(place.repo, source.url, made.access):
                    _agree(made, ask)
                    known.remember(source.url, made.access)
        yield where


def owner_of(place: Place) -> Path:
    """The folder whose settings hold in a work tree that is made for runs of `place`."""
    return place.owner or (fluent.named_folder() or Path.cwd()).absolute()


def _parse(uri: str) -> uris.Folder | uris.Repository | uris.OfRun:
    """What the URI names; a folder with a `#` in its name is that folder."""
    if "#" in uri and Path(uri).is_dir():
        return uris.Folder(uri)
    return uris.parse(uri)


# -- folders -------------------------------------------------------------------------------


def _plain(source: uris.Folder) -> Where:
    """A plain folder: it runs in place, and is recorded in the repository that holds it.

    One that `GITML_REPO` or `set_tracking_uri` names comes first.
    """
    folder = _existing(source)
    if source.subdirectory:
        folder = checkout.inside(folder, source.subdirectory)
    named = fluent.named_folder()
    place = fluent.place() if named else place_of(git.find(folder), folder)
    return Where(place, folder, (named or folder).absolute(), _name(place.repo, folder))


def _existing(source: uris.Folder) -> Path:
    folder = Path(source.path).expanduser().absolute()
    if not folder.is_dir():
        raise UsageError(f"there is no folder {shown_path(folder)}")
    return folder


def _name(repo: git.Repository, folder: Path) -> str:
    """The folder's path in the repository with slashes; elsewhere its name alone."""
    real = folder.resolve()
    if repo.root is not None and real.is_relative_to(repo.root.resolve()):
        return real.relative_to(repo.root.resolve()).as_posix()
    return real.name


def _of_folder(
    place: Place, owner: Path, source: uris.Folder, request: Request, folder: Path
) -> Where:
    """A folder at another version: of the caller's repository, or of another one here."""
    there = _existing(source)
    repo = git.find(there)
    if repo.root is None:
        raise UsageError(f"{shown_path(there)} is in a repository without a work tree")
    below = there.resolve().relative_to(repo.root.resolve())
    inside = (below / (source.subdirectory or "")).as_posix()
    revision = git.check_revision(request.version or "HEAD")
    commit = git.resolve(repo, f"{revision}^{{commit}}")
    if commit is None:
        raise UsageError(f"{shown_path(repo.root)} has no revision {shown(revision)}")
    if repo.common_dir == place.repo.common_dir:
        return _checked_out(place, owner, commit, folder, inside, inside)
    foreign = _foreign(place, repo.common_dir.as_uri(), folder)
    name = repo.root.name if inside == "." else f"{repo.root.name}/{inside}"
    if not git.has_commit(place.repo, commit):
        foreign.fetch(commit, commit)
        commit = _taken_over(place.repo, foreign, commit, repo.root.name)
    return _checked_out(place, owner, commit, folder, inside, name)


# -- runs ----------------------------------------------------------------------------------


def recorded(place: Place, run: str) -> tuple[Entry, bool]:
    """A run that has ended, and whether this repository answers for it, not only a fork.

    Raises UsageError when there is none.
    """
    run_id = store.resolve(place, run)
    own = next(vouched.vouched_entries(place, run_id), None)
    entry = own or store.entry(place, run_id)
    if entry is None:
        raise UsageError(f"run {run_id[-8:]} has not ended; its code can't be run yet")
    return entry, own is not None


def _of_run(
    place: Place, owner: Path, source: uris.OfRun, request: Request, folder: Path, ask: Ask | None
) -> Where:
    """The code of a run; one that only a fork has, which was fetched, is a stranger's."""
    if request.version is not None:
        raise UsageError("a run has one version; leave --version out")
    entry, is_own = recorded(place, source.run)
    run_id = entry.record.run_id
    inside = replay.folder_of(entry.record) if source.subdirectory is None else source.subdirectory
    name = f"runs:/{run_id}" + (f"#{inside}" if inside else "")
    where = _checked_out(place, owner, entry.commit, folder, inside, name)
    if not is_own and ask is not None:
        _agree(_proposal(where, name, entry.commit, request), ask)
    return where


# -- repositories --------------------------------------------------------------------------


def _fetched(
    place: Place, owner: Path, source: uris.Repository, request: Request, folder: Path
) -> Where:
    """The code at a URL, from the caller's own repository if that has it."""
    revision = git.check_revision(request.version) if request.version else None
    foreign = _foreign(place, source.url, folder)
    commit = foreign.commit(revision)
    name = source.url + (f"#{source.subdirectory}" if source.subdirectory else "")
    if commit is None or not git.has_commit(place.repo, commit):
        commit = foreign.fetch(revision or "HEAD", commit)
    own, tags = commit, {}
    if not git.has_commit(place.repo, commit):
        own = _taken_over(place.repo, foreign, commit, source.url)
        tags = {system_tags.GIT_COMMIT: commit, system_tags.GIT_REPO_URL: source.url}
    where = _checked_out(place, owner, own, folder, source.subdirectory, name)
    return replace(where, tags=tags)


def _taken_over(repo: git.Repository, foreign: git.Foreign, commit: str, origin: str) -> str:
    """Take over the tree of a foreign commit, as a commit without history that says whose it is.

    For some seconds nothing prunes it; the work tree that it is checked out in holds it then.
    """
    own = foreign.tree_as_commit(commit, f"gitml: code of {origin}\n\nCommit: {commit}")
    try:
        foreign.hand_over(own, repo, mending.new_guard())
    except GitError as error:
        raise GitError(f"{shown(origin)} can't be taken over: {error}") from None
    return own


def _foreign(place: Place, url: str, folder: Path) -> git.Foreign:
    return git.Foreign(url, folder / "fetched", git.object_format(place.repo))


def _checked_out(
    place: Place, owner: Path, commit: str, folder: Path, inside: str, name: str
) -> Where:
    made = checkout.check_out(place, owner, commit, folder)
    top = folder / checkout.CODE
    project = checkout.inside(top, inside) if inside not in ("", ".") else top
    return Where(made, project, top, name)


def _head(where: Where) -> str:
    return git.text(where.place.repo, "rev-parse", "HEAD")


def _proposal(where: Where, source: str, commit: str, request: Request) -> Proposal:
    """What would run, and what it would have."""
    project = mlproject.read(where.folder)
    command = described(request, project)
    named = project.environment
    image = named.image if isinstance(named, DockerEnv) else named.name if named else None
    if request.backend == KUBERNETES:  # where a project has nothing of this machine
        return Proposal(source, commit, request.entry_point, command, image)
    if not confinement.is_wanted(project, request.backend, request.env_manager):
        return Proposal(source, commit, request.entry_point, command)
    access = confinement.access(project)
    return Proposal(source, commit, request.entry_point, command, image, access)


def _agree(proposal: Proposal, ask: Ask) -> None:
    """Have the user agree to run what is not known; UsageError when he does not."""
    if not ask(proposal):
        source = shown(proposal.source)
        raise UsageError(f"{source} is not run: it is not known, and was not agreed to")


def agree_to_run(entry: Entry, ask: Ask, folder: Path | None = None) -> None:
    """Have the user agree that a run is run again which only a fork has.

    Of one that ran in a container, `folder` is its project, which tells what it would have.
    """
    like = entry.record
    command = " ".join(like.source.command)
    proposal = Proposal(f"runs:/{like.run_id}", entry.commit, like.source.name, command)
    if folder is not None and like.live_tags.get(system_tags.PROJECT_ENV) == confinement.DOCKER:
        image = like.live_tags.get(system_tags.DOCKER_IMAGE_URI)
        access = confinement.access(mlproject.read(folder))
        proposal = replace(proposal, image=image, access=access)
    _agree(proposal, ask)
