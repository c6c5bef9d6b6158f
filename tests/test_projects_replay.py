"""How a recorded run was started, told from its record."""

from __future__ import annotations

from dataclasses import replace

import pytest

from gitml.errors import UsageError
from gitml.projects import replay
from gitml.projects.replay import Box, Entry, Script
from gitml.tracking.record import RunRecord, Source

BLANK = RunRecord("0" * 32, "a", "default", "1", "FINISHED", 0)


def of(*command: str, name: str = "", kind: str = "LOCAL", entry: str | None = None) -> object:
    """How a run with this source was started."""
    source = Source(name, kind, command, entry)
    return replay.of(replace(BLANK, source=source))


@pytest.mark.parametrize(
    ("command", "entry", "script"),
    [
        ("python train.py --lr 0.1", "train.py", Script("", ("train.py", "--lr", "0.1"))),
        ("python ./train.py", "a/b/train.py", Script("a/b", ("./train.py",))),
        ("python b/train.py", "a/b/train.py", Script("a", ("b/train.py",))),
        ("python -u -W error train.py -m x", "train.py",
         Script("", ("-u", "-W", "error", "train.py", "-m", "x"))),
        ("python -m pkg.train x", "src/pkg/train.py", Script("src", ("-m", "pkg.train", "x"))),
        ("python -m pkg x", "pkg/__main__.py", Script("", ("-m", "pkg", "x"))),
        ("python /home/ada/a/train.py", "a/train.py", Script("a", ("train.py",))),
    ],
)  # fmt: skip
def test_a_script_tells_in_which_folder_it_was_started(
    command: str, entry: str, script: Script
) -> None:
    """Its path in the repository and the one on the command line have the same end."""
    assert of(*command.split(), entry=entry) == script


@pytest.mark.parametrize(
    ("command", "kind", "entry", "reason"),
    [
        ("", "NOTEBOOK", "a.ipynb", "it was a notebook"),
        ("python -c pass", "LOCAL", None, "which is no script of the repository"),
        ("python -m pytest", "LOCAL", "tests/test_a.py", "the module 'pytest'"),
        ("python ../train.py", "LOCAL", "train.py", "in which folder '../train.py' was started"),
        ("python a.py --token ***", "LOCAL", "a.py", "a secret, which is not recorded"),
        ("gitml run . --new", "PROJECT", None, "'--new', which this gitml does not know"),
        ("gitml", "PROJECT", None, "does not have the command"),
    ],
)
def test_what_can_not_be_started_again_says_why(
    command: str, kind: str, entry: str | None, reason: str
) -> None:
    """Nothing is guessed."""
    with pytest.raises(UsageError, match=rf"^run 0+ can't be started again: .*{reason}"):
        of(*command.split(), kind=kind, entry=entry)


def test_an_entry_point_has_the_values_that_it_was_given() -> None:
    """As they were written; a secret is known to be missing."""
    words = ("gitml", "run", "x#part", "-e", "fit", "--version", "v1", "-P", "a=b=c", "-P", "k=***",
             "--env-manager", "uv", "--allow-extra")  # fmt: skip
    found = of(*words, name="part", kind="PROJECT")
    assert found == Entry("part", "fit", {"a": "b=c", "k": "***"}, allow_extra=True)
    assert isinstance(found, Entry)
    assert replay.hidden(found) == ("k",)
    assert of("gitml", "run", ".", name=".", kind="PROJECT") == Entry("", "main", {})
    url = of("gitml", "run", "https://host/a#b", name="https://host/a#b", kind="PROJECT")
    assert url == Entry("b", "main", {})


def in_container(*options: str, backend: str = "local") -> object:
    """How a run in a container was started."""
    tags = {"mlflow.project.env": "docker", "mlflow.project.backend": backend}
    source = Source(".", "PROJECT", ("gitml", "run", ".", *options))
    return replay.of(replace(BLANK, source=source, tags=tags))


def test_a_container_has_the_options_that_it_was_given() -> None:
    """Of `docker run` and of its image; a secret among them can't be had again."""
    assert in_container() == Entry("", "main", {}, box=Box("local"))
    options = ("-A", "gpus=all", "-A", "init", "-A", "env=A=1", "--build-image")
    wanted = Box("docker", {"gpus": "all", "init": True, "env": "A=1"}, builds=True)
    assert in_container(*options, "--backend", "docker", backend="docker") == Entry(
        "", "main", {}, box=wanted
    )
    assert in_container("--skip-image-build") == Entry(
        "", "main", {}, box=Box("local", as_it_is=True)
    )
    with pytest.raises(UsageError, match="its option -A env held a secret"):
        in_container("-A", "env=TOKEN=***")
    with pytest.raises(UsageError, match="made by the backend 'ray'"):
        in_container(backend="ray")
