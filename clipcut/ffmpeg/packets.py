"""Packets of one stream into a small file of their own, with PyAV: what is cut out is neither decoded nor encoded."""

from fractions import Fraction
from math import ceil
from pathlib import Path
from typing import TYPE_CHECKING, Self

from clipcut.errors import Reason, SourceError
from clipcut.ffmpeg.probe import CODECS
from clipcut.ffmpeg.pyav import exact, open_output

if TYPE_CHECKING:
    from av.packet import Packet
    from av.stream import Stream

_AHEAD = Fraction(3600)
"""By about how many seconds every timestamp is moved, so that none is below 0: a muxer would move them by itself."""

_CONTAINERS = {"av1": "ivf", "libdav1d": "ivf", "libaom-av1": "ivf", "prores": "mov"}
"""The container of a codec's excerpt where it isn't NUT, which keeps any timestamps but doesn't know every codec."""


class PacketFile:
    """Puts one stream's packets into a file of their own, with timestamps moved by a known number of ticks."""

    def __init__(self, path: Path, source: "Stream") -> None:
        """Begin a file at ``path`` for a stream of an open source.

        Raises:
            SourceError: ``refused``; its codec is none that is opened.
        """
        codec = source.codec_context.name if source.codec_context is not None else "unknown"
        if codec not in CODECS.split(","):
            raise SourceError(Reason.REFUSED, f"the codec of its {source.type} ({codec}) is none that clipcut opens")
        kind = _CONTAINERS.get(codec, "nut")
        self._container = open_output(path, kind, {"avoid_negative_ts": "disabled"})
        self._stream = self._container.add_stream_from_template(source, opaque=True)
        self._tick = exact(source.time_base) or Fraction(1)
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
        return exact(self._stream.time_base) or Fraction(1)


class PacketFiles:
    """A file for each stream of an excerpt; all are finished when the block is left."""

    def __init__(self, target: Path, video: "Stream", audio: "Stream | None") -> None:
        """Begin the files: at ``target``, with the suffix ``.video`` and, if there is sound, ``.sound``."""
        self.paths = {video: target.with_suffix(".video")}
        if audio is not None:
            self.paths[audio] = target.with_suffix(".sound")
        self.streams = tuple(self.paths)
        self._open = {stream: PacketFile(path, stream) for stream, path in self.paths.items()}

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
        self._open[stream] = PacketFile(self.paths[stream], stream)
