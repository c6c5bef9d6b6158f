"""The manifest of a folder: which file has which digest, in the bytes that DVC gives it.

A manifest that comes from a remote is somebody else's text: every path in it is checked before
one of them becomes a path on this machine.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Iterable
from typing import NamedTuple

from gitml.documents import load_json
from gitml.errors import FormatError, shown
from gitml.storage.pointer import is_dir, is_object_id

MAX_BYTES = 256 << 20  # about two million files

_HFS_IGNORED = re.compile(r"[\u200c-\u200f\u202a-\u202e\u206a-\u206f\ufeff]")
_GIT_FOLDER = re.compile(r"\.git|git~\d+", re.I)
_DRIVE = re.compile(r"[A-Za-z]:")
_ON_WINDOWS = re.compile(
    r'[<>:"|?*\x01-\x1f]|[. ]\Z|(?:con|prn|aux|nul|(?:com|lpt)\d)\s*(?:\.|\Z)', re.I
)


class Entry(NamedTuple):
    """A file of the folder: its path with `/`, relative to the folder, and its md5."""

    relpath: str
    md5: str


def manifest_bytes(entries: Iterable[Entry]) -> bytes:
    """The manifest as DVC writes it; raises `FormatError` for a path that no reader would take."""
    rows = [{"md5": md5, "relpath": relpath} for relpath, md5 in sorted(entries)]
    _check([Entry(row["relpath"], row["md5"]) for row in rows], "the folder")
    return json.dumps(rows).encode()


def manifest_id(data: bytes) -> str:
    """The object id of the manifest `data`."""
    return hashlib.md5(data, usedforsecurity=False).hexdigest() + ".dir"


def parse_manifest(data: bytes, where: str) -> list[Entry]:
    """The files that the manifest `data` lists; `where` names it in a `FormatError`."""
    if len(data) > MAX_BYTES:
        raise FormatError(
            f"{where} is a manifest of {len(data)} bytes; at most {MAX_BYTES} are read"
        )
    rows = load_json(data, where)
    try:
        entries = [Entry(row["relpath"], row["md5"]) for row in rows]
    except (TypeError, KeyError):
        raise FormatError(f"{where} is not the manifest of a folder") from None
    _check(entries, where)
    return entries


def _check(entries: list[Entry], where: str) -> None:
    files: set[str] = set()
    folders: set[str] = set()
    for relpath, md5 in entries:
        if not is_object_id(md5) or is_dir(md5):
            raise FormatError(f"{where} lists {shown(relpath)} without an md5")
        if problem := _problem(relpath):
            raise FormatError(f"{where} lists {shown(relpath)}, {problem}")
        if relpath in files:
            raise FormatError(f"{where} lists {shown(relpath)} twice")
        files.add(relpath)
        while (relpath := relpath.rpartition("/")[0]) and relpath not in folders:
            folders.add(relpath)
    if both := files & folders:
        raise FormatError(f"{where} lists {shown(min(both))} as a file and as a folder")


def _problem(relpath: object) -> str | None:
    """Why no file may be written at this path, None when it may."""
    if not isinstance(relpath, str):
        return "which is not text"
    parts = relpath.split("/")
    if "\\" in relpath or "\0" in relpath or _DRIVE.match(relpath):
        return "which is no plain relative path"
    if any(part in ("", ".", "..") for part in parts):
        return "which is absolute or leaves the folder"
    if not relpath.isascii():
        try:
            relpath.encode()
        except UnicodeEncodeError:
            return "whose name is not Unicode"
    if any(_GIT_FOLDER.fullmatch(_folded(part)) for part in parts):
        return "a folder of git's own, which git would take orders from"
    if os.name == "nt" and any(_ON_WINDOWS.search(part) for part in parts):
        return "which Windows can't hold"
    return None


def _folded(part: str) -> str:
    """The name as the most lenient file system reads it (HFS+ and NTFS together)."""
    return _HFS_IGNORED.sub("", part).partition(":")[0].rstrip(". ")
