"""A file whose server gives it only as a whole: fetched once, from its begin as far as the clips need it."""

import os
from collections.abc import Sequence
from pathlib import Path

import attrs
import trio

from clipcut.errors import RenderError, SourceError
from clipcut.events import Retry, Told
from clipcut.ffmpeg.need import There
from clipcut.network.addresses import Zone
from clipcut.network.ask import Access, Ask
from clipcut.network.fetch import Fetcher
from clipcut.sources.file.index import Range
from clipcut.sources.file.shadow import OffsetSink, get_bytes

MAX_STREAMED = 4 * 1024 * 1024 * 1024
"""How many bytes of it are fetched."""


MAX_SECONDS = 6 * 3600.0
"""How long that may take, in seconds; what drips ends long before."""

_BATCH = 128 * 1024
"""How many bytes are written at once, and so how exactly it ends where it is enough."""


class _EnoughError(Exception):
    """The rest isn't needed."""


@attrs.define(kw_only=True, eq=False)
class StreamedFile:
    """A file that comes from its begin on.

    Attributes:
        access: Its address, and what its own origin gets.
        led_by: The zone of what named the address; None for the user.
        path: The local file.
        size: Its length in bytes, as far as it is known.
        validator: Its ETag or the time of its last change, so that another file of the same name is noticed.
        fetcher, nursery, threads: What fetches it, where, and how many threads that may take.
        stop_at: The end of the last bytes that any clip needs, once that is known.
    """

    access: Access
    led_by: Zone | None
    path: Path
    size: int
    validator: str | None
    fetcher: Fetcher
    nursery: trio.Nursery
    threads: trio.CapacityLimiter
    stop_at: int | None = None
    _came: int = attrs.field(init=False, default=0)
    _is_begun: bool = attrs.field(init=False, default=False)
    _is_over: bool = attrs.field(init=False, default=False)
    _failure: SourceError | RenderError | None = attrs.field(init=False, default=None)
    _moved: trio.Event = attrs.field(init=False, factory=trio.Event)
    _waiting: list[Told] = attrs.field(init=False, factory=list)

    def has(self, first: int, end: int) -> bool:
        """Tell whether these bytes are there."""
        return first >= 0 and end <= self._came

    def missing(self, ranges: Sequence[Range]) -> list[Range]:
        """Return what of these bytes has not come yet."""
        return [(first, end) for first, end in ranges if not self.has(first, end)]

    def now(self) -> There:
        """Return what tells which bytes are there at this moment."""
        return There(((0, self._came),))

    async def need(self, ranges: Sequence[Range], told: Told) -> None:
        """Wait until these bytes have come.

        Raises:
            SourceError: They can't be had.
        """
        await trio.lowlevel.checkpoint()
        end = max((end for _, end in ranges), default=0)
        is_first = self._begin_if_needed(end)
        self._waiting.append(told)
        try:
            while not self.has(0, min(end, self.size)):
                if isinstance(self._failure, SourceError):
                    raise self._failure.again(is_known=not is_first)
                if self._failure is not None:
                    raise RenderError(str(self._failure))
                if self._is_over:  # it ended meanwhile, where it seemed to be enough
                    self._begin_if_needed(end)
                await self._moved.wait()
        finally:
            self._waiting.remove(told)

    def _begin_if_needed(self, end: int) -> bool:
        """Begin to fetch, if nobody has, or if it failed in passing, or ended where it seemed to be enough."""
        has_passed = isinstance(self._failure, SourceError) and self._failure.is_passing
        is_short = self._is_over and not self.has(0, min(end, self.size))
        if self._is_begun and not (is_short and (has_passed or self._failure is None)):
            return False
        if self._is_over and self._failure is None:
            self.stop_at = None
        self._is_begun, self._is_over, self._failure = True, False, None
        self.nursery.start_soon(self._fetch)
        return True

    async def read(self, first: int, end: int, told: Told) -> bytes:
        """Return bytes of the file, once they have come; fewer at its end."""
        await self.need([(first, end)], told)
        return await trio.to_thread.run_sync(get_bytes, self.path, first, min(end, self.size), limiter=self.threads)

    async def _fetch(self) -> None:
        ask = Ask(
            url=self.access.url,
            what="the file, as a whole",
            access=self.access,
            max_bytes=MAX_STREAMED,
            led_by=self.led_by,
            if_range=self.validator,
            total_s=MAX_SECONDS,
        )
        sink = _Stream(self.path, 0, self.threads, _BATCH, file=self)
        try:
            await self.fetcher.fetch(ask, sink, self._told)
            await trio.to_thread.run_sync(os.truncate, self.path, self._came, limiter=self.threads)
            self.size = self._came  # only now: who waits for all of it reads to the local file's end
        except _EnoughError:
            pass
        except (SourceError, RenderError) as exc:
            self._failure = exc
        self._is_over = True
        self._move()

    def _told(self, retry: Retry) -> None:
        if self._waiting:
            self._waiting[0](retry)

    def came(self, count: int) -> None:
        """Note how many bytes are there.

        Raises:
            _EnoughError: That is all that is needed.
        """
        self._came = max(self._came, count)
        self._move()
        if self.stop_at is not None and self._came >= self.stop_at:
            raise _EnoughError

    def _move(self) -> None:
        self._moved.set()
        self._moved = trio.Event()


@attrs.define
class _Stream(OffsetSink):
    """Tells the file how far it is."""

    file: StreamedFile = attrs.field(kw_only=True)

    async def flush(self) -> None:
        await OffsetSink.flush(self)
        self.file.came(self.written)
