"""Fault points: where tests make a step of recording fail, to prove that nothing is lost.

`GITML_FAULT=point:action[:n]` acts on the n-th pass (by default the first) of `point`:
`kill` ends the process as SIGKILL would, `pause` sleeps for an hour, and `ENOSPC`, `EIO` or
another errno name raises that OSError; with `n` given as `n+`, on every pass from the n-th on,
as `n-m`, from the n-th to the m-th. Without the variable a point costs one comparison.
"""

from __future__ import annotations

import errno
import os
import signal
import time

POINTS = (
    "journal.open",
    "journal.create",
    "journal.append",
    "journal.sync",
    "stage.copy",
    "stage.note",
    "snapshot.index",
    "snapshot.tree",
    "snapshot.ref",
    "record.fold",
    "cache.add",
    "ledger.lock",
    "ledger.objects",
    "ledger.ref",
    "ledger.readback",
    "record.clean",
    "record.cleaned",
    "collect.file",
    "collect.journal",
    "collect.noted",
    "push.artifacts",
    "push.refs",
    "pull.merge",
    "pull.artifacts",
    "register.tag",
    "register.ref",
)

_point, _, _rest = os.environ.get("GITML_FAULT", "").partition(":")
_action, _, _number = _rest.partition(":")
_passes = 0


def hit(point: str) -> None:
    """Pass a fault point; does nothing unless GITML_FAULT names it."""
    if point == _point:
        _act()


def _is_due(passes: int) -> bool:
    first, is_range, last = (_number or "1").rstrip("+").partition("-")
    if is_range:
        return int(first) <= passes <= int(last)
    return passes == int(first) or (_number.endswith("+") and passes > int(first))


def _act() -> None:
    global _passes
    _passes += 1
    if not _is_due(_passes):
        return
    if _action == "kill":
        os.kill(os.getpid(), getattr(signal, "SIGKILL", signal.SIGTERM))
    elif _action == "pause":
        time.sleep(3600)
    else:
        number = getattr(errno, _action)
        raise OSError(number, os.strerror(number))
