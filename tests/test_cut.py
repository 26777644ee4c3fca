"""A cut that isn't right is never called right: damaged, short and foreign sources, with a real FFmpeg."""

import json
import random
import subprocess
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import pytest
from golden import Numbered, Rendered, assert_picture, render, timeline
from media import make_source, read_samples

from clipcut.errors import Reason, RenderError, SourceError
from clipcut.ffmpeg.judge import Said, judge
from clipcut.ffmpeg.process import Completed

GOOD = {"video_id": "good", "start": 1, "duration": 0.5}


@pytest.fixture(scope="module")
def clean(tmp_path_factory: pytest.TempPathFactory, packaged: str) -> Path:
    """A source of 6 s with a keyframe each second and B-frames."""
    args = ("-c:v", "libx264", "-preset", "veryfast", "-crf", "20", "-pix_fmt", "yuv420p")
    path = tmp_path_factory.mktemp("clean") / "clean.mp4"
    return make_source(path, ffmpeg=packaged, source_id=4, seconds=6, gop=30, video_args=args)


def video_bytes(path: Path, first: float, last: float) -> list[tuple[int, int]]:
    """Return where the video packets shown from ``first`` to ``last`` seconds lie in a file: offset and length."""
    with av.open(str(path)) as container:
        return [
            (packet.pos, packet.size)
            for packet in container.demux(video=0)
            if packet.pts is not None and first <= packet.pts * packet.time_base < last
        ]


def damaged(source: Path, target: Path, change: Callable[[bytearray], None]) -> Path:
    """Copy a file with some of its bytes changed."""
    data = bytearray(source.read_bytes())
    change(data)
    target.write_bytes(data)
    return target


def attempt(rendered: Rendered, index: int = 0) -> dict[str, Any]:
    """Return the first attempt of a clip."""
    first: dict[str, Any] = rendered.report["clips"][index]["attempts"][0]
    return first


def render_one(tmp_path: Path, clean: Path, bad: Path, clip: dict[str, Any], ffmpeg: str) -> Rendered:
    """Render a clip of a bad source beside one of a good one."""
    document = timeline([{"video_id": "bad", **clip}, GOOD], {"bad": str(bad), "good": str(clean)})
    return render(tmp_path, document, ffmpeg=ffmpeg)


@pytest.mark.media
@pytest.mark.parametrize(
    "clip",
    [
        pytest.param({"start": 2.6, "duration": 1}, id="in-the-clip"),
        pytest.param({"start": 3.5, "duration": 0.3}, id="in-the-group-of-pictures-before-it"),
    ],
)
def test_a_source_zeroed_in_the_middle_is_caught(
    tmp_path: Path, clean: Path, ffmpeg: str, clip: dict[str, Any]
) -> None:
    """Zeros where pictures were are ``undecodable``, whatever FFmpeg's exit status and frame count."""
    places = video_bytes(clean, 3.0, 3.4)

    def zero(data: bytearray) -> None:
        for offset, length in places:
            data[offset : offset + length] = bytes(length)

    rendered = render_one(tmp_path, clean, damaged(clean, tmp_path / "bad.mp4", zero), clip, ffmpeg)

    assert (3, "undecodable") == (rendered.exit_code, attempt(rendered)["reason"])


