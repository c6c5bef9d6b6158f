"""Every test runs as a user of its own: an empty home, no git configuration, no variables."""

from __future__ import annotations

import atexit
import functools
import os
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import settings

if TYPE_CHECKING:
    from gitml.tracking.place import Place
    from gitml.tracking.spool import Spool
    from tests.forge_kinds import At

# No test depends on the clock: a slow machine is no fault of the code.
settings.register_profile("gitml", deadline=None)
settings.load_profile("gitml")

pytest.register_assert_rewrite("tests.invariants")

Git = Callable[..., str]

# The variables of the user's own tools, and of a job of CI that runs the tests.
OTHERS = ("GITML_", "MLFLOW_", "DVC_", "GIT_", "XDG_", "AWS_", "GH_", "GITHUB_", "GITLAB_", "CI_")


def framework(name: str) -> Any:
    """The module of a framework; the test is skipped where it is not installed, or can't be loaded.

    LightGBM, for one, needs a library of the system, which a small machine may not have.
    """
    try:
        return pytest.importorskip(name)
    except OSError as error:
        pytest.skip(f"{name} can't be loaded: {error}", allow_module_level=True)


def run_git(folder: Path, *args: str) -> str:
    """Run git in `folder` as a user would, and return what it printed without the last newline."""
    done = subprocess.run(
        ("git", *args), cwd=folder, capture_output=True, text=True, encoding="utf-8", check=False
    )
    assert done.returncode == 0, f"git {' '.join(args)}: {done.stderr}"
    return done.stdout.removesuffix("\n")


def new_repository(folder: Path) -> Path:
    """A git repository in `folder` with an identity of its own and one commit on `main`."""
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copytree(_first(), folder, dirs_exist_ok=True)
    run_git(folder, "update-index", "--refresh")
    return folder


@functools.cache  # most tests begin with one, which six processes of git have made
def _first() -> Path:
    """The repository of which all others are copies."""
    folder = _kept()
    run_git(folder, "init", "--quiet", "--initial-branch=main")
    run_git(folder, "config", "user.name", "Ada Example")
    run_git(folder, "config", "user.email", "ada@example.org")
    (folder / "train.py").write_text("print('training')\n", encoding="utf-8")
    run_git(folder, "add", "train.py")
    run_git(folder, "commit", "--quiet", "--message", "First commit")
    for sample in (folder / ".git" / "hooks").iterdir():
        sample.unlink()
    return folder


@functools.cache
def _bare() -> Path:
    """The same of bare ones."""
    folder = _kept()
    run_git(folder, "init", "--quiet", "--bare", "--initial-branch=main")
    run_git(folder, "config", "receive.fsckObjects", "true")
    for sample in (folder / "hooks").iterdir():
        sample.unlink()
    return folder


def _kept() -> Path:
    """A folder that is there until the tests end."""
    folder = tempfile.TemporaryDirectory()
    atexit.register(folder.cleanup)
    return Path(folder.name)


@pytest.fixture(autouse=True)
def _isolated(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> Iterator[None]:
    home = tmp_path_factory.mktemp("home")
    empty = home / "gitconfig"
    empty.touch()
    for name in list(os.environ):
        if name.startswith(OTHERS):
            monkeypatch.delenv(name)
    for name in ("HOME", "USERPROFILE"):
        monkeypatch.setenv(name, str(home))
    for name in ("CONFIG", "CACHE", "DATA", "STATE"):
        monkeypatch.setenv(f"XDG_{name}_HOME", str(home / name.lower()))
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(empty))
    monkeypatch.setenv("GIT_TERMINAL_PROMPT", "0")
    monkeypatch.setenv("DVC_NO_ANALYTICS", "1")
    monkeypatch.setenv("DVC_SITE_CACHE_DIR", str(home / "dvc"))
    monkeypatch.setenv("MPLBACKEND", "Agg")
    _first(), _bare()  # before a test changes what git does
    yield
    if "gitml.tracking.fluent.place" in sys.modules:
        sys.modules["gitml.tracking.fluent.place"].set_tracking_uri("")


@pytest.fixture
def repo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A real git repository with one commit, which is also the current folder."""
    folder = new_repository(tmp_path / "repo")
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture
def new_script(repo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The fluent API as a script finds it that has just begun in `repo`: nothing is chosen."""
    monkeypatch.setattr("gitml.tracking.fluent.experiments._active", None)
    monkeypatch.setattr("gitml.tracking.fluent.runs._has_warned", False)


