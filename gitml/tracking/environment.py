"""What a run is executed by: interpreter, packages, script or notebook, user and machine.

It is read at the start of every run, so it has milliseconds: no process is started, nothing
heavy is imported, and installed packages are read from the names of their metadata folders.
"""

from __future__ import annotations

import functools
import os
import re
import socket
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from gitml.tracking.record import Environment, Source
from gitml.tracking.redact import redact_code, redact_command, redact_url
from gitml.version import __version__

LOCAL, NOTEBOOK, JOB = "LOCAL", "NOTEBOOK", "JOB"

_JOB_VARIABLES = frozenset(
    """SLURM_JOB_ID PBS_JOBID LSB_JOBID SGE_TASK_ID FLUX_JOB_ID RAY_JOB_ID AWS_BATCH_JOB_ID
    TRAINING_JOB_NAME AZUREML_RUN_ID CLOUD_ML_JOB_ID KUBERNETES_SERVICE_HOST
    GITHUB_ACTIONS GITLAB_CI JENKINS_URL TF_BUILD BUILDKITE CIRCLECI CI""".split()
)
_MAX_CODE = 2000


def environment() -> Environment:
    """The machine and the interpreter."""
    version = ".".join(map(str, sys.version_info[:3]))
    kind = sys.implementation.name
    return Environment(
        python=version if kind == "cpython" else f"{version} ({kind})",
        platform=_platform(),
        host=socket.gethostname(),
        cpus=_cpus(),
        gitml=__version__,
    )


def _platform() -> str:
    """System, release and machine; `platform.platform()` says more, and takes 10 ms."""
    windows = getattr(sys, "getwindowsversion", None)
    if windows is None:
        system = os.uname()
        return f"{system.sysname}-{system.release}-{system.machine}"
    build = ".".join(map(str, windows()[:3]))
    return f"Windows-{build}-{os.environ.get('PROCESSOR_ARCHITECTURE', '')}".rstrip("-")


def _cpus() -> int:
    """The CPUs that this process may use, which on a shared machine are fewer than there are."""
    affinity = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity is not None else os.cpu_count() or 1


def user() -> str:
    """The name that the user is logged in by; empty where there is none, as in some containers."""
    for variable in ("LOGNAME", "USER", "LNAME", "USERNAME"):
        if name := os.environ.get(variable):
            return name
    try:
        import pwd

        return pwd.getpwuid(os.getuid()).pw_name  # type: ignore[attr-defined, unused-ignore]
    except (ImportError, KeyError):
        return ""


# -- packages ------------------------------------------------------------------------------

_FOLDER = re.compile(r"([A-Za-z0-9][\w.]*)(?:-(.+?))?(?:-py\d[\d.]*)?\.(?:dist-info|egg-info|egg)")
_NAME_END = re.compile(r"[-_.]+")


def packages(folders: Sequence[str] | None = None) -> tuple[str, ...]:
    """The installed packages as requirement lines, sorted: `name==version`.

    They are those in `folders`, by default of this process.

    A package from version control stands as `name @ git+https://...@commit`, one from an archive
    with its URL, both without credentials; one from a folder of this machine as a comment, since
    nobody else could install it. Of two with one name the first on `sys.path` counts.
    """
    return _packages(tuple(map(state_of, sys.path if folders is None else folders)))


def state_of(entry: str) -> tuple[str, int]:
    """A folder of `sys.path` and when something was last installed there; 0 if there is none."""
    try:
        return entry, os.stat(entry or ".").st_mtime_ns
    except OSError:
        return entry, 0


@functools.lru_cache(maxsize=2)
def _packages(path: Sequence[tuple[str, int]]) -> tuple[str, ...]:
    found: dict[str, str] = {}
    for entry, _ in path:
        for name, folder, version in installed(entry or "."):
            if name not in found and (line := _requirement(name, folder, version)):
                found[name] = line
    lines = (found[name] for name in sorted(found))
    return tuple(line if line.isprintable() else _escaped(line) for line in lines)


