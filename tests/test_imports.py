"""What an import costs: a script that records a run pays for nothing that it does not use."""

from __future__ import annotations

import pkgutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

import gitml
from tests.test_layers import HEAVY

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


@pytest.mark.timeout(900)
def test_every_module_imports_alone() -> None:
    """Each module imports without a warning when nothing else was imported before it."""
    script = (
        "import importlib, sys\n"
        "for name in sys.argv[1:]:\n"
        "    for known in [known for known in sys.modules if known.split('.')[0] == 'gitml']:\n"
        "        del sys.modules[known]\n"
        "    importlib.import_module(name)\n"
    )
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", script, *modules()],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


def test_every_public_name_exists_once() -> None:
    """`gitml.__all__` is the public API; ruff keeps it sorted."""
    public = list(gitml.__all__)
    assert len(public) == len(set(public))
    assert [name for name in public if not hasattr(gitml, name)] == []
