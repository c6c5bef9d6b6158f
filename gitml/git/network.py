"""Other repositories: what a remote has, fetching and pushing.

GitPython does what it is good at, reading git's progress, and is imported only there: its import
costs more than a whole recording.
"""

from __future__ import annotations

import fnmatch
import os
import random
import re
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import IO, NamedTuple
from urllib.parse import unquote

from gitml import process
from gitml.errors import GitError, shown
from gitml.git.commands import (
    OPTIONS,
    Repository,
    attempt,
    environment,
    failure,
    without_user_info,
)

ANSWER_SECONDS = 60.0  # for a remote to say what it has
SILENCE_SECONDS = 600.0  # in the middle of a fetch or push: hooks of the remote may take long
_FETCHES = 6
_NAME = re.compile(r"[\w.-]+")  # of a remote: not a URL

Progress = Callable[[str, int, int], None]  # a stage in words, how much is done, of how much


class Pushed(NamedTuple):
    """What became of one ref of a push: `accepted`, or why not, in git's and the remote's words.

    `raced` tells that the remote has moved on, so that a fetch and another try will help;
    `created` that the ref is new there.
    """

    ref: str
    accepted: bool
    raced: bool
    reason: str
    created: bool = False


def folder_of(repo: Repository, url: str) -> Path | None:
    """The folder that git takes `url` for; None when it is the address of another machine."""
    if url.startswith("file://"):
        return Path(unquote(url[len("file://") :]))
    is_drive = os.name == "nt" and url[1:2] == ":"
    if ":" in url.partition("/")[0] and not is_drive:
        return None
    return repo.place / os.path.expanduser(url)


def remote_refs(
    repo: Repository, remote: str, *patterns: str, seconds: float | None = None
) -> dict[str, str]:
    """The refs of a remote (a name or URL) that match `patterns`, with their ids.

    GitError when it can't be read, or does not answer within `seconds`, by default a minute.
    """
    seconds = ANSWER_SECONDS if seconds is None else seconds
    lines = _listed(repo, remote, "--refs", patterns, seconds)
    return {
        name: commit
        for commit, name in lines
        # git also lists refs that only end so: refs/heads/x/refs/heads/main for refs/heads/main
        if not patterns or any(fnmatch.fnmatchcase(name, it) for it in patterns)
    }


def remote_head(repo: Repository, remote: str) -> str | None:
    """The full name of the remote's default branch; None when it has no commit.

    Of a remote that does not tell it is the branch `main` or `master`.
    """
    asked = ("HEAD", "refs/heads/main", "refs/heads/master")
    pairs = _listed(repo, remote, "--symref", asked, ANSWER_SECONDS)
    names = [pair[1] for pair in pairs if pair[1] in asked]  # not those that only end so
    told = [
        pair[0].removeprefix("ref: ")
        for pair in pairs
        if pair[0].startswith("ref: refs/heads/") and pair[1:] == ["HEAD"]
    ]
    if told and "HEAD" in [pair[1] for pair in pairs if not pair[0].startswith("ref:")]:
        return told[0]
    return next((name for name in names if name.startswith("refs/heads/")), None)


def _listed(
    repo: Repository, remote: str, option: str, patterns: Sequence[str], seconds: float
) -> list[list[str]]:
    """The lines of `git ls-remote`, each an id, or what a symbolic ref names, and a ref."""
    args = ("ls-remote", option, "--", remote, *patterns)
    try:
        env = _transports(remote)
        done = attempt(repo, *_of_user(repo), *args, env=env, seconds=seconds)
    except TimeoutError:
        raise _no_answer(remote, seconds) from None
    if done.returncode:
        raise failure(args, done)
    lines = done.stdout.decode("utf-8", "replace").splitlines()
    return [pair for line in lines if len(pair := line.split("\t")) == 2]


