"""The machine: versions, identity, space, clock, file system, Git LFS."""

from __future__ import annotations

import os
import platform
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

from gitml import git
from gitml.files import shown_path
from gitml.tracking.doctor.finding import ERROR, NOTE, WARNING, Finding
from gitml.tracking.index.location import is_on_network
from gitml.tracking.place import Place
from gitml.version import __version__

OLDEST_GIT = (2, 34)
_LITTLE, _VERY_LITTLE = 1_000_000_000, 100_000_000  # free bytes
_FEW_FILES = 1000
_SLACK = 60  # seconds that clocks may differ


def versions(place: Place) -> Iterator[Finding]:
    """Which gitml, Python and git these are; a git that is too old."""
    found = git.version(place.repo.place)
    text = ".".join(map(str, found))
    python = platform.python_version()
    yield Finding(NOTE, f"gitml {__version__}, Python {python}, git {text}, {platform.platform()}")
    if found < OLDEST_GIT:
        oldest = ".".join(map(str, OLDEST_GIT))
        yield Finding(ERROR, f"git {text} is too old", f"install git {oldest} or newer")


def identity(place: Place) -> Iterator[Finding]:
    """Whose name the runs carry, when git does not know."""
    settings = git.settings(place.repo)
    missing = [
        key
        for key in ("user.name", "user.email")
        if not settings.get(key)
        and not os.environ.get(f"GIT_COMMITTER_{key.partition('.')[2].upper()}")
    ]
    if missing:
        yield Finding(
            WARNING,
            f"git has no {' and no '.join(missing)}, so runs are recorded as gitml's own",
            " && ".join(f'git config --global {key} "..."' for key in missing),
        )


def space(place: Place) -> Iterator[Finding]:
    """Whether the disk of the repository is nearly full."""
    free = shutil.disk_usage(place.repo.common_dir).free
    if free < _LITTLE:
        yield Finding(
            ERROR if free < _VERY_LITTLE else WARNING,
            f"the disk of {shown_path(place.repo.common_dir)} has only {free / 1e6:.0f} MB left",
            "gitml gc --yes",
        )
    if (left := _files_left(place.repo.common_dir)) is not None and left < _FEW_FILES:
        where = shown_path(place.repo.common_dir)
        what = f"the file system of {where} has room for {left} more files only (df -i)"
        yield Finding(ERROR, what, "git gc")


def _files_left(folder: Path) -> int | None:
    """How many files can be made on a file system; None where that has no limit."""
    found = os.statvfs(folder) if hasattr(os, "statvfs") else None
    return found.f_favail if found and found.f_files else None


def clock(place: Place) -> Iterator[Finding]:
    """Whether this machine's clock is behind the newest run."""
    done = git.attempt(place.repo, "log", "-1", "--format=%ct", place.ledger.ref, "--")
    if done.returncode:
        return  # no run yet, or none that can be read
    behind = int(done.stdout) - time.time()
    if behind > _SLACK:
        yield Finding(
            WARNING,
            f"the clock is {behind / 60:.0f} minutes behind the newest run, so new runs seem older",
            "set the clock; on Linux: timedatectl set-ntp true",
        )


def file_system(place: Place) -> Iterator[Finding]:
    """Whether other machines may write to the repository too."""
    if is_on_network(place.repo.common_dir):
        yield Finding(
            NOTE,
            "the repository is on a network file system, whose locks may not hold between"
            " machines; the search index is in your cache folder instead",
            "clone to a local disk on each machine, and share runs by gitml push",
        )


def large_file_storage(place: Place) -> Iterator[Finding]:
    """Whether files are in Git LFS and it is not there to read them."""
    if not _uses_lfs(place):
        return
    if not git.succeeds(place.repo, "lfs", "version"):
        yield Finding(
            WARNING,
            "files of the repository are in Git LFS, which is not installed: changes of them are"
            " not in the snapshots of runs",
            "install git-lfs, then: git lfs install",
        )
    elif "filter.lfs.clean" not in git.settings(place.repo):
        yield Finding(WARNING, "Git LFS is installed but not set up", "git lfs install")


def _uses_lfs(place: Place) -> bool:
    if place.repo.root is None:
        return False
    listed = git.run(place.repo, "ls-files", "-z", "--", ":(glob)**/.gitattributes")
    for name in filter(None, listed.split(b"\0")):
        try:
            text = (place.repo.root / os.fsdecode(name)).read_bytes()
        except OSError:
            continue
        if b"filter=lfs" in text:
            return True
    return False


CHECKS = (versions, identity, space, clock, file_system, large_file_storage)
