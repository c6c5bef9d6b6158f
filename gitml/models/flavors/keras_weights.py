"""The weights in a Keras file: those that HDF5 would take from other files are refused.

HDF5 may name any file of the machine as a part of itself: by a link, as the raw bytes of an array,
or as the source of a virtual one. Keras refuses that from 3.15 on; older ones read what is named.
"""

from __future__ import annotations

import contextlib
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from gitml.errors import FormatError, shown
from gitml.models.flavor import need

_MARK = b"\x89HDF\r\n\x1a\n"


def check_weights(path: Path) -> None:
    """Raise FormatError for a file of Keras of which a part lies in another file."""
    h5py = need("h5py", "keras")
    for file in _hdf5_in(path):
        try:
            with h5py.File(file, "r") as root:
                found = next(_elsewhere(h5py, root), None)
        except (OSError, RuntimeError, KeyError, ValueError) as error:
            raise FormatError(f"the weights in {path.name} are damaged: {error}") from None
        if found is not None:
            raise FormatError(
                f"the weights in {path.name} have a part, {shown(found)}, that is in another file;"
                " save the model again with Keras"
            )


def _hdf5_in(path: Path) -> Iterator[Any]:
    """Every HDF5 file in a Keras file, or that file itself; each is closed when the next comes."""
    with contextlib.ExitStack() as stack:
        if not zipfile.is_zipfile(path):
            yield stack.enter_context(path.open("rb"))
            return
        archive = stack.enter_context(zipfile.ZipFile(path))
        for name in archive.namelist():
            with archive.open(name) as file:
                if file.read(len(_MARK)) == _MARK:
                    file.seek(0)
                    yield file


def _elsewhere(h5py: Any, root: Any) -> Iterator[str]:
    """The names of links and arrays that are not in the file itself."""
    waiting, seen = [root], set()
    while waiting:
        group = waiting.pop()
        place = h5py.h5o.get_info(group.id).addr
        if place in seen:  # a group may be in itself
            continue
        seen.add(place)
        for name in group:
            if not isinstance(group.get(name, getlink=True), h5py.HardLink):
                yield f"{group.name}/{name}"
                continue
            item = group[name]
            if isinstance(item, h5py.Group):
                waiting.append(item)
            elif isinstance(item, h5py.Dataset) and (item.external or item.is_virtual):
                yield str(item.name)
