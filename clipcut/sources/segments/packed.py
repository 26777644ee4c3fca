"""Segments that a server keeps or sends packed with gzip, though it was asked not to: unpacked within bounds."""

import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from clipcut.errors import Reason, SourceError

GZIP = b"\x1f\x8b\x08"

MAX_RATIO = 100
"""A segment unpacks to no more than so many times its size: media hardly shrinks, and its stuffing not so far."""
FREE = 1 << 20
"""Up to so many bytes the ratio isn't looked at: a small segment may be all stuffing."""

_CHUNK = 1 << 18
_MOST_MEMBERS = 10_000
"""How many packed things may follow each other in one; each costs a copy of what is left of a chunk."""


def is_packed(path: Path) -> bool:
    """Tell whether a file begins like gzip. Blocks, but briefly."""
    with path.open("rb") as file:
        return file.read(len(GZIP)) == GZIP


def unpack(path: Path, target: Path, what: str, most: int, *, is_head: bool) -> None:
    """Unpack a file, a piece at a time. Blocks; call it in a thread.

    Args:
        path: The packed file.
        target: The file to make.
        what: What it is, for messages.
        most: How many bytes it may unpack to; a head ends there, anything else is too large.
        is_head: Whether it is only the begin of something, and may end anywhere.

    Raises:
        SourceError: ``truncated``, ``undecodable`` or ``too_large``.
    """
    size, packed = 0, path.stat().st_size
    try:
        with path.open("rb") as source, target.open("wb") as out:
            for piece in _pieces(source):
                out.write(piece[: most - size])
                size += len(piece)
                if is_head and size >= most:
                    return
                if size > most:
                    raise SourceError(Reason.TOO_LARGE, f"{what}: unpacks to more than {most} bytes")
                if size > max(FREE, packed * MAX_RATIO):
                    raise SourceError(Reason.TOO_LARGE, f"{what}: unpacks to more than {MAX_RATIO} times its size")
    except zlib.error as exc:
        raise SourceError(Reason.UNDECODABLE, f"{what}: is packed with gzip, and can't be unpacked") from exc
    except EOFError as exc:
        if not is_head:
            words = f"{what}: is packed with gzip, and ends too soon"
            raise SourceError(Reason.TRUNCATED, words, is_passing=True) from exc


def _pieces(source: BinaryIO) -> Iterator[bytes]:
    """Yield what comes out; gzip allows several things one after the other, and zeros behind them.

    Raises:
        zlib.error: It isn't in order.
        EOFError: It ends too soon.
    """
    data = source.read(_CHUNK)
    for _ in range(_MOST_MEMBERS):
        unpacker = zlib.decompressobj(31)
        while True:
            if not data:
                raise EOFError
            yield unpacker.decompress(data, _CHUNK)
            if unpacker.eof:
                break
            data = unpacker.unconsumed_tail or source.read(_CHUNK)
        data = unpacker.unused_data.lstrip(b"\0")
        while not data:
            if not (more := source.read(_CHUNK)):
                return
            data = more.lstrip(b"\0")
    raise zlib.error("too many members")
