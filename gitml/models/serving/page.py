"""The page at `/`: a form made from the signature, for a prediction without any program.

Everything that comes from the model is escaped, and the page may load and run nothing but its own
files.
"""

from __future__ import annotations

import html
import json
import string
from collections.abc import Iterator
from typing import Any

from gitml.models.pyfunc import PyFuncModel
from gitml.models.schema import Schema
from gitml.models.serving import sample
from gitml.models.serving.tables import SPLIT
from gitml.models.types import DataType
from gitml.resources import resource
from gitml.version import __version__

FILES = {
    "/": ("page.html", "text/html; charset=utf-8"),
    "/page.css": ("page.css", "text/css; charset=utf-8"),
    "/page.js": ("page.js", "text/javascript; charset=utf-8"),
}
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self';"
    " connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none';"
    " frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
}
_MOST_FIELDS = 200  # more make no form that a person fills
_NUMBERS = (DataType.integer, DataType.long, DataType.float, DataType.double)


def file(path: str, model: PyFuncModel, name: str) -> tuple[bytes, str]:
    """The content and the type of one of `FILES`."""
    source, kind = FILES[path]
    text = resource("templates", "serving", source).read_text(encoding="utf-8")
    if path == "/":
        text = string.Template(text).substitute(_parts(model, name))
    return text.encode("utf-8", "replace"), kind


def _parts(model: PyFuncModel, name: str) -> dict[str, str]:
    body = sample.request(model)
    schema = model.metadata.get_input_schema()
    return {
        "name": html.escape(name),
        "version": html.escape(__version__),
        "fields": "\n".join(_fields(schema, body)) if has_form(schema) else "",
        "params": "\n".join(_params(model)),
        "form": "" if has_form(schema) else "hidden",
        "body": html.escape(json.dumps(body, indent=2, ensure_ascii=False)),
    }


def has_form(schema: Schema | None) -> bool:
    """Whether a row has names and single values, and so can be written in a form."""
    return (
        schema is not None
        and not schema.is_tensor_spec()
        and schema.has_input_names()
        and len(schema) <= _MOST_FIELDS
        and all(isinstance(kind, DataType) for kind in schema.input_types())
        and all(isinstance(name, str) for name in schema.input_names())
    )


def _fields(schema: Schema | None, body: dict[str, Any]) -> Iterator[str]:
    """A field for each column, filled with the example's value."""
    table = body.get(SPLIT, {})
    row = dict(zip(table.get("columns", ()), (table.get("data") or [[]])[0], strict=False))
    for spec in schema or ():
        yield field("column", str(spec.name), spec.type, spec.required, row.get(spec.name))


def _params(model: PyFuncModel) -> Iterator[str]:
    for item in model.metadata.get_params_schema() or ():
        if item.shape is None and isinstance(item.dtype, DataType):
            yield field("param", item.name, item.dtype, False, item.to_dict()["default"])


def field(part: str, name: str, kind: Any, required: bool, value: Any) -> str:
    """A labelled field. `part` says whether it is a column or a param."""
    label, note = html.escape(name), kind.name + ("" if required else ", optional")
    attributes = f'data-part="{part}" data-name="{label}" data-kind="{_kind(kind)}"'
    if kind is DataType.boolean:
        control = f"<select {attributes}>{''.join(_choices(required, value))}</select>"
    else:
        text = "" if value is None else value if isinstance(value, str) else json.dumps(value)
        more = " required" if required and kind in _NUMBERS else ""
        mode = "decimal" if kind in _NUMBERS else "text"
        control = (
            f'<input {attributes} inputmode="{mode}" autocomplete="off"'
            f' value="{html.escape(text)}"{more}>'
        )
    return f"<label><span>{label} <small>{note}</small></span>{control}</label>"


def _kind(kind: DataType) -> str:
    """How a value is written in JSON."""
    if kind in _NUMBERS:
        return "number"
    return "boolean" if kind is DataType.boolean else "text"


def _choices(required: bool, value: Any) -> Iterator[str]:
    for text in ("true", "false") if required else ("", "true", "false"):
        chosen = " selected" if value is not None and text == str(bool(value)).lower() else ""
        yield f'<option value="{text}"{chosen}>{text or "not given"}</option>'
