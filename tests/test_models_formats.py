"""Tests of single formats: what in a file makes it code, and files of two formats at once."""

from __future__ import annotations

import contextlib
import importlib
import json
import pickle
import struct
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gitml.errors import FormatError
from gitml.models.serialization import Serialization, serialization_of, skops
from tests.model_files import MAKERS, zipped


def told(data: bytes, folder: Path, name: str = "file") -> Serialization:
    """What a file with these bytes is."""
    (folder / name).write_bytes(data)
    return serialization_of(folder / name)


# -- files that pretend --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "kind", "executes"),
    [
        (b"", "empty", False),
        (b"# A model\n", "text", False),
        ("Größe\n".encode() * 999, "text", False),
        (b'{"a": 1}', "json", False),
        (b"\xef\xbb\xbf [1]", "json", False),
        (b"\x00\x01\x02binary", "unknown", False),
        (b"text with a \x00 in it", "unknown", False),
        (pickle.dumps([1, 2]), "pickle", False),
        (b"\x7fELF\x02\x01\x01" + bytes(60), "program", True),
        (b"MZ" + b"\x90\0" * 29 + b"\x80\0\0\0" + bytes(60), "program", True),
        (b"MZ is the head of a text\n", "text", False),
        (b"\x89HDF\r\n\x1a\n" + bytes(90), "hdf5", False),
        (bytes(2048) + b"\x89HDF\r\n\x1a\n" + b"model_config", "hdf5", True),
        (b"\x89HDF\r\n\x1a\n" + bytes((1 << 20) - 14) + b"model_config", "hdf5", True),
        (b"tree\r\nversion=v3\r\n", "lightgbm-text", False),
        (b'{"version":[2,0,0],"learner":{}}', "xgboost-json", False),
        (zipped({"a.txt": b"text"}), "zip", False),
        (zipped({"a.txt": b"text"})[:-5], "zip", True),
        (b"PK\x05\x06", "zip", True),
        (b"text" + zipped({"a": b"text"}), "unknown", True),
    ],
)  # fmt: skip
def test_files_are_told_by_content(tmp_path: Path, data: bytes, kind: str, executes: bool) -> None:
    """The first bytes decide, and a file that is two at once is trusted as neither."""
    found = told(data, tmp_path, "model.safetensors")
    assert (found.kind, found.executes) == (kind, executes)


HEADER = {"w": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}}


@pytest.mark.parametrize(
    "header",
    [
        {"w": {"dtype": "F32", "shape": [2], "data_offsets": [0, 999]}},
        {"w": {"dtype": "F32", "shape": [2], "data_offsets": [8, 0]}},
        {"w": {"dtype": "F32", "shape": [-2], "data_offsets": [0, 8]}},
        {"w": {"dtype": 32, "shape": [2], "data_offsets": [0, 8]}},
        {"w": {"dtype": "F32", "shape": [True], "data_offsets": [0, 8]}},
        {"w": {"dtype": "F32", "data_offsets": [0, 8]}},
        {"w": [1]},
        [1],
    ],
)  # fmt: skip
def test_safetensors_have_the_header_that_they_must_have(tmp_path: Path, header: Any) -> None:
    """A header that does not fit its file makes no safetensors."""
    assert told(MAKERS["safetensors"](HEADER, tmp_path), tmp_path).kind == "safetensors"
    assert told(MAKERS["safetensors"](header, tmp_path), tmp_path).kind != "safetensors"


def test_the_header_of_safetensors_is_of_bounded_size(tmp_path: Path) -> None:
    """A header of more than 16 MB is not read, nor one that is longer than its file."""
    text = json.dumps(HEADER).encode()
    for size in (len(text) + 1000, (16 << 20) + 1, 2**63):
        padded = text.ljust(min(size, (16 << 20) + 1)) if size != len(text) + 1000 else text
        assert told(struct.pack("<Q", size) + padded, tmp_path).kind != "safetensors"


def test_a_safetensors_file_that_is_a_pickle_too_executes(tmp_path: Path) -> None:
    """Its first eight bytes are a length to one reader and an instruction to another."""
    data = MAKERS["safetensors and pickle"]({"text": "cos\nsystem\n(S'true'\ntR."}, tmp_path)
    if numpy := _imported("safetensors.numpy"):
        assert list(numpy.load(data)) == ["w"]
    found = told(data, tmp_path)
    assert (found.kind, found.executes, found.imports) == ("safetensors", True, ("os.system",))


