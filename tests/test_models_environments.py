"""A model's own environment: what may be installed for it, and commands that go on in there."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import urllib.request
from pathlib import Path

import psutil
import pytest

import gitml.sklearn
from gitml.environments import environments
from gitml.models.installs import spec_of
from tests import models, serving, wheelhouse
from tests.cli import Caller

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="stand-ins are shell scripts")

BODY = {"dataframe_split": {"columns": ["a", "b"], "data": [[1.5, 2.0]]}}

# What a stranger may ask for, as the files of a model that runs no code else.
HOSTILE: dict[str, dict[str, str]] = {
    "an editable folder": {"requirements.txt": "-e .\n"},
    "an editable repository": {"requirements.txt": "-e git+https://x.example/a.git#egg=a\n"},
    "a repository": {"requirements.txt": "a @ git+https://x.example/a.git\n"},
    "a folder with a setup.py": {"requirements.txt": "./\n", "setup.py": "SETUP"},
    "a source archive": {"requirements.txt": "./a-1.0.tar.gz\n"},
    "a wheel at a URL": {"requirements.txt": "https://x.example/a-1.0-py3-none-any.whl\n"},
    "a known name at a URL": {"requirements.txt": "numpy @ https://x.example/numpy.whl\n"},
    "another index": {"requirements.txt": "--index-url https://x.example/simple\nnumpy\n"},
    "one more index": {"requirements.txt": "numpy\n--extra-index-url=https://x.example/\n"},
    "links": {"requirements.txt": "-f https://x.example/\nnumpy\n"},
    "a host to trust": {"requirements.txt": "--trusted-host x.example\nnumpy\n"},
    "an option after a name": {"requirements.txt": "numpy --config-settings=a=b\n"},
    "a variable": {"requirements.txt": "${HOME}/a\n"},
    "another file": {"requirements.txt": "-r more.txt\n", "more.txt": "-e .\n"},
    "a file outside": {"requirements.txt": "-r ../more.txt\n"},
    "constraints at a URL": {"requirements.txt": "numpy\n-c https://x.example/c.txt\n"},
    "a package of anybody": {"requirements.txt": "numpy\nnumpi==1.0\n"},
    "a build tool of anybody": {"python_env.yaml": "build_dependencies: [setuptoolz]\n"},
    "a build tool at a URL": {"python_env.yaml": "build_dependencies: ['https://x.example/a']\n"},
    "an option of python_env": {"python_env.yaml": "dependencies: ['-e .']\n"},
    "a pip line of conda": {"conda.yaml": "dependencies: [python=3.11, pip, {pip: ['-e .']}]\n"},
    "pip's packages of anybody": {"conda.yaml": "dependencies: [pip, {pip: [numpi]}]\n"},
    "an option of conda's pip": {"conda.yaml": "dependencies: [{pip: ['-i https://x.example']}]\n"},
    "a channel at a URL": {"conda.yaml": "channels: ['https://x.example']\ndependencies: [pip]\n"},
    "a channel of anybody": {"conda.yaml": "channels: [stranger]\ndependencies: [numpy]\n"},
    "a package with a channel": {"conda.yaml": "dependencies: ['stranger::numpy']\n"},
    "a channel in brackets": {"conda.yaml": "dependencies: ['numpy[channel=stranger]']\n"},
    "a channel before a name": {"conda.yaml": "dependencies: ['numpy:x:stranger']\n"},
    "a conda package, whose scripts run": {"conda.yaml": "dependencies: [postlink-of-mine]\n"},
}  # fmt: skip
# What is no requirement for gitml, whoever wrote it.
NEVER = ("an option after a name", "constraints at a URL")
WAYS = {
    "serve with uv": ["serve", "--env-manager", "uv", "--port", "0"],
    "serve with conda": ["serve", "--env-manager", "conda", "--port", "0"],
    "predict with uv": ["predict", "--env-manager", "uv", "-i", "body.json"],
    "predict with conda": ["predict", "--env-manager", "conda", "-i", "body.json"],
    "generate-dockerfile": ["generate-dockerfile", "-d", "image"],
    "build-docker": ["build-docker", "-n", "stranger:v1"],
    "export to MLEM": ["export", "--to", "mlem", "image"],
    "build with MLEM": ["build", "--with", "mlem:whl", "-d", "image"],
}
CONDA = """#!/bin/sh
echo "$0 $*" >> {log}
while [ $# -gt 0 ]; do
  case $1 in
    --prefix) prefix=$2; shift;;
    --file) cat "$2" >> {log}; shift;;
  esac
  shift
done
mkdir -p "$prefix/bin"
cat > "$prefix/bin/python" <<'END'
#!/bin/sh
case "$*" in
  *"-m pip install"*) echo "pip $*" >> {log};;
  *) exec {python} "$@";;
esac
END
chmod +x "$prefix/bin/python"
"""


@pytest.fixture
def call(capsys: pytest.CaptureFixture[str]) -> Caller:
    """Call the command line."""
    return Caller(capsys)


@pytest.fixture
def log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What the stand-ins for conda and docker were asked, before all others on the PATH."""
    programs, log = tmp_path / "bin", tmp_path / "log"
    programs.mkdir()
    conda = CONDA.format(log=log, python=sys.executable)
    docker = f'#!/bin/sh\n[ "$1" = version ] || echo "docker $*" >> {log}\n'
    for name, text in (("micromamba", conda), ("docker", docker)):
        (programs / name).write_text(text)
        (programs / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "uv"))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "body.json").write_text(json.dumps(BODY))
    return log


