"""Between judging a model and loading it nobody can change what is loaded."""

from __future__ import annotations

import os
import pickle
import sys
from pathlib import Path

import pytest

import gitml
import gitml.sklearn
from gitml.errors import StorageError
from gitml.models import load, pyfunc
from gitml.models.digest import digest_of_folder
from gitml.models.private import is_private, private
from tests import models

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="permissions are those of POSIX")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A model that runs no code, in a folder of this user alone."""
    os.chmod(tmp_path, 0o700)
    folder = tmp_path / "model"
    gitml.sklearn.save_model(models.estimator(), folder, serialization_format="skops")
    return folder


def test_a_model_of_ones_own_is_loaded_where_it_is(folder: Path) -> None:
    """Nothing is copied that only this user can change."""
    assert is_private(folder)
    assert private(folder) == folder
    assert load.opened(folder)[0].folder == folder


@pytest.mark.parametrize(
    "shared", ["model", "model/MLmodel", "model/model.skops", "model/code", "."]
)
@pytest.mark.parametrize("mode", [0o020, 0o002], ids=["group", "others"])
def test_what_others_can_write_is_not_private(folder: Path, shared: str, mode: int) -> None:
    """A folder is as open as the most open of what is in it and of what it is in."""
    (folder / "code").mkdir()
    path = folder.parent / shared
    path.chmod(path.stat().st_mode | mode)
    assert not is_private(folder)


def test_a_sticky_folder_above_keeps_what_is_ours(folder: Path) -> None:
    """In the folder for temporary files nobody replaces another user's folder."""
    folder.parent.chmod(0o1777)
    assert is_private(folder)
    folder.chmod(0o1777)
    assert not is_private(folder)


@pytest.mark.skipif(
    not hasattr(os, "getuid") or os.getuid() != 0, reason="only root can give a file away"
)
def test_another_users_model_is_not_private(folder: Path) -> None:
    """Its owner can always write."""
    os.chown(folder / "model.skops", 12345, -1)
    assert not is_private(folder)


@pytest.mark.parametrize("name", ["model.skops", "MLmodel"])
def test_what_was_judged_is_what_is_loaded(folder: Path, tmp_path: Path, name: str) -> None:
    """A pickle that takes the place of a harmless file after the judgement is not even seen."""
    folder.chmod(0o777)
    expected = gitml.pyfunc.load_model(folder).predict([[3.0]]).tolist()
    source, model = load.opened(folder)
    assert source.folder != folder
    canary = tmp_path / "canary"
    evil = pickle.dumps(models.Payload(f"open({str(canary)!r}, 'w').close()"))
    (folder / name).write_bytes(evil)
    (folder / "model.pkl").write_bytes(evil)
    assert pyfunc.loaded(source, model).predict([[3.0]]).tolist() == expected
    assert not canary.exists()


def test_a_model_that_is_allowed_is_not_copied(folder: Path) -> None:
    """Who answers for a model answers for whoever can change it."""
    folder.chmod(0o777)
    assert load.opened(folder, allow_code=True)[0].folder == folder


def test_a_copy_is_the_same_model(folder: Path) -> None:
    """Its files, and the links that stay inside, also those that say so with a whole path."""
    (folder / "sub" / "deep").mkdir(parents=True)
    (folder / "sub" / "deep" / "one").symlink_to(folder / "model.skops")
    (folder / "sub" / "two").symlink_to("../MLmodel")
    folder.chmod(0o777)
    copy = private(folder)
    assert copy != folder
    assert is_private(copy)
    assert digest_of_folder(copy) == digest_of_folder(folder)
    for name in ("sub/deep/one", "sub/two"):
        assert (copy / name).is_symlink()
        assert (copy / name).resolve().is_relative_to(copy.resolve())
    assert not any(
        path.stat().st_ino == (folder / path.relative_to(copy)).stat().st_ino
        for path in copy.rglob("*")
    )


def test_a_run_fetched_to_a_shared_folder_is_checked_where_it_is_loaded(
    repo: Path, tmp_path: Path
) -> None:
    """The digest is that of the bytes that are loaded, not of those that others can change."""
    with gitml.start_run():
        info = gitml.sklearn.log_model(models.estimator(), name="model")
    shared = tmp_path / "shared"
    shared.mkdir()
    shared.chmod(0o777)
    source, _ = load.opened(info.model_uri, target=shared)
    assert not source.folder.is_relative_to(shared)
    assert source.digest == digest_of_folder(source.folder)


def test_a_folder_that_is_gone_is_told(folder: Path) -> None:
    """What can't be read is an error that names it."""
    with pytest.raises(StorageError, match="can't read"):
        private(folder / "nothing")
