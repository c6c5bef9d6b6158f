"""Compressed files read as what they hold, told by their content, at a bounded cost."""

from __future__ import annotations

import importlib
import io
import zlib
from typing import Any, BinaryIO

from gitml.models.pickles.stream import CUT_OFF, Budget, UnreadableError

_CHUNK = 1 << 16
_MEMORY = 256 << 20  # what decoding a hostile xz file may take
_MAGIC = (
    ("gzip", b"\x1f\x8b"),
    ("bz2", b"BZh"),
    ("xz", b"\xfd7zXZ\x00"),
    ("lzma", b"\x5d\x00"),
    ("lz4", b"\x04\x22\x4d\x18"),
    ("zstd", b"\x28\xb5\x2f\xfd"),
    ("zfile", b"ZF0x"),  # of a joblib before 0.10
)


def compression_of(head: bytes) -> str | None:
    """How a file that begins with `head` is compressed; None when it is not."""
    for name, magic in _MAGIC:
        if head.startswith(magic):
            return name
    if head[:1] == b"\x78" and int.from_bytes(head[:2], "big") % 31 == 0:
        return "zlib"
    return None


class Unpacked(io.RawIOBase):
    """What a compressed file holds, read forwards; each byte of it is paid for.

    Raises `UnreadableError` for a compression that this Python can't undo.
    """

    def __init__(self, file: BinaryIO, compression: str, budget: Budget) -> None:
        self._file = file
        self._compression = compression
        self._budget = budget
        self._decoder = _decoder(compression)
        self._rest = b""  # compressed bytes that were read and not used yet

    def readable(self) -> bool:
        """Always."""
        return True

    def read(self, size: int = -1) -> bytes:
        """At most `size` bytes; none at the end."""
        limit = _CHUNK if size < 0 else size
        while not self._decoder.eof or self._next_part():
            data = b""
            if self._decoder.needs_input:
                data, self._rest = self._rest or self._file.read(_CHUNK), b""
                if not data:
                    raise UnreadableError(CUT_OFF)
            if part := self._decode(data, limit):
                return part
        return b""

    def _decode(self, data: bytes, limit: int) -> bytes:
        try:
            part: bytes = self._decoder.decompress(data, limit)
        except Exception as error:  # each library has errors of its own
            raise UnreadableError(f"is damaged ({type(error).__name__})") from None
        self._budget.unpack(len(part))
        return part

    def _next_part(self) -> bool:
        """Whether another compressed part follows, as gzip, bz2 and xz files may have."""
        self._rest = self._decoder.unused_data or self._file.read(_CHUNK)
        if compression_of(self._rest) != self._compression:
            return False
        self._decoder = _decoder(self._compression)
        return True


class _Inflater:
    """zlib's decoder with the interface of the others."""

    def __init__(self) -> None:
        self._engine = zlib.decompressobj(zlib.MAX_WBITS | 32)  # zlib or gzip, as its head says
        self.needs_input = True

    @property
    def eof(self) -> bool:
        return self._engine.eof

    @property
    def unused_data(self) -> bytes:
        return self._engine.unused_data

    def decompress(self, data: bytes, limit: int) -> bytes:
        limit = max(1, limit)  # 0 would be no limit
        part = self._engine.decompress(self._engine.unconsumed_tail + data, limit)
        self.needs_input = not self._engine.unconsumed_tail and len(part) < limit
        return part


def _decoder(compression: str) -> Any:
    if compression in ("gzip", "zlib"):
        return _Inflater()
    try:
        if compression == "bz2":
            return importlib.import_module("bz2").BZ2Decompressor()
        if compression in ("xz", "lzma"):
            return importlib.import_module("lzma").LZMADecompressor(memlimit=_MEMORY)
        if compression == "lz4":
            return importlib.import_module("lz4.frame").LZ4FrameDecompressor()
    except ImportError:
        pass
    raise UnreadableError(f"is compressed with {compression}, which can't be undone here")
