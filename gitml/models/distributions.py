"""Which installed distribution a module belongs to: what to require so that its import works.

A module is found where an import would find it, without importing it, and belongs to the
distribution that lists its file. To know which that is, the beginnings of all lists in a folder
are read once; `importlib.metadata` reads and parses every list as a whole, which takes 60 to 90 ms.
"""

from __future__ import annotations

import importlib.util
import os
import re
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib.machinery import ModuleSpec, PathFinder
from io import FileIO

from gitml.tracking import environment

_HEAD = 4096  # bytes of a list that name at least one file of each of a distribution's modules
_LIBRARY = os.path.dirname(os.__file__)  # the standard library


@dataclass(frozen=True, slots=True)
class Distribution:
    """An installed distribution: its name as the index shows it, and its version.

    `url` says where it is from when that is no index, such as `git+https://...@commit`;
    `is_local` marks a folder of this machine, which nobody else could install.
    """

    name: str
    version: str
    url: str | None = None
    is_local: bool = False

    @property
    def requirement(self) -> str:
        """The requirement line that installs it; the version is the public one, without `+cpu`."""
        if self.url and not self.is_local:
            return f"{self.name} @ {self.url}"
        return f"{self.name}=={self.version.partition('+')[0]}"


def distribution_of(module: str) -> Distribution | None:
    """The distribution that a module is imported from, as it is installed now.

    `module` is dotted below a namespace (`google.protobuf`); of a longer name the beginning
    counts. None for the standard library, for files that no distribution lists, such as the
    user's own, for what can't be found, and for a namespace that several distributions share.
    """
    root = root_of(module)
    if root == "__main__" or is_standard(root):
        return None
    file = file_of(root)
    if file is None:
        return _of_namespace(root)
    folder = os.path.dirname(file)
    for _ in range(root.count(".") + os.path.basename(file).startswith("__init__.")):
        folder = os.path.dirname(folder)
    path = file[len(folder) :].lstrip(os.sep).replace(os.sep, "/")
    found = _listing(*environment.state_of(folder), path)
    return found[0] if found else _editable(file)


def is_standard(module: str) -> bool:
    """Whether a module is of the standard library."""
    top = module.partition(".")[0]
    return top in sys.stdlib_module_names or top in sys.builtin_module_names


def is_own(module: str) -> bool:
    """Whether a module is the user's: a source file that no index has, or the script itself."""
    if module == "__main__":
        return True
    if is_standard(module):
        return False
    if found := distribution_of(module):
        return found.is_local
    file = file_of(root_of(module))
    if file is None or not file.endswith(".py") or os.path.dirname(file) == _LIBRARY:
        return False
    return not _is_installed(file)


def installed_version(name: str) -> str | None:
    """The version of an installed distribution by its normalised name."""
    for entry in sys.path:
        for other, _, version in _entries(*environment.state_of(entry)):
            if other == name:
                return version
    return None


# -- where modules are ---------------------------------------------------------------------


def root_of(module: str) -> str:
    """The beginning of a dotted name that is a module of one distribution: no bare namespace."""
    end = module.find(".")
    while end != -1 and file_of(module[:end]) is None and search_path(module[:end]):
        end = module.find(".", end + 1)
    return module if end == -1 else module[:end]


def file_of(module: str) -> str | None:
    """The file that a module is, or would be, imported from; None for a namespace."""
    loaded = sys.modules.get(module)
    file = getattr(loaded, "__file__", None) if loaded is not None else _origin_of(module)
    return os.path.abspath(file) if isinstance(file, str) else None


def search_path(module: str) -> list[str]:
    """The folders in which the modules of a package are looked for."""
    loaded = sys.modules.get(module)
    if loaded is not None:
        return [str(entry) for entry in getattr(loaded, "__path__", None) or ()]
    spec = _spec(module)
    return [str(entry) for entry in (spec and spec.submodule_search_locations) or ()]


def _origin_of(module: str) -> str | None:
    spec = _spec(module)
    return spec.origin if spec is not None and spec.has_location else None


def _spec(module: str) -> ModuleSpec | None:
    """How a module that is not loaded would be; its parents are not imported for that."""
    parent, _, last = module.rpartition(".")
    try:
        if not parent:
            return importlib.util.find_spec(module)
        places = search_path(parent)  # looked up by its last name: no parent is asked for then
        return PathFinder.find_spec(last, places) if places else None
    except (ImportError, ValueError, AttributeError):  # what finders of others may raise
        return None


# -- who lists them ------------------------------------------------------------------------


