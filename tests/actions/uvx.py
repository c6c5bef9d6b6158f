"""What stands for `uvx` on the machines of the runner: the gitml of this checkout, by its pin.

A version that is not this one, or that is not pinned, is what no job may ask for.
"""

from __future__ import annotations

import re
import sys


def main(args: list[str]) -> None:
    """Take `--from 'gitml[EXTRAS]==VERSION' gitml ARGUMENTS`, and no other call."""
    from gitml.cli.main import main as gitml
    from gitml.version import __version__

    pinned = re.compile(rf"gitml(\[[a-z0-9,]+\])?=={re.escape(__version__)}")
    if args[:1] != ["--from"] or not pinned.fullmatch(args[1]) or args[2] != "gitml":
        sys.exit(f"uvx: not a pinned gitml: {args[:3]}")
    sys.argv = ["gitml", *args[3:]]
    gitml()


if __name__ == "__main__":
    main(sys.argv[1:])
