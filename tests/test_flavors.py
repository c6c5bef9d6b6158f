"""The flavors of frameworks: what they save comes back, and from where it is loaded."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.datasets import load_iris

import gitml
from gitml.errors import FormatError, UsageError
from gitml.models import flavor as flavors
from gitml.models import mlmodel
from gitml.models.trust import UntrustedModelError

INPUTS, TARGETS = load_iris(return_X_y=True, as_frame=True)


def xgboost_booster() -> Any:
    """A Booster of three rounds."""
    xgboost = pytest.importorskip("xgboost")
    data = xgboost.DMatrix(INPUTS, TARGETS)
    return xgboost.train({"objective": "multi:softmax", "num_class": 3}, data, 3)


def xgboost_estimator() -> Any:
    """A classifier of three rounds."""
    return pytest.importorskip("xgboost").XGBClassifier(n_estimators=3).fit(INPUTS, TARGETS)


def lightgbm_booster() -> Any:
    """A Booster of three rounds."""
    return lightgbm_estimator().booster_


def lightgbm_estimator() -> Any:
    """A classifier of three rounds."""
    lightgbm = pytest.importorskip("lightgbm")
    return lightgbm.LGBMClassifier(n_estimators=3, verbose=-1).fit(INPUTS, TARGETS)


def predicted(model: Any) -> Any:
    """What the framework itself says."""
    if type(model).__module__.startswith("xgboost.core"):
        return model.predict(sys.modules["xgboost"].DMatrix(INPUTS))
    return model.predict(INPUTS)


CASES = [
    pytest.param("xgboost", xgboost_booster, {}, True, id="xgboost"),
    pytest.param("xgboost", xgboost_booster, {"model_format": "json"}, True, id="xgboost, JSON"),
    pytest.param("xgboost", xgboost_estimator, {}, True, id="xgboost, estimator"),
    pytest.param("lightgbm", lightgbm_booster, {}, True, id="lightgbm"),
    pytest.param("lightgbm", lightgbm_estimator, {}, False, id="lightgbm, estimator"),
]


@pytest.mark.filterwarnings("ignore::UserWarning:(xgboost|lightgbm|sklearn)")
@pytest.mark.parametrize(("name", "make", "options", "safe"), CASES)
def test_a_model_comes_back(
    repo: Path, tmp_path: Path, name: str, make: Any, options: dict[str, Any], safe: bool
) -> None:
    """Natively and as a function; native formats from anywhere, pickles from a run only."""
    model, module = make(), getattr(gitml, name)
    module.save_model(model, tmp_path / "m", input_example=INPUTS[:3], **options)
    native = module.load_model(tmp_path / "m", allow_code=not safe)
    assert type(native) is type(model)
    assert predicted(native) == pytest.approx(predicted(model))
    loaded = gitml.pyfunc.load_model(tmp_path / "m", allow_code=not safe)
    assert loaded.predict(INPUTS) == pytest.approx(predicted(model))
    if not safe:
        with pytest.raises(UntrustedModelError):
            module.load_model(tmp_path / "m")
    with gitml.start_run():
        info = module.log_model(model, name="model", **options)
    assert predicted(module.load_model(info.model_uri)) == pytest.approx(predicted(model))


@pytest.mark.parametrize(("name", "make", "options", "safe"), CASES)
def test_what_mlmodel_says(
    tmp_path: Path, name: str, make: Any, options: dict[str, Any], safe: bool
) -> None:
    """MLflow's keys, the class and the version among them, and requirements for it."""
    model = make()
    getattr(gitml, name).save_model(model, tmp_path / "m", **options)
    described = mlmodel.read(tmp_path / "m")
    conf, pyfunc = described.flavors[name], described.flavors["python_function"]
    assert pyfunc["loader_module"] == f"mlflow.{name}"
    assert pyfunc["data"] == conf["data"]
    assert conf["model_class"].endswith(type(model).__name__)
    lines = (tmp_path / "m" / "requirements.txt").read_text()
    assert name in lines


def test_a_class_that_is_none_of_xgboost(tmp_path: Path) -> None:
    """MLmodel may name what it wants: only XGBoost's own models are made."""
    gitml.xgboost.save_model(xgboost_booster(), tmp_path / "m")
    text = (tmp_path / "m" / "MLmodel").read_text()
    for evil in ("os.system", "xgboost.core.ctypes", "xgboost.DMatrix", "subprocess.Popen"):
        (tmp_path / "m" / "MLmodel").write_text(text.replace("xgboost.core.Booster", evil))
        with pytest.raises((FormatError, UntrustedModelError)):
            gitml.xgboost.load_model(tmp_path / "m", allow_code=True)


