"""Frameworks are hooked when they are imported, and no failure of ours reaches a training."""

from __future__ import annotations

import importlib
import logging
import sys
import textwrap
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import gitml
from gitml.errors import UsageError
from gitml.tracking import autolog as hooks
from gitml.tracking.autolog import AutologOptions, quietly, run_for
from gitml.tracking.entities import Run

OPTIONS = AutologOptions()
FRAMEWORK = "a_framework"


class Integration:
    """An integration that notes what it is asked to do."""

    def __init__(self) -> None:
        self.installed: list[AutologOptions] = []
        self.uninstalled = 0

    def install(self, options: AutologOptions) -> Callable[[], None]:
        """Note it."""
        self.installed.append(options)
        return self.uninstall

    def uninstall(self) -> None:
        """Note that, too."""
        self.uninstalled += 1


@pytest.fixture(autouse=True)
def _no_integrations(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(hooks, "_integrations", {})
    monkeypatch.setattr(hooks, "_said", set())
    yield
    hooks._hook.waiting.clear()
    sys.modules.pop(FRAMEWORK, None)


@pytest.fixture
def framework(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A framework that can be imported and was not; its source file."""
    folder = tmp_path / "site"
    folder.mkdir()
    monkeypatch.syspath_prepend(str(folder))
    path = folder / f"{FRAMEWORK}.py"
    path.write_text("value = 1\n", encoding="utf-8")
    return path


@pytest.fixture
def integration() -> Integration:
    """A registered integration of the framework."""
    made = Integration()
    hooks.register("ours", made.install, FRAMEWORK)
    return made


def newest() -> Run:
    """The active run, else the one that ended last."""
    run = gitml.last_active_run()
    assert run is not None
    return run


# -- when integrations are installed -------------------------------------------------------


def test_installed_when_the_framework_is_imported(
    framework: Path, integration: Integration
) -> None:
    """An integration waits for its framework, and finds it complete."""
    seen = []

    def install(options: AutologOptions) -> Callable[[], None]:
        seen.append(sys.modules[FRAMEWORK].value)
        return lambda: None

    hooks.register("other", install, FRAMEWORK)
    hooks.autolog(log_models=False, extra_tags={"team": "a"})
    assert integration.installed == []
    module = importlib.import_module(FRAMEWORK)
    assert integration.installed == [AutologOptions(log_models=False, extra_tags={"team": "a"})]
    assert seen == [1]
    assert module.__spec__ is not None
    assert module.__spec__.origin == str(framework)
    assert "exec_module" not in vars(module.__spec__.loader)


def test_installed_at_once(framework: Path, integration: Integration) -> None:
    """An integration of a framework that was imported before is installed at once."""
    importlib.import_module(FRAMEWORK)
    hooks.autolog()
    assert integration.installed == [OPTIONS]


def test_import_that_fails_first(framework: Path, integration: Integration) -> None:
    """When an import fails, the integration waits for the one that succeeds."""
    hooks.autolog()
    framework.write_text("raise RuntimeError\n", encoding="utf-8")
    with pytest.raises(RuntimeError):
        importlib.import_module(FRAMEWORK)
    assert integration.installed == []
    framework.write_text("value = 12\n", encoding="utf-8")
    importlib.invalidate_caches()
    importlib.import_module(FRAMEWORK)
    assert len(integration.installed) == 1


def test_framework_that_does_not_exist(integration: Integration) -> None:
    """Waiting for a framework changes nothing about its absence."""
    hooks.autolog()
    for _ in range(2):
        with pytest.raises(ModuleNotFoundError):
            importlib.import_module(FRAMEWORK)


def test_framework_in_a_zip_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, integration: Integration
) -> None:
    """One loader may serve many modules: only the framework's import counts."""
    with zipfile.ZipFile(tmp_path / "site.zip", "w") as file:
        file.writestr(f"{FRAMEWORK}/__init__.py", f"from {FRAMEWORK} import part\n")
        file.writestr(f"{FRAMEWORK}/part.py", "value = 1\n")
    monkeypatch.syspath_prepend(str(tmp_path / "site.zip"))
    hooks.autolog()
    importlib.import_module(FRAMEWORK)
    assert sys.modules.pop(f"{FRAMEWORK}.part").value == 1
    assert len(integration.installed) == 1


def test_beside_another_import_hook(
    framework: Path, integration: Integration, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another hook that asks all finders, ours among them, does not make them go in circles."""

    class Other:
        def find_spec(self, name: str, path: Any = None, target: Any = None) -> Any:
            others = (finder for finder in sys.meta_path if finder is not self)
            return next(filter(None, (f.find_spec(name, path, target) for f in others)), None)

    hooks.autolog()
    monkeypatch.setattr(sys, "meta_path", [hooks._hook, Other(), *sys.meta_path])
    assert importlib.import_module(FRAMEWORK).value == 1
    assert len(integration.installed) == 1


# -- switching on and off ------------------------------------------------------------------


def test_disable(framework: Path, integration: Integration) -> None:
    """Disabled, an installed integration is taken out, and a waiting one is not installed."""
    hooks.autolog()
    hooks.autolog(disable=True)
    importlib.import_module(FRAMEWORK)
    assert integration.installed == []
    hooks.autolog()
    hooks.autolog(disable=True)
    hooks.autolog(disable=True)
    assert (len(integration.installed), integration.uninstalled) == (1, 1)


def test_new_options(framework: Path, integration: Integration) -> None:
    """Switched on again, an integration has the new options only."""
    importlib.import_module(FRAMEWORK)
    hooks.autolog()
    hooks.autolog(silent=True)
    assert integration.installed == [OPTIONS, AutologOptions(silent=True)]
    assert integration.uninstalled == 1


def test_own_options_stay(framework: Path, integration: Integration) -> None:
    """A framework's own call wins over the call for all, which still disables everything."""
    importlib.import_module(FRAMEWORK)
    mine = AutologOptions(log_datasets=False)
    hooks.turn_on("ours", mine, own=True)
    hooks.autolog()
    assert integration.installed == [mine]
    hooks.autolog(disable=True)
    assert integration.uninstalled == 1


def test_exclude_flavors(framework: Path, integration: Integration) -> None:
    """An excluded integration stays as it is."""
    importlib.import_module(FRAMEWORK)
    hooks.autolog(exclude_flavors=["ours"])
    assert integration.installed == []
    assert hooks.registered() == ("ours",)


def test_installing_fails(framework: Path, caplog: pytest.LogCaptureFixture) -> None:
    """An integration that can't be installed does not break the framework's import."""

    def install(options: AutologOptions) -> Callable[[], None]:
        raise AttributeError("a new version\nof the framework")

    hooks.register("ours", install, FRAMEWORK)
    hooks.autolog()
    assert importlib.import_module(FRAMEWORK).value == 1
    assert caplog.messages == ["a_framework autologging: AttributeError: a new version"]


# -- failures ------------------------------------------------------------------------------


def test_quietly(caplog: pytest.LogCaptureFixture) -> None:
    """A failure is told once, silently not at all, and what ends the process is not held back."""
    for _ in range(3):
        with quietly("ours", OPTIONS):
            raise ValueError("broken")
    with quietly("ours", AutologOptions(silent=True)):
        raise ValueError("unheard")
    with pytest.raises(KeyboardInterrupt), quietly("ours", OPTIONS):
        raise KeyboardInterrupt
    (record,) = caplog.records
    assert record.getMessage() == "ours autologging: ValueError: broken"
    assert record.levelno == logging.WARNING


# -- runs ----------------------------------------------------------------------------------


def test_run_is_started_and_ended(repo: Path) -> None:
    """Without an active run one is started, tagged and ended."""
    with run_for("ours", AutologOptions(extra_tags={"team": "a"})) as run_id:
        assert run_id is not None
        gitml.log_metric("m", 1)
    run = gitml.get_run(run_id)
    assert (run.info.status, run.data.metrics) == ("FINISHED", {"m": 1})
    assert (run.data.tags["team"], run.data.tags["mlflow.autologging"]) == ("a", "ours")
    assert gitml.active_run() is None


def test_training_that_fails(repo: Path) -> None:
    """An exception of the training goes on to the user, and the run that was started is FAILED."""
    with pytest.raises(ZeroDivisionError), run_for("ours", OPTIONS):
        raise ZeroDivisionError
    assert newest().info.status == "FAILED"


def test_active_run_is_used(repo: Path) -> None:
    """An active run is logged to and goes on; with `exclusive` it is left alone."""
    with gitml.start_run() as mine:
        with run_for("ours", OPTIONS) as run_id:
            assert run_id == mine.info.run_id
        with run_for("ours", AutologOptions(exclusive=True)) as run_id:
            assert run_id is None
        with pytest.raises(ZeroDivisionError), run_for("ours", OPTIONS):
            raise ZeroDivisionError
        assert gitml.active_run() is not None
    assert gitml.get_run(mine.info.run_id).info.status == "FINISHED"


def test_nowhere_to_record(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Without a repository the training goes on without a run."""
    monkeypatch.chdir(tmp_path)
    done = []
    with run_for("ours", OPTIONS) as run_id:
        done.append(run_id)
    assert done == [None]
    assert "git init" in caplog.text


def test_params(repo: Path) -> None:
    """Long params are cut; one that the run has with another value stays, the rest is logged."""
    with gitml.start_run() as run:
        gitml.log_param("a", 1)
        hooks.log_params(
            {"long": "x" * 7000, "k" * 300: 2, "f": 0.5, "none": None}, run.info.run_id
        )
        with pytest.raises(UsageError, match="'a' was already logged"):
            hooks.log_params({"a": 2, "b": 3}, run.info.run_id)
    params = gitml.get_run(run.info.run_id).data.params
    expected = {"a": "1", "b": "3", "long": "x" * 6000, "k" * 250: "2", "f": "0.5", "none": "None"}
    assert params == expected


def test_example_of_the_documentation(repo: Path, framework: Path) -> None:
    """The integration that docs/autolog.md shows works as it stands there."""
    text = (Path(__file__).parent.parent / "docs" / "autolog.md").read_text(encoding="utf-8")
    blocks = text.split("```python norun\n")[1:]
    code = next(part.split("```")[0] for part in blocks if "def install" in part)
    framework.write_text(
        "class Trainer:\n    def __init__(self, lr):\n        self.lr = lr\n"
        "    def train(self, data):\n        return {'loss': sum(data) * self.lr}\n",
        encoding="utf-8",
    )
    exec(textwrap.dedent(code), {})
    hooks.autolog()
    trainer = importlib.import_module(FRAMEWORK).Trainer(0.5)
    assert trainer.train([1, 2]) == {"loss": 1.5}
    run = newest()
    assert (run.data.params, run.data.metrics) == ({"lr": "0.5"}, {"loss": 1.5})
    hooks.autolog(disable=True)
    assert trainer.train([1]) == {"loss": 0.5}
    assert newest().info.run_id == run.info.run_id
