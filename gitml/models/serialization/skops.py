"""skops files: which of the types that they name skops does not trust by itself."""

from __future__ import annotations

import functools
import importlib
import re
import zipfile
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from gitml.documents import load_json
from gitml.errors import FormatError
from gitml.models.serialization.kind import Serialization, listed
from gitml.models.serialization.zipped import content

SCHEMA = "schema.json"

_FREE = {"CachedNode", "JsonNode", "SliceNode"}  # make nothing of the types that they name
_GENERATORS = {"MT19937", "PCG64", "PCG64DXSM", "Philox", "SFC64"}

Trusts = Callable[[str], bool]


def of_zip(archive: zipfile.ZipFile) -> Serialization | None:
    """The skops file that this is; None when it is none."""
    if SCHEMA not in archive.namelist():
        return None
    try:
        schema = load_json(content(archive, SCHEMA), SCHEMA)
    except FormatError as error:
        return Serialization("skops", True, why=f"can't be read whole: {error}")
    untrusted = sorted(set(_untrusted(schema)))
    if untrusted:
        return Serialization(
            "skops", True, tuple(untrusted), f"skops does not trust {listed(untrusted)}"
        )
    return Serialization("skops", why="skops, of types that it trusts")


def _untrusted(schema: Any) -> Iterator[str]:
    waiting = [schema]
    while waiting:
        node = waiting.pop()
        if isinstance(node, list):
            waiting += node
        elif isinstance(node, dict):
            waiting += node.values()
            yield from _of_node(node)


def _of_node(node: Mapping[str, Any]) -> Iterator[str]:
    """The types that a node names and nobody trusts."""
    loader = node.get("__loader__")
    if not isinstance(loader, str) or loader in _FREE:
        return
    name = f"{node.get('__module__')}.{node.get('__class__')}"
    trusts = _trusting().get(loader)
    if trusts is None or not trusts(name):
        yield name
    inner = node.get("content")
    if isinstance(inner, dict) and _reads_files(inner):
        yield "files that the data name"
    if loader == "MethodNode" and isinstance(inner, dict):
        yield f"{name}.{inner.get('func')}"
    if loader == "FunctionNode" and isinstance(inner, dict):  # of the first skops
        yield f"{inner.get('module_path')}.{inner.get('function')}"
    if loader == "RandomGeneratorNode" and (generator := _generator(inner)) not in _GENERATORS:
        yield f"numpy.random.{generator}"


def _reads_files(attributes: Mapping[str, Any]) -> bool:
    """Whether these can be those of scikit-learn's vectorizer of text that opens files.

    It has an input and an encoding, and takes its data for names of files if the input is that.
    """
    source = attributes.get("input")
    if source is None or "encoding" not in attributes:
        return False
    if not isinstance(source, dict) or source.get("__loader__") != "JsonNode":
        return True
    try:
        told = load_json(source["content"].encode(), "")
    except (FormatError, LookupError, AttributeError):
        return True
    return isinstance(told, str) and told != "content"


def _generator(inner: Any) -> str | None:
    """The class of NumPy that a random generator asks for by its name."""
    try:
        name = load_json(inner["bit_generator"]["content"]["bit_generator"]["content"].encode(), "")
    except (FormatError, LookupError, TypeError, AttributeError):
        return None
    return name if isinstance(name, str) else None


# -- what is trusted -----------------------------------------------------------------------


def _one_of(*names: str) -> Trusts:
    return frozenset(names).__contains__


def _like(pattern: str) -> Trusts:
    return lambda name: re.fullmatch(pattern, name) is not None


_DTYPE = _like(
    r"numpy\.(?:bool|bool_|u?int(?:8|16|32|64|c|p)|u?longlong|u?long|float(?:16|32|64|128)"
    r"|c?longdouble|complex(?:64|128|256)|str_|bytes_|void|object_|datetime64|timedelta64)"
)
_BUILTIN = _one_of(
    *(f"builtins.{name}" for name in ("int", "float", "str", "bool", "list", "set", "map", "tuple"))
)
_FIXED: Mapping[str, Trusts] = {
    "DictNode": _one_of("builtins.dict", "collections.OrderedDict"),
    "DefaultDictNode": _one_of("collections.defaultdict"),
    "ListNode": _one_of("builtins.list"),
    "TupleNode": _one_of("builtins.tuple"),
    "SetNode": _one_of("builtins.set"),
    "BytesNode": _one_of("builtins.bytes"),
    "BytearrayNode": _one_of("builtins.bytearray"),
    "TypeNode": lambda name: _BUILTIN(name) or _DTYPE(name),
    "NdArrayNode": lambda name: name == "numpy.ndarray" or _DTYPE(name),
    "MaskedArrayNode": _one_of("numpy.ma.MaskedArray", "numpy.ma.core.MaskedArray"),
    "RandomStateNode": _one_of("numpy.random.mtrand.RandomState"),
    "RandomGeneratorNode": _one_of("numpy.random._generator.Generator"),
    "SparseMatrixNode": _like(r"scipy\.sparse\._[a-z]{3}\.[a-z]{3}_(?:matrix|array)"),
    "LossNode": _like(
        r"sklearn\._loss\._loss\.Cy\w+"
        r"|sklearn\.linear_model\._sgd_fast\.(?:Squared)?(?:EpsilonInsensitive|Hinge|Loss)"
        r"|sklearn\.linear_model\._sgd_fast\.(?:ModifiedHuber|Huber|Log)"
    ),
}


@functools.cache
def _trusting() -> Mapping[str, Trusts]:
    """What is trusted at each kind of node: skops says it where it is installed."""
    try:
        lists: Any = importlib.import_module("skops.io._trusted_types")
        estimators = _one_of(
            *lists.SKLEARN_ESTIMATOR_TYPE_NAMES,
            *getattr(lists, "SKLEARN_INTERNAL_TYPE_NAMES", ()),
        )
        functions = _one_of(*lists.SCIPY_UFUNC_TYPE_NAMES, *lists.NUMPY_UFUNC_TYPE_NAMES)
    except (ImportError, AttributeError):
        estimators = _like(r"sklearn(?:\.\w+)+\.(?!Tree\b|TreePredictor\b)[A-Z]\w*")
        functions = _one_of()
    return {**_FIXED, "ObjectNode": estimators, "FunctionNode": functions}
