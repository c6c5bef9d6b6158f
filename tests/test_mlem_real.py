"""The real MLEM, in an environment that is built for it: it loads, applies, serves and builds."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import gitml
from gitml.environments import Environment, Spec, environment, read_spec, wheel
from gitml.environments import uv as uvs
from gitml.errors import UsageError
from gitml.models import load
from gitml.models.images import find_engine
from gitml.models.mlem import bridge, building, exporting, importing, pins
from tests import wheelhouse
from tests.ports import free_port

# The first test builds an environment of 70 packages, some others one more.
pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

ROWS = [[5.1, 3.5, 1.4, 0.2], [6.7, 3.0, 5.2, 2.3]]
NAMES = ["sepal length", "sepal width", "petal length", "petal width"]
QUIET = {"ITERATIVE_DO_NOT_TRACK": "1", "MLEM_NO_ANALYTICS": "true"}


@pytest.fixture(scope="session")
def _caches(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Caches of uv and of environments for all tests here; skips them without a package index."""
    folder = tmp_path_factory.mktemp("mlem-caches")
    wheelhouse.filled_cache(folder / "uv")
    return folder


@pytest.fixture(autouse=True)
def caches(_caches: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The environments are built once for all tests."""
    monkeypatch.setenv("UV_CACHE_DIR", str(_caches / "uv"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(_caches))


def frame() -> Any:
    """The rows with their names."""
    import pandas

    return pandas.DataFrame(ROWS, columns=NAMES)


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model of scikit-learn that was saved with an example."""
    from sklearn.linear_model import LogisticRegression

    folder = tmp_path_factory.mktemp("iris") / "model"
    fitted = LogisticRegression().fit(frame(), ["setosa", "virginica"])
    gitml.sklearn.save_model(fitted, folder, input_example=frame()[:1])
    return folder


@pytest.fixture
def real(model: Path) -> Environment:
    """An environment with MLEM and what the model needs."""
    return environment(
        bridge.spec_of(load.opened(model, allow_code=True)[0], allow_code=True), "uv"
    )


@pytest.fixture
def exported(model: Path, tmp_path: Path) -> Path:
    """The model as MLEM has it."""
    return exporting.export(
        load.opened(model, allow_code=True), tmp_path / "exported", allow_code=True
    )


def expected(model: Path) -> list[str]:
    """What the model answers here."""
    found = gitml.pyfunc.load_model(model, allow_code=True).predict(frame())
    return [str(item) for item in found.tolist()]


def says(python: Path, code: str, *arguments: object, cwd: Path) -> Any:
    """The JSON that a script of another environment prints last."""
    done = subprocess.run(
        [str(python), "-c", code, *map(str, arguments)],
        capture_output=True, text=True, check=False, cwd=cwd, env={**os.environ, **QUIET},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


APPLY = f"""
import json, sys, pandas
from mlem.api import apply, load
rows = pandas.DataFrame({ROWS}, columns={NAMES})
model = load(sys.argv[1])
print(json.dumps([model.predict(rows).tolist(), apply(sys.argv[1], rows).tolist()]))
"""


def test_mlem_loads_and_applies_what_gitml_exported(
    exported: Path, real: Environment, model: Path, tmp_path: Path
) -> None:
    """The object, and MLEM's own way to apply it, answer as the model does here."""
    found = says(real.python, APPLY, exported.with_suffix(""), cwd=tmp_path)
    assert found == [expected(model)] * 2


def test_a_configuration_of_a_stranger_is_not_read(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A `.mlem.yaml` in a folder above, such as that of temporary files, changes nothing."""
    (tmp_path / ".mlem.yaml").write_text(
        "core:\n  additional_extensions: evil\n  storage: {type: evil.Storage}\n"
    )
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    made = exporting.export(
        load.opened(model, allow_code=True), tmp_path / "exported", allow_code=True
    )
    assert sorted(path.name for path in made.parent.iterdir()) == ["model", "model.mlem"]
    opened = load.opened(model, allow_code=True)
    package = building.build(opened, "pip", tmp_path / "made", "iris", allow_code=True)
    assert (package / "iris/model.mlem").is_file()


def answered(url: str, body: dict[str, Any], alive: Callable[[], bool]) -> Any:
    """The answer of a server that is starting."""
    request = urllib.request.Request(
        url, json.dumps(body).encode(), {"Content-Type": "application/json"}
    )
    while alive():
        try:
            with urllib.request.urlopen(request, timeout=20) as answer:
                return json.load(answer)
        except (ConnectionError, urllib.error.URLError):
            time.sleep(0.1)
    raise AssertionError("the server is gone")


def test_mlem_serves_what_gitml_exported(
    exported: Path, real: Environment, model: Path, tmp_path: Path
) -> None:
    """`mlem serve fastapi` starts with these versions, and answers as the model does here."""
    port = free_port()
    script = str(real.python.parent / "mlem")
    with (tmp_path / "log").open("w") as log:
        server = subprocess.Popen(
            [script, "serve", "fastapi", "-m", str(exported), "--port", str(port)],
            stdout=log, stderr=log, cwd=tmp_path, env={**real.variables(), **QUIET},
        )  # fmt: skip
        try:
            body = {"data": {"values": frame().to_dict(orient="records")}}
            url = f"http://127.0.0.1:{port}/predict"
            assert answered(url, body, lambda: server.poll() is None) == expected(model)
        finally:
            server.terminate()
            server.wait()


SAVE = f"""
import json, pandas
from mlem.api import save
from sklearn.linear_model import LinearRegression

def double(rows):
    return [2 * row for row in rows]

rows = pandas.DataFrame({ROWS}, columns={NAMES})
fitted = LinearRegression().fit(rows, [0.0, 1.0])
save(fitted, "line", sample_data=rows)
save(double, "double", sample_data=[1, 2])
print(json.dumps(fitted.predict(rows).tolist()))
"""


@pytest.fixture
def of_mlem(real: Environment, tmp_path: Path) -> tuple[Path, list[float]]:
    """A folder with models that MLEM saved, and what one of them answers."""
    return tmp_path, says(real.python, SAVE, cwd=tmp_path)


def test_an_estimator_of_mlem_predicts_without_it(of_mlem: tuple[Path, list[float]]) -> None:
    """It gets its native flavor, with the signature that MLEM wrote down."""
    folder, answers = of_mlem
    importing.save_imported(folder / "line.mlem", folder / "line-in")
    found = gitml.pyfunc.load_model(folder / "line-in", allow_code=True)
    assert found.metadata.get_input_schema().input_names() == NAMES
    assert found.predict(frame()).tolist() == pytest.approx(answers)


def gitml_says(*arguments: object) -> str:
    """What a command prints."""
    done = subprocess.run(
        [sys.executable, "-m", "gitml", *map(str, arguments)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_what_stays_a_model_of_mlem_predicts_in_its_environment(
    of_mlem: tuple[Path, list[float]], tmp_path: Path
) -> None:
    """A function of MLEM is asked by `--env-manager uv`, where MLEM is not installed here."""
    folder, _ = of_mlem
    kept = folder / "double-in"
    model = importing.save_imported(folder / "double.mlem", kept)
    assert "mlem" in model.flavors
    (tmp_path / "rows.json").write_text('{"inputs": [1, 2]}')
    answer = gitml_says(
        *("models", "predict", "-m", kept, "-i", tmp_path / "rows.json"),
        *("--env-manager", "uv", "--allow-code"),
    )
    assert json.loads(answer) == {"predictions": [2, 4]}


BOTH = """
import json, sys, gitml, dvc.repo, gto
with gitml.start_run() as run:
    gitml.mlem.log_model(sys.argv[1], name="kept")
uri = f"runs:/{run.info.run_id}/kept"
print(json.dumps([uri, gitml.pyfunc.load_model(uri).predict([1, 2])]))
"""


def test_mlem_and_the_whole_of_gitml_fit_into_one_environment(
    of_mlem: tuple[Path, list[float]], repo: Path
) -> None:
    """With `gitml[mlem,serve]` a model of MLEM is logged, loaded and served without another."""
    spec = Spec(requirements=(*pins.PINS, *wheel.SERVING, "scikit-learn"))
    both = environment(spec, "uv", gitml="whole")
    uri, answers = says(both.python, BOTH, of_mlem[0] / "double.mlem", cwd=repo)
    assert answers == [2, 4]
    port = free_port()
    server = subprocess.Popen(
        [str(both.python), "-m", "gitml", "models", "serve", "-m", uri, "-p", str(port)], cwd=repo
    )
    try:
        url = f"http://127.0.0.1:{port}/invocations"
        answer = answered(url, {"inputs": [1, 2]}, lambda: server.poll() is None)
        assert answer == {"predictions": [2, 4]}
    finally:
        server.terminate()
        server.wait()


USE = f"""
import json, pandas, iris
print(json.dumps(iris.predict(pandas.DataFrame({ROWS}, columns={NAMES})).tolist()))
"""


@pytest.mark.parametrize("kind", ["pip", "whl"])
def test_a_package_is_installed_and_predicts(kind: str, model: Path, tmp_path: Path) -> None:
    """What MLEM's builder made starts in an environment of nothing but itself."""
    opened = load.opened(model, allow_code=True)
    made = building.build(opened, kind, tmp_path / "made", "iris", allow_code=True)
    place = next(made.glob("*.whl")) if kind == "whl" else made
    uvs.run(["venv", "--quiet", "--python", sys.executable, str(tmp_path / "new")], cwd=tmp_path)
    python = tmp_path / "new/bin/python"
    uvs.run(["pip", "install", "--quiet", "--python", str(python), str(place)], cwd=tmp_path)
    assert says(python, USE, cwd=tmp_path) == expected(model)


def test_requirements_make_an_environment_for_mlem(
    exported: Path, model: Path, tmp_path: Path
) -> None:
    """In an environment of the requirements alone, MLEM starts and applies the model."""
    opened = load.opened(model, allow_code=True)
    made = building.build(opened, "requirements", tmp_path / "made", allow_code=True)
    found = environment(read_spec(made), "uv", gitml=None)
    answers = says(found.python, APPLY, exported.with_suffix(""), cwd=tmp_path)
    assert answers == [expected(model)] * 2


@pytest.fixture
def image() -> Iterator[str]:
    """A name for an image and a container, which go with the test; skips without an engine."""
    try:
        engine = find_engine()
    except UsageError as error:
        pytest.skip(str(error))
    name = f"gitml-test-mlem-{uuid.uuid4().hex[:12]}"
    yield name
    subprocess.run([engine, "rm", "--force", name], capture_output=True)
    subprocess.run([engine, "image", "rm", "--force", name], capture_output=True)


def test_a_docker_context_is_built_and_answers(model: Path, image: str, tmp_path: Path) -> None:
    """The image of MLEM's context starts, answers, and is no root."""
    opened = load.opened(model, allow_code=True)
    made = building.build(opened, "docker_dir", tmp_path / "made", allow_code=True)
    engine = find_engine()

    def docker(*arguments: str) -> str:
        done = subprocess.run([engine, *arguments], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    port = free_port()
    server = made / "server.yaml"  # of the host's network, where 8080 may be another's
    server.write_text(f"{server.read_text()}port: {port}\nhost: 127.0.0.1\n")
    docker("build", "--network", "host", "--tag", image, str(made))
    docker("run", "--detach", "--network", "host", "--name", image, image)

    def runs() -> bool:
        return docker("inspect", "--format", "{{.State.Running}}", image) == "true"

    body = {"data": {"values": frame().to_dict(orient="records")}}
    assert answered(f"http://127.0.0.1:{port}/predict", body, runs) == expected(model)
    assert docker("exec", image, "id", "-u") == "10001"


LOAD = f"""
import json, sys
from mlem.api import load_meta
import numpy
print(json.dumps(load_meta(sys.argv[1], load_value=True).predict(numpy.array({ROWS})).tolist()))
"""


@pytest.mark.parametrize("name", ["xgboost", "lightgbm"])
def test_boosters_go_there_and_back(name: str, tmp_path: Path) -> None:
    """MLEM saves them in the library's own format, which comes back as the native flavor."""
    library = pytest.importorskip(name)
    import numpy

    rows, targets = numpy.array(ROWS * 10), numpy.array([0.0, 1.0] * 10)
    if name == "xgboost":
        fitted = library.train({"max_depth": 2}, library.DMatrix(rows, targets), 2)
    else:
        data = library.Dataset(rows, targets, params={"verbose": -1, "min_data_in_leaf": 1})
        fitted = library.train({"verbose": -1, "min_data_in_leaf": 1}, data, 2)
    save = getattr(gitml, name).save_model
    save(fitted, tmp_path / "model", input_example=rows[:1])
    before = gitml.pyfunc.load_model(tmp_path / "model").predict(numpy.array(ROWS)).tolist()
    opened = load.opened(tmp_path / "model")
    made = exporting.export(opened, tmp_path / "exported", allow_code=True)

    found = environment(bridge.spec_of(opened[0]), "uv")
    assert says(found.python, LOAD, made, cwd=tmp_path) == pytest.approx(before)
    model = importing.save_imported(made, tmp_path / "back")
    assert set(model.flavors) == {"python_function", name}
    after = gitml.pyfunc.load_model(tmp_path / "back").predict(numpy.array(ROWS))
    assert after.tolist() == pytest.approx(before)


def test_a_function_is_exported_alone(tmp_path: Path) -> None:
    """MLEM keeps the function, and nothing of gitml with it."""

    def double(model_input):  # type: ignore[no-untyped-def]
        return [2 * item for item in model_input]

    gitml.pyfunc.save_model(
        tmp_path / "model", python_model=double, pip_requirements=["cloudpickle"]
    )
    opened = load.opened(tmp_path / "model", allow_code=True)
    made = exporting.export(opened, tmp_path / "exported", allow_code=True)
    assert "gitml" not in made.read_text()
    found = environment(bridge.spec_of(opened[0]), "uv")
    code = "import json, sys, mlem.api; print(json.dumps(mlem.api.load(sys.argv[1])([1, 2])))"
    assert says(found.python, code, made, cwd=tmp_path) == [2, 4]


def test_what_mlem_can_not_take_is_told(tmp_path: Path) -> None:
    """A class with a predict is no function: MLEM's message would not say so."""

    class Mine(gitml.pyfunc.PythonModel):
        def predict(self, context, model_input, params=None):  # type: ignore[no-untyped-def]
            return model_input

    gitml.pyfunc.save_model(
        tmp_path / "model", python_model=Mine(), pip_requirements=["cloudpickle"]
    )
    opened = load.opened(tmp_path / "model", allow_code=True)
    with pytest.raises(UsageError, match="a class with a predict can't be exported"):
        exporting.export(opened, tmp_path / "exported", allow_code=True)
    assert not (tmp_path / "exported").exists()
