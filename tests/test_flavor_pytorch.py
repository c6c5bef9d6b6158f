"""PyTorch: what is saved comes back, what may run code asks, and Lightning's fits are logged."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import gitml
import gitml.pytorch
from gitml.errors import FormatError, UsageError
from gitml.models import mlmodel
from gitml.models.trust import UntrustedModelError
from gitml.tracking import autolog as hooks
from tests.logged import the_run

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")

INPUTS = np.linspace(-1, 1, 20, dtype="float32").reshape(5, 4)


def net() -> Any:
    """A module that behaves otherwise while it is trained."""
    torch.manual_seed(0)
    return torch.nn.Sequential(torch.nn.Linear(4, 2), torch.nn.Dropout(0.9))


def answer(model: Any, inputs: Any = INPUTS) -> Any:
    """What the module itself says, outside of training."""
    with torch.no_grad():
        return model.eval()(torch.from_numpy(inputs)).numpy()


def scripted() -> Any:
    """The same module in TorchScript."""
    return torch.jit.trace(net().eval(), torch.from_numpy(INPUTS))


CASES = [
    pytest.param(net, {}, "model.pth", id="pickle"),
    pytest.param(scripted, {}, "model.pth", id="TorchScript"),
    pytest.param(net, {"serialization_format": "pt2"}, "model.pt2", id="exported"),
    pytest.param(net, {"export_model": True}, "model.pt2", id="exported, in MLflow's old words"),
]


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize(("make", "options", "file"), CASES)
def test_a_module_comes_back(
    repo: Path, tmp_path: Path, make: Any, options: dict[str, Any], file: str
) -> None:
    """As itself and as a function; from a run, or elsewhere with a permission only."""
    model, folder = make(), tmp_path / "m"
    gitml.pytorch.save_model(model, folder, input_example=INPUTS, **options)
    assert (folder / "data" / file).is_file()
    with pytest.raises(UntrustedModelError, match=file):
        gitml.pytorch.load_model(folder)
    native = gitml.pytorch.load_model(folder, allow_code=True)
    expected = answer(net())
    assert native(torch.from_numpy(INPUTS)).detach().numpy() == pytest.approx(expected)
    loaded = gitml.pyfunc.load_model(folder, allow_code=True)
    assert loaded.predict(INPUTS[:2]) == pytest.approx(expected[:2], abs=1e-6)
    with gitml.start_run():
        info = gitml.pytorch.log_model(model, name="model", input_example=INPUTS, **options)
    again = gitml.pyfunc.load_model(info.model_uri)
    assert again.predict(INPUTS) == pytest.approx(expected)


def test_saving_leaves_a_module_in_training(tmp_path: Path) -> None:
    """The signature is that of the module as it will be loaded; the module stays as it was."""
    model = net().train()
    gitml.pytorch.save_model(model, tmp_path / "m", input_example=torch.from_numpy(INPUTS))
    assert [module.training for module in model.modules()] == [True] * 3
    signature = mlmodel.read(tmp_path / "m").signature
    assert signature is not None
    assert "float32" in str(signature.inputs)


def test_what_mlmodel_says(tmp_path: Path) -> None:
    """MLflow's entries and files, the requirements with torch, and the files that travel along."""
    (tmp_path / "labels.txt").write_text("no yes")
    gitml.pytorch.save_model(net(), tmp_path / "m", extra_files=[tmp_path / "labels.txt"])
    flavors = mlmodel.read(tmp_path / "m").flavors
    assert flavors["pytorch"] == {
        "code": None,
        "extra_files": [{"path": "extra_files/labels.txt"}],
        "model_data": "data",
        "pytorch_version": str(torch.__version__),
    }
    told = flavors["python_function"]
    assert told["loader_module"] == "mlflow.pytorch"
    assert told["pickle_module_name"] == "mlflow.pytorch.pickle_module"
    assert (told["data"], told["model_config"]) == ("data", {"device": None})
    assert (tmp_path / "m/data/pickle_module_info.txt").read_text() == told["pickle_module_name"]
    assert (tmp_path / "m/extra_files/labels.txt").read_text() == "no yes"
    assert "torch==" in (tmp_path / "m/requirements.txt").read_text()


