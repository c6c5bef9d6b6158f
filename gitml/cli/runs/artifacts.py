"""`gitml runs artifacts`."""

from __future__ import annotations

from pathlib import Path

import click

from gitml.cli import completing, output
from gitml.cli.figures import size
from gitml.cli.here import recovered
from gitml.cli.listing import format_option, show
from gitml.cli.names import run_argument
from gitml.cli.progress import progress_bytes
from gitml.cli.runs.page import place_name
from gitml.cli.table import Column, Columns, Table
from gitml.errors import UsageError
from gitml.files import hash_file, shown_path
from gitml.tracking import download, store
from gitml.tracking.place import Place
from gitml.tracking.record import RunRecord


@click.command()
@run_argument()
@click.argument("path", required=False, shell_complete=completing.ARTIFACT)
@click.option(
    "-d",
    "--download",
    "folder",
    type=click.Path(file_okay=False, path_type=Path),
    metavar="DIR",
    help="Write them into this folder.",
)
@click.option("--force", is_flag=True, help="Replace files in DIR that differ.")
@format_option
def artifacts(run: str, path: str | None, folder: Path | None, force: bool, format: str) -> None:
    """List the artifacts of a run, or those at PATH; with --download, write them into a folder."""
    place = recovered()
    record = store.record(place, store.resolve(place, run))
    if folder is not None:
        if not force:
            _check_free(record, path, folder)
        output.say(str(_download(place, record, path, folder)))
        return
    items = [(name, record.artifacts[name]) for name in download.chosen(record.artifacts, path)]
    documents = [
        {"path": name, "size": item.size, "sha256": item.sha256, "where": item.where}
        for name, item in items
    ]
    columns: Columns = ["PATH", Column("SIZE", right=True), "WHERE", "SHA256"]
    rows = [[name, size(it.size), place_name(it.where), it.sha256[:12]] for name, it in items]
    show(format, documents, lambda: Table.of(columns, rows), "the run has no artifacts")


def _check_free(record: RunRecord, path: str | None, folder: Path) -> None:
    """Refuse to replace a file that differs: a run may have logged the script being edited here."""
    for name in download.chosen(record.artifacts, path):
        file = folder / name
        if file.is_symlink() or (
            file.is_file() and hash_file(file).sha256 != record.artifacts[name].sha256
        ):
            raise UsageError(
                f"{shown_path(file)} is there, and differs from the artifact; name another folder,"
                " or add --force to replace it"
            )


def _download(place: Place, record: RunRecord, path: str | None, folder: Path) -> Path:
    entry = store.entry(place, record.run_id)
    if entry is None:
        raise UsageError("the run is still going on; its artifacts can be downloaded once it ends")
    with progress_bytes("downloading") as progress:
        return download.download(place, entry.record, entry.commit, path, folder, progress)
