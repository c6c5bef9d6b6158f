"""Signatures of tags: whose count is what the main branch lists."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from gitml.errors import FormatError
from gitml.git import Keys, unsigned
from gitml.registry import syncing
from gitml.registry.policy import parse
from gitml.registry.signers import only
from gitml.registry.tags import StageTag, VersionTag, parse_tag
from gitml.registry.verifying import Finding, verify
from tests.clones import Clone, team
from tests.promoted import Registry, decide, made, merge, origin, promote, version

pytestmark = pytest.mark.skipif(shutil.which("ssh-keygen") is None, reason="needs ssh-keygen")


@pytest.fixture
def registry(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Registry:
    """A registry where main lists Ann's SSH key, and Ann signs: one version, in production."""
    return made("signed", tmp_path_factory, signing).copy(tmp_path)


def signing(folder: Path) -> Registry:
    """A registry whose tags Ann signs."""
    bare = origin(folder)
    (ann,) = team(folder, bare, "ann")
    signs(ann, key(folder, "ann"))
    allow(ann, folder / "ann.key.pub")
    version(ann)
    promote(ann, "churn", "v1.0.0", "production")
    return Registry(bare, ann)


def key(folder: Path, name: str) -> Path:
    """A new SSH key."""
    path = folder / f"{name}.key"
    argv = ("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", name, "-f", str(path))
    subprocess.run(argv, check=True)
    return path


def signs(who: Clone, key: Path) -> None:
    """Have somebody sign his tags."""
    for name, value in (
        ("tag.gpgSign", "true"), ("gpg.format", "ssh"), ("user.signingKey", str(key)),
    ):  # fmt: skip
        who.git("config", name, value)


def allow(who: Clone, public: Path) -> None:
    """List a key on main."""
    path = who.folder / "registry" / "allowed_signers"
    path.parent.mkdir(exist_ok=True)
    path.write_text(f"ann@example.org {public.read_text()}")
    merge(who, "Whose signatures count")


def told(found: list[Finding], subject: str) -> str:
    """What is wrong with the signature of a tag."""
    (it,) = [it for it in found if (it.kind, it.subject) == ("signature", subject)]
    assert it.expected == "the signature of a listed key"
    return it.found


def eve(registry: Registry) -> Clone:
    """Somebody who may push, and signs nothing."""
    it = registry.clone("eve")
    it.pull()
    return it


def test_signed_tags_are_sound(registry: Registry) -> None:
    """For everybody, whatever keys he has."""
    assert verify(registry.ann.place) == []
    assert verify(eve(registry).place, remote=True) == []


def test_a_tag_without_signature_is_told(registry: Registry) -> None:
    """Also one that is honest otherwise."""
    it = eve(registry)
    version(it)
    assert told(verify(it.place), "churn@v1.0.1") == "no signature"
    promote(it, "churn", "v1.0.1", "production")
    assert told(verify(registry.clone("late").place), "churn#production#2") == "no signature"


def test_a_key_that_is_not_listed_does_not_count(registry: Registry, tmp_path: Path) -> None:
    """Nor does a list that a branch brings along, or the work tree."""
    it = eve(registry)
    signs(it, key(tmp_path, "eve"))
    version(it)
    assert told(verify(it.place), "churn@v1.0.1") == "a signature of a key that is not listed"
    listed = it.folder / "registry" / "allowed_signers"
    it.git("switch", "--quiet", "--create", "mine", "origin/main")
    listed.write_text(f"eve@example.org {(tmp_path / 'eve.key.pub').read_text()}")
    it.git("commit", "--quiet", "--all", "--message", "me, too")
    it.git("push", "--quiet", "origin", "mine")
    told(verify(it.place), "churn@v1.0.1")
    it.git("config", "gpg.ssh.allowedSignersFile", str(listed))  # hers do not help either
    told(verify(it.place), "churn@v1.0.1")


@pytest.mark.parametrize("kind", ["PGP SIGNATURE", "PGP MESSAGE", "SIGNED MESSAGE"])
def test_a_signature_of_an_unlisted_kind_starts_nothing(registry: Registry, kind: str) -> None:
    """No program, which may not be there, is asked about it; the other tags are judged as before.

    One that the repository's own settings name is not asked about any.
    """
    it = eve(registry)
    canary = registry.folder / "canary"
    script = registry.folder / "program"
    script.write_text(f"#!/bin/sh\ntouch '{canary}'\n")
    script.chmod(0o755)
    for name in ("gpg.program", "gpg.openpgp.program", "gpg.x509.program", "gpg.ssh.program"):
        it.git("config", name, str(script))
    text = it.git("cat-file", "tag", "churn@v1.0.0").partition("-----BEGIN")[0]
    forged = f"{text}-----BEGIN {kind}-----\nAAAA\n-----END {kind}-----\n"
    argv = ("git", "hash-object", "-t", "tag", "-w", "--stdin")
    done = subprocess.run(argv, cwd=it.folder, input=forged, capture_output=True, text=True)
    it.git("update-ref", "refs/tags/churn@v1.0.0", done.stdout.strip())
    found = verify(it.place)
    assert told(found, "churn@v1.0.0") == "a signature of a key that is not listed"
    assert {it.subject for it in found if it.kind == "signature"} == {"churn@v1.0.0"}
    assert not canary.exists()


