"""Several staged segments become one file that can be cut like any other."""

import shutil
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

from clipcut.errors import raise_if_machine

CLOCK = 90_000
"""Ticks a second of transport streams, and of the timestamps that packed audio carries."""

WRAP = Fraction(2**33, CLOCK)
"""After so many seconds a transport stream's timestamps begin anew."""

_OWNER = b"com.apple.streaming.transportStreamTimestamp\0"
_TAG_HEADER = 10
_SMALL_BOX, _LARGE_BOX = 8, 16
_MOST_TAG = 1 << 20


def _syncsafe(data: bytes) -> int:
    value = 0
    for byte in data:
        value = value << 7 | byte & 0x7F
    return value


def read_id3(head: bytes) -> tuple[int, Fraction | None]:
    """Return how long the ID3 tags are that a packed audio segment begins with, and the time in seconds they tell.

    Args:
        head: The begin of the segment, with its tags as far as they go.

    Returns:
        0 for no tag; None for no time in them.
    """
    size, moment = 0, None
    while head[size : size + 3] == b"ID3" and len(head) >= size + _TAG_HEADER:
        has_footer = bool(head[size + 5] & 0x10)
        length = _TAG_HEADER * (1 + has_footer) + _syncsafe(head[size + 6 : size + 10])
        tag = head[size : size + length]
        at = tag.find(_OWNER)
        if at >= 0 and len(stamp := tag[at + len(_OWNER) : at + len(_OWNER) + 8]) == 8:
            moment = Fraction(int.from_bytes(stamp) % 2**33, CLOCK)
        size += length
    return size, moment


def unwrapped(found: Fraction, expected: Fraction) -> Fraction:
    """Return what to add to a moment that was read, a whole number of wraps, to bring it near where it is expected."""
    return round((expected - found) / WRAP) * WRAP


def seams_of(files: Sequence[Path], *, is_packed: bool) -> list[tuple[int, Fraction | None]]:
    """Return where in a joined file each of these begins, in bytes, and the time in seconds that its tags tell.

    Blocks; call it in a thread. See ``join``.
    """
    found, at = [], 0
    for path in files:
        skip, moment = 0, None
        if is_packed:
            with path.open("rb") as file:
                skip, moment = read_id3(file.read(_MOST_TAG))
        found.append((at, moment))
        at += path.stat().st_size - skip
    return found


def join_in_place(init: Path, files: Sequence[Path], target: Path, place: int) -> None:
    """Put files where they lie in the MP4 file that they come from. Blocks; call it in a thread.

    Args:
        init: The begin of that file.
        files: What follows each other in it from ``place`` on.
        target: The file to make. Between begin and place is one free box, which costs no disk.
        place: Where the first of ``files`` lies, in bytes.
    """
    join([init], target)
    gap = place - init.stat().st_size
    try:
        with target.open("r+b") as out:
            out.seek(0, 2)
            if gap >= _LARGE_BOX:
                out.write((1).to_bytes(4) + b"free" + gap.to_bytes(8))
            elif gap >= _SMALL_BOX:
                out.write(gap.to_bytes(4) + b"free")
            out.seek(max(place, init.stat().st_size))
            for path in files:
                with path.open("rb") as file:
                    shutil.copyfileobj(file, out, 1 << 20)
    except OSError as exc:
        raise_if_machine(exc)
        raise


def join(files: Sequence[Path], target: Path, *, is_packed: bool = False) -> Fraction | None:
    """Put files one after the other. Blocks; call it in a thread.

    Args:
        files: The initialization section, where there is one, and the segments, in order.
        target: The file to make.
        is_packed: Whether they are packed audio: then their ID3 tags are left away.

    Returns:
        The time in seconds that the first file's tags tell; None if they tell none.
    """
    moment = None
    try:
        with target.open("wb") as out:
            for index, path in enumerate(files):
                with path.open("rb") as file:
                    if is_packed:
                        skip, told = read_id3(file.read(_MOST_TAG))
                        file.seek(skip)
                        moment = told if index == 0 else moment
                    shutil.copyfileobj(file, out, 1 << 20)
    except OSError as exc:
        raise_if_machine(exc)
        raise
    return moment
