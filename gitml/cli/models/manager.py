"""The option `--env-manager`: a command goes on in the environment that its model asks for."""

from __future__ import annotations

import sys
from collections.abc import Sequence

import click

from gitml.cli import output
from gitml.environments import MANAGERS

manager_option = click.option(
    "--env-manager",
    type=click.Choice(MANAGERS),
    default="local",
    show_default=True,
    help="local: this Python. uv, conda: an environment of the model's own, built once.",
)


def in_environment(
    uri: str,
    manager: str,
    arguments: Sequence[str],
    *,
    allow_code: bool = False,
    named: bool = False,
) -> None:
    """Become `gitml models ARGUMENTS` in the model's own environment, unless the manager is local.

    With `named` a registered version is told as such there. The model is found and judged here,
    where its repository is; there its folder is named.
    """
    if manager == "local":
        return
    from gitml import process
    from gitml.environments import environment
    from gitml.models import installs, load

    source, _ = load.opened(uri, allow_code=allow_code)
    spec = installs.spec_of(
        source.folder, allow_code=allow_code or source.trusted, conda=manager == "conda"
    )
    found = environment(spec, "conda" if manager == "conda" else "uv", output.remark)
    # Isolated: the current folder, which may be a stranger's, has modules of any name.
    command = [str(found.python), "-I", "-m", "gitml", "models", *arguments]
    command += ["--model-uri", str(source.folder.absolute()), "--allow-code"]
    if named and source.name and source.version:
        command += ["--registered-as", f"{source.name}@{source.version}"]
    process.replace(command, env=found.variables())
    sys.exit()  # on Windows only, where a program can't be replaced
