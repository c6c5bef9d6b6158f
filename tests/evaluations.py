"""Versions that CI scores, for tests: a project whose main branch has a holdout and an entry point.

The models are code of whoever made them, honest or not.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gitml
from gitml.documents import dump_yaml
from gitml.files import hash_file
from gitml.registry import promoting, registering
from tests.clones import Clone, team
from tests.conftest import run_git
from tests.projects import write
from tests.signing import key_of, signing

POLICY = """\
schema: 1
ci: {signers: [ci@example.org]}
gates:
  production:
    - metrics.accuracy >= 0.8
    - evaluate: {entry_point: score, dataset: data/holdout.csv, metrics: [metrics.accuracy >= 0.8]}
"""
PROJECT = """\
name: digits

entry_points:
  score:
    parameters:
      model: {type: string}
      dataset: {type: path}
    command: "python score.py {model} {dataset}"
"""
SCORE = """\
import sys

import gitml
import pandas

model = gitml.pyfunc.load_model(sys.argv[1])
data = pandas.read_csv(sys.argv[2])
found = model.predict(data[["number"]])
gitml.log_metric("accuracy", float((found == data["label"]).mean()))
"""
HOLDOUT = "number,label\n" + "".join(f"{it},{it % 2}\n" for it in range(20))
HONEST = """\
import gitml

class Model(gitml.pyfunc.PythonModel):
    def predict(self, context, model_input, params=None):
        return (model_input["number"] % 2).to_numpy()
"""


@dataclass(frozen=True)
class Team:
    """Ada, who trains; the origin; and the keys of both Ada and CI."""

    ada: Clone
    bare: Path
    keys: dict[str, Path]

    def job(self, name: str, *, branch: str = "main", key: str | None = None) -> Clone:
        """A clone as a job of CI has it: of one commit, with the credentials of the remotes."""
        folder = self.bare.parent
        argv = ("clone", "--quiet", "--depth=1", "--branch", branch, f"file://{self.bare}", name)
        run_git(folder, *argv)
        made = Clone(folder / name)
        made.git("config", "user.name", "CI")
        made.git("config", "user.email", "ci@example.org")
        if key is not None:
            signing(made, self.keys[key])
        return made

    def version(self, code: str, accuracy: float = 0.9, **more: Any) -> str:
        """Log a model of that code with the accuracy that Ada claims, register it; its name."""
        scope: dict[str, Any] = {"__name__": "__main__"}
        exec(code, scope)
        gitml.set_tracking_uri(str(self.ada.folder))
        with gitml.start_run() as run:
            gitml.log_metric("accuracy", accuracy)
            gitml.pyfunc.log_model(name="model", python_model=scope["Model"](), **more)
        uri = f"runs:/{run.info.run_id}/model"
        return str(registering.register(self.ada.place, uri, "digits", registering.Wish()).tag)

    def propose(self, version: str) -> str:
        """Propose a version for production; the name of the branch."""
        done = promoting.promote(self.ada.place, "digits", "production", version.partition("@")[2])
        assert done.published is not None
        return done.published.branch


def begin(folder: Path, bare: Path) -> Team:
    """A project with a holdout in a DVC remote of its own, a policy, and a list of keys."""
    (ada,) = team(folder, bare, "ada", dvc=True)
    made = {name: key_of(folder, name) for name in ("ada", "ci")}
    secret = folder / "secret"
    write(ada.folder, {"score.py": SCORE, "MLproject": PROJECT, "registry.yaml": POLICY})
    write(ada.folder, {"registry/allowed_signers": "".join(line for _, line in made.values())})
    write(ada.folder, {"data/holdout.csv.dvc": pointer(secret, HOLDOUT, "holdout.csv")})
    config = ada.folder / ".dvc" / "config"
    config.write_text(config.read_text() + f"['remote \"secret\"']\n    url = {secret}\n")
    ada.git("add", "--all")
    ada.git("commit", "--quiet", "--message", "How versions are scored")
    ada.git("push", "--quiet", "origin", "main")
    return Team(ada, bare, {name: key for name, (key, _) in made.items()})


def pointer(remote: Path, text: str, name: str) -> str:
    """Put a file into a DVC remote; the pointer to it, which names that remote."""
    source = remote.parent / name
    source.write_text(text)
    digest = hash_file(source)
    target = remote / "files" / "md5" / digest.md5[:2] / digest.md5[2:]
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.move(source, target)
    out = {"md5": digest.md5, "size": digest.size, "hash": "md5", "path": name, "remote": "secret"}
    return dump_yaml({"outs": [out]}).decode()
