"""Artifacts: the DVC remote of the runs, what it lost, and what of the cache was damaged."""

from __future__ import annotations

import contextlib
import getpass
import os
import shlex
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

from gitml import git, storage
from gitml.errors import FormatError, GitmlError, UsageError, plural, shown
from gitml.files import shown_path
from gitml.tracking import exchange, pointers
from gitml.tracking.doctor.finding import ERROR, NOTE, WARNING, Finding, finding_of, within
from gitml.tracking.place import Place
from gitml.tracking.redact import is_secret_name, redact_url

_PATIENCE = 30.0  # seconds, the import of a cloud's library included
_NO_OBJECT = storage.Pointer("0" * 32, 0)


def remote(place: Place) -> Iterator[Finding]:
    """Whether large artifacts have a place to go to, and whether it answers."""
    try:
        found = place.remote()
    except (FormatError, UsageError) as error:
        yield Finding(ERROR, f"the DVC configuration is no use: {error}", _restored(place))
        return
    if found is None:
        has_some = next(place.cache.objects(), None) is not None
        yield Finding(
            WARNING if has_some else NOTE,
            "the project has no DVC remote: runs with large artifacts stay in this clone",
            "gitml init --remote DIR_OR_URL",
        )
    elif not found.scheme:
        yield from _folder(Path(found.url))
    else:
        yield from _cloud(place, found)


def _restored(place: Place) -> str:
    """The command that puts DVC's configuration back as it was committed, or else asks DVC."""
    files = ":(top,glob)**/.dvc/config"
    root = place.repo.root
    if root is None or git.attempt(root, "diff", "--quiet", "HEAD", "--", files).returncode != 1:
        return "dvc remote list"
    return shlex.join(["git", "checkout", "HEAD", "--", files])


def _folder(path: Path) -> Iterator[Finding]:
    """Whether artifacts can be written to a folder, made or not yet: only trying tells."""
    nearest = next((folder for folder in (path, *path.parents) if folder.exists()), path)
    try:
        Path(tempfile.mkdtemp(prefix=".gitml-", dir=nearest)).rmdir()
    except OSError as error:
        yield Finding(
            WARNING,
            f"the DVC remote {shown_path(path)} can't be written: nothing can be made in"
            f" {shown_path(nearest)} ({error.strerror})",
            _opened(nearest, error),
        )


def _opened(folder: Path, error: OSError) -> str:
    """The command after which something can be made in a folder."""
    if isinstance(error, NotADirectoryError):
        return shlex.join(["mv", str(folder), f"{folder}.old"])
    if isinstance(error, PermissionError):
        is_mine = not hasattr(os, "getuid") or folder.stat().st_uid == os.getuid()
        command = ["chmod", "u+rwx"] if is_mine else ["sudo", "chown", getpass.getuser()]
        return shlex.join([*command, str(folder)])
    return "dvc remote modify NAME url DIR_OR_URL"


def _cloud(place: Place, found: storage.Remote) -> Iterator[Finding]:
    try:
        within(_PATIENCE, lambda: storage.missing(place.cache, found, [_NO_OBJECT]))
    except GitmlError as error:
        said = str(error)
        what = said if str(found) in said else f"the DVC remote {found} can't be reached: {said}"
        finding = finding_of(WARNING, what)
        yield finding if finding.fix else replace(finding, fix="dvc remote list")


def secrets(place: Place) -> Iterator[Finding]:
    """Passwords and tokens in the part of the DVC configuration that is committed."""
    try:
        remotes = storage.committed_remotes(place.root)
    except FormatError:
        return  # told by the check of the remote
    for name, options in remotes.items():
        where = f"the DVC remote {shown(name)} has its"
        for option, value in options.items():
            if option == "url" and (clean := redact_url(value)) != value:
                yield Finding(
                    WARNING,
                    f"{where} password in the URL, in .dvc/config, which is committed; change it",
                    shlex.join(["dvc", "remote", "modify", name, "url", clean]),
                )
            elif is_secret_name(option) and value:
                unset = shlex.join(["dvc", "remote", "modify", "--unset", name, option])
                keep = shlex.join(["dvc", "remote", "modify", "--local", name, option, "VALUE"])
                yield Finding(
                    WARNING,
                    f"{where} {shown(option)} in .dvc/config, which is committed; change it, and"
                    " keep the new one in .dvc/config.local",
                    f"{unset} && {keep}",
                )


