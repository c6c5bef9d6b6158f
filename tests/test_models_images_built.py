"""Images of models as a real engine builds and runs them; without an engine these are skipped."""

from __future__ import annotations

import json
import re
import shutil
import socket
import subprocess
import time
import urllib.request
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from sklearn.linear_model import LinearRegression

import gitml
import gitml.pyfunc
import gitml.sklearn
from gitml.environments import BuildError
from gitml.models import infer_signature
from gitml.models.images import Recipe, build_docker, find_engine
from gitml.version import __version__
from tests import serving
from tests.cli import Caller
from tests.conftest import Git
from tests.containers import ask, described, engine_or_skip

ROWS = pd.DataFrame({"a": [0.0, 1.5, -2.0], "b": [1.0, 0.25, 3.0]})
BODY = json.dumps({"dataframe_split": ROWS.to_dict("split")}).encode()
HOST = ("--network", "host")


@pytest.fixture
def image(index: None) -> Iterator[str]:
    """A name for an image, which goes with the test; skips where no engine answers."""
    engine = engine_or_skip()
    name = f"gitml-test-{uuid.uuid4().hex[:12]}:v1"
    yield name
    subprocess.run([engine, "image", "rm", "--force", name], capture_output=True, check=False)


@pytest.fixture
def container(image: str) -> Iterator[str]:
    """A name for a container, which goes with the test."""
    name = image.partition(":")[0]
    yield name
    subprocess.run([find_engine(), "rm", "--force", name], capture_output=True, check=False)


@pytest.fixture
def call(capsys: pytest.CaptureFixture[str]) -> Caller:
    """Call the command line."""
    return Caller(capsys)


def asked(url: str, body: bytes | None = None) -> Any:
    """The JSON, if it is any, that a server answers."""
    kind = {"Content-Type": "application/json", "Accept": "application/json"}
    with urllib.request.urlopen(urllib.request.Request(url, body, kind), timeout=60) as answer:
        text = answer.read()
    return json.loads(text) if text.strip() else None


def until(is_so: Callable[[], bool]) -> None:
    """Wait; a test's own time limit ends it."""
    while not is_so():
        time.sleep(0.1)


def is_up(url: str) -> bool:
    """Whether a server answers."""
    try:
        asked(f"{url}/ping")
    except OSError:
        return False
    return True


def logged(slope: float) -> Any:
    """A run with a model that is not the same for another slope; the model's description."""
    model = LinearRegression().fit(ROWS, slope * ROWS["a"] + ROWS["b"])
    with gitml.start_run():
        return gitml.sklearn.log_model(
            model, name="model", signature=infer_signature(ROWS, model.predict(ROWS))
        )


# -- a model of a run ----------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_the_image_of_a_model_serves_it(
    repo: Path, git: Git, call: Caller, image: str, container: str
) -> None:
    """It says what it holds, answers as the model does here, has no rights, and stops in order."""
    logged_model = logged(2.0)
    made = call("models", "build-docker", "-m", logged_model.model_uri, "-n", image, *HOST)
    identity = made.out.strip()
    assert re.fullmatch(r"(sha256:)?[0-9a-f]{64}", identity)
    assert re.search(rf"^{image} has [0-9.]+ [MG]B$", made.err, re.MULTILINE)
    version = {
        "gitml_version": __version__,
        "model": "model",
        "version": None,
        "run_id": logged_model.run_id,
        "digest": gitml.get_run(logged_model.run_id).record.models["model"]["digest"],
        "model_uuid": logged_model.model_uuid,
    }
    labels = described(image)["Config"]["Labels"]
    assert labels["org.opencontainers.image.revision"] == git("rev-parse", "HEAD")
    assert labels["org.opencontainers.image.title"] == "model"
    assert labels["gitml.digest"] == version["digest"]
    assert labels["gitml.run_id"] == version["run_id"]
    assert labels["gitml.version"] == version["gitml_version"]

    url = started(image, container)
    until(lambda: is_up(url))
    assert asked(f"{url}/version") == version
    expected = gitml.pyfunc.load_model(logged_model.model_uri).predict(ROWS)
    assert asked(f"{url}/invocations", BODY)["predictions"] == pytest.approx(expected.tolist())
    check_rights(container)
    check_packages(container)
    ask("exec", container, *described(container)["Config"]["Healthcheck"]["Test"][1:])
    check_stop(container, url, expected.tolist())

    changed = call(*("models", "build-docker", "-m", logged(3.0).model_uri, "-n", image, *HOST))
    ask("image", "rm", "--force", identity)  # which has no name any more
    assert changed.out.strip() != identity
    assert not re.search(r"Collecting|Downloading", changed.err)
    assert len(re.findall(r"Using cache|CACHED", changed.err)) > 5


