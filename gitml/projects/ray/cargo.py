"""What is sent along with a job: the project's files, gitml itself, and the command.

The same content makes the same bytes, and Ray keeps a package by its digest: what the cluster has
is not sent again. The command goes as a file, since what Ray takes as one is read by a shell.
"""

from __future__ import annotations

import json
import os
import zipfile
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath

from gitml.environments import wheel
from gitml.errors import UsageError, shown
from gitml.projects import packing
from gitml.projects.confinement import Mount

ERRAND, COMMAND = "gitml_errand", "command.json"  # a module, and the file in it
DATA = PurePosixPath(".gitml-data")  # in the project there: what its parameters name
LARGEST = 100 * 1024**2  # bytes of a package that a cluster takes
_DATE = (1980, 1, 1, 0, 0, 0)


def project(folder: Path, mounts: Iterable[Mount], target: Path) -> Path:
    """Write a project's files, and the data that its parameters name, into the new file `target`.

    Raises UsageError for more than a cluster takes, and for a name that it would leave out.
    """
    files = dict(sorted({**dict(_own(folder)), **dict(_data(mounts))}.items()))
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, path in files.items():
            _add(archive, name, path)
    if (size := target.stat().st_size) >= LARGEST:
        largest = sorted(archive.infolist(), key=lambda entry: -entry.compress_size)[:3]
        named = ", ".join(f"{shown(one.filename)} {_mb(one.compress_size)}" for one in largest)
        raise UsageError(
            f"the project and its data are {_mb(size)} when packed, and a Ray cluster takes"
            f" {_mb(LARGEST)}: {named}; have large data read where it is, by a URL"
        )
    return target


def _mb(size: int) -> str:
    return f"{size / 1e6:.0f} MB"


def _own(folder: Path) -> Iterator[tuple[str, Path]]:
    """The files of a project by their names; a link counts as what it leads to in there."""
    names = packing.listed(folder)
    for name in names:
        path = folder / name
        if not path.is_symlink():
            yield name, path
            continue
        aim = path.resolve()
        if aim.is_file() and aim.is_relative_to(folder.resolve()):
            yield name, aim
        elif aim.is_dir() and aim.is_relative_to(folder.resolve()):
            inner = aim.relative_to(folder.resolve()).as_posix() + "/"
            for other in names:
                if other.startswith(inner) and not (folder / other).is_symlink():
                    yield f"{name}/{other.removeprefix(inner)}", folder / other


def _data(mounts: Iterable[Mount]) -> Iterator[tuple[str, Path]]:
    for mount in mounts:
        if not mount.source.is_dir():
            yield str(mount.target), mount.source
            continue
        for top, _, names in os.walk(mount.source):
            for path in (Path(top, name) for name in names):
                if path.is_file():
                    yield str(mount.target / path.relative_to(mount.source).as_posix()), path


def _add(archive: zipfile.ZipFile, name: str, path: Path) -> None:
    if "\\" in name or not _is_unicode(name):
        raise UsageError(f"a Ray cluster can't unpack a file of the name {shown(name)}; rename it")
    entry = zipfile.ZipInfo(name, _DATE)
    entry.external_attr = (0o600 | path.stat().st_mode & 0o777) << 16
    entry.compress_type = zipfile.ZIP_DEFLATED
    with path.open("rb") as source, archive.open(entry, "w", force_zip64=True) as file:
        while block := source.read(1 << 20):
            file.write(block)


def _is_unicode(name: str) -> bool:
    try:
        return bool(name.encode())
    except UnicodeEncodeError:
        return False


def gitml(folder: Path) -> Path:
    """Put the running gitml, as a package of Python, into a folder; its path."""
    packed = wheel.write_wheel(folder, "recording")
    with zipfile.ZipFile(packed) as archive:
        archive.extractall(folder, [it for it in archive.namelist() if it.startswith("gitml/")])
    packed.unlink()
    return folder / "gitml"


def errand(argv: Iterable[str], folder: Path) -> Path:
    """Put a command, as a package of Python, into a folder; its path."""
    package = folder / ERRAND
    package.mkdir()
    (package / "__init__.py").write_text("", encoding="utf-8")
    (package / COMMAND).write_text(json.dumps(list(argv)), encoding="utf-8")
    return package