def _escaped(line: str) -> str:
    """A line whose control characters, and bytes that are not UTF-8, are written as escapes."""
    return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in line)


def installed(place: str) -> Iterator[tuple[str, str, str | None]]:
    """The packages in a folder: normalised name, metadata folder, and the version that it names."""
    try:
        names = os.listdir(place)
    except OSError:
        return
    for name in sorted(names):
        if name.endswith(("-info", ".egg")) and (parts := _FOLDER.fullmatch(name)):
            yield normalised(parts[1]), os.path.join(place, name), parts[2]


def normalised(name: str) -> str:
    """The name of a package as names are compared: `zope.interface` is `Zope_Interface`."""
    return _NAME_END.sub("-", name).lower()


def _requirement(name: str, folder: str, version: str | None) -> str | None:
    if version is None:  # name.egg-info, which lies beside the source of a package
        version = _version_inside(folder)
        return version and f"# {name}=={version} is a local folder"
    url = origin(folder)
    if url is None:
        return f"{name}=={version}"
    return f"# {name}=={version} is a local folder" if is_local(url) else f"{name} @ {url}"


def _version_inside(folder: str) -> str | None:
    for part in ("PKG-INFO", "METADATA"):
        try:
            text = Path(folder, part).read_text("utf-8", "replace")
        except OSError:
            continue
        found = re.search(r"^Version: *(\S+)", text, re.MULTILINE)
        return found and found[1]
    return None


def origin(folder: str) -> str | None:
    """Where a package is from, as the URL in a requirement line; None when it is from an index.

    `folder` is its metadata folder. The URL has no credentials; see `is_local` for folders. A file
    of another machine, as Conda builds from, counts as an index.
    """
    told = _direct_url(folder) if folder.endswith(".dist-info") else None
    if told is None:
        return None
    url = redact_url(told["url"])
    vcs, archive, folder_info = (_part(told, f"{it}_info") for it in ("vcs", "archive", "dir"))
    if vcs is not None:
        part = f"#subdirectory={told['subdirectory']}" if told.get("subdirectory") else ""
        return f"{vcs.get('vcs', 'git')}+{url}@{vcs.get('commit_id', '')}{part}"
    if not is_local(url):
        digest = (archive or {}).get("hash", "")
        return url + (f"#{digest}" if digest else "")
    is_folder = (folder_info or {}).get("editable") or os.path.isdir(path_of(url))
    return url if is_folder else None


def local_folders() -> list[Path]:
    """The folders of this machine that are installed as packages, without having been copied."""
    urls = (origin(folder) for entry in sys.path for _, folder, _ in installed(entry or "."))
    return [Path(path_of(url)) for url in dict.fromkeys(urls) if url and is_local(url)]


def is_local(url: str) -> bool:
    """Whether a package is from a folder of this machine: nobody else could install it."""
    return url.startswith("file:")


def _part(told: Mapping[str, Any], name: str) -> Mapping[str, Any] | None:
    part = told.get(name)
    return part if isinstance(part, dict) else None


def _direct_url(folder: str) -> Mapping[str, Any] | None:
    """What direct_url.json says: there is one unless the package came from an index."""
    try:
        with open(os.path.join(folder, "direct_url.json"), "rb") as file:  # noqa: PTH123 - opened once for each package
            data = file.read()
    except OSError:
        return None
    import json

    try:
        told = json.loads(data)
    except (ValueError, RecursionError):
        return None
    return told if isinstance(told, dict) and isinstance(told.get("url"), str) else None


def path_of(url: str) -> str:
    """The path of a `file:` URL."""
    from urllib.parse import unquote  # urllib.request has url2pathname, and all of http.client

    path = unquote(url.removeprefix("file:").removeprefix("//"))
    return path.lstrip("/") if os.name == "nt" else path


# -- what is executed ----------------------------------------------------------------------


