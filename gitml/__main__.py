"""`python -m gitml` is the `gitml` command."""

from __future__ import annotations

from gitml.cli.main import main

if __name__ == "__main__":
    main()
