"""What a report says of the frames that a clip shows: enough to take the same ones in an editor.

``golden.assert_picture`` holds every numbered source of every other test against it too.
"""

from collections.abc import Callable, Mapping
from fractions import Fraction
from pathlib import Path
from typing import Any

import attrs
import pytest
from golden import Numbered, assert_picture, render, timeline
from media import make_source
from packaged import package, serving
from test_argv import MEDIA as INFO
from test_smart import BT709

from clipcut import smart
from clipcut.cache.shelf import Shelf
from clipcut.ffmpeg.need import There
from clipcut.ffmpeg.probe import MediaInfo
from clipcut.ffmpeg.timecode import Timecode
from clipcut.used import Used, joined, used_of

NTSC = Fraction(30000, 1001)


def media(**video: Any) -> MediaInfo:
    """Describe a source that begins at 10 s, in milliseconds, at 25/s, with a timecode."""
    facts: dict[str, Any] = {"time_base": Fraction(1, 1000), "zero": Fraction(10), "rate": Fraction(25)}
    changed = attrs.evolve(INFO.video, **(facts | video))
    return attrs.evolve(INFO, video=changed, timecode=Timecode(1, 0, 0, 0, False))


@pytest.mark.parametrize(
    ("video", "first", "last", "wanted"),
    [
        pytest.param({}, 10_000, 10_000, ("25", (0, 1)), id="the-first-frame"),
        pytest.param({}, 11_480, 12_000, ("25", (37, 51)), id="from-zero-on"),
        pytest.param({}, 10_199, 10_281, ("25", (5, 8)), id="times-that-were-rounded"),
        pytest.param({"rate": NTSC}, 10_033, 10_067, ("30000/1001", (1, 3)), id="a-fraction"),
        pytest.param({"rate": Fraction(24)}, 10_021, 10_980, ("24", (1, 25)), id="where-frames-vary-on-a-grid"),
        pytest.param({}, 9_960, 10_040, ("25", (0, 2)), id="before-zero"),
        pytest.param({"rate": None}, 10_000, 11_000, (None, None), id="no-rate"),
        pytest.param({"is_still": True}, 10_000, 10_000, (None, None), id="a-still-picture"),
    ],
)
def test_frames_are_counted_from_zero_at_the_sources_rate(
    video: Mapping[str, Any], first: int, last: int, wanted: tuple[str | None, tuple[int, int] | None]
) -> None:
    """The first that is shown, and the one after the last."""
    used = used_of(media(**video), first, last)

    assert wanted == (str(used.fps) if used.fps is not None else None, used.frames)
    assert "01:00:00:00" == used.start_timecode


@pytest.mark.parametrize(
    "change",
    [{"is_piece": True}, {"has_bytes": There(((0, 100),))}, {"timecode": None}],
    ids=["piece", "holes", "none"],
)
def test_a_timecode_is_believed_only_of_a_file_that_is_all_here(change: Mapping[str, Any]) -> None:
    """A piece of a source begins elsewhere, and in a file with holes a track of timecodes may be one."""
    assert used_of(attrs.evolve(media(), **change), 10_000, 10_000).start_timecode is None


def test_the_pieces_of_a_clip_are_one_range() -> None:
    """From the first that one shows to the last; a placeholder has none."""
    pieces = [Used(fps=Fraction(25), start_timecode=None, frames=frames) for frames in ((40, 44), (30, 40), (44, 47))]

    assert attrs.evolve(pieces[0], frames=(30, 47)) == joined(pieces)
    assert joined([None]) is None
    still = Used(fps=None, start_timecode=None, frames=None)
    assert still == joined([still])


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("01:00:00:00", "01:00:00:00"),
        ("10:59:58;29", "10:59:58;29"),
        ("00:00:01.12", "00:00:01;12"),
        (" 00:00:00:119 ", "00:00:00:119"),
        ("1:00:00:00", None),
        ("01:60:00:00", None),
        ("01:00:00:00:00", None),
        ("-01:00:00:00", None),
        ("", None),
    ],
)
def test_a_timecode_is_read_as_ffmpeg_writes_it(text: str, wanted: str | None) -> None:
    """Before the frames is a semicolon where numbers are dropped."""
    found = Timecode.read(text)

    assert wanted == (str(found) if found is not None else None)


Make = Callable[..., Path]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, packaged: str) -> Make:
    """Makes sources of six seconds, each once."""
    folder = tmp_path_factory.mktemp("used")

    def make(name: str, *args: str, fps: Fraction = Fraction(25)) -> Path:
        path = folder / name
        if not path.exists():
            form = ("-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p", "-x264-params", "keyint=25")
            more: dict[str, Any] = {"video_filter": BT709, "pattern": False, "video_args": (*form, *args)}
            make_source(path, ffmpeg=packaged, source_id=1, seconds=6, fps=fps, **more)
        return path

    return make


CLIPS = [{"video_id": "v", "start": start, "duration": length} for start, length in ((0, 0.4), (1.5, 1.2), (4.1, 1.9))]


