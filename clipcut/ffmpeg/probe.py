"""Look into a media file with PyAV: its streams, where its time begins, how its picture is to be shown.

Files may be hostile, so a render has this done in a child (see ``readers``). What is decoded to find out a stream's
form is so by the decoders of ``CODECS`` alone; only regular files are opened, and only formats of ``INPUT_FORMATS``.
"""

import contextlib
import errno
import stat
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

import attrs

from clipcut.errors import Reason, SourceError, raise_if_machine
from clipcut.ffmpeg.crops import UNCROPPED, Crop
from clipcut.ffmpeg.need import There
from clipcut.ffmpeg.orientation import Orientation
from clipcut.ffmpeg.picture_times import First, first_picture
from clipcut.ffmpeg.pyav import exact, open_input
from clipcut.ffmpeg.timecode import Timecode, start_timecode

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.packet import Packet
    from av.stream import Stream

INPUT_FORMATS = "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,mpegts,mpeg,avi,flv,ogg,nut,png_pipe,jpeg_pipe"
SOUND_FORMATS = "aac,mp3,wav,flac,aiff,ac3,eac3,w64"
"""The containers that a soundtrack may have besides."""

CODECS = (
    "h264,hevc,av1,libdav1d,libaom-av1,vp8,vp9,libvpx,libvpx-vp9,mpeg1video,mpeg2video,mpeg4,mjpeg,prores,png,"
    "aac,mp3,mp3float,mp2,mp2float,opus,libopus,vorbis,flac,alac,ac3,eac3,"
    "pcm_s16le,pcm_s16be,pcm_s24le,pcm_s24be,pcm_s32le,pcm_f32le,pcm_u8,rawvideo,wrapped_avframe"
)
"""The decoders that a source may ask for; any other is refused, as old decoders are where the holes are."""

ALPHA_DECODERS = {"vp8": "libvpx", "vp9": "libvpx-vp9"}
"""FFmpeg's decoders that read what is coded beside a picture to say where it is transparent."""

_RGB = ("rgb", "bgr", "gbr", "argb", "abgr", "0rgb", "0bgr", "pal8", "monow", "monob")
_ALPHA = ("yuva", "rgba", "bgra", "argb", "abgr", "gbrap", "ya8", "ya16", "pal8")
_STILLS = ((b"\x89PNG\r\n\x1a\n", "png_pipe"), (b"\xff\xd8\xff", "jpeg_pipe"))
_LOOK = {"probesize": str(48 * 1024 * 1024), "analyzeduration": str(60 * 10**6)}
"""How far to look, in bytes and microseconds, for a stream that a file declares: its sound may begin late."""

_HEAD_PACKETS = 400
"""How many packets from the beginning are read to find the first video frame."""


@attrs.frozen(kw_only=True)
class Stated:
    """What a stream states of its pictures by itself, in FFmpeg's numbers; None for what it doesn't."""

    aspect: Fraction | None
    full_range: bool | None
    matrix: int | None
    transfer: int | None


