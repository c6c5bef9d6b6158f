"""The value that says how a file is serialized."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from gitml.errors import shown
from gitml.models.pickles import PickleScan

_NOUNS = {"cloudpickle": "cloudpickle", "joblib": "pickle of joblib", "torch": "pickle of torch"}
_LIBRARIES = frozenset(
    "cloudpickle collections copyreg functools gitml joblib keras lightgbm mlflow numpy pandas"
    " scipy sklearn torch types xgboost".split()
)
_USUAL = frozenset({"builtins.object", "builtins.property", "builtins.type"})


@dataclass(frozen=True, slots=True)
class Serialization:
    """How a file is serialized.

    `kind` is one of pickle, cloudpickle, joblib, torch, torchscript, torch-export, skops, keras,
    tensorflow, safetensors, onnx, xgboost-json, xgboost-ubj, lightgbm-text, hdf5, numpy, zip,
    program, json, text, empty, unknown. `executes` says whether loading it can run code of
    whoever wrote it. `imports` are the `module.name` that loading it would import, or the types
    that it names; `why` says all of that in a line.
    """

    kind: str
    executes: bool = False
    imports: tuple[str, ...] = ()
    why: str = ""


def by_pickles(told: Serialization, found: PickleScan) -> Serialization:
    """The same, once the pickles in it are known."""
    imports = tuple(sorted({*told.imports, *found.imports}))
    if found.executes and not told.executes:
        return replace(told, executes=True, imports=imports, why=_threat(told.kind, found))
    return replace(told, imports=imports)


def listed(names: Iterable[str]) -> str:
    """Names as a message shows them: the most telling one, and how many more."""
    first, *others = sorted(names, key=lambda name: (_is_usual(name), name))
    return f"{shown(first)} and {len(others)} more" if others else shown(first)


def _is_usual(name: str) -> bool:
    return name in _USUAL or name.partition(".")[0] in _LIBRARIES


def _threat(kind: str, found: PickleScan) -> str:
    if not (found.unsafe_imports or found.unresolved):
        return f"it {found.problem}"
    around = [name for name in found.containers[::-1] if (kind, name) != ("torch", "zip")]
    what = " in ".join([_NOUNS.get(kind, "pickle"), *around])
    if found.unsafe_imports:
        return f"{what} that imports {listed(found.unsafe_imports)}"
    return f"{what} that computes the names of what it imports"
