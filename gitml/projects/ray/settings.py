"""What the user says of a Ray cluster: the backend's configuration.

Format: schemas/ray-backend.schema.json. Names that begin with `entrypoint_`, and what is in
`runtime_env`, are Ray's own.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from gitml import documents
from gitml.errors import UsageError, shown
from gitml.tracking.spool import Spool, spool_of
from gitml.urls import without_user_info

_WHERE = "the backend's configuration"
_RAYS_OWN = ("RAY_API_SERVER_ADDRESS", "RAY_ADDRESS")  # in Ray's order
_OURS = ("working_dir", "py_modules")
_BUILDERS = ("pip", "uv", "conda", "image_uri", "container")  # what makes a Python in Ray
_CPUS = 1  # of the entry point; with none of them Ray runs it on the head node


@dataclass(frozen=True, slots=True)
class Settings:
    """A cluster as the user describes it: where it answers, and what a job of it gets.

    `spool` is the folder or URL in which each run gets a folder, if one is named. `entrypoint` are
    the resources of the entry point, under Ray's names.
    """

    address: str
    spool: str | None = None
    entrypoint: Mapping[str, Any] = field(default_factory=dict)
    runtime_env: Mapping[str, Any] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    verify: bool | str = True

    @property
    def shown(self) -> str:
        """The address as it may be told."""
        return without_user_info(self.address)

    @property
    def is_here(self) -> bool:
        """Whether the cluster answers on this machine."""
        url = self.address if "://" in self.address else f"//{self.address}"
        host = urlsplit(url).hostname or ""
        return host in ("auto", "localhost", "::1") or host.startswith("127.")

    @property
    def builds(self) -> bool:
        """Whether it says itself what Python a job has."""
        return any(name in self.runtime_env for name in _BUILDERS)

    def spool_of(self, name: str) -> Spool | None:
        """The spool of that name below the one that is named; None when none is."""
        return None if self.spool is None else spool_of(f"{self.spool.rstrip('/')}/{name}")


def read(given: Mapping[str, Any]) -> Settings:
    """The settings in a backend's configuration. Raises UsageError and FormatError."""
    documents.validate(dict(given), "ray-backend", _WHERE)
    told = dict(given)
    address = told.pop("address", None) or next(filter(None, map(os.environ.get, _RAYS_OWN)), None)
    if address is None:
        raise UsageError(
            "say which Ray cluster: --address http://HEAD:8265, with the address of its dashboard"
        )
    resources = {name: told.pop(name) for name in list(told) if name.startswith("entrypoint_")}
    found = Settings(address, entrypoint={"entrypoint_num_cpus": _CPUS, **resources}, **told)
    if ours := next((name for name in _OURS if name in found.runtime_env), None):
        raise UsageError(
            f"{_WHERE}: gitml sets the {ours} of the runtime_env itself: the project's files go"
            " there, put modules among them"
        )
    if found.spool is None and not found.is_here:
        raise UsageError(
            f"the cluster at {shown(found.shown)} is another machine; name a spool in {_WHERE}, a"
            " bucket or a folder that its nodes and this machine share: spool: s3://BUCKET/PREFIX"
        )
    return found
