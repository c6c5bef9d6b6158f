"""A repository that a group shares (core.sharedRepository): each of it records, and mends."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import trainings

GROUP, ANN, BEN = 4242, 4001, 4002

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="there are no groups of this kind")
as_others = pytest.mark.skipif(
    not hasattr(os, "geteuid") or os.geteuid() != 0 or shutil.which("setpriv") is None,
    reason="only root can be others",
)

TRAINING = """
import signal
with mlflow.start_run(run_name=sys.argv[1]):
    mlflow.log_metric("a", 1)
    mlflow.log_text("small", "small.txt")
    mlflow.log_text(sys.argv[1] * 100_000, "large.txt")
    if "killed" in sys.argv[1]:
        os.kill(os.getpid(), signal.SIGKILL)
found = mlflow.search_runs(output_format="list")
print(*sorted(run.info.run_name for run in found))
for run in found:
    mlflow.artifacts.load_text(f"runs:/{run.info.run_id}/large.txt")
"""


@pytest.fixture
def shared() -> Iterator[Path]:
    """A folder that everybody reaches, with a work tree that the group may write."""
    folder = Path(tempfile.mkdtemp(prefix="gitml-shared-"))
    folder.chmod(0o755)
    (folder / "repo").mkdir()
    trainings.write(folder, TRAINING)
    yield folder
    shutil.rmtree(folder)


def run(shared: Path, user: int | None, *argv: str) -> subprocess.CompletedProcess[str]:
    """Run a command in the repository as a user of the group, whose umask is the usual one."""
    safe = {"COUNT": "1", "KEY_0": "safe.directory", "VALUE_0": "*"}
    env = trainings.environment({f"GIT_CONFIG_{key}": value for key, value in safe.items()})
    # he may read the interpreter wherever it is; what may be written is asked as of anybody
    reading = ("--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search")
    become = ("setpriv", *reading, f"--reuid={user}", f"--regid={GROUP}", "--clear-groups")
    return subprocess.run(
        (*(become if user else ()), *argv), cwd=shared / "repo", env=env, umask=0o022,
        text=True, capture_output=True, check=False,
    )  # fmt: skip


def modes(folder: Path) -> dict[str, int]:
    """The permission bits of all that is below a folder."""
    return {
        str(path.relative_to(folder)): stat.S_IMODE(path.stat().st_mode)
        for path in folder.rglob("*")
    }


def test_all_may_write_what_all_need(shared: Path) -> None:
    """What gitml makes in a shared repository is as open to the group as what git makes."""
    run(shared, None, "git", "init", "--quiet", "--shared")
    done = run(shared, None, sys.executable, str(shared / "train.py"), "one")
    assert (done.stdout, done.stderr) == ("one\n", "")
    found = modes(shared / "repo" / ".git" / "gitml")
    folders = {path for path in found if (shared / "repo" / ".git" / "gitml" / path).is_dir()}
    assert {found[path] & 0o2070 for path in folders} == {0o2070}
    assert {"ledger.lock", "position", "index.sqlite"} <= found.keys()
    for path in ("ledger.lock", "position", "index.sqlite"):
        assert found[path] & 0o060 == 0o060, path


def test_what_is_not_shared_stays_so(shared: Path) -> None:
    """In a repository of one user nothing is opened to his group."""
    run(shared, None, "git", "init", "--quiet")
    run(shared, None, sys.executable, str(shared / "train.py"), "one")
    assert not [mode for mode in modes(shared / "repo" / ".git").values() if mode & 0o020]


@as_others
def test_two_users_of_a_group_record_in_one_repository(shared: Path) -> None:
    """Each records beside the other, reads his artifacts, and recovers a run of his that died."""
    os.chown(shared / "repo", ANN, GROUP)
    (shared / "repo").chmod(0o2775)
    run(shared, ANN, "git", "init", "--quiet", "--shared")
    seen = list[str]()
    for user, name in ((ANN, "a1"), (BEN, "b1"), (ANN, "a-killed"), (BEN, "b2"), (ANN, "a2")):
        seen.append(name)
        done = run(shared, user, sys.executable, str(shared / "train.py"), name)
        if "killed" not in name:
            assert (done.stdout.split(), done.stderr) == (sorted(seen), ""), name
    recovered = run(shared, BEN, sys.executable, "-m", "gitml", "recover")
    assert recovered.returncode == 0, recovered.stderr
    listed = run(shared, ANN, sys.executable, "-m", "gitml", "runs", "list")
    assert "a-killed  KILLED" in listed.stdout
    assert not list((shared / "repo" / ".git" / "gitml" / "live").iterdir())
