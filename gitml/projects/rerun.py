"""Running a commit again as a recorded run was started, in a work tree of its own."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import sys
from collections.abc import Callable, Container, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from gitml.errors import UsageError, shown
from gitml.projects import (
    checkout,
    execution,
    large_files,
    mlproject,
    parameters,
    replay,
    sources,
    submodules,
    task,
    tracked,
)
from gitml.projects.downloads import Downloads
from gitml.projects.execution import Marks
from gitml.projects.image import Wish
from gitml.projects.output import Sink
from gitml.projects.replay import Entry, Replay, Script
from gitml.projects.runtime import Runtime
from gitml.projects.task import Request, Task, Tell, Where
from gitml.tracking import changes, dataset_source, environment, names, store
from gitml.tracking.place import Place
from gitml.tracking.record import Json, RunRecord

_RUNS, _DVC = "runs:/", "dvc:"
_PLACES = ("path", "uri")  # the types of parameters that name a place
_AGAIN = "-again"  # what is added to the name of a run

Portable = Callable[[str, Json], Json]


@dataclass(frozen=True, slots=True)
class Ground:
    """A commit in a work tree: the place of its runs, the top of the tree, and its data."""

    place: Place
    top: Path
    data: tracked.Data


@dataclass(frozen=True, slots=True)
class Way:
    """How a commit is run: as the run `like` was started, with the values `given` for some.

    `environment` makes what it runs in, once its folder is known; in a container it is the image
    of the id `image`, else one that is made of the commit. `tags` are those of its run, `timeout`
    is in seconds.
    """

    like: RunRecord
    replay: Replay
    environment: Callable[[Path], Runtime]
    given: Mapping[str, str]
    tags: Mapping[str, str]
    timeout: float | None = None
    image: str | None = None


@dataclass(frozen=True, slots=True)
class Rerun:
    """The run that came of it, and what of its params says nothing but where it took place.

    `portable` gives a param by its name and value without that.
    """

    record: RunRecord
    portable: Portable


@contextlib.contextmanager
def ground(place: Place, commit: str, data: str) -> Iterator[Ground]:
    """A commit in a work tree that goes at the end of the block, with what DVC tracks in it."""
    owner = sources.owner_of(place)
    with checkout.workspace() as folder:
        made = checkout.check_out(place, owner, commit, folder)
        submodules.fill(made.repo)
        large_files.fill(made.repo)
        top = folder / checkout.CODE
        yield Ground(made, top, tracked.put_in_place(made, top, owner, data))


def run(
    ground: Ground,
    way: Way,
    sinks: tuple[Sink, Sink],
    *,
    tell: Tell | None = None,
    root: Path | None = None,
) -> Rerun:
    """Run it, and return the run that came of it: of several, the one with the params of `like`.

    `root` is the top of the caller's work tree: what a path in there names is taken from the
    commit. Raises UsageError, StorageError and `BuildError` when nothing has run.
    """
    folder = folder_of(ground, way)
    where = Where(ground.place, folder, ground.top, way.replay.folder or ".", way.tags)
    if tell is not None:
        for line in checkout.lacking(ground.place.repo):
            tell(line)
    with contextlib.ExitStack() as stack:
        if isinstance(way.replay, Script):
            made = _script(way.replay, where, way, root)
        else:
            downloads = Downloads(where, stack, None)
            made = _entry(way.replay, where, way, downloads, tell, root)
        name = way.like.name.removesuffix(_AGAIN)[:400] + _AGAIN
        submitted = execution.run(made, Marks(way.like.experiment, run_name=name), sinks)
    portable = _portable(root, ground.top, made.fetched)
    found = _counterpart(ground.place, submitted.run_id, way.like, portable)
    if found.run_id != submitted.run_id:
        changes.tag(ground.place, submitted.run_id, dict.fromkeys(way.tags))
        changes.tag(ground.place, found.run_id, way.tags)
    return Rerun(store.record(ground.place, found.run_id), portable)


def folder_of(ground: Ground, way: Way) -> Path:
    """The folder in which it is run."""
    inside = way.replay.folder
    return checkout.inside(ground.top, inside) if inside else ground.top


def _portable(root: Path | None, top: Path, places: Container[str]) -> Portable:
    """Takes the top of a work tree, the caller's or a temporary one, out of params."""
    pattern = _tops(root, top)

    def without(name: str, value: Json) -> Json:
        if name in places:
            return name
        found = pattern.match(value) if isinstance(value, str) else None
        return value[found.end() :] if found and isinstance(value, str) else value

    return without


