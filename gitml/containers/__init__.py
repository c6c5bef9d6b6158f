"""The container engine, docker or podman: images are built by it, and containers run in it."""

from __future__ import annotations

from gitml.containers.building import INDEX_ARGUMENTS, Image, build, check_index, identify
from gitml.containers.container import Container, State
from gitml.containers.engine import EngineError, ask, find_engine, user_of
from gitml.containers.pushing import push

__all__ = [
    "INDEX_ARGUMENTS",
    "Container",
    "EngineError",
    "Image",
    "State",
    "ask",
    "build",
    "check_index",
    "find_engine",
    "identify",
    "push",
    "user_of",
]
