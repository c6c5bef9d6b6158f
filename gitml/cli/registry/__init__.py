"""`gitml registry`: models by name and version."""

from __future__ import annotations

import click

from gitml.cli.lazy import Deferred, LazyGroup


def _here(module: str, name: str, help: str) -> Deferred:
    return Deferred(f"gitml.cli.registry.{module}:{name}", help)


SECTIONS = {
    "Look": {
        "list": _here("list", "list_models", "List the registered models."),
        "show": _here("show", "show", "Show a model and its versions."),
        "history": _here("history", "history", "Tell what happened to a model, in order."),
        "verify": _here("verify", "verify", "Look for tags and files that are not as they were."),
    },
    "Change": {
        "register": _here("register", "register", "Make a run's model a version."),
        "promote": _here("promote", "promote", "Propose that a version takes a stage."),
        "rollback": _here("promote", "rollback", "Propose that the former version comes back."),
        "alias": _here("alias", "alias", "Give a version a further name."),
        "archive": _here("archive", "archive", "Mark versions as not to be used."),
        "sync": _here("sync", "sync", "Create the tags that the main branch asks for."),
    },
}

# What GTO and MLflow call it. Nothing is taken back or deleted: a version is archived.
ELSEWHERE = {
    "assign": "promote",
    "transition": "promote",
    "deregister": "archive",
    "deprecate": "archive",
    "delete": "archive",
    "describe": "show",
    "search": "list",
}

EPILOG = """A version is v1.2.0 or 1.2.0, `latest` for the one registered last, or a number: 3 is
the third that was registered."""


@click.group(cls=LazyGroup, sections=SECTIONS, elsewhere=ELSEWHERE, epilog=EPILOG)
def registry() -> None:
    """Registered models: versions are tags, decisions are files that are reviewed."""
