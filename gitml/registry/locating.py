"""Models by URIs: `models:/NAME/VERSION`, `models:/NAME@ALIAS`, `models:/NAME/STAGE`.

Importing this module makes such URIs known to `gitml.models.locate`.
"""

from __future__ import annotations

import re
from pathlib import Path

from gitml.errors import NOT_FOUND, UsageError, shown
from gitml.models import locate
from gitml.models.locate import Located
from gitml.registry import catalog, desired, main_branch, verified
from gitml.registry.catalog import Catalog, Registered
from gitml.registry.version import find_version
from gitml.tracking import download
from gitml.tracking.fluent.place import place
from gitml.tracking.place import Place

_URI = re.compile(r"models:/+(?P<name>[^/@]+)(?:/(?P<version>[^/@]+)|@(?P<alias>[^/@]+))")


def find(where: Place, uri: str) -> Registered:
    """The version that a URI names; UsageError when there is none, or the URI is none."""
    found = _URI.fullmatch(uri)
    if found is None:
        raise UsageError(
            f"{shown(uri)} is not models:/NAME/VERSION or models:/NAME@ALIAS,"
            " such as models:/churn/v1.0.0 or models:/churn@production"
        )
    book, name = catalog.read(where.repo), found["name"]
    word = found["version"] or found["alias"]
    book.versions(name)
    is_version = word.lower() == "latest" or word.isdecimal() or find_version(word) is not None
    if found["version"] and is_version:
        return book.version(name, word)
    return _decided(where, book, name, word)


def _decided(where: Place, book: Catalog, name: str, word: str) -> Registered:
    """The version that an alias or a stage stands for, a stage in any case."""
    now = desired.read(where, name)
    version = now.aliases.get(word) or now.stages.get(word.lower())
    if version is None:
        known = ", ".join(sorted({*now.aliases, *now.stages}))
        has = _on_main(where, name, word) or (known and f"; it has: {known}")
        raise UsageError(
            f"{shown(name)} has no version, alias or stage {shown(word)}{has}", NOT_FOUND
        )
    return book.version(name, str(version))


def _on_main(where: Place, name: str, word: str) -> str:
    """What to do for an alias or a stage that the main branch has, and the files here do not."""
    main = main_branch.known(where)
    if main is None:
        return ""
    now = desired.readable_at(where.repo, main.commit)[0].get(name, desired.NOTHING)
    has = word in now.aliases or word.lower() in now.stages
    return " here, but the main branch has; run: git pull" if has else ""


def _located(uri: str, target: Path | None) -> Located:
    """The model of a URI, its bytes those that its tag tells."""
    where = place()
    item = find(where, uri)
    verified.check_decided(item, desired.read(where, item.name))
    entry = verified.entry_of(where, item)
    folder = download.download(
        where,
        entry.record,
        entry.commit,
        item.note.path,
        target or locate.temporary(),
        flat=True,
    )
    return locate.checked(
        Located(
            uri,
            folder,
            verified.is_ours(where, item),
            item.note.run_id,
            item.note.digest,
            item.name,
            str(item.version),
            entry.record.code.commit,
        )
    )


locate.SCHEMES["models"] = _located
