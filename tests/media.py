"""Golden test media: sources that carry their own frame numbers and clicks, and readers that measure them.

Pictures: a strip of 32 equal black and white blocks spans the full width at the top of the picture and is one
twelfth of its height. From left to right it holds 4 bits of source id, 20 bits of frame number and 8 bits of
CRC, each with the highest bit first. The reader looks only at the middle of each block, so that scaling and lossy
coding do no harm, and reports None when any block is neither dark nor bright, or when the CRC is wrong.

Sound: silence, with one click at each whole second (second 0 included) in all channels. A click is a sweep of
6 ms under a Hann window; it begins exactly at the whole second. The reader finds it by matched filtering and
reports the time at which it begins.

Times are seconds. The time 0 of a file is the presentation time of its first picture.
"""

import subprocess
import tempfile
import wave
from collections.abc import Sequence
from fractions import Fraction
from math import floor
from pathlib import Path
from typing import NamedTuple

import attrs
import av
import numpy as np
import numpy.typing as npt

SOURCE_BITS = 4
FRAME_BITS = 20
CHECK_BITS = 8
BLOCKS = SOURCE_BITS + FRAME_BITS + CHECK_BITS
STRIP_SHARE = 12
"""The strip's height is the picture's height divided by this."""

CLICK_SECONDS = 0.006
CLICK_LEVEL = 0.6
CLICK_LOW_HZ = 1000.0
CLICK_HIGH_HZ = 5000.0

_COLUMNS = 4
_BLACK, _WHITE = 16, 235
_DARK_BELOW, _BRIGHT_ABOVE = 104, 150
_MIN_GAIN = 0.1
_MIN_LIKENESS = 0.55
_CHUNK = 1 << 17

Bytes = npt.NDArray[np.uint8]
Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Samples = npt.NDArray[np.float32]

FULL: tuple[float, float, float, float] = (0.0, 0.0, 1.0, 1.0)


class MediaError(Exception):
    """FFmpeg failed to make or to read a file; the message holds the end of what it said."""


class FrameCode(NamedTuple):
    """What one picture says about itself: the id of its source (0 to 15) and its number there (from 0)."""

    source_id: int
    frame: int


@attrs.frozen(kw_only=True)
class SourceSpec:
    """All that describes one golden source.

    Attributes:
        source_id: Number written into each picture, 0 to 15.
        seconds: Length in seconds; rounded to a whole number of frames.
        fps: Frames per second.
        width: Width in pixels.
        height: Height in pixels.
        gop: Key frame interval in frames.
        audio: Whether there is sound.
        sample_rate: Samples per second of the sound, a whole number.
        channels: Number of sound channels.
        audio_args: FFmpeg output arguments for the sound's encoder.
        video_args: FFmpeg output arguments for the picture's encoder.
        extra_args: Further FFmpeg output arguments, last on the command line before the path.
        pattern: True for a moving pattern below the strip, False for plain grey (faster).
        video_filter: Further FFmpeg filters for the finished picture, for example "setpts=..."; empty for none.
    """

    source_id: int = attrs.field(validator=[attrs.validators.ge(0), attrs.validators.lt(1 << SOURCE_BITS)])
    seconds: Fraction | int
    fps: Fraction = Fraction(30)
    width: int = 320
    height: int = 180
    gop: int = 60
    audio: bool = True
    sample_rate: int = 48000
    channels: int = 2
    audio_args: Sequence[str] = ("-c:a", "aac")
    video_args: Sequence[str] = ("-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p")
    extra_args: Sequence[str] = ()
    pattern: bool = True
    video_filter: str = ""

    @property
    def frames(self) -> int:
        """Number of pictures."""
        return round(Fraction(self.seconds) * self.fps)

    @property
    def samples(self) -> int:
        """Number of samples per channel, as long as the pictures."""
        return round(self.frames / self.fps * self.sample_rate)


def make_source(
    path: Path,
    *,
    ffmpeg: str,
    source_id: int,
    seconds: Fraction | int,
    fps: Fraction = Fraction(30),
    width: int = 320,
    height: int = 180,
    gop: int = 60,
    audio: bool = True,
    sample_rate: int = 48000,
    channels: int = 2,
    audio_args: Sequence[str] = ("-c:a", "aac"),
    video_args: Sequence[str] = ("-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p"),
    extra_args: Sequence[str] = (),
    pattern: bool = True,
    video_filter: str = "",
) -> Path:
    """Make one golden source at `path`, whose suffix chooses the container, with the program `ffmpeg`.

    The other arguments are those of `SourceSpec`. The path is returned.
    """
    spec = SourceSpec(
        source_id=source_id,
        seconds=seconds,
        fps=fps,
        width=width,
        height=height,
        gop=gop,
        audio=audio,
        sample_rate=sample_rate,
        channels=channels,
        audio_args=audio_args,
        video_args=video_args,
        extra_args=extra_args,
        pattern=pattern,
        video_filter=video_filter,
    )
    return render_source(path, spec, ffmpeg=ffmpeg)


