"""Every way in which a stored picture may lie, and what a container cuts off it: the output shows what players do."""

import struct
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from golden import Rendered, render, timeline
from packaged import package, serving

from clipcut.ffmpeg.crops import Crop, read_crops
from clipcut.ffmpeg.orientation import Orientation, exif_orientation, orientation_of_matrix

WIDTH, HEIGHT = 320, 180
CORNERS = "white", "red", "blue", "black"
"""The quarters of a picture that is shown right, row by row."""

ONE = 0x10000
MATRICES = {
    Orientation.UPRIGHT: (ONE, 0, 0, ONE),
    Orientation.MIRRORED: (-ONE, 0, 0, ONE),
    Orientation.TURNED_180: (-ONE, 0, 0, -ONE),
    Orientation.FLIPPED: (ONE, 0, 0, -ONE),
    Orientation.TRANSPOSED: (0, ONE, ONE, 0),
    Orientation.TURNED_90: (0, ONE, -ONE, 0),
    Orientation.TRANSVERSED: (0, -ONE, -ONE, 0),
    Orientation.TURNED_270: (0, -ONE, ONE, 0),
}
UNDONE = {
    Orientation.UPRIGHT: "null",
    Orientation.MIRRORED: "hflip",
    Orientation.TURNED_180: "rotate=PI",
    Orientation.FLIPPED: "vflip",
    Orientation.TRANSPOSED: "transpose=cclock_flip",
    Orientation.TURNED_90: "transpose=cclock",
    Orientation.TRANSVERSED: "transpose=clock_flip",
    Orientation.TURNED_270: "transpose=clock",
}
"""The filter that makes the stored picture of the shown one."""

X264 = ("-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p", "-colorspace", "bt709", "-g", "15")


def draw(ffmpeg: str, target: Path, filters: str, *args: str) -> Path:
    """Make a picture of four quarters, half a second of it, and store it as filters have it."""
    boxes = [
        f"drawbox=x={x * WIDTH // 2}:y={y * HEIGHT // 2}:w={WIDTH // 2}:h={HEIGHT // 2}:c={CORNERS[2 * y + x]}:t=fill"
        for y in (0, 1)
        for x in (0, 1)
    ]
    source = f"color=s={WIDTH}x{HEIGHT}:r=30:d=1,format=rgb24,{','.join(boxes)},{filters}"
    source += ",scale=out_color_matrix=bt709:out_range=tv" if "yuvj420p" not in args else ""
    subprocess.run([ffmpeg, "-v", "error", "-y", "-f", "lavfi", "-i", source, *args, str(target)], check=True)
    return target


def with_matrix(path: Path, orientation: Orientation) -> Path:
    """Write a matrix into the head of an MP4's only track."""
    data = bytearray(path.read_bytes())
    a, b, c, d = MATRICES[orientation]
    at = data.index(b"tkhd") + 4 + 40
    data[at : at + 36] = struct.pack(">9i", a, b, 0, c, d, 0, 0, 0, 1 << 30)
    path.write_bytes(data)
    return path


def with_exif(path: Path, orientation: Orientation) -> Path:
    """Put an EXIF orientation into a JPEG, in the other order of bytes for every second one."""
    data = path.read_bytes()
    order, mark = ("<", b"II") if orientation % 2 else (">", b"MM")
    tiff = mark + struct.pack(order + "HIHHHIHHI", 42, 8, 1, 0x0112, 3, 1, orientation, 0, 0)
    path.write_bytes(data[:2] + b"\xff\xe1" + (len(tiff) + 8).to_bytes(2) + b"Exif\0\0" + tiff + data[2:])
    return path


