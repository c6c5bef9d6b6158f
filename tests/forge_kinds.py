"""A GitHub or a GitLab for tests, with a clone that pushes to it, and gitml's view of it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from gitml.forge import Forge as Client
from gitml.forge import Proposal, forge_of
from gitml.forge.address import parse_remote
from gitml.forge.http import Limits
from tests.clones import Clone
from tests.forges import NAME, OWNER, TOKEN, Forge, serving

QUICK = Limits(answer=5, tries=3, pause=0.001, longest=5, size=1_000_000)
PROPOSAL = Proposal("promote", "main", "Promote churn", "Why: *better*", ("gitml", "promotion"))


def variables(kind: str, url: str, token: str = TOKEN) -> dict[str, str]:
    """The environment in which the forge at `url` is of a kind."""
    if kind == "github":
        return {"GITHUB_API_URL": url, "GITHUB_TOKEN": token}
    return {"CI_API_V4_URL": f"{url}/api/v4", "GITLAB_TOKEN": token}


@dataclass
class At:
    """A forge of a kind, a clone that pushes to it, and gitml's view of it."""

    kind: str
    forge: Forge
    folder: Path

    @cached_property
    def clone(self) -> Clone:
        """The clone, which is made when it is needed."""
        return self.forge.clone(self.folder)

    def client(self, token: str = TOKEN, limits: Limits = QUICK) -> Client:
        """What gitml finds for the clone's remote."""
        address = parse_remote(f"{self.forge.url}/{OWNER}/{NAME}.git")
        return forge_of(address, variables(self.kind, self.forge.url, token), limits)

    def push(self, branch: str = "promote", text: str = "1") -> str:
        """Commit a file on a branch of `main`, and push it; the commit."""
        self.clone.git("checkout", "--quiet", "-B", branch)
        (self.clone.folder / f"{branch}.txt").write_text(text, encoding="utf-8")
        self.clone.git("add", ".")
        self.clone.git("commit", "--quiet", "--message", f"{branch}: {text}")
        self.clone.git("push", "--quiet", "--force", "origin", branch)
        commit = self.clone.git("rev-parse", "HEAD")
        self.clone.git("checkout", "--quiet", "main")
        return commit

    def wrote(self) -> list[str]:
        """The writes that the forge was asked for, as `METHOD path`."""
        return [
            f"{it.method} {it.path.rpartition('churn')[2]}"
            for it in self.forge.requests
            if it.method != "GET"
        ]


@contextlib.contextmanager
def standing(kind: str, folder: Path) -> Iterator[At]:
    """A forge of a kind that serves as long as the block runs."""
    with serving(Forge(folder / "forge")) as forge:
        yield At(kind, forge, folder / "clone")
