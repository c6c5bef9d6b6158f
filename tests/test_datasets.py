"""Datasets are named by what is in them, and by where git and DVC have them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gitml import data
from gitml import git as gate
from gitml.errors import UsageError
from gitml.tracking import fingerprint
from gitml.tracking.datasets import describe

Git = Callable[..., str]
CANARY = "c4nary"


@pytest.fixture
def table() -> pd.DataFrame:
    """A small table with numbers, a missing one, and text."""
    return pd.DataFrame({"n": [1, 2, 3], "x": [0.5, None, 2.0], "s": ["a", "b", "c"]})


def dvc(folder: Path, *args: str) -> None:
    """Run the real DVC in `folder`."""
    done = subprocess.run(
        [sys.executable, "-m", "dvc", *args],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


@pytest.fixture
def dvc_repo(repo: Path) -> Path:
    """A repository with DVC and a folder `data` that it tracks."""
    dvc(repo, "init", "--quiet")
    (repo / "data" / "deep").mkdir(parents=True)
    for name in ("train.csv", "deep/a", "deep.txt", "B", "deep-b", "é"):
        (repo / "data" / name).write_text(f"{name}\n", encoding="utf-8")
    dvc(repo, "add", "--quiet", "data")
    return repo


# -- digests -------------------------------------------------------------------------------


def test_digest_of_a_table_is_fixed(table: pd.DataFrame) -> None:
    """The digest of a table is the same for ever, on every machine and with every pandas."""
    times = pd.DataFrame({"t": pd.to_datetime(["2020-01-01", "2021-01-01"])}, index=["a", "b"])
    assert fingerprint.table_digest(table) == "8453ce4117b73a623b826db0a78c060c"
    assert fingerprint.table_digest(times) == "458f2371b22e42505a6cfad218f8d6dc"


def test_digest_of_an_array_is_fixed() -> None:
    """The same holds for arrays, whatever their byte order in memory."""
    array: np.ndarray = np.arange(6, dtype="<i8").reshape(2, 3)
    assert fingerprint.array_digest(array) == "d069446bb9b79c83f247a5161e1ab615"
    assert fingerprint.array_digest(array.astype(">i8")) == "d069446bb9b79c83f247a5161e1ab615"
    assert fingerprint.array_digest(np.asfortranarray(array)) == "d069446bb9b79c83f247a5161e1ab615"


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(-9, 9), min_size=1), st.data())
def test_digest_tells_tables_apart(values: list[int], drawn: st.DataObject) -> None:
    """A table with one other value, index or name has another digest, a copy has the same."""
    one = pd.DataFrame({"a": values, "b": [str(value) for value in values]})
    at = drawn.draw(st.integers(0, len(values) - 1))
    number, text, index = one.copy(), one.copy(), one.copy()
    number.loc[at, "a"] = 99
    text.loc[at, "b"] = "x"
    index.index = index.index + 1
    others = (number, text, index, one.rename(columns={"a": "c"}), one[["b", "a"]], one[["a"]])
    digests = [fingerprint.table_digest(each) for each in (one, *others)]
    assert len(set(digests)) == len(digests)
    assert fingerprint.table_digest(one.copy()) == digests[0]


@pytest.mark.parametrize(
    "other",
    [
        np.zeros((3, 2)),
        np.zeros(6),
        np.zeros((2, 3), dtype=np.int64),
        np.full((2, 3), -0.0),
        {"a": np.zeros((2, 3))},
    ],
)
def test_digest_tells_arrays_apart(other: Any) -> None:
    """Shape, kind, sign of zero and names are part of an array's digest."""
    assert fingerprint.array_digest(other) != fingerprint.array_digest(np.zeros((2, 3)))


def test_targets_are_part_of_the_digest() -> None:
    """The same features with other targets are another dataset."""
    x = np.zeros(3)
    digests = {fingerprint.array_digest(x, targets) for targets in (None, x, x + 1, {"x": x})}
    assert len(digests) == 4


