"""The ONNX flavor: graphs, run by onnxruntime. They hold no code: loaded from anywhere."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gitml.errors import UsageError
from gitml.models.flavor import Predict, Saved, need

NAME = "onnx"
LOADER = "mlflow.onnx"
EXTRA = "onnx"
OPTIONS = ("onnx_execution_providers", "save_as_external_data")

_FILE = "model.onnx"
_PROVIDERS = ["CUDAExecutionProvider", "CPUExecutionProvider"]


def save(model: Any, folder: Path, options: Mapping[str, Any]) -> Saved:
    """Write a ModelProto; its tensors go into a file beside it when `save_as_external_data`."""
    onnx = need("onnx", EXTRA)
    external = bool(options.get("save_as_external_data"))
    onnx.save_model(model, str(folder / _FILE), save_as_external_data=external)
    conf = {
        "data": _FILE,
        "onnx_session_options": None,
        "onnx_version": onnx.__version__,
        "providers": list(options.get("onnx_execution_providers") or _PROVIDERS),
    }
    return Saved(conf, {"data": _FILE}, ("onnx", "onnxruntime"))


def load(folder: Path, conf: Mapping[str, Any], options: Mapping[str, Any]) -> Any:
    """The ModelProto; to predict with, an InferenceSession of onnxruntime."""
    path = str(folder / str(conf["data"]))
    if not options.get("predicting"):
        return need("onnx", EXTRA).load(path)
    onnxruntime = need("onnxruntime", EXTRA)
    wanted = [it for it in conf.get("providers") or _PROVIDERS if isinstance(it, str)]
    there = [name for name in wanted if name in onnxruntime.get_available_providers()]
    return onnxruntime.InferenceSession(path, providers=there or ["CPUExecutionProvider"])


def predictor(model: Any, conf: Mapping[str, Any]) -> Predict:
    """The graph's outputs by name: a DataFrame for one, else a dict of arrays; as in MLflow."""
    session = model if hasattr(model, "run") else _session_of(model)
    inputs = session.get_inputs()
    names = [output.name for output in session.get_outputs()]

    def predict(data: Any, params: Mapping[str, Any] | None) -> Any:
        outputs = session.run(names, _feeds(inputs, data))
        answers = dict(zip(names, outputs, strict=True))
        return _frame(answers) if hasattr(data, "columns") else answers

    return predict


def _session_of(model: Any) -> Any:
    onnxruntime = need("onnxruntime", EXTRA)
    return onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )


def _feeds(inputs: Any, data: Any) -> dict[str, Any]:
    """Arrays by the names of the graph's inputs, as MLflow makes them of its kinds of data."""
    import numpy

    if hasattr(data, "columns"):
        if len(inputs) == 1:
            data = data.to_numpy()
        else:
            data = {item.name: data[item.name].to_numpy() for item in inputs}
    if not isinstance(data, Mapping):
        if len(inputs) != 1:
            names = ", ".join(item.name for item in inputs)
            raise UsageError(f"the model has several inputs; pass a dict of arrays with: {names}")
        data = {inputs[0].name: numpy.asarray(data)}
    feeds = dict(data)
    for item in inputs:
        feed = feeds.get(item.name)
        if item.type == "tensor(float)" and feed is not None and feed.dtype == numpy.float64:
            feeds[item.name] = feed.astype(numpy.float32)
    return feeds


def _frame(answers: Mapping[str, Any]) -> Any:
    import numpy
    import pandas

    flat = {name: numpy.asarray(value).reshape(-1) for name, value in answers.items()}
    return pandas.DataFrame.from_dict(flat)
