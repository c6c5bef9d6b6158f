"""Automatic logging: the hooks by which a framework's own calls log to runs.

An integration is one function, `install(options)`, which changes the framework and returns the
function that changes it back; `register` makes it known. It is called when the framework is
imported, now or later. What an integration logs goes to `run_for`, which starts and ends a run
where none is active, and inside `quietly`, because no failure of ours may break a training.
docs/autolog.md shows how to add one.
"""

from __future__ import annotations

import contextlib
import logging
import sys
import threading
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from gitml.errors import shown

Uninstall = Callable[[], None]

_logger = logging.getLogger("gitml.autolog")


@dataclass(frozen=True, slots=True)
class AutologOptions:
    """MLflow's options of autologging; `more` holds those that only one framework has."""

    log_input_examples: bool = False
    log_model_signatures: bool = True
    log_models: bool = True
    log_datasets: bool = True
    exclusive: bool = False
    silent: bool = False
    extra_tags: Mapping[str, str] = field(default_factory=dict)
    more: Mapping[str, Any] = field(default_factory=dict)


Install = Callable[[AutologOptions], Uninstall]


# -- the registry --------------------------------------------------------------------------


@dataclass(slots=True)
class _Integration:
    install: Install
    framework: str
    own: bool = False  # set up by a call of its own, which the call for all does not undo
    wanted: AutologOptions | None = None
    uninstall: Uninstall | None = None


_integrations: dict[str, _Integration] = {}
_mutex = threading.RLock()


def register(name: str, install: Install, framework: str | None = None) -> None:
    """Make an integration known; `framework` is the module that it changes, by default `name`."""
    _integrations[name] = _Integration(install, framework or name)


def registered() -> tuple[str, ...]:
    """The names of the known integrations."""
    return tuple(_integrations)


def autolog(
    log_input_examples: bool = False,
    log_model_signatures: bool = True,
    log_models: bool = True,
    log_datasets: bool = True,
    log_traces: bool = True,
    disable: bool = False,
    exclusive: bool = False,
    disable_for_unsupported_versions: bool = False,
    silent: bool = False,
    extra_tags: Mapping[str, str] | None = None,
    exclude_flavors: Sequence[str] | None = None,
) -> None:
    """Log automatically what every known framework trains, those imported later too.

    A framework that was set up by its own `autolog` keeps its options. `log_traces` and
    `disable_for_unsupported_versions` are MLflow's, and without effect.
    """
    options = AutologOptions(
        log_input_examples, log_model_signatures, log_models, log_datasets, exclusive, silent,
        dict(extra_tags or {}),
    )  # fmt: skip
    for name, integration in list(_integrations.items()):
        if name in (exclude_flavors or ()):
            continue
        if disable:
            turn_off(name)
        elif not integration.own:
            turn_on(name, options)


def turn_on(name: str, options: AutologOptions, *, own: bool = False) -> None:
    """Install one integration, now or when its framework is imported; again with new options."""
    if (model := options.more.get("registered_model_name")) and not options.silent:
        warnings.warn(
            f"models are logged, but not registered as {shown(str(model))}: gitml has no model"
            " registry yet; register them later, from runs:/RUN/model",
            stacklevel=3,  # the line that called the framework's autolog
        )
    integration = _integrations[name]
    with _mutex:
        turn_off(name)
        integration.wanted, integration.own = options, own
    on_import(integration.framework, lambda: _install(integration, options))


def _install(integration: _Integration, options: AutologOptions) -> None:
    with _mutex, quietly(integration.framework, options):
        if integration.wanted is options and integration.uninstall is None:
            integration.uninstall = integration.install(options)


def turn_off(name: str) -> None:
    """Take one integration out of its framework again."""
    integration = _integrations[name]
    with _mutex:
        uninstall, integration.uninstall = integration.uninstall, None
        integration.wanted, integration.own = None, False
        if uninstall is not None:
            uninstall()


# -- frameworks that are imported later ----------------------------------------------------