def test_a_listed_signature_on_other_words_is_bad(registry: Registry) -> None:
    """The object was edited."""
    it = eve(registry)
    text = it.git("cat-file", "tag", "churn@v1.0.0").replace(
        "Registered-By: ann", "Registered-By: eve"
    )
    argv = ("git", "hash-object", "-t", "tag", "-w", "--stdin")
    made = subprocess.run(
        argv, cwd=it.folder, input=text + "\n", capture_output=True, text=True, check=True
    )
    it.git("update-ref", "refs/tags/churn@v1.0.0", made.stdout.strip())
    assert told(verify(it.place), "churn@v1.0.0").startswith("a signature that is not good")


def test_a_good_signature_of_another_tag_is_told(registry: Registry) -> None:
    """Git itself takes it for good: the object is genuine, its name is not."""
    it = eve(registry)
    genuine = it.git("rev-parse", "refs/tags/churn#production#1")
    it.git("update-ref", "refs/tags/churn#production#2", genuine)
    keys = it.folder / "registry" / "allowed_signers"
    it.git("-c", f"gpg.ssh.allowedSignersFile={keys}", "verify-tag", "churn#production#2")
    (found,) = verify(it.place)
    assert (found.kind, found.expected, found.found) == (
        "renamed", "churn#production#2", "churn#production#1",
    )  # fmt: skip


def test_sync_signs_or_makes_nothing(registry: Registry) -> None:
    """A tag that can't be signed stays missing, and why is said."""
    ann = registry.ann
    version(ann)
    decide(ann, "churn", "v1.0.1", "production")
    ann.git("config", "user.signingKey", str(registry.folder / "nobody"))
    (row,) = syncing.sync(ann.place)
    assert (row.state, row.tag) == ("missing", "churn#production#2")
    assert "could not be signed" in row.why
    assert ann.git("tag", "--list", "churn#production#2") == ""


