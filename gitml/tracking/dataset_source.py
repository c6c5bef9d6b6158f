"""Where data is from: a file that git or DVC tracks, another file, a URL, or code."""

from __future__ import annotations

import hashlib
import json
import os
import re
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gitml import git
from gitml.documents import load_yaml
from gitml.errors import FormatError, GitError, UsageError, shown
from gitml.tracking.fingerprint import MAX_BYTES, file_digest, folder_digest
from gitml.tracking.record import Json
from gitml.tracking.redact import MASK, is_secret_name, redact_text, redact_url

_URL = re.compile(r"([A-Za-z][A-Za-z0-9+.\-]+):(?://|(?=/))")  # one letter is a drive


@dataclass(frozen=True, slots=True)
class DatasetSource:
    """Where data is from: `type` is `code`, `local`, `git`, `dvc`, `http` or a URL's scheme.

    `details` tell where: `uri` is a path or URL (`url` for http). With git there is the `blob` of
    the content, with DVC the `pointer` file and the `md5` in it. `changed` is true where the file
    is not what git's index or the pointer holds.
    """

    type: str
    details: Mapping[str, Json] = field(default_factory=dict)

    @property
    def uri(self) -> str | None:
        """The path or URL, None for code."""
        where = self.details.get("uri", self.details.get("url"))
        return where if isinstance(where, str) else None

    @property
    def url(self) -> str | None:
        """The same as `uri`, which is MLflow's name for it unless the source is on the web."""
        return self.uri

    def to_dict(self) -> dict[str, Json]:
        """The details."""
        return dict(self.details)

    def to_json(self) -> str:
        """The details as JSON text."""
        return json.dumps(self.to_dict())

    def load(self, dst_path: str | None = None) -> str:
        """The local path of the data; raises UsageError where it is not a local file."""
        if self.type not in ("local", "git", "dvc") or self.uri is None:
            where = shown(self.uri or "")
            raise UsageError(f"the data is from {self.type} {where}, no local file; fetch it there")
        return self.uri

    def _get_source_type(self) -> str:  # MLflow's name, which its own classes have too
        return self.type


def parse(source: Any) -> DatasetSource:
    """What the user gave as a source: None (the code), a path, a URL, or a source object.

    User info and secret parameters of a URL are taken out.
    """
    if source is None:
        return DatasetSource("code")
    if isinstance(source, DatasetSource):
        return of_details(source.type, source.details)
    if isinstance(source, os.PathLike):
        return DatasetSource("local", {"uri": os.fspath(source)})
    if isinstance(source, str):
        return _of_text(source)
    if hasattr(source, "to_dict") and hasattr(source, "_get_source_type"):
        return of_details(source._get_source_type(), source.to_dict())
    raise UsageError(f"a dataset's source must be a path or a URL, not {type(source).__name__}")


def _of_text(text: str) -> DatasetSource:
    text = text if os.path.lexists(text) else text.strip()
    scheme = _URL.match(text)
    if scheme is None:
        return DatasetSource("local", {"uri": _public(text)})
    kind = scheme[1].lower()
    if kind == "file":
        return DatasetSource("local", {"uri": _path_of(text[scheme.end() :])})
    if kind in ("http", "https"):
        return DatasetSource("http", {"url": _public(text)})
    return DatasetSource(kind, {"uri": _public(text)})


def _public(value: Any, name: str = "") -> Any:
    """A detail, and what is in it, without credentials; the path of a file that is here stays."""
    if isinstance(value, Mapping):
        return {str(key): _public(item, str(key)) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_public(item, name) for item in value]
    if name and is_secret_name(name) and isinstance(value, str | int | float) and value:
        return value if isinstance(value, bool) else MASK
    if not isinstance(value, str) or (_URL.match(value) is None and os.path.lexists(value)):
        return value
    return redact_text(redact_url(value))


def _path_of(rest: str) -> str:
    from urllib.parse import unquote

    path = unquote(rest[rest.find("/") :])
    return path.lstrip("/") if os.name == "nt" else path


def of_details(kind: str, details: Mapping[str, Any]) -> DatasetSource:
    """A source that another library describes, without credentials."""
    return DatasetSource(kind, _public(details))


def locate(source: DatasetSource, repo: git.Repository | None) -> DatasetSource:
    """A local source with what git or DVC says about it in `repo`; any other as it is.

    A path in the repository becomes relative to its top.
    """
    if source.type != "local" or source.uri is None or repo is None or repo.root is None:
        return source
    path = Path(os.path.realpath(os.path.dirname(source.uri) or "."), os.path.basename(source.uri))
    root = repo.root.resolve()
    if not path.is_relative_to(root) or path == root:
        return source
    uri = path.relative_to(root).as_posix()
    tracked = _of_dvc(path, root, uri) or _of_git(path, repo, uri)
    return tracked or DatasetSource("local", {"uri": uri})


# -- DVC -----------------------------------------------------------------------------------


