"""What is transparent becomes black, in whatever form a file has it."""

import stat
import subprocess
from pathlib import Path
from typing import Any

import pytest
from golden import Numbered, Rendered, assert_picture, render, timeline
from media import make_source
from packaged import serving
from test_sources import read_colour

pytestmark = pytest.mark.media

LIVE = (
    "-deadline",
    "realtime",
    "-cpu-used",
    "8",
    "-auto-alt-ref",
    "0",
    "-b:v",
    "1M",
    "-pix_fmt",
    "yuva420p",
    "-g",
    "10",
)
FORMS: dict[str, tuple[str, ...]] = {
    "vp9.webm": ("-c:v", "libvpx-vp9", *LIVE),
    "vp8.webm": ("-c:v", "libvpx", *LIVE),
    "vp9.mkv": ("-c:v", "libvpx-vp9", *LIVE),
    "vp9-late.webm": ("-c:v", "libvpx-vp9", *LIVE, "-output_ts_offset", "100"),
    "prores.mov": ("-c:v", "prores_ks", "-profile:v", "4444", "-pix_fmt", "yuva444p10le"),
    "still.png": ("-frames:v", "1", "-pix_fmt", "rgba"),
    "png.mov": ("-c:v", "png", "-pix_fmt", "rgba"),
}
LEFT, RIGHT = "crop=100:100:20:40", "crop=100:100:200:40"


def make(folder: Path, name: str, ffmpeg: str) -> Path:
    """Make a second of red whose right half is transparent."""
    source = "color=red:s=320x180:r=30:d=1,format=rgba,geq=r='r(X,Y)':g='g(X,Y)':b='b(X,Y)':a='if(gt(X,160),0,255)'"
    command = [ffmpeg, "-v", "error", "-y", "-f", "lavfi", "-i", source, *FORMS[name], str(folder / name)]
    subprocess.run(command, check=True)
    return folder / name


def colours(path: Path, ffmpeg: str, second: float) -> list[tuple[int, int, int]]:
    """Read the colours of the left and the right half of a frame."""
    found = []
    for part in (LEFT, RIGHT):
        picture = f"{part},scale=1:1:flags=area,format=rgb24"
        command = [ffmpeg, "-v", "error", "-ss", str(second), "-i", str(path), "-vf", picture, "-frames:v", "1"]
        done = subprocess.run([*command, "-f", "rawvideo", "-"], capture_output=True, check=True)
        r, g, b = done.stdout
        found.append((r, g, b))
    return found


def is_right(found: list[tuple[int, int, int]]) -> bool:
    """Tell whether the left half is red and the right one black."""
    return found == [pytest.approx((253, 0, 0), abs=8), pytest.approx((0, 0, 0), abs=8)]


def render_files(tmp_path: Path, files: list[str], ffmpeg: str, **more: Any) -> Rendered:
    """Render half a second of each file, from between its keyframes on."""
    clips: list[dict[str, Any]] = [{"video_id": str(n), "start": 0.25, "duration": 0.5} for n in range(len(files))]
    document = timeline(clips, {str(n): file for n, file in enumerate(files)})
    return render(tmp_path, document | more, "--no-cache", ffmpeg=ffmpeg)


def test_transparent_parts_are_black(tmp_path: Path, packaged: str, ffmpeg: str) -> None:
    """In WebM, where alpha is coded beside the picture, as in formats whose pixels have it."""
    files = [make(tmp_path, name, packaged) for name in FORMS]

    rendered = render_files(tmp_path, [str(file) for file in files], ffmpeg)

    assert 0 == rendered.exit_code
    found: dict[str, Any] = {}
    for number, file in enumerate(files):
        found[file.name] = colours(rendered.output, packaged, number * 0.5 + 0.25)
    wrong = {name: each for name, each in found.items() if not is_right(each)}
    assert {} == wrong


def test_transparent_parts_are_black_over_the_network(tmp_path: Path, packaged: str) -> None:
    """A WebM over HTTP is cut from a piece of it, which has the alpha, too."""
    www = tmp_path / "www"
    www.mkdir()
    make(www, "vp9.webm", packaged)
    with serving(www) as origin:
        rendered = render_files(tmp_path, [f"{origin.url}/vp9.webm"], packaged)

    assert 0 == rendered.exit_code
    assert is_right(colours(rendered.output, packaged, 0.25))


@pytest.mark.parametrize("codec", ["libvpx", "libvpx-vp9"])
def test_frames_of_a_file_with_alpha_are_exact(tmp_path: Path, packaged: str, ffmpeg: str, codec: str) -> None:
    """The other decoder and the other container lose no frame, and move none."""
    source = make_source(
        tmp_path / "v.webm",
        ffmpeg=packaged,
        source_id=3,
        seconds=3,
        audio_args=("-c:a", "libopus"),
        video_args=("-c:v", codec, *LIVE, "-b:v", "2M"),
        video_filter="format=yuva420p",
    )
    clips = [{"video_id": "v", "start": start, "duration": 0.6} for start in (0, 0.7, 2.3)]
    document = timeline(clips, {"v": str(source)})

    rendered = render(tmp_path, document, "--no-cache", ffmpeg=ffmpeg)

    assert 0 == rendered.exit_code
    assert_picture(rendered, document, {"v": Numbered(3, frames=90)}, ffmpeg=packaged)


def test_alpha_that_ffmpeg_cannot_see_is_said(tmp_path: Path, packaged: str) -> None:
    """An FFmpeg without the decoder shows what is hidden, and a warning says so once."""
    program = tmp_path / "ffmpeg"
    program.write_text(
        f'#!/bin/sh\ncase "$*" in *decoder=libvpx*) echo "Codec is not recognized";; *) exec {packaged} "$@";; esac\n'
    )
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    file = str(make(tmp_path, "vp9.webm", packaged))

    rendered = render_files(tmp_path, [file, file], str(program))

    assert (0, 1) == (rendered.exit_code, (tmp_path / "log").read_text().count("source.alpha_lost"))
    assert (253, 0, 0) == pytest.approx(read_colour(rendered.output, packaged), abs=8)
