"""The cache as a user meets it: what was finished before is not made again, and nothing else is taken for it."""

import json
import os
import shutil
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import attrs
import pytest
from fakes import make_plan
from golden import Numbered, Rendered, assert_clicks, assert_picture, render, timeline
from media import make_source
from origin import Origin, Reply, Seen
from packaged import package, serving

from clipcut.cache.identity import local_identity
from clipcut.cache.key import clip_key, recipe_of
from clipcut.cli import run
from clipcut.errors import SourceError
from clipcut.ffmpeg.tools import Tool
from clipcut.log import LogListener
from clipcut.plan import Edit
from clipcut.timeline import Output

EDIT = make_plan("v").edits[0]
TOOL = Tool(path="/nowhere/ffmpeg", version="9", found="", encoders=frozenset(), can_tone_map=True)
MEDIA = {"v": Numbered(1, frames=360), "w": Numbered(2, fps=Fraction(25), frames=300)}
CLIPS = [
    {"video_id": "v", "start": 1.2, "duration": 0.7},
    {"video_id": "w", "start": 3, "duration": 1.1},
    {"video_id": "v", "start": 8.5, "duration": 0.5, "gain_db": -3},
    {"video_id": "v", "start": 5, "duration": 0.6},
]


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(
            lambda edit: attrs.evolve(edit, clip=attrs.evolve(edit.clip, start=Fraction(1, 90000))), id="start"
        ),
        pytest.param(lambda edit: attrs.evolve(edit, clip=attrs.evolve(edit.clip, duration=Fraction(2))), id="length"),
        pytest.param(lambda edit: attrs.evolve(edit, clip=attrs.evolve(edit.clip, gain_db=Fraction(1))), id="gain"),
        pytest.param(lambda edit: attrs.evolve(edit, slot=attrs.evolve(edit.slot, frames=31)), id="frames"),
        pytest.param(lambda edit: attrs.evolve(edit, slot=attrs.evolve(edit.slot, samples=47999)), id="samples"),
        pytest.param(lambda edit: attrs.evolve(edit, is_silent=True), id="silent"),
    ],
)
def test_whatever_shapes_a_clip_is_in_its_key(change: Callable[[Edit], Edit]) -> None:
    """One step of it, and it is another clip."""
    assert clip_key(EDIT, "a", "r") != clip_key(change(EDIT), "a", "r")


def test_what_does_not_shape_a_clip_is_not_in_its_key() -> None:
    """Its name, its number, its place in the output."""
    clip = attrs.evolve(EDIT.clip, id="other", label="other", end=EDIT.clip.start + EDIT.clip.length, duration=None)
    moved = attrs.evolve(EDIT, index=7, clip=clip, slot=attrs.evolve(EDIT.slot, start_frame=90, start_sample=144000))

    assert clip_key(EDIT, "a", "r") == clip_key(moved, "a", "r")
    assert 3 == len({clip_key(EDIT, *facts) for facts in (("a", "r"), ("b", "r"), ("a", "s"))})


@pytest.mark.parametrize(
    ("output", "tool"),
    [
        pytest.param({"width": 640}, {}, id="width"),
        pytest.param({"fps": Fraction(30000, 1001)}, {}, id="fps"),
        pytest.param({"fit": "cover"}, {}, id="fit"),
        pytest.param({"video": attrs.evolve(Output().video, crf=Fraction(20))}, {}, id="crf"),
        pytest.param({"audio": attrs.evolve(Output().audio, channels=1)}, {}, id="channels"),
        pytest.param({}, {"version": "9.0.1"}, id="ffmpeg"),
        pytest.param({}, {"can_tone_map": False}, id="tone-mapping"),
    ],
)
def test_form_and_programs_are_in_the_recipe(output: dict[str, Any], tool: dict[str, Any]) -> None:
    """The output's path is not, nor are the fades, which are made at the join."""
    assert recipe_of(Output(), TOOL) != recipe_of(attrs.evolve(Output(), **output), attrs.evolve(TOOL, **tool))
    audio = attrs.evolve(Output().audio, fade_ms=Fraction(0))
    assert recipe_of(Output(), TOOL) == recipe_of(attrs.evolve(Output(), path="x.mp4", audio=audio), TOOL)