@pytest.mark.media
def test_flipped_bits_are_caught(tmp_path: Path, clean: Path, ffmpeg: str) -> None:
    """Bits that flip in the middle of a clip are ``undecodable``."""
    places = video_bytes(clean, 2.9, 3.3)
    chance = random.Random(11)

    def flip(data: bytearray) -> None:
        for offset, length in places:
            for _ in range(max(8, length // 50)):
                data[offset + chance.randrange(4, length)] ^= 1 << chance.randrange(8)

    rendered = render_one(
        tmp_path, clean, damaged(clean, tmp_path / "bad.mp4", flip), {"start": 2.6, "duration": 1}, ffmpeg
    )

    assert "undecodable" == attempt(rendered)["reason"]


@pytest.mark.media
def test_damage_outside_a_clip_does_not_harm_it(tmp_path: Path, clean: Path, ffmpeg: str) -> None:
    """Clips before and after the damage are cut from the same file, frame for frame."""
    places = video_bytes(clean, 3.0, 4.0)

    def zero(data: bytearray) -> None:
        for offset, length in places:
            data[offset : offset + length] = bytes(length)

    bad = damaged(clean, tmp_path / "bad.mp4", zero)
    clips = [{"video_id": "bad", "start": start, "duration": 0.9} for start in (2.1, 4.0)]
    document = timeline(clips, {"bad": str(bad)})

    rendered = render(tmp_path, document, ffmpeg=ffmpeg)

    assert 0 == rendered.exit_code
    assert_picture(rendered, document, {"bad": Numbered(4, frames=180)}, ffmpeg=ffmpeg)


@pytest.mark.media
def test_a_truncated_file_fails_only_the_clips_beyond_its_end(tmp_path: Path, clean: Path, ffmpeg: str) -> None:
    """Of a file cut off in the middle, what is there is used, and what isn't is said to be short."""
    end = max(offset for offset, _ in video_bytes(clean, 0, 3.5))
    index_first = tmp_path / "index-first.mp4"
    subprocess.run(
        [ffmpeg, "-v", "error", "-i", clean, "-c", "copy", "-movflags", "+faststart", index_first], check=True
    )
    moved = index_first.stat().st_size - clean.stat().st_size
    bad = tmp_path / "bad.mp4"
    bad.write_bytes(index_first.read_bytes()[: end + moved])
    clips = [{"video_id": "bad", "start": 1, "duration": 0.9}, {"video_id": "bad", "start": 4, "duration": 0.9}]

    rendered = render(tmp_path, timeline(clips, {"bad": str(bad)}), ffmpeg=ffmpeg)

    assert ["success", "fallback-placeholder"] == [clip["status"] for clip in rendered.report["clips"]]
    assert attempt(rendered, 1)["reason"] in ("short_source", "undecodable", "truncated")


@pytest.mark.media
@pytest.mark.parametrize(
    ("clip", "reason"),
    [
        pytest.param({"start": 5.5, "end": 6.033}, None, id="up-to-one-frame-past-the-end-is-held"),
        pytest.param({"start": 5.5, "end": 6.034}, "short_source", id="more-than-one-frame-past-the-end"),
        pytest.param({"start": 6.5, "end": 7}, "short_source", id="wholly-past-the-end"),
        pytest.param({"start": 100_000, "end": 100_001}, "short_source", id="far-past-the-end"),
    ],
)
def test_reach_past_the_end_is_judged_by_one_output_frame(
    tmp_path: Path, clean: Path, ffmpeg: str, clip: dict[str, Any], reason: str | None
) -> None:
    """The last frame is held for up to one output frame; beyond that the source is short."""
    rendered = render_one(tmp_path, clean, clean, clip, ffmpeg)

    assert reason == attempt(rendered)["reason"]


@pytest.mark.media
def test_the_last_frame_is_held_when_the_clip_ends_a_little_late(tmp_path: Path, clean: Path, packaged: str) -> None:
    """The frame after the last one is the last one again."""
    document = timeline([{"video_id": "v", "start": 5.5, "end": 6.033}], {"v": str(clean)})

    rendered = render(tmp_path, document, ffmpeg=packaged)

    assert_picture(rendered, document, {"v": Numbered(4, frames=180)}, ffmpeg=packaged)


def _make_sound_only(path: Path, ffmpeg: str) -> None:
    subprocess.run([ffmpeg, "-v", "error", "-f", "lavfi", "-i", "sine=d=2", "-c:a", "aac", path], check=True)


def _make_foreign_codec(path: Path, ffmpeg: str) -> None:
    subprocess.run([ffmpeg, "-v", "error", "-f", "lavfi", "-i", "testsrc2=d=2", "-c:v", "magicyuv", path], check=True)


def _make_folder(path: Path, _: str) -> None:
    path.mkdir()


def _make_text(path: Path, _: str) -> None:
    path.write_text("this is no video\n" * 100)


def _make_script(path: Path, _: str) -> None:
    path.write_text("ffconcat version 1.0\nfile clean.mp4\n")


@pytest.mark.media
@pytest.mark.parametrize(
    ("name", "make", "reason"),
    [
        pytest.param("nowhere.mp4", lambda *_: None, "missing_file", id="missing"),
        pytest.param("folder.mp4", _make_folder, "missing_file", id="folder"),
        pytest.param("sound.m4a", _make_sound_only, "no_video", id="sound-only"),
        pytest.param("text.mp4", _make_text, "undecodable", id="text"),
        pytest.param("script.mp4", _make_script, "undecodable", id="concat-script"),
        pytest.param("empty.mp4", lambda path, _: path.touch(), "undecodable", id="empty"),
        pytest.param("foreign.avi", _make_foreign_codec, "refused", id="codec-off-the-list"),
    ],
)
def test_a_source_that_is_no_video_has_its_own_reason(
    tmp_path: Path, clean: Path, ffmpeg: str, name: str, make: Callable[[Path, str], None], reason: str
) -> None:
    """What is wrong with a source is told apart."""
    make(tmp_path / name, ffmpeg)

    rendered = render_one(tmp_path, clean, tmp_path / name, {"start": 0.5, "duration": 0.5}, ffmpeg)

    assert (3, reason) == (rendered.exit_code, attempt(rendered)["reason"])


@pytest.mark.media
def test_a_broken_source_falls_back_to_its_local_copies_in_order(tmp_path: Path, clean: Path, packaged: str) -> None:
    """Each rung is tried once, in order, and the report tells of each."""
    (tmp_path / "text.mp4").write_text("no video")
    source = {"url": "http://127.0.0.1:1/v.mp4?token=geheim", "local": ["nowhere.mp4", "text.mp4", str(clean)]}
    document = timeline([{"video_id": "v", "start": 1, "duration": 0.5}], {"v": source})

    rendered = render(tmp_path, document, "--max-retry", "0", ffmpeg=packaged)

    clip = rendered.report["clips"][0]
    assert (0, "complete", "fallback-local") == (rendered.exit_code, rendered.report["status"], clip["status"])
    assert [("remote", "connection"), ("local", "missing_file"), ("local", "undecodable"), ("local", None)] == [
        (attempt["method"], attempt["reason"]) for attempt in clip["attempts"]
    ]
    assert "http://127.0.0.1:1/v.mp4" == clip["source"]
    assert "geheim" not in json.dumps(rendered.report) + (tmp_path / "log").read_text()
    assert_picture(rendered, document, {"v": Numbered(4, frames=180)}, ffmpeg=packaged)


@pytest.mark.media
@pytest.mark.parametrize("asset", ["text", "sound-only", "odd"])
def test_placeholder_fills_the_slot_whatever_the_asset(tmp_path: Path, clean: Path, ffmpeg: str, asset: str) -> None:
    """A broken placeholder clip becomes plain black, with a warning; one of any form is conformed and looped."""
    path = tmp_path / "asset.mp4"
    if asset == "text":
        _make_text(path, ffmpeg)
    elif asset == "sound-only":
        _make_sound_only(path, ffmpeg)
    else:
        make_source(
            path, ffmpeg=ffmpeg, source_id=9, seconds=1, fps=Fraction(25), width=480, height=480, sample_rate=44100
        )
    document = timeline(
        [{"video_id": "gone", "start": 0, "duration": 3.5}, GOOD], {"gone": "gone.mp4", "good": str(clean)}
    )

    rendered = render(tmp_path, document, "--placeholder", str(path), ffmpeg=ffmpeg)

    assert (3, 120) == (rendered.exit_code, rendered.report["output"]["frames"])
    assert ("placeholder.broken" in (tmp_path / "log").read_text()) == (asset != "odd")


@pytest.mark.media
def test_middle_files_are_gone_in_the_end(tmp_path: Path, clean: Path, packaged: str) -> None:
    """After a render there is the output and the report, and nothing else new."""
    document = timeline([GOOD, {"video_id": "gone", "start": 0, "duration": 1}], {"good": str(clean), "gone": "x.mp4"})

    render(tmp_path, document, ffmpeg=packaged)

    assert {"timeline.json", "log", "mix.mp4", "mix.report.json"} == {path.name for path in tmp_path.iterdir()}


def heard(returncode: int, line: str) -> Said:
    """Make an FFmpeg that said one line and ended."""
    said = Said(Completed(returncode, (line,)))
    said.hear(line)
    return said


@pytest.mark.parametrize(
    ("returncode", "stderr", "reason"),
    [
        pytest.param(0, "[h264 @ 0x55] [error] error while decoding MB 3 4", Reason.UNDECODABLE, id="error-and-exit-0"),
        pytest.param(0, "[vist#0:0/h264 @ 0x5] [fatal] corrupt decoded frame", Reason.UNDECODABLE, id="fatal"),
        pytest.param(255, "", Reason.FFMPEG, id="asked-to-end-by-somebody-else"),
        pytest.param(139, "", Reason.FFMPEG, id="crashed"),
        pytest.param(
            1, "[magicyuv @ 0x1] [error] Codec (magicyuv) not on whitelist 'h264'", Reason.REFUSED, id="refused"
        ),
    ],
)
def test_what_ffmpeg_says_and_returns_is_judged_together(returncode: int, stderr: str, reason: Reason) -> None:
    """Neither an exit status of 0 nor silence is proof by itself."""
    with pytest.raises(SourceError) as caught:
        judge(heard(returncode, stderr), "v.mp4")

    assert reason == caught.value.reason


def test_a_full_disk_is_no_fault_of_a_source() -> None:
    """No room to write ends the render instead of falling back."""
    line = "[out#0/mov @ 0x5] [error] Error writing trailer: No space left on device"

    with pytest.raises(RenderError, match="No space left"):
        judge(heard(228, line), "v.mp4")


def test_warnings_are_no_errors() -> None:
    """A warning line and exit 0 pass."""
    judge(heard(0, "[mov @ 0x5] [warning] something to think about"), "v.mp4")


def test_an_early_error_counts_however_much_is_said_after_it() -> None:
    """The proof hears every line; only the words for people are bounded."""
    said = Said(Completed(0, ()))
    said.hear("[h264 @ 0x1] [error] error while decoding MB 1 2")
    for _ in range(500):
        said.hear("[h264 @ 0x1] [warning] and so on")

    with pytest.raises(SourceError, match="error while decoding"):
        judge(said, "v.mp4")


def test_a_hung_ffmpeg_is_a_failure() -> None:
    """No exit status at all is no success."""
    with pytest.raises(SourceError, match="said nothing"):
        judge(Said(Completed(None, ())), "v.mp4")


@pytest.mark.media
def test_a_placeholder_never_keeps_the_sound_of_a_rung_that_failed(tmp_path: Path, clean: Path, packaged: str) -> None:
    """Sound that a damaged source left behind is not heard under the black that replaces it."""
    places = video_bytes(clean, 3.0, 3.4)

    def zero(data: bytearray) -> None:
        for offset, length in places:
            data[offset : offset + length] = bytes(length)

    silent = make_source(tmp_path / "silent.mp4", ffmpeg=packaged, source_id=9, seconds=1, audio=False)
    bad = damaged(clean, tmp_path / "bad.mp4", zero)
    clips = [{"video_id": "bad", "start": 2.6, "duration": 1}, {**GOOD, "mute": True}]
    document = timeline(clips, {"bad": str(bad), "good": str(clean)})

    rendered = render(tmp_path, document, "--placeholder", str(silent), ffmpeg=packaged)

    assert 3 == rendered.exit_code
    assert 0 == abs(read_samples(rendered.output, ffmpeg=packaged)).max()
