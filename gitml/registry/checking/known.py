"""The versions that a change is about: their tags at the remote, and the runs behind them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from gitml import git
from gitml.documents import load_json
from gitml.errors import FormatError, shown
from gitml.git import Progress
from gitml.registry import catalog, verified, vouching
from gitml.registry.catalog import Registered
from gitml.registry.checking.problem import Problem
from gitml.registry.files import ModelFile, path_of
from gitml.registry.version import Version
from gitml.tracking.commits import RUN_FOLDER
from gitml.tracking.place import Place
from gitml.tracking.record import FINISHED, RunRecord, from_document, number_from_json
from gitml.tracking.typed import MALFORMED

Key = tuple[str, Version]


@dataclass(frozen=True, slots=True)
class Known:
    """A version as its tag has it, or its line where it has none yet, with the run behind it."""

    item: Registered
    run: RunRecord

    @property
    def subjects(self) -> tuple[str, str]:
        """What a run of CI's about it has in its tag: the run, or the model's digest."""
        return (self.item.note.run_id, self.item.note.digest)

    @property
    def called(self) -> str:
        """The version as jobs of CI name it: one without a tag with its commit and path."""
        tag, note = str(self.item.tag), self.item.note
        return f"{tag}={self.item.commit}/{note.path}" if self.item.waits else tag


class Fetched(NamedTuple):
    """What is wrong with tags, and the versions that have none."""

    problems: list[Problem]
    untagged: list[Key]


def fetch(
    place: Place, remote: str | None, wanted: Sequence[Key], progress: Progress | None = None
) -> Fetched:
    """Have the tags of these versions here, and no ledger; what is wrong with others.

    In a shallow clone, as CI makes one, only the commits of their runs come with them.
    """
    if remote is None:
        names = {key: f"refs/tags/{key[0]}@{key[1]}" for key in wanted}
        mine = {ref.name for ref in git.refs(place.repo, *names.values())} if names else set()
        return Fetched([], [key for key, name in names.items() if name not in mine])
    refs = {key: f"refs/tags/{key[0]}@{key[1]}" for key in wanted}
    there = git.remote_refs(place.repo, remote, *refs.values()) if refs else {}
    found = []
    for ref, id in there.items():
        here = git.resolve(place.repo, ref)
        if here is not None and here != id:
            tag = ref.removeprefix("refs/tags/")
            path = path_of(tag.partition("@")[0])
            found.append(Problem(path, f"the tag {tag} is {here} here and {id} at the remote"))
    _fetch(place, remote, there, progress)
    return Fetched(found, [key for key, ref in refs.items() if ref not in there])


def depth_of(repo: git.Repository) -> int | None:
    """How many commits to fetch of each thing: one for a shallow clone, which is to stay small."""
    return 1 if git.text(repo, "rev-parse", "--is-shallow-repository") == "true" else None


def fetch_vouched(
    place: Place, remote: str | None, known: Iterable[Known], progress: Progress | None = None
) -> None:
    """Have the tags here by which CI vouches for runs about these versions."""
    subjects = {subject for item in known for subject in item.subjects}
    if remote is not None and subjects:
        there = git.remote_refs(place.repo, remote, *vouching.patterns(subjects))
        _fetch(place, remote, there, progress)


def _fetch(place: Place, remote: str, there: Mapping[str, str], progress: Progress | None) -> None:
    here = {ref.name for ref in git.refs(place.repo, "refs/tags")} if there else set()
    new = [ref for ref in there if ref not in here]
    if new:
        refspecs = [f"{ref}:{ref}" for ref in new]
        git.fetch(place.repo, remote, refspecs, progress, depth=depth_of(place.repo))


def read(place: Place, wanted: Iterable[Key]) -> tuple[dict[Key, Known], list[Problem]]:
    """The versions that have a proper tag on a finished run, and what is wrong with the others."""
    found: dict[Key, Known] = {}
    problems = []
    book = catalog.read(place.repo)
    for name, version in wanted:
        items = [it for it in book.models.get(name, ()) if it.version == version]
        tag = f"{name}@{version}"
        try:
            if not items:
                raise FormatError(_no_tag(book.problems, tag))
            found[name, version] = Known(items[0], _run(place, items[0]))
        except FormatError as error:
            problems.append(Problem(path_of(name), str(error)))
    return found, problems


def _no_tag(problems: Iterable[str], tag: str) -> str:
    return next((it for it in problems if shown(tag) in it), f"there is no tag {shown(tag)} here")


def _run(place: Place, item: Registered) -> RunRecord:
    """The run that a tag stands on; FormatError when it does not bear the tag out."""
    tag, where = shown(str(item.tag)), f"{item.commit}:{RUN_FOLDER}/run.json"
    (data,) = git.read_present(place.repo, [where])
    if data is None:
        raise FormatError(f"the tag {tag} stands on {item.commit}, which is no run commit")
    try:
        run = from_document(load_json(data, where))
    except MALFORMED as error:
        raise FormatError(f"the tag {tag} stands on a run that can't be read: {error}") from None
    for what, expected, told in verified.from_run(item, run):
        raise FormatError(f"the tag {tag} tells {what} {shown(told)}, its run {shown(expected)}")
    if run.status != FINISHED:
        raise FormatError(f"the tag {tag} stands on a run that is {run.status}")
    return run


def compare(now: ModelFile, known: Known) -> Iterator[Problem]:
    """What a model's file says of a version otherwise than its tag and its run."""
    item, path = known.item, path_of(known.item.name)
    entry = now.versions.get(item.version)
    if entry is None:
        if item.version in now.stages.values():
            yield Problem(path, f"{item.version} holds a stage and has no line under versions")
        return
    for what, told, found in () if item.waits else verified.from_file(item, now):
        words = f"{item.version} has {what} {shown(told)}, its tag {shown(found)}"
        yield Problem(path, words)
    for key, value in entry.metrics.items():
        metric = known.run.metrics.get(key)
        if metric is None or not _same(value, metric.last):
            was = "none" if metric is None else repr(metric.last)
            what = f"{item.version} has {shown(value)} for the metric {shown(key)}, its run {was}"
            yield Problem(path, what)


def _same(told: float | str, value: float) -> bool:
    try:
        number = number_from_json(told)
    except (KeyError, OverflowError, ValueError):  # a whole number has no end
        return False
    return number == value or (number != number and value != value)
