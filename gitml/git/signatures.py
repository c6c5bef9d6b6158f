"""Signatures of annotated tags, checked against keys that are given, not against the user's."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from gitml import process
from gitml.errors import FormatError, GitError
from gitml.git.commands import Repository, attempt, environment
from gitml.git.local import read_objects, settings_of_user

# The lines at which git sees a signature begin; the last one in a tag counts.
_SSH = (b"-----BEGIN SSH SIGNATURE-----",)
_GPG = (b"-----BEGIN PGP SIGNATURE-----", b"-----BEGIN PGP MESSAGE-----")
_OTHER = (b"-----BEGIN SIGNED MESSAGE-----",)
_PROGRAMS = {"gpg.program": "gpg", "gpg.openpgp.program": "gpg", "gpg.ssh.program": "ssh-keygen"}


@dataclass(frozen=True, slots=True)
class Keys:
    """Whose signatures count: the text of an SSH file of allowed signers, and public GPG keys."""

    ssh: bytes = b""
    gpg: bytes = b""


def unsigned(repo: Repository, ids: Sequence[str], keys: Keys) -> dict[str, str]:
    """Those of the tag objects that none of the keys has signed, each with git's reason.

    GitError when the program that checks signatures is missing, FormatError when the keys can't be
    read. No program is asked about a signature of a kind of which no key is listed. All are checked
    in one go; only where that fails, one by one.
    """
    bad = _hopeless(repo, ids, keys)
    left = [id for id in ids if id not in bad]
    if not left:
        return bad
    with _prepared(repo, keys) as (options, env):
        if not _check(repo, left, options, env).returncode:
            return bad
        for id in left:
            done = _check(repo, [id], options, env)
            if done.returncode:
                bad[id] = _reason(done)
        return bad


def _hopeless(repo: Repository, ids: Sequence[str], keys: Keys) -> dict[str, str]:
    """The tag objects without a signature, or with one of a kind of which no key is listed."""
    listed = (*(_SSH if keys.ssh.strip() else ()), *(_GPG if keys.gpg else ()))
    bad = {}
    for id, data in zip(ids, read_objects(repo, ids), strict=True):
        lines = [it for it in data.split(b"\n") if it.startswith((*_SSH, *_GPG, *_OTHER))]
        if not lines:
            bad[id] = "no signature"
        elif not lines[-1].startswith(listed):
            bad[id] = "a signature of a key that is not listed"
    return bad


def _check(
    repo: Repository, ids: Sequence[str], options: Sequence[str], env: Mapping[str, str]
) -> process.Completed:
    return attempt(repo, *options, "verify-tag", "--", *ids, env=env)


@contextlib.contextmanager
def _prepared(repo: Repository, keys: Keys) -> Iterator[tuple[list[str], dict[str, str]]]:
    """The options and the environment with which git knows the keys, and no others."""
    with tempfile.TemporaryDirectory(prefix="gitml-keys-") as folder:
        signers, home = Path(folder) / "signers", Path(folder) / "gnupg"
        signers.write_bytes(keys.ssh)
        home.mkdir(mode=0o700)
        if keys.gpg:
            _import(keys.gpg, home)
        settings = (
            f"gpg.ssh.allowedSignersFile={signers}",
            "gpg.minTrustLevel=undefined",  # that a key is listed is all the trust there is
            *_of_user(repo),
        )
        yield [part for it in settings for part in ("-c", it)], {"GNUPGHOME": str(home)}


def _of_user(repo: Repository) -> list[str]:
    """The programs that check signatures, as the user has them, not the repository's settings."""
    found = dict(_PROGRAMS)
    for key, program in settings_of_user(repo, r"^gpg\.(openpgp\.|ssh\.)?program$"):
        found[key] = program
        if key == "gpg.program":
            found["gpg.openpgp.program"] = program
    return [f"{key}={program}" for key, program in found.items()]


def _import(keys: bytes, home: Path) -> None:
    argv = ("gpg", "--batch", "--quiet", "--no-autostart", "--homedir", str(home), "--import")
    try:
        done = process.run(argv, cwd=home, env=environment(), input=keys)
    except OSError:
        raise GitError("GPG keys are listed, but gpg is not installed or not on PATH") from None
    if done.returncode:
        said = " ".join(done.stderr.decode("utf-8", "replace").split())
        raise FormatError(f"the listed GPG keys can't be read: {said}")


def _reason(done: process.Completed) -> str:
    """Why a signature does not count, in a few words."""
    said = done.stderr.decode("utf-8", "replace")
    if "cannot run" in said:
        raise GitError("signatures can't be checked: ssh-keygen or gpg is not on PATH")
    if "No principal matched" in said or "No public key" in said:
        return "a signature of a key that is not listed"
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    return f"a signature that is not good: {lines[-1]}" if lines else "a bad signature"
