"""`gitml models predict`."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from gitml.cli import output
from gitml.cli.models.manager import in_environment, manager_option
from gitml.cli.plain import inert_json
from gitml.documents import write_atomic


@click.command()
@click.option("--model-uri", "-m", "uri", required=True, metavar="URI", help="The model to ask.")
@click.option(
    *("--input-path", "-i", "source"),
    metavar="FILE",
    type=click.Path(exists=True, dir_okay=False, allow_dash=True),
    default="-",
    help="The rows; by default standard input.",
)
@click.option(
    *("--output-path", "-o", "target"),
    metavar="FILE",
    type=click.Path(dir_okay=False),
    help="Where the predictions go, as its name says: .csv, .parquet, else JSON.",
)
@click.option(
    *("--content-type", "-t", "form"),
    type=click.Choice(["csv", "json", "parquet"]),
    help="The format of the rows; by default what the file's name says, and json.",
)
@manager_option
@click.option("--allow-code", is_flag=True, help="Load the model though it can run code.")
def predict(
    uri: str, source: str, target: str | None, form: str | None, env_manager: str, allow_code: bool
) -> None:
    """Predict for the rows of a file, in one of the formats that the server takes."""
    from gitml.models.serving import offline

    known = [item for item in offline.FORMATS if item == form]
    found = known[0] if known else "json" if source == "-" else offline.format_of(source)
    same = ["predict", f"--input-path={source}", f"--content-type={found}"]
    same += [f"--output-path={target}"] if target else []
    in_environment(uri, env_manager, same, allow_code=allow_code)
    data = sys.stdin.buffer.read() if source == "-" else Path(source).read_bytes()
    to = offline.format_to(target)
    answer = offline.predict(uri, data, found, to=to, allow_code=allow_code)
    if target:
        write_atomic(target, answer)
    else:
        output.say_text(inert_json(answer.decode()))
