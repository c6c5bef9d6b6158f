"""Keras models: layers that hold code, and names that are none of Keras' own."""

from __future__ import annotations

import re
import zipfile
from collections.abc import Iterator, Mapping
from typing import Any, BinaryIO

from gitml.documents import load_json
from gitml.errors import FormatError
from gitml.models.serialization.kind import Serialization, listed
from gitml.models.serialization.zipped import content

CONFIG, METADATA = "config.json", "metadata.json"

# A class has a capital; any other name is a call.
_VALUES = re.compile(r"__[a-z_]+__|function|[A-Z]\w*")
# Layers and values that hold code, or load files of other kinds.
_CODE = frozenset("Lambda __lambda__ TorchModuleWrapper JaxLayer FlaxLayer TFSMLayer".split())
_OWN = re.compile(
    r"keras(?:\.src)?(?:\.(?:activations|backend|constraints|dtype_policies|initializers|layers"
    r"|losses|metrics|models|ops|optimizers|quantizers|random|regularizers)(?:\.\w+)*)?"
)
_FUNCTIONS = re.compile(r"builtins|keras(?:\.src)?\.(?:activations|losses|metrics|ops)(?:\.\w+)*")
_PATHS = ("vocabulary", "filepath", "filename")  # options that read a file
_CHUNK = 1 << 20
_MODEL_CONFIG = b"model_config"  # the attribute that makes an HDF5 file a whole model


def of_zip(archive: zipfile.ZipFile) -> Serialization | None:
    """The Keras model that this is; None when it is none."""
    names = archive.namelist()
    if CONFIG not in names:
        return None
    try:
        config = load_json(content(archive, CONFIG), CONFIG)
    except FormatError as error:
        return Serialization("keras", True, why=f"can't be read whole: {error}")
    if METADATA not in names and not (isinstance(config, dict) and "class_name" in config):
        return None  # Keras itself does without the metadata
    foreign = sorted(set(_foreign(config)))
    if foreign:
        return Serialization("keras", True, tuple(foreign), f"Keras layers of {listed(foreign)}")
    return Serialization("keras", why="layers of Keras itself")


def of_hdf5(file: BinaryIO) -> Serialization:
    """HDF5: data, or a whole model of Keras, which may hold code that nobody checks."""
    file.seek(0)
    tail = b""
    while part := file.read(_CHUNK):
        if _MODEL_CONFIG in tail + part:
            return Serialization("hdf5", True, why="a Keras model in HDF5, which may hold code")
        tail = part[-len(_MODEL_CONFIG) :]
    return Serialization("hdf5", why="data in HDF5")


def _foreign(config: Any) -> Iterator[str]:
    """What a configuration names that is not plainly Keras' own."""
    waiting = [config]
    while waiting:
        value = waiting.pop()
        if isinstance(value, list):
            waiting += value
        elif isinstance(value, dict):
            waiting += value.values()
            if "class_name" in value:
                yield from _of_object(value)


def _of_object(value: Mapping[str, Any]) -> Iterator[str]:
    name, module = str(value["class_name"]), value.get("module")
    registered = str(value.get("registered_name") or name)
    full = f"{module}.{name}" if module else name
    if (
        not name.isidentifier()
        or not _VALUES.fullmatch(name)
        or {name, registered.rpartition(">")[2]} & _CODE
    ):
        yield full  # Keras follows dots in a name to any other part of itself
    elif name == "function":
        if not _FUNCTIONS.fullmatch(str(module)):
            yield f"{module}.{value.get('config')}"
    elif module is not None and not _OWN.fullmatch(str(module)):
        yield full
    elif ">" in registered:
        yield registered
    inner = value.get("config")
    if isinstance(inner, dict) and any(isinstance(inner.get(key), str) for key in _PATHS):
        yield f"{full} (reads a file)"
