"""`gitml models`: everything that is done with models."""

from __future__ import annotations

import click

from gitml.cli.lazy import Deferred, LazyGroup


def _here(module: str, name: str, help: str) -> Deferred:
    return Deferred(f"gitml.cli.models.{module}:{name}", help)


SECTIONS = {
    "Look": {
        "inspect": _here("inspect", "inspect", "Show what a model is, without loading it."),
    },
    "Use": {
        "predict": _here("predict", "predict", "Predict for the rows of a file."),
        "serve": _here("serve", "serve", "Answer requests for predictions over HTTP."),
    },
    "Build": {
        "generate-dockerfile": _here("image", "generate", "Write the files of a container image."),
        "build-docker": _here("image", "build", "Build a container image that serves a model."),
        "build": _here("build", "build", "Build a package or a Docker context with MLEM."),
    },
    "Exchange": {
        "export": _here("exchange", "export", "Write a model for another tool, MLEM."),
        "import": _here("exchange", "import_model", "Make a model of one that MLEM saved."),
    },
}

EPILOG = """URI is runs:/RUN/PATH, where RUN is named as in `gitml runs`; models:/NAME/VERSION,
models:/NAME@ALIAS or models:/NAME/STAGE of the registry; or the path of a model's folder."""


@click.group(cls=LazyGroup, sections=SECTIONS, epilog=EPILOG)
def models() -> None:
    """Look at models, predict with them, serve, build and exchange them."""
