"""Which stages are to be deployed, so that a workflow has a job for each of these only."""

from __future__ import annotations

from gitml.deploy import reconcile, wanted
from gitml.deploy.reconcile import FAILED, WOULD, Outcome, Wish
from gitml.tracking.place import Place


def stages(place: Place) -> list[str]:
    """The stages in which something is to be done, or can't be told, in the order of gitml.yaml.

    A stage that can't be told is one of them, so that its own job says why. Raises as `wanted`.
    """
    done = reconcile.deploy(place, wanted.wanted(place), Wish(dry_run=True), _hush, _hush)
    return list(dict.fromkeys(it.before.deployment.stage for it in done if it.done in _DUE))


_DUE = (WOULD, FAILED)


def _hush(said: str | Outcome) -> None:
    pass
