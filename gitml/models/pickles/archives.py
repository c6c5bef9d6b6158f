"""Archives: the files in a zip or tar archive, each opened where it lies."""

from __future__ import annotations

import io
import struct
import zipfile
from collections.abc import Callable, Iterator
from typing import Any, BinaryIO, NamedTuple, cast

from gitml.models.pickles.stream import Budget, Metered, Stream, UnreadableError

Opener = Callable[[], BinaryIO]

ZIP = (b"PK\x03\x04", b"PK\x05\x06")

_BLOCK = 512
_IN_MEMORY = 64 << 20
_CHECKSUM = slice(148, 156)
_ENCRYPTED = 1
_END, _LARGE_END, _LOCATOR = b"PK\x05\x06", b"PK\x06\x06", b"PK\x06\x07"
_END_FIELDS = struct.Struct("<4s4HLLH")
_LARGE_FIELDS = struct.Struct("<4sQ2H2L4Q")
_LOCATOR_FIELDS = struct.Struct("<4sLQL")
_LONGEST_END = _LARGE_FIELDS.size + _LOCATOR_FIELDS.size + _END_FIELDS.size + 0xFFFF
_TWO_LISTS = "is a zip archive that may hold other files to another reader"


class Member(NamedTuple):
    """A file in an archive."""

    name: str
    open: Opener


def is_zip(file: BinaryIO) -> bool:
    """Whether a reader that begins at the end, as those of zip archives do, takes it for one."""
    try:
        return zipfile.is_zipfile(file) and bool(zipfile.ZipFile(file).namelist())
    except Exception:  # zipfile raises a dozen kinds for what it doesn't understand
        return False


def zip_members(file: BinaryIO, budget: Budget) -> Iterator[Member]:
    """The files in a zip archive; whatever would make two readers disagree is `UnreadableError`."""
    archive = _guarded(zipfile.ZipFile, file)
    names: set[str] = set()
    for info in archive.infolist():
        budget.member()
        name = info.filename.lower()  # by which torch's own reader finds it
        if name in names:
            raise UnreadableError(f"holds {info.filename[:80]!a} twice")
        names.add(name)
        if info.flag_bits & _ENCRYPTED:
            raise UnreadableError("is encrypted")
        if not info.filename.endswith("/"):
            yield Member(info.filename, _entry(archive, info, budget))
    _check_directory(file, archive)


def _check_directory(file: BinaryIO, archive: zipfile.ZipFile) -> None:
    """Refuse an archive in which another reader would find another list of files.

    Python takes the list that stands before the end, others the one to which the end points: there
    must be one end, one list right before it, and all that tells of their places must agree.
    Format: APPNOTE.TXT of PKWARE, 4.3.14 to 4.3.16.
    """
    size = file.seek(0, io.SEEK_END)
    start = max(archive.start_dir, size - _LONGEST_END)
    file.seek(start)
    tail = file.read(size - start)
    at = tail.find(_END)
    if at < 0 or at != tail.rfind(_END) or len(tail) < at + _END_FIELDS.size:
        raise UnreadableError(_TWO_LISTS)
    *_, count, length, offset, comment = _END_FIELDS.unpack_from(tail, at)
    told, end = (count, length, offset), at
    if tail[:at][-_LOCATOR_FIELDS.size :].startswith(_LOCATOR):
        end, told = _large_end(tail, at, start)
    short = zip((count, length, offset), told, (0xFFFF, 0xFFFFFFFF, 0xFFFFFFFF), strict=True)
    found = (len(archive.infolist()), start + end - archive.start_dir, archive.start_dir)
    whole = len(tail) == at + _END_FIELDS.size + comment
    if told != found or not whole or any(one not in (true, most) for one, true, most in short):
        raise UnreadableError(_TWO_LISTS)


def _large_end(tail: bytes, at: int, start: int) -> tuple[int, tuple[int, int, int]]:
    """Where the end of a large archive, which precedes the other, begins, and what it tells."""
    end = at - _LOCATOR_FIELDS.size - _LARGE_FIELDS.size
    place = _LOCATOR_FIELDS.unpack_from(tail, at - _LOCATOR_FIELDS.size)[2]
    if end < 0 or place != start + end or not tail.startswith(_LARGE_END, end):
        raise UnreadableError(_TWO_LISTS)
    *_, count, length, offset = _LARGE_FIELDS.unpack_from(tail, end)
    return end, (count, length, offset)


def _entry(archive: zipfile.ZipFile, info: zipfile.ZipInfo, budget: Budget) -> Opener:
    def opened() -> BinaryIO:
        return cast(BinaryIO, _Guarded(_guarded(archive.open, info), budget))

    return opened


class _Guarded(Metered):
    """A file in a zip archive, whose damages are `UnreadableError`."""

    def read(self, size: int = -1) -> bytes:
        try:
            return super().read(size)
        except UnreadableError:
            raise
        except Exception as error:
            raise UnreadableError(f"is damaged ({type(error).__name__})") from None


def _guarded(function: Callable[[Any], Any], argument: Any) -> Any:
    try:
        return function(argument)
    except Exception as error:  # zipfile raises a dozen kinds for what it doesn't understand
        raise UnreadableError(f"is a damaged zip archive ({type(error).__name__})") from None


def is_tar(head: bytes) -> bool:
    """Whether a file that begins with `head` is a tar archive, of whatever age."""
    if len(head) < _BLOCK or not head[0]:
        return False
    wanted = _octal(head[_CHECKSUM])
    plain = sum(head[: _CHECKSUM.start]) + 8 * ord(" ") + sum(head[_CHECKSUM.stop : _BLOCK])
    return wanted == plain


def tar_members(file: BinaryIO, budget: Budget) -> Iterator[Member]:
    """The files in a tar archive, special entries and the fields of long names among them."""
    stream = Stream(file)
    while not stream.at_end():
        head = stream.take(_BLOCK)
        if not any(head):
            return
        if not is_tar(head):
            raise UnreadableError("is a damaged tar archive")
        budget.member()
        size = _octal(head[124:136])
        if size is None:
            raise UnreadableError("holds a file of unknown size")
        data = stream.take(min(size, _IN_MEMORY))
        budget.unpack(len(data))
        stream.skip(size - len(data))
        stream.skip(min(-size % _BLOCK, 0 if stream.at_end() else _BLOCK))
        name = head[:100].partition(b"\0")[0].decode("utf-8", "replace")
        yield Member(name, _memory(data))


def _memory(data: bytes) -> Opener:
    return lambda: io.BytesIO(data)


def _octal(field: bytes) -> int | None:
    """A number in a tar header; None for one that is none."""
    if field[:1] == b"\x80":  # GNU's binary form
        return int.from_bytes(field[1:], "big")
    try:
        return int(field.rstrip(b" \0") or b"0", 8)
    except ValueError:
        return None


def in_memory(open_: Opener) -> io.BytesIO:
    """A file that may be read in any order."""
    file, parts, total = open_(), [], 0
    while part := file.read(1 << 20):
        total += len(part)
        if total > _IN_MEMORY:
            raise UnreadableError("holds an archive that is too large to look into")
        parts.append(part)
    return io.BytesIO(b"".join(parts))
