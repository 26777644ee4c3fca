"""The soundtrack, to the sample, and the fades at cuts."""

import json
import subprocess
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from golden import render, timeline
from media import make_source, read_clicks, read_samples

from clipcut.cli import run
from clipcut.ffmpeg.argv import soundtrack_argv
from clipcut.timeline import AudioProfile, Soundtrack

pytestmark = pytest.mark.media

CLIPS = [{"video_id": "v1", "start": start, "duration": 1.5} for start in (0.5, 3.5, 6.5)]


def make_track(path: Path, ffmpeg: str, seconds: float, rate: int = 44100) -> Path:
    """Make a soundtrack in which each sample tells its own place: a slow ramp, in lossless form."""
    samples = np.arange(round(seconds * rate), dtype="<f4") / (30 * rate)
    command = [ffmpeg, "-v", "error", "-y", "-f", "f32le", "-ar", str(rate), "-ac", "1", "-i", "-", "-c:a", "pcm_f32le"]
    subprocess.run([*command, str(path)], input=samples.tobytes(), check=True)
    return path


def decode_track(path: Path, ffmpeg: str, tmp_path: Path, samples: int, **fields: Any) -> "np.ndarray[Any, Any]":
    """Run a soundtrack through the command that a render uses, in mono at its own rate."""
    track = Soundtrack(path=str(path), **fields)
    target = tmp_path / "track.pcm"
    audio = AudioProfile(sample_rate=44100, channels=1)
    subprocess.run(soundtrack_argv(ffmpeg, track, audio, samples, target), check=True, capture_output=True)
    return np.frombuffer(target.read_bytes(), dtype="<f4")


@pytest.mark.parametrize(
    ("offset", "first", "silence"),
    [
        pytest.param("0", 0, 0, id="from-the-beginning"),
        pytest.param("1.25", 55125, 0, id="skips-a-part"),
        pytest.param("-0.5", 0, 22050, id="after-silence"),
        pytest.param("2.9999", 132296, 0, id="rounded-to-the-sample"),
    ],
)
@pytest.mark.parametrize("seconds", [3, 6], ids=["short", "long"])
def test_a_soundtrack_is_exact_to_the_sample(
    tmp_path: Path, ffmpeg: str, seconds: int, offset: str, first: int, silence: int
) -> None:
    """Offset, silence before, cut or silence after: every sample is where it must be."""
    path = make_track(tmp_path / "song.wav", ffmpeg, seconds)

    found = decode_track(path, ffmpeg, tmp_path, 4 * 44100, offset=Fraction(offset))

    whole = np.arange(seconds * 44100, dtype="<f4") / (30 * 44100)
    wanted = np.concatenate([np.zeros(silence, "<f4"), whole[first:], np.zeros(4 * 44100, "<f4")])[: 4 * 44100]
    assert len(wanted) == len(found)
    assert float(abs(wanted - found).max()) < 1e-6


@pytest.fixture(scope="module")
def song(tmp_path_factory: pytest.TempPathFactory, packaged: str) -> Path:
    """A song of 10 s with a click each second, as M4A."""
    folder = tmp_path_factory.mktemp("song")
    video = make_source(folder / "v.mp4", ffmpeg=packaged, source_id=1, seconds=10, pattern=False)
    subprocess.run([packaged, "-v", "error", "-i", video, "-vn", "-c:a", "copy", folder / "song.m4a"], check=True)
    return folder / "song.m4a"


@pytest.mark.parametrize(
    ("track", "clicks"),
    [
        pytest.param({}, [0, 1, 2, 3, 4], id="replace"),
        pytest.param({"offset": 0.4}, [0.6, 1.6, 2.6, 3.6], id="replace-from-0.4"),
        pytest.param({"offset": -1.25}, [1.25, 2.25, 3.25, 4.25], id="replace-after-1.25"),
        pytest.param({"offset": 8.5}, [0.5], id="replace-shorter-than-the-video"),
        pytest.param({"mode": "mix", "offset": 0.2}, [0.5, 0.8, 1.8, 2.0, 2.8, 3.5, 3.8], id="mix"),
    ],
)
def test_a_soundtrack_is_heard_where_it_must(
    sources: Path, tmp_path: Path, packaged: str, ffmpeg: str, song: Path, track: dict[str, Any], clicks: list[float]
) -> None:
    """Instead of the clips' sound, or with it."""
    document = timeline(CLIPS, {"v1": str(sources / "v1.mp4")}) | {"soundtrack": {"path": str(song), **track}}

    rendered = render(tmp_path, document, ffmpeg=ffmpeg)

    assert 0 == rendered.exit_code
    found = read_clicks(rendered.output, ffmpeg=packaged)
    assert len(clicks) == len(found)
    assert all(abs(a - b) < 0.002 for a, b in zip(clicks, found, strict=True))