def test_a_class_of_ones_own(tmp_path: Path) -> None:
    """XGBoost's format would lose what it adds, so it is refused."""
    xgboost = pytest.importorskip("xgboost")

    class Mine(xgboost.XGBClassifier):  # type: ignore[misc, name-defined]
        pass

    model = Mine(n_estimators=1).fit(INPUTS, TARGETS)
    with pytest.raises(UsageError, match="not a class of XGBoost"):
        gitml.xgboost.save_model(model, tmp_path / "m")


def onnx_model() -> Any:
    """A graph with one input: y = x + 1."""
    onnx = pytest.importorskip("onnx")
    pytest.importorskip("onnxruntime")
    helper, kind = onnx.helper, onnx.TensorProto.FLOAT
    one = helper.make_tensor("one", kind, [1], [1.0])
    graph = helper.make_graph(
        [helper.make_node("Add", ["x", "one"], ["y"])],
        "plus one",
        [helper.make_tensor_value_info("x", kind, [None, 1])],
        [helper.make_tensor_value_info("y", kind, [None, 1])],
        [one],
    )
    opset = helper.make_opsetid("", 17)
    return helper.make_model(graph, opset_imports=[opset], ir_version=9)


@pytest.mark.parametrize("external", [False, True])
def test_an_onnx_graph(tmp_path: Path, external: bool) -> None:
    """Loaded from anywhere; answers are named after its outputs, as MLflow gives them."""
    gitml.onnx.save_model(onnx_model(), tmp_path / "m", save_as_external_data=external)
    assert gitml.onnx.load_model(tmp_path / "m").graph.name == "plus one"
    loaded = gitml.pyfunc.load_model(tmp_path / "m")
    answer = loaded.predict(np.array([[1.0], [2.0]]))
    assert answer["y"].tolist() == [[2.0], [3.0]]
    frame = loaded.predict(pd.DataFrame({"x": [1.0, 2.0]}))
    assert frame["y"].tolist() == [2.0, 3.0]


def test_a_framework_that_is_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The message says what to install."""
    monkeypatch.setitem(sys.modules, "xgboost", None)
    with pytest.raises(UsageError, match=r"pip install 'gitml\[xgboost\]'"):
        gitml.xgboost.save_model(object(), tmp_path / "m")


def test_a_flavor_of_another_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An entry point adds it; it is saved, found by its loader, and predicts."""
    package = tmp_path / "site"
    (package / "constant-1.0.dist-info").mkdir(parents=True)
    (package / "constant-1.0.dist-info" / "METADATA").write_text("Name: constant\nVersion: 1.0\n")
    (package / "constant-1.0.dist-info" / "entry_points.txt").write_text(
        "[gitml.flavors]\nconstant = constant\n"
    )
    (package / "constant.py").write_text(
        "from gitml.models.flavor import Saved\n"
        "NAME, LOADER, EXTRA, OPTIONS = 'constant', 'constant', 'constant', ()\n"
        "def save(model, folder, options):\n"
        "    (folder / 'value.txt').write_text(str(model))\n"
        "    return Saved({'data': 'value.txt'}, {'data': 'value.txt'})\n"
        "def load(folder, conf, options):\n"
        "    return float((folder / conf['data']).read_text())\n"
        "def predictor(model, conf):\n"
        "    return lambda data, params: [model] * len(data)\n"
    )
    monkeypatch.syspath_prepend(str(package))
    flavors._foreign.cache_clear()
    from gitml.models import public

    public.save("constant", 2.5, tmp_path / "m", {})
    assert public.load("constant", tmp_path / "m", allow_code=True) == 2.5
    loaded = gitml.pyfunc.load_model(tmp_path / "m", allow_code=True)
    assert loaded.predict([1, 2]) == [2.5, 2.5]
    flavors._foreign.cache_clear()


def test_a_flavor_that_there_is_not() -> None:
    """Is met with those that there are."""
    with pytest.raises(UsageError, match=r"there is no flavor 'sklern'; there are: .*sklearn"):
        flavors.flavor("sklern")
