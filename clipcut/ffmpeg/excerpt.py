"""Copy the packets that one clip needs into a small file of their own, with PyAV, in a thread.

FFmpeg then decodes that file from its first packet to its last. So no demuxer's seek decides where a clip begins, an
error in the source counts when it lies in the clip's range and not otherwise, and the times of the pictures that must
come out of the decoder are known before it starts: they are the proof that none was lost.
"""

from collections.abc import Callable
from fractions import Fraction
from math import ceil
from pathlib import Path
from typing import TYPE_CHECKING, Self

import attrs

from clipcut.errors import Reason, SourceError
from clipcut.ffmpeg.probe import MediaInfo, VideoInfo, file_identity, open_media, shown_pts

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.packet import Packet
    from av.stream import Stream

SOUND_LEAD = Fraction(3, 10)
"""Seconds of sound before the clip that are decoded too: lossy codecs need a little past to be exact."""

SEEK_BACK = (Fraction(1, 2), Fraction(4), Fraction(30))
"""How far before the clip to begin looking for its keyframe, in seconds, one after the other; then from the start."""

_AHEAD = Fraction(3600)
"""By about how many seconds every timestamp is moved, so that none is below 0: a muxer would move them by itself."""

_SOUND_LAG = Fraction(10)
"""Sound that is missing this many seconds after its picture in the file isn't waited for."""


@attrs.frozen(kw_only=True)
class Need:
    """What a clip needs of its source, in the file's own time, in seconds.

    Attributes:
        first: The picture on display at this moment is the first that is needed.
        last: The one on display at this moment is the last.
        sound: The range of sound that is needed, half-open; None for no sound.
        end: The clip's exact end.
        tolerance: By how much ``end`` may lie past the end of the source's last frame.
        before: Begin at a keyframe before this moment; None for the last one at or before ``first``.
    """

    first: Fraction
    last: Fraction
    sound: tuple[Fraction, Fraction] | None
    end: Fraction
    tolerance: Fraction
    before: Fraction | None = None

    @property
    def begin(self) -> Fraction:
        """The latest moment at which the excerpt's keyframe may be shown."""
        return self.first if self.before is None else min(self.first, self.before)

    def may_begin_at(self, moment: Fraction) -> bool:
        """Tell whether a keyframe shown at ``moment`` is early enough."""
        return moment <= self.first and (self.before is None or moment < self.before)


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
    """

    video: Path
    sound: Path | None
    time_base: Fraction
    pictures: tuple[int, ...]
    video_shift: Fraction
    sound_shift: Fraction
    keyframe: Fraction


_CONTAINERS = {"av1": "ivf", "libdav1d": "ivf", "libaom-av1": "ivf", "prores": "mov"}
"""The container of a codec's excerpt where it isn't NUT, which keeps any timestamps but doesn't know every codec."""


class _Writer:
    """Puts one stream's packets into a file of their own, with timestamps moved by a known number of ticks."""

    def __init__(self, path: Path, source: "Stream") -> None:
        import av  # noqa: PLC0415

        kind = _CONTAINERS.get(source.codec_context.name, "nut")
        self._container = av.open(f"file:{path}", "w", format=kind, container_options={"avoid_negative_ts": "disabled"})
        self._stream = self._container.add_stream_from_template(source, opaque=True)
        self._tick: Fraction = source.time_base
        # MOV rounds a late begin to its own clock, so there the first packet is put at 0 (its codecs don't reorder)
        self._ticks: int | None = None if kind == "mov" else ceil(_AHEAD / self._tick)

    def write(self, packet: "Packet") -> None:
        """Put a packet in."""
        if self._ticks is None:
            self._ticks = -(packet.dts if packet.dts is not None else packet.pts)
        packet.pts = packet.pts + self._ticks if packet.pts is not None else None
        packet.dts = packet.dts + self._ticks if packet.dts is not None else None
        packet.stream = self._stream
        self._container.mux(packet)

    def close(self) -> None:
        """Finish the file."""
        self._container.close()

    @property
    def shift(self) -> Fraction:
        """By how many seconds the file's timestamps are later than the source's."""
        return (self._ticks or 0) * self._tick

    @property
    def time_base(self) -> Fraction:
        """Seconds per tick of the file, known once a packet was written."""
        return Fraction(self._stream.time_base)


