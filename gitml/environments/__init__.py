"""Python environments: what a model or a project asks for, built once and used again.

spec = read_spec(Path("model"))
python = environment(spec).python
"""

from __future__ import annotations

from gitml.environments.build import MANAGERS, Environment, Manager, again, environment, manager_of
from gitml.environments.complaints import BuildError
from gitml.environments.reading import read_spec
from gitml.environments.spec import Spec
from gitml.environments.store import Stored, environments, prune

__all__ = [
    "MANAGERS",
    "BuildError",
    "Environment",
    "Manager",
    "Spec",
    "Stored",
    "again",
    "environment",
    "environments",
    "manager_of",
    "prune",
    "read_spec",
]
