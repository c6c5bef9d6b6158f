"""The frameworks whose trainings can be logged automatically: a name and a module for each.

Such a module has a function `install(options)`; see gitml/tracking/autolog.py. It is imported when
its framework is.
"""

from __future__ import annotations

import functools
import importlib
from typing import Any

from gitml.tracking import autolog as hooks
from gitml.tracking.autolog import AutologOptions, Uninstall
from gitml.tracking.autolog import autolog as autolog

INTEGRATIONS = {
    "sklearn": "gitml.models.flavors.sklearn",
    "xgboost": "gitml.models.flavors.xgboost_autolog",
    "lightgbm": "gitml.models.flavors.lightgbm_autolog",
    "keras": "gitml.models.flavors.keras",
    "pytorch": "gitml.models.flavors.pytorch",
}
_FRAMEWORKS = {"pytorch": "torch"}  # modules that are not called as their flavor


def _install(module: str, options: AutologOptions) -> Uninstall:
    integration: Any = importlib.import_module(module)
    uninstall: Uninstall = integration.install(options)
    return uninstall


for _name, _module in INTEGRATIONS.items():
    hooks.register(_name, functools.partial(_install, _module), _FRAMEWORKS.get(_name))
