"""The registry's files in one commit, read from git: of the base, of the change, of its start."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from gitml import git
from gitml.errors import FormatError, shown
from gitml.registry import desired, files, policy
from gitml.registry.checking.problem import Problem
from gitml.registry.files import ModelFile
from gitml.registry.policy import Policy
from gitml.registry.tags import is_model_name
from gitml.validate import Reader, faults, schema_of

_LINE = re.compile(r"(?:^|\W)line (\d+)")
_INSIDE = re.compile(r"(registry/[^/]+\.yaml|registry\.yaml)/")
# Marks of direction, and characters without a width: a person reads something else than gitml.
_HIDDEN = re.compile("[\u061c\u200b-\u200f\u202a-\u202e\u2060-\u206f]")
_AT_ONCE = 100  # files
_LARGEST = 2_000_000  # bytes; a registry file has at most half of that
READERS: Mapping[str, Reader] = {"registry": policy.parse, "registered-model": files.parse}


@dataclass(frozen=True, slots=True)
class Side:
    """What a commit says: the policy, and every model that has a file that can be read."""

    commit: str
    policy: Policy
    models: Mapping[str, ModelFile]


def read(repo: git.Repository, commit: str, *, strict: bool) -> Side:
    """What a commit's files say; one that can't be read is left out, or with `strict` refused."""
    models = {}
    for name, data in desired.texts_at(repo, commit).items():
        try:
            models[name] = files.parse(data, files.path_of(name))
        except FormatError:
            if strict:
                raise
    (rules,) = git.read_present(repo, [f"{commit}:{policy.FILE_NAME}"])
    try:
        found = Policy() if rules is None else policy.parse(rules)
    except FormatError:
        if strict:
            raise
        found = Policy()
    return Side(commit, found, models)


def validate(repo: git.Repository, commit: str) -> list[Problem]:
    """What is wrong with the files of gitml in a commit."""
    found: list[Problem] = []
    known: dict[str, str] = {}
    blobs: dict[str, str] = {}
    listed = git.run(repo, "ls-tree", "-r", "-z", "--full-tree", "--long", commit)
    for line in filter(None, listed.split(b"\0")):
        meta, _, name = line.partition(b"\t")
        mode, _, blob, size = meta.decode().split()
        path = name.decode("utf-8", "replace")
        if inside := _INSIDE.match(path):
            found.append(Problem(inside[1], "it is a folder; make it a file"))
        schema = schema_of(path)
        if schema is None:
            continue
        if schema == "registered-model":
            found += _misnamed(path, known)
        if not mode.startswith("100"):
            found.append(Problem(path, "it is a link or a submodule; make it a file"))
        elif int(size) > _LARGEST:
            found.append(Problem(path, f"it has {int(size)} bytes, which is too much"))
        else:
            blobs[path] = blob
    return found + _faults(repo, blobs)


def _faults(repo: git.Repository, blobs: Mapping[str, str]) -> list[Problem]:
    """What is wrong with the contents of files; some of them are in memory together."""
    found, paths = [], list(blobs)
    for start in range(0, len(paths), _AT_ONCE):
        part = paths[start : start + _AT_ONCE]
        for path, data in zip(
            part, git.read_objects(repo, [blobs[it] for it in part]), strict=True
        ):
            schema, name = str(schema_of(path)), path.rpartition("/")[2]
            messages = faults(data, name, schema, READERS.get(schema), placed=True)
            found += [Problem(path, message, _line(message)) for message in messages]
            if schema in READERS and (hidden := _HIDDEN.search(data.decode("utf-8", "replace"))):
                line = hidden.string.count("\n", 0, hidden.start()) + 1
                what = f"line {line} has the character U+{ord(hidden[0]):04X}, which is not seen"
                found.append(Problem(path, f"{what}, and may hide what it says", line))
    return found


def _misnamed(path: str, known: dict[str, str]) -> list[Problem]:
    """What is wrong with the name of a model's file; `known` has those before it."""
    name = path.rpartition("/")[2].removesuffix(".yaml")
    other = known.setdefault(name.casefold(), name)
    if not is_model_name(name):
        return [Problem(path, "no model can have the name of this file, so nothing reads it")]
    if other != name:
        return [Problem(path, f"the model differs from {shown(other)} only in case")]
    return []


def _line(message: str) -> int | None:
    found = _LINE.search(message)
    return int(found[1]) if found else None


def begun_twice(repo: git.Repository, start: str, base: str, head: str) -> list[Problem]:
    """The models' files that both sides have begun since `start`: git merges no two beginnings.

    Promotions that are open at once share one, until a forge squashes or rebases one of them.
    """
    old, now, new = (desired.texts_at(repo, it) for it in (start, base, head))
    found = [name for name in new if name in now and name not in old and new[name] != now[name]]
    what = (
        "the base has begun this file meanwhile, by a squash or a rebase, and git can't merge two"
        " beginnings; bring this one up to date by the same command again: gitml registry promote"
    )
    return [Problem(files.path_of(name), f"{what} {name} VERSION STAGE") for name in found]
