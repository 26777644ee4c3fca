"""Pictures that change inside a file: each is conformed as it is itself, and none is lost, held or moved."""

import subprocess
from collections.abc import Mapping
from fractions import Fraction
from pathlib import Path
from typing import Any

import attrs
import av
import pytest
from golden import render, timeline
from media import FrameCode, make_source, read_clicks, read_frames
from test_argv import VIDEO

from clipcut.ffmpeg.heads import head_of
from clipcut.ffmpeg.probe import Stated
from clipcut.ffmpeg.shapes import Shape, Shapes, differs, runs_of, seen_as

SECONDS = 2
FPS = 30
WIDTH, HEIGHT = 320, 180
WHOLE = (0, 0, WIDTH, HEIGHT)

X264 = ("-c:v", "libx264", "-preset", "veryfast", "-pix_fmt", "yuv420p", "-crf", "20")
MPEG2 = ("-c:v", "mpeg2video", "-b:v", "4M")
VP8 = ("-c:v", "libvpx", "-deadline", "realtime", "-cpu-used", "8", "-b:v", "2M", "-auto-alt-ref", "0")
VP9 = ("-c:v", "libvpx-vp9", *VP8[2:])
X265 = ("-c:v", "libx265", "-preset", "ultrafast", "-x265-params", "log-level=none:bframes=2")
PQ = (*X265[:-1], X265[-1] + ":transfer=smpte2084:colorprim=bt2020:colormatrix=bt2020nc", "-pix_fmt", "yuv420p10le")


@attrs.frozen
class Part:
    """A part of a file, and where its picture is in the output.

    Attributes:
        area: Left, top, width and height of its picture in the output, in pixels.
        args: How it is coded.
        filters: What is done to its picture.
        size: Width and height of its picture before that.
    """

    area: tuple[int, int, int, int] = WHOLE
    args: tuple[str, ...] = X264
    filters: str = ""
    size: tuple[int, int] = (WIDTH, HEIGHT)


UPRIGHT = Part(area=(109, 0, 102, 180), size=(180, 320))
NARROW = Part(area=(40, 0, 240, 180), args=(*MPEG2, "-aspect", "4:3"))
SQUARE = Part(area=(70, 0, 180, 180), size=(180, 180))

CHANGES: dict[str, tuple[str, Part, Part]] = {
    "smaller": ("ts", Part(), Part(size=(160, 90))),
    "larger": ("ts", Part(size=(160, 90)), Part()),
    "upright": ("ts", Part(), UPRIGHT),
    "lying again": ("ts", UPRIGHT, Part()),
    "square": ("ts", Part(), SQUARE),
    "wider pixels": ("ts", NARROW, Part(args=(*MPEG2, "-aspect", "16:9"))),
    "narrower pixels": ("ts", Part(args=(*MPEG2, "-aspect", "16:9")), NARROW),
    "wider pixels, H.264": ("ts", Part(), Part(area=(40, 0, 240, 180), filters="setsar=3/4")),
    "other chroma": ("ts", Part(), Part(args=(*X264, "-pix_fmt", "yuv444p", "-profile:v", "high444"))),
    "ten bits": ("ts", Part(args=X265), Part(args=(*X265, "-pix_fmt", "yuv420p10le"))),
    "full range": ("ts", Part(), Part(args=(*X264, "-color_range", "pc"), filters="scale=out_range=pc")),
    "HDR": ("ts", Part(args=X265), Part(args=PQ)),
    "interlaced": ("ts", Part(), Part(args=(*X264, "-x264-params", "tff=1"), filters="setfield=tff")),
    "MPEG-2, larger": ("ts", Part(args=MPEG2, size=(160, 96), area=(10, 0, 300, 180)), Part(args=MPEG2)),
    "VP8, smaller": ("webm", Part(args=VP8), Part(args=VP8, size=(160, 90))),
    "VP8, upright": ("webm", Part(args=VP8), attrs.evolve(UPRIGHT, args=VP8)),
    "VP9, upright": ("webm", Part(args=VP9), attrs.evolve(UPRIGHT, args=VP9)),
    "Matroska, upright": ("mkv", Part(), UPRIGHT),
}
CLIPS = ((Fraction("0.3"), 15), (Fraction("1.7"), 18), (Fraction("2.4"), 30), (Fraction(1), 75))
"""Start, and frames: in the first part, over the change, in the second part, nearly all."""


