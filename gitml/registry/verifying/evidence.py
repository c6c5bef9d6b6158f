"""What verifying looks at: tags, the files of the main branch, the ledger, all read at once."""

from __future__ import annotations

import functools
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from gitml import git
from gitml.documents import load_json
from gitml.errors import FormatError
from gitml.git import Tag
from gitml.registry import catalog, desired, files, main_branch, publishing, signers, stages
from gitml.registry.catalog import Catalog, Registered
from gitml.registry.files import ModelFile
from gitml.registry.main_branch import Main
from gitml.registry.signers import Signers
from gitml.registry.stages import Stages
from gitml.registry.tags import StageTag, VersionTag, parse_tag
from gitml.tracking import sync
from gitml.tracking.commits import RUN_FOLDER
from gitml.tracking.place import Place
from gitml.tracking.record import RunRecord, from_document
from gitml.tracking.typed import MALFORMED
from gitml.tracking.vouched import heads


@dataclass(frozen=True, slots=True)
class Evidence:
    """What there is to compare.

    `tags` are those of the registry by name, `decided` the files of the main branch, `unread` those
    of them that can't be read, with the reason. `runs` are the newest commits of the runs in each
    of the repository's ledgers. `merged` are the tags that stand on the main branch. `records` are
    the runs of the versions by tag, or what is there instead. `versions_at` and `stages_at` are the
    remotes that have the tags.
    """

    place: Place
    tags: Mapping[str, Tag]
    book: Catalog
    stages: Stages
    main: Main | None
    decided: Mapping[str, ModelFile]
    unread: Mapping[str, str]
    signers: Signers | None
    runs: tuple[Mapping[str, str], ...]
    merged: frozenset[str]
    shallow: bool
    records: Mapping[str, RunRecord | str]
    versions_at: str | None
    stages_at: str | None

    @property
    def versions(self) -> list[Registered]:
        """Every version that has a proper tag."""
        return [item for items in self.book.models.values() for item in items]

    def file(self, name: str) -> ModelFile:
        """What the main branch decided about a model."""
        return self.decided.get(name, desired.NOTHING)

    def removal(self, tag: str) -> str:
        """The command that takes a forged tag away."""
        return publishing.removal(tag, self._remote(tag))

    def restoring(self, tag: str, id: str) -> str:
        """How a tag's former object comes back."""
        remote = self._remote(tag)
        if remote is None:
            return f"git update-ref refs/tags/{tag} {id}"
        return f"from a clone that still has it: git push --force {remote} {id}:refs/tags/{tag}"

    def _remote(self, tag: str) -> str | None:
        return self.stages_at if "#" in tag else self.versions_at

    def again(self, tag: str) -> str:
        """The commands that make a tag again as the main branch has decided."""
        return f"{self.removal(tag)}; gitml registry sync"


def gather(place: Place, main: Main | None, names: Collection[str] = ()) -> Evidence:
    """Read what is here about the models; FormatError when it can't be read who may sign."""
    repo = place.repo
    tags = {
        tag.name: tag
        for tag in git.tags(repo, catalog.VERSIONS, stages.STAGES)
        if (it := parse_tag(tag.name)) is not None and (not names or it.name in names)
    }
    of_kind = functools.partial(_of_kind, tags)
    book = catalog.of_tags(of_kind(VersionTag))
    decided, unread = ({}, {}) if main is None else desired.readable_at(repo, main.commit)
    wanted = {name: now for name, now in decided.items() if not names or name in names}
    return Evidence(
        place=place,
        tags=tags,
        book=book,
        stages=stages.of_tags(of_kind(StageTag)),
        main=main,
        decided=wanted,
        unread={files.path_of(it): why for it, why in unread.items() if not names or it in names},
        signers=None if main is None else signers.read_at(repo, main.commit),
        runs=_runs(place),
        merged=frozenset(() if main is None else _merged(repo, main.commit)),
        shallow=git.text(repo, "rev-parse", "--is-shallow-repository") == "true",
        records=_records(repo, book),
        versions_at=place.settings.ledger.remote if git.text(repo, "remote") else None,
        stages_at=main_branch.remote(place),
    )


def _of_kind(tags: Mapping[str, Tag], kind: type[VersionTag | StageTag]) -> list[Tag]:
    return [tag for name, tag in tags.items() if isinstance(parse_tag(name), kind)]


def _runs(place: Place) -> tuple[Mapping[str, str], ...]:
    """The newest run commits in each of the ledgers that this repository answers for."""
    return tuple(sync.run_commits(place.repo, head, None) for head in heads(place))


def _merged(repo: git.Repository, commit: str) -> list[str]:
    listed = ("for-each-ref", "--format=%(refname:lstrip=2)", f"--merged={commit}")
    return git.text(repo, *listed, stages.STAGES).splitlines()


def _records(repo: git.Repository, book: Catalog) -> dict[str, RunRecord | str]:
    """The run of each version as the commit that its tag stands on has it, or why there is none."""
    items = [item for items in book.models.values() for item in items]
    names = [f"{item.commit}:{RUN_FOLDER}/run.json" for item in items]
    found: dict[str, RunRecord | str] = {}
    try:
        texts: Sequence[bytes | None] | None = git.read_present(repo, names)
    except FormatError:  # one of them is too large to be read
        texts = None
    for at, (item, name) in enumerate(zip(items, names, strict=True)):
        try:
            data = git.read_present(repo, [name])[0] if texts is None else texts[at]
            found[str(item.tag)] = "no run commit" if data is None else _record(data, name)
        except (FormatError, *MALFORMED) as error:
            found[str(item.tag)] = f"a run that can't be read: {error}"
    return found


def _record(data: bytes, where: str) -> RunRecord:
    return from_document(load_json(data, where))
