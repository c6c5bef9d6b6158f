"""Telling what a push or pull did."""

from __future__ import annotations

from gitml.cli import output
from gitml.cli.figures import plural
from gitml.tracking.exchange import Report


def report(done: Report, verb: str) -> int:
    """Tell what went over, what stayed behind and what looks wrong; the exit code."""
    output.say(_said(done, verb))
    for tag in done.tags:
        output.say(f"  {tag}")
    if done.merged:
        output.say(f"{plural(len(done.merged), 'run')} changed on both sides and merged")
    if done.local_commits:
        published = plural(done.local_commits, "code commit")
        output.remark(f"published {published} that only this clone had: runs stand on them")
    for run_id, why in done.withheld.items():
        output.warn(f"run {run_id[-8:]} stays here: {why}")
    for problem in done.problems:
        output.warn(problem)
    if done.refused is not None:
        return done.refused.exit_code
    return 1 if done.withheld or done.problems else 0


def _said(done: Report, verb: str) -> str:
    parts = [
        plural(len(done.runs), "run") if done.runs else "",
        f"the removal of {plural(len(done.removed), 'run')}" if done.removed else "",
        plural(done.objects, "object") if done.objects else "",
        plural(len(done.tags), "tag") if done.tags else "",
    ]
    if said := ", ".join(part for part in parts if part):
        return f"{verb} {said}"
    if done.moved:
        return f"{verb} changes of experiments"
    return f"nothing was {verb}" if done.withheld or done.problems else "everything is up to date"
