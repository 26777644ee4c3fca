"""Coded pictures and sound as no container changes them: what is left of a packet when its wrapping is taken off.

Decoding is exact: the same coded picture, with the same parameter sets and the same pictures before it, is the same
picture everywhere. So these hashes stand for what is seen and heard, and cost next to nothing.
"""

import hashlib
from collections.abc import Iterable, Iterator

DIGEST_BYTES = 16
"""The length of every digest here, in bytes: 128 bits."""

_SLICES = frozenset(range(1, 6))
_PARAMETERS = frozenset((7, 8))
_ADTS_SYNC = 0xFFF0


def digest(*parts: bytes) -> bytes:
    """Return the digest of some bytes, each part with its length, so that no two lists of parts are alike."""
    whole = b"".join([each for part in parts for each in (len(part).to_bytes(8, "big"), part)])
    return hashlib.blake2b(whole, digest_size=DIGEST_BYTES).digest()


def length_size(extradata: bytes) -> int:
    """Return how many bytes say a unit's length in an H.264 track; 0 where start codes part the units (Annex B)."""
    return (extradata[4] & 3) + 1 if len(extradata) > 6 and extradata[0] == 1 else 0


def picture_units(data: bytes, size: int) -> Iterator[bytes]:
    """Yield the units of a coded picture, without zeros behind them; stops where a length leads out of the data.

    Args:
        data: A packet of an H.264 track.
        size: What ``length_size`` said of the track.
    """
    if not size:
        yield from (unit.rstrip(b"\0") for unit in data.split(b"\0\0\1")[1:])
        return
    at = 0
    while at + size < len(data):
        end = at + size + int.from_bytes(data[at : at + size], "big")
        yield data[at + size : end].rstrip(b"\0")
        at = end


def parameter_units(extradata: bytes) -> Iterator[bytes]:
    """Yield the parameter sets that stand at the head of an H.264 track."""
    if not length_size(extradata):
        yield from (unit for unit in picture_units(extradata, 0) if unit and unit[0] & 31 in _PARAMETERS)
        return
    at = 5
    for mask in (31, 255):
        count, at = extradata[at] & mask if at < len(extradata) else 0, at + 1
        for _ in range(count):
            length = int.from_bytes(extradata[at : at + 2], "big")
            yield extradata[at + 2 : at + 2 + length].rstrip(b"\0")
            at += 2 + length


def split_units(units: Iterable[bytes]) -> tuple[list[bytes], list[bytes]]:
    """Part a picture's units into slices and parameter sets; delimiters, notes and filling change no picture."""
    slices: list[bytes] = []
    parameters: list[bytes] = []
    for unit in units:
        kind = unit[0] & 31 if unit else 0
        if kind in _SLICES:
            slices.append(unit)
        elif kind in _PARAMETERS:
            parameters.append(unit)
    return slices, parameters


def sound_payload(data: bytes) -> bytes:
    """Return a packet of AAC without the ADTS header that transport streams put before it."""
    if len(data) < 7 or int.from_bytes(data[:2], "big") & 0xFFF6 != _ADTS_SYNC:
        return data
    return data[7:] if data[1] & 1 else data[9:]
