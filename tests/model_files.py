"""Files and model folders made from data, of formats whose frameworks need not be there.

A file is described by a mapping: how its first bytes are made, and `in`, the kinds of files that
they are packed in, from the inside out. `CANARY` in a text stands for a path that no test may find
a file at: payloads create it.
"""

from __future__ import annotations

import base64
import bz2
import gzip
import io
import json
import lzma
import os
import pickle
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

Spec = Mapping[str, Any]


class Payload:
    """An object that creates a file when it is loaded."""

    def __init__(self, canary: str) -> None:
        self.canary = canary

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, (f"touch '{self.canary}'",)


# -- what files are packed in --------------------------------------------------------------


def zipped(files: Mapping[str, bytes]) -> bytes:
    """A zip archive of files."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return file.getvalue()


def tarred(data: bytes, name: str = "member") -> bytes:
    """A tar archive of one file."""
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as archive:
        info = tarfile.TarInfo(name)
        info.size = len(data)
        archive.addfile(info, io.BytesIO(data))
    return file.getvalue()


def array(data: bytes) -> bytes:
    """A file of NumPy with an array of objects, of which `data` is the pickle."""
    header = b"{'descr': '|O', 'fortran_order': False, 'shape': (1,), }"
    header += b" " * (-(len(header) + 11) % 64) + b"\n"
    return b"\x93NUMPY\x01\0" + struct.pack("<H", len(header)) + header + data


PACKERS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "bz2": bz2.compress,
    "xz": lzma.compress,
    "lzma": lambda data: lzma.compress(data, lzma.FORMAT_ALONE),
    "zlib": zlib.compress,
    "zip": lambda data: zipped({"member": data}),
    "tar": tarred,
    "npy": array,
    "npz": lambda data: zipped({"arr_0.npy": array(data)}),
    "torch": lambda data: zipped({"model/data.pkl": data, "model/version": b"3\n"}),
}


# -- how files are made --------------------------------------------------------------------


def made(spec: Spec | str, canary: Path) -> bytes:
    """The bytes of the file that `spec` describes; a text stands for itself."""
    if isinstance(spec, str):
        return spec.replace("CANARY", str(canary)).encode("latin-1")
    (kind,) = spec.keys() - {"in", "behind"}
    data = MAKERS[kind](spec[kind], canary)
    for packer in spec.get("in", ()):
        data = PACKERS[packer](data)
    return (made(spec["behind"], canary) if "behind" in spec else b"") + data


def _pickled(protocol: int, canary: Path) -> bytes:
    return pickle.dumps(Payload(str(canary)), protocol)


def _cloudpickle(_: object, canary: Path) -> bytes:
    import cloudpickle

    data: bytes = cloudpickle.dumps((lambda: canary, Payload(str(canary))))
    return data


def _message(fields: list[Any]) -> bytes:
    """A protocol buffer: pairs of a field's number and its number, text or message."""
    data = b""
    for number, value in fields:
        if isinstance(value, int):
            data += _varint(number << 3) + _varint(value)
        else:
            text = value.encode() if isinstance(value, str) else _message(value)
            data += _varint(number << 3 | 2) + _varint(len(text)) + text
    return data


def _varint(value: int) -> bytes:
    data = b""
    while value > 0x7F:
        data += bytes([value & 0x7F | 0x80])
        value >>= 7
    return data + bytes([value])


def _safetensors(header: Any, _: Path) -> bytes:
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + bytes(64)


def _swallowed(spec: Spec, canary: Path) -> bytes:
    """A safetensors file that is a pickle too, because its length is an instruction.

    The instruction passes by 100 bytes; a row of U, each of which passes by 85 more, leads to the
    tensor, where N does nothing until the payload comes.
    """
    tensor = b"N" * 200 + made(spec, canary)
    entry = {"dtype": "U8", "shape": [len(tensor)], "data_offsets": [0, len(tensor)]}
    size = 100 << 8 | 0x8C
    empty = json.dumps({"w": entry, "__metadata__": {"x": ""}}, separators=(",", ":"))
    row = "U" * (size - len(empty))
    header = json.dumps({"w": entry, "__metadata__": {"x": row}}, separators=(",", ":"))
    return struct.pack("<Q", size) + header.encode() + tensor


def _graph_too(place: str, _: Path) -> bytes:
    """A safetensors file that is an ONNX graph too, whose tensor lies at `place`.

    A protocol buffer of the same bytes: the length and the brace are a number of 8 bytes, the
    quote and the letter a text of 97, pairs of spaces are small numbers, and \r has four behind it.
    """
    graph = _message([[1, 8], [7, [[5, [[8, "w"], [13, [[1, "location"], [2, place]]]]]]]])
    entry = {"dtype": "U8", "shape": [len(graph)], "data_offsets": [0, len(graph)]}
    size = 0x0109
    header = json.dumps({"a": entry}, separators=(",", ":")).ljust(100) + "\r"
    return struct.pack("<Q", size) + header.ljust(size).encode() + graph


MAKERS: dict[str, Callable[[Any, Path], bytes]] = {
    "text": lambda text, canary: made(text, canary),
    "base64": lambda text, _: base64.b64decode(text),
    "json": lambda value, _: json.dumps(value).encode(),
    "pickle": _pickled,
    "plain": lambda value, _: pickle.dumps(value, 4),
    "cloudpickle": _cloudpickle,
    "files": lambda files, canary: zipped({name: made(it, canary) for name, it in files.items()}),
    "protobuf": lambda fields, _: _message(fields),
    "safetensors": _safetensors,
    "safetensors and pickle": _swallowed,
    "safetensors and graph": _graph_too,
}


def build(folder: Path, case: Spec, canary: Path) -> None:
    """Make the model folder of a case: its document, files, links and pipes."""
    folder.mkdir()
    (folder / "MLmodel").write_bytes(made(case["document"], canary))
    for name, spec in case.get("files", {}).items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(made(spec, canary))
    for name, target in case.get("links", {}).items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).symlink_to(target)
    for name in case.get("pipes", ()):
        os.mkfifo(folder / name)
