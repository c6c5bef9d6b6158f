"""The target `kubernetes` with `mode: gitops`: a pull request, which Argo CD or Flux act on.

gitml needs no access to the cluster: it changes the image in a file that is watched, by its digest,
and asks for a review. What runs is asked at the model's own address.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from gitml import caches, forge, git
from gitml.deploy import image, probe
from gitml.deploy.probe import Address, Live
from gitml.deploy.release import Release, Tell
from gitml.deploy.targets import watched
from gitml.errors import ForgeError, GitError, UsageError, shown
from gitml.forge import Opened, Proposal
from gitml.forge.finding import address_of
from gitml.tracking import refusals
from gitml.tracking.starting import identity

_REMOTE = "origin"
_LABEL = "gitml"


@dataclass(frozen=True, slots=True)
class Watched:
    """The file that is watched: on a branch of the repository at a URL, None for the main branch.

    `images` is the repository of the images that are changed there.
    """

    url: str
    path: str
    images: str
    branch: str | None = None


@dataclass(frozen=True, slots=True)
class GitOps:
    """A deployment that others bring to run; `name` is such as `production/churn`.

    `check` raises UsageError where the user has not allowed it. `publish` pushes the image of a
    version that has proven itself, and returns its name, by its digest.
    """

    name: str
    watched: Watched
    address: Address
    publish: Callable[[Release, Tell], str]
    check: Callable[[], None]

    def live(self) -> Live:
        """What runs, as its own address tells, which is asked once the user allows it."""
        self.check()
        return probe.look(self.address)

    def deploy(self, release: Release, tell: Tell) -> str:
        """Propose a version, unless that is done; what it waits for, in words.

        Raises BuildError and DeployError for an image that can't be built, or does not predict.
        """
        self.check()
        repo, tag = _clone(self.watched.url), image.tag_of(release)
        base, data = self._fetched(repo)
        if watched.names_tag(data, self.watched.path, self.watched.images, tag):
            return f"it is in {self.watched.path}; the cluster has still to follow"
        old = self._branch(repo)
        if old is not None and self._says(repo, old, tag):
            return _where(self._forge(repo).find(self._name), self._name)
        _, _, digest = self.publish(release, tell).partition("@")
        if not digest:
            raise UsageError("the engine does not tell the digest of the image that it has pushed")
        made = watched.with_image(data, self.watched.path, self.watched.images, tag, digest)
        self._push(repo, base, old, made, release)
        return _where(self._propose(repo, release, digest), self._name)

    def remove(self) -> None:
        """UsageError: what is to go has to go from the file, by who decides on it."""
        raise UsageError(
            f"what runs is taken away by who takes it out of {shown(self.watched.path)}; gitml"
            " only proposes images there"
        )

    # -- the repository --------------------------------------------------------------------

    @property
    def _name(self) -> str:
        return f"gitml/deploy/{self.name}"

    def _base(self, repo: git.Repository) -> str:
        """The full name of the branch that is watched."""
        if self.watched.branch is not None:
            return f"refs/heads/{self.watched.branch}"
        found = git.remote_head(repo, _REMOTE)
        if found is None:
            raise UsageError(f"{shown(self.watched.url)} has no commits")
        return found

    def _fetched(self, repo: git.Repository) -> tuple[str, bytes]:
        """The commit of the branch that is watched, and the file as it is there."""
        base = self._base(repo)
        tracking = base.replace("refs/heads/", f"refs/remotes/{_REMOTE}/", 1)
        git.fetch(repo, _REMOTE, [f"+{base}:{tracking}"])
        commit = git.resolve(repo, tracking)
        if commit is None:
            raise GitError(f"the branch {shown(base)} could not be fetched")
        (data,) = git.read_present(repo, [f"{commit}:{self.watched.path}"])
        if data is None:
            raise UsageError(f"there is no {shown(self.watched.path)} on {shown(base)}")
        return commit, data

    def _branch(self, repo: git.Repository) -> str | None:
        """The commit of the branch of proposals; None when there is none."""
        ref = f"refs/heads/{self._name}"
        if ref not in git.remote_refs(repo, _REMOTE, ref):
            return None
        tracking = f"refs/remotes/{_REMOTE}/{self._name}"
        git.fetch(repo, _REMOTE, [f"+{ref}:{tracking}"])
        return git.resolve(repo, tracking)

    def _says(self, repo: git.Repository, commit: str, tag: str) -> bool:
        (data,) = git.read_present(repo, [f"{commit}:{self.watched.path}"])
        told = self.watched
        return data is not None and watched.names_tag(data, told.path, told.images, tag)

    def _push(
        self, repo: git.Repository, base: str, old: str | None, data: bytes, release: Release
    ) -> None:
        """Push the branch of proposals, which only moves forward."""
        who = identity(git.settings(repo))
        merges = old is not None and not git.is_ancestor(repo, old, base)
        commit = git.commit_files(
            repo,
            [base, *([old] if old is not None and merges else [])],
            {self.watched.path: data},
            f"{_title(release)}\n\nModel-Digest: {release.digest}\nRun-Id: {release.run_id}\n",
            (who.name, who.email),
            f"{int(time.time())} {who.zone}",
        )
        (done,) = git.push(repo, _REMOTE, [f"{commit}:refs/heads/{self._name}"])
        if not done.accepted:
            why = refusals.reason(done.reason, self._name)
            raise GitError(f"the branch {shown(self._name)} is refused: {why}")

    def _forge(self, repo: git.Repository) -> forge.Forge:
        return forge.forge_of(address_of(repo, _REMOTE))

    def _propose(self, repo: git.Repository, release: Release, digest: str) -> Opened:
        lines = (
            f"{self.name} is to run `{release.name}@{release.version}`.",
            "",
            f"- image `{self.watched.images}@{digest}`",
            f"- model `{release.digest}`",
            f"- run `{release.run_id}`, code `{release.commit}`",
            "",
            "The image has predicted for the model's own input example.",
        )
        base = self._base(repo).removeprefix("refs/heads/")
        proposal = Proposal(self._name, base, _title(release), "\n".join(lines), (_LABEL,))
        try:
            return self._forge(repo).propose(proposal)
        except ForgeError as error:
            pushed = f"the branch {self._name} is pushed, but no pull request was opened"
            raise ForgeError(f"{pushed}: {error}") from None


def _title(release: Release) -> str:
    return f"Deploy {release.name} {release.version}"


def _where(opened: Opened | None, branch: str) -> str:
    """Where a change is to be merged, for people."""
    return opened.url if opened is not None and opened.url else f"merge the branch {branch}"


def _clone(url: str) -> git.Repository:
    """A clone of its own of the repository that is watched, without a work tree."""
    folder = caches.folder("gitops") / sha256(url.encode()).hexdigest()[:16]
    if not Path(folder, ".git", "HEAD").exists():
        folder.mkdir(mode=0o700, exist_ok=True)
        git.run(folder, "init", "--quiet", "--template=")
    git.run(folder, "config", f"remote.{_REMOTE}.url", url)
    return git.find(folder)
