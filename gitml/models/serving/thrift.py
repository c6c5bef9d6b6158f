"""Thrift's compact protocol, as far as Parquet uses it, read within bounds. Pure.

What another reader could understand otherwise is refused: a field that stands twice, a number that
is cut off where it is too large, and a list of other items than the fields of that number have.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

# The types of fields. There are maps too, of which Parquet has none.
I32, I64, BINARY, LIST, STRUCT = 5, 6, 8, 9, 12
_FLAGS, _BYTE, _I16, _DOUBLE, _SET = (1, 2), 3, 4, 7, 10
_DEPTH = 20
_VARINT_BYTES = 10
_NUMBERS = range(1, 1 << 15)

Fields = dict[tuple[int, int], Any]  # by number and type: whole numbers, structs, lists of those
Known = Mapping[int, Any]  # what is in the structs and lists of a number: their Known, or a type


class Reader:
    """Reads structs from the byte `at` on, where the last one ended afterwards.

    `steps` is how many fields and items there may be. Whatever is wrong raises ValueError.
    """

    def __init__(self, data: bytes, at: int, steps: int) -> None:
        self.at = at
        self._data = data
        self._left = steps

    def struct(self, known: Known, depth: int = 0) -> Fields:
        """The fields of a struct, without those of other types."""
        found: Fields = {}
        number, seen = 0, set()
        while head := self._byte():
            number = number + (head >> 4) if head >> 4 else self._whole()
            if number in seen or number not in _NUMBERS:
                raise ValueError("it says something twice")
            seen.add(number)
            value = self._value(head & 15, known.get(number), depth)
            if value is not None:
                found[number, head & 15] = value
        return found

    def _value(self, kind: int, known: Any, depth: int) -> Any:
        """A value; None for one of a type that is passed by."""
        self._left -= 1
        if self._left < 0 or depth > _DEPTH:
            raise ValueError("it has too many fields, or levels")
        if kind in (_I16, I32, I64):
            return self._whole()
        if kind == STRUCT:
            return self.struct(known if isinstance(known, Mapping) else {}, depth + 1)
        if kind in (LIST, _SET):
            return self._items(known if kind == LIST else None, depth + 1)
        if kind in (_BYTE, _DOUBLE, BINARY):
            self._skip({_BYTE: 1, _DOUBLE: 8}.get(kind) or self._varint())
        elif kind not in _FLAGS:
            raise ValueError("it has a field of no known type")
        return None

    def _items(self, known: Any, depth: int) -> list[Any]:
        head = self._byte()
        count = head >> 4 if head >> 4 < 15 else self._varint()
        kind = head & 15
        if known is not None and kind != (STRUCT if isinstance(known, Mapping) else known):
            raise ValueError("it has a list of other items")
        kind = _BYTE if kind in _FLAGS else kind
        return [self._value(kind, known, depth) for _ in range(count)]

    def _byte(self) -> int:
        self._skip(1)
        return self._data[self.at - 1]

    def _skip(self, count: int) -> None:
        self.at += count
        if self.at > len(self._data):
            raise ValueError("it ends too early")

    def _varint(self) -> int:
        value = 0
        for place in range(_VARINT_BYTES):
            byte = self._byte()
            value |= (byte & 0x7F) << 7 * place
            if byte < 0x80:
                return value
        raise ValueError("it has a number that is too long")

    def _whole(self) -> int:
        value = self._varint()
        return value >> 1 ^ -(value & 1)
