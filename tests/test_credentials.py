"""Credentials never reach a commit, a journal or a DVC configuration."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from gitml import storage
from gitml.errors import UsageError
from gitml.tracking import dataset_source, datasets, fluent, starting

CANARY = "c4n4ry0000000000000000000000000"

# How a password or a key is written where no program would take it; CANARY is the secret.
ODD = (
    "u:a@b/CANARY@h", "u:a@b/CANARY@h/data.csv", "u:CANARY@h", "u:CANARY@h:path",
    "u:CANARY@[::1]/x", "u:CANARY@localhost", "ada@example.org:CANARY@h/x", "//u:CANARY@h/x",
    "u:a/CANARY@h.example.org/x",
    "https:/u:CANARY@h/x", "https:\\\\u:CANARY@h\\x", "https%3A%2F%2Fu%3ACANARY%40h/x",
    "azure://c/x#CANARY", "azure://c/x?CANARY", "azure://account:CANARY@c/x", "gs://b/x#CANARY",
    "s3://key:a/CANARY@b/x", "https://h/x#CANARY", "https://h/x;jsessionid=CANARY",
    "https://h/x?sv=1&sig=CANARY", "AccountName=a;AccountKey=CANARY;EndpointSuffix=h",
)  # fmt: skip

# Through standard input again: every way in which a script may tell where its data is from.
ODD_SCRIPT = """
import sys
import gitml
import gitml.data
import numpy as np

for address in sys.stdin.read().splitlines():
    try:
        with gitml.start_run():
            gitml.log_input(gitml.data.from_numpy(np.ones(2), source=address), context="train")
            gitml.log_input(gitml.data.from_numpy(np.ones(2), name=address))
            try:
                gitml.log_input(address)
            except gitml.MlflowException:
                pass
            raise ValueError(f"can't read {address} today")
    except ValueError:
        pass
"""

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


def test_no_object_of_a_run_holds_an_odd_address(repo: Path, git: Callable[..., str]) -> None:
    """Whatever form an address has: as a source, a name, in an exception, a remote, an option."""
    addresses = [text.replace("CANARY", CANARY) for text in ODD]
    (repo / "run.py").write_text(ODD_SCRIPT)
    git("add", "run.py")
    git("commit", "--quiet", "--message", "A script")
    options = [part for it in addresses for part in (it, f"--data={it}", f"data={it}")]
    done = subprocess.run(
        (sys.executable, "run.py", *options),
        input="\n".join(addresses).encode(), cwd=repo, capture_output=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    for number, address in enumerate(addresses):
        git("config", "remote.origin.url", address)
        fluent.set_tracking_uri(repo)
        with fluent.start_run(run_name=f"remote-{number}"):
            pass
        starting._asked.clear()
    assert git("rev-list", "--count", "--first-parent", "gitml/runs") == str(1 + 2 * len(ODD))
    kept = everything(repo)
    assert b"can't read" in kept
    assert CANARY.encode() not in kept


URLS = (
    f"https://user:{CANARY}@example.org/data",
    f"https://user:p@{CANARY}@example.org/data",
    f"https://user:a/{CANARY}@example.org/data",
    f"https://user:1234/{CANARY}@example.org/data",
    f"https://user:a b{CANARY}@example.org/data",
    f"https://user:#{CANARY}@example.org/data",
    f"https://user:?{CANARY}@example.org/data",
    f"ssh://user:a/{CANARY}@example.org/data",
    f"https://example.org/data?token={CANARY}",
    f"https://example.org/data#token={CANARY}",
    f"azure://container/data#{CANARY}",
    f"azure://container/data?{CANARY}",
    f"u:a@b/{CANARY}@h",
    f"user:{CANARY}@example.org:data",
)


@pytest.mark.parametrize("url", URLS)
def test_a_remote_with_a_password_is_refused(repo: Path, url: str) -> None:
    """`gitml init --remote` would write it into a file that is committed; it is not told either."""
    with pytest.raises(UsageError, match=r"password|credential") as caught:
        storage.set_project_remote(repo, url)
    assert CANARY not in str(caught.value)
    assert CANARY.encode() not in b"".join(
        path.read_bytes() for path in repo.rglob("*") if path.is_file()
    )


@pytest.mark.parametrize("url", URLS)
def test_no_run_commit_holds_the_password_of_a_remote(url: str) -> None:
    """What a run says of its DVC remote has the address alone."""
    remote = storage.Remote("storage", url, {"endpointurl": url})
    assert CANARY not in storage.run_config_text(remote)
    assert CANARY not in str(remote)


class Source:
    """A source of another library."""

    def to_dict(self) -> dict[str, object]:
        """Where the data is, in a nest."""
        return {
            "path": "x",
            "token": CANARY,
            "nest": {"url": f"https://u:{CANARY}@h/x", "secret": CANARY},
            "storage_options": {"secret": CANARY, "list": [f"https://u:{CANARY}@h"]},
        }

    def _get_source_type(self) -> str:
        return "hub"


@pytest.mark.parametrize(
    "source",
    [
        f"jdbc:mysql://u:{CANARY}@h/db",
        f"jdbc:postgresql://h/db?user=u&password={CANARY}",
        f" https://u:{CANARY}@h",
        f"Server=h;Password={CANARY}",
        f"DRIVER=x;PWD={CANARY}",
        dataset_source.DatasetSource("http", {"url": f"https://u:{CANARY}@h/x"}),
        Source(),
    ],
)
def test_no_source_of_a_dataset_holds_a_password(source: object) -> None:
    """Whatever form a source has, it comes out without credentials."""
    assert CANARY not in dataset_source.parse(source).to_json()


def test_the_name_of_a_dataset_holds_no_password() -> None:
    """A name may be the URL that the data came from."""
    made = datasets.dataset_of(np.ones(2), f"https://u:{CANARY}@h/x", None, None)
    assert CANARY not in made.name
