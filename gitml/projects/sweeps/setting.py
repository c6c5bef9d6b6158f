"""Where a sweep takes place: its project is opened and all that was asked for checked, first."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Iterator
from dataclasses import replace

from gitml import git
from gitml.projects import checkout, execution, mlproject, parameters, sources, uris
from gitml.projects.downloads import Downloads
from gitml.projects.sweeps import plan, space
from gitml.projects.sweeps.child import Nursery
from gitml.projects.sweeps.space import Space
from gitml.projects.task import Locate, Request, Task, Tell, Where, check_backend
from gitml.tracking import system_tags


@contextlib.contextmanager
def opened(request: Request, ask: sources.Ask | None) -> Iterator[tuple[Where, Locate]]:
    """The project for the sweep's length, and how data is fetched that its parameters name: once.

    A folder at a version, a URL and a run are checked out once, and all runs share that.
    """
    check_backend(request)
    checkout.sweep()
    with execution.signals_stop(), contextlib.ExitStack() as stack:
        where = stack.enter_context(sources.opened(request, ask))
        yield where, functools.cache(Downloads(where, stack, None).locate)


def pinned(request: Request, where: Where) -> Request:
    """The request with what it names now, so that a resumed sweep has the same: commit or run."""
    source = uris.parse(request.uri)
    if isinstance(source, uris.OfRun):
        return replace(request, uri=where.name)
    if isinstance(source, uris.Folder) and request.version is None:
        return request
    commit = where.tags.get(system_tags.GIT_COMMIT)
    return replace(request, version=commit or git.text(where.place.repo, "rev-parse", "HEAD"))


def space_of(request: Request, where: Where, locate: Locate) -> Space:
    """The space that is asked for; every value of it fits the entry point's parameters.

    Raises UsageError and FormatError.
    """
    entry = mlproject.read(where.folder).entry_point(request.entry_point)
    kinds = {one.name: one.type for one in entry.parameters}
    searched = plan.space_of(request.parameters, kinds)
    for corner in space.corners(searched):
        there = {
            name: locate(name, kinds.get(name, "string"), text, False)
            for name, text in corner.items()
        }
        parameters.values(entry.parameters, there, where.folder, allow_extra=request.allow_extra)
    return searched


def checked(nursery: Nursery, searched: Space, tell: Tell | None) -> Task:
    """Some task of the sweep, ready to run; the environment is built for it, which `tell` hears of.

    Raises what stands in the way of all tasks.
    """
    return nursery.task(next(space.corners(space.varying(searched))), tell)
