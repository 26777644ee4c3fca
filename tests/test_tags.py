"""What a source says of its pictures ends with it: no output carries it on, whichever clip is the first."""

import json
import subprocess
from pathlib import Path
from typing import Any

import av
import pytest
from golden import Rendered, render, timeline

from clipcut.cli import run
from clipcut.ffmpeg import argv as build
from clipcut.ffmpeg.parameters import is_plain, read_avcc

pytestmark = pytest.mark.media

SIZE = (320, 180)
BT2020 = "colorprim=bt2020:colormatrix=bt2020nc"
LIGHT = "hdr10=1:max-cll=1000,400:master-display=G(13250,34500)B(7500,3000)R(34000,16000)WP(15635,16450)L(10000000,1)"
TEN = ("-pix_fmt", "yuv420p10le", "-c:v", "libx265", "-preset", "ultrafast", "-x265-params")
EIGHT = ("-pix_fmt", "yuv420p", "-c:v", "libx264", "-preset", "ultrafast")

SOURCES: dict[str, tuple[str, tuple[str, ...]]] = {
    **{f"siting-{n}": ("mp4", (*EIGHT, "-x264-params", f"chromaloc={n}:colormatrix=bt709")) for n in range(6)},
    "hevc-left": ("mp4", (*TEN, "log-level=none:chromaloc=0")),
    "hevc-center": ("mp4", (*TEN, "log-level=none:chromaloc=1")),
    "hevc-topleft": ("mp4", (*TEN, "log-level=none:chromaloc=2")),
    "hlg-topleft": ("mp4", (*TEN, f"log-level=none:chromaloc=2:transfer=arib-std-b67:{BT2020}")),
    "hdr10": ("mp4", (*TEN, f"log-level=none:chromaloc=2:transfer=smpte2084:{BT2020}:{LIGHT}")),
    "jpeg": ("jpg", ("-frames:v", "1", "-pix_fmt", "yuvj420p")),
    "jpeg-422": ("jpg", ("-frames:v", "1", "-pix_fmt", "yuvj422p")),
    "mjpeg": ("avi", ("-c:v", "mjpeg", "-pix_fmt", "yuvj420p")),
    "mpeg1": ("mpg", ("-c:v", "mpeg1video")),
    "mpeg2-422": ("ts", ("-c:v", "mpeg2video", "-pix_fmt", "yuv422p")),
    "full-range": ("mp4", (*EIGHT, "-vf", "scale=out_range=pc", "-color_range", "pc")),
    "pal-601": ("mp4", (*EIGHT, "-colorspace", "bt470bg", "-color_primaries", "bt470bg", "-color_trc", "gamma28")),
    "not-square": ("mp4", (*EIGHT, "-vf", "scale=240:180,setsar=4/3")),
    "turned-by-sei": ("mp4", (*EIGHT, "-bsf:v", "h264_metadata=display_orientation=insert:rotate=180")),
    "3d": ("mkv", (*EIGHT, "-x264-params", "frame-packing=3")),
    "captions": ("mp4", (*EIGHT, "-bsf:v", "h264_metadata=sei_user_data=dc45e9bde6d948b7962cd820d923eeef+x")),
    "png": ("png", ("-frames:v", "1", "-pix_fmt", "rgb48be")),
}
FIRST = ["hdr10", "hlg-topleft", "jpeg", "turned-by-sei", "3d", "siting-1", "siting-5", "full-range"]


def make(folder: Path, name: str, ffmpeg: str) -> Path:
    """Make a source of one colour, half a second long."""
    suffix, args = SOURCES[name]
    path = folder / f"{name}.{suffix}"
    source = ["-f", "lavfi", "-i", "color=c=0x808080:s=320x180:r=30:d=0.5"]
    subprocess.run([ffmpeg, "-v", "error", "-y", *source, *args, str(path)], check=True)
    return with_orientation(path, 6) if name == "jpeg" else path


def with_orientation(path: Path, orientation: int) -> Path:
    """Put an EXIF orientation into a JPEG."""
    data = path.read_bytes()
    tiff = b"II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0" + bytes([orientation]) + bytes(7)
    path.write_bytes(data[:2] + b"\xff\xe1" + (len(tiff) + 8).to_bytes(2) + b"Exif\0\0" + tiff + data[2:])
    return path


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory, packaged: str) -> dict[str, str]:
    """Every source, made once."""
    folder = tmp_path_factory.mktemp("tagged")
    return {name: str(make(folder, name, packaged)) for name in SOURCES}


def render_all(tmp_path: Path, files: dict[str, str], names: list[str], ffmpeg: str, *flags: str) -> Rendered:
    """Render three frames of each source."""
    clips: list[dict[str, Any]] = [{"video_id": name, "start": 0.1, "duration": 0.1} for name in names]
    document = timeline(clips, {**files, "gone": "nowhere.mp4"}, width=SIZE[0], height=SIZE[1])
    return render(tmp_path, document, "--no-cache", *flags, ffmpeg=ffmpeg)


def said(path: Path, ffmpeg: str) -> str:
    """Return what FFmpeg says of a file's picture."""
    told = subprocess.run([ffmpeg, "-hide_banner", "-i", str(path)], capture_output=True, text=True, check=False)
    return told.stderr