def test_predictions_are_of_the_kind_of_the_data(tmp_path: Path) -> None:
    """A DataFrame, with its index, of a DataFrame; an array of an array; nothing else is taken."""
    gitml.pytorch.save_model(net(), tmp_path / "m")
    model = gitml.pyfunc.load_model(tmp_path / "m", allow_code=True)
    frame = pd.DataFrame(INPUTS.astype("float64"), index=list("abcde"))
    predicted = model.predict(frame)
    assert list(predicted.index) == list("abcde")
    assert predicted.to_numpy() == pytest.approx(answer(net()))
    assert model.predict(INPUTS[::-1]) == pytest.approx(answer(net())[::-1])
    for data in ([[1.0] * 4], {"a": INPUTS}):
        with pytest.raises(UsageError, match="takes a DataFrame or an array"):
            model.predict(data)
    with pytest.raises(UsageError, match="model_config"):
        model.predict(INPUTS, params={"device": "cpu"})


def test_a_device_is_named_when_a_model_is_loaded(tmp_path: Path) -> None:
    """For predictions by model_config, for the module by device; an exported one can't move."""
    gitml.pytorch.save_model(net(), tmp_path / "m")
    model = gitml.pyfunc.load_model(
        tmp_path / "m", allow_code=True, model_config={"device": "meta"}
    )
    assert next(model.get_raw_model().parameters()).device.type == "meta"
    native = gitml.pytorch.load_model(tmp_path / "m", allow_code=True, device="meta")
    assert next(native.parameters()).device.type == "meta"
    exported = {"serialization_format": "pt2", "input_example": INPUTS}
    gitml.pytorch.save_model(net(), tmp_path / "e", **exported)  # type: ignore[arg-type]
    with pytest.raises(UsageError, match=r"exported on cpu and can't move to meta"):
        gitml.pytorch.load_model(tmp_path / "e", allow_code=True, device="meta")


# -- tensors alone -------------------------------------------------------------------------


def test_tensors_are_loaded_from_anywhere(tmp_path: Path) -> None:
    """safetensors hold no code: a module of the user's own takes them, without a permission."""
    pytest.importorskip("safetensors")
    gitml.pytorch.save_model(net(), tmp_path / "m", serialization_format="safetensors")
    fresh = torch.nn.Sequential(torch.nn.Linear(4, 2), torch.nn.Dropout(0.9))
    model = gitml.pytorch.load_model(tmp_path / "m", model=fresh)
    assert model is fresh
    assert not model.training
    assert answer(model) == pytest.approx(answer(net()))
    assert "python_function" not in mlmodel.read(tmp_path / "m").flavors
    with pytest.raises(UsageError, match="load it with model="):
        gitml.pytorch.load_model(tmp_path / "m")
    with pytest.raises(FormatError, match="do not fit a Linear"):
        gitml.pytorch.load_model(tmp_path / "m", model=torch.nn.Linear(9, 9))


def test_tensors_with_a_class(repo: Path, tmp_path: Path) -> None:
    """With model_kwargs the class makes the module again; it is code, and asks."""
    pytest.importorskip("safetensors")
    linear = torch.nn.Linear(4, 2)
    options: Any = {
        "serialization_format": "safetensors",
        "model_kwargs": {"in_features": 4, "out_features": 2},
    }
    gitml.pytorch.save_model(linear, tmp_path / "m", **options)
    with pytest.raises(UntrustedModelError, match="imports a class"):
        gitml.pytorch.load_model(tmp_path / "m")
    model = gitml.pyfunc.load_model(tmp_path / "m", allow_code=True)
    assert model.predict(INPUTS) == pytest.approx(answer(linear))
    with gitml.start_run():
        info = gitml.pytorch.log_model(linear, name="model", **options)
    assert answer(gitml.pytorch.load_model(info.model_uri)) == pytest.approx(answer(linear))


