"""Copies: which pictures of a clip are the source's own, and that the finished video is as exact as an encoded one."""

import subprocess
from collections.abc import Callable, Mapping
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from golden import Numbered, Rendered, assert_clicks, assert_picture, render, timeline
from media import make_source, packet_times

from clipcut import smart
from clipcut.smart import Copy, Picture, Why, find_copy, limits_of, pays, places_of

BT709 = "setparams=range=tv:color_primaries=bt709:color_trc=bt709:colorspace=bt709,setsar=1"
FORM = ("-c:v", "libx264", "-preset", "veryfast", "-pix_fmt", "yuv420p", "-x264-params")


def stored(text: str) -> list[Picture]:
    """Write pictures down as they are stored: their times, an IDR picture with an exclamation mark."""
    return [Picture(int(word.rstrip("!")), word.endswith("!")) for word in text.split()]


def placed(pictures: list[Picture], first: int, frames: int) -> dict[int, int]:
    """Return the frames of pictures one tick apart, in a slot that begins with the one at ``first``."""
    found = places_of(sorted(one.pts for one in pictures), range(first, first + frames))
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("text", "first", "frames", "wanted"),
    [
        pytest.param("0! 1 2 3! 4 5 6! 7", 0, 6, (0, (0, 1, 2, 3, 4, 5)), id="whole-groups"),
        pytest.param("0! 1 2 3! 4 5 6! 7", 1, 6, (3, (2, 3, 4, 5)), id="begins-in-a-group"),
        pytest.param("0! 3 1 2 4! 7 5 6 8!", 2, 4, (4, (2,)), id="ends-before-pictures-that-need-a-later-one"),
        pytest.param("0! 3 1 2 4! 7 5 6 8!", 2, 6, (4, (2, 5, 3, 4)), id="ends-with-all-that-were-stored"),
        pytest.param("0! 3 1 2 6 4 5 9 7 8", 0, 7, (0, (0, 3, 1, 2, 6, 4, 5)), id="open-group-goes-on"),
        pytest.param("0! 3 1 2 4 5", 1, 3, None, id="inside-one-group"),
        pytest.param("0! 4 3 2 1 5! 6", 0, 5, (0, (0,)), id="too-deeply-reordered"),
        pytest.param("0! 1 2! 3", 2, 2, (2, (0, 1)), id="begins-at-a-keyframe"),
    ],
)
def test_find_copy(text: str, first: int, frames: int, wanted: tuple[int, tuple[int, ...]] | None) -> None:
    """A copy begins at an IDR picture, and ends where all that was stored was shown."""
    pictures = stored(text)
    copy = find_copy(pictures, placed(pictures, first, frames), frames, 2)

    assert wanted == (None if copy is None else (copy.index, copy.places))


@pytest.mark.parametrize(
    ("times", "wanted"),
    [
        pytest.param([0, 1, 2, 3, 4], {1: 0, 2: 1, 3: 2}, id="one-each"),
        pytest.param([0, 1, 3, 4], None, id="one-is-held"),
        pytest.param([0, 1, 2, 2, 3], None, id="two-at-once"),
        pytest.param([0, 1, 2], None, id="ends-too-soon"),
        pytest.param([2, 3, 4], None, id="begins-too-late"),
    ],
)
def test_places_when(times: list[int], wanted: dict[int, int] | None) -> None:
    """Pictures have places only where each frame of the slot shows another one, and none is left out."""
    assert wanted == places_of(times, [1, 2, 3])


def test_places_when_a_picture_is_never_shown() -> None:
    """At twice the rate, every other picture is left out: that is no copy."""
    assert places_of([0, 1, 2, 3, 4, 5], [0, 2, 4]) is None


