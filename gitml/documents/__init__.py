"""JSON and YAML in and out: strict readers, steady writers, schemas, atomic files.

What a reader returns is plain data: dictionaries with text keys, lists, text, numbers, booleans
and None. A file that is not what it should be is a `FormatError` of one line that names the file
and the place in it.
"""

from __future__ import annotations

from gitml.documents.edit import GONE, Edit, edit_yaml
from gitml.documents.files import write_atomic
from gitml.documents.json import dump_json, load_json
from gitml.documents.schema import (
    near_miss,
    problems,
    shown_kind,
    unknown_key,
    validate,
    validate_yaml,
)
from gitml.documents.yaml import (
    MAX_YAML_BYTES,
    dump_yaml,
    dump_yaml_of_users,
    load_yaml,
    position,
)

__all__ = [
    "GONE",
    "MAX_YAML_BYTES",
    "Edit",
    "dump_json",
    "dump_yaml",
    "dump_yaml_of_users",
    "edit_yaml",
    "load_json",
    "load_yaml",
    "near_miss",
    "position",
    "problems",
    "shown_kind",
    "unknown_key",
    "validate",
    "validate_yaml",
    "write_atomic",
]
