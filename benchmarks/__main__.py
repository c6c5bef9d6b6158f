"""Run the measurements: `python benchmarks [--quick] [--only GROUP] [--mlflow-python PATH]`."""

from __future__ import annotations

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
if __package__ in (None, ""):  # run as a folder: its modules are those of a package
    sys.path[0] = str(ROOT)

from benchmarks.app import main  # noqa: E402 - after the path is set

if __name__ == "__main__":
    sys.exit(main())