# Only the refs that were asked for move, whatever the user has set for fetches of his own: with
# an empty refmap none of his tracking refs, and nothing is pruned.
_FETCH = (
    "--progress", "--no-tags", "--no-prune", "--no-prune-tags", "--no-write-fetch-head",
    "--no-recurse-submodules", "--refmap=",
)  # fmt: skip
# And only those that were asked for go, in a push of the plain kind that every remote takes.
_PUSH = (
    "--porcelain", "--progress", "--no-verify", "--no-follow-tags", "--no-signed",
    "--recurse-submodules=no",
)  # fmt: skip


# What a stranger may have made is not let in. Old tools wrote these; the user's code may have them.
_OLD_FAULTS = ("zeroPaddedFilemode", "badTimezone", "missingSpaceBeforeDate", "missingEmail")
_STRICT = "--strict=" + ",".join(f"{name.lower()}=ignore" for name in _OLD_FAULTS)
CHECKED = (
    "-c", "fetch.fsckObjects=true",
    *(part for name in _OLD_FAULTS for part in ("-c", f"fetch.fsck.{name}=ignore")),
)  # fmt: skip


def fetch(
    repo: Repository,
    remote: str,
    refspecs: Sequence[str],
    progress: Progress | None = None,
    *,
    depth: int | None = None,
    filter: str | None = None,
) -> None:
    """Fetch refspecs of full ref names; with `depth` so many commits of each, not all before.

    With `filter`, in git's words, not all that they name; the repository has to be set up for it.
    GitError in git's words when the remote can't be read, or has objects that `git fsck` refuses.
    """
    parts = [("depth", depth), ("filter", filter)]
    options = [f"--{name}={value}" for name, value in parts if value is not None]
    args = ("fetch", *_FETCH, *options, "--", remote, *refspecs)
    for left in reversed(range(_FETCHES)):
        code, _, said = _talk(repo, args, progress, CHECKED)
        if not code:
            return
        if not left or "cannot lock ref" not in said:
            raise failure(("fetch",), process.Completed(code, b"", said.encode()))
        time.sleep(random.uniform(0.05, 0.3))  # another process moves the same ref here


def check_pack(repo: Repository, pack: IO[bytes]) -> None:
    """Refuse a pack, which begins where the file stands, that has objects `git fsck` refuses.

    A fetch looks at those that come from elsewhere, but before git 2.46 not at those of a bundle.
    Nothing is kept of it. GitError says what is wrong, or lacking.
    """
    with tempfile.TemporaryDirectory(prefix="gitml-pack-") as folder:
        objects = str(repo.common_dir / "objects")
        env = {"GIT_OBJECT_DIRECTORY": folder, "GIT_ALTERNATE_OBJECT_DIRECTORIES": objects}
        env["GIT_ALLOC_LIMIT"] = _AT_ONCE  # a few bytes may be a delta that makes gigabytes
        args = ("-c", _STREAMED, "index-pack", "--stdin", "--fix-thin", _STRICT)
        done = attempt(repo, *args, input=pack, env=env)
        if done.returncode:
            raise failure(args[2:], done)


_AT_ONCE = "256m"  # of git's memory
_STREAMED = "core.bigFileThreshold=16m"  # larger files are never whole in git's memory


def push(
    repo: Repository,
    remote: str,
    refspecs: Sequence[str],
    progress: Progress | None = None,
    *,
    option: str = "",
) -> list[Pushed]:
    """Push refspecs of full ref names, never by force; what became of each.

    `option` is a word for the forge, which has to know of such. GitError when the remote could not
    be reached at all.
    """
    assert not any(it.startswith("+") for it in refspecs), "nothing is ever pushed by force"
    options = ["-c", f"push.pushOption={option}"]
    if _NAME.fullmatch(remote):
        options += ["-c", f"remote.{remote}.mirror=false"]
    args = ("push", *_PUSH, "--", remote, *refspecs)
    code, out, said = _talk(repo, args, progress, options)
    results = [_pushed(line, said) for line in out.splitlines() if "\t" in line and ":" in line]
    if code and not results:
        raise failure(("push",), process.Completed(code, b"", said.encode()))
    return results


_RACES = (
    "fetch first",
    "non-fast-forward",
    "stale info",
    "cannot lock ref",
    "failed to update ref",
    "incorrect old value provided",
    "reference already exists",
)


