"""The state of the machine that a pickle is a program for: stack, marks, memo, what was imported.

It holds stand-ins instead of the values: a text stands for itself, an imported thing is its name,
a tuple holds stand-ins, and most of the others are None. Nothing is imported, called or built.
"""

from __future__ import annotations

from array import array
from typing import Any

from gitml.models.pickles.stream import Budget, Stream, UnreadableError


class Imported:
    """The stand-in of something imported; `name` is `module.name`."""

    __slots__ = ("name",)

    def __init__(self, name: str) -> None:
        self.name = name


class Made:
    """The stand-in of an object of which the parts are needed; see `arrays`."""

    __slots__ = ("args", "name", "state")

    def __init__(self, name: str, args: Any) -> None:
        self.name = name
        self.args = args
        self.state: Any = None


class Memo:
    """The memo: values by number, most often numbered one after the other."""

    def __init__(self) -> None:
        self._row: list[Any] = []
        self._others: dict[int, Any] = {}

    def add(self, value: Any) -> None:
        """Keep a value under the number of values that there are."""
        if self._others:
            self.put(len(self._row) + len(self._others), value)
        else:
            self._row.append(value)

    def put(self, key: int, value: Any) -> None:
        """Keep a value."""
        if key == len(self._row) and key not in self._others:
            self._row.append(value)
        elif 0 <= key < len(self._row):
            self._row[key] = value
        else:
            self._others[key] = value

    def get(self, key: int) -> Any:
        """The value of that number."""
        if 0 <= key < len(self._row):
            return self._row[key]
        if key not in self._others:
            raise UnreadableError("refers to something that it has not made")
        return self._others[key]


class Machine:
    """The state, and what is known of the pickle so far."""

    def __init__(self, stream: Stream, budget: Budget) -> None:
        self.stream = stream
        self.budget = budget
        self.stack: list[Any] = []
        self.marks = array("q")  # heights of the stack
        self.floor = 0  # the topmost of them
        self.memo = Memo()
        self.protocol = 0
        self.names: set[str] = set()
        self.unresolved = False  # a name is computed only when it is loaded
        self.calls = False
        self.marked = False  # it begins as only newer pickles do
        self.problem: str | None = None

    def top(self) -> Any:
        """The topmost value, which stays."""
        if len(self.stack) <= self.floor:
            raise UnreadableError("takes a value that is not there")
        return self.stack[-1]

    def pop(self) -> Any:
        """Take the topmost value."""
        if len(self.stack) <= self.floor:
            raise UnreadableError("takes a value that is not there")
        return self.stack.pop()

    def mark(self) -> None:
        """Mark the height of the stack: nothing goes below it before it is cut."""
        self.floor = len(self.stack)
        self.marks.append(self.floor)

    def cut(self) -> list[Any]:
        """Take everything above the topmost mark, and the mark."""
        if not self.marks:
            raise UnreadableError("takes a value that is not there")
        start = self.marks.pop()
        values = self.stack[start:]
        del self.stack[start:]
        self.floor = self.marks[-1] if self.marks else 0
        return values

    def load(self, module: object, name: object) -> Imported | None:
        """Note an import; None when its name can't be told."""
        if module is None or name is None:
            self.unresolved = True
            return None
        if not isinstance(module, str) or not isinstance(name, str):
            raise UnreadableError("imports something that is not named by texts")
        if not module.isprintable() or not module or any(char.isspace() for char in module):
            raise UnreadableError("imports a module of an impossible name")
        if self.protocol < 3:
            module, name = _renamed(module, name)
        full = f"{module}.{name}"
        if full not in self.names:
            self.budget.name()
            self.names.add(full)
        return Imported(full)


def _renamed(module: str, name: str) -> tuple[str, str]:
    """The names of today for those of Python 2, as the interpreter translates them."""
    from _compat_pickle import IMPORT_MAPPING, NAME_MAPPING

    if (module, name) in NAME_MAPPING:
        return NAME_MAPPING[module, name]
    return IMPORT_MAPPING.get(module, module), name