def test_large_data_is_sampled(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Above the limits a digest says that it is sampled, and still sees the first and last row."""
    monkeypatch.setattr(fingerprint, "MAX_CELLS", 1000)
    monkeypatch.setattr(fingerprint, "MAX_ARRAY", 1000)
    array = np.arange(5000.0)
    for change in (0, -1):
        other = array.copy()
        other[change] = -1
        for digest in (
            fingerprint.array_digest,
            lambda a: fingerprint.table_digest(pd.DataFrame(a)),
        ):
            assert digest(array).startswith("sampled-")
            assert digest(array) == digest(array.copy()) != digest(other)
            assert len(digest(array)) <= 36
    path = tmp_path / "big"
    path.write_bytes(bytes(3 << 20))
    first = fingerprint.file_digest(path, limit=1 << 20)
    path.write_bytes(bytes(3 << 20)[:-1] + b"x")
    assert first.startswith("sampled-")
    assert fingerprint.file_digest(path, limit=1 << 20) != first


def test_values_that_have_no_hash(table: pd.DataFrame) -> None:
    """Lists and dictionaries in a column, and objects in an array, have a digest too."""
    table["l"] = [[1], {"a": 1}, None]
    changed = table.copy()
    changed.at[0, "l"] = [2]
    assert fingerprint.table_digest(table) != fingerprint.table_digest(changed)
    objects = np.array(["a", None], dtype=object)
    assert fingerprint.array_digest(objects) != fingerprint.array_digest(objects[::-1])


def test_digest_of_files_is_dvcs(dvc_repo: Path) -> None:
    """The digest of a file or folder is the md5 that DVC writes into its pointer."""
    pointer = (dvc_repo / "data.dvc").read_text(encoding="utf-8")
    digest, count, size = fingerprint.folder_digest(dvc_repo / "data")
    assert f"md5: {digest}\n" in pointer
    assert f"size: {size}\n" in pointer
    assert f"nfiles: {count}\n" in pointer
    assert len(digest) == 36


# -- schemas and profiles ------------------------------------------------------------------


def test_schema_of_a_table() -> None:
    """Columns have MLflow's types, and are required where no value is missing."""
    columns: dict[str, Any] = {
        "integer": np.array([1, 2], "int8"), "integer 2": np.array([1, 2], "uint16"),
        "long": [1, 2], "long 2": np.array([1, 2], "uint32"), "any": np.array([1, 2], "uint64"),
        "float": np.array([1, 2], "float32"), "double": [1.0, 2], "boolean": [True, False],
        "string": ["a", "b"], "string 2": pd.Categorical(["a", "b"]), "binary": [b"a", b"b"],
        "string 3": pd.Series(["a", "b"], dtype=object), "any 2": ["a", 1], "any 3": [[1], [2]],
        "datetime": pd.to_datetime(["2020", "2021"]), "any 4": pd.to_timedelta([1, 2]),
    }  # fmt: skip
    schema = fingerprint.table_schema(pd.DataFrame(columns))
    assert schema == {
        "mlflow_colspec": [
            {"type": name.split(" ")[0], "name": name, "required": True} for name in columns
        ]
    }
    missing = fingerprint.table_schema(pd.DataFrame({"x": [1.0, None], 1: ["a", None]}))
    assert missing == {
        "mlflow_colspec": [
            {"type": "double", "name": "x", "required": False},
            {"type": "string", "name": "1", "required": False},
        ]
    }


def test_schema_and_profile_of_arrays() -> None:
    """Arrays have MLflow's tensor specs, as JSON text, and their shapes as the profile."""
    dataset = data.from_numpy(
        {"a": np.zeros((2, 3)), "b": np.zeros(2, "int32")}, targets=np.array(["x", "y"])
    )
    assert isinstance(dataset.schema, dict)
    specs = dataset.schema["mlflow_tensorspec"]
    assert json.loads(specs["features"]) == [
        {"name": "a", "type": "tensor", "tensor-spec": {"dtype": "float64", "shape": [-1, 3]}},
        {"name": "b", "type": "tensor", "tensor-spec": {"dtype": "int32", "shape": [-1]}},
    ]
    assert json.loads(specs["targets"]) == [
        {"type": "tensor", "tensor-spec": {"dtype": "str", "shape": [-1]}}
    ]
    assert dataset.profile == {
        "features_shape": {"a": [2, 3], "b": [2]}, "features_size": {"a": 6, "b": 2},
        "features_nbytes": {"a": 48, "b": 8},
        "targets_shape": [2], "targets_size": 2, "targets_nbytes": 8,
    }  # fmt: skip


# -- mlflow.data ---------------------------------------------------------------------------


def test_from_pandas(table: pd.DataFrame) -> None:
    """A dataset has MLflow's attributes, and `to_dict` gives everything as text."""
    dataset = data.from_pandas(table, "s3://bucket/x.csv", targets="n", name="wiki")
    assert dataset.df is table
    assert (dataset.name, dataset.targets, dataset.predictions) == ("wiki", "n", None)
    assert dataset.profile == {"num_rows": 3, "num_elements": 9}
    plain = dataset.to_dict()
    assert list(plain) == ["name", "digest", "source", "source_type", "schema", "profile"]
    assert plain["source"] == '{"uri": "s3://bucket/x.csv"}'
    assert plain["source_type"] == dataset.source_type == "s3"
    assert json.loads(dataset.to_json()) == plain
    assert json.loads(plain["profile"] or "") == {"num_rows": 3, "num_elements": 9}
    assert data.from_pandas(table).name == "dataset"


def test_from_pandas_checks_its_columns(table: pd.DataFrame) -> None:
    """Targets and predictions must be columns."""
    with pytest.raises(UsageError, match="no column 'y'"):
        data.from_pandas(table, targets="y")
    with pytest.raises(UsageError, match="no column 'p'"):
        data.from_pandas(table, predictions="p")


def test_limits(table: pd.DataFrame) -> None:
    """Names have up to 500 characters, digests 36; a schema over 1 MB is left out."""
    assert len(data.from_pandas(table, name="n" * 500, digest="d" * 36).name) == 500
    for wrong in ({"name": "n" * 501}, {"name": "a\nb"}, {"digest": "d" * 37}):
        with pytest.raises(UsageError, match=next(iter(wrong))):
            data.from_pandas(table, **wrong)
    wide = pd.DataFrame(np.zeros((1, 12)), columns=["c" * 100_000 + str(n) for n in range(12)])
    assert data.from_pandas(wide).schema is None


@pytest.mark.parametrize(
    ("source", "kind", "details"),
    [
        (None, "code", {}),
        ("data/x.csv", "local", {"uri": "data/x.csv"}),
        (Path("x.csv"), "local", {"uri": "x.csv"}),
        ("C:\\x.csv", "local", {"uri": "C:\\x.csv"}),
        (f"https://u:{CANARY}@h/x.csv?v=1", "http", {"url": "https://h/x.csv?v=1"}),
        (f"s3://{CANARY}:{CANARY}@b/x", "s3", {"uri": "s3://b/x"}),
        ("dbfs:/x", "dbfs", {"uri": "dbfs:/x"}),
    ],
)
def test_sources(table: pd.DataFrame, source: Any, kind: str, details: Any) -> None:
    """A source is a path or URL in MLflow's form, without credentials."""
    dataset = data.from_pandas(table, source)
    assert (dataset.source.type, dataset.source.to_dict()) == (kind, details)
    described = describe(dataset)
    assert (described.source_type, described.source) == (kind, details)
    assert data.get_source(dataset) == dataset.source


def test_source_that_is_none(table: pd.DataFrame) -> None:
    """A source that is neither path nor URL is refused; only local data can be loaded."""
    with pytest.raises(UsageError, match="must be a path or a URL, not int"):
        data.from_pandas(table, 5)  # type: ignore[arg-type]
    assert data.from_pandas(table, "x.csv").source.load() == "x.csv"
    with pytest.raises(UsageError, match="http 'https://h/x'"):
        data.from_pandas(table, "https://h/x").source.load()


def test_source_of_a_runs_input() -> None:
    """`get_source` understands an input of a run, whose source is JSON text."""
    entity = SimpleNamespace(source='{"uri": "x.csv"}', source_type="local")
    assert data.get_source(SimpleNamespace(dataset=entity)).uri == "x.csv"


# -- inputs of a run -----------------------------------------------------------------------


def test_describe_plain_data(table: pd.DataFrame) -> None:
    """A DataFrame, array, list, dictionary of arrays or sparse matrix is a dataset as it is."""
    from scipy.sparse import csr_matrix

    assert describe(table) == describe(data.from_pandas(table))
    assert describe(table, name="wiki").name == "wiki"
    x = np.eye(3)
    for same in (x, x.tolist(), csr_matrix(x)):
        assert describe(same) == describe(data.from_numpy(x))
    assert describe(x, targets=x[0]) == describe(data.from_numpy(x, targets=x[0]))
    assert describe({"a": x, "b": [1]}) == describe(data.from_numpy({"a": x, "b": np.array([1])}))


def test_describe_context_and_tags(table: pd.DataFrame) -> None:
    """The context is given or MLflow's tag; other tags are kept as text."""
    described = describe(table, context="train", tags={"rows": 3})  # type: ignore[dict-item]
    assert (described.context, described.tags) == ("train", {"rows": "3"})
    tagged = describe(table, tags={"mlflow.data.context": "eval"})
    assert (tagged.context, tagged.tags) == ("eval", {})


def test_describe_a_dataset_of_mlflows() -> None:
    """A dataset object of MLflow's own is understood by what it says."""
    plain = {
        "name": "wiki", "digest": "0a1b2c3d", "source_type": "http",
        "source": json.dumps({"url": f"https://u:{CANARY}@h/x"}),
        "schema": json.dumps({"mlflow_colspec": []}), "profile": json.dumps({"num_rows": 3}),
    }  # fmt: skip
    foreign = SimpleNamespace(name="wiki", digest="0a1b2c3d", to_dict=lambda: plain)
    described = describe(foreign, context="train")
    assert (described.name, described.digest) == ("wiki", "0a1b2c3d")
    assert (described.source_type, described.source) == ("http", {"url": "https://h/x"})
    assert (described.schema, described.profile) == ({"mlflow_colspec": []}, {"num_rows": 3})


def test_describe_a_url() -> None:
    """A URL is named by its last part and is not fetched; its credentials do not matter."""
    one, other = (describe(f"https://u:{word}@h/data/x.csv?v=1") for word in (CANARY, "other"))
    assert one == other
    assert (one.name, one.source_type) == ("x.csv", "http")
    assert CANARY not in str(one)


def test_describe_what_is_no_data(tmp_path: Path) -> None:
    """What can't be data is refused with one line."""
    with pytest.raises(UsageError, match="can't read the dataset"):
        describe(tmp_path / "missing.csv")
    with pytest.raises(UsageError, match="not Bad"):
        describe(Bad())


class Bad:
    """What can't become an array."""

    def __array__(self, *args: Any, **kwargs: Any) -> None:
        raise ValueError


def test_file_in_git(repo: Path, git: Git) -> None:
    """A file that git tracks is named by its path and the blob of its content."""
    (repo / "data").mkdir()
    (repo / "data" / "[x].csv").write_text("1\n", encoding="utf-8")
    git("add", ".")
    blob = git("rev-parse", ":data/[x].csv")
    here = gate.find(repo)
    path = repo / "data" / "[x].csv"
    described = describe("data/[x].csv", repo=here)
    assert (described.source_type, described.name) == ("git", "[x].csv")
    assert described.source == {"uri": "data/[x].csv", "blob": blob}
    path.write_bytes(b"1\r\n")
    assert describe(path, repo=here).source == described.source
    path.write_text("2\n", encoding="utf-8")
    changed = git("hash-object", "data/[x].csv")
    expected = {"uri": "data/[x].csv", "blob": changed, "changed": True}
    assert describe(path, repo=here).source == expected


def test_file_in_a_repository_of_sha256(tmp_path: Path) -> None:
    """The blob has the object format of the repository."""
    from tests.conftest import run_git

    run_git(tmp_path, "init", "--quiet", "--object-format=sha256")
    (tmp_path / "x.csv").write_text("1\n", encoding="utf-8")
    run_git(tmp_path, "add", "x.csv")
    described = describe(tmp_path / "x.csv", repo=gate.find(tmp_path))
    assert described.source == {"uri": "x.csv", "blob": run_git(tmp_path, "rev-parse", ":x.csv")}


def test_file_outside(repo: Path, tmp_path: Path) -> None:
    """A file that nobody tracks is local: relative in the repository, as given elsewhere."""
    (repo / "x.csv").write_text("1\n", encoding="utf-8")
    (tmp_path / "x.csv").write_text("1\n", encoding="utf-8")
    here = gate.find(repo)
    inside, outside = describe(repo / "x.csv", repo=here), describe(tmp_path / "x.csv", repo=here)
    assert (inside.source_type, inside.source) == ("local", {"uri": "x.csv"})
    assert (outside.source_type, outside.source) == ("local", {"uri": str(tmp_path / "x.csv")})
    assert inside.digest == outside.digest
    assert inside.profile == {"num_bytes": 2}


def test_data_in_dvc(dvc_repo: Path, table: pd.DataFrame, monkeypatch: pytest.MonkeyPatch) -> None:
    """Data that DVC tracks is named by its path, its pointer and the md5 in it."""
    here = gate.find(dvc_repo)
    folder = describe("data", repo=here)
    md5 = folder.digest
    assert folder.source_type == "dvc"
    assert folder.source == {"uri": "data", "pointer": "data.dvc", "md5": md5}
    expected = {"uri": "data/deep/a", "pointer": "data.dvc", "md5": md5}
    assert describe(dvc_repo / "data" / "deep" / "a", repo=here).source == expected
    monkeypatch.chdir(dvc_repo / "data")
    read = describe(data.from_pandas(table, "train.csv"), repo=here)
    assert read.source == {"uri": "data/train.csv", "pointer": "data.dvc", "md5": md5}
    (dvc_repo / "data" / "new").touch()
    assert describe(dvc_repo / "data", repo=here).source["changed"] is True


def test_file_in_dvc(dvc_repo: Path) -> None:
    """A file's digest is the md5 of its pointer; a changed or missing file is told apart."""
    here = gate.find(dvc_repo)
    file = dvc_repo / "x.csv"
    file.write_text("1\n", encoding="utf-8")
    dvc(dvc_repo, "add", "--quiet", "x.csv")
    described = describe(file, repo=here)
    md5 = described.digest
    assert described.source == {"uri": "x.csv", "pointer": "x.csv.dvc", "md5": md5}
    for content in ("2\n", "longer\n"):
        os.chmod(file, 0o644)
        file.write_text(content, encoding="utf-8")
        assert describe(file, repo=here).source["changed"] is True
    file.unlink()
    table = data.from_pandas(pd.DataFrame({"a": [1]}), file)
    assert describe(table, repo=here).source == described.source


def test_stage_of_dvc(dvc_repo: Path) -> None:
    """What a pipeline made is found in dvc.lock."""
    stage = "stages:\n  make:\n    cmd: echo 1 > out.csv\n"
    (dvc_repo / "dvc.yaml").write_text(stage + "    outs: [out.csv]\n", encoding="utf-8")
    dvc(dvc_repo, "repro", "--quiet")
    described = describe("out.csv", repo=gate.find(dvc_repo))
    expected = {"uri": "out.csv", "pointer": "dvc.lock", "md5": described.digest}
    assert (described.source_type, described.source) == ("dvc", expected)


@pytest.mark.parametrize("content", ["", "[1", "outs: 5", "outs:\n- 5\n- {path: 3}", "- a"])
def test_damaged_pointer(repo: Path, content: str) -> None:
    """A pointer that can't be read tells nothing, and stops no run."""
    (repo / "x.csv").write_text("1\n", encoding="utf-8")
    (repo / "x.csv.dvc").write_text(content, encoding="utf-8")
    (repo / "dvc.lock").write_text(content, encoding="utf-8")
    assert describe("x.csv", repo=gate.find(repo)).source == {"uri": "x.csv"}


def test_importing_data_is_cheap() -> None:
    """`gitml.data` imports neither numpy nor pandas before they are needed."""
    code = (
        "import sys, gitml.data\n"
        "sys.exit(', '.join({'numpy', 'pandas', 'yaml', 'dvc', 'git'} & set(sys.modules)) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
