"""What a model is and what loading it would run, found out without loading it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gitml.models import environment_files, locate, mlmodel, trust
from gitml.models.digest import digest_of_folder
from gitml.models.locate import Located
from gitml.models.mlmodel import Model
from gitml.models.trust import Assessment
from gitml.tracking.walk import files_under


@dataclass(frozen=True, slots=True)
class Inspection:
    """A model seen from outside: its description, its files in bytes, what would be executed."""

    source: Located
    model: Model
    digest: str
    files: Mapping[str, int]
    requirements: tuple[str, ...]
    assessment: Assessment

    @property
    def size(self) -> int:
        """The bytes of all files."""
        return sum(self.files.values())


def inspect(uri: str | Path) -> Inspection:
    """Look at the model that a URI or path names; nothing of it is imported or run."""
    source = locate.locate(uri)
    document = mlmodel.read_document(source.folder)
    return Inspection(
        source,
        mlmodel.from_document(document),
        source.digest or digest_of_folder(source.folder),
        {name: path.stat().st_size for path, name in files_under(source.folder)},
        environment_files.read(source.folder).lines,
        trust.assess(source.folder, document),
    )


def to_document(seen: Inspection) -> dict[str, Any]:
    """The same as plain data with stable names."""
    import json

    model = seen.model
    signature = model.signature.to_dict() if model.signature else {}
    return {
        "uri": seen.source.uri,
        "run_id": seen.source.run_id or model.run_id,
        "trusted": seen.source.trusted,
        "digest": seen.digest,
        "size": seen.size,
        "created": model.utc_time_created,
        "flavors": {name: dict(conf) for name, conf in model.flavors.items()},
        "signature": {key: json.loads(text) for key, text in signature.items() if text},
        "metadata": dict(model.metadata or {}),
        "requirements": list(seen.requirements),
        "files": dict(seen.files),
        "executes_code": seen.assessment.executes_code,
        "imports": list(seen.assessment.imports),
        "findings": [
            {"what": it.what, "executes": it.executes, "why": it.why}
            for it in seen.assessment.findings
        ],
    }
