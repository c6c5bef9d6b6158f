"""MLflow and gitml load one another's models, with equal predictions.

It needs an interpreter that has MLflow: `make interop`, or GITML_TEST_MLFLOW=/path/to/python.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from tests import serving

MLFLOW = os.environ.get("GITML_TEST_MLFLOW", "")
ROOT = Path(__file__).resolve().parent.parent

pytestmark = pytest.mark.skipif(not MLFLOW, reason="GITML_TEST_MLFLOW names no interpreter")

# Both scripts run with either package as `mlflow`.
SAVE = """
import os, sys
import lightgbm, numpy, onnx, pandas, pydantic, xgboost
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression
X, y = load_iris(return_X_y=True, as_frame=True)
linear = LogisticRegression(max_iter=500).fit(X, y)
team = {"team": "a"}
example = {"input_example": X[:3], "metadata": {"one": team, "two": team}}
for form in ("cloudpickle", "skops"):
    mlflow.sklearn.save_model(linear, f"sklearn-{form}", serialization_format=form, **example)
settings = {"objective": "multi:softmax", "num_class": 3}
booster = xgboost.train(settings, xgboost.DMatrix(X, y), 3)
mlflow.xgboost.save_model(booster, "xgboost", **example)
classifier = xgboost.XGBClassifier(n_estimators=3).fit(X, y)
mlflow.xgboost.save_model(classifier, "xgboost-estimator", **example)
leaves = lightgbm.LGBMClassifier(n_estimators=3, verbose=-1).fit(X, y)
pickled = {"serialization_format": "cloudpickle", **example}
mlflow.lightgbm.save_model(leaves, "lightgbm-estimator", **pickled)
mlflow.lightgbm.save_model(leaves.booster_, "lightgbm", **example)
helper, kind = onnx.helper, onnx.TensorProto.FLOAT
graph = helper.make_graph(
    [helper.make_node("Add", ["x", "one"], ["y"])], "plus one",
    [helper.make_tensor_value_info("x", kind, [None, 1])],
    [helper.make_tensor_value_info("y", kind, [None, 1])],
    [helper.make_tensor("one", kind, [1], [1.0])],
)
opset = helper.make_opsetid("", 17)
plus = helper.make_model(graph, opset_imports=[opset], ir_version=9)
ones = numpy.array([[1.0], [2.0]], dtype="float32")
mlflow.onnx.save_model(plus, "onnx", input_example=ones)

class Lookup(mlflow.pyfunc.PythonModel):
    def load_context(self, context):
        with open(context.artifacts["words"]) as file:
            self.words = file.read().split()

    def predict(self, context, model_input, params=None):
        return [len(self.words) + len(model_input)] * 2

with open("words.txt", "w") as file:
    file.write("one two three")
pair = numpy.array([[1.0, 2.0]])
mlflow.pyfunc.save_model(
    path="class", python_model=Lookup(), artifacts={"words": "words.txt"}, input_example=pair
)

def shout(model_input: list[str]) -> list[str]:
    return [text.upper() for text in model_input]

mlflow.pyfunc.save_model(path="hinted", python_model=shout, input_example=["a"])

class Word(pydantic.BaseModel):
    text: str
    times: int = 2

def said(model_input: list[Word]) -> list[str]:
    return [word.text * word.times for word in model_input]

class Saying(mlflow.pyfunc.PythonModel):
    def predict(self, context, model_input: list[dict[str, Word]], params=None) -> list[str]:
        return [row["word"].text * row["word"].times for row in model_input]

word = {"text": "a"}
mlflow.pyfunc.save_model(path="objects", python_model=said, input_example=[word])
saying = {"python_model": Saying(), "input_example": [{"word": word}]}
mlflow.pyfunc.save_model(path="objects-class", **saying)
frame = pandas.DataFrame({"a": [1.5]})
mlflow.pyfunc.save_model(
    path="function", python_model=lambda model_input: model_input["a"] * 2, input_example=frame
)
"""
LOAD = """
import json, os, sys
import numpy, pandas
from sklearn.datasets import load_iris
X, _ = load_iris(return_X_y=True, as_frame=True)
asked = {
    "onnx": numpy.array([[1.0], [2.0]], dtype="float32"), "class": numpy.array([[1.0, 2.0]]),
    "hinted": ["a", "b"], "objects": [{"text": "a"}, {"text": "b", "times": 3}],
    "objects-class": [{"word": {"text": "a", "times": 1}}],
    "function": pandas.DataFrame({"a": [1.5, 2.0]}),
}

def told(data):
    if isinstance(data, pandas.DataFrame):
        return [data.to_dict("list"), list(map(str, data.dtypes))]
    if isinstance(data, numpy.ndarray):
        return [data.tolist(), str(data.dtype)]
    return data

