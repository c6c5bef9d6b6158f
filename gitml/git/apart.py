"""Single objects of a remote, such as one folder of a large branch: what they name stays there.

They come into a repository of their own, so that no clone of the user's becomes a partial or a
shallow one. Forges answer so; a server without `uploadpack.allowFilter` sends the whole branch.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from gitml.git.commands import Repository, run, text
from gitml.git.foreign import object_format
from gitml.git.local import read_objects
from gitml.git.network import fetch, folder_of, remote_refs

_NAME = "there"
_TIP = "refs/there/tip"
_AT_ONCE = 200  # ids in one command: a command line has an end
# What the user or the clone has set for reaching the remote, such as the login of a job.
_REACHING = re.compile(
    r"(?:credential|http|https|ssh|protocol|url)\.|core\.(?:sshcommand|askpass)$"
)
_OF_REMOTE = ("uploadpack", "proxy", "proxyauthmethod", "vcs")
_LOCAL_SERVER = "git -c uploadpack.allowFilter=true upload-pack"


@dataclass(frozen=True, slots=True)
class Apart:
    """The repository in which the objects are."""

    repo: Repository

    def tip(self, ref: str) -> str | None:
        """The tree of the newest commit of a branch, by its full name; None when there is none."""
        if ref not in remote_refs(self.repo, _NAME, ref):
            return None
        fetch(self.repo, _NAME, [f"+{ref}:{_TIP}"], depth=1, filter="tree:0")
        data = next(read_objects(self.repo, [_TIP]))
        return data.partition(b"\n")[0].removeprefix(b"tree ").decode("ascii", "replace")

    def bring(self, ids: Sequence[str]) -> None:
        """Have objects here, by their ids; GitError when the remote does not give them."""
        for start in range(0, len(ids), _AT_ONCE):
            fetch(self.repo, _NAME, ids[start : start + _AT_ONCE], filter="tree:0")

    def read(self, id: str) -> bytes:
        """What an object holds, which is brought first."""
        self.bring([id])
        return next(read_objects(self.repo, [id]))

    def folders(self, ids: Sequence[str]) -> list[dict[str, str]]:
        """What each of these trees has, by name, with the ids; they are brought first."""
        self.bring(ids)
        size = len(ids[0]) // 2 if ids else 0
        return [dict(_entries(data, size)) for data in read_objects(self.repo, ids)]


@contextmanager
def apart(repo: Repository, remote: str) -> Iterator[Apart]:
    """A place for objects of a remote (a name or URL), which is gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="gitml-apart-") as name:
        folder = Path(name)
        form = f"--object-format={object_format(repo)}"
        run(folder, "init", "--quiet", "--bare", "--template=", form, ".")
        with (folder / "config").open("a", encoding="utf-8") as file:
            file.writelines(_settings(repo, remote))
        yield Apart(Repository(None, folder, folder))


def _settings(repo: Repository, remote: str) -> Iterator[str]:
    """The lines of a configuration by which git reaches the remote, and takes parts of it."""
    url = text(repo, "ls-remote", "--get-url", "--", remote)
    found = folder_of(repo, url)
    own = {
        "url": url if found is None else str(found),
        "promisor": "true",
        "partialCloneFilter": "tree:0",
        **({} if found is None else {"uploadpack": _LOCAL_SERVER}),
    }
    raw = run(repo, "config", "--list", "-z").decode("utf-8", "replace")
    for key, is_set, value in (entry.partition("\n") for entry in raw.split("\0") if entry):
        of_remote = key.removeprefix(f"remote.{remote}.")
        if of_remote != key and of_remote in _OF_REMOTE:
            own[of_remote] = value
        elif is_set and _REACHING.match(key) and not key.startswith("url."):  # it is in the URL
            yield _line(key, value)
    yield from (_line(f"remote.{_NAME}.{key}", value) for key, value in own.items())
    yield _line("protocol.version", "2")
    # Else a server that hears of a commit takes it that its files are here, too.
    yield _line("fetch.negotiationAlgorithm", "noop")


_ESCAPED: Mapping[int, str] = str.maketrans(
    {"\\": "\\\\", '"': '\\"', "\n": "\\n", "\t": "\\t", "\b": "\\b"}
)


def _line(key: str, value: str) -> str:
    """A setting as a file of git's configuration has it."""
    section, _, rest = key.partition(".")
    middle, _, name = rest.rpartition(".")
    head = f'{section} "{middle.translate(_ESCAPED)}"' if middle else section
    return f'[{head}]\n\t{name} = "{value.translate(_ESCAPED)}"\n'


def _entries(data: bytes, size: int) -> Iterator[tuple[str, str]]:
    """The names in a tree and the ids of so many bytes, as git stores them."""
    at = 0
    while at < len(data):
        end = data.index(b"\0", at)
        name = data[at:end].partition(b" ")[2]
        at = end + 1 + size
        yield name.decode("utf-8", "replace"), data[end + 1 : at].hex()
