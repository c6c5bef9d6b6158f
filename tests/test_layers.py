"""The shape of the package: which module may import what, and how large one may grow."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parent.parent / "gitml"
MAX_MODULE_LINES = 400
MAX_FUNCTION_LINES = 50

# From the ground up; modules of one line may import one another, as long as there is no cycle.
# A module that stands nowhere here is public: it may import all but the command line.
LAYERS = (
    ("errors", "urls", "version"),
    (
        "resources",
        "faults",
        "process",
        "siblings",
        "walls",
        "kept",
        "files",
        "locks",
        "turns",
        "caches",
    ),
    ("documents", "git", "config", "storage", "environments", "containers", "clusters", "validate"),
    ("tracking",),
    ("models",),
    ("projects",),
    ("forge", "review"),
    ("registry",),
    ("deploy",),
    ("ci",),
    ("(public)",),
    ("cli", "__main__"),
)
LEVELS = {name: level for level, names in enumerate(LAYERS) for name in names}

# What only one module, or the modules of one package, may import.
GATES = {
    "subprocess": "process",
    "multiprocessing": "siblings",
    "pty": "process",
    "git": "git",
    "dvc": "storage",
    "dvc_data": "storage",
    "dvc_objects": "storage",
    "dvc_s3": "storage",
    "fsspec": "storage",
    "yaml": "documents",
    "jsonschema": "documents",
    "click": "cli",
    "rich": "cli",
    "kubernetes": "clusters",
    "boto3": "deploy",
    "botocore": "deploy",
    "azure": "deploy",
    "pickle": "models",
    "cloudpickle": "models",
    "joblib": "models",
    "ray": "projects",
    "gto": "nobody",
    "marshal": "nobody",
    "shelve": "nobody",
}
# Imported inside the functions that need them, so that `import gitml` stays cheap.
HEAVY = {
    "azure", "boto3", "botocore", "cloudpickle", "dvc", "dvc_data", "dvc_objects", "fsspec", "git",
    "joblib", "jsonschema", "keras", "kubernetes", "lightning", "matplotlib", "mlflow", "numpy",
    "optuna", "orjson", "pandas", "PIL", "plotly", "psutil", "pyarrow", "pynvml", "ray", "rich",
    "ruamel", "safetensors", "sklearn", "sqlite3", "starlette", "tensorflow", "torch", "urllib3",
    "uvicorn", "yaml",
}  # fmt: skip
# Names that start a process or run text as code, whatever they are imported as.
STARTERS = {"system", "popen", "fork", "forkpty", "posix_spawn", "posix_spawnp", "startfile"}
SPEAKERS = {"print", "input", "breakpoint"}


@cache
def trees() -> dict[str, ast.Module]:
    """The syntax tree of every module of the package, by its dotted name."""
    found = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        found[name] = ast.parse(path.read_text(encoding="utf-8"), str(path))
    return found


def part(module: str) -> str:
    """The top-level part of the package that a module belongs to, `(public)` by default."""
    first = module.partition("gitml.")[2].partition(".")[0]
    return first if first in LEVELS else "(public)"


def imports(tree: ast.AST) -> Iterator[str]:
    """Every dotted name that the code imports, in functions too, but not for type checks only."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        else:
            yield from imports(node)


def own_imports(module: str) -> set[str]:
    """The modules of gitml that a module imports."""
    return _own(module, trees()[module])


def eager_imports(module: str) -> set[str]:
    """Those that it imports as soon as it is imported."""
    return _own(module, without_functions(trees()[module]))


def _own(module: str, tree: ast.Module) -> set[str]:
    modules, found = trees(), set()
    for name in imports(tree):
        if name.partition(".")[0] == "gitml":
            while name not in modules:
                name = name.rpartition(".")[0]
            found.add(name)
    return found - {module}


def test_imports_point_down() -> None:
    """A module imports from its own layer and those below, never from above."""
    wrong = [
        f"{module} imports {other}"
        for module in trees()
        for other in own_imports(module)
        if LEVELS[part(other)] > LEVELS[part(module)]
    ]
    assert wrong == []