said = {}
for name in sorted(os.listdir()):
    if os.path.isdir(name):
        model = mlflow.pyfunc.load_model(name, **LOADING)
        answer = model.predict(asked.get(name, X[:20]))
        if isinstance(answer, dict):
            answer = [item.tolist() for item in answer.values()]
        signature = model.metadata.signature
        signature = signature.to_dict() if signature else None
        said[name] = [numpy.asarray(answer).tolist(), signature, told(model.input_example)]
print(json.dumps(said))
"""
# What MLflow's own server answers to the request beside each model.
SERVE = """
import json, os, threading, time, urllib.request
import uvicorn
from mlflow.pyfunc import scoring_server
said = {}
for name in sorted(os.listdir()):
    if os.path.isdir(name):
        app = scoring_server.init(mlflow.pyfunc.load_model(name))
        server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="error"))
        thread = threading.Thread(target=server.run)
        thread.start()
        while not server.started:
            time.sleep(0.01)
        port = server.servers[0].sockets[0].getsockname()[1]
        with open(f"{name}/serving_input_example.json", "rb") as file:
            body = file.read()
        request = urllib.request.Request(
            f"http://127.0.0.1:{port}/invocations", body, {"Content-Type": "application/json"}
        )
        with urllib.request.urlopen(request) as answer:
            said[name] = json.load(answer)
        server.should_exit = True
        thread.join()
print(json.dumps(said))
"""
TRAIN = """
import json
import lightgbm, numpy, pandas, xgboost
import sklearn.metrics
from sklearn.datasets import make_classification
x, y = make_classification(200, 5, flip_y=0.2, random_state=0)
x = pandas.DataFrame(x, columns=list("abcde"))
X_test, y_test = x[150:], y[150:]
x, y = x[:150], y[:150]
mlflow.xgboost.autolog(log_models=False)
mlflow.lightgbm.autolog(log_models=False)

def judge(model):
    sklearn.metrics.mean_absolute_error(y_test, model.predict(X_test))
    model.score(X_test, y_test)

train, test = xgboost.DMatrix(x, y), xgboost.DMatrix(X_test, y_test)
settings = {"objective": "binary:logistic", "eval_metric": ["logloss", "auc"], "eta": 0.7}
evals = [(train, "train"), (test, "test")]
xgboost.train(settings, train, 30, evals=evals, early_stopping_rounds=3, verbose_eval=False)
stopping = {"n_estimators": 30, "early_stopping_rounds": 3}
judge(xgboost.XGBClassifier(**stopping).fit(x, y, eval_set=[(X_test, y_test)], verbose=False))
judge(xgboost.XGBRegressor(n_estimators=2).fit(x, y))
settings = {"objective": "binary", "metric": ["binary_logloss", "auc"], "verbose": -1}
train = lightgbm.Dataset(x, y)
test = lightgbm.Dataset(X_test, y_test, reference=train)
stop = lightgbm.early_stopping(3, verbose=False)
named = {"valid_sets": [test], "valid_names": ["test"]}  # MLflow sees them by their names only
lightgbm.train(settings, train, 30, callbacks=[stop], **named)
leaves = lightgbm.LGBMClassifier(n_estimators=30, verbose=-1, random_state=1)
judge(leaves.fit(x, y, eval_set=[(X_test, y_test)], callbacks=[stop]))
client, said = mlflow.MlflowClient(), []
for run in mlflow.search_runs(output_format="list", order_by=["start_time"]):
    me = run.info.run_id
    points = {key: client.get_metric_history(me, key) for key in run.data.metrics}
    histories = {key: [[it.step, it.value] for it in points[key]] for key in points}
    files = sorted(entry.path for entry in client.list_artifacts(me))
    inputs = sorted({it.tags[0].value for it in run.inputs.dataset_inputs})
    framework = run.data.tags["mlflow.autologging"]
    said.append([framework, run.data.params, histories, files, inputs])