@pytest.mark.parametrize("name", ["os.system", "torch.nn.functional.linear", "torch.save", "x.Y"])
def test_a_class_that_is_no_module(tmp_path: Path, name: str) -> None:
    """MLmodel may name what it wants: with a permission, too, only modules are made."""
    pytest.importorskip("safetensors")
    options: Any = {"serialization_format": "safetensors", "model_kwargs": {}}
    gitml.pytorch.save_model(torch.nn.Identity(), tmp_path / "m", **options)
    file = tmp_path / "m" / "MLmodel"
    text = file.read_text()
    file.write_text(text.replace("torch.nn.modules.linear.Identity", name))
    assert file.read_text() != text
    with pytest.raises((FormatError, UsageError)):
        gitml.pytorch.load_model(tmp_path / "m", allow_code=True)


# -- what is refused -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"serialization_format": "onnx"}, "use pickle, pt2, safetensors"),
        ({"serialization_format": "pt2"}, "give it an input_example"),
        ({"serialization_format": "pickle", "export_model": True}, "export_model is the"),
        ({"model_kwargs": {}}, "model_kwargs are for"),
        ({"extra_files": "labels.txt"}, "extra_files is a list"),
        ({"extra_files": ["nowhere.txt"]}, r"nowhere\.txt' does not exist"),
    ],
)
def test_options_that_do_not_go(tmp_path: Path, options: dict[str, Any], message: str) -> None:
    """Each is met with what to do, and nothing is left behind."""
    with pytest.raises(UsageError, match=message):
        gitml.pytorch.save_model(net(), tmp_path / "m", **options)
    assert not (tmp_path / "m").exists()


def test_what_is_no_module_is_refused(tmp_path: Path) -> None:
    """A state dict is not a model; a class that can't be imported makes none."""
    with pytest.raises(UsageError, match=r"not a torch\.nn\.Module"):
        gitml.pytorch.save_model(net().state_dict(), tmp_path / "m")

    class Mine(torch.nn.Identity):  # type: ignore[misc, name-defined]
        pass

    options: Any = {"serialization_format": "safetensors", "model_kwargs": {}}
    with pytest.raises(UsageError, match="can't be imported where the model is loaded"):
        gitml.pytorch.save_model(Mine(), tmp_path / "m", **options)


