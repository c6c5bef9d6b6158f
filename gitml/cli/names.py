"""Naming runs on the command line: id, part of an id, name, `latest` or tag, with completion."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click
from click.shell_completion import CompletionItem

_COMPLETIONS = 200
F = TypeVar("F", bound=Callable[..., Any])


class RunName(click.ParamType):  # type: ignore[type-arg,unused-ignore]
    """The text that names a run; `store.resolve` finds out which."""

    name = "run"

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        """The newest runs whose name or id begins so; nothing when they can't be read."""
        try:
            return [*_matching(incomplete)]
        except Exception:
            return []  # a message would end up in the line that is being typed


def _matching(incomplete: str) -> list[CompletionItem]:
    from gitml.cli.here import here
    from gitml.cli.plain import plain
    from gitml.tracking import recording, store

    place = here()
    live = recording.live_records(place)
    rows = store.index(place).search(view="all", limit=_COMPLETIONS, live=live)
    found = {"latest": "the newest run"} if rows else {}
    for row in rows:
        found.setdefault(row.name, f"{row.experiment}, {row.status}")
        if incomplete:
            found[row.run_id[-8:]] = row.name
    return [
        CompletionItem(word, help=plain(text))
        for word, text in found.items()
        if word.startswith(incomplete) and word.isprintable() and not set(word) & set(" '\"$`\\;|&")
    ]


RUN = RunName()


def run_argument(*, many: bool = False, required: bool = True) -> Callable[[F], F]:
    """The argument RUN of a command, passed as `run`, or with `many` as a tuple `runs`."""
    word = "RUN..." if many else "RUN"
    return click.argument(
        "runs" if many else "run",
        metavar=word if required else f"[{word}]",
        nargs=-1 if many else 1,
        required=required,
        type=RUN,
    )
