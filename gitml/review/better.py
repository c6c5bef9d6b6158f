"""Whether more or less of a metric is better, told by its name. Pure."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence

HIGHER, LOWER = "higher", "lower"

_WORDS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")
_LOWER = frozenset(
    """loss losses error errors err mse rmse mae mape smape msle rmsle rmsse nll bce ce crossentropy
    perplexity ppl wer cer ter eer ece fid kid lpips brier regret cost costs penalty divergence kl
    entropy deviance distance residual residuals aic bic hamming pinball fpr fnr fdr misses
    time times seconds minutes ms duration latency delay bytes memory rss size flops
    params rank""".split()
)
_LOWER_ENDINGS = ("loss", "error", "deviance", "perplexity", "latency")
_NEITHER = frozenset(
    """lr rate step steps epoch epochs iteration iterations iter batch batches seed count counts n
    num rows samples examples tokens support threshold timestamp weight weights grad gradient norm
    depth leaves trees""".split()
)
_RATES = frozenset(("learning", "dropout", "decay"))
_SPREADS = frozenset(("std", "stddev", "var", "variance"))  # how sure a figure is, not how good


def better(name: str) -> str | None:
    """`higher` or `lower` for a metric of that name, None when neither is better by itself."""
    words = [word.lower() for word in _WORDS.findall(name)]
    if name.startswith("system/") or not words:
        return None
    if words[0] == "neg" or "negative" in words:
        return HIGHER
    if words[0] in _SPREADS or words[-1] in _SPREADS:
        return None
    if any(word in _LOWER or word.endswith(_LOWER_ENDINGS) for word in words):
        return LOWER
    if words[-1] in _NEITHER and (words[-1] != "rate" or words[0] in _RATES):
        return None
    return HIGHER


def best(name: str, values: Sequence[float | None]) -> int | None:
    """Which of the values is the best; None when that can't be told, or all are the same."""
    known = [v for v in values if v is not None and not math.isnan(v)]
    wanted = better(name)
    if wanted is None or len(known) < 2 or min(known) == max(known):
        return None
    return list(values).index(max(known) if wanted == HIGHER else min(known))
