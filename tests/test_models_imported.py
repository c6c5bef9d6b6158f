"""A model needs what its pickle imports, and what its own code and the user's modules import."""

from __future__ import annotations

import collections
import functools
import importlib
import importlib.util
import json
import logging
import pickle
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Any

import cloudpickle
import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.compose import make_column_transformer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, StandardScaler

import gitml.pyfunc
from gitml.models import code_imports
from gitml.models.imported import globals_of, left_behind, required, roots_of
from tests.conftest import framework

ROOT = Path(__file__).parent.parent

Project = Callable[..., ModuleType]


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Project]:
    """Write modules of a user's project and import the first: `project({"features": "..."})`."""
    before = set(sys.modules)
    monkeypatch.syspath_prepend(str(tmp_path))

    def write(sources: dict[str, str]) -> ModuleType:
        for name, source in sources.items():
            file = tmp_path / f"{name.replace('.', '/')}.py"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(source, encoding="utf-8")
        importlib.invalidate_caches()
        return importlib.import_module(next(iter(sources)))

    yield write
    for name in set(sys.modules) - before:
        if str(getattr(sys.modules[name], "__file__", "")).startswith(str(tmp_path)):
            del sys.modules[name]


def run_script(folder: Path, source: str, *, pickled: str = "None", **env: str) -> set[str]:
    """The modules of `model`, which the source makes in a script that is run as a user would."""
    end = (
        "\nimport json, sys\nfrom gitml.models.imported import required, roots_of\n"
        f"print(json.dumps(sorted(required(roots_of(model, {pickled})))))\n"
    )
    (folder / "train.py").write_text(source + end, encoding="utf-8")
    env = {"PYTHONPATH": str(ROOT), "PATH": "", **env}
    done = subprocess.run(
        [sys.executable, "train.py"],
        cwd=folder,
        env=env,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return set(json.loads(done.stdout.splitlines()[-1]))


def modules_of(model: Any, pickled: bytes | None = None, code_paths: Any = ()) -> set[str]:
    """What a model needs to be installed."""
    return required(roots_of(model, pickled), code_paths)


def needed(model: Any) -> set[str]:
    """The modules of a model that is pickled as scikit-learn's are."""
    return modules_of(model, cloudpickle.dumps(model))


@pytest.fixture(scope="module")
def table() -> pd.DataFrame:
    """A small table with a column of text."""
    return pd.DataFrame({"a": [0.0, 1.0, 2.0, 3.0], "b": ["x", "y", "x", "y"]})


# -- what frameworks make ------------------------------------------------------------------


def test_a_pipeline(table: pd.DataFrame) -> None:
    """A scikit-learn pipeline needs scikit-learn, and numpy for its arrays; pandas it only met."""
    columns = make_column_transformer((OneHotEncoder(), ["b"]), (StandardScaler(), ["a"]))
    model = make_pipeline(columns, LogisticRegression()).fit(table, [0, 1, 0, 1])
    assert needed(model) == {"sklearn", "numpy"}
    assert modules_of(model) == {"sklearn", "numpy"}


def test_a_pipeline_with_a_table_inside(table: pd.DataFrame) -> None:
    """What a pickle imports for data in a model counts as well."""
    model = make_pipeline(FunctionTransformer(pd.DataFrame.mean, kw_args={"extra": table}))
    assert {"sklearn", "numpy", "pandas"} <= needed(model)


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_xgboost_in_a_pipeline(table: pd.DataFrame) -> None:
    """xgboost's estimators need scikit-learn, whose classes they are made of."""
    xgboost = pytest.importorskip("xgboost")
    boosted = xgboost.XGBClassifier(n_estimators=2)
    model = make_pipeline(StandardScaler(), boosted).fit(table[["a"]], [0, 1, 0, 1])
    assert needed(model) == {"sklearn", "numpy", "xgboost"}
    assert {"sklearn", "xgboost"} <= needed(model[-1])


def test_lightgbm() -> None:
    """lightgbm's estimators need scikit-learn though no pickle says so; its boosters do not."""
    lightgbm = framework("lightgbm")
    model = lightgbm.LGBMRegressor(n_estimators=2, min_child_samples=1, verbose=-1)
    model.fit(np.arange(20.0).reshape(10, 2), np.arange(10.0))
    assert {"sklearn", "lightgbm"} <= needed(model)
    assert "sklearn" not in needed(model.booster_)


@pytest.mark.slow
def test_a_torch_module_of_a_script(tmp_path: Path) -> None:
    """A class that a script defines travels by value: its code needs what it uses and imports."""
    pytest.importorskip("torch")
    source = """
import matplotlib
import pandas
import torch
import numpy as np
from torch import nn

class Base(nn.Module):
    def scaled(self, x):
        return x * float(np.sqrt(2))

class Net(Base):
    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(2, 2), nn.ReLU())

    def forward(self, x):
        import scipy.special
        return self.scaled(self.layers(x)) + scipy.special.expit(0.0)

model = Net()
"""
    assert run_script(tmp_path, source) == {"torch", "numpy", "scipy"}


@pytest.mark.slow
def test_a_keras_model_with_a_layer_of_a_script(tmp_path: Path) -> None:
    """A model that is not pickled needs the modules of all its parts."""
    if find_spec("keras") is None or find_spec("torch") is None:
        pytest.skip("needs keras and torch")
    source = """
import keras, pandas
from PIL import Image

class Doubled(keras.layers.Layer):
    def call(self, x):
        return x * Image.MAX_IMAGE_PIXELS

model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1), Doubled()])
"""
    found = run_script(tmp_path, source, KERAS_BACKEND="torch", KERAS_HOME=str(tmp_path))
    assert {"keras", "PIL"} <= found
    assert "pandas" not in found


# -- code that travels by value ------------------------------------------------------------


def test_functions_of_a_script(tmp_path: Path) -> None:
    """Functions reach functions: through globals, closures, defaults, partials and wrappers."""
    source = """
import functools
import jinja2 as templates, matplotlib, pandas as pd, yaml, click
import PIL.Image
from scipy import stats

class Config:
    reader = staticmethod(lambda text: yaml.safe_load(text))

    @property
    def table(self):
        return pd.DataFrame()

def deep(x, rng=stats.norm):
    return Config

def closed(over):
    return lambda x: (over(x), deep(x))

def logged(function):
    @functools.wraps(function)
    def inner(*args):
        return function(*args)
    return inner

@logged
def drawn(x):
    return PIL.Image.new("L", (x, x)), model

def unused():
    return click.command

model = {"steps": [functools.partial(closed(len), key=templates.Template), drawn]}
"""
    needs = {"jinja2", "pandas", "yaml", "scipy", "PIL"}
    assert run_script(tmp_path, source) - {"numpy"} == needs
    dumped = "__import__('cloudpickle').dumps(model)"
    assert run_script(tmp_path, source, pickled=dumped) - {"numpy", "dateutil"} == {
        *needs, "cloudpickle",
    }  # fmt: skip


def test_a_plain_pickle_of_a_script(tmp_path: Path) -> None:
    """Where a pickle names a class of the script, its code counts, not the rest of the script."""
    source = """
import matplotlib, yaml

class Model:
    def read(self, text):
        return yaml.safe_load(text)

model = Model()
"""
    assert run_script(tmp_path, source, pickled="__import__('pickle').dumps(model)") == {"yaml"}


def test_a_lazy_import() -> None:
    """What a function imports when it runs is needed, loaded or not."""

    def lazy(x: Any) -> Any:
        import fontTools.misc  # nobody has loaded it

        return fontTools.misc, x

    lazy.__module__ = "__main__"
    assert needed(make_pipeline(FunctionTransformer(lazy))) >= {"fontTools", "sklearn"}


def test_code_from_nowhere() -> None:
    """Functions whose module can't be imported, as in notebooks, travel by value."""
    namespace: dict[str, Any] = {"__name__": "made_up", "sys": sys}
    source = "import yaml\ndef f(x):\n    return yaml.safe_load(x), sys.path, yaml.nodes.Node\n"
    exec(source, namespace)
    assert modules_of(namespace["f"]) == {"yaml"}


def test_names_that_only_look_alike() -> None:
    """An attribute is not the global of the same name, and a local name is none either."""
    namespace: dict[str, Any] = {"__name__": "made_up"}
    source = (
        "import yaml, jinja2, click\n"
        "def f(x):\n    click = x.yaml\n    return click, x.jinja2(), f\n"
        "def g(x):\n    return f(x)\n"
    )
    exec(source, namespace)
    assert modules_of(namespace["g"]) == set()


# -- the user's modules --------------------------------------------------------------------


def test_a_project_module(project: Project) -> None:
    """A module of the project needs what it imports; functions in it only when they are used."""
    features = project({"features": FEATURES, "aids": AIDS})
    assert modules_of(features.Scale()) == {"numpy", "yaml", "scipy", "PIL", "jinja2"}
    assert needed(features.Scale()) == {"numpy", "yaml", "scipy", "PIL", "jinja2"}
    assert modules_of(features.clean) == {"numpy", "yaml", "PIL", "jinja2"}


FEATURES = """
from __future__ import annotations
import json
import numpy as np
import aids
from typing import TYPE_CHECKING
if TYPE_CHECKING:
    import pandas
try:
    import cupy
except ImportError:
    cupy = None

class Scale:
    import yaml as reader

    def fit(self, x):
        import scipy
        return clean(x)

def clean(x):
    from PIL import Image
    return aids.inner(x)

def plot(x):
    import matplotlib.pyplot
    return matplotlib

if __name__ == "__main__":
    import click
"""
AIDS = """
def inner(x):
    import jinja2
    return jinja2

def other(x):
    import rich
"""


def test_a_project_package(project: Project) -> None:
    """Packages, relative imports, cycles and folders without `__init__` are followed."""
    sources = {
        "src.steps": "from . import shared\nfrom .deep.inner import f\n",
        "src.shared": "import yaml\nimport src.steps\n",
        "src.deep.__init__": "import jinja2\n",
        "src.deep.inner": "from ..shared import yaml\nfrom src.deep import leaf\ndef f(): pass\n",
        "src.deep.leaf": "import click as _\n",
    }
    assert modules_of(project(sources).f) == {"yaml", "jinja2", "click"}


def test_a_project_module_that_is_not_loaded(project: Project) -> None:
    """Of a module that only a call would import, all imports count."""
    sources = {
        "features": "def clean(x):\n    from late import inner\n    return inner(x)\n",
        "late": "import yaml\ndef inner(x):\n    import jinja2\n",
    }
    features = project(sources)
    assert modules_of(features.clean) == {"yaml", "jinja2"}
    assert "late" not in sys.modules


def test_a_broken_project_module(project: Project, tmp_path: Path) -> None:
    """Source that is no Python any more, or gone, adds nothing and stops nothing."""
    features = project({"features": "import yaml\ndef clean(x):\n    return yaml.dump(x)\n"})
    (tmp_path / "features.py").write_text("import (", encoding="utf-8")
    assert modules_of(features.clean) == {"yaml"}
    (tmp_path / "features.py").unlink()
    assert modules_of(features.clean) == {"yaml"}


def test_a_local_distribution(project: Project, tmp_path: Path) -> None:
    """A local distribution is needed by name, unless its code travels with the model."""
    features = project({"features": "import yaml\ndef clean(x): return x\n"})
    folder = tmp_path / "features.egg-info"
    folder.mkdir()
    (folder / "PKG-INFO").write_text("Name: features\nVersion: 1\n", encoding="utf-8")
    assert modules_of(features.clean) == {"features", "yaml"}
    assert modules_of(features.clean, code_paths=[tmp_path]) == {"yaml"}
    assert modules_of(features.clean, code_paths=[str(tmp_path / "features.py")]) == {"yaml"}


# -- the walk ------------------------------------------------------------------------------


def test_containers() -> None:
    """Functions are found in whatever holds them."""

    class Slotted:
        __slots__ = ("held",)

    def find(x: Any) -> Any:
        import yaml

        return yaml

    find.__module__ = Slotted.__module__ = "__main__"
    slotted = Slotted()
    slotted.held = find  # type: ignore[attr-defined]
    array = np.empty(2, dtype=object)
    array[0] = find
    for held in (
        [find], (find,), {1: find}, {find: 1}, {find}, frozenset([find]), collections.deque([find]),
        collections.OrderedDict(a=find), functools.partial(find), slotted, array,
        collections.ChainMap({1: {2: [find]}}), FunctionTransformer(find),
    ):  # fmt: skip
        assert "yaml" in modules_of(held), held


def test_gitml_and_mlflow_are_left_out(project: Project) -> None:
    """What every model stands on here is no requirement of its own."""
    features = project({"features": "import gitml\ndef f():\n    import mlflow.pyfunc\n"})
    assert modules_of(features.f) == set()
    pickled = b"cgitml.pyfunc\nPythonModel\n0cmlflow.pyfunc.model\nPythonModel\n."
    assert globals_of(pickled) == {"gitml.pyfunc.PythonModel", "mlflow.pyfunc.model.PythonModel"}
    assert modules_of(None, pickled) == set()


def test_deep_and_cyclic_models() -> None:
    """Neither depth nor cycles nor what can't be pickled stop the walk."""
    model: dict[str, Any] = {"lock": threading.Lock(), "logger": logging.getLogger("x")}
    inner = model
    for _ in range(5000):
        inner["next"] = {"array": np.zeros(1)}
        inner = inner["next"]
    inner["next"] = model
    model["frames"] = sys._getframe()
    assert modules_of(model) == {"numpy"}


def test_objects_that_resist() -> None:
    """Objects whose attributes raise, and classes of no module, are walked as far as they go."""
    namespace: dict[str, Any] = {"__name__": "made_up"}
    source = """
class Odd:
    __module__ = None

    def __init__(self, held):
        self.held = held

    def __getattr__(self, name):
        raise RuntimeError(name)

    @property
    def __dict__(self):
        raise RuntimeError("no")

    @property
    def __class__(self):
        raise RuntimeError("no")

    def read(self):
        import yaml
"""
    exec(source, namespace)
    assert modules_of([namespace["Odd"](np.zeros(1))]) == {"numpy", "yaml"}


# -- pickles -------------------------------------------------------------------------------


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_globals_of_a_pickle(protocol: int) -> None:
    """What a pickle of any protocol imports is told without loading it."""
    names = [f"name{number}" for number in range(300)]  # so that the memo needs long indices
    model = {"names": names, "again": names, "c": collections.OrderedDict(a=LogisticRegression)}
    found = globals_of(pickle.dumps([model, "collections", LogisticRegression], protocol))
    assert found == {"collections.OrderedDict", "sklearn.linear_model._logistic.LogisticRegression"}


@given(st.integers(0, 400), st.binary(max_size=20))
def test_what_is_no_pickle(cut: int, data: bytes) -> None:
    """Of bytes that are no pickle, or a damaged one, nothing is loaded and nothing is raised."""
    pickled = pickle.dumps([LogisticRegression(), "text" * 20])
    found = globals_of(pickled[:cut] + data + pickled[cut + len(data) :])
    assert found is None or all("." in name for name in found)
    assert cut >= len(pickled) or globals_of(pickled[:cut]) is None


def test_without_a_readable_pickle(table: pd.DataFrame) -> None:
    """Where the bytes are no plain pickle, the objects themselves tell."""
    assert {"pandas", "numpy"} <= modules_of([table], b"PK\x03\x04 an archive")
    assert modules_of([table], b"PK\x03\x04 an archive") == modules_of([table])


# -- code ----------------------------------------------------------------------------------


def test_code_names() -> None:
    """Bytecode tells globals with their attributes, and imports made absolute."""

    def code(x: Any) -> Any:
        import a.b as c
        from d import e, f

        return json.dumps(x), [importlib.util.find_spec(y) for y in x], x.json, c, e, f

    found = code_imports.of_code(code.__code__, "package")
    assert found.imports == {"a.b", "d.e", "d.f"}
    assert {("json", "dumps"), ("importlib", "util", "find_spec")} <= found.chains
    assert ("x",) not in found.chains
    assert ("json", "json") not in found.chains


@pytest.mark.parametrize(
    ("source", "imports"),
    [
        ("import a, b.c as d", {"a", "b.c"}),
        ("from a import b, c", {"a.b", "a.c"}),
        ("from a import *", {"a.*"}),
        ("from . import a\nfrom .b import c\nfrom ..d import e", {"p.q.a", "p.q.b.c", "p.d.e"}),
        ("try:\n import a\nexcept E:\n import b\nfinally:\n import c", {"a", "b", "c"}),
        ("with x:\n import a\nfor y in z:\n import b\nelse:\n import c", {"a", "b", "c"}),
        ("match x:\n case 1:\n  import a", {"a"}),
        ("class A:\n import a\n def f(self):\n  import b", {"a"}),
        ("def f():\n import a\nasync def g():\n import b\nh = lambda: 1", set()),
        ("if TYPE_CHECKING:\n import a\nelse:\n import b", {"b"}),
        ("import typing\nif typing.TYPE_CHECKING:\n import a", {"typing"}),
        ("if __name__ == '__main__':\n import a\nelif x:\n import b", {"b"}),
        ("import (", set()),
        ("\0", set()),
    ],
)
def test_source_imports(source: str, imports: set[str]) -> None:
    """Source tells what runs when it is imported."""
    assert code_imports.of_source(source.encode(), "p.q") == imports


def test_source_imports_in_functions() -> None:
    """On request also what its functions import."""
    source = b"import a\ndef f():\n import b\n class C:\n  def g(self):\n   from . import c\n"
    assert code_imports.of_source(source, "p", in_functions=True) == {"a", "b", "p.c"}


# -- what does not travel ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sources", "make", "left"),
    [
        ({"nets": "class Net:\n    def predict(self, x): return x"}, "Net", {"nets": "nets.py"}),
        (
            {"nets": "import layers\nclass Net: ...", "layers": "import json, numpy"},
            "Net",
            {"nets": "nets.py", "layers": "layers.py"},
        ),
        (
            {"nets.a": "from nets import b\nclass Net: ...", "nets.__init__": "", "nets.b": ""},
            "Net",
            {"nets": "nets"},
        ),
        (
            {"space.a.nets": "class Net: ...", "space.a.__init__": ""},
            "Net",
            {"space.a": "space"},
        ),
        ({"nets": "Net = lambda: lambda x: x"}, "Net", {}),  # by value: nothing is imported
        (
            {"nets": "def Net():\n def f(x):\n  import layers\n return f", "layers": ""},
            "Net",
            {"layers": "layers.py"},
        ),
        ({"nets": "import numpy\nNet = lambda: numpy.float64(1)"}, "Net", {}),
    ],
)
def test_own_modules_that_do_not_travel_are_told(
    project: Project,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    sources: dict[str, str],
    make: str,
    left: dict[str, str],
) -> None:
    """A needed module that no distribution has, with what to give as code_paths."""
    monkeypatch.chdir(tmp_path)
    model = getattr(project(sources), make)()
    roots = roots_of(model, cloudpickle.dumps(model))
    assert left_behind(roots) == left
    assert left_behind(roots, [tmp_path / path for path in left.values()]) == {}
    monkeypatch.chdir(Path.home())
    assert set(left_behind(roots).values()) == {str(tmp_path / path) for path in left.values()}


def test_saving_warns_of_a_module_that_does_not_travel(
    project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Unless it is in code_paths, or the user says himself what the model requires."""
    monkeypatch.chdir(tmp_path)
    source = "import gitml.pyfunc\nclass Net(gitml.pyfunc.PythonModel):\n"
    source += "    def predict(self, context, model_input): return model_input"
    net = project({"own_nets": source}).Net()
    told = r"only where own_nets can be imported.*code_paths=\['own_nets\.py'\]"
    with pytest.warns(UserWarning, match=told):
        gitml.pyfunc.save_model("a", python_model=net)
    gitml.pyfunc.save_model("b", python_model=net, code_paths=["own_nets.py"])
    gitml.pyfunc.save_model("c", python_model=net, pip_requirements=["nets==1.0"])
