"""Deployments for tests: models that predict a number, registered, decided, pushed and served."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from gitml import pyfunc
from gitml.deploy import choosing, reconcile, wanted
from gitml.deploy.reconcile import Outcome, Wish
from gitml.deploy.wanted import Wanted
from gitml.models.digest import digest_of_folder
from gitml.models.example import SERVING_FILE
from gitml.registry import files, registering
from gitml.registry.catalog import Registered
from gitml.registry.entries import VersionEntry
from gitml.tracking import finishing, starting
from gitml.tracking.record import FINISHED
from gitml.tracking.session import now_ms
from gitml.tracking.walk import files_under
from tests.clones import Clone

EXAMPLE = '{"dataframe_split": {"columns": ["a"], "data": [[1]]}}'


def save(folder: Path, number: int, code: str = "pass", requirements: Sequence[str] = ()) -> Path:
    """A model whose every prediction is a number, with an example; `code` runs first."""
    source = f"def predict(model_input):\n    {code}\n    return [{number}] * len(model_input)"
    space: dict[str, Any] = {}
    exec(source, space)
    pyfunc.save_model(folder, python_model=space["predict"], pip_requirements=[*requirements])
    (folder / SERVING_FILE).write_text(EXAMPLE)
    return folder


def register(
    clone: Clone,
    number: int,
    name: str = "churn",
    code: str = "pass",
    auc: float | None = None,
    requirements: Sequence[str] = (),
) -> Registered:
    """Log such a model in a run, and register it; runs and tags are pushed with it."""
    place = clone.place
    session, record = starting.start(place, starting.Wish(name=f"run {number}"))
    if auc is not None:
        session.metric("auc", auc, 0, now_ms())
    folder = save(clone.folder / ".git" / f"model-{number}", number, code, requirements)
    entry: dict[str, Any] = {"digest": digest_of_folder(folder)}
    session.model("model", [(file, f"model/{it}") for file, it in files_under(folder)], entry)
    finishing.finish(place, session, record, FINISHED)
    return registering.register(
        place, f"runs:/{record.run_id}/model", name, registering.Wish(version=f"v{number}.0.0")
    )


def decide(clone: Clone, item: Registered, stage: str = "production") -> None:
    """Put a version into a stage on the main branch, as a merged promotion does."""
    path = clone.folder / files.path_of(item.name)
    path.parent.mkdir(exist_ok=True)
    data = path.read_bytes() if path.exists() else b"schema: 1\n"
    entry = VersionEntry(item.note.run_id, item.commit, item.note.path, item.note.digest, {})
    path.write_bytes(files.promoted(data, stage, item.version, entry, path.name))
    publish(clone, f"{item.name}: {item.version} in {stage}")


def settings(clone: Clone, deployments: Mapping[str, Any]) -> None:
    """Write what is deployed where on the main branch."""
    text = yaml.safe_dump({"schema": 1, "deployments": dict(deployments)})
    (clone.folder / "gitml.yaml").write_text(text)
    publish(clone, "Deployments")


def publish(clone: Clone, message: str) -> None:
    """Commit everything to the main branch, and push it."""
    clone.git("add", ".")
    clone.git("commit", "--quiet", "--message", message)
    clone.git("push", "--quiet", "origin", "HEAD:main")


def told(clone: Clone) -> Wanted:
    """What the main branch says, as a clone fetches it."""
    return wanted.wanted(clone.place)


def deploy(clone: Clone, **wish: Any) -> list[Outcome]:
    """`gitml deploy`."""
    place = clone.place
    return reconcile.deploy(place, told(clone), Wish(**wish), lambda _: None, lambda _: None)


@contextmanager
def taken_down(clone: Clone) -> Iterator[None]:
    """Leave no server of a clone's deployments behind."""
    try:
        yield
    finally:
        for one in told(clone).deployments:
            choosing.target(clone.place, one).remove()
