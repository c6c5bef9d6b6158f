"""`gitml runs`: everything that is done with runs."""

from __future__ import annotations

import click

from gitml.cli.lazy import Deferred, LazyGroup


def _here(module: str, name: str, help: str) -> Deferred:
    return Deferred(f"gitml.cli.runs.{module}:{name}", help)


SECTIONS = {
    "Look": {
        "list": _here("list", "list_runs", "List and search runs."),
        "show": _here("show", "show", "Show all of a run, with its curves."),
        "diff": _here("diff", "diff", "Compare runs: params, metrics, data, code."),
        "artifacts": _here("artifacts", "artifacts", "List or download the artifacts of a run."),
        "export": _here("export", "export", "Write runs as CSV, JSON or Parquet."),
        "bundle": _here("bundle", "bundle", "Put runs into a file, to push them elsewhere."),
    },
    "Use": {
        "checkout": _here("checkout", "checkout", "Put the code of a run into a folder."),
        "reproduce": _here("reproduce", "reproduce", "Run a run again, and compare what comes."),
        "bisect": _here("bisect", "bisect", "Find the commit that made a metric worse."),
    },
    "Change": {
        "tag": _here("tag", "tag", "Set or delete tags of a run."),
        "delete": _here("delete", "delete", "Mark runs as deleted."),
        "restore": _here("delete", "restore", "Take the mark of deletion from runs."),
    },
}

EPILOG = """RUN is an id, at least 4 digits of its beginning or end, the name of a run, `latest`, or
a version tag such as churn@v1.0.0."""


@click.group(cls=LazyGroup, sections=SECTIONS, epilog=EPILOG)
def runs() -> None:
    """Everything that is done with runs."""
