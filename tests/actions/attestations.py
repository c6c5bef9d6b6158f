"""What the hub attests of files: by their digests, which workflow of which branch has built them.

`actions/attest` and `gh attestation verify` sign and verify with certificates; here a folder of the
hub is believed. What is modelled is who may attest, and what is asked for.
"""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Mapping
from pathlib import Path

_ASKED = ("--repo", "--signer-workflow", "--source-ref")


def attest(folder: Path, file: Path, told: Mapping[str, str]) -> None:
    """Note who has built a file."""
    folder.mkdir(exist_ok=True)
    path = folder / f"{_digest(file)}.json"
    path.write_text(json.dumps(dict(told)), "utf-8")


def verify(folder: Path, args: list[str]) -> str:
    """Do `attestation verify FILE` and its options; what is wrong, empty when nothing is."""
    if args[:2] != ["attestation", "verify"] or tuple(args[3::2]) != _ASKED:
        return f"gh: not a call that is known: {args}"
    path = folder / f"{_digest(Path(args[2]))}.json"
    if not path.is_file():
        return f"no attestations found for {args[2]}"
    told, asked = (
        json.loads(path.read_text("utf-8")),
        dict(zip(args[3::2], args[4::2], strict=True)),
    )
    return "" if told == asked else f"no attestation of {args[2]} is by {asked}"


def _digest(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()


if __name__ == "__main__":
    sys.exit(verify(Path(sys.argv[1]), sys.argv[2:]) or None)
