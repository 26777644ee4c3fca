"""Video files behind HTTP in every form, rendered over loopback and read back; and how little of them was fetched."""

import itertools
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from golden import Numbered, Rendered, assert_clicks, assert_picture, render, timeline
from media import make_source
from origin import Origin, Reply, Seen
from packaged import serving

from clipcut.sources.file import video

pytestmark = pytest.mark.media

SECONDS = 20
MEDIA = {"v": Numbered(1, frames=SECONDS * 30)}
CLIPS = [
    {"video_id": "v", "start": start, "end": end}
    for start, end in ((0, 1.1), (3.5, 5.2), (4, 5), (8, 10), (12.033, 13.5), (18.6, 20))
]
FORMS = {
    "moov at the end": ("mp4", ("-c", "copy")),
    "moov at the begin": ("mp4", ("-c", "copy", "-movflags", "+faststart")),
    "MOV": ("mov", ("-c:v", "copy", "-c:a", "pcm_s16le")),
    "fragments": ("mp4", ("-c", "copy", "-movflags", "frag_keyframe+empty_moov")),
    "fragments with their index": ("mp4", ("-c", "copy", "-movflags", "dash+frag_keyframe+empty_moov+global_sidx")),
    "Matroska": ("mkv", ("-c", "copy")),
    "Matroska with cues in front": ("mkv", ("-c", "copy", "-cues_to_front", "1")),
    "WebM": ("webm", ("-c:v", "libvpx-vp9", "-deadline", "realtime", "-cpu-used", "8", "-g", "60", "-c:a", "libopus")),
    "transport stream, as a whole": ("ts", ("-c", "copy")),
}


@pytest.fixture(scope="session")
def source(tmp_path_factory: pytest.TempPathFactory, packaged: str) -> Path:
    """A numbered source of 20 s at 30/s with B-frames, a keyframe each 2 s, clicks in stereo."""
    args = ("-c:v", "libx264", "-preset", "veryfast", "-crf", "26", "-pix_fmt", "yuv420p", "-x264-params", "bframes=3")
    path = tmp_path_factory.mktemp("file") / "source.mp4"
    return make_source(path, ffmpeg=packaged, source_id=1, seconds=SECONDS, width=640, height=360, video_args=args)


def convert(source: Path, target: Path, ffmpeg: str, args: Sequence[str]) -> Path:
    """Put a source into another form."""
    target.parent.mkdir(exist_ok=True)
    subprocess.run([ffmpeg, "-v", "error", "-y", "-i", str(source), *args, str(target)], check=True)
    return target


def check(folder: Path, url: str, ffmpeg: str, clips: Sequence[dict[str, Any]] = CLIPS) -> Rendered:
    """Render clips of one address, and hold the result against the rule."""
    document = timeline(clips, {"v": url})
    rendered = render(folder, document, "-v", ffmpeg=ffmpeg)

    assert ([None] * len(clips), 0) == (messages(rendered), rendered.exit_code)
    assert_picture(rendered, document, MEDIA, ffmpeg=ffmpeg)
    assert_clicks(rendered, document, ffmpeg=ffmpeg)
    return rendered


def messages(rendered: Rendered) -> list[str | None]:
    """Return what went wrong with each clip's first rung."""
    return [clip["attempts"][0]["message"] for clip in rendered.report["clips"]]


def asked_bytes(origin: Origin) -> list[tuple[int, int]]:
    """Return the ranges that were asked for, ends not included."""
    ranges = [seen.range.removeprefix("bytes=").split("-") for seen in origin.requests if seen.range is not None]
    return sorted((int(first), int(last) + 1) for first, last in ranges)


@pytest.mark.parametrize("form", FORMS)
def test_each_form_is_cut_exactly(tmp_path: Path, source: Path, packaged: str, ffmpeg: str, form: str) -> None:
    """Every frame and click is in its place; no byte is fetched twice, and not all of them."""
    suffix, args = FORMS[form]
    path = convert(source, tmp_path / "www" / f"video.{suffix}", packaged, args)
    short = [CLIPS[1], CLIPS[2], CLIPS[4]]

    with serving(path.parent) as origin:
        check(tmp_path, f"{origin.url}/{path.name}", ffmpeg)
    with serving(path.parent) as origin:
        rendered = check(tmp_path, f"{origin.url}/{path.name}", ffmpeg, short)

    asked = asked_bytes(origin)
    stats = rendered.report["clip_stats"]
    assert len(origin.requests) == len(asked) == stats["requests"]
    assert origin.bytes_sent == stats["bytes_fetched"]
    assert path.stat().st_size * (0.62 if suffix != "ts" else 1) >= stats["bytes_fetched"]
    if form.startswith(("moov", "MOV")):
        assert all(before[1] <= after[0] for before, after in itertools.pairwise(asked))