def harmless(folder: Path, files: dict[str, str]) -> Path:
    """A model whose loading runs no code, and that describes its environment with these files."""
    gitml.sklearn.save_model(models.estimator(), folder, serialization_format="skops")
    for name in ("requirements.txt", "python_env.yaml", "conda.yaml"):
        (folder / name).unlink()
    for name, text in files.items():
        canary = f"open({str(folder.parent / 'canary')!r}, 'w').close()"
        (folder / name).write_text(text.replace("SETUP", canary))
    return folder


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", HOSTILE)
def test_nothing_of_a_strangers_is_installed(
    name: str, way: str, log: Path, call: Caller, tmp_path: Path
) -> None:
    """It is refused before any program is started, with the words that allow it, in every way."""
    folder = harmless(tmp_path / "model", HOSTILE[name])
    refused = call("models", *WAYS[way], "-m", folder, code=2)
    assert "--allow-code" in refused.err or name in NEVER
    assert not log.exists(), log.read_text()
    for left in ("canary", "uv", "image"):
        assert not (tmp_path / left).exists()
    assert environments() == ()


@pytest.mark.parametrize(
    "lines",
    [
        "scikit-learn==1.5.0\nskops>=0.10; python_version > '3.9'\n",
        "torch==2.4.0\nlightning\ncloudpickle\n",
        "Keras~=3.0\nTensorFlow_cpu\n",
        "xgboost-cpu\nlightgbm[scikit-learn]==4.6.0\npandas\n",
    ],
)
def test_what_is_well_known_is_not_asked_about(lines: str, tmp_path: Path) -> None:
    """The packages that models need are of the index, at whatever version."""
    spec = spec_of(harmless(tmp_path / "model", {"requirements.txt": lines}), allow_code=False)
    assert len(spec.requirements) == len(lines.splitlines())


# -- managers ------------------------------------------------------------------------------


def test_a_model_is_asked_in_an_environment_of_conda(log: Path, tmp_path: Path) -> None:
    """conda is given the model's own file, pip adds gitml, and the command goes on in there.

    The next time nothing is built.
    """
    folder = serving.save("total", tmp_path / "model")
    (folder / "conda.yaml").write_text(
        "channels: [conda-forge]\ndependencies: [python=3.11, numpy, pip, {pip: [anybodys]}]\n"
    )
    for _ in range(2):
        assert asked(folder, "conda") == {"predictions": [{"0": 3.5}]}
    told = log.read_text()
    assert told.count("micromamba create --prefix") == 1
    for line in ("- conda-forge", "- python=3.11", "- numpy", "- anybodys"):
        assert line in told
    assert told.count("-m pip install") == 1
    assert "+serving-py3-none-any.whl" in told
    (built,) = environments()
    assert built.manager == "conda"


def asked(folder: Path, manager: str) -> object:
    """What the command line predicts, as a process of its own."""
    command = [
        *(sys.executable, "-I", "-m", "gitml"),
        *("models", "predict", "--allow-code", "-i", "body.json"),
    ]
    done = subprocess.run(
        [*command, "--env-manager", manager, "-m", str(folder)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_modules_of_the_current_folder_are_not_run(log: Path, tmp_path: Path) -> None:
    """In a stranger's folder the command goes on with gitml, and with no module that lies there."""
    folder = serving.save("total", tmp_path / "model")
    for name in ("gitml", "click", "json"):
        (tmp_path / f"{name}.py").write_text("open('canary', 'w').close()\n")
    assert asked(folder, "conda") == {"predictions": [{"0": 3.5}]}
    assert not (tmp_path / "canary").exists()


def test_the_current_environment_is_the_default(log: Path, tmp_path: Path) -> None:
    """With `local` nothing is built."""
    assert asked(serving.save("total", tmp_path / "model"), "local") == {
        "predictions": [{"0": 3.5}]
    }
    assert environments() == ()
    assert not log.exists()


def test_without_conda_it_is_told_what_to_use(
    call: Caller, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The message names the programs that would do, and the manager that is there."""
    folder = serving.save("total", tmp_path / "model")
    monkeypatch.setenv("PATH", str(tmp_path))
    argv = ("models", "serve", "--env-manager", "conda", "--allow-code", "-m", folder)
    assert "use --env-manager uv" in call(*argv, code=2).err


@pytest.mark.slow
def test_a_model_is_asked_and_served_in_an_environment_of_uv(log: Path, tmp_path: Path) -> None:
    """Both commands share it, it is not this one, and the answer is the same."""
    wheelhouse.filled_cache(tmp_path / "uv")
    folder = serving.save("total", tmp_path / "model")
    assert asked(folder, "uv") == {"predictions": [{"0": 3.5}]}
    (built,) = environments()
    with serving.served(folder, "--env-manager=uv") as server:
        assert str(built.path) in " ".join(psutil.Process(server.process.pid).cmdline())
        url = f"http://127.0.0.1:{server.port}/invocations"
        kind = {"Content-Type": "application/json"}
        request = urllib.request.Request(url, json.dumps(BODY).encode(), kind)
        with urllib.request.urlopen(request, timeout=60) as answer:
            assert json.loads(answer.read()) == {"predictions": [{"0": 3.5}]}
    assert [it.path for it in environments()] == [built.path]
