"""Transport streams: whether a packet begins wherever one should, and whether none is missing.

A demuxer passes over a damaged place, and over packets that were lost, and says nothing: the pictures in it would be
missing, and nobody would know.
"""

from pathlib import Path

import attrs

PACKET = 188
_SYNC = b"G"
_PACKETS = PACKET * 4096
_MEDIA = range(0xC0, 0xF0)
"""The numbers of sound and pictures among all that a stream may have: others are counted carelessly by many."""


def is_transport_stream(head: bytes) -> bool:
    """Know a transport stream by its first bytes: two packets, or one where there are no more."""
    return head[:1] == _SYNC and (len(head) == PACKET or head[PACKET : PACKET + 1] == _SYNC)


def find_damage(path: Path, first: int = 0, end: int | None = None) -> str | None:
    """Say what is wrong with a part of a file, and where; None if nothing is. Blocks.

    Args:
        path: The file.
        first: Where a packet begins.
        end: Where to stop; None for the file's end.
    """
    at, counters = first, _Counters()
    with path.open("rb") as file:
        file.seek(first)
        while data := file.read(_PACKETS if end is None else max(0, min(_PACKETS, end - at))):
            begins = data[::PACKET]
            fine = len(begins) - len(begins.lstrip(_SYNC))
            if fine < len(begins):
                return f"no packet begins at byte {at + fine * PACKET}"
            if (gap := counters.find_gap(data[: len(data) // PACKET * PACKET])) is not None:
                return f"packets before byte {at + gap} are missing"
            at += len(data)
    return None


@attrs.define
class _Counters:
    """What the packets of each track are numbered with next, from 0 to 15 and over again."""

    _next: dict[int, int] = attrs.field(factory=dict)
    _is_media: dict[int, bool] = attrs.field(factory=dict)

    def find_gap(self, data: bytes) -> int | None:
        """Return where the first packet begins before which others of its track are missing; None if none are.

        Args:
            data: Whole packets.
        """
        following = self._next
        for number, (high, low, flags) in enumerate(
            zip(data[1::PACKET], data[2::PACKET], data[3::PACKET], strict=False)
        ):
            if not flags & 0x10:
                continue  # it has no payload, and isn't counted
            track = (high & 0x1F) << 8 | low
            wanted = following.get(track)
            following[track] = (flags + 1) & 15
            if high & 0x40 and track not in self._is_media:
                self._is_media[track] = _is_media(data, number * PACKET)
            if wanted is None or flags & 15 == wanted:
                continue
            if self._is_gap(data, number * PACKET, track, wanted):
                return number * PACKET
        return None

    def _is_gap(self, data: bytes, at: int, track: int, wanted: int) -> bool:
        counter, has_notes = data[at + 3] & 15, data[at + 3] & 0x20 and data[at + 4]
        if track == 0 and counter == 0:
            self._next.clear()  # a table of contents that is counted anew: another stream was put behind the first
            return False
        if (counter + 1) & 15 == wanted and _is_twice(data, at, track):
            return False
        says_so = bool(has_notes) and data[at + 5] & 0x80 != 0
        return not says_so and self._is_media.get(track, False)


def _is_twice(data: bytes, at: int, track: int) -> bool:
    """Tell whether a packet is the same as its track's last one, which is allowed; only its clock may be another."""
    for before in range(at - PACKET, -1, -PACKET):
        if (data[before + 1] & 0x1F) << 8 | data[before + 2] == track and data[before + 3] & 0x10:
            return data[before + PACKET // 2 : before + PACKET] == data[at + PACKET // 2 : at + PACKET]
    return True


def _is_media(data: bytes, at: int) -> bool:
    """Tell whether a packet that begins a unit has a picture or sound in it."""
    payload = at + 4 + (1 + data[at + 4] if data[at + 3] & 0x20 else 0)
    begin = data[payload : min(payload + 4, at + PACKET)]  # the field before it may claim to fill the packet, or more
    return len(begin) == 4 and begin[:3] == b"\0\0\1" and begin[3] in _MEDIA
