"""The files of a project as they go into a container: what git tracks there, or does not ignore.

So the container has what the run records as its code, and the plain files beside it; no secrets
that are ignored for good reason, no data of DVC, and nothing of the repository itself.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import stat
import tarfile
import tempfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import IO

from gitml import git
from gitml.errors import NoRepositoryError

_MODE, _PROGRAM = 0o666, 0o111  # whoever runs there may write: it is the container's own copy


def listed(folder: Path) -> list[str]:
    """The files and links of a project, as paths in it with slashes, sorted."""
    return sorted({name for name in _named(folder) if _is_content(folder / name)})


def _named(folder: Path) -> Iterator[str]:
    names = _known_to_git(folder)
    for name in _everything(folder) if names is None else names:
        if (folder / name).is_dir() and not (folder / name).is_symlink():  # of another repository
            yield from (f"{name.rstrip('/')}/{inner}" for inner in _named(folder / name))
        else:
            yield name


def _known_to_git(folder: Path) -> list[str] | None:
    """What git has, or would have, of a folder; None when it is in no work tree."""
    try:
        repo = git.find(folder)
    except NoRepositoryError:
        return None
    if repo.root is None:
        return None
    listed = git.run(folder, "ls-files", "--cached", "--others", "--exclude-standard", "-z")
    return [os.fsdecode(name) for name in listed.split(b"\0") if name]


def _everything(folder: Path) -> Iterator[str]:
    for top, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if name != ".git"]
        links = [name for name in folders if Path(top, name).is_symlink()]
        yield from (Path(top, name).relative_to(folder).as_posix() for name in (*names, *links))


def _is_content(path: Path) -> bool:
    with contextlib.suppress(OSError):
        mode = path.lstat().st_mode
        return stat.S_ISREG(mode) or stat.S_ISLNK(mode)
    return False  # it is tracked, but was deleted


@contextlib.contextmanager
def archive(folder: Path, target: PurePosixPath, user: tuple[int, int]) -> Iterator[IO[bytes]]:
    """A project's files as an archive of tar, below the path `target`, all of them the user's."""
    with tempfile.TemporaryFile() as file:
        with tarfile.open(fileobj=file, mode="w") as packed:
            for place in _folders(target, listed(folder)):
                entry = tarfile.TarInfo(str(place).lstrip("/"))
                entry.type, entry.mode = tarfile.DIRTYPE, 0o777
                entry.uid, entry.gid = user
                packed.addfile(entry)
            for name in listed(folder):
                _add(packed, folder / name, target / name, user)
        file.seek(0)
        yield file


def _folders(target: PurePosixPath, names: list[str]) -> list[PurePosixPath]:
    inner = {parent for name in names for parent in (target / name).parents}
    return sorted({target, *(path for path in inner if path.is_relative_to(target))})


def _add(packed: tarfile.TarFile, path: Path, target: PurePosixPath, user: tuple[int, int]) -> None:
    entry = packed.gettarinfo(path, str(target).lstrip("/"))
    if entry.islnk():  # a second name of one file: here it is a file of its own
        entry.type, entry.size = tarfile.REGTYPE, path.stat().st_size
    entry.uid, entry.gid = user
    entry.uname = entry.gname = ""
    entry.mode = _MODE | (entry.mode & _PROGRAM)
    if entry.isreg():
        with path.open("rb") as file:
            packed.addfile(entry, file)
    else:
        packed.addfile(entry)


def copy(folder: Path, target: Path) -> str:
    """Copy a project's files into a new folder; the sha256 (hex) of all that is in it."""
    total = hashlib.sha256()
    for name in listed(folder):
        place = target / name
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(folder / name, place, follow_symlinks=False)
        if place.is_symlink():
            kind, content = b"link", os.fsencode(place.readlink())
        else:
            program = place.stat().st_mode & stat.S_IXUSR
            kind, content = b"program" if program else b"file", place.read_bytes()
        digest = hashlib.sha256(content).digest()
        total.update(b"\0".join((os.fsencode(name), kind, digest, b"")))
    return total.hexdigest()
