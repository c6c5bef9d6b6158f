"""`gitml models export` and `gitml models import`: models for MLEM, and from it."""

from __future__ import annotations

from pathlib import Path

import click

from gitml.cli import output
from gitml.cli.names import RunName


@click.command("export")
@click.option("--model-uri", "-m", "uri", required=True, metavar="URI", help="The model to export.")
@click.option("--to", "form", type=click.Choice(["mlem"]), required=True, help="For which tool.")
@click.argument("folder", metavar="DIR", type=click.Path(file_okay=False, path_type=Path))
@click.option("--allow-code", is_flag=True, help="Load the model though it can run code.")
def export(uri: str, form: str, folder: Path, allow_code: bool) -> None:
    """Write a model into the new folder DIR as MLEM has it, for `mlem apply` and `mlem serve`.

    MLEM saves it itself, in an environment of the versions that it works with, built once.
    """
    from gitml.models import load
    from gitml.models.mlem import exporting

    opened = load.opened(uri, allow_code=allow_code)
    made = exporting.export(opened, folder, allow_code=allow_code, progress=output.remark)
    output.say(str(made))


@click.command("import")
@click.argument("path", metavar="PATH", type=click.Path(path_type=Path))
@click.option(
    *("--output-directory", "-d", "folder"),
    metavar="DIR",
    type=click.Path(file_okay=False, path_type=Path),
    help="A new folder for the model, instead of a run.",
)
@click.option(
    "--run", metavar="RUN", type=RunName(), help="Log it to this run; by default to a new one."
)
@click.option("--name", "-n", metavar="NAME", help="Of the model in the run; by default MLEM's.")
@click.option(
    "--flavor",
    type=click.Choice(["auto", "native", "mlem"]),
    default="auto",
    show_default=True,
    help="native: that of the wrapped object. mlem: as it is. auto: native if there is one.",
)
@click.option("--allow-code", is_flag=True, help="Log the model though it can run code.")
def import_model(
    path: Path,
    folder: Path | None,
    run: str | None,
    name: str | None,
    flavor: str,
    allow_code: bool,
) -> None:
    """Make a model of the one that MLEM saved as PATH, a file `NAME.mlem`, and log it to a run.

    Its files are taken as they are; nothing of it is loaded.
    """
    from gitml.models.mlem import importing

    if folder is None:
        title = importing.check_loggable(path, flavor, allow_code=allow_code).name
        output.say(_logged(path, title, run, name, flavor))
        return
    if run or name:
        raise click.UsageError("--output-directory goes with neither --run nor --name")
    importing.save_imported(path, folder, flavor)
    output.say(str(folder))


def _logged(path: Path, title: str, run: str | None, name: str | None, flavor: str) -> str:
    """The URI of the model, once it is logged; a new run is called `title`."""
    from gitml.models.mlem import importing
    from gitml.tracking import fluent, store
    from gitml.tracking.fluent.place import place

    if run is not None:
        run_id = store.resolve(place(), run)
        return importing.log_imported(path, name, flavor, run_id=run_id).model_uri
    with fluent.start_run(run_name=title):
        return importing.log_imported(path, name, flavor).model_uri
