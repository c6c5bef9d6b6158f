"""Saving models to folders and loading them: the format, its options, and what is refused."""

from __future__ import annotations

import functools
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression

import gitml
import gitml.pyfunc
import gitml.sklearn
from gitml.documents import load_yaml
from gitml.errors import FormatError, StorageError, UsageError
from gitml.models import infer_signature, mlmodel
from gitml.models.trust import UntrustedModelError


@pytest.fixture(scope="module")
def iris() -> tuple[Any, Any, Any]:
    """Columns, targets and a model that was fitted to them."""
    inputs, targets = load_iris(return_X_y=True, as_frame=True)
    return inputs, targets, LogisticRegression(max_iter=500).fit(inputs, targets)


def test_the_folder_is_mlflows(iris: tuple[Any, Any, Any], tmp_path: Path) -> None:
    """MLmodel, the environment in three forms, the example and the model itself."""
    inputs, _, model = iris
    gitml.sklearn.save_model(model, tmp_path / "m", input_example=inputs[:2], metadata={"a": 1})
    assert sorted(path.name for path in (tmp_path / "m").iterdir()) == [
        "MLmodel", "conda.yaml", "input_example.json", "model.pkl", "python_env.yaml",
        "requirements.txt", "serving_input_example.json",
    ]  # fmt: skip
    document = load_yaml((tmp_path / "m" / "MLmodel").read_bytes(), "MLmodel")
    assert list(document) == sorted(document)
    assert document["flavors"]["python_function"]["loader_module"] == "mlflow.sklearn"
    assert document["flavors"]["sklearn"]["pickled_model"] == "model.pkl"
    assert document["metadata"] == {"a": 1}
    assert json.loads(document["signature"]["outputs"]) == [{"type": "long", "required": True}]
    lines = (tmp_path / "m" / "requirements.txt").read_text().splitlines()
    assert [line.partition("==")[0] for line in lines] == [
        "cloudpickle", "numpy", "pandas", "scikit-learn",
    ]  # fmt: skip


@pytest.mark.parametrize("form", ["cloudpickle", "pickle", "skops"])
def test_a_model_comes_back_as_it_was(
    iris: tuple[Any, Any, Any], tmp_path: Path, form: str
) -> None:
    """By its own flavor and as a function, in every serialization format."""
    inputs, _, model = iris
    gitml.sklearn.save_model(model, tmp_path / "m", serialization_format=form)
    native = gitml.sklearn.load_model(tmp_path / "m", allow_code=True)
    assert np.array_equal(native.predict(inputs), model.predict(inputs))
    loaded = gitml.pyfunc.load_model(tmp_path / "m", allow_code=True)
    assert np.array_equal(loaded.predict(inputs), model.predict(inputs))


def test_only_what_runs_no_code_is_loaded_from_anywhere(
    iris: tuple[Any, Any, Any], tmp_path: Path
) -> None:
    """A pickle in a folder needs a permission, skops does not."""
    gitml.sklearn.save_model(iris[2], tmp_path / "pickle")
    gitml.sklearn.save_model(iris[2], tmp_path / "skops", serialization_format="skops")
    for load in (gitml.sklearn.load_model, gitml.pyfunc.load_model):
        with pytest.raises(UntrustedModelError, match=r"model\.pkl.*allow_code=True"):
            load(tmp_path / "pickle")
        assert load(tmp_path / "skops") is not None


def test_the_method_that_predicts_is_chosen(iris: tuple[Any, Any, Any], tmp_path: Path) -> None:
    """Such as predict_proba."""
    inputs, _, model = iris
    gitml.sklearn.save_model(model, tmp_path / "m", pyfunc_predict_fn="predict_proba")
    loaded = gitml.pyfunc.load_model(tmp_path / "m", allow_code=True)
    assert loaded.predict(inputs) == pytest.approx(model.predict_proba(inputs))


