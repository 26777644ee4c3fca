"""A file whose server gives ranges of it: each byte that a clip needs is fetched once."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import attrs
import trio

from clipcut.events import Told
from clipcut.ffmpeg.need import There
from clipcut.network.addresses import Zone
from clipcut.network.ask import Access, Ask
from clipcut.network.fetch import Fetcher
from clipcut.sources.file.index import Range, Spans, merged, parts
from clipcut.sources.file.shadow import OffsetSink, get_bytes, put_bytes
from clipcut.sources.gather import gather
from clipcut.sources.shared import Shared


@attrs.define(eq=False)
class _Piece:
    """A range that was asked for at once."""

    first: int
    end: int
    done: Shared[None]


@attrs.define(kw_only=True, eq=False)
class RangedFile:
    """A file whose server gives ranges of it.

    Attributes:
        access: Its address, and what its own origin gets.
        led_by: The zone of what named the address; None for the user.
        path: The local file.
        size: Its length in bytes.
        validator: Its ETag or the time of its last change, so that another file of the same name is noticed.
        fetcher, nursery, threads: What fetches it, where, and how many threads that may take.
    """

    access: Access
    led_by: Zone | None
    path: Path
    size: int
    validator: str | None
    fetcher: Fetcher
    nursery: trio.Nursery
    threads: trio.CapacityLimiter
    _pieces: list[_Piece] = attrs.field(init=False, factory=list)
    _there: Spans = attrs.field(init=False, factory=Spans)
    _asked: Spans = attrs.field(init=False, factory=Spans)

    async def put(self, first: int, data: bytes) -> None:
        """Put bytes in place that have come already."""
        await trio.to_thread.run_sync(put_bytes, self.path, data, first, limiter=self.threads)
        self._asked.add(first, first + len(data))
        self._there.add(first, first + len(data))

    def has(self, first: int, end: int) -> bool:
        """Tell whether these bytes are there."""
        return self._there.has(first, end)

    def now(self) -> There:
        """Return what tells which bytes are there at this moment, whatever comes while somebody reads."""
        return self._there.now()

    def missing(self, ranges: Sequence[Range]) -> list[Range]:
        """Return what of these bytes nobody has asked for yet."""
        return [gap for first, end in merged(ranges) for gap in self._asked.missing(first, end)]

    async def need(self, ranges: Sequence[Range], told: Told) -> None:
        """Have these bytes in the local file, each fetched once however many clips ask.

        Raises:
            SourceError: They can't be had.
        """
        bounded = [(first, min(end, self.size)) for first, end in ranges if first < self.size]
        for first, end in (part for gap in self.missing(bounded) for part in parts(*gap)):
            self._asked.add(first, end)
            self._pieces.append(_Piece(first, end, Shared(self.nursery, partial(self._fetch, first, end))))
        wanted = [
            piece.done
            for piece in self._pieces
            if any(piece.first < end and first < piece.end for first, end in bounded)
        ]
        await gather(*(partial(done.get, told) for done in wanted))

    async def read(self, first: int, end: int, told: Told) -> bytes:
        """Return bytes of the file, fetched if they aren't there; fewer at its end."""
        end = min(end, self.size)
        if not self.has(first, end):
            await self.need([(first, end)], told)
        return await self.take(first, end)

    async def take(self, first: int, end: int) -> bytes:
        """Return bytes that are there."""
        return await trio.to_thread.run_sync(get_bytes, self.path, first, end, limiter=self.threads)

    async def _fetch(self, first: int, end: int, told: Told) -> None:
        ask = Ask(
            url=self.access.url,
            what=f"bytes {first} to {end - 1}",
            access=self.access,
            max_bytes=end - first,
            byte_range=(first, end),
            led_by=self.led_by,
            if_range=self.validator,
            of_size=self.size,
        )
        await self.fetcher.fetch(ask, OffsetSink(self.path, first, self.threads), told)
        self._there.add(first, end)
        self._pieces = [piece for piece in self._pieces if not self._there.has(piece.first, piece.end)]
