"""What a run is executed by is read quickly, without heavy imports and without secrets."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from gitml.tracking import environment
from gitml.version import __version__

ROOT = Path(__file__).parent.parent

SHOW = """
import json, os, sys
from pathlib import Path
from gitml.tracking import environment
source = environment.source(Path(os.environ["TOP"]))
print(json.dumps([source.name, source.type, source.command, source.entry]))
"""


def run_python(folder: Path, *args: str, code: str | None = None, **env: str) -> list[object]:
    """What `environment.source` says in a fresh interpreter that runs these arguments."""
    base = {"PATH": "/usr/bin:/bin", "PYTHONPATH": str(ROOT), "TOP": str(folder)}
    keep = {"SYSTEMROOT": "C:\\Windows"} if sys.platform == "win32" else {}
    done = subprocess.run(
        [sys.executable, *args],
        cwd=folder, env={**base, **keep, **env}, input=code, text=True, capture_output=True,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    shown = json.loads(done.stdout.splitlines()[-1])
    assert isinstance(shown, list)
    return shown


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder that is the whole of `sys.path`."""
    folder = tmp_path / "site"
    folder.mkdir()
    monkeypatch.setattr(sys, "path", [str(folder)])
    return folder


def install(site: Path, name: str, origin: object = None) -> None:
    """A metadata folder, with a direct_url.json when the package has an origin."""
    (site / name).mkdir(parents=True)
    if origin is not None:
        (site / name / "direct_url.json").write_text(json.dumps(origin), encoding="utf-8")


def test_machine() -> None:
    """The environment tells the interpreter, the machine and gitml's version."""
    here = environment.environment()
    assert here.python.startswith(".".join(map(str, sys.version_info[:3])))
    assert here.gitml == __version__
    assert here.cpus >= 1
    assert here.host
    assert "-" in here.platform


def test_packages_are_those_that_are_installed() -> None:
    """The requirement lines name every distribution that importlib.metadata finds."""
    from importlib.metadata import distributions

    def normal(name: str) -> str:
        return name.lower().replace("_", "-").replace(".", "-")

    expected = {normal(found.metadata["Name"]): found.version for found in distributions()}
    lines = environment.packages()
    assert {line.partition("==")[0] for line in lines if line[0] != "#"} <= set(expected)
    assert f"numpy=={expected['numpy']}" in lines
    assert len(lines) == len(expected)
    assert list(lines) == sorted(lines, key=lambda line: line.removeprefix("# ").partition("==")[0])


def test_package_names(site: Path) -> None:
    """Names are normalised, whatever the folder is called; leftovers of pip are no packages."""
    for name in (
        "Zope.Interface_X-1.0.dist-info",
        "legacy-2.0rc1-py3.11.egg-info",
        "egg-0.3-py3.10.egg",
        "local-1.0+cu118.dist-info",
        "~ropped-1.0.dist-info",
        "no.dist-info",
        "module",
    ):
        install(site, name)
    assert environment.packages() == (
        "egg==0.3",
        "legacy==2.0rc1",
        "local==1.0+cu118",
        "zope-interface-x==1.0",
    )


