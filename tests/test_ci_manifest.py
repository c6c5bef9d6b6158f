"""`gitml ci manifest`: a file that stands for a model is the same wherever it is written."""

from __future__ import annotations

from pathlib import Path

import pytest

from gitml.ci import manifest
from gitml.errors import FormatError
from gitml.registry import catalog
from tests.cli import Caller
from tests.promoted import begin, origin


def test_what_is_deployed_is_what_was_attested(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The version that holds a stage has the very file that its run had in the job that trained."""
    ann = begin(tmp_path, origin(tmp_path)).ann
    monkeypatch.chdir(ann.folder)
    item = catalog.read(ann.place.repo).version("churn", "v1.0.1")
    record = ann.place.ledger.find(item.note.run_id)
    assert record is not None
    (trained,) = manifest.write(manifest.of_runs([record.record]), tmp_path / "trained")
    call = Caller(capsys)
    (said,) = call("ci", "manifest", "--stage", "production", "-o", tmp_path / "deployed").lines
    assert Path(said).name == trained.name
    assert Path(said).read_bytes() == trained.read_bytes()
    assert call("ci", "manifest", "--stage", "none", "-o", tmp_path / "empty").out == ""
    assert list((tmp_path / "empty").iterdir()) == []


def test_a_digest_is_no_path(tmp_path: Path) -> None:
    """What a run claims as a digest names no file elsewhere."""
    with pytest.raises(FormatError, match="no digest"):
        manifest.write(["sha256:../../x"], tmp_path)