def test_a_soundtracks_gain_is_obeyed(sources: Path, tmp_path: Path, packaged: str, song: Path) -> None:
    """-12 dB is a quarter as loud."""
    peaks = []
    for gain in (0, -12):
        soundtrack = {"soundtrack": {"path": str(song), "gain_db": gain, "offset": 0.5}}
        rendered = render(tmp_path, timeline(CLIPS, {"v1": str(sources / "v1.mp4")}) | soundtrack, ffmpeg=packaged)
        peaks.append(float(abs(read_samples(rendered.output, ffmpeg=packaged)).max()))

    assert peaks[1] / peaks[0] == pytest.approx(10 ** (-12 / 20), rel=0.05)


@pytest.mark.parametrize("kind", ["missing", "text", "picture-only"])
def test_an_unreadable_soundtrack_exits_2_before_any_work(
    sources: Path, tmp_path: Path, packaged: str, kind: str
) -> None:
    """Nothing was written then."""
    path = tmp_path / "song.mp3"
    if kind == "text":
        path.write_text("no sound")
    elif kind == "picture-only":
        make_source(tmp_path / "v.mp4", ffmpeg=packaged, source_id=1, seconds=1, audio=False).rename(path)
    document = timeline(CLIPS, {"v1": str(sources / "v1.mp4")}) | {"soundtrack": {"path": str(path)}}

    rendered = render(tmp_path, document, ffmpeg=packaged)

    assert (2, {}) == (rendered.exit_code, rendered.report)
    assert not rendered.output.exists()


def make_tone(path: Path, ffmpeg: str) -> Path:
    """Make a loud low tone of 4 s that is in full swing at every cut (mono; in stereo each side has 3 dB less)."""
    sound = ["-f", "lavfi", "-i", "aevalsrc=0.8*cos(2*PI*40*t):d=4:s=48000"]
    picture = ["-f", "lavfi", "-i", "color=c=gray:s=64x64:r=30:d=4"]
    subprocess.run([ffmpeg, "-v", "error", "-y", *sound, *picture, "-c:a", "pcm_s16le", str(path)], check=True)
    return path


@pytest.mark.parametrize(("fade", "is_smooth"), [(5, True), (0, False)])
def test_a_cut_clicks_only_without_a_fade(tmp_path: Path, packaged: str, fade: int, is_smooth: bool) -> None:
    """With the fade the sound is silent at the cut itself; with ``fade_ms`` 0 it is left as it is."""
    tone = make_tone(tmp_path / "tone.mov", packaged)
    clips = [{"video_id": "v", "start": 0, "duration": 1}, {"video_id": "v", "start": 2, "duration": 1}]
    document = timeline(clips, {"v": str(tone)}, audio={"fade_ms": fade})

    rendered = render(tmp_path, document, ffmpeg=packaged)

    samples = read_samples(rendered.output, ffmpeg=packaged)[:, 0]
    assert (float(abs(samples[48000 - 24 : 48000 + 24]).max()) < 0.2) == is_smooth
    assert float(abs(samples[24000:26000]).max()) > 0.5


def test_sound_that_runs_on_from_clip_to_clip_is_not_faded(tmp_path: Path, packaged: str) -> None:
    """Two clips that meet in the source sound like one."""
    tone = make_tone(tmp_path / "tone.mov", packaged)
    clips = [{"video_id": "v", "start": 0, "duration": 1}, {"video_id": "v", "start": 1, "duration": 1}]

    rendered = render(tmp_path, timeline(clips, {"v": str(tone)}, audio={"fade_ms": 5}), ffmpeg=packaged)

    samples = read_samples(rendered.output, ffmpeg=packaged)[:, 0]
    assert float(abs(samples[48000 - 24 : 48000 + 24]).max()) > 0.5


def test_check_warns_of_a_missing_soundtrack(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """It is local media like any other."""
    document = timeline(CLIPS, {"v1": "v1.mp4"}) | {"soundtrack": {"path": "song.m4a"}}
    (tmp_path / "mix.json").write_text(json.dumps(document))

    assert 0 == run(["check", str(tmp_path / "mix.json")])
    assert f"there is no file {tmp_path / 'song.m4a'}, wanted by the soundtrack" in capfd.readouterr().err


@pytest.mark.parametrize("kind", ["a-hole-in-it", "cut-off"])
def test_a_damaged_soundtrack_fails_the_render(
    sources: Path, tmp_path: Path, packaged: str, ffmpeg: str, song: Path, kind: str
) -> None:
    """What is missing of it is not filled with silence and called right."""
    path = tmp_path / "song.m4a"
    remux = ["-i", str(song), "-c", "copy", "-movflags", "+faststart", str(path)]
    subprocess.run([packaged, "-v", "error", "-y", *remux], check=True)
    data = bytearray(path.read_bytes())
    begin = data.index(b"mdat") + 4
    middle = begin + (len(data) - begin) // 5
    if kind == "cut-off":
        del data[middle:]
    else:
        data[middle : middle + 1000] = b"\xa5" * 1000
    path.write_bytes(data)
    track = {"soundtrack": {"path": str(path)}}

    rendered = render(tmp_path, timeline(CLIPS, {"v1": str(sources / "v1.mp4")}) | track, ffmpeg=ffmpeg)

    assert (1, None) == (rendered.exit_code, rendered.report["output"])
    assert "soundtrack" in rendered.report["error"]
