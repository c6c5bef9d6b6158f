"""`gitml models inspect`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import click
from rich.text import Text

from gitml.cli import output
from gitml.cli.figures import size
from gitml.cli.plain import plain
from gitml.models import inspection
from gitml.models.inspection import Inspection


@click.command()
@click.argument("uri", metavar="URI")
@click.option("--format", type=click.Choice(["table", "json"]), default="table", show_default=True)
def inspect(uri: str, format: str) -> None:
    """Show what the model at URI is and what loading it would run; nothing of it is loaded."""
    seen = inspection.inspect(uri)
    if format == "json":
        output.say_json(inspection.to_document(seen))
    else:
        output.say(*_lines(seen))


def _lines(seen: Inspection) -> Iterator[Text]:
    model = seen.model
    yield _field("model", seen.source.uri)
    yield _field("digest", seen.digest)
    yield _field("size", f"{size(seen.size)} in {len(seen.files)} files")
    if seen.source.run_id or model.run_id:
        yield _field("run", str(seen.source.run_id or model.run_id))
    if model.utc_time_created:
        yield _field("created", f"{model.utc_time_created} UTC")
    for name, conf in model.flavors.items():
        yield _field("flavor", f"{name} {_version(name, conf)}")
    yield from _signature(seen)
    yield from _block("requirements", seen.requirements)
    yield from _block("files", (f"{name}  {size(it)}" for name, it in seen.files.items()))
    yield from _safety(seen)


def _field(name: str, value: str) -> Text:
    return Text.assemble((f"{name:13}", "bold"), plain(value))


def _block(name: str, lines: Any) -> Iterator[Text]:
    for number, line in enumerate(lines):
        yield _field("" if number else name, line)


def _version(name: str, conf: Any) -> str:
    own = conf.get(f"{name}_version") or conf.get("xgb_version") or conf.get("lgb_version")
    return str(own or conf.get("python_version") or "")


def _signature(seen: Inspection) -> Iterator[Text]:
    signature = seen.model.signature
    if signature is None:
        yield _field("signature", "none: what it takes is not checked")
        return
    for name in ("inputs", "outputs", "params"):
        yield from _block(name, map(str, getattr(signature, name) or ()))


def _safety(seen: Inspection) -> Iterator[Text]:
    assessment = seen.assessment
    for finding in assessment.findings:
        line = Text.assemble(
            (f"{'runs code' if finding.executes else 'data':13}", "bold"),
            (plain(finding.what), "yellow" if finding.executes else ""),
        )
        yield line.append(f"  {plain(finding.why)}")
    yield from _block("imports", assessment.imports)
    if not assessment.executes_code:
        yield _field("loading", "runs no code of the model")
    elif seen.source.trusted:
        yield _field("loading", "runs code; its bytes are those that this repository recorded")
    else:
        yield _field("loading", "runs code, and nothing vouches for it: it needs --allow-code")