def test_without_torch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The message names the extra."""
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(UsageError, match=r"pip install 'gitml\[pytorch\]'"):
        gitml.pytorch.save_model(object(), tmp_path / "m")


# -- Lightning -----------------------------------------------------------------------------


@pytest.fixture
def lightning(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """The package, with the hooks as they were afterwards."""
    monkeypatch.setattr(hooks, "_said", set())
    yield pytest.importorskip("lightning.pytorch")
    gitml.pytorch.autolog(disable=True)


def line(pl: Any) -> Any:
    """A module of Lightning that logs a loss of steps and epochs."""

    class Line(pl.LightningModule):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.linear = torch.nn.Linear(4, 1)

        def forward(self, x: Any) -> Any:
            return self.linear(x)

        def training_step(self, batch: Any, number: int) -> Any:
            loss = ((self(batch[0]) - batch[1]) ** 2).mean()
            self.log("loss", loss, on_step=True, on_epoch=True)
            return loss

        def validation_step(self, batch: Any, number: int) -> None:
            self.log("val_loss", ((self(batch[0]) - batch[1]) ** 2).mean())

        def configure_optimizers(self) -> Any:
            return torch.optim.SGD(self.parameters(), lr=0.1)

    return Line()


def batches() -> Any:
    """Two batches of the line y = the sum of x."""
    x = torch.from_numpy(INPUTS[:4])
    data = torch.utils.data.TensorDataset(x, x.sum(1, keepdim=True))
    return torch.utils.data.DataLoader(data, batch_size=2)


def trainer(pl: Any, epochs: int, *callbacks: Any) -> Any:
    """A quiet Trainer in the current folder."""
    return pl.Trainer(
        max_epochs=epochs, callbacks=list(callbacks), logger=False, accelerator="cpu",
        enable_progress_bar=False, enable_model_summary=False, log_every_n_steps=1,
    )  # fmt: skip


def test_a_fit_is_logged(repo: Path, lightning: Any) -> None:
    """Params of the optimizer, metrics of every epoch, the summary, and the trained model."""
    gitml.pytorch.autolog()
    fitted = line(lightning)
    fitting = trainer(lightning, 3)
    fitting.fit(fitted, batches(), batches())
    run = the_run()
    assert run.data.params["optimizer_name"] == "SGD"
    assert (run.data.params["lr"], run.data.params["epochs"]) == ("0.1", "3")
    assert run.data.tags["mlflow.autologging"] == "pytorch"
    client = gitml.MlflowClient()
    history = client.get_metric_history(run.info.run_id, "val_loss")
    assert [point.step for point in history] == [0, 1, 2]
    assert history[-1].value < history[0].value
    text = gitml.artifacts.load_text(f"runs:/{run.info.run_id}/model_summary.txt")
    assert "linear" in text
    model = gitml.pyfunc.load_model(f"runs:/{run.info.run_id}/model")
    assert model.predict(INPUTS) == pytest.approx(answer(fitted))
    assert not any("Watcher" in type(it).__name__ for it in fitting.callbacks)


def test_early_stopping_is_logged(repo: Path, lightning: Any) -> None:
    """What it was told, when it stopped, and the best checkpoint's file."""
    gitml.pytorch.autolog()
    stopping = lightning.callbacks.EarlyStopping("val_loss", patience=1, min_delta=99.0)
    trainer(lightning, 9, stopping).fit(line(lightning), batches(), batches())
    run = the_run()
    assert (run.data.params["monitor"], run.data.params["patience"]) == ("val_loss", "1")
    assert run.data.metrics["stopped_epoch"] == 1
    assert run.data.metrics["restored_epoch"] == 0
    uri = f"runs:/{run.info.run_id}/restored_model_checkpoint"
    assert [Path(file.path).suffix for file in gitml.artifacts.list_artifacts(uri)] == [".ckpt"]


def test_metrics_of_steps(repo: Path, lightning: Any) -> None:
    """With log_every_n_step those of steps have steps, the others epochs."""
    gitml.pytorch.autolog(log_every_n_step=2, log_models=False)
    trainer(lightning, 2).fit(line(lightning), batches())
    run, client = the_run(), gitml.MlflowClient()
    steps = client.get_metric_history(run.info.run_id, "loss_step")
    epochs = client.get_metric_history(run.info.run_id, "loss_epoch")
    assert [point.step for point in steps] == [2, 4]
    assert [point.step for point in epochs] == [0, 1]
    assert gitml.artifacts.list_artifacts(f"runs:/{run.info.run_id}/model") == []


def test_a_fit_that_fails(repo: Path, lightning: Any) -> None:
    """The run is FAILED, and the error is the training's own."""
    gitml.pytorch.autolog()
    broken = line(lightning)
    broken.linear = torch.nn.Linear(9, 1)
    with pytest.raises(RuntimeError, match="shapes cannot be multiplied"):
        trainer(lightning, 1).fit(broken, batches())
    assert the_run().info.status == "FAILED"


def test_switched_off(repo: Path, lightning: Any) -> None:
    """The Trainer has its own fit again."""
    before = lightning.Trainer.fit
    gitml.pytorch.autolog()
    assert lightning.Trainer.fit is not before
    gitml.pytorch.autolog(disable=True)
    assert lightning.Trainer.fit is before
    trainer(lightning, 1).fit(line(lightning), batches())
    assert gitml.search_runs(output_format="list") == []
