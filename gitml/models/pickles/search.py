"""The search for pickles: from the first byte of a file on, and in whatever files it holds."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import BinaryIO, cast

from gitml.models.pickles import archives
from gitml.models.pickles.archives import ZIP, Member, Opener
from gitml.models.pickles.compressed import Unpacked, compression_of
from gitml.models.pickles.instructions import follow
from gitml.models.pickles.machine import Machine
from gitml.models.pickles.stream import CUT_OFF, Budget, Stream, UnreadableError

ZIP_BEHIND = "zip at the end"  # the container that only readers of the end see

_HEAD = 512  # bytes that tell what a file is
_LAYERS = 4  # of files in files
_NUMPY = b"\x93NUMPY"
_FIRST = 20  # a pickle costs as much as this many instructions
_FEW = 8  # instructions that other bytes have by chance


class Search:
    """What has been found so far; see `PickleScan`."""

    def __init__(self, budget: Budget) -> None:
        self.pickles = 0
        self.names: set[str] = set()
        self.unresolved = False
        self.calls = False
        self.problem: str | None = None
        self.containers: list[str] = []
        self._budget = budget

    def whole(self, file: BinaryIO, size: int) -> None:
        """Search a file on the disk or in memory, of that many bytes."""

        def rewound() -> BinaryIO:
            file.seek(0)
            return file

        self._attempt(lambda: self._file(rewound, size, 0))

    def _attempt(self, action: Callable[[], None]) -> None:
        try:
            action()
        except UnreadableError as error:
            self.problem = self.problem or str(error)

    def _file(self, open_: Opener, size: int | None, layer: int) -> None:
        """Search a file: as a pickle, and as what holds others; it may be several at once."""
        if layer > _LAYERS:
            raise UnreadableError("is packed in too many layers")
        head = _head(open_())
        self._pickles(Stream(open_(), size))
        if compression := compression_of(head):
            self._compressed(open_, compression, layer)
        if archives.is_tar(head):
            self._members("tar", archives.tar_members(open_(), self._budget), layer)
        if head.startswith(_NUMPY):
            self._array(Stream(open_(), size))
        if head.startswith(ZIP):
            file = open_() if size is not None else archives.in_memory(open_)
            self._members("zip", archives.zip_members(file, self._budget), layer)
        elif size is not None and archives.is_zip(open_()):
            self._members(ZIP_BEHIND, archives.zip_members(open_(), self._budget), layer)

    def _pickles(self, stream: Stream) -> None:
        """Follow the pickles that begin here, one behind the other."""
        following = True
        while following:
            self._budget.step(_FIRST)
            left = self._budget.steps
            machine = follow(stream, self._budget)
            following = machine.problem is None
            if self._budget.is_spent or _is_pickle(machine, left - self._budget.steps):
                self._enter(machine)

    def _enter(self, machine: Machine) -> None:
        self.pickles += 1
        self.names |= machine.names
        self.unresolved |= machine.unresolved
        self.calls |= machine.calls
        self.problem = self.problem or machine.problem

    def _compressed(self, open_: Opener, compression: str, layer: int) -> None:
        def unpacked() -> BinaryIO:
            return cast(BinaryIO, Unpacked(open_(), compression, self._budget))

        file = unpacked()
        try:
            _head(file)
        except UnreadableError:
            if self._budget.is_spent:
                raise
            return  # other bytes that begin alike
        self.containers.append(compression)
        self._file(unpacked, None, layer + 1)

    def _members(self, kind: str, members: Iterable[Member], layer: int) -> None:
        self.containers.append(kind)
        for member in members:
            self._attempt(lambda open_=member.open: self._file(open_, None, layer + 1))  # type: ignore[misc]

    def _array(self, stream: Stream) -> None:
        """The pickle in an array of objects, which follows the header."""
        stream.skip(len(_NUMPY))
        major, _minor = stream.take(2)
        stream.skip(int.from_bytes(stream.take(2 if major == 1 else 4), "little"))
        self.containers.append("npy")
        self._pickles(stream)


def _is_pickle(machine: Machine, steps: int) -> bool:
    """Whether it is one: it ends as it should, or it did something before it broke off."""
    if machine.problem is None:
        return True
    if machine.calls:
        return machine.unresolved or bool(machine.names)
    return machine.marked and (steps > _FEW or machine.problem == CUT_OFF)


def _head(file: BinaryIO) -> bytes:
    head = b""
    while len(head) < _HEAD and (part := file.read(_HEAD - len(head))):
        head += part
    return head
