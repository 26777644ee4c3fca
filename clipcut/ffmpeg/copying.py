"""Copy whole groups of pictures, and the packets of a clip's sound, into files of their own, with PyAV.

Nothing is decoded. Sources may be hostile, so a render has this done in a child (see ``readers``).
"""

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Self

import attrs

from clipcut.ffmpeg.gops import Found, Wish, find
from clipcut.ffmpeg.mux import REORDER_FRAMES
from clipcut.ffmpeg.nal import IDR, PPS, SEI, SLICE, SPS, kind, units
from clipcut.ffmpeg.need import SOUND_LEAD, Need
from clipcut.ffmpeg.packets import PacketFile
from clipcut.ffmpeg.parameters import Form
from clipcut.ffmpeg.probe import MediaInfo, open_media, seek
from clipcut.ffmpeg.pyav import open_output
from clipcut.ffmpeg.renumber import renumbered, renumbered_slice
from clipcut.ffmpeg.search import SOUND_LAG
from clipcut.smart import Why

if TYPE_CHECKING:
    from av.packet import Packet
    from av.stream import Stream
    from av.video.stream import VideoStream


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
class Copied:
    """What was copied into a clip's files.

    Attributes:
        why: Why nothing was; None if something was.
        first: The clip's first frame that was.
        frames: How many were.
        shown: When the first and the last picture that were begin, in ticks of the source.
        sound_shift: By how many seconds the times in the sound's file are later than the source's; None for no sound.
    """

    why: Why | None = None
    first: int = attrs.field(default=0, validator=attrs.validators.ge(0))
    frames: int = attrs.field(default=0, validator=attrs.validators.ge(0))
    shown: tuple[int, int] = (0, 0)
    sound_shift: Fraction | None = None


def copy_clip(
    info: MediaInfo, wish: Wish, need: Need, slot: int, target: Path, sound: Path, check: Callable[[], None]
) -> Copied:
    """Copy what need not be encoded of a clip, if that pays; say why not where it doesn't or can't be. Blocks.

    Args:
        info: The probed source, a whole local file.
        wish: What the clip is to be.
        need: What it needs of the source.
        slot: Which numbers its parameter sets get, as in ``renumber``; 0 leaves them theirs.
        target: The file with the pictures, their times whole frames from 0 on.
        sound: The file with the packets of the clip's sound.
        check: Called every few packets; raises to end the work early.

    Raises:
        SourceError: The file can't be read.
    """
    found = find(info, wish, need, check)
    if isinstance(found, Why):
        return Copied(why=found)
    try:
        if slot:
            found = attrs.evolve(found, form=_in_slot(found.form, slot))
        heard = copy(info, found, need, wish.fps, target, sound, check)
    except NotCopiedError as exc:
        return Copied(why=exc.why)
    shown = min(found.times), max(found.times)
    return Copied(first=found.copy.first, frames=len(found.copy.places), shown=shown, sound_shift=heard)


def _in_slot(form: Form, slot: int) -> Form:
    try:
        return attrs.evolve(form, told=renumbered(form.told, slot), slot=slot)
    except ValueError as exc:
        raise NotCopiedError(Why.PARAMETERS) from exc


def copy(
    info: MediaInfo, found: Found, need: Need, fps: Fraction, target: Path, sound: Path, check: Callable[[], None]
) -> Fraction | None:
    """Copy pictures into a file of their own, and the packets of the clip's sound into another. Blocks.

    Args:
        info: The probed source.
        found: What ``find`` returned.
        need: What the clip needs.
        fps: The output's frames a second.
        target: The file with the pictures, their times whole frames from 0 on.
        sound: The file with the sound.
        check: Called every few packets; raises to end the work early.

    Returns:
        By how many seconds the sound's times are later than the source's; None if there is no sound.

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
        self._found = found
        self._fps = fps
        self._video, self._audio = video, audio
        self._units = set(found.form.written.sets.values())
        self._copied = 0
        options = {"video_track_timescale": str(fps.numerator)}
        self._container = open_output(target, "mov", options)
        self._stream = self._container.add_stream_from_template(video)
        self._stream.codec_context.extradata = found.form.told.avcc()
        self._stream.time_base = 1 / fps
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
    def sound(self) -> Fraction | None:
        """By how many seconds the times of the clip's sound are later; None if there was none."""
        if self._copied < len(self._found.times):
            raise NotCopiedError(Why.DAMAGED)
        return self._sound.shift if self._sound is not None and self._has_sound else None

    def take(self, packet: "Packet", info: MediaInfo, need: Need) -> bool:
        """Take the next packet; False when nothing more is needed."""
        if not packet.size:
            return True
        if packet.stream is self._video:
            self._take_picture(packet)
            moment = (packet.dts if packet.dts is not None else packet.pts or 0) * info.video.time_base
            is_over = self._sound_done or moment > need.last + SOUND_LAG
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
        mine = self._adapted(packet)
        mine.stream, mine.time_base = self._stream, 1 / self._fps
        mine.pts, mine.dts, mine.duration = places[self._copied] - places[0], self._copied - REORDER_FRAMES, 1
        self._container.mux(mine)
        self._copied += 1

    def _adapted(self, packet: "Packet") -> "Packet":
        """Return a packet without SEI and the sets that the track has anyway, and with the numbers they have there.

        Raises:
            NotCopiedError: It brings others.
        """
        import av  # noqa: PLC0415

        slot = self._found.form.slot
        try:
            found = list(units(bytes(packet)))
            sets = [unit for unit in found if kind(unit) in (SPS, PPS)]
            if any(unit not in self._units for unit in sets):
                raise NotCopiedError(Why.PARAMETERS)
            # SEI says what holds for the source: captions, orientation; it may name a parameter set, too
            kept = [unit for unit in found if kind(unit) not in (SPS, PPS, SEI)]
            if slot:
                kept = _renumbered(kept, slot)
        except ValueError as exc:
            raise NotCopiedError(Why.DAMAGED) from exc
        mine = av.Packet(b"".join(len(unit).to_bytes(4) + unit for unit in kept))
        mine.is_keyframe = packet.is_keyframe
        return mine


def _renumbered(found: list[bytes], slot: int) -> list[bytes]:
    """Return NAL units with the numbers of a slot."""
    return [renumbered_slice(one, slot) if kind(one) in (SLICE, IDR) else one for one in found]
