"""Copy the packets that one clip needs into a small file of their own, with PyAV; a render has it done in a child.

FFmpeg then decodes that file from its first packet to its last. So no demuxer's seek decides where a clip begins, an
error in the source counts when it lies in the clip's range and not otherwise, and the times of the pictures that must
come out of the decoder are known before it starts: they are the proof that none was lost.
"""

import bisect
from collections.abc import Callable
from fractions import Fraction
from math import floor
from pathlib import Path

import attrs

from clipcut.errors import Reason, SourceError
from clipcut.ffmpeg.need import Need
from clipcut.ffmpeg.packets import EXCERPT_FORMATS, PacketFile, PacketFiles
from clipcut.ffmpeg.picture_times import decoded_order, ranks_of, times_of
from clipcut.ffmpeg.probe import MediaInfo, VideoInfo, file_identity, open_media, seek
from clipcut.ffmpeg.search import Search
from clipcut.ffmpeg.separate_sound import copy_own_sound, copy_sound
from clipcut.ffmpeg.transport import PACKET, find_damage, is_transport_stream

SEEK_BACK = (Fraction(1, 2), Fraction(4), Fraction(30))
"""How far before the clip to begin looking for its keyframe, in seconds, one after the other; then from the start."""


@attrs.frozen(kw_only=True)
class Excerpt:
    """The packets that a clip needs, in files with the source's timestamps, moved by a known number of ticks.

    Attributes:
        video: The file with its video packets.
        sound: The file with its sound packets; None if there are none.
        time_base: Seconds per tick of the file's video stream; a whole fraction of the source's.
        pictures: Presentation times of the pictures from the first needed to the last, ascending, in source ticks.
        video_shift: By how many seconds the file's video timestamps are later than the source's.
        sound_shift: The same for its sound.
        keyframe: When its first picture is shown, in the source file's own time in seconds.
        is_odd: Whether the source gives no time for some of its pictures.
        places: Where the times in the file with the pictures are only their places in the order in which they are
            shown: those of ``pictures``, in its own ticks. Empty where they are the source's times.
        changes: Which of the pictures are keyframes that say otherwise how they are coded than those before, as
            ``pictures``.
    """

    video: Path
    sound: Path | None
    time_base: Fraction
    pictures: tuple[int, ...]
    video_shift: Fraction
    sound_shift: Fraction
    keyframe: Fraction
    is_odd: bool = False
    places: tuple[int, ...] = ()
    changes: tuple[int, ...] = ()


def _needed_pictures(pictures: list[int], need: Need, video: VideoInfo) -> tuple[int, ...]:
    """Keep the pictures from the one on display at ``need.first`` to the one at ``need.last``."""
    ordered = sorted(set(pictures))
    first_tick, last_tick = floor(need.first / video.time_base), floor(need.last / video.time_base)
    begin = max(0, bisect.bisect_right(ordered, first_tick) - 1)
    return tuple(ordered[begin : bisect.bisect_right(ordered, last_tick)])


def _check_clock(search: Search, info: MediaInfo) -> None:
    """See that the clock of a transport or program stream runs on while the clip's pictures are shown.

    Raises:
        SourceError: ``undecodable``; a picture would be held in place of what nobody can place.
    """
    if search.jump is not None and info.has_clock:
        before, after = (float(moment - info.video.zero) for moment in search.jump)
        words = f"{info.called}: its clock jumps from {before:.3f} s to {after:.3f} s within the clip"
        raise SourceError(Reason.UNDECODABLE, words)


def _check_reach(search: Search, need: Need, info: MediaInfo) -> None:
    if search.saw_beyond or info.has_after or search.rows is not None:
        return
    if search.end is None:
        raise SourceError(Reason.SHORT_SOURCE, f"{info.called} has no picture at or after the clip's start")
    if need.end > search.end + need.tolerance:
        missing = float(need.end - search.end)
        words = f"{info.called} ends {missing:.3f} s before the clip does"
        if search.restart is not None:
            begins = float(search.restart - info.video.zero)
            words += f"; its clock begins again after {begins:.3f} s, and what comes then can't be placed"
        raise SourceError(Reason.SHORT_SOURCE, words)


def _check_packets(search: Search, info: MediaInfo) -> None:
    """See that a transport stream has no damaged place among the pictures that the clip needs.

    Raises:
        SourceError: ``undecodable``.
    """
    first, last = search.place
    with info.path.open("rb") as file:
        head = file.read(2 * PACKET)
    if first < 0 or not is_transport_stream(head):
        return
    if (damage := find_damage(info.path, first, last + PACKET)) is not None:
        raise SourceError(Reason.UNDECODABLE, f"{info.called} is damaged; {damage}")


