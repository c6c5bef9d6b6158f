"""Loading models: what one may execute is decided before anything of it is loaded."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from gitml.models import flavor as flavors
from gitml.models import locate, mlmodel, private, trust
from gitml.models.locate import Located
from gitml.models.mlmodel import Model


def opened(uri: str | Path, *, allow_code: bool = False, target: Path | None = None) -> Opened:
    """A model that may be loaded; UntrustedModelError when that would run a stranger's code.

    What is judged is what will be loaded: of a folder that others can change it is a copy.
    """
    found = locate.locate(uri, target)
    if not allow_code:
        found = _held(found)
    document = mlmodel.read_document(found.folder)
    assessment = trust.assess(found.folder, document)
    trust.check(assessment, allow_code=allow_code, trusted=found.trusted, name=found.uri)
    return found, mlmodel.from_document(document)


def _held(found: Located) -> Located:
    """The same in a folder that stays as it is; the digest, where one is known, is its own."""
    folder = private.private(found.folder)
    held = replace(found, folder=folder)
    return locate.checked(held) if found.digest and folder != found.folder else held


Opened = tuple[Located, Model]


def native(
    name: str,
    uri: str | Path,
    options: Mapping[str, Any],
    *,
    allow_code: bool = False,
    dst_path: str | Path | None = None,
) -> Any:
    """The framework's own object of the flavor `name`."""
    target = None if dst_path is None else Path(dst_path)
    found, model = opened(uri, allow_code=allow_code, target=target)
    conf = model.flavor(name)
    add_code(found.folder, conf)
    return flavors.flavor(name).load(found.folder, conf, options)


def add_code(folder: Path, conf: Mapping[str, Any]) -> None:
    """Let the code that came with a model be imported, as in MLflow."""
    if conf.get("code"):
        path = str((folder / conf["code"]).resolve())
        if path not in sys.path:
            sys.path.insert(0, path)
