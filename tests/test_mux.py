"""The join and the last check: a finished file that isn't what it must be is never called finished."""

import subprocess
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import attrs
import pytest
from media import read_samples

from clipcut.errors import RenderError, SourceError
from clipcut.ffmpeg.mux import Master, VideoTrack, count_frames, is_ours, mux, verify

pytestmark = pytest.mark.media

FPS = Fraction(30)
MASTER = Master(fps=FPS, frames=50, sample_rate=48000, samples=80000, comment="clipcut mix.json")


def make_clip(ffmpeg: str, path: Path, frames: int, *more: str) -> Path:
    """Encode a clip as a cut does."""
    source = ["-f", "lavfi", "-i", f"testsrc2=s=160x90:r=30:d={frames / 30 + 1}"]
    code = ["-frames:v", str(frames), "-c:v", "libx264", "-preset", "veryfast", "-pix_fmt", "yuv420p"]
    target = ["-video_track_timescale", "30", "-f", "mov", str(path)]
    subprocess.run([ffmpeg, "-v", "error", "-y", *source, *code, *more, *target], check=True)
    return path


def make_sound(ffmpeg: str, path: Path, seconds: Fraction) -> Path:
    """Encode a sound as the join does."""
    source = ["-f", "lavfi", "-i", f"sine=r=48000:d={float(seconds)}"]
    subprocess.run([ffmpeg, "-v", "error", "-y", *source, "-c:a", "aac", "-f", "mp4", str(path)], check=True)
    return path


def join(tmp_path: Path, ffmpeg: str, lengths: Sequence[int], seconds: Fraction, suffix: str = ".mp4") -> Path:
    """Join clips of the given lengths and a sound."""
    track = VideoTrack(tmp_path / "picture.mov", FPS)
    for number, frames in enumerate(lengths):
        track.append(make_clip(ffmpeg, tmp_path / f"{number}.mov", frames), frames)
    track.close()
    sound = make_sound(ffmpeg, tmp_path / "sound.mp4", seconds)
    target = tmp_path / f"out{suffix}"
    mux(tmp_path / "picture.mov", sound, target, suffix, MASTER, lambda: None)
    return target


@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".mkv"])
def test_clips_of_any_length_join_to_even_times(tmp_path: Path, ffmpeg: str, suffix: str) -> None:
    """Clips of 1, 2, 17 and 30 frames make 50 frames that pass the last check."""
    target = join(tmp_path, ffmpeg, (1, 2, 17, 30), Fraction(5, 3), suffix)

    verify(target, MASTER, lambda: None)

    assert is_ours(target)


@pytest.mark.parametrize("suffix", [".mp4", ".mov"])
def test_the_last_samples_are_played(tmp_path: Path, ffmpeg: str, suffix: str) -> None:
    """A length that is no whole number of milliseconds loses nothing: 80019 samples are 1667.06 ms."""
    target = join(tmp_path, ffmpeg, (50,), Fraction(80019, 48000), suffix)

    played = read_samples(target, ffmpeg=ffmpeg)

    assert len(played) >= 80019


@pytest.mark.parametrize(
    ("change", "words"),
    [
        pytest.param({"frames": 51}, "50 frames instead of 51", id="a-frame-missing"),
        pytest.param({"frames": 49}, "50 frames instead of 49", id="a-frame-too-many"),
        pytest.param({"fps": Fraction(25)}, "Frame 1 of the output is not in its place", id="uneven"),
        pytest.param({"samples": 90000}, "sound ends", id="sound-too-short"),
        pytest.param({"comment": "clipcut other.json"}, "mark", id="no-mark"),
    ],
)
def test_a_finished_file_that_is_not_what_it_must_be_is_refused(
    tmp_path: Path, packaged: str, change: dict[str, Any], words: str
) -> None:
    """Frames, their times, sound and mark are held against the plan."""
    target = join(tmp_path, packaged, (20, 30), Fraction(5, 3))

    with pytest.raises(RenderError, match=words):
        verify(target, attrs.evolve(MASTER, **change), lambda: None)


def test_clips_with_other_parameters_do_not_join(tmp_path: Path, packaged: str) -> None:
    """One track has one set of parameters; another size is refused and not muxed."""
    track = VideoTrack(tmp_path / "picture.mov", FPS)
    track.append(make_clip(packaged, tmp_path / "a.mov", 5), 5)

    with pytest.raises(RenderError, match="different parameters"):
        track.append(make_clip(packaged, tmp_path / "b.mov", 5, "-vf", "scale=320:180"), 5)
    track.close()


def test_frames_are_counted_on_the_grid(tmp_path: Path, packaged: str) -> None:
    """A clip's frames count only where they lie on the output's frame grid."""
    path = make_clip(packaged, tmp_path / "a.mov", 12)

    assert 12 == count_frames(path, FPS)
    with pytest.raises(SourceError, match="frame grid"):
        count_frames(path, Fraction(25))


def test_a_file_that_cannot_be_read_is_somebody_elses(tmp_path: Path) -> None:
    """Text, folders and nothing at all carry no mark."""
    (tmp_path / "text.mp4").write_text("clipcut mix.json")

    assert not is_ours(tmp_path / "text.mp4")
    assert not is_ours(tmp_path)
    assert not is_ours(tmp_path / "nowhere.mp4")


def test_a_mux_can_be_ended_at_any_packet(tmp_path: Path, packaged: str) -> None:
    """What ``check`` raises passes through."""
    join(tmp_path, packaged, (20, 30), Fraction(5, 3))

    def stop() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        mux(tmp_path / "picture.mov", tmp_path / "sound.mp4", tmp_path / "x.mp4", ".mp4", MASTER, stop)
