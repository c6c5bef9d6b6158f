"""Tests of remotes behind DVC's file systems, against an S3 server on this machine."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from gitml.errors import StorageError
from gitml.storage import (
    Cache,
    Pointer,
    PushResult,
    Remote,
    delete,
    fetch,
    materialize,
    missing,
    objects,
    push,
    run_config_text,
    run_remote,
)
from gitml.storage.cloud import modified
from tests.artifacts import MODEL, dvc, objects_in, read_folder, store_folder
from tests.conftest import run_git

KEYS = {"access_key_id": "AKIAIOSFODNN7EXAMPLE", "secret_access_key": "geheim-EXAMPLE-key"}


@pytest.fixture
def project(endpoint: str, request: pytest.FixtureRequest) -> Remote:
    """The project's remote, a prefix for each test; its keys are in the options."""
    url = f"s3://bucket/{request.node.name.partition('[')[0]}"
    return Remote("store", url, {"endpointurl": endpoint, "region": "us-east-1", **KEYS})


@pytest.fixture
def remote(project: Remote) -> Remote:
    """The remote of the runs."""
    return run_remote(project)


@pytest.fixture
def cache(tmp_path: Path) -> Cache:
    """The cache of this clone, empty."""
    return Cache(tmp_path / "cache")


@pytest.fixture
def other(tmp_path: Path) -> Cache:
    """The cache of another clone."""
    return Cache(tmp_path / "other")


@pytest.fixture
def model(cache: Cache, tmp_path: Path) -> Pointer:
    """A folder in the cache."""
    return store_folder(cache, tmp_path, MODEL)


def put(remote: Remote, md5: str, data: bytes) -> None:
    """Write bytes over an object in the remote."""
    client_of(remote).put_object(Bucket="bucket", Key=key_of(remote, md5), Body=data)


def key_of(remote: Remote, md5: str) -> str:
    """The key of the object in the bucket."""
    return f"{remote.url[len('s3://bucket/') :]}/files/md5/{md5[:2]}/{md5[2:]}"


def client_of(remote: Remote) -> Any:
    """A client of the server, which asks for no credentials."""
    import boto3

    return boto3.client(
        "s3",
        endpoint_url=remote.options["endpointurl"],
        region_name="us-east-1",
        aws_access_key_id="x",
        aws_secret_access_key="x",
    )


def test_a_folder_goes_to_a_bucket_and_back(
    cache: Cache, other: Cache, remote: Remote, model: Pointer, tmp_path: Path
) -> None:
    """With the credentials of the options, verified, and told in bytes."""
    told: list[tuple[int, int]] = []
    assert missing(cache, remote, [model]) == objects_in(cache.root)
    result = push(cache, remote, [model], lambda done, total: told.append((done, total)))
    assert result == PushResult(pushed=frozenset(objects_in(cache.root)))
    size = sum(item.size or 0 for item in cache.objects())
    assert told[-1] == (size, size)
    assert push(cache, remote, [model]) == PushResult(present=result.pushed)
    assert missing(cache, remote, [model]) == frozenset()
    fetch(other, [remote], [model])
    materialize(other, model, tmp_path / "out")
    assert read_folder(tmp_path / "out") == MODEL


def test_a_push_goes_on_where_it_was(cache: Cache, remote: Remote, model: Pointer) -> None:
    """Only what the bucket lacks is sent."""
    push(cache, remote, [model])
    lost = {model.md5, cache.manifest(model.md5)[0].md5}
    delete(remote, lost)
    assert missing(cache, remote, [model]) == lost
    assert push(cache, remote, [model]).pushed == lost


def test_tampered_objects_in_a_bucket_are_detected(
    cache: Cache, other: Cache, remote: Remote, model: Pointer
) -> None:
    """Each in turn is named, kept out of the cache, and left in the bucket."""
    push(cache, remote, [model])
    for md5 in sorted(objects_in(cache.root)):
        put(remote, md5, b"evil")
        with pytest.raises(StorageError, match=f"{md5} in the DVC remote gitml .* is damaged"):
            fetch(other, [remote], [model])
        assert not other.has(md5)
        kept = client_of(remote).get_object(Bucket="bucket", Key=key_of(remote, md5))
        assert kept["Body"].read() == b"evil"
        put(remote, md5, cache.path(md5).read_bytes())
        fetch(other, [remote], [model])
        other = Cache(other.root.parent / md5)


