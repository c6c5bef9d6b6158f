"""The PyTorch flavor: modules come back, from where they may, and say what MLflow's say."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import gitml
from gitml.errors import UsageError
from gitml.models import mlmodel
from gitml.models.trust import UntrustedModelError

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning")

ROWS = np.array([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]], dtype=np.float32)


def net() -> Any:
    """A network with layers that behave otherwise while they are trained."""
    torch.manual_seed(3)
    layers = torch.nn
    return layers.Sequential(
        layers.Linear(2, 4), layers.BatchNorm1d(4), layers.Dropout(0.5), layers.Linear(4, 1)
    )


def expected(model: Any) -> Any:
    """What the network itself says, in its mode for predictions."""
    model.eval()
    with torch.no_grad():
        return model(torch.from_numpy(ROWS)).numpy()


def pickled(model: Any, path: Path) -> None:
    """As MLflow's default."""
    gitml.pytorch.save_model(model, path, input_example=ROWS)


def scripted(model: Any, path: Path) -> None:
    """As TorchScript."""
    gitml.pytorch.save_model(torch.jit.script(model), path, input_example=ROWS)


def exported(model: Any, path: Path) -> None:
    """As an exported program."""
    gitml.pytorch.save_model(
        model.eval(), path, serialization_format="pt2", export_example=torch.from_numpy(ROWS)
    )


@pytest.mark.parametrize("save", [pickled, scripted, exported])
def test_a_module_comes_back(tmp_path: Path, save: Callable[[Any, Path], None]) -> None:
    """Natively and as a function, for arrays and frames; from anywhere only when allowed."""
    model = net()
    save(model, tmp_path / "m")
    wanted = expected(model)
    with pytest.raises(UntrustedModelError):
        gitml.pytorch.load_model(tmp_path / "m")
    native = gitml.pytorch.load_model(tmp_path / "m", allow_code=True)
    with torch.no_grad():
        assert native(torch.from_numpy(ROWS)).numpy() == pytest.approx(wanted)
    loaded = gitml.pyfunc.load_model(tmp_path / "m", allow_code=True)
    assert loaded.predict(ROWS) == pytest.approx(wanted)
    assert loaded.predict(ROWS[:2]) == pytest.approx(wanted[:2])
    if save is exported:  # no signature: a frame's columns are its values
        frame = pd.DataFrame(ROWS.astype(float), index=["a", "b", "c"])
        told = loaded.predict(frame)
        assert list(told.index) == ["a", "b", "c"]
        assert told.to_numpy() == pytest.approx(wanted)


def test_a_run_is_trusted(repo: Path) -> None:
    """What a run logged comes back without a question."""
    model = net()
    with gitml.start_run():
        info = gitml.pytorch.log_model(model, name="net", input_example=ROWS)
    assert info.signature.inputs.is_tensor_spec()
    assert gitml.pyfunc.load_model(info.model_uri).predict(ROWS) == pytest.approx(expected(model))


def test_saving_leaves_the_module_as_it_is(tmp_path: Path) -> None:
    """The example is predicted for the signature, but nothing is learnt from it."""
    model = net()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    pickled(model, tmp_path / "m")
    assert model.training
    for name, tensor in model.state_dict().items():
        assert torch.equal(tensor, before[name])


def test_weights_alone_are_loaded_from_anywhere(repo: Path, tmp_path: Path) -> None:
    """Into a module of the caller's; into another one they do not go."""
    pytest.importorskip("safetensors")
    model = net()
    gitml.pytorch.save_model(model, tmp_path / "m", serialization_format="safetensors")
    assert "python_function" not in mlmodel.read(tmp_path / "m").flavors
    filled = gitml.pytorch.load_model(tmp_path / "m", model=net())
    assert expected(filled) == pytest.approx(expected(model))
    with pytest.raises(UsageError, match="pass the module that they belong to"):
        gitml.pytorch.load_model(tmp_path / "m")
    with pytest.raises(UsageError, match="the weights are of another module") as refused:
        gitml.pytorch.load_model(tmp_path / "m", model=torch.nn.Linear(2, 1))
    assert "\n" not in str(refused.value)


def test_what_mlmodel_says(tmp_path: Path) -> None:
    """MLflow's keys and files."""
    pickled(net(), tmp_path / "m")
    flavors = mlmodel.read(tmp_path / "m").flavors
    assert flavors["pytorch"]["model_data"] == "data"
    assert flavors["pytorch"]["pytorch_version"] == str(torch.__version__)
    assert flavors["python_function"]["loader_module"] == "mlflow.pytorch"
    assert flavors["python_function"]["pickle_module_name"] == "mlflow.pytorch.pickle_module"
    assert flavors["python_function"]["model_config"] == {"device": None}
    info = (tmp_path / "m" / "data" / "pickle_module_info.txt").read_text()
    assert info == "mlflow.pytorch.pickle_module"
    needed = (tmp_path / "m" / "requirements.txt").read_text()
    assert f"torch=={torch.__version__.partition('+')[0]}" in needed
    assert "cloudpickle==" in needed


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"serialization_format": "onnx"}, "'onnx' is not one; use pickle, pt2, safetensors"),
        ({"serialization_format": "pt2"}, "pass export_example"),
        ({"serialisation_format": "pt2"}, "did you mean 'serialization_format'"),
    ],
)
def test_options_that_there_are_not(tmp_path: Path, options: dict[str, Any], message: str) -> None:
    """One line that says what to do, and no folder."""
    with pytest.raises(UsageError, match=message):
        gitml.pytorch.save_model(net(), tmp_path / "m", **options)
    assert not (tmp_path / "m").exists()


def test_what_is_no_module(tmp_path: Path) -> None:
    """And data that are none for it."""
    with pytest.raises(UsageError, match=r"must be a torch\.nn\.Module"):
        gitml.pytorch.save_model({}, tmp_path / "m")
    gitml.pytorch.save_model(net(), tmp_path / "m")
    loaded = gitml.pyfunc.load_model(tmp_path / "m", allow_code=True)
    with pytest.raises(UsageError, match="takes a DataFrame or a NumPy array"):
        loaded.predict([[1.0, 2.0]])
    with pytest.raises(UsageError, match="pass it to load_model"):
        loaded.predict(ROWS, {"device": "cpu"})
