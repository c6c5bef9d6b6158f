"""Sharing through a bucket, from setting up to collecting garbage, with real commands throughout.

Every command is a process of its own, as a user starts it: gitml, git, and stock DVC.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.artifacts import dvc, objects_in
from tests.conftest import run_git
from tests.trainings import ROOT

KEYS = {"AWS_ACCESS_KEY_ID": "AKIAIOSFODNN7EXAMPLE", "AWS_SECRET_ACCESS_KEY": "geheim-EXAMPLE"}
TRAINING = """
import pathlib, sys
import gitml

seed = int(sys.argv[1])
with gitml.start_run(run_name=f"run-{seed}") as run:
    gitml.log_metric("auc", seed / 10)
    weights = pathlib.Path("weights.bin")
    weights.write_bytes(bytes([seed]) * 3_000_000)
    gitml.log_artifact(str(weights))
    parts = pathlib.Path("parts")
    parts.mkdir(exist_ok=True)
    for number in range(3):
        (parts / f"{number}.bin").write_bytes(bytes([seed, number]) * 100_000)
    gitml.log_artifacts(str(parts), "parts")
    gitml.log_text("small", "note.txt")
print(run.info.run_id)
"""


def gitml(folder: Path, *args: str, code: int = 0) -> str:
    """Run `gitml` in a folder as a process of its own; what it printed."""
    return _python(folder, "-m", "gitml", *args, code=code)


def _python(folder: Path, *args: str, code: int = 0) -> str:
    done = subprocess.run(
        (sys.executable, *args),
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == code, f"{args}: {done.stdout}{done.stderr}"
    return done.stdout


def train(folder: Path, seed: int) -> str:
    """Train in a clone; the run's id."""
    return _python(folder, "train.py", str(seed)).strip()


def weights(seed: int) -> bytes:
    """What the training of that seed logs as `weights.bin`."""
    return bytes([seed]) * 3_000_000


class Bucket:
    """What is in the bucket below a prefix."""

    def __init__(self, endpoint: str, prefix: str) -> None:
        import boto3

        self.url, self._prefix = f"s3://bucket/{prefix}", f"{prefix}/"
        self._client = boto3.client("s3", endpoint_url=endpoint, region_name="us-east-1")

    def objects(self, below: str = "") -> set[str]:
        """The ids of the objects in a DVC remote there."""
        prefix = f"{self._prefix}{below}files/md5/"
        found = self._client.list_objects_v2(Bucket="bucket", Prefix=prefix).get("Contents", [])
        return {item["Key"].removeprefix(prefix).replace("/", "") for item in found}

    def holds(self, secret: str) -> bool:
        """Whether any object there holds the text."""
        found = self._client.list_objects_v2(Bucket="bucket", Prefix=self._prefix)
        texts: list[Any] = [
            self._client.get_object(Bucket="bucket", Key=item["Key"])["Body"].read()
            for item in found.get("Contents", [])
        ]
        return any(secret.encode() in text for text in texts)


