"""The PyTorch flavor: modules pickled, as TorchScript, as exported programs, or weights alone.

All but the weights execute code of whoever made the model. `safetensors` holds weights: such a
model is loaded into a module that the caller made, and nothing else can load it.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from gitml.errors import FormatError, UsageError, shown
from gitml.models.flavor import Predict, Saved, need

NAME = "pytorch"
LOADER = "mlflow.pytorch"
EXTRA = "pytorch"
OPTIONS = ("serialization_format", "export_example")

_DATA = "data"
_FILES = {"pickle": "model.pth", "pt2": "model.pt2", "safetensors": "model.safetensors"}
# MLflow imports the module of this name to read a pickled model; it is cloudpickle.
_MODULE_FILE, _MODULE = "pickle_module_info.txt", "mlflow.pytorch.pickle_module"


def save(model: Any, folder: Path, options: Mapping[str, Any]) -> Saved:
    """Write a module in the `serialization_format`: pickle (TorchScript as such), pt2, safetensors.

    `export_example` are the tensors with which the program for pt2 is traced.
    """
    torch = need("torch", EXTRA)
    if not isinstance(model, torch.nn.Module):
        raise UsageError(f"pytorch_model must be a torch.nn.Module, not {shown(type(model))}")
    form = options.get("serialization_format") or "pickle"
    if form not in _FILES:
        raise UsageError(f"serialization_format {shown(form)} is not one; use {', '.join(_FILES)}")
    data = folder / _DATA
    data.mkdir()
    _WRITERS[form](model, data, options)
    conf = {"model_data": _DATA, "pytorch_version": str(torch.__version__)}
    if form == "safetensors":
        return Saved(conf, None, ("torch", "safetensors"))
    pyfunc = {"data": _DATA, "model_config": {"device": None}, "pickle_module_name": _MODULE}
    return Saved(conf, pyfunc, ("torch", "cloudpickle") if form == "pickle" else ("torch",))


def _pickle(model: Any, data: Path, options: Mapping[str, Any]) -> None:
    import cloudpickle
    import torch

    (data / _MODULE_FILE).write_text(_MODULE, "utf-8")
    if isinstance(model, torch.jit.ScriptModule):
        torch.jit.save(model, data / _FILES["pickle"])
    else:
        torch.save(model, data / _FILES["pickle"], pickle_module=cloudpickle)


def _export(model: Any, data: Path, options: Mapping[str, Any]) -> None:
    import torch

    example = options.get("export_example")
    if example is None:
        raise UsageError(
            "serialization_format 'pt2' traces the model: pass export_example, a tensor or a tuple"
            " of tensors; their first dimension may differ later"
        )
    tensors = tuple(example) if isinstance(example, (tuple, list)) else (example,)
    tensors = tuple(torch.as_tensor(tensor) for tensor in tensors)
    free = tuple({0: torch.export.Dim.AUTO} if tensor.dim() else None for tensor in tensors)
    program = torch.export.export(model, tensors, dynamic_shapes=free)
    torch.export.save(program, data / _FILES["pt2"])


def _weights(model: Any, data: Path, options: Mapping[str, Any]) -> None:
    need("safetensors.torch", EXTRA).save_model(model, str(data / _FILES["safetensors"]))


_WRITERS = {"pickle": _pickle, "pt2": _export, "safetensors": _weights}


def load(folder: Path, conf: Mapping[str, Any], options: Mapping[str, Any]) -> Any:
    """The module, ready to predict, on the CPU or the `device` that the options or MLmodel name.

    The option `model` is a module into which weights alone are loaded.
    """
    torch: Any = need("torch", EXTRA)
    data = folder / str(conf.get("model_data") or conf.get("data") or _DATA)
    device = options.get("device") or _configured(conf, options)
    if (data / _FILES["safetensors"]).is_file():
        return _filled(data / _FILES["safetensors"], options.get("model"), device)
    if (data / _FILES["pt2"]).is_file():
        return torch.export.load(data / _FILES["pt2"]).module()
    path = data if data.is_file() else data / _FILES["pickle"]
    if not path.is_file():
        raise FormatError(f"the model has no file {shown(f'{data.name}/{path.name}')}")
    return _on(_read(path), device).eval()


def _configured(conf: Mapping[str, Any], options: Mapping[str, Any]) -> Any:
    """The device that `model_config` names, the caller's before that of MLmodel."""
    for config in (options.get("model_config"), conf.get("model_config")):
        if isinstance(config, Mapping) and config.get("device"):
            return config["device"]
    return None


def _read(path: Path) -> Any:
    import zipfile

    import torch

    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            if any(name.endswith("/constants.pkl") for name in archive.namelist()):
                return torch.jit.load(str(path), map_location="cpu")  # type: ignore[no-untyped-call]
    # What it may run was decided before, see gitml.models.trust.
    return torch.load(path, map_location="cpu", weights_only=False)


def _on(model: Any, device: Any) -> Any:
    return model.to(device) if device else model


def _filled(path: Path, model: Any, device: Any) -> Any:
    if model is None:
        raise UsageError(
            "the model is weights alone: pass the module that they belong to,"
            " load_model(uri, model=Net())"
        )
    try:
        need("safetensors.torch", EXTRA).load_model(model, str(path))
    except RuntimeError as error:  # names and shapes that differ, a line each
        raise UsageError(f"the weights are of another module: {_one_line(error)}") from None
    return _on(model, device).eval()


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:300]


def predictor(model: Any, conf: Mapping[str, Any]) -> Predict:
    """The module's output for a DataFrame, whose values become float32, or an array; as MLflow's.

    A DataFrame comes back for a DataFrame. Params go to `forward` by name.
    """
    import torch

    first = next(iter(model.parameters()), None)
    device = "cpu" if first is None else first.device

    def predict(data: Any, params: Mapping[str, Any] | None) -> Any:
        if "device" in (params or {}):
            raise UsageError(
                "device is no param of a prediction; pass it to load_model:"
                " model_config={'device': 'cuda'}"
            )
        with torch.no_grad(), _evaluating(model):
            output = model(_tensor(data).to(device), **(params or {}))
        if not isinstance(output, torch.Tensor):
            raise UsageError(f"the model gave a {shown(type(output))}, not one tensor")
        return _as_given(output.cpu().numpy(), data)

    return predict


def _tensor(data: Any) -> Any:
    import numpy
    import torch

    if hasattr(data, "columns"):
        data = data.to_numpy(dtype=numpy.float32)
    if not isinstance(data, numpy.ndarray):
        raise UsageError(
            f"a PyTorch model takes a DataFrame or a NumPy array, not {shown(type(data))}"
        )
    return torch.from_numpy(data if data.flags.writeable else data.copy())


def _as_given(values: Any, data: Any) -> Any:
    if not hasattr(data, "columns"):
        return values
    import pandas

    return pandas.DataFrame(values, index=data.index)


@contextlib.contextmanager
def _evaluating(model: Any) -> Iterator[None]:
    """The module in its mode for predictions, for the length of a block."""
    modes = [(part, part.training) for part in model.modules()]
    with contextlib.suppress(NotImplementedError):  # an exported program has one mode only
        model.train(False)
    try:
        yield
    finally:
        for part, mode in modes:
            part.training = mode
