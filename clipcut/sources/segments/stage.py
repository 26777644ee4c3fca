"""The pieces of one video on disk: each fetched once, decrypted, looked at, and gone after its last reader."""

import contextlib
import itertools
from collections.abc import AsyncIterator, Iterable, Mapping
from pathlib import Path
from typing import Protocol

import attrs
import trio

from clipcut.errors import Reason, SourceError
from clipcut.events import Told
from clipcut.network.addresses import Zone
from clipcut.network.ask import Access, Ask
from clipcut.network.fetch import Fetcher
from clipcut.sources.segments.playlist import Key, Resource
from clipcut.sources.segments.segment import SegmentSink
from clipcut.sources.shared import Shared

MAX_SEGMENT = 512 * 1024 * 1024
HEAD = 64 * 1024
"""How many bytes of a segment tell where its time begins."""

_KEY_BYTES = 16


class Shadow(Protocol):
    """A local file that has some bytes of the one that items are ranges of."""

    def has(self, first: int, end: int) -> bool:
        """Tell whether these bytes are there."""
        ...

    async def take(self, first: int, end: int) -> bytes:
        """Return bytes that are there."""
        ...


@attrs.frozen(kw_only=True)
class Item:
    """A piece to be staged.

    Attributes:
        resource: Where it is.
        key: What it is encrypted with; None if it isn't.
        is_head: Whether it is the begin of something: it may be shorter than asked for, and ends in the middle.
        what: What it is, for messages.
        place: What it is in its video: of several with addresses that differ in a credential only, which one.
        led_by: The zone of the playlist that names it; None for the user, who named the file that it is a range of.
        if_range, of_size: What that file's validator and length must still be.
    """

    resource: Resource
    key: Key | None
    is_head: bool = False
    what: str = attrs.field(eq=False)
    place: tuple[str, int] = attrs.field(default=("", 0), eq=False)
    led_by: Zone | None = attrs.field(eq=False)
    if_range: str | None = attrs.field(default=None, eq=False, repr=False)
    of_size: int | None = attrs.field(default=None, eq=False)

    def head(self) -> "Item":
        """Return its first bytes as an item of their own."""
        first, end = self.resource.byte_range or (0, HEAD)
        resource = attrs.evolve(self.resource, byte_range=(first, min(end, first + HEAD)))
        return attrs.evolve(self, resource=resource, is_head=True, what=f"the head of {self.what}")


class Kept(Protocol):
    """What an earlier render had fetched, and checked, when it was killed."""

    async def find(self, item: Item, path: Path) -> bool:
        """Put an item at ``path``, if it is here; return whether it is."""
        ...

    async def keep(self, item: Item, path: Path) -> None:
        """Keep an item."""
        ...

    async def drop(self, item: Item) -> None:
        """Forget an item: nobody needs it any more."""
        ...