def lost_artifacts(place: Place) -> Iterator[Finding]:
    """Artifacts of runs that were pushed, and that their remotes do not have."""
    try:
        remote = place.remote()
        there = git.resolve(place.repo, exchange.tracking_ref(place))
        stored = pointers.in_ledger(place.repo, there) if there else {}
    except GitmlError:
        return  # told by the checks of the remotes and of the ledger
    if remote is None or not stored:
        return
    try:
        lacking = within(_PATIENCE, lambda: _lacking(place, remote, stored))
        lost = within(_PATIENCE, lambda: _lost(place, lacking))
    except GitmlError as error:
        yield Finding(NOTE, f"nobody can tell whether the artifacts of runs are there: {error}")
        return
    if lost:
        yield _loss(place, remote, lost)
    if elsewhere := lacking.keys() - lost.keys():
        yield Finding(
            NOTE,
            f"the DVC remote {remote} lacks artifacts of {plural(len(elsewhere), 'run')};"
            " the one that was set when they were recorded has them",
            "gitml pull --artifacts && gitml push --artifacts",
        )


def _lacking(
    place: Place, remote: storage.Remote, stored: Mapping[str, pointers.Stored]
) -> dict[str, pointers.Stored]:
    """The runs of which the remote lacks something."""
    every = [pointer for item in stored.values() for pointer in item.pointers]
    missing = storage.missing(place.cache, remote, every)
    return {
        run_id: item
        for run_id, item in stored.items()
        if not missing.isdisjoint(pointer.md5 for pointer in item.pointers)
    }


def _lost(place: Place, lacking: Mapping[str, pointers.Stored]) -> dict[str, pointers.Stored]:
    """Those of the runs of which the remote that they name lacks something too."""
    lost: dict[str, pointers.Stored] = {}
    for config, remotes in pointers.sources(place, (it.config for it in lacking.values())).items():
        group = {run_id: item for run_id, item in lacking.items() if item.config == config}
        for other in remotes[1:]:  # the first is the project's
            with contextlib.suppress(GitmlError):
                group = _lacking(place, other, group)
        lost |= group
    return lost


def _loss(place: Place, remote: storage.Remote, lost: Mapping[str, pointers.Stored]) -> Finding:
    restore = "gitml push --artifacts"
    if not remote.scheme and not Path(remote.url).is_dir():
        return Finding(
            ERROR,
            f"the folder of the DVC remote {remote} is not there; it has the artifacts of"
            f" {plural(len(lost), 'run')}",
            f"mount it or move it back, or, if it is lost: {restore}",
        )
    here = all(place.cache.has(p.md5) for item in lost.values() for p in item.pointers)
    return Finding(
        ERROR,
        f"the DVC remote {remote} lacks artifacts of {plural(len(lost), 'run')} that were pushed",
        restore if here else f"in a clone that has them: {restore}",
    )


def damaged(place: Place) -> Iterator[Finding]:
    """Objects whose bytes had changed, and that were set aside."""
    folder = place.cache.root / "damaged"
    count = sum(1 for _ in folder.iterdir()) if folder.is_dir() else 0
    if count:
        yield Finding(
            WARNING,
            f"{plural(count, 'object')} in the cache had other bytes than recorded;"
            f" they are in {shown_path(folder)}, and fetched again when they are read",
            shlex.join(["rm", "-r", str(folder)]),
        )


CHECKS = (remote, secrets, lost_artifacts, damaged)