class _Search:
    """Goes through packets in file order: finds the clip's keyframe, passes on what is needed, knows when to stop."""

    def __init__(self, info: MediaInfo, need: Need, video: "Stream", writers: "_Writers") -> None:
        self._codec = info.video.codec
        self._frame_seconds = info.video.frame_seconds
        self._need = need
        self._stream = video
        self._writers = writers
        self._tick = info.video.time_base
        self._sound_tick = info.audio.time_base if info.audio is not None else Fraction(0)
        self._keyframe: int | None = None
        self._later: list[Packet] = []
        self._sound_done = need.sound is None
        self._video_at: Fraction | None = None
        self.pictures: list[int] = []
        self.end: Fraction | None = None
        self.has_sound = False

    @property
    def found(self) -> bool:
        """Whether there was a keyframe at or before the clip's first picture."""
        return self._keyframe is not None

    @property
    def keyframe(self) -> Fraction:
        """When the excerpt's first picture is shown."""
        return (self._keyframe or 0) * self._tick

    @property
    def saw_beyond(self) -> bool:
        """Whether the file goes on after the clip's last picture."""
        return self._video_at is not None and self._video_at > self._need.last

    def take(self, packet: "Packet") -> bool:
        """Take the next packet; False when nothing more is needed."""
        if packet.dts is None and packet.pts is None:
            return True  # the flush packet at the end
        if packet.stream is self._stream:
            self._take_video(packet)
        else:
            self._take_sound(packet)
        return not self._is_done()

    def _take_video(self, packet: "Packet") -> None:
        pts = packet.pts if packet.pts is not None else packet.dts
        dts = packet.dts if packet.dts is not None else packet.pts
        assert pts is not None  # noqa: S101  take() saw to it
        assert dts is not None  # noqa: S101
        self._video_at = dts * self._tick
        if packet.is_keyframe and self._need.may_begin_at(pts * self._tick):
            self._begin(pts)
        if self._video_at > self._need.last or self._keyframe is None or pts < self._keyframe:
            return  # beyond the clip, before its keyframe, or a picture that leads the keyframe and lacks its reference
        self._note(packet)
        self._later.append(packet)
        if pts * self._tick <= self._need.last:  # else it is needed only if a picture of the clip comes after it
            self._writers.write_all(self._later)
            self._later.clear()

    def _begin(self, keyframe_pts: int) -> None:
        """Begin anew at a later keyframe: no picture before it is needed."""
        if self._keyframe is not None:
            self._writers.restart(self._stream)
        self._keyframe = keyframe_pts
        self._later.clear()
        self.pictures.clear()
        self.end = None

    def _note(self, packet: "Packet") -> None:
        pts = shown_pts(packet, self._codec)
        if pts is None:
            return
        self.pictures.append(pts)
        duration = packet.duration * self._tick if packet.duration else self._frame_seconds
        self.end = max(self.end or Fraction(0), pts * self._tick + duration)

    def _take_sound(self, packet: "Packet") -> None:
        if self._need.sound is None or packet.pts is None:
            return
        begin = packet.pts * self._sound_tick
        end = begin + (packet.duration or 0) * self._sound_tick
        if begin >= self._need.sound[1]:
            self._sound_done = True
        elif end >= self._need.sound[0] - SOUND_LEAD:
            self.has_sound = True
            self._writers.write_all([packet])

    def _is_done(self) -> bool:
        if self._video_at is None or self._video_at <= self._need.begin:
            return False
        if not self.found:
            return True
        return self.saw_beyond and (self._sound_done or self._video_at > self._need.last + _SOUND_LAG)


def _needed_pictures(pictures: list[int], need: Need, video: VideoInfo) -> tuple[int, ...]:
    """Keep the pictures from the one on display at ``need.first`` to the one at ``need.last``."""
    ordered = sorted(set(pictures))
    before = [pts for pts in ordered if pts * video.time_base <= need.first]
    first = before[-1] if before else (ordered[0] if ordered else 0)
    return tuple(pts for pts in ordered if pts >= first and pts * video.time_base <= need.last)


