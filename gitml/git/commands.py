"""Git commands: an argv list, the options that all of them get, and an environment of our own.

The environment is built from an allow-list. The user's hooks, signing, file system monitor,
replace refs and grafts are off, and so are settings that change what git writes or how it prints.
"""

from __future__ import annotations

import errno
import os
import re
import signal
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from gitml import process
from gitml.errors import GitError, NoRepositoryError, shown
from gitml.files import remedy

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
FIXED = {
    "LC_ALL": "C",
    "GIT_OPTIONAL_LOCKS": "0",
    "GIT_NO_REPLACE_OBJECTS": "1",
    "GIT_GRAFT_FILE": os.devnull,
    "GIT_PAGER": "cat",
    "GIT_EDITOR": "true",
}
OPTIONS = tuple(
    part
    for setting in (
        f"core.hooksPath={os.devnull}",
        "core.fsmonitor=false",
        "core.splitIndex=false",
        "log.showSignature=false",
        "core.fsync=loose-object,pack,pack-metadata,reference",
        "core.fsyncMethod=fsync",
        "commit.gpgSign=false",
        "gc.auto=0",
        "maintenance.auto=false",
        "fastimport.unpackLimit=0",
        "submodule.recurse=false",
        "protocol.ext.allow=never",  # its URLs are commands; a partial clone may fetch at any time
        "http.lowSpeedLimit=1",  # and then it may wait for ever for a remote that says nothing
        "http.lowSpeedTime=60",
        "diff.external=",
        f"diff.orderFile={os.devnull}",
        "color.ui=false",
        "color.diff=false",
        "i18n.commitEncoding=UTF-8",
        "i18n.logOutputEncoding=UTF-8",
        "trailer.separators=:",
        "trailer.Run-Id.key=Run-Id",
    )
    for part in ("-c", setting)
)
_USER_INFO = re.compile(r"(?<=://)[^\s'\"]*@")
_QUERY = re.compile(r"(://[^\s'\"?#]*)[?#][^\s'\"]*")  # a token may stand there, too


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


def environment(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """The environment of every git command: an allow-list of the user's, then `extra`."""
    kept = {
        key: value
        for key, value in os.environ.items()
        if key in _KEPT or _CONFIG_PAIR.fullmatch(key)
    }
    return {**kept, **FIXED, **(extra or {})}


def attempt(
    repo: Repository | Path,
    *args: str,
    input: bytes | IO[bytes] | None = None,
    env: Mapping[str, str] | None = None,
    seconds: float | None = None,
) -> process.Completed:
    """Run one git command and return what came of it, success or not.

    TimeoutError when it takes longer than `seconds`; it is stopped then.
    """
    place = repo.place if isinstance(repo, Repository) else repo
    argv = ("git", *OPTIONS, *args)
    try:
        return process.run(argv, cwd=place, env=environment(env), input=input, timeout=seconds)
    except TimeoutError:
        raise
    except FileNotFoundError:
        if not place.is_dir():
            raise NoRepositoryError(f"the folder {shown(str(place))} does not exist") from None
        raise GitError("git is not installed or not on PATH; install git 2.34 or newer") from None
    except OSError as error:
        raise GitError(f"git can't be started: {error.strerror}") from None


def attempt_together(repo: Repository, *commands: Sequence[str]) -> list[process.Completed]:
    """Run several git commands, which must not depend on one another, at the same time."""
    lines = [("git", *OPTIONS, *args) for args in commands]
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
        raise failure(args, done)
    return done.stdout


def text(repo: Repository | Path, *args: str, env: Mapping[str, str] | None = None) -> str:
    """The standard output of one git command as text, without white space around it."""
    return run(repo, *args, env=env).decode("utf-8", "replace").strip()


def succeeds(repo: Repository | Path, *args: str) -> bool:
    """Whether a git command ends with 0."""
    return attempt(repo, *args).returncode == 0


def without_user_info(message: str) -> str:
    """A message of git's, with user info, query and fragment taken out of every URL in it."""
    return _QUERY.sub(r"\1", _USER_INFO.sub("", message))


def failure(args: Sequence[str], done: process.Completed) -> GitError:
    """The error of a command that ended badly, in git's own words."""
    said = without_user_info(done.stderr.decode("utf-8", "replace").strip())
    verb = next((arg for arg in args if arg[:1] != "-" and "=" not in arg), "git")
    last = next((line for line in said.splitlines() if line.startswith(("fatal", "error"))), "")
    reason = last or (said.splitlines() or [f"exit code {done.returncode}"])[-1]
    if -done.returncode == getattr(signal, "SIGXFSZ", None):  # which Python itself ignores
        limit = OSError(errno.EFBIG, os.strerror(errno.EFBIG))
        reason = f"{limit.strerror}; {remedy(limit)}"
    return GitError(f"git {verb} failed: {reason}", returncode=done.returncode, stderr=said)
