"""A file as a player has it: everything decoded once by FFmpeg, counted, and nothing kept."""

from fractions import Fraction
from pathlib import Path

import attrs

from clipcut.errors import ClipcutError
from clipcut.ffmpeg.argv import decode_argv
from clipcut.ffmpeg.judge import Said, judge
from clipcut.ffmpeg.process import run
from clipcut.ffmpeg.readback import AAC_SAMPLES, Grid, Span


@attrs.define
class Decoded:
    """What came out of the decoders, told line by line.

    Attributes:
        pictures: How many there were.
        samples: How many samples per channel.
        zero: When the first picture is shown, in seconds of the decoders' clock.
        heard: The ranges of samples that aren't silent, on the same clock, half-open.
    """

    pictures: int = 0
    samples: int = 0
    zero: Fraction | None = None
    heard: list[tuple[int, int]] = attrs.field(factory=list)
    _tick: Fraction = Fraction(1)

    def note(self, line: bytes) -> None:
        """Take a line of ``decode_argv``'s output."""
        stream, *fields = line.split(b",")
        if line.startswith(b"#tb 0:"):
            self._tick = Fraction(line[6:].decode().strip())
        elif stream == b"0":
            self.pictures += 1
            self.zero = int(fields[1]) * self._tick if self.zero is None else self.zero
        elif stream == b"1":
            start, samples = int(fields[1]), int(fields[2])
            self.samples += samples
            if int(fields[4], 16):  # the checksum of nothing but zeros is 0
                self._hear(start, start + samples)

    def _hear(self, start: int, end: int) -> None:
        if self.heard and self.heard[-1][1] == start:
            self.heard[-1] = (self.heard[-1][0], end)
        else:
            self.heard.append((start, end))

    def is_silent(self, span: Span, grid: Grid) -> bool:
        """Tell whether nothing is heard in a span, but for what the codec smears over its ends."""
        zero = self.zero or Fraction(0)
        start, end = (
            (zero + frame / grid.fps) * grid.sample_rate for frame in (span.start_frame, span.start_frame + span.frames)
        )
        inner, last = start + 2 * AAC_SAMPLES, end - 2 * AAC_SAMPLES
        return inner < last and all(until <= inner or begin >= last for begin, until in self.heard)


async def decode(path: Path, formats: str, ffmpeg: str) -> Decoded:
    """Decode a file's picture and sound, all of it.

    Args:
        path: The file.
        formats: The containers that it may have, by FFmpeg's names.
        ffmpeg: The program that decodes it.

    Raises:
        SourceError: A decoder found fault with it.
        ClipcutError: The machine can't do it.
    """
    said, decoded = Said(), Decoded()
    try:
        said.done = await run(decode_argv(ffmpeg, path, formats), on_stdout=decoded.note, on_stderr=said.hear)
    except OSError as exc:
        raise ClipcutError(f"FFmpeg can't be started: {exc.strerror}") from exc
    judge(said, str(path))
    return decoded
