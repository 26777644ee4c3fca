"""The sound that a clip needs, in a small file, where it can't be copied along with the picture."""

import bisect
from collections.abc import Callable, Iterable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

from clipcut.errors import Reason, SourceError
from clipcut.ffmpeg.need import SOUND_LEAD, SOUND_MARGIN, Need, Side, UncoveredError
from clipcut.ffmpeg.packets import PacketFile
from clipcut.ffmpeg.probe import INPUT_FORMATS, SOUND_FORMATS, AudioInfo, MediaInfo, open_media, seek

if TYPE_CHECKING:
    from av.packet import Packet


_BACK = Fraction(2)
"""How many seconds before sound that is needed to go; where that is not far enough, all is read from the beginning."""

_SEAM = Fraction(1, 15)
"""How many seconds sound may be away from where a segment's begin must be: three packets of AAC."""


def copy_sound(info: MediaInfo, need: Need, path: Path) -> Fraction | None:
    """Copy the packets of separate sound that a clip needs into a file at ``path``.

    Returns:
        By how many seconds the file's timestamps are later than those of the source's picture; None if there is
        nothing in it, or the source's sound isn't separate.

    Raises:
        UncoveredError: The file with the sound is a piece of a longer one, and more of it is needed.
    """
    audio = info.audio
    if audio is None or audio.path is None or need.sound is None:
        return None
    begin, end = need.sound
    with open_media(audio.path, f"{INPUT_FORMATS},{SOUND_FORMATS}") as source:
        stream = source.streams[audio.index]
        writer = PacketFile(path, stream)
        try:
            watched = _watched(source.demux(stream), audio, (begin, end), info.called)
            reach = _copy_range(watched, audio, (begin - SOUND_LEAD, end), writer)
        finally:
            writer.close()
    if audio.has_before and (reach is None or reach[0] > begin - SOUND_MARGIN):
        raise UncoveredError(Side.BEFORE, is_sound=True)
    if audio.has_after and (reach is None or reach[1] < end):
        raise UncoveredError(Side.AFTER, is_sound=True)
    return writer.shift - audio.offset if reach is not None and reach[2] else None


def copy_own_sound(info: MediaInfo, need: Need, path: Path, check: Callable[[], None]) -> Fraction | None:
    """Copy the packets of a clip's sound out of the file with the picture into a file at ``path``.

    Returns:
        By how many seconds the file's timestamps are later than the source's; None if there is nothing in it.
    """
    audio = info.audio
    if audio is None or need.sound is None:
        return None
    wanted = (need.sound[0] - SOUND_LEAD, need.sound[1])
    for back in (_BACK, None):
        with open_media(info.path) as source:
            stream = source.streams[audio.index]
            if back is not None and (info.is_piece or not seek(source, stream, wanted[0] - back, audio)):
                continue
            writer = PacketFile(path, stream)
            try:
                reach = _copy_range(_checked(source.demux(stream), check), audio, wanted, writer)
            finally:
                writer.close()
        if back is None or (reach is not None and reach[0] <= wanted[0]):
            return writer.shift if reach is not None and reach[2] else None
    return None


def _checked(packets: "Iterable[Packet]", check: Callable[[], None]) -> "Iterator[Packet]":
    for count, packet in enumerate(packets):
        if count % 64 == 0:
            check()
        yield packet


def _watched(
    packets: "Iterable[Packet]", audio: AudioInfo, wanted: tuple[Fraction, Fraction], name: str
) -> "Iterator[Packet]":
    """Pass packets on, and see at each seam between segments that sound goes on where it must.

    Packed audio has no clock but the one that each segment begins with: if a segment lost its end, all that follows
    would be heard too early.

    Raises:
        SourceError: ``truncated``.
    """
    places = [place for place, _ in audio.seams]
    number, reached = 0, None
    for packet in packets:
        if packet.pts is not None:
            begin = packet.pts * audio.time_base + audio.offset
            at = bisect.bisect_right(places, packet.pos if packet.pos is not None else -1) - 1
            if at > number:
                due = audio.seams[at][1]
                gap = due - begin if due is not None else begin - (reached if reached is not None else begin)
                matters = due is not None or (begin > wanted[0] and (reached or begin) < wanted[1])
                if matters and abs(gap) > _SEAM:
                    raise SourceError(Reason.TRUNCATED, f"{name}: its sound has a hole of {float(gap):.3f} s")
                number = at
            reached = begin + (packet.duration or 0) * audio.time_base
        yield packet


def _copy_range(
    packets: "Iterable[Packet]", audio: AudioInfo, wanted: tuple[Fraction, Fraction], writer: PacketFile
) -> tuple[Fraction, Fraction, int] | None:
    """Copy what overlaps a range; return from when to when there was sound that was looked at, and what was copied."""
    reach: tuple[Fraction, Fraction, int] | None = None
    for packet in packets:
        if packet.pts is None:
            continue
        begin = packet.pts * audio.time_base + audio.offset
        end = begin + (packet.duration or 0) * audio.time_base
        first, _, count = reach or (begin, end, 0)
        is_wanted = wanted[0] <= end and begin < wanted[1]
        reach = (first, end, count + is_wanted)
        if is_wanted:
            writer.write(packet)
        if begin >= wanted[1]:
            break
    return reach
