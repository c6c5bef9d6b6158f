"""The git gate: every git command that gitml runs is started here.

A command is an argv list with an environment built from an allow-list. The user's hooks,
signing, file system monitor and replace refs are off; nothing here changes HEAD, the index,
the work tree or the configuration. GitPython does what it is good at, fetching and pushing
with progress, and is imported only there: its import costs more than a whole recording.
"""

from __future__ import annotations

import contextlib
import os
import re
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from gitml import process
from gitml.errors import GitError, NoRepositoryError, shown

_REPACK_PAUSE = 5.0

_KEPT = frozenset(
    """PATH HOME USER LOGNAME USERPROFILE USERNAME SYSTEMROOT SYSTEMDRIVE COMSPEC APPDATA
    LOCALAPPDATA PROGRAMDATA PROGRAMFILES TEMP TMP TMPDIR XDG_CONFIG_HOME
    SSH_AUTH_SOCK SSH_AGENT_PID SSH_ASKPASS DISPLAY GNUPGHOME GPG_TTY
    HTTP_PROXY HTTPS_PROXY ALL_PROXY NO_PROXY http_proxy https_proxy all_proxy no_proxy
    SSL_CERT_FILE SSL_CERT_DIR GIT_SSL_CAINFO GIT_SSH GIT_SSH_COMMAND GIT_ASKPASS
    GIT_CONFIG_GLOBAL GIT_CONFIG_SYSTEM GIT_CONFIG_NOSYSTEM GIT_CONFIG_COUNT
    GIT_TERMINAL_PROMPT GIT_EXEC_PATH""".split()
)
_CONFIG_PAIR = re.compile(r"GIT_CONFIG_(KEY|VALUE)_\d+")
_FIXED = {
    "LC_ALL": "C",
    "GIT_OPTIONAL_LOCKS": "0",
    "GIT_NO_REPLACE_OBJECTS": "1",
    "GIT_PAGER": "cat",
    "GIT_EDITOR": "true",
}
_OPTIONS = tuple(
    part
    for setting in (
        f"core.hooksPath={os.devnull}",
        "core.fsmonitor=false",
        "core.splitIndex=false",
        "log.showSignature=false",
        "core.fsync=loose-object,pack,pack-metadata,reference",
        "commit.gpgSign=false",
        "gc.auto=0",
        "maintenance.auto=false",
        "fastimport.unpackLimit=0",
        "submodule.recurse=false",
        "diff.external=",
        f"diff.orderFile={os.devnull}",
        "color.ui=false",
    )
    for part in ("-c", setting)
)
_USER_INFO = re.compile(r"(?<=://)[^\s'\"]*@")


@dataclass(frozen=True, slots=True)
class Repository:
    """Where a git repository lives; `root` is the top of the work tree, None when bare."""

    root: Path | None
    git_dir: Path
    common_dir: Path

    @property
    def place(self) -> Path:
        """The folder in which git commands on this repository are run."""
        return self.root or self.git_dir

    @property
    def home(self) -> Path:
        """The folder in the common git directory where gitml keeps what is derived or live."""
        return self.common_dir / "gitml"


class Ref(NamedTuple):
    """A ref and the id of the object that it names."""

    name: str
    id: str