def source(root: Path | None = None) -> Source:
    """What is executed: a script, module, notebook, `-c`, `<console>` or a test of pytest's.

    `root` is the top of the work tree: a script inside it is named relative to it.
    """
    shell = _notebook_shell()
    name, file = _notebook(shell) if shell is not None else _executed()
    entry = _inside(file, root)
    return Source(
        name=name if name else entry or os.path.basename(file or ""),
        type=NOTEBOOK if shell is not None else _type(),
        command=() if shell is not None else _command(),
        entry=entry,
    )


def _executed() -> tuple[str, str | None]:
    """What is executed, as a name (empty when the file says it all) and a file."""
    test = os.environ.get("PYTEST_CURRENT_TEST", "") if "pytest" in sys.modules else ""
    if test:
        name = test.rpartition(" (")[0]
        return name, name.partition("::")[0]
    main = sys.modules.get("__main__")
    file = getattr(main, "__file__", None)
    first = sys.argv[0] if sys.argv else ""
    if first.endswith(".py") and os.path.isfile(first) and not _same(first, file):
        return "", first  # a profiler or debugger runs the script
    spec = getattr(main, "__spec__", None)
    if spec is not None and spec.name != "__main__":
        return spec.name.removesuffix(".__main__"), file
    return ("", file) if file else (first if first in ("-c", "-") else "<console>", None)


def _same(path: str, other: str | None) -> bool:
    try:
        return other is not None and os.path.samefile(path, other)
    except OSError:  # it is no file, or gone
        return False


def _inside(file: str | None, root: Path | None) -> str | None:
    """The file relative to `root`, with slashes; None when it does not exist there."""
    if not file or root is None:
        return None
    try:
        full, top = os.path.realpath(file), os.path.realpath(root)
    except FileNotFoundError:  # a relative path, and the current folder was deleted
        return None
    if not full.startswith(top + os.sep) or not os.path.isfile(full):
        return None
    return os.path.relpath(full, top).replace(os.sep, "/")


def _type() -> str:
    values = (os.environ.get(name, "") for name in _JOB_VARIABLES)
    return JOB if any(value.lower() not in ("", "0", "false") for value in values) else LOCAL


def _command() -> tuple[str, ...]:
    given = list(sys.orig_argv)
    if not given or "--multiprocessing-fork" in given:
        return redact_command(_texts(["python", *sys.argv]))
    given[0] = "python"
    code = len(given) - len(sys.argv)
    if sys.argv[:1] == ["-c"] and 0 < code < len(given):
        head, tail = redact_command(given[:code]), redact_command(given[code + 1 :])
        return _texts([*head, redact_code(given[code])[:_MAX_CODE], *tail])
    return redact_command(_texts(given))


def _texts(arguments: Sequence[str]) -> tuple[str, ...]:
    """The arguments as proper text: bytes that are not UTF-8 are escaped."""
    return tuple(
        text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
        for text in arguments
    )


# -- notebooks -----------------------------------------------------------------------------


def notebook_cells() -> str | None:
    """The cells that IPython really executed, in that order, as one text; None outside of IPython.

    Credentials in URLs, and text set to secret names, are taken out.
    """
    shell = _shell()
    if shell is None:
        return None
    cells = enumerate(list(shell.user_ns.get("In", ())))
    parts = [f"# %% In [{number}]\n{cell.rstrip()}\n" for number, cell in cells if cell.strip()]
    return redact_code("\n".join(parts)) if parts else None


def _shell() -> Any:
    """IPython's shell when IPython is running, never importing it."""
    get = getattr(sys.modules.get("IPython"), "get_ipython", None)
    return get() if get is not None else None


def _notebook_shell() -> Any:
    shell = _shell()
    return shell if getattr(shell, "kernel", None) is not None else None


def _notebook(shell: Any) -> tuple[str, str | None]:
    """The notebook's name and file, as far as the front end tells."""
    told = shell.user_ns.get("__vsc_ipynb_file__") or os.environ.get("JPY_SESSION_NAME")
    if not told or not str(told).endswith(".ipynb"):
        return "notebook", None
    return ("" if os.path.isfile(told) else os.path.basename(told)), str(told)
