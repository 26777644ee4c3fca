"""A place for an FFmpeg, with word of the wait for it, and a core of its own where all of them are wanted.

FFmpeg has a thread for each step: reading, decoding, filters, encoder. Where every core has an FFmpeg, the system moves
these to and fro, and with them what is in the caches: bound to one core each they take 4 % less time.
"""

import contextlib
import os
from collections.abc import AsyncIterator, Callable

from clipcut.events import Stage
from clipcut.limits import Limits


def own_cores(cores: int) -> tuple[int, ...]:
    """Return the cores that FFmpegs may be bound to: all that this process may use, by their numbers.

    There are none where the system can't do that, or where a quota makes it fewer cores than there are: others would
    choose the same ones.

    Args:
        cores: How many FFmpegs are at work at once at the most.
    """
    if cores < 2 or not hasattr(os, "sched_getaffinity"):
        return ()
    usable = sorted(os.sched_getaffinity(0))
    return tuple(usable) if len(usable) == cores else ()


@contextlib.asynccontextmanager
async def encoder_place(
    limits: Limits, tell: Callable[[Stage], object], *, stage: Stage = Stage.ENCODE, unfinished: int = 0
) -> AsyncIterator[int | None]:
    """Wait for one of the encoder places, and hold it inside the block.

    Args:
        limits: Whose places.
        tell: Is told of the wait, and then of ``stage``.
        stage: What is done in it.
        unfinished: How many clips are not done, this one counted; 0 if that doesn't matter.

    Yields:
        The number of the core that the FFmpeg should be bound to; None for any.
    """
    tell(Stage.WAIT)
    async with limits.encoders:
        tell(stage)
        core = limits.take_core() if unfinished >= limits.cores else None
        try:
            yield core
        finally:
            if core is not None:
                limits.give_core(core)