def test_first_on_the_path_wins(site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of two versions the one that an import would find is recorded."""
    install(site, "first-1.0.dist-info")
    install(site.parent / "later", "first-2.0.dist-info")
    install(site.parent / "later", "second-2.0.dist-info")
    path = [str(site), str(site.parent / "later"), str(site.parent / "missing")]
    monkeypatch.setattr(sys, "path", path)
    assert environment.packages() == ("first==1.0", "second==2.0")


def test_installing_is_noticed(site: Path) -> None:
    """A package that is installed between two runs of one process is in the second."""
    install(site, "one-1.0.dist-info")
    assert environment.packages() == ("one==1.0",)
    install(site, "two-1.0.dist-info")
    assert environment.packages() == ("one==1.0", "two==1.0")


@pytest.mark.skipif(sys.platform != "linux", reason="file names are bytes on Linux alone")
def test_a_folder_whose_name_is_not_text_is_escaped(site: Path) -> None:
    """Requirement lines are text, one line each, whatever lies on `sys.path`."""
    install(site, "q-1.0\udcff.dist-info")
    assert environment.packages() == ("q==1.0\\udcff",)


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        ('{"url": "https://\\ud800"}', "b @ https://\\ud800"),
        ('{"url": "https://h/x\\nevil==1.0"}', "b @ https://h/x\\nevil==1.0"),
        ('{"url": "https://h/x", "archive_info": "s"}', "b @ https://h/x"),
        ('{"url": "https://h/x", "archive_info": [1]}', "b @ https://h/x"),
        ('{"url": "file:///x", "dir_info": "x"}', "b==1.0"),
        ('{"url": "https://h/x", "vcs_info": "git"}', "b @ https://h/x"),
        ("[" * 100_000, "b==1.0"),
    ],
)
def test_an_odd_origin_stops_no_run(site: Path, told: str, expected: str) -> None:
    """A direct_url.json that is not as it should be costs what it could have said."""
    install(site, "b-1.0.dist-info")
    (site / "b-1.0.dist-info" / "direct_url.json").write_text(told, encoding="utf-8")
    assert environment.packages() == (expected,)


def test_origins(site: Path, tmp_path: Path) -> None:
    """A package that is not from an index stands with its origin, without credentials."""
    vcs = {"vcs": "git", "commit_id": "4be1c0"}
    git = {"url": "https://user:c4nary@example.org/a.git", "vcs_info": vcs}
    archive = {
        "url": "https://example.org/w.whl?token=c4nary",
        "archive_info": {"hash": "sha256=1"},
    }
    install(site, "a-1.0.dist-info", git)
    install(site, "b-1.0.dist-info", {**git, "subdirectory": "python"})
    install(site, "c-1.0.dist-info", archive)
    install(site, "d-1.0.dist-info", {"url": tmp_path.as_uri(), "dir_info": {"editable": True}})
    install(site, "e-1.0.dist-info", {"url": tmp_path.as_uri(), "dir_info": {}})
    install(site, "f-1.0.dist-info", {"url": "file:///croot/f_1", "dir_info": {}})
    install(site, "g-1.0.dist-info", ["not an origin"])
    install(site, "h.egg-info")
    (site / "h.egg-info" / "PKG-INFO").write_text("Name: h\nVersion: 0.1\n", encoding="utf-8")
    assert environment.packages() == (
        "a @ git+https://example.org/a.git@4be1c0",
        "b @ git+https://example.org/a.git@4be1c0#subdirectory=python",
        "c @ https://example.org/w.whl?token=***#sha256=1",
        "# d==1.0 is a local folder",
        "# e==1.0 is a local folder",
        "f==1.0",
        "g==1.0",
        "# h==0.1 is a local folder",
    )


def test_user(monkeypatch: pytest.MonkeyPatch) -> None:
    """The user is the login name, and nobody where the machine knows no name."""
    monkeypatch.setenv("LOGNAME", "ada")
    assert environment.user() == "ada"
    for name in ("LOGNAME", "USER", "LNAME", "USERNAME"):
        monkeypatch.delenv(name, raising=False)
    assert isinstance(environment.user(), str)
    monkeypatch.setitem(sys.modules, "pwd", None)
    assert environment.user() == ""


def test_source_is_this_test() -> None:
    """Under pytest the source is the test that runs, and its file the entry."""
    source = environment.source(ROOT)
    assert source.name.endswith("tests/test_environment.py::test_source_is_this_test")
    assert source.entry == "tests/test_environment.py"
    assert source.type in ("LOCAL", "JOB")


def test_source_is_a_script(tmp_path: Path) -> None:
    """A script is named relative to the repository; its command line loses its credentials."""
    script = tmp_path / "code" / "train.py"
    script.parent.mkdir()
    script.write_text(SHOW, encoding="utf-8")
    shown = run_python(tmp_path, "-B", "code/train.py", "--lr", "1", "--password", "c4nary")
    command = ["python", "-B", "code/train.py", "--lr", "1", "--password", "***"]
    assert shown == ["code/train.py", "LOCAL", command, "code/train.py"]
    outside = run_python(tmp_path, str(script), TOP=str(tmp_path / "other"))
    assert outside == ["train.py", "LOCAL", ["python", str(script)], None]


def test_source_is_a_script_under_a_tool(tmp_path: Path) -> None:
    """A profiler is not what was executed: the script that it runs is."""
    (tmp_path / "train.py").write_text(SHOW, encoding="utf-8")
    shown = run_python(tmp_path, "-m", "cProfile", "-o", "profile", "train.py", "--lr", "1")
    assert shown[0] == shown[3] == "train.py"


def test_source_is_a_module(tmp_path: Path) -> None:
    """A module is named as it was given to `-m`, a package by its own name."""
    (tmp_path / "package").mkdir()
    (tmp_path / "package" / "__init__.py").touch()
    for name in ("train", "__main__"):
        (tmp_path / "package" / f"{name}.py").write_text(SHOW, encoding="utf-8")
    assert run_python(tmp_path, "-m", "package.train", "-x") == [
        "package.train", "LOCAL", ["python", "-m", "package.train", "-x"], "package/train.py",
    ]  # fmt: skip
    assert run_python(tmp_path, "-m", "package")[0] == "package"


def test_source_is_code(tmp_path: Path) -> None:
    """Code given by `-c` or on standard input is named so; literals that are secret go."""
    shown = run_python(tmp_path, "-c", SHOW + "token = 'c4nary'", "--token", "c4nary")
    assert shown[:2] == ["-c", "LOCAL"]
    assert isinstance(shown[2], list)
    assert shown[2] == ["python", "-c", SHOW + "token = '***'", "--token", "***"]
    assert run_python(tmp_path, "-", code=SHOW)[0] == "<stdin>"
    assert run_python(tmp_path, "-i", code=SHOW.replace("\n\n", "\n"))[0] == "<console>"


def test_source_in_a_spawned_worker(tmp_path: Path) -> None:
    """A worker that multiprocessing started runs its parent's script."""
    code = (
        "import multiprocessing, sys\n"
        f"def work():\n{''.join('    ' + line for line in SHOW.splitlines(True))}\n"
        "if __name__ == '__main__':\n"
        "    worker = multiprocessing.get_context('spawn').Process(target=work)\n"
        "    worker.start(); worker.join(); sys.exit(worker.exitcode)\n"
    )
    (tmp_path / "train.py").write_text(code, encoding="utf-8")
    shown = run_python(tmp_path, "train.py", "--lr", "1")
    assert shown[0] == shown[3] == "train.py"
    assert shown[2] == ["python", "train.py", "--lr", "1"]


def test_source_is_a_job(tmp_path: Path) -> None:
    """A run under a batch system or in CI is a job; `CI=false` is not CI."""
    (tmp_path / "train.py").write_text(SHOW, encoding="utf-8")
    assert run_python(tmp_path, "train.py", SLURM_JOB_ID="12")[1] == "JOB"
    assert run_python(tmp_path, "train.py", CI="false")[1] == "LOCAL"


def test_outside_of_ipython_there_are_no_cells() -> None:
    """Without a running IPython there are no cells, even if it is imported."""
    import IPython

    assert IPython.get_ipython() is None
    assert environment.notebook_cells() is None


CELLS = """
import sys
from IPython.core.interactiveshell import InteractiveShell
shell = InteractiveShell.instance()
shell.kernel = object()
shell.user_ns["__vsc_ipynb_file__"] = sys.argv[1]
for cell in sys.argv[2:]:
    assert shell.run_cell(cell, store_history=True).success
"""


def test_notebook(tmp_path: Path) -> None:
    """A notebook's source is its file, its code the cells that ran, in that order."""
    (tmp_path / "study.ipynb").write_text("{}", encoding="utf-8")
    cells = [
        "a = 1",
        "password = 'c4nary'",
        "a = a + 1",
    ]
    code = tmp_path / "kernel.py"
    code.write_text(CELLS + "\n" + SHOW, encoding="utf-8")
    shown = run_python(tmp_path, "kernel.py", "study.ipynb", *cells, HOME=str(tmp_path))
    assert shown == ["study.ipynb", "NOTEBOOK", [], "study.ipynb"]
    code.write_text(
        CELLS + "\nimport json\nfrom gitml.tracking import environment\n"
        "print(json.dumps([environment.notebook_cells()]))",
        encoding="utf-8",
    )
    (text,) = run_python(tmp_path, "kernel.py", "study.ipynb", *cells, HOME=str(tmp_path))
    assert text == "# %% In [1]\na = 1\n\n# %% In [2]\npassword = '***'\n\n# %% In [3]\na = a + 1\n"


def test_capture_imports_nothing_heavy() -> None:
    """The whole capture starts no process and leaves heavy modules alone."""
    code = """
import sys
def no_process(event, args):
    if event in ("subprocess.Popen", "os.system", "os.exec", "os.fork", "os.posix_spawn"):
        sys.exit(event)
sys.addaudithook(no_process)
from gitml.tracking import environment as e
e.packages(), e.environment(), e.source(), e.user(), e.notebook_cells()
heavy = {"importlib.metadata", "platform", "subprocess", "numpy", "IPython", "yaml", "json.tool"}
sys.exit(str(sorted(heavy & set(sys.modules))) if heavy & set(sys.modules) else 0)
"""
    done = subprocess.run(
        [sys.executable, "-S", "-c", code],
        env={"PYTHONPATH": str(ROOT), "PATH": "/usr/bin"}, capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