def test_what_can_not_predict_is_no_function(tmp_path: Path) -> None:
    """An estimator that only transforms has its own flavor alone."""
    from sklearn.preprocessing import StandardScaler

    gitml.sklearn.save_model(StandardScaler().fit([[1.0], [2.0]]), tmp_path / "m")
    assert list(mlmodel.read(tmp_path / "m").flavors) == ["sklearn"]
    with pytest.raises(UsageError, match="no python_function flavor; it has: sklearn"):
        gitml.pyfunc.load_model(tmp_path / "m", allow_code=True)


def test_a_signature_is_enforced(iris: tuple[Any, Any, Any], tmp_path: Path) -> None:
    """What does not fit is refused by name; columns may come in any order, and too many."""
    inputs, _, model = iris
    signature = infer_signature(inputs, model.predict(inputs))
    gitml.sklearn.save_model(model, tmp_path / "m", signature=signature)
    loaded = gitml.pyfunc.load_model(tmp_path / "m", allow_code=True)
    shuffled = inputs[inputs.columns[::-1]].assign(extra=1)
    assert np.array_equal(loaded.predict(shuffled), model.predict(inputs))
    with pytest.raises(UsageError, match="extra"):
        loaded.predict(shuffled, strict=True)
    with pytest.raises(UsageError, match=r"petal width \(cm\)"):
        loaded.predict(inputs.drop(columns="petal width (cm)"))


def test_code_that_a_model_imports_travels_with_it(tmp_path: Path) -> None:
    """`code_paths` are importable where the model is loaded, which may be elsewhere."""
    (tmp_path / "features").mkdir()
    (tmp_path / "features" / "twice.py").write_text(
        "def twice(x):\n    return [2 * y for y in x]\n"
    )
    save = (
        "import gitml.pyfunc, features.twice as t\n"
        "gitml.pyfunc.save_model('m', python_model=t.twice, code_paths=['features'])\n"
    )
    load = (
        "import gitml.pyfunc\n"
        f"m = gitml.pyfunc.load_model({str(tmp_path / 'm')!r}, allow_code=True)\n"
        "print(m.predict([1, 2]))\n"
    )
    env = {"PYTHONPATH": str(tmp_path)}
    run(save, tmp_path, env)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    assert run(load, elsewhere, {}) == "[2, 4]\n"


def test_code_that_another_model_brought_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, recwarn: pytest.WarningsRecorder
) -> None:
    """Python has one module of a name: the second model gets the first one's, with a warning."""
    monkeypatch.setattr(sys, "path", [*sys.path])
    for factor in (2, 3):
        source = tmp_path / str(factor) / "factor_of_model.py"
        source.parent.mkdir()
        source.write_text(f"FACTOR = {factor}\n")
        gitml.pyfunc.save_model(
            tmp_path / f"m{factor}", python_model=times_factor, code_paths=[source]
        )
    load = functools.partial(gitml.pyfunc.load_model, allow_code=True)
    recwarn.clear()
    try:
        assert load(tmp_path / "m2").predict(1) == 2
        load(tmp_path / "m2")
        assert not recwarn.list
        with pytest.warns(
            UserWarning, match="its own 'factor_of_model'.* a process of its own"
        ) as told:
            load(tmp_path / "m3")
        assert told[0].filename == __file__
    finally:
        sys.modules.pop("factor_of_model", None)


def times_factor(model_input: Any) -> Any:
    """A function that imports what travels with it."""
    from factor_of_model import FACTOR  # type: ignore[import-not-found]

    return FACTOR * model_input


