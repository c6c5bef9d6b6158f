"""What a model has to predict before it serves: for its own stored example."""

from __future__ import annotations

from pathlib import Path

from gitml.documents import load_json
from gitml.models import mlmodel
from gitml.models.example import SERVING_FILE

_MAX_REQUEST = 1_000_000  # bytes; a larger example is not tried


def request(folder: Path) -> bytes:
    """The body of a request that asks for the prediction of a model's own example.

    Empty without one, and for one that is large. Raises FormatError for what is no JSON.
    """
    info = mlmodel.read(folder).saved_input_example_info or {}
    path = folder / str(info.get("serving_input_path") or SERVING_FILE)
    if path.resolve().parent != folder.resolve() or not path.is_file():
        return b""
    data = path.read_bytes()
    if len(data) > _MAX_REQUEST:
        return b""
    load_json(data, path.name)
    return data
