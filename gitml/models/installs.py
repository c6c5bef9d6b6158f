"""What building a model's environment would run besides the packages of the index.

Installing a package runs code. A line that names a URL, a path or another index is the model
author's, whatever is done with the model; one that names a package of the index by name and version
is looked at when an environment or an image is really built.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from gitml.documents import load_yaml
from gitml.environments import wheel
from gitml.environments.reading import read_spec
from gitml.environments.spec import Spec
from gitml.environments.strange import strange
from gitml.errors import FormatError, UsageError, shown

FILES = ("conda.yaml", "constraints.txt", "python_env.yaml", "requirements.txt")

_NAME = r"[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?"
_ONE = r"(?:===|==|~=|!=|<=|>=|<|>)\s*[A-Za-z0-9.*+!_-]+"
_VERSIONS = rf"{_ONE}(?:\s*,\s*{_ONE})*"
_VARIABLE = (
    r"(?:python_version|python_full_version|os_name|sys_platform|platform_(?:release|system|version"
    r"|machine|python_implementation)|implementation_(?:name|version)|extra)"
)
_OPERAND = rf"(?:{_VARIABLE}|'[\w.+ -]*'|\"[\w.+ -]*\")"
_TEST = rf"\(*\s*{_OPERAND}\s*(?:===|==|~=|!=|<=|>=|<|>|not\s+in|in)\s*{_OPERAND}\s*\)*"
_PACKAGE = re.compile(
    rf"{_NAME}\s*(?:\[\s*{_NAME}(?:\s*,\s*{_NAME})*\s*\])?\s*(?:{_VERSIONS}|\(\s*{_VERSIONS}\s*\))?"
    rf"(?:\s*;\s*{_TEST}(?:\s*(?:and|or)\s*{_TEST})*)?(?:\s+--hash=sha\d+:[0-9a-f]+)*"
)
_ARCHIVE = re.compile(r".*\.(?:whl|zip|egg|tar(?:\.\w+)?|tgz|tbz|txz)", re.IGNORECASE)
_HERE = re.compile(r"(?:-r|-c|--requirement|--constraint)[ =]\s*(?:requirements|constraints)\.txt")
_CONDA = re.compile(r"(?:[\w.-]+::)?\w[\w.-]*(?:\[[\w.,='\"* -]*\])?[\s\w.,=<>!~*|+-]*")
_CHANNEL = re.compile(r"[\w.-]+(?:/label/[\w.-]+)?")
_PYTHON = re.compile(r"[\d.]+\w*")
_COMMENT = re.compile(r"(?:^|\s)#.*")
_MOST = 5  # names in a message
_MAX_LINES = 10_000
_MAX = 1000  # characters of a line; what is longer is no requirement


def spec_of(folder: Path, *, allow_code: bool, conda: bool = False) -> Spec:
    """The spec of a model's environment, as `read_spec` reads it, which may be built.

    It names no gitml: what loads the model is the running one, whatever the model asks for, and
    what an index has by that name is nobody's that the user chose.

    Raises `UsageError` unless `allow_code` when that would install what is not well known: a
    package of a stranger is code of a stranger, wherever it comes from.
    """
    spec = wheel.without(read_spec(folder, allow_code=allow_code, conda=conda))
    if not allow_code and (found := list(strange(spec))):
        named = ", ".join(map(shown, found[:_MOST])) + (" ..." if found[_MOST:] else "")
        raise UsageError(
            f"{spec.source}: it installs {named}, which is not widely known, and can run code; if"
            " you trust who made the model, allow it: --allow-code, or allow_code=True"
        )
    return spec


def foreign(name: str, data: bytes) -> Iterator[str]:
    """What in the environment file `name`, one of FILES or its like, installs from elsewhere.

    Each is said in words. A file that can't be read is one of these.
    """
    try:
        if name.endswith((".yaml", ".yml")):
            yield from _of_environment(load_yaml(data, name))
        else:
            yield from _of_lines(data.decode("utf-8-sig").replace("\\\n", "").splitlines())
    except UnicodeDecodeError:
        yield "can't be read: it is not UTF-8"
    except FormatError as error:
        yield f"can't be read: {error}"


def _of_lines(lines: list[Any]) -> Iterator[str]:
    if len(lines) > _MAX_LINES:
        yield f"has more than {_MAX_LINES} lines"
        return
    for line in lines:
        if not _is_plain(line):
            yield f"installs from elsewhere: {shown(line)}"


def _is_plain(line: object) -> bool:
    """Whether a line names a package of the index, or a file that is looked at too."""
    if not isinstance(line, str) or len(line) > _MAX:
        return False
    line = " ".join(_COMMENT.sub("", line).split())
    if not line or _HERE.fullmatch(line):
        return True
    return _PACKAGE.fullmatch(line) is not None and not _ARCHIVE.fullmatch(line)


def _of_environment(document: Any) -> Iterator[str]:
    """What a conda.yaml or python_env.yaml says."""
    if not isinstance(document, Mapping):
        yield "can't be read: it is not a mapping"
        return
    for channel in _list(document.get("channels")):
        if not _CHANNEL.fullmatch(str(channel)):
            yield f"installs from the channel {shown(channel)}"
    if document.get("variables"):
        yield "sets environment variables"
    if not _PYTHON.fullmatch(str(document.get("python", "3"))):
        yield f"installs the Python {shown(document['python'])}"
    for key in ("build_dependencies", "dependencies"):
        for line in _list(document.get(key)):
            yield from _of_dependency(line)


def _of_dependency(line: object) -> Iterator[str]:
    """What a package of conda says, or a list of those of pip."""
    if isinstance(line, Mapping):
        for lines in line.values():
            yield from _of_lines(_list(lines))
    elif not isinstance(line, str) or len(line) > _MAX or not _CONDA.fullmatch(line):
        yield from _of_lines([line])


def _list(value: Any) -> list[Any]:
    if value is None:
        return []
    return value if isinstance(value, list) else [value]