def run(code: str, folder: Path, env: dict[str, str]) -> str:
    """Run a script in a process of its own; what it printed."""
    import os

    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code],
        cwd=folder, env={**os.environ, **env}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_model_of_ones_own(tmp_path: Path) -> None:
    """A class with a context and artifacts; its pickle needs no gitml."""
    script = """
import sys
import gitml.pyfunc

class Lookup(gitml.pyfunc.PythonModel):
    def load_context(self, context):
        with open(context.artifacts["words"]) as file:
            self.words = file.read().split()

    def predict(self, context, model_input, params=None):
        return [self.words[i] * (params or {}).get("times", 1) for i in model_input]

gitml.pyfunc.save_model("m", python_model=Lookup(), artifacts={"words": "words.txt"})
"""
    (tmp_path / "words.txt").write_text("zero one two")
    run(script, tmp_path, {})
    (tmp_path / "words.txt").unlink()
    model = gitml.pyfunc.load_model(tmp_path / "m", allow_code=True)
    assert model.predict([2, 0]) == ["two", "zero"]
    assert model.predict([1], params={"times": 2}) == ["oneone"]
    unpickle = (
        "import sys; sys.modules['gitml'] = None\n"
        "import pickle; m = pickle.load(open('m/python_model.pkl', 'rb'))\n"
        "print(type(m).__mro__[1].__name__)\n"
    )
    assert run(unpickle, tmp_path, {}) == "PythonModel\n"


def test_a_function_as_a_model(tmp_path: Path) -> None:
    """With params, where it takes them."""
    gitml.pyfunc.save_model(
        tmp_path / "m",
        python_model=lambda model_input, params: [params["k"] * x for x in model_input],
    )
    loaded = gitml.pyfunc.load_model(tmp_path / "m", allow_code=True)
    assert loaded.predict([1, 2], params={"k": 3}) == [3, 6]
    assert loaded.unwrap_python_model()([1], {"k": 1}) == [1]


def test_type_hints_are_a_signature(tmp_path: Path) -> None:
    """A function that says what it takes gets just that."""

    def shout(model_input: list[str]) -> list[str]:
        return [text.upper() for text in model_input]

    gitml.pyfunc.save_model(tmp_path / "m", python_model=shout)
    loaded = gitml.pyfunc.load_model(tmp_path / "m", allow_code=True)
    assert loaded.metadata.is_signature_from_type_hint
    assert str(loaded.metadata.get_input_schema()) == "[string (required)]"
    assert loaded.predict(["a"]) == ["A"]


DAY = "2026-01-31"


@pytest.mark.filterwarnings("ignore:.*whole numbers have no missing values")
@pytest.mark.parametrize(
    "example",
    [
        pd.DataFrame({"a": [1.0, None], "b": ["x", "y"]}),
        pd.DataFrame({"a": np.array([1], "int32"), "b": np.array([0.1], "float32"), "c": [b"\0"]}),
        pd.DataFrame({"a": np.array([DAY], "datetime64[ns]"), "b": [True], "c": [[1.5, 2.0]]}),
        np.array([[1.0, 2.0]]),
        np.array([[1, 2]], "uint8"),
        np.array([[0.1]], "float32"),
        np.array([DAY], "datetime64[ns]"),
        {"a": np.array([1, 2])},
        {"a": np.array([1, 2], "int32"), "b": np.array([[0.5]], "float32")},
        ["one", "two"],
        {"a": [1, 2]},
        "text",
    ],
    ids=lambda value: type(value).__name__,
)
def test_input_examples_come_back(tmp_path: Path, example: Any) -> None:
    """As the kind that they were, with the types that the signature says, so that they fit it."""
    gitml.pyfunc.save_model(tmp_path / "m", python_model=lambda x: 1, input_example=example)
    model = gitml.pyfunc.load_model(tmp_path / "m", allow_code=True)
    loaded = model.input_example
    if isinstance(example, pd.DataFrame):
        pd.testing.assert_frame_equal(loaded, example)
    elif isinstance(example, np.ndarray):
        check_array(loaded, example)
    elif isinstance(example, dict) and isinstance(example["a"], np.ndarray):
        assert loaded.keys() == example.keys()
        for name, values in example.items():
            check_array(loaded[name], values)
    else:
        assert loaded == example
    assert model.predict(loaded) == 1


