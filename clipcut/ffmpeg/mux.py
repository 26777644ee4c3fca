"""Join finished clips, mux picture and sound, and check the result, with PyAV, in a thread. Nothing is decoded.

Every timestamp is set by whole frames: what a container rounds, or a reader adds up, can't drift over many clips.
"""

import contextlib
import itertools
from collections.abc import Callable, Iterator
from fractions import Fraction
from math import lcm
from pathlib import Path
from typing import TYPE_CHECKING

import attrs

from clipcut.errors import DISK_ERRNOS, Reason, RenderError, SourceError
from clipcut.ffmpeg.nal import has_idr
from clipcut.ffmpeg.parameters import Parameters, read_avcc
from clipcut.ffmpeg.pyav import exact, open_input, open_output
from clipcut.ffmpeg.readback import SLACK, Grid, Readback, comment_of, read_back

if TYPE_CHECKING:
    from av.container import InputContainer, OutputContainer
    from av.packet import Packet
    from av.video.stream import VideoStream

REORDER_FRAMES = 2
"""How many frames a picture may be stored before it is shown: x264's most, whatever the preset."""

MARK = "clipcut"
"""How the ``comment`` tag of every file that clipcut writes begins."""

_FORMATS = {".mp4": "mp4", ".mov": "mov", ".mkv": "matroska"}
SUFFIXES = tuple(_FORMATS)


@contextlib.contextmanager
def _translated(doing: str) -> Iterator[None]:
    import av  # noqa: PLC0415

    try:
        yield
    except av.FFmpegError as exc:
        what = "there is no room" if exc.errno in DISK_ERRNOS else str(exc.strerror)
        raise RenderError(f"Can't {doing}: {what}.") from exc


def _open(path: Path, *, is_packets_only: bool = False) -> "InputContainer":
    """Open a file of our own; for its packets alone no picture need be decoded, which takes most of the time."""
    options = {"protocol_whitelist": "file", "format_whitelist": "mov,matroska"}
    if is_packets_only:
        options["skip_frame"] = "all"
    return open_input(path, options)


def _packets(container: "InputContainer", stream: "VideoStream") -> "Iterator[Packet]":
    return (packet for packet in container.demux(stream) if packet.size)


def count_frames(path: Path, fps: Fraction) -> int:
    """Count a cut clip's frames; they must lie on the frame grid from 0 on, each once.

    Raises:
        SourceError: ``ffmpeg``, if the file can't be read or its times are not whole frames.
    """
    import av  # noqa: PLC0415

    try:
        with _open(path, is_packets_only=True) as container:
            stream = container.streams.video[0]
            ticks = sorted(packet.pts or 0 for packet in _packets(container, stream))
            step = 1 / ((exact(stream.time_base) or 0) * fps)
    except (av.FFmpegError, IndexError, ZeroDivisionError) as exc:
        raise SourceError(Reason.FFMPEG, f"FFmpeg's file of the clip can't be read: {exc}") from exc
    # whole numbers all along: a Fraction a packet is dear when there are millions
    if [tick * step.denominator for tick in ticks] != [number * step.numerator for number in range(len(ticks))]:
        raise SourceError(Reason.FFMPEG, "the clip's frames do not lie on the output's frame grid")
    return len(ticks)


def is_in_order(path: Path) -> bool:
    """Tell whether a file's frames are stored in the order they are shown in: then none needs a later one."""
    with _translated("read a placeholder"), _open(path) as container:
        times = [packet.pts or 0 for packet in _packets(container, container.streams.video[0])]
    return times == sorted(times)


def copy_head(path: Path, frames: int, fps: Fraction, target: Path) -> None:
    """Copy the first frames of a file whose frames are in order.

    Raises:
        RenderError: No room, or there are fewer.
    """
    options = {"video_track_timescale": str(fps.numerator)}
    with (
        _translated("cut a placeholder"),
        _open(path) as source,
        open_output(target, "mov", options) as container,
    ):
        stream = container.add_stream_from_template(source.streams.video[0])
        stream.time_base = 1 / fps
        copied = 0
        for packet in itertools.islice(_packets(source, source.streams.video[0]), frames):
            packet.stream, packet.time_base = stream, 1 / fps
            packet.pts = packet.dts = copied
            packet.duration = 1
            container.mux(packet)
            copied += 1
    if copied != frames:
        raise RenderError(f"A placeholder has {copied} frames instead of {frames}; please report this.")