def make(folder: Path, ffmpeg: str, suffix: str, orientation: Orientation) -> Path:
    """Make a file whose picture lies in one way."""
    path = folder / f"{orientation}.{suffix}"
    if suffix == "jpg":
        return with_exif(draw(ffmpeg, path, UNDONE[orientation], "-frames:v", "1", "-pix_fmt", "yuvj420p"), orientation)
    if suffix == "ts":  # the matrix is in the stream itself
        names = {2: "flip=horizontal", 3: "rotate=180", 4: "flip=vertical", 6: "rotate=-90", 8: "rotate=90"}
        change = f"h264_metadata=display_orientation=insert:{names.get(orientation, 'rotate=0')}"
        return draw(ffmpeg, path, UNDONE[orientation], *X264, "-bsf:v", change)
    form = "mov" if suffix == "prores.mov" else suffix
    codec = ("-c:v", "prores_ks") if suffix == "prores.mov" else X264
    plain = draw(ffmpeg, folder / f"plain-{path.stem}.{'mp4' if form == 'mkv' else form}", UNDONE[orientation], *codec)
    with_matrix(plain, orientation)
    if form != "mkv":
        return plain.rename(path)
    subprocess.run([ffmpeg, "-v", "error", "-y", "-i", str(plain), "-c", "copy", str(path)], check=True)
    return path


def corners(path: Path, ffmpeg: str, frame: int) -> tuple[str, ...]:
    """Read the colours of the four quarters of a frame."""
    picture = f"select=eq(n\\,{frame}),scale=2:2:flags=area,format=rgb24"
    command = [ffmpeg, "-v", "error", "-i", str(path), "-vf", picture, "-frames:v", "1", "-f", "rawvideo", "-"]
    pixels = np.frombuffer(subprocess.run(command, capture_output=True, check=True).stdout, np.uint8).reshape(4, 3)
    names = {(1, 1, 1): "white", (1, 0, 0): "red", (0, 0, 1): "blue", (0, 0, 0): "black"}
    return tuple(names.get((int(r > 128), int(g > 128), int(b > 128)), f"{r} {g} {b}") for r, g, b in pixels)


def render_files(tmp_path: Path, files: list[str], ffmpeg: str, *flags: str, seconds: float = 0.1) -> Rendered:
    """Render a little of each file."""
    clips: list[dict[str, Any]] = [{"video_id": str(n), "start": 0, "duration": seconds} for n in range(len(files))]
    document = timeline(clips, {str(n): file for n, file in enumerate(files)}, width=WIDTH, height=HEIGHT)
    return render(tmp_path, document, "--no-cache", *flags, ffmpeg=ffmpeg)


def assert_upright(rendered: Rendered, files: list[Path], ffmpeg: str) -> None:
    """Assert that every clip shows the picture as it is meant."""
    shown = {
        file.name: corners(rendered.output, ffmpeg, clip["start_frame"])
        for file, clip in zip(files, rendered.report["clips"], strict=True)
    }
    assert dict.fromkeys(shown, CORNERS) == shown


@pytest.mark.media
@pytest.mark.parametrize("suffix", ["mp4", "mov", "mkv", "jpg", "ts", "prores.mov"])
def test_a_picture_is_shown_upright_however_it_lies(tmp_path: Path, packaged: str, ffmpeg: str, suffix: str) -> None:
    """All eight ways, in a track's matrix, in EXIF, in the stream's own SEI (which names five of them)."""
    ways = [way for way in Orientation if suffix != "ts" or way not in (5, 7)]
    files = [make(tmp_path, packaged, suffix, way) for way in ways]

    rendered = render_files(tmp_path, [str(file) for file in files], ffmpeg)

    assert 0 == rendered.exit_code
    assert_upright(rendered, files, packaged)


@pytest.mark.media
def test_a_picture_is_shown_upright_over_the_network(tmp_path: Path, packaged: str) -> None:
    """MP4 and HLS with fragments, mirrored and turned, as local files are."""
    www = tmp_path / "www"
    www.mkdir()
    ways = Orientation.MIRRORED, Orientation.TRANSPOSED, Orientation.TURNED_90
    files = [make(www, packaged, suffix, way) for suffix in ("mp4", "jpg") for way in ways]
    lists = [
        package(file, www / file.stem, ffmpeg=packaged, args=("-hls_segment_type", "fmp4"), suffix="m4s")
        for file in files[:3]
    ]
    with serving(www) as origin:
        addresses = [f"{origin.url}/{path.relative_to(www)}" for path in (*files, *lists)]
        rendered = render_files(tmp_path, addresses, packaged)

    assert 0 == rendered.exit_code
    assert_upright(rendered, [*files, *(path.parent for path in lists)], packaged)


