"""Work that several clips wait for, done once, in a task of its own: cancelling one clip leaves the others theirs."""

from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

import attrs
import trio

from clipcut.errors import RenderError, SourceError
from clipcut.events import Retry, Told

T = TypeVar("T")


@attrs.define(eq=False)
class _Run(Generic[T]):
    """One go at the work: who waits for it (or waited for it to its end), and what became of it."""

    waiting: list[Told] = attrs.field(factory=list)
    scope: trio.CancelScope = attrs.field(factory=trio.CancelScope)
    done: trio.Event = attrs.field(factory=trio.Event)
    value: T | None = None
    failure: SourceError | RenderError | None = None

    def told(self, retry: Retry) -> None:
        """Tell the first of those who wait, so that a retry counts once."""
        if self.waiting:
            self.waiting[0](retry)

    def outcome(self, *, is_known: bool) -> T:
        """Return the value or raise the failure; a copy of it, as one exception in several tasks would mix traces."""
        if isinstance(self.failure, SourceError):
            raise self.failure.again(is_known=is_known)
        if self.failure is not None:
            raise RenderError(str(self.failure))
        return self.value  # type: ignore[return-value]  # set before ``done``


class Shared(Generic[T]):
    """One piece of work.

    What it gives is kept. So is a failure, unless it is a passing one: then whoever asks later has it tried anew, as
    after a go that everybody has left; but never before that one has ended. Bugs pass through the nursery.
    """

    def __init__(self, nursery: trio.Nursery, work: Callable[[Told], Awaitable[T]]) -> None:
        """Do ``work`` in ``nursery``, when it is first asked for."""
        self._nursery = nursery
        self._work = work
        self._running: _Run[T] | None = None
        self._settled: _Run[T] | None = None

    @property
    def is_settled(self) -> bool:
        """Whether it is over for good: it has given something, or failed with what will not pass."""
        return self._settled is not None

    @property
    def value(self) -> T | None:
        """What it gave; None if it has given nothing (yet)."""
        return self._settled.value if self._settled is not None else None

    async def get(self, told: Told) -> T:
        """Return the value, now or when it is there.

        Args:
            told: Is told of requests that are sent again while it waits, unless somebody else is.

        Raises:
            SourceError, RenderError: What the work failed with.
        """
        await trio.lowlevel.checkpoint()
        while self._running is not None and self._running.scope.cancel_called:
            await self._running.done.wait()  # everybody had gone; it is tidying up, or came to its end all the same
        if self._settled is not None:
            return self._settled.outcome(is_known=True)
        run = self._running or self._start()
        run.waiting.append(told)
        try:
            await run.done.wait()
        finally:
            if not run.done.is_set():
                run.waiting.remove(told)
                if not run.waiting:
                    run.scope.cancel()
        return run.outcome(is_known=run.waiting[0] != told)

    def _start(self) -> _Run[T]:
        self._running = run = _Run[T]()
        self._nursery.start_soon(self._do, run)
        return run

    async def _do(self, run: _Run[T]) -> None:
        with run.scope:
            try:
                run.value = await self._work(run.told)
            except (SourceError, RenderError) as exc:
                run.failure = exc
            if not (isinstance(run.failure, SourceError) and run.failure.is_passing):
                self._settled = run
        self._running = None
        run.done.set()
