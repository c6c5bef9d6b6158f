"""The modules that a model needs where it is loaded: what its pickle and its own code import.

A pickle says what it imports by reference. What travels by value, functions and classes of the
script or notebook, and the user's own modules import more when they run: that is found in the
live objects, their bytecode and the modules' source. Nothing is imported or called for it.
"""

from __future__ import annotations

import functools
import gc
import os
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from types import BuiltinFunctionType, CodeType, FrameType, FunctionType, GeneratorType, ModuleType
from typing import Any, cast

from gitml.models import code_imports
from gitml.models.distributions import distribution_of, file_of, is_own, is_standard, root_of

_PLAIN = frozenset(
    (type(None), bool, int, float, complex, str, bytes, bytearray, memoryview, range, slice,
     CodeType, FrameType, GeneratorType)
)  # fmt: skip
_HOLDERS = frozenset("argparse builtins collections dataclasses functools operator types".split())
_SCRIPT = ("__main__", "__mp_main__", "")  # whose modules are those of the training
_MISSING = object()


def roots_of(model: Any, pickled: bytes | None = None) -> set[str]:
    """The top-level modules, dotted below a namespace, that `model` needs where it is loaded.

    What its pickle imports is read from `pickled`; without one that can be read the types of all
    objects in the model count.
    """
    names = globals_of(pickled) if pickled else None
    walk = _Walk(types=names is None)
    for name in names or ():
        walk.need_global(name)
    walk.reach([model])
    return {root_of(name) for name in walk.needed}


def required(roots: Iterable[str], code_paths: Sequence[str | os.PathLike[str]] = ()) -> set[str]:
    """Those of the modules that are to be installed.

    Left out are the standard library, gitml and MLflow, what is not installed, and the user's own
    modules, except for those of an editable install; of these too what lies in `code_paths`, the
    folders that travel along.
    """
    folders = [os.path.realpath(path) for path in code_paths]
    return {root for root in roots if _is_required(root, folders)}


def left_behind(
    roots: Iterable[str], code_paths: Sequence[str | os.PathLike[str]] = ()
) -> dict[str, str]:
    """The user's own modules that no distribution has and that don't travel along, with their path.

    Where they can't be imported the model can't be loaded. The path is that for `code_paths`.
    """
    folders = [os.path.realpath(path) for path in code_paths]
    left = (
        root
        for root in sorted(roots)
        if is_own(root) and distribution_of(root) is None and not _travels(root, folders)
    )
    return {root: _path_of(root) for root in left}


def _path_of(module: str) -> str:
    """The file or folder to copy, so that a module can be imported beside it."""
    path = Path(file_of(module) or module)
    ups = module.count(".") + (path.name == "__init__.py")
    path = path.parents[ups - 1] if ups else path
    here = Path.cwd()
    return path.relative_to(here).as_posix() if path.is_relative_to(here) else str(path)


def _is_required(module: str, folders: Sequence[str]) -> bool:
    """Whether a distribution has a module, and its code does not travel with the model."""
    found = distribution_of(module)
    if found is None or not found.is_local:
        return found is not None
    return not _travels(module, folders)


def _travels(module: str, folders: Sequence[str]) -> bool:
    """Whether a module lies in one of the folders and files that the model takes along."""
    file = os.path.realpath(file_of(module) or "")
    return any(file == path or file.startswith(path + os.sep) for path in folders)


def globals_of(pickled: bytes) -> set[str] | None:
    """What a pickle imports, as `module.name`; None when it is no plain pickle."""
    import pickletools

    found: set[str] = set()
    memo: list[str | None] = []
    texts: list[str | None] = [None, None]  # the two that were put on the stack last
    try:
        for opcode, given, _ in pickletools.genops(pickled):
            name, argument = opcode.name, cast(Any, given)
            if name == "MEMOIZE":
                memo.append(texts[-1])
            elif name in ("BINGET", "LONG_BINGET"):
                texts = [texts[-1], memo[argument] if argument < len(memo) else None]
            elif name == "STACK_GLOBAL":
                found.add(f"{texts[0]}.{texts[1]}")
                texts = [None, None]
            elif name in ("GLOBAL", "INST"):
                found.add(argument.replace(" ", "."))
                texts = [texts[-1], None]
            elif name not in ("FRAME", "PROTO"):
                texts = [texts[-1], argument if isinstance(argument, str) else None]
    except ValueError:
        return None
    return found


