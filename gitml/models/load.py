"""Loading models: what one may execute is decided before anything of it is loaded."""

from __future__ import annotations

import filecmp
import sys
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from gitml.models import flavor as flavors
from gitml.models import locate, mlmodel, private, trust
from gitml.models.conversion import listed
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
    """Let the code that came with a model be imported, as in MLflow.

    Python has one module of each name: a warning tells of those that are imported already from
    elsewhere, with other code, because the model gets that.
    """
    if not conf.get("code"):
        return
    code = (folder / conf["code"]).resolve()
    if str(code) not in sys.path:
        sys.path.insert(0, str(code))
    if others := sorted(_other_code(code)):
        warnings.warn(
            f"the model brings its own {listed(others)}, and this process has imported other code"
            " of that name, which the model gets instead; load it in a process of its own",
            stacklevel=4,
        )


def _other_code(code: Path) -> Iterator[str]:
    """The modules in a model's folder of code that are imported from other code."""
    names = {entry.stem for entry in code.iterdir()} if code.is_dir() else set()
    for name, module in list(sys.modules.items()):
        if name.partition(".")[0] in names and (file := getattr(module, "__file__", None)):
            path = code.joinpath(*name.split("."))
            own = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
            if own.is_file() and not _is_same(own, file):
                yield name


def _is_same(own: Path, file: str) -> bool:
    try:
        return filecmp.cmp(own, file, shallow=False)
    except OSError:  # such as that of a model that is gone
        return False
