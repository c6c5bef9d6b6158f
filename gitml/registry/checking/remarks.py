"""What a change does that no gate judges, and that whoever reviews it should see.

The check is that of the base; what a change makes of policy, keys, owners and CI holds from the
next one on. An alias is read by clients as a stage is, and is given away without a gate.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from gitml import git
from gitml.registry import desired, policy, signers
from gitml.registry.checking.side import Side
from gitml.registry.files import ModelFile, path_of

_WATCHED: Mapping[str, str] = {
    re.escape(policy.FILE_NAME): "what versions have to pass",
    rf"{re.escape(signers.SSH)}(\.asc)?": "whose signatures count",
    r"((\.github|\.gitlab|docs)/)?CODEOWNERS": "who has to review",
    r"\.github/(workflows|actions)/.*|\.gitlab(-ci\.yml|/.*)": "what CI runs, checks included",
}


def remarks(repo: git.Repository, fork: Side, head: Side) -> tuple[str, ...]:
    """What the change from `fork`, where it began, to `head` does besides giving stages away."""
    return (*_files(repo, fork.commit, head.commit), *_models(fork.models, head.models))


def _files(repo: git.Repository, start: str, tip: str) -> Iterator[str]:
    changed = git.run(repo, "diff-tree", "-r", "-z", "--name-only", "--no-renames", start, tip)
    for path in filter(None, changed.decode("utf-8", "replace").split("\0")):
        for pattern, what in _WATCHED.items():
            if re.fullmatch(pattern, path, re.DOTALL):
                yield f"{path} changes: {what}"


def _models(fork: Mapping[str, ModelFile], head: Mapping[str, ModelFile]) -> Iterator[str]:
    for name in sorted({*fork, *head}):
        old, new, path = (
            fork.get(name, desired.NOTHING),
            head.get(name, desired.NOTHING),
            path_of(name),
        )
        for alias in sorted({*old.aliases, *new.aliases}):
            was, now = old.aliases.get(alias), new.aliases.get(alias)
            if was != now:
                told = f"from {was or 'nothing'} to {now or 'nothing'}"
                yield f"{path}: the alias {alias} goes {told}, for which no gate is asked"
        for stage in sorted({*old.gates, *new.gates}):
            if old.gates.get(stage) != new.gates.get(stage):
                yield f"{path}: the model's own gates for {stage} change"
