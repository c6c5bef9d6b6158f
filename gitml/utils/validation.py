"""How long keys and values may be, by MLflow's names."""

from __future__ import annotations

from gitml.tracking.names import MAX_KEY
from gitml.tracking.values import MAX_TEXT

MAX_ENTITY_KEY_LENGTH = MAX_KEY
MAX_PARAM_VAL_LENGTH = MAX_TAG_VAL_LENGTH = MAX_TEXT
