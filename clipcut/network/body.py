"""An answer's body on its way to memory or a file: the bytes that were asked for and no others, and not too slowly."""

import re
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

import trio

from clipcut.errors import Reason, SourceError, raise_if_machine
from clipcut.network.ask import Answer, Ask, Patience
from clipcut.network.http import Reply

MAX_SKIP = 64 * 1024 * 1024
"""How many bytes are read past where a server ignores the range that was asked for."""

_BATCH = 1 << 20
_GZIP = ("gzip", "x-gzip")
_CONTENT_RANGE = re.compile(r"bytes +(\d{1,18})-(\d{1,18})(?:/.*)?", re.ASCII | re.IGNORECASE)


class Sink(Protocol):
    """Where a body goes; begun anew with each try."""

    async def restart(self, at: int = 0) -> None:
        """Forget what came so far, but for its first ``at`` bytes."""

    async def write(self, data: bytes) -> None:
        """Take some more."""

    async def finish(self) -> None:
        """All came; raises ``SourceError`` if it won't do, which ends this try and perhaps begins another."""


class MemorySink:
    """Keeps a small body."""

    def __init__(self) -> None:
        """Begin empty."""
        self.data = bytearray()

    async def restart(self, at: int = 0) -> None:
        """Forget what came so far, but for its first ``at`` bytes."""
        del self.data[at:]

    async def write(self, data: bytes) -> None:
        """Take some more."""
        self.data += data

    async def finish(self) -> None:
        """Be content."""


class FileSink:
    """Writes a body to a file, in batches, in a thread."""

    def __init__(self, path: Path, threads: trio.CapacityLimiter) -> None:
        """Write to ``path``."""
        self._path = path
        self._threads = threads
        self._batch = bytearray()
        self._written = 0

    async def restart(self, at: int = 0) -> None:
        """Forget what came so far, but for its first ``at`` bytes."""
        del self._batch[max(0, at - self._written) :]
        self._written = min(self._written, at)

    async def write(self, data: bytes) -> None:
        """Take some more."""
        self._batch += data
        if len(self._batch) >= _BATCH:
            await self._flush()

    async def finish(self) -> None:
        """Write what is left."""
        await self._flush()

    async def _flush(self) -> None:
        data, at = bytes(self._batch), self._written
        self._batch.clear()
        self._written += len(data)
        await trio.to_thread.run_sync(self._put, data, at, limiter=self._threads)

    def _put(self, data: bytes, at: int) -> None:
        try:
            with self._path.open("r+b" if at else "wb") as file:
                if at:
                    file.truncate(at)  # a try that failed may have left more
                    file.seek(at)
                file.write(data)
        except OSError as exc:
            raise_if_machine(exc)
            raise


def content_range(value: str) -> tuple[int, int] | None:
    """Read ``bytes 0-99/1000`` as a half-open range; None if it is something else."""
    match = _CONTENT_RANGE.fullmatch(value.strip())
    if match is None or int(match[1]) > int(match[2]):
        return None
    return int(match[1]), int(match[2]) + 1


def total_size(value: str) -> int | None:
    """Return how long the whole is that a ``Content-Range`` is a part of; None if it doesn't say."""
    text = value.rpartition("/")[2].strip()
    return int(text) if re.fullmatch(r"\d{1,18}", text, re.ASCII) else None


def whole_size(answer: Answer) -> int | None:
    """Return how long the whole is that an answer brings, or brings a range of; None if it doesn't say."""
    if answer.status == 206:
        return total_size(answer.headers.get("content-range", ""))
    length = answer.headers.get("content-length", "")
    return int(length[:20]) if length.isascii() and length.isdigit() else None


def validator_in(headers: Mapping[str, str], known: str) -> str | None:
    """Return what an answer says of its thing's state in the way of a known ETag or time of change; None if nothing."""
    return headers.get("etag" if known.startswith('"') else "last-modified")


def is_same_state(found: str, known: str) -> bool:
    """Tell whether two ETags, or two times of change, are equal; a server that packs on its way makes an ETag weak."""
    return found.removeprefix("W/") == known.removeprefix("W/")


