"""A remote that lets only CI make tags of versions, as forges do with a ruleset."""

from __future__ import annotations

from pathlib import Path

from tests.clones import Clone

_HOOK = """\
#!/bin/sh
while read old new ref; do
  case "$ref" in refs/tags/*@v*)
    if [ "$GITML_TEST_CI" != 1 ]; then
      echo "GH013: Repository rule violations found for $ref: Cannot create ref" >&2
      exit 1
    fi;;
  esac
done
"""


def refuse(bare: Path) -> None:
    """Have a remote refuse tags of versions, but for those of CI."""
    hook = bare / "hooks" / "pre-receive"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text(_HOOK)
    hook.chmod(0o755)


def merge(who: Clone, branch: str, *, squash: bool = False) -> str:
    """Merge a branch of the remote into main, as its forge does; the commit."""
    who.git("fetch", "--quiet", "origin")
    who.git("switch", "--quiet", "main")
    who.git("reset", "--quiet", "--hard", "origin/main")
    if squash:
        who.git("merge", "--quiet", "--squash", f"origin/{branch}")
        who.git("commit", "--quiet", "--message", branch)
    else:
        who.git("merge", "--quiet", "--no-ff", "--no-edit", f"origin/{branch}")
    who.git("push", "--quiet", "origin", "main")
    return who.git("rev-parse", "HEAD")
