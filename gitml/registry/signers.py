"""Whose signatures of tags count: lists of keys in the repository, as the main branch has them.

`registry/allowed_signers` is a list of SSH keys in OpenSSH's format, each with who it belongs to,
`registry/allowed_signers.asc` has public GPG keys. Where there is either, each tag of the registry
must be signed by one of them.
"""

from __future__ import annotations

from gitml import git
from gitml.git import Keys
from gitml.registry.files import FOLDER

SSH, GPG = f"{FOLDER}/allowed_signers", f"{FOLDER}/allowed_signers.asc"


def read_at(repo: git.Repository, commit: str) -> Keys | None:
    """The keys that a commit lists; None when it has no list, so that no signature is asked for."""
    ssh, gpg = git.read_present(repo, [f"{commit}:{SSH}", f"{commit}:{GPG}"])
    return None if ssh is None and gpg is None else Keys(ssh or b"", gpg or b"")
