"""Where an index lives: a folder that can be written and is not on a network file system.

SQLite's locks and shared memory do not work across the hosts of a network file system.
"""

from __future__ import annotations

import hashlib
import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path

from gitml import caches
from gitml.git import Repository

_NETWORK = frozenset(
    """afpfs afs beegfs ceph cifs coda cvmfs davfs fuse.ceph fuse.glusterfs fuse.gcsfuse fuse.rclone
    fuse.s3fs fuse.sshfs glusterfs gpfs lustre mmfs ncpfs nfs nfs3 nfs4 ocfs2 orangefs panfs pvfs2
    smb smb2 smb3 smbfs sshfs webdav wekafs""".split()
)

_OCTAL = re.compile(rb"\\([0-7]{3})")  # how a space in a folder's name is written


def index_path(repo: Repository) -> Path | None:
    """The file of the repository's index; None when no folder will do.

    `<common git dir>/gitml/index.sqlite`, else a file named after the repository in the user's
    cache folder, else one in a folder for temporary files.
    """
    digest = hashlib.sha256(os.fsencode(repo.common_dir)).hexdigest()[:16]
    if caches.is_usable(repo.home, shared=True) and not is_on_network(repo.home):
        return repo.home / "index.sqlite"
    return next(
        (folder / f"{digest}.sqlite" for folder in caches.folders() if _is_usable(folder)), None
    )


def _is_usable(folder: Path) -> bool:
    """Whether `folder`, made if need be, is local, can be written and belongs to this user."""
    return caches.is_usable(folder) and not is_on_network(folder)


def is_on_network(folder: Path) -> bool:
    """Whether `folder` is on a file system that other hosts may write to at the same time."""
    name = str(folder.resolve())
    if sys.platform == "win32" and name.startswith("\\\\"):
        return True
    mounts = ((len(place), kind) for place, kind in _mounts() if _is_inside(name, place))
    kinds = max(mounts, default=(0, ""))[1].split()
    return any(kind in _NETWORK or kind == "remote" for kind in kinds)


def _is_inside(name: str, place: str) -> bool:
    if sys.platform == "win32":
        name, place = name.lower(), place.lower()
    return name == place or name.startswith(place.rstrip("/\\") + os.sep)


def _mounts() -> Iterator[tuple[str, str]]:
    """The mounted folders and the kinds of their file systems."""
    table = Path("/proc/self/mounts")
    if table.exists():  # what psutil reads on Linux too, without its import
        for line in table.read_bytes().splitlines():
            _, place, kind, *_ = line.split(b" ")
            yield (
                os.fsdecode(_OCTAL.sub(lambda found: bytes([int(found[1], 8)]), place)),
                kind.decode(),
            )
        return
    import psutil

    for mount in psutil.disk_partitions(all=True):
        yield mount.mountpoint, f"{mount.fstype.lower()} {mount.opts.replace(',', ' ')}"