def test_a_bucket_is_listed_and_emptied(cache: Cache, remote: Remote, model: Pointer) -> None:
    """Id, size and age of each object; what is deleted is gone, what is not there is no error."""
    assert list(objects(remote)) == []
    push(cache, remote, [model])
    found = {item.md5: item for item in objects(remote)}
    assert set(found) == objects_in(cache.root)
    for md5, item in found.items():
        assert item.size == cache.path(md5).stat().st_size
        assert item.modified is not None
        assert abs(time.time() - item.modified) < 3600
    delete(remote, [*found, "0" * 32])
    assert list(objects(remote)) == []


def test_stock_dvc_gets_an_artifact_from_the_bucket(
    cache: Cache, remote: Remote, model: Pointer, repo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From the commit alone; the keys come from the environment of who asks."""
    from gitml.storage import pointer_text

    push(cache, remote, [model])
    config = run_config_text(remote)
    assert not any(secret in config for secret in KEYS.values())
    run = repo / ".gitml" / "run"
    (run / ".dvc").mkdir(parents=True)
    (run / "artifacts").mkdir()
    (run / ".dvc" / "config").write_text(config)
    (run / "artifacts" / "model.dvc").write_text(pointer_text(model, "model"))
    run_git(repo, "add", "--force", ".gitml")
    run_git(repo, "commit", "--quiet", "--message", "A run")
    for name, value in KEYS.items():
        monkeypatch.setenv(f"AWS_{name.upper()}", value)
    dvc(repo.parent, "get", "--quiet", str(repo), ".gitml/run/artifacts/model", "--rev", "HEAD")
    assert read_folder(repo.parent / "model") == MODEL


def test_stock_dvc_gc_leaves_the_runs_of_a_bucket_alone(
    cache: Cache, project: Remote, remote: Remote, model: Pointer, repo: Path
) -> None:
    """`dvc gc --workspace --cloud` removes the project's unused data, never an artifact."""
    push(cache, remote, [model])
    dvc(repo, "init", "--quiet")
    dvc(repo, "remote", "add", "--quiet", "--default", "store", project.url)
    for name, value in project.options.items():
        dvc(repo, "remote", "modify", "--local", "--quiet", "store", name, value)
    (repo / "data.csv").write_text("1,2\n")
    dvc(repo, "add", "--quiet", "data.csv")
    dvc(repo, "push", "--quiet")
    (repo / "data.csv.dvc").unlink()
    dvc(repo, "gc", "--workspace", "--cloud", "--force", "--quiet")
    assert list(objects(project)) == []
    assert {item.md5 for item in objects(remote)} == objects_in(cache.root)


@pytest.mark.parametrize(
    ("url", "options", "problem"),
    [
        ("s3://no-such-bucket/x", {}, "bucket does not exist"),
        ("s3://bucket/x", {"nonsense": "1"}, "extra keys not allowed"),
        (
            "azure://container/x",
            {"account_key": "geheim-EXAMPLE"},
            "needs the package dvc-azure.*run: pip install dvc-azure",
        ),
        ("foo://host/x", {}, "Unsupported URL type foo://"),
    ],
)
def test_what_a_backend_refuses_is_one_line(
    url: str, options: dict[str, str], problem: str, cache: Cache, model: Pointer, endpoint: str
) -> None:
    """A `StorageError` that names the remote and no credential."""
    if url.startswith("s3://"):
        options = {**options, "endpointurl": endpoint, **KEYS}
    with pytest.raises(StorageError, match=problem) as caught:
        push(cache, Remote("gitml", url, options), [model])
    assert url in str(caught.value) or "foo" in url
    assert "\n" not in str(caught.value)
    assert "geheim" not in str(caught.value)


def test_times_are_understood_however_a_backend_writes_them() -> None:
    """Seconds, a date with or without zone, ISO text; nothing where there is nothing."""
    import datetime

    moment = datetime.datetime(2026, 1, 31, 8, 0, tzinfo=datetime.timezone.utc)
    seconds = moment.timestamp()
    assert modified({"mtime": seconds}) == seconds
    assert modified({"LastModified": moment}) == seconds
    assert modified({"last_modified": moment.replace(tzinfo=None)}) == seconds
    assert modified({"updated": "2026-01-31T08:00:00Z"}) == seconds
    assert modified({"updated": "yesterday", "created": seconds}) == seconds
    assert modified({"size": 3}) is None