def _tops(root: Path | None, top: Path) -> re.Pattern[str]:
    tops = [re.escape(f"{folder}{os.sep}") for folder in (root, top) if folder is not None]
    return re.compile("|".join([*tops, checkout.pattern()]))


def _counterpart(place: Place, run_id: str, like: RunRecord, portable: Portable) -> RunRecord:
    """Of the runs that a script made, its own and those below, the one with the same params."""
    found, below = [store.record(place, run_id)], [run_id]
    while below:
        wanted = f"attributes.parent_run_id = '{below.pop()}'"
        children = store.search(place, wanted, ["attributes.start_time ASC"])
        found += [store.record(place, child.run_id) for child in children]
        below += [child.run_id for child in children]

    def params(run: RunRecord) -> dict[str, str]:
        return {key: str(portable(key, value)) for key, value in run.params.items()}

    same = [run for run in found if params(run) == params(like)]
    named = [run for run in same if run.name == like.name]
    return next(iter(named or same), found[0])


def _of_the_commit(runtime: Runtime, root: Path | None, top: Path) -> Runtime:
    """The environment, with the commit's own packages before those of the caller's work tree.

    What is installed as a folder (`pip install -e .`) is imported from there as it is now.
    """
    if root is None:
        return runtime
    named = [Path(entry) for entry in sys.path[1:] if entry]  # the first is of this program
    for folder in environment.local_folders():
        named.append(folder / "src" if (folder / "src").is_dir() else folder)
    inside = (it.relative_to(root) for it in named if it.is_relative_to(root) and it.is_dir())
    before = [str(top / it) for it in dict.fromkeys(inside) if (top / it).is_dir()]
    given = [*before, *filter(None, [runtime.variables.get("PYTHONPATH")])]
    if not before:
        return runtime
    return replace(runtime, variables={**runtime.variables, "PYTHONPATH": os.pathsep.join(given)})


# -- scripts -------------------------------------------------------------------------------


def _script(script: Script, where: Where, way: Way, root: Path | None) -> Task:
    """The task of a script; its arguments that name places in the caller's work tree move."""
    if way.given:
        raise UsageError("a script has no parameters; it is run with its own arguments")
    runtime = _of_the_commit(way.environment(where.folder), root, where.repository)
    moved = tuple(_moved(word, root, where.repository) for word in script.arguments)
    request = Request(entry_point=way.like.source.entry or "", timeout=way.timeout)
    argv = (_python(runtime), *moved)
    return Task(where, request, runtime, argv, {}, {}, (), source=way.like.source)


def _moved(word: str, root: Path | None, top: Path) -> str:
    """A path in the caller's work tree, or in one that is gone, as the same path below `top`."""
    found = _tops(root, top).match(word)
    return f"{top}{os.sep}{word[found.end() :]}" if found else word


def _python(runtime: Runtime) -> str:
    path = runtime.variables.get("PATH")
    found = sys.executable if runtime.manager == "local" else shutil.which("python", path=path)
    return found or sys.executable


# -- projects ------------------------------------------------------------------------------


