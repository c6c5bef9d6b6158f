"""`gitml models serve`."""

from __future__ import annotations

import click

from gitml.cli import output
from gitml.cli.models.manager import in_environment, manager_option
from gitml.models.serving.limits import MEGABYTE, Limits


@click.command(context_settings={"help_option_names": ["--help"]})
@click.option("-m", "--model-uri", "uri", required=True, metavar="URI", help="The model to serve.")
@click.option("-p", "--port", type=click.IntRange(0, 65535), default=5000, show_default=True)
@click.option("-h", "--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option(
    "-w", "--workers", type=click.IntRange(1, 256), default=1, show_default=True,
    help="Processes; each loads the model.",
)
@click.option(
    "-t", "--timeout", type=click.FloatRange(0.1, 86400), default=60.0, show_default=True,
    help="Seconds that a prediction may take.",
)
@manager_option
@click.option("--allow-code", is_flag=True, help="Load the model though it can run code.")
@click.option("--strict", is_flag=True, help="Refuse columns and params that the model has not.")
@click.option(
    "--max-body", type=click.FloatRange(0.001, 1024), default=16.0, show_default=True,
    help="Megabytes of a request.",
)
@click.option(
    "--max-rows", type=click.IntRange(1), default=100_000, show_default=True,
    help="Rows of a request.",
)
def serve(
    uri: str, port: int, host: str, workers: int, timeout: float, env_manager: str,
    allow_code: bool, strict: bool, max_body: float, max_rows: int,
) -> None:
    """Answer requests for predictions over HTTP, by MLflow's protocol, until stopped.

    A page to try the model is at /, and /openapi.json says how requests look.
    """
    in_environment(uri, env_manager, allow_code=allow_code)
    from gitml.models.serving.run import Settings, serve as run

    limits = Limits(body=int(max_body * MEGABYTE), rows=max_rows, seconds=timeout)
    settings = Settings(host, port, workers, strict, limits)
    run(uri, settings, allow_code=allow_code, announce=_announce)


def _announce(url: str) -> None:
    output.say(f"serving on {url}")
