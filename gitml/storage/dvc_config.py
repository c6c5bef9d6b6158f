"""The project's DVC configuration: which remote it has, and giving it one."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from gitml import git
from gitml.documents import write_atomic
from gitml.errors import FormatError, UsageError, shown
from gitml.files import disk, shown_path, work_tree_of
from gitml.storage.dvc_files import (
    PATHS,
    REMOTE,
    URL,
    Config,
    Option,
    absolute,
    folder_of,
    merged,
    overlay,
    parsed,
    project_files,
    section_name,
    sections,
    sections_of,
    user_files,
)
from gitml.storage.remote import (
    RUNS,
    Remote,
    check_public,
    join_url,
    may_be_read,
    public_url,
    run_remote,
)

NAME = "storage"  # what a remote that gitml adds is called

_MAX_BYTES = 100_000  # of a configuration that somebody else wrote
# By scheme, the options with which the store's library starts a program: a command, or a file that
# may name a command (`credential_process` of AWS) or a module.
_STARTING = {
    "s3": ("credentialpath", "configpath"),
    "webdav": ("bearer_token_command",),
    "webdavs": ("bearer_token_command",),
    "gdrive": ("gdrive_user_credentials_file",),
}
# What a stock `dvc init` writes.
_IGNORED_BY_GIT = b"/config.local\n/tmp\n/cache\n"
_DVCIGNORE = b"""\
# Add patterns of files dvc should ignore, which could improve
# the performance. Learn more at
# https://dvc.org/doc/user-guide/dvcignore
"""


def project_remote(root: Path, name: str | None = None) -> Remote | None:
    """The DVC remote `name` of the project at `root`, by default its default remote.

    Asks `.dvc/config` and `.dvc/config.local` there, or in the nearest folder above that has
    them within the git repository, then the user's and the system's configuration. None when
    there is no default remote. Raises `UsageError` for a name that is not configured, and
    `FormatError` for a file that can't be read.
    """
    return _resolved(merged(user_files() + project_files(root)), name)


def project_cache(root: Path) -> Path | None:
    """The folder of DVC's own cache for the project at `root`; None where DVC is not set up."""
    folder = folder_of(Path(os.path.abspath(root)))
    if folder is None:
        return None
    named = merged(user_files() + project_files(root)).get("cache", {}).get("dir")
    place = named.file.parent if isinstance(named, Option) else folder
    return Path(absolute(place, named)) if named else folder / "cache"


def runs_remote(root: Path, name: str | None = None) -> Remote | None:
    """The remote of the project's runs, None when the project has no remote.

    A remote that the project itself calls `gitml` is taken as it is, else it is the prefix
    `gitml/` under the remote `name`, by default the project's default remote.
    """
    config = merged(user_files() + project_files(root))
    if name is None and section_name(RUNS) in config:
        return _resolved(config, RUNS)
    project = _resolved(config, name)
    return None if project is None else run_remote(project)


def foreign_remote(root: Path, text: bytes) -> Remote | None:
    """The remote to fetch from that a run commit's DVC configuration `text` names.

    The text is somebody else's, so its URL alone counts: options and credentials are those of the
    remote with that URL that the configuration of the project at `root`, or the user's, knows.
    None when it names none, or one that is not known and not to be read from unasked.
    """
    url = _default_url(text)
    if url is None:
        return None
    config = merged(user_files() + project_files(root))
    known = (remote for remote in _known(config) if public_url(remote.url) == url)
    return next(known, None) or (Remote(RUNS, url) if may_be_read(url) else None)