class _Walk:
    """A walk over the objects of a model; `needed` are dotted names of what they import."""

    def __init__(self, types: bool) -> None:
        self.needed: set[str] = set()
        self._types = types
        self._todo: list[Any] = []
        self._seen: set[int] = set()
        self._holds: dict[type, bool] = {}
        self._sources: list[tuple[str, bool]] = []
        self._imported: set[tuple[str, bool]] = set()
        self._files: set[tuple[str, bool]] = set()
        self._is_own = functools.lru_cache(maxsize=None)(_has_own_code)
        self._is_users = functools.lru_cache(maxsize=None)(is_own)

    def need_global(self, name: str) -> None:
        """Take what a pickle imports, `module.name`, and what it is made of."""
        self._import(name)
        module = name
        while module not in sys.modules and "." in module:
            module = module.rpartition(".")[0]
        value: Any = sys.modules.get(module)
        for part in name[len(module) :].split(".")[1:]:
            value = vars(value).get(part) if _is_a(value, type, ModuleType) else None
        if _is_a(value, type, FunctionType):
            self._use(value)

    def reach(self, values: Iterable[Any]) -> None:
        """Walk over these objects and all that they hold."""
        self._push(values)
        while self._todo or self._sources:
            while self._sources:
                self._read(*self._sources.pop())
            if self._todo:
                self._visit(self._todo.pop())

    def _push(self, values: Iterable[Any]) -> None:
        found = list(values)
        kinds = set(map(type, found)) - _PLAIN
        if kinds:
            self._todo += [value for value in found if type(value) in kinds]

    def _visit(self, value: Any) -> None:
        if id(value) in self._seen:
            return
        self._seen.add(id(value))
        if _is_a(value, type):
            self._class(value)
        elif _is_a(value, FunctionType):
            self._function(value)
        elif _is_a(value, ModuleType):
            self._import(_name_of(value))
        else:
            self._instance(value)

    # -- what objects hold -----------------------------------------------------------------

    def _instance(self, value: Any) -> None:
        kind = type(value)
        if kind not in self._holds:
            self._push([kind])
            self._holds[kind] = _is_holder(_module_of(kind))
        if self._holds[kind]:
            is_array = kind.__name__ == "ndarray" and hasattr(value, "dtype")
            has_objects = is_array and value.dtype.hasobject
            self._push(value.ravel().tolist() if has_objects else gc.get_referents(value))

    def _class(self, kind: type) -> None:
        own = self._is_own(_module_of(kind))
        if self._types:
            self._use_class(kind)
        if own:
            self._push([type(kind), *kind.__mro__[1:], *vars(kind).values()])

    def _function(self, function: FunctionType) -> None:
        module = _module_of(function)
        if not self._is_own(module):
            if self._types:
                self._import(module)
            return
        namespace = function.__globals__
        names = code_imports.of_code(function.__code__, str(namespace.get("__package__") or ""))
        if self._types:  # else the pickle says so, unless the function travels by value
            self._import(module)
        for name in names.imports:
            self._import(name, in_functions=True)
        for chain in names.chains:
            self._follow(namespace, chain)
        self._push(function.__closure__ or ())
        self._push(vars(function).values())
        self._push([function.__defaults__, function.__kwdefaults__, function.__annotations__])

    # -- what code names -------------------------------------------------------------------

    def _follow(self, namespace: dict[str, Any], chain: tuple[str, ...]) -> None:
        """Use the value of a global, or what its attributes lead to as long as it is a module."""
        value = namespace.get(chain[0], _MISSING)
        for part in chain[1:]:
            if not _is_a(value, ModuleType):
                break
            self._import(_name_of(value))
            value = vars(value).get(part, _MISSING)
        if value is not _MISSING:
            self._use(value)

    def _use(self, value: Any) -> None:
        """Need what code names, whatever a pickle says of it."""
        if _is_a(value, type):
            self._use_class(value)
        elif _is_a(value, FunctionType, BuiltinFunctionType):
            self._import(_module_of(value))
        elif not _is_a(value, ModuleType):
            self._use_class(type(value))
        self._push([value])

    def _use_class(self, kind: type) -> None:
        for base in kind.__mro__:
            self._import(_module_of(base))

    # -- what is imported ------------------------------------------------------------------

    def _import(self, name: str, *, in_functions: bool = False) -> None:
        """Need a module, or a name in one; of the user's own modules also what they import."""
        if (name, in_functions) in self._imported:
            return
        self._imported.add((name, in_functions))
        if name.partition(".")[0] in _SCRIPT or is_standard(name) or _is_self(name):
            return
        self.needed.add(name)
        if self._is_users(root_of(name)):
            ends = [place for place, char in enumerate(name) if char == "."]
            self._sources += [(name[:end], in_functions) for end in (*ends, None)]

    def _read(self, module: str, in_functions: bool) -> None:
        """Need what one of the user's modules imports; all of it, where it is not loaded yet."""
        file = file_of(module)
        if (file, in_functions) in self._files or file is None or not file.endswith(".py"):
            return
        self._files.add((file, in_functions))
        try:
            source = Path(file).read_bytes()
        except OSError:
            return
        is_package = os.path.basename(file) == "__init__.py"
        package = module if is_package else module.rpartition(".")[0]
        everywhere = in_functions or module not in sys.modules
        for name in code_imports.of_source(source, package, in_functions=everywhere):
            self._import(name)


def _is_a(value: Any, *kinds: type) -> bool:
    """Whether the value is of these types, whatever it says itself: proxies are not woken up."""
    return issubclass(type(value), kinds)


def _name_of(module: ModuleType) -> str:
    name = vars(module).get("__name__")
    return name if isinstance(name, str) else ""


def _module_of(value: Any) -> str:
    """The module of a class or function; empty for one that was made while the program ran."""
    module = getattr(value, "__module__", None)
    return module if isinstance(module, str) else ""


def _is_holder(module: str) -> bool:
    """Whether objects of a module's classes are walked over: locks, loggers and files are not."""
    return module in _HOLDERS or module == "__main__" or not is_standard(module)


def _has_own_code(module: str) -> bool:
    """Whether a module's functions are the user's, or made while the program ran."""
    if not module or module == "__main__":
        return True
    if is_standard(module) or _is_self(module):
        return False
    return module not in sys.modules or is_own(module)


def _is_self(module: str) -> bool:
    return module.partition(".")[0] in ("gitml", "mlflow")