class Stage:
    """What is staged of one video."""

    def __init__(
        self,
        fetcher: Fetcher,
        access: Access,
        folder: Path,
        nursery: trio.Nursery,
        threads: trio.CapacityLimiter,
        shadow: Shadow | None = None,
        kept: Kept | None = None,
        brought: Mapping[Item, bytes] | None = None,
    ) -> None:
        """Stage nothing yet.

        Args:
            fetcher: Fetches.
            access: What the source's own origin gets.
            folder: Where files go: a new one, or one that others use too.
            nursery: Where downloads run.
            threads: A place for each thread.
            shadow: Has what was fetched before, so that it isn't fetched once more; None if nothing was.
            kept: Has what an earlier render had fetched, and keeps what this one fetches; None for neither.
            brought: What was fetched before, as it came; None for nothing.
        """
        self._brought = brought or {}
        self._kept = kept
        self._shadow = shadow
        self._fetcher = fetcher
        self._access = access
        self._folder = folder
        self._nursery = nursery
        self._threads = threads
        self._numbers = itertools.count()
        self._files: dict[Item, Shared[Path]] = {}
        self._keys: dict[str, Shared[bytes]] = {}
        self._readers: dict[Item, set[int]] = {}
        self._wanted: dict[int, set[Item]] = {}

    def expect(self, items: Iterable[Item], reader: int) -> None:
        """Keep these, once they are there, until ``reader`` has been released."""
        for item in items:
            self._readers.setdefault(item, set()).add(reader)
            self._wanted.setdefault(reader, set()).add(item)

    def is_expected(self, item: Item) -> bool:
        """Whether somebody is going to need it, or has it."""
        return bool(self._readers.get(item))

    def is_known(self, item: Item) -> bool:
        """Whether its bytes are here already."""
        span = item.resource.byte_range
        return self._shadow is not None and span is not None and self._shadow.has(*span)

    @contextlib.asynccontextmanager
    async def reading(self, reader: int) -> AsyncIterator[None]:
        """Release a reader when the block is left; one that was cancelled may come again in a later render."""
        is_over = False
        try:
            yield
            await trio.lowlevel.checkpoint_if_cancelled()  # a thread ends its work first, as if nothing had been
            is_over = True
        except SourceError:
            is_over = True
            raise
        finally:
            with trio.CancelScope(shield=True):
                await self.release(reader, is_over=is_over)

    async def release(self, reader: int, *, is_over: bool = True) -> None:
        """Forget a reader, and drop what nobody needs any more; of a reader that was cancelled, a later render may."""
        gone = []
        for item in self._wanted.pop(reader, ()):
            readers = self._readers[item]
            readers.discard(reader)
            if not readers:
                del self._readers[item]
                gone.append((item, self._files.pop(item, None)))
        for item, shared in gone:
            if shared is not None and (path := shared.value) is not None:
                await trio.to_thread.run_sync(_unlink, path, limiter=self._threads)
                if self._kept is not None and is_over:
                    await self._kept.drop(item)

    async def get(self, item: Item, told: Told) -> Path:
        """Return an item's file; whoever asks first has it fetched, the others wait for that.

        Raises:
            SourceError: It can't be had; says why.
        """
        if item not in self._files:

            async def work(told: Told) -> Path:
                return await self._fetch(item, told)

            self._files[item] = Shared(self._nursery, work)
        return await self._files[item].get(told)

    async def _fetch(self, item: Item, told: Told) -> Path:
        path = self._folder / f"{next(self._numbers):06}"
        is_kept = False
        ask = Ask(
            url=item.resource.url,
            what=item.what,
            access=self._access,
            max_bytes=HEAD if item.is_head else MAX_SEGMENT,
            byte_range=item.resource.byte_range,
            may_be_shorter=item.is_head,
            led_by=item.led_by,
            if_range=item.if_range,
            of_size=item.of_size,
            may_be_packed=item.is_head or item.resource.byte_range is None,
        )
        secret = await self._key(item.key, item.led_by, told) if item.key is not None else b""
        sink = SegmentSink(
            path,
            self._threads,
            item.what,
            secret,
            item.key.iv if item.key is not None else b"",
            is_head=item.is_head,
            most=ask.max_bytes,
        )
        try:
            if self._kept is None or not await self._kept.find(item, path):
                await self._bring(item, ask, sink, told)
                if self._kept is not None:
                    await self._kept.keep(item, path)
            await trio.lowlevel.checkpoint_if_cancelled()  # threads end their work first: nobody may want it any more
            is_kept = True
        finally:
            if not is_kept:
                with trio.CancelScope(shield=True):
                    await trio.to_thread.run_sync(_unlink, path, limiter=self._threads)
        return path

    async def _bring(self, item: Item, ask: Ask, sink: SegmentSink, told: Told) -> None:
        """Fetch an item, or take it from what was fetched before."""
        data = self._brought.get(item)
        if self._shadow is not None and item.resource.byte_range is not None and self.is_known(item):
            data = await self._shadow.take(*item.resource.byte_range)
        if data is None:
            await self._fetcher.fetch(ask, sink, told)
            return
        await sink.restart()
        await sink.write(data)
        await sink.finish()

    async def _key(self, key: Key, led_by: Zone | None, told: Told) -> bytes:
        """Return a key, fetched once, and never written anywhere."""
        if key.url not in self._keys:
            ask = Ask(url=key.url, what="the key", access=self._access, max_bytes=HEAD, led_by=led_by, gzip=True)

            async def work(told: Told) -> bytes:
                data, _ = await self._fetcher.fetch_bytes(ask, told)
                if len(data) != _KEY_BYTES:
                    words = f"the key has {len(data)} bytes, and AES-128 needs {_KEY_BYTES}"
                    raise SourceError(Reason.UNDECODABLE, words)
                return data

            self._keys[key.url] = Shared(self._nursery, work)
        return await self._keys[key.url].get(told)


def _unlink(path: Path) -> None:
    path.unlink(missing_ok=True)
