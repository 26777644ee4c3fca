"""Packets of one stream into a small file of their own, with PyAV: what is cut out is neither decoded nor encoded."""

import contextlib
import itertools
from collections.abc import Iterable, Iterator
from fractions import Fraction
from math import ceil
from pathlib import Path
from typing import TYPE_CHECKING, Self

from clipcut.errors import Reason, SourceError, raise_if_machine
from clipcut.ffmpeg.probe import CODECS
from clipcut.ffmpeg.pyav import exact, open_output

if TYPE_CHECKING:
    from av.packet import Packet
    from av.stream import Stream

_AHEAD = Fraction(3600)
"""At about how many seconds a file's first packet is shown: any that is shown before it stays above 0, as muxers want.

Near enough, whatever clock the source has: FFmpeg's filters count in doubles, which are exact up to 2**53 ticks.
"""

_STEP = Fraction(1, 1000)
"""By how many seconds decoding times rise from packet to packet: a muxer may have a coarser clock than the source."""

EXCERPT_FORMATS = "nut,ivf,mov,matroska"
"""The containers of excerpts."""

_CONTAINERS = {"av1": "ivf", "libdav1d": "ivf", "libaom-av1": "ivf", "prores": "mov"}
"""The container of a codec's excerpt where it isn't NUT, which keeps any timestamps but doesn't know every codec."""


class PacketFile:
    """Puts one stream's packets into a file of their own, with timestamps moved by a known number of ticks.

    A source's decoding times say in which order its packets are decoded, and here that is the order they come in. They
    may stand still, run back or be guessed by the demuxer, which a muxer refuses; so they are counted up here.
    """

    def __init__(
        self, path: Path, source: "Stream", places: Iterable[int] | None = None, *, has_alpha_layer: bool = False
    ) -> None:
        """Begin a file at ``path`` for a stream of an open source.

        Args:
            path: The file.
            source: The stream.
            places: Each packet's place in an order, which is then its time; None for the times that the source says.
            has_alpha_layer: Whether what is coded beside its pictures is an alpha channel, which is kept.

        Raises:
            SourceError: ``refused``; its codec is none that is opened.
        """
        codec = source.codec_context.name if source.codec_context is not None else "unknown"
        if codec not in CODECS.split(","):
            raise SourceError(Reason.REFUSED, f"the codec of its {source.type} ({codec}) is none that clipcut opens")
        kind = "matroska" if has_alpha_layer else _CONTAINERS.get(codec, "nut")
        self._container = open_output(path, kind, {"avoid_negative_ts": "disabled"})
        self._stream = self._container.add_stream_from_template(source, opaque=True)
        self._tick = exact(source.time_base) or Fraction(1)
        # MOV rounds a late begin to its own clock, so there the first packet is put at 0 (its codecs don't reorder)
        self._begin = 0 if kind == "mov" else ceil(_AHEAD / self._tick)
        self._ticks: int | None = None
        self._step = ceil(_STEP / self._tick)
        self._count = 0
        self._places = iter(places) if places is not None else None
        self._last_key = -1
        self._has_shown = False
        self.sets = b""
        """Parameter sets that stand in front of each keyframe, where they aren't those of the stream's head."""
        self.time_base = Fraction(1)
        """Seconds per tick of the file, known once a packet was written."""

    def write(self, packet: "Packet") -> None:
        """Put a packet in, and leave it with the file's timestamps.

        Raises:
            SourceError: ``ffmpeg``; the muxer refuses it, which is no fault of the source.
        """
        pts = packet.pts if packet.pts is not None else packet.dts
        if self._places is not None:
            pts = next(self._places) * self._step
        if self._ticks is None:
            self._ticks = self._begin - (pts if self._places is None else 0)
        dts = self._count * self._step if self._begin else pts + self._ticks
        # among others an edit list may hide what the decoder needs for what comes after: that is put before all of them
        is_apart = packet.is_discard and self._has_shown and self._begin and self._places is None
        packet.pts, packet.dts = dts if is_apart else pts + self._ticks, dts
        self._has_shown = self._has_shown or not packet.is_discard
        if self.sets and packet.is_keyframe:
            packet = _with_sets(packet, self.sets)
        packet.is_keyframe = packet.is_keyframe and packet.pts > self._last_key  # NUT's index holds no others
        self._last_key = packet.pts if packet.is_keyframe else self._last_key
        packet.stream = self._stream
        self._count += 1
        with _blaming_nobody():
            self._container.mux(packet)
        if self._count == 1:  # asked now, as PyAV 19 tells nothing of a file that was closed
            self.time_base = exact(self._stream.time_base) or Fraction(1)

    def close(self) -> None:
        """Finish the file."""
        with _blaming_nobody():
            self._container.close()

    def time(self, place: int) -> int:
        """Return the time in the file, in its own ticks, of the packet with a place."""
        return int((self._begin + place * self._step) * self._tick / self.time_base)

    def place(self, time: int) -> int:
        """Return which place a time stands for; less than 0 for none."""
        return (time - self.time(0)) // (self.time(1) - self.time(0))

    @property
    def shift(self) -> Fraction:
        """By how many seconds the file's timestamps are later than the source's."""
        return (self._ticks or 0) * self._tick


