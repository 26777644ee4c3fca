"""The local file that stands for one behind HTTP: sparse, as long, with those bytes in place that were needed."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import attrs
import trio

from clipcut.errors import raise_if_machine
from clipcut.events import Told
from clipcut.ffmpeg.need import There
from clipcut.sources.file.index import Range

_BATCH = 1 << 20


class RemoteFile(Protocol):
    """A file behind HTTP, and the local file that stands for it."""

    path: Path
    size: int
    threads: trio.CapacityLimiter

    async def need(self, ranges: Sequence[Range], told: Told) -> None:
        """Have these bytes in the local file, each fetched once however many clips ask; raises ``SourceError``."""

    def has(self, first: int, end: int) -> bool:
        """Tell whether these bytes are there."""
        ...

    def now(self) -> There:
        """Return what tells which bytes are there at this moment, whatever comes while somebody reads."""
        ...

    def missing(self, ranges: Sequence[Range]) -> list[Range]:
        """Return what of these bytes nobody has asked for yet."""
        ...


@attrs.define
class OffsetSink:
    """Writes a body into a file from an offset on, in batches, in a thread."""

    path: Path
    offset: int
    threads: trio.CapacityLimiter
    batch: int = _BATCH
    _batch: bytearray = attrs.field(init=False, factory=bytearray)
    written: int = attrs.field(init=False, default=0)

    async def restart(self, at: int = 0) -> None:
        """Begin at the offset once more, or ``at`` bytes behind it: so many are kept."""
        del self._batch[max(0, at - self.written) :]
        self.written = min(self.written, at)

    async def write(self, data: bytes) -> None:
        """Take some more."""
        self._batch += data
        if len(self._batch) >= self.batch:
            await self.flush()

    async def finish(self) -> None:
        """Write what is left."""
        await self.flush()

    async def flush(self) -> None:
        """Write what has come since the last time."""
        data, at = bytes(self._batch), self.offset + self.written
        self._batch.clear()
        await trio.to_thread.run_sync(put_bytes, self.path, data, at, limiter=self.threads)
        self.written += len(data)


def put_bytes(path: Path, data: bytes, at: int) -> None:
    """Put bytes into a file. Blocks; call it in a thread."""
    try:
        with path.open("r+b") as file:
            file.seek(at)
            file.write(data)
    except OSError as exc:
        raise_if_machine(exc)
        raise


def make_shadow(path: Path, size: int) -> None:
    """Make an empty sparse file of a length. Blocks, but briefly."""
    with path.open("wb") as file:
        os.truncate(file.fileno(), size)


def get_bytes(path: Path, first: int, end: int) -> bytes:
    """Return bytes of a file, fewer at its end. Blocks; call it in a thread."""
    if first >= end:
        return b""
    with path.open("rb") as file:
        file.seek(first)
        return file.read(end - first)
