"""What an MP4 file's boxes say of where things are: pure, bytes in, numbers out.

Only what FFmpeg can't tell without reading the whole file is read here: where the index is, and where the fragments
are. The index itself is FFmpeg's to read.
"""

import contextlib
import struct
from collections.abc import Iterator
from fractions import Fraction

import attrs

from clipcut.errors import Reason, SourceError

HEADER = 16
"""How many bytes of a box are enough to know its size and kind."""

MAX_FRAGMENTS = 100_000


@attrs.frozen
class Box:
    """A box: its kind, where it begins in the file or in what holds it, its header's length, its whole length.

    ``size`` is None for a box that reaches to the end of the file.
    """

    kind: bytes
    begin: int
    header: int
    size: int | None


@attrs.frozen
class Fragment:
    """A piece of a fragmented file that can be decoded on its own: bytes ``[first, end)``, seconds."""

    first: int
    end: int
    begin: Fraction
    seconds: Fraction


def broken(what: str) -> SourceError:
    """Say that a file's structure can't be followed."""
    return SourceError(Reason.UNDECODABLE, f"the file is broken: {what}")


def read_box(data: bytes, begin: int) -> Box:
    """Read a box's header.

    Args:
        data: At least ``HEADER`` bytes from the box's begin on, or all that there is.
        begin: Where that is.

    Raises:
        SourceError: It is none.
    """
    if len(data) < 8:
        raise broken(f"there is no box at {begin}")
    size, kind = struct.unpack_from(">I4s", data)
    header = 8
    if size == 1:
        if len(data) < 16:
            raise broken(f"the box at {begin} is cut off")
        (size,) = struct.unpack_from(">Q", data, 8)
        header = 16
    if not all(32 <= byte < 127 or byte == 0xA9 for byte in kind) or (size and size < header):
        raise broken(f"there is no box at {begin}")
    return Box(kind, begin, header, size or None)


def children(data: bytes, begin: int = 0) -> Iterator[tuple[Box, bytes]]:
    """Yield the boxes in a box's payload, each with its own payload; ``begin`` is where the payload is in the file."""
    at = 0
    while at + 8 <= len(data):
        box = read_box(data[at : at + HEADER], begin + at)
        size = box.size or len(data) - at
        yield box, data[at + box.header : at + size]
        at += size


def find(data: bytes, *path: bytes) -> Iterator[bytes]:
    """Yield the payloads of the boxes at a path below a payload: ``find(moov, b"trak", b"mdia")``."""
    for box, payload in children(data):
        if box.kind == path[0]:
            if len(path) == 1:
                yield payload
            else:
                yield from find(payload, *path[1:])


def is_fragmented(moov: bytes) -> bool:
    """Tell from a movie box's payload whether the samples are described in fragments."""
    return any(box.kind == b"mvex" for box, _ in children(moov))


def video_track(moov: bytes) -> tuple[int, int]:
    """Return the id of the first video track of a movie, and its ticks a second.

    Raises:
        SourceError: ``no_video``.
    """
    for trak in find(moov, b"trak"):
        handler = next(find(trak, b"mdia", b"hdlr"), b"")
        if handler[8:12] == b"vide":
            header = next(find(trak, b"tkhd"), b"")
            media = next(find(trak, b"mdia", b"mdhd"), b"")
            if len(header) >= 24 and len(media) >= 24:
                number = struct.unpack_from(">I", header, 20 if header[0] == 1 else 12)[0]
                ticks = struct.unpack_from(">I", media, 20 if media[0] == 1 else 12)[0]
                if ticks:
                    return number, ticks
    raise SourceError(Reason.NO_VIDEO, "the file has no video track")


def read_sidx(payload: bytes, end: int) -> list[Fragment]:
    """Read a segment index.

    Args:
        payload: Of the box.
        end: Where in the file the box ends; its offsets count from there.

    Raises:
        SourceError: It is broken.

    Returns:
        Nothing for an index of indexes.
    """
    wide = payload[:1] == b"\1"
    try:
        (ticks,) = struct.unpack_from(">I", payload, 8)
        begin, offset = struct.unpack_from(">QQ" if wide else ">II", payload, 12)
        at = 28 if wide else 20
        (count,) = struct.unpack_from(">H", payload, at + 2)
        entries = [struct.unpack_from(">II", payload, at + 4 + 12 * number) for number in range(count)]
    except struct.error as exc:
        raise broken("its segment index is cut off") from exc
    if not ticks or any(kind_and_size >> 31 for kind_and_size, _ in entries):
        return []  # an index of indexes: there are other ways to find out
    found, first, moment = [], end + offset, Fraction(begin, ticks)
    for size, duration in entries:
        seconds = Fraction(duration, ticks)
        found.append(Fragment(first, first + size, moment, seconds))
        first, moment = first + size, moment + seconds
    return found


def mfra_size(tail: bytes) -> int:
    """Return how long the list of fragments at the end of a file is, from its last 16 bytes; 0 if there is none."""
    return int.from_bytes(tail[12:16]) if tail[4:8] == b"mfro" else 0


def read_mfra(data: bytes, track: int, ticks: int) -> list[tuple[int, Fraction]]:
    """Read the list of fragments: where those begin in which a track has a keyframe, ascending, and when, in seconds.

    What can't be read is left away: there is another way to find out.
    """
    found: dict[int, Fraction] = {}
    with contextlib.suppress(SourceError):
        for payload in find(data, b"mfra", b"tfra"):
            if len(payload) < 16 or struct.unpack_from(">I", payload, 4)[0] != track:
                continue
            lengths, count = struct.unpack_from(">II", payload, 8)
            form = ">QQ" if payload[0] == 1 else ">II"
            step = struct.calcsize(form) + sum((lengths >> shift & 3) + 1 for shift in (4, 2, 0))
            for number in range(min(count, (len(payload) - 16) // step)):
                ticked, place = struct.unpack_from(form, payload, 16 + number * step)
                moment = Fraction(ticked, ticks)
                found[place] = min(moment, found.get(place, moment))
    return sorted(found.items())


def describes_samples(moov: bytes) -> bool:
    """Tell whether a movie box describes samples itself, and not only what fragments bring."""
    tables = (table for trak in find(moov, b"trak") for table in find(trak, b"mdia", b"minf", b"stbl"))
    sizes = (size for table in tables for kind in (b"stsz", b"stz2") for size in find(table, kind))
    return any(len(size) >= 12 and size[8:12] != bytes(4) for size in sizes)


def media_tracks(moov: bytes) -> set[int]:
    """Return the ids of a movie's tracks with pictures or sound."""
    found = set()
    for trak in find(moov, b"trak"):
        header = next(find(trak, b"tkhd"), b"")
        if next(find(trak, b"mdia", b"hdlr"), b"")[8:12] in (b"vide", b"soun") and len(header) >= 24:
            found.add(struct.unpack_from(">I", header, 20 if header[0] == 1 else 12)[0])
    return found


def timed_tracks(moof: bytes) -> set[int]:
    """Return the ids of the tracks that a movie fragment has samples of, and says when these begin."""
    found = set()
    for traf in find(moof, b"traf"):
        header = next(find(traf, b"tfhd"), b"")
        if len(header) >= 8 and any(find(traf, b"tfdt")):
            found.add(struct.unpack_from(">I", header, 4)[0])
    return found
