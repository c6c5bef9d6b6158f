"""What program code imports and names: in bytecode, which notebooks have too, and in source."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from types import CodeType

_GLOBALS = frozenset(("LOAD_GLOBAL", "LOAD_NAME"))
_ATTRIBUTES = frozenset(("LOAD_ATTR", "LOAD_METHOD"))
_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
_BLOCKS = (ast.stmt, ast.ExceptHandler, ast.match_case)


@dataclass(frozen=True, slots=True)
class CodeNames:
    """What a code object names, those inside it included.

    `chains` are globals with the attributes read from them, as `('scipy', 'stats', 'norm')`;
    `imports` are dotted names of what is imported when it runs, see `of_source`.
    """

    chains: frozenset[tuple[str, ...]]
    imports: frozenset[str]


def of_code(code: CodeType, package: str) -> CodeNames:
    """What `code` names; `package` is what its relative imports are relative to."""
    import dis  # 5 ms, unless the model's framework has loaded it

    chains: set[tuple[str, ...]] = set()
    imports: set[str] = set()
    for inner in _nested(code):
        chain: tuple[str, ...] = ()
        before: list[object] = [None, None]  # the level and the names of an import
        for step in dis.get_instructions(inner):
            if step.opname == "EXTENDED_ARG":
                continue
            if step.opname in _GLOBALS:
                chain = (step.argval,)
            elif step.opname in _ATTRIBUTES and chain:
                chain = (*chain, step.argval)
            else:
                chain = ()
            if chain:
                chains.add(chain)
            if step.opname == "IMPORT_NAME":
                imports.update(_targets(step.argval, before[0], before[1], package))
            before = [before[1], step.argval]
    return CodeNames(frozenset(chains), frozenset(imports))


def _nested(code: CodeType) -> Iterator[CodeType]:
    todo = [code]
    while todo:
        inner = todo.pop()
        yield inner
        todo += [constant for constant in inner.co_consts if isinstance(constant, CodeType)]


def of_source(source: bytes, package: str, *, in_functions: bool = False) -> frozenset[str]:
    """The dotted names that a module imports when it is imported; or in its functions too.

    `from a import b` is `a.b`: whether b is a module, only the file system knows. What stands
    under `if TYPE_CHECKING` or `if __name__ == "__main__"` is left out. Source that is no Python
    imports nothing.
    """
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return frozenset()
    found: set[str] = set()
    todo: list[ast.AST] = [tree]
    while todo:
        node = todo.pop()
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            names = tuple(alias.name for alias in node.names)
            found.update(_targets(node.module or "", node.level, names, package))
        elif isinstance(node, ast.If) and _is_never_true(node.test):
            todo += node.orelse
        elif in_functions or not isinstance(node, _FUNCTIONS):
            todo += (child for child in ast.iter_child_nodes(node) if isinstance(child, _BLOCKS))
    return frozenset(found)


def _is_never_true(test: ast.expr) -> bool:
    """Whether a condition is false where a model is loaded."""
    text = ast.unparse(test)
    return text in ("TYPE_CHECKING", "typing.TYPE_CHECKING") or text.startswith("__name__ ==")


def _targets(name: str, level: object, names: object, package: str) -> Iterator[str]:
    """The dotted names of one import statement, made absolute."""
    if isinstance(level, int) and level > 0:
        parents = package.split(".")[: 1 - level or None]
        name = ".".join([*parents, name] if name else parents)
    if isinstance(names, tuple) and names:
        yield from (f"{name}.{item}" for item in names)
    else:
        yield name
