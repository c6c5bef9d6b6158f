"""Searching runs: MLflow's filter language and orders, with OR, NOT and parentheses.

    metrics.auc > 0.9 AND (params.model LIKE 'xgb%' OR tags.team IN ('a', 'b'))
    metrics.loss.min < 0.1 AND NOT status = 'FAILED' AND start_time > '2026-01-31'

A filter or an order is parsed once into values, and then either becomes SQL for the index or is
asked of one run directly; both give the same answer. The rules, MLflow's unless it has none:

- A comparison with a key that the run does not have is false, `!=` and NOT IN too. NOT turns the
  answer of its term around, so `NOT metrics.x > 1` also finds runs without `x`.
- `params.x = '5'` compares `str(value)`, `params.x > 5` and `params.x = 5` compare numbers; text
  that is written as a number counts as one, True and False do not.
- `datasets.name != 'a'` is true when any dataset of the run has another name.
- NaN equals only NaN (`metrics.loss = NaN` finds runs that diverged).
- Orders put numbers before text before NaN before runs without the key, whatever the direction;
  what is still equal comes newest first, then by run id.
"""

from gitml.tracking.search.expressions import And as And
from gitml.tracking.search.expressions import Comparison as Comparison
from gitml.tracking.search.expressions import Filter as Filter
from gitml.tracking.search.expressions import Key as Key
from gitml.tracking.search.expressions import Not as Not
from gitml.tracking.search.expressions import Or as Or
from gitml.tracking.search.expressions import Order as Order
from gitml.tracking.search.facts import Facts as Facts
from gitml.tracking.search.facts import facts as facts
from gitml.tracking.search.match import matches as matches
from gitml.tracking.search.match import rank as rank
from gitml.tracking.search.syntax import parse_filter as parse_filter
from gitml.tracking.search.syntax import parse_order as parse_order