def is_known(root: Path, remote: Remote, committed: bytes) -> bool:
    """Whether a remote is one that the user himself has set, or that `committed` names.

    That is the text of the `.dvc/config` of another version of the project at `root`. Options
    count like the URL: by one of them an S3 bucket is that of another host.
    """
    folder = folder_of(Path(os.path.abspath(root)))
    own = [folder / "config.local"] if folder and not _is_tracked(folder / "config.local") else []
    config = merged(user_files())
    if folder is not None and len(committed) <= _MAX_BYTES:
        text = committed.decode("utf-8", "replace")
        overlay(
            config,
            sections_of(parsed(text, folder / "config"), folder / "config"),
        )
    for path in own:
        overlay(config, sections(path))
    return any((it.url, it.options) == (remote.url, remote.options) for it in _known(config))


def committed_remotes(root: Path) -> dict[str, dict[str, str]]:
    """The options of the remotes that the project's `.dvc/config` names, which git holds."""
    found = ((REMOTE.fullmatch(name), options) for name, options in _committed(root).items())
    return {remote[1]: options for remote, options in found if remote}


def _committed(root: Path) -> Config:
    folder = folder_of(Path(os.path.abspath(root)))
    return sections(folder / "config") if folder else {}


def is_dvc_project(root: Path) -> bool:
    """Whether `root`, or a folder above it in the git repository, was set up for DVC."""
    return folder_of(Path(os.path.abspath(root))) is not None


def project_folder(start: Path, root: Path) -> Path:
    """The folder of the DVC project that holds in `start`: the nearest one with a `.dvc`.

    It is not above `root`, the top of the work tree, which is also the answer where there is none.
    """
    folder = folder_of(Path(os.path.abspath(start)))
    found = root if folder is None else folder.parent
    return found if found.resolve().is_relative_to(root.resolve()) else root


def set_project_remote(root: Path, url: str) -> list[Path]:
    """Give the project at `root` the default remote `storage`; the files written, to be added.

    Makes `.dvc` there as `dvc init` (in a folder of the repository, `dvc init --subdir`) does,
    unless the project has one. A relative path is relative to the current folder. Writes nothing
    when that is the remote already; raises `UsageError` when the project has another one, when
    `url` is the name of one, or when it holds a password.
    """
    check_public(url)
    folder = folder_of(root) or root / ".dvc"
    wanted = absolute(Path.cwd(), url)
    config = merged(project_files(root))
    current = _resolved(config, None)
    is_name = section_name(url) in config and not Path(wanted).exists()
    if current and (current.url == wanted or (is_name and current.name == url)):
        return []
    if is_name:
        raise UsageError(
            f"{shown(url)} is the name of a DVC remote, not a place; make it the project's default"
            f" with `dvc remote default {url}`, or name it as artifacts.remote in gitml.yaml"
        )
    if current or section_name(NAME) in config:
        name = current.name if current else NAME
        change = f"`dvc remote modify {name} url {public_url(url)}`"
        raise UsageError(
            f"the project has the DVC remote {shown(name)} already; change it with {change}"
            if current
            else f"the project has a DVC remote {shown(name)} that is not its default; make it that"
            f" with `dvc remote default {name}`, and change it, if need be, with {change}"
        )
    return [*_initialised(folder), _with_remote(folder / "config", url, wanted)]


# -- reading -------------------------------------------------------------------------------


def _default_url(text: bytes) -> str | None:
    """The URL of the default remote in a configuration that may be anything."""
    if len(text) > _MAX_BYTES:
        return None
    try:
        config = parsed(text.decode(), Path(".dvc/config"), interpolation=False)
        url = config[section_name(config["core"]["remote"])]["url"]
    except (UnicodeDecodeError, FormatError, KeyError, TypeError):
        return None
    return url if isinstance(url, str) else None


def remotes(root: Path) -> Iterator[Remote]:
    """The remotes that the project at `root`, or the user, has set up."""
    return _named(merged(user_files() + project_files(root)))


def _known(config: Config) -> Iterator[Remote]:
    """The configured remotes, each followed by the runs' remote that it would give."""
    for remote in _named(config):
        yield from (remote, run_remote(remote))