def make(folder: Path, ffmpeg: str, suffix: str, parts: tuple[Part, ...]) -> Path:
    """Put parts after each other in one stream, whose times go on."""
    sound = ("-c:a", "libopus") if suffix == "webm" else ("-c:a", "aac")
    files = [
        make_source(
            folder / f"{number}.{suffix}",
            ffmpeg=ffmpeg,
            source_id=number + 1,
            seconds=SECONDS,
            width=part.size[0],
            height=part.size[1],
            audio=suffix == "ts",
            audio_args=sound,
            video_args=part.args,
            video_filter=part.filters,
            extra_args=("-muxdelay", "0", "-output_ts_offset", str(10 + number * SECONDS)) if suffix == "ts" else (),
        )
        for number, part in enumerate(parts)
    ]
    target = folder / f"v.{suffix}"
    if suffix == "ts":
        target.write_bytes(b"".join(file.read_bytes() for file in files))
    else:
        chain(target, files)
    return target


def chain(target: Path, files: list[Path]) -> None:
    """Put the packets of files into one stream of a Matroska file."""
    with av.open(str(target), "w") as made:
        stream: Any = None
        for number, file in enumerate(files):
            with av.open(str(file)) as source:
                first = source.streams.video[0]
                stream = stream or made.add_stream_from_template(first, opaque=True)
                for packet in source.demux(first):
                    if packet.size:
                        data, later = bytes(packet), number * SECONDS * 1000
                        if number and first.codec_context.name == "h264" and packet.is_keyframe:
                            data = in_band(bytes(first.codec_context.extradata or b"")) + data
                        mine = av.Packet(data)
                        mine.pts, mine.dts = (packet.pts or 0) + later, (packet.dts or 0) + later
                        mine.time_base, mine.is_keyframe, mine.stream = packet.time_base, packet.is_keyframe, stream
                        made.mux(mine)


def in_band(avcc: bytes) -> bytes:
    """Return the two parameter sets of ``avcC`` as a packet has them."""
    size = int.from_bytes(avcc[6:8])
    sps, rest = avcc[8 : 8 + size], avcc[8 + size :]
    pps = rest[3 : 3 + int.from_bytes(rest[1:3])]
    return b"".join(len(unit).to_bytes(4) + unit for unit in (sps, pps))