@pytest.mark.parametrize("form", ["moov at the begin", "moov at the end", "fragments", "Matroska"])
def test_a_server_without_ranges_is_asked_once(tmp_path: Path, source: Path, packaged: str, form: str) -> None:
    """The file is streamed once, and no further than the clips need where that can be known."""
    suffix, args = FORMS[form]
    path = convert(source, tmp_path / "www" / f"video.{suffix}", packaged, args)
    size = path.stat().st_size

    with serving(path.parent, rate=2_000_000) as origin:
        origin.script(f"/{path.name}", Reply(ignore_range=True))
        rendered = check(tmp_path, f"{origin.url}/{path.name}", packaged, CLIPS[:3])

    assert 2 == len(origin.requests)  # what it is, and then the whole
    fetched = rendered.report["clip_stats"]["bytes_fetched"]
    assert fetched < size * 0.6 if form == "moov at the begin" else fetched >= size


def test_a_file_that_would_be_needed_as_a_whole_may_be_too_large(
    tmp_path: Path, source: Path, packaged: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """That is known before any of it is fetched; a file with an index may be as large."""
    monkeypatch.setattr(video, "MAX_STREAMED", 100_000)
    for form, reason in (("transport stream, as a whole", "too_large"), ("moov at the begin", None)):
        suffix, args = FORMS[form]
        path = convert(source, tmp_path / "www" / f"video.{suffix}", packaged, args)
        with serving(path.parent) as origin:
            document = timeline(CLIPS[:2], {"v": {"url": f"{origin.url}/{path.name}", "local": str(source)}})
            rendered = render(tmp_path, document, ffmpeg=packaged)

        assert [reason] * 2 == [clip["fallback_reason"] for clip in rendered.report["clips"]]
        assert reason is None or 1 == len(origin.requests)


def test_a_file_that_changes_is_looked_into_anew_once(tmp_path: Path, source: Path, packaged: str) -> None:
    """The first clip's bytes are of another file than the index: all begins anew, and the clips are right."""
    suffix, args = FORMS["moov at the begin"]
    path = convert(source, tmp_path / "www" / f"video.{suffix}", packaged, args)
    seen_ranges: list[str] = []

    def reply(seen: Seen) -> Reply:
        seen_ranges.append(seen.range or "")
        is_old = len(seen_ranges) < 3
        return Reply(headers={"ETag": '"old"' if is_old else '"new"'})

    with serving(path.parent) as origin:
        origin.script(f"/{path.name}", reply)
        rendered = check(tmp_path, f"{origin.url}/{path.name}", packaged, CLIPS[:3])

    assert 2 == seen_ranges.count("bytes=0-65535")
    assert 0 == rendered.report["clip_stats"]["retries"]


def test_a_file_that_changes_all_the_time_falls_back(tmp_path: Path, source: Path, packaged: str) -> None:
    """No endless loop: it is looked into anew once, then its clips have failed."""
    suffix, args = FORMS["moov at the begin"]
    path = convert(source, tmp_path / "www" / f"video.{suffix}", packaged, args)
    count = iter(range(10_000))

    with serving(path.parent) as origin:
        origin.script(f"/{path.name}", lambda _: Reply(headers={"ETag": f'"{next(count)}"'}))
        document = timeline(CLIPS[:2], {"v": {"url": f"{origin.url}/{path.name}", "local": str(source)}})
        rendered = render(tmp_path, document, ffmpeg=packaged)

    assert 0 == rendered.exit_code
    assert ["undecodable"] * 2 == [clip["fallback_reason"] for clip in rendered.report["clips"]]
    assert all("changed" in str(message) for message in messages(rendered))
    assert len(origin.requests) < 10


@pytest.mark.parametrize(
    ("replies", "reason"),
    [
        pytest.param([Reply(status=404)], "http_404", id="gone"),
        pytest.param([Reply(status=403)], "http_403", id="forbidden"),
        pytest.param([Reply(body=b"<html>sign in</html>")], "undecodable", id="captive portal"),
        pytest.param([Reply(body=b"\x00\x00\x00\x18ftypmp42" + bytes(100))], "undecodable", id="broken"),
        pytest.param([Reply(body=b"")], "http_4xx", id="empty"),
    ],
)
def test_a_file_that_cant_be_had_falls_back(
    tmp_path: Path, source: Path, packaged: str, replies: Sequence[Reply], reason: str
) -> None:
    """With the reason, and without being asked for by each clip where the answer is final."""
    with serving(source.parent) as origin:
        origin.script("/video.mp4", *replies)
        document = timeline(CLIPS[:3], {"v": {"url": f"{origin.url}/video.mp4", "local": str(source)}})
        rendered = render(tmp_path, document, ffmpeg=packaged)

    assert (0, [reason] * 3) == (rendered.exit_code, [clip["fallback_reason"] for clip in rendered.report["clips"]])
    assert len(origin.requests) <= 3


def test_a_range_that_breaks_off_is_asked_for_again(tmp_path: Path, source: Path, packaged: str) -> None:
    """Half a body, then all of it: the retry is counted, the clips are right."""
    path = convert(source, tmp_path / "www" / "video.mp4", packaged, FORMS["moov at the begin"][1])

    with serving(path.parent) as origin:
        origin.script("/video.mp4", Reply(), Reply(), Reply(cut_at=1000), Reply(status=503), Reply())
        rendered = check(tmp_path, f"{origin.url}/video.mp4", packaged, CLIPS[:2])

    assert 2 == rendered.report["clip_stats"]["retries"]
