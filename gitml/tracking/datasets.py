"""Datasets as inputs of runs: what they are called, what is in them and where they are from.

`from_pandas`, `from_numpy` and the classes are MLflow's `mlflow.data`; `describe` makes the part
of a run record of them, or of plain data: a DataFrame, arrays, or the path or URL of a file.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gitml import git
from gitml.errors import UsageError, shown
from gitml.tracking import dataset_source, fingerprint, record
from gitml.tracking.dataset_source import DatasetSource
from gitml.tracking.record import Json
from gitml.tracking.redact import redact_text, redact_url

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

MAX_NAME = 500
MAX_DIGEST = 36
MAX_SCHEMA = 1 << 20  # characters of JSON
CONTEXT_TAG = "mlflow.data.context"


@dataclass(frozen=True)
class Dataset:
    """A dataset: its name, digest and source, and its schema and profile as JSON values."""

    name: str
    digest: str
    source: DatasetSource
    schema: Json = None
    profile: Json = None

    @property
    def source_type(self) -> str:
        """The kind of the source, such as `local`, `dvc` or `http`."""
        return self.source.type

    def to_dict(self) -> dict[str, str | None]:
        """MLflow's form: everything as text, `source`, `schema` and `profile` as JSON."""
        return {
            "name": self.name,
            "digest": self.digest,
            "source": self.source.to_json(),
            "source_type": self.source.type,
            "schema": None if self.schema is None else json.dumps(self.schema),
            "profile": None if self.profile is None else json.dumps(self.profile),
        }

    def to_json(self) -> str:
        """`to_dict` as JSON text."""
        return json.dumps(self.to_dict())


@dataclass(frozen=True, eq=False)
class PandasDataset(Dataset):
    """A dataset from a DataFrame; `targets` and `predictions` name columns of it."""

    df: pd.DataFrame | None = None
    targets: str | None = None
    predictions: str | None = None


@dataclass(frozen=True, eq=False)
class NumpyDataset(Dataset):
    """A dataset from arrays, or dictionaries of them."""

    features: Any = None
    targets: Any = None


def from_pandas(
    df: pd.DataFrame,
    source: str | Path | DatasetSource | None = None,
    targets: str | None = None,
    name: str | None = None,
    digest: str | None = None,
    predictions: str | None = None,
) -> PandasDataset:
    """A dataset from a DataFrame; its source is a path or URL, by default the code.

    Raises UsageError when `targets` or `predictions` is not a column.
    """
    for role, column in (("targets", targets), ("predictions", predictions)):
        if column is not None and column not in df.columns:
            raise UsageError(f"{role}: the DataFrame has no column {shown(column)}")
    return PandasDataset(
        name=_checked_name(name or "dataset"),
        digest=_checked_digest(digest or fingerprint.table_digest(df)),
        source=dataset_source.parse(source),
        schema=_limited(fingerprint.table_schema(df)),
        profile=fingerprint.table_profile(df),
        df=df,
        targets=targets,
        predictions=predictions,
    )


def from_numpy(
    features: np.ndarray | Mapping[str, np.ndarray],
    source: str | Path | DatasetSource | None = None,
    targets: np.ndarray | Mapping[str, np.ndarray] | None = None,
    name: str | None = None,
    digest: str | None = None,
) -> NumpyDataset:
    """A dataset from arrays, or dictionaries of them; lists and tensors count as arrays."""
    inputs, outputs = _arrays(features), None if targets is None else _arrays(targets)
    return NumpyDataset(
        name=_checked_name(name or "dataset"),
        digest=_checked_digest(digest or fingerprint.array_digest(inputs, outputs)),
        source=dataset_source.parse(source),
        schema=_limited(fingerprint.array_schema(inputs, outputs)),
        profile=fingerprint.array_profile(inputs, outputs),
        features=inputs,
        targets=outputs,
    )


def from_file(path: str | Path, name: str | None = None, digest: str | None = None) -> Dataset:
    """A dataset that is a file or a folder; the digest of a file is its md5, as DVC has it.

    Raises UsageError when there is none.
    """
    place = Path(path)
    try:
        if place.is_dir():
            found, count, size = fingerprint.folder_digest(place)
            profile: dict[str, Json] = {"num_files": count, "num_bytes": size}
        else:
            found, size = fingerprint.file_digest(place), place.stat().st_size
            profile = {"num_bytes": size}
    except OSError as error:
        reason = error.strerror or error
        raise UsageError(f"can't read the dataset {shown(str(place))}: {reason}") from None
    return Dataset(
        name=_checked_name(name or place.resolve().name or "dataset"),
        digest=_checked_digest(digest or found),
        source=dataset_source.parse(place),
        profile=profile,
    )


