"""What a container may see and be told, and what is asked and refused before; needs no engine."""

from __future__ import annotations

import os
import shutil
import sys
import tarfile
from pathlib import Path, PurePosixPath

import pytest

from gitml import git
from gitml.containers.engine import check_is_here
from gitml.errors import FormatError, UsageError
from gitml.projects import confinement, known, mlproject, packing, parameters
from gitml.projects.confinement import Mount
from gitml.projects.dockerfile import dockerfile
from gitml.projects.image import Wish
from gitml.projects.mlproject import DockerEnv, Project
from tests import projects
from tests.cli import Caller
from tests.conftest import new_repository, run_git

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="the paths are Linux's")

IMAGE = "docker_env: {image: some/image}\n"


def refused(
    folder: Path, arguments: dict[str, object] | None = None, wish: Wish | None = None
) -> str:
    """What is said of a project that can't be confined so."""
    with pytest.raises(UsageError) as error:
        confinement.prepare(mlproject.read(folder), wish or Wish(), arguments or {}, (), None)
    return str(error.value)


@pytest.fixture
def call(capsys: pytest.CaptureFixture[str]) -> Caller:
    """Call the command line."""
    return Caller(capsys)


# -- whether -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("file", "backend", "manager", "confined"),
    [
        (IMAGE, "local", None, True),
        (IMAGE, "docker", None, True),
        (IMAGE, "local", "local", False),
        ("name: x\n", "local", None, False),
        ("name: x\n", "docker", None, True),
    ],
)
def test_what_runs_in_a_container(
    file: str, backend: str, manager: str | None, confined: bool, tmp_path: Path
) -> None:
    """A project that names an image, as in MLflow, and any other with the backend docker."""
    project = mlproject.read(projects.write(tmp_path, {"MLproject": file}))
    assert confinement.is_wanted(project, backend, manager) is confined


def test_a_container_has_no_manager_of_environments(tmp_path: Path) -> None:
    """Both of these are a mistake of the user's."""
    project = mlproject.read(projects.write(tmp_path, {"MLproject": IMAGE}))
    with pytest.raises(UsageError, match="names the image 'some/image'; leave --env-manager out"):
        confinement.is_wanted(project, "local", "uv")
    with pytest.raises(UsageError, match="in a container there is no 'conda'"):
        confinement.is_wanted(Project(tmp_path), "docker", "conda")