def _imported(module: str) -> Any:
    try:
        return importlib.import_module(module)
    except ImportError:
        return None


GRAPH = [[1, [[4, "Relu"]]]]


@pytest.mark.parametrize(
    ("fields", "kind", "why"),
    [
        ([[1, 8], [7, GRAPH], [8, [[1, ""], [2, 17]]]], "onnx",
         "an ONNX graph of standard operators"),
        ([[1, 8], [7, [[1, [[4, "Mine"], [7, "my.ops"]]]]]], "onnx",
         "an ONNX graph with operators of 'my.ops'"),
        ([[1, 8], [7, GRAPH], [8, [[1, "a.ops"], [2, 1]]], [8, [[1, "b.ops"]]]], "onnx",
         "an ONNX graph with operators of 'a.ops' and 1 more"),
        ([[1, 8], [7, [[1, [[7, "own"]]]]], [25, [[1, "f"], [10, "own"]]]], "onnx",
         "an ONNX graph of standard operators"),
        ([[1, 1], [2, [[2, [[1, "x" * 100]]]]]], "tensorflow",
         "a TensorFlow model, which is a program"),
        ([[1, 8], [3, "x" * 100]], "unknown", "not of a format that is known to be safe"),
    ],
)  # fmt: skip
def test_protocol_buffers_are_told_by_their_fields(
    tmp_path: Path, fields: list[Any], kind: str, why: str
) -> None:
    """A graph names the operators that are not of the standard; what it defines itself is fine."""
    found = told(MAKERS["protobuf"](fields, tmp_path), tmp_path)
    assert (found.kind, found.why) == (kind, why)
    assert found.executes == (kind == "tensorflow")


def _external(place: str) -> list[Any]:
    """A tensor that lies in another file."""
    return [[8, "w"], [13, [[1, "location"], [2, place]]], [14, 1]]


@pytest.mark.parametrize(
    "graph",
    [
        [[5, _external("../w")]],
        [[15, [[1, _external("../w")]]]],
        [[1, [[5, [[5, _external("../w")]]]]]],
        [[1, [[5, [[10, _external("../w")]]]]]],
        [[1, [[5, [[6, [[1, [[5, [[11, [[5, _external("../w")]]]]]]]]]]]]]],
        [[5, [[13, [[2, "../w"], [1, "location"]]]]]],
        [[5, [[13, [[1, "location"], [2, "w"], [2, "../w"]]]]]],
    ],
)  # fmt: skip
def test_tensors_outside_the_folder_are_found_wherever_they_hang(
    tmp_path: Path, graph: list[Any]
) -> None:
    """In initializers, attributes and graphs in graphs, whatever the order of the fields."""
    for model in ([[1, 8], [7, graph]], [[1, 8], [7, []], [20, [[1, graph]]]]):
        with pytest.raises(FormatError, match=r"^'file' has tensors in another file: '../w' must"):
            told(MAKERS["protobuf"](model, tmp_path), tmp_path)
    function = [[1, 8], [7, []], [25, [[7, [[5, [[5, _external("/w")]]]]]]]]
    with pytest.raises(FormatError, match="'/w' must be a path inside"):
        told(MAKERS["protobuf"](function, tmp_path), tmp_path)


def test_tensors_behind_a_link_are_refused(tmp_path: Path) -> None:
    """A file beside the graph that is a link leads elsewhere."""
    (tmp_path / "w").symlink_to("/etc/passwd")
    with pytest.raises(FormatError, match="'w' is a symbolic link"):
        told(MAKERS["protobuf"]([[1, 8], [7, [[5, _external("w")]]]], tmp_path), tmp_path)


def test_graphs_may_be_nested_deeply(tmp_path: Path) -> None:
    """Graphs in graphs cost no more than their size."""
    graph: list[Any] = [[5, _external("../w")]]
    data = MAKERS["protobuf"](graph, tmp_path)
    for _ in range(2000):
        inner = MAKERS["protobuf"]([[6, ""]], tmp_path)[:-1] + _length(data) + data
        node = MAKERS["protobuf"]([[5, ""]], tmp_path)[:-1] + _length(inner) + inner
        data = MAKERS["protobuf"]([[1, ""]], tmp_path)[:-1] + _length(node) + node
    model = b"\x08\x08\x3a" + _length(data) + data
    with pytest.raises(FormatError, match="must be a path inside"):
        told(model, tmp_path)