def _pushed(line: str, said: str) -> Pushed:
    flag, names, summary = (*line.split("\t"), "")[:3]
    accepted = flag.strip() != "!"
    raced = not accepted and any(words in summary for words in _RACES)
    remote_words = [
        part.partition("remote:")[2].strip() for part in said.splitlines() if "remote:" in part
    ]
    reason = "" if accepted else " ".join([summary, *filter(None, remote_words)])
    ref, created = names.partition(":")[2], flag.strip() == "*"
    return Pushed(ref, accepted, raced, without_user_info(reason), created)


def _talk(
    repo: Repository,
    args: Sequence[str],
    progress: Progress | None,
    options: Sequence[str] = (),
) -> tuple[int, str, str]:
    """Run a network command, whose progress GitPython reads; (code, out, err)."""
    from git.cmd import handle_process_output
    from git.util import CallableRemoteProgress

    out: list[str] = []
    said: list[str] = []
    meter = CallableRemoteProgress(_reporter(progress)).new_message_handler()
    remote = args[args.index("--") + 1]
    argv = ("git", *OPTIONS, *_of_user(repo), *options, *args)
    running = process.start(argv, cwd=repo.place, env={**_environment(repo), **_transports(remote)})
    watch = _Watch(running)

    def hear(line: str) -> None:
        watch.heard()
        said.append(line.rstrip("\n"))
        meter(line)

    with running, watch:
        try:
            handle_process_output(running, out.append, hear, finalizer=None, decode_streams=False)
            code = running.wait()
        except BaseException:
            process.stop_with_children(running.pid)
            raise
    if watch.gave_up:
        raise _no_answer(remote, SILENCE_SECONDS)
    return code, "".join(out), "\n".join(said)


class _Watch:
    """Ends a process that has said nothing for long."""

    def __init__(self, running: process.Running) -> None:
        self.gave_up = False
        self._pid: int = running.pid
        self._last = time.monotonic()
        self._over = threading.Event()

    def heard(self) -> None:
        """Note that the process said something."""
        self._last = time.monotonic()

    def __enter__(self) -> None:
        threading.Thread(target=self._wait, daemon=True).start()

    def __exit__(self, *_: object) -> None:
        self._over.set()

    def _wait(self) -> None:
        while (left := self._last + SILENCE_SECONDS - time.monotonic()) > 0:
            if self._over.wait(left):
                return
        self.gave_up = True
        process.stop_with_children(self._pid)


def _no_answer(remote: str, seconds: float) -> GitError:
    where = shown(without_user_info(remote))
    return GitError(f"the remote {where} did not answer within {seconds:.0f} seconds")


def _environment(repo: Repository) -> dict[str, str]:
    """The user's environment, which credential helpers may need, but for what is git's in it."""
    others = {key: value for key, value in os.environ.items() if not key.startswith("GIT_")}
    return {**others, **environment(), "GIT_DIR": str(repo.git_dir)}


def _transports(remote: str) -> dict[str, str]:
    """For a URL, which may come with the repository, the transports that start nothing else."""
    return {} if _NAME.fullmatch(remote) else {"GIT_ALLOW_PROTOCOL": "file:git:http:https:ssh"}


def _of_user(repo: Repository) -> list[str]:
    """What the user, not the repository's own settings, says of URLs that are commands."""
    done = attempt(repo, "config", "--show-scope", "--get-all", "protocol.ext.allow")
    lines = (line.split("\t") for line in done.stdout.decode("utf-8", "replace").splitlines())
    said = [line[1] for line in lines if line[0] in ("system", "global")]
    return ["-c", f"protocol.ext.allow={said[-1]}"] if said else []


def _reporter(progress: Progress | None) -> Callable[..., None]:
    def report(code: int, current: str | float, total: str | float | None, _: str = "") -> None:
        if progress is not None:
            stage = _STAGES.get(code & ~3, "git")
            progress(stage, int(float(current or 0)), int(float(total or 0)))

    return report


_STAGES = {4: "counting", 8: "compressing", 16: "writing", 32: "receiving", 64: "resolving"}
