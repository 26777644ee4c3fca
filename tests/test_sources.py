"""Sources that differ in everything: for each kind a generated file, cut, and read back frame by frame."""

import bisect
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import attrs
import pytest
from golden import CLICK_TOLERANCE, Rendered, render, slots, timeline, wanted_clicks
from media import FrameCode, make_source, packet_times, read_clicks, read_frames

pytestmark = pytest.mark.media

FAST = ("-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p")
CLIPS = [{"video_id": "v", "start": start, "duration": 0.73} for start in (0, 0.487, 1.3, 1.867, 2.8)]
SECONDS = 4


@attrs.frozen(kw_only=True)
class Kind:
    """How a source differs: file name, encoder arguments, and what a reader must know of it."""

    name: str = "v.mp4"
    video: Sequence[str] = FAST
    audio: Sequence[str] = ("-c:a", "aac")
    extra: Sequence[str] = ()
    fps: Fraction = Fraction(30)
    width: int = 320
    height: int = 180
    sample_rate: int = 48000
    channels: int = 2
    video_filter: str = ""
    area: tuple[int, int, int, int] | None = None
    output: tuple[int, int] = (320, 180)


def x264(parameters: str, *more: str) -> tuple[str, ...]:
    """Encode with x264 and these parameters."""
    return (*FAST, "-x264-params", parameters, *more)


KINDS = {
    "23.976": Kind(fps=Fraction(24000, 1001)),
    "240": Kind(fps=Fraction(240), width=160, height=90),
    "interlaced": Kind(video=x264("tff=1:bff=0"), video_filter="setfield=tff", fps=Fraction(25)),
    "interlaced-mpeg2-ts": Kind(
        name="v.ts",
        video=("-c:v", "mpeg2video", "-b:v", "6M", "-flags", "+ilme+ildct", "-bf", "2"),
        video_filter="setfield=tff",
        fps=Fraction(25),
    ),
    "square-pixels-no": Kind(width=240, height=180, video_filter="setsar=4/3"),
    "odd-size": Kind(
        name="v.mkv",
        video=("-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv444p"),
        video_filter="scale=321:181",
    ),
    "portrait": Kind(width=180, height=320, output=(640, 360), area=(218, 0, 202, 360)),
    "hevc-10-bit": Kind(
        video=(
            "-c:v",
            "libx265",
            "-preset",
            "ultrafast",
            "-pix_fmt",
            "yuv420p10le",
            "-x265-params",
            "log-level=none:keyint=30",
        )
    ),
    "hevc-mkv": Kind(
        name="v.mkv",
        video=("-c:v", "libx265", "-preset", "ultrafast", "-x265-params", "log-level=none:keyint=24:bframes=3"),
    ),
    "hevc-ts": Kind(
        name="v.ts",
        video=(
            "-c:v",
            "libx265",
            "-preset",
            "ultrafast",
            "-x265-params",
            "log-level=none:keyint=24:bframes=3:open-gop=1",
        ),
    ),
    "h264-4:2:2-10-bit": Kind(video=("-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv422p10le")),
    "pq": Kind(
        video=(
            *("-c:v", "libx265", "-preset", "ultrafast", "-pix_fmt", "yuv420p10le", "-x265-params", "log-level=none"),
            *("-color_primaries", "bt2020", "-color_trc", "smpte2084", "-colorspace", "bt2020nc"),
        )
    ),
    "hlg": Kind(
        name="v.mkv",
        video=(
            *("-c:v", "libx265", "-preset", "ultrafast", "-pix_fmt", "yuv420p10le", "-x265-params", "log-level=none"),
            *("-color_primaries", "bt2020", "-color_trc", "arib-std-b67", "-colorspace", "bt2020nc"),
        ),
    ),
    "full-range": Kind(video=(*FAST, "-color_range", "pc"), video_filter="scale=out_range=pc"),
    "begins-at-1000-s": Kind(name="v.ts", extra=("-output_ts_offset", "1000")),
    "begins-at-1000-s-mkv": Kind(name="v.mkv", extra=("-output_ts_offset", "1000")),
    "begins-at-26-h": Kind(name="v.ts", extra=("-output_ts_offset", "95000")),
    "mov": Kind(name="v.mov"),
    "mkv": Kind(name="v.mkv"),
    "fragmented": Kind(extra=("-movflags", "frag_keyframe+empty_moov")),
    "vp8-vorbis-webm": Kind(
        name="v.webm",
        video=(
            "-c:v",
            "libvpx",
            "-deadline",
            "realtime",
            "-cpu-used",
            "8",
            "-b:v",
            "1M",
            "-auto-alt-ref",
            "1",
            "-lag-in-frames",
            "10",
        ),
        audio=("-c:a", "libvorbis"),
    ),
    "vp9-opus-webm": Kind(
        name="v.webm",
        video=("-c:v", "libvpx-vp9", "-deadline", "realtime", "-cpu-used", "8", "-b:v", "1M"),
        audio=("-c:a", "libopus"),
    ),
    "av1-opus-mkv": Kind(
        name="v.mkv",
        video=("-c:v", "libsvtav1", "-preset", "10", "-crf", "12", "-g", "30"),
        audio=("-c:a", "libopus"),
    ),
    "av1-mp4": Kind(video=("-c:v", "libsvtav1", "-preset", "10", "-crf", "12", "-g", "48")),
    "mpeg2-ts": Kind(name="v.ts", video=("-c:v", "mpeg2video", "-b:v", "6M", "-bf", "2"), audio=("-c:a", "mp2")),
    "mpeg2-ps": Kind(name="v.mpg", video=("-c:v", "mpeg2video", "-b:v", "6M"), audio=("-c:a", "mp2")),
    "mpeg4-avi": Kind(name="v.avi", video=("-c:v", "mpeg4", "-q:v", "3", "-bf", "2"), audio=("-c:a", "libmp3lame")),
    "h264-avi": Kind(name="v.avi", video=x264("bframes=0"), audio=("-c:a", "ac3")),
    "prores-mov": Kind(name="v.mov", video=("-c:v", "prores_ks", "-profile:v", "2"), audio=("-c:a", "pcm_s24le")),
    "prores-4444-alpha": Kind(
        name="v.mov",
        video=("-c:v", "prores_ks", "-profile:v", "4", "-pix_fmt", "yuva444p10le"),
        audio=("-c:a", "pcm_s16le"),
    ),
    "mjpeg-mov": Kind(
        name="v.mov", video=("-c:v", "mjpeg", "-q:v", "3", "-pix_fmt", "yuvj420p"), audio=("-c:a", "pcm_s16be")
    ),
    "mjpeg-avi": Kind(
        name="v.avi", video=("-c:v", "mjpeg", "-q:v", "3", "-pix_fmt", "yuvj420p"), audio=("-c:a", "pcm_s16le")
    ),
    "flac-mkv": Kind(name="v.mkv", audio=("-c:a", "flac"), sample_rate=96000),
    "mp3-mkv": Kind(name="v.mkv", audio=("-c:a", "libmp3lame"), sample_rate=44100),
    "mp3-mp4": Kind(audio=("-c:a", "libmp3lame"), sample_rate=44100),
    "ac3-ts": Kind(name="v.ts", audio=("-c:a", "ac3"), channels=6),
    "eac3-mp4": Kind(audio=("-c:a", "eac3"), channels=6),
    "8-khz-mono": Kind(name="v.mov", audio=("-c:a", "pcm_s16le"), sample_rate=8000, channels=1),
    "192-khz": Kind(name="v.mkv", audio=("-c:a", "flac"), sample_rate=192000),
    "7.1": Kind(name="v.mkv", audio=("-c:a", "flac"), channels=8),
}