@lru_cache(maxsize=1024)
def _listing(site: str, changed: int, path: str) -> tuple[Distribution, ...]:
    """The distributions in the folder `site` that list the file `path`, or files below `path/`."""
    for places in _likely_first(site, changed, _top(path)):
        listing = [folder for name, folder in places if _lists(name, folder, path)]
        if found := tuple(filter(None, map(_described, listing))):
            return found
    return ()


def _top(path: str) -> str:
    """The top-level module of a file."""
    return re.split("[/.]", path, maxsplit=1)[0]


def _likely_first(site: str, changed: int, top: str) -> Iterator[list[tuple[str, str]]]:
    """The distributions in `site`: first of the module's name, then those whose list begins so."""
    places = [(name, folder) for name, folder, _ in _entries(site, changed)]
    same = [place for place in places if place[0] == environment.normalised(top)]
    yield same
    if places:
        heads = zip(places, _heads(site, changed), strict=True)
        starts = (f"\n{top}/".encode(), f"\n{top}.".encode())
        likely = [place for place, head in heads if starts[0] in head or starts[1] in head]
        yield likely
        yield [place for place in places if place not in same and place not in likely]


@lru_cache(maxsize=16)
def _entries(site: str, changed: int) -> tuple[tuple[str, str, str | None], ...]:
    return tuple(environment.installed(site or "."))


@lru_cache(maxsize=16)
def _heads(site: str, changed: int) -> tuple[bytes, ...]:
    """How the lists of the distributions in `site` begin."""
    entries = _entries(site, changed)
    return tuple(b"\n" + (_read(folder, "RECORD", _HEAD) or b"") for _, folder, _ in entries)


def _lists(name: str, folder: str, path: str) -> bool:
    """Whether a distribution has a file; one without a list may name its modules."""
    record = _read(folder, "RECORD")
    if record is not None:
        line = f"\n{path}" if path.endswith("/") else f"\n{path},"
        return line.encode() in b"\n" + record
    modules = _read(folder, "top_level.txt")
    if modules is not None:
        return _top(path).encode() in modules.split()
    return name == environment.normalised(_top(path))


def _described(folder: str) -> Distribution | None:
    """What the metadata in a folder says."""
    text = _read(folder, "METADATA") or _read(folder, "PKG-INFO") or b""
    fields = [re.search(rb"^%b: *(\S+)" % key, text, re.MULTILINE) for key in (b"Name", b"Version")]
    if None in fields:
        return None
    name, version = (found[1].decode("utf-8", "replace") for found in fields if found)
    url = environment.origin(folder)
    beside_source = folder.endswith(".egg-info") and "-" not in os.path.basename(folder)[:-9]
    return Distribution(name, version, url, beside_source or environment.is_local(url or ""))


def _read(folder: str, name: str, limit: int = -1) -> bytes | None:
    """A file of metadata, or its beginning; None when there is none."""
    try:
        with FileIO(os.path.join(folder, name)) as file:
            return file.read(limit)
    except OSError:
        return None


# -- namespaces and editable installs ------------------------------------------------------


def _of_namespace(module: str) -> Distribution | None:
    """The distribution of a namespace that only one has a part of."""
    found: set[Distribution] = set()
    for folder in search_path(module):
        for _ in module.split("."):
            folder = os.path.dirname(folder)
        path = module.replace(".", "/") + "/"
        found.update(_listing(*environment.state_of(folder), path))
    return found.pop() if len(found) == 1 else None


def _editable(file: str) -> Distribution | None:
    """The distribution whose folder, from which it is imported, has the file: the innermost."""
    projects = _local_projects(tuple(environment.state_of(entry) for entry in sys.path))
    real = os.path.realpath(file)
    inside = [place for place in projects if _is_below(real, place[0])]
    return _described(max(inside)[1]) if inside else None


def _is_below(file: str, folder: str) -> bool:
    if not file.startswith(folder + os.sep):
        return False
    return not _is_installed(file[len(folder) :])


def _is_installed(file: str) -> bool:
    return not {"site-packages", "dist-packages"}.isdisjoint(file.split(os.sep))


@lru_cache(maxsize=4)
def _local_projects(path: Sequence[tuple[str, int]]) -> tuple[tuple[str, str], ...]:
    """The folders that packages are installed from, each with the metadata folder."""
    found = []
    for site, changed in path:
        for _, folder, _ in _entries(site, changed):
            url = environment.origin(folder)
            if url is not None and environment.is_local(url):
                found.append((os.path.realpath(environment.path_of(url)), folder))
    return tuple(found)