def _scan(
    info: MediaInfo, need: Need, back: Fraction | None, target: Path, is_numbered: bool, check: Callable[[], None]
) -> Excerpt | None:
    """Make the excerpt, looking for the keyframe from ``back`` seconds before the clip (None: from the start)."""
    with open_media(info.path, is_packets_only=info.may_be_turned, is_as_stored=is_numbered) as source:
        if info.identity and file_identity(info.path) != info.identity:
            raise SourceError(Reason.UNDECODABLE, f"{info.called} was changed while the render was reading it")
        video = source.streams[info.video.index]
        has_sound = need.sound is not None and info.audio is not None and info.audio.path is None
        audio = source.streams[info.audio.index] if has_sound and info.audio is not None else None
        if back is not None and not seek(source, video, need.begin - back, info.video):
            return None
        kept = {"is_numbered": is_numbered, "has_alpha_layer": info.video.has_alpha_layer}
        with PacketFiles(target, video, audio, **kept) as writers:
            wanted = need if audio is not None else attrs.evolve(need, sound=None)
            search = Search(info, wanted, video, writers, is_numbered=is_numbered)
            for count, packet in enumerate(source.demux(*writers.streams)):
                if count % 64 == 0:
                    check()
                if not search.take(packet):
                    break
            search.check_cover(info)
            if not search.found:
                return None
            if not info.is_piece:  # a piece is made of segments, each of which was looked at by itself
                _check_packets(search, info)
            _check_clock(search, info)
            _check_reach(search, need, info)
        excerpt = Excerpt(
            video=writers.paths[video],
            sound=writers.paths[audio] if audio is not None and search.has_sound else None,
            time_base=writers[video].time_base,
            pictures=_needed_pictures(search.pictures, need, info.video),
            video_shift=writers[video].shift,
            sound_shift=writers[audio].shift if audio is not None else Fraction(0),
            keyframe=search.keyframe,
            changes=tuple(search.changes),
            is_odd=search.is_odd,
        )
        if search.rows is None:
            return excerpt
        return _by_decoder(excerpt, search, writers[video], need, info, check)


def _by_decoder(
    excerpt: Excerpt, search: Search, file: PacketFile, need: Need, info: MediaInfo, check: Callable[[], None]
) -> Excerpt | None:
    """Find out from the decoder which pictures there are, and when each is shown; None if they begin too late.

    Raises:
        SourceError: ``undecodable``; the source gives no times that can be trusted; ``short_source``.
    """
    tick, frame = info.video.time_base, info.video.frame_seconds / info.video.time_base
    rows = search.rows or []
    with open_media(excerpt.video, EXCERPT_FORMATS, is_as_stored=True) as numbered:
        order = [file.place(time) for time in decoded_order(numbered)]
    shown = [place for place, number in enumerate(order) if 0 <= number < len(rows) and not rows[number].is_hidden]
    times = times_of(rows, [order[place] for place in shown], frame) if min(order, default=-1) >= 0 else None
    if times is None:
        words = f"{info.called} gives no times for its pictures that can be trusted"
        raise SourceError(Reason.UNDECODABLE, words)
    if times[0] * tick > need.first and excerpt.keyframe > info.video.zero:
        return None
    end = (times[-1] + frame) * tick
    if not search.saw_beyond and not info.has_after and need.end > end + need.tolerance:
        missing = float(need.end - end)
        raise SourceError(Reason.SHORT_SOURCE, f"{info.called} ends {missing:.3f} s before the clip does")
    first = max(0, bisect.bisect_right(times, floor(need.first / tick)) - 1)
    stop = bisect.bisect_right(times, floor(need.last / tick))
    with open_media(excerpt.video, EXCERPT_FORMATS, is_as_stored=True) as numbered:
        in_order = excerpt.video.with_suffix(".ordered")
        writer = PacketFile(in_order, numbered.streams.video[0], ranks_of(order, len(rows)))
        for packet in numbered.demux(numbered.streams.video[0]):
            if packet.size:
                writer.write(packet)
        writer.close()
    in_order.replace(excerpt.video)
    places = tuple(writer.time(place) for place in shown[first:stop])
    found = attrs.evolve(excerpt, pictures=tuple(times[first:stop]), places=places, time_base=writer.time_base)
    if found.sound is None:
        return found
    shift = copy_own_sound(info, need, found.sound, check)  # with the times that FFmpeg fills in
    return attrs.evolve(found, sound=found.sound if shift is not None else None, sound_shift=shift or Fraction(0))


def _with_sound(excerpt: Excerpt, info: MediaInfo, need: Need, target: Path) -> Excerpt:
    """Add the sound of a source that has it in a file of its own."""
    path = target.with_suffix(".sound")
    shift = copy_sound(info, need, path)
    return excerpt if shift is None else attrs.evolve(excerpt, sound=path, sound_shift=shift)


def make_excerpt(
    info: MediaInfo, need: Need, target: Path, is_numbered: bool = False, check: Callable[[], None] = lambda: None
) -> Excerpt:
    """Copy what a clip needs. Blocks; have a reader do it.

    Args:
        info: The probed source.
        need: What the clip needs.
        target: Where: its suffix is replaced by ``.video`` and ``.sound``.
        is_numbered: Whether the decoder is asked which pictures there are, as the packets don't tell.
        check: Called every few packets; raises to end the work early.

    Raises:
        SourceError: ``short_source`` if the clip reaches too far past the source's last frame; ``undecodable`` or
            ``missing_file`` if the file can't be read.
        UncoveredError: The file is a piece of a longer source, and more of it is needed.
    """
    for back in (None,) if info.is_piece else (*SEEK_BACK, None):
        if back is not None and need.begin - back <= info.video.zero:
            continue  # as good as from the start
        excerpt = _scan(info, need, back, target, is_numbered, check)
        if excerpt is not None:
            return _with_sound(excerpt, info, need, target)
    raise SourceError(Reason.UNDECODABLE, f"{info.called} has no keyframe before the clip")
