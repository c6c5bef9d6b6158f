"""Images of models: what the Dockerfile says, what is beside it, and what really comes of it."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest

from gitml.environments import BuildError
from gitml.errors import UsageError
from gitml.models.images import (
    Identity,
    Image,
    Recipe,
    build_docker,
    dockerfile,
    find_engine,
    generate_dockerfile,
)
from gitml.models.images.dockerfile import SERVE
from gitml.version import __version__

IDENTITY = Identity(
    title="churn",
    version="v1.2.0",
    revision="4be1c0ffee",
    run_id="0192f0",
    digest="sha256:12ab",
    created="2026-01-31T08:15:30Z",
)
SETTLED = Recipe(identity=IDENTITY, base="python:3.11-slim")
WHEEL = "gitml-1.0-py3-none-any.whl"


def instructions(text: str) -> list[tuple[str, str]]:
    """The instructions of a Dockerfile with what follows them, continued lines put together."""
    joined = re.sub(r"^#.*\n", "", text, flags=re.MULTILINE).replace("\\\n", " ")
    split = (line.split(None, 1) for line in joined.splitlines() if line.strip())
    return [(name, " ".join(rest.split())) for name, rest in split]


def only(text: str, name: str) -> str:
    """The one instruction of a name."""
    (found,) = [rest for instruction, rest in instructions(text) if instruction == name]
    return found


# -- the Dockerfile ------------------------------------------------------------------------


def test_what_changes_often_comes_late() -> None:
    """Requirements are a layer before gitml, gitml one before the model, labels come last."""
    text = dockerfile(SETTLED, WHEEL)
    order = [
        text.index(part)
        for part in (
            "FROM python:3.11-slim\n",
            "COPY requirements.txt ./",
            "--requirement requirements.txt",
            f"COPY {WHEEL} ./",
            f"--no-deps ./{WHEEL}",
            "COPY model /opt/model",
            "LABEL ",
        )
    ]
    assert order == sorted(order)


def test_the_server_is_the_process_that_gets_the_signal() -> None:
    """The command is a list of words, so that no shell stands before the server."""
    command = json.loads(only(dockerfile(SETTLED, WHEEL), "ENTRYPOINT"))
    assert (
        command
        == (
            "python -m gitml models serve --model-uri /opt/model --host 0.0.0.0 --port 8080"
            " --allow-code"
        ).split()
    )
    recipe = replace(SETTLED, arguments=("--workers", "2"))
    assert json.loads(only(dockerfile(recipe, WHEEL), "ENTRYPOINT")) == [*SERVE, "--workers", "2"]


def test_what_runs_has_no_rights() -> None:
    """The user is a number that is not root's, set after the last instruction that needs rights."""
    listed = instructions(dockerfile(SETTLED, WHEEL))
    names = [name for name, _ in listed]
    user, group = only(dockerfile(SETTLED, WHEEL), "USER").split(":")
    assert int(user) > 0
    assert int(group) > 0
    assert set(names[names.index("USER") + 1 :]) == {"EXPOSE", "HEALTHCHECK", "ENTRYPOINT"}


def test_health_is_asked_for_without_another_program() -> None:
    """The check needs only the Python that is there; output is seen when it is written."""
    text = dockerfile(SETTLED, WHEEL)
    check = only(text, "HEALTHCHECK")
    command = json.loads(check[check.index("CMD") + 3 :])
    assert command[:2] == ["python", "-c"]
    compile(command[2], "check", "exec")
    assert only(text, "EXPOSE") == "8080"
    assert "PYTHONUNBUFFERED=1" in only(text, "ENV").split()


def test_labels_say_what_is_in_an_image() -> None:
    """Each field that is known is a label by its standard name; an unknown one is none."""
    assert labels(dockerfile(SETTLED, WHEEL)) == {
        "org.opencontainers.image.title": "churn",
        "org.opencontainers.image.version": "v1.2.0",
        "org.opencontainers.image.revision": "4be1c0ffee",
        "org.opencontainers.image.created": "2026-01-31T08:15:30Z",
        "gitml.run_id": "0192f0",
        "gitml.digest": "sha256:12ab",
        "gitml.version": __version__,
    }
    bare = dockerfile(replace(SETTLED, identity=Identity()), WHEEL)
    assert labels(bare) == {"gitml.version": __version__}


def labels(text: str) -> dict[str, str]:
    """The labels of a Dockerfile as they are written."""
    return dict(re.findall(r'(\S+)="((?:[^"\\]|\\.)*)"', only(text, "LABEL")))


