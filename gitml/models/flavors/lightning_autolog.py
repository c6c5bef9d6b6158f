"""Autologging of PyTorch Lightning: what a Trainer's fit was given, and what came of it."""

from __future__ import annotations

import contextlib
import functools
import importlib
import sys
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from gitml.tracking.autolog import (
    AutologOptions,
    Uninstall,
    log_params,
    on_import,
    quietly,
    run_for,
)

NAME = "pytorch"
_PACKAGES = ("lightning.pytorch", "pytorch_lightning")
_STOPPING = ("monitor", "mode", "patience", "min_delta")
_SUMMARY = "model_summary.txt"
_CHECKPOINT = "restored_model_checkpoint"


def install(options: AutologOptions) -> Uninstall:
    """Change the Trainer of each Lightning, imported now or later; returns what undoes it."""
    undo = contextlib.ExitStack()
    stopped = threading.Event()

    def patch(package: str) -> None:
        if not stopped.is_set():
            with quietly(NAME, options):
                undo.callback(_patch(package, options))

    for package in _PACKAGES:
        on_import(package, functools.partial(patch, package))
    undo.callback(stopped.set)
    return undo.close


def _patch(package: str, options: AutologOptions) -> Uninstall:
    trainer = sys.modules[package].Trainer
    original = trainer.fit

    @functools.wraps(original)
    def fit(self: Any, *args: Any, **kwargs: Any) -> Any:
        if self.global_rank:  # another process of the same training logs it
            return original(self, *args, **kwargs)
        with run_for(NAME, options) as run_id:
            if run_id is None:
                return original(self, *args, **kwargs)
            return _Fit(package, self, run_id, options).around(original, args, kwargs)

    def uninstall() -> None:
        if trainer.fit is fit:
            trainer.fit = original

    trainer.fit = fit
    return uninstall


class _Fit:
    """One fit of a trainer, logged to a run."""

    def __init__(self, package: str, trainer: Any, run_id: str, options: AutologOptions):
        self.package = package
        self.trainer = trainer
        self.run_id = run_id
        self.options = options
        self.seen: tuple[Any, Any] | None = None  # the first input and output of the model
        self.step_metrics: set[str] = set()
        self._hook: Any = None

    def around(
        self, fit: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]
    ) -> Any:
        """Fit as asked, watched by a callback that is taken out again."""
        watcher = None
        with self.quietly():
            watcher = self._watcher()
            self.trainer.callbacks.append(watcher)
        try:
            result = fit(self.trainer, *args, **kwargs)
        finally:
            if watcher in self.trainer.callbacks:
                self.trainer.callbacks.remove(watcher)
            if self._hook is not None:
                self._hook.remove()
        for log in (self._log_stopping, self._log_summary, self._log_model):
            with self.quietly():
                log()
        return result

    def quietly(self) -> contextlib.AbstractContextManager[None]:
        return quietly(NAME, self.options)

    def _watcher(self) -> Any:
        watched = self

        class Watcher(sys.modules[self.package].Callback):  # type: ignore[misc]
            def on_train_start(self, trainer: Any, pl_module: Any) -> None:
                with watched.quietly():
                    watched.start(pl_module)

            def on_train_batch_end(self, trainer: Any, pl_module: Any, *args: Any) -> None:
                with watched.quietly():
                    watched.end_step()

            def on_train_epoch_end(self, trainer: Any, pl_module: Any) -> None:
                with watched.quietly():
                    watched.end_epoch()

        return Watcher()

    # -- while it trains ---------------------------------------------------------------------

    def start(self, module: Any) -> None:
        """Log params; look at what the model is first given."""
        from gitml.tracking import fluent

        fluent.set_tags({"Mode": "training"}, run_id=self.run_id)
        if self.options.log_models and self.options.log_model_signatures:
            self._hook = module.register_forward_hook(self._see)
        params = {"epochs": self.trainer.max_epochs}
        for optimizer in self.trainer.optimizers[:1]:
            optimizer = getattr(optimizer, "_optimizer", optimizer)  # Lightning may wrap it
            params["optimizer_name"] = type(optimizer).__name__
            params |= optimizer.defaults
        if self._stopping is not None:
            params |= {name: getattr(self._stopping, name) for name in _STOPPING}
        log_params(params, self.run_id)

    def _see(self, module: Any, inputs: tuple[Any, ...], output: Any) -> None:
        with self.quietly():
            if self.seen is None and len(inputs) == 1 and hasattr(output, "detach"):
                self.seen = tuple(it.detach().cpu().numpy() for it in (inputs[0], output))
            self._hook.remove()

    def end_step(self) -> None:
        """Log the metrics of a step."""
        every = self.options.more.get("log_every_n_step")
        if not every or self.trainer.global_step % every:
            return
        found = self.trainer.callback_metrics
        metrics = {
            name: value
            for name, value in found.items()
            if f"{name}_step" not in found and not name.endswith("_epoch")
        }
        self.step_metrics |= set(metrics)
        self._log(metrics, self.trainer.global_step)

    def end_epoch(self) -> None:
        """Log the metrics of an epoch that are not those of steps."""
        if (self.trainer.current_epoch + 1) % self.options.more.get("log_every_n_epoch", 1) == 0:
            found = self.trainer.callback_metrics.items()
            metrics = {name: value for name, value in found if name not in self.step_metrics}
            self._log(metrics, self.trainer.current_epoch)

    def _log(self, metrics: Mapping[str, Any], step: int) -> None:
        from gitml.tracking import fluent

        values = {name: float(value) for name, value in metrics.items()}
        fluent.log_metrics(values, step=step, run_id=self.run_id)

    # -- when it has trained -----------------------------------------------------------------

    @property
    def _stopping(self) -> Any:
        kind = sys.modules[self.package].callbacks.EarlyStopping
        return next((it for it in self.trainer.callbacks if isinstance(it, kind)), None)

    def _log_stopping(self) -> None:
        from gitml.tracking import fluent

        stopping = self._stopping
        if stopping is None or not stopping.stopped_epoch:
            return
        metrics = {
            "stopped_epoch": stopping.stopped_epoch,
            "restored_epoch": stopping.stopped_epoch - max(1, stopping.patience),
            "best_score": float(stopping.best_score),
            "wait_count": stopping.wait_count,
        }
        fluent.log_metrics(metrics, run_id=self.run_id)

    def _log_summary(self) -> None:
        from gitml.tracking import fluent

        module = importlib.import_module(f"{self.package}.utilities.model_summary")
        summary = module.ModelSummary(self.trainer.lightning_module, max_depth=-1)
        fluent.log_text(str(summary), _SUMMARY, run_id=self.run_id)

    def _log_model(self) -> None:
        from gitml.models import flavor as flavors
        from gitml.models.log import log_model
        from gitml.models.signature import infer_signature
        from gitml.tracking import fluent

        if not self.options.log_models:
            return
        signature: Any = infer_signature(*self.seen) if self.seen else False
        name = self.options.more.get("registered_model_name")
        common = {"signature": signature, "run_id": self.run_id, "registered_model_name": name}
        log_model(flavors.flavor(NAME), self.trainer.lightning_module, "model", common, {})
        best = getattr(self.trainer.checkpoint_callback, "best_model_path", "")
        if self._stopping is not None and best and Path(best).is_file():
            fluent.log_artifact(best, _CHECKPOINT, run_id=self.run_id)
