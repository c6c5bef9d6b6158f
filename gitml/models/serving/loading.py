"""Loading a model for a command: what its own code or files raise is told as the model's fault."""

from __future__ import annotations

from gitml.errors import FormatError, GitmlError, UsageError, shown
from gitml.models import pyfunc
from gitml.models.locate import Located
from gitml.models.mlmodel import Model


def loaded(source: Located, model: Model) -> pyfunc.PyFuncModel:
    """As `gitml.models.pyfunc.loaded`. Raises GitmlError when the model can't be loaded here."""
    try:
        return pyfunc.loaded(source, model)
    except (GitmlError, OSError, MemoryError):
        raise
    except ModuleNotFoundError as error:
        raise UsageError(
            f"the model imports {shown(error.name or str(error))}, which is not installed here: use"
            " --env-manager uv for what its requirements name; code of your own must be logged with"
            " the model, in code_paths"
        ) from error
    except Exception as error:  # a model's code may raise anything
        reason = shown(f"{type(error).__name__}: {error}".rstrip(": "))
        raise FormatError(
            f"the model can't be loaded: {reason}; `gitml --debug ...` shows where"
        ) from error
