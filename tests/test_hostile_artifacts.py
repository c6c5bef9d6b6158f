"""Hostile artifacts: each case of the corpus is stored whole, or refused in one line."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import gitml
from gitml import storage
from gitml.documents import load_yaml
from gitml.errors import GitmlError
from gitml.tracking import exchange, store
from gitml.tracking.fluent.place import place

SECRET = b"a secret that lies outside"
LARGE = bytes(range(256)) * 800

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="made of POSIX files")

Maker = Callable[[Path], Path]
MAKERS: dict[str, Maker] = {}


def maker(name: str) -> Callable[[Maker], Maker]:
    """Enter a function that makes, in an empty folder, what is to be logged; it returns that."""

    def enter(function: Maker) -> Maker:
        MAKERS[name] = function
        return function

    return enter


def folder_with(folder: Path, **files: bytes) -> Path:
    """A folder `data` with files in it."""
    data = folder / "data"
    data.mkdir()
    (data / "plain.txt").write_bytes(b"plain")
    for name, content in files.items():
        (data / name).write_bytes(content)
    return data


@maker("fifo")
def _(folder: Path) -> Path:
    os.mkfifo(folder / "pipe")
    return folder / "pipe"


@maker("fifo in folder")
def _(folder: Path) -> Path:
    data = folder_with(folder)
    os.mkfifo(data / "pipe")
    return data


@maker("socket in folder")
def _(folder: Path) -> Path:
    data = folder_with(folder)
    with in_folder(data), socket.socket(socket.AF_UNIX) as server:
        server.bind("socket")
    return data


@maker("device")
def _(folder: Path) -> Path:
    return Path("/dev/null")


@maker("link out")
def _(folder: Path) -> Path:
    (folder / "secret").write_bytes(SECRET)
    data = folder_with(folder)
    (data / "link").symlink_to("../secret")
    return data


@maker("link to folder out")
def _(folder: Path) -> Path:
    (folder / "secrets").mkdir()
    (folder / "secrets" / "secret").write_bytes(SECRET)
    data = folder_with(folder)
    (data / "link").symlink_to("../secrets")
    return data


@maker("link loop")
def _(folder: Path) -> Path:
    data = folder_with(folder)
    (data / "a").symlink_to("b")
    (data / "b").symlink_to("a")
    return data


@maker("link nowhere")
def _(folder: Path) -> Path:
    data = folder_with(folder)
    (data / "link").symlink_to("nothing")
    return data


@maker("link inside")
def _(folder: Path) -> Path:
    data = folder_with(folder, target=b"target")
    (data / "link").symlink_to("target")
    return data


@maker("sparse")
def _(folder: Path) -> Path:
    path = folder / "sparse.bin"
    with path.open("wb") as file:
        file.truncate(shutil.disk_usage(folder).total)
    return path


@maker("hard link")
def _(folder: Path) -> Path:
    data = folder_with(folder, one=b"content")
    os.link(data / "one", data / "two")
    return data


@maker("setuid")
def _(folder: Path) -> Path:
    data = folder_with(folder, tool=b"#!/bin/sh\n")
    (data / "tool").chmod(0o4755)
    return data


@maker("empty")
def _(folder: Path) -> Path:
    return folder_with(folder, empty=b"")


@maker("missing")
def _(folder: Path) -> Path:
    return folder / "nothing"


@maker("not utf-8")
def _(folder: Path) -> Path:
    data = folder_with(folder)
    Path(os.fsdecode(os.fsencode(data) + b"/\xff\xfe")).write_bytes(b"x")
    return data


@maker("line break")
def _(folder: Path) -> Path:
    return folder_with(folder, **{"a\nM 100644 inline b": b"x"})


@maker("git folder")
def _(folder: Path) -> Path:
    data = folder_with(folder)
    (data / ".git" / "hooks").mkdir(parents=True)
    (data / ".git" / "hooks" / "post-checkout").write_bytes(b"#!/bin/sh\n")
    return data


@maker("git link")
def _(folder: Path) -> Path:
    data = folder_with(folder)
    (data / "sub").mkdir()
    (data / "sub" / ".git").write_bytes(b"gitdir: /somewhere\n")
    return data


@maker("git folder itself")
def _(folder: Path) -> Path:
    (folder / ".git").mkdir()
    (folder / ".git" / "config").write_bytes(b"[core]\n\tfsmonitor = true\n")
    return folder / ".git"


@maker("devices")
def _(folder: Path) -> Path:
    data = folder_with(folder, **{"aux.json": b"{}"})
    (data / "con.d").mkdir()
    (data / "con.d" / "x.txt").write_bytes(b"x")
    return data


@maker("git files")
def _(folder: Path) -> Path:
    return folder_with(folder, **{".gitattributes": b"* filter=x\n", ".gitmodules": b"[x]\n"})


@maker("dvc files")
def _(folder: Path) -> Path:
    return folder_with(folder, **{"dvc.yaml": b"stages: {}\n", ".dvcignore": b"*\n"})


@maker("pointer")
def _(folder: Path) -> Path:
    path = folder / "model.dvc"
    path.write_bytes(b"outs:\n- md5: ../../../etc/passwd\n  path: ../x\n")
    return path


@maker("case")
def _(folder: Path) -> Path:
    return folder_with(folder, **{"Model": b"large", "model": b"small"})


@maker("many files")
def _(folder: Path) -> Path:
    data = folder_with(folder)
    for number in range(1000):
        (data / f"f{number}").write_bytes(b"%d" % number)
    return data


@contextlib.contextmanager
def in_folder(folder: Path) -> Iterator[None]:
    """Work in a folder for a while: the address of a socket must be short."""
    before = Path.cwd()
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)


def cases() -> list[Any]:
    """The corpus as parameters."""
    path = Path(__file__).with_name("hostile") / "artifacts.yaml"
    return [pytest.param(case, id=case["name"]) for case in load_yaml(path.read_bytes(), "corpus")]


def content_of(path: Path, name: str) -> dict[str, bytes]:
    """What the files of a file or folder hold, by artifact path."""
    if path.is_file():
        return {name: path.read_bytes()}
    files = (file for file in path.rglob("*") if file.is_file())
    return {f"{name}/{file.relative_to(path).as_posix()}": file.read_bytes() for file in files}


@pytest.mark.parametrize("case", [item for item in cases() if item.values[0]["make"] in MAKERS])
def test_what_is_logged(case: dict[str, Any], repo: Path, tmp_path: Path) -> None:
    """It is kept as it was when it was logged, or refused; nothing outside is ever kept."""
    folder = tmp_path / "made"
    folder.mkdir()
    logged = MAKERS[case["make"]](folder)
    with gitml.start_run() as run:
        if "error" in case:
            with pytest.raises(GitmlError, match=r"^[^\n]*$") as refused:
                gitml.log_artifact(logged)
            assert case["error"] in str(refused.value)
        elif "left_out" in case:
            with pytest.warns(UserWarning, match=r"^[^\n]*$") as warned:
                gitml.log_artifact(logged)
            assert case["left_out"] in str(warned[0].message)
            wanted = {"data/plain.txt": b"plain"}
        else:
            gitml.log_artifact(logged)
            wanted = content_of(logged, logged.name)
    kept = everything_kept(repo)
    assert SECRET not in kept
    if "error" not in case:
        target = gitml.artifacts.download_artifacts(run_id=run.info.run_id)
        assert content_of(Path(target) / logged.name, logged.name) == wanted
        modes = [file.stat().st_mode for file in Path(target).rglob("*") if file.is_file()]
        assert not any(mode & (stat.S_ISUID | stat.S_ISGID) for mode in modes)


def everything_kept(repo: Path) -> bytes:
    """The bytes of everything in gitml's folder and in the objects of the repository."""
    files = [file for file in (repo / ".git" / "gitml").rglob("*") if file.is_file()]
    objects = subprocess.run(
        ("git", "cat-file", "--batch", "--batch-all-objects"),
        cwd=repo,
        capture_output=True,
        check=True,
    )
    return b"".join((*(file.read_bytes() for file in files), objects.stdout))