def _entry(
    entry: Entry,
    where: Where,
    way: Way,
    downloads: Downloads,
    tell: Tell | None,
    root: Path | None,
) -> Task:
    """The task of an entry point; params that name places are those of the run that it is like."""
    point = mlproject.read(where.folder).entry_point(entry.name)
    types = {it.name: it.type for it in point.parameters}
    places = {name for name in entry.parameters if types.get(name) in _PLACES}
    _check_given(entry, way.given, places)
    values = {**entry.parameters, **way.given}
    for name in places - way.given.keys():
        values[name] = _Values(where, way.like, root).of(name, values[name])
    made = task.make(
        _request(entry, way, values),
        where,
        tell,
        downloads.locate,
        lambda: _of_the_commit(way.environment(where.folder), root, where.repository),
    )
    recorded = {it.name: way.like.params[it.name] for it in point.parameters
                if it.type in _PLACES and it.name in way.like.params}  # fmt: skip
    params = {name: value for name, value in made.params.items() if name not in recorded}
    fetched = {**made.fetched, **{name: str(value) for name, value in recorded.items()}}
    made = replace(made, params=params, fetched=fetched, source=way.like.source)
    return downloads.noted(made)


def _request(entry: Entry, way: Way, values: Mapping[str, str]) -> Request:
    """What is asked for: the same in an environment that is ready, or in the container."""
    asked = Request(
        entry_point=entry.name,
        parameters=values,
        allow_extra=entry.allow_extra,
        timeout=way.timeout,
    )
    if (box := entry.box) is None:
        return replace(asked, env_manager="local")
    wish = Wish(box.builds, box.as_it_is, id=way.image)
    return replace(asked, backend=box.backend, docker_args=box.arguments, image=wish)


def _check_given(entry: Entry, given: Mapping[str, str], places: set[str]) -> None:
    hidden = replay.hidden(entry)
    for name in given:
        if name not in (*hidden, *places):
            raise UsageError(f"the run has its own value of {shown(name)}; leave -P {name} out")
    if lacking := [name for name in hidden if name not in given]:
        raise UsageError(
            f"the value of {shown(lacking[0])} is a secret, and not recorded; give it:"
            f" -P {lacking[0]}=VALUE"
        )


class _Values:
    """Finds what a parameter that names a place named in the run, in the work tree `where`."""

    def __init__(self, where: Where, like: RunRecord, root: Path | None) -> None:
        self._where, self._like, self._root = where, like, root

    def of(self, name: str, value: str) -> str:
        """The value for the parameter `name`, which was given as `value`."""
        if value.startswith(_RUNS):
            return self._of_run(name, value)
        if value.startswith(_DVC):
            path = value.removeprefix(_DVC)
            return _DVC + str(self._found(name, path, self._is_tracked))
        if parameters.is_uri(value):
            return value
        return str(self._found(name, value, Path.exists))

    def _found(self, name: str, value: str, is_there: Callable[[Path], bool]) -> Path:
        """A path that was seen from a folder that nobody recorded."""
        then = str(self._like.params.get(name, ""))
        top = self._where.repository
        here, given = (_moved(text, self._root, top) for text in (then, value))
        candidates = [Path(here), self._where.folder / given, top / given]
        for path in candidates:
            if path.is_absolute() and is_there(path):
                return path
        raise UsageError(
            f"the parameter {shown(name)} was {shown(then or value)}, which is not here; say"
            f" where it is: -P {name}=PATH"
        )

    def _is_tracked(self, path: Path) -> bool:
        return dataset_source.dvc_output(path, self._where.repository) is not None

    def _of_run(self, name: str, value: str) -> str:
        """An artifact of a run; one that was called by a name must be older than this run."""
        run, _, path = value.removeprefix(_RUNS).lstrip("/").partition("/")
        if names.is_run_id(run):
            return value
        found = store.record(self._where.place, store.resolve(self._where.place, run))
        if found.start_time >= self._like.start_time:
            raise UsageError(
                f"the parameter {shown(name)} was {shown(value)}, which names a newer run now;"
                f" say which it was: -P {name}=runs:/ID/{path}"
            )
        return f"{_RUNS}{found.run_id}/{path}"
