"""A change of what a model's file says: a version takes a stage, or one comes back. Pure.

It is worked out from the main branch's files, and becomes one commit that changes one file.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from gitml.documents import GONE, Edit
from gitml.errors import UsageError
from gitml.registry import files
from gitml.registry.entries import VersionEntry, new_file, with_places
from gitml.registry.files import ModelFile
from gitml.registry.version import Version
from gitml.tracking.record import MetricSummary, number_to_json

_MOST_METRICS = 20
PROMOTE, ROLLBACK = "promote", "rollback"


@dataclass(frozen=True, slots=True)
class Change:
    """A version takes a stage of a model; `before` is the one that holds it until then.

    `verb` is `promote` or `rollback`. `archived` are the versions that hold no stage afterwards
    and did before. `data` is the new file; `begins` the one that it is an edit of, where the main
    branch has none with places for the stages.
    """

    verb: str
    name: str
    stage: str
    version: Version
    before: Version | None
    archived: tuple[Version, ...]
    data: bytes
    begins: bytes | None = None

    @property
    def path(self) -> str:
        """The one file that changes."""
        return files.path_of(self.name)

    @property
    def branch(self) -> str:
        """The branch on which it is proposed."""
        return f"{self.verb}/{self.name}/{self.stage}/{self.version}"

    @property
    def title(self) -> str:
        """The change in one line."""
        back = "back to " if self.verb == ROLLBACK else ""
        return f"{self.name}: {back}{self.version} in {self.stage}"

    @property
    def message(self) -> str:
        """The message of its commit, with lines for programs at its end."""
        trailers = {
            "Model": self.name,
            "Stage": self.stage,
            "Version": str(self.version),
            **({"Previous": str(self.before)} if self.before else {}),
        }
        lines = "\n".join(f"{key}: {value}" for key, value in trailers.items())
        return f"{self.title}\n\n{self.sentence}\n\n{lines}\n"

    @property
    def sentence(self) -> str:
        """What happens, in words."""
        was = f"{self.before} held it" if self.before else "no version held it"
        gone = ", ".join(map(str, self.archived))
        return f"{self.version} takes the stage {self.stage}; {was}." + (
            f" Archived: {gone}." if gone else ""
        )


def take_stage(
    verb: str,
    name: str,
    stage: str,
    version: Version,
    entry: VersionEntry,
    data: bytes | None,
    stages: Sequence[str],
) -> Change | None:
    """What gives a stage to a version; None when it holds it already.

    `data` is the model's file on the main branch, None where it has none; `stages` are those of
    the policy.
    """
    where = files.path_of(name)
    old = new_file(stages) if data is None else with_places(data, stages)
    now = files.parse(old, where)
    before = now.stages.get(stage)
    if before == version and version in now.versions:
        return None
    made = files.promoted(_unlisted(old, now, version), stage, version, entry, where)
    gone = {*files.parse(made, where).archived} - {*now.archived}
    begins = None if old == data else old
    return Change(verb, name, stage, version, before, tuple(sorted(gone)), made, begins)


def _unlisted(data: bytes, now: ModelFile, version: Version) -> bytes:
    """The file in which a version that takes a stage is not listed as archived."""
    if version not in now.listed:
        return data
    left = [str(it) for it in now.listed if it != version]
    return files.edited(data, [Edit(("archived",), left or GONE)], "the file")


def key_metrics(
    metrics: Mapping[str, MetricSummary], first: Iterable[str] = ()
) -> dict[str, float | str]:
    """The metrics that a version's line has: not all of many; those named `first` always."""
    wanted = [key for key in dict.fromkeys(first) if key in metrics]
    others = [key for key in sorted(metrics) if not key.startswith("system/")]
    keys = list(dict.fromkeys([*wanted, *others]))[: max(_MOST_METRICS, len(wanted))]
    return {key: number_to_json(metrics[key].last) for key in sorted(keys)}


def former(name: str, stage: str, held: Iterable[Version | None]) -> Version:
    """The version to go back to: `held` are those that held the stage, the oldest first.

    Going back to an earlier version takes back what came after it, so that a second rollback goes
    one further. UsageError when there is no earlier one.
    """
    stack: list[Version] = []
    for version in held:
        if version is None:
            continue
        if version in stack:
            del stack[stack.index(version) + 1 :]
        else:
            stack.append(version)
    if not stack:
        what = f"no version of {name} has ever held {stage}, so there is none to go back to"
        raise UsageError(f"{what}; give it one: gitml registry promote {name} {stage}")
    if len(stack) < 2:
        raise UsageError(f"no version of {name} held {stage} before the one that holds it now")
    return stack[-2]