@pytest.mark.parametrize("fps", [Fraction(30), Fraction(30000, 1001), Fraction(24)])
@pytest.mark.parametrize("tick", [Fraction(1, 1000), Fraction(1, 90000), Fraction(1001, 30000)])
def test_limits_are_exact(fps: Fraction, tick: Fraction) -> None:
    """The limit of a frame is the last tick at or before its middle, however far in."""
    start = Fraction(10007, 300)
    limits = limits_of(start, fps, tick, 2000)

    assert [(start + (k + Fraction(1, 2)) / fps) // tick for k in range(2000)] == limits


def test_copying_pays_when_it_is_long() -> None:
    """A clip of many groups is copied; one of which nearly all is encoded anyway is not; small pictures are cheap."""
    pictures = [Picture(n, n % 60 == 0) for n in range(1000)]
    long, short = Copy(index=60, places=tuple(range(30, 900))), Copy(index=60, places=tuple(range(55, 60)))

    assert pays(long, pictures, 900, 1280 * 720)
    assert not pays(short, pictures, 60, 1280 * 720)
    assert not pays(Copy(index=60, places=tuple(range(30, 60))), pictures, 60, 64 * 64)


@pytest.fixture
def cheap(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let an FFmpeg cost nothing: then copying pays for small pictures too."""
    monkeypatch.setattr(smart, "CHILD_PIXELS", 0)


Make = Callable[..., Path]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, packaged: str) -> Make:
    """Makes numbered sources in the output's form, each once."""
    folder = tmp_path_factory.mktemp("smart")

    def make(name: str, number: int, params: str, **more: Any) -> Path:
        path = folder / name
        if not path.exists():
            settings = {"video_filter": BT709, "seconds": 6, "video_args": (*FORM, params)} | more
            make_source(path, ffmpeg=packaged, source_id=number, **settings)
        return path

    return make


def plain(made: Make) -> Path:
    """Make the source that most tests copy: closed groups of 30, B-frames as references."""
    return made("plain.mp4", 1, "keyint=30:scenecut=0:bframes=3:b-pyramid=normal")


def copied(rendered: Rendered) -> list[int]:
    """Return how many frames of each clip were copied."""
    return [clip["copied_frames"] for clip in rendered.report["clips"]]


def reasons(rendered: Rendered) -> list[str | None]:
    """Return why clips were encoded."""
    return [clip["why_encoded"] for clip in rendered.report["clips"]]


def assert_clean(path: Path, *ffmpegs: str) -> None:
    """Assert that FFmpeg, at its strictest, finds nothing to complain of."""
    for ffmpeg in ffmpegs:
        command = [ffmpeg, "-v", "error", "-xerror", "-err_detect", "explode", "-i", str(path), "-f", "null", "-"]
        done = subprocess.run(command, capture_output=True, check=False)
        assert (0, b"") == (done.returncode, done.stderr)


def auto(folder: Path, document: Mapping[str, Any], ffmpeg: str, *flags: str, **more: Any) -> Rendered:
    """Render with ``--cut auto``."""
    return render(folder, document, "--cut", "auto", *flags, ffmpeg=ffmpeg, **more)


EDGES = [
    {"video_id": "v", "start": 1, "end": 3},
    {"video_id": "v", "start": 0.3, "end": 3.45},
    {"video_id": "v", "start": 2, "duration": 1.7666},
    {"video_id": "v", "start": 0.9666, "duration": 2.0334},
    {"video_id": "v", "start": 1.034, "end": 1.967},
    {"video_id": "v", "start": 4.2, "end": 6},
    {"video_id": "v", "start": 0, "end": 6},
    {"video_id": "v", "start": 3, "duration": 0.0334},
]


@pytest.mark.media
@pytest.mark.usefixtures("cheap")
def test_copies_are_exact_at_and_off_keyframes(made: Make, tmp_path: Path, ffmpeg: str) -> None:
    """Every frame and click is right, whatever a clip's ends; a clip inside one group is encoded."""
    document = timeline(EDGES, {"v": str(plain(made))})

    rendered = auto(tmp_path, document, ffmpeg)

    assert 0 == rendered.exit_code
    assert_picture(rendered, document, {"v": Numbered(1, frames=180)}, ffmpeg=ffmpeg)
    assert_clicks(rendered, document, ffmpeg=ffmpeg)
    assert [60, 73, 53, 60, 0, 30, 180, 1] == copied(rendered)
    assert [None] * 4 + [Why.KEYFRAMES] + [None] * 3 == reasons(rendered)
    assert_clean(rendered.output, ffmpeg)
    assert [Fraction(n, 30) for n in range(rendered.report["output"]["frames"])] == packet_times(rendered.output)
