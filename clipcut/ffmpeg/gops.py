"""Find what of a source can be copied into a clip, with PyAV. Nothing is decoded."""

from collections.abc import Callable
from fractions import Fraction
from typing import TYPE_CHECKING

import attrs

from clipcut.ffmpeg.crops import UNCROPPED
from clipcut.ffmpeg.excerpt import SEEK_BACK
from clipcut.ffmpeg.h264 import drops_what_is_waiting, slice_pps
from clipcut.ffmpeg.mux import REORDER_FRAMES
from clipcut.ffmpeg.nal import IDR, SLICE, kind, units
from clipcut.ffmpeg.need import Need
from clipcut.ffmpeg.orientation import Orientation
from clipcut.ffmpeg.parameters import Form, form_of
from clipcut.ffmpeg.probe import MediaInfo, VideoInfo, file_identity, open_media, seek, shown_pts
from clipcut.smart import Copy, Picture, Why, find_copy, limits_of, pays, places_of

if TYPE_CHECKING:
    from av.packet import Packet

_CONTAINERS = ("mov", "matroska")


@attrs.frozen(kw_only=True)
class Wish:
    """What a clip is to be.

    Attributes:
        start: Where it begins, in seconds of source time.
        frames: How many frames it has.
        fps, width, height: The output's frames a second, and pixels.
        child: What it costs to start an FFmpeg, in frames that are encoded meanwhile.
    """

    start: Fraction
    frames: int
    fps: Fraction
    width: int
    height: int
    child: Fraction


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


def why_not(video: VideoInfo, wish: Wish) -> Why | None:
    """Say why a source can't be copied, as far as its streams tell; None if it may be."""
    if video.codec != "h264":
        return Why.CODEC
    if (video.width, video.height) != (wish.width, wish.height) or video.sample_aspect != 1:
        return Why.SHAPE
    if video.orientation is not Orientation.UPRIGHT or video.crop != UNCROPPED or video.is_tagged:
        return Why.SHAPE
    if video.pixel_format != "yuv420p" or video.is_interlaced:
        return Why.PIXELS
    is_small = max(video.height, video.width * 9 // 16) < 720  # unstated colours of a small picture are BT.601
    if video.full_range or video.matrix not in ((1,) if is_small else (1, 2)) or video.transfer not in (1, 2):
        return Why.COLOUR
    return None


def find(info: MediaInfo, wish: Wish, need: Need, check: Callable[[], None]) -> Found | Why:
    """Find what can be copied into a clip. Blocks; call it in a thread.

    Args:
        info: The probed source, a whole local file.
        wish: What the clip is to be.
        need: What it needs of the source.
        check: Called every few packets; raises to end the work early.

    Returns:
        What can be copied; or why nothing is.

    Raises:
        SourceError: The file can't be read.
    """
    if (why := why_not(info.video, wish)) is not None:
        return why
    for back in (*SEEK_BACK, None):
        if back is not None and need.begin - back <= info.video.zero:
            continue
        found = _look(info, wish, need, back, check)
        if found is not None:
            return found
    return Why.KEYFRAMES


def _look(
    info: MediaInfo, wish: Wish, need: Need, back: Fraction | None, check: Callable[[], None]
) -> Found | Why | None:
    with open_media(info.path) as source:
        if info.identity and file_identity(info.path) != info.identity:
            return Why.DAMAGED  # whoever encodes it says what is wrong
        if not any(name in source.format.name for name in _CONTAINERS):
            return Why.CONTAINER
        stream = source.streams[info.video.index]
        form = form_of(bytes(stream.codec_context.extradata or b""), (wish.width, wish.height), REORDER_FRAMES)
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
    return _judge(look, info, wish, back)


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
        if packet.has_sidedata("new_extradata"):
            self.why = Why.PARAMETERS  # another description holds from here on
            return False
        tick, pts = self.video.time_base, shown_pts(packet, self.video.codec)
        dts = packet.dts if packet.dts is not None else packet.pts
        self.saw_beyond = dts is not None and dts * tick > self.need.last
        if self.saw_beyond:
            return False
        is_begin = packet.is_keyframe and pts is not None and self.need.may_begin_at(pts * tick)
        if not is_begin and not self.pictures:
            return True
        if pts is None:
            self.why = Why.PARAMETERS  # an edit list hides it
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


def _judge(look: _Look, info: MediaInfo, wish: Wish, back: Fraction | None) -> Found | Why:
    video, frames, pictures = info.video, wish.frames, look.pictures
    times = sorted(picture.pts for picture in pictures)
    end = times[-1] * video.time_base + video.frame_seconds + look.need.tolerance
    limits = limits_of(video.zero + wish.start, wish.fps, video.time_base, frames)
    places = places_of(times, limits)
    if places is None or (end < look.need.end and not look.saw_beyond):
        return Why.FRAME_RATE  # or the source is too short: whoever encodes it says so
    copy = find_copy(pictures, places, frames, REORDER_FRAMES)
    if copy is None:
        return Why.KEYFRAMES
    if not pays(copy, pictures, frames, wish.child):
        return Why.COST
    stored = tuple(picture.pts for picture in pictures[copy.index : copy.index + len(copy.places)])
    return Found(copy=copy, form=look.form, times=stored, back=back)