def started(image: str, container: str, *options: str) -> str:
    """The URL of a container of an image; nothing can be written in it."""
    place = ("--publish", "127.0.0.1::8080", "--read-only", "--name", container)
    ask("run", "--detach", *place, *options, image)
    return f"http://{ask('port', container, '8080').splitlines()[0]}"


def metrics(url: str) -> str:
    """What the server counts."""
    with urllib.request.urlopen(f"{url}/metrics", timeout=60) as answer:
        return str(answer.read().decode())


def health(container: str) -> str:
    """What the engine says of a container's health."""
    if podman := shutil.which("podman"):  # which has its checks made by systemd, if that is there
        subprocess.run([podman, "healthcheck", "run", container], capture_output=True, check=False)
    return str(described(container)["State"]["Health"]["Status"])


def check_rights(container: str) -> None:
    """What runs is no root, and reads its model but can't change it."""
    told = (
        "import os; print(os.getuid(), os.getgid(), os.access('/opt/model/MLmodel', os.R_OK),"
        " os.access('/opt/model', os.W_OK))"
    )
    assert ask("exec", container, "python", "-c", told) == "10001 10001 True False"


def check_packages(container: str) -> None:
    """gitml is there without what only recording needs, and all requirements are met."""
    assert ask("exec", container, "python", "-m", "gitml", "--version") == f"gitml {__version__}"
    assert "No broken requirements" in ask("exec", container, "python", "-m", "pip", "check")
    found = "import importlib.util as u; print(u.find_spec('dvc'), u.find_spec('git'))"
    assert ask("exec", container, "python", "-c", found) == "None None"


def check_stop(container: str, url: str, expected: list[float]) -> None:
    """A request of which half has arrived when the container is stopped is answered."""
    host, _, port = url.removeprefix("http://").partition(":")
    with socket.create_connection((host, int(port)), timeout=60) as connection:
        connection.sendall(serving.head(len(BODY)) + BODY[:10])
        until(lambda: "gitml_requests_in_flight 2" in metrics(url))  # this one, and that for it
        stopping = subprocess.Popen([find_engine(), "stop", "-t", "120", container])
        until(lambda: not is_up(url))
        connection.sendall(BODY[10:])
        with connection.makefile("rb") as file:
            answer = serving.read_answer(file)
    assert answer is not None
    assert answer.json == {"predictions": pytest.approx(expected)}
    assert stopping.wait(150) == 0
    assert described(container)["State"]["ExitCode"] == 0  # 137, had it been killed


# -- other models --------------------------------------------------------------------------


@pytest.fixture
def small(tmp_path: Path) -> Path:
    """A model of a function, which needs few packages."""
    return serving.save("total", tmp_path / "model")


@pytest.mark.slow
def test_the_engine_finds_the_container_healthy(small: Path, image: str, container: str) -> None:
    """The check that the image brings is one that the engine makes."""
    made = build_docker(small, image, network="host", allow_code=True)
    assert made.size > described("python:3.11-slim")["Size"]
    url = started(image, container, "--health-interval", "1s")
    until(lambda: is_up(url))
    until(lambda: health(container) == "healthy")


@pytest.mark.slow
def test_a_build_that_fails_says_why(small: Path, image: str) -> None:
    """The engine's own words are the error, in one line."""
    recipe = Recipe(base="localhost/gitml-no-such-base:v0")
    with pytest.raises(BuildError) as failed:
        build_docker(small, image, recipe, network="host")
    message = str(failed.value)
    assert f"could not build {image}: " in message
    assert "gitml-no-such-base" in message
    assert message.isprintable()
