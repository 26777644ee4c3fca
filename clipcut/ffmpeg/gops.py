"""Find what of a source can be copied into a clip, and copy it, with PyAV, in a thread. Nothing is decoded."""

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Self

import attrs

from clipcut.ffmpeg.excerpt import SEEK_BACK, seek
from clipcut.ffmpeg.h264 import IDR, PPS, SLICE, SPS, drops_what_is_waiting, kind, slice_pps, units
from clipcut.ffmpeg.mux import REORDER_FRAMES
from clipcut.ffmpeg.need import SOUND_LEAD, Need
from clipcut.ffmpeg.packets import PacketFile
from clipcut.ffmpeg.parameters import Form, form_of
from clipcut.ffmpeg.probe import MediaInfo, VideoInfo, file_identity, open_media, shown_pts
from clipcut.plan import Edit
from clipcut.smart import Copy, Picture, Why, find_copy, limits_of, pays, places_of
from clipcut.timeline import Output

if TYPE_CHECKING:
    from av.container import OutputContainer
    from av.packet import Packet
    from av.stream import Stream
    from av.video.stream import VideoStream

_CONTAINERS = ("mov", "matroska")
_SOUND_LAG = Fraction(10)


"""Sound that is missing this many seconds after its picture in the file isn't waited for."""


class NotCopiedError(Exception):
    """A clip can't be copied after all. Nobody's failure: it is encoded.

    Attributes:
        why: Why.
    """

    def __init__(self, why: Why) -> None:
        """Say why."""
        self.why = why
        super().__init__(why.value)


@attrs.frozen(kw_only=True)
class Found:
    """What can be copied of a source into a clip.

    Attributes:
        copy: Which pictures.
        form: How they are coded.
        times: When they are shown, in ticks of the source, in the order they are stored.
        back: How many seconds before the clip the look began; None for the file's beginning.
    """

    copy: Copy
    form: Form
    times: tuple[int, ...]
    back: Fraction | None


