"""Keras: what is saved comes back, layers that are code ask, and fits are logged."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import gitml
import gitml.keras
import gitml.tensorflow
from gitml.errors import FormatError, UsageError
from gitml.models import mlmodel
from gitml.models.trust import UntrustedModelError
from gitml.tracking import autolog as hooks
from tests.logged import the_run

pytestmark = [
    pytest.mark.skipif(find_spec("torch") is None, reason="Keras runs on torch here"),
    pytest.mark.filterwarnings("ignore::UserWarning"),
]

INPUTS = np.linspace(-1, 1, 80, dtype="float32").reshape(20, 4)
TARGETS = INPUTS.sum(axis=1)


@pytest.fixture
def keras(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Keras on the backend torch."""
    monkeypatch.setenv("KERAS_BACKEND", "torch")
    return pytest.importorskip("keras")


def network(keras: Any, *layers: Any) -> Any:
    """A small compiled model."""
    first = [keras.Input((4,)), keras.layers.Dense(2)]
    model = keras.Sequential([*first, *layers, keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    return model


@pytest.mark.parametrize("flavor", ["keras", "tensorflow"])
def test_a_model_comes_back(repo: Path, tmp_path: Path, keras: Any, flavor: str) -> None:
    """As itself and as a function, from anywhere: the format holds no code."""
    model, module = network(keras), getattr(gitml, flavor)
    expected = model.predict(INPUTS, verbose=0)
    module.save_model(model, tmp_path / "m", input_example=INPUTS[:3])
    native = module.load_model(tmp_path / "m")
    assert native.predict(INPUTS, verbose=0) == pytest.approx(expected)
    loaded = gitml.pyfunc.load_model(tmp_path / "m")
    assert loaded.predict(INPUTS) == pytest.approx(expected)
    with gitml.start_run():
        info = module.log_model(model, name="model")
    again = gitml.pyfunc.load_model(info.model_uri)
    frame = pd.DataFrame(INPUTS, index=range(20, 40))
    predicted = again.predict(frame)
    assert list(predicted.index) == list(range(20, 40))
    assert predicted.to_numpy() == pytest.approx(expected)


def test_what_mlmodel_says(tmp_path: Path, keras: Any) -> None:
    """MLflow's entries and files; the backend is a requirement."""
    gitml.keras.save_model(network(keras), tmp_path / "k")
    flavors = mlmodel.read(tmp_path / "k").flavors
    assert flavors["keras"] == {
        "code": None,
        "data": "data",
        "keras_backend": "torch",
        "keras_version": keras.__version__,
        "save_exported_model": False,
    }
    assert flavors["python_function"]["loader_module"] == "mlflow.keras"
    assert "data" not in flavors["python_function"]  # MLflow would look in data/data
    assert (tmp_path / "k/data/keras_module.txt").read_text() == "keras"
    lines = (tmp_path / "k/requirements.txt").read_text()
    assert "keras==" in lines
    assert "torch==" in lines


def test_what_the_tensorflow_flavor_says(tmp_path: Path, keras: Any) -> None:
    """The entries of MLflow's tensorflow flavor for the same file."""
    gitml.tensorflow.save_model(network(keras), tmp_path / "t")
    flavors = mlmodel.read(tmp_path / "t").flavors
    told = flavors["tensorflow"]
    assert (told["model_type"], told["save_format"], told["data"]) == ("keras", "tf", "data")
    assert flavors["python_function"]["loader_module"] == "mlflow.tensorflow"
    assert flavors["python_function"]["data"] == "data"
    assert (tmp_path / "t/data/save_format.txt").read_text() == "tf"
    assert (tmp_path / "t/data/keras_module.txt").read_text() == "tensorflow.keras"
    assert (tmp_path / "t/data/model.keras").is_file()


# -- code ----------------------------------------------------------------------------------


@pytest.mark.parametrize("flavor", ["keras", "tensorflow"])
def test_a_lambda_layer_needs_a_permission(
    repo: Path, tmp_path: Path, keras: Any, flavor: str
) -> None:
    """It is code; from a run of the repository it is loaded, elsewhere if that is allowed."""
    model, module = network(keras, keras.layers.Lambda(lambda x: x * 3)), getattr(gitml, flavor)
    expected = model.predict(INPUTS, verbose=0)
    module.save_model(model, tmp_path / "m")
    for load in (module.load_model, gitml.pyfunc.load_model):
        with pytest.raises(UntrustedModelError, match="__lambda__"):
            load(tmp_path / "m")
        loaded = load(tmp_path / "m", allow_code=True)
        assert np.asarray(loaded.predict(INPUTS)) == pytest.approx(expected)
    with gitml.start_run():
        info = module.log_model(model, name="model")
    assert gitml.pyfunc.load_model(info.model_uri).predict(INPUTS) == pytest.approx(expected)


def test_what_holds_no_code_is_held_to_it(
    tmp_path: Path, keras: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Keras' own guard is lifted only for files that have code."""
    seen = []
    real = keras.saving.load_model
    monkeypatch.setattr(
        keras.saving,
        "load_model",
        lambda *args, **kwargs: seen.append(kwargs["safe_mode"]) or real(*args, **kwargs),
    )
    gitml.keras.save_model(network(keras), tmp_path / "plain")
    twice = keras.layers.Lambda(lambda x: x * 2)
    gitml.keras.save_model(network(keras, twice), tmp_path / "code")
    gitml.keras.load_model(tmp_path / "plain", allow_code=True)
    gitml.keras.load_model(tmp_path / "code", allow_code=True)
    assert seen == [True, False]


def raw_bytes(h5py: Any, group: Any, other: Path) -> None:
    """An array of the bytes of another file."""
    group.create_dataset("0", (4, 2), "float32", external=[(str(other), 0, 32)])


def virtual(h5py: Any, group: Any, other: Path) -> None:
    """An array whose values are those of another file."""
    layout = h5py.VirtualLayout((4, 2), "float32")
    layout[:] = h5py.VirtualSource(str(other), "k", (4, 2))
    group.create_virtual_dataset("0", layout)


def link(h5py: Any, group: Any, other: Path) -> None:
    """An array of another file."""
    group["0"] = h5py.ExternalLink(str(other), "/k")


def roundabout(h5py: Any, group: Any, other: Path) -> None:
    """A link to a link to an array of another file."""
    group.file["there"] = h5py.ExternalLink(str(other), "/k")
    group["0"] = h5py.SoftLink("/there")


@pytest.mark.parametrize("edit", [raw_bytes, virtual, link, roundabout])
def test_weights_of_another_file_are_refused(tmp_path: Path, keras: Any, edit: Any) -> None:
    """A stranger's weights can't be the contents of the user's files, whatever is allowed."""
    import h5py

    other, folder = tmp_path / "other.h5", tmp_path / "m"
    with h5py.File(other, "w") as file:
        file["k"] = np.ones((4, 2), "float32")
    gitml.keras.save_model(network(keras), folder)
    path = folder / "data/model.keras"
    with zipfile.ZipFile(path) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    weights = io.BytesIO(parts["model.weights.h5"])
    with h5py.File(weights, "a") as file:
        variables = file["layers/dense/vars"]
        del variables["0"]
        edit(h5py, variables, other)
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in {**parts, "model.weights.h5": weights.getvalue()}.items():
            archive.writestr(name, content)
    for allow_code in (False, True):
        with pytest.raises(FormatError, match=r"the weights in .* that is in another file"):
            gitml.keras.load_model(folder, allow_code=allow_code)


def test_damaged_weights(tmp_path: Path, keras: Any) -> None:
    """The error is one line, and names the file."""
    gitml.keras.save_model(network(keras), tmp_path / "m")
    path = tmp_path / "m/data/model.keras"
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("more.h5", b"\x89HDF\r\n\x1a\n and nothing")
    with pytest.raises(FormatError, match=r"the weights in model\.keras are damaged"):
        gitml.keras.load_model(tmp_path / "m")


def test_custom_objects(tmp_path: Path, keras: Any) -> None:
    """A class of the user's own asks; it is given to load_model, or travels as a pickle."""

    class Double(keras.layers.Layer):  # type: ignore[misc, name-defined]
        def call(self, x: Any) -> Any:
            return x * 2

    model, objects = network(keras, Double()), {"Double": Double}
    expected = model.predict(INPUTS, verbose=0)
    gitml.keras.save_model(model, tmp_path / "k")
    with pytest.raises(UntrustedModelError, match="Double"):
        gitml.keras.load_model(tmp_path / "k", custom_objects=objects)
    native = gitml.keras.load_model(tmp_path / "k", custom_objects=objects, allow_code=True)
    assert native.predict(INPUTS, verbose=0) == pytest.approx(expected)
    gitml.tensorflow.save_model(model, tmp_path / "t", custom_objects=objects)
    with pytest.raises(UntrustedModelError):
        gitml.tensorflow.load_model(tmp_path / "t")
    loaded = gitml.pyfunc.load_model(tmp_path / "t", allow_code=True)
    assert loaded.predict(INPUTS) == pytest.approx(expected)


def test_predictions_need_no_optimizer(tmp_path: Path, keras: Any) -> None:
    """It may be of another backend; the model itself is compiled unless that is not wanted."""
    gitml.keras.save_model(network(keras), tmp_path / "m")
    assert not gitml.pyfunc.load_model(tmp_path / "m").get_raw_model().compiled
    assert gitml.keras.load_model(tmp_path / "m").compiled
    kwargs = {"compile": False}
    assert not gitml.keras.load_model(tmp_path / "m", load_model_kwargs=kwargs).compiled


ALONE = "import gitml, sys; print(gitml.keras.load_model('m').count_params())"


@pytest.mark.skipif(find_spec("tensorflow") is not None, reason="it is the usual backend")
def test_the_backend_of_the_model_is_chosen(tmp_path: Path, keras: Any) -> None:
    """Where none is named and the usual one is not there; else nothing would be loaded."""
    gitml.keras.save_model(network(keras), tmp_path / "m")
    environment = {key: value for key, value in os.environ.items() if key != "KERAS_BACKEND"}
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", ALONE],
        env={**environment, "PYTHONPATH": os.pathsep.join(sys.path)},
        cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.stdout.strip(), done.returncode) == ("13", 0), done.stderr


# -- what is refused -----------------------------------------------------------------------


def test_what_is_refused(tmp_path: Path, keras: Any) -> None:
    """Programs of TensorFlow, other save formats, and what is no Keras model."""
    with pytest.raises(UsageError, match=r"model\.export"):
        gitml.keras.save_model(network(keras), tmp_path / "m", save_exported_model=True)
    kwargs = {"save_format": "h5"}
    with pytest.raises(UsageError, match="leave save_format out"):
        gitml.tensorflow.save_model(network(keras), tmp_path / "m", keras_model_kwargs=kwargs)
    with pytest.raises(UsageError, match=r"not a keras\.Model"):
        gitml.keras.save_model(object(), tmp_path / "m")
    assert not (tmp_path / "m").exists()
    gitml.keras.save_model(network(keras), tmp_path / "m")
    (tmp_path / "m/data/model.keras").unlink()
    with pytest.raises(FormatError, match=r"none of: model\.keras"):
        gitml.keras.load_model(tmp_path / "m")


WITHOUT = """
import sys
sys.modules.update(dict.fromkeys({missing!r}))
import gitml
gitml.{flavor}.save_model(object(), "m")
"""


@pytest.mark.parametrize(
    ("flavor", "missing", "message"),
    [
        ("keras", ["keras"], "pip install 'gitml[keras]'"),
        ("tensorflow", ["keras"], "pip install 'gitml[tensorflow]'"),
        ("keras", ["jax"], "Keras needs jax, its backend"),
    ],
)
def test_without_the_framework(
    tmp_path: Path, flavor: str, missing: list[str], message: str
) -> None:
    """The message says what is missing and how to get it."""
    if "keras" not in missing and find_spec("keras") is None:
        pytest.skip("needs keras")
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT.format(flavor=flavor, missing=missing)],
        env={**os.environ, "KERAS_BACKEND": "jax", "PYTHONPATH": os.pathsep.join(sys.path)},
        cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert message in done.stderr.splitlines()[-1]


# -- autologging ---------------------------------------------------------------------------


@pytest.fixture
def logged(keras: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Keras, with the hooks as they were afterwards."""
    monkeypatch.setattr(hooks, "_said", set())
    yield keras
    gitml.keras.autolog(disable=True)


def test_a_fit_is_logged(repo: Path, logged: Any) -> None:
    """Params of fit and optimizer, metrics of every epoch, data, the summary, the model."""
    gitml.keras.autolog(log_input_examples=True)
    model, mine = network(logged), []
    kwargs = {"validation_split": 0.25, "callbacks": mine, "verbose": 0}
    history = model.fit(INPUTS, TARGETS, epochs=3, batch_size=5, **kwargs)
    run, client = the_run(), gitml.MlflowClient()
    assert mine == []
    params = run.data.params
    assert (params["epochs"], params["batch_size"], params["shuffle"]) == ("3", "5", "True")
    assert params["optimizer_name"].startswith("sgd")
    assert float(params["optimizer_learning_rate"]) == pytest.approx(0.01)
    points = client.get_metric_history(run.info.run_id, "val_loss")
    assert [point.step for point in points] == [0, 1, 2]
    assert [point.value for point in points] == pytest.approx(history.history["val_loss"])
    assert "dense" in gitml.artifacts.load_text(f"runs:/{run.info.run_id}/model_summary.txt")
    assert len(run.inputs.dataset_inputs) == 1
    loaded = gitml.pyfunc.load_model(f"runs:/{run.info.run_id}/model")
    assert loaded.predict(INPUTS) == pytest.approx(model.predict(INPUTS, verbose=0))
    assert loaded.input_example == pytest.approx(INPUTS[:5])


def test_early_stopping_is_logged(repo: Path, logged: Any) -> None:
    """What it was told, when it stopped, and the metrics of the epoch that was restored."""
    gitml.tensorflow.autolog(log_models=False)
    stopping = logged.callbacks.EarlyStopping(
        "loss", min_delta=99, patience=2, restore_best_weights=True
    )
    model = network(logged)
    history = model.fit(INPUTS, TARGETS, epochs=9, callbacks=[stopping], verbose=0)
    run, client = the_run(), gitml.MlflowClient()
    assert (run.data.params["monitor"], run.data.params["min_delta"]) == ("loss", "99")
    assert (run.data.metrics["stopped_epoch"], run.data.metrics["restored_epoch"]) == (2, 0)
    last = client.get_metric_history(run.info.run_id, "loss")[-1]
    assert (last.step, last.value) == (3, pytest.approx(history.history["loss"][0]))
    assert gitml.artifacts.list_artifacts(f"runs:/{run.info.run_id}/model") == []


def test_metrics_of_steps(repo: Path, logged: Any) -> None:
    """Every n steps instead of every epoch, which both have to be said."""
    with pytest.raises(UsageError, match="needs log_every_epoch=False"):
        gitml.keras.autolog(log_every_n_steps=2)
    gitml.keras.autolog(log_every_epoch=False, log_every_n_steps=2, log_models=False)
    network(logged).fit(INPUTS, TARGETS, epochs=2, batch_size=10, verbose=0)
    points = gitml.MlflowClient().get_metric_history(the_run().info.run_id, "loss")
    assert [point.step for point in points] == [2, 4]


def test_a_fit_that_fails(repo: Path, logged: Any) -> None:
    """The error is Keras' own, and the run FAILED; wrong arguments are told by Keras, too."""
    gitml.keras.autolog()
    with pytest.raises(Exception, match="compile"):
        logged.Sequential([logged.layers.Dense(1)]).fit(INPUTS, TARGETS, verbose=0)
    assert the_run().info.status == "FAILED"
    with pytest.raises(TypeError, match="epoch"):
        network(logged).fit(INPUTS, TARGETS, epoch=1)


def test_a_callback_instead(repo: Path, logged: Any) -> None:
    """MlflowCallback logs to the active run, without autologging."""
    with gitml.start_run():
        callback = gitml.keras.MlflowCallback()
        network(logged).fit(INPUTS, TARGETS, epochs=2, callbacks=[callback], verbose=0)
    run = the_run()
    assert "loss" in run.data.metrics
    assert run.data.params["optimizer_name"].startswith("sgd")


def test_switched_off(repo: Path, logged: Any) -> None:
    """`gitml.autolog` turns it on, and off: the class has its own fit again."""
    before = logged.Model.fit
    gitml.autolog()
    assert logged.Model.fit is not before
    gitml.autolog(disable=True)
    assert logged.Model.fit is before
    network(logged).fit(INPUTS, TARGETS, verbose=0)
    assert gitml.search_runs(output_format="list") == []