@attrs.frozen(kw_only=True)
class VideoInfo:
    """A video stream.

    Attributes:
        index: Its number in the file.
        codec: FFmpeg's name of its codec.
        time_base: Seconds per tick.
        zero: The moment in the file's own time, in seconds, that is zero of *source time*: where its first frame is
            shown, or would be, in a file that is a piece of a longer source.
        width, height: In pixels, as coded: before anything is cut off or turned.
        sample_aspect: A pixel's width over its height.
        frame_seconds: How long a frame usually lasts, for files that don't say it of their last frame.
        pixel_format: FFmpeg's name of it; None if unknown.
        full_range: Whether luma uses all of 0 to 255.
        matrix: FFmpeg's number of the colour matrix; 2 if the file doesn't say.
        transfer: FFmpeg's number of the transfer curve; 2 if the file doesn't say.
        is_interlaced: Whether its pictures are made of two fields.
        is_still: Whether it is one picture, held for as long as a slot needs it.
        is_untimed: Whether its container never says when a picture is shown, and decoding changes their order.
        delay: By how many ticks pictures are shown later than they are decoded, where the container doesn't say it.
        orientation: How the picture lies; upright until it was asked for, with ``probe_shown``.
        crop: What the container cuts off, as it is coded; nothing until it was asked for.
        is_tagged: Whether more is said of the picture that a container may say of all: light levels, 3D; as above.
        stated: What the stream itself states at its head, which its container may overrule; None if not asked for.
        has_alpha_layer: Whether what is transparent is coded beside the picture, as in WebM: only ``ALPHA_DECODERS``
            see it; as above.
        rate: Frames a second, on average; None if unknown.
    """

    index: int
    codec: str
    time_base: Fraction = attrs.field(validator=attrs.validators.gt(Fraction(0)))
    zero: Fraction
    width: int
    height: int
    sample_aspect: Fraction
    frame_seconds: Fraction
    pixel_format: str | None
    full_range: bool
    matrix: int
    transfer: int = 2
    is_interlaced: bool = False
    is_still: bool = False
    is_untimed: bool = False
    delay: int = 0
    orientation: Orientation = Orientation.UPRIGHT
    crop: Crop = UNCROPPED
    is_tagged: bool = False
    has_alpha_layer: bool = False
    rate: Fraction | None = None
    stated: Stated | None = None

    def shown_as(self, other: "VideoInfo") -> "VideoInfo":
        """Return what is known of it, and of how it is to be shown what is known of another piece of its source."""
        return attrs.evolve(
            self,
            orientation=other.orientation,
            crop=other.crop,
            is_tagged=other.is_tagged,
            has_alpha_layer=other.has_alpha_layer,
            stated=other.stated,
            pixel_format=other.pixel_format if other.has_alpha_layer else self.pixel_format,
        )

    @property
    def shown_size(self) -> tuple[int, int]:
        """Width and height in pixels of what is left when it is cropped, and turned."""
        width = self.width - self.crop.left - self.crop.right
        height = self.height - self.crop.top - self.crop.bottom
        return (height, width) if self.orientation.is_sideways else (width, height)

    @property
    def is_hdr(self) -> bool:
        """Whether it must be tone-mapped: a PQ or HLG curve."""
        return self.transfer in (16, 18)

    @property
    def is_rgb(self) -> bool:
        """Whether its pixels are red, green and blue."""
        return bool(self.pixel_format) and self.pixel_format.startswith(_RGB)  # type: ignore[union-attr]

    @property
    def has_alpha(self) -> bool:
        """Whether parts of it are transparent."""
        return bool(self.pixel_format) and self.pixel_format.startswith(_ALPHA)  # type: ignore[union-attr]


@attrs.frozen(kw_only=True)
class AudioInfo:
    """A sound stream.

    Attributes:
        index: Its number in the file.
        time_base: Seconds per tick.
        sample_rate, channels: Samples a second; channels; 0 where a codec that isn't opened leaves them open.
        path: The file that it is in; None for the one with the picture.
        offset: What is added to its times, in seconds, to be in the time of the file with the picture.
        has_before, has_after: Whether the source has more sound before and after its own file.
        seams: Where in its own file the segments begin that it was put together from, in bytes; and when, in the time
            of the file with the picture, where that is known.
    """

    index: int
    time_base: Fraction = attrs.field(validator=attrs.validators.gt(Fraction(0)))
    sample_rate: int
    channels: int
    path: Path | None = None
    offset: Fraction = Fraction(0)
    has_before: bool = False
    has_after: bool = False
    seams: tuple[tuple[int, Fraction | None], ...] = ()


@attrs.frozen(kw_only=True)
class MediaInfo:
    """What a clip needs to know of a file.

    Attributes:
        path: The file.
        may_be_turned: Whether its container is one that says at its head how its pictures are coded, and turned.
        has_clock: Whether its container has a clock that runs on, whatever is shown: a transport or program stream.
        identity: What tells this file from another of its name: device, inode, size, time of its last change.
        video, audio: Its streams.
        is_zero_sure: Whether enough of the file was there to know where its first picture is.
        has_before, has_after: Whether the source goes on before and after this file, which is a piece of it.
        lenience: By how many seconds more than usual the last picture may be held, before the source goes on elsewhere.
        name: What it is called in messages, if not by its path.
        is_piece: Whether it was put together for one clip: read from its begin, and gone soon.
        seams: Where in the file the segments begin that it was put together from, in bytes.
        has_bytes: Tells whether the bytes ``[first, end)`` of it are there; None if all of them are.
        timecode: That of its first frame; None if it says none.
    """

    path: Path
    may_be_turned: bool = False
    has_clock: bool = False
    identity: tuple[int, ...] = ()
    video: VideoInfo
    audio: AudioInfo | None
    is_zero_sure: bool = True
    has_before: bool = False
    has_after: bool = False
    lenience: Fraction = Fraction(0)
    name: str = ""
    is_piece: bool = False
    seams: tuple[int, ...] = ()
    has_bytes: There | None = attrs.field(default=None, eq=False)
    timecode: Timecode | None = None

    @property
    def called(self) -> str:
        """What people know it by."""
        return self.name or str(self.path)


def _still_format(path: Path) -> str | None:
    """Know a still picture by its first bytes: by its name, FFmpeg might take it for a numbered sequence."""
    with path.open("rb") as file:
        head = file.read(8)
    return next((name for magic, name in _STILLS if head.startswith(magic)), None)


