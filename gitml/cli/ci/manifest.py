"""`gitml ci manifest`."""

from __future__ import annotations

from pathlib import Path

import click

from gitml.ci import manifest as manifests
from gitml.cli import output
from gitml.cli.here import here
from gitml.errors import UsageError
from gitml.tracking import bundling


@click.command()
@click.option("--stage", metavar="STAGE", help="The versions that hold it by the main branch.")
@click.option(
    "--from-bundle", "bundle", metavar="FILE", type=click.Path(exists=True, path_type=Path),
    help="The models of the runs that a bundle has.",
)  # fmt: skip
@click.option(
    "-o", "--output", "folder", required=True, metavar="DIR",
    type=click.Path(file_okay=False, path_type=Path), help="Where the files go.",
)  # fmt: skip
def manifest(stage: str | None, bundle: Path | None, folder: Path) -> None:
    """Write a small file for each model, by its digest, for the forge to attest or to verify."""
    place = here()
    if (stage is None) == (bundle is None):
        raise UsageError("say which models: --stage STAGE or --from-bundle FILE")
    if stage is not None:
        digests = manifests.of_stage(place, stage.lower())
    else:
        with bundling.read(place, Path(str(bundle))) as arrived:
            digests = manifests.of_runs(it.record for it in arrived)
    for path in manifests.write(digests, folder):
        output.say(str(path))
