"""Changing scikit-learn's classes and functions, and changing them back.

Methods are wrapped where a class defines them, in the classes that exist and in those that are
imported later; none is imported for it. What a user pickles stays free of the wrappers.
"""

from __future__ import annotations

import contextlib
import functools
import importlib
import types
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextvars import ContextVar
from typing import Any

Around = Callable[[Callable[..., Any], Any, tuple[Any, ...], dict[str, Any]], Any]
Undo = Callable[[], None]

_inside: ContextVar[bool] = ContextVar("gitml_sklearn_inside", default=False)


def is_inside() -> bool:
    """Whether a call that is going on answers for this one already."""
    return _inside.get()


@contextlib.contextmanager
def inside() -> Iterator[None]:
    """What is called in the block is part of something, and is not logged by itself."""
    token = _inside.set(True)
    try:
        yield
    finally:
        _inside.reset(token)


# -- methods -------------------------------------------------------------------------------


class PatchedMethod:
    """A method of a class, called through `around(bound, instance, args, kwargs)`.

    It stands in for functions and for descriptors that have the method only sometimes.
    """

    def __init__(self, original: Any, around: Around):
        self.original = original
        self._around = around
        self.__doc__ = original.__doc__

    def __get__(self, instance: Any, owner: Any = None) -> Any:
        found = self.original.__get__(instance, owner)  # raises where there is no such method
        function, around = getattr(found, "__func__", found), self._around

        @functools.wraps(function)
        def method(self: Any, *args: Any, **kwargs: Any) -> Any:
            return around(types.MethodType(function, self), self, args, kwargs)

        if instance is None:
            return method
        return types.MethodType(method, instance)  # pickled as its instance and its name


def patch_classes(base: type, module: str, methods: Mapping[str, Around]) -> Undo:
    """Patch methods of the classes of `module` at and below `base`, and of those defined later.

    The classes of `module` that they inherit from beside `base` (mixins) are patched, too.
    """
    changed: list[tuple[type, str, PatchedMethod]] = []

    def patch(child: type) -> None:
        for owner in child.__mro__:
            if not owner.__module__.startswith(module):
                continue
            for name, around in methods.items():
                original = owner.__dict__.get(name)
                if hasattr(original, "__get__") and not isinstance(original, PatchedMethod):
                    patched = PatchedMethod(original, around)
                    setattr(owner, name, patched)
                    changed.append((owner, name, patched))

    for owner in (base, *_below(base)):
        patch(owner)
    stop = _patch_later(base, patch)

    def undo() -> None:
        stop()
        for owner, name, patched in changed:
            if owner.__dict__.get(name) is patched:  # else something else was laid over it
                setattr(owner, name, patched.original)

    return undo


def _below(base: type) -> Iterable[type]:
    seen: dict[type, None] = {}
    todo = [base]
    while todo:
        children: list[type] = [*todo.pop().__subclasses__()]
        todo += [child for child in children if child not in seen]
        seen.update(dict.fromkeys(children))
    return seen


def _patch_later(base: Any, patch: Callable[[type], None]) -> Undo:
    own = base.__dict__.get("__init_subclass__")

    def __init_subclass__(cls: Any, /, **kwargs: Any) -> None:  # noqa: N807
        if own is not None:
            own.__get__(None, cls)(**kwargs)
        else:
            super(base, cls).__init_subclass__(**kwargs)
        patch(cls)

    base.__init_subclass__ = classmethod(__init_subclass__)

    def undo() -> None:
        if own is not None:
            base.__init_subclass__ = own
        else:
            del base.__init_subclass__

    return undo


# -- functions -----------------------------------------------------------------------------


class PatchedFunction:
    """A function of a module, called through `around(original, args, kwargs)`.

    Pickled and copied it is the original.
    """

    def __init__(self, original: Callable[..., Any], around: Callable[..., Any]):
        functools.update_wrapper(self, original)
        self._original = original
        self._around = around

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Call the function through `around`."""
        return self._around(self._original, args, kwargs)

    def __reduce__(self) -> Any:
        return _named, (self._original.__module__, self._original.__qualname__)


def _named(module: str, name: str) -> Any:
    return getattr(importlib.import_module(module), name)


def patch_functions(module: Any, names: Iterable[str], around: Callable[..., Any]) -> Undo:
    """Patch functions where a module offers them, not where they are defined."""
    originals = {name: getattr(module, name) for name in names}
    for name, original in originals.items():
        setattr(module, name, PatchedFunction(original, around))

    def undo() -> None:
        for name, original in originals.items():
            setattr(module, name, original)

    return undo


def silence_workers() -> Undo:
    """Keep what scikit-learn runs in parallel, whose threads know of no fit, from being logged."""
    try:
        from sklearn.utils.parallel import _FuncWrapper as worker
    except ImportError:  # before 1.2.1
        return lambda: None
    original = worker.__call__

    @functools.wraps(original)
    def call(self: Any, *args: Any, **kwargs: Any) -> Any:
        with inside():
            return original(self, *args, **kwargs)

    worker.__call__ = call

    def undo() -> None:
        worker.__call__ = original

    return undo
