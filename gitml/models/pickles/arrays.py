"""Arrays that joblib puts between the instructions of a pickle: how many bytes to pass by.

An array's bytes follow the object that describes it, without any length of their own.
"""

from __future__ import annotations

import math
import re
from typing import Any

from gitml.models.pickles.machine import Made
from gitml.models.pickles.stream import UnreadableError

WRAPPER = "joblib.numpy_pickle.NumpyArrayWrapper"
DTYPE = "numpy.dtype"
CLASSES = frozenset({WRAPPER, DTYPE})  # of which objects the parts are needed
FIELDS = frozenset({"shape", "dtype", "numpy_array_alignment_bytes"})

_CODE = re.compile(r"[|<>=]?([a-zA-Z])(\d*)")
_FLAGS = 7  # where a dtype's state has its flags
_HAS_OBJECTS = 1
_UNICODE_BYTES = 4


def is_pickled(wrapper: Made) -> bool:
    """Whether the array holds objects: a pickle of its own follows."""
    dtype = _dtype(wrapper)
    code, _ = _parts(dtype)
    state = dtype.state
    flags = state[_FLAGS] if isinstance(state, tuple) and len(state) > _FLAGS else 0
    return code == "O" or bool(isinstance(flags, int) and flags & _HAS_OBJECTS)


def is_padded(wrapper: Made) -> bool:
    """Whether bytes come first that only align the array, after one that counts them."""
    return "numpy_array_alignment_bytes" in _fields(wrapper)


def length(wrapper: Made) -> int:
    """The size of the array in bytes."""
    shape = _fields(wrapper).get("shape")
    if not isinstance(shape, tuple) or not all(isinstance(side, int) for side in shape):
        raise _unknown()
    code, size = _parts(_dtype(wrapper))
    total = math.prod(shape) * size * (_UNICODE_BYTES if code == "U" else 1)
    if total < 0 or any(side < 0 for side in shape):
        raise _unknown()
    return total


def _fields(wrapper: Made) -> dict[str, Any]:
    if not isinstance(wrapper.state, dict):
        raise _unknown()
    return wrapper.state


def _dtype(wrapper: Made) -> Made:
    dtype = _fields(wrapper).get("dtype")
    if not isinstance(dtype, Made) or dtype.name != DTYPE:
        raise _unknown()
    return dtype


def _parts(dtype: Made) -> tuple[str, int]:
    """The letter and the size of a dtype such as `f8`."""
    code = dtype.args[0] if isinstance(dtype.args, tuple) and dtype.args else None
    found = _CODE.fullmatch(code) if isinstance(code, str) else None
    if found is None or len(found[2]) > 10:
        raise _unknown()
    return found[1], int(found[2] or 0)


def _unknown() -> UnreadableError:
    return UnreadableError("holds an array of unknown size")
