"""Path parameters that name data elsewhere: artifacts of runs, models, what DVC tracks, and URLs.

What a program gets is a path on this machine, with the bytes that were recorded.
"""

from __future__ import annotations

import contextlib
import re
import tempfile
from dataclasses import replace
from pathlib import Path

from gitml import git, storage
from gitml.errors import StorageError, UsageError, shown
from gitml.models.locate import locate
from gitml.projects import checkout
from gitml.projects.task import Task, Where
from gitml.projects.verdict import FETCHED
from gitml.tracking import dataset_source
from gitml.tracking.fluent import fetches
from gitml.tracking.fluent import place as fluent

_RUNS, _MODELS, _DVC, _FILE = "runs:/", "models:/", "dvc:", "file:"
_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://")
_CONFIG = Path(".dvc", "config")


class Downloads:
    """Fetches what the parameters of a task in `where` name, each into a folder of its own.

    They are in `storage_dir`, where they stay, else in a folder that goes when `stack` is closed.
    """

    def __init__(
        self, where: Where, stack: contextlib.ExitStack, storage_dir: str | Path | None
    ) -> None:
        self._where, self._stack, self._storage_dir = where, stack, storage_dir
        self._folder: Path | None = None
        self._tags: dict[str, str] = {}

    def locate(self, name: str, kind: str, value: str, is_default: bool) -> str:
        """What the program gets for a parameter's value: the path of what was fetched, or itself.

        A default is of the project; a value that the caller gave is seen from the current folder.
        What came from a URL is noted by its md5: nobody else keeps it. Raises UsageError and
        StorageError.
        """
        if kind != "path":
            return value
        if value.startswith(_MODELS):
            return str(locate(value, self._new()).folder)
        if value.startswith(_RUNS):
            return fetches.download_artifacts(value, dst_path=self._new())
        if value.startswith(_DVC):
            base = self._where.folder if is_default else Path.cwd()
            return str(self._of_dvc(base / value.removeprefix(_DVC), shown(value)))
        if value.startswith(_FILE):
            return str(fluent.folder_of(value))
        return self._of_url(name, value) if _URL.match(value) else value

    def noted(self, task: Task) -> Task:
        """The task, whose run will tell what came from URLs."""
        tags = {**task.where.tags, **self._tags}
        return replace(task, where=replace(task.where, tags=tags))

    def _of_url(self, name: str, url: str) -> str:
        path = storage.download(self._where.place.root, url, self._new())
        self._tags[f"{FETCHED}{name}"] = dataset_source.whole_digest(path)
        return str(path)

    def _new(self) -> Path:
        if self._folder is None:
            if self._storage_dir is not None:
                top = Path(self._storage_dir).expanduser().absolute()
                top.mkdir(parents=True, exist_ok=True)
            else:
                top = self._stack.enter_context(checkout.workspace())
            self._folder = top
        return Path(tempfile.mkdtemp(prefix="param-", dir=self._folder))

    def _of_dvc(self, named: Path, what: str) -> Path:
        """What DVC has at a path: what is there, when it is as it was recorded, else fetched."""
        path = named.parent.resolve() / named.name
        root = git.find(path.parent).root if path.parent.is_dir() else None
        md5 = dataset_source.dvc_output(path, root) if root is not None else None
        if root is None or md5 is None:
            raise UsageError(f"DVC tracks nothing at {what}; see: dvc list . -R")
        if dataset_source.is_as_recorded(path, md5):
            return path
        target = self._new() / path.name
        pointer = storage.Pointer(md5, 0, 0 if md5.endswith(".dir") else None)
        place = self._where.place
        remotes = list(self._remotes(root))
        if not remotes:
            raise StorageError(f"there is no DVC remote to fetch {what} from")
        storage.fetch(place.cache, remotes, [pointer])
        storage.materialize(place.cache, pointer, target)
        return target

    def _remotes(self, root: Path) -> list[storage.Remote]:
        """DVC's own cache, the project's remote, and what a foreign project's configuration names.

        Of the last only a plain place that can be read from counts.
        """
        own = self._where.place.root
        cache = storage.project_cache(own)
        here = storage.Remote("cache", str(cache)) if cache is not None else None
        found = [here, storage.project_remote(own)]
        if self._where.place.owner is not None:
            with contextlib.suppress(OSError):
                found.append(storage.foreign_remote(own, (root / _CONFIG).read_bytes()))
        return [remote for remote in found if remote is not None and _is_there(remote)]


def _is_there(remote: storage.Remote) -> bool:
    return bool(remote.scheme) or Path(remote.url).is_dir()
