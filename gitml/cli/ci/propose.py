"""`gitml ci propose`."""

from __future__ import annotations

from pathlib import Path

import click

from gitml.ci import proposing, settings
from gitml.cli import output
from gitml.cli.here import here
from gitml.cli.progress import progress_stages
from gitml.cli.registry.promote import tell
from gitml.errors import UsageError
from gitml.tracking import bundling, store


@click.command()
@click.argument("run", metavar="[RUN]", required=False)
@click.option(
    "--from-bundle", "bundle", metavar="FILE", type=click.Path(exists=True, path_type=Path),
    help="The run that a bundle has, which was pushed already.",
)  # fmt: skip
def propose(run: str | None, bundle: Path | None) -> None:
    """Register the model of RUN and propose it for a stage, if it is good enough.

    Which model and stage, and what is good enough, is said in gitml.yaml: `ci`, `train`, `propose`.
    Where a condition does not hold, that is told, and nothing is registered.
    """
    place = here()
    wish = proposing.wish_of(settings.proposal(place))
    if (run is None) == (bundle is None):
        raise UsageError("name a run, or a bundle that has one: --from-bundle FILE")
    if bundle is not None:
        with bundling.read(place, bundle) as arrived:
            run = bundling.top(arrived).run_id
    record = store.record(place, store.resolve(place, str(run)))
    with progress_stages() as progress:
        done = proposing.propose(place, record, wish, progress)
    for verdict in done.verdicts:
        output.say(f"{'ok' if verdict.passed else 'no'}  {verdict.gate}: {verdict.why}")
    if done.version is not None and done.promotion is not None:
        output.say(str(done.version.tag))
        tell(done.promotion)
    else:
        output.remark("not proposed")
