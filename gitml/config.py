"""What the user has set: `gitml.yaml` and the environment variables, each as one frozen value.

Format of gitml.yaml: schemas/gitml.schema.json. Every key may be left out.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, replace
from hashlib import sha256
from pathlib import Path
from types import MappingProxyType
from typing import Any

from gitml.documents import (
    dump_json,
    load_json,
    load_yaml,
    shown_kind,
    unknown_key,
    write_atomic,
)
from gitml.errors import FormatError, StorageError, shown
from gitml.files import make_folder
from gitml.version import __version__

FILE_NAME = "gitml.yaml"
SCHEMA = 1


@dataclass(frozen=True, slots=True)
class Ledger:
    """Where the runs are: `ref` is a full ref name, `remote` the name of a git remote or a URL."""

    ref: str = "refs/heads/gitml/runs"
    remote: str = "origin"


@dataclass(frozen=True, slots=True)
class Artifacts:
    """How much goes into the run commit itself, in bytes, and the DVC remote for the rest."""

    inline_unit: int = 100_000
    inline_run: int = 1_000_000
    remote: str | None = None


@dataclass(frozen=True, slots=True)
class Push:
    """Whether a run that ends is pushed by itself; `interval` in seconds is kept between pushes."""

    auto: bool = False
    interval: float = 60


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What a snapshot of the code takes; a larger file (in bytes) is only named in the record."""

    max_file: int = 5_000_000


@dataclass(frozen=True, slots=True)
class Config:
    """A gitml.yaml; `folder` is where it lies, None when there is none.

    `deployments` and `ci` are kept as they were written, for the modules that read them.
    """

    folder: Path | None = None
    experiment: str = "default"
    ledger: Ledger = Ledger()
    artifacts: Artifacts = Artifacts()
    push: Push = Push()
    snapshot: Snapshot = Snapshot()
    system_metrics: bool = False
    deployments: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))
    ci: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))


def load(root: Path, start: Path | None = None, cache: Path | None = None) -> Config:
    """The configuration that holds in `start`, a folder of the repository at `root`.

    Without a gitml.yaml between the two it is the default. `cache` is as in `read`. Raises
    `FormatError`.
    """
    path = find_config(start or root, root)
    return Config() if path is None else read(path, cache)


def find_config(start: Path, root: Path) -> Path | None:
    """The nearest gitml.yaml in `start` or above, but not above `root`."""
    start, root = start.resolve(), root.resolve()
    for folder in (start, *start.parents):
        if not folder.is_relative_to(root):
            return None
        if (folder / FILE_NAME).is_file():
            return folder / FILE_NAME
    return None


