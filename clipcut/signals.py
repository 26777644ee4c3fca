"""Signals belong to the program: the first ends the work cleanly, the second ends at once."""

import os
import signal
import threading
from collections.abc import Awaitable, Callable
from typing import NoReturn, TypeVar

import trio

from clipcut.files import remove_temporaries

T = TypeVar("T")
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def _wanted() -> list[signal.Signals]:
    """Return the signals to watch: those that were not ignored at start; none where Python can't watch any."""
    if threading.current_thread() is not threading.main_thread():
        return []
    return [number for number in SIGNALS if signal.getsignal(number) is not signal.SIG_IGN]


def hear_no_hangup() -> None:
    """Let a SIGHUP pass by until ``until_signalled`` hears it: it means that something is read anew, which will be."""
    if threading.current_thread() is threading.main_thread() and signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
        signal.signal(signal.SIGHUP, lambda *_: None)


def _end_at_once(number: int) -> NoReturn:
    """Leave no temporary file where that can be had at once; children end as their guards see our pipes close."""
    remove_temporaries()
    os._exit(128 + number)


def _nobody_hangs_up() -> bool:
    return False


async def until_signalled(
    work: Callable[[], Awaitable[None]],
    conclude: Callable[[int | None], Awaitable[T]],
    hung_up: Callable[[], bool] = _nobody_hangs_up,
) -> T:
    """Do ``work``, cancelled at the first signal, then ``conclude``; a second signal, in either, ends the program.

    Args:
        work: What may be cancelled.
        conclude: What is done in any case, with the signal that ended the work, or None.
        hung_up: Told of each SIGHUP; returns whether it has another meaning than an end.

    Returns:
        What ``conclude`` returns.
    """
    first: int | None = None
    scope = trio.CancelScope()

    async def watch(wanted: list[signal.Signals], *, task_status: trio.TaskStatus[None]) -> None:
        nonlocal first
        with trio.open_signal_receiver(*wanted) as signals:
            task_status.started()
            async for number in signals:
                if number == signal.SIGHUP and hung_up():
                    continue
                if first is not None:
                    _end_at_once(number)
                first = number
                scope.cancel()

    async with trio.open_nursery() as nursery:
        if wanted := _wanted():
            await nursery.start(watch, wanted)
        with scope:
            await work()
        result = await conclude(first)
        nursery.cancel_scope.cancel()
    return result
