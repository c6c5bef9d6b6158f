"""The DVC pointer: the small file in a commit that names bytes kept elsewhere."""

from __future__ import annotations

import io
import re
from dataclasses import dataclass
from typing import Any

from gitml.documents import load_yaml
from gitml.errors import FormatError, shown

_OBJECT_ID = re.compile(r"[0-9a-f]{32}(?:\.dir)?")
_MAX_SIZE = 1 << 63
# What gitml writes itself, read without a YAML parser: a push looks at thousands of them.
_USUAL = re.compile(
    rb"outs:\n- md5: ([0-9a-f]{32}(?:\.dir)?)\n  size: (\d{1,18})\n"
    rb"(?:  nfiles: (\d{1,18})\n)?  hash: md5\n  path: [^\n]+\n"
)
# Scalars that every version of YAML takes for text as they stand: no number, no `yes`.
_PLAIN_NAME = re.compile(r"(?!(?:y|n|yes|no|on|off|true|false|null)\Z)[a-z][\w.-]*", re.A | re.I)
_PLAIN_ID = re.compile(r"[0-9a-f]*[acdf][0-9a-f]*(?:\.dir)?")


@dataclass(frozen=True, slots=True)
class Pointer:
    """A file, or a folder, in a DVC cache or remote.

    `md5` is the object's id: 32 hex digits, and `.dir` behind them for a folder. `size` is the
    number of bytes, of all its files for a folder; `nfiles` their number, None for a file.
    """

    md5: str
    size: int
    nfiles: int | None = None

    def __post_init__(self) -> None:
        check_object_id(self.md5)

    @property
    def is_dir(self) -> bool:
        """Whether it is a folder."""
        return is_dir(self.md5)


def is_dir(md5: str) -> bool:
    """Whether the object `md5` is the manifest of a folder."""
    return md5.endswith(".dir")


def is_object_id(text: object) -> bool:
    """Whether `text` can be the id of an object, of a file or a folder."""
    return isinstance(text, str) and _OBJECT_ID.fullmatch(text) is not None


def check_object_id(md5: str) -> str:
    """`md5` if it is an object's id; no path is made from anything else."""
    if not is_object_id(md5):
        raise FormatError(f"{shown(md5)} is not the id of a DVC object (32 hex digits)")
    return md5


def pointer_text(pointer: Pointer, name: str) -> str:
    """The `.dvc` file for `pointer` as `dvc add` writes it; the data is called `name` beside it."""
    if not (_PLAIN_NAME.fullmatch(name) and _PLAIN_ID.fullmatch(pointer.md5) and len(name) < 60):
        return _dumped(pointer, name)
    nfiles = "" if pointer.nfiles is None else f"  nfiles: {pointer.nfiles}\n"
    return (
        f"outs:\n- md5: {pointer.md5}\n  size: {pointer.size}\n{nfiles}"
        f"  hash: md5\n  path: {name}\n"
    )


def _dumped(pointer: Pointer, name: str) -> str:
    """The same by the YAML library of DVC, which knows when it would quote."""
    from ruamel.yaml import YAML

    nfiles = {} if pointer.nfiles is None else {"nfiles": pointer.nfiles}
    output = {"md5": pointer.md5, "size": pointer.size, **nfiles, "hash": "md5", "path": name}
    yaml = YAML()
    yaml.default_flow_style = False
    stream = io.StringIO()
    yaml.dump({"outs": [output]}, stream)
    return stream.getvalue()


def parse_pointer(data: bytes, where: str) -> Pointer:
    """The pointer that the `.dvc` file `data` holds; `where` names it in a `FormatError`."""
    if usual := _USUAL.fullmatch(data):
        md5, size, nfiles = usual.groups()
        return _checked(md5.decode(), int(size), None if nfiles is None else int(nfiles), where)
    document = load_yaml(data, where)
    outputs = document.get("outs") if isinstance(document, dict) else None
    if not isinstance(outputs, list) or len(outputs) != 1 or not isinstance(outputs[0], dict):
        raise FormatError(f"{where} is not a DVC pointer: it has no single output")
    output: dict[str, Any] = outputs[0]
    if output.get("hash") != "md5":
        raise FormatError(f"{where} is of DVC 2 or older; run `dvc cache migrate --dvc-files`")
    return _checked(output.get("md5"), output.get("size"), output.get("nfiles"), where)


def _checked(md5: Any, size: Any, nfiles: Any, where: str) -> Pointer:
    if not is_object_id(md5) or not _is_count(size):
        raise FormatError(f"{where} is not a DVC pointer: it lacks the md5 or the size")
    if is_dir(md5) != (nfiles is not None) or not (nfiles is None or _is_count(nfiles)):
        raise FormatError(f"{where} is not a DVC pointer: a folder has `nfiles`, a file has not")
    return Pointer(md5, size, nfiles)


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < _MAX_SIZE