def test_two_builds_of_one_version_are_told_apart(tmp_path: Path) -> None:
    """By their files."""
    for name in ("a", "b"):
        (tmp_path / name).write_text(f"#!/bin/sh\n# {name * ord(name)}\n")

    assert 2 == len({recipe_of(Output(), attrs.evolve(TOOL, path=str(tmp_path / name))) for name in ("a", "b")})


def test_a_local_file_is_known_by_what_is_in_it_and_not_by_its_place(tmp_path: Path) -> None:
    """A change in the middle that keeps length and time is seen if it meets a sample; a new time is always seen."""
    path = tmp_path / "a.mp4"
    path.write_bytes(os.urandom(3_000_000))
    first = local_identity(path)
    assert first is not None
    moved = path.rename(tmp_path / "b.mp4")
    again = local_identity(moved)
    assert again is not None
    assert first.text == again.text

    os.utime(moved, ns=(1, moved.stat().st_mtime_ns + 1))
    later = local_identity(moved)
    assert later is not None
    assert first.text != later.text
    assert local_identity(tmp_path) is None
    with pytest.raises(SourceError, match="there is no file"):
        local_identity(path)


@pytest.fixture
def job(tmp_path: Path, sources: Path) -> Path:
    """A folder of its own with the two sources."""
    for name in ("v1.mp4", "v2.mp4"):
        shutil.copy2(sources / name, tmp_path)
    return tmp_path


def local(folder: Path, clips: list[dict[str, Any]], ffmpeg: str, *flags: str, **output: Any) -> Rendered:
    """Render clips of the two sources, and look at every frame and click."""
    document = timeline(clips, {"v": str(folder / "v1.mp4"), "w": str(folder / "v2.mp4"), "gone": "gone.mp4"}, **output)
    rendered = render(folder, document, *flags, ffmpeg=ffmpeg)
    if rendered.exit_code == 0 and not output:
        assert_picture(rendered, document, MEDIA, ffmpeg=ffmpeg)
        assert_clicks(rendered, document, ffmpeg=ffmpeg)
    return rendered


def cached(rendered: Rendered) -> list[bool]:
    """Return which clips came from the cache, and see that report and counts say the same."""
    found = [clip["cached"] for clip in rendered.report["clips"]]
    assert sum(found) == rendered.report["clip_stats"]["cached_tasks"]
    for clip in rendered.report["clips"]:
        assert clip["cached"] == (clip["parallel_slot"] is None)
    return found


@pytest.mark.media
def test_what_was_finished_is_not_made_again_and_an_edit_makes_only_what_changed(job: Path, ffmpeg: str) -> None:
    """All frames and clicks are right each time, also with clips in another order and under other names."""
    assert [False] * 4 == cached(local(job, CLIPS, ffmpeg))
    again = local(job, CLIPS, ffmpeg)
    assert [True] * 4 == cached(again)
    assert 0 == again.report["clip_stats"]["peak_parallelism"] == again.report["clip_stats"]["max_duration_ms"]
    assert {"success"} == {clip["status"] for clip in again.report["clips"]}
    edited = [CLIPS[3] | {"id": "first"}, *CLIPS[:2], CLIPS[2] | {"gain_db": 0}]
    assert [True, True, True, False] == cached(local(job, edited, ffmpeg))


