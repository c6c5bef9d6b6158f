"""What gitml.storage takes for granted of DVC's inner modules, which promise nothing.

When a new DVC breaks one of these, gitml/storage/cloud.py is the place to mend.
"""

from __future__ import annotations

import inspect
from pathlib import Path

import pytest


def test_the_file_system_of_a_url_comes_with_options_and_path() -> None:
    """`get_cloud_fs` validates text options into typed ones and strips the URL to a path."""
    from dvc.fs import get_cloud_fs

    kind, options, path = get_cloud_fs({}, url="s3://bucket/a/b", use_ssl="false", jobs="3")
    assert kind.protocol == "s3"
    assert options["use_ssl"] is False
    assert options["jobs"] == 3
    assert path == "bucket/a/b"
    assert kind(**options).jobs == 3


def test_a_wrong_option_is_refused() -> None:
    """By an exception with the name of the option, which becomes our message."""
    from dvc.config import ConfigError
    from dvc.fs import get_cloud_fs

    with pytest.raises(ConfigError, match="nonsense"):
        get_cloud_fs({}, url="s3://bucket", nonsense="1")


def test_an_object_database_knows_what_is_there(tmp_path: Path) -> None:
    """`oid_to_path` is DVC's layout, `oids_exist` finds what lies there."""
    from dvc_objects.db import ObjectDB
    from dvc_objects.fs.memory import MemoryFileSystem

    fs = MemoryFileSystem(global_store=False)
    database = ObjectDB(fs, fs.join("/remote", "files", "md5"))
    here, gone = "ab" + "0" * 30, "cd" + "0" * 30 + ".dir"
    path = database.oid_to_path(here)
    assert path == "/remote/files/md5/ab/" + "0" * 30
    (tmp_path / "object").write_bytes(b"x")
    fs.makedirs(fs.parent(path))
    fs.put_file(str(tmp_path / "object"), path)
    assert set(database.oids_exist([here, gone], jobs=2)) == {here}
    assert set(fs.fs.find(database.path, detail=True)) == {path}
    fs.get_file(path, str(tmp_path / "back"))
    assert (tmp_path / "back").read_bytes() == b"x"
    fs.mv(path, path + "2")
    fs.remove(path + "2")
    with pytest.raises(FileNotFoundError):
        fs.remove(path)


@pytest.mark.parametrize("name", ["put_file", "get_file"])
def test_transfers_take_a_callback(name: str) -> None:
    """Progress is told through fsspec's callback."""
    from dvc_objects.fs.base import FileSystem

    assert "callback" in inspect.signature(getattr(FileSystem, name)).parameters


def test_a_callback_tells_the_bytes_moved_so_far() -> None:
    """Its hooks get the size and the sum, not the step."""
    from fsspec.callbacks import Callback

    told: list[tuple[int, int]] = []
    callback = Callback(hooks={"moved": lambda size, value, **_: told.append((size, value))})
    callback.set_size(10)
    callback.relative_update(4)
    callback.relative_update(3)
    assert told == [(10, 0), (10, 4), (10, 7)]


def test_the_levels_of_the_configuration_are_what_we_read() -> None:
    """System, user, project, project's local file; and the options that are paths."""
    from dvc.config import Config
    from dvc.dirs import global_config_dir, system_config_dir

    from gitml.storage.dvc_files import PATHS, user_files

    assert Config.LEVELS == ("system", "global", "repo", "local")
    assert [Config.CONFIG, Config.CONFIG_LOCAL] == ["config", "config.local"]
    folders = [system_config_dir(), global_config_dir()]
    assert user_files() == [Path(folder) / "config" for folder in folders]
    paths = {"remote": {"x": dict.fromkeys((*PATHS, "user"), "here")}}
    resolved = Config._map_dirs(paths, lambda value: value + "!")["remote"]["x"]
    assert {name for name, value in resolved.items() if value == "here!"} == PATHS
