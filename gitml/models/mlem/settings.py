"""What MLEM is told by variables: they win over the `.mlem.yaml` that it looks for.

It looks for that file upwards from the current folder and from a model, so that one in a shared
folder for temporary files could name modules to import, or another place for artifacts.
"""

from __future__ import annotations

VARIABLES = {
    "ITERATIVE_DO_NOT_TRACK": "1",  # it reports every call to its makers
    "MLEM_NO_ANALYTICS": "true",
    "MLEM_ADDITIONAL_EXTENSIONS": "",
    "MLEM_EMOJIS": "false",
    "MLEM_STORAGE": "{}",
}
FILE = ".mlem.yaml"  # an empty one in a folder keeps MLEM from looking above it
