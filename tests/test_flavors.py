"""The flavors of frameworks: what they save comes back, and from where it is loaded."""

from __future__ import annotations

import pickle
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.datasets import load_iris

import gitml
from gitml.errors import FormatError, UsageError
from gitml.models import flavor as flavors
from gitml.models import mlmodel, public, trust
from gitml.models.inspection import inspect
from gitml.models.trust import UntrustedModelError
from tests.conftest import framework

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
    lightgbm = framework("lightgbm")
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


def test_skops_without_and_with_trees(tmp_path: Path) -> None:
    """What skops trusts is loaded from anywhere; a tree, whose nodes nobody checks, is not."""
    pytest.importorskip("skops")
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.svm import SVC

    for model in (SVC(), RandomForestClassifier(2)):
        folder = tmp_path / type(model).__name__
        model.fit(INPUTS, TARGETS)
        gitml.sklearn.save_model(model, folder, serialization_format="skops")
    gitml.sklearn.load_model(tmp_path / "SVC")
    with pytest.raises(UntrustedModelError, match=r"does not trust 'sklearn\.tree\._tree\.Tree'"):
        gitml.sklearn.load_model(tmp_path / "RandomForestClassifier")
    gitml.sklearn.load_model(tmp_path / "RandomForestClassifier", allow_code=True)


def test_a_vectorizer_that_opens_files_is_code(tmp_path: Path) -> None:
    """One that takes its data for names of files reads any file that a request names.

    One that counts words is loaded from anywhere, whatever words it has.
    """
    pytest.importorskip("skops")
    from sklearn.feature_extraction.text import CountVectorizer

    for source in ("content", "filename", "file"):
        model = CountVectorizer().fit(["the input and the encoding"])
        model.input = source
        gitml.sklearn.save_model(model, tmp_path / source, serialization_format="skops")
    gitml.sklearn.load_model(tmp_path / "content")
    for source in ("filename", "file"):
        with pytest.raises(UntrustedModelError, match="files that the data name"):
            gitml.sklearn.load_model(tmp_path / source)


def test_a_method_that_fits_is_code(tmp_path: Path) -> None:
    """A pipeline that is fitted again keeps its steps in a folder, and unpickles what is there."""
    pytest.importorskip("skops")
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    model = make_pipeline(StandardScaler(), StandardScaler(), memory=str(tmp_path / "cache"))
    model.fit(INPUTS)
    for method in ("transform", "fit_transform"):
        gitml.sklearn.save_model(
            model,
            tmp_path / method,
            serialization_format="skops",
            pyfunc_predict_fn=method,
        )
    gitml.pyfunc.load_model(tmp_path / "transform").predict(INPUTS)
    with pytest.raises(UntrustedModelError, match="may do more than predict"):
        gitml.pyfunc.load_model(tmp_path / "fit_transform")


def test_a_framework_that_is_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The message says what to install."""
    monkeypatch.setitem(sys.modules, "xgboost", None)
    with pytest.raises(UsageError, match=r"pip install 'gitml\[xgboost\]'"):
        gitml.xgboost.save_model(object(), tmp_path / "m")


def test_a_framework_that_lacks_a_library_of_the_system(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It says which; to install the framework again would not help."""
    monkeypatch.delitem(sys.modules, "xgboost", raising=False)
    (tmp_path / "xgboost.py").write_text("raise OSError('libgomp.so.1: no such file')\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(UsageError, match=r"can't be loaded: libgomp\.so\.1: no such file"):
        gitml.xgboost.save_model(object(), tmp_path / "m")


SITE = """
from gitml.models.flavor import Saved
NAME, LOADER, EXTRA, OPTIONS = "constant", "constant", "constant", ("binary",)
SAFE = {safe}
def save(model, folder, options):
    (folder / "value").write_bytes(b"\\x93\\x00constant" * bool(options.get("binary")))
    with (folder / "value").open("ab") as file:
        file.write(b" " + str(model).encode())
    return Saved({{"data": "value"}}, {{"data": "value"}})
def load(folder, conf, options):
    return float((folder / conf["data"]).read_bytes().split()[-1])
def predictor(model, conf):
    return lambda data, params: [model] * len(data)
"""


def install_constant(site: Path, monkeypatch: pytest.MonkeyPatch, safe: bool) -> None:
    """A package with a flavor, on the import path."""
    info = site / "constant-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Name: constant\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[gitml.flavors]\nconstant = constant\n")
    (site / "constant.py").write_text(SITE.format(safe=safe))
    monkeypatch.syspath_prepend(str(site))
    monkeypatch.delitem(sys.modules, "constant", raising=False)
    flavors._foreign.cache_clear()


@pytest.fixture
def _no_others() -> Iterator[None]:
    known = flavors._foreign
    yield
    known.cache_clear()
    sys.modules.pop("constant", None)


@pytest.mark.usefixtures("_no_others")
def test_a_flavor_of_another_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An entry point adds it; it is saved, found by its loader, and predicts, with a permission."""
    install_constant(tmp_path / "site", monkeypatch, safe=False)
    public.save("constant", 2.5, tmp_path / "m", {})
    with pytest.raises(UntrustedModelError, match="loader_module 'constant'"):
        public.load("constant", tmp_path / "m")
    assert public.load("constant", tmp_path / "m", allow_code=True) == 2.5
    loaded = gitml.pyfunc.load_model(tmp_path / "m", allow_code=True)
    assert loaded.predict([1, 2]) == [2.5, 2.5]


@pytest.mark.usefixtures("_no_others")
@pytest.mark.parametrize("binary", [False, True])
def test_a_safe_flavor_of_another_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, binary: bool
) -> None:
    """What says SAFE is loaded from anywhere, also from a format that only it knows."""
    install_constant(tmp_path / "site", monkeypatch, safe=True)
    public.save("constant", 2.5, tmp_path / "m", {"binary": binary})
    assert public.load("constant", tmp_path / "m") == 2.5
    assert gitml.pyfunc.load_model(tmp_path / "m").predict([1]) == [2.5]
    assert not inspect(tmp_path / "m").assessment.executes_code


@pytest.mark.usefixtures("_no_others")
def test_a_folder_cannot_make_a_flavor_safe(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only an installed package vouches, for what it loads itself, and never for a pickle."""
    folder = tmp_path / "m"
    install_constant(tmp_path / "site", monkeypatch, safe=True)
    public.save("constant", 2.5, folder, {"binary": True})
    document = mlmodel.read_document(folder)

    def runs_code(**entries: Any) -> bool:
        changed = {**document, "flavors": {**document["flavors"], **entries}}
        return trust.assess(folder, changed).executes_code

    generic = document["flavors"]["python_function"]
    assert not runs_code()
    assert runs_code(python_function={**generic, "loader_module": "mlflow.xgboost"})
    assert runs_code(python_function={**generic, "loader_module": "constant.other"})
    assert runs_code(python_function={**generic, "code": "code"})
    assert runs_code(xgboost={"data": "value"})
    assert runs_code(another={"data": "value"})
    (folder / "value").write_bytes(pickle.dumps(print))
    assert runs_code()
    (folder / "value").write_text("2.5")
    assert not runs_code()
    with monkeypatch.context() as patch:
        patch.setattr(flavors, "_foreign", dict)  # as if it were not installed
        assert runs_code()


def test_a_flavor_that_there_is_not() -> None:
    """Is met with those that there are."""
    with pytest.raises(UsageError, match=r"there is no flavor 'sklern'; there are: .*sklearn"):
        flavors.flavor("sklern")