def render_source(path: Path, spec: SourceSpec, *, ffmpeg: str) -> Path:
    """Make the golden source that `spec` describes and return its path."""
    with tempfile.TemporaryDirectory() as folder:
        click = Path(folder) / "click.wav"
        if spec.audio:
            _write_click_second(click, spec)
        command = [ffmpeg, "-v", "error", "-y", *_input_args(spec, click), *_output_args(spec), str(path)]
        _run(command, stdin=encode_strips(spec.source_id, range(spec.frames)).tobytes())
    return path


def encode_strips(source_id: int, frames: Sequence[int]) -> Bytes:
    """Draw the strips of the numbered frames, one row of 32 grey bytes each."""
    values = (np.int64(source_id) << FRAME_BITS) | np.asarray(frames, dtype=np.int64)
    words = (values << CHECK_BITS) | _crc8(values)
    bits = (words[:, None] >> np.arange(BLOCKS - 1, -1, -1)) & 1
    return np.where(bits == 1, _WHITE, _BLACK).astype(np.uint8)


def decode_strips(levels: npt.ArrayLike) -> list[FrameCode | None]:
    """Read strips given as rows of 32 grey levels (0 to 255); None where a strip is unreadable."""
    rows = np.asarray(levels, dtype=np.float64).reshape(-1, BLOCKS)
    words = (rows > 127.5).astype(np.int64) @ (np.int64(1) << np.arange(BLOCKS - 1, -1, -1, dtype=np.int64))
    values = words >> CHECK_BITS
    clear = ((rows < _DARK_BELOW) | (rows > _BRIGHT_ABOVE)).all(axis=1)
    good = clear & (_crc8(values) == (words & ((1 << CHECK_BITS) - 1)))
    mask = (1 << FRAME_BITS) - 1
    return [
        FrameCode(value >> FRAME_BITS, value & mask) if ok else None
        for value, ok in zip(values.tolist(), good.tolist(), strict=True)
    ]


def read_frames(
    path: Path,
    *,
    ffmpeg: str,
    area: tuple[int, int, int, int] | None = None,
    region: tuple[float, float, float, float] = FULL,
) -> list[FrameCode | None]:
    """Decode a file and read the strip of each picture, in presentation order, none doubled or dropped.

    Args:
        path: File to read.
        ffmpeg: The FFmpeg program.
        area: Active area of the picture in pixels (x, y, width, height), without bars; None for all of it.
        region: Part of the active area that shows the source's full picture, as fractions of it (x, y, width,
            height).

    Returns:
        One entry for each picture; None where there is no readable strip.
    """
    command = [ffmpeg, "-v", "error", "-i", str(path), "-map", "0:v:0", "-vf", strip_filters(area, region)]
    command += ["-fps_mode", "passthrough", "-f", "rawvideo", "-"]
    return decode_strips(strip_levels(_run(command)))


def strip_filters(
    area: tuple[int, int, int, int] | None = None, region: tuple[float, float, float, float] = FULL
) -> str:
    """Return FFmpeg's filters that leave nothing of a picture but its strip, small; see ``read_frames``."""
    return f"format=gray,{_strip_crop(area, region)},scale={BLOCKS * _COLUMNS}:2:flags=area,format=gray"


def strip_levels(pixels: bytes) -> Floats:
    """Return the grey levels of the strips that ``strip_filters`` left, a row of 32 for each picture."""
    blocks = np.frombuffer(pixels, dtype=np.uint8).reshape(-1, 2, BLOCKS, _COLUMNS)[:, :, :, 1 : _COLUMNS - 1]
    levels: Floats = blocks.mean(axis=(1, 3), dtype=np.float64)
    return levels


def read_clicks(path: Path, *, ffmpeg: str, sample_rate: int = 48000) -> list[float]:
    """Measure where clicks begin, in seconds after the first picture; better than 0.1 ms.

    A click that is cut within its 6 ms may or may not be reported, so cut elsewhere when counting clicks.
    """
    samples = read_samples(path, ffmpeg=ffmpeg, sample_rate=sample_rate)
    if samples.size == 0:
        return []
    return find_clicks(samples.mean(axis=1, dtype=np.float64), sample_rate=sample_rate)


