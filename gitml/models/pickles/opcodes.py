"""The instructions of pickles: how long their arguments are, what they do to the stack.

The facts are those of `pickletools`. Its reader is not used: it decodes every argument and fails
at some that the interpreter takes, so that a scan by it can be made to end before the payload.
"""

from __future__ import annotations

import pickletools
from collections.abc import Callable, Mapping
from typing import NamedTuple

from gitml.models.pickles.stream import Stream, UnreadableError

Argument = Callable[[Stream], "bytes | None"]


class Opcode(NamedTuple):
    """One instruction.

    `argument` reads what follows it: the bytes without their length, None for a long text. It
    takes what is above the topmost mark if `to_mark`, then `pops` values, and leaves `pushes`.
    """

    name: str
    argument: Argument | None
    to_mark: bool
    pops: int
    pushes: int


def _fixed(count: int) -> Argument:
    return lambda stream: stream.take(count)


def _short(stream: Stream) -> bytes:
    return stream.take(stream.byte())


def _counted(width: int, signed: bool) -> Argument:
    def read(stream: Stream) -> bytes | None:
        size = int.from_bytes(stream.take(width), "little", signed=signed)
        if size < 0:
            raise UnreadableError("has a text of negative length")
        return stream.text(size)

    return read


_LENGTHS: Mapping[int, Argument] = {
    pickletools.UP_TO_NEWLINE: Stream.line,
    pickletools.TAKEN_FROM_ARGUMENT1: _short,
    pickletools.TAKEN_FROM_ARGUMENT4: _counted(4, True),
    pickletools.TAKEN_FROM_ARGUMENT4U: _counted(4, False),
    pickletools.TAKEN_FROM_ARGUMENT8U: _counted(8, False),
}


def _opcode(info: pickletools.OpcodeInfo) -> Opcode:
    argument = None
    if info.arg is not None:
        argument = _LENGTHS.get(info.arg.n) or _fixed(info.arg.n)
    before = info.stack_before
    to_mark = pickletools.markobject in before
    pops = before.index(pickletools.markobject) if to_mark else len(before)
    return Opcode(info.name, argument, to_mark, pops, len(info.stack_after))


OPCODES: Mapping[int, Opcode] = {ord(info.code): _opcode(info) for info in pickletools.opcodes}
