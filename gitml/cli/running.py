"""What commands share that run code of projects: options, and who is asked first."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import click

from gitml.cli import output
from gitml.errors import UsageError
from gitml.projects.runtime import MANAGERS

if TYPE_CHECKING:
    from gitml.projects.sources import Ask, Proposal

F = TypeVar("F", bound=Callable[..., Any])

yes_option = click.option(
    "--yes", "-y", is_flag=True, help="Do not ask before running unknown code."
)
version_option = click.option(
    "--version", "-v", metavar="REV", help="A branch, tag or commit of the project."
)
unrecorded_option = click.option(
    *("--param", "-P", "params"),
    multiple=True,
    metavar="NAME=VALUE",
    help="A value that is not recorded: a secret, or a path of another machine.",
)
address_option = click.option(
    "--address", metavar="URL", help="Of ray: the cluster's dashboard, such as http://head:8265."
)
backend_config_option = click.option(
    *("--backend-config", "-c"),
    metavar="FILE",
    help="What the backend is told: a file of JSON or YAML.",
)
result_option = click.option(
    "--format",
    type=click.Choice(["table", "json"]),
    default="table",
    show_default=True,
    help="How to show what comes of it.",
)
data_option = click.option(
    "--data",
    type=click.Choice(["verify", "pull"]),
    default="verify",
    show_default=True,
    help="DVC's data as it is on this machine, or from the DVC remote, too.",
)


def manager_option(help: str) -> Callable[[F], F]:
    """The option `--env-manager` of a command; `help` tells what is built by default."""
    return click.option("--env-manager", type=click.Choice(MANAGERS), help=help)


def timeout_option(help: str) -> Callable[[F], F]:
    """The option `--timeout` of a command; `help` tells what is stopped."""
    return click.option(
        "--timeout", type=click.FloatRange(min=0, min_open=True), metavar="SECONDS", help=help
    )


def told_backend(given: dict[str, Any]) -> dict[str, Any]:
    """Take what the backend is told out of a command's options: its file, and the address."""
    from gitml.projects import backend_config

    config, address = backend_config.read(given.pop("backend_config")), given.pop("address")
    return config if address is None else {**config, "address": address}


def agreed(yes: bool) -> Ask:
    """Who is asked before unknown code runs: the user, unless he has said yes."""
    return (lambda proposal: True) if yes else _ask


def _ask(proposal: Proposal) -> bool:
    output.remark(
        f"{proposal.source} is not known here. This is what would run:",
        f"  commit       {proposal.commit}",
        f"  entry point  {proposal.entry_point}",
        f"  command      {proposal.command}",
        *([f"  image        {proposal.image}"] if proposal.image else []),
        *(f"  would get    {one}" for one in proposal.access),
    )
    if not sys.stdin.isatty():
        raise UsageError("without a terminal to ask on, unknown code runs with --yes only")
    return click.confirm("Run it?", err=True)


def pairs(given: Sequence[str], option: str = "-P", *, flags: bool = False) -> dict[str, Any]:
    """What an option was given, by name; with `flags` a name alone is true.

    A usage error for one that has no name, or that comes twice.
    """
    found: dict[str, Any] = {}
    for text in given:
        name, sign, value = text.partition("=")
        if not name or not (sign or flags):
            raise click.UsageError(f"{option} takes NAME=VALUE, not {text!r}")
        if name in found:
            raise click.UsageError(f"{option} gives {name!r} twice")
        found[name] = value if sign else True
    return found