@pytest.mark.media
@pytest.mark.parametrize("way", [Orientation.MIRRORED, Orientation.FLIPPED, Orientation.TURNED_180])
def test_a_picture_that_lies_otherwise_is_not_copied(tmp_path: Path, packaged: str, way: Orientation) -> None:
    """With ``--cut auto``, a mirrored picture of the output's size is encoded."""
    file = make(tmp_path, packaged, "mp4", way)

    rendered = render_files(tmp_path, [str(file)], packaged, "--cut", "auto", seconds=1)

    assert ("shape", 0) == (rendered.report["clips"][0]["why_encoded"], rendered.report["clips"][0]["copied_frames"])
    assert_upright(rendered, [file], packaged)


# What a container cuts off

BARS = (20, 34, 12, 6)
"""Left, top, right and bottom of what is coded around the picture."""


def with_clap(path: Path) -> Path:
    """Put a clean aperture into an MP4 whose movie box is at its end."""
    data = bytearray(path.read_bytes())
    left, top, right, bottom = BARS
    moved = struct.pack(">iI", left - right, 2) + struct.pack(">iI", top - bottom, 2)
    clap = struct.pack(">I4sIIII", 40, b"clap", WIDTH, 1, HEIGHT, 1) + moved
    moov = data.rindex(b"moov")
    entry = next(at for kind in (b"avc1", b"ap4h") if (at := data.find(kind, moov)) > 0) - 4
    end = entry + int.from_bytes(data[entry : entry + 4])
    data[end:end] = clap
    for at in (
        entry,
        *(data.rindex(kind, 0, entry) - 4 for kind in (b"stsd", b"stbl", b"minf", b"mdia", b"trak", b"moov")),
    ):
        data[at : at + 4] = (int.from_bytes(data[at : at + 4]) + len(clap)).to_bytes(4)
    path.write_bytes(data)
    return path


def make_cropped(folder: Path, ffmpeg: str, suffix: str, orientation: Orientation = Orientation.UPRIGHT) -> Path:
    """Make a file with a frame of green around its picture, which the container cuts off."""
    left, top, right, bottom = BARS
    pad = f"{UNDONE[orientation]},pad=iw+{left + right}:ih+{top + bottom}:{left}:{top}:lime"
    codec = ("-c:v", "prores_ks") if suffix == "prores.mov" else X264
    path = folder / f"cropped-{orientation}.{suffix}"
    plain = draw(ffmpeg, path.with_suffix(".mov" if suffix == "prores.mov" else ".mp4"), pad, *codec)
    with_matrix(with_clap(plain), orientation)
    if suffix == "mkv":
        subprocess.run([ffmpeg, "-v", "error", "-y", "-i", str(plain), "-c", "copy", str(path)], check=True)
        return path
    return plain.rename(path)


@pytest.mark.media
@pytest.mark.parametrize("suffix", ["mp4", "mov", "mkv", "prores.mov"])
def test_what_a_container_cuts_off_is_not_shown(tmp_path: Path, packaged: str, ffmpeg: str, suffix: str) -> None:
    """The clean aperture of MP4 and MOV and the pixel crop of Matroska are obeyed, before the picture is turned."""
    file = make_cropped(tmp_path, packaged, suffix)

    rendered = render_files(tmp_path, [str(file)], ffmpeg)

    assert 0 == rendered.exit_code
    assert_upright(rendered, [file], packaged)
    assert (255, 255, 255) == pytest.approx(edge(rendered.output, packaged), abs=12)


def edge(path: Path, ffmpeg: str) -> tuple[int, ...]:
    """Read the colour of a few pixels at the upper left, which are green where the picture wasn't cropped."""
    picture = "crop=8:8:2:2,scale=1:1:flags=area,format=rgb24"
    command = [ffmpeg, "-v", "error", "-i", str(path), "-vf", picture, "-frames:v", "1", "-f", "rawvideo", "-"]
    return tuple(subprocess.run(command, capture_output=True, check=True).stdout)