@pytest.mark.skipif(shutil.which("gpg") is None, reason="needs gpg")
def test_gpg_signatures(tmp_path: Path, bare: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keys in registry/allowed_signers.asc count, and others do not."""
    home = tmp_path / "gpg"
    home.mkdir(mode=0o700)
    monkeypatch.setenv("GNUPGHOME", str(home))
    for name in ("ann", "eve"):
        argv = ("gpg", "--batch", "--quiet", "--passphrase", "", "--quick-gen-key")
        subprocess.run((*argv, f"{name}@example.org", "ed25519", "sign", "never"), check=True)
    ann, other = team(tmp_path, bare, "ann", "eve")
    for it, name in ((ann, "ann"), (other, "eve")):
        it.git("config", "tag.gpgSign", "true")
        it.git("config", "user.signingKey", f"{name}@example.org")
    export = ("gpg", "--armor", "--export", "ann@example.org")
    keys = subprocess.run(export, check=True, capture_output=True).stdout
    (ann.folder / "registry").mkdir()
    (ann.folder / "registry" / "allowed_signers.asc").write_bytes(keys)
    merge(ann, "Whose signatures count")
    version(ann)
    other.pull()
    version(other)
    monkeypatch.setenv("GNUPGHOME", str(tmp_path / "none"))
    found = verify(ann.place, remote=True)
    assert told(found, "churn@v1.0.1") == "a signature of a key that is not listed"
    assert len(found) == 1
    subprocess.run(("gpgconf", "--homedir", str(home), "--kill", "all"), check=False)


# -- who may sign what -----------------------------------------------------------------------

RIGHTS = """\
schema: 1
signers:
  versions: [ci@example.org]
  stages: [ci@example.org]
  models: {churn: [ann@example.org]}
"""


@pytest.fixture
def keys(registry: Registry) -> dict[str, Path]:
    """The keys of Ann, Eve and CI, all of them listed; the policy says who may sign what."""
    found = {"ann": registry.folder / "ann.key"}
    shutil.copy(registry.ann.git("config", "user.signingKey"), found["ann"])
    found |= {name: key(registry.folder, name) for name in ("eve", "ci")}
    listed = registry.ann.folder / "registry" / "allowed_signers"
    more = {who: found[who].with_suffix(".key.pub").read_text() for who in ("eve", "ci")}
    lines = [f"{who}@example.org {public}" for who, public in more.items()]
    listed.write_text(listed.read_text() + "".join(lines))
    (registry.ann.folder / "registry.yaml").write_text(RIGHTS)
    registry.ann.git("add", "registry.yaml")
    merge(registry.ann, "Who may sign what")
    registry.ann.git("config", "user.signingKey", str(found["ann"]))
    return found


OTHERS = "a signature of a key that is listed, and may not sign it"


def signatures(found: list[Finding]) -> dict[str, tuple[str, str]]:
    """What should have signed tags, and what has."""
    return {it.subject: (it.expected, it.found) for it in found if it.kind == "signature"}


def test_who_is_listed_signs_what_the_policy_gives_him(
    registry: Registry, keys: dict[str, Path]
) -> None:
    """Neither a stage, nor a version of another's model; who may sign any version, may this one."""
    stage = {"churn#production#1": ("the signature of a key of ci@example.org", OTHERS)}
    assert signatures(verify(registry.ann.place)) == stage  # Ann's, from before
    version(registry.ann)
    version(registry.ann, "spam")
    asked = "the signature of a key of ci@example.org"
    of_ann = {**stage, "spam@v1.0.0": (asked, OTHERS)}
    assert signatures(verify(registry.ann.place)) == of_ann
    it = eve(registry)
    signs(it, keys["ci"])
    version(it)
    version(it, "spam")
    assert signatures(verify(it.place)) == of_ann
    signs(it, keys["eve"])
    item = version(it)
    either = "the signature of a key of ci@example.org or ann@example.org"
    assert signatures(verify(it.place)) == {**of_ann, str(item.tag): (either, OTHERS)}


def test_a_branch_gives_nobody_a_right(registry: Registry, keys: dict[str, Path]) -> None:
    """Who may sign is what main says."""
    it = eve(registry)
    signs(it, keys["eve"])
    item = version(it)
    it.git("switch", "--quiet", "--create", "mine", "origin/main")
    (it.folder / "registry.yaml").write_text(RIGHTS.replace("ann@", "eve@"))
    it.git("commit", "--quiet", "--all", "--message", "me, too")
    it.git("push", "--quiet", "origin", "mine")
    assert str(item.tag) in signatures(verify(it.place))


def test_where_nobody_may_sign_no_tag_counts(registry: Registry) -> None:
    """Rights without a list of keys are no reason to ask for no signature."""
    ann = registry.ann
    (ann.folder / "registry.yaml").write_text(RIGHTS)
    ann.git("rm", "--quiet", "registry/allowed_signers")
    ann.git("add", "registry.yaml")
    merge(ann, "No keys")
    unlisted = "a signature of a key that is not listed"
    assert {found for _, found in signatures(verify(ann.place)).values()} == {unlisted}


def tag(name: str) -> VersionTag | StageTag:
    """A tag of the registry."""
    found = parse_tag(name)
    assert found is not None
    return found


def test_a_right_holds_for_the_name_of_the_tag() -> None:
    """What is not said is open to each listed key."""
    rights = parse(RIGHTS.encode()).signers
    some = {name: rights.of(tag(name)) for name in ("churn@v1.0.0", "a@v1.0.0", "a#b#1")}
    ci, ann = "ci@example.org", "ann@example.org"
    assert some == {"churn@v1.0.0": (ci, ann), "a@v1.0.0": (ci,), "a#b#1": (ci,)}
    few = parse(b"schema: 1\nsigners: {models: {churn: [ann@example.org]}}\n").signers
    some = {name: few.of(tag(name)) for name in ("churn@v1.0.0", "a@v1.0.0", "a#b#1")}
    assert some == {"churn@v1.0.0": (ann,), "a@v1.0.0": None, "a#b#1": None}
    with pytest.raises(FormatError, match="version"):
        parse(b"schema: 1\nsigners: {version: [ann@example.org]}\n")


def test_a_key_is_whose_openssh_says(tmp_path: Path) -> None:
    """Lines end where it sees their ends: what else looks like one hides no entry in a comment."""
    public = key(tmp_path, "ann").with_suffix(".key.pub").read_text().strip()
    hidden = "".join(f"{end}ci@example.org {public}" for end in "\v\f\x1c\x85\u2028\u2029\r")
    for text in (f"# a comment{hidden}", f"ann@example.org {public}{hidden}"):
        assert only(Keys(f"{text}\n".encode()), ["ci@example.org"]) is None
    for line in ("ci@example.org\t{}", '  "a@example.org,ci@example.org" namespaces="git" {}\r'):
        assert only(Keys(line.format(public).encode()), ["ci@example.org"]) is not None
    assert only(Keys(f"*@example.org {public}".encode()), ["ci@example.org"]) is None


def test_an_authority_certifies_nobody_else(registry: Registry, tmp_path: Path) -> None:
    """Where one line gives it to CI and to others, what it certifies for those is not CI's."""
    mine, authority = key(tmp_path, "mine"), key(tmp_path, "authority")
    public = authority.with_suffix(".key.pub").read_text().strip()
    listed = f"ann@example.org,ci@example.org cert-authority {public}\n".encode()
    found = {}
    for name in ("ann", "ci"):
        argv = ("ssh-keygen", "-q", "-s", str(authority), "-I", name, "-n", f"{name}@example.org")
        subprocess.run([*argv, f"{mine}.pub"], check=True)
        signs(registry.ann, tmp_path / "mine.key-cert.pub")
        item = version(registry.ann)
        of_ci = only(Keys(listed), ["ci@example.org"])
        assert of_ci is not None
        repo = registry.ann.place.repo
        found[name] = [unsigned(repo, [item.tag_id], keys) for keys in (Keys(listed), of_ci)]
    assert (found["ci"], found["ann"][0]) == ([{}, {}], {})
    assert [*found["ann"][1].values()] == ["a signature of a key that is not listed"]