def _named(config: Config) -> Iterator[Remote]:
    for name in config:
        if found := REMOTE.fullmatch(name):
            with contextlib.suppress(UsageError):  # it has no URL
                remote = _resolved(config, found[1])
                assert remote is not None
                yield remote


def _resolved(config: Config, name: str | None) -> Remote | None:
    name = (name or config.get("core", {}).get("remote", "")).lower()
    if not name:
        return None
    options = dict(_options(config, name, ()))
    remote = Remote(name, options.pop("url"), options)
    wanted = _STARTING.get(remote.scheme, ())
    starting = (key for key in wanted if _is_strange(options.get(key), key in PATHS))
    return replace(remote, starting=next(starting, None))


def _is_strange(option: str | None, is_path: bool) -> bool:
    """Whether the option is from a file that came with the repository, and what it names is, too.

    The user's own are the files outside of it, and a `config.local` that git does not track. A
    command is strange whatever it names.
    """
    if not isinstance(option, Option) or option.file.parent.name != ".dvc":
        return False
    if option.file.name != "config" and not _is_tracked(option.file):
        return False
    return not is_path or _may_be_brought(option, option.file)


def _may_be_brought(path: str, config: Path) -> bool:
    """Whether a file may have come with a clone, that of `config` or another, or over the network.

    Another clone is known by its `.git`, unless that is the user's home, which some keep in git. A
    variable in the path is the library's to fill in, with the repository's folder, say.
    """
    real = os.path.realpath(path)
    if "$" in path or "%" in path or real.startswith(("\\\\", "//")):
        return True
    top = work_tree_of(Path(real))
    return top is not None and (top != Path.home().resolve() or top == work_tree_of(config))


def _is_tracked(file: Path) -> bool:
    return git.succeeds(file.parent, "ls-files", "--error-unmatch", "--", file.name)


def _options(config: Config, name: str, above: tuple[str, ...]) -> dict[str, str]:
    """The options of a remote; one whose URL is remote://OTHER/path stands on that other."""
    options = config.get(section_name(name), {})
    url = options.get("url")
    if url is None or name in above:
        problem = "stands on itself" if name in above else "has no URL"
        raise UsageError(f"the DVC remote {shown(name)} {problem}; see `dvc remote list`")
    if not url.startswith("remote://"):
        return options
    other, _, path = url[len("remote://") :].partition("/")
    base = _options(config, other.lower(), (*above, name))
    return {**base, **options, "url": join_url(base["url"], path) if path else base["url"]}


# -- writing -------------------------------------------------------------------------------


def _initialised(folder: Path) -> list[Path]:
    """Make a `.dvc` folder unless there is one; the files written."""
    if folder.is_dir():
        return []
    written = [folder / ".gitignore"]
    with disk(f"make {shown_path(folder)}"):
        folder.mkdir()
    write_atomic(folder / ".gitignore", _IGNORED_BY_GIT)
    ignore = folder.parent / ".dvcignore"
    if not ignore.exists():
        write_atomic(ignore, _DVCIGNORE)
        written.append(ignore)
    return written


def _with_remote(path: Path, url: str, absolute: str) -> Path:
    """Add the default remote to the configuration file `path`, whose other lines stay."""
    config = parsed(path.read_text("utf-8") if path.exists() else "", path)
    config.indent_type = config.indent_type or "    "
    config.setdefault("core", {})["remote"] = NAME
    config[f'remote "{NAME}"'] = {"url": _as_written(path.parent, url, absolute)}
    write_atomic(path, ("\n".join(config.write()) + "\n").encode())
    return path


def _as_written(folder: Path, url: str, absolute: str) -> str:
    """A relative path as DVC writes it, relative to the `.dvc` folder; anything else absolute."""
    if URL.match(url) or os.path.isabs(os.path.expanduser(url)):
        return absolute
    try:
        return Path(os.path.relpath(absolute, folder)).as_posix()
    except ValueError:  # another drive
        return absolute