def file_identity(path: Path) -> tuple[int, ...]:
    """Return what tells a file from another of its name: device, inode, size, nanoseconds of its last change."""
    status = path.stat()
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns


@contextlib.contextmanager
def open_media(
    path: Path, formats: str = INPUT_FORMATS, *, is_packets_only: bool = False, is_as_stored: bool = False
) -> Iterator["InputContainer"]:
    """Open a regular file for demuxing, if it has one of the given container formats.

    For its packets alone no picture need be decoded, where the container's head says what they are: that takes most of
    the time. ``is_as_stored`` has no time made up that the container doesn't give.

    Raises:
        SourceError: ``missing_file`` or ``undecodable``; also when reading inside the block meets broken data.
    """
    import av  # noqa: PLC0415  a light start: it takes 85 ms

    try:
        if not stat.S_ISREG(path.stat().st_mode):
            raise SourceError(Reason.MISSING_FILE, f"{path} is not a regular file")
        options = {"protocol_whitelist": "file", "format_whitelist": formats, "codec_whitelist": CODECS, **_LOOK}
        if is_packets_only:
            options |= {"probesize": "5000", "analyzeduration": "1", "fpsprobesize": "0"}
        if is_as_stored:
            options["fflags"] = "+nofillin"
        with open_input(path, options, form=_still_format(path)) as container:
            yield container
    except (FileNotFoundError, NotADirectoryError) as exc:
        raise SourceError(Reason.MISSING_FILE, f"there is no file {path}") from exc
    except PermissionError as exc:
        raise SourceError(Reason.MISSING_FILE, f"{path} can't be read: permission denied") from exc
    except (av.FFmpegError, OSError, ValueError) as exc:
        if isinstance(exc, av.FFmpegError) and exc.errno == errno.ENOMEM:  # what absurd numbers in a file lead to
            raise SourceError(
                Reason.UNDECODABLE, f"{path} has more streams, or larger parts, than can be read"
            ) from exc
        raise_if_machine(exc)
        if not isinstance(exc, av.FFmpegError):
            raise SourceError(Reason.MISSING_FILE, f"{path} can't be read: {exc}") from exc
        raise SourceError(Reason.UNDECODABLE, f"{path} can't be read as media: {exc.strerror}") from exc


def _choose(streams: "list[Stream]") -> "Stream | None":
    """Choose the default stream of a kind, else the first."""
    from av.stream import Disposition  # noqa: PLC0415

    return next((stream for stream in streams if stream.disposition & Disposition.default), next(iter(streams), None))


def _is_cover_art(stream: "Stream") -> bool:
    from av.stream import Disposition  # noqa: PLC0415

    return bool(stream.disposition & Disposition.attached_pic)


def chosen_video(container: "InputContainer") -> "Stream | None":
    """Return the video stream that is used: the default one, else the first; never cover art."""
    return _choose([stream for stream in container.streams.video if not _is_cover_art(stream)])


def chosen_audio(container: "InputContainer") -> "Stream | None":
    """Return the sound stream that is used: the default one, else the first."""
    return _choose(list(container.streams.audio))


def seek(container: "InputContainer", stream: "Stream", seconds: Fraction, of: "VideoInfo | AudioInfo") -> bool:
    """Go to a keyframe at or before a moment in seconds; False if the file can't."""
    import av  # noqa: PLC0415

    ticks = int(seconds / of.time_base)
    try:
        container.seek(ticks, stream=stream)
    except av.FFmpegError:
        return False  # some demuxers refuse a place past their end; the next try begins earlier
    return True


def _is_shown(packet: "Packet", codec: str) -> bool:
    """Tell whether a packet makes a picture that is on display; VP8 has hidden ones in packets of their own."""
    if packet.is_discard or packet.pts is None:
        return False
    return codec != "vp8" or bool(bytes(packet)[0] & 0x10)


def shown_pts(packet: "Packet", codec: str) -> int | None:
    """Return the presentation time, in ticks, of the picture that a packet puts on display; None if it puts none."""
    return packet.pts if _is_shown(packet, codec) else None


def _find_zero(container: "InputContainer", stream: "Stream", codec: str, path: Path) -> tuple[int | None, bool]:
    """Find the presentation time of the first picture, from the first keyframe on; and whether it is sure.

    None where the decoder has to tell: a picture has no time, or is shown before the first keyframe, as those of an
    open group are; whether they can be decoded without the group before it differs.
    """
    zero: int | None = None
    has_keyframe, leads = False, None
    for count, packet in enumerate(container.demux(stream)):
        if packet.is_keyframe and not has_keyframe:
            has_keyframe, leads = True, packet.pts if not packet.is_discard else None
        if packet.size and has_keyframe and not packet.is_discard:
            if packet.pts is None or (leads is not None and packet.pts < leads):
                return None, True
            pts = shown_pts(packet, codec)
            zero = min(pts, zero if zero is not None else pts) if pts is not None else zero
        if zero is not None and packet.dts is not None and packet.dts > zero:
            return zero, True
        if count > _HEAD_PACKETS:
            break
    if zero is None:
        raise SourceError(Reason.NO_VIDEO, f"{path} has a video stream, but no picture in it")
    return zero, False