def read_samples(path: Path, *, ffmpeg: str, sample_rate: int = 48000) -> Samples:
    """Decode the sound so that sample 0 is at the presentation time of the first picture.

    Edit lists, encoder priming and gaps are honoured: sound before the first picture is left out, and missing
    sound is zeros.

    Returns:
        Array of shape (samples, channels), full scale 1.0; shape (0, 0) when there is no sound.
    """
    channels = _channel_count(path)
    if channels == 0:
        return np.zeros((0, 0), dtype=np.float32)
    first = round(min(packet_times(path), default=Fraction(0)) * sample_rate)
    align = f"aresample={sample_rate},aresample=async=1:min_comp=0.00001:min_hard_comp=0.002:first_pts={first}"
    command = [ffmpeg, "-v", "error", "-copyts", "-i", str(path), "-map", "0:a:0", "-af", align]
    command += ["-ac", str(channels), "-ar", str(sample_rate), "-f", "f32le", "-"]
    return np.frombuffer(_run(command), dtype=np.float32).reshape(-1, channels)


def find_clicks(mono: Floats, *, sample_rate: int = 48000) -> list[float]:
    """Find the beginnings of all clicks in one channel of sound, in seconds after its first sample."""
    real, imaginary = _click(sample_rate)
    lead = len(real)
    padded = np.concatenate([np.zeros(lead), mono, np.zeros(lead)])
    match = _correlate(padded, real)
    envelope = np.hypot(match, _correlate(padded, imaginary))
    energy = _window_energy(padded, lead)
    power = float(real @ real)
    likeness = envelope / np.sqrt(np.maximum(energy, power * _MIN_GAIN**2) * power)
    found = np.flatnonzero((envelope > power * _MIN_GAIN) & (likeness > _MIN_LIKENESS))
    groups = np.split(found, np.flatnonzero(np.diff(found) > lead) + 1) if len(found) else []
    peaks = [int(group[np.argmax(match[group])]) for group in groups]
    return [(_parabola_peak(match, peak) - lead) / sample_rate for peak in peaks]


def expected_frames(
    start: Fraction, frames: int, fps: Fraction, source_fps: Fraction, source_frames: int | None = None
) -> list[int]:
    """Say which source frame each frame of a slot must show.

    Frame k of the slot shows the source frame that is on display at start + (k + 1/2) / fps; source frame j is on
    display from j / source_fps until just before (j + 1) / source_fps.

    Args:
        start: Time in the source at which the slot begins, in seconds.
        frames: Number of frames of the slot.
        fps: Frames per second of the slot.
        source_fps: Frames per second of the source.
        source_frames: Number of frames of the source; the numbers stop at its last frame. None for no end.
    """
    last = None if source_frames is None else source_frames - 1
    numbers = [max(0, floor((start + (k + Fraction(1, 2)) / fps) * source_fps)) for k in range(frames)]
    return numbers if last is None else [min(number, last) for number in numbers]


def packet_times(path: Path) -> list[Fraction]:
    """List the presentation times of all pictures in seconds, in presentation order, without hidden ones."""
    with av.open(str(path)) as container:
        if not container.streams.video:
            return []
        packets = container.demux(container.streams.video[0])
        return sorted(p.pts * p.time_base for p in packets if p.pts is not None and p.time_base and not p.is_discard)


def _run(command: Sequence[str], stdin: bytes = b"") -> bytes:
    """Run FFmpeg and return what it writes to its standard output."""
    done = subprocess.run(command, input=stdin, capture_output=True, check=False)
    if done.returncode != 0:
        raise MediaError(f"{command[0]} ended with {done.returncode}: {done.stderr.decode(errors='replace')[-2000:]}")
    return done.stdout


def _crc8(values: Ints) -> Ints:
    """Compute the CRC (polynomial x^8 + x^2 + x + 1, begun at 0xFF) of 24-bit numbers."""
    crc = np.full(values.shape, 0xFF, dtype=np.int64)
    for shift in (16, 8, 0):
        crc ^= (values >> shift) & 0xFF
        for _ in range(8):
            crc = ((crc << 1) & 0xFF) ^ np.where(crc & 0x80, 0x07, 0)
    return crc


def _strip_height(height: int) -> int:
    """Height of the strip in pixels, even, for a picture height in pixels."""
    return 2 * round(height / STRIP_SHARE / 2)


