"""Files of the real frameworks are told by their content, and none is taken for what it is not."""

from __future__ import annotations

import gzip
import os
import pickle
import random
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gitml.errors import FormatError
from gitml.models.serialization import Serialization, serialization_of
from tests.conftest import framework
from tests.models import MAKERS, estimator

Make = Callable[[Path], object]
BENIGN: dict[str, tuple[str, Make]] = {}
PROGRAMS: dict[str, tuple[str, Make]] = {}


def makes(kind: str, *, executes: bool = False) -> Callable[[Make], Make]:
    """Enter a function that writes a file of this kind."""

    def enter(function: Make) -> Make:
        (PROGRAMS if executes else BENIGN)[function.__name__] = (kind, function)
        return function

    return enter


def _data() -> tuple[Any, Any]:
    import numpy as np

    inputs = np.random.default_rng(0).normal(size=(60, 3))
    return inputs, (inputs[:, 0] > 0).astype(int)


def _net() -> Any:
    torch = pytest.importorskip("torch")
    return torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.ReLU(), torch.nn.Linear(4, 1))


def _keras() -> Any:
    pytest.importorskip("torch")
    os.environ.setdefault("KERAS_BACKEND", "torch")
    return pytest.importorskip("keras")


def _layers() -> Any:
    keras = _keras()
    return keras.Sequential([keras.layers.Input((3,)), keras.layers.Dense(2, activation="relu")])


# -- files that hold data ------------------------------------------------------------------


@makes("skops")
def skops_file(path: Path) -> None:
    """An estimator."""
    pytest.importorskip("skops.io").dump(estimator(), path)


@makes("skops")
def skops_pipeline(path: Path) -> None:
    """A network behind a scaler, with arrays and a random state."""
    from sklearn.neural_network import MLPClassifier
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    model = make_pipeline(StandardScaler(), MLPClassifier((3,), solver="lbfgs")).fit(*_data())
    pytest.importorskip("skops.io").dump(model, path)


def _booster() -> Any:
    xgboost = pytest.importorskip("xgboost")
    inputs, targets = _data()
    return xgboost.train({"max_depth": 2}, xgboost.DMatrix(inputs, targets), 3)


@makes("xgboost-json")
def xgboost_json(path: Path) -> None:
    """XGBoost's JSON."""
    path.write_bytes(_booster().save_raw("json"))


@makes("xgboost-ubj")
def xgboost_ubj(path: Path) -> None:
    """XGBoost's UBJSON."""
    path.write_bytes(_booster().save_raw("ubj"))


@makes("lightgbm-text")
def lightgbm_text(path: Path) -> None:
    """LightGBM's text."""
    lightgbm = framework("lightgbm")
    inputs, targets = _data()
    lightgbm.LGBMClassifier(n_estimators=3, verbose=-1).fit(inputs, targets).booster_.save_model(
        str(path)
    )


@makes("torch")
def torch_state(path: Path) -> None:
    """The tensors of a network."""
    net = _net()
    pytest.importorskip("torch").save(net.state_dict(), path)


@makes("torch")
def torch_old_state(path: Path) -> None:
    """The same as old releases wrote it."""
    net = _net()
    pytest.importorskip("torch").save(net.state_dict(), path, _use_new_zipfile_serialization=False)


@makes("safetensors")
def safetensors_file(path: Path) -> None:
    """Tensors in safetensors."""
    net = _net()
    pytest.importorskip("safetensors.torch").save_file(net.state_dict(), str(path))


@makes("onnx")
def onnx_graph(path: Path) -> None:
    """A graph made of an estimator."""
    skl2onnx = pytest.importorskip("skl2onnx")
    import numpy as np

    graph = skl2onnx.to_onnx(estimator(), np.zeros((1, 1), np.float32))
    path.write_bytes(graph.SerializeToString())


@makes("keras")
def keras_file(path: Path) -> None:
    """A network in Keras' own format."""
    file = path.with_suffix(".keras")
    _layers().save(file)
    file.rename(path)


@makes("numpy")
def numpy_array(path: Path) -> None:
    """An array of numbers."""
    import numpy as np

    with path.open("wb") as file:
        np.save(file, np.arange(1000.0))


