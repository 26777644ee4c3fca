"""A finished file as it reads: where its pictures lie, what is coded in each, and the same of its sound.

A file of ours is held against its plan when it was written, and against its report whenever somebody asks. It is
demuxed here and not decoded.
"""

import bisect
import math
from array import array
from collections.abc import Callable, Sequence
from fractions import Fraction
from typing import TYPE_CHECKING

import attrs

from clipcut.ffmpeg.coded import (
    DIGEST_BYTES,
    digest,
    length_size,
    parameter_units,
    picture_units,
    sound_payload,
    split_units,
)
from clipcut.ffmpeg.pyav import exact
from clipcut.results import SpanHashes
from clipcut.timebase import round_half_up

if TYPE_CHECKING:
    from av.audio.stream import AudioStream
    from av.container import InputContainer
    from av.packet import Packet
    from av.video.stream import VideoStream

AAC_SAMPLES = 1024
"""How many samples a packet of AAC stands for. The first one begins as many before the sound does."""

SLACK = Fraction(1, 1000)
"""Seconds by which a time may be off: Matroska's own rounding."""


@attrs.frozen
class Grid:
    """What a file is held against: frames a second, how many frames it should have, samples a second."""

    fps: Fraction
    frames: int
    sample_rate: int

    @property
    def packets(self) -> int:
        """How many packets of sound it should have at least: one before the first sample, then all that it takes."""
        return math.ceil(self.frames / self.fps * self.sample_rate / AAC_SAMPLES) + 1


@attrs.frozen
class Span:
    """A clip's part of an output: its first frame, and how many it has."""

    start_frame: int
    frames: int


@attrs.define
class Track:
    """Times in ticks and digests of the packets of a stream, in the order they are stored."""

    tick: Fraction
    times: "array[int]" = attrs.field(factory=lambda: array("q"))
    digests: bytearray = attrs.field(factory=bytearray)
    end_tick: int = 0

    def add(self, packet: "Packet", coded: bytes) -> None:
        time = packet.pts or 0
        self.times.append(time)
        self.digests += coded
        self.end_tick = max(self.end_tick, time + (packet.duration or 0))

    def draw_up_first(self, packet: Fraction) -> None:
        """Put the first packet right before the second; ``packet`` is how long each is, in seconds."""
        if len(self.times) > 1:
            self.times[0] = max(self.times[0], self.times[1] - round_half_up(packet / self.tick))

    @property
    def start(self) -> Fraction | None:
        """When its first packet is shown or heard, in seconds."""
        return min(self.times) * self.tick if self.times else None

    @property
    def end(self) -> Fraction | None:
        return self.end_tick * self.tick if self.times else None


@attrs.frozen
class Table:
    """Digests by their places on a grid, ascending; only of places that have one, as a report may claim any number."""

    places: "array[int]" = attrs.field(factory=lambda: array("q"))
    digests: bytearray = attrs.field(factory=bytearray, repr=False)

    def put(self, place: int, coded: bytes | bytearray) -> None:
        """Add a digest behind all others, or in the place of the last one."""
        if self.places and self.places[-1] == place:
            self.digests[-DIGEST_BYTES:] = coded
        else:
            self.places.append(place)
            self.digests.extend(coded)

    def between(self, start: int, end: int) -> list[bytes] | None:
        """Return the digests of a range, which has a place at least; None where one of them isn't there."""
        first = bisect.bisect_left(self.places, start)
        last = first + end - start
        if last > len(self.places) or (self.places[first], self.places[last - 1]) != (start, end - 1):
            return None
        return [bytes(self.digests[at * DIGEST_BYTES : (at + 1) * DIGEST_BYTES]) for at in range(first, last)]


@attrs.frozen(kw_only=True)
class Readback:
    """What a file holds. Times are in seconds of the file's own clock.

    Attributes:
        grid: What it was held against.
        frames: How many pictures it has.
        start: When the first picture is shown; None if there is none.
        displaced_frame: The first frame of the grid that hasn't exactly one picture within ``SLACK`` of its time;
            None if there is none.
        sound_start, sound_end: When the sound's first packet begins and its last one ends; None if there is none.
        sound_late: By how many seconds the sound is later than it was to the picture; negative where it is earlier.
        displaced_packet: The same as ``displaced_frame``, of the sound's packets among themselves, within twice
            ``SLACK``; the first one's time doesn't count, as some muxers hold it from the file's begin on.
        comment: The file's ``comment`` tag; empty for none.
    """

    grid: Grid
    frames: int
    start: Fraction | None
    displaced_frame: int | None
    sound_start: Fraction | None
    sound_end: Fraction | None
    sound_late: Fraction
    displaced_packet: int | None
    comment: str
    _pictures: Table = attrs.field(repr=False)
    _sounds: Table = attrs.field(repr=False)
    _parameters: bytes = attrs.field(repr=False)
    _sound_facts: bytes = attrs.field(repr=False)

    def hashes(self, span: Span) -> SpanHashes:
        """Hash what is coded in a span of the grid.

        Sound overlaps: a packet is heard through the next one too, so the packet before the span's first is part of
        it, and the one at a cut is part of two spans.
        """
        end = span.start_frame + span.frames
        first, last = (frame / self.grid.fps * self.grid.sample_rate / AAC_SAMPLES for frame in (span.start_frame, end))
        pictures = self._pictures.between(span.start_frame, end)
        sounds = self._sounds.between(math.floor(first), math.ceil(last) + 1)
        return SpanHashes(_hash(pictures, self._parameters), _hash(sounds, self._sound_facts))