@pytest.mark.parametrize("make", ["changed later", "changed in place"])
def test_what_is_logged_stays(make: str, repo: Path, tmp_path: Path) -> None:
    """Writing to the file afterwards does not change the artifact."""
    path = tmp_path / "model.bin"
    path.write_bytes(LARGE)
    with gitml.start_run() as run, path.open("r+b") as old:
        gitml.log_artifact(path)
        if make == "changed in place":
            old.write(b"changed")
        else:
            path.write_bytes(b"changed")
    found = store.artifact(place(), run.info.run_id, "model.bin")
    assert found == LARGE


# -- what is in the cache or the remote ------------------------------------------------------


def flip(path: Path, others: list[Path]) -> None:
    """Change one byte."""
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    overwrite(path, bytes(data))


def swap(path: Path, others: list[Path]) -> None:
    """Exchange two objects."""
    mine, theirs = path.read_bytes(), others[0].read_bytes()
    overwrite(path, theirs)
    overwrite(others[0], mine)


def read_only(path: Path, others: list[Path]) -> None:
    """Change one byte and leave the file read-only, which DVC takes for proof."""
    flip(path, others)
    path.chmod(0o444)


def link(path: Path, others: list[Path]) -> None:
    """Put a link to a secret in the object's place."""
    secret = path.parent / "secret"
    secret.write_bytes(SECRET)
    path.chmod(0o644)
    path.unlink()
    path.symlink_to(secret)