def _decoded_zero(path: Path, index: int, frame: Fraction, *, is_untimed: bool) -> First:
    with open_media(path, is_as_stored=True) as container:
        found = first_picture(container, container.streams[index], frame, is_untimed=is_untimed)
    if found is None:
        raise SourceError(Reason.UNDECODABLE, f"{path} gives no times for its first pictures that can be trusted")
    return found


def _video_info(container: "InputContainer", path: Path) -> tuple[VideoInfo, bool]:
    stream = chosen_video(container)
    if stream is None:
        raise SourceError(Reason.NO_VIDEO, f"{path} has no video stream")
    context = stream.codec_context
    if context is None:
        raise SourceError(Reason.UNDECODABLE, f"{path}: the codec of its video is not known")
    time_base = exact(stream.time_base)
    if not context.width or not context.height or time_base is None:
        raise SourceError(Reason.UNDECODABLE, f"{path}: the size of the picture can't be found out")
    rate = exact(stream.average_rate) or exact(stream.base_rate)
    frame_seconds = 1 / rate if rate else Fraction(1, 25)
    is_untimed = container.format.name == "avi" and not context.codec.intra_only
    zero, is_sure = (None, True) if is_untimed else _find_zero(container, stream, context.name, path)
    delay = 0
    if zero is None:
        first = _decoded_zero(path, stream.index, frame_seconds / time_base, is_untimed=is_untimed)
        zero, delay = first.time, first.delay
    video = VideoInfo(
        index=stream.index,
        codec=context.name,
        time_base=time_base,
        zero=zero * time_base,
        width=context.width,
        height=context.height,
        sample_aspect=exact(stream.sample_aspect_ratio) or Fraction(1),
        frame_seconds=frame_seconds,
        pixel_format=context.pix_fmt,
        full_range=context.color_range == 2,
        matrix=int(context.colorspace),
        transfer=int(context.color_trc),
        is_interlaced=int(context.field_order) > 1,
        is_still=container.format.name in [name for _, name in _STILLS],
        is_untimed=is_untimed,
        delay=delay,
        rate=rate,
    )
    return video, is_sure


def _audio_info(container: "InputContainer") -> AudioInfo | None:
    stream = chosen_audio(container)
    time_base = exact(stream.time_base) if stream is not None else None
    if stream is None or time_base is None:
        return None
    context = stream.codec_context
    rate, channels = (context.sample_rate, context.channels) if context is not None else (0, 0)
    if not (rate and channels) and context is not None and context.name in CODECS.split(","):
        return None  # a sound that is declared, and of which there is nothing; any other is refused when it is needed
    return AudioInfo(index=stream.index, time_base=time_base, sample_rate=rate, channels=channels)


def probe(path: Path) -> MediaInfo:
    """Look into a file. Blocks; have a reader do it.

    Raises:
        SourceError: ``missing_file``, ``undecodable`` or ``no_video``.
    """
    with open_media(path) as container:
        identity = file_identity(path)
        audio = _audio_info(container)
        may_be_turned = any(name in container.format.name for name in ("mov", "matroska"))
        video, is_sure = _video_info(container, path)
        return MediaInfo(
            path=path,
            may_be_turned=may_be_turned,
            has_clock=container.format.name in ("mpegts", "mpeg"),
            identity=identity,
            video=video,
            audio=audio,
            is_zero_sure=is_sure,
            timecode=start_timecode(container, container.streams[video.index]),
        )


def probe_sound(path: Path) -> tuple[AudioInfo, Fraction]:
    """Look into a file for its sound only; return the stream and when its first packet begins, in seconds.

    Blocks; have a reader do it.

    Raises:
        SourceError: ``undecodable``; it has none.
    """
    with open_media(path, f"{INPUT_FORMATS},{SOUND_FORMATS}") as container:
        audio = _audio_info(container)
        if audio is not None:
            for packet in container.demux(container.streams[audio.index]):
                if packet.pts is not None:
                    return attrs.evolve(audio, path=path), packet.pts * audio.time_base
        raise SourceError(Reason.UNDECODABLE, f"{path} has no sound")


def has_sound(path: Path) -> bool:
    """Tell whether a file has sound. Blocks; have a reader do it.

    Raises:
        SourceError: It can't be read.
    """
    with open_media(path, f"{INPUT_FORMATS},{SOUND_FORMATS}") as container:
        return bool(container.streams.audio)
