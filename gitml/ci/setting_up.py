"""What a person has to set at the forge, once, for the workflows that were written. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from gitml.ci.settings import Settings


def steps(forge: str, settings: Settings) -> list[str]:
    """A line for each, in the order in which they are done."""
    return [*_STEPS[forge](settings)]


def _github(settings: Settings) -> Iterator[str]:
    yield f"a ruleset of {settings.branch} that requires the status check Check models"
    if settings.owners:
        yield f"and a review from code owners in the ruleset of {settings.branch}"
    if settings.deployed:
        yield f"environments for the branch {settings.branch}: {', '.join(settings.deployed)}"
    yield from _machine(settings)
    if settings.measures:
        yield f"environments gitml-evaluate and gitml-reproduce, for the branch {settings.branch}"
    if settings.measures or settings.told.get("sign"):
        yield f"an environment gitml-sign, for {settings.branch}: the secret GITML_SIGNING_KEY"
    if secrets := settings.told.get("secrets"):
        yield f"secrets: {', '.join(secrets)}"
    if settings.told.get("app"):
        yield "the variable GITML_APP_CLIENT_ID and the secret GITML_APP_KEY"
    elif settings.train.get("propose"):
        yield "Actions, General: Allow GitHub Actions to create and approve pull requests"


def _gitlab(settings: Settings) -> Iterator[str]:
    yield "CI/CD, Variables: GITML_TOKEN for the environment gitml, masked and protected"
    yield "and GITML_REPORT_TOKEN for gitml-report, masked"
    if settings.deployed:
        yield f"and GITML_REPORT_TOKEN for {', '.join(settings.deployed)}, masked and protected"
    if settings.measures or settings.told.get("sign"):
        yield "and GITML_SIGNING_KEY, a file, and GITML_TOKEN for gitml-sign, protected"
    yield "and what a training reads and writes for gitml-train, masked and protected"
    if not settings.told.get("oidc"):
        signing = ["gitml-sign"] if settings.measures or settings.told.get("sign") else []
        names = ", ".join(("gitml", *signing, *settings.deployed))
        yield f"and what the DVC remote needs for {names}, masked and protected"
    if settings.measures:
        yield "and what reads the holdout for gitml-evaluate, masked and protected"
        yield "and what reads the data of a training for gitml-reproduce, masked, not protected"
    yield "no other without an environment: each job of a protected branch gets it, also with code"
    yield "CI/CD, Variables: the minimum role to use pipeline variables is Maintainer"
    yield "CI/CD, Job token permissions: Allow Git push requests is off"
    if settings.measures:
        yield "Repository, Protected branches: none that gitml/reproduce/* is one of"
    if settings.owners:
        yield f"Repository, Protected branches: code owner approval of {settings.branch} (Premium)"
    yield from _machine(settings)
    yield "Merge requests: Pipelines must succeed"
    yield f"Pipeline schedules: one for {settings.branch}, every hour"
    if settings.measures:
        yield "and one with GITML_WORKFLOW=evaluate, every quarter of an hour"


def _machine(settings: Settings) -> Iterator[str]:
    if stages := ", ".join(settings.on_machine):
        unset = "" if settings.runner("deploy") else " (ci/runners/deploy in gitml.yaml names it)"
        yield f"a runner of your own on the machine that serves {stages}{unset}, or gitml agent"


_STEPS: Mapping[str, Callable[[Settings], Iterator[str]]] = {"github": _github, "gitlab": _gitlab}
