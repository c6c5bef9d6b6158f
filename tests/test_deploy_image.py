"""The image of a version: it proves itself at a real engine, and then is pushed to a registry."""

from __future__ import annotations

import sys
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from gitml import containers as engines
from gitml.containers import Container
from gitml.deploy import contained, image
from gitml.deploy.errors import DeployError
from gitml.deploy.probe import Address
from gitml.models.images.dockerfile import PORT
from tests import containers, image_registry
from tests.image_registry import Registry
from tests.versions import release

pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="the images are Linux's"),
    pytest.mark.slow,
    pytest.mark.timeout(900),
]


@pytest.fixture
def registry(index: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Registry]:
    """A registry that the engine may push to; its images are taken away afterwards."""
    engine = containers.engine_or_skip()
    with image_registry.trusted(tmp_path, monkeypatch) as found:
        yield found
        for name in engines.ask(engine, "images", "--format", "{{.Repository}}:{{.Tag}}").split():
            if name.startswith(f"{found.host}/"):
                engines.ask(engine, "image", "rm", "--force", name)


def test_an_image_is_pushed_once_it_has_predicted(tmp_path: Path, registry: Registry) -> None:
    """It is named by its digest there, and serves with a word behind it, as SageMaker starts it."""
    wish = image.Wish(f"{registry.host}/churn", "host", any_words=True)
    first, bad = release(tmp_path, 1), release(tmp_path, 3, "raise RuntimeError('no')")
    said: list[str] = []
    name, _, digest = image.publish(first, wish, said.append, proven=True).partition("@")
    assert name == wish.repository
    assert f"churn@{digest}" in registry.manifests
    assert f"churn:{image.tag_of(first)}-any" in registry.manifests
    count = len(registry.manifests)
    with pytest.raises(DeployError, match="does not predict for the model's own example"):
        image.publish(bad, wish, said.append, proven=True)
    assert len(registry.manifests) == count
    assert "trying churn v3.0.0" in said
    one = Container(engines.find_engine(), f"gitml-test-{uuid.uuid4().hex[:8]}")
    try:
        one.create(
            ["--publish", f"127.0.0.1::{PORT}"], f"{name}:{image.tag_of(first)}-any", ["serve"]
        )
        engines.ask(one.engine, "start", one.name)
        port = engines.ask(one.engine, "port", one.name, str(PORT)).rpartition(":")[2]
        contained.prove(one, Address("127.0.0.1", int(port)), first)
    finally:
        one.remove()
