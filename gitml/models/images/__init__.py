"""Container images that serve a model: the folder that an engine builds from, and the building.

An image holds a Python, the requirements of the model and of the server at fixed versions, gitml
and the model, in layers that change more often the later they come. What runs in it has no rights.
"""

from __future__ import annotations

from gitml.containers import Image
from gitml.models.images.context import generate_dockerfile
from gitml.models.images.dockerfile import Identity, Recipe, dockerfile
from gitml.models.images.engine import build_docker, find_engine

__all__ = [
    "Identity",
    "Image",
    "Recipe",
    "build_docker",
    "dockerfile",
    "find_engine",
    "generate_dockerfile",
]
