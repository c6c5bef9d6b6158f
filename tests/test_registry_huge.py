"""Tags and runs of a stranger's that are too large to be read cost nothing but a word."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from gitml import git as gate
from gitml.git import local
from gitml.git.tags import LARGEST_TAG
from gitml.registry import catalog, stages
from gitml.registry.verifying import verify
from tests.clones import Clone
from tests.planted import plant
from tests.promoted import Registry, begin, made, origin


@pytest.fixture
def registry(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Registry:
    """Four versions of churn; three promotions."""
    return made("sound", tmp_path_factory, lambda it: begin(it, origin(it))).copy(tmp_path)


def forge(who: Clone, tag: str, like: str, text: str = "", commit: str = "") -> None:
    """A tag as another is, with more text, or on another commit."""
    before = who.git("rev-parse", f"{like}^{{commit}}")
    told = who.git("cat-file", "tag", like).replace(like, tag).replace(before, commit or before)
    argv = ("git", "hash-object", "-t", "tag", "-w", "--stdin")
    data = told.replace("\n\n", f"\n\n{text}", 1) + "\n"
    done = subprocess.run(argv, cwd=who.folder, input=data, capture_output=True, text=True)
    who.git("update-ref", f"refs/tags/{tag}", done.stdout.strip())


FORGED = ("churn#production#4", "churn@v1.0.9")


def test_a_huge_tag_is_not_read(registry: Registry) -> None:
    """It is none of the registry's; the others are what they were, whatever its place is."""
    ann = registry.ann
    before = gate.tags(ann.place.repo, "refs/tags")
    book, taken = catalog.read(ann.place.repo), stages.read(ann.place.repo)
    forge(ann, "churn@v1.0.9", "churn@v1.0.0", "\n" * LARGEST_TAG)
    forge(ann, "churn#production#4", "churn#production#1", "x" * LARGEST_TAG)
    found = gate.tags(ann.place.repo, "refs/tags")
    assert [it for it in found if it.name not in FORGED] == before
    assert [(it.commit, it.inner, it.body) for it in found if it.name in FORGED] == [
        (None, "", ""), (None, "", ""),
    ]  # fmt: skip
    assert [it.name for it in found] == ann.git("tag", "--list").split()
    assert catalog.read(ann.place.repo).models == book.models
    assert stages.read(ann.place.repo).models == taken.models
    assert {(it.kind, it.subject) for it in verify(ann.place)} == {
        ("lightweight", name) for name in FORGED
    }


def test_a_huge_run_is_not_read(registry: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    """A tag on it is told, and no other's run is doubted."""
    ann = registry.ann
    commit = ann.git("rev-parse", "churn@v1.0.3^{commit}")
    told = json.loads(ann.git("show", f"{commit}:.gitml/run/run.json"))
    told["description"] = "x" * 100_000
    data = json.dumps(told).encode()
    forge(ann, "churn@v1.0.9", "churn@v1.0.3",
          commit=plant(ann.folder, commit, {b".gitml/run/run.json": data}))  # fmt: skip
    monkeypatch.setattr(local, "LARGEST", 50_000)
    (it,) = [it for it in verify(ann.place) if it.kind == "run"]
    assert it.subject == "churn@v1.0.9"
    assert "is not read" in it.found
