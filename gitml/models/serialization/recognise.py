"""Files told by their content."""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO

from gitml.errors import shown
from gitml.models.contained import opened
from gitml.models.pickles import PickleScan
from gitml.models.pickles.search import ZIP_BEHIND
from gitml.models.serialization import keras, onnx, skops, tensors, torch
from gitml.models.serialization.kind import Serialization
from gitml.models.serialization.zipped import strange

_HEAD = 4096

_HDF5 = b"\x89HDF\r\n\x1a\n"
_NUMPY = b"\x93NUMPY"
_PROGRAMS = re.compile(rb"\x7fELF|MZ.{58}..\0\0|[\xce\xcf]\xfa\xed\xfe|\xca\xfe\xba\xbe", re.DOTALL)
_TEXTS = (
    ("lightgbm-text", re.compile(rb"tree\r?\nversion=v"), "LightGBM's own text"),
    ("xgboost-json", re.compile(rb'\s*\{\s*"(?:learner|version)"\s*:'), "XGBoost's own JSON"),
    ("xgboost-ubj", re.compile(rb"\{L\0{7}[\x01-\xff](?:learner|version)"), "XGBoost's own UBJSON"),
)
_CONTROL = re.compile("[\0-\x08\x0e-\x1a\x1c-\x1f\x7f]")


def recognised(path: Path, found: PickleScan) -> Serialization:
    """What a file is, apart from what pickles in it would do; `found` are those."""
    with opened(path) as file:
        head = file.read(_HEAD)
        size = file.seek(0, io.SEEK_END)
        if head.startswith((b"PK\x03\x04", b"PK\x05\x06")):
            return _archive(file)
        told = _only(_plain(path, file, head, size)) or _pickled(head, found) or _other(head)
    if ZIP_BEHIND in found.containers and not told.executes:
        return Serialization(told.kind, True, why="a zip archive to those who read its end")
    return told


def _only(candidates: Iterable[Serialization | None]) -> Serialization | None:
    """The one thing that a file is; one that is several at once is trusted as none of them."""
    found = [told for told in candidates if told is not None]
    for told in found:
        if told.executes:
            return told
    if len(found) > 1:
        first, second = found[0].kind, found[1].kind
        return Serialization(first, True, why=f"{first} to one reader, {second} to another")
    return found[0] if found else None


def _plain(path: Path, file: BinaryIO, head: bytes, size: int) -> Iterator[Serialization | None]:
    """What the first bytes say that no pickle has."""
    if not size:
        yield Serialization("empty", why="nothing")
    if _is_hdf5(file, size):
        yield keras.of_hdf5(file)
    if _PROGRAMS.match(head):
        yield Serialization("program", True, why="compiled code")
    for kind, pattern, why in _TEXTS:
        if pattern.match(head):
            yield Serialization(kind, why=why)
    yield tensors.of_safetensors(file, size)
    yield onnx.of_protobuf(path, file, size)


def _is_hdf5(file: BinaryIO, size: int) -> bool:
    """Whether the mark of HDF5 stands at the beginning, at 512, 1024, 2048 ..."""
    at = 0
    while at < size:
        file.seek(at)
        if file.read(len(_HDF5)) == _HDF5:
            return True
        at = at * 2 or 512
    return False


def _archive(file: BinaryIO) -> Serialization:
    try:
        archive = zipfile.ZipFile(file)
    except Exception:  # zipfile raises a dozen kinds for what it doesn't understand
        return Serialization("zip", True, why="a zip archive that is damaged")
    if (name := strange(archive)) is not None:
        return Serialization("zip", True, why=f"a zip archive with a link or path: {shown(name)}")
    told = _only(read(archive) for read in (skops.of_zip, keras.of_zip, torch.of_zip))
    if told is None and all(name.endswith(".npy") for name in archive.namelist()):
        told = Serialization("numpy", why="arrays")
    return told or Serialization("zip", why="a zip archive")


def _pickled(head: bytes, found: PickleScan) -> Serialization | None:
    """The kind of pickle; what it would do is told elsewhere."""
    if head.startswith(_NUMPY):
        return Serialization("numpy", why="an array")
    if head.startswith(torch.OLD_MAGIC):
        return Serialization("torch", why="tensors of torch in plain containers")
    if not found.pickles:
        return None
    kind = next((name for name in ("joblib", "cloudpickle") if _imports(found, name)), "pickle")
    return Serialization(kind, why="a pickle of plain data")


def _imports(found: PickleScan, package: str) -> bool:
    return any(name.startswith(f"{package}.") for name in found.imports)


def _other(head: bytes) -> Serialization:
    """JSON, text, or nothing that is known."""
    try:
        text = head.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        text = "\0" if error.end < len(head) - 3 else head[: error.start].decode("utf-8-sig")
    if _CONTROL.search(text):
        return Serialization("unknown", why="not of a format that is known to be safe")
    if text.lstrip()[:1] in ("{", "["):
        return Serialization("json", why="JSON")
    return Serialization("text", why="text")