def assert_untagged(path: Path, ffmpeg: str) -> None:
    """Assert that a file's picture is said to be what every output's is, and nothing else."""
    with av.open(str(path)) as container:
        extradata = bytes(container.streams.video[0].codec_context.extradata or b"")
    assert is_plain(read_avcc(extradata), SIZE)
    assert "yuv420p(tv, bt709, progressive)" in said(path, ffmpeg)
    assert "Side data" not in said(path, ffmpeg)
    data = path.read_bytes()
    assert [] == [box for box in (b"mdcv", b"clli", b"st3d", b"sv3d", b"clap") if box in data]


@pytest.mark.parametrize("first", FIRST)
def test_nothing_of_the_first_source_is_said_of_the_whole(
    tmp_path: Path, files: dict[str, str], ffmpeg: str, packaged: str, first: str
) -> None:
    """Beside an ordinary clip and a placeholder, one that says much makes a video that says what each does."""
    rendered = render_all(tmp_path, files, [first, "gone", "siting-0"], ffmpeg)

    assert (3, ["success", "fallback-placeholder", "success"]) == (
        rendered.exit_code,
        [clip["status"] for clip in rendered.report["clips"]],
    )
    assert_untagged(rendered.output, packaged)


def test_sources_that_say_anything_stand_in_one_track(
    tmp_path: Path, files: dict[str, str], ffmpeg: str, packaged: str
) -> None:
    """Every siting, range, matrix, curve, shape and kind of side data goes into one video."""
    rendered = render_all(tmp_path, files, [*SOURCES, "gone"], ffmpeg)

    assert [] == [
        clip["attempts"][0]["message"] for clip in rendered.report["clips"][:-1] if clip["status"] != "success"
    ]
    assert_untagged(rendered.output, packaged)


def test_a_clip_that_was_encoded_otherwise_falls_back(
    tmp_path: Path, files: dict[str, str], packaged: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Parameter sets that differ all the same cost the one clip, and not the render."""
    whole = build.cut_argv

    def odd(*args: Any, **kwargs: Any) -> list[str]:
        made = whole(*args, **kwargs)
        is_odd = "siting-2" in str(args[2].path)
        return ["topleft" if word == "left" and is_odd else word for word in made]

    monkeypatch.setattr(build, "cut_argv", odd)

    rendered = render_all(tmp_path, files, ["siting-2", "siting-0", "siting-1"], packaged)

    clips = rendered.report["clips"]
    assert ["fallback-placeholder", "success", "success"] == [clip["status"] for clip in clips]
    assert "ffmpeg" == clips[0]["fallback_reason"]
    assert "other parameters" in clips[0]["attempts"][0]["message"]


def test_a_copy_leaves_what_its_source_says_behind(tmp_path: Path, packaged: str) -> None:
    """With ``--cut auto``, pictures are copied without SEI, in which orientation and captions are."""
    source = tmp_path / "v.mp4"
    tags = ["-colorspace", "bt709", "-color_primaries", "bt709", "-color_trc", "bt709", "-g", "30"]
    made = ["-f", "lavfi", "-i", "testsrc2=s=320x180:r=30:d=4", *EIGHT, *tags]
    insert = ["-bsf:v", "h264_metadata=sei_user_data=dc45e9bde6d948b7962cd820d923eeef+captions"]
    subprocess.run([packaged, "-v", "error", *made, *insert, str(source)], check=True)
    document = timeline([{"video_id": "v", "start": 0, "duration": 3.9}], {"v": str(source)})

    rendered = render(tmp_path, document, "--no-cache", "--cut", "auto", ffmpeg=packaged)

    assert rendered.report["clips"][0]["copied_frames"] > 0
    assert b"captions" not in rendered.output.read_bytes()
    assert_untagged(rendered.output, packaged)


@pytest.mark.parametrize(
    ("args", "words"),
    [
        pytest.param(("-display_rotation", "90"), "turned or mirrored", id="turned"),
        pytest.param(("-display_hflip",), "turned or mirrored", id="mirrored"),
    ],
)
def test_verify_says_what_a_video_is_tagged_with(
    tmp_path: Path,
    files: dict[str, str],
    packaged: str,
    capsys: pytest.CaptureFixture[str],
    args: tuple[str, ...],
    words: str,
) -> None:
    """A video that players would turn, or show in other colours, isn't fine, though all its pictures are there."""
    rendered = render_all(tmp_path, files, ["siting-0"], packaged)
    tagged = tmp_path / "tagged.mp4"
    command = [packaged, "-v", "error", *args, "-i", str(rendered.output), "-c", "copy", str(tagged)]
    subprocess.run(command, check=True)
    capsys.readouterr()

    code = run(["verify", str(tagged), "--report", str(tmp_path / "mix.report.json"), "--json"])

    told = json.loads(capsys.readouterr().out)
    assert (1, True) == (code, any(words in problem for problem in told["problems"]))


def test_verify_says_that_colours_are_others(
    tmp_path: Path, files: dict[str, str], packaged: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """A video whose stream was given other colours is not fine."""
    rendered = render_all(tmp_path, files, ["siting-0"], packaged)
    tagged = tmp_path / "tagged.mp4"
    change = ["-c", "copy", "-bsf:v", "h264_metadata=matrix_coefficients=6"]
    subprocess.run([packaged, "-v", "error", "-i", str(rendered.output), *change, str(tagged)], check=True)
    capsys.readouterr()

    code = run(["verify", str(tagged), "--report", str(tmp_path / "mix.report.json")])

    assert (1, True) == (code, "of other colours than BT.709" in capsys.readouterr().out)
