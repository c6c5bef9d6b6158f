"""What an import costs: a script that records a run pays for nothing that it does not use."""

from __future__ import annotations

import json
import os
import pkgutil
import subprocess
import sys
from collections.abc import Sequence
from graphlib import TopologicalSorter
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType

import pytest

import gitml
from gitml import models, projects, registry, tracking
from tests.test_layers import HEAVY, eager_imports

MAX_MODULES = 250


def loaded(statement: str, *options: str) -> set[str]:
    """The modules that are loaded after a statement in a fresh interpreter."""
    script = f"{statement}\nimport sys\nsys.stdout.write(' '.join(sys.modules))"
    done = subprocess.run(
        [sys.executable, *options, "-c", script], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return set(done.stdout.split())


@pytest.mark.parametrize("statement", ["import gitml", "from gitml.config import Config"])
def test_import_gitml_loads_no_heavy_library(statement: str) -> None:
    """Not one of the libraries that are imported on use is there after `import gitml`."""
    assert loaded(statement) & (HEAVY | {"click", "asyncio", "email"}) == set()


def test_import_gitml_stays_within_its_budget() -> None:
    """`import gitml` loads at most 250 modules over those of a bare interpreter."""
    assert len(loaded("import gitml") - loaded("pass")) <= MAX_MODULES


@pytest.mark.skipif(find_spec("gitml.cli.main") is None, reason="no command line yet")
def test_the_version_costs_no_heavy_library() -> None:
    """`gitml --version` loads the command line's own library and nothing else that is heavy."""
    statement = (
        "import sys; sys.argv = ['gitml', '--version']\n"
        "try:\n    from gitml.cli.main import main; main()\n"
        "except SystemExit: sys.stdout.write(' ')"
    )
    assert loaded(statement) & HEAVY == set()


def modules() -> list[str]:
    """The dotted name of every module of gitml."""
    return sorted(
        found.name
        for found in pkgutil.walk_packages([str(Path(gitml.__path__[0]))], "gitml.")
        if not found.name.endswith("__main__")
    )


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no fork")
def test_every_module_imports_alone() -> None:
    """Each module imports without a warning when nothing was imported that it does not import."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", GROW, json.dumps(by_import(modules()))],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert sorted(done.stdout.split()) == modules()


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no fork")
def test_what_does_not_import_alone_is_found(tmp_path: Path) -> None:
    """Such a module, and one with a warning, in whichever process they are imported."""
    names = {"": ["one"], "one": ["two", "three", "four"]}
    (tmp_path / "one.py").write_text("")
    (tmp_path / "two.py").write_text("import xml\nimport xml.dom\n")
    (tmp_path / "three.py").write_text("import xml\nxml.dom\n")
    (tmp_path / "four.py").write_text("import warnings\nwarnings.warn('old')\n")
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", GROW, json.dumps(names)],
        capture_output=True, text=True, check=False,
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
    )  # fmt: skip
    assert done.returncode == 1
    assert done.stdout.split() == ["one", "two"]
    assert "has no attribute 'dom'" in done.stderr
    assert "UserWarning: old" in done.stderr


# Imports a module, and each that begins with it in a process that goes on from there. A new
# process for each module, or the same one emptied, would import all that it needs anew.
GROW = """
import gc, importlib, json, os, sys, traceback
below = json.loads(sys.argv[1])

def grow(name):
    if name:
        importlib.import_module(name)
        os.write(1, (name + " ").encode())
    gc.freeze()
    codes = [begun(child) for child in below.get(name, ())]
    return int(any(codes))

def begun(name):
    pid = os.fork()
    if pid:
        return os.waitpid(pid, 0)[1]
    code = 1
    try:
        code = grow(name)
    except BaseException:
        traceback.print_exc()
    sys.stderr.flush()
    os._exit(code)

sys.exit(grow(""))
"""


def by_import(names: Sequence[str]) -> dict[str, list[str]]:
    """The modules that are imported after each one: of its own imports, that which brings most."""
    own = {name: {it for it in eager_imports(name) if it in names} for name in names}
    brought: dict[str, set[str]] = {}
    for name in TopologicalSorter(own).static_order():
        brought[name] = {name}.union(*(brought[it] for it in own[name]))
    found: dict[str, list[str]] = {}
    for name in names:
        first = max(own[name], key=lambda it: (len(brought[it]), it), default="")
        found.setdefault(first, []).append(name)
    return found


def test_every_public_name_exists_once() -> None:
    """`gitml.__all__` is the public API; ruff keeps it sorted."""
    public = list(gitml.__all__)
    assert len(public) == len(set(public))
    assert [name for name in public if not hasattr(gitml, name)] == []


@pytest.mark.parametrize("module", [gitml, models, projects, registry, tracking])
def test_public_names_are_listed(module: ModuleType) -> None:
    """A name that is loaded at its first use is completed by editors and shells before that."""
    assert set(module.__all__) <= set(dir(module))
