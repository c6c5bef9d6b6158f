"""Packages made for tests: a folder of small wheels, and sources whose build waits for a sign."""

from __future__ import annotations

import base64
import hashlib
import io
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Sequence
from pathlib import Path

import pytest

BACKEND = """
import os, pathlib, shutil, time

HOUSE = pathlib.Path({house!r})

def build_wheel(directory, config_settings=None, metadata_directory=None):
    with open(HOUSE / "builds.log", "a") as log:
        log.write(f"{{os.getppid()}}\\n")
    {what}
    return shutil.copy(HOUSE / "built" / {wheel!r}, directory) and {wheel!r}
"""
WAIT = "while not (HOUSE / 'go').exists(): time.sleep(0.01)"
FAIL = "raise RuntimeError('there is no compiler')"


def add_wheel(house: Path, name: str, version: str = "1.0", requires: Sequence[str] = ()) -> Path:
    """A wheel whose module says its version, in a folder."""
    info = f"{name}-{version}.dist-info"
    metadata = [f"Name: {name}", f"Version: {version}", *(f"Requires-Dist: {r}" for r in requires)]
    contents = {
        f"{name}.py": f"__version__ = {version!r}\n",
        f"{name}_data/table.txt": "one\n",
        f"{info}/METADATA": "\n".join(["Metadata-Version: 2.1", *metadata, ""]),
        f"{info}/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = [f"{path},sha256={_digest(text)},{len(text)}" for path, text in contents.items()]
    contents[f"{info}/RECORD"] = "\n".join([*record, f"{info}/RECORD,,", ""])
    house.mkdir(parents=True, exist_ok=True)
    target = house / f"{name}-{version}-py3-none-any.whl"
    with zipfile.ZipFile(target, "w") as archive:
        for path, text in contents.items():
            archive.writestr(path, text)
    return target


def _digest(text: str) -> str:
    value = hashlib.sha256(text.encode()).digest()
    return base64.urlsafe_b64encode(value).rstrip(b"=").decode()


def add_source(house: Path, name: str, what: str) -> Path:
    """Sources in a folder whose build first does `what`; each build is a line of `builds.log`.

    The line is the id of the process that asked for it.
    """
    wheel = add_wheel(house / "built", name)
    contents = {
        "PKG-INFO": f"Metadata-Version: 2.2\nName: {name}\nVersion: 1.0\n",
        "pyproject.toml": '[build-system]\nrequires = []\nbuild-backend = "backend"\n'
        f'backend-path = ["."]\n[project]\nname = "{name}"\nversion = "1.0"\n',
        "backend.py": BACKEND.format(house=str(house), wheel=wheel.name, what=what),
    }
    target = house / f"{name}-1.0.tar.gz"
    with tarfile.open(target, "w:gz") as archive:
        for path, text in contents.items():
            entry = tarfile.TarInfo(f"{name}-1.0/{path}")
            entry.size = len(text.encode())
            archive.addfile(entry, io.BytesIO(text.encode()))
    return target


def filled_cache(folder: Path) -> Path:
    """A cache for uv, filled from the index that is configured here; skips the test without one."""
    done = subprocess.run(
        [sys.executable, "-m", "uv", "pip", "compile", "-", "--cache-dir", str(folder), "--quiet"],
        input=b"six",
        capture_output=True,
        check=False,
    )
    if done.returncode:
        pytest.skip(f"no package index answers: {done.stderr.decode()[-200:]}")
    return folder


def builds(house: Path) -> list[int]:
    """Who asked for builds so far, by process id."""
    log = house / "builds.log"
    return [int(line) for line in log.read_text().splitlines()] if log.exists() else []
