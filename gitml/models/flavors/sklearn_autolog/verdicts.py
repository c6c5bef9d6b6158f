"""Logging how a model was judged: the metric, the data of context `eval`, and what was called.

While the run goes on each is logged at once, except metric_info.json, which is written when the run
ends. To a run that has ended a metric brings everything with it: one change of its record.
"""

from __future__ import annotations

from dataclasses import dataclass
from io import BytesIO
from typing import Any

from gitml.models.flavors.sklearn_autolog.evaluation import INFO, Judged
from gitml.tracking.record import Dataset
from gitml.tracking.session import Session

CONTEXT = "eval"


@dataclass(frozen=True, slots=True)
class Prediction:
    """What a model was asked: the data, and what they are called."""

    judged: Judged
    name: str
    data: Any


@dataclass(slots=True)
class Info:
    """Goes along with a live run, and logs its metric_info.json at the end."""

    session: Session
    judged: Judged

    def finish(self) -> None:
        """Write down what was called."""
        with self.judged.training.quietly():
            log_info(self.session, self.judged)


def log_metric(known: Prediction, metric: str, value: float, text: str) -> None:
    """Log a metric, which the call `text` computed, to the run of the model; its data, too."""
    from gitml.tracking import active, values
    from gitml.tracking.fluent.runs import session_of
    from gitml.tracking.session import now_ms

    judged, data = known.judged, None
    if judged.training.options.log_datasets:
        with judged.training.quietly():
            data = _described(known)
    name = judged.metric_name(metric, known.name)
    judged.info[name] = text
    run = active.of_id(judged.run_id)
    with session_of(judged.run_id) as session:
        session.metric(name, values.check_metric_value(name, value), 0, now_ms())
        _log_data(session, known, data)
        if run is None:
            log_info(session, judged)
        elif not any(isinstance(it, Info) and it.judged is judged for it in run.companions):
            run.companions.append(Info(session, judged))


def log_data_of_live_run(known: Prediction) -> None:
    """Log the data of a prediction; to a run that has ended only a metric brings them."""
    from gitml.tracking import active

    if not known.judged.training.options.log_datasets:
        return
    if (run := active.of_id(known.judged.run_id)) is not None:
        _log_data(run.session, known, _described(known))


def _described(known: Prediction) -> Dataset | None:
    """The data as an input of a run; None when they are one already, or no data."""
    from gitml.tracking.datasets import describe

    if known.data is None or isinstance(known.data, str) or known.judged.inputs.get(known.data):
        return None
    return describe(known.data, context=CONTEXT)


def _log_data(session: Session, known: Prediction, data: Dataset | None) -> None:
    from gitml.tracking.session import dataset_document

    if data is not None:
        session.dataset(dataset_document(data))
        known.judged.inputs.put(known.data, True)


def log_info(session: Session, judged: Judged) -> None:
    """Log metric_info.json, of which a later one takes the place."""
    from gitml.tracking.media import dict_bytes

    text = dict_bytes(dict(sorted(judged.info.items())), INFO)
    session.artifacts([(BytesIO(text), INFO)])
