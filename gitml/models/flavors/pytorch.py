"""The PyTorch flavor: modules that are pickled, scripted, exported, or just their tensors.

Of these safetensors alone holds no code. An exported program has expressions that torch evaluates.
"""

from __future__ import annotations

import contextlib
import importlib
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from gitml.errors import FormatError, UsageError, shown
from gitml.models import extra_files
from gitml.models.flavor import Predict, Saved, need
from gitml.models.flavors.lightning_autolog import install as install
from gitml.models.flavors.pytorch_tensors import read_tensors, write_tensors

NAME = "pytorch"
LOADER = "mlflow.pytorch"
EXTRA = "pytorch"
OPTIONS = ("export_model", "extra_files", "model_kwargs", "pickle_module", "serialization_format")

PICKLE, PT2, SAFETENSORS = "pickle", "pt2", "safetensors"
_DATA = "data"
_FILES = {PICKLE: "model.pth", PT2: "model.pt2", SAFETENSORS: "model.safetensors"}
_MODULE_FILE = "pickle_module_info.txt"
_MLFLOW_PICKLE = "mlflow.pytorch.pickle_module"  # cloudpickle, as torch.save wants it
_USUAL_PICKLES = (_MLFLOW_PICKLE, "cloudpickle", "pickle")  # which pickle itself reads


def save(model: Any, folder: Path, options: Mapping[str, Any]) -> Saved:
    """Write a module in the `serialization_format`: pickle, pt2 or safetensors."""
    torch = need("torch", EXTRA)
    form = _format_of(options)
    if not isinstance(model, torch.nn.Module):
        raise UsageError(f"pytorch_model is a {shown(type(model).__name__)}, not a torch.nn.Module")
    data = folder / _DATA
    data.mkdir()
    pickle_module = options.get("pickle_module")
    pickler = pickle_module.__name__ if pickle_module else _MLFLOW_PICKLE
    conf: dict[str, Any] = {"model_data": _DATA, "pytorch_version": str(torch.__version__)}
    modules, predicts = ("torch", "numpy", "cloudpickle"), True
    if form == PICKLE:
        (data / _MODULE_FILE).write_text(pickler, encoding="utf-8")
        _pickle(model, data / _FILES[form], pickle_module)
    elif form == PT2:
        _export(model, data / _FILES[form], options.get("input_example"))
    else:
        made = write_tensors(model, data / _FILES[form], options.get("model_kwargs"))
        conf |= {"serialization_format": form, **made}
        modules, predicts = ("torch", "numpy", "safetensors"), bool(made)
    conf |= extra_files.copy(options.get("extra_files"), folder)
    pyfunc = {"data": _DATA, "model_config": {"device": None}, "pickle_module_name": pickler}
    return Saved(conf, pyfunc if predicts else None, modules)


def _format_of(options: Mapping[str, Any]) -> str:
    exported = bool(options.get("export_model"))
    form = options.get("serialization_format") or (PT2 if exported else PICKLE)
    if form not in _FILES:
        raise UsageError(
            f"serialization_format {shown(form)} is not one; use {', '.join(sorted(_FILES))}"
        )
    if exported and form != PT2:
        raise UsageError(f"export_model is the serialization_format pt2, not {form}; give one")
    if options.get("model_kwargs") is not None and form != SAFETENSORS:
        raise UsageError("model_kwargs are for the serialization_format safetensors")
    return str(form)


def _pickle(model: Any, path: Path, pickle_module: Any) -> None:
    import pickle

    import cloudpickle
    import torch

    if isinstance(model, torch.jit.ScriptModule):
        model.save(str(path))
        return
    usual = SimpleNamespace(
        __name__=_MLFLOW_PICKLE, Pickler=cloudpickle.CloudPickler, Unpickler=pickle.Unpickler,
        dump=cloudpickle.dump, load=pickle.load,
    )  # fmt: skip
    torch.save(model, path, pickle_module=pickle_module or usual)


def _export(model: Any, path: Path, given: Any) -> None:
    """Trace the model with the example; the size of a batch may be another then."""
    import numpy
    import torch

    arrays = given if isinstance(given, (list, tuple)) else [given]
    if given is None or not all(isinstance(it, (numpy.ndarray, torch.Tensor)) for it in arrays):
        raise UsageError(
            "an exported model is traced: give it an input_example, an array or a list of them"
        )
    tensors = tuple(_tensor(it) if isinstance(it, numpy.ndarray) else it for it in arrays)
    sizes = [{0: torch.export.Dim.AUTO} if tensor.ndim else None for tensor in tensors]
    with _evaluated(model):
        program = torch.export.export(model, tensors, dynamic_shapes=sizes)
    torch.export.save(program, path)