def climb(path: Path, others: list[Path]) -> None:
    """Make a manifest name a path outside."""
    manifest = next(item for item in [path, *others] if item.name.endswith(".dir"))
    overwrite(manifest, manifest.read_bytes().replace(b"weights.bin", b"../../x.bin"))


def overwrite(path: Path, data: bytes) -> None:
    """Write a read-only file."""
    path.chmod(0o644)
    path.write_bytes(data)


HARMS: dict[str, Callable[[Path, list[Path]], None]] = {
    "flip": flip,
    "truncate": lambda path, others: overwrite(path, path.read_bytes()[:-1]),
    "swap": swap,
    "read-only": read_only,
    "lose": lambda path, others: path.unlink(),
    "link": link,
    "manifest": climb,
}


@pytest.mark.parametrize("case", [item for item in cases() if item.values[0].get("when")])
def test_what_is_read(case: dict[str, Any], repo: Path, tmp_path: Path) -> None:
    """Bytes that are not those that were logged never reach the target folder."""
    harm, where = case["make"].split(" ")
    storage.set_project_remote(repo, str(tmp_path / "remote"))
    gitml_remote, cache = tmp_path / "remote" / "gitml", repo / ".git" / "gitml" / "cache"
    (tmp_path / "weights.bin").write_bytes(LARGE)
    with gitml.start_run() as run:
        gitml.log_artifact(tmp_path / "weights.bin", "model")
        gitml.log_text("other" * 50_000, "model/other.bin")
    push_artifacts(repo, tmp_path)
    if where != "cache":
        shutil.rmtree(cache)
    root = cache if where == "cache" else gitml_remote
    weights, others = objects(root)
    HARMS[harm](weights, others)
    target = tmp_path / "target"
    with pytest.raises(GitmlError, match=r"^[^\n]*$") as refused:
        gitml.artifacts.download_artifacts(run_id=run.info.run_id, dst_path=target)
    assert case["error"] in str(refused.value)
    assert not list(tmp_path.rglob("x.bin"))
    assert not list(target.rglob("*"))


def push_artifacts(repo: Path, tmp_path: Path) -> None:
    """Push the run to a bare origin and its artifacts to the remote."""
    origin = tmp_path / "origin.git"
    subprocess.run(("git", "init", "--quiet", "--bare", str(origin)), check=True)
    subprocess.run(("git", "remote", "add", "origin", str(origin)), cwd=repo, check=True)
    report = exchange.push(place())
    assert len(report.runs) == 1
    assert not report.withheld


def objects(root: Path) -> tuple[Path, list[Path]]:
    """The object of the weights, and the others."""
    found = [path for path in (root / "files" / "md5").rglob("*") if path.is_file()]
    weights = next(path for path in found if path.read_bytes() == LARGE)
    return weights, [path for path in found if path != weights]
