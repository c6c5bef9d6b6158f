"""Checks of stage tags: each records what the main branch decided, in order, and none is gone."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from gitml import git
from gitml.errors import FormatError
from gitml.registry import files
from gitml.registry.catalog import Registered
from gitml.registry.files import ModelFile, path_of
from gitml.registry.stages import Taken
from gitml.registry.tags import StageTag, parse_tag
from gitml.registry.verifying import finding
from gitml.registry.verifying.evidence import Evidence
from gitml.registry.verifying.finding import Finding
from gitml.registry.verifying.versions import links


def check(evidence: Evidence) -> Iterator[Finding]:
    """What is wrong with the stage tags."""
    for tag, why in evidence.stages.problems.items():
        if evidence.tags[tag].inner == tag:  # else it is told as what it is
            what, fix = f"its message tells no stage: {why}", evidence.removal(tag)
            yield Finding(finding.DAMAGED, tag, what, "version, run and digest", "none", fix)
    known = {str(item.tag): item for item in evidence.versions}
    decided = _Decisions(evidence)
    for name, items in evidence.stages.models.items():
        for item in items:
            yield from _version(evidence, item, known.get(f"{name}@{item.note.version}"))
            yield from decided.check(item)
        yield from _numbers(evidence, name, items)
        yield from decided.order(items)


def _version(evidence: Evidence, item: Taken, version: Registered | None) -> Iterator[Finding]:
    """What the tag of the version that took the stage says otherwise."""
    tag, note = str(item.tag), item.note
    if version is None:
        return  # told with what the files name
    for what, kind, expected, found in (
        ("run", finding.RUN, version.note.run_id, note.run_id),
        ("digest", finding.DIGEST, version.note.digest, note.digest),
    ):
        if expected != found:
            told = f"it tells the {what} of {note.version} otherwise than {version.tag}"
            yield Finding(kind, tag, told, expected, found, evidence.removal(tag))


def _numbers(evidence: Evidence, name: str, items: Sequence[Taken]) -> Iterator[Finding]:
    """The tags that must have been there, by the links of others or by their numbers."""
    gone = [it for item in items for it in links(evidence, str(item.tag), item.note.follows)]
    told = {(it.subject, it.found): it for it in gone}
    yield from told.values()
    named = {tag.number for it in gone if isinstance(tag := parse_tag(it.subject), StageTag)}
    there = {int(tag.rpartition("#")[2]) for tag in evidence.tags if tag.startswith(f"{name}#")}
    for first, last in _gaps(there | named):
        which = f"#{first}" if first == last else f"#{first} to #{last}"
        what = f"the stage tags of {name} have no number {which[1:]}, and a higher one"
        fix = "gitml pull; if it stays so, push it again from a clone that still has it"
        yield Finding(finding.DELETED, f"{name}#*{which}", what, "a tag", "nothing", fix)


def _gaps(numbers: Iterable[int]) -> Iterator[tuple[int, int]]:
    """The first and the last of the numbers that are left out, from 1, each time."""
    before = 0
    for number in sorted(numbers):
        if number > before + 1:
            yield before + 1, number - 1
        before = number


class _Decisions:
    """What the main branch says at the commits that stage tags stand on; each is read once."""

    def __init__(self, evidence: Evidence) -> None:
        self._evidence = evidence
        taken = [item for items in evidence.stages.models.values() for item in items]
        revisions = sorted({f"{it.commit}:{path_of(it.tag.name)}" for it in taken})
        texts = git.read_present(evidence.place.repo, revisions)
        self._texts: Mapping[str, bytes | None] = dict(zip(revisions, texts, strict=True))
        self._parsed: dict[bytes, ModelFile | None] = {}
        self._places: dict[str, int] | None = None

    def check(self, item: Taken) -> Iterator[Finding]:
        """Whether the tag stands on a commit of the main branch that gave the version the stage."""
        tag, evidence = str(item.tag), self._evidence
        fix = evidence.again(tag)
        if evidence.main is not None and not evidence.shallow and tag not in evidence.merged:
            what = f"it stands on a commit that is not on {evidence.main.name}: nobody merged it"
            yield Finding(
                finding.UNMERGED, tag, what, f"a commit of {evidence.main.name}", item.commit, fix
            )
        now = self._file(item)
        held = None if now is None else now.stages.get(item.tag.stage)
        if held != item.note.version:
            where = f"{path_of(item.tag.name)} in {item.commit[:12]}"
            what = f"{where} did not give {item.note.version} the stage {item.tag.stage}"
            expected = str(held) if held else "no version"
            yield Finding(finding.UNDECIDED, tag, what, expected, str(item.note.version), fix)

    def order(self, items: Sequence[Taken]) -> Iterator[Finding]:
        """Whether a later tag of a stage stands on an earlier commit than the one before it."""
        last: dict[str, Taken] = {}
        for item in items:
            before = last.setdefault(item.tag.stage, item)
            if self._is_before(item.commit, before.commit):
                tag = str(item.tag)
                what = f"it records an earlier decision than {before.tag}; history goes forward"
                fix = self._evidence.again(tag)
                yield Finding(
                    finding.BACKWARDS, tag, what, f"{before.commit} or later", item.commit, fix
                )
            else:
                last[item.tag.stage] = item

    def _is_before(self, one: str, other: str) -> bool:
        """Whether a commit is an ancestor of another; one that is not behind it is not asked."""
        places = self._order()
        if one == other or one not in places or other not in places or places[one] < places[other]:
            return False
        return git.is_ancestor(self._evidence.place.repo, one, other)

    def _order(self) -> Mapping[str, int]:
        """Where each commit of the main branch stands, the newest first."""
        if self._places is None:
            main, repo = self._evidence.main, self._evidence.place.repo
            listed = git.text(repo, "rev-list", "--topo-order", main.commit) if main else ""
            self._places = {commit: at for at, commit in enumerate(listed.split())}
        return self._places

    def _file(self, item: Taken) -> ModelFile | None:
        path = path_of(item.tag.name)
        data = self._texts[f"{item.commit}:{path}"]
        if data is None:
            return None
        if data not in self._parsed:
            try:
                self._parsed[data] = files.parse(data, path)
            except FormatError:
                self._parsed[data] = None
        return self._parsed[data]