# -- loading -------------------------------------------------------------------------------


def load(folder: Path, conf: Mapping[str, Any], options: Mapping[str, Any]) -> Any:
    """The module, set to evaluate.

    `options` may have a `device`, a `model` that takes the tensors of a safetensors file, and
    `torch`, more options of `torch.load`. To predict with it is put on CUDA where that is.
    """
    torch = need("torch", EXTRA)
    path, device = _file_in(folder, conf), _device(conf, options)
    model: Any
    if path.name == _FILES[SAFETENSORS]:
        model = read_tensors(path, conf, options.get("model"))
    elif path.name == _FILES[PT2]:
        model = torch.export.load(path).module()
        _check_device(model, device)
    else:
        model = _unpickled(path, device, options.get("torch") or {})
    for module in model.modules():  # an exported one has no eval()
        module.training = False
    return model if device is None or path.name == _FILES[PT2] else model.to(device)


def _file_in(folder: Path, conf: Mapping[str, Any]) -> Path:
    data = folder / str(conf.get("model_data") or conf.get("data") or _DATA)
    if data.is_file():
        return data
    found = next((data / name for name in _FILES.values() if (data / name).is_file()), None)
    if found is None:
        raise FormatError(f"the model has none of: {', '.join(_FILES.values())}")
    return found


def _device(conf: Mapping[str, Any], options: Mapping[str, Any]) -> str | None:
    import torch

    if not options.get("predicting"):
        return options.get("device")
    config = {**(conf.get("model_config") or {}), **(options.get("model_config") or {})}
    return config.get("device") or ("cuda" if torch.cuda.is_available() else "cpu")


def _check_device(model: Any, device: str | None) -> None:
    import torch

    for tensor in (*model.parameters(), *model.buffers()):
        if device is not None and tensor.device.type != torch.device(device).type:
            raise UsageError(
                f"the model was exported on {tensor.device.type} and can't move to {device}; save"
                f" it as model.to({device!r}), or load it on {tensor.device.type}"
            )


def _unpickled(path: Path, device: str | None, options: Mapping[str, Any]) -> Any:
    """The object in a file of torch; what it may run was decided before."""
    import torch

    if _is_script(path):
        return torch.jit.load(path, map_location=device)
    named = path.with_name(_MODULE_FILE)
    module = named.read_text(encoding="utf-8").strip() if named.is_file() else "pickle"
    usual: dict[str, Any] = {"weights_only": False, "map_location": device}
    if module not in _USUAL_PICKLES:
        usual["pickle_module"] = importlib.import_module(module)
    return torch.load(path, **{**usual, **options})


def _is_script(path: Path) -> bool:
    if not zipfile.is_zipfile(path):
        return False
    with zipfile.ZipFile(path) as archive:
        return any(name.endswith("/constants.pkl") for name in archive.namelist())


# -- predicting ----------------------------------------------------------------------------


def predictor(model: Any, conf: Mapping[str, Any]) -> Predict:
    """One tensor in, one out: of a DataFrame a DataFrame, of an array an array; as in MLflow."""
    torch = need("torch", EXTRA)

    def predict(data: Any, params: Mapping[str, Any] | None) -> Any:
        if params and "device" in params:
            raise UsageError(
                "the param device: a device is named when the model is loaded, by"
                " load_model(uri, model_config={'device': 'cuda'})"
            )
        inputs = _tensor(_array(data)).to(_place_of(model))
        with torch.no_grad(), _evaluated(model):
            outputs = model(inputs, **(params or {}))
        if not isinstance(outputs, torch.Tensor):
            raise UsageError(f"the model answers with a {type(outputs).__name__}, not one tensor")
        answer = outputs.cpu().numpy()
        if not hasattr(data, "columns"):
            return answer
        import pandas

        return pandas.DataFrame(answer, index=data.index)

    return predict


def _array(data: Any) -> Any:
    import numpy

    if hasattr(data, "columns"):
        return data.to_numpy(dtype=numpy.float32)
    if not isinstance(data, numpy.ndarray):
        raise UsageError(f"a PyTorch model takes a DataFrame or an array, not {type(data)}")
    return data


def _tensor(array: Any) -> Any:
    import numpy
    import torch

    return torch.from_numpy(numpy.require(array, requirements=["C", "W"]))


def _place_of(model: Any) -> Any:
    """Where the model's tensors are."""
    return next((tensor.device for tensor in (*model.parameters(), *model.buffers())), "cpu")


@contextlib.contextmanager
def _evaluated(model: Any) -> Iterator[None]:
    """Let a model that is in training behave as it will when it was loaded."""
    training = [module for module in model.modules() if module.training]
    for module in training:
        module.training = False
    try:
        yield
    finally:
        for module in training:
            module.training = True
