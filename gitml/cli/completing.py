"""What a shell completes: experiments, keys of metrics, and paths of artifacts."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import click
from click.shell_completion import CompletionItem

from gitml.cli.here import here
from gitml.tracking import store

Complete = Callable[[click.Context, click.Parameter, str], list[CompletionItem]]
_MOST = 200
_SPECIAL = set(" '\"$`\\;|&")  # what a shell would take for something else


def _among(words: Callable[[click.Context], Iterable[str]]) -> Complete:
    """Complete with those of `words` that begin so; with nothing when they can't be read."""

    def complete(
        ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        try:
            found = [word for word in words(ctx) if word.startswith(incomplete)]
        except Exception:
            return []  # a message would end up in the line that is being typed
        fit = (word for word in found if word.isprintable() and not set(word) & _SPECIAL)
        return [CompletionItem(word) for word in sorted(fit)[:_MOST]]

    return complete


def _artifacts(ctx: click.Context) -> Iterable[str]:
    """The artifacts of the run that the line names, and their folders."""
    place = here()
    paths = store.record(place, store.resolve(place, ctx.params["run"])).artifacts
    return {"/".join(path.split("/")[:depth]) for path in paths for depth in _depths(path)}


def _depths(path: str) -> range:
    return range(1, path.count("/") + 2)


EXPERIMENT = _among(lambda ctx: [item.name for item in store.experiments(here())])
METRIC = _among(lambda ctx: store.index(here()).metric_keys())
ARTIFACT = _among(_artifacts)
