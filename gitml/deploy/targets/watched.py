"""A file that Argo CD or Flux watches, with another image in it; all else stays as it is. Pure.

Formats: manifests of Kubernetes, whose containers have an `image`, and the `images` of a
kustomization.yaml (kustomize.config.k8s.io/v1beta1).
"""

from __future__ import annotations

import re
from pathlib import PurePosixPath

from gitml.documents import Edit, edit_yaml, load_yaml
from gitml.errors import UsageError, shown

_KUSTOMIZATION = ("kustomization.yaml", "kustomization.yml", "Kustomization")
_DIGEST = r"sha256:[0-9a-f]{64}"


def with_image(data: bytes, path: str, repository: str, tag: str, digest: str) -> bytes:
    """The file with this tag and digest for the images of a repository.

    Raises UsageError for a file that names no image of it.
    """
    if PurePosixPath(path).name in _KUSTOMIZATION:
        return _kustomized(data, path, repository, tag, digest)
    reference = f"{repository}:{tag}@{digest}".encode()
    made, count = _line(repository).subn(
        lambda found: found[1] + found[2] + reference + found[2] + found[3], data
    )
    if not count:
        raise UsageError(
            f"{shown(path)} names no image of {repository}; write one there, such as"
            f" `image: {repository}:none`, for gitml to change"
        )
    return made


def names_tag(data: bytes, path: str, repository: str, tag: str) -> bool:
    """Whether the images of a repository have this tag already."""
    if PurePosixPath(path).name in _KUSTOMIZATION:
        return any(it.get("newTag") == tag for it in _entries(data, path, repository))
    found = [it[0].decode("utf-8", "replace") for it in _line(repository).finditer(data)]
    return bool(found) and all(f":{tag}@" in it for it in found)


def _line(repository: str) -> re.Pattern[bytes]:
    """A line of YAML with an image of a repository, whatever its tag and digest."""
    name = re.escape(repository)
    key, end = r"^([ \t]*(?:- +)?image:[ \t]+)([\"']?)", r"\2([ \t]*(?:#.*)?\r?)$"
    text = rf"{key}{name}(?::[\w.-]+)?(?:@{_DIGEST})?{end}"
    return re.compile(text.encode(), re.MULTILINE)


def _kustomized(data: bytes, path: str, repository: str, tag: str, digest: str) -> bytes:
    chosen = _entries(data, path, repository)
    if not chosen:
        raise UsageError(
            f"{shown(path)} has no entry of `images` for {repository}; add one with that `newName`"
        )
    listed = (load_yaml(data, path) or {})["images"]
    made = [{**it, "newTag": tag, "digest": digest} if it in chosen else it for it in listed]
    return edit_yaml(data, [Edit(("images",), made)], path)


def _entries(data: bytes, path: str, repository: str) -> list[dict[str, str]]:
    document = load_yaml(data, path)
    listed = document.get("images") if isinstance(document, dict) else None
    return [
        it
        for it in (listed if isinstance(listed, list) else [])
        if isinstance(it, dict) and it.get("newName", it.get("name")) == repository
    ]