def check_array(found: Any, wanted: Any) -> None:
    """The same values of the same dtype."""
    assert found.dtype == wanted.dtype
    assert np.array_equal(found, wanted)


def test_an_example_that_is_not_of_the_signature_comes_back_as_it_was(tmp_path: Path) -> None:
    """It is kept with a warning, and nothing is made of it that it was not."""
    signature = infer_signature(np.array([1], "int64"))
    given = {"signature": signature, "input_example": np.array([1.5])}
    with pytest.warns(UserWarning, match="example does not fit the signature: .*dtype int64"):
        gitml.pyfunc.save_model(tmp_path / "m", python_model=lambda x: 1, **given)
    loaded = gitml.pyfunc.load_model(tmp_path / "m", allow_code=True).input_example
    check_array(loaded, np.array([1.5]))


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"artifact_path": "gone.json"}, StorageError, "can't read the input example 'gone.json'"),
        ({"type": "sparse_matrix_csr"}, FormatError, "is not what MLmodel says: 'sparse_matrix_c"),
        ({"params": "true"}, FormatError, "does not hold 'inputs' and 'params'"),
        ({"artifact_path": "9" * 5000}, FormatError, "is no path here: File name too long"),
    ],
)
def test_an_example_that_is_not_there_or_another(
    tmp_path: Path, change: dict[str, str], error: type[Exception], message: str
) -> None:
    """Is told in one line, however MLmodel describes it."""
    gitml.pyfunc.save_model(tmp_path / "m", python_model=lambda x: 1, input_example=[1.5])
    document = load_yaml((tmp_path / "m" / "MLmodel").read_bytes(), "MLmodel")
    document["saved_input_example_info"].update(change)
    (tmp_path / "m" / "MLmodel").write_text(json.dumps(document))
    with pytest.raises(error) as told:
        _ = gitml.pyfunc.load_model(tmp_path / "m", allow_code=True).input_example
    assert message in str(told.value)
    assert len(str(told.value)) < 300


def test_a_model_is_kept_when_its_example_fails(tmp_path: Path) -> None:
    """Without a signature, and with a warning: the training may have taken a day."""
    good, bad = pd.DataFrame({"a": [0.0, 1.0]}), pd.DataFrame({"a": ["x"]})
    model = LogisticRegression().fit(good, [0, 1])
    with pytest.warns(UserWarning, match=r"no signature.*'ValueError: could not convert"):
        gitml.sklearn.save_model(model, tmp_path / "m", input_example=bad)
    loaded = gitml.pyfunc.load_model(tmp_path / "m", allow_code=True)
    assert loaded.metadata.signature is None
    pd.testing.assert_frame_equal(loaded.input_example, bad, check_dtype=False)
    assert loaded.predict(good).tolist() == [0, 1]


def test_an_answer_for_each_row_of_an_example_is_a_column(tmp_path: Path) -> None:
    """As MLflow has it; of tensors the answer is a tensor."""
    frame = pd.DataFrame({"a": [0.0, 1.0]})
    for example, kind in ((frame, "long (required)"), (frame.to_numpy(), "Tensor('int64', (-1,))")):
        folder = tmp_path / type(example).__name__
        model = LogisticRegression().fit(example, [0, 1])
        gitml.sklearn.save_model(model, folder, input_example=example)
        assert str(mlmodel.read(folder).get_output_schema()) == f"[{kind}]"


def test_an_example_is_left_as_it_was(tmp_path: Path) -> None:
    """Also by a model that changes what it is given."""
    frame = pd.DataFrame({"a": [0.0, 1.0], "b": [1.0, 2.0]})
    gitml.pyfunc.save_model(
        tmp_path / "m", python_model=lambda data: data.pop("a"), input_example=frame
    )
    assert list(frame) == ["a", "b"]
    inputs = mlmodel.read(tmp_path / "m").get_input_schema()
    assert inputs is not None
    assert inputs.input_names() == ["a", "b"]


