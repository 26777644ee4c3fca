"""Proofs of the golden media kit itself: it must read back what it made, and notice what was spoilt."""

import subprocess
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import imageio_ffmpeg  # type: ignore[import-untyped, unused-ignore]
import numpy as np
import pytest
from media import (
    CLICK_SECONDS,
    FrameCode,
    MediaError,
    decode_strips,
    encode_strips,
    expected_frames,
    make_source,
    packet_times,
    read_clicks,
    read_frames,
    read_samples,
)

pytestmark = pytest.mark.media

CLICK_TOLERANCE = 0.0002
"""Seconds by which a click may be off."""


@pytest.fixture(scope="module")
def ffmpeg() -> str:
    """The packaged FFmpeg."""
    return str(imageio_ffmpeg.get_ffmpeg_exe())


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory, ffmpeg: str) -> Path:
    """A source of 4 s, 320x180, 30 frames a second, with sound."""
    return make_source(tmp_path_factory.mktemp("media") / "small.mp4", ffmpeg=ffmpeg, source_id=5, seconds=4)


def numbered(source_id: int, count: int) -> list[FrameCode | None]:
    """The codes of the first `count` frames of a source."""
    return [FrameCode(source_id, number) for number in range(count)]


def convert(ffmpeg: str, source: Path, target: Path, *args: str) -> Path:
    """Run FFmpeg from one file to another."""
    subprocess.run([ffmpeg, "-v", "error", "-y", "-i", str(source), *args, str(target)], check=True)
    return target


def worst(clicks: list[float], expected: list[float]) -> float:
    """The greatest distance in seconds between clicks and where they should be; the counts must agree."""
    assert len(clicks) == len(expected)
    return max(abs(click - place) for click, place in zip(clicks, expected, strict=True))


def test_strip_round_trip_when_values_are_extreme() -> None:
    """The smallest, the largest and middling numbers survive encoding and decoding."""
    for source_id in (0, 7, 15):
        frames = [0, 1, 12345, (1 << 20) - 1]
        assert decode_strips(encode_strips(source_id, frames)) == [FrameCode(source_id, frame) for frame in frames]


def test_strip_is_none_when_plain_or_flipped_or_grey() -> None:
    """All black, all white, any one wrong block and any one grey block are refused."""
    strip = encode_strips(9, [777])[0]
    assert decode_strips([np.zeros(32), np.full(32, 255), np.full(32, 127)]) == [None, None, None]
    for block in range(32):
        flipped, grey = strip.copy(), strip.copy()
        flipped[block] = 251 - flipped[block]
        grey[block] = 126
        assert decode_strips([flipped, grey]) == [None, None]


def test_frames_read_back_when_source_is_plain(small: Path, ffmpeg: str) -> None:
    """Each picture of the usual source says its own number."""
    assert read_frames(small, ffmpeg=ffmpeg) == numbered(5, 120)


@pytest.mark.parametrize(
    ("fps", "size", "audio"),
    [
        (Fraction(25), (640, 360), False),
        (Fraction(60), (320, 180), True),
        (Fraction(30000, 1001), (322, 182), True),
    ],
)
def test_source_reads_back_when_rate_and_size_differ(
    tmp_path: Path, ffmpeg: str, fps: Fraction, size: tuple[int, int], audio: bool
) -> None:
    """Pictures, clicks and even times are right for other rates and sizes."""
    width, height = size
    path = make_source(
        tmp_path / "a.mp4", ffmpeg=ffmpeg, source_id=3, seconds=2, fps=fps, width=width, height=height, audio=audio
    )
    count = round(2 * fps)
    assert read_frames(path, ffmpeg=ffmpeg) == numbered(3, count)
    assert packet_times(path) == [number / fps for number in range(count)]
    if audio:
        places = [float(second) for second in range(3) if second + CLICK_SECONDS <= count / fps]
        assert worst(read_clicks(path, ffmpeg=ffmpeg), places) < CLICK_TOLERANCE
    else:
        assert read_clicks(path, ffmpeg=ffmpeg) == []
        assert read_samples(path, ffmpeg=ffmpeg).size == 0