def _hash(digests: Sequence[bytes] | None, facts: bytes) -> str | None:
    return digest(facts, *digests).hex() if digests is not None else None


class _Reader:
    """Takes the packets of a file one by one."""

    def __init__(self, video: "VideoStream", audio: "AudioStream | None") -> None:
        extradata = bytes(video.codec_context.extradata or b"")
        self._size = length_size(extradata)
        self._parameters = set(parameter_units(extradata))
        self._video = video
        self.pictures = Track(exact(video.time_base) or Fraction(1))
        self.sounds = Track((exact(audio.time_base) if audio is not None else None) or Fraction(1))
        self.sound_facts = _sound_facts(audio)

    def add(self, packet: "Packet") -> None:
        if not packet.size or packet.pts is None:
            return
        if packet.stream is not self._video:
            self.sounds.add(packet, digest(sound_payload(bytes(packet))))
            return
        slices, parameters = split_units(picture_units(bytes(packet), self._size))
        self._parameters.update(parameters)
        self.pictures.add(packet, digest(*slices))

    @property
    def parameters(self) -> bytes:
        return digest(*sorted(self._parameters))


def _sound_facts(audio: "AudioStream | None") -> bytes:
    if audio is None:
        return b""
    context = audio.codec_context
    return f"{context.name} {context.sample_rate} {context.layout.nb_channels}".encode()


def read_back(container: "InputContainer", grid: Grid, check: Callable[[], None]) -> Readback:
    """Read every packet of a file's first video and first sound track.

    Args:
        container: The open file; it has a video track.
        grid: What it should have.
        check: Called every few packets; raises to end the work early.

    Raises:
        av.FFmpegError: It can't be read.
    """
    video = container.streams.video[0]
    audio = container.streams.audio[0] if container.streams.audio else None
    reader = _Reader(video, audio)
    for count, packet in enumerate(container.demux(*([video] if audio is None else [video, audio]))):
        if count % 256 == 0:
            check()
        reader.add(packet)
    pictures, sounds = reader.pictures, reader.sounds
    sound_start, sound_end = sounds.start, sounds.end
    packet = Fraction(AAC_SAMPLES, grid.sample_rate)
    sounds.draw_up_first(packet)
    zero = _zero(pictures, sounds, grid)
    table, displaced_frame = place(pictures, zero, grid.fps, grid.frames, SLACK)
    late = _late(sounds, zero - packet, grid)
    sound_table, displaced_packet = place(sounds, zero - packet + late, 1 / packet, grid.packets, 2 * SLACK)
    return Readback(
        grid=grid,
        frames=len(pictures.times),
        start=pictures.start,
        displaced_frame=displaced_frame,
        sound_start=sound_start,
        sound_end=sound_end,
        sound_late=late,
        displaced_packet=displaced_packet,
        comment=comment_of(container.metadata),
        pictures=table,
        sounds=sound_table,
        parameters=reader.parameters,
        sound_facts=reader.sound_facts,
    )


def _zero(pictures: Track, sounds: Track, grid: Grid) -> Fraction:
    """Return when frame 0 is to be shown: with the first picture, or whole frames before it where the sound says so.

    A container may move everything; it moves both alike. Where the first pictures are gone, the others stay where
    they were.
    """
    if pictures.start is None or sounds.start is None:
        return pictures.start or Fraction(0)
    late = pictures.start - sounds.start - Fraction(AAC_SAMPLES, grid.sample_rate)
    gone = grid.frames - len(pictures.times)
    return pictures.start - max(0, min(gone, round_half_up(late * grid.fps))) / grid.fps


def _late(sounds: Track, due: Fraction, grid: Grid) -> Fraction:
    """Return by how many seconds all of the sound is late; 0 where packets are gone, as the others stay in place."""
    if sounds.start is None or len(sounds.times) < grid.packets:
        return Fraction(0)
    return sounds.start - due


def place(track: Track, zero: Fraction, rate: Fraction, places: int, slack: Fraction) -> tuple[Table, int | None]:
    """Put a track's digests on a grid of ``rate`` places a second, and find the first that hasn't exactly one.

    Whole numbers only, as this runs for every packet of an output: time ``t`` in ticks is at place ``(t * up - off) /
    down``. What it takes depends on the packets, and not on ``places``, which a report only claims.
    """
    step, shift = track.tick * rate, zero * rate
    down = math.lcm(step.denominator, shift.denominator)
    up, off, allowed = int(step * down), int(shift * down), int(slack * rate * down)
    table, wrong = Table(), None
    for number in sorted(range(len(track.times)), key=track.times.__getitem__):
        exact = track.times[number] * up - off
        place = (2 * exact + down) // (2 * down)
        if not 0 <= place < places:
            continue
        # where two are in one place, or one is beside it, the place counts as wrong, and the last one is kept
        if wrong is None and not (place == len(table.places) and abs(exact - place * down) <= allowed):
            wrong = min(place, len(table.places))
        table.put(place, track.digests[number * DIGEST_BYTES : (number + 1) * DIGEST_BYTES])
    return table, len(table.places) if wrong is None and len(table.places) < places else wrong


def comment_of(metadata: "dict[str, str]") -> str:
    """Return a file's ``comment`` tag, however its container writes the word; empty for none."""
    return next((value for key, value in metadata.items() if key.lower() == "comment"), "")
