"""``--deadline``: the video is delivered, what came in time is right, the rest are placeholders that say why."""

from pathlib import Path

import pytest
from golden import Numbered, assert_picture, render, slots, timeline
from media import make_source, read_frames
from origin import Reply
from packaged import package, read_segments, serving

pytestmark = pytest.mark.media


def test_what_comes_in_time_is_right_and_the_rest_are_placeholders(tmp_path: Path, packaged: str) -> None:
    """An origin that hangs for some segments: their clips, and those that wait behind them, are late."""
    source = make_source(tmp_path / "source.mp4", ffmpeg=packaged, source_id=1, seconds=12, pattern=False)
    segments = read_segments(package(source, tmp_path / "www", ffmpeg=packaged, seconds=1))
    clips = [{"video_id": "v", "start": n + 0.2, "duration": 0.5} for n in range(11)] + [
        {"video_id": "w", "start": 0.5, "duration": 0.7},
        {"video_id": "gone", "start": 0, "duration": 0.5},
    ]
    with serving(tmp_path / "www") as origin:
        for _, name in segments[4:6]:
            origin.script(f"/{name}", *[Reply(hang=True)] * 9)
        sources = {"v": f"{origin.url}/index.m3u8", "w": str(source), "gone": "gone.mp4"}
        document = timeline(clips, sources)
        rendered = render(tmp_path, document, "--deadline", "6", ffmpeg=packaged)

    found = rendered.report["clips"]
    late = [n for n, clip in enumerate(found) if clip["fallback_reason"] == "deadline"]
    assert 3 == rendered.exit_code
    assert set(late) & set(range(11)) == set(late) != set()
    assert {"success"} == {clip["status"] for n, clip in enumerate(found) if n not in {*late, 12}}
    assert 6 <= rendered.report["elapsed_ms"] / 1000 < 12
    assert "missing_file" == found[12]["fallback_reason"]
    for n in late:
        assert "fallback-placeholder" == found[n]["status"]
        assert ("cancelled", "deadline") == tuple(found[n]["attempts"][0][key] for key in ("outcome", "reason"))
    document["clips"] = [
        clip | ({"video_id": "x"} if n in late or n == 12 else {}) for n, clip in enumerate(document["clips"])
    ]
    media = {"v": Numbered(1, frames=360), "w": Numbered(1, frames=360)}
    assert sum(frames for _, frames in slots(document)) == assert_picture(rendered, document, media, ffmpeg=packaged)


def test_placeholders_of_one_form_are_made_once_and_each_has_its_place(tmp_path: Path, packaged: str) -> None:
    """Many clips that can't be had: their files are shared, and all frames are there."""
    mine = make_source(tmp_path / "mine.mp4", ffmpeg=packaged, source_id=7, seconds=2, width=320, height=180)
    source = make_source(tmp_path / "source.mp4", ffmpeg=packaged, source_id=1, seconds=2)
    lengths = (0.4, 0.5, 0.4, 0.4, 0.5)
    clips = [{"video_id": "gone", "start": 0, "duration": length} for length in lengths]
    document = timeline([*clips, {"video_id": "v", "start": 0, "duration": 1}], {"gone": "no.mp4", "v": str(source)})

    rendered = render(tmp_path, document, "--placeholder", str(mine), ffmpeg=packaged)

    codes = read_frames(rendered.output, ffmpeg=packaged)
    shown = [(code.source_id, code.frame) if code is not None else None for code in codes]
    wanted = [(7, n) for length in lengths for n in range(round(length * 30))] + [(1, n) for n in range(30)]
    assert wanted == shown