class _ImportHook:
    """Calls what waits for a module as soon as that was imported."""

    def __init__(self) -> None:
        self.waiting: dict[str, list[Callable[[], None]]] = {}

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> Any:
        """The module's real spec, whose loader will tell."""
        calls = self.waiting.pop(name, None)  # not waiting while the others, perhaps hooks, look
        if calls is None:
            return None
        finders = (finder for finder in sys.meta_path if finder is not self)
        specs = (finder.find_spec(name, path, target) for finder in finders)
        spec = next((spec for spec in specs if spec is not None), None)
        if spec is None or not self._tell_after(spec.loader, name, calls):
            self.waiting[name] = calls
        return spec

    def _tell_after(self, loader: Any, name: str, calls: list[Callable[[], None]]) -> bool:
        execute: Any = getattr(loader, "exec_module", None)

        def exec_module(module: Any) -> Any:
            if module.__name__ != name:  # one loader for many modules, as of a zip file
                return execute(module)
            del loader.exec_module
            try:
                execute(module)
            except BaseException:
                self.waiting[name] = calls
                raise
            for call in calls:
                call()
            return None

        if execute is None:
            return False
        try:
            loader.exec_module = exec_module
        except AttributeError:  # a loader without attributes of its own
            return False
        return True


_hook = _ImportHook()


def on_import(module: str, call: Callable[[], None]) -> None:
    """Call now if `module` is imported, else right after it was; `call` must not raise."""
    if module in sys.modules:
        call()
        return
    _hook.waiting.setdefault(module, []).append(call)
    if _hook not in sys.meta_path:
        sys.meta_path.insert(0, _hook)


# -- what integrations log with ------------------------------------------------------------

_MAX_PARAM = 6000  # characters, as MLflow cuts them: nobody has asked for these texts
_said: set[str] = set()


@contextlib.contextmanager
def quietly(name: str, options: AutologOptions) -> Iterator[None]:
    """Keep every failure in the block from the training; each is told once, as a log message."""
    try:
        yield
    except Exception as error:
        text = f"{name} autologging: {type(error).__name__}: {error}"
        if not options.silent and text not in _said:
            _said.add(text)
            _logger.warning("%s", text.splitlines()[0])
        _logger.debug("%s autologging failed", name, exc_info=True)


@contextlib.contextmanager
def run_for(name: str, options: AutologOptions) -> Iterator[str | None]:
    """The id of the run that a training is logged to; None when it is not to be logged.

    It is the active run, or else one that is started here and ends with the block, FAILED when
    an exception leaves it. With the option `exclusive` an active run is left alone.
    """
    from gitml.tracking import active

    current = active.current()
    if current is not None:
        yield None if options.exclusive else current.session.run_id
        return
    run_id = None
    with quietly(name, options):
        run_id = _started(name, options)
    try:
        yield run_id
    except BaseException:
        _ended(name, options, run_id, "FAILED")
        raise
    _ended(name, options, run_id, "FINISHED")


def _started(name: str, options: AutologOptions) -> str:
    from gitml.tracking import fluent

    tags = {**options.extra_tags, "mlflow.autologging": name}
    return fluent.start_run(tags=tags).info.run_id


def _ended(name: str, options: AutologOptions, run_id: str | None, status: str) -> None:
    from gitml.tracking.fluent import runs

    with quietly(name, options):
        if run_id is not None:
            runs.end(run_id, status)


def log_params(params: Mapping[str, Any], run_id: str) -> None:
    """Log params, long ones cut short; one that the run has already with another value stays."""
    from gitml.errors import UsageError
    from gitml.tracking import fluent
    from gitml.tracking.names import MAX_KEY

    cut = {str(key)[:MAX_KEY]: _cut(value, _MAX_PARAM) for key, value in params.items()}
    try:
        fluent.log_params(cut, run_id=run_id)
    except UsageError as first:
        for key, value in cut.items():
            with contextlib.suppress(UsageError):
                fluent.log_params({key: value}, run_id=run_id)
        raise first


def _cut(value: Any, limit: int) -> Any:
    if isinstance(value, (bool, int, float)) or value is None:
        return value
    text = str(value)
    return value if len(text) <= limit else text[:limit]