def _of_dvc(path: Path, root: Path, uri: str) -> DatasetSource | None:
    for pointer, out, base in _outs(path, root):
        tracked = Path(os.path.normpath(base / str(out.get("path", ""))))
        md5 = out.get("md5")
        if isinstance(md5, str) and (tracked == path or tracked in path.parents):
            details: dict[str, Json] = {"uri": uri, "pointer": pointer, "md5": md5}
            if tracked == path and _is_changed(path, md5, out.get("size")):
                details["changed"] = True
            return DatasetSource("dvc", details)
    return None


def dvc_output(path: Path, root: Path) -> str | None:
    """The md5 of the DVC output that is exactly at `path`, below the folder `root`."""
    for _, out, base in _outs(path, root):
        if Path(os.path.normpath(base / str(out.get("path", "")))) == path:
            md5 = out.get("md5")
            return md5 if isinstance(md5, str) else None
    return None


def is_as_recorded(path: Path, md5: str) -> bool:
    """Whether what is at `path` has exactly the bytes that DVC knows by an md5."""
    return path.exists() and whole_digest(path) == md5


def whole_digest(path: Path) -> str:
    """The digest of a file, all of it, or of a folder."""
    return folder_digest(path)[0] if path.is_dir() else file_digest(path, sys.maxsize)


def outputs(pointer: Path) -> Iterator[tuple[Path, str]]:
    """What a `.dvc` file or a dvc.lock names: where each output is, and its md5."""
    document = _read(pointer)
    stages = document.get("stages")
    base = pointer.parent / str(document.get("wdir", "."))
    for stage in _mappings(list(stages.values()) if isinstance(stages, Mapping) else [document]):
        for out in _mappings(stage.get("outs")):
            if isinstance(md5 := out.get("md5"), str):
                yield Path(os.path.normpath(base / str(out.get("path", "")))), md5


def _outs(path: Path, root: Path) -> Iterator[tuple[str, Mapping[str, Any], Path]]:
    """The outs that may hold `path`: (pointer file, out, the folder that its path starts from)."""
    above = [folder for folder in path.parents if folder.is_relative_to(root)]
    for place in (path, *above[:-1]):
        pointer = place.with_name(place.name + ".dvc")
        document = _read(pointer)
        base = pointer.parent / str(document.get("wdir", "."))
        for out in _mappings(document.get("outs")):
            yield pointer.relative_to(root).as_posix(), out, base
    for folder in above:
        lock = folder / "dvc.lock"
        stages = _read(lock).get("stages")
        for stage in _mappings(list(stages.values()) if isinstance(stages, Mapping) else None):
            for out in _mappings(stage.get("outs")):
                yield lock.relative_to(root).as_posix(), out, folder


def _read(file: Path) -> Mapping[str, Any]:
    """A DVC file; one that can't be read tells nothing, and stops no run."""
    try:
        document = load_yaml(file.read_bytes(), file.name)
    except (OSError, FormatError):
        return {}
    return document if isinstance(document, Mapping) else {}


def _mappings(items: Any) -> list[Mapping[str, Any]]:
    items = items if isinstance(items, list) else []
    return [item for item in items if isinstance(item, Mapping)]


def _is_changed(path: Path, md5: str, size: Any) -> bool:
    try:
        if path.is_dir():
            digest, _, here = folder_digest(path)
        else:
            digest, here = file_digest(path), path.stat().st_size
    except OSError:
        return False  # not here: the pointer is all there is
    if isinstance(size, int) and size != here:
        return True
    return not digest.startswith("sampled-") and digest != md5


# -- git -----------------------------------------------------------------------------------


def _of_git(path: Path, repo: git.Repository, uri: str) -> DatasetSource | None:
    """The file as git's index has it, or with the id that its content has now."""
    try:
        entry = git.text(repo, "ls-files", "--stage", "-z", "--", f":(top,literal){uri}")
    except GitError:
        return None
    fields, _, name = entry.rstrip("\0").partition("\t")
    if name != uri:
        return None
    blob = fields.split(" ")[1]
    here = _blob_ids(path, "sha1" if len(blob) == 40 else "sha256")
    if not here or blob in here:
        return DatasetSource("git", {"uri": uri, "blob": blob})
    return DatasetSource("git", {"uri": uri, "blob": here[0], "changed": True})


def _blob_ids(path: Path, algorithm: str) -> list[str]:
    """The ids that git gives to a file's content, as it is and with LF at the ends of lines."""
    try:
        if not path.is_file() or path.stat().st_size > MAX_BYTES:
            return []
        data = path.read_bytes()
    except OSError:
        return []
    versions = [data, data.replace(b"\r\n", b"\n")] if b"\r\n" in data else [data]
    return [_blob_id(version, algorithm) for version in versions]


def _blob_id(data: bytes, algorithm: str) -> str:
    digest = hashlib.new(algorithm, b"blob %d\0" % len(data), usedforsecurity=False)
    digest.update(data)
    return digest.hexdigest()