@pytest.mark.media
def test_a_cropped_picture_over_the_network_is_cropped(tmp_path: Path, packaged: str) -> None:
    """As in a local file, and so is one that isn't copied by ``--cut auto``."""
    www = tmp_path / "www"
    www.mkdir()
    file = make_cropped(www, packaged, "mp4")
    playlist = package(file, www / "hls", ffmpeg=packaged, args=("-hls_segment_type", "fmp4"), suffix="m4s")
    with serving(www) as origin:
        addresses = [str(file), f"{origin.url}/{file.name}", f"{origin.url}/{playlist.relative_to(www)}"]
        rendered = render_files(tmp_path, addresses, packaged, "--cut", "auto")

    assert 0 == rendered.exit_code
    assert_upright(rendered, [file, Path("http"), Path("hls")], packaged)


# Pure


@pytest.mark.parametrize("way", Orientation)
def test_a_matrix_is_read_with_its_mirror(way: Orientation) -> None:
    """All eight matrices are told apart, also where a container's numbers are a little off, or another scale."""
    a, b, c, d = MATRICES[way]

    for scale, off in ((1, 0), (2, 0), (1, 900)):
        numbers = (a * scale + off, b * scale + off, 0, c * scale - off, d * scale + off, 0, 0, 0, 1 << 30)
        assert way == orientation_of_matrix(struct.pack("=9i", *numbers))


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"\xff\xd8\xff\xe1\x00", id="cut-off"),
        pytest.param(b"\xff\xd8\xff\xe1\x00\x10Exif\0\0II*\0\xff\xff\xff\xff", id="leads-nowhere"),
        pytest.param(
            b"\xff\xd8\xff\xe1\x00\x1eExif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x09\0", id="ninth"
        ),
        pytest.param(b"\x89PNG\r\n\x1a\n\xff\xff\xff\xffeXIf", id="png"),
        pytest.param(b"RIFF\0\0\0\0WEBPEXIF\x04\0\0\0MMxx", id="webp"),
    ],
)
def test_nonsense_in_exif_turns_nothing(data: bytes) -> None:
    """What can't be read counts as not said."""
    assert Orientation.UPRIGHT == exif_orientation(data)


@pytest.mark.parametrize("order", ["<", ">"])
def test_exif_is_found_in_other_stills(order: str) -> None:
    """A PNG and a WebP say it in a chunk."""
    mark = b"II" if order == "<" else b"MM"
    tiff = mark + struct.pack(order + "HIHHHIHHI", 42, 8, 1, 0x0112, 3, 1, 6, 0, 0)
    png = b"\x89PNG\r\n\x1a\n" + struct.pack(">I4s", 3, b"IHDR") + bytes(7) + struct.pack(">I4s", len(tiff), b"eXIf")
    webp = b"RIFF\0\0\0\0WEBP" + struct.pack("<4sI", b"VP8X", 3) + bytes(4) + struct.pack("<4sI", b"EXIF", len(tiff))

    assert (6, 6) == (exif_orientation(png + tiff + bytes(4)), exif_orientation(webp + tiff))


@pytest.mark.parametrize(
    "data", [b"", b"\x1a\x45\xdf\xa3\xff", b"\0\0\0\x10ftypisom\0\0\0\0\0\0\xff\xffmoov", bytes(9)]
)
def test_a_head_that_cannot_be_read_crops_nothing(tmp_path: Path, data: bytes) -> None:
    """Whoever opens the file says what is wrong with it."""
    path = tmp_path / "v"
    path.write_bytes(data)

    assert [] == read_crops(path, (WIDTH, HEIGHT))


def test_a_crop_that_leaves_nothing_does_not_fit() -> None:
    """It would be a picture of no pixels."""
    assert (True, False) == (Crop(left=1, right=2).fits(4, 4), Crop(top=2, bottom=2).fits(4, 4))
