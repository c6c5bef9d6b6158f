"""What the user tells a backend: a dictionary, the file that holds it, or its text, as in MLflow.

It comes from the user's side only. No project can bring one: a file is read where it is named, and
never looked for.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gitml.documents import load_yaml
from gitml.errors import FormatError, UsageError, shown
from gitml.files import shown_path
from gitml.tracking.redact import MASK, is_secret_name, redact_url


def read(given: Mapping[str, Any] | str | Path | None) -> dict[str, Any]:
    """The settings of a backend; a file is JSON or YAML, and so is text that begins with a brace.

    Raises UsageError when there is no such file, and FormatError, which tells line and column.
    """
    if given is None:
        return {}
    if isinstance(given, Mapping):
        return dict(given)
    text = str(given)
    if text.lstrip().startswith("{"):
        return _mapping(text.encode("utf-8", "surrogatepass"), "the backend's configuration")
    path = Path(text).expanduser()
    try:
        return _mapping(path.read_bytes(), shown_path(path))
    except OSError as error:
        raise UsageError(
            f"can't read the backend's configuration {shown_path(path)}: {error.strerror}"
        ) from None


def _mapping(data: bytes, where: str) -> dict[str, Any]:
    document = load_yaml(data, where)
    if not isinstance(document, dict):
        raise FormatError(f"{where} is no mapping of names to values but {shown(document)}")
    return document


_ADDRESS, _CONFIG = "--address", "--backend-config"


def words(config: Mapping[str, Any]) -> list[str]:
    """The options of the command line that say the same, without credentials."""
    rest = {name: value for name, value in config.items() if name != "address"}
    address = [_ADDRESS, str(config["address"])] if "address" in config else []
    return [*address, *([_CONFIG, json.dumps(masked(rest))] if rest else [])]


def masked(value: Any, name: str = "") -> Any:
    """A part of a configuration, and `***` for what stands there under the name of a credential."""
    if isinstance(value, Mapping):
        inner = name in _ALL_SECRET
        return {key: MASK if inner else masked(it, str(key)) for key, it in value.items()}
    if isinstance(value, list):
        return [masked(it, name) for it in value]
    if isinstance(value, str):
        return MASK if is_secret_name(name) else redact_url(value)
    return value


def known(config: Mapping[str, Any]) -> Mapping[str, Any]:
    """A configuration that was recorded; UsageError when it had credentials, which are not."""
    if json.dumps(MASK) in json.dumps(config):
        raise UsageError(
            "credentials of the backend's configuration are not recorded; give it again, with"
            " --backend-config"
        )
    return config


_ALL_SECRET = frozenset(("headers",))  # whose values are credentials, whatever their names
