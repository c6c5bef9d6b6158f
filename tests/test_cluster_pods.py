"""What is read from a pod's status and its log."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gitml.clusters import Log, pod_of
from gitml.clusters.pods import Ended


def pod(**status: Any) -> dict[str, Any]:
    """A pod as the cluster tells of it."""
    metadata = {"name": "p", "creationTimestamp": "2026-01-01T00:00:00Z"}
    return {"metadata": metadata, "status": status}


def state(name: str = "run", **state: Any) -> list[dict[str, Any]]:
    """The state of a container."""
    return [{"name": name, "state": state}]


@pytest.mark.parametrize(
    ("status", "ended"),
    [
        ({"phase": "Succeeded"}, Ended(0)),
        ({"phase": "Running", "containerStatuses": state(running={})}, None),
        (
            {"phase": "Failed", "containerStatuses": state(terminated={"exitCode": 2})},
            Ended(2),
        ),
        (
            {
                "phase": "Failed",
                "containerStatuses": state(
                    terminated={"exitCode": 128, "reason": "StartError", "message": "no\n/bin/sh"}
                ),
            },
            Ended(128, "StartError: no /bin/sh"),
        ),
        (
            {
                "phase": "Failed",
                "containerStatuses": state(
                    terminated={"exitCode": 1, "reason": "Error", "message": "gitml: out of memory"}
                ),
            },
            Ended(1, out_of_memory=True),
        ),
        (
            {
                "phase": "Failed",
                "conditions": [
                    {
                        "type": "DisruptionTarget",
                        "status": "True",
                        "reason": "PreemptionByScheduler",
                    }
                ],
                "containerStatuses": state(terminated={"exitCode": 143}),
            },
            Ended(143, "PreemptionByScheduler", was_taken=True),
        ),
        (
            {
                "phase": "Failed",
                "initContainerStatuses": state(
                    "fetch", terminated={"exitCode": 1, "reason": "Error"}
                ),
            },
            Ended(None, "its init container fetch ended with 1 (Error)"),
        ),
        ({"phase": "Failed"}, Ended(None, "the cluster does not say why")),
        ({}, None),
    ],
)
def test_how_a_pod_ended(status: dict[str, Any], ended: Ended | None) -> None:
    """By its own container, whatever stands beside it, or by what the cluster did to it."""
    assert pod_of(pod(**status), "run").ended == ended


def test_a_container_beside_it_says_nothing() -> None:
    """What counts is the first container, by its name."""
    both = [*state("side", terminated={"exitCode": 1}), *state(running={"startedAt": "x"})]
    found = pod_of(pod(phase="Running", containerStatuses=both), "run")
    assert (found.has_started, found.ended) == (True, None)


def test_what_is_usual_before_a_start_is_not_said() -> None:
    """A container is made, an image is pulled."""
    waiting = {"waiting": {"reason": "ContainerCreating"}}
    found = pod_of(pod(phase="Pending", containerStatuses=state(**waiting)), "run")
    assert (found.waits_for, found.has_started, found.is_stuck) == ("", False, False)


LINES = [
    b"2026-01-01T00:00:00.1Z a\n",
    b"2026-01-01T00:00:00.1Z a\n",
    b"2026-01-01T00:00:00.05Z b\n",  # of the other stream: it was a little earlier
    b"2026-01-01T00:00:01Z \n",
    b"2026-01-01T00:00:02.5Z d e\n",
    b"2026-01-01T00:00:03Z end",
]


@given(st.lists(st.integers(0, sum(map(len, LINES))), max_size=5))
def test_a_log_is_whole_wherever_it_breaks_off(cuts: list[int]) -> None:
    """Each line comes once, in order, without its time."""
    said: list[bytes] = []
    log, whole = Log(said.append), b"".join(LINES)
    for cut in cuts:
        log.read([whole[:cut]], is_over=False)
    log.read([whole[:9], whole[9:]], is_over=True)
    assert said == [b"a\n", b"a\n", b"b\n", b"\n", b"d e\n", b"end"]


def test_a_log_whose_beginning_is_gone_goes_on() -> None:
    """A node keeps so much of a log only."""
    said: list[bytes] = []
    log = Log(said.append)
    log.read(LINES[:4], is_over=False)
    log.read(LINES[4:], is_over=True)
    assert said[-2:] == [b"d e\n", b"end"]


def test_what_has_no_time_is_passed_on() -> None:
    """A node's own complaint, say."""
    said: list[bytes] = []
    Log(said.append).read([b"unable to retrieve container logs\n"], is_over=True)
    assert said == [b"unable to retrieve container logs\n"]