@makes("numpy")
def numpy_arrays(path: Path) -> None:
    """Several of them."""
    import numpy as np

    with path.open("wb") as file:
        np.savez_compressed(file, a=np.arange(1000.0), b=np.array(["x"]))


@makes("pickle")
def plain_pickle(path: Path) -> None:
    """A pickle of plain data."""
    path.write_bytes(pickle.dumps({"a": [1, 2.5, "x"], "b": (None, b"y")}))


@makes("json")
def json_file(path: Path) -> None:
    """JSON."""
    path.write_text('{"columns": ["a"], "data": [[1]]}')


@makes("text")
def yaml_file(path: Path) -> None:
    """A text."""
    path.write_text("channels:\n- conda-forge\ndependencies:\n- python=3.11\n")


@makes("empty")
def empty_file(path: Path) -> None:
    """Nothing."""
    path.touch()


# -- files that are programs ---------------------------------------------------------------


@makes("pickle", executes=True)
def sklearn_pickle(path: Path) -> None:
    """An estimator by pickle."""
    path.write_bytes(pickle.dumps(estimator()))


@makes("cloudpickle", executes=True)
def sklearn_cloudpickle(path: Path) -> None:
    """An estimator with a function of the script, by cloudpickle."""
    cloudpickle = pytest.importorskip("cloudpickle")
    path.write_bytes(cloudpickle.dumps([estimator(), lambda value: value + 1]))


@makes("joblib", executes=True)
def sklearn_joblib(path: Path) -> None:
    """An estimator by joblib, arrays in it."""
    pytest.importorskip("joblib").dump([estimator(), *_data()], path)


@makes("torch", executes=True)
def torch_network(path: Path) -> None:
    """A whole network."""
    net = _net()
    pytest.importorskip("torch").save(net, path)


@makes("keras", executes=True)
def keras_lambda(path: Path) -> None:
    """A network with a layer of the user's code."""
    keras = _keras()
    file = path.with_suffix(".keras")
    layers = [keras.layers.Input((3,)), keras.layers.Lambda(lambda value: value * 2)]
    keras.Sequential(layers).save(file)
    file.rename(path)


@makes("hdf5", executes=True)
def keras_hdf5(path: Path) -> None:
    """The attribute that makes HDF5 a network of Keras, whose layers nobody checks."""
    h5py = pytest.importorskip("h5py")
    with h5py.File(path, "w") as file:
        file.attrs["model_config"] = "{}"


@makes("skops", executes=True)
def skops_foreign(path: Path) -> None:
    """A type that skops does not know."""
    path.write_bytes(MAKERS["skops of a foreign type"](""))


@makes("skops", executes=True)
def skops_forest(path: Path) -> None:
    """Trees: scikit-learn trusts the numbers in them as places in memory, so skops asks."""
    from sklearn.ensemble import RandomForestClassifier

    pytest.importorskip("skops.io").dump(RandomForestClassifier(2).fit(*_data()), path)


@makes("program", executes=True)
def library(path: Path) -> None:
    """A library of Linux."""
    path.write_bytes(b"\x7fELF\x02\x01\x01" + bytes(100))


def told(tmp_path: Path, make: Make) -> Serialization:
    """What is said of a file whose name says something else."""
    path = tmp_path / "weights.txt"
    make(path)
    return serialization_of(path)


@pytest.mark.parametrize("name", BENIGN)
def test_data_of_the_frameworks_is_data(name: str, tmp_path: Path) -> None:
    """What loads without running anything of its author is not flagged."""
    kind, make = BENIGN[name]
    found = told(tmp_path, make)
    assert (found.kind, found.executes) == (kind, False), found


@pytest.mark.parametrize("name", PROGRAMS)
def test_programs_of_the_frameworks_are_programs(name: str, tmp_path: Path) -> None:
    """What can run code of its author is flagged, and the reason is given in a line."""
    kind, make = PROGRAMS[name]
    found = told(tmp_path, make)
    assert (found.kind, found.executes) == (kind, True), found
    assert found.why.isprintable()


