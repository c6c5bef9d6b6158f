"""The MLmodel file: what a model is, in MLflow's format.

`Model` is the value; the file is read and written here alone. Format:
schemas/mlmodel.schema.json. Fields that are unknown here are kept.
"""

from __future__ import annotations

import datetime
import os
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from gitml import documents
from gitml.errors import FormatError, UsageError, shown
from gitml.models import contained

if TYPE_CHECKING:
    from gitml.models.schema import ParamSchema, Schema
    from gitml.models.signature import ModelSignature

FILE_NAME = "MLmodel"
PYTHON_FUNCTION = "python_function"

_EMPTY: Mapping[str, Any] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Model:
    """A model directory's description.

    `flavors` maps a flavor's name to its entry. `model_size_bytes` is the size of all files but
    MLmodel. `utc_time_created` is text as MLflow writes it. `run_id` and `artifact_path` say
    which run logged it, and where.
    """

    flavors: Mapping[str, Mapping[str, Any]]
    signature: ModelSignature | None = None
    saved_input_example_info: Mapping[str, Any] | None = None
    metadata: Mapping[str, Any] | None = None
    run_id: str | None = None
    artifact_path: str | None = None
    model_uuid: str | None = None
    model_id: str | None = None
    model_size_bytes: int | None = None
    utc_time_created: str | None = None
    is_signature_from_type_hint: bool = False
    gitml_version: str | None = None
    mlflow_version: str | None = None
    unknown: Mapping[str, Any] = field(default_factory=lambda: _EMPTY)

    def get_input_schema(self) -> Schema | None:
        """The columns or tensors that the model takes."""
        return self.signature.inputs if self.signature else None

    def get_output_schema(self) -> Schema | None:
        """The columns or tensors that the model gives."""
        return self.signature.outputs if self.signature else None

    def get_params_schema(self) -> ParamSchema | None:
        """The params that a prediction takes."""
        return self.signature.params if self.signature else None

    def flavor(self, name: str) -> Mapping[str, Any]:
        """The entry of a flavor; UsageError when the model has it not."""
        if name not in self.flavors:
            has = ", ".join(sorted(self.flavors))
            raise UsageError(f"the model has no {name} flavor; it has: {has}")
        return self.flavors[name]


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """What `log_model` returns: the logged model and its URI; MLflow's names."""

    model_uri: str
    artifact_path: str
    run_id: str
    model: Model

    @property
    def name(self) -> str:
        """The name that the model was logged under."""
        return self.artifact_path

    def __getattr__(self, name: str) -> Any:
        # MLflow's ModelInfo has the fields of the model: flavors, signature, model_uuid ...
        if name in _FIELDS:
            return getattr(self.model, name)
        if name == "registered_model_version":
            return None
        raise AttributeError(f"ModelInfo has no {name!r}")


def now() -> str:
    """The time as MLmodel holds it: UTC, with microseconds."""
    return f"{datetime.datetime.now(datetime.timezone.utc):%Y-%m-%d %H:%M:%S.%f}"


# -- the file boundary ---------------------------------------------------------------------


def read(folder: Path) -> Model:
    """The model in a folder; FormatError for what is no MLmodel, UsageError where there is none."""
    return from_document(read_document(folder))


def read_document(folder: Path) -> dict[str, Any]:
    """The MLmodel file of a folder as plain data, checked for its shape only."""
    path = folder / FILE_NAME
    if not os.path.lexists(path):
        raise UsageError(f"no model in {shown(str(folder))}: it has no file {FILE_NAME}")
    with contained.opened(path) as file:
        data = file.read(documents.MAX_YAML_BYTES + 1)
    # MLflow writes an alias for what stands twice in metadata
    document = documents.load_yaml(data, FILE_NAME, aliases=True)
    documents.validate(document, "mlmodel", FILE_NAME)
    return dict(document)


def from_document(document: Mapping[str, Any]) -> Model:
    """The model that a parsed MLmodel describes."""
    from gitml.models.signature import ModelSignature

    known = {key: value for key, value in document.items() if key in _FIELDS}
    if isinstance(known.get("signature"), Mapping):
        known["signature"] = ModelSignature.from_dict(known["signature"])
    known["is_signature_from_type_hint"] = bool(known.get("is_signature_from_type_hint"))
    unknown = {key: value for key, value in document.items() if key not in _FIELDS}
    try:
        return Model(**known, unknown=unknown)
    except TypeError as error:
        raise FormatError(f"{FILE_NAME}: {error}") from None


def to_document(model: Model) -> dict[str, Any]:
    """The model as MLmodel holds it: sorted keys, without fields that say nothing."""
    document = {**model.unknown}
    for name in _FIELDS:
        value = getattr(model, name)
        if value is not None and value is not False:
            document[name] = value
    if model.signature is not None:
        document["signature"] = model.signature.to_dict()
    return {key: _sorted(document[key]) for key in sorted(document)}


def _sorted(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _sorted(value[key]) for key in sorted(value)}
    return [_sorted(item) for item in value] if isinstance(value, (list, tuple)) else value


def write(model: Model, folder: Path) -> None:
    """Write the MLmodel file of a folder."""
    documents.write_atomic(folder / FILE_NAME, documents.dump_yaml(to_document(model)))


_FIELDS = tuple(item.name for item in fields(Model) if item.name != "unknown")
