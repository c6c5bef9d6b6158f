"""Ids of files and folders: git gives them the same."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gitml.tracking.trees import blob_id, tree_id
from tests.conftest import run_git

DIGITS = {"sha1": 40, "sha256": 64}

# names whose order in a tree is not that of strings: `a.b` < `a/` < `a0`, and letters of all kinds
names = st.text(st.sampled_from("aAbB.-0~é漢"), min_size=1, max_size=4).filter(
    lambda name: set(name) != {"."} and not name.startswith("-")
)
paths = st.lists(names, min_size=1, max_size=3).map("/".join)


@st.composite
def folders(draw: st.DrawFn) -> Mapping[str, bytes]:
    """Files by path, of which none is a folder of another."""
    files: dict[str, bytes] = {}
    for path in draw(st.lists(paths, min_size=1, max_size=8)):
        parts = path.split("/")
        above = {"/".join(parts[:count]) for count in range(1, len(parts))}
        if not above & files.keys() and not any(name.startswith(path + "/") for name in files):
            files[path] = draw(st.binary(max_size=20))
    return files


@pytest.fixture(params=DIGITS)
def format(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """One of git's two object formats, in an empty repository."""
    run_git(tmp_path, "init", "--quiet", f"--object-format={request.param}")
    return str(request.param)


@given(files=folders())
@settings(
    max_examples=40,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
def test_git_gives_the_same_ids(tmp_path: Path, format: str, files: Mapping[str, bytes]) -> None:
    """The ids of contents and of folders are those that git stores them under."""
    digits = DIGITS[format]
    blobs = {path: blob_id(data, digits) for path, data in files.items()}
    stream = b"".join(
        b"M 100644 inline %b\ndata %d\n%b\n" % (path.encode(), len(data), data)
        for path, data in files.items()
    )
    commit = b"commit refs/heads/x\ncommitter a <b> 0 +0000\ndata 0\ndeleteall\n"
    subprocess.run(
        ("git", "fast-import", "--quiet", "--force"),
        cwd=tmp_path, input=commit + stream, check=True,
    )  # fmt: skip
    assert run_git(tmp_path, "rev-parse", "x^{tree}") == tree_id(blobs, digits)
    (path, blob), *_ = blobs.items()
    assert run_git(tmp_path, "rev-parse", f"x:{path}") == blob