@pytest.fixture
def bucket(endpoint: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bucket:
    """A prefix of its own in the bucket; the keys are in the environment of every process."""
    for name, value in KEYS.items():
        monkeypatch.setenv(name, value)
    return Bucket(endpoint, tmp_path.name)


@pytest.fixture
def ann(repo: Path, bare: Path, bucket: Bucket, endpoint: str) -> Path:
    """A clone that was set up with the bucket, and pushed."""
    run_git(repo, "remote", "add", "origin", str(bare))
    gitml(repo, "init", "--remote", bucket.url)
    dvc(repo, "remote", "modify", "--quiet", "storage", "endpointurl", endpoint)
    dvc(repo, "remote", "modify", "--quiet", "storage", "region", "us-east-1")
    (repo / "train.py").write_text(TRAINING)
    (repo / ".gitignore").write_text("weights.bin\nparts\n")
    run_git(repo, "add", ".")
    run_git(repo, "commit", "--quiet", "--message", "Set up gitml")
    run_git(repo, "push", "--quiet", "--set-upstream", "origin", "main")
    return repo


def clone(folder: Path, bare: Path, name: str) -> Path:
    """A fresh clone of the project."""
    run_git(folder, "clone", "--quiet", str(bare), name)
    return folder / name


def commit_of(folder: Path, run_id: str) -> str:
    """The run commit, found with git alone."""
    log = ("log", "--first-parent", "-1", f"--grep=^Run-Id: {run_id}", "--format=%P")
    return run_git(folder, *log, "origin/gitml/runs").split()[1]


def check_fetched(folder: Path, bare: Path, runs: dict[int, str], out: Path) -> None:
    """Every artifact of the runs can be had in a clone with an empty cache, and with stock DVC."""
    out.mkdir()
    for seed, run_id in runs.items():
        target = out / f"gitml-{seed}"
        gitml(folder, "runs", "artifacts", run_id, "--download", str(target))
        assert (target / "weights.bin").read_bytes() == weights(seed)
        assert (target / "parts" / "2.bin").read_bytes() == bytes([seed, 2]) * 100_000
        assert (target / "note.txt").read_text() == "small"
        commit = commit_of(folder, run_id)
        for name in ("weights.bin", "parts"):
            path = f".gitml/run/artifacts/{name}"
            dvc(out, "get", "--quiet", str(bare), path, "--rev", commit, "--out", f"{seed}-{name}")
        assert (out / f"{seed}-weights.bin").read_bytes() == weights(seed)
        assert sorted(item.name for item in (out / f"{seed}-parts").iterdir()) == [
            "0.bin", "1.bin", "2.bin",
        ]  # fmt: skip


def test_artifacts_go_through_a_bucket_and_outlive_every_collector(
    ann: Path, bare: Path, bucket: Bucket, tmp_path: Path
) -> None:
    """Set up, train, push, clone, pull, read; then both collectors, and all can still be read."""
    runs = {seed: train(ann, seed) for seed in (1, 2)}
    gitml(ann, "push")
    pushed = bucket.objects("gitml/")
    assert hashlib.md5(weights(1), usedforsecurity=False).hexdigest() in pushed
    assert pushed == objects_in(ann / ".git" / "gitml" / "cache")

    bob = clone(tmp_path, bare, "bob")
    gitml(bob, "pull")
    check_fetched(bob, bare, {1: runs[1]}, tmp_path / "before")

    (ann / "data.csv").write_text("1,2\n")
    dvc(ann, "add", "--quiet", "data.csv")
    dvc(ann, "push", "--quiet")
    assert len(bucket.objects()) == 1
    (ann / "data.csv.dvc").unlink()
    for folder in (ann, bob):
        dvc(folder, "gc", "--workspace", "--cloud", "--force", "--quiet")
        gitml(folder, "gc", "--remote", "--keep", "0", "--yes")
        run_git(folder, "gc", "--quiet", "--prune=now")
        run_git(folder, "clean", "-fdxq")
    assert bucket.objects() == set()
    assert bucket.objects("gitml/") == pushed
    carol = clone(tmp_path, bare, "carol")
    gitml(carol, "pull", "--artifacts")
    assert objects_in(carol / ".git" / "gitml" / "cache") == pushed
    check_fetched(clone(tmp_path, bare, "dan"), bare, runs, tmp_path / "after")


def test_only_what_a_deleted_run_alone_needs_leaves_the_bucket(
    ann: Path, bare: Path, bucket: Bucket, tmp_path: Path
) -> None:
    """Collected in another clone than the one that made it; the rest can still be fetched."""
    runs = {seed: train(ann, seed) for seed in (1, 2)}
    gitml(ann, "push")
    before = bucket.objects("gitml/")
    bob = clone(tmp_path, bare, "bob")
    gitml(bob, "pull")
    gitml(bob, "runs", "delete", runs.pop(1))
    gitml(bob, "gc", "--remote", "--keep", "0", "--yes")
    gone = before - bucket.objects("gitml/")
    assert hashlib.md5(weights(1), usedforsecurity=False).hexdigest() in gone
    assert len(gone) == 5  # the weights, the folder, and its three files
    check_fetched(clone(tmp_path, bare, "carol"), bare, runs, tmp_path / "out")
    gitml(ann, "pull")
    assert [
        run["run_id"] for run in json.loads(gitml(ann, "runs", "list", "--format", "json"))
    ] == [runs[2]]


def test_keys_stay_with_who_has_them(ann: Path, bare: Path, bucket: Bucket) -> None:
    """Neither the bucket nor any object of git holds them."""
    train(ann, 1)
    gitml(ann, "push")
    for secret in KEYS.values():
        assert not bucket.holds(secret)
        for folder in (ann, bare):
            listed = run_git(folder, "cat-file", "--batch-all-objects", "--batch-check")
            assert listed
            texts = subprocess.run(
                ("git", "cat-file", "--batch-all-objects", "--batch"),
                cwd=folder,
                capture_output=True,
                check=True,
            ).stdout
            assert secret.encode() not in texts
