"""Sources that differ in everything: for each kind a generated file, cut, and read back frame by frame."""

import bisect
import subprocess
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import attrs
import numpy as np
import pytest
from forms import decode
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
        ),
        video_filter="setparams=color_primaries=bt2020:color_trc=smpte2084:colorspace=bt2020nc",
    ),
    "hlg": Kind(
        name="v.mkv",
        video=(
            *("-c:v", "libx265", "-preset", "ultrafast", "-pix_fmt", "yuv420p10le", "-x265-params", "log-level=none"),
            *("-color_primaries", "bt2020", "-color_trc", "arib-std-b67", "-colorspace", "bt2020nc"),
        ),
        video_filter="setparams=color_primaries=bt2020:color_trc=arib-std-b67:colorspace=bt2020nc",
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
    return min((click - round(click) for click in decode(source, ffmpeg=ffmpeg).clicks), key=abs, default=0.0)


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


def make_plain(path: Path, ffmpeg: str, **more: Any) -> Path:
    """Make a numbered source of 4 s, encoded fast."""
    return make_source(path, ffmpeg=ffmpeg, source_id=8, seconds=SECONDS, gop=30, **more)


def remake(ffmpeg: str, source: Path, target: Path, *arguments: str) -> Path:
    """Run FFmpeg from one file to another."""
    subprocess.run([ffmpeg, "-v", "error", "-y", "-i", str(source), *arguments, str(target)], check=True)
    return target


def assert_cut(
    tmp_path: Path, source: Path, shown: list[tuple[Fraction, int]], ffmpeg: str, **reading: Any
) -> Rendered:
    """Cut a source and hold each output frame against what is on display in it."""
    document = timeline(CLIPS, {"v": str(source)})
    rendered = render(tmp_path, document, ffmpeg=ffmpeg)

    assert [] == problems(rendered)
    found, wanted = read_frames(rendered.output, ffmpeg=ffmpeg, **reading), wanted_pictures(document, shown)
    assert (len(wanted), []) == (
        len(found),
        [item for item in zip(found, wanted, strict=False) if item[0] != item[1]][:5],
    )
    return rendered


EVERY_FRAME = [(Fraction(number, 30), number) for number in range(SECONDS * 30)]


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_variable_rate_with_gaps_shows_what_is_on_display(
    tmp_path: Path, packaged: str, ffmpeg: str, suffix: str
) -> None:
    """In a gap the last picture stays, as a player shows it."""
    choose = "select='not(between(n,25,55))*not(eq(mod(n,7),3))*not(between(n,90,104))'"
    kept = [n for n in range(120) if not 25 <= n <= 55 and n % 7 != 3 and not 90 <= n <= 104]
    source = make_plain(tmp_path / f"v{suffix}", packaged, video_filter=choose, extra_args=("-fps_mode", "vfr"))
    times = packet_times(source)

    assert_cut(tmp_path, source, list(zip((time - times[0] for time in times), kept, strict=True)), ffmpeg)


@pytest.mark.parametrize("angle", [90, 180, 270])
def test_a_rotation_flag_is_obeyed(tmp_path: Path, packaged: str, ffmpeg: str, angle: int) -> None:
    """A picture that was turned before its flag turns it back is upright in the output."""
    turn = {90: "transpose=cclock", 180: "hflip,vflip", 270: "transpose=clock"}[angle]
    turned = make_plain(tmp_path / "turned.mp4", packaged, video_filter=turn)
    source = tmp_path / "v.mp4"
    copy = ["-display_rotation", str(-angle), "-i", str(turned), "-c", "copy", str(source)]
    subprocess.run([packaged, "-v", "error", "-y", *copy], check=True)

    assert_cut(tmp_path, source, EVERY_FRAME, ffmpeg)


def test_an_edit_list_decides_where_zero_is(tmp_path: Path, packaged: str, ffmpeg: str) -> None:
    """A copy that begins between keyframes hides its first pictures; zero is the first one shown."""
    whole = make_plain(tmp_path / "whole.mp4", packaged)
    source = tmp_path / "v.mp4"
    subprocess.run([packaged, "-v", "error", "-y", "-ss", "0.5", "-i", whole, "-c", "copy", source], check=True)
    clips = [{"video_id": "v", "start": start, "duration": 0.4} for start in (0, 1.1, 2.3)]
    document = timeline(clips, {"v": str(source)})

    rendered = render(tmp_path, document, ffmpeg=ffmpeg)

    assert [] == problems(rendered)
    shown = [(Fraction(number - 15, 30), number) for number in range(15, 120)]
    assert wanted_pictures(document, shown) == read_frames(rendered.output, ffmpeg=ffmpeg)


def test_cover_art_is_never_the_video(tmp_path: Path, packaged: str, ffmpeg: str) -> None:
    """An attached picture that stands first is passed over."""
    video = make_plain(tmp_path / "video.mp4", packaged)
    cover = remake(packaged, video, tmp_path / "cover.png", "-frames:v", "1", "-vf", "negate")
    source = tmp_path / "v.mp4"
    inputs = ["-i", str(cover), "-i", str(video), "-map", "0", "-map", "1", "-c", "copy"]
    subprocess.run([packaged, "-v", "error", "-y", *inputs, "-disposition:v:0", "attached_pic", source], check=True)

    assert_cut(tmp_path, source, EVERY_FRAME, ffmpeg)


def test_the_default_stream_of_each_kind_is_taken(tmp_path: Path, packaged: str, ffmpeg: str) -> None:
    """Of several video and sound streams the one marked default counts, not the first."""
    other = make_source(tmp_path / "other.mp4", ffmpeg=packaged, source_id=9, seconds=SECONDS)
    silent = remake(packaged, other, tmp_path / "silent.mp4", "-c:v", "copy", "-af", "volume=0")
    video = make_plain(tmp_path / "video.mp4", packaged)
    source = tmp_path / "v.mkv"
    inputs = ["-i", str(silent), "-i", str(video), "-map", "0", "-map", "1", "-c", "copy"]
    marks = [
        "-disposition:v:0",
        "0",
        "-disposition:a:0",
        "0",
        "-disposition:v:1",
        "default",
        "-disposition:a:1",
        "default",
    ]
    subprocess.run([packaged, "-v", "error", "-y", *inputs, *marks, source], check=True)

    rendered = assert_cut(tmp_path, source, EVERY_FRAME, ffmpeg)

    assert 3 <= len(read_clicks(rendered.output, ffmpeg=packaged))


def test_sound_that_begins_late_and_ends_early_is_silence_there(tmp_path: Path, packaged: str, ffmpeg: str) -> None:
    """Before its sound begins and after it ends a clip is silent, and between it is in its place."""
    video = make_plain(tmp_path / "video.mp4", packaged)
    source = remake(packaged, video, tmp_path / "v.mkv", "-c:v", "copy", "-c:a", "flac", "-af", "atrim=0.9:2.5")
    document = timeline([{"video_id": "v", "start": 0, "duration": 3.9}], {"v": str(source)})

    rendered = render(tmp_path, document, ffmpeg=ffmpeg)

    assert [] == problems(rendered)
    assert [1.0, 2.0] == [pytest.approx(click, abs=0.001) for click in read_clicks(rendered.output, ffmpeg=packaged)]
    assert 117 == rendered.report["output"]["frames"]


@pytest.mark.parametrize("name", ["still.png", "still.jpg", "frame-%03d.png"])
def test_a_still_picture_is_held_for_its_slot(tmp_path: Path, packaged: str, ffmpeg: str, name: str) -> None:
    """PNG and JPEG are shown for as long as the slot lasts, whatever its start."""
    video = make_plain(tmp_path / "video.mp4", packaged)
    still = remake(packaged, video, tmp_path / "x.png", "-vf", "select='eq(n,77)'", "-frames:v", "1", "-update", "1")
    source = (
        still.rename(tmp_path / name)
        if name.endswith(".png")
        else remake(packaged, still, tmp_path / name, "-q:v", "1", "-update", "1")
    )
    clips = [
        {"video_id": "v", "start": start, "duration": length} for start, length in ((0, 1), (100, 0.5), (3.3, 0.04))
    ]

    rendered = render(tmp_path, timeline(clips, {"v": str(source)}), ffmpeg=ffmpeg)

    assert [] == problems(rendered)
    assert [FrameCode(8, 77)] * 46 == read_frames(rendered.output, ffmpeg=ffmpeg)


def read_colour(path: Path, ffmpeg: str, second: float = 0.2) -> tuple[int, int, int]:
    """Return the red, green and blue of the middle of a picture."""
    command = [ffmpeg, "-v", "error", "-ss", str(second), "-i", str(path), "-frames:v", "1"]
    command += ["-vf", "crop=8:8,scale=1:1:in_color_matrix=bt709,format=rgb24", "-f", "rawvideo", "-"]
    red, green, blue = subprocess.run(command, capture_output=True, check=True).stdout[:3]
    return red, green, blue


def make_colour(path: Path, ffmpeg: str, colour: str, *arguments: str) -> Path:
    """Make 1 s of one colour."""
    source = ["-f", "lavfi", "-i", f"color=c={colour}:s=320x180:r=30:d=1,format=gbrap"]
    subprocess.run([ffmpeg, "-v", "error", "-y", *source, *arguments, str(path)], check=True)
    return path


@pytest.mark.parametrize(
    ("colour", "arguments", "expected"),
    [
        pytest.param(
            "0xC04020", ("-vf", "scale=out_color_matrix=bt601", "-colorspace", "smpte170m"), (192, 64, 32), id="bt601"
        ),
        pytest.param(
            "0xC04020", ("-vf", "scale=out_color_matrix=bt709", "-colorspace", "bt709"), (192, 64, 32), id="bt709"
        ),
        pytest.param("0xC04020", ("-vf", "scale=out_color_matrix=bt601"), (192, 64, 32), id="small-and-untagged"),
        pytest.param(
            "0xC04020",
            ("-vf", "scale=out_color_matrix=bt709:out_range=pc", "-colorspace", "bt709", "-color_range", "pc"),
            (192, 64, 32),
            id="full-range",
        ),
    ],
)
def test_colours_come_out_as_they_went_in(
    tmp_path: Path, packaged: str, ffmpeg: str, colour: str, arguments: tuple[str, ...], expected: tuple[int, int, int]
) -> None:
    """Whatever matrix and range a source has, the output's BT.709 shows the same colour."""
    source = make_colour(tmp_path / "v.mp4", packaged, colour, *arguments, "-pix_fmt", "yuv420p", "-c:v", "libx264")
    clip = {"video_id": "v", "start": 0, "duration": 0.5}

    rendered = render(tmp_path, timeline([clip], {"v": str(source)}), ffmpeg=ffmpeg)

    assert expected == pytest.approx(read_colour(rendered.output, ffmpeg), abs=5)


def test_what_is_transparent_is_black(tmp_path: Path, packaged: str, ffmpeg: str) -> None:
    """Half transparent red is half as red."""
    arguments = ("-c:v", "prores_ks", "-profile:v", "4", "-pix_fmt", "yuva444p10le")
    source = make_colour(tmp_path / "v.mov", packaged, "red@0.5", *arguments)

    rendered = render(
        tmp_path, timeline([{"video_id": "v", "start": 0, "duration": 0.5}], {"v": str(source)}), ffmpeg=ffmpeg
    )

    assert [] == problems(rendered)
    assert (128, 0, 0) == pytest.approx(read_colour(rendered.output, ffmpeg), abs=8)


def test_interlaced_pictures_lose_their_combs(tmp_path: Path, packaged: str, ffmpeg: str) -> None:
    """Two moments woven into one picture become one of them: neighbouring lines are alike again."""
    weave = "testsrc2=s=320x180:r=50:d=2,scroll=h=0.125"
    source = tmp_path / "v.mp4"
    command = ["-f", "lavfi", "-i", f"{weave},interlace=scan=tff:lowpass=0", "-c:v", "libx264", "-flags", "+ilme+ildct"]
    subprocess.run([packaged, "-v", "error", "-y", *command, "-pix_fmt", "yuv420p", str(source)], check=True)
    document = timeline([{"video_id": "v", "start": 0.5, "duration": 0.5}], {"v": str(source)}, fps=25)

    rendered = render(tmp_path, document, ffmpeg=ffmpeg)

    assert [] == problems(rendered)
    assert combs(rendered.output, ffmpeg) < 0.1 * combs(source, ffmpeg)


def combs(path: Path, ffmpeg: str) -> float:
    """Measure how much neighbouring lines of a picture differ, on average."""
    command = [ffmpeg, "-v", "error", "-ss", "0.2", "-i", str(path), "-frames:v", "1"]
    command += ["-vf", "format=gray", "-f", "rawvideo", "-"]
    done = subprocess.run(command, capture_output=True, check=True)
    picture = np.frombuffer(done.stdout, dtype=np.uint8).reshape(180, 320).astype(int)
    return float(abs(np.diff(picture[40:140], axis=0)).mean())


def test_hdr_is_mapped_and_said_once(tmp_path: Path, packaged: str) -> None:
    """A PQ source is not pale, and the log says once what was done."""
    source = make_kind(tmp_path, KINDS["pq"], packaged)

    rendered = render(tmp_path, timeline(CLIPS, {"v": str(source)}), ffmpeg=packaged)

    assert [] == problems(rendered)
    assert 1 == (tmp_path / "log").read_text().count("source.tone_mapped")