def test_a_label_is_text_and_nothing_else() -> None:
    """Quotes, back slashes and variables in a value stay what they are."""
    text = dockerfile(replace(SETTLED, identity=Identity(title='a"b\\c$HOME')), WHEEL)
    assert labels(text)["org.opencontainers.image.title"] == r"a\"b\\c\$HOME"


@pytest.mark.parametrize("name", [field.name for field in fields(Identity)])
def test_a_label_can_not_begin_an_instruction(name: str) -> None:
    """A value of more than one line is refused, wherever it stands."""
    hostile = Identity(**{name: "a\nRUN touch /x"})
    with pytest.raises(UsageError, match="can't be a label"):
        dockerfile(replace(SETTLED, identity=hostile), WHEEL)


@pytest.mark.parametrize(
    "change",
    [
        {"base": "python\nRUN touch /x"},
        {"base": "python as x"},
        {"base": "--platform=x python"},
        {"base": ""},
        {"base": "$BASE"},
        {"libraries": ("libgomp1; touch /x",)},
        {"libraries": ("--allow-unauthenticated",)},
        {"libraries": ("libgomp1\nRUN touch /x",)},
    ],
)
def test_a_recipe_can_not_say_more_than_it_means(change: dict[str, Any]) -> None:
    """Names of images and packages are names, and no words of a command."""
    with pytest.raises(UsageError, match=r"is not (the name of an image|a package of Debian)$"):
        dockerfile(replace(SETTLED, **change), WHEEL)


def test_a_command_is_words_whatever_they_hold() -> None:
    """Nothing in an argument is expanded or ends the line."""
    words = ('a"b', "c\nRUN touch /x", "$HOME", "`d`", "\\")
    text = dockerfile(replace(SETTLED, command=("serve",), arguments=words), WHEEL)
    assert json.loads(only(text, "ENTRYPOINT")) == ["serve", *words]
    assert [name for name, _ in instructions(text)].count("RUN") == 2


def test_a_base_may_be_fixed_by_its_digest() -> None:
    """Any image that has a python can be the base, by tag or by digest."""
    base = "registry.example:5000/team/python:3.11-slim@sha256:" + "0" * 64
    assert only(dockerfile(replace(SETTLED, base=base), WHEEL), "FROM") == base


VARIANTS = {
    "plain": (SETTLED, WHEEL, False),
    "with build tools": (SETTLED, WHEEL, True),
    "with libraries": (replace(SETTLED, libraries=("libgomp1", "libxml2")), WHEEL, True),
}


@pytest.mark.parametrize(("recipe", "wheel", "tools"), VARIANTS.values(), ids=VARIANTS.keys())
def test_hadolint_has_nothing_to_say(
    recipe: Recipe, wheel: str, tools: bool, tmp_path: Path
) -> None:
    """The linter of Dockerfiles finds no fault."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    program = shutil.which("hadolint", path=path)
    if program is None:
        pytest.skip("hadolint is not installed")
    file = tmp_path / "Dockerfile"
    file.write_text(dockerfile(recipe, wheel, build_tools=tools))
    done = subprocess.run([program, file], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "")


# -- the folder ----------------------------------------------------------------------------

FILES = {
    "MLmodel": "flavors: {}\n",
    "python_env.yaml": "python: 3.11.7\nbuild_dependencies: [pip==23.2.1, setuptools==65.5.0]\n"
    "dependencies: [-r requirements.txt]\n",
    "requirements.txt": f"orjson==3.11.5\ngitml=={__version__}\n",
    "code/own.py": "",
}


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A model folder; one of its files may be read by its owner only."""
    folder = tmp_path / "model"
    for name, text in FILES.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    (folder / "MLmodel").chmod(0o600)
    return folder


def pinned(text: str) -> dict[str, str]:
    """The packages of a requirements file that have one version, by name."""
    return dict(re.findall(r"^([a-z0-9-]+)==(\S+)", text, re.MULTILINE))


