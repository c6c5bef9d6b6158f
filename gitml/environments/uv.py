"""uv: finding it, and having it build an environment or resolve requirements."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

from gitml import process
from gitml.documents import load_json
from gitml.environments import pythons
from gitml.environments.complaints import BuildError, complaint
from gitml.environments.pythons import Python
from gitml.environments.requirements import package
from gitml.environments.spec import Spec, minor
from gitml.errors import FormatError, UsageError

Tell = Callable[[str], None]

# Variables that would make uv work on another environment than the one that it is told.
_LEFT_OUT = (
    "VIRTUAL_ENV CONDA_PREFIX PYTHONHOME PYTHONPATH UV_PYTHON UV_SYSTEM_PYTHON UV_PROJECT"
    " UV_PROJECT_ENVIRONMENT UV_WORKING_DIRECTORY"
).split()
# What pip is told by variables, uv is told too, unless it was told something itself.
_OF_PIP = {
    "PIP_INDEX_URL": "UV_DEFAULT_INDEX",
    "PIP_EXTRA_INDEX_URL": "UV_INDEX",
    "PIP_FIND_LINKS": "UV_FIND_LINKS",
    "PIP_CERT": "SSL_CERT_FILE",
}
_STEPS = ("Resolved", "Downloading", "Building", "Prepared", "Installed")


def find() -> Path:
    """The program uv: beside this Python, on the PATH, or in its package.

    Raises `UsageError` that says how to install it.
    """
    name = "uv.exe" if sys.platform == "win32" else "uv"
    beside = Path(sys.executable).parent / name
    if beside.is_file():
        return beside
    if found := shutil.which("uv"):
        return Path(found)
    try:
        from uv import find_uv_bin

        return Path(find_uv_bin())
    except (ImportError, FileNotFoundError):
        raise UsageError(
            "uv, which builds environments, is not installed; pip install 'gitml[env]'"
        ) from None


def run(args: Sequence[str], tell: Tell | None = None, *, cwd: Path, links: bool = True) -> None:
    """Run uv in a folder without settings of a project. Raises `BuildError` with its complaint.

    Without `links`, packages that lie in folders of this machine are not considered.
    """
    argv = [str(find()), *args, "--no-progress", "--color", "never"]
    env = variables(os.environ)
    if not links:
        env.pop("UV_FIND_LINKS", None)
    done = process.follow(argv, _steps(tell), cwd=cwd, env=env)
    if done.returncode:
        raise BuildError(complaint(done.stdout))


def _steps(tell: Tell | None) -> Tell:
    def heard(line: str) -> None:
        step = line.strip()
        if tell is not None and step.startswith(_STEPS):
            tell(step)

    return heard


def variables(given: Mapping[str, str]) -> dict[str, str]:
    """The environment of uv: the user's, with what pip is told, without what would mislead it."""
    told = {name: value for name, value in given.items() if name not in _LEFT_OUT}
    for pip, uv in _OF_PIP.items():
        if value := told.get(pip):
            told.setdefault(uv, ",".join(value.split()) if uv == "UV_FIND_LINKS" else value)
    return told


# -- environments --------------------------------------------------------------------------


def build(spec: Spec, wheels: Iterable[Path], place: Path, tell: Tell | None) -> None:
    """Make the environment `place`: the Python, the build tools, then requirements and wheels."""
    python = _create(spec.python or pythons.running().version, place, tell)
    install = ["pip", "install", "--python", str(python)]
    if spec.build:
        tools = place / "build.txt"
        tools.write_text("\n".join([*spec.indexes(), *spec.build, ""]), encoding="utf-8")
        run([*install, "-r", str(tools)], cwd=place)
    arguments = requirement_files(spec, place)
    run([*install, *arguments, *map(str, wheels)], tell, cwd=place)


def requirement_files(spec: Spec, folder: Path, more: Iterable[str] = ()) -> list[str]:
    """Write a spec's requirements and constraints into a folder; the arguments that name them."""
    found = []
    pre = ["--prerelease", "allow"] if "--pre" in spec.options else []
    for option, name, lines in (
        ("-r", "requirements.txt", [*spec.indexes(), *spec.requirements, *more]),
        ("-c", "constraints.txt", [*spec.constraints]),
    ):
        (folder / name).write_text("\n".join([*lines, ""]), encoding="utf-8")
        found += [option, str(folder / name)]
    return pre + found


def lock(spec: Spec, more: Iterable[str], python: str, platform: str, tell: Tell | None) -> str:
    """All that a spec and `more` come to for a Python and a platform, each at one version.

    The text is a requirements file. With digests of every file, unless something comes from a URL,
    which has none. What is in folders of this machine is left alone.
    """
    direct = any(wanted is None or wanted.url for wanted in map(package, spec.requirements))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        arguments = [word for word in requirement_files(spec, folder, more) if word != "-r"]
        run(
            [
                *("pip", "compile", *arguments, "--output-file", str(folder / "lock.txt")),
                *("--python-version", python, "--python-platform", platform),
                *("--python", str(pythons.running().path), "--no-header", "--no-annotate"),
                *(() if direct else ("--generate-hashes",)),
            ],
            tell,
            cwd=folder,
            links=False,
        )
        return (folder / "lock.txt").read_text(encoding="utf-8")


def _create(wanted: str, place: Path, tell: Tell | None) -> Path:
    """Make an environment without packages of the Python that is wanted; its interpreter.

    The running Python if it will do, else one of this machine, or uv's own; of an exact version
    that is nowhere, another patch.
    """
    if here := pythons.choose(wanted, [pythons.running()]):
        return _venv(place, str(here.path))
    found = installed(place)
    if exact := pythons.choose(wanted, found):
        return _venv(place, str(exact.path))
    try:
        return _venv(place, wanted, "--managed-python")
    except BuildError as error:
        near = pythons.choose(minor(wanted), found) if wanted.count(".") == 2 else None
        if near is None:
            raise BuildError(
                f"Python {wanted} is not on this machine, which has {pythons.listed(found)}, and uv"
                f" can't get it: {error}; install it, or use --env-manager local"
            ) from None
    if tell is not None:
        tell(f"Python {wanted} is not to be had; {near.version} is used instead")
    return _venv(place, str(near.path))


def _venv(place: Path, python: str, *options: str) -> Path:
    run(
        ["venv", "--quiet", "--allow-existing", *options, "--python", python, str(place)], cwd=place
    )
    return pythons.interpreter(place)


def installed(cwd: Path) -> list[Python]:
    """The Pythons that are on this machine, as far as uv and pyenv know them."""
    argv = [str(find()), "python", "list", "--only-installed", "--output-format", "json"]
    done = process.run(argv, env=variables(os.environ), cwd=cwd)
    try:
        entries = load_json(done.stdout, "uv's list of Pythons") if done.returncode == 0 else []
    except FormatError:
        entries = []
    known = [
        Python(entry["version"], Path(entry["path"]))
        for entry in entries
        if entry.get("implementation") == "cpython" and entry.get("path")
    ]
    return [pythons.running(), *known, *pythons.of_pyenv()]
