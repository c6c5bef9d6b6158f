"""Groups of commands whose modules are imported only when one of them runs."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import Any, NamedTuple, cast

import click
from click.shell_completion import CompletionItem

from gitml.documents import near_miss


class Deferred(NamedTuple):
    """A command that is not imported yet: `module:name`, and its line in the help."""

    target: str
    help: str

    def load(self) -> click.Command:
        """The command itself."""
        module, _, name = self.target.partition(":")
        return cast(click.Command, getattr(importlib.import_module(module), name))


class LazyGroup(click.Group):
    """A group that knows its commands by name; `sections` are their headings in the help.

    `elsewhere` are words that other tools have for commands of this group.
    """

    def __init__(
        self,
        *args: Any,
        sections: Mapping[str, Mapping[str, Deferred]],
        elsewhere: Mapping[str, str] | None = None,
        **kwargs: Any,
    ):
        super().__init__(*args, **kwargs)
        self.sections, self.elsewhere = sections, elsewhere or {}
        self.deferred = {name: it for part in sections.values() for name, it in part.items()}

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The names of the commands, in the order of the help."""
        return list(self.deferred)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import and return a command; None when there is none of that name."""
        known = self.deferred.get(cmd_name)
        return None if known is None else known.load()

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """A group on its own shows its help."""
        return super().parse_args(ctx, args or ["--help"])

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command that the first argument names; a misspelt one is told what it meant."""
        name = args[0]
        if name not in self.deferred and not name.startswith("-"):
            ctx.fail(f"there is no command '{name}'{self._meant(name)}")
        return super().resolve_command(ctx, args)

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command; what is wrong with its line says so in its name, not in the group's."""
        try:
            return super().invoke(ctx)
        except click.UsageError as error:
            name = ctx.invoked_subcommand
            if error.ctx is None and name and (command := self.get_command(ctx, name)):
                error.ctx = click.Context(command, ctx, name)
            raise

    def _meant(self, name: str) -> str:
        """Words for the command that a misspelt or foreign one means, or one of a group's."""
        if name in self.elsewhere:
            return f"; did you mean '{self.elsewhere[name]}'?"
        for title, known in self.deferred.items():
            group = known.load()
            if isinstance(group, LazyGroup) and name in group.deferred:
                return f"; did you mean '{title} {name}'?"
        return near_miss(name, self.deferred)

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """The commands that begin so, without importing them, and the group's own options."""
        names = [name for name in self.deferred if name.startswith(incomplete)]
        commands = [CompletionItem(name, help=self.deferred[name].help) for name in names]
        return commands + click.Command.shell_complete(self, ctx, incomplete)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the commands with their lines, a block for each section; imports none of them."""
        width = max(map(len, self.deferred))
        for title, part in self.sections.items():
            with formatter.section(title):
                formatter.write_dl([(name.ljust(width), it.help) for name, it in part.items()])
