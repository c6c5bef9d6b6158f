"""`gitml models serve`."""

from __future__ import annotations

from typing import Any

import click

from gitml.cli import output
from gitml.cli.models.manager import in_environment, manager_option
from gitml.models.serving.limits import MEGABYTE, Limits

_NUMBERS = ("port", "host", "workers", "timeout", "max_body", "max_rows")


@click.command(context_settings={"help_option_names": ["--help"]})
@click.option("--model-uri", "-m", "uri", required=True, metavar="URI", help="The model to serve.")
@click.option("--port", "-p", type=click.IntRange(0, 65535), default=5000, show_default=True)
@click.option("--host", "-h", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option(
    *("--workers", "-w"),
    type=click.IntRange(1, 256),
    default=1,
    show_default=True,
    help="Processes; each loads the model.",
)
@click.option(
    *("--timeout", "-t"),
    type=click.FloatRange(0.1, 86400),
    default=60.0,
    show_default=True,
    help="Seconds that a prediction may take.",
)
@manager_option
@click.option("--allow-code", is_flag=True, help="Load the model though it can run code.")
@click.option(
    "--registered-as",
    metavar="NAME@VERSION",
    help="What /version calls the model; a models:/ URI tells it by itself.",
)
@click.option("--strict", is_flag=True, help="Refuse columns and params that the model has not.")
@click.option(
    "--max-body",
    type=click.FloatRange(0.001, 1024),
    default=16.0,
    show_default=True,
    help="Megabytes that a request may have.",
)
@click.option(
    "--max-rows",
    type=click.IntRange(1),
    default=100_000,
    show_default=True,
    help="Rows that a request may have.",
)
def serve(
    uri: str,
    env_manager: str,
    allow_code: bool,
    registered_as: str | None,
    strict: bool,
    **given: Any,
) -> None:
    """Answer requests for predictions over HTTP, by MLflow's protocol, until stopped.

    A page to try the model is at /, and /openapi.json says how requests look.
    """
    same = [f"--{name.replace('_', '-')}={given[name]}" for name in _NUMBERS]
    flags = ["--strict"] if strict else []
    in_environment(uri, env_manager, ["serve", *same, *flags], allow_code=allow_code, named=True)
    from gitml.models.serving import run

    body = int(given["max_body"] * MEGABYTE)
    limits = Limits(body=body, rows=given["max_rows"], seconds=given["timeout"])
    place = {name: given[name] for name in ("host", "port", "workers")}
    settings = run.Settings(strict=strict, limits=limits, registered_as=registered_as, **place)
    run.serve(uri, settings, allow_code=allow_code, announce=_announce)


def _announce(url: str) -> None:
    output.say(f"serving on {url}")
