"""Several waits at once, for results that are all needed."""

from collections.abc import Awaitable, Callable
from typing import TypeVar

import trio

from clipcut.errors import RenderError, SourceError

T = TypeVar("T")


async def gather(*jobs: Callable[[], Awaitable[T]]) -> list[T]:
    """Do all jobs at once and return their results in order.

    Raises:
        SourceError, RenderError: The first failure of a job; the others are cancelled then.
    """
    results: dict[int, T] = {}
    failures: list[SourceError | RenderError] = []

    async def do(index: int, job: Callable[[], Awaitable[T]]) -> None:
        try:
            results[index] = await job()
        except (SourceError, RenderError) as exc:
            failures.append(exc)
            nursery.cancel_scope.cancel()

    async with trio.open_nursery() as nursery:
        for index, job in enumerate(jobs):
            nursery.start_soon(do, index, job)
    if failures:
        raise failures[0]
    return [results[index] for index in range(len(jobs))]
