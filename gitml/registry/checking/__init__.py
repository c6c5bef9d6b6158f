"""Checking a change before it is merged: what `gitml ci check` does.

Only data is read: registry files and runs, as git holds them. No model is loaded, and no code of
the change is run. Policy, signers and programs of gates are those of the base, the branch that the
change is to be merged into, so no change weakens what judges it.
"""

from gitml.registry.checking.check import check as check
from gitml.registry.checking.problem import Problem as Problem
from gitml.registry.checking.report import Judged as Judged
from gitml.registry.checking.report import Report as Report
