"""Autologging of scikit-learn: what a fit was given, what came of it, and how it was judged.

Only the outermost `fit` is logged: not those of a pipeline's steps, of a search's candidates or
of cross-validation. Estimators that only prepare data are logged as parts of a pipeline.
"""

from __future__ import annotations

from gitml.models.flavors.sklearn_autolog.session import LogFitted, install

__all__ = ["LogFitted", "install"]
