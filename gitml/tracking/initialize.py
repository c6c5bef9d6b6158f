"""Setting up gitml in a repository: few files, all of them the user's to commit.

Recording needs none of this; it is for the place of large artifacts and for settings.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from gitml import config, git, storage
from gitml.documents import write_atomic
from gitml.errors import UsageError, shown
from gitml.files import disk, shown_path
from gitml.resources import resource
from gitml.tracking.names import check_experiment_name

_POLICY = "registry.yaml"


class Written(NamedTuple):
    """A file that was made or changed, and what for."""

    path: Path
    what: str


def init(start: Path, remote: str | None = None, *, experiment: str | None = None) -> list[Written]:
    """Set gitml up in the folder `start`: the top of a repository, or a project inside it.

    Makes a gitml.yaml there, with `experiment` as the default one, at the top a registry.yaml,
    and gives the repository the DVC remote `remote`, a folder (relative to the current one) or a
    URL. What is there already stays as it is: a second call writes nothing. Commits nothing.

    Raises NoRepositoryError outside a repository, UsageError in a bare one, for a URL that holds
    a password and when the project has another DVC remote, and FormatError for a gitml.yaml that
    can't be read.
    """
    repo = git.find(start)
    if repo.root is None:
        raise UsageError(
            f"{shown_path(repo.git_dir)} is a bare repository; run gitml init in a clone of it"
        )
    folder = start.resolve()
    settings = config.load(repo.root, folder)
    name = None if experiment is None else check_experiment_name(experiment)
    if name is not None and settings.folder == folder and settings.experiment != name:
        raise UsageError(
            f"{config.FILE_NAME} names the experiment {shown(settings.experiment)}; change it there"
        )
    return [
        *_remote(folder, repo.root, remote),
        *_settings(folder, name),
        *(_policy(folder) if folder == repo.root.resolve() else ()),
    ]


def _remote(start: Path, root: Path, remote: str | None) -> Iterator[Written]:
    if remote is None:
        return
    where = storage.project_folder(start, root)
    for path in storage.set_project_remote(where, remote):
        yield Written(path, _DVC_FILES.get(path.name, "the DVC remote of large artifacts"))
    project = storage.project_remote(where)
    if project is not None and not project.scheme:
        yield from _ignored(root, Path(project.url))


_DVC_FILES = {
    ".gitignore": "what of DVC is not for git",
    ".dvcignore": "what DVC does not look at",
}


def _ignored(root: Path, folder: Path) -> Iterator[Written]:
    """Keep git from seeing a remote that is a folder of the work tree."""
    top = root.resolve()
    if not folder.is_relative_to(top) or folder == top:
        return
    name = folder.relative_to(top).as_posix()
    if git.succeeds(root, "check-ignore", "--quiet", "--no-index", "--", f"{name}/"):
        return
    path = root / ".gitignore"
    with disk(f"read {shown_path(path)}"):
        old = path.read_bytes() if path.exists() else b""
    gap = b"" if not old or old.endswith(b"\n") else b"\n"
    pattern = re.sub(r"([\\*?\[\]])", r"\\\1", name)
    write_atomic(path, old + gap + f"/{pattern}/\n".encode())
    yield Written(path, "the folder of artifacts is not for git")


def _settings(folder: Path, experiment: str | None) -> Iterator[Written]:
    path = folder / config.FILE_NAME
    if path.exists():
        return
    text = resource("templates", config.FILE_NAME).read_text("utf-8")
    if experiment is not None:
        lines = [
            f"experiment: {json.dumps(experiment, ensure_ascii=False)}\n"
            if line.startswith("# experiment:")
            else line
            for line in text.splitlines(keepends=True)
        ]
        text = "".join(lines)
    write_atomic(path, text.encode())
    yield Written(path, "the settings of gitml, all of them optional")


def _policy(root: Path) -> Iterator[Written]:
    path = root / _POLICY
    if not path.exists():
        write_atomic(path, resource("templates", _POLICY).read_bytes())
        yield Written(path, "the policy of the model registry, yours to fill")