def make_kind(folder: Path, kind: Kind, ffmpeg: str) -> Path:
    """Make a numbered source of a kind."""
    return make_source(
        folder / kind.name,
        ffmpeg=ffmpeg,
        source_id=8,
        seconds=SECONDS,
        fps=kind.fps,
        width=kind.width,
        height=kind.height,
        gop=30,
        sample_rate=kind.sample_rate,
        channels=kind.channels,
        video_args=kind.video,
        audio_args=kind.audio,
        extra_args=kind.extra,
        video_filter=kind.video_filter,
    )


def problems(rendered: Rendered) -> list[Any]:
    """Return what was said of the clips that fell back."""
    return [clip["attempts"] for clip in rendered.report["clips"] if clip["status"] != "success"]


def displays(source: Path, kind: Kind) -> list[tuple[Fraction, int]]:
    """Return when each numbered picture of a file comes on display, in source time, as its container says."""
    if "libvpx" in kind.video:  # VP8 has packets that show nothing
        return [(number / kind.fps, number) for number in range(round(SECONDS * kind.fps))]
    times = packet_times(source)
    return [(time - times[0], number) for number, time in enumerate(times)]


def wanted_pictures(document: dict[str, Any], shown: list[tuple[Fraction, int]]) -> list[FrameCode | None]:
    """Return the code of each output frame by the rule: the picture on display in the middle of its time."""
    fps, times = Fraction(document["output"].get("fps", 30)), [time for time, _ in shown]
    wanted: list[FrameCode | None] = []
    for clip, (_, frames) in zip(document["clips"], slots(document), strict=True):
        moments = [Fraction(str(clip["start"])) + (k + Fraction(1, 2)) / fps for k in range(frames)]
        wanted += [FrameCode(8, shown[bisect.bisect_right(times, moment) - 1][1]) for moment in moments]
    return wanted


def click_offset(source: Path, ffmpeg: str) -> float:
    """Return by how many seconds a file's own sound is late: not every container knows of an encoder's delay."""
    return min((click - round(click) for click in read_clicks(source, ffmpeg=ffmpeg)), key=abs, default=0.0)


@pytest.mark.parametrize("name", KINDS)
def test_every_kind_of_source_is_cut_exactly(tmp_path: Path, packaged: str, ffmpeg: str, name: str) -> None:
    """Each output frame is the one on display, each click is heard in its place."""
    kind = KINDS[name]
    source = make_kind(tmp_path, kind, packaged)
    document = timeline(CLIPS, {"v": str(source)}, width=kind.output[0], height=kind.output[1])

    rendered = render(tmp_path, document, ffmpeg=ffmpeg)

    assert [] == problems(rendered)
    found = read_frames(rendered.output, ffmpeg=ffmpeg, area=kind.area)
    wanted = wanted_pictures(document, displays(source, kind))
    assert len(wanted) == len(found)
    assert [] == [(n, a, b) for n, (a, b) in enumerate(zip(found, wanted, strict=True)) if a != b][:5]
    offset = click_offset(source, packaged)
    heard = read_clicks(rendered.output, ffmpeg=packaged)
    whole = [
        click for click in wanted_clicks(document) if all(abs(click + offset - edge) > 0.05 for edge in cuts(document))
    ]
    assert 3 <= len(whole)
    assert max(min(abs(click + offset - other) for other in heard) for click in whole) < CLICK_TOLERANCE


def cuts(document: dict[str, Any]) -> list[float]:
    """Return the seconds at which clips meet in the output."""
    fps = Fraction(document["output"].get("fps", 30))
    return [float(first / fps) for first, _ in slots(document)]