def wanted(start: Fraction, frames: int) -> list[FrameCode]:
    """Return what each frame of a clip shows."""
    numbers = [int(start * FPS + n + Fraction(1, 2)) for n in range(frames)]
    return [FrameCode(1 + number // (SECONDS * FPS), number % (SECONDS * FPS)) for number in numbers]


def clicks_differ(found: list[float]) -> list[float]:
    """Return the clicks that are missing, or that are where none should be.

    A part begins with one, which its coder may lose, as nothing comes before it.
    """
    wrong: list[float] = []
    at = -0.002
    for start, frames in CLIPS:
        heard = [click - at - 0.002 + float(start) for click in found if at <= click < at + frames / FPS]
        due = [second for second in (1, 2, 3) if start <= second and second + 0.01 < start + frames / FPS]
        wrong += [second for second in due if second != SECONDS and all(abs(one - second) > 0.002 for one in heard)]
        wrong += [one for one in heard if all(abs(one - second) > 0.002 for second in due)]
        at += frames / FPS
    return wrong


@pytest.mark.media
@pytest.mark.parametrize("name", CHANGES)
def test_pictures_that_change_are_shown_as_they_are(tmp_path: Path, packaged: str, ffmpeg: str, name: str) -> None:
    """Before, over and after the change every frame is the right one, of the right shape, with its sound."""
    suffix, *parts = CHANGES[name]
    source = make(tmp_path, packaged, suffix, tuple(parts))
    clips = [{"video_id": "v", "start": float(start), "duration": frames / FPS} for start, frames in CLIPS]
    document = timeline(clips, {"v": str(source)}, width=WIDTH, height=HEIGHT)

    rendered = render(tmp_path, document, "--no-cache", ffmpeg=ffmpeg)

    assert [None] * len(CLIPS) == [clip["fallback_reason"] and clip["attempts"] for clip in rendered.report["clips"]]
    due = [code for clip in CLIPS for code in wanted(*clip)]
    seen = {n: read_frames(rendered.output, ffmpeg=packaged, area=part.area) for n, part in enumerate(parts, start=1)}
    wrong = [(n, code, seen[code.source_id][n]) for n, code in enumerate(due) if seen[code.source_id][n] != code]
    assert (len(due), []) == (len(seen[1]), wrong[:4])
    if suffix == "ts":
        assert [] == clicks_differ(read_clicks(rendered.output, ffmpeg=packaged))


@pytest.mark.media
def test_fields_that_begin_later_lose_their_combs(tmp_path: Path, packaged: str, ffmpeg: str) -> None:
    """A moving edge of a part that is interlaced, after one that isn't, comes out smooth."""
    files = []
    for number, more in enumerate(([], ["-flags", "+ilme+ildct"])):
        weave = "testsrc2=s=320x180:r=60:d=2,interlace=scan=tff:lowpass=0" if number else "testsrc2=s=320x180:r=30:d=2"
        made = ["-f", "lavfi", "-i", weave, *MPEG2, *more, "-muxdelay", "0", "-output_ts_offset", str(10 + 2 * number)]
        files.append(tmp_path / f"{number}.ts")
        subprocess.run([packaged, "-v", "error", "-y", *made, str(files[-1])], check=True)
    joined = tmp_path / "v.ts"
    joined.write_bytes(b"".join(file.read_bytes() for file in files))
    clips = [{"video_id": "v", "start": start, "duration": 1} for start in (2.5, 1.5)]
    document = timeline(clips, {"v": str(joined)})

    rendered = render(tmp_path, document, "--no-cache", ffmpeg=ffmpeg)

    told = subprocess.run(
        [packaged, "-hide_banner", "-i", str(rendered.output), "-vf", "idet", "-f", "null", "-"],
        capture_output=True,
        text=True,
        check=True,
    ).stderr
    line = next(line for line in told.splitlines() if "Multi frame" in line).split()
    combed = int(line[line.index("TFF:") + 1]) + int(line[line.index("BFF:") + 1])
    assert (0, True) == (rendered.exit_code, combed <= 1)


# Pure

STATED = Stated(aspect=Fraction(1), full_range=None, matrix=None, transfer=None)
PLAIN = Shape(VIDEO.width, VIDEO.height, "yuv420p", is_interlaced=False, stated=STATED)


def test_lines_of_both_ffmpegs_are_read() -> None:
    """What a picture is stands in two lines, with others between them and before."""
    shapes = Shapes()
    for line in (
        "  Stream #0:0: Video: h264, yuv420p(tv), 640x360 [SAR 1:1 DAR 16:9]",
        "n:   0 pts:  -5 pts_time:-0.1  pos:      564 fmt:yuv420p sar:16/15 s:720x576 i:T iskey:1 type:I",
        "  side data - 1 bytes",
        "color_range:pc color_space:bt470bg color_primaries:unknown color_trc:smpte2084",
        "n:   1 pts: 7 pts_time:1 duration: 3 duration_time:0.04 fmt:gray cl:left sar:0/1 s:2x2 i:P iskey:0 type:P",
        "color_range:unknown color_space:unknown color_primaries:unknown color_trc:unknown",
    ):
        shapes.hear(f"[Parsed_showinfo_3 @ 0x5] [info] {line}")

    first = Stated(aspect=Fraction(16, 15), full_range=True, matrix=5, transfer=16)
    nothing = Stated(aspect=None, full_range=None, matrix=None, transfer=None)
    assert {
        -5: Shape(720, 576, "yuv420p", is_interlaced=True, stated=first),
        7: Shape(2, 2, "gray", is_interlaced=False, stated=nothing),
    } == shapes.found


@pytest.mark.parametrize(
    ("head", "now", "changed"),
    [
        pytest.param({}, {}, {}, id="nothing"),
        pytest.param({}, {"matrix": 9, "transfer": 16}, {"matrix": 9, "transfer": 16}, id="stated-later"),
        pytest.param({"matrix": 6}, {"matrix": 6}, {}, id="overruled-all-along"),
        pytest.param({"aspect": Fraction(4, 3)}, {"aspect": Fraction(3, 2)}, {}, id="shape-of-the-container"),
        pytest.param({"aspect": None}, {"aspect": Fraction(3, 2)}, {"sample_aspect": Fraction(3, 2)}, id="shape"),
        pytest.param({"full_range": True}, {"full_range": False}, {}, id="range-as-assumed"),
    ],
)
def test_what_a_container_overrules_stays_overruled(
    head: Mapping[str, Any], now: Mapping[str, Any], changed: Mapping[str, Any]
) -> None:
    """A picture is taken for what its head was taken for, but for what its stream states otherwise by now."""
    video = attrs.evolve(VIDEO, pixel_format="yuv420p", stated=attrs.evolve(STATED, **head))
    seen = seen_as(video, attrs.evolve(PLAIN, stated=attrs.evolve(STATED, **now)))

    assert attrs.evolve(video, **changed) == seen


def test_a_slot_is_parted_where_its_pictures_change() -> None:
    """Fields part nothing; each frame belongs to the picture that it shows."""
    video = attrs.evolve(VIDEO, pixel_format="yuv420p")
    fields, small = attrs.evolve(PLAIN, is_interlaced=True), attrs.evolve(PLAIN, width=64)
    shapes = {0: PLAIN, 10: fields, 20: small, 30: PLAIN}

    runs = runs_of(video, shapes, [-1, 5, 19, 20, 29, 30])

    assert [(0, 3, True), (3, 5, False), (5, 6, False)] == [(r.first, r.end, r.video.is_interlaced) for r in runs]
    assert (10, 20, None) == (
        differs(video, video, shapes),
        differs(video, runs[0].video, shapes),
        differs(video, video, {0: PLAIN}),
    )


@pytest.mark.parametrize(
    ("codec", "data", "head"),
    [
        pytest.param("mpeg2video", b"\0\0\1\xb3\x14\0\xb4\x23rest\0\0\1\xb8", b"\x14\0\xb4\x23", id="MPEG-2"),
        pytest.param("h264", b"\0\0\0\1\x09\xf0\0\0\0\1\x67abc\0\0\0\1\x68d\0\0\1\x65", b"abc", id="H.264"),
        pytest.param("hevc", b"\0\0\1\x40\1v\0\0\1\x42\1abc\0\0\1\x44\1p", b"abc", id="HEVC"),
        pytest.param("mpeg4", b"\0\0\1\x20abc\0\0\1\xb6", b"abc", id="MPEG-4"),
        pytest.param("h264", b"\0\0\0\4\x65abc", b"", id="none"),
        pytest.param("vp9", b"\0\0\1\x67abc", b"", id="no-such-thing"),
    ],
)
def test_the_head_of_a_keyframe_is_found(codec: str, data: bytes, head: bytes) -> None:
    """It is what says how pictures are coded, without what changes from picture to picture."""
    assert head == head_of(codec, data)
