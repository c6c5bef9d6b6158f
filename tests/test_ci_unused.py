"""No key of `ci` is set for nothing: it makes another workflow, is told of, or is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from gitml.ci import generated
from gitml.ci.settings import Settings
from gitml.documents import dump_yaml
from gitml.errors import UsageError
from gitml.resources import resource
from tests.cli import Caller

SCHEMA = json.loads(resource("schemas", "gitml.schema.json").read_text("utf-8"))
VALUES: dict[str, Any] = {
    "branch": "trunk",
    "gitml": "gitml==9.9.9",
    "image": "images.example.org/python:3.13",
    "extras": ["s3"],
    "runners": {"default": "large"},
    "owners": ["@acme/platform"],
    "secrets": ["KEY"],
    "oidc": True,
    "attest": True,
    "sign": True,
    "app": True,
    "evaluate": {"env_manager": "conda"},
    "train": {
        "entry_point": "daily",
        "schedule": "17 3 * * 1",
        "propose": {"model": "churn", "stage": "staging"},
    },
}
KEYS = [(key,) for key in VALUES if key != "train"] + [("train", key) for key in VALUES["train"]]


def of(told: dict[str, Any]) -> Settings:
    """Settings of a project that uses every job."""
    branch = told.get("branch", "main")
    return Settings(branch, ("production",), told, deployed=("production",), measures=True)


def test_every_key_has_a_value_here() -> None:
    """A key that is new in the schema is tried, too."""
    known = SCHEMA["properties"]["ci"]["properties"]
    assert set(VALUES) == set(known)
    assert set(VALUES["train"]) == set(known["train"]["properties"])


@pytest.mark.parametrize("path", KEYS, ids="/".join)
@pytest.mark.parametrize("forge", sorted(generated.FORGES))
def test_a_key_is_heeded_or_told_of(forge: str, path: tuple[str, ...], tmp_path: Path) -> None:
    """One of the two, for each key at each forge: never neither, and never both."""
    value: Any = VALUES
    for key in path:
        value = value[key]
    told = {path[0]: value if len(path) == 1 else {path[1]: value}}
    (tmp_path / "gitml.yaml").write_bytes(dump_yaml({"ci": told}))
    files = generated.FORGES[forge]
    is_heeded = files(of(told)) != files(of({}))
    try:
        is_told = bool(generated.unheeded(tmp_path, forge, of(told)))
    except UsageError:
        is_told = True
    assert is_heeded != is_told


@pytest.fixture
def call(repo: Path, capsys: pytest.CaptureFixture[str]) -> Caller:
    """The command line in an empty repository."""
    return Caller(capsys)


@pytest.mark.parametrize("command", ["init", "drift"])
@pytest.mark.parametrize(
    ("told", "line", "do"),
    [("attest: true", 3, "set sign"), ("train: {schedule: 1 2 * * *}", 3, "GITML_WORKFLOW=train")],
)
def test_what_would_be_missed_is_refused(
    command: str, told: str, line: int, do: str, call: Caller
) -> None:
    """With the line of gitml.yaml, and what to do; nothing is written."""
    Path("gitml.yaml").write_text(f"ci:\n  app: true\n  {told}\n", "utf-8")
    said = call("ci", command, "--forge", "gitlab", code=2).err
    assert f"gitml.yaml: line {line}: ci/" in said
    assert do in said
    assert not Path(".gitlab").exists()


def test_what_nobody_would_miss_is_told_of(call: Caller) -> None:
    """The files are written, and a key that does nothing has a line; one that is off has none."""
    Path("gitml.yaml").write_text("ci:\n  secrets: [KEY]\n  app: true\n  attest: false\n", "utf-8")
    said = call("ci", "init", "--forge", "gitlab").err
    assert "gitml.yaml: line 2: ci/secrets: is GitHub's" in said
    assert "gitml.yaml: line 3: ci/app: is GitHub's" in said
    assert "attest" not in said
    assert Path(".gitlab/gitml.yml").exists()
    assert "is GitHub's" not in call("ci", "init", "--forge", "github").err