def _check_reach(search: _Search, need: Need, path: Path) -> None:
    if search.saw_beyond:
        return
    if search.end is None:
        raise SourceError(Reason.SHORT_SOURCE, f"{path} has no picture at or after the clip's start")
    if need.end > search.end + need.tolerance:
        missing = float(need.end - search.end)
        raise SourceError(Reason.SHORT_SOURCE, f"{path} ends {missing:.3f} s before the clip does")


def _seek(container: "InputContainer", stream: "Stream", seconds: Fraction, video: VideoInfo) -> bool:
    import av  # noqa: PLC0415

    ticks = int(seconds / video.time_base)
    try:
        container.seek(ticks, stream=stream)
    except av.FFmpegError:
        return False  # some demuxers refuse a place past their end; the next try begins earlier
    return True


class _Writers:
    """A file for each stream of an excerpt; all are finished when the block is left."""

    def __init__(self, target: Path, video: "Stream", audio: "Stream | None") -> None:
        self.paths = {video: target.with_suffix(".video")}
        if audio is not None:
            self.paths[audio] = target.with_suffix(".sound")
        self.streams = tuple(self.paths)
        self._open = {stream: _Writer(path, stream) for stream, path in self.paths.items()}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for writer in self._open.values():
            writer.close()

    def __getitem__(self, stream: "Stream") -> _Writer:
        return self._open[stream]

    def write_all(self, packets: "list[Packet]") -> None:
        """Put packets into their streams' files."""
        for packet in packets:
            self._open[packet.stream].write(packet)

    def restart(self, stream: "Stream") -> None:
        """Forget what was written of a stream: on disk, so that a group of pictures of any length costs no memory."""
        self._open[stream].close()
        self._open[stream] = _Writer(self.paths[stream], stream)


def _scan(
    info: MediaInfo, need: Need, back: Fraction | None, target: Path, check: Callable[[], None]
) -> Excerpt | None:
    """Make the excerpt, looking for the keyframe from ``back`` seconds before the clip (None: from the start)."""
    with open_media(info.path) as source:
        if file_identity(info.path) != info.identity:
            raise SourceError(Reason.UNDECODABLE, f"{info.path} was changed while the render was reading it")
        video = source.streams[info.video.index]
        audio = source.streams[info.audio.index] if need.sound is not None and info.audio is not None else None
        if back is not None and not _seek(source, video, need.begin - back, info.video):
            return None
        with _Writers(target, video, audio) as writers:
            search = _Search(info, need if audio is not None else attrs.evolve(need, sound=None), video, writers)
            for count, packet in enumerate(source.demux(*writers.streams)):
                if count % 64 == 0:
                    check()
                if not search.take(packet):
                    break
            if not search.found:
                return None
            _check_reach(search, need, info.path)
            return Excerpt(
                video=writers.paths[video],
                sound=writers.paths[audio] if audio is not None and search.has_sound else None,
                time_base=writers[video].time_base,
                pictures=_needed_pictures(search.pictures, need, info.video),
                video_shift=writers[video].shift,
                sound_shift=writers[audio].shift if audio is not None else Fraction(0),
                keyframe=search.keyframe,
            )


def make_excerpt(info: MediaInfo, need: Need, target: Path, check: Callable[[], None]) -> Excerpt:
    """Copy what a clip needs. Blocks; call it in a thread.

    Args:
        info: The probed source.
        need: What the clip needs.
        target: Where: its suffix is replaced by ``.video`` and ``.sound``.
        check: Called every few packets; raises to end the work early.

    Raises:
        SourceError: ``short_source`` if the clip reaches too far past the source's last frame; ``undecodable`` or
            ``missing_file`` if the file can't be read.
    """
    for back in (*SEEK_BACK, None):
        if back is not None and need.begin - back <= info.video.zero_seconds:
            continue  # as good as from the start
        excerpt = _scan(info, need, back, target, check)
        if excerpt is not None:
            return excerpt
    raise SourceError(Reason.UNDECODABLE, f"{info.path} has no keyframe before the clip")
