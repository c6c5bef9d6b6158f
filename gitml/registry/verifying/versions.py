"""Checks of version tags: each is an object of its name, on a run commit that bears it out."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from itertools import groupby

from gitml import git
from gitml.git import Tag
from gitml.registry import catalog, verified
from gitml.registry.catalog import Registered
from gitml.registry.files import path_of
from gitml.registry.tags import Link, VersionTag, parse_tag
from gitml.registry.verifying import finding
from gitml.registry.verifying.evidence import Evidence
from gitml.registry.verifying.finding import Finding
from gitml.tracking.record import FINISHED, RunRecord


def check(evidence: Evidence) -> Iterator[Finding]:
    """What is wrong with the version tags."""
    yield from _names(evidence)
    yield from _notes(evidence)
    for item in evidence.versions:
        yield from _run(evidence, item)
        yield from _file(evidence, item)
        known = evidence.file(item.name).versions
        for problem in links(evidence, str(item.tag), item.note.follows):
            if problem.subject not in {f"{item.name}@{it}" for it in known}:
                yield problem  # else the file vouches for what is there


def objects(tags: Iterable[Tag], evidence: Evidence) -> Iterator[Finding]:
    """What is wrong with tags as objects, whatever they are for."""
    for tag in tags:
        fix = evidence.again(tag.name)
        if not tag.inner:
            found = f"a ref to {tag.id}"
            what = "it is lightweight: it tells nothing, and nobody made it as a version or stage"
            yield Finding(finding.LIGHTWEIGHT, tag.name, what, "an annotated tag", found, fix)
        elif tag.inner != tag.name:
            what = "it is another tag's object under this name"
            yield Finding(finding.RENAMED, tag.name, what, tag.name, tag.inner, fix)


def links(evidence: Evidence, tag: str, follows: Iterable[Link]) -> Iterator[Finding]:
    """The tags that were there when `tag` was made, and are not, or are others."""
    for link in follows:
        there = evidence.tags.get(link.tag)
        if there is not None and there.id == link.id:
            continue
        fix = evidence.restoring(link.tag, link.id)
        if there is None:
            what = f"it was there when {tag} was made, and is gone"
            yield Finding(finding.DELETED, link.tag, what, link.id, "nothing", fix)
        else:
            what = f"it is another object than when {tag} was made"
            yield Finding(finding.MOVED, link.tag, what, link.id, there.id, fix)


def _names(evidence: Evidence) -> Iterator[Finding]:
    names = {it.name for tag in evidence.tags if (it := parse_tag(tag)) is not None}
    names |= {*evidence.decided}
    for _, same in groupby(sorted(names, key=lambda it: (it.casefold(), it)), str.casefold):
        first, *others = same
        for other in others:
            what = "two models differ only in case; on some systems they are one"
            fix = "decide which of the two it is, and remove the tags and the file of the other"
            yield Finding(finding.CASE, other, what, first, other, fix)


def _notes(evidence: Evidence) -> Iterator[Finding]:
    """The tags that tell no version; those that are none's objects are told as that."""
    for name, tag in evidence.tags.items():
        if tag.inner == name and isinstance(parse_tag(name), VersionTag):
            try:
                catalog.note_of(tag)
            except ValueError as error:
                what, expected = f"it tells no version: {error}", "run, path and digest"
                fix = evidence.again(name)
                yield Finding(finding.DAMAGED, name, what, expected, "another message", fix)


def _run(evidence: Evidence, item: Registered) -> Iterator[Finding]:
    """What the run commit says otherwise, or that it is not the ledger's."""
    tag, fix = str(item.tag), evidence.again(str(item.tag))
    record = evidence.records[tag]
    if isinstance(record, str):
        what = f"it stands on {item.commit}, which is not the commit of its run"
        yield Finding(finding.RUN, tag, what, f"run {item.note.run_id}", record, fix)
        return
    for what, expected, found in verified.from_run(item, record):
        kind = finding.DIGEST if what == "the digest" else finding.RUN
        yield Finding(kind, tag, f"it tells {what} otherwise than its run", expected, found, fix)
    if record.status != FINISHED:
        what, status = "its run has not come to a good end", record.status
        yield Finding(finding.RUN, tag, what, FINISHED, status, fix)
    yield from _ledger(evidence, item, record)


def _ledger(evidence: Evidence, item: Registered, record: RunRecord) -> Iterator[Finding]:
    if not evidence.runs or evidence.shallow:
        return  # told once for all
    repo, run_id = evidence.place.repo, record.run_id
    known = [runs[run_id] for runs in evidence.runs if run_id in runs]
    if item.commit in known or any(git.is_ancestor(repo, item.commit, it) for it in known):
        return
    tag, what = str(item.tag), "its run commit is not in the ledger of this repository"
    expected, found = (known[0], item.commit) if known else (f"run {run_id}", "no such run")
    fix = f"gitml pull; if it stays so: {evidence.again(tag)}"
    yield Finding(finding.LEDGER, tag, what, expected, found, fix)


def _file(evidence: Evidence, item: Registered) -> Iterator[Finding]:
    """What the reviewed file says otherwise."""
    tag, now, record = str(item.tag), evidence.file(item.name), evidence.records[str(item.tag)]
    known = [] if isinstance(record, str) else [it.what for it in verified.from_run(item, record)]
    differences = [it for it in verified.from_file(item, now) if it.what not in known]
    if differences:
        words = ", ".join(it.what.removeprefix("the ") for it in differences)
        what = f"it tells {words} otherwise than {path_of(item.name)} on the main branch"
        _, expected, found = differences[-1]
        yield Finding(finding.MOVED, tag, what, expected, found, evidence.again(tag))
    told = now.versions.get(item.version)
    if isinstance(record, str) or told is None:
        return
    for key, value in told.metrics.items():
        metric = record.metrics.get(key)
        if metric is None or not _same(value, metric.last):
            what = f"{item.version} has the metric {key} otherwise than its run {item.note.run_id}"
            expected, found = "none" if metric is None else repr(metric.last), str(value)
            fix = "correct the line by a pull request"
            yield Finding(finding.METRICS, path_of(item.name), what, expected, found, fix)


def _same(told: float | str, measured: float) -> bool:
    """Whether a file tells a number; NaN and the infinities are texts there."""
    try:
        number = float(told)
    except (OverflowError, ValueError):  # a whole number has no end
        return False
    return number == measured or (math.isnan(number) and math.isnan(measured))
