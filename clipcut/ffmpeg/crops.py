"""What a container cuts off its pictures: the clean aperture of MP4 and MOV (``clap``), the pixel crop of Matroska.

PyAV doesn't tell, and FFmpeg obeys it from 7.1 on only; so it is read from the file's head here. A head that can't be
read crops nothing: whoever opens the file says what is wrong with it.
"""

import struct
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import BinaryIO

import attrs

from clipcut.timebase import round_half_up

_INSIDE = (b"moov", b"trak", b"mdia", b"minf", b"stbl")
_MOST = 4096
"""How many boxes or elements of one level are looked at, at most."""
_MOST_BYTES = 1 << 20
"""How long a sample description or a track entry may be that is looked into, in bytes."""

_SEGMENT, _CLUSTER, _TRACKS, _ENTRY, _KIND, _VIDEO = 0x18538067, 0x1F43B675, 0x1654AE6B, 0xAE, 0x83, 0xE0
_SIDES = {0x54CC: "left", 0x54BB: "top", 0x54DD: "right", 0x54AA: "bottom"}


@attrs.frozen
class Crop:
    """How many pixels are cut off each side of a picture as it is coded."""

    left: int = attrs.field(default=0, validator=attrs.validators.ge(0))
    top: int = attrs.field(default=0, validator=attrs.validators.ge(0))
    right: int = attrs.field(default=0, validator=attrs.validators.ge(0))
    bottom: int = attrs.field(default=0, validator=attrs.validators.ge(0))

    def fits(self, width: int, height: int) -> bool:
        """Tell whether it leaves something of a picture."""
        return self.left + self.right < width and self.top + self.bottom < height


UNCROPPED = Crop()


def read_crops(path: Path, size: tuple[int, int]) -> list[Crop]:
    """Return what is cut off each video track of a file, in their order; nothing of a container that can't say it.

    Args:
        path: The file.
        size: Width and height of its pictures as they are coded, in pixels.
    """
    try:
        with path.open("rb") as file:
            head = file.read(12)
            if head.startswith(b"\x1a\x45\xdf\xa3"):
                return [crop for crop in _in_matroska(file) if crop is not None]
            if head[4:8] in (b"ftyp", b"moov", b"styp", b"wide", b"free", b"mdat", b"skip"):
                return [_clean(body, size) for body in _descriptions(file, 0, _end(file))]
    except (OSError, struct.error, IndexError):
        pass
    return []


def _end(file: BinaryIO) -> int:
    return file.seek(0, 2)


# MP4 and MOV


def _boxes(file: BinaryIO, at: int, end: int) -> Iterator[tuple[bytes, int, int]]:
    """Yield the boxes of a stretch of a file: kind, where what is in it begins, and ends."""
    for _ in range(_MOST):
        file.seek(at)
        head = file.read(16)
        if at + 8 > end or len(head) < 8:
            return
        size, kind = struct.unpack_from(">I4s", head)
        begin = at + 8
        if size == 1:
            size, begin = int.from_bytes(head[8:16]), at + 16
        stop = end if size == 0 else at + size
        if stop < begin or stop > end:
            return
        yield kind, begin, stop
        at = stop


def _descriptions(file: BinaryIO, at: int, end: int) -> Iterator[bytes]:
    """Yield the sample descriptions of the tracks with pictures."""
    is_video = False
    for kind, begin, stop in _boxes(file, at, end):
        if kind in _INSIDE and (kind != b"minf" or is_video):
            yield from _descriptions(file, begin, stop)
        elif kind == b"hdlr":
            file.seek(begin + 8)
            is_video = file.read(4) == b"vide"
        elif kind == b"stsd" and stop - begin <= _MOST_BYTES:
            file.seek(begin)
            yield file.read(stop - begin)


def _clean(stsd: bytes, size: tuple[int, int]) -> Crop:
    """Read the clean aperture of the first description; what lies beyond the picture counts as not said."""
    end = 8 + int.from_bytes(stsd[8:12])
    at = 8 + 8 + 78  # what every box has, and every visual sample entry
    while at + 8 <= min(end, len(stsd)):
        length, kind = struct.unpack_from(">I4s", stsd, at)
        if kind == b"clap" and length >= 40:
            return _aperture(struct.unpack_from(">IIIIiIiI", stsd, at + 8), size)
        at += max(8, length)
    return UNCROPPED


def _aperture(numbers: tuple[int, ...], size: tuple[int, int]) -> Crop:
    """Turn width, height and how far the middle is moved, each a fraction, into what is cut off."""
    if not all(numbers[1::2]):
        return UNCROPPED
    width, height, x, y = (Fraction(*numbers[n : n + 2]) for n in (0, 2, 4, 6))
    left, top = round_half_up(x + (size[0] - width) / 2), round_half_up(y + (size[1] - height) / 2)
    right, bottom = size[0] - left - round_half_up(width), size[1] - top - round_half_up(height)
    if min(left, top, right, bottom) < 0 or not width or not height:
        return UNCROPPED
    return Crop(left, top, right, bottom)


# Matroska


def _elements(file: BinaryIO, at: int, end: int) -> Iterator[tuple[int, int, int]]:
    """Yield the elements of a stretch of a file: number, where what is in it begins, and ends."""
    for _ in range(_MOST):
        file.seek(at)
        head = file.read(12)
        if at >= end or len(head) < 2 or not head[0]:
            return
        first = 9 - head[0].bit_length()
        if first > 4 or first >= len(head) or not head[first]:
            return
        second = 9 - head[first].bit_length()
        size = int.from_bytes(head[first : first + second]) & ((1 << 7 * second) - 1)
        begin = at + first + second
        stop = end if size == (1 << 7 * second) - 1 else begin + size  # all ones: as long as it lasts
        yield int.from_bytes(head[:first]), begin, min(stop, end)
        at = stop


def _in_matroska(file: BinaryIO) -> Iterator[Crop | None]:
    for number, begin, stop in _elements(file, 0, _end(file)):
        if number != _SEGMENT:
            continue
        for inner, first, last in _elements(file, begin, stop):
            if inner == _TRACKS:
                yield from (_entry(file, *rest) for kind, *rest in _elements(file, first, last) if kind == _ENTRY)
                return
            if inner == _CLUSTER:
                return


def _number(file: BinaryIO, begin: int, stop: int) -> int:
    file.seek(begin)
    return int.from_bytes(file.read(min(8, stop - begin)))


def _entry(file: BinaryIO, begin: int, stop: int) -> Crop | None:
    """Read a track's crop; None for a track without pictures."""
    kind, sides = 0, {}
    for number, first, last in _elements(file, begin, stop):
        if number == _KIND:
            kind = _number(file, first, last)
        elif number == _VIDEO:
            inner = list(_elements(file, first, last))
            sides = {_SIDES[name]: _number(file, a, b) for name, a, b in inner if name in _SIDES}
    return Crop(**sides) if kind == 1 else None