print(json.dumps(said))
"""
GITML = f"import sys; sys.path.insert(0, {str(ROOT)!r}); import gitml as mlflow\n"
THEIRS = (
    "import mlflow, mlflow.pyfunc, mlflow.lightgbm, mlflow.onnx, mlflow.sklearn, mlflow.xgboost\n"
)


def run(python: str, script: str, folder: Path) -> str:
    """Run a script with an interpreter; the last line that it printed."""
    file = folder.parent / "script.py"
    file.write_text(script)
    done = subprocess.run(
        [python, "-W", "ignore", str(file)],
        cwd=folder, capture_output=True, text=True, check=False, timeout=250,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    return (done.stdout.splitlines() or [""])[-1]


def loaded(folder: Path) -> tuple[Any, Any]:
    """What both say of all models in a folder."""
    ours = run(sys.executable, f"{GITML}LOADING = {{'allow_code': True}}\n{LOAD}", folder)
    theirs = run(MLFLOW, f"{THEIRS}LOADING = {{}}\n{LOAD}", folder)
    return json.loads(ours), json.loads(theirs)


def served(folder: Path) -> Any:
    """What gitml's server answers to the request beside a model."""
    body = (folder / "serving_input_example.json").read_bytes()
    with serving.served(folder) as server:
        url = f"http://127.0.0.1:{server.port}/invocations"
        request = urllib.request.Request(url, body, {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.load(answer)


@pytest.mark.slow
@pytest.mark.parametrize("saver", ["gitml", "mlflow"])
def test_one_loads_what_the_other_saved(tmp_path: Path, saver: str) -> None:
    """Every flavor: equal predictions, signatures and examples, and both servers answer alike."""
    folder = tmp_path / "models"
    folder.mkdir()
    python, head = (sys.executable, GITML) if saver == "gitml" else (MLFLOW, THEIRS)
    run(python, head + SAVE, folder)
    ours, theirs = loaded(folder)
    assert len(ours) == 12
    assert ours == theirs
    answers = json.loads(run(MLFLOW, THEIRS + SERVE, folder))
    assert answers.keys() == ours.keys()
    for name, answer in answers.items():
        assert served(folder / name) == answer


SAVE_NETS = """
import numpy, keras, torch
X = numpy.linspace(-1, 1, 20, dtype="float32").reshape(5, 4)
torch.manual_seed(0)
net = torch.nn.Sequential(torch.nn.Linear(4, 2), torch.nn.Tanh()).eval()
for form in ("pickle", "pt2"):
    options = {"input_example": X, "extra_files": [__file__], "pip_requirements": ["torch"]}
    mlflow.pytorch.save_model(net, f"pytorch-{form}", serialization_format=form, **options)
traced = torch.jit.trace(net, torch.from_numpy(X))
scripted = {"serialization_format": "pickle", "pip_requirements": ["torch"]}
mlflow.pytorch.save_model(traced, "pytorch-script", **scripted)
layers = [keras.Input((4,)), keras.layers.Dense(3, "relu"), keras.layers.Dense(1)]
model = keras.Sequential(layers)
model.compile("sgd", "mse")
model.fit(X, X.sum(axis=1), verbose=0)
signature = mlflow.models.infer_signature(X, model.predict(X, verbose=0))
mlflow.keras.save_model(model, "keras", signature=signature, pip_requirements=["keras"])
"""
LOAD_NETS = """
import json, os
import numpy, pandas
X = numpy.linspace(-1, 1, 20, dtype="float32").reshape(5, 4)
said = {}
for name in sorted(os.listdir()):
    if os.path.isdir(name):
        model = mlflow.pyfunc.load_model(name, **LOADING)
        signature = model.metadata.signature
        told = signature.to_dict() if signature else None
        said[name] = [model.predict(X).round(5).tolist(), told]
        getattr(mlflow, name.partition("-")[0]).load_model(name, **LOADING)
        if name in ("pytorch-script", "pytorch-pickle"):
            frame = model.predict(pandas.DataFrame(X, index=list("abcde")))
            said[name] += [type(frame).__name__, numpy.asarray(frame).round(5).tolist()]
print(json.dumps(said))
"""
NETS = "import mlflow, mlflow.pyfunc, mlflow.pytorch, mlflow.keras\n"


@pytest.mark.slow
@pytest.mark.parametrize("saver", ["gitml", "mlflow"])
def test_networks(tmp_path: Path, saver: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """PyTorch's and Keras' models: equal predictions, equal signatures."""
    monkeypatch.setenv("KERAS_BACKEND", "torch")
    monkeypatch.setenv("MLFLOW_ALLOW_PICKLE_DESERIALIZATION", "true")
    for python in (sys.executable, MLFLOW):
        there = [python, "-c", "import keras, torch"]
        if subprocess.run(there, capture_output=True, check=False).returncode:
            pytest.skip("needs keras and torch in both")
    folder = tmp_path / "models"
    folder.mkdir()
    python, head = (sys.executable, GITML) if saver == "gitml" else (MLFLOW, NETS)
    run(python, head + SAVE_NETS, folder)
    ours = run(sys.executable, f"{GITML}LOADING = {{'allow_code': True}}\n{LOAD_NETS}", folder)
    theirs = run(MLFLOW, f"{NETS}LOADING = {{}}\n{LOAD_NETS}", folder)
    assert len(json.loads(ours)) == 4
    assert json.loads(ours) == json.loads(theirs)


@pytest.mark.slow
def test_trainings_are_logged_as_mlflow_does(repo: Path) -> None:
    """XGBoost's and LightGBM's: the same params, metrics at the same steps, files and inputs."""
    ours = json.loads(run(sys.executable, GITML + TRAIN, repo))
    head = f"{THEIRS}mlflow.set_tracking_uri('sqlite:///{repo.parent / 'mlflow.db'}')\n"
    theirs = json.loads(run(MLFLOW, head + TRAIN, repo))
    assert len(ours) == 5
    for (*mine, files, inputs), (*other, their_files, their_inputs) in zip(
        ours, theirs, strict=True
    ):
        assert mine == other
        assert files == their_files
        # MLflow's are more by the data that a metric was asked of
        assert set(inputs) <= set(their_inputs)