def test_everything_in_the_folder_is_fixed(
    model: Path, tmp_path: Path, index: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The model's and the server's packages have a version and a digest each; DVC is not there."""
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1769847330")
    file = generate_dockerfile(model, tmp_path / "out" / "context")
    assert file == tmp_path / "out" / "context" / "Dockerfile"
    wheel = f"gitml-{__version__}+serving-py3-none-any.whl"
    names = {path.name for path in file.parent.iterdir()}
    assert names == {".dockerignore", "Dockerfile", "build.txt", "model", "requirements.txt", wheel}
    locked = (file.parent / "requirements.txt").read_text()
    packages = pinned(locked)
    assert packages["orjson"] == "3.11.5"
    assert {"starlette", "uvicorn", "numpy", "pandas"} <= set(packages)
    assert not {"gitml", "dvc", "gitpython"} & set(packages)
    assert len(re.findall(r"^[a-z]", locked, re.MULTILINE)) == len(packages)
    assert locked.count("--hash=sha256:") >= len(packages)
    assert (file.parent / "build.txt").read_text() == "setuptools==65.5.0\n"
    assert "FROM python:3.11-slim\n" in file.read_text()
    assert labels(file.read_text())["org.opencontainers.image.created"] == "2026-01-31T08:15:30Z"
    for name in FILES:
        copy = file.parent / "model" / name
        assert copy.read_bytes() == (model / name).read_bytes()
        assert sys.platform == "win32" or copy.stat().st_mode & 0o777 == 0o644


def test_the_same_model_gives_the_same_folder(
    model: Path, tmp_path: Path, index: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the time given, two folders of a model are equal in every byte."""
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "0")
    one, two = (generate_dockerfile(model, tmp_path / name).parent for name in ("one", "two"))
    contents = [
        {
            path.relative_to(folder): path.read_bytes()
            for path in folder.rglob("*")
            if path.is_file()
        }
        for folder in (one, two)
    ]
    assert contents[0] == contents[1]


def test_a_library_that_a_package_needs_is_installed(
    model: Path, tmp_path: Path, index: None
) -> None:
    """LightGBM's wheel needs a library that a slim image does not have; a recipe may say else."""
    (model / "requirements.txt").write_text("lightgbm==4.6.0\n")
    assert "libgomp1" in generate_dockerfile(model, tmp_path / "a").read_text()
    other = generate_dockerfile(model, tmp_path / "b", Recipe(base="team/base:1", libraries=()))
    assert "apt-get" not in other.read_text()
    assert "FROM team/base:1\n" in other.read_text()


@pytest.mark.parametrize("allow_code", [False, True])
def test_gitml_never_comes_from_an_index(
    model: Path, tmp_path: Path, index: None, allow_code: bool
) -> None:
    """A model that names another gitml gets the running one: anybody may have registered that."""
    (model / "requirements.txt").write_text("GitML[x]==99.0\norjson==3.11.5\n")
    (model / "python_env.yaml").write_text(
        "python: 3.11.7\nbuild_dependencies: [setuptools, gitml]\n"
        "dependencies: [-r requirements.txt]\n"
    )
    file = generate_dockerfile(model, tmp_path / "out", allow_code=allow_code)
    assert f"./gitml-{__version__}+serving-py3-none-any.whl" in file.read_text()
    for name in ("requirements.txt", "build.txt"):
        assert "gitml" not in (file.parent / name).read_text().lower()


def test_requirements_that_fit_no_version_leave_nothing(
    model: Path, tmp_path: Path, index: None
) -> None:
    """The folder is whole or not there."""
    (model / "requirements.txt").write_text("numpy==99.0\n")
    with pytest.raises(BuildError, match=r"there is no version of numpy==99\.0"):
        generate_dockerfile(model, tmp_path / "out")
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


def test_a_folder_that_is_there_is_left_alone(model: Path, tmp_path: Path) -> None:
    """Nothing is written over, and nothing beside what somebody has."""
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "notes.txt").write_text("mine")
    with pytest.raises(UsageError, match="is there already; name a new folder"):
        generate_dockerfile(model, tmp_path / "out")
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["notes.txt"]


@pytest.mark.parametrize(
    ("files", "allow", "message"),
    [
        ({"requirements.txt": "-i https://packages.example/simple\n"}, False, "allow_code"),
        ({"requirements.txt": "./package\n"}, True, "is on this machine only"),
        ({"requirements.txt": "-e .\n"}, True, "is on this machine only"),
        ({"requirements.txt": "a @ file:///tmp/a.whl\n"}, True, "is on this machine only"),
        ({"python_env.yaml": "python: '>=3.98'\n"}, False, "write one version of it"),
    ],
)
def test_what_an_image_can_not_hold_is_refused(
    files: dict[str, str], allow: bool, message: str, model: Path, tmp_path: Path
) -> None:
    """Other indexes need leave, folders of this machine can't be there, a Python must be one."""
    for name, text in files.items():
        (model / name).write_text(text)
    with pytest.raises(UsageError, match=message):
        generate_dockerfile(model, tmp_path / "out", allow_code=allow)
    assert not (tmp_path / "out").exists()