@pytest.mark.parametrize("name", BENIGN)
def test_a_program_behind_data_is_found(name: str, tmp_path: Path) -> None:
    """An archive at the end of any file is what those see who read its end."""
    path = tmp_path / "file"
    BENIGN[name][1](path)
    path.write_bytes(path.read_bytes() + MAKERS["skops of a foreign type"](""))
    assert serialization_of(path).executes


@pytest.mark.parametrize("name", ["pickle", "joblib", "cloudpickle", "npy", "npz", "torch"])
def test_a_program_may_be_packed(name: str, tmp_path: Path) -> None:
    """A compressed file is what it holds."""
    path = tmp_path / "file.bin"
    path.write_bytes(gzip.compress(MAKERS[name]("pass")))
    found = serialization_of(path)
    assert (found.executes, bool(found.imports)) == (True, True)


def test_skops_trusts_no_less_than_skops_itself(tmp_path: Path) -> None:
    """Whatever skops asks about, a permission is asked for: loading then trusts all of the file."""
    io = pytest.importorskip("skops.io")
    import numpy as np
    from scipy import sparse
    from sklearn.preprocessing import FunctionTransformer

    values = [
        estimator(), np.float32, np.array([print], dtype=object), sparse.csr_matrix([[1.0]]), len,
        FunctionTransformer(np.log), FunctionTransformer(np.save), np.random.default_rng(1),
        random.Random(1), struct.Struct("I"), Path("x"), {"a": {1, 2}}, slice(1), bytearray(b"a"),
    ]  # fmt: skip
    asked = 0
    for value in values:
        try:
            data = io.dumps(value)
        except Exception:  # what skops can't write
            continue
        (tmp_path / "file").write_bytes(data)
        found = serialization_of(tmp_path / "file")
        # The type of a sparse matrix is not used: SciPy reads it from arrays without objects.
        asks = {name for name in io.get_untrusted_types(data=data) if "scipy.sparse" not in name}
        assert asks <= set(found.imports)
        assert found.executes or not asks
        asked += bool(asks)
    assert asked >= 2


def test_onnx_reads_no_file_of_the_machine(tmp_path: Path) -> None:
    """Tensors of a graph may lie in a file beside it, and nowhere else."""
    onnx = pytest.importorskip("onnx")
    for location in ("weights.bin", "../outside", "/etc/passwd"):
        tensor = onnx.TensorProto(
            name="w", data_type=1, dims=[1], data_location=onnx.TensorProto.EXTERNAL
        )
        tensor.external_data.add(key="location", value=location)
        graph = onnx.helper.make_graph([], "g", [], [], [tensor])
        (tmp_path / "m").write_bytes(onnx.helper.make_model(graph).SerializeToString())
        if location == "weights.bin":
            assert serialization_of(tmp_path / "m").executes is False
        else:
            with pytest.raises(FormatError, match="inside the model's folder"):
                serialization_of(tmp_path / "m")


def _seeds(folder: Path) -> list[bytes]:
    """Small files of several kinds."""
    found = []
    for name in ("skops_file", "xgboost_ubj", "onnx_graph", "safetensors_file", "numpy_arrays"):
        BENIGN[name][1](folder / name)
        found.append((folder / name).read_bytes())
    return [*found, MAKERS["joblib"]("pass"), MAKERS["torch"]("pass")]


def test_damaged_files_are_told_or_refused(tmp_path: Path) -> None:
    """Whatever bytes are changed, nothing but a FormatError comes of it."""
    chance, path = random.Random(7), tmp_path / "file"
    for seed in _seeds(tmp_path):
        for _ in range(150):
            data = bytearray(seed)
            for _ in range(chance.choice((1, 3, 20))):
                at = chance.randrange(len(data))
                if chance.random() < 0.7:
                    data[at] = chance.randrange(256)
                else:
                    del data[at : at + chance.randrange(1, 40)]
                data = data or bytearray(b".")
            path.write_bytes(data)
            try:
                assert isinstance(serialization_of(path), Serialization)
            except FormatError as error:
                assert "\n" not in str(error)  # noqa: PT017 - most files raise nothing