@pytest.mark.media
@pytest.mark.parametrize(
    ("change", "hits"),
    [
        pytest.param(lambda _: None, 3, id="nothing"),
        pytest.param(lambda folder: os.utime(folder / "v1.mp4"), 1, id="touched"),
        pytest.param(
            lambda folder: (folder / "v1.mp4").rename(folder / "x.mp4").rename(folder / "v1.mp4"), 3, id="moved"
        ),
        pytest.param(lambda folder: shutil.copy(folder / "v1.mp4", folder / "v1.mp4.new"), 3, id="copied"),
    ],
)
def test_a_source_that_changed_is_cut_again(
    job: Path, packaged: str, change: Callable[[Path], object], hits: int
) -> None:
    """And only its clips."""
    clips = CLIPS[:3]
    local(job, clips, packaged)
    change(job)

    assert hits == sum(cached(local(job, clips, packaged)))


@pytest.mark.media
def test_another_form_is_another_clip(job: Path, packaged: str) -> None:
    """And what was made for the first form is still there."""
    local(job, CLIPS[:2], packaged)

    assert [False] * 2 == cached(local(job, CLIPS[:2], packaged, width=160, height=90))
    assert [True] * 2 == cached(local(job, CLIPS[:2], packaged))


@pytest.mark.media
def test_no_cache_neither_reads_nor_writes(job: Path, packaged: str) -> None:
    """The named folder isn't even made."""
    flags = ("--cache-dir", str(job / "cache"))
    local(job, CLIPS[:2], packaged, *flags, "--no-cache")
    assert not (job / "cache").exists()
    local(job, CLIPS[:2], packaged, *flags)

    assert [False] * 2 == cached(local(job, CLIPS[:2], packaged, *flags, "--no-cache"))
    assert [True] * 2 == cached(local(job, CLIPS[:2], packaged, *flags))


@pytest.mark.media
def test_placeholders_are_never_kept_and_fallbacks_have_their_status(job: Path, packaged: str) -> None:
    """A copy that came to help is found again as such; its reason is still told."""
    clips = [{"video_id": "gone", "start": 0, "duration": 0.5}, {"video_id": "c", "start": 1, "duration": 0.5}]
    sources = {"gone": "gone.mp4", "c": {"url": "gone-too.mp4", "local": str(job / "v1.mp4")}}
    first = render(job, timeline(clips, sources), ffmpeg=packaged)
    again = render(job, timeline(clips, sources), ffmpeg=packaged)

    assert (3, 3) == (first.exit_code, again.exit_code)
    assert [False, True] == cached(again)
    for rendered in (first, again):
        assert [("fallback-placeholder", "missing_file"), ("fallback-local", "missing_file")] == [
            (clip["status"], clip["fallback_reason"]) for clip in rendered.report["clips"]
        ]