@pytest.mark.parametrize("size", ["1280:720", "640:360", "160:90"])
def test_frames_read_back_when_scaled_and_coded_coarsely(small: Path, tmp_path: Path, ffmpeg: str, size: str) -> None:
    """The strip survives scaling and H.264 at crf 28."""
    args = ("-an", "-t", "1", "-vf", f"scale={size}", "-c:v", "libx264", "-preset", "ultrafast", "-crf", "28")
    assert read_frames(convert(ffmpeg, small, tmp_path / "b.mp4", *args), ffmpeg=ffmpeg) == numbered(5, 30)


def test_frames_read_back_when_range_and_depth_change(small: Path, tmp_path: Path, ffmpeg: str) -> None:
    """The strip survives a change to full range, another matrix and 10 bits."""
    chain = "scale=out_range=pc:out_color_matrix=bt709,format=yuv422p10le"
    args = ("-an", "-t", "1", "-vf", chain, "-c:v", "libx264", "-preset", "ultrafast", "-crf", "28")
    assert read_frames(convert(ffmpeg, small, tmp_path / "b.mp4", *args), ffmpeg=ffmpeg) == numbered(5, 30)


def test_frames_read_back_when_there_are_bars(small: Path, tmp_path: Path, ffmpeg: str) -> None:
    """With the active area given the strip is found between bars; without it there is none."""
    args = ("-an", "-t", "1", "-vf", "scale=480:270,pad=480:360:0:45", "-c:v", "libx264", "-preset", "ultrafast")
    path = convert(ffmpeg, small, tmp_path / "b.mp4", *args)
    assert read_frames(path, ffmpeg=ffmpeg, area=(0, 45, 480, 270)) == numbered(5, 30)
    assert read_frames(path, ffmpeg=ffmpeg, region=(0, 0.125, 1, 0.75)) == numbered(5, 30)
    assert read_frames(path, ffmpeg=ffmpeg) == [None] * 30


def test_frames_are_none_when_video_is_black(tmp_path: Path, ffmpeg: str) -> None:
    """A black video has pictures without codes."""
    path = tmp_path / "black.mp4"
    subprocess.run([ffmpeg, "-v", "error", "-f", "lavfi", "-i", "color=black:r=30:d=0.5", str(path)], check=True)
    assert read_frames(path, ffmpeg=ffmpeg) == [None] * 15
    assert read_clicks(path, ffmpeg=ffmpeg) == []


def test_loss_is_noticed_when_one_frame_is_dropped(small: Path, tmp_path: Path, ffmpeg: str) -> None:
    """A file without frame 17 reads as just that, and its times have one wide step."""
    args = ("-an", "-t", "1", "-vf", "select=not(eq(n\\,17))", "-fps_mode", "passthrough", "-preset", "ultrafast")
    path = convert(ffmpeg, small, tmp_path / "b.mp4", *args)
    assert read_frames(path, ffmpeg=ffmpeg) == [code for code in numbered(5, 30) if code != (5, 17)]
    times = packet_times(path)
    steps = {after - before for before, after in pairwise(times)}
    assert steps == {Fraction(1, 30), Fraction(1, 15)}


def test_frames_start_at_cut_when_edit_list_hides_some(small: Path, tmp_path: Path, ffmpeg: str) -> None:
    """Pictures and sound that an edit list hides are neither read nor counted."""
    cut = tmp_path / "cut.mp4"
    subprocess.run([ffmpeg, "-v", "error", "-ss", "2.5", "-i", str(small), "-c", "copy", str(cut)], check=True)
    assert read_frames(cut, ffmpeg=ffmpeg) == numbered(5, 120)[75:]
    assert len(packet_times(cut)) == 45
    assert worst(read_clicks(cut, ffmpeg=ffmpeg), [0.5]) < CLICK_TOLERANCE


