"""Who has to agree to what, as a CODEOWNERS file says it: policy and models have different owners.

A promotion edits the file of one model, so it asks that model's owners and nobody else; and as they
do not own the policy, what CI runs, or the list of signers, it can't change what it is judged by.
Of several lines that fit a file the last one counts. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from gitml.ci.file import File
from gitml.ci.settings import Settings
from gitml.registry.files import FOLDER, path_of
from gitml.registry.policy import FILE_NAME

_BEGIN = (
    "# gitml: begin (by `gitml ci init`, from the owners in gitml.yaml and registry/; stays last)"
)
_END = "# gitml: end"
_OURS = re.compile(r"^# gitml: begin .*?^# gitml: end\n?", re.MULTILINE | re.DOTALL)
_ACCOUNT = re.compile(r"@[\w.-]+(?:/[\w./-]+)?|[\w.+-]+@[\w-]+\.[\w.-]+")


def files(
    settings: Settings, places: Sequence[str], guarded: Sequence[str], heading: str = ""
) -> list[File]:
    """The file, where gitml.yaml names owners; of its `places` the first where there is one.

    `guarded` are the paths that belong to the policy's owners, too: the forge's own folder, into
    which a new file goes, and what its CI runs. Where the forge knows sections, `heading` begins
    one: lines would else be of the user's last section.
    """
    if not settings.owners:
        return []
    there = [place for place in places if place in settings.code_owners]
    text = _section(settings, guarded, heading)
    own = [place for place in places if place.startswith(guarded[0])]
    return [File((there or own)[0], text, "who has to agree to what", lambda it: _in(it, text))]


def _in(before: str, text: str) -> str:
    """A file with the section at its end, in place of the former one."""
    rest = _OURS.sub("", before).rstrip()
    return f"{rest}\n\n{text}" if rest else text


def _section(settings: Settings, guarded: Sequence[str], heading: str) -> str:
    return "\n".join([_BEGIN, *filter(None, [heading]), *_lines(settings, guarded), _END, ""])


def _lines(settings: Settings, guarded: Sequence[str]) -> Iterator[str]:
    """A line for each path; a new model has no owners yet, so it is for those of the policy."""
    everybody = " ".join(settings.owners)
    for path in (FILE_NAME, f"{FOLDER}/", "gitml.yaml", *guarded):
        yield f"/{path} {everybody}"
    for name, owners in sorted(settings.models.items()):
        accounts = [owner for owner in owners if _ACCOUNT.fullmatch(owner)]
        if accounts:
            yield f"/{path_of(name)} {' '.join(accounts)}"
        else:
            yield f"# /{path_of(name)} has no owner that the forge knows: @NAME or @ORG/TEAM"
