"""Model folders made from data: those of strangers, with a payload that would leave a trace."""

from __future__ import annotations

import base64
import bz2
import gzip
import io
import json
import lzma
import marshal
import os
import pickle
import stat
import zipfile
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from gitml.documents import dump_yaml, load_yaml

CASES: list[dict[str, Any]] = load_yaml(
    (Path(__file__).parent / "hostile" / "models.yaml").read_bytes(), "models.yaml"
)
BY_NAME = {case["name"]: case for case in CASES}
PACKERS: Mapping[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress, "bz2": bz2.compress, "xz": lzma.compress, "zlib": zlib.compress,
}  # fmt: skip


class Payload:
    """An object that runs a text of Python when it is loaded."""

    def __init__(self, text: str) -> None:
        self.text = text

    def __reduce__(self) -> tuple[Any, ...]:
        return exec, (self.text,)


def _written(write: Callable[[Any], object]) -> bytes:
    file = io.BytesIO()
    write(file)
    return file.getvalue()


def _cloudpickle(text: str) -> bytes:
    import cloudpickle

    def run() -> None:
        exec(text)

    class Late:
        def __reduce__(self) -> tuple[Any, ...]:
            return run, ()

    data: bytes = cloudpickle.dumps(Late())
    return data


def _joblib(text: str) -> bytes:
    import joblib

    return _written(lambda file: joblib.dump([Payload(text)], file))


def _npy(text: str) -> bytes:
    import numpy as np

    return _written(lambda file: np.save(file, np.array([Payload(text)], dtype=object)))


def _npz(text: str) -> bytes:
    import numpy as np

    return _written(lambda file: np.savez(file, np.array([Payload(text)], dtype=object)))


def _torch(text: str) -> bytes:
    torch = pytest.importorskip("torch")
    return _written(lambda file: torch.save({"a": torch.ones(2), "b": Payload(text)}, file))


def _zipped(files: Mapping[str, str], links: Mapping[str, str] | None = None) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name, text in files.items():
            archive.writestr(name, text)
        for name, target in (links or {}).items():
            member = zipfile.ZipInfo(name)
            member.external_attr = (stat.S_IFLNK | 0o777) << 16
            archive.writestr(member, target)
    return file.getvalue()


def _keras(text: str = "", **options: Any) -> bytes:
    """A model of Keras' format with one layer, a Lambda if there is a text to run."""
    code = base64.b64encode(marshal.dumps(compile(text, "", "exec"))).decode()
    function = {"class_name": "__lambda__", "config": {"code": code}}
    layer: dict[str, Any] = {"module": "keras.layers", "class_name": "Dense", "config": {}}
    if text:
        layer |= {"class_name": "Lambda", "config": {"function": function}}
    config = {"module": "keras", "class_name": "Sequential", "config": {"layers": [layer]}}
    files = {"config.json": json.dumps(config), "metadata.json": "{}"}
    return _zipped(files, **options)


def _torch_model(text: str) -> bytes:
    """A module that torch.load makes, by the way of running a text."""
    torch = pytest.importorskip("torch")
    return _written(lambda file: torch.save([torch.nn.Linear(1, 1), Payload(text)], file))


def estimator() -> Any:
    """A small fitted estimator."""
    from sklearn.linear_model import LinearRegression

    return LinearRegression().fit([[0.0], [1.0]], [0.0, 1.0])


def _skops(value: Any) -> bytes:
    import skops.io

    data: bytes = skops.io.dumps(value)
    return data


MAKERS: Mapping[str, Callable[[str], bytes]] = {
    "pickle": lambda text: pickle.dumps(Payload(text)),
    "pickle of protocol 0": lambda text: pickle.dumps(Payload(text), 0),
    "pickle among data": lambda text: pickle.dumps(([1] * 2000, {"a": Payload(text)}, "b")),
    "cloudpickle": _cloudpickle,
    "joblib": _joblib,
    "npy": _npy,
    "npz": _npz,
    "torch": _torch,
    "torch module": _torch_model,
    "keras lambda": _keras,
    "keras with a link": lambda _: _keras(links={"assets/vocabulary.txt": "/etc/passwd"}),
    "keras that leaves": lambda _: _zipped({"config.json": "{}", "../../evil.py": ""}),
    "estimator": lambda _: pickle.dumps(estimator()),
    "skops": lambda _: _skops(estimator()),
    "skops of a foreign type": lambda _: _skops(Payload("")),
}


def build(case: Mapping[str, Any], folder: Path, canary: Path) -> Path:
    """The model of a case in `folder`, which is made; its payload writes the file `canary`."""
    folder.mkdir(parents=True)
    if "MLmodel" not in case["files"]:
        text = case.get("mlmodel")
        data = dump_yaml(_document(case)) if text is None else text.encode()
        (folder / "MLmodel").write_bytes(data)
    for name, given in case["files"].items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(given, Mapping) and "link" in given:
            path.symlink_to(given["link"])
        elif isinstance(given, Mapping) and "pipe" in given:
            os.mkfifo(path)
        else:
            path.write_bytes(_content(given, canary))
    return folder


def _content(given: Any, canary: Path) -> bytes:
    if isinstance(given, str):
        return given.replace("CANARY", repr(str(canary))).encode()
    if "hex" in given:
        return bytes.fromhex(given["hex"])
    data = MAKERS[given["make"]](f"open({str(canary)!r}, 'w').close()")
    packed = given.get("packed", [])
    for name in [packed] if isinstance(packed, str) else packed:
        data = PACKERS[name](data)
    if "behind" in given:
        data = PACKERS[given["behind"]](pickle.dumps(1)) + data
    return data


def _document(case: Mapping[str, Any]) -> dict[str, Any]:
    sklearn = {"pickled_model": "model.pkl", "serialization_format": "cloudpickle"}
    pyfunc = {"loader_module": "mlflow.sklearn"}
    flavors = {
        name: {**usual, **(case.get(key) or {})}
        for key, name, usual in (
            ("sklearn", "sklearn", sklearn),
            ("pyfunc", "python_function", pyfunc),
        )
        if key not in case or case[key] is not None
    }
    return {"flavors": flavors, **case.get("document", {})}