def _length(data: bytes) -> bytes:
    return MAKERS["protobuf"]([[1, len(data)]], Path())[1:]


KERAS_OBJECT = {
    "module": "keras.layers",
    "class_name": "Dense",
    "config": {},
    "registered_name": None,
}


@pytest.mark.parametrize(
    ("change", "imports"),
    [
        ({}, ()),
        ({"class_name": "Lambda"}, ("keras.layers.Lambda",)),
        ({"module": None, "class_name": "Lambda"}, ("Lambda",)),
        ({"registered_name": "x>Lambda"}, ("keras.layers.Dense",)),
        ({"class_name": "TFSMLayer"}, ("keras.layers.TFSMLayer",)),
        ({"class_name": "TorchModuleWrapper"}, ("keras.layers.TorchModuleWrapper",)),
        ({"class_name": "__lambda__", "module": None}, ("__lambda__",)),
        ({"module": "os", "class_name": "system"}, ("os.system",)),
        ({"module": "kerasx.layers"}, ("kerasx.layers.Dense",)),
        ({"module": "keras.utils", "class_name": "get_file"}, ("keras.utils.get_file",)),
        ({"module": "keras.config", "class_name": "function",
          "config": "enable_unsafe_deserialization"},
         ("keras.config.enable_unsafe_deserialization",)),
        ({"module": "builtins", "class_name": "function", "config": "relu"}, ()),
        ({"module": "builtins", "class_name": "eval"}, ("builtins.eval",)),
        ({"module": "keras", "class_name": "layers.Lambda"}, ("keras.layers.Lambda",)),
        ({"module": "keras", "class_name": "layers.Dense"}, ("keras.layers.Dense",)),
        ({"class_name": ["Dense"]}, ("keras.layers.['Dense']",)),
        ({"module": 1}, ("1.Dense",)),
        ({"module": None, "registered_name": "mine>Own", "class_name": "Own"}, ("mine>Own",)),
        ({"class_name": "StringLookup", "config": {"vocabulary": "/etc/passwd"}},
         ("keras.layers.StringLookup (reads a file)",)),
    ],
)  # fmt: skip
def test_names_in_a_keras_model(tmp_path: Path, change: Any, imports: tuple[str, ...]) -> None:
    """What is not plainly of Keras is named, wherever in the configuration it stands."""
    config = {"config": {"layers": [{"deep": [{**KERAS_OBJECT, **change}]}]}}
    data = zipped({"config.json": json.dumps(config).encode(), "metadata.json": b"{}"})
    found = told(data, tmp_path)
    assert (found.kind, found.imports, found.executes) == ("keras", imports, bool(imports))


SKOPS_OBJECT = {
    "__module__": "sklearn.svm._classes", "__class__": "SVC", "__loader__": "ObjectNode",
}  # fmt: skip


@pytest.mark.parametrize(
    ("change", "imports"),
    [
        ({}, ()),
        ({"__module__": "os", "__class__": "system"}, ("os.system",)),
        ({"__module__": "sklearn.utils._mocking", "__class__": "CheckingClassifier"},
         ("sklearn.utils._mocking.CheckingClassifier",)),
        ({"__loader__": "TypeNode"}, ("sklearn.svm._classes.SVC",)),
        ({"__loader__": "FunctionNode", "__module__": "os", "__class__": "system"}, ("os.system",)),
        ({"__loader__": "FunctionNode", "__module__": "builtins", "__class__": "function",
          "content": {"module_path": "os", "function": "system"}},
         ("builtins.function", "os.system")),
        ({"__loader__": "MethodNode", "content": {"func": "fit"}},
         ("sklearn.svm._classes.SVC", "sklearn.svm._classes.SVC.fit")),
        ({"__loader__": "OperatorFuncNode", "__module__": "operator", "__class__": "methodcaller"},
         ("operator.methodcaller",)),
        ({"__loader__": "UnheardOfNode"}, ("sklearn.svm._classes.SVC",)),
        ({"__loader__": "RandomGeneratorNode", "__module__": "numpy.random._generator",
          "__class__": "Generator", "content": {}}, ("numpy.random.None",)),
        ({"__loader__": "JsonNode", "content": "1"}, ()),
    ],
)  # fmt: skip
def test_types_in_a_skops_file(tmp_path: Path, change: Any, imports: tuple[str, ...]) -> None:
    """What skops would not load by itself is named, wherever in the schema it stands."""
    pytest.importorskip("skops")
    schema = {"content": [{"x": {**SKOPS_OBJECT, **change}}], "protocol": 2}
    found = told(zipped({"schema.json": json.dumps(schema).encode()}), tmp_path)
    assert (found.kind, found.imports, found.executes) == ("skops", imports, bool(imports))