@pytest.mark.media
@pytest.mark.parametrize(
    ("name", "fps", "timecode", "wanted"),
    [
        pytest.param("a.mp4", Fraction(25), "01:00:00:00", "01:00:00:00", id="mp4"),
        pytest.param("a.mov", NTSC, "09:59:58;12", "09:59:58;12", id="mov-drop-frame"),
        pytest.param("a.mkv", Fraction(25), "00:10:00:00", "00:10:00:00", id="mkv"),
        pytest.param("b.mp4", Fraction(50), None, None, id="no-timecode"),
        pytest.param("a.ts", Fraction(30), None, None, id="transport-stream"),
    ],
)
def test_used_has_what_an_editor_needs_to_conform(
    made: Make, tmp_path: Path, packaged: str, name: str, fps: Fraction, timecode: str | None, wanted: str | None
) -> None:
    """Method, place, rate, the file's timecode and its frames; and all of it again out of the cache."""
    source = made(name, *(("-timecode", timecode) if timecode else ()), fps=fps)
    document = timeline(CLIPS, {"v": str(source)})

    made_now, found = (render(tmp_path, document, ffmpeg=packaged) for _ in range(2))

    assert_picture(made_now, document, {"v": Numbered(1, fps, round(6 * fps))}, ffmpeg=packaged)
    for clip in made_now.report["clips"]:
        assert ("local", str(source), str(fps), wanted) == tuple(
            clip["used"][key] for key in ("method", "location", "fps", "start_timecode")
        )
    assert 3 == found.report["clip_stats"]["cached_tasks"]
    assert [clip["used"] for clip in made_now.report["clips"]] == [clip["used"] for clip in found.report["clips"]]


@pytest.mark.media
def test_copies_have_it_too(made: Make, tmp_path: Path, packaged: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A copy and its edges are one range of frames."""
    monkeypatch.setattr(smart, "CHILD_PIXELS", 0)
    source = made("a.mp4", "-timecode", "01:00:00:00")
    clips = [
        {"video_id": "v", "start": start, "duration": length} for start, length in ((1, 2), (0.4, 2.8), (3.2, 1.2))
    ]
    document = timeline(clips, {"v": str(source)}, fps=25)

    copied, found = (render(tmp_path, document, "--cut", "auto", ffmpeg=packaged) for _ in range(2))

    whole, middle, end = (clip["copied_frames"] for clip in copied.report["clips"])
    assert (50, True, True) == (whole, 0 < middle < 70, 0 < end < 30)
    assert_picture(copied, document, {"v": Numbered(1, Fraction(25), 150)}, ffmpeg=packaged)
    assert ["01:00:00:00"] * 3 == [clip["used"]["start_timecode"] for clip in copied.report["clips"]]
    assert [clip["used"] for clip in copied.report["clips"]] == [clip["used"] for clip in found.report["clips"]]


@pytest.mark.media
def test_it_is_that_of_the_rung_that_held(made: Make, tmp_path: Path, packaged: str) -> None:
    """The local copy's where the first rung failed; nothing for a placeholder; no rate of a still picture."""
    source = made("a.mp4", "-timecode", "01:00:00:00")
    still = tmp_path / "still.png"
    make_source(still, ffmpeg=packaged, source_id=1, seconds=1, audio=False, video_args=("-frames:v", "1"))
    clips = [{"id": name, "video_id": name, "start": 1, "duration": 0.4} for name in ("second", "gone", "still")]
    sources = {"second": {"url": "lost.mp4", "local": str(source)}, "gone": "lost.mp4", "still": str(still)}

    report = render(tmp_path, timeline(clips, sources), ffmpeg=packaged).report

    assert [
        {
            "method": "local",
            "location": str(source),
            "fps": "25",
            "start_timecode": "01:00:00:00",
            "frames": {"first": 25, "end": 35},
        },
        None,
        {"method": "local", "location": str(still), "fps": None, "start_timecode": None, "frames": None},
    ] == [clip["used"] for clip in report["clips"]]


@pytest.mark.media
@pytest.mark.parametrize("form", ["file", "playlist"])
def test_an_address_is_shown_without_what_is_secret(made: Make, tmp_path: Path, packaged: str, form: str) -> None:
    """Neither query nor user; and no timecode, as it may lie in bytes that weren't fetched."""
    source = made("a.mp4", "-timecode", "01:00:00:00")
    (tmp_path / "www").mkdir()
    path = tmp_path / "www" / "a.mp4"
    path.write_bytes(source.read_bytes())
    if form == "playlist":
        path = package(source, tmp_path / "www", ffmpeg=packaged, seconds=1)
    with serving(tmp_path / "www") as origin:
        address = f"{origin.url}/{path.name}"
        document = timeline(CLIPS, {"v": f"{address.replace('://', '://user:word@')}?token=1"})
        rendered = render(tmp_path, document, ffmpeg=packaged)

    assert_picture(rendered, document, {"v": Numbered(1, Fraction(25), 150)}, ffmpeg=packaged)
    for clip in rendered.report["clips"]:
        assert ("remote", address, None) == tuple(clip["used"][key] for key in ("method", "location", "start_timecode"))


@pytest.mark.media
def test_a_finished_clip_that_does_not_tell_it_is_made_again(
    made: Make, tmp_path: Path, packaged: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An entry of the cache from before it was kept."""
    document = timeline(CLIPS, {"v": str(made("b.mp4", fps=Fraction(50)))})
    put = Shelf.put

    async def put_as_before(shelf: Shelf, kind: str, key: str, files: Any, facts: Any, **more: Any) -> None:
        pieces = [{name: value for name, value in piece.items() if name != "used"} for piece in facts["pieces"]]
        await put(shelf, kind, key, files, {"pieces": pieces}, **more)

    with monkeypatch.context() as patch:
        patch.setattr(Shelf, "put", put_as_before)
        render(tmp_path, document, ffmpeg=packaged)
    cached = [render(tmp_path, document, ffmpeg=packaged).report["clip_stats"]["cached_tasks"] for _ in range(2)]

    assert [0, 3] == cached
