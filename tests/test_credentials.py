"""Credentials never reach a commit, a journal or a DVC configuration."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from gitml import storage
from gitml.errors import UsageError

CANARY = "c4n4ry0000000000000000000000000"

# The secret comes in through standard input: the script itself is recorded.
SCRIPT = """
import sys
import gitml

secret = sys.stdin.read()
with gitml.start_run():
    gitml.log_param("depth", 3)
    gitml.log_input(f"https://user:{secret}@example.org/data.csv?token={secret}")
    gitml.log_text("x" * 200_000, "model/weights.txt")
    raise ValueError(f"can't read https://user:{secret}@example.org/data.csv")
"""


def everything(repo: Path) -> bytes:
    """Every object of the repository and every file that gitml keeps beside them."""
    out = subprocess.run(
        ("git", "cat-file", "--batch", "--batch-all-objects"),
        cwd=repo,
        capture_output=True,
        check=True,
    )
    kept = [path for path in (repo / ".git" / "gitml").rglob("*") if path.is_file()]
    return b"".join((out.stdout, *(path.read_bytes() for path in kept)))


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """A folder of installed packages, one of them from a URL with a password."""
    package = tmp_path / "site" / "secret_package-1.0.dist-info"
    package.mkdir(parents=True)
    (package / "METADATA").write_text("Metadata-Version: 2.1\nName: secret-package\nVersion: 1.0\n")
    (package / "direct_url.json").write_text(
        f'{{"url": "https://user:{CANARY}@example.org/x.git",'
        ' "vcs_info": {"vcs": "git", "commit_id": "0123456789"}}'
    )
    return package.parent


def test_no_object_of_a_run_holds_a_credential(
    repo: Path, site: Path, git: Callable[..., str], tmp_path: Path
) -> None:
    """Remotes, requirement lines, command lines, sources, DVC settings and exceptions are clean."""
    git("remote", "add", "origin", f"https://user:{CANARY}@example.org/repo.git")
    storage.set_project_remote(repo, str(tmp_path / "remote"))
    local = repo / ".dvc" / "config.local"
    local.write_text(
        f"['remote \"storage\"']\n    password = {CANARY}\n    access_key_id = {CANARY}\n"
        f"    secret_access_key = {CANARY}\n    session_token = {CANARY}\n"
    )
    (repo / "run.py").write_text(SCRIPT)
    git("add", "run.py")
    git("commit", "--quiet", "--message", "A script")
    options = (
        *("--password", CANARY, f"--api-key={CANARY}", f"DB_PASSWORD={CANARY}"),
        f"--url=https://user:{CANARY}@example.org/",
        *("--wandb-key", CANARY, "--pat", CANARY, "--key", CANARY, "--access", CANARY),
        *("--slack-webhook", f"https://hooks.slack.com/services/T0/B0/{CANARY}"),
    )
    done = subprocess.run(
        (sys.executable, "run.py", *options),
        input=CANARY.encode(),
        cwd=repo,
        capture_output=True,
        env={**os.environ, "PYTHONPATH": str(site)},
        check=False,
    )
    assert b"ValueError" in done.stderr
    assert git("rev-list", "--count", "gitml/runs") != "0"
    kept = everything(repo)
    assert b"secret-package" in kept or b"secret_package" in kept
    assert CANARY.encode() not in kept


def test_a_remote_with_a_password_is_refused(repo: Path) -> None:
    """`gitml init --remote` would write it into a file that is committed."""
    with pytest.raises(UsageError, match=r"password|credential"):
        storage.set_project_remote(repo, f"https://user:{CANARY}@example.org/data")
    assert CANARY.encode() not in b"".join(
        path.read_bytes() for path in repo.rglob("*") if path.is_file()
    )
