"""Repositories of strangers: one revision of their code, and nothing of theirs runs meanwhile.

What is fetched goes into a bare repository of our own, whose objects git has checked. Of the
user's settings only those hold by which he logs in.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from gitml import process
from gitml.errors import GitError, UsageError, shown
from gitml.git.commands import Repository, attempt, failure, run, succeeds, text
from gitml.git.network import ANSWER_SECONDS, CHECKED, fetch

_LOGIN = re.compile(
    r"(?:credential|http|ssh)\.|core\.(?:sshcommand|askpass)$|safe\.directory$", re.IGNORECASE
)
_HARDENED = tuple(
    part
    for setting in (
        "core.symlinks=false",
        "safe.bareRepository=explicit",
        "transfer.fsckObjects=true",
        "fetch.recurseSubmodules=false",
        "fetch.writeCommitGraph=false",
        "http.followRedirects=false",
        "protocol.version=2",
    )
    for part in ("-c", setting)
)
_FETCH = ("--no-tags", "--no-recurse-submodules", "--no-write-fetch-head", "--refmap=", "--quiet")
_HERE = "refs/gitml-fetched/code"
_REVISION = re.compile(r"(?!.*(?:\.\.|@\{|//))[A-Za-z0-9_][\w./+@~^-]{0,200}", re.ASCII)
_ID = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?")
_REDIRECTED = re.compile(r"\b30[1278]\b|redirect")


def check_revision(name: str) -> str:
    """`name` if it can be a branch, a tag or a commit; UsageError for what git would interpret."""
    if not _REVISION.fullmatch(name):
        raise UsageError(f"{shown(name)} is no revision; name a branch, a tag or a commit")
    return name


@dataclass(frozen=True, slots=True)
class Foreign:
    """A repository at a URL, and the empty folder where what is fetched of it goes.

    `format` is the hash that must name its objects, sha1 or sha256.
    """

    url: str
    folder: Path
    format: str

    def commit(self, revision: str | None) -> str | None:
        """The commit that a branch or tag names there, of the default branch without one.

        None when that can't be told without fetching. Raises GitError when it does not answer, and
        UsageError when it has no such name, or two.
        """
        out = self._git("ls-remote", "--", self.url, seconds=ANSWER_SECONDS).stdout
        pairs = (line.split("\t") for line in out.decode("utf-8", "replace").splitlines())
        refs = {pair[1]: pair[0] for pair in pairs if len(pair) == 2}
        self._check_format(next(iter(refs.values()), ""))
        if revision is None:
            if "HEAD" not in refs:
                raise UsageError(f"{shown(self.url)} has no commits")
            return refs["HEAD"]
        names = [revision, f"refs/heads/{revision}", f"refs/tags/{revision}"]
        found = {refs.get(f"{name}^{{}}", refs[name]) for name in names if name in refs}
        if len(found) > 1:
            raise UsageError(
                f"{shown(self.url)} has a branch and a tag {shown(revision)}; name one of them in"
                f" full, such as refs/heads/{revision}"
            )
        return found.pop() if found else revision if _ID.fullmatch(revision) else None

    def _check_format(self, id: str) -> None:
        theirs = "sha256" if len(id) == 64 else "sha1"
        if id and theirs != self.format:
            raise UsageError(
                f"{shown(self.url)} names its objects by {theirs}, this repository by"
                f" {self.format}; clone it and run it there"
            )

    def fetch(self, revision: str, commit: str | None) -> str:
        """Fetch the code at a revision, as little else as can be; the commit's id.

        Raises GitError in git's words, also for objects that `git fsck` refuses, and UsageError
        when there is no such revision.
        """
        if commit is None or not self._fetch_one(commit):
            every = ("+refs/heads/*:refs/heads/*", "+refs/tags/*:refs/tags/*")
            self._git(*CHECKED, "fetch", *_FETCH, "--", self.url, *every)
        wanted = f"{commit or revision}^{{commit}}"
        done = self._attempt("rev-parse", "--verify", "--quiet", "--end-of-options", wanted)
        if done.returncode:
            raise UsageError(f"{shown(self.url)} has no revision {shown(revision)}")
        return done.stdout.decode().strip()

    def _fetch_one(self, commit: str) -> bool:
        """Fetch a commit without its history; False where the other side gives no such thing."""
        args = ("fetch", *_FETCH, "--depth=1", "--", self.url, f"+{commit}:{_HERE}")
        done = self._attempt(*CHECKED, *args)
        if done.returncode and b"fsck" in done.stderr:
            raise failure(args, done)
        return done.returncode == 0

    def tree_as_commit(self, commit: str, message: str) -> str:
        """A commit without parents that has a commit's tree, author and date; always the same."""
        form = "--format=%an%x00%ae%x00%ad%x00%T"
        raw = self._git("log", "-1", "--date=raw", form, commit, "--").stdout
        name, email, date, tree = raw.decode("utf-8", "replace").rstrip("\n").split("\0")
        who = {"NAME": name or "unknown", "EMAIL": email or "unknown", "DATE": f"@{date}"}
        env = {
            f"GIT_{role}_{key}": it for role in ("AUTHOR", "COMMITTER") for key, it in who.items()
        }
        return self._git("commit-tree", tree, "-m", message, env=env).stdout.decode().strip()

    def hand_over(self, commit: str, repo: Repository, ref: str) -> None:
        """Bring a commit of the folder, with all that it needs, into `repo`, held by a new ref."""
        self._git("update-ref", _HERE, commit)
        fetch(repo, str(self.folder), [f"{_HERE}:{ref}"])

    def _git(
        self, *args: str, env: Mapping[str, str] | None = None, seconds: float | None = None
    ) -> process.Completed:
        done = self._attempt(*args, env=env, seconds=seconds)
        if done.returncode:
            said = done.stderr.decode("utf-8", "replace")
            if self.url.startswith("http") and _REDIRECTED.search(said):
                raise GitError(
                    f"{shown(self.url)} leads elsewhere, which is not followed; give the URL that"
                    " it leads to, or one that ends in .git"
                )
            raise failure(args, done)
        return done

    def _attempt(
        self, *args: str, env: Mapping[str, str] | None = None, seconds: float | None = None
    ) -> process.Completed:
        if not (self.folder / "HEAD").exists():
            self._make()
        told = {**_environment(self.url, self.folder), **(env or {})}
        try:
            return attempt(self.folder, *_HARDENED, *args, env=told, seconds=seconds)
        except TimeoutError:
            raise GitError(f"{shown(self.url)} did not answer within {seconds:.0f} s") from None

    def _make(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        run(
            self.folder,
            "init",
            "--quiet",
            "--bare",
            "--template=",
            f"--object-format={self.format}",
            env=_alone(),
        )


def _environment(url: str, folder: Path) -> dict[str, str]:
    """The environment of git there: settings to log in alone, one transport, no questions."""
    scheme = url.partition("://")[0] if "://" in url else "ssh"
    pairs = _login_settings(folder)
    told = {f"GIT_CONFIG_KEY_{number}": key for number, (key, _) in enumerate(pairs)}
    told |= {f"GIT_CONFIG_VALUE_{number}": value for number, (_, value) in enumerate(pairs)}
    return {
        **_alone(),
        **told,
        "GIT_CONFIG_COUNT": str(len(pairs)),
        "GIT_ALLOW_PROTOCOL": scheme,
        "GIT_DIR": str(folder),
    }


def _alone() -> dict[str, str]:
    return {
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_GLOBAL": os.devnull,
        "GIT_CONFIG_COUNT": "0",
        "GIT_TERMINAL_PROMPT": "0",
    }


def _login_settings(folder: Path) -> list[tuple[str, str]]:
    """The user's own settings for credentials, proxies and ssh, those of no repository."""
    done = attempt(folder, "config", "--list", "-z", env={"GIT_DIR": str(folder)})
    entries = (
        entry.partition("\n") for entry in done.stdout.decode("utf-8", "replace").split("\0")
    )
    return [(key, value) for key, found, value in entries if found and _LOGIN.match(key)]


def has_commit(repo: Repository, commit: str) -> bool:
    """Whether a commit is there with all of its tree."""
    whole = ("rev-list", "--objects", "--no-walk", "--quiet", commit, "--")
    return succeeds(repo, "cat-file", "-e", f"{commit}^{{commit}}") and succeeds(repo, *whole)


def object_format(repo: Repository) -> str:
    """The hash that names a repository's objects: sha1 or sha256."""
    return text(repo, "rev-parse", "--show-object-format")
