"""gitml itself as a wheel, made from the files that are running: no index needs to have it."""

from __future__ import annotations

import base64
import hashlib
import io
import re
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Literal

from gitml import version
from gitml.environments.requirements import package
from gitml.environments.spec import Spec
from gitml.resources import resource

Extent = Literal["serving", "recording", "whole"]

PYTHON = (3, 10)  # the lowest that gitml runs on

_ALWAYS = (
    "click>=8.1",
    "cloudpickle>=2.2",
    "jsonschema>=4.18",
    "orjson>=3.9.15",
    "packaging>=22",
    "pyyaml>=6.0.1",
    "rich>=13",
)
# What serving a model needs of what gitml depends on. DVC and git are not among it.
SERVING = tuple(sorted((*_ALWAYS, "httptools", "numpy", "pandas", "starlette", "uvicorn")))
# What a script needs that records into a spool: neither git nor DVC is started there.
RECORDING = tuple(sorted((*_ALWAYS, "psutil>=5.9")))
# All that gitml depends on, as pyproject.toml has it.
WHOLE = tuple(
    sorted((*RECORDING, "dvc>=3.60", "gitpython>=3.1.58", "ruamel.yaml>=0.17.26", "tomlkit>=0.12"))
)
_OWN = re.compile(r"(?:.*::)?gitml(?![\w.-])", re.IGNORECASE)  # also as conda has it
_SCRIPT = "[console_scripts]\ngitml = gitml.cli.main:main\n"
_DATE = (2020, 1, 1, 0, 0, 0)  # of every file, so that equal files make equal wheels


def requirements(extent: Extent) -> tuple[str, ...]:
    """What gitml depends on: to serve models, to record into a spool, or as a whole."""
    return {"serving": SERVING, "recording": RECORDING, "whole": WHOLE}[extent]


def release(extent: Extent) -> str:
    """The version of the wheel; one that is not whole says so in its local part."""
    return version.__version__ + ("" if extent == "whole" else f"+{extent}")


def is_wanted(spec: Spec) -> bool:
    """Whether the running gitml is what a spec gets: it names none, or one that this one is."""
    return all(
        not wanted.url and wanted.specifier.contains(version.__version__, prereleases=True)
        for wanted in map(package, spec.requirements)
        if wanted is not None and wanted.name == "gitml"
    )


def without(spec: Spec) -> Spec:
    """The spec without its lines for gitml, wherever it names it."""
    named = ("requirements", "build", "conda", "constraints")
    lines: dict[str, tuple[str, ...]] = {name: getattr(spec, name) for name in named}
    others = {
        name: tuple(line for line in found if not _OWN.match(line)) for name, found in lines.items()
    }
    return replace(
        spec,
        requirements=others["requirements"],
        build=others["build"],
        conda=others["conda"],
        constraints=others["constraints"],
    )


def digest() -> str:
    """The sha256 (hex) of the running gitml: it tells two states of a checkout apart."""
    total = hashlib.sha256()
    for name, path in _files():
        total.update(name.encode())
        total.update(hashlib.sha256(path.read_bytes()).digest())
    return total.hexdigest()


def write_wheel(folder: Path, extent: Extent = "serving") -> Path:
    """Write gitml as a wheel into a folder; its path. The same gitml gives the same bytes."""
    path = folder / f"gitml-{release(extent)}-py3-none-any.whl"
    path.write_bytes(_wheel(extent))
    return path


def _files() -> Iterator[tuple[str, Path]]:
    """The files of the running gitml and their names inside of a wheel."""
    package = Path(__file__).resolve().parent.parent
    places = {"gitml": package}
    for name in ("schemas", "templates"):  # beside the package in a checkout
        if not (package / name).is_dir():
            places[f"gitml/{name}"] = resource(name)
    for prefix, folder in places.items():
        for path in sorted(folder.rglob("*")):
            if path.is_file() and "__pycache__" not in path.parts:
                yield f"{prefix}/{path.relative_to(folder).as_posix()}", path


def _wheel(extent: Extent) -> bytes:
    info = f"gitml-{release(extent)}.dist-info"
    contents = {name: path.read_bytes() for name, path in _files()}
    contents[f"{info}/METADATA"] = _metadata(extent).encode()
    contents[f"{info}/WHEEL"] = (
        b"Wheel-Version: 1.0\nGenerator: gitml\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    )
    contents[f"{info}/entry_points.txt"] = _SCRIPT.encode()
    contents[f"{info}/RECORD"] = _record(contents, f"{info}/RECORD").encode()
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in contents.items():
            entry = zipfile.ZipInfo(name, _DATE)
            entry.external_attr = 0o100644 << 16
            entry.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(entry, data)
    return target.getvalue()


def _metadata(extent: Extent) -> str:
    lines = [
        "Metadata-Version: 2.1",
        "Name: gitml",
        f"Version: {release(extent)}",
        f"Requires-Python: >={PYTHON[0]}.{PYTHON[1]}",
        *(f"Requires-Dist: {line}" for line in requirements(extent)),
    ]
    return "\n".join(lines) + "\n"


def _record(contents: dict[str, bytes], own: str) -> str:
    """The list of a wheel's files with their digests; its own line has none."""
    lines = []
    for name, data in contents.items():
        value = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
        lines.append(f"{name},sha256={value},{len(data)}\n")
    return "".join(lines) + f"{own},,\n"