class Window:
    """Picks the wanted bytes out of a body as it comes, and bounds it."""

    def __init__(self, ask: Ask, reply: Reply, *, has_if_range: bool = True) -> None:
        """Compare an answer's head with what was asked for.

        Args:
            ask: What was asked for.
            reply: The answer.
            has_if_range: Whether the server was told of what state it must be: if so, it may leave out what that is.

        Raises:
            SourceError: ``truncated``, ``too_large`` or ``undecodable``.
        """
        self._ask = ask
        self._is_whole = reply.status == 200
        self._skip = 0
        self._wanted: int | None = None
        self._goes_on = reply.status == 200
        self.has_rest = False
        """Whether the server gives less of the range than it was asked for, and has more."""
        self._refuse_change(reply, is_vouched=has_if_range or ask.byte_range is None)
        coding = reply.headers.get("content-encoding", "identity").strip().lower()
        self._is_packed = ask.may_be_packed and coding in _GZIP
        if ask.byte_range is not None and self._is_packed:
            self._wanted = ask.byte_range[1] - ask.byte_range[0]  # of the packed bytes, whatever the server counts
        elif ask.byte_range is not None:
            self._choose(ask.byte_range, reply)
        declared = reply.headers.get("content-length", "")
        if ask.byte_range is None and declared.isascii() and declared.isdigit() and int(declared[:20]) > ask.max_bytes:
            raise self._too_large()
        self._unpack = None if self._is_packed else self._unpacker(coding)
        self._packed = 0
        self._has_more = False
        self.taken = 0

    def _choose(self, wanted: tuple[int, int], reply: Reply) -> None:
        first, end = wanted
        self._wanted = end - first
        if reply.status == 206:
            stated = reply.headers.get("content-range", "")
            came, total = content_range(stated), total_size(stated)
            is_past_end = total is not None and total < end
            if came is None or came[0] != first or (is_past_end and not self._ask.may_be_shorter):
                words = f"{self._ask.what}: the server sends other bytes than it was asked for"
                raise SourceError(Reason.TRUNCATED, words, is_passing=True)
            self._wanted = min(came[1], end) - first
            self._goes_on = came[1] > end  # servers that give 1 MB, whatever the end
            self.has_rest = came[1] < (end if total is None else min(end, total))
        elif first > MAX_SKIP:
            raise SourceError(Reason.TOO_LARGE, f"{self._ask.what}: the server ignores ranges, and it lies far inside")
        else:
            self._skip = first

    def _refuse_change(self, reply: Reply, *, is_vouched: bool) -> None:
        """See that it is what was looked into before, or a range of it.

        Raises:
            SourceError: The server says that it isn't.
        """
        ask, known = self._ask, self._ask.if_range
        found = validator_in(reply.headers, known) if known is not None else None
        is_other = known is not None and (not is_vouched if found is None else not is_same_state(found, known))
        if ask.byte_range is not None and ask.of_size is not None:
            stated = reply.headers.get("content-range" if reply.status == 206 else "content-length", "")
            is_unsure = reply.status == 200 and found is None  # of another thing all of it would come, too
            is_other = is_other or is_unsure or total_size(stated) not in (None, ask.of_size)
        if is_other:
            words = f"{self._ask.what}: the file was changed while the render was reading it"
            raise SourceError(Reason.UNDECODABLE, words, is_changed=True)

    def _unpacker(self, coding: str) -> "zlib._Decompress | None":
        if coding in ("identity", ""):
            return None
        if coding not in (*_GZIP, "deflate") or not self._ask.gzip:
            words = f"{self._ask.what}: the server compressed it ({coding[:20]!r}), which nobody asked for"
            raise SourceError(Reason.UNDECODABLE, words)
        return zlib.decompressobj(47)

    def _too_large(self) -> SourceError:
        return SourceError(Reason.TOO_LARGE, f"{self._ask.what}: is larger than {self._ask.max_bytes} bytes")

    def _unpacked(self, unpack: "zlib._Decompress", chunk: bytes) -> bytes:
        self._packed += len(chunk)
        if self._packed > self._ask.max_bytes:  # a packed body can be endless and unpack to nothing
            raise self._too_large()
        try:
            chunk = unpack.decompress(chunk, self._ask.max_bytes + 1)
        except zlib.error as exc:
            raise SourceError(Reason.UNDECODABLE, f"{self._ask.what}: can't be unpacked") from exc
        if unpack.unused_data:
            raise SourceError(Reason.UNDECODABLE, f"{self._ask.what}: goes on after its packed part")
        return chunk

    def take(self, chunk: bytes) -> bytes:
        """Return what is wanted of a chunk."""
        if self._unpack is not None:
            chunk = self._unpacked(self._unpack, chunk)
        passed = min(self._skip, len(chunk))
        self._skip -= passed
        chunk = chunk[passed:]
        if self._wanted is not None:
            self._has_more = len(chunk) > self._wanted - self.taken
            chunk = chunk[: self._wanted - self.taken]
        self.taken += len(chunk)
        if self.taken > self._ask.max_bytes:
            raise self._too_large()
        return chunk

    @property
    def is_full(self) -> bool:
        """Whether nothing more is wanted of a body that goes on."""
        return self._wanted is not None and self.taken >= self._wanted and (self._goes_on or self._has_more)

    def check_end(self) -> None:
        """See that all came."""
        is_told = not self._is_whole and not self._is_packed  # a 206 has said how much it brings
        may_be_short = self._ask.may_be_shorter and not is_told
        is_short = self._wanted is not None and self.taken < self._wanted and not may_be_short
        if is_short or (self._unpack is not None and not self._unpack.eof):
            raise SourceError(Reason.TRUNCATED, f"{self._ask.what}: the answer ended too soon", is_passing=True)


class Pace:
    """Gives up a body that drips: fewer bytes over a window than are worth waiting for."""

    def __init__(self, patience: Patience, what: str) -> None:
        """Begin to count."""
        self._patience = patience
        self._what = what
        self._began = trio.current_time()
        self._bytes = 0

    def note(self, count: int) -> None:
        """Count what came.

        Raises:
            SourceError: ``timeout``; it is too little.
        """
        self._bytes += count
        seconds = trio.current_time() - self._began
        if seconds < self._patience.window_s:
            return
        if self._bytes < self._patience.least_rate * seconds:
            words = f"{self._what}: came at {self._bytes / seconds:.0f} bytes a second, which is given up"
            raise SourceError(Reason.TIMEOUT, words, is_passing=True)
        self._began, self._bytes = trio.current_time(), 0