def why_not(video: VideoInfo, output: Output) -> Why | None:
    """Say why a source can't be copied, as far as its streams tell; None if it may be."""
    if video.codec != "h264":
        return Why.CODEC
    if (video.width, video.height, video.rotation) != (output.width, output.height, 0) or video.sample_aspect != 1:
        return Why.SHAPE
    if video.pixel_format != "yuv420p" or video.is_interlaced:
        return Why.PIXELS
    is_small = max(video.height, video.width * 9 // 16) < 720  # unstated colours of a small picture are BT.601
    if video.full_range or video.matrix not in ((1,) if is_small else (1, 2)) or video.transfer not in (1, 2):
        return Why.COLOUR
    return None


def find(info: MediaInfo, edit: Edit, need: Need, output: Output, check: Callable[[], None]) -> Found | Why:
    """Find what can be copied into a clip. Blocks; call it in a thread.

    Args:
        info: The probed source, a whole local file.
        edit: The clip in its slot.
        need: What it needs of the source.
        output: The output's form.
        check: Called every few packets; raises to end the work early.

    Returns:
        What can be copied; or why nothing is.

    Raises:
        SourceError: The file can't be read.
    """
    if (why := why_not(info.video, output)) is not None:
        return why
    for back in (*SEEK_BACK, None):
        if back is not None and need.begin - back <= info.video.zero:
            continue
        found = _look(info, edit, need, back, output, check)
        if found is not None:
            return found
    return Why.KEYFRAMES


def _look(
    info: MediaInfo, edit: Edit, need: Need, back: Fraction | None, output: Output, check: Callable[[], None]
) -> Found | Why | None:
    with open_media(info.path) as source:
        if info.identity and file_identity(info.path) != info.identity:
            return Why.DAMAGED  # whoever encodes it says what is wrong
        if not any(name in source.format.name for name in _CONTAINERS):
            return Why.CONTAINER
        stream = source.streams[info.video.index]
        form = form_of(bytes(stream.codec_context.extradata or b""), output, REORDER_FRAMES)
        if isinstance(form, Why):
            return form
        if back is not None and not seek(source, stream, need.begin - back, info.video):
            return None
        look = _Look(info.video, need, form)
        for count, packet in enumerate(source.demux(stream)):
            if count % 64 == 0:
                check()
            if packet.size and not look.take(packet):
                break
    if look.why is not None or not look.pictures:
        return look.why
    return _judge(look, info, edit, output, back)


@attrs.define
class _Look:
    """Goes through packets as they are stored: from the clip's keyframe to where the clip ends for sure.

    Attributes:
        pictures: Those from the keyframe on; none if it lies before what was looked at.
        saw_beyond: Whether the file goes on after the clip.
        why: Why nothing is copied, if that was seen already.
    """

    video: VideoInfo
    need: Need
    form: Form
    pictures: list[Picture] = attrs.field(init=False, factory=list)
    saw_beyond: bool = attrs.field(init=False, default=False)
    why: Why | None = attrs.field(init=False, default=None)

    def take(self, packet: "Packet") -> bool:
        """Take the next packet; False when nothing more is needed."""
        tick, pts = self.video.time_base, shown_pts(packet, self.video.codec)
        dts = packet.dts if packet.dts is not None else packet.pts
        self.saw_beyond = dts is not None and dts * tick > self.need.last
        if self.saw_beyond:
            return False
        is_begin = packet.is_keyframe and pts is not None and self.need.may_begin_at(pts * tick)
        if not is_begin and not self.pictures:
            return True
        if pts is None or packet.has_sidedata("new_extradata"):
            self.why = Why.PARAMETERS  # an edit list hides it, or another description holds from here on
            return False
        if is_begin:
            self.pictures.clear()
        self.pictures.append(Picture(pts, packet.is_keyframe and _is_clean_start(bytes(packet), self.form)))
        return True


def _is_clean_start(data: bytes, form: Form) -> bool:
    """Tell whether a packet begins with an IDR picture that drops nothing of what is shown before it."""
    try:
        first = next(unit for unit in units(data) if kind(unit) in (SLICE, IDR))
        pps = form.pictures[slice_pps(first)]
        return kind(first) == IDR and not drops_what_is_waiting(first, form.sequences[pps.sps], pps)
    except (ValueError, KeyError, StopIteration):
        return False


def _judge(look: _Look, info: MediaInfo, edit: Edit, output: Output, back: Fraction | None) -> Found | Why:
    video, frames, pictures = info.video, edit.slot.frames, look.pictures
    times = sorted(picture.pts for picture in pictures)
    end = times[-1] * video.time_base + video.frame_seconds + look.need.tolerance
    limits = limits_of(video.zero + edit.clip.start, output.fps, video.time_base, frames)
    places = places_of(times, limits)
    if places is None or (end < look.need.end and not look.saw_beyond):
        return Why.FRAME_RATE  # or the source is too short: whoever encodes it says so
    copy = find_copy(pictures, places, frames, REORDER_FRAMES)
    if copy is None:
        return Why.KEYFRAMES
    if not pays(copy, pictures, frames, output.width * output.height):
        return Why.COST
    stored = tuple(picture.pts for picture in pictures[copy.index : copy.index + len(copy.places)])
    return Found(copy=copy, form=look.form, times=stored, back=back)


@attrs.frozen
class Sound:
    """A clip's sound in a file of its own, and by how many seconds its timestamps are later than the source's."""

    path: Path
    shift: Fraction


def copy(
    info: MediaInfo, found: Found, need: Need, fps: Fraction, target: Path, sound: Path, check: Callable[[], None]
) -> Sound | None:
    """Copy pictures into a file of their own, and the packets of the clip's sound into another. Blocks.

    Args:
        info: The probed source.
        found: What ``find`` returned.
        need: What the clip needs.
        fps: The output's frames a second.
        target: The file with the pictures, their times whole frames from 0 on.
        sound: The file with the sound; None is returned if there is none.
        check: Called every few packets; raises to end the work early.

    Raises:
        NotCopiedError: The pictures are not what ``find`` saw, or bring parameter sets of their own.
        SourceError: The file can't be read.
    """
    with open_media(info.path) as source:
        video = source.streams[info.video.index]
        audio = source.streams[info.audio.index] if need.sound is not None and info.audio is not None else None
        if found.back is not None:
            seek(source, video, need.begin - found.back, info.video)
        with _Pieces(target, sound, video, audio, found, fps) as pieces:
            for count, packet in enumerate(source.demux(*(one for one in (video, audio) if one is not None))):
                if count % 64 == 0:
                    check()
                if not pieces.take(packet, info, need):
                    break
            return pieces.sound


class _Pieces:
    """The files that a copy makes."""

    def __init__(
        self, target: Path, sound: Path, video: "VideoStream", audio: "Stream | None", found: Found, fps: Fraction
    ) -> None:
        import av  # noqa: PLC0415

        self._found = found
        self._fps = fps
        self._video, self._audio = video, audio
        self._units = set(found.form.written.sets.values())
        self._copied = 0
        options = {"video_track_timescale": str(fps.numerator)}
        self._container: OutputContainer = av.open(f"file:{target}", "w", format="mov", container_options=options)
        self._stream = self._container.add_stream_from_template(video)
        self._stream.codec_context.extradata = found.form.told.avcc()
        self._stream.time_base = 1 / fps
        self._path = sound
        self._sound = PacketFile(sound, audio) if audio is not None else None
        self._has_sound = False
        self._sound_done = audio is None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._container.close()
        if self._sound is not None:
            self._sound.close()

    @property
    def sound(self) -> Sound | None:
        """The clip's sound, if there was some."""
        if self._copied < len(self._found.times):
            raise NotCopiedError(Why.DAMAGED)
        return Sound(self._path, self._sound.shift) if self._sound is not None and self._has_sound else None

    def take(self, packet: "Packet", info: MediaInfo, need: Need) -> bool:
        """Take the next packet; False when nothing more is needed."""
        if not packet.size:
            return True
        if packet.stream is self._video:
            self._take_picture(packet)
            moment = (packet.dts if packet.dts is not None else packet.pts or 0) * info.video.time_base
            is_over = self._sound_done or moment > need.last + _SOUND_LAG
            return not (is_over and self._copied == len(self._found.times))
        if packet.pts is not None and info.audio is not None and need.sound is not None:
            begin = packet.pts * info.audio.time_base
            if begin >= need.sound[1]:
                self._sound_done = True
            elif begin + (packet.duration or 0) * info.audio.time_base >= need.sound[0] - SOUND_LEAD:
                self._has_sound = True
                assert self._sound is not None  # noqa: S101  only then its packets are asked for
                self._sound.write(packet)
        return True

    def _take_picture(self, packet: "Packet") -> None:
        """Copy a picture if it is the next one; once the first was seen, all must follow as they were seen before."""
        times, places = self._found.times, self._found.copy.places
        if self._copied == len(times) or (packet.pts != times[self._copied] and not self._copied):
            return
        if packet.pts != times[self._copied]:
            raise NotCopiedError(Why.DAMAGED)
        mine = self._without_parameters(packet)
        mine.stream, mine.time_base = self._stream, 1 / self._fps
        mine.pts, mine.dts, mine.duration = places[self._copied] - places[0], self._copied - REORDER_FRAMES, 1
        self._container.mux(mine)
        self._copied += 1

    def _without_parameters(self, packet: "Packet") -> "Packet":
        """Return a packet without the parameter sets that the track has anyway.

        Raises:
            NotCopiedError: It brings others.
        """
        import av  # noqa: PLC0415

        data = bytes(packet)
        try:
            found = list(units(data))
        except ValueError as exc:
            raise NotCopiedError(Why.DAMAGED) from exc
        sets = [unit for unit in found if kind(unit) in (SPS, PPS)]
        if any(unit not in self._units for unit in sets):
            raise NotCopiedError(Why.PARAMETERS)
        if not sets:
            return packet
        kept = [unit for unit in found if kind(unit) not in (SPS, PPS)]
        stripped = av.Packet(b"".join(len(unit).to_bytes(4) + unit for unit in kept))
        stripped.is_keyframe = packet.is_keyframe
        return stripped