def _mark(packet: "Packet") -> None:
    """Let a player jump to IDR pictures only: FFmpeg's reader takes more for keyframes, which may lack references."""
    packet.is_keyframe = packet.is_keyframe and has_idr(bytes(packet))


def parameters_of(path: Path) -> Parameters:
    """Read the parameter sets of a cut clip."""
    with _translated("read a clip"), _open(path) as container:
        return read_avcc(bytes(container.streams.video[0].codec_context.extradata or b""))


class VideoTrack:
    """The output's picture, growing clip by clip. Blocking; used by one thread at a time."""

    def __init__(self, path: Path, fps: Fraction) -> None:
        """Begin an empty track in a new file."""
        self.frames = 0
        self._path = path
        self._fps = fps
        self._tick = 1 / fps
        self._container: OutputContainer | None = None
        self._stream: VideoStream | None = None
        self._seen: list[bytes] = []
        self.parameters: bytes | None = None
        """The parameter sets of all clips as ``avcC``; None where one clip has all."""

    def append(self, path: Path, frames: int) -> None:
        """Put a cut clip of ``frames`` frames behind what is there.

        Raises:
            RenderError: No room, or the clip was encoded with other parameters than those before it.
        """
        # the first one is what the track is made after, so all is to be known of it
        is_packets_only = self._container is not None
        with _translated("join the clips"), _open(path, is_packets_only=is_packets_only) as source:
            stream = source.streams.video[0]
            self._match(stream)
            tick = (exact(stream.time_base) or Fraction(0)) * self._fps
            for index, packet in enumerate(_packets(source, stream)):
                shown = (packet.pts or 0) * tick.numerator // tick.denominator
                self._write(packet, self.frames + shown, self.frames + index - REORDER_FRAMES)
        self.frames += frames

    def _match(self, stream: "VideoStream") -> None:
        parameters = bytes(stream.codec_context.extradata or b"")
        if self._container is None:
            self._container = open_output(self._path, "mov", {"video_track_timescale": str(self._fps.numerator)})
            self._stream = self._container.add_stream_from_template(stream)
            self._stream.time_base = 1 / self._fps
        elif parameters not in self._seen:
            self._join(parameters)
        if parameters not in self._seen:
            self._seen.append(parameters)

    def _join(self, parameters: bytes) -> None:
        """Take the parameter sets of one clip more, which must not contradict those of the clips before it."""
        try:
            known, more = read_avcc(self.parameters or self._seen[0]), read_avcc(parameters)
            is_fit = known.agrees(more)
        except ValueError:
            is_fit = False
        if not is_fit:
            raise RenderError("Two clips were encoded with different parameters; please report this with both sources.")
        self.parameters = known.joined(more).avcc()

    def _write(self, packet: "Packet", shown: int, stored: int) -> None:
        if stored > shown:
            raise RenderError("A clip stores a frame after it is shown; please report this with its source.")
        assert self._container is not None  # noqa: S101  _match opened both
        assert self._stream is not None  # noqa: S101
        packet.stream = self._stream
        packet.time_base = self._tick
        packet.pts, packet.dts, packet.duration = shown, stored, 1
        _mark(packet)
        self._container.mux(packet)

    def close(self) -> None:
        """Finish the file; does nothing the second time."""
        container, self._container = self._container, None
        if container is not None:
            with _translated("join the clips"):
                container.close()


def is_ours(path: Path) -> bool:
    """Tell whether a file carries clipcut's mark. Anything that can't be read is somebody else's."""
    import av  # noqa: PLC0415

    try:
        with _open(path) as container:
            return comment_of(container.metadata).split(" ")[0] == MARK
    except (av.FFmpegError, OSError, ValueError):
        return False


@attrs.frozen(kw_only=True)
class Master:
    """What the finished file must be: frames a second, frames, samples a second, samples, and what made it."""

    fps: Fraction
    frames: int
    sample_rate: int
    samples: int
    comment: str


