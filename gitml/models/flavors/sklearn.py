"""The scikit-learn flavor."""

from __future__ import annotations

from gitml.models.flavors.sklearn_autolog import LogFitted
from gitml.models.flavors.sklearn_autolog import install as install_autolog
from gitml.tracking.autolog import AutologOptions, Uninstall

NAME = "sklearn"

log_fitted: LogFitted | None = None  # how autologging logs the fitted model, once it can be saved


def install(options: AutologOptions) -> Uninstall:
    """Autologging: change scikit-learn as `options` say; returns what undoes it."""
    return install_autolog(options, log_fitted)