def test_there_is_no_import_cycle() -> None:
    """The modules can be put in an order in which each needs only those before it."""
    graph = {module: own_imports(module) for module in trees()}
    try:
        order = list(TopologicalSorter(graph).static_order())
    except CycleError as error:
        pytest.fail(" -> ".join(error.args[1]))
    assert set(order) == set(graph)


def test_each_outside_world_has_one_gate() -> None:
    """Processes, git, DVC, YAML, the terminal and unsafe formats are each used in one place."""
    wrong = [
        f"{module} imports {name}"
        for module, tree in trees().items()
        for name in {name.partition(".")[0] for name in imports(tree)}
        if name in GATES and part(module) != GATES[name]
    ]
    assert wrong == []


def test_forges_are_asked_by_one_module() -> None:
    """In the part that holds tokens one module opens connections, and one knows the variables."""
    talks = ("http", "requests", "socket", "ssl", "urllib.request", "urllib3")
    wrong = [
        f"{module} imports {name}"
        for module, tree in trees().items()
        if part(module) == "forge" and module != "gitml.forge.wire"
        for name in imports(tree)
        if name.startswith(talks)
    ]
    assert wrong == []
    named = [
        module
        for module, tree in trees().items()
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and node.value in ("GITHUB_TOKEN", "GITLAB_TOKEN")
    ]
    assert set(named) == {"gitml.forge.access"}


def test_heavy_libraries_are_imported_where_they_are_used() -> None:
    """Outside the command line, no module imports a heavy library when it is imported itself."""
    wrong = [
        f"{module} imports {name}"
        for module, tree in trees().items()
        if part(module) != "cli"
        for name in {name.partition(".")[0] for name in imports(without_functions(tree))}
        if name in HEAVY
    ]
    assert wrong == []


def without_functions(tree: ast.Module) -> ast.Module:
    """The statements that run when a module is imported."""
    plain = [node for node in tree.body if not isinstance(node, ast.FunctionDef | ast.ClassDef)]
    return ast.Module(body=plain, type_ignores=[])


def test_no_shell_and_no_process_behind_the_gate() -> None:
    """No call names a shell or starts a process, except in the process gate."""
    wrong = [
        f"{module}:{node.lineno}: {ast.unparse(node)[:60]}"
        for module, tree in trees().items()
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and (has_shell(node) or starts_process(module, node))
    ]
    assert wrong == []


def has_shell(call: ast.Call) -> bool:
    """Whether a call passes `shell=` anything but False, or runs text as Python."""
    names = {"eval", "exec"}
    if isinstance(call.func, ast.Name) and call.func.id in names:
        return True
    return any(
        word.arg == "shell"
        and not (isinstance(word.value, ast.Constant) and word.value.value is False)
        for word in call.keywords
    )


def starts_process(module: str, call: ast.Call) -> bool:
    """Whether a call outside the process gate is `os.system` or one of its kin."""
    if part(module) == "process" or not isinstance(call.func, ast.Attribute):
        return False
    owner, name = call.func.value, call.func.attr
    is_os = isinstance(owner, ast.Name) and owner.id == "os"
    return is_os and (name in STARTERS or name.startswith(("exec", "spawn")))


def test_only_the_command_line_speaks() -> None:
    """Domain code returns values; only the command line prints or asks."""
    wrong = [
        f"{module}:{node.lineno}"
        for module, tree in trees().items()
        if part(module) != "cli"
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id in SPEAKERS
    ]
    assert wrong == []


def test_a_module_is_one_concept_of_bounded_size() -> None:
    """A module has fewer than 400 lines, and its name says what it is about."""
    wrong = [
        f"{path.relative_to(PACKAGE)}: {lines} lines"
        for path in sorted(PACKAGE.rglob("*.py"))
        if (lines := len(path.read_text(encoding="utf-8").splitlines())) >= MAX_MODULE_LINES
        or path.stem in ("utils", "util", "common", "helpers", "misc")
    ]
    assert wrong == []


def test_a_function_fits_on_a_screen() -> None:
    """No function has more than 50 lines, its docstring and those inside it included."""
    wrong = [
        f"{module}.{node.name}: {node.end_lineno - node.lineno + 1} lines"
        for module, tree in trees().items()
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and node.end_lineno is not None
        and node.end_lineno - node.lineno >= MAX_FUNCTION_LINES
    ]
    assert wrong == []
