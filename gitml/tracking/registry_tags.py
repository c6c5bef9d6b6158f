"""Registry tags between clones: one at a time, created only, never moved.

A forge starts one pipeline for each push, and none when too many tags come at once; so each tag
is a push of its own, versions before the stages that name them.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from itertools import islice

from gitml import git
from gitml.tracking import refusals, sync
from gitml.tracking.place import Place

PATTERNS = ("refs/tags/*@v*", "refs/tags/*#*")
_NAME = r"[A-Za-z0-9](?:[A-Za-z0-9_-]*[A-Za-z0-9])?"
_TAG = re.compile(rf"refs/tags/(?:{_NAME}@v\d+\.\d+\.\d+[\w.+-]*|{_NAME}#{_NAME}#(\d+))", re.ASCII)
_AT_ONCE = 200  # refspecs in one command: a command line has an end


def of_registry(refs: Mapping[str, str]) -> dict[str, str]:
    """Those of the refs that are tags of versions or stages, in the order to publish them."""
    found = {name: match for name in refs if (match := _TAG.fullmatch(name))}
    order = sorted(found, key=lambda name: (int(found[name][1] or 0), name))
    return {name: refs[name] for name in order}


def short(name: str) -> str:
    """The tag's name without `refs/tags/`."""
    return name.removeprefix("refs/tags/")


def pull(
    place: Place, remote: str, there: Mapping[str, str], progress: git.Progress | None = None
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Fetch the tags that are not here; their names, and what is wrong with others."""
    here, theirs = _here(place), of_registry(there)
    new = [name for name in theirs if name not in here]
    for part in _parts(new):
        git.fetch(place.repo, remote, [f"{name}:{name}" for name in part], progress)
    return tuple(map(short, new)), _moved(here, theirs)


def push(
    place: Place, remote: str, withheld: Collection[str], progress: git.Progress | None = None
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Push the tags that the remote lacks; their names, and what is wrong with others.

    A tag on a run that is `withheld` waits: it would publish the run.
    """
    here = _here(place)
    if not here:
        return (), ()
    there = of_registry(git.remote_refs(place.repo, remote, *PATTERNS))
    waiting = _on_runs(place, here, withheld)
    pushed, problems = [], list(_moved(here, there))
    for name in here:
        if name in there:
            continue
        if name in waiting:
            problems.append(f"the tag {short(name)} stays here, as the run that it names does")
            continue
        outcome = git.push(place.repo, remote, [f"{name}:{name}"], progress)[0]
        if outcome.accepted:
            pushed.append(short(name))
        else:
            why = refusals.reason(outcome.reason, f"the tag {short(name)}")
            problems.append(f"the remote refuses the tag {short(name)}: {why}")
    return tuple(pushed), tuple(problems)


def _here(place: Place) -> dict[str, str]:
    return of_registry(dict(git.refs(place.repo, "refs/tags")))


def _moved(here: Mapping[str, str], there: Mapping[str, str]) -> tuple[str, ...]:
    return tuple(
        f"the tag {short(name)} names another object here than at the remote; tags never move:"
        f" find out who moved it, then delete the wrong one"
        for name, id in there.items()
        if here.get(name, id) != id
    )


def _on_runs(place: Place, names: Iterable[str], run_ids: Collection[str]) -> set[str]:
    """Those of the tags whose commit is a run commit of one of the runs."""
    if not run_ids:
        return set()
    listed = git.text(place.repo, "for-each-ref", sync.PEELED, "refs/tags").splitlines()
    commits = dict(line.split(" ") for line in listed)
    held = sync.runs_of(place.repo, commits.values())
    return {name for name in names if held.get(commits[name]) in run_ids}


def _parts(names: Iterable[str]) -> Iterable[list[str]]:
    rest = iter(names)
    while part := list(islice(rest, _AT_ONCE)):
        yield part
