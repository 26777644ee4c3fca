"""The parameter sets of a track, pure: read from ``avcC``, joined so that pictures of two encoders live in one.

A player that keeps one description per track finds there all that any picture needs: each set has a number of its own,
and slices name the one they need. Our own encodes take ``OURS`` where copies may stand beside them.
"""

from collections.abc import Iterable, Mapping

import attrs

from clipcut.ffmpeg.h264 import Pps, Sps, read_pps, read_sps, tagged
from clipcut.ffmpeg.nal import PPS, SPS, kind
from clipcut.smart import Why

OURS = 31
"""The number of both of our own parameter sets in a track that may hold copies: one that hardly any encoder takes."""

Key = tuple[int, int]
"""Which parameter set: the kind of its NAL unit and its number."""

_PROFILES = (66, 77, 100)
_BT709 = (1, 1, 1)


@attrs.frozen
class Parameters:
    """Parameter sets by kind and number, in the order they were found, as NAL units."""

    sets: Mapping[Key, bytes] = attrs.field(factory=dict)

    def agrees(self, other: "Parameters") -> bool:
        """Tell whether both can stand in one track."""
        return all(other.sets.get(key, unit) == unit for key, unit in self.sets.items())

    def joined(self, other: "Parameters") -> "Parameters":
        """Return both; where they contradict each other, this one's."""
        return Parameters({**other.sets, **self.sets})

    def all(self, which: int) -> list[bytes]:
        """Return the sets of one kind by their numbers."""
        return [self.sets[key] for key in sorted(self.sets) if key[0] == which]

    def avcc(self) -> bytes:
        """Write them as ``avcC``, with lengths of 4 bytes and the highest profile and level of all."""
        sequences, pictures = self.all(SPS), self.all(PPS)
        profile, level = max(unit[1] for unit in sequences), max(unit[3] for unit in sequences)
        limits = 0xFF
        for unit in sequences:
            limits &= unit[2]
        head = bytes([1, profile, limits, level, 0xFF, 0xE0 | len(sequences)])
        body = _lengthened(sequences) + bytes([len(pictures)]) + _lengthened(pictures)
        return head + body + (bytes([0xFD, 0xF8, 0xF8, 0]) if profile == 100 else b"")


def _lengthened(units: Iterable[bytes]) -> bytes:
    return b"".join(len(unit).to_bytes(2) + unit for unit in units)


def _key(unit: bytes) -> Key:
    return kind(unit), (read_sps(unit) if kind(unit) == SPS else read_pps(unit)).id


def read_avcc(data: bytes) -> Parameters:
    """Read ``avcC``.

    Raises:
        ValueError: It is none, or one with another length than 4 bytes before its units.
    """
    if len(data) < 7 or data[0] != 1 or data[4] & 3 != 3:
        raise ValueError("not avcC with lengths of 4 bytes")
    found: dict[Key, bytes] = {}
    at, count = 6, data[5] & 31
    for which in (SPS, PPS):
        for _ in range(count):
            size = int.from_bytes(data[at : at + 2])
            unit = data[at + 2 : at + 2 + size]
            if not size or len(unit) != size or kind(unit) != which or found.get(_key(unit), unit) != unit:
                raise ValueError("a parameter set is cut off, or there twice")
            found[_key(unit)] = unit
            at += 2 + size
        count, at = data[at] if at < len(data) else 0, at + 1
    return Parameters(found)


@attrs.frozen
class Form:
    """How a source's pictures are coded.

    Attributes:
        written: Its parameter sets as the source has them.
        told: The same as the output has them: square pixels and BT.709 are stated where nothing was.
        sequences, pictures: What they say, by number.
        slot: Where other numbers than the source's own are used, which; else 0.
    """

    written: Parameters
    told: Parameters
    sequences: Mapping[int, Sps]
    pictures: Mapping[int, Pps]
    slot: int = 0


def _why_not(sps: Sps, size: tuple[int, int], most_reordered: int) -> Why | None:
    if (sps.width, sps.height) != size or sps.aspect not in ((0, 0), (1, 1)):
        return Why.SHAPE
    if sps.profile not in _PROFILES or (sps.chroma, sps.depth, sps.is_progressive) != (1, 8, True):
        return Why.PIXELS
    if sps.full_range or sps.siting or any(a not in (b, 2) for a, b in zip(sps.colours, _BT709, strict=True)):
        return Why.COLOUR
    reorder = 0 if sps.poc_type == 2 else sps.reorder  # type 2 stores pictures in the order they are shown in
    if sps.id == OURS or reorder is None or reorder > most_reordered:
        return Why.PARAMETERS
    return None


def form_of(avcc: bytes, size: tuple[int, int], most_reordered: int) -> Form | Why:
    """Read how a source's pictures are coded; say why they can't be copied into the output if they can't.

    Args:
        avcc: The source's ``avcC``.
        size: The output's width and height, in pixels.
        most_reordered: How many pictures may be stored before one that is shown before them.
    """
    try:
        written = read_avcc(avcc)
        sequences = {read_sps(unit).id: read_sps(unit) for unit in written.all(SPS)}
        pictures = {read_pps(unit).id: read_pps(unit) for unit in written.all(PPS)}
        told = Parameters({key: _told(unit) for key, unit in written.sets.items()})
    except (ValueError, IndexError):
        return Why.PARAMETERS
    if not sequences or OURS in pictures or any(pps.sps not in sequences for pps in pictures.values()):
        return Why.PARAMETERS
    why = next(filter(None, (_why_not(sps, size, most_reordered) for sps in sequences.values())), None)
    return why or Form(written, told, sequences, pictures)


def is_plain(parameters: Parameters, size: tuple[int, int]) -> bool:
    """Tell whether parameter sets say what every output's do: its size, square pixels, BT.709, limited range, left.

    Args:
        parameters: Those of a clip that was encoded.
        size: The output's width and height, in pixels.
    """
    try:
        sets = [read_sps(unit) for unit in parameters.all(SPS)]
    except (ValueError, IndexError):
        return False
    wanted = size, (1, 1), _BT709, False, 0
    told = {((sps.width, sps.height), sps.aspect, sps.colours, sps.full_range, sps.siting) for sps in sets}
    return told == {wanted}


def _told(unit: bytes) -> bytes:
    if kind(unit) != SPS:
        return unit
    sps = read_sps(unit)
    return unit if (sps.aspect, sps.colours) == ((1, 1), _BT709) else tagged(unit, sps)