def read(path: Path, cache: Path | None = None) -> Config:
    """The configuration in the file `path`; raises `FormatError`.

    In the folder `cache` the parsed file is kept as JSON until the file changes: every script
    that records a run reads it, and importing a YAML parser takes as long as recording.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise FormatError(f"can't read {path}: {error.strerror}") from error
    document = load_yaml(data, path.name) if cache is None else _parsed(data, path.name, cache)
    return replace(parse(document, path.name), folder=path.parent)


def _parsed(data: bytes, name: str, cache: Path) -> Any:
    kept, key = cache / "config.json", sha256(__version__.encode() + data).hexdigest()
    try:
        found = load_json(kept.read_bytes(), kept.name)
        if isinstance(found, dict) and found.get("key") == key:
            return found.get("document")
    except (OSError, FormatError):
        pass
    document = load_yaml(data, name)
    try:
        make_folder(cache)
        write_atomic(kept, dump_json({"key": key, "document": document}))
    except (OSError, StorageError):
        pass  # a repository that can't be written to is read all the same
    return document


def parse(document: Any, where: str = FILE_NAME) -> Config:
    """The configuration that a parsed gitml.yaml holds; an unknown key or wrong value is refused.

    A key without a value counts as left out.
    """
    plain = dict(document) if isinstance(document, Mapping) else document
    schema = plain.pop("schema", SCHEMA) if isinstance(plain, dict) else SCHEMA
    if isinstance(schema, bool) or not isinstance(schema, int) or schema < 1:
        raise FormatError(f"{where}: schema: must be 1, not {shown(schema)}")
    if schema > SCHEMA:
        raise FormatError(f"{where} has schema {schema}, this gitml reads 1; upgrade gitml")
    config: Config = _CONFIG({} if plain is None else plain, where)
    return config


# -- readers: each takes a value and its place, and returns what the value means -------------


def _section(kind: type[Any], readers: Mapping[str, Callable[[Any, str], Any]]) -> Any:
    def read_section(value: Any, place: str) -> Any:
        if not isinstance(value, Mapping):
            raise _wrong(value, place, "a mapping")
        known = {}
        for key, item in value.items():
            if key not in readers:
                raise FormatError(f"{place}: {unknown_key(key, readers)}")
            if item is not None:
                known[key] = readers[key](item, _inside(place, key))
        return kind(**known)

    return read_section


def _inside(place: str, key: str) -> str:
    return f"{place}/{key}" if ": " in place else f"{place}: {key}"


def _wrong(value: Any, place: str, wanted: str) -> FormatError:
    return FormatError(f"{place}: must be {wanted}, not {shown_kind(value)}")


def _text(value: Any, place: str) -> str:
    if not isinstance(value, str) or not value or _CONTROL.search(value):
        raise _wrong(value, place, "a line of text")
    return value


def _flag(value: Any, place: str) -> bool:
    if not isinstance(value, bool):
        raise _wrong(value, place, "true or false")
    return value


def _seconds(value: Any, place: str) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or value < 1:
        raise _wrong(value, place, "a number of seconds, 1 or more")
    return value


def _size(value: Any, place: str) -> int:
    found = _SIZE.fullmatch(str(value)) if type(value) in (int, str) else None
    if found is None:
        raise _wrong(value, place, "a size such as 100kB, 5MB or a number of bytes")
    return round(float(found[1]) * _UNITS[found[2] or ""])


def _branch(value: Any, place: str) -> str:
    if not isinstance(value, str) or not _BRANCH.fullmatch(value):
        raise _wrong(value, place, "a branch name such as gitml/runs")
    return f"refs/heads/{value}"


def _git_remote(value: Any, place: str) -> str:
    remote = _text(value, place)
    if remote.startswith("-"):
        raise _wrong(value, place, "the name of a git remote or a URL")
    if _PASSWORD.search(remote):
        raise FormatError(f"{place}: holds a password; leave it to a git credential helper")
    return remote


def _mapping(value: Any, place: str) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise _wrong(value, place, "a mapping")
    return MappingProxyType(dict(value))


_UNITS = {"": 1, "B": 1, "kB": 10**3, "MB": 10**6, "GB": 10**9}
_UNITS |= {"KiB": 2**10, "MiB": 2**20, "GiB": 2**30}
_SIZE = re.compile(r"([0-9]{1,15}(?:\.[0-9]{1,9})?) ?(B|kB|MB|GB|KiB|MiB|GiB)?")
_PART = r"(?!\w[\w.-]*\.lock(?:/|$))\w(?:\.?[\w-])*"
_BRANCH = re.compile(rf"(?!refs/|(?:[A-Z]+_)?HEAD$){_PART}(?:/{_PART})*", re.ASCII)
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_PASSWORD = re.compile(r"://[^/@]*:[^/@]*@")

_CONFIG = _section(
    Config,
    {
        "experiment": _text,
        "ledger": _section(Ledger, {"ref": _branch, "remote": _git_remote}),
        "artifacts": _section(
            Artifacts, {"inline_unit": _size, "inline_run": _size, "remote": _text}
        ),
        "push": _section(Push, {"auto": _flag, "interval": _seconds}),
        "snapshot": _section(Snapshot, {"max_file": _size}),
        "system_metrics": _flag,
        "deployments": _mapping,
        "ci": _mapping,
    },
)


# -- MLflow's module of this name ----------------------------------------------------------

_OF_MLFLOW = frozenset(
    """disable_system_metrics_logging enable_system_metrics_logging get_registry_uri
    get_tracking_uri is_tracking_uri_set set_registry_uri set_system_metrics_node_id
    set_system_metrics_samples_before_logging set_system_metrics_sampling_interval
    set_tracking_uri""".split()
)


def enable_async_logging(enable: bool = True) -> None:
    """Nothing to do: a log call takes microseconds, and is in the journal when it returns."""


def __getattr__(name: str) -> Any:
    """What `mlflow.config` has is that of the package; scripts call it by either name."""
    if name in _OF_MLFLOW:
        import importlib

        return getattr(importlib.import_module("gitml"), name)
    raise AttributeError(f"module 'gitml.config' has no attribute {name!r}")


# -- the environment -----------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Variables:
    """The environment variables that gitml reads; one that is empty counts as not set."""

    repo: str | None = None
    experiment_name: str | None = None
    run_id: str | None = None
    parent_run_id: str | None = None
    spool: str | None = None
    code: str | None = None
    fault: str | None = None


def variables(environ: Mapping[str, str] = os.environ) -> Variables:
    """The variables as they are now: GITML_REPO, GITML_RUN_ID and so on, a name for each field.

    MLFLOW_RUN_ID and MLFLOW_EXPERIMENT_NAME stand in for ours.
    """

    def value(name: str) -> str | None:
        stand_in = f"MLFLOW_{name}" if name in ("RUN_ID", "EXPERIMENT_NAME") else ""
        return environ.get(f"GITML_{name}") or environ.get(stand_in) or None

    return Variables(**{item.name: value(item.name.upper()) for item in fields(Variables)})


def take_run_id() -> str | None:
    """The value of GITML_RUN_ID or MLFLOW_RUN_ID, which are taken out of the environment."""
    found = variables().run_id
    for name in ("GITML_RUN_ID", "MLFLOW_RUN_ID"):
        os.environ.pop(name, None)
    return found


_URL = re.compile(r"(?!file:)[a-z][a-z0-9+.-]+:|databricks", re.IGNORECASE)
_NOT_READ = {  # variables of MLflow: which values say something, and what to use instead
    "MLFLOW_TRACKING_URI": (_URL, "runs go to this repository; GITML_REPO names another"),
    "MLFLOW_EXPERIMENT_ID": (re.compile("."), "name the experiment in GITML_EXPERIMENT_NAME"),
    "MLFLOW_RUN_CONTEXT": (re.compile("."), "pass tags to start_run"),
    "MLFLOW_ENABLE_SYSTEM_METRICS_LOGGING": (
        re.compile("true|1|yes", re.IGNORECASE),
        f"write system_metrics: true into {FILE_NAME}",
    ),
}


def not_read(environ: Mapping[str, str] = os.environ) -> list[str]:
    """The variables that are set for MLflow and do nothing here, with what to use instead."""
    return [
        f"{name} ({instead})"
        for name, (says, instead) in _NOT_READ.items()
        if says.match(environ.get(name, ""))
    ]
