"""The code of a run in a folder of its own, without touching the user's work tree.

The folder holds the run's commit: the files as they were on disk, and the run itself in
`.gitml/run`.
"""

from __future__ import annotations

import contextlib
import os
import re
import tempfile
from pathlib import Path

from gitml import git, storage
from gitml.errors import FormatError, UsageError, shown
from gitml.files import folder_below
from gitml.review.view import RunView
from gitml.tracking import download, units
from gitml.tracking.commits import RUN_FOLDER
from gitml.tracking.place import Place

_UNSAFE = re.compile(r"[^A-Za-z0-9._-]+")


def default_folder(place: Place, run: RunView) -> Path:
    """A folder beside the repository, named after it and the run, such as `churn-calm-otter-407`.

    The path is relative to the current folder where that is shorter.
    """
    home = place.repo.root or place.repo.git_dir
    name = _UNSAFE.sub("-", run.record.name).strip("-.")[:60] or run.record.run_id[-8:]
    folder = home.parent / f"{home.name.removesuffix('.git')}-{name}"
    try:
        return min(folder, Path(os.path.relpath(folder)), key=lambda path: len(str(path)))
    except ValueError:  # on another drive
        return folder


def check_out(place: Place, run: RunView, folder: Path, *, as_worktree: bool = True) -> None:
    """Write the code of a run into a new folder: a git work tree, or plain files.

    UsageError when there is something in the folder, or the run has no commit; FormatError when it
    is a commit that gitml does not make.
    """
    commit = run.commit
    if commit is None:
        raise UsageError(f"run {run.record.run_id[-8:]} has no commit that holds its code")
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UsageError(f"{shown(str(folder))} is not empty; name a new folder")
    _check_plain(place.repo, commit)
    target = str(folder.resolve())
    if as_worktree:
        git.run(place.repo, "worktree", "add", "--detach", "--quiet", "--", target, commit)
    else:
        _write_files(place.repo, commit, target)


def _check_plain(repo: git.Repository, commit: str) -> None:
    """Refuse a run commit with anything but files in the run's own folder: others write there."""
    listed = git.run(repo, "ls-tree", "-r", "-z", "--full-tree", commit, "--", RUN_FOLDER)
    for meta, _, path in (line.partition(b"\t") for line in listed.split(b"\0") if line):
        if not meta.startswith(b"100"):
            name = shown(path.decode("utf-8", "replace"))
            raise FormatError(f"the commit of the run has a link at {name}; gitml makes none there")


def _write_files(repo: git.Repository, commit: str, target: str) -> None:
    """Have git write the files of a commit, through an index that nobody else sees."""
    Path(target).mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        env = {
            "GIT_DIR": str(repo.git_dir),
            "GIT_WORK_TREE": target,
            "GIT_INDEX_FILE": str(Path(folder) / "index"),
        }
        git.run(Path(target), "read-tree", commit, env=env)
        git.run(Path(target), "checkout-index", "--all", "--force", "--quiet", env=env)


def put_artifacts(
    place: Place, run: RunView, folder: Path, progress: storage.Progress | None = None
) -> None:
    """Write the artifacts of a run, large ones too, where its code was checked out.

    In a git work tree they stay invisible for `git status`, so that `git worktree remove` takes
    them away too. UsageError when the code has a link on the way there.
    """
    if run.record.artifacts and run.commit and run.files:
        target = folder_below(folder, f"{RUN_FOLDER}/{units.FOLDER}")
        if (folder / ".git").exists():
            _hide(target.parent)
        download.download(place, run.record, run.commit, None, target, progress)


def _hide(folder: Path) -> None:
    """Have git ignore what it does not track in a folder, the note that says so included.

    A work tree has no excludes of its own. The note is above the artifacts, where none is in its
    place, and git looks for no other one below.
    """
    with contextlib.suppress(FileExistsError), (folder / ".gitignore").open("xb") as file:
        file.write(b"*\n")