def _with_sets(packet: "Packet", sets: bytes) -> "Packet":
    import av  # noqa: PLC0415

    mine = av.Packet(sets + bytes(packet))
    mine.pts, mine.dts, mine.duration, mine.time_base = packet.pts, packet.dts, packet.duration, packet.time_base
    mine.is_keyframe = packet.is_keyframe
    return mine


@contextlib.contextmanager
def _blaming_nobody() -> Iterator[None]:
    """Translate what a muxer of ours refuses: around it stands a block that takes all for a fault of the source."""
    import av  # noqa: PLC0415

    try:
        yield
    except av.FFmpegError as exc:
        raise_if_machine(exc)
        words = f"its packets can't be copied ({exc.strerror}); please report this with the file"
        raise SourceError(Reason.FFMPEG, words) from exc


class PacketFiles:
    """A file for each stream of an excerpt; all are finished when the block is left."""

    def __init__(
        self,
        target: Path,
        video: "Stream",
        audio: "Stream | None",
        *,
        is_numbered: bool = False,
        has_alpha_layer: bool = False,
    ) -> None:
        """Begin the files: at ``target``, with the suffix ``.video`` and, if there is sound, ``.sound``.

        ``is_numbered`` gives each video packet its number for a time.
        """
        self._is_numbered = is_numbered
        self._alpha = video if has_alpha_layer else None
        self._sets = b""
        self.paths = {video: target.with_suffix(".video")}
        if audio is not None:
            self.paths[audio] = target.with_suffix(".sound")
        self.streams = tuple(self.paths)
        self._open = {stream: self._new(stream) for stream in self.streams}

    def __enter__(self) -> Self:
        """Use the files in a block."""
        return self

    def __exit__(self, *_: object) -> None:
        """Finish all files."""
        for writer in self._open.values():
            writer.close()

    def __getitem__(self, stream: "Stream") -> PacketFile:
        """Return a stream's file."""
        return self._open[stream]

    def write_all(self, packets: "list[Packet]") -> None:
        """Put packets into their streams' files."""
        for packet in packets:
            self._open[packet.stream].write(packet)

    def restart(self, stream: "Stream") -> None:
        """Forget what was written of a stream: on disk, so that a group of pictures of any length costs no memory."""
        self._open[stream].close()
        self._open[stream] = self._new(stream)

    def _new(self, stream: "Stream") -> PacketFile:
        places = itertools.count() if self._is_numbered and stream.type == "video" else None
        file = PacketFile(self.paths[stream], stream, places, has_alpha_layer=stream is self._alpha)
        file.sets = self._sets if stream.type == "video" else b""
        return file

    def use_sets(self, stream: "Stream", sets: bytes) -> None:
        """Put these parameter sets in front of each keyframe of a stream from now on."""
        self._sets = self._open[stream].sets = sets
