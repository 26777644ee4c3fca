"""NAL units of H.264 and their bits, pure. Whatever bytes are given, ``ValueError`` is all that is raised."""

import re
from collections.abc import Iterator

SLICE, IDR, SEI, SPS, PPS = 1, 5, 6, 7, 8
"""Kinds of NAL units."""

_ALIKE = re.compile(rb"\0\0(?=[\0-\3])")
"""What would be taken for the begin of another unit."""


class Bits:
    """Reads the bits of a NAL unit's payload, from the first on."""

    def __init__(self, payload: bytes) -> None:
        """Read bytes that have no emulation prevention any more."""
        self._value = int.from_bytes(payload)
        self._length = 8 * len(payload)
        self.at = 0

    def u(self, count: int) -> int:
        """Read a number of ``count`` bits."""
        self.at += count
        if self.at > self._length:
            raise ValueError("a parameter set or slice header ends too soon")
        return (self._value >> (self._length - self.at)) & ((1 << count) - 1)

    def ue(self) -> int:
        """Read an Exp-Golomb number."""
        zeros = 0
        while not self.u(1):
            zeros += 1
            if zeros > 32:
                raise ValueError("a number in a parameter set is too large")
        return (1 << zeros) - 1 + self.u(zeros)

    def se(self) -> int:
        """Read a signed Exp-Golomb number."""
        code = self.ue()
        return (code + 1) // 2 if code % 2 else -(code // 2)

    def between(self, first: int, end: int) -> str:
        """Return the bits ``[first, end)`` as text of 0 and 1."""
        here, self.at = self.at, first
        text = format(self.u(end - first), f"0{end - first}b") if end > first else ""
        self.at = here
        return text


def unescape(unit: bytes) -> bytes:
    """Take the emulation prevention out of a NAL unit."""
    return unit.replace(b"\0\0\3", b"\0\0")


def escape(payload: bytes) -> bytes:
    """Put emulation prevention into a NAL unit."""
    found = _ALIKE.sub(lambda _: b"\0\0\3", payload)
    return found + b"\3" if found.endswith(b"\0\0") else found


def ue_text(value: int) -> str:
    """Write an Exp-Golomb number as text of 0 and 1."""
    code = format(value + 1, "b")
    return "0" * (len(code) - 1) + code


def unit_of(bits: str, header: int) -> bytes:
    """Make a NAL unit of a header byte and payload bits; the trailing bits are added."""
    bits += "1"
    bits += "0" * (-len(bits) % 8)
    return bytes([header]) + escape(int(bits, 2).to_bytes(len(bits) // 8))


def units(packet: bytes) -> Iterator[bytes]:
    """Yield the NAL units of a packet in which each is preceded by its length in 4 bytes."""
    at, end = 0, len(packet)
    while at < end:
        size = int.from_bytes(packet[at : at + 4])
        at += 4 + size
        if not size or at > end:
            raise ValueError("a packet is no row of NAL units")
        yield packet[at - size : at]


def kind(unit: bytes) -> int:
    """Return which kind of NAL unit it is."""
    return unit[0] & 31


def has_idr(packet: bytes) -> bool:
    """Tell whether a packet's picture needs none before it, nor do those after it."""
    try:
        return any(kind(unit) == IDR for unit in units(packet))
    except ValueError:
        return False
