"""How a stored picture lies: turned, mirrored, or both. Pure.

There are eight ways, and EXIF numbers them. Video files say the same with a matrix, of which an angle tells only half:
a mirrored picture has one, too.
"""

import enum
import struct
from collections.abc import Iterator


class Orientation(enum.IntEnum):
    """What is done to a stored picture to show it, in EXIF's numbers; angles are clockwise."""

    UPRIGHT = 1
    MIRRORED = 2
    TURNED_180 = 3
    FLIPPED = 4
    TRANSPOSED = 5
    TURNED_90 = 6
    TRANSVERSED = 7
    TURNED_270 = 8

    @property
    def is_sideways(self) -> bool:
        """Whether width and height change places."""
        return self >= Orientation.TRANSPOSED


_FILTERS = {
    Orientation.UPRIGHT: (),
    Orientation.MIRRORED: ("hflip",),
    Orientation.TURNED_180: ("hflip", "vflip"),
    Orientation.FLIPPED: ("vflip",),
    Orientation.TRANSPOSED: ("transpose=cclock_flip",),
    Orientation.TURNED_90: ("transpose=clock",),
    Orientation.TRANSVERSED: ("transpose=clock_flip",),
    Orientation.TURNED_270: ("transpose=cclock",),
}

_SIGNS = {
    (False, False, False): Orientation.UPRIGHT,
    (False, True, False): Orientation.MIRRORED,
    (False, True, True): Orientation.TURNED_180,
    (False, False, True): Orientation.FLIPPED,
    (True, False, False): Orientation.TRANSPOSED,
    (True, True, False): Orientation.TURNED_90,
    (True, True, True): Orientation.TRANSVERSED,
    (True, False, True): Orientation.TURNED_270,
}
"""By whether rows become columns, and whether what is shown runs against the x and the y of what it was made of."""

_ORIENTATION_TAG = 0x0112
_MOST_ENTRIES = 512


def orientation_filters(orientation: Orientation) -> list[str]:
    """Return FFmpeg's filters that show a stored picture as it is meant."""
    return list(_FILTERS[orientation])


def orientation_of_matrix(matrix: bytes) -> Orientation:
    """Read a display matrix; one that turns by another angle than a right one is taken for the nearest.

    Args:
        matrix: Nine numbers of 32 bits of the machine, as FFmpeg holds them; a point (x, y) is shown at
            (a·x + c·y, b·x + d·y), with a, b the first two of them and c, d the fourth and fifth.
    """
    if len(matrix) != 36:
        return Orientation.UPRIGHT
    a, b, _, c, d, *_ = struct.unpack("=9i", matrix)
    if abs(a) + abs(d) >= abs(b) + abs(c):
        return _SIGNS[False, a < 0, d < 0]
    return _SIGNS[True, c < 0, b < 0]


def exif_orientation(data: bytes) -> Orientation:
    """Read the orientation of a coded still: a JPEG, PNG or WebP; upright where it says nothing, or nonsense."""
    for body in _exif(data):
        try:
            return Orientation(_tag(body.removeprefix(b"Exif\0\0")))
        except (struct.error, ValueError):
            continue
    return Orientation.UPRIGHT


def _exif(data: bytes) -> Iterator[bytes]:
    """Yield what may be EXIF in a still."""
    if data.startswith(b"\xff\xd8"):
        yield from (body for body in _jpeg_segments(data) if body.startswith(b"Exif\0\0"))
    elif data.startswith(b"\x89PNG"):
        yield from _chunks(data, 8, b"eXIf", ">I4s", swapped=False)
    elif data.startswith(b"RIFF"):
        yield from _chunks(data, 12, b"EXIF", "<4sI", swapped=True)


def _jpeg_segments(data: bytes) -> Iterator[bytes]:
    """Yield the contents of the first kind of application segment, up to where the picture begins."""
    at = 2
    while at + 4 <= len(data) and data[at] == 0xFF and data[at + 1] != 0xDA:
        if data[at + 1] == 0xFF:  # filling
            at += 1
            continue
        size = int.from_bytes(data[at + 2 : at + 4])
        if data[at + 1] == 0xE1:
            yield data[at + 4 : at + 2 + size]
        at += 2 + max(2, size)


def _chunks(data: bytes, at: int, wanted: bytes, head: str, *, swapped: bool) -> Iterator[bytes]:
    while at + 8 <= len(data):
        first, second = struct.unpack_from(head, data, at)
        name, size = (first, second) if swapped else (second, first)
        if name == wanted:
            yield data[at + 8 : at + 8 + size]
        at += 8 + size + (size & 1 if swapped else 4)  # a PNG's chunk ends with a sum, a RIFF's is of even length


def _tag(tiff: bytes) -> int:
    """Return the orientation's number out of the first directory of a TIFF.

    Raises:
        struct.error, ValueError: There is none.
    """
    order = {b"II": "<", b"MM": ">"}.get(tiff[:2])
    if order is None:
        raise ValueError("no TIFF")
    (at,) = struct.unpack_from(order + "I", tiff, 4)
    (count,) = struct.unpack_from(order + "H", tiff, at)
    for number in range(min(count, _MOST_ENTRIES)):
        tag, kind = struct.unpack_from(order + "HH", tiff, at + 2 + 12 * number)
        if tag == _ORIENTATION_TAG:
            found: int = struct.unpack_from(order + ("I" if kind == 4 else "H"), tiff, at + 10 + 12 * number)[0]
            return found
    raise ValueError("no orientation")
