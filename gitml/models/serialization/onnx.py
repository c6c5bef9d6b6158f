"""ONNX graphs: that they are ones, which files they read, whose operators they use."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import BinaryIO

from gitml.errors import FormatError, shown
from gitml.models.contained import inside
from gitml.models.pickles.stream import Stream, UnreadableError
from gitml.models.serialization.kind import Serialization, listed
from gitml.models.serialization.protobuf import BYTES, END, VARINT, Field, Messages, walk

# The messages that lead to what is looked for, by their field number in others.
_MESSAGES: Messages = {
    "model": {7: "graph", 8: "opset", 20: "training", 25: "function"},
    "training": {1: "graph", 2: "graph"},
    "graph": {1: "node", 5: "tensor", 15: "sparse"},
    "function": {7: "node", 9: "opset", 11: "attribute"},
    "node": {5: "attribute"},
    "attribute": {5: "tensor", 6: "graph", 10: "tensor", 11: "graph", 22: "sparse", 23: "sparse"},
    "sparse": {1: "tensor", 2: "tensor"},
    "tensor": {13: "entry"},
}
_DOMAINS = {("opset", 1), ("node", 7)}
_OWN_DOMAIN = ("function", 10)
_KEY, _VALUE = ("entry", 1), ("entry", 2)
_LOCATION = b"location"
_STANDARD = frozenset(
    ("", "ai.onnx", "ai.onnx.ml", "ai.onnx.training", "ai.onnx.preview", "ai.onnx.preview.training",
     "com.microsoft", "com.microsoft.experimental", "com.microsoft.nchwc", "com.ms.internal.nhwc",
     "org.pytorch.aten")
)  # fmt: skip
_LEAST_TENSORFLOW = 100  # bytes; a smaller message could be anything


def of_protobuf(path: Path, file: BinaryIO, size: int) -> Serialization | None:
    """The ONNX graph or TensorFlow model that this is; None when it is none.

    Raises FormatError for tensors that lie in a file outside the graph's own folder.
    """
    file.seek(0)
    found = _Graph()
    try:
        for field in walk(Stream(file, size), size, "model", _MESSAGES):
            found.enter(field)
    except UnreadableError:
        return None
    if {(1, VARINT), (7, BYTES)} <= found.top:
        for name in sorted(found.files):
            inside(path.parent, name, f"{shown(path.name)} has tensors in another file")
        return _told(found.domains - found.own - _STANDARD)
    if found.top == {(1, VARINT), (2, BYTES)} and size > _LEAST_TENSORFLOW:
        return Serialization("tensorflow", True, why="a TensorFlow model, which is a program")
    return None


def _told(foreign: Iterable[str]) -> Serialization:
    names = sorted(foreign)
    if not names:
        return Serialization("onnx", why="an ONNX graph of standard operators")
    return Serialization("onnx", why=f"an ONNX graph with operators of {listed(names)}")


class _Graph:
    """What a graph says of itself and of others."""

    def __init__(self) -> None:
        self.top: set[tuple[int, int]] = set()  # the fields of the outermost message
        self.domains: set[str] = set()
        self.own: set[str] = set()  # domains of which it defines the operators itself
        self.files: set[str] = set()
        self._keys: set[bytes | None] = set()
        self._values: set[bytes | None] = set()

    def enter(self, field: Field) -> None:
        """Note what a field says."""
        place = field.message, field.number
        if field.message == "model" and field.number != END:
            self.top.add((field.number, field.kind))
        elif place in _DOMAINS:
            self.domains.add(_text(field.text))
        elif place == _OWN_DOMAIN:
            self.own.add(_text(field.text))
        elif place == _KEY:
            self._keys.add(field.text)
        elif place == _VALUE:
            self._values.add(field.text)
        elif place == ("entry", END):
            if _LOCATION in self._keys:
                self.files |= {_text(value) for value in self._values}
            self._keys, self._values = set(), set()


def _text(data: bytes | None) -> str:
    if data is None:
        raise FormatError("an ONNX graph names something by a text that is too long")
    return data.decode("utf-8", "surrogateescape")