@pytest.fixture
def bare(tmp_path: Path) -> Path:
    """An empty bare repository that checks every object it receives, as forges do."""
    return shutil.copytree(_bare(), tmp_path / "origin.git")


@pytest.fixture(scope="module")
def uv_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache for uv that the tests of a module share; skips them where no index answers."""
    from tests.wheelhouse import filled_cache

    return filled_cache(tmp_path_factory.mktemp("uv"))


@pytest.fixture
def index(uv_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The package index that is configured on this machine."""
    monkeypatch.setenv("UV_CACHE_DIR", str(uv_cache))


@pytest.fixture(scope="session")
def endpoint() -> Iterator[str]:
    """An S3 server on this machine with the bucket `bucket`; it takes any keys."""
    import boto3
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    url = f"http://{host}:{port}"
    client = boto3.client(
        "s3",
        endpoint_url=url,
        region_name="us-east-1",
        aws_access_key_id="x",
        aws_secret_access_key="x",
    )
    client.create_bucket(Bucket="bucket")
    yield url
    server.stop()


@pytest.fixture
def node(tmp_path: Path) -> Path:
    """A folder on a machine that has no git: no repository is around it."""
    folder = tmp_path / "node"
    (folder / "bin").mkdir(parents=True)
    return folder


@pytest.fixture
def spool(tmp_path: Path) -> Spool:
    """A spool that is a folder."""
    from gitml.tracking.spool import spool_of

    return spool_of(str(tmp_path / "spool"))


@pytest.fixture(params=["folder", "s3"])
def anywhere(request: pytest.FixtureRequest) -> Spool:
    """A spool that is a folder, and one that is a bucket."""
    found: Spool = request.getfixturevalue("spool" if request.param == "folder" else "spool_bucket")
    return found


@pytest.fixture
def spool_bucket(endpoint: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Spool:
    """A spool in a bucket."""
    from gitml.tracking.spool import spool_of

    for name, value in (
        ("AWS_ACCESS_KEY_ID", "AKIAIOSFODNN7EXAMPLE"),
        ("AWS_SECRET_ACCESS_KEY", "geheim-EXAMPLE"),
        ("AWS_DEFAULT_REGION", "us-east-1"),
        ("AWS_ENDPOINT_URL", endpoint),
    ):
        monkeypatch.setenv(name, value)
    return spool_of(f"s3://bucket/{tmp_path.name}")


@pytest.fixture
def clone(repo: Path) -> Place:
    """The repository in which runs are collected."""
    from gitml import git
    from gitml.tracking.place import place_of

    return place_of(git.find(repo))


@pytest.fixture
def git(repo: Path) -> Git:
    """Run git in `repo`: `git("status", "--short")` returns the output as text."""

    def in_repo(*args: str) -> str:
        return run_git(repo, *args)

    return in_repo


@pytest.fixture(params=["github", "gitlab"])
def at(request: pytest.FixtureRequest) -> At:
    """A GitHub, then a GitLab, with a clone that pushes to it."""
    found: At = request.getfixturevalue(request.param)
    return found


@pytest.fixture
def github(tmp_path: Path) -> Iterator[At]:
    """A GitHub, with a clone that pushes to it."""
    from tests.forge_kinds import standing

    with standing("github", tmp_path / "github") as found:
        yield found


@pytest.fixture
def gitlab(tmp_path: Path) -> Iterator[At]:
    """A GitLab, with a clone that pushes to it."""
    from tests.forge_kinds import standing

    with standing("gitlab", tmp_path / "gitlab") as found:
        yield found


def pytest_addoption(parser: pytest.Parser) -> None:
    """How much of what is random or many: more of it for a night."""
    parser.addoption("--kills", type=int, default=50, help="trainings to kill (test_kill.py)")
    parser.addoption("--clones", type=int, default=6, help="clones that push at once")
    parser.addoption("--pushes", type=int, default=5, help="runs that each of those pushes")
    parser.addoption("--beside-gc", type=int, default=15, help="runs of each writer beside git gc")


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Say what the kills came to: a run in which they hit nothing would prove nothing."""
    totals: Counter[str] = Counter()
    for report in terminalreporter.getreports("passed"):
        totals.update({name: value for name, value in report.user_properties if name in COUNTED})
    if totals:
        counts = ", ".join(f"{totals[name]} {name}" for name in COUNTED)
        terminalreporter.write_line(f"{counts}: none lost, none twice")


COUNTED = ("kills", "runs killed half-way", "acknowledged calls")
