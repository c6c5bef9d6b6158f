"""Arrays made to fit the tensors of a schema, by MLflow's rules: dtype and shape as declared."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gitml.errors import shown
from gitml.models.conversion import SchemaError, kind_of
from gitml.models.infer import is_sparse, tensor_dtype
from gitml.models.nested import is_ndarray
from gitml.models.schema import Schema, TensorSpec
from gitml.models.tables import is_frame

if TYPE_CHECKING:
    import pandas as pd


def fit_tensors(data: Any, schema: Schema) -> Any:
    """The array, or the dictionary of arrays by name, that the schema declares.

    Data is an array, a sparse matrix, a dictionary of arrays, or a DataFrame whose columns hold
    numbers, or lists that are reshaped. All names must be there. Raises SchemaError.
    """
    if not schema.has_input_names():
        try:
            return _fit_unnamed(data, schema)
        except SchemaError as error:
            raise error.within("the input") from None
    return {spec.name: _fit_named(data[spec.name], spec, data) for spec in schema.inputs}


def _fit_named(values: Any, spec: Any, data: Any) -> Any:
    try:
        if is_frame(data):
            return _reshaped(values, spec)
        if not is_ndarray(values):
            raise SchemaError(f"expected an array, got {kind_of(values)}")
        return fit_tensor(values, spec)
    except SchemaError as error:
        raise error.within(f"tensor {shown(spec.name)}") from None


def _fit_unnamed(data: Any, schema: Schema) -> Any:
    spec: Any = schema.inputs[0]
    if is_ndarray(data) or is_sparse(data):
        return fit_tensor(data, spec)
    if not is_frame(data):
        raise SchemaError(f"expected an array, {_described(spec)}, got {kind_of(data)}")
    if data.empty:
        raise SchemaError("expected a table with at least one row, got an empty one")
    if len(data.columns) == 1:
        return _reshaped(data.iloc[:, 0], spec)
    if spec.shape != (-1, len(data.columns)):
        raise SchemaError(f"expected {_described(spec)}, got {len(data.columns)} columns")
    return fit_tensor(data.to_numpy(), spec)


def _described(spec: TensorSpec) -> str:
    return f"{spec.dtype} of shape {spec.shape}"


def fit_tensor(values: Any, spec: TensorSpec) -> Any:
    """The array as it is, when its dtype and shape are those of the spec. Raises SchemaError."""
    if spec.dtype == "object" and spec.shape == (-1,):
        return values  # anything, such as arrays of different lengths
    if -1 in spec.shape[1:] and values.ndim == 1 and values.dtype == "object":
        return values  # a list of arrays of different lengths
    if len(spec.shape) != values.ndim or any(
        size not in (-1, found) for size, found in zip(spec.shape, values.shape, strict=True)
    ):
        raise SchemaError(f"expected the shape {spec.shape}, got {values.shape}")
    if tensor_dtype(values) != spec.dtype:
        raise SchemaError(f"expected the dtype {spec.dtype}, got {tensor_dtype(values)}")
    return values


def _reshaped(column: pd.Series, spec: TensorSpec) -> Any:
    """The rows of a column as one array: numbers, or lists or arrays that are reshaped."""
    import numpy as np

    if spec.shape[:1] != (-1,) or -1 in spec.shape[1:]:
        raise SchemaError(
            f"a table can't hold a tensor of shape {spec.shape}: only the first dimension may vary"
        )
    if not len(column):
        raise SchemaError("expected at least one row, got none")
    try:
        with np.errstate(invalid="raise", over="raise"):  # NaN is no whole number
            array = _stacked(column, spec)
    except (ArithmeticError, TypeError, ValueError):
        raise SchemaError(f"the rows can't be made {_described(spec)}") from None
    if len(array) != len(column):
        raise SchemaError(f"expected {_described(spec)}, got rows of another length")
    return array


def _stacked(column: pd.Series, spec: TensorSpec) -> Any:
    import numpy as np

    first = column.iloc[0]
    if np.isscalar(first):
        if spec.shape not in ((-1,), (-1, 1)):
            raise SchemaError(f"expected {_described(spec)}, got single values")
        return fit_tensor(exact(column, spec.type).reshape(spec.shape), spec)
    if is_ndarray(first):  # it says itself what its dtype is, a list does not
        return np.vstack(column.tolist()).reshape(spec.shape)
    if isinstance(first, list) and first and np.isscalar(first[0]):
        return exact(np.vstack(column.tolist()).reshape(spec.shape), spec.type)
    raise SchemaError(f"expected lists or arrays of numbers, got {kind_of(first)}")


def exact(value: Any, dtype: Any) -> Any:
    """An array of this dtype, when no number is another in it, but for the digits of a fraction.

    MLflow casts what a whole number can't hold to another one. Raises ValueError, TypeError,
    OverflowError or FloatingPointError.
    """
    import numpy as np

    dtype = np.dtype(dtype)
    with np.errstate(over="raise", invalid="raise"):
        if dtype.kind not in "iub":
            return np.array(value, dtype=dtype)
        found = np.array(value)
        if found.dtype.kind in "fiub":
            whole = found.astype(dtype)
            if not (whole == found).all():
                raise ValueError("a number would change")
            return whole
    if dtype.kind == "b":
        raise ValueError("not true or false")
    if found.dtype.kind == "O" and any(isinstance(item, float) for item in found.ravel().tolist()):
        raise ValueError("a number would change")
    return np.array(value, dtype=dtype)