def test_where_no_engine_answers_nothing_runs(
    repo: Path, call: Caller, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One line says so, and what to do instead."""
    projects.write(repo, {"MLproject": f"{IMAGE}entry_points: {{main: {{command: 'true'}}}}\n"})
    (tmp_path / "bin").mkdir()
    for program in ("git", "bash"):
        (tmp_path / "bin" / program).symlink_to(str(shutil.which(program)))
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    said = call("run", ".", code=2).err
    assert said == (
        "gitml: no container engine answers: neither docker nor podman is installed; start one, or"
        " run it on this machine (--env-manager local)\n"
    )
    (repo / "MLproject").unlink()
    said = call("run", ".", "-e", "train.py", "--backend", "docker", code=2).err
    assert said.endswith("start one, or run it without --backend docker\n")
    assert projects.runs(repo) == []


def test_an_engine_elsewhere_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """It can't see the folder that a run is recorded in."""
    monkeypatch.setenv("DOCKER_HOST", "ssh://ada@build.example")
    with pytest.raises(
        UsageError, match=r"docker is on another machine .*'ssh://ada@build.example'"
    ):
        check_is_here("docker")
    monkeypatch.setenv("DOCKER_HOST", "unix:///run/docker.sock")
    check_is_here("docker")


# -- what the engine is told ---------------------------------------------------------------


@pytest.mark.parametrize("name", ["name", "t", "tty", "pid", "w", "workdir", "rm", "d"])
def test_options_that_are_gitmls_own_are_refused(name: str, tmp_path: Path) -> None:
    """With them a run could not be watched, ended or recorded."""
    projects.write(tmp_path, {"MLproject": IMAGE})
    assert refused(tmp_path, {name: True}) == (
        f"gitml sets the option {name} of docker run itself; leave it out"
    )


@pytest.mark.parametrize("name", ["--rm", "-v", "a b", "", "net=host", "x\n"])
def test_the_name_of_an_option_is_a_word(name: str, tmp_path: Path) -> None:
    """Nothing else gets on the engine's command line."""
    projects.write(tmp_path, {"MLproject": IMAGE})
    assert "is no option of docker run" in refused(tmp_path, {name: "x"})


def test_options_are_one_word_each() -> None:
    """As MLflow makes them: a flag, a long or a short name with a value."""
    given = {"gpus": "all", "init": True, "m": "64m", "shm-size": "--x"}
    words = ["--gpus=all", "--init", "-m", "64m", "--shm-size=--x"]
    assert list(confinement._arguments(given)) == words


def test_a_variable_that_the_caller_has_not_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in MLflow. Values of the caller's stay out of the command line, which others can read."""
    text = "docker_env: {image: x, environment: [[A, '1; b'], MINE]}\n"
    projects.write(tmp_path, {"MLproject": text})
    monkeypatch.delenv("MINE", raising=False)
    assert "takes the variable MINE from you, and it is not set" in refused(tmp_path)
    monkeypatch.setenv("MINE", "secret")
    named = mlproject.read(tmp_path).environment
    assert isinstance(named, DockerEnv)
    assert list(confinement._variables(named)) == ["--env=A=1; b", "--env=MINE"]


@pytest.mark.parametrize(
    "text",
    [
        "image: --privileged",
        "image: -v",
        "image: 'a b'",
        "image: ''",
        "image: x, volumes: ['-v/:/x']",
        "image: x, volumes: ['--privileged']",
        "image: x, environment: ['A=B']",
        "image: x, environment: ['-e']",
        "image: x, environment: [['A B', c]]",
        "image: x, environment: ['']",
        "image: x, privileged: true",
    ],
)
def test_what_is_no_image_volume_or_variable_is_refused(text: str, tmp_path: Path) -> None:
    """Before anything else is done, with its place in the file."""
    projects.write(tmp_path, {"MLproject": f"docker_env: {{{text}}}\n"})
    with pytest.raises(FormatError, match=r"^MLproject: line 1, column "):
        mlproject.read(tmp_path)


def test_a_mount_is_one_word_whatever_the_path_is() -> None:
    """A colon and a comma mean something to an engine."""
    plain = Mount(Path("/a, b"), PurePosixPath("/x"))
    assert plain.option == "--volume=/a, b:/x:ro"
    odd = Mount(Path('/a:b,"c"'), PurePosixPath("/x"), read_only=False)
    assert odd.option == '--mount=type=bind,"source=/a:b,""c""",target=/x'


def test_a_volume_is_seen_from_the_project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is no place of this machine is left to the engine."""
    monkeypatch.setenv("HOME", "/home/ada")
    volumes = {
        "/data:/data:ro": "/data:/data:ro",
        "./data:/data": f"{tmp_path}/data:/data",
        "../up:/up": f"{tmp_path.parent}/up:/up",
        "~/x:/x": "/home/ada/x:/x",
        "named:/x": "named:/x",
        "/scratch": "/scratch",
    }
    for text, expected in volumes.items():
        assert confinement._volume(text, tmp_path) == expected


# -- strangers -----------------------------------------------------------------------------


def test_what_leads_out_of_a_project_is_access_to_this_machine(tmp_path: Path) -> None:
    """Volumes of the project's own files, and new ones, are none."""
    volumes = ("./data:/d", "/scratch", "/etc:/e", "../up:/u", "./a/../../up:/v", "~/x:/x", "db:/x")
    environment = (("A", "1"), ("TOKEN", None))
    project = Project(tmp_path, environment=DockerEnv("x", volumes, environment))
    assert confinement.access(project) == (
        "volume /etc:/e",
        "volume ../up:/u",
        "volume ./a/../../up:/v",
        "volume ~/x:/x",
        "volume db:/x",
        "variable TOKEN",
    )


def test_a_stranger_who_wants_more_is_asked_for_again(repo: Path, tmp_path: Path) -> None:
    """To be known is not to have every volume and variable from then on."""
    theirs = new_repository(tmp_path / "theirs")
    projects.gitml("run", theirs.as_uri(), "-e", "train.py", "--yes")
    text = "docker_env: {image: some/image, volumes: ['/:/host'], environment: [TOKEN]}\n"
    projects.write(theirs, {"MLproject": text})
    run_git(theirs, "add", ".")
    run_git(theirs, "commit", "--quiet", "--message", "More")
    said = projects.gitml("run", theirs.as_uri(), "-e", "train.py", code=2).stderr.decode()
    assert "runs with --yes only" in said
    assert "image        some/image" in said
    assert "would get    volume /:/host" in said
    assert "would get    variable TOKEN" in said
    place = git.find(repo)
    known.remember(theirs.as_uri(), ("volume /:/host",))
    assert known.is_known(place, theirs.as_uri(), ("volume /:/host",))
    assert not known.is_known(place, theirs.as_uri(), ("volume /:/host", "variable TOKEN"))


def test_the_default_of_a_strangers_path_is_in_his_project(tmp_path: Path) -> None:
    """What the caller gives may be anywhere."""
    text = (
        "entry_points: {main: {parameters: {p: {type: path, default: PATH}}, command: 'cat {p}'}}"
    )
    for default, inside in (("data.csv", True), ("/etc/hostname", False), ("../x", False)):
        files = {"MLproject": text.replace("PATH", default), "data.csv": "", "../x": ""}
        entry = mlproject.read(projects.write(tmp_path / "his", files)).entry_point()
        told = parameters.values(entry.parameters, {}, tmp_path / "his")
        if inside:
            mounts, seen = confinement.data(entry, told, ["p"], tmp_path / "his")
            assert mounts[0].source == tmp_path / "his" / "data.csv"
            assert seen.declared == {"p": "/gitml/data/0/data.csv"}
        else:
            with pytest.raises(UsageError, match="default of the parameter 'p' is outside the"):
                confinement.data(entry, told, ["p"], tmp_path / "his")
            assert len(confinement.data(entry, told, [], tmp_path / "his")[0]) == 1


# -- the code ------------------------------------------------------------------------------


def test_what_goes_into_a_container(repo: Path, tmp_path: Path) -> None:
    """What git has or would have: with inner repositories, without ignored and deleted files."""
    projects.write(repo, {".gitignore": "*.env\n", "a.env": "x", "part/b.py": "", "gone.py": ""})
    run_git(repo, "add", ".")
    (repo / "gone.py").unlink()
    (repo / "link").symlink_to("part")
    os.mkfifo(repo / "pipe")
    new_repository(repo / "inner")
    names = [".gitignore", "inner/train.py", "link", "part/b.py", "train.py"]
    assert packing.listed(repo) == names
    assert packing.listed(repo / "part") == ["b.py"]
    plain = projects.write(tmp_path / "plain", {"x.py": "", "deep/y.py": ""})
    assert packing.listed(plain) == ["deep/y.py", "x.py"]


def test_an_archive_is_the_users(repo: Path) -> None:
    """Each file and folder is his, and he may write all of it; programs stay programs."""
    projects.write(repo, {"part/run.sh": "exit\n"})
    (repo / "part" / "run.sh").chmod(0o500)
    with (
        packing.archive(repo, PurePosixPath("/a/code"), (12, 34)) as file,
        tarfile.open(fileobj=file) as packed,
    ):
        found = {entry.name: entry for entry in packed}
    assert list(found) == ["a/code", "a/code/part", "a/code/part/run.sh", "a/code/train.py"]
    assert {(entry.uid, entry.gid) for entry in found.values()} == {(12, 34)}
    modes = [oct(entry.mode) for entry in found.values()]
    assert modes == ["0o777", "0o777", "0o766", "0o666"]


def test_the_name_of_a_built_image_is_its_content(repo: Path, tmp_path: Path) -> None:
    """Equal files have one name, whatever their times; a change of content or mode another."""
    first = packing.copy(repo, tmp_path / "1")
    os.utime(repo / "train.py", (1, 1))
    assert packing.copy(repo, tmp_path / "2") == first
    (repo / "train.py").chmod(0o755)
    second = packing.copy(repo, tmp_path / "3")
    assert second != first
    (repo / "train.py").write_text("")
    assert packing.copy(repo, tmp_path / "4") not in (first, second)


def test_what_changes_often_comes_late() -> None:
    """Packages are a layer before gitml, and the image gets its own user back."""
    text = dockerfile("base", "gitml.whl", build_tools=True, libraries=["b", "a"], user="app")
    parts = (
        "FROM base",
        "apt-get",
        "a b ",
        "build.txt",
        "requirements.txt",
        "--no-deps",
        "USER app",
    )
    places = [text.rindex(part) for part in parts]
    assert places == sorted(places)
    assert dockerfile("base", None, user="a b\nRUN x").count("USER") == 1
