"""Protocol buffers read as what they are: messages of numbered fields, some of them messages."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from gitml.models.pickles.stream import Stream, UnreadableError

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5
END = 0  # the number of no field: the message ends

_WIDTHS = {FIXED64: 8, FIXED32: 4}
_VARINT_BYTES = 10
_MAX_FIELDS = 5_000_000

Messages = Mapping[str, Mapping[int, str]]


class Field(NamedTuple):
    """A field, or the end, of a message of the type `message`; `text` is that of a short one."""

    message: str
    number: int
    kind: int = BYTES
    text: bytes | None = None


def walk(stream: Stream, size: int, top: str, messages: Messages) -> Iterator[Field]:
    """Every field of a message and of those in it, from front to back, in one pass.

    `messages` maps a type to the types of the messages in it, by their field number; they are
    gone into, others passed by. Raises `UnreadableError` for what is no such message.
    """
    at, left, open_ = 0, _MAX_FIELDS, [(top, size)]
    while open_:
        message, end = open_[-1]
        if at == end:
            open_.pop()
            yield Field(message, END)
            continue
        left -= 1
        key, width = _varint(stream)
        number, kind = key >> 3, key & 7
        length, more = _varint(stream) if kind in (VARINT, BYTES) else (_WIDTHS.get(kind, 0), 0)
        at += width + more
        if kind == VARINT:
            length = 0
        if not number or kind not in (VARINT, *_WIDTHS, BYTES) or length > end - at or left < 0:
            raise UnreadableError("is no protocol buffer")
        inner = messages.get(message, {}).get(number) if kind == BYTES else None
        if inner is not None:
            open_.append((inner, at + length))
            yield Field(message, number)
        else:
            at += length
            yield Field(message, number, kind, stream.text(length))


def _varint(stream: Stream) -> tuple[int, int]:
    """A number, and how many bytes it takes."""
    value = 0
    for index in range(_VARINT_BYTES):
        byte = stream.byte()
        value |= (byte & 0x7F) << 7 * index
        if byte < 0x80:
            return value, index + 1
    raise UnreadableError("is no protocol buffer")
