"""The files of DVC's configuration: where they are, and their sections as DVC merges them.

Read here as DVC reads them, in milliseconds: importing DVC takes longer than recording a run.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from gitml.errors import FormatError
from gitml.files import shown_path

REMOTE = re.compile(r'\s*remote\s*"(.*)"\s*')
URL = re.compile(r"\w+://")
# Values that are paths relative to the folder of the file that holds them.
PATHS = frozenset(
    """url gdrive_user_credentials_file gdrive_service_account_json_file_path credentialpath
    configpath keyfile cert_path key_path""".split()
)


class Option(str):
    """The text of an option, and the file that it is from."""

    file: Path


Config = dict[str, dict[str, str]]  # "core" and 'remote "NAME"' -> options


def folder_of(root: Path) -> Path | None:
    """The `.dvc` that holds for `root`: there or above, within the git repository."""
    for folder in (root, *root.parents):
        if (folder / ".dvc").is_dir():
            return folder / ".dvc"
        if (folder / ".git").exists() or (folder / "objects" / "pack").is_dir():  # or it is bare
            break  # a .dvc above the repository, such as a stray ~/.dvc, is not the project's
    return None


def project_files(root: Path) -> list[Path]:
    """The configuration files of the project that holds at `root`."""
    folder = folder_of(Path(os.path.abspath(root)))
    return [folder / "config", folder / "config.local"] if folder else []


def user_files() -> list[Path]:
    """The system's and the user's DVC configuration, where DVC looks for them."""
    import platformdirs

    system = os.environ.get("DVC_SYSTEM_CONFIG_DIR")
    user = os.environ.get("DVC_GLOBAL_CONFIG_DIR")
    return [
        Path(system or platformdirs.site_config_dir("dvc", "iterative")) / "config",
        Path(user or platformdirs.user_config_dir("dvc", "iterative")) / "config",
    ]


def merged(paths: Iterable[Path]) -> Config:
    """The sections of all the files, the later ones winning."""
    merged: Config = {}
    for path in paths:
        overlay(merged, sections(path))
    return merged


def overlay(config: Config, more: Config) -> None:
    """Have the options of `more` win over those of `config`."""
    for name, options in more.items():
        config.setdefault(name, {}).update(options)


def sections(path: Path) -> Config:
    """The sections of a file, none if it is not there; FormatError if it can't be read."""
    try:
        text = path.read_text("utf-8")
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except (OSError, UnicodeDecodeError) as error:
        raise FormatError(f"can't read {shown_path(path)}: {error}") from None
    return sections_of(parsed(text, path), path)


def sections_of(parsed: Any, path: Path) -> Config:
    """The sections of the parsed file `path`, with absolute paths."""
    found: Config = {}
    for name, options in parsed.dict().items():
        if isinstance(options, dict):
            remote = REMOTE.fullmatch(name.lower())
            key = section_name(remote[1]) if remote else name.lower()
            found[key] = {
                option.lower(): _value(path, option.lower(), value)
                for option, value in options.items()
            }
    return found


def parsed(text: str, path: Path, *, interpolation: bool = True) -> Any:
    """The text of the file `path` as ConfigObj has it; FormatError if it is no configuration."""
    from configobj import ConfigObj, ConfigObjError  # type: ignore[import-untyped]

    try:
        return ConfigObj(text.splitlines(), interpolation=interpolation)
    except ConfigObjError as error:
        raise FormatError(f"{shown_path(path)} is no DVC configuration: {error}") from None


def section_name(name: str) -> str:
    """What the section of a remote is called."""
    return f'remote "{name}"'


def _value(file: Path, option: str, value: Any) -> Option:
    text = ",".join(value) if isinstance(value, list) else str(value)
    found = Option(absolute(file.parent, text) if option in PATHS else text)
    found.file = file
    return found


def absolute(folder: Path, text: str) -> str:
    """A URL as it is; a path, also of a file:// URL, made absolute from `folder`."""
    if text.lower().startswith("file://"):
        path = unquote(text[7:].removeprefix("localhost"))
        return path[1:] if re.match(r"/[A-Za-z]:", path) else path
    if URL.match(text):
        return text
    return os.path.abspath(folder / Path(text).expanduser())
