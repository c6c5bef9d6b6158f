"""What one client can't take from the others: memory, time, and places in the queue."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

import pytest

from gitml.models.serving.bodies import Bodies, GoneError
from gitml.models.serving.limits import Limits
from gitml.models.serving.pool import Pool
from gitml.models.serving.refused import CODES, MAX_MESSAGE, RefusedError, bounded

SMALL = Limits(body=1000, body_seconds=0.2, seconds=0.2, waiting=1, threads=1)


def receiver(pieces: Iterable[bytes], *, ends: bool = True) -> Callable[[], Awaitable[Any]]:
    """What gives the pieces of a body one by one; without an end the client then falls silent."""
    left = list(pieces)

    async def receive() -> Any:
        if left:
            return {
                "type": "http.request",
                "body": left.pop(0),
                "more_body": bool(left) or not ends,
            }
        await asyncio.Event().wait()

    return receive


async def read(bodies: Bodies, receive: Any, length: int | None = None) -> bytes:
    """A body, at once let go."""
    async with bodies.body(receive, length) as body:
        return body


def test_a_body_arrives_in_pieces() -> None:
    """The pieces of a body are put together, and none is needed."""
    bodies = Bodies(SMALL)
    assert asyncio.run(read(bodies, receiver([b"a", b"", b"bc"]))) == b"abc"
    assert asyncio.run(read(bodies, receiver([b""]))) == b""
    assert asyncio.run(read(bodies, receiver([b"x" * 1000]))) == b"x" * 1000


@pytest.mark.parametrize("length", [None, 1001])
def test_a_body_that_is_too_large_is_refused(length: int | None) -> None:
    """It is refused by what it says, or as soon as it has more; the connection is closed."""
    with pytest.raises(RefusedError, match="more than 1000 bytes") as caught:
        asyncio.run(read(Bodies(SMALL), receiver([b"x" * 600] * 2), length))
    assert caught.value.status == 413
    assert caught.value.headers["Connection"] == "close"


def test_an_endless_body_is_not_read_to_its_end() -> None:
    """What is too large is drained for a while, and not for ever."""
    count = 0

    async def receive() -> Any:
        nonlocal count
        count += 1
        return {"type": "http.request", "body": b"x" * 100, "more_body": True}

    with pytest.raises(RefusedError):
        asyncio.run(read(Bodies(SMALL), receive))
    assert count <= 100


def test_a_body_that_is_too_slow_is_refused() -> None:
    """A client that falls silent in the middle is told so, and the connection is closed."""
    with pytest.raises(RefusedError, match=r"did not arrive within 0\.2 s") as caught:
        asyncio.run(read(Bodies(SMALL), receiver([b"a"], ends=False)))
    assert caught.value.status == 408
    assert caught.value.headers["Connection"] == "close"


def test_a_client_that_goes_is_let_go() -> None:
    """A request whose client is gone has no answer."""

    async def receive() -> Any:
        return {"type": "http.disconnect"}

    with pytest.raises(GoneError):
        asyncio.run(read(Bodies(SMALL), receive))


def test_all_bodies_together_have_a_bound() -> None:
    """When many bodies are held at once, the next one is sent away until some are let go."""

    async def scenario() -> None:
        bodies, release = Bodies(SMALL), asyncio.Event()

        async def hold() -> None:
            async with bodies.body(receiver([b"x" * 1000]), 1000):
                await release.wait()

        held = [asyncio.create_task(hold()) for _ in range(4)]
        await asyncio.sleep(0.01)
        with pytest.raises(RefusedError) as caught:
            await read(bodies, receiver([b"x"]))
        assert caught.value.status == 503
        assert caught.value.headers["Retry-After"]
        release.set()
        await asyncio.gather(*held)
        assert await read(bodies, receiver([b"x"])) == b"x"

    asyncio.run(scenario())


def test_a_body_is_let_go_whatever_happens() -> None:
    """Bodies that were refused, slow or cut off take no room afterwards."""

    async def scenario() -> None:
        bodies = Bodies(SMALL)
        for _ in range(10):
            with pytest.raises(RefusedError):
                await read(bodies, receiver([b"x" * 600] * 2))
        with pytest.raises(RefusedError):
            await read(bodies, receiver([b"x" * 900], ends=False))
        assert len(await read(bodies, receiver([b"x" * 1000]))) == 1000

    asyncio.run(scenario())


# -- predictions ---------------------------------------------------------------------------


def rest(pool: Pool) -> None:
    """Wait until no thread is at work."""
    while pool.is_busy():
        time.sleep(0.01)


def test_work_has_a_result_or_an_error() -> None:
    """What the work returns or raises comes out."""
    pool = Pool(SMALL)
    assert asyncio.run(pool.run(lambda: 5)) == 5
    with pytest.raises(ZeroDivisionError):
        asyncio.run(pool.run(lambda: 1 // 0))
    pool.close()


def test_work_that_takes_too_long_is_given_up() -> None:
    """The client is told in time; the thread is taken until it is done, then it is free."""
    pool, go = Pool(SMALL), threading.Event()
    with pytest.raises(RefusedError, match=r"more than 0\.2 s") as caught:
        asyncio.run(pool.run(go.wait))
    assert caught.value.status == 504
    go.set()
    rest(pool)
    assert asyncio.run(pool.run(lambda: 5)) == 5
    pool.close()


def test_without_a_free_thread_nothing_waits() -> None:
    """When all threads work for longer than they may, requests are sent away at once."""
    pool, go = Pool(SMALL), threading.Event()
    with pytest.raises(RefusedError):
        asyncio.run(pool.run(go.wait))
    assert pool.is_stuck()
    with pytest.raises(RefusedError, match="the model hangs") as caught:
        asyncio.run(pool.run(lambda: 5))
    assert caught.value.status == 503
    go.set()
    rest(pool)
    assert not pool.is_stuck()
    pool.close()


def test_the_queue_is_bounded() -> None:
    """Beyond one that is worked on and one that waits, requests are sent away at once."""
    pool, go = Pool(SMALL), threading.Event()

    async def scenario() -> list[Any]:
        waiting = [asyncio.create_task(pool.run(go.wait)) for _ in range(3)]
        done, _ = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        go.set()
        await asyncio.wait(waiting)
        return [task.exception() for task in done]

    (error,) = asyncio.run(scenario())
    assert isinstance(error, RefusedError)
    assert error.status == 503
    assert error.headers["Retry-After"] == "1"
    pool.close()


def test_what_nobody_waits_for_any_more_does_not_begin() -> None:
    """Work that was given up while it waited leaves the queue."""
    pool, go, ran = Pool(SMALL), threading.Event(), threading.Event()

    async def scenario() -> None:
        first = asyncio.create_task(pool.run(go.wait))
        second = asyncio.create_task(pool.run(ran.set))
        await asyncio.wait([first, second])
        assert [task.exception().status for task in (first, second)] == [504, 504]  # type: ignore[union-attr]

    asyncio.run(scenario())
    go.set()
    rest(pool)
    assert asyncio.run(pool.run(lambda: 5)) == 5
    assert not ran.is_set()
    pool.close()


# -- refusals ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "message", ["a" * 5000, "é" * 5000, "☃" * 3000, '"' * 3000, "\\" * 3000, "\n\x1b[31m" * 900]
)
def test_a_refusal_is_short(message: str) -> None:
    """However long a message is, the answer has at most 1 kB and no control characters."""
    body = RefusedError(message).body()
    assert len(body) <= 1000
    assert bounded(message).isprintable()
    assert len(bounded(message).encode()) <= MAX_MESSAGE


def test_every_status_has_a_code() -> None:
    """A refusal without a code of its own has that of its status."""
    for status, code in CODES.items():
        assert RefusedError("x", status).code == code