def test_only_a_model_becomes_an_image(tmp_path: Path) -> None:
    """A folder without MLmodel is none, and a platform is one of two."""
    with pytest.raises(UsageError, match="is no model: it has no file MLmodel"):
        generate_dockerfile(tmp_path, tmp_path / "out")


def test_a_platform_is_one_that_images_have(model: Path, tmp_path: Path) -> None:
    """A platform that no server has is refused before anything is resolved."""
    with pytest.raises(UsageError, match="'windows/amd64' is no platform for images"):
        generate_dockerfile(model, tmp_path / "out", Recipe(platform="windows/amd64"))


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes here")
@pytest.mark.parametrize("kind", ["link to a file", "link to a folder", "pipe"])
def test_a_model_can_not_bring_files_of_this_machine(
    kind: str, model: Path, tmp_path: Path, index: None
) -> None:
    """A link that leads out of the model and what is no file are refused, not copied."""
    if kind == "pipe":
        os.mkfifo(model / "weights")
    else:
        (model / "weights").symlink_to("/etc/passwd" if kind == "link to a file" else "/etc")
    with pytest.raises(UsageError, match=r"leads out of the model|is no file"):
        generate_dockerfile(model, tmp_path / "out")
    assert not (tmp_path / "out").exists()


# -- engines -------------------------------------------------------------------------------


def _engine(folder: Path, name: str, script: str) -> None:
    program = folder / name
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)


@pytest.mark.skipif(sys.platform == "win32", reason="the stand-in is a shell script")
def test_where_no_engine_answers_it_is_told(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What each engine says, and what can be done instead, in one line."""
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UsageError, match="neither docker nor podman is installed; start one"):
        build_docker(model, "churn")
    _engine(tmp_path, "docker", "echo 'error: cannot connect to the daemon' >&2; exit 1")
    with pytest.raises(UsageError) as refused:
        build_docker(model, "churn")
    assert str(refused.value) == (
        "no container engine answers: docker says 'cannot connect to the daemon'; start one, or"
        " write the files for one elsewhere (gitml models generate-dockerfile)"
    )
    _engine(tmp_path, "podman", "exit 0")
    assert find_engine() == "podman"


@pytest.mark.parametrize("name", ["", "-t", "Churn", "churn; x", "churn\nx", "a b"])
def test_the_name_of_an_image_is_no_option(name: str, model: Path) -> None:
    """What an engine could take for something else is refused."""
    with pytest.raises(UsageError, match="is no name for an image"):
        build_docker(model, name)


@pytest.mark.skipif(sys.platform == "win32", reason="the stand-in is a shell script")
def test_an_index_reaches_the_build_by_its_name_only(
    model: Path, tmp_path: Path, index: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Values stay out of the command line, and a password does not get into an image."""
    real = shutil.which("uv", path=str(Path(sys.executable).parent))
    assert real is not None
    _engine(tmp_path, "docker", f'echo "$@ = $PIP_EXTRA_INDEX_URL" >> {tmp_path}/said; echo id 1')
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}/bin{os.pathsep}/usr/bin")
    for name in ("PIP_INDEX_URL", "PIP_TRUSTED_HOST", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    monkeypatch.delenv("PIP_EXTRA_INDEX_URL", raising=False)
    monkeypatch.setenv("UV_INDEX", f"mine=file://{tmp_path}/simple")
    (tmp_path / "simple").mkdir()
    recipe = Recipe(platform="linux/amd64")
    assert build_docker(model, "churn:v1", recipe, network="host") == Image("id", 1)
    build = (tmp_path / "said").read_text().splitlines()[1]
    words, _, value = build.partition(" = ")
    assert words.startswith(
        "build --tag churn:v1 --network host --platform linux/amd64"
        " --build-arg PIP_EXTRA_INDEX_URL /"
    )
    assert value == f"file://{tmp_path}/simple"
    monkeypatch.setenv("PIP_INDEX_URL", "https://ada:secret@packages.example/simple")
    with pytest.raises(UsageError, match=r"^PIP_INDEX_URL holds a password, which would"):
        build_docker(model, "churn:v1")
