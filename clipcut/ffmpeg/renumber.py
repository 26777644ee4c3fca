"""Other numbers for a source's parameter sets, pure, so that sources which contradict each other share a track.

A slice names its picture parameter set in a code whose length depends on the number. New numbers have codes that are
exactly 8 bits longer: the slice grows by one byte, and all that follows keeps its place in its byte, as CABAC needs.
"""

from clipcut.ffmpeg.nal import PPS, SPS, Bits, escape, ue_text, unescape, unit_of
from clipcut.ffmpeg.parameters import Key, Parameters

SLOTS = range(1, 16)
"""So many sources can get numbers of their own; each is also the number of its sequence parameter set."""

_HEAD = 16
"""A slice's number is within so many bytes."""


def new_number(number: int, slot: int) -> int:
    """Return the number that a picture parameter set gets: another one for each slot, its code 8 bits longer.

    Raises:
        ValueError: It would be above 255.
    """
    size = (number + 1).bit_length() - 1
    found = (1 << (size + 4)) + (slot << size) + (number + 1 - (1 << size)) - 1
    if found > 255:
        raise ValueError("a picture parameter set can't be renumbered")
    return found


def _rest(bits: Bits, payload: bytes) -> str:
    """Return the bits from here on, without the trailing ones."""
    value = int.from_bytes(payload)
    zeros = (value & -value).bit_length() - 1
    return bits.between(bits.at, 8 * len(payload) - zeros - 1)


def renumbered_sps(unit: bytes, slot: int) -> bytes:
    """Return a sequence parameter set whose number is ``slot``."""
    payload = unescape(unit[1:])
    bits = Bits(payload)
    begin = bits.between(0, 24)
    bits.u(24), bits.ue()
    return unit_of(begin + ue_text(slot) + _rest(bits, payload), unit[0])


def renumbered_pps(unit: bytes, slot: int) -> bytes:
    """Return a picture parameter set with a new number, that needs the sequence parameter set ``slot``."""
    payload = unescape(unit[1:])
    bits = Bits(payload)
    number = new_number(bits.ue(), slot)
    bits.ue()
    return unit_of(ue_text(number) + ue_text(slot) + _rest(bits, payload), unit[0])


def renumbered_slice(unit: bytes, slot: int) -> bytes:
    """Return a slice that names the new number of its picture parameter set."""
    payload = unescape(unit[1:])
    head = payload[:_HEAD]
    bits = Bits(head)
    bits.ue(), bits.ue()
    at = bits.at
    number = new_number(bits.ue(), slot)
    text = bits.between(0, at) + ue_text(number) + bits.between(bits.at, 8 * len(head))
    return unit[:1] + escape(int(text, 2).to_bytes(len(head) + 1) + payload[_HEAD:])


def renumbered(sets: Parameters, slot: int) -> Parameters:
    """Return a source's parameter sets with the numbers of a slot.

    Raises:
        ValueError: It has several sequence parameter sets, or numbers that are too high.
    """
    if len(sets.all(SPS)) != 1:
        raise ValueError("there is more than one sequence parameter set")
    found: dict[Key, bytes] = {(SPS, slot): renumbered_sps(sets.all(SPS)[0], slot)}
    for which, number in sets.sets:
        if which == PPS:
            found[PPS, new_number(number, slot)] = renumbered_pps(sets.sets[which, number], slot)
    return Parameters(found)