def test_without_skops_only_what_is_plainly_known_is_trusted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An estimator of scikit-learn is trusted by its name, a function or a tree is not."""
    monkeypatch.setitem(sys.modules, "skops.io._trusted_types", None)
    skops._trusting.cache_clear()
    nodes = {
        "sklearn.svm._classes.SVC": "ObjectNode", "numpy.log": "FunctionNode",
        "sklearn.tree._tree.Tree": "ObjectNode", "builtins.int": "TypeNode",
        "builtins.eval": "TypeNode", "os.system": "ObjectNode", "sklearn.utils.run": "ObjectNode",
    }  # fmt: skip
    schema = [
        {"__module__": name.rpartition(".")[0], "__class__": name.rpartition(".")[2],
         "__loader__": loader} for name, loader in nodes.items()
    ]  # fmt: skip
    try:
        found = told(zipped({"schema.json": json.dumps(schema).encode()}), tmp_path)
    finally:
        skops._trusting.cache_clear()
    assert set(found.imports) == set(nodes) - {"sklearn.svm._classes.SVC", "builtins.int"}


@pytest.mark.parametrize("names", [("schema.json", "config.json"), ("config.json", "m/data.pkl")])
def test_an_archive_of_two_formats_is_trusted_as_none(
    tmp_path: Path, names: tuple[str, str]
) -> None:
    """Each reader finds its own description in it."""
    contents = {
        "schema.json": b"{}",
        "config.json": b'{"class_name": "Dense"}',
        "m/data.pkl": b"N.",
    }
    for kept in (names, names[:1], names[1:]):
        found = told(zipped({name: contents[name] for name in kept}), tmp_path)
        assert found.executes == (len(kept) == 2)
        assert ("to one reader" in found.why) == (len(kept) == 2)


def test_the_graph_in_a_safetensors_file_is_looked_at(tmp_path: Path) -> None:
    """A file that two readers take for two things is refused for what either would read."""
    data = MAKERS["safetensors and graph"]("w", tmp_path)
    found = told(data, tmp_path)
    assert (found.executes, found.why) == (True, "safetensors to one reader, onnx to another")
    with pytest.raises(FormatError, match=r"has tensors in another file: '\.\./w'"):
        told(MAKERS["safetensors and graph"]("../w", tmp_path), tmp_path)


@pytest.mark.parametrize("name", ["schema.json", "config.json"])
@pytest.mark.parametrize("text", [b"{", b"", b"[" * 100_000, b"\xff", b"NaN"])
def test_a_description_that_is_damaged_is_not_harmless(
    tmp_path: Path, name: str, text: bytes
) -> None:
    """An archive whose description can't be read may be read by others."""
    found = told(zipped({name: text, "metadata.json": b"{}"}), tmp_path)
    assert (found.kind, found.executes) == ("skops" if name == "schema.json" else "keras", True)


def test_a_description_is_of_bounded_size(tmp_path: Path) -> None:
    """A schema that unpacks to more than 64 MB is not read."""
    with zipfile.ZipFile(tmp_path / "file", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("schema.json", bytes((64 << 20) + 1))
    found = serialization_of(tmp_path / "file")
    assert found == Serialization(
        "skops", True, (), "can't be read whole: 'schema.json' is too large to look into"
    )


@given(st.binary(max_size=600))
def test_any_bytes_are_told(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    """Whatever a file holds, it is told or refused with a FormatError."""
    folder = tmp_path_factory.getbasetemp()
    heads = (
        b"", b"PK\x03\x04", b"\x08\x08\x3a", b"\x08\x08\x3a\x0f\x2a\x0d\x6a", b"{",
        b"\x89HDF\r\n\x1a\n", struct.pack("<Q", 300) + b"{", b"\x93NUMPY",
    )  # fmt: skip
    for head in heads:
        with contextlib.suppress(FormatError):
            assert told(head + data, folder).kind
