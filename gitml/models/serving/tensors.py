"""Arrays of a request: `instances` and `inputs`, as MLflow and TensorFlow Serving read them.

`instances` is a list with an item for each row, `inputs` is all rows at once: an array, or a
dictionary with an array for each column or tensor.
"""

from __future__ import annotations

import functools
from typing import Any

from gitml.errors import shown
from gitml.models.conversion import SchemaError
from gitml.models.nested import fit_value
from gitml.models.schema import ColSpec, Schema, TensorSpec
from gitml.models.serving.refused import invalid
from gitml.models.serving.tables import CHUNK, check_rows, kind_of
from gitml.models.serving.text import check_depth
from gitml.models.serving.times import NoTimeError, read_times
from gitml.models.tensors import exact
from gitml.models.types import AnyType, Array, DataType

INSTANCES, INPUTS = "instances", "inputs"


class ArrayReader:
    """Makes the data of a prediction of parsed JSON for one schema, with at most `rows` rows."""

    def __init__(self, schema: Schema | None, rows: int) -> None:
        self.schema = schema
        self.rows = rows
        named = schema is not None and schema.has_input_names()
        self._specs: dict[Any, Any] = schema.input_dict() if schema is not None and named else {}
        self._only = None if schema is None else schema.inputs[0]

    def instances(self, data: Any) -> Any:
        """The data of `instances`; rows that are dictionaries become columns."""
        check_depth(data)
        if isinstance(data, list) and data and isinstance(data[0], dict):
            check_rows(len(data), self.rows, INSTANCES)
            return self._same_length(self._columns(data))
        data = self._converted(data, INSTANCES)
        return self._same_length(data) if isinstance(data, dict) else data

    def inputs(self, data: Any) -> Any:
        """The data of `inputs`."""
        check_depth(data)
        return self._converted(data, INPUTS)

    def _columns(self, rows: list[Any]) -> dict[Any, Any]:
        """An array for each name in the rows."""
        import numpy as np

        columns: dict[Any, list[Any]] = {}
        for number, row in enumerate(rows):
            if not isinstance(row, dict):
                raise invalid(f"{INSTANCES}: row {number} must be a dictionary, as others are")
            for name, value in row.items():
                columns.setdefault(name, []).append(value)
        arrays = {}
        for name, values in columns.items():
            spec = self._specs.get(name)
            if _is_plain(spec):
                arrays[name] = converted(values, spec, f"{INSTANCES}: {shown(name)}")
            else:
                where = f"{INSTANCES}: {shown(name)}"
                items = [converted(value, spec, where) for value in values]
                arrays[name] = _array(items, None, where) if spec is None else np.array(items)
        return arrays

    def _same_length(self, data: dict[Any, Any]) -> dict[Any, Any]:
        """Columns, all of one length: those of required ones where there is a schema."""
        checked = {
            name: len(values)
            for name, values in data.items()
            if _has_length(values) and self._counts(name)
        }
        if len(set(checked.values())) > 1:
            names = " and ".join(map(shown, list(checked)[:2]))
            raise invalid(f"{INSTANCES}: the columns, such as {names}, have different lengths")
        return data

    def _counts(self, name: Any) -> bool:
        if not self._specs:
            return True
        spec = self._specs.get(name)
        return spec is not None and spec.required and not isinstance(spec.type, Array)

    def _converted(self, data: Any, where: str) -> Any:
        rows = isinstance(data, list) and bool(data) and all(isinstance(it, dict) for it in data)
        if isinstance(data, list):
            check_rows(len(data), self.rows, where)
            if len(self._specs) == 1 and not any(isinstance(item, dict) for item in data):
                data = {next(iter(self._specs)): data}
        elif isinstance(data, dict) and self.schema is not None and not self._specs:
            raise invalid(f"{where}: the model takes one array without a name, not a dictionary")
        if isinstance(data, dict):
            self._check_columns(data, where)
            return self._row(data, where)
        if rows:
            return [self._row(row, where) for row in data]
        return converted(data, self._only, where)

    def _check_columns(self, data: dict[Any, Any], where: str) -> None:
        for name, values in data.items():
            if isinstance(values, list) and len(values) > self.rows:
                check_rows(len(values), self.rows, f"{where}: {shown(name)}")

    def _row(self, row: dict[Any, Any], where: str) -> dict[Any, Any]:
        return {
            name: converted(value, self._specs.get(name), f"{where}: {shown(name)}")
            for name, value in row.items()
        }


def _has_length(values: Any) -> bool:
    """Whether a value is a list or an array, but not an array of a single value."""
    return hasattr(values, "__len__") and getattr(values, "shape", None) != ()


def _is_plain(spec: Any) -> bool:
    """Whether a column of values can be converted at once."""
    return isinstance(spec, ColSpec) and isinstance(spec.type, DataType)


def converted(value: Any, spec: Any, where: str) -> Any:
    """A value as the spec has it, as a numpy array or scalar. Raises RefusedError."""
    if spec is None:
        return _array(value, None, where)
    if isinstance(spec, TensorSpec):
        return _array(value, spec.type, where)
    kind = spec.type
    if kind is DataType.datetime:
        times = _times(value if isinstance(value, list) else [value], where)
        return times if isinstance(value, list) else times[0]
    if isinstance(kind, DataType):
        if isinstance(value, list):
            return _array(value, kind.to_numpy(), where)
        return _array([value], kind.to_numpy(), where)[0]
    if isinstance(kind, AnyType):
        return value
    try:
        fitted = fit_value(value, kind, spec.required)
    except SchemaError as error:
        raise invalid(str(error.within(where))) from None
    return _array(fitted, None, where) if isinstance(kind, Array) else fitted


def _times(values: list[Any], where: str) -> Any:
    """Times as MLflow reads them in arrays: those of a zone become those of UTC."""
    try:
        times = read_times(values)
    except NoTimeError as error:
        raise invalid(f"{where}: {error}") from None
    if times.dt.tz is not None:
        times = times.dt.tz_convert(None)
    return times.to_numpy(dtype="datetime64[ns]")


def _array(value: Any, dtype: Any, where: str) -> Any:
    import numpy as np

    wanted = "numbers of one shape" if dtype is None else f"values of {np.dtype(dtype).name}"
    try:
        found = _in_parts(value, dtype)
    except (TypeError, ValueError, OverflowError, FloatingPointError):
        raise invalid(f"{where}: expected {wanted}, got {kind_of(value)} of others") from None
    return found


def _in_parts(value: Any, dtype: Any) -> Any:
    """An array of nested lists, some rows at a time so that other threads get their turn."""
    import numpy as np

    make = np.array if dtype is None else functools.partial(exact, dtype=dtype)
    if not isinstance(value, list) or len(value) <= CHUNK:
        return make(value)
    return np.concatenate([make(value[at : at + CHUNK]) for at in range(0, len(value), CHUNK)])
