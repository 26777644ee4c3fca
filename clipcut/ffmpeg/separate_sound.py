"""The sound of a source that has it in a file of its own: what a clip needs of it, in a small file."""

from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

from clipcut.ffmpeg.need import SOUND_LEAD, SOUND_MARGIN, Need, Side, UncoveredError
from clipcut.ffmpeg.packets import PacketFile
from clipcut.ffmpeg.probe import INPUT_FORMATS, SOUND_FORMATS, AudioInfo, MediaInfo, open_media

if TYPE_CHECKING:
    from av.packet import Packet


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
            reach = _copy_range(source.demux(stream), audio, (begin - SOUND_LEAD, end), writer)
        finally:
            writer.close()
    if audio.has_before and (reach is None or reach[0] > begin - SOUND_MARGIN):
        raise UncoveredError(Side.BEFORE, is_sound=True)
    if audio.has_after and (reach is None or reach[1] < end):
        raise UncoveredError(Side.AFTER, is_sound=True)
    return writer.shift - audio.offset if reach is not None and reach[2] else None


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
