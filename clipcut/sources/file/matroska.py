"""What a Matroska or WebM file says of where its clusters are: pure, bytes in, numbers out."""

from collections.abc import Iterator
from fractions import Fraction

import attrs

from clipcut.sources.file.boxes import broken

EBML, SEGMENT, CLUSTER = 0x1A45DFA3, 0x18538067, 0x1F43B675
SEEK_HEAD, CUES, INFO, TRACKS = 0x114D9B74, 0x1C53BB6B, 0x1549A966, 0x1654AE6B
_SEEK, _SEEK_ID, _SEEK_POSITION = 0x4DBB, 0x53AB, 0x53AC
_SCALE = 0x2AD7B1
_CUE_POINT, _CUE_TIME, _CUE_POSITIONS, _CUE_TRACK, _CUE_CLUSTER = 0xBB, 0xB3, 0xB7, 0xF7, 0xF1
_TRACK, _TRACK_NUMBER, _TRACK_TYPE = 0xAE, 0xD7, 0x83

HEADER = 12
"""How many bytes of an element are enough to know what and how long it is."""


@attrs.frozen
class Element:
    """An element: what it is, where it begins, its header's length, its payload's (None: it doesn't say)."""

    kind: int
    begin: int
    header: int
    size: int | None

    @property
    def end(self) -> int | None:
        """Where it ends."""
        return None if self.size is None else self.begin + self.header + self.size


def _vint(data: bytes, at: int, longest: int) -> tuple[int, int]:
    """Return the length of a number of variable length, and the number with its marker."""
    first = data[at] if at < len(data) else 0
    length = 9 - first.bit_length()
    if length > longest or at + length > len(data):
        raise broken(f"there is no element at {at}")
    return length, int.from_bytes(data[at : at + length])


def read_element(data: bytes, begin: int, at: int = 0) -> Element:
    """Read the header of the element that is at ``at`` in ``data`` and at ``begin`` in the file.

    Raises:
        SourceError: There is none.
    """
    id_length, kind = _vint(data, at, 4)
    size_length, marked = _vint(data, at + id_length, 8)
    mask = (1 << 7 * size_length) - 1
    size = marked & mask
    return Element(kind, begin, id_length + size_length, None if size == mask else size)


def children(data: bytes, begin: int = 0) -> Iterator[tuple[Element, bytes]]:
    """Yield the elements in a payload that are there as a whole, each with its own payload."""
    at = 0
    while at + 2 <= len(data):
        element = read_element(data, begin + at, at)
        end = at + element.header + (element.size if element.size is not None else len(data))
        if end > len(data):
            return
        yield element, data[at + element.header : end]
        at = end


def _number(payload: bytes) -> int:
    return int.from_bytes(payload[:8])


def _value(payload: bytes, kind: int) -> int | None:
    return next((_number(inner) for element, inner in children(payload) if element.kind == kind), None)


def seek_position(seek_head: bytes, kind: int) -> int | None:
    """Return where an element is, counted from the segment's payload, as a seek head's payload tells."""
    for element, payload in children(seek_head):
        if element.kind == _SEEK and _value(payload, _SEEK_ID) == kind:
            return _value(payload, _SEEK_POSITION)
    return None


def tick_seconds(info: bytes) -> Fraction:
    """Return how many seconds a tick of clusters and cues lasts, from the payload of ``Info``."""
    return Fraction(_value(info, _SCALE) or 1_000_000, 10**9)


def video_track(tracks: bytes) -> int | None:
    """Return the number of the first video track, from the payload of ``Tracks``; None if there is none."""
    for element, payload in children(tracks):
        if element.kind == _TRACK and _value(payload, _TRACK_TYPE) == 1:
            return _value(payload, _TRACK_NUMBER)
    return None


def read_cues(cues: bytes, track: int, tick: Fraction) -> list[tuple[int, Fraction]]:
    """Return the clusters in which a keyframe of a track is, from the payload of ``Cues``.

    Returns:
        Where each begins, counted from the segment's payload, ascending; and the time of its first keyframe in seconds.
    """
    found: dict[int, Fraction] = {}
    for element, point in children(cues):
        if element.kind != _CUE_POINT:
            continue
        moment = (_value(point, _CUE_TIME) or 0) * tick
        for inner, positions in children(point):
            if inner.kind == _CUE_POSITIONS and _value(positions, _CUE_TRACK) == track:
                at = _value(positions, _CUE_CLUSTER) or 0
                found[at] = min(moment, found.get(at, moment))
    return sorted(found.items())
