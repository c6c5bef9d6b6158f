"""What became of a deployment, told at the forge beside what decided it.

The commit of the main branch that gave a version its stage gets a status, and the pull request that
brought it a comment when the version can't be deployed. Both are written anew when it is well
again. A forge that does not answer is no fault of the deployment, and changes nothing of it.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from hashlib import sha256
from pathlib import Path

from gitml.deploy import reconcile
from gitml.deploy.choosing import folder
from gitml.deploy.reconcile import Outcome
from gitml.deploy.release import Tell
from gitml.deploy.wanted import Wanted
from gitml.documents import load_json, write_atomic
from gitml.errors import FormatError, GitmlError
from gitml.forge import Forge, Status, forge_of
from gitml.forge.current import job_url
from gitml.forge.finding import address_of
from gitml.forge.http import Limits
from gitml.forge.plain import Plain
from gitml.forge.proposal import State
from gitml.registry import desired, main_branch
from gitml.review import markdown
from gitml.tracking.place import Place
from gitml.tracking.redact import redact_text

_FILE = "told.json"
_LINES, _LONGEST = 40, 300  # of a log: the last lines, and characters of each
_LIMITS = Limits(answer=10.0, tries=2, longest=10.0)  # what is deployed waits for none of it


@dataclass(frozen=True, slots=True)
class _Told:
    """What the forge was told last of a deployment: of which decision, and why it failed.

    `why` is empty when it is well.
    """

    commit: str = ""
    why: str = ""


def report(
    place: Place,
    told: Wanted,
    done: Iterable[Outcome],
    tell: Tell,
    environ: Mapping[str, str] = os.environ,
) -> None:
    """Tell the forge what failed, and what is well again; the same is not told twice.

    Nothing happens without a token for the forge. What it does not take is said by `tell`.
    """
    news = [it for it in done if _is_news(place, it)]
    remote = told.main.remote
    if not news or remote is None:
        return
    try:
        forge = forge_of(address_of(place.repo, remote), environ, _LIMITS)
        if not isinstance(forge, Plain):
            for outcome in news:
                _report(place, told, outcome, forge, job_url(environ))
    except (GitmlError, OSError) as error:
        tell(f"the forge was not told what became of it: {error}")


def _is_news(place: Place, outcome: Outcome) -> bool:
    """Whether it failed, was deployed, or is well after what was told of it."""
    if outcome.done == reconcile.NOTHING:
        return bool(_read(folder(place, outcome.before.deployment)).why)
    return outcome.done in (reconcile.FAILED, reconcile.DEPLOYED)


def _report(place: Place, told: Wanted, outcome: Outcome, forge: Forge, page: str) -> None:
    one, main = outcome.before.deployment, told.main
    commit = main_branch.decision(place.repo, main.commit, one.model, main.remote)
    now = _Told(commit or "", outcome.why)
    home = folder(place, one)
    before = _read(home)
    if commit is None or now == before or (not now.why and before.commit not in ("", commit)):
        return
    version = str(told.files.get(one.model, desired.NOTHING).stages.get(one.stage, ""))
    what = f"{version} failed: {outcome.why}" if now.why else f"{version} is deployed"
    state: State = "failure" if now.why else "success"
    context = f"gitml/{one.stage}/{one.model}"
    forge.set_status(commit, Status(context, state, _plain(what), page))
    number = forge.merged(commit, main.name.partition("/")[2])
    if number is not None:
        body = "\n".join(_lines(outcome, version, page)) + "\n"
        forge.comment(number, _marker(context), body, only_anew=not now.why)
    _write(home, now)


def _lines(outcome: Outcome, version: str, page: str) -> Iterator[str]:
    """The comment, in which what is from outside does nothing."""
    one, live = outcome.before.deployment, outcome.before.live
    what = f"{markdown.code(f'{one.model} {version}')} in {markdown.code(one.stage)}"
    if not outcome.why:
        yield f"{what} is deployed now; before, it could not be."
        return
    goes_on = (
        f"{markdown.code(live.version)} goes on serving." if live.version else "Nothing serves."
    )
    yield f"{what} could not be deployed. {goes_on} It is tried again with the next deployment."
    yield ""
    yield f"Why: {markdown.code(redact_text(outcome.why), 1000)}"
    if outcome.log:
        log = "\n".join(redact_text(line)[:_LONGEST] for line in outcome.log[-_LINES:])
        yield ""
        yield from markdown.folded("The end of the log", markdown.block(log))
    if page:
        yield ""
        yield markdown.link("The job", page)


def _marker(context: str) -> str:
    """A word for the deployment, whose names may be longer, or have what ends a comment."""
    return f"deploy:{sha256(context.encode()).hexdigest()[:16]}"


def _plain(text: str) -> str:
    """A line of plain text without secrets."""
    line = " ".join(redact_text(text).split())
    return "".join(char if char.isprintable() else "?" for char in line)


def _read(home: Path) -> _Told:
    try:
        return _Told(**load_json((home / _FILE).read_bytes(), _FILE))
    except (OSError, FormatError, TypeError):
        return _Told()


def _write(home: Path, now: _Told) -> None:
    write_atomic(home / _FILE, json.dumps(asdict(now)).encode())
