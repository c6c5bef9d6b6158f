"""Naming registered models on the command line, with completion."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click
from click.shell_completion import CompletionItem

F = TypeVar("F", bound=Callable[..., Any])


class ModelName(click.ParamType):  # type: ignore[type-arg,unused-ignore]
    """The name of a registered model."""

    name = "model"

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        """The models whose names begin so; nothing when they can't be read."""
        from gitml.cli.here import here
        from gitml.registry import catalog

        try:
            names = catalog.read(here().repo).models
        except Exception:
            return []  # a message would end up in the line that is being typed
        return [CompletionItem(name) for name in names if name.startswith(incomplete)]


def model_argument() -> Callable[[F], F]:
    """The argument NAME of a command, passed as `name`."""
    return click.argument("name", metavar="NAME", type=ModelName())
