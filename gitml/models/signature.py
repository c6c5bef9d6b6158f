"""What a model takes and returns: `ModelSignature`, as in MLflow's `mlflow.models.signature`."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, is_dataclass
from typing import Any

from gitml.errors import FormatError, UsageError
from gitml.models import hints
from gitml.models.conversion import kind_of
from gitml.models.infer import OpaqueDataError, infer_params, schema_of, warn_of_whole_numbers
from gitml.models.schema import ColSpec, ParamSchema, Schema
from gitml.models.types import AnyType

_PARTS = ("inputs", "outputs", "params")


@dataclass(frozen=True, init=False, repr=False)
class ModelSignature:
    """The schemas of a model's inputs, outputs and params; at least one of them.

    A dataclass in place of a schema stands for its fields. `from_hints` says that the signature
    was made of type hints: then the predict function checks its input itself.
    """

    inputs: Schema | None
    outputs: Schema | None
    params: ParamSchema | None
    from_hints: bool = field(compare=False)

    def __init__(
        self,
        inputs: Schema | Any = None,
        outputs: Schema | Any = None,
        params: ParamSchema | None = None,
        *,
        from_hints: bool = False,
    ) -> None:
        if inputs is None and outputs is None and params is None:
            raise UsageError("a signature needs inputs, outputs or params")
        if not isinstance(params, ParamSchema | None):
            raise UsageError(f"params must be a ParamSchema, not {kind_of(params)}")
        object.__setattr__(self, "inputs", _schema(inputs, "inputs"))
        object.__setattr__(self, "outputs", _schema(outputs, "outputs"))
        object.__setattr__(self, "params", params)
        object.__setattr__(self, "from_hints", from_hints)

    def __repr__(self) -> str:
        return "".join(f"{part}: \n  {getattr(self, part)!r}\n" for part in _PARTS)

    def to_dict(self) -> dict[str, str | None]:
        """The parts as JSON text, as MLmodel has them; None for one that is not there."""
        parts = {name: getattr(self, name) for name in _PARTS}
        return {name: part.to_json() if part else None for name, part in parts.items()}

    @classmethod
    def from_dict(
        cls, signature_dict: Mapping[str, Any], where: str = "the signature"
    ) -> ModelSignature:
        """The signature that `to_dict` wrote; `where` names it in a FormatError."""
        if not isinstance(signature_dict, Mapping):
            raise FormatError(f"{where} must be a mapping")
        parts: list[Any] = []
        for name, kind in (("inputs", Schema), ("outputs", Schema), ("params", ParamSchema)):
            text = signature_dict.get(name)
            parts.append(kind.from_json(text, f"{where}: {name}") if text else None)
        if parts == [None, None, None]:
            raise FormatError(f"{where} has no inputs, outputs or params")
        return cls(*parts)


def _schema(part: Any, name: str) -> Schema | None:
    if part is None or isinstance(part, Schema):
        return part
    if is_dataclass(part):
        return hints.schema_of_dataclass(part)
    raise UsageError(f"{name} must be a Schema or a dataclass, not {kind_of(part)}")


def infer_signature(
    model_input: Any = None,
    model_output: Any = None,
    params: Mapping[str, Any] | None = None,
) -> ModelSignature:
    """The signature of a model, of an example of its inputs, outputs and params.

    An example is a DataFrame, Series, array, dictionary of arrays, sparse matrix, list of
    dictionaries, dictionary, list or scalar. One that no schema describes counts as anything, with
    a warning. Whole numbers in inputs give a warning too: they can't be missing later. Raises
    UsageError for params that can't be described.
    """
    inputs, outputs = _inferred(model_input, "inputs"), _inferred(model_output, "outputs")
    if inputs is not None and not is_dataclass(model_input):
        warn_of_whole_numbers(inputs, stacklevel=2)
    return ModelSignature(inputs, outputs, infer_params(params) if params else None)


def _inferred(data: Any, name: str) -> Schema | None:
    if data is None:
        return None
    try:
        return hints.schema_of_dataclass(data) if is_dataclass(data) else schema_of(data)
    except OpaqueDataError:
        raise
    except UsageError as error:
        words = f"the {name} count as anything, their values will not be checked: {error}"
        warnings.warn(words, UserWarning, stacklevel=3)
        return Schema([ColSpec(AnyType())])


def signature_from_hints(function: Callable[..., Any]) -> ModelSignature | None:
    """The signature that the type hints of a predict function declare, None if they declare none.

    The input's hint is a list of something, such as `list[str]` or `list[dict[str, float]]`.
    """
    schemas = hints.schemas_from_hints(function)
    return schemas and ModelSignature(*schemas, from_hints=True)