@pytest.mark.media
def test_a_damaged_entry_is_made_again(job: Path, packaged: str) -> None:
    """One byte of one clip in the cache."""
    flags = ("--cache-dir", str(job / "cache"))
    local(job, CLIPS, packaged, *flags)
    victim = min((job / "cache").rglob("*.mov"))
    data = bytearray(victim.read_bytes())
    data[len(data) // 2] ^= 255
    victim.write_bytes(data)

    assert 3 == sum(cached(local(job, CLIPS, packaged, *flags)))
    assert 4 == sum(cached(local(job, CLIPS, packaged, *flags)))


@pytest.mark.media
def test_a_cache_that_can_not_be_used_is_a_warning(job: Path, packaged: str, capfd: pytest.CaptureFixture[str]) -> None:
    """The render is complete; nothing is left in its folder."""
    (job / "file").touch()
    rendered = local(job, CLIPS[:1], packaged, "--cache-dir", str(job / "file"))

    assert [False] == cached(rendered)
    assert "cache.unavailable" in (job / "log").read_text()
    assert "Traceback" not in capfd.readouterr().err


@pytest.mark.media
def test_a_cache_without_room_keeps_what_fits(job: Path, packaged: str) -> None:
    """With no room at all every clip is made each time, and the render is right."""
    flags = ("--cache-size", "0")
    local(job, CLIPS, packaged, *flags)

    assert [False] * 4 == cached(local(job, CLIPS, packaged, *flags))


def remote(folder: Path, url: str, ffmpeg: str) -> Rendered:
    """Render three clips of a network source, and look at every frame."""
    clips = [{"video_id": "v", "start": start, "duration": 0.6} for start in (0.5, 4.2, 9)]
    document = timeline(clips, {"v": {"url": url}})
    rendered = render(folder, document, ffmpeg=ffmpeg)
    assert 0 == rendered.exit_code
    assert_picture(rendered, document, MEDIA, ffmpeg=ffmpeg)
    return rendered


def asked(origin: Origin) -> list[str]:
    """Return what was asked for since this was called last."""
    paths = [seen.path for seen in origin.requests]
    origin.requests.clear()
    return paths


@pytest.mark.media
def test_of_a_playlist_little_more_than_the_playlist_is_fetched_again(tmp_path: Path, packaged: str) -> None:
    """Also the begin of its media. With another token the clips are the same; with another name of a segment not."""
    source = make_source(tmp_path / "source.mp4", ffmpeg=packaged, source_id=1, seconds=12, pattern=False)
    playlist = package(source, tmp_path / "www", ffmpeg=packaged, seconds=2)
    with serving(tmp_path / "www") as origin:
        assert [False] * 3 == cached(remote(tmp_path, f"{origin.url}/index.m3u8?token=1", packaged))
        assert "/s000.ts" in asked(origin)
        again = remote(tmp_path, f"{origin.url}/index.m3u8?token=2", packaged)
        assert [True] * 3 == cached(again)
        assert ["/index.m3u8", "/s000.ts"] == [seen.path for seen in origin.requests]
        assert [None, "bytes=0-65535"] == [seen.range for seen in origin.requests]
        assert 2 == again.report["clip_stats"]["requests"]
        (tmp_path / "www" / "s005.ts").rename(tmp_path / "www" / "new.ts")
        playlist.write_text(playlist.read_text().replace("s005.ts", "new.ts"))
        assert [False] * 3 == cached(remote(tmp_path, f"{origin.url}/index.m3u8", packaged))


@pytest.mark.media
@pytest.mark.parametrize("says", [True, False], ids=["etag", "nothing"])
def test_a_file_behind_http_is_known_by_what_its_server_says_of_it(tmp_path: Path, packaged: str, says: bool) -> None:
    """Its first bytes are asked for again, and no more; where the server says nothing, all of it is made again."""
    (tmp_path / "www").mkdir()
    source = make_source(tmp_path / "www" / "v.mp4", ffmpeg=packaged, source_id=1, seconds=12, pattern=False)
    with serving(tmp_path / "www") as origin:
        if not says:
            origin.script("/v.mp4", *[Reply(headers={"ETag": "", "Last-Modified": ""})] * 99)
        assert [False] * 3 == cached(remote(tmp_path, f"{origin.url}/v.mp4", packaged))
        asked(origin)
        again = remote(tmp_path, f"{origin.url}/v.mp4?token=2", packaged)
        assert [says] * 3 == cached(again)
        assert says == (asked(origin) == ["/v.mp4"])
        if says:
            os.utime(source, ns=(0, source.stat().st_mtime_ns + 10**9))
            assert [False] * 3 == cached(remote(tmp_path, f"{origin.url}/v.mp4", packaged))


@pytest.mark.media
@pytest.mark.parametrize("path", ["/index.m3u8", "/v.mp4"], ids=["playlist", "file"])
def test_a_clip_is_at_work_before_anything_is_fetched_for_it(
    tmp_path: Path, packaged: str, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    """Also where all that is fetched for it shows that it was finished before; then it has no slot in the report."""
    (tmp_path / "www").mkdir()
    source = make_source(tmp_path / "www" / "v.mp4", ffmpeg=packaged, source_id=1, seconds=12, pattern=False)
    package(source, tmp_path / "www", ffmpeg=packaged, seconds=2)
    clips = [{"id": name, "video_id": "v", "start": start, "duration": 0.6} for name, start in (("a", 0.5), ("b", 4.2))]
    started: list[str] = []
    start = LogListener.clip_started

    def note_start(listener: LogListener, edit: Edit, parallel_slot: int) -> None:
        started.append(edit.name)
        start(listener, edit, parallel_slot)

    monkeypatch.setattr(LogListener, "clip_started", note_start)
    reports: list[dict[str, Any]] = []
    first_asked: dict[int, list[str]] = {}

    def note_asked(_: Seen) -> Reply:
        first_asked.setdefault(len(reports), list(started))
        return Reply()

    with serving(tmp_path / "www") as origin:
        for _ in range(2):
            started.clear()
            origin.script(path, note_asked)
            document = timeline(clips, {"v": f"{origin.url}{path}"})
            reports.append(render(tmp_path, document, "--concurrency", "1", ffmpeg=packaged).report)

    assert {0: ["a"], 1: ["a"]} == first_asked
    assert ["a"] == started  # of the second render: by the time of the next clip all is known
    assert [[False, False], [True, True]] == [[clip["cached"] for clip in report["clips"]] for report in reports]
    assert [None, None] == [clip["parallel_slot"] for clip in reports[1]["clips"]]
    assert [1, 1] == [report["clip_stats"]["peak_parallelism"] for report in reports]


def test_cache_commands_say_what_they_find(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Also where nothing is; and nothing is made by looking."""
    flags = ["--cache-dir", str(tmp_path / "cache")]
    assert 0 == run(["cache", "info", *flags])
    assert "0 finished clips" in capfd.readouterr().out
    assert 0 == run(["cache", "info", "--json", *flags])
    shown = json.loads(capfd.readouterr().out)
    assert (0, 10**10) == (shown["bytes"], shown["limit"])
    assert 0 == run(["cache", "clear", *flags])
    assert "removed 0 finished clips" in capfd.readouterr().out
    assert [] == list(tmp_path.iterdir())


@pytest.mark.media
def test_only_what_new_clips_need_is_fetched(tmp_path: Path, packaged: str) -> None:
    """Of a first segment that only a finished clip needs, no more than its head; nothing of the others."""
    source = make_source(tmp_path / "source.mp4", ffmpeg=packaged, source_id=1, seconds=12, pattern=False)
    package(source, tmp_path / "www", ffmpeg=packaged, seconds=2)
    clips = [{"video_id": "v", "start": start, "duration": 0.6} for start in (0.3, 4.2)]
    with serving(tmp_path / "www") as origin:
        for wanted in (clips, [*clips, {"video_id": "v", "start": 8.2, "duration": 0.6}]):
            asked(origin)
            document = timeline(wanted, {"v": f"{origin.url}/index.m3u8"})
            rendered = render(tmp_path, document, "--concurrency", "1", ffmpeg=packaged)
            assert_picture(rendered, document, MEDIA, ffmpeg=packaged)
        paths = {(seen.path, seen.range is not None) for seen in origin.requests}

    assert [True, True, False] == cached(rendered)
    assert {("/index.m3u8", False), ("/s000.ts", True), ("/s004.ts", False)} == paths


@pytest.mark.media
def test_a_live_playlist_is_never_taken_for_a_later_one(tmp_path: Path, packaged: str) -> None:
    """Its names may come again with other pictures."""
    source = make_source(tmp_path / "source.mp4", ffmpeg=packaged, source_id=1, seconds=12, pattern=False)
    playlist = package(source, tmp_path / "www", ffmpeg=packaged, seconds=2)
    playlist.write_text(playlist.read_text().replace("#EXT-X-ENDLIST", "").replace("#EXT-X-PLAYLIST-TYPE:VOD", ""))
    with serving(tmp_path / "www") as origin:
        for _ in range(2):
            assert [False] * 3 == cached(remote(tmp_path, f"{origin.url}/index.m3u8", packaged))
