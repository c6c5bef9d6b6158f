"""`gitml agent`."""

from __future__ import annotations

import re
import signal

import click

from gitml.cli import output
from gitml.cli.here import here
from gitml.deploy import telling
from gitml.deploy.agent import Agent, clone
from gitml.errors import UsageError, shown

_INTERVAL = re.compile(r"(\d{1,6}(?:\.\d{1,3})?)(s|m|h)?", re.ASCII)
_SECONDS = {"": 1.0, "s": 1.0, "m": 60.0, "h": 3600.0}


def seconds(text: str) -> float:
    """A length of time such as 30s, 5m or 1h; UsageError for anything else."""
    found = _INTERVAL.fullmatch(text)
    value = float(found[1]) * _SECONDS[found[2] or ""] if found else 0.0
    if not 1.0 <= value <= 86400.0:
        raise UsageError(f"--interval {shown(text)} is no time from 1s to 24h, such as 30s")
    return value


@click.command()
@click.option("--remote", metavar="URL", help="The repository; by default that of this folder.")
@click.option("--interval", default="30s", show_default=True, metavar="TIME", help="Between looks.")
@click.option("--host", default="127.0.0.1", show_default=True, help="Where it tells of itself.")
@click.option(
    *("--port", "-p"),
    type=click.IntRange(0, 65535),
    default=9469,
    show_default=True,
    help="0: any that is free.",
)
def agent(remote: str | None, interval: str, host: str, port: int) -> None:
    """Keep what runs on this machine as the main branch says, until stopped.

    It looks at the remote, verifies tags and bytes, and deploys. /status, /metrics and /ping tell
    how that goes. What it deployed goes on when it ends.
    """
    pause = seconds(interval)
    find = here if remote is None else lambda: clone(remote)
    find()
    worker = Agent(find, pause, output.remark)
    server = telling.serve(host, port, lambda: worker.report, late=max(3 * pause, 120.0))
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: worker.stop())
    output.say(f"http://{host}:{server.server_address[1]}/status")
    worker.run()
    server.shutdown()
