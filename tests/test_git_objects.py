"""Objects by their names, many at once."""

from __future__ import annotations

from pathlib import Path

import pytest

from gitml import git
from gitml.errors import GitError


@pytest.mark.parametrize("name", ["HEAD\nHEAD", "HEAD\n", "HEAD\0x", "\n"])
def test_a_name_is_one(repo: Path, name: str) -> None:
    """None of two lines gives what comes behind it another's contents."""
    place = git.find(repo)
    (head,) = git.read_present(place, ["HEAD"])
    assert head is not None
    assert git.read_present(place, [name, "HEAD"]) == [None, head]
    with pytest.raises(GitError, match="has no object"):
        list(git.read_objects(place, [name, "HEAD"]))
