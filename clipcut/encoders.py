"""A place for an FFmpeg, with word of the wait for it."""

import contextlib
from collections.abc import AsyncIterator

from clipcut.events import Listener, Stage
from clipcut.limits import Limits
from clipcut.plan import Edit, Method


@contextlib.asynccontextmanager
async def encoder_place(
    limits: Limits, listener: Listener, edit: Edit, method: Method, stage: Stage = Stage.ENCODE
) -> AsyncIterator[None]:
    """Wait for one of the encoder places, and hold it inside the block; ``stage`` is what is told then."""
    listener.clip_stage(edit, method, Stage.WAIT)
    async with limits.encoders:
        listener.clip_stage(edit, method, stage)
        yield