def test_an_example_with_params(tmp_path: Path) -> None:
    """They become params of the signature and of the request that asks a server."""
    gitml.pyfunc.save_model(
        tmp_path / "m",
        python_model=lambda x, params: x,
        input_example=([1.5], {"times": 2}),
    )
    model = mlmodel.read(tmp_path / "m")
    assert model.signature is not None
    assert [param.name for param in model.get_params_schema() or ()] == ["times"]
    request = json.loads((tmp_path / "m" / "serving_input_example.json").read_text())
    assert request == {"inputs": [1.5], "params": {"times": 2}}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"signatur": None}, "save_model: unknown key 'signatur'; did you mean 'signature'?"),
        ({"serialization_format": "pikle"}, "serialization_format 'pikle' is not one"),
        ({"code_paths": "src"}, "code_paths is a list"),
        ({"code_paths": ["nowhere"]}, "code_paths: 'nowhere' does not exist"),
        ({"input_example": object()}, "input_example can't be a object"),
    ],
)
def test_what_is_refused(
    iris: tuple[Any, Any, Any], tmp_path: Path, options: dict[str, Any], message: str
) -> None:
    """In one line, and nothing is left behind."""
    with pytest.raises(UsageError) as refused:
        gitml.sklearn.save_model(iris[2], tmp_path / "m", **options)
    assert message in str(refused.value)
    assert list(tmp_path.iterdir()) == []


def test_nothing_is_overwritten(iris: tuple[Any, Any, Any], tmp_path: Path) -> None:
    """A folder that holds something is left alone."""
    (tmp_path / "mine.txt").write_text("x")
    with pytest.raises(UsageError, match="exists already"):
        gitml.sklearn.save_model(iris[2], tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_a_folder_without_a_model(tmp_path: Path) -> None:
    """Is said to be none, and a damaged MLmodel names its fault."""
    with pytest.raises(UsageError, match="no model in"):
        gitml.pyfunc.load_model(tmp_path)
    (tmp_path / "MLmodel").write_text("flavors: []\n")
    with pytest.raises(FormatError, match="MLmodel: flavors"):
        gitml.pyfunc.load_model(tmp_path)
    with pytest.raises(UsageError, match="no model folder"):
        gitml.pyfunc.load_model(tmp_path / "nowhere")


def test_metadata_that_stands_twice(tmp_path: Path) -> None:
    """MLflow writes a second use of the same value as an alias; gitml reads it, and writes none."""
    (tmp_path / "MLmodel").write_text(
        "flavors: {sklearn: {}}\nmetadata:\n  one: &id001\n    team: a\n  two: *id001\n"
    )
    model = mlmodel.read(tmp_path)
    assert model.metadata == {"one": {"team": "a"}, "two": {"team": "a"}}
    mlmodel.write(model, tmp_path)
    assert "*" not in (tmp_path / "MLmodel").read_text()
    assert mlmodel.read(tmp_path).metadata == model.metadata


def test_a_model_that_is_a_python_file_is_refused_with_advice(tmp_path: Path) -> None:
    """When it is saved, and when MLflow saved it."""
    for given in ("model.py", Path("model.py")):
        with pytest.raises(UsageError, match=r"'model\.py', a path: .* an instance of"):
            gitml.pyfunc.save_model(tmp_path / "m", python_model=given)
    gitml.pyfunc.save_model(tmp_path / "m", python_model=lambda model_input: model_input)
    document = load_yaml((tmp_path / "m" / "MLmodel").read_bytes(), "MLmodel")
    document["flavors"]["python_function"].update(
        loader_module="mlflow.pyfunc.loaders.code_model", model_code_path="model.py"
    )
    (tmp_path / "m" / "MLmodel").write_text(json.dumps(document))
    (tmp_path / "m" / "model.py").write_text("")
    with pytest.raises(UsageError, match="an instance of the model's class"):
        gitml.pyfunc.load_model(tmp_path / "m", allow_code=True)