def from_url(url: str, name: str | None = None, digest: str | None = None) -> Dataset:
    """A dataset elsewhere: nothing is fetched, the digest is of its URL without credentials."""
    source = dataset_source.parse(url)
    where = source.uri or url
    last = re.split(r"[?#]", where)[0].rstrip("/").rpartition("/")[2]
    return Dataset(
        name=_checked_name(name or last or "dataset"),
        digest=_checked_digest(digest or fingerprint.text_digest(where)),
        source=source,
    )


# -- as inputs of a run --------------------------------------------------------------------


def describe(
    data: Any,
    name: str | None = None,
    context: str | None = None,
    tags: Mapping[str, str] | None = None,
    *,
    targets: Any = None,
    source: str | Path | DatasetSource | None = None,
    repo: git.Repository | None = None,
) -> record.Dataset:
    """The input of a run that `data` is: a dataset of ours or MLflow's, or data itself.

    Data is a DataFrame, an array, dictionary of arrays, sparse matrix or tensor, or the path or
    URL of a file. A file in `repo` is named relative to its top, with what git or DVC knows of it.
    """
    if hasattr(data, "dataset") and hasattr(data, "tags"):  # MLflow's DatasetInput
        tags = {**{tag.key: tag.value for tag in data.tags or ()}, **(tags or {})}
        data = data.dataset
    dataset = dataset_of(data, name, targets, source)
    labels = {str(key): str(value) for key, value in (tags or {}).items()}
    where = dataset_source.locate(dataset.source, repo)
    return record.Dataset(
        name=dataset.name,
        digest=dataset.digest,
        context=context or labels.pop(CONTEXT_TAG, None),
        source=where.to_dict(),
        source_type=where.type,
        schema=dataset.schema,
        profile=dataset.profile,
        tags={key: value for key, value in labels.items() if key != CONTEXT_TAG},
    )


def dataset_of(
    data: Any, name: str | None = None, targets: Any = None, source: Any = None
) -> Dataset:
    """The dataset that `data` is, see `describe`."""
    if isinstance(data, Dataset):
        return data
    if isinstance(data, (str, os.PathLike)):
        return _from_place(data, name)
    if hasattr(data, "digest") and hasattr(data, "to_dict"):
        return _foreign(data.to_dict())
    if hasattr(data, "digest") and hasattr(data, "source_type"):  # the entity of a run's input
        return _foreign(vars(data))
    if hasattr(data, "iloc") and hasattr(data, "columns"):
        return from_pandas(data, source, name=name)
    if hasattr(data, "to_pandas"):
        return from_pandas(data.to_pandas(), source, name=name)
    return from_numpy(data, source, targets, name)


def _from_place(place: str | os.PathLike[str], name: str | None) -> Dataset:
    source = dataset_source.parse(place)
    if source.type == "local" and source.uri is not None:
        return from_file(source.uri, name)
    return from_url(os.fspath(place), name)


def _foreign(plain: Mapping[str, Any]) -> Dataset:
    """A dataset of MLflow's, everything as text; the entity's fields may begin with `_`."""
    fields = {key.lstrip("_"): value for key, value in plain.items()}
    source, schema, profile = (_loaded(fields.get(key)) for key in ("source", "schema", "profile"))
    details = source if isinstance(source, dict) else {"uri": str(source)}
    kind = str(fields.get("source_type", "local"))
    redacted = dataset_source.of_details(kind, details)
    name, digest = _checked_name(fields.get("name")), _checked_digest(fields.get("digest"))
    return Dataset(name, digest, redacted, _limited(schema), profile)


def _loaded(text: Any) -> Json:
    try:
        return json.loads(text) if isinstance(text, str) else text  # type: ignore[no-any-return]
    except ValueError:
        return str(text)


def _arrays(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _array(item) for key, item in value.items()}
    return _array(value)


def _array(value: Any) -> Any:
    import numpy as np

    try:
        if hasattr(value, "tocsr"):  # a sparse matrix
            value = value.toarray()
        return np.asarray(value)
    except Exception as error:
        what = type(value).__name__
        raise UsageError(f"a dataset must be a DataFrame, arrays or a path, not {what}") from error


def _checked_name(name: object) -> str:
    if not isinstance(name, str) or not name or len(name) > MAX_NAME or not name.isprintable():
        raise UsageError(
            f"the dataset name {shown(name)} must be 1 to {MAX_NAME} printable characters"
        )
    return redact_text(redact_url(name) if "://" in name else name)


def _checked_digest(digest: object) -> str:
    if not isinstance(digest, str) or not 0 < len(digest) <= MAX_DIGEST:
        raise UsageError(
            f"the dataset digest {shown(digest)} must be 1 to {MAX_DIGEST} characters;"
            " leave it out to have it computed"
        )
    return digest


def _limited(schema: Json) -> Json:
    """A schema that is too long for MLflow is left out: the profile still counts the columns."""
    return schema if len(json.dumps(schema)) <= MAX_SCHEMA else None