def environment(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """The environment of every git command: an allow-list of the user's, then `extra`."""
    kept = {
        key: value
        for key, value in os.environ.items()
        if key in _KEPT or _CONFIG_PAIR.fullmatch(key)
    }
    return {**kept, **_FIXED, **(extra or {})}


def attempt(
    repo: Repository | Path,
    *args: str,
    input: bytes | None = None,
    env: Mapping[str, str] | None = None,
) -> process.Completed:
    """Run one git command and return what came of it, success or not."""
    place = repo.place if isinstance(repo, Repository) else repo
    try:
        return process.run(("git", *_OPTIONS, *args), cwd=place, env=environment(env), input=input)
    except FileNotFoundError:
        if not place.is_dir():
            raise NoRepositoryError(f"the folder {shown(str(place))} does not exist") from None
        raise GitError("git is not installed or not on PATH; install git 2.30 or newer") from None
    except OSError as error:
        raise GitError(f"git can't be started: {error.strerror}") from None


def attempt_together(repo: Repository, *commands: Sequence[str]) -> list[process.Completed]:
    """Run several git commands, which must not depend on one another, at the same time."""
    lines = [("git", *_OPTIONS, *args) for args in commands]
    return process.run_together(lines, cwd=repo.place, env=environment())


def run(
    repo: Repository | Path,
    *args: str,
    input: bytes | None = None,
    env: Mapping[str, str] | None = None,
) -> bytes:
    """The standard output of one git command; GitError, with git's own words, when it fails."""
    done = attempt(repo, *args, input=input, env=env)
    if done.returncode:
        raise _failure(args, done)
    return done.stdout


def text(repo: Repository | Path, *args: str, env: Mapping[str, str] | None = None) -> str:
    """The standard output of one git command as text, without white space around it."""
    return run(repo, *args, env=env).decode("utf-8", "replace").strip()


def succeeds(repo: Repository | Path, *args: str) -> bool:
    """Whether a git command ends with 0."""
    return attempt(repo, *args).returncode == 0


def without_user_info(message: str) -> str:
    """A message of git's, with the user info taken out of every URL in it."""
    return _USER_INFO.sub("", message)


def _failure(args: Sequence[str], done: process.Completed) -> GitError:
    said = without_user_info(done.stderr.decode("utf-8", "replace").strip())
    verb = next((arg for arg in args if arg[:1] != "-" and "=" not in arg), "git")
    last = next((line for line in said.splitlines() if line.startswith(("fatal", "error"))), "")
    reason = last or (said.splitlines() or [f"exit code {done.returncode}"])[-1]
    return GitError(f"git {verb} failed: {reason}", returncode=done.returncode, stderr=said)


# -- discovery and configuration -----------------------------------------------------------

_found: dict[Path, Repository] = {}


def find(start: Path | None = None) -> Repository:
    """The repository that holds `start`, by default the current folder.

    Raises NoRepositoryError, which names `git init`, when there is none.
    """
    try:
        place = (start or Path.cwd()).resolve()
    except FileNotFoundError:
        raise NoRepositoryError("the current folder was deleted; change to another") from None
    known = _found.get(place)
    if known is None or not (known.git_dir / "HEAD").exists():
        known = _found[place] = _discover(place)
    return known


def _discover(place: Path) -> Repository:
    asked = ("--git-dir", "--git-common-dir", "--is-inside-work-tree", "--show-toplevel")
    done = attempt(place, "rev-parse", *asked)
    lines = os.fsdecode(done.stdout).split("\n")
    if len(lines) < 4:
        said = done.stderr.decode("utf-8", "replace").strip()
        if "not a git repository" in said or not said:
            where = shown(str(place))
            raise NoRepositoryError(f"{where} is not in a git repository; run: git init")
        raise _failure(("rev-parse",), done)
    root = Path(lines[3]) if done.returncode == 0 and lines[2] == "true" else None
    return Repository(root, (place / lines[0]).resolve(), (place / lines[1]).resolve())


def settings(repo: Repository | Path) -> dict[str, str]:
    """The effective git configuration; section and variable in lower case, the last value."""
    raw = run(repo, "config", "--list", "-z").decode("utf-8", "replace")
    pairs = (entry.partition("\n") for entry in raw.split("\0") if entry)
    return {key: value if found else "true" for key, found, value in pairs}


def version(place: Path | None = None) -> tuple[int, ...]:
    """The version of git, such as (2, 39, 5)."""
    words = text(place or Path.cwd(), "--version")
    found = re.search(r"\d+(\.\d+)+", words)
    return tuple(map(int, found.group().split("."))) if found else (0,)


# -- refs and objects ----------------------------------------------------------------------


def refs(repo: Repository, *patterns: str) -> list[Ref]:
    """The refs that match full-name patterns such as `refs/remotes/*/gitml/runs`."""
    out = text(repo, "for-each-ref", "--format=%(refname) %(objectname)", "--", *patterns)
    return [Ref(*line.split(" ")) for line in out.splitlines()]


def resolve(repo: Repository, name: str) -> str | None:
    """The id of the object that a full ref name, or a revision of it, stands for."""
    done = attempt(repo, "rev-parse", "--verify", "--quiet", "--end-of-options", name)
    return done.stdout.decode().strip() or None


def update_refs(repo: Repository, commands: Iterable[str]) -> None:
    """Run `update-ref --stdin` commands in one transaction: all of them, or GitError and none."""
    lines = ["start", *commands, "prepare", "commit", ""]
    run(repo, "update-ref", "--no-deref", "--stdin", input="\n".join(lines).encode())


def read_objects(repo: Repository, ids: Iterable[str]) -> Iterator[bytes]:
    """The contents of objects, in the order of `ids`, through one process.

    An id may be any revision, such as `COMMIT:path`. GitError names the first one missing.
    """
    asked = list(ids)
    if not asked:
        return
    out = run(
        repo, "cat-file", "--batch", "--buffer", input="".join(f"{i}\n" for i in asked).encode()
    )
    at = 0
    for name in asked:
        end = out.index(b"\n", at)
        header = out[at:end].split(b" ")
        if header[-1] == b"missing" or not header[-1].isdigit():
            raise GitError(f"the repository has no object {shown(name)}; run: gitml doctor")
        at = end + 1 + int(header[-1])
        yield out[end + 1 : at]
        at += 1


def is_whole(repo: Repository, name: str, known: Sequence[str] = ("--branches",)) -> bool:
    """Whether an object is there with all that it needs; what `known` commits need is there."""
    return succeeds(repo, "rev-list", "--objects", "--quiet", name, "--not", *known)


def repack_in_background(repo: Repository) -> None:
    """Have git put small packs together, at most every few seconds; nothing is pruned."""
    mark = repo.home / "repacked"
    with contextlib.suppress(OSError):
        if mark.exists() and time.time() - mark.stat().st_mtime < _REPACK_PAUSE:
            return
        mark.touch()
        argv = ("git", *_OPTIONS, "repack", "-d", "-n", "--quiet", "--geometric=2")
        process.detach(argv, cwd=repo.place, env=environment())


def is_ancestor(repo: Repository, old: str, new: str) -> bool:
    """Whether commit `old` is `new` or one of its ancestors."""
    return succeeds(repo, "merge-base", "--is-ancestor", old, new)


# -- other repositories --------------------------------------------------------------------

Progress = Callable[[str, int, int], None]  # a stage in words, how much is done, of how much


class Pushed(NamedTuple):
    """What became of one ref of a push: `accepted`, or why not, in git's and the remote's words.

    `raced` tells that the remote has moved on, so that a fetch and another try will help.
    """

    ref: str
    accepted: bool
    raced: bool
    reason: str


def remote_refs(repo: Repository, remote: str, *patterns: str) -> dict[str, str]:
    """The refs of a remote (a name or URL) that match `patterns`, with their ids."""
    out = text(repo, "ls-remote", "--refs", "--", remote, *patterns)
    lines = (line.split("\t") for line in out.splitlines() if "\t" in line)
    return {name: commit for commit, name in lines}


def fetch(
    repo: Repository, remote: str, refspecs: Sequence[str], progress: Progress | None = None
) -> None:
    """Fetch refspecs of full ref names; GitError in git's words when the remote can't be read."""
    # An empty refmap: only the refs that were asked for move, not the user's other tracking refs.
    options = ("--no-tags", "--no-write-fetch-head", "--no-recurse-submodules", "--refmap=")
    code, _, said = _talk(
        repo, ("fetch", "--progress", *options, "--", remote, *refspecs), progress
    )
    if code:
        raise _failure(("fetch",), process.Completed(code, b"", said.encode()))


def push(
    repo: Repository, remote: str, refspecs: Sequence[str], progress: Progress | None = None
) -> list[Pushed]:
    """Push refspecs of full ref names, never by force; what became of each.

    GitError when the remote could not be reached at all.
    """
    args = ("push", "--porcelain", "--progress", "--no-verify", "--", remote, *refspecs)
    code, out, said = _talk(repo, args, progress)
    results = [_pushed(line, said) for line in out.splitlines() if "\t" in line and ":" in line]
    if code and not results:
        raise _failure(("push",), process.Completed(code, b"", said.encode()))
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
    return Pushed(names.partition(":")[2], accepted, raced, without_user_info(reason))


def _talk(repo: Repository, args: Sequence[str], progress: Progress | None) -> tuple[int, str, str]:
    """Run a network command through GitPython, which reads git's progress; (code, out, err)."""
    from git.cmd import Git, handle_process_output
    from git.exc import GitCommandError
    from git.util import CallableRemoteProgress

    out: list[str] = []
    said: list[str] = []
    meter = CallableRemoteProgress(_reporter(progress)).new_message_handler()

    def hear(line: str) -> None:
        said.append(line.rstrip("\n"))
        meter(line)

    runner = Git(repo.place)
    running = runner.execute(
        ["git", *_OPTIONS, "-c", "http.lowSpeedLimit=1", "-c", "http.lowSpeedTime=60", *args],
        as_process=True,
        env={**_FIXED, **_fenced(repo)},
        universal_newlines=True,
    )
    handle_process_output(running, out.append, hear, finalizer=None, decode_streams=False)
    try:
        running.wait()
    except GitCommandError as error:
        code = error.status if isinstance(error.status, int) else 1
        return code, "".join(out), "\n".join(said)
    return 0, "".join(out), "\n".join(said)


def _fenced(repo: Repository) -> dict[str, str]:
    """GitPython passes the whole environment on: values that keep a stray GIT_* from acting."""
    return {
        "GIT_DIR": str(repo.git_dir),
        "GIT_OBJECT_DIRECTORY": str(repo.common_dir / "objects"),
        "GIT_ALTERNATE_OBJECT_DIRECTORIES": "",
        "GIT_INDEX_FILE": str(repo.git_dir / "index"),
        "GIT_NAMESPACE": "",
        "GIT_CONFIG_PARAMETERS": "",
    }


def _reporter(progress: Progress | None) -> Callable[..., None]:
    def report(code: int, current: str | float, total: str | float | None, _: str = "") -> None:
        if progress is not None:
            stage = _STAGES.get(code & ~3, "git")
            progress(stage, int(float(current or 0)), int(float(total or 0)))

    return report


_STAGES = {4: "counting", 8: "compressing", 16: "writing", 32: "receiving", 64: "resolving"}
