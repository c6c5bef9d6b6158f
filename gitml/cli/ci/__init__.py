"""`gitml ci`: what jobs of CI call."""

from __future__ import annotations

import click

from gitml.cli.lazy import Deferred, LazyGroup


def _here(module: str, name: str, help: str) -> Deferred:
    return Deferred(f"gitml.cli.ci.{module}:{name}", help)


SECTIONS = {
    "Workflows": {
        "init": _here("init", "init", "Write the workflows of the forge into the repository."),
        "drift": _here("init", "drift", "Compare the workflows with what would be written."),
        "stages": _here(
            "stages", "stages", "List the stages in which something is to be deployed."
        ),
    },
    "Pull requests": {
        "check": _here("check", "check", "Check what a change does to the registry."),
        "report": _here("check", "report", "Write what the check finds as Markdown."),
        "comment": _here("comment", "comment", "Write a comment on a pull request, or renew it."),
    },
    "Runs of CI": {
        "needs": _here("needs", "needs", "List what CI has to run before a change can be judged."),
        "ask": _here("ask", "ask", "Start the workflow that runs it, if a change needs anything."),
        "again": _here("ask", "again", "Start a run of CI again."),
        "recheck": _here("recheck", "recheck", "Start checks again that would differ by now."),
        "evaluate": _here("evaluate", "evaluate", "Score a version, its model behind a wall."),
        "reproduce": _here("reproduce", "reproduce", "Run the run of a version again."),
        "apart": _here("apart", "apart", "Have GitLab run a version again, apart from secrets."),
        "confirm": _here("confirm", "confirm", "Record and sign what such a job has left."),
        "propose": _here("propose", "propose", "Register and propose what a job has trained."),
        "manifest": _here("manifest", "manifest", "Write files that stand for models, to attest."),
        "vouch": _here("vouch", "vouch", "Sign a run as one that CI has recorded."),
    },
}


@click.group(cls=LazyGroup, sections=SECTIONS)
def ci() -> None:
    """What jobs of CI call; all of it works by hand, too."""
