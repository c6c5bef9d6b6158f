"""Environments are built once, whole, and used again; uv is real, and so are its packages."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from gitml import locks
from gitml.environments import Environment, Spec, environment, environments, prune, pythons, store
from gitml.environments.complaints import BuildError
from gitml.errors import StorageError, UsageError
from tests import wheelhouse
from tests.trainings import environment as variables

HERE = pythons.running().version
posix = pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGKILL")


@pytest.fixture
def house(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of packages, the only ones that uv can get."""
    folder = tmp_path / "house"
    wheelhouse.add_wheel(folder, "apple")
    wheelhouse.add_wheel(folder, "apple", "2.0")
    wheelhouse.add_wheel(folder, "pear", requires=["apple>=1"])
    for name in [name for name in os.environ if name.startswith(("UV_", "PIP_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("UV_FIND_LINKS", str(folder))
    monkeypatch.setenv("UV_OFFLINE", "1")
    return folder


def says(built: Environment, code: str) -> str:
    """What a program in an environment prints."""
    done = subprocess.run(
        [built.python, "-c", code], capture_output=True, text=True, check=False, cwd=built.path,
        env=built.variables(),
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def version_of(built: Environment, name: str) -> str:
    """The version of a package of an environment, as its module says it."""
    return says(built, f"import {name}; print({name}.__version__)")


def made() -> list[str]:
    """What stands in the folder of environments."""
    return sorted(path.name for path in store.folder().iterdir())


def until(true: Callable[[], object]) -> None:
    """Wait for something that another process does; a test's own time limit ends it."""
    while not true():
        time.sleep(0.01)


# -- once ----------------------------------------------------------------------------------


def test_an_environment_is_built_once(house: Path) -> None:
    """The second to ask gets what was built for the first, and nothing is done for it."""
    told: list[str] = []
    spec = Spec(requirements=("pear",), source="requirements.txt")
    first = environment(spec, progress=told.append, gitml=None)
    assert version_of(first, "pear") == "1.0"
    assert [line.split()[0] for line in told] == ["Resolved", "Prepared", "Installed"]
    told.clear()
    shutil.rmtree(house)
    assert environment(spec, progress=told.append, gitml=None) == first
    assert told == []
    assert made() == [first.path.name]


def test_an_environment_holds_what_its_spec_says(house: Path) -> None:
    """The Python, the constraints and the build tools are those of the spec."""
    spec = Spec(python=HERE, requirements=("pear",), constraints=("apple<2",), build=("apple>1",))
    built = environment(spec, gitml=None)
    assert version_of(built, "apple") == "1.0"  # the requirements have the last word
    assert says(built, "import platform; print(platform.python_version())") == HERE
    assert says(built, "import sys; print(sys.prefix)") == str(built.path)
    (stored,) = environments()
    assert (stored.path, stored.python, stored.manager) == (built.path, HERE, "uv")
    assert stored.requirements == ("pear",)
    assert stored.size > 1000


def test_another_spec_is_another_environment(house: Path) -> None:
    """Two versions of a package live side by side."""
    one = environment(Spec(requirements=("apple==1.0",)), gitml=None)
    two = environment(Spec(requirements=("apple==2.0",)), gitml=None)
    assert (version_of(one, "apple"), version_of(two, "apple")) == ("1.0", "2.0")
    assert {stored.path for stored in environments()} == {one.path, two.path}


def test_settings_of_a_project_do_not_matter(
    house: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Files of uv in the current folder, perhaps a stranger's, change nothing."""
    project = tmp_path / "project"
    project.mkdir()
    (project / "uv.toml").write_text("no-build = 'nonsense'\n")
    (project / "pyproject.toml").write_text("[tool.uv]\nindex-url = 3\n")
    monkeypatch.chdir(project)
    monkeypatch.setenv("VIRTUAL_ENV", str(project))
    monkeypatch.setenv("PYTHONPATH", str(project))
    built = environment(Spec(requirements=("apple",)), gitml=None)
    assert version_of(built, "apple") == "2.0"
    assert says(built, "import sys; print('project' in str(sys.path))") == "False"


def test_the_variables_of_an_environment_lead_into_it(house: Path) -> None:
    """A program finds the environment's Python first, and no modules of somebody else."""
    built = environment(Spec(requirements=("apple",)), gitml=None)
    told = built.variables({"PATH": "/bin", "PYTHONPATH": "/x", "PYTHONHOME": "/y", "A": "b"})
    assert told == {
        "PATH": f"{built.python.parent}{os.pathsep}/bin",
        "VIRTUAL_ENV": str(built.path),
        "A": "b",
    }


# -- at once, and in the middle ------------------------------------------------------------

BUILD = """
import sys
from gitml.environments import Spec, environment
built = environment(Spec(requirements=("slow",)), "uv", lambda line: print(line, flush=True),
                    gitml=None)
print(built.path, flush=True)
"""


@contextlib.contextmanager
def building(house: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process that builds an environment; it is ended with the block."""
    process = subprocess.Popen(
        [sys.executable, "-c", BUILD], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env=variables(),
    )  # fmt: skip
    try:
        yield process
    finally:
        (house / "go").touch()  # whatever still waits goes on
        process.kill()
        process.communicate()


def result(process: subprocess.Popen[str]) -> Path:
    """The path of the environment that another process has built."""
    out, err = process.communicate()
    assert process.returncode == 0, err
    return Path(out.splitlines()[-1])


@posix
def test_two_processes_build_it_once(house: Path) -> None:
    """Who comes while it is being built waits, says so, and gets the same."""
    wheelhouse.add_source(house, "slow", wheelhouse.WAIT)
    with building(house) as first:
        until(lambda: wheelhouse.builds(house))
        with building(house) as second:
            assert second.stdout is not None
            waiting = "Waiting for another process that builds the same environment\n"
            assert second.stdout.readline() == waiting
            (house / "go").touch()
            assert result(first) == result(second)
    assert len(wheelhouse.builds(house)) == 1
    assert len(made()) == 1


@posix
def test_what_a_killed_build_left_is_never_used(house: Path) -> None:
    """A build that was killed leaves no environment, even while its uv lives on."""
    wheelhouse.add_source(house, "slow", wheelhouse.WAIT)
    with building(house) as killed:
        until(lambda: wheelhouse.builds(house))
        killed.send_signal(signal.SIGKILL)
        killed.wait()
        (orphan,) = wheelhouse.builds(house)
        assert environments() == ()
        (half,) = [name for name in made() if "-" in name]
        with building(house) as second:
            until(lambda: any("-" in name and name != half for name in made()))
            (house / "go").touch()
            path = result(second)
    with contextlib.suppress(psutil.NoSuchProcess):
        psutil.Process(orphan).wait()
    assert path.name != half
    assert [stored.path for stored in environments()] == [path]
    assert version_of(environment(Spec(requirements=("slow",)), gitml=None), "slow") == "1.0"
    prune()
    assert made() == [path.name]


def test_a_folder_without_a_mark_is_no_environment(house: Path) -> None:
    """Half of an environment is cleared away by who builds the whole."""
    spec = Spec(requirements=("apple",))
    built = environment(spec, gitml=None)
    (built.path / "environment.json").unlink()
    assert environments() == ()
    again = environment(spec, gitml=None)
    assert made() == [again.path.name]
    assert again.path != built.path


# -- damage --------------------------------------------------------------------------------


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:20])


DAMAGE: dict[str, Callable[[Environment], object]] = {
    "a module is gone": lambda built: next(built.path.rglob("apple.py")).unlink(),
    "a package is gone": lambda built: shutil.rmtree(next(built.path.rglob("apple_data"))),
    "a package was added": lambda built: (
        next(built.path.rglob("apple_data")).with_name("more").mkdir()
    ),
    "the interpreter is gone": lambda built: built.python.unlink(),
    "its Python is gone": lambda built: (
        built.python.unlink(),
        built.python.symlink_to("/nowhere/python"),
    ),
    "the mark is cut": lambda built: _cut(built.path / "environment.json"),
    "the mark is of another kind": lambda built: (built.path / "environment.json").write_text("[]"),
    "the mark is newer": lambda built: (built.path / "environment.json").write_text(
        json.dumps({"schema": 2})
    ),
}


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE.keys())
def test_a_damaged_environment_is_built_again(
    damage: Callable[[Environment], object], house: Path
) -> None:
    """What is not what was built is not used; it is replaced."""
    spec = Spec(requirements=("apple==1.0",))
    built = environment(spec, gitml=None)
    damage(built)
    again = environment(spec, gitml=None)
    assert again.path != built.path
    assert version_of(again, "apple") == "1.0"
    assert made() == [again.path.name]


def test_what_a_program_caches_is_no_damage(house: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Byte code that a program leaves behind does not make an environment another."""
    monkeypatch.delenv("PYTHONDONTWRITEBYTECODE", raising=False)
    spec = Spec(requirements=("apple==1.0",))
    built = environment(spec, gitml=None)
    says(built, "import apple")
    assert list(built.path.rglob("__pycache__/apple*"))
    assert environment(spec, gitml=None) == built


# -- failure -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("requirement", "message"),
    [
        ("apple==9.0", "there is no version of apple==9.0"),
        ("quince", "quince was not found"),
        ("broken", "Failed to build `broken==1.0`: RuntimeError: there is no compiler"),
    ],
)
def test_a_build_that_fails_says_why_in_one_line(
    requirement: str, message: str, house: Path
) -> None:
    """The error is what is wrong, not the log, and nothing of the attempt is left."""
    wheelhouse.add_source(house, "broken", wheelhouse.FAIL)
    with pytest.raises(BuildError) as failed:
        environment(Spec(requirements=("pear", requirement)), gitml=None)
    assert message in str(failed.value)
    assert str(failed.value).isprintable()
    assert len(str(failed.value)) < 700
    assert made() == []


def test_a_python_that_is_nowhere_names_those_that_are(house: Path) -> None:
    """What is asked for, what there is, and what to do."""
    with pytest.raises(BuildError) as failed:
        environment(Spec(python="3.99"), gitml=None)
    message = str(failed.value)
    assert message.startswith("Python 3.99 is not on this machine, which has ")
    assert HERE in message
    assert message.endswith("; install it, or use --env-manager local")
    assert made() == []


def test_another_patch_of_a_python_will_do_and_is_told(house: Path) -> None:
    """Where the exact patch can't be had, the nearest is used, and not in silence."""
    told: list[str] = []
    minor = HERE.rpartition(".")[0]
    built = environment(Spec(python=f"{minor}.99"), progress=told.append, gitml=None)
    used = says(built, "import platform; print(platform.python_version())")
    assert used.startswith(f"{minor}.")
    assert told[0] == f"Python {minor}.99 is not to be had; {used} is used instead"


def test_a_python_that_is_too_old_for_gitml_is_refused() -> None:
    """gitml is no part of an environment that it can't run in."""
    with pytest.raises(UsageError) as refused:
        environment(Spec(python="3.8.10", source="python_env.yaml"))
    assert str(refused.value) == (
        "python_env.yaml asks for Python 3.8.10, but gitml needs 3.10 or newer; use --env-manager"
        " local"
    )
    assert made() == []


def test_without_uv_it_is_told_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """uv is beside this Python, on the PATH or in its package, or the extra is named."""
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setitem(sys.modules, "uv", None)
    with pytest.raises(UsageError, match=r"; pip install 'gitml\[env\]'$"):
        environment(Spec(requirements=("apple",)), gitml=None)


def test_an_unknown_manager_is_refused() -> None:
    """A manager is one of three."""
    with pytest.raises(UsageError, match="'virtualenv' is no manager of environments; uv, conda"):
        environment(Spec(), "virtualenv")  # type: ignore[arg-type]


# -- the current interpreter ---------------------------------------------------------------


def test_the_local_environment_says_what_differs() -> None:
    """Missing packages, other versions and another Python are told; what fits is not."""
    spec = Spec(
        python="3.99.1",
        requirements=(
            "pytest>=1",
            "pytest<2",
            "Quince-X==1",
            "quince2; python_version < '3'",
            "pear @ https://packages.example/pear.whl",
            "./folder",
        ),
        conda=("numpy>=1", "libgomp"),
        source="conda.yaml",
    )
    built = environment(spec, "local")
    assert (built.path, built.python) == (Path(sys.prefix), Path(sys.executable))
    assert built.differences == (
        f"Python {HERE} is running, 3.99.1 is asked for",
        "conda.yaml asks for 'libgomp', of which no counterpart on PyPI is known; build the"
        " environment with conda (--env-manager conda), or list it there below pip",
        f"pytest {pytest.__version__} is installed, pytest<2 is asked for",
        "Quince-X is not installed, Quince-X==1 is asked for",
    )


def test_another_patch_of_the_local_python_is_no_difference() -> None:
    """Packages for one patch of a Python run on another."""
    minor = HERE.rpartition(".")[0]
    assert environment(Spec(python=f"{minor}.99"), "local").differences == ()


# -- conda ---------------------------------------------------------------------------------

STAND_IN = """#!{python}
import json, pathlib, subprocess, sys
args = sys.argv[1:]
prefix, file = (args[args.index(name) + 1] for name in ("--prefix", "--file"))
text = pathlib.Path(file).read_text()
if "broken" in text:
    sys.exit("Solving environment: failed\\nerror:    libmamba Could not solve for broken")
subprocess.run([sys.executable, "-m", "venv", prefix], check=True)
constraints = pathlib.Path(file).with_name("constraints.txt")
said = [args[: args.index("--prefix")], text, constraints.read_text().split()]
pathlib.Path(prefix, "said.json").write_text(json.dumps(said))
"""


@pytest.fixture
def mamba(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A program in the place of micromamba that makes a virtual environment."""
    program = tmp_path / "bin" / "micromamba"
    program.parent.mkdir()
    program.write_text(STAND_IN.format(python=sys.executable))
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("PIP_NO_DEPS", "1")
    monkeypatch.setenv("PIP_NO_INDEX", "1")


@pytest.mark.slow
@posix
def test_conda_gets_the_whole_spec_in_its_own_format(mamba: None) -> None:
    """Python, channels, packages, pip's part and constraints reach conda; gitml is added."""
    spec = Spec(
        python="3.11.7",
        requirements=("six==1.16.0",),
        constraints=("a<2",),
        conda=("libgomp=1", "pip<24"),
        channels=("conda-forge",),
        source="conda.yaml",
    )
    built = environment(spec, "conda")
    arguments, text, constraints = json.loads((built.path / "said.json").read_text())
    assert arguments == ["create"]
    assert constraints == ["a<2"]
    head, _, tail = text.partition("  - --constraint ")
    assert head.split() == (
        "channels: - conda-forge dependencies: - python=3.11.7 - libgomp=1 - pip<24 - pip:".split()
    )
    assert tail.splitlines()[1].strip() == "- six==1.16.0"
    assert says(built, "from gitml.version import __version__ as v; print(v)")
    assert environment(spec, "conda") == built


@posix
def test_a_failure_of_conda_is_told_in_a_line(mamba: None) -> None:
    """What conda complains of is the message."""
    with pytest.raises(BuildError, match=r"^libmamba Could not solve for broken$"):
        environment(Spec(conda=("broken",)), "conda")
    assert made() == []


def test_without_conda_it_is_told_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    """No program of conda's family on the PATH is one line."""
    monkeypatch.setenv("PATH", "")
    with pytest.raises(UsageError, match="neither micromamba nor mamba nor conda is on the PATH"):
        environment(Spec(), "conda")


# -- pruning -------------------------------------------------------------------------------


def age(built: Environment, days: float) -> None:
    """Make an environment look unused for so long."""
    then = time.time() - days * 86_400
    os.utime(built.path / "environment.json", (then, then))


def test_what_nobody_used_for_long_goes(house: Path) -> None:
    """Pruning takes the old ones and tells which; the others stay, and use makes young."""
    old, young, used = (
        environment(Spec(requirements=(line,)), gitml=None)
        for line in ("apple==1.0", "apple==2.0", "pear")
    )
    for built in (old, used):
        age(built, 31)
    age(young, 29)
    assert environment(Spec(requirements=("pear",)), gitml=None) == used
    assert [item.path for item in prune(dry_run=True)] == [old.path]
    assert old.path.exists()
    assert [item.path for item in prune()] == [old.path]
    assert made() == sorted([young.path.name, used.path.name])
    assert {item.path for item in prune(0)} == {young.path, used.path}
    assert made() == []


def test_what_a_program_runs_from_stays(house: Path) -> None:
    """A server that was started long ago keeps its environment."""
    built = environment(Spec(requirements=("apple",)), gitml=None)
    age(built, 100)
    argv = [str(built.python), "-c", "print('up', flush=True); input()"]
    with subprocess.Popen(
        argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=built.variables()
    ) as server:
        assert server.stdout is not None
        server.stdout.readline()
        assert prune() == ()
        server.communicate(b"\n")
    assert [item.path for item in prune()] == [built.path]


def test_what_is_being_built_stays(house: Path) -> None:
    """Neither an environment nor the half of one goes while somebody holds its lock."""
    built = environment(Spec(requirements=("apple",)), gitml=None)
    age(built, 100)
    key = environments()[0].key
    half = store.folder() / f"{key}-half"
    half.mkdir()
    with locks.held(store.lock(key), remove=True):
        assert prune() == ()
        assert half.exists()
    assert [item.path for item in prune()] == [built.path]
    assert made() == []


def test_a_cache_that_can_not_be_written_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without any folder to build in, the places that were tried are told."""
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    monkeypatch.setenv("LOCALAPPDATA", str(tmp_path / "file"))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "file"))
    with pytest.raises(StorageError, match="can't write to a folder for caches"):
        environments()


# -- from a real index ---------------------------------------------------------------------


@pytest.mark.slow
def test_gitml_serves_from_an_environment_without_dvc(index: None) -> None:
    """The running gitml is in a model's environment, with what serving needs and nothing more."""
    spec = Spec(requirements=("six==1.16.0", "gitml>=0.0.1"), build=("pip", "setuptools"))
    built = environment(spec)
    code = "import gitml, six, starlette, uvicorn, pandas, orjson; print(gitml.__file__)"
    assert Path(says(built, code)).is_relative_to(built.path)
    script = built.python.with_name("gitml")
    done = subprocess.run([script, "runs", "--help"], capture_output=True, env=built.variables())
    assert done.returncode == 0
    found = says(
        built, "import importlib.metadata as m; print(*[d.name for d in m.distributions()])"
    )
    assert {"gitml", "six"} <= set(found.split())
    assert set(found.split()).isdisjoint({"dvc", "gitpython", "GitPython"})
    assert says(built, "import sys, pip._internal.cli.main as m; sys.exit(m.main(['check']))")


def test_pruning_removes_a_link_and_not_what_it_leads_to(tmp_path: Path) -> None:
    """Somebody moved an environment away, or a link leads to something else of his."""
    for name, files in (("moved", ["environment.json", "x"]), ("other", ["x"])):
        (tmp_path / name).mkdir()
        for file in files:
            (tmp_path / name / file).write_text("{}")
        (store.folder() / f"{name}-1").symlink_to(tmp_path / name)
        store.clear(name)
    inner = store.folder() / "key-1"
    inner.mkdir()
    (inner / "link").symlink_to(tmp_path / "other")
    store.clear("key")
    assert made() == []
    found = sorted(path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*/*"))
    assert {"moved/environment.json", "moved/x", "other/x"} <= set(found)
