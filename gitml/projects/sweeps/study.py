"""The sampler and the pruner of a sweep: Optuna's, over a study that is in memory alone.

What it knows is what the trials say. The point of a trial depends on the seed, its number and the
trials before it, so that a sweep that was interrupted goes on as if it had not been.
"""

from __future__ import annotations

import math
import random
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

from gitml.errors import UsageError
from gitml.projects.sweeps import space
from gitml.projects.sweeps.plan import GRID, MAXIMIZE, RANDOM, Plan
from gitml.projects.sweeps.space import Range, Space
from gitml.projects.sweeps.trials import DONE, STOPPED, Trial


class Study:
    """The trials of one sweep as Optuna sees them. Raises UsageError where Optuna is missing."""

    def __init__(self, plan: Plan, searched: Space) -> None:
        self._optuna = _optuna()
        self._plan = plan
        self._space = space.varying(searched)
        self._distributions = {name: self._distribution(it) for name, it in self._space.items()}
        self._grid = space.grid(searched, plan.runs) if plan.sampler == GRID else []
        self._study = self._optuna.create_study(
            direction="maximize" if plan.goal == MAXIMIZE else "minimize",
            sampler=self._optuna.samplers.RandomSampler(0),
            pruner=self._optuna.pruners.MedianPruner(),
        )
        self._open: dict[int, Any] = {}
        self._reported: dict[int, int] = {}  # how many points of a trial are reported

    def _distribution(self, dimension: space.Dimension) -> Any:
        kinds = self._optuna.distributions
        if not isinstance(dimension, Range):
            return kinds.CategoricalDistribution(dimension.values)
        low, high, step = dimension.low, dimension.high, dimension.step
        if dimension.whole:
            return kinds.IntDistribution(int(low), int(high), dimension.log, int(step or 1))
        width = None if step is None else float(step)
        return kinds.FloatDistribution(float(low), float(high), dimension.log, width)

    def ask(self, number: int, params: Mapping[str, str] | None = None) -> dict[str, str]:
        """The parameters of the trial `number`: a new point, or the one that is given."""
        if params is None and self._grid:
            params = self._grid[number]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            if params is not None:
                self._study.enqueue_trial(self._inside(params))
            self._study.sampler = self._sampler(number)
            asked = self._study.ask(self._distributions)
        self._open[number] = asked
        return {name: self._text(name, value) for name, value in asked.params.items()}

    def _sampler(self, number: int) -> Any:
        seed = random.Random(f"{self._plan.seed} {number}").getrandbits(32)
        if self._plan.sampler == RANDOM:
            return self._optuna.samplers.RandomSampler(seed)
        return self._optuna.samplers.TPESampler(seed=seed, constant_liar=True)

    def _inside(self, params: Mapping[str, str]) -> dict[str, Any]:
        """Texts as the values that Optuna knows."""
        return {name: self._value(name, text) for name, text in params.items()}

    def _value(self, name: str, text: str) -> Any:
        dimension = self._space[name]
        if not isinstance(dimension, Range):
            return text
        return int(text) if dimension.whole else float(text)

    def _text(self, name: str, value: Any) -> str:
        dimension = self._space[name]
        return dimension.text(value) if isinstance(dimension, Range) else str(value)

    def is_hopeless(self, number: int, points: Sequence[tuple[int, float]]) -> bool:
        """Whether a trial with these steps and values so far should be stopped."""
        known = self._reported.get(number, 0)
        self._reported[number] = max(len(points), known)
        for step, value in points[known:]:
            self._open[number].report(value, step)
        return bool(points) and bool(self._open[number].should_prune())

    def tell(self, trial: Trial) -> None:
        """Take note of how a trial ended.

        Optuna drew numbers of more digits than the program got; it is told the latter, as it is
        when the sweep goes on.
        """
        self._study.tell(self._open.pop(trial.number), state=self._optuna.trial.TrialState.FAIL)
        self.recall(trial)

    def recall(self, trial: Trial) -> None:
        """Take note of a trial that has ended, perhaps before this study began."""
        states = self._optuna.trial.TrialState
        known = {DONE: states.COMPLETE, STOPPED: states.PRUNED}
        value = trial.value if trial.state == DONE else None
        if trial.state == STOPPED and trial.points:
            value = trial.points[-1][1]
        self._study.add_trial(
            self._optuna.trial.create_trial(
                state=known.get(trial.state, states.FAIL),
                value=value,
                params=self._inside(trial.params),
                distributions=self._distributions,
                intermediate_values=dict(trial.points),
            )
        )

    def importance(self) -> dict[str, float]:
        """How much of the metric's variance each parameter accounts for, largest first; sum 1.

        Empty where too few trials have a value to tell.
        """
        evaluator = self._optuna.importance.FanovaImportanceEvaluator(seed=0)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                found = self._optuna.importance.get_param_importances(
                    self._study, evaluator=evaluator
                )
        except (ValueError, RuntimeError):  # fewer than two values, or all are equal
            return {}
        shares = {name: float(share) for name, share in found.items()}
        return shares if all(map(math.isfinite, shares.values())) else {}


def _optuna() -> Any:
    try:
        import optuna
        import sklearn.ensemble  # noqa: F401 - Optuna tells a parameter's importance with it
    except ImportError:
        raise UsageError("a sweep needs Optuna; run: pip install 'gitml[sweep]'") from None
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    return optuna