def test_clicks_stay_at_whole_seconds_when_coded_twice(small: Path, tmp_path: Path, ffmpeg: str) -> None:
    """Clicks are at 0, 1, 2 and 3 s after one AAC generation and after a second one at a low rate."""
    seconds = [0.0, 1.0, 2.0, 3.0]
    assert worst(read_clicks(small, ffmpeg=ffmpeg), seconds) < CLICK_TOLERANCE
    again = convert(ffmpeg, small, tmp_path / "b.mp4", "-c:v", "copy", "-c:a", "aac", "-b:a", "64k", "-ar", "44100")
    assert worst(read_clicks(again, ffmpeg=ffmpeg), seconds) < CLICK_TOLERANCE


@pytest.mark.parametrize("suffix", ["mp4", "ts"])
@pytest.mark.parametrize("late", [Fraction(1, 1000), Fraction(371, 10000), Fraction(-371, 10000)])
def test_offset_is_measured_when_sound_is_moved(
    small: Path, tmp_path: Path, ffmpeg: str, late: Fraction, suffix: str
) -> None:
    """Sound that was moved against the pictures by a little is found there, in either direction."""
    path = tmp_path / f"moved.{suffix}"
    command = [ffmpeg, "-v", "error", "-i", str(small), "-itsoffset", str(float(late)), "-i", str(small)]
    subprocess.run([*command, "-map", "0:v", "-map", "1:a", "-c", "copy", str(path)], check=True)
    places = [float(second + late) for second in range(4) if second + late >= 0]
    assert worst(read_clicks(path, ffmpeg=ffmpeg), places) < CLICK_TOLERANCE


def test_clicks_are_none_when_sound_is_tone_or_noise(tmp_path: Path, ffmpeg: str) -> None:
    """Neither a steady tone nor noise is taken for a click."""
    for number, sound in enumerate(("sine=1000:d=3", "anoisesrc=d=3:a=0.5:seed=1")):
        path = tmp_path / f"{number}.wav"
        subprocess.run([ffmpeg, "-v", "error", "-f", "lavfi", "-i", sound, str(path)], check=True)
        assert read_clicks(path, ffmpeg=ffmpeg) == []


def test_samples_have_all_channels_when_source_is_mono_or_six(tmp_path: Path, ffmpeg: str) -> None:
    """The sound is as long as the pictures, and each channel has the clicks."""
    for channels, rate in ((1, 44100), (6, 48000)):
        path = tmp_path / f"{channels}.mov"
        make_source(
            path,
            ffmpeg=ffmpeg,
            source_id=1,
            seconds=2,
            sample_rate=rate,
            channels=channels,
            audio_args=("-c:a", "pcm_s16le"),
        )
        samples = read_samples(path, ffmpeg=ffmpeg, sample_rate=rate)
        assert samples.shape == (2 * rate, channels)
        assert np.abs(samples).max(axis=0) == pytest.approx(0.6, abs=0.02)


def test_expected_frames_follow_display_rule_when_rates_differ() -> None:
    """The middle of each output frame decides, with half-open display times and a held last frame."""
    assert expected_frames(Fraction(1), 4, Fraction(30), Fraction(30)) == [30, 31, 32, 33]
    assert expected_frames(Fraction(0), 6, Fraction(30), Fraction(60)) == [1, 3, 5, 7, 9, 11]
    assert expected_frames(Fraction(0), 6, Fraction(30), Fraction(15)) == [0, 0, 1, 1, 2, 2]
    assert expected_frames(Fraction(1, 60), 2, Fraction(30), Fraction(30)) == [1, 2]
    assert expected_frames(Fraction(0), 4, Fraction(30), Fraction(30), source_frames=2) == [0, 1, 1, 1]


def test_error_tells_reason_when_file_is_no_media(tmp_path: Path, ffmpeg: str) -> None:
    """A file that FFmpeg cannot read raises an error with its words."""
    path = tmp_path / "junk.mp4"
    path.write_bytes(b"no media")
    with pytest.raises(MediaError, match="junk"):
        read_frames(path, ffmpeg=ffmpeg)