def mux(
    picture: Path,
    sound: Path,
    target: Path,
    suffix: str,
    master: Master,
    check: Callable[[], None],
    parameters: bytes | None = None,
) -> None:
    """Put picture and sound into the finished container, without decoding, the index at the front of an MP4.

    Args:
        picture: The joined video track.
        sound: The encoded sound.
        target: The file to make, under a temporary name.
        suffix: The finished file's suffix, one of ``SUFFIXES``.
        master: What it must be; its ``comment`` is the mark.
        check: Called every few packets; raises to end the work early.
        parameters: The parameter sets of all clips as ``avcC``; None for those of the video track.

    Raises:
        RenderError: No room, or a middle file is damaged.
    """
    options = {
        "video_track_timescale": str(master.fps.numerator),
        # the tracks' lengths are written in this clock's ticks: in milliseconds, the last samples would not be played
        "movie_timescale": str(master.sample_rate),
        "movflags": "+faststart",
    }
    if suffix == ".mkv":
        # AAC begins a little before 0, and the muxer would move the picture to make that 0
        options = {"avoid_negative_ts": "disabled"}
    with (
        _translated("write the output"),
        _open(picture) as pictures,
        _open(sound) as sounds,
        open_output(target, _FORMATS[suffix], options) as container,
    ):
        container.metadata["comment"] = master.comment
        video = container.add_stream_from_template(pictures.streams.video[0])
        if parameters is not None:
            video.codec_context.extradata = parameters
        audio = container.add_stream_from_template(sounds.streams.audio[0])
        for count, packet in enumerate(_by_time(pictures, sounds)):
            if count % 256 == 0:
                check()
            is_picture = packet.stream is pictures.streams.video[0]
            packet.stream = video if is_picture else audio
            if is_picture:
                _mark(packet)
            container.mux(packet)


def _by_time(pictures: "InputContainer", sounds: "InputContainer") -> "Iterator[Packet]":
    """Yield the packets of both files by storage time, so that a player need not jump."""
    import heapq  # noqa: PLC0415

    bases = [exact(container.streams[0].time_base) or Fraction(1) for container in (pictures, sounds)]
    common = lcm(*(base.denominator for base in bases))

    def timed(container: "InputContainer", factor: int) -> "Iterator[tuple[int, int, Packet]]":
        for number, packet in enumerate(container.demux()):
            if packet.size and packet.dts is not None:
                yield packet.dts * factor, number, packet

    both = (timed(one, int(base * common)) for one, base in zip((pictures, sounds), bases, strict=True))
    yield from (packet for _, _, packet in heapq.merge(*both, key=lambda item: item[:2]))


def verify(path: Path, master: Master, check: Callable[[], None]) -> Readback:
    """Hold a finished file against what it must be: every frame once and in its place, all the sound, the mark.

    Returns:
        What was read, which tells what is coded in each clip's span.

    Raises:
        RenderError: It isn't.
    """
    with _translated("read the output back"), _open(path) as container:
        found = read_back(container, Grid(master.fps, master.frames, master.sample_rate), check)
    _judge_picture(found, master)
    _judge_sound(found.sound_start, found.sound_end, master)
    if found.comment != master.comment:
        raise RenderError("The output does not carry clipcut's mark; the old output was kept.")
    return found


def _judge_sound(start: Fraction | None, end: Fraction | None, master: Master) -> None:
    wanted = Fraction(master.samples, master.sample_rate)
    if start is None or end is None:
        raise RenderError("The output has no sound in its sound track; the old output was kept.")
    if start > SLACK:
        raise RenderError(f"The output's sound begins {float(start):.3f} s late; the old output was kept.")
    if end < wanted - SLACK:
        raise RenderError(f"The output's sound ends {float(wanted - end):.3f} s early; the old output was kept.")


def _judge_picture(found: Readback, master: Master) -> None:
    if found.frames != master.frames:
        raise RenderError(f"The output has {found.frames} frames instead of {master.frames}; the old output was kept.")
    displaced = 0 if found.start is None or abs(found.start) > SLACK else found.displaced_frame
    if displaced is not None:
        raise RenderError(f"Frame {displaced} of the output is not in its place; the old output was kept.")