def _strip_crop(area: tuple[int, int, int, int] | None, region: tuple[float, float, float, float]) -> str:
    """Write the crop filter for the middle half (in height) of the strip."""
    x, y, width, height = (str(number) for number in area) if area else ("0", "0", "iw", "ih")
    left, top, wide, high = region
    row = high / STRIP_SHARE
    return (
        f"crop=w='{width}*{wide}':h='max(2,round({height}*{row / 2}))':"
        f"x='{x}+{width}*{left}':y='round({y}+{height}*{top + row / 4})'"
    )


def _input_args(spec: SourceSpec, click: Path) -> list[str]:
    """FFmpeg's inputs: the strips on standard input, the picture below them, and the sound of one second."""
    size = f"{spec.width}x{spec.height - _strip_height(spec.height)}"
    below = f"testsrc2=s={size}:r={spec.fps}" if spec.pattern else f"color=c=gray:s={size}:r={spec.fps}"
    strips = ["-f", "rawvideo", "-pix_fmt", "gray", "-video_size", f"{BLOCKS}x1", "-framerate", str(spec.fps)]
    sound = ["-i", str(click)] if spec.audio else []
    return [*strips, "-i", "pipe:0", "-f", "lavfi", "-i", f"{below},format=yuv420p", *sound]


def _output_args(spec: SourceSpec) -> list[str]:
    """FFmpeg's filters and encoders."""
    after = f",{spec.video_filter}" if spec.video_filter else ""
    strip = f"[0:v]scale={spec.width}:{_strip_height(spec.height)}:flags=neighbor,format=yuv420p,setsar=1[strip]"
    graph = f"{strip};[strip][1:v]vstack=shortest=1{after}[v]"
    video = ["-map", "[v]", "-fps_mode", "passthrough", "-g", str(spec.gop), *spec.video_args]
    if not spec.audio:
        return ["-filter_complex", graph, *video, *spec.extra_args]
    graph += f";[2:a]aloop=loop=-1:size={spec.sample_rate},atrim=end_sample={spec.samples}[a]"
    return ["-filter_complex", graph, *video, "-map", "[a]", *spec.audio_args, *spec.extra_args]


def _click(sample_rate: int) -> tuple[Floats, Floats]:
    """Compute the click and its quadrature (the same, a quarter turn later)."""
    count = round(CLICK_SECONDS * sample_rate)
    time = np.arange(count) / sample_rate
    slope = (CLICK_HIGH_HZ - CLICK_LOW_HZ) / CLICK_SECONDS
    phase = 2 * np.pi * (CLICK_LOW_HZ * time + slope * time**2 / 2)
    window = CLICK_LEVEL * np.sin(np.pi * np.arange(count) / count) ** 2
    return window * np.sin(phase), window * np.cos(phase)


def _write_click_second(path: Path, spec: SourceSpec) -> None:
    """Write a WAV file of one second: a click, then silence."""
    mono = np.zeros(spec.sample_rate)
    burst = _click(spec.sample_rate)[0]
    mono[: len(burst)] = burst
    frames = np.repeat(np.rint(mono * 32767).astype("<i2")[:, None], spec.channels, axis=1)
    with wave.open(str(path), "wb") as out:
        out.setnchannels(spec.channels)
        out.setsampwidth(2)
        out.setframerate(spec.sample_rate)
        out.writeframes(frames.tobytes())


def _channel_count(path: Path) -> int:
    """Number of channels of the first sound stream, 0 without one."""
    with av.open(str(path)) as container:
        return container.streams.audio[0].channels if container.streams.audio else 0


def _correlate(signal: Floats, template: Floats) -> Floats:
    """Correlate in blocks; entry n is the match of the template with the signal from sample n on."""
    count = len(signal) - len(template) + 1
    step = _CHUNK - len(template) + 1
    turned = np.conj(np.fft.rfft(template, _CHUNK))
    matches: Floats = np.zeros(count)
    for at in range(0, count, step):
        piece = np.fft.irfft(np.fft.rfft(signal[at : at + _CHUNK], _CHUNK) * turned)
        matches[at : at + step] = piece[: min(step, count - at)]
    return matches


def _window_energy(signal: Floats, length: int) -> Floats:
    """Energy of each window of the given length in samples."""
    total = np.concatenate([np.zeros(1), np.cumsum(signal**2)])
    energy: Floats = np.maximum(total[length:] - total[:-length], 0.0)
    return energy


def _parabola_peak(curve: Floats, at: int) -> float:
    """Place of the peak near entry `at`, to a fraction of an entry."""
    if not 0 < at < len(curve) - 1:
        return float(at)
    before, here, after = (float(value) for value in curve[at - 1 : at + 2])
    bend = before - 2 * here + after
    return at + 0.5 * (before - after) / bend if bend < 0 else float(at)
