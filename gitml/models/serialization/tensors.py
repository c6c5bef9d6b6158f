"""safetensors: a header of JSON, then tensors."""

from __future__ import annotations

from typing import Any, BinaryIO

from gitml.documents import load_json
from gitml.errors import FormatError
from gitml.models.serialization.kind import Serialization

_LENGTH = 8
_MAX_HEADER = 16 << 20


def of_safetensors(file: BinaryIO, size: int) -> Serialization | None:
    """The safetensors file that this is; None when it isn't one as its format wants it."""
    file.seek(0)
    length = int.from_bytes(file.read(_LENGTH), "little")
    room = size - _LENGTH - length
    if room < 0 or length > _MAX_HEADER or file.read(1) != b"{":
        return None
    file.seek(_LENGTH)
    try:
        header = load_json(file.read(length), "the header")
    except FormatError:
        return None
    if not isinstance(header, dict):
        return None
    tensors = [value for name, value in header.items() if name != "__metadata__"]
    if not all(_is_tensor(value, room) for value in tensors):
        return None
    return Serialization("safetensors", why=f"safetensors: {len(tensors)} tensors and no code")


def _is_tensor(value: Any, room: int) -> bool:
    if not isinstance(value, dict) or not isinstance(value.get("dtype"), str):
        return False
    offsets = _counts(value.get("data_offsets"))
    if _counts(value.get("shape")) is None or offsets is None or len(offsets) != 2:
        return False
    return offsets[0] <= offsets[1] <= room


def _counts(values: Any) -> list[int] | None:
    """A list of whole numbers from 0 on; None for anything else."""
    if isinstance(values, list) and all(type(value) is int and value >= 0 for value in values):
        return values
    return None
