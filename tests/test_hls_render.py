"""HLS in every form that a packager makes, rendered over loopback HTTP and read back frame by frame, click by click."""

import gzip
import json
import subprocess
from collections.abc import Mapping, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from golden import Numbered, Rendered, assert_clicks, assert_picture, render, timeline
from media import FrameCode, expected_frames, make_source, read_frames
from origin import Reply, redirect
from packaged import encrypt, pack_audio, package, read_segments, serving, write_playlist

pytestmark = pytest.mark.media

SECONDS = 20
MEDIA = {"v": Numbered(1, frames=SECONDS * 30)}
CLIPS = [
    {"video_id": "v", "start": 0, "end": 1.1},
    {"video_id": "v", "start": 3.5, "end": 5.2},
    {"video_id": "v", "start": 8, "end": 10},
    {"video_id": "v", "start": 10, "end": 12},
    {"video_id": "v", "start": 12.033, "end": 13.5},
    {"video_id": "v", "start": 18.6, "end": 20},
    {"video_id": "v", "start": 6.9666667, "end": 7.9666667},
]
"""Segments are 4 s long: at the begin, across, on a boundary, up to one, just after one, at the end, inside."""


@pytest.fixture(scope="session")
def source(tmp_path_factory: pytest.TempPathFactory, packaged: str) -> Path:
    """A numbered source of 20 s at 30/s with B-frames, a keyframe each 2 s, clicks in stereo."""
    args = ("-c:v", "libx264", "-preset", "veryfast", "-crf", "30", "-pix_fmt", "yuv420p", "-x264-params", "bframes=3")
    path = tmp_path_factory.mktemp("hls") / "source.mp4"
    return make_source(path, ffmpeg=packaged, source_id=1, seconds=SECONDS, video_args=args)


def failures(rendered: Rendered) -> list[str | None]:
    """Return the message of each clip's first rung; None where it went well."""
    return [clip["attempts"][0]["message"] if clip["attempts"] else "none" for clip in rendered.report["clips"]]


def check(folder: Path, url: str, ffmpeg: str, clips: Sequence[Mapping[str, Any]] = CLIPS, **source: Any) -> Rendered:
    """Render clips of one address, and hold the result against the rule."""
    document = timeline(clips, {"v": {"url": url, **source}})
    rendered = render(folder, document, ffmpeg=ffmpeg)

    assert ([None] * len(clips), 0) == (failures(rendered), rendered.exit_code)
    assert_picture(rendered, document, MEDIA, ffmpeg=ffmpeg)
    assert_clicks(rendered, document, ffmpeg=ffmpeg)
    return rendered


@pytest.mark.parametrize(
    ("args", "suffix"),
    [
        pytest.param((), "ts", id="transport stream"),
        pytest.param(("-hls_segment_type", "fmp4"), "m4s", id="fragmented MP4"),
        pytest.param(("-hls_flags", "single_file"), "ts", id="byte ranges"),
        pytest.param(("-hls_flags", "single_file", "-hls_segment_type", "fmp4"), "m4s", id="byte ranges of MP4"),
        pytest.param(("-output_ts_offset", "5000"), "ts", id="begins late"),
        pytest.param(("-output_ts_offset", "95436"), "ts", id="timestamps wrap"),
        pytest.param(("-output_ts_offset", "5000", "-hls_segment_type", "fmp4"), "m4s", id="MP4 that begins late"),
        pytest.param(("-hls_flags", "round_durations"), "ts", id="rounded durations"),
    ],
)
def test_each_packaging_is_cut_exactly(
    tmp_path: Path, source: Path, packaged: str, ffmpeg: str, args: Sequence[str], suffix: str
) -> None:
    """Every frame and click is in its place, whatever the segments are; the first one's head is fetched beforehand."""
    package(source, tmp_path / "www", ffmpeg=packaged, args=args, suffix=suffix)

    with serving(tmp_path / "www") as origin:
        check(tmp_path, f"{origin.url}/index.m3u8", ffmpeg)
        counts = [origin.count(f"/s{n:03}.{suffix}") for n in range(5)]

    assert 1 == origin.count("/index.m3u8")
    assert [2, 1, 1, 1, 1] == counts or "single_file" in args


@pytest.mark.parametrize("kind", ["mpegts", "fmp4"])
def test_separate_sound_is_as_exact(tmp_path: Path, source: Path, packaged: str, ffmpeg: str, kind: str) -> None:
    """A master playlist whose sound is a rendition of its own: both are fetched, and fit to the sample."""
    www = tmp_path / "www"
    www.mkdir()
    streams = "v:0,agroup:sound a:0,agroup:sound,default:yes"
    command = [packaged, "-v", "error", "-y", "-i", str(source), "-map", "0:v", "-map", "0:a", "-c", "copy"]
    command += ["-f", "hls", "-hls_time", "4", "-hls_playlist_type", "vod", "-hls_segment_type", kind]
    command += ["-var_stream_map", streams, "-master_pl_name", "master.m3u8"]
    command += ["-hls_segment_filename", f"{www}/%v-%03d.seg", f"{www}/%v.m3u8"]
    subprocess.run(command, check=True)

    with serving(www) as origin:
        check(tmp_path, f"{origin.url}/master.m3u8", ffmpeg)

    assert [1, 1, 1] == [origin.count(path) for path in ("/master.m3u8", "/0.m3u8", "/1.m3u8")]


def test_packed_audio_is_as_exact(tmp_path: Path, source: Path, packaged: str, ffmpeg: str) -> None:
    """Sound without a container, timed by ID3 tags; the picture's clock wraps meanwhile."""
    www = tmp_path / "www"
    package(source, www, ffmpeg=packaged, args=("-an", "-output_ts_offset", "95436"))
    begin = round((95436 + Fraction("1.4")) * 90000) - 1024 * 90000 // 48000  # the encoder's priming comes first
    pack_audio(source, www, ffmpeg=packaged, begin=begin)
    master = ["#EXTM3U", '#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="a",NAME="x",DEFAULT=YES,URI="audio.m3u8"']
    master += ['#EXT-X-STREAM-INF:BANDWIDTH=1,CODECS="avc1.4d401e,mp4a.40.2",AUDIO="a"', "index.m3u8"]
    (www / "master.m3u8").write_text("\n".join(master))

    with serving(www) as origin:
        check(tmp_path, f"{origin.url}/master.m3u8", ffmpeg)


@pytest.mark.parametrize("form", ["explicit", "implicit", "rotating"])
@pytest.mark.parametrize("kind", ["ts", "m4s"])
def test_encrypted_segments_are_cut_exactly(
    tmp_path: Path, source: Path, packaged: str, ffmpeg: str, form: str, kind: str
) -> None:
    """AES-128 with an IV that is written, or follows from the number of the segment, and with a key for each."""
    www = tmp_path / "www"
    args = ("-hls_segment_type", "fmp4") if kind == "m4s" else ()
    plain = package(source, www, ffmpeg=packaged, args=args, suffix=kind)
    head = ["#EXT-X-MEDIA-SEQUENCE:7", *(['#EXT-X-MAP:URI="init.mp4"'] if kind == "m4s" else [])]
    segments = []
    for number, (seconds, name) in enumerate(read_segments(plain)):
        key = bytes([number if form == "rotating" else 0, *range(15)])
        iv = (7 + number).to_bytes(16) if form != "explicit" else bytes(range(100, 116))
        (www / f"key{key[0]}").write_bytes(key)
        (www / f"x{number}").write_bytes(encrypt((www / name).read_bytes(), key, iv))
        said = f",IV=0x{iv.hex()}" if form == "explicit" else ""
        segments.append(f'#EXT-X-KEY:METHOD=AES-128,URI="key{key[0]}"{said}\n#EXTINF:{seconds},\nx{number}')
    write_playlist(www / "secret.m3u8", segments, head=head)

    with serving(www) as origin:
        check(tmp_path, f"{origin.url}/secret.m3u8", ffmpeg)
        keys = [seen.path for seen in origin.requests if seen.path.startswith("/key")]

    assert sorted(set(keys)) == sorted(keys)


def test_a_discontinuity_is_cut_in_parts_that_are_exact(
    tmp_path: Path, source: Path, packaged: str, ffmpeg: str
) -> None:
    """A break between two runs, of another size and rate, in the middle of a clip: each run by its own clock."""
    www = tmp_path / "www"
    other = tmp_path / "other.mp4"
    make_source(
        other, ffmpeg=packaged, source_id=2, seconds=8, fps=Fraction(25), width=640, height=360, sample_rate=44100
    )
    package(source, www / "a", ffmpeg=packaged)
    package(other, www / "b", ffmpeg=packaged, args=("-output_ts_offset", "300"))
    runs = [
        [f"#EXTINF:{seconds},\n{run}/{name}" for seconds, name in read_segments(www / run / "index.m3u8")]
        for run in "ab"
    ]
    write_playlist(www / "index.m3u8", [*runs[0], "#EXT-X-DISCONTINUITY", *runs[1], "#EXT-X-DISCONTINUITY", *runs[0]])
    clips = [{"video_id": "v", "start": begin, "end": end} for begin, end in ((19, 21), (22, 23), (27, 30))]

    with serving(www) as origin:
        document = timeline(clips, {"v": f"{origin.url}/index.m3u8"})
        rendered = render(tmp_path, document, ffmpeg=ffmpeg)

    def run(source_id: int, start: int, frames: int, fps: int) -> list[FrameCode]:
        numbers = expected_frames(Fraction(start), frames, Fraction(30), Fraction(fps))
        return [FrameCode(source_id, number) for number in numbers]

    wanted = [*run(1, 19, 30, 30), *run(2, 0, 30, 25), *run(2, 2, 30, 25), *run(2, 7, 30, 25), *run(1, 0, 60, 30)]
    assert [None] * 3 == failures(rendered)
    assert wanted == read_frames(rendered.output, ffmpeg=ffmpeg)
    document["clips"] = [
        {"video_id": "v", "start": start, "duration": seconds}
        for start, seconds in ((19, 1), (0, 1), (2, 1), (7, 1), (0, 2))
    ]  # the same sound, as if there were no break
    assert_clicks(rendered, document, ffmpeg=ffmpeg)


def test_the_smallest_variant_that_is_tall_enough_is_taken(tmp_path: Path, source: Path, packaged: str) -> None:
    """Only its playlist and its segments are fetched."""
    www = tmp_path / "www"
    package(source, www, ffmpeg=packaged)
    lines = ["#EXTM3U"]
    for height in (720, 360, 180, 90):
        lines += [f"#EXT-X-STREAM-INF:BANDWIDTH={height},RESOLUTION={height * 16 // 9}x{height}", f"{height}.m3u8"]
        (www / f"{height}.m3u8").write_bytes((www / "index.m3u8").read_bytes())
    (www / "master.m3u8").write_text("\n".join(lines))

    with serving(www) as origin:
        check(tmp_path, f"{origin.url}/master.m3u8", packaged, CLIPS[:1])

    playlists = [seen.path for seen in origin.requests if seen.path.endswith(".m3u8")]
    assert ["/master.m3u8", "/180.m3u8"] == playlists


def test_addresses_of_every_form_are_followed(tmp_path: Path, source: Path, packaged: str) -> None:
    """Absolute, without a scheme, relative, behind redirects, without a suffix; a playlist that is packed."""
    www = tmp_path / "www"
    segments = read_segments(package(source, www, ffmpeg=packaged))
    for number, (_, name) in enumerate(segments):
        (www / f"segment-{number}").write_bytes((www / name).read_bytes())

    with serving(www) as origin:
        host = urlsplit(origin.url).netloc
        forms = [f"{origin.url}/segment-0", f"//{host}/segment-1", "/segment-2?a=b", "gone/../segment-3", "moved"]
        lines = [f"#EXTINF:{seconds},\n{form}" for (seconds, _), form in zip(segments, forms, strict=True)]
        body = write_playlist(tmp_path / "list", lines).read_bytes()
        origin.script("/moved", redirect("/moved-again", 307))
        origin.script("/moved-again", redirect(f"{origin.url}/segment-4", 301))
        origin.script("/begin", redirect("list"))
        origin.script("/list", Reply(body=body, gzip=True))
        origin.script("/packed", Reply(body=gzip.compress(body)))
        check(tmp_path, f"{origin.url}/begin", packaged)
        check(tmp_path, f"{origin.url}/packed", packaged, CLIPS[:2])


def test_a_live_playlist_is_taken_as_it_is(tmp_path: Path, source: Path, packaged: str) -> None:
    """What it covers is cut; what it doesn't cover yet falls back; it is asked for once."""
    www = tmp_path / "www"
    lines = [f"#EXTINF:{seconds},\n{name}" for seconds, name in read_segments(package(source, www, ffmpeg=packaged))]
    write_playlist(www / "live.m3u8", lines[:3], ended=False)
    clips = [*CLIPS[:3], {"video_id": "v", "start": 11, "end": 13}]

    with serving(www) as origin:
        document = timeline(clips, {"v": f"{origin.url}/live.m3u8"})
        rendered = render(tmp_path, document, ffmpeg=packaged)

    assert 3 == rendered.exit_code
    assert [None, None, None, "short_source"] == [clip["fallback_reason"] for clip in rendered.report["clips"]]
    assert 1 == origin.count("/live.m3u8")


def test_a_gap_fails_the_clips_that_need_it_and_no_other(tmp_path: Path, source: Path, packaged: str) -> None:
    """EXT-X-GAP: the segment is not asked for; its clips have no media."""
    www = tmp_path / "www"
    segments = read_segments(package(source, www, ffmpeg=packaged))
    gaps = ["#EXT-X-GAP\n" if number == 2 else "" for number in range(5)]
    lines = [f"{gap}#EXTINF:{seconds},\n{name}" for gap, (seconds, name) in zip(gaps, segments, strict=True)]
    write_playlist(www / "index.m3u8", lines)

    with serving(www) as origin:
        rendered = render(tmp_path, timeline(CLIPS, {"v": f"{origin.url}/index.m3u8"}), ffmpeg=packaged)

    gone = "missing_file"
    assert [None, None, gone, gone, gone, None, gone] == [clip["fallback_reason"] for clip in rendered.report["clips"]]
    assert 0 == origin.count("/s002.ts")


def test_a_protected_video_is_refused_in_words(tmp_path: Path, source: Path, packaged: str) -> None:
    """DRM is not opened, and nothing but the playlist is fetched."""
    www = tmp_path / "www"
    segments = read_segments(package(source, www, ffmpeg=packaged))
    key = '#EXT-X-KEY:METHOD=SAMPLE-AES,URI="skd://x",KEYFORMAT="com.apple.streamingkeydelivery",KEYFORMATVERSIONS="1"'
    write_playlist(www / "index.m3u8", [key, *(f"#EXTINF:{seconds},\n{name}" for seconds, name in segments)])

    with serving(www) as origin:
        document = timeline(CLIPS, {"v": {"url": f"{origin.url}/index.m3u8", "local": str(source)}})
        rendered = render(tmp_path, document, ffmpeg=packaged)

    assert 0 == rendered.exit_code
    assert {"refused"} == {clip["fallback_reason"] for clip in rendered.report["clips"]}
    assert all("DRM" in str(message) for message in failures(rendered))
    assert ["/index.m3u8"] == [seen.path for seen in origin.requests]
    assert_picture(rendered, document, MEDIA, ffmpeg=packaged)


def test_only_the_head_of_the_first_segment_is_fetched_to_find_zero(
    tmp_path: Path, source: Path, packaged: str, ffmpeg: str
) -> None:
    """A clip far inside costs its own segments, and 64 kB that tell where the video's time begins."""
    package(source, tmp_path / "www", ffmpeg=packaged)

    with serving(tmp_path / "www") as origin:
        rendered = check(tmp_path, f"{origin.url}/index.m3u8", ffmpeg, CLIPS[4:6])

    asked = {(seen.path, seen.range) for seen in origin.requests}
    assert ("/s000.ts", "bytes=0-65535") in asked
    assert {"/index.m3u8", "/s000.ts", "/s002.ts", "/s003.ts", "/s004.ts"} == {path for path, _ in asked}
    stats = json.loads(json.dumps(rendered.report["clip_stats"]))
    assert (len(origin.requests), origin.bytes_sent) == (stats["requests"], stats["bytes_fetched"])


def test_videos_that_are_opened_at_once_dont_mix(tmp_path: Path, source: Path, packaged: str) -> None:
    """Four videos whose clocks begin at other times: each has its own zero, and its own bytes."""
    names = {"a": "0", "b": "100", "c": "5000", "d": "95436"}
    for name, offset in names.items():
        args = ("-output_ts_offset", offset)
        package(source, tmp_path / "www" / name, ffmpeg=packaged, seconds=10, args=args)
    clips = [{"video_id": name, "start": start, "end": start + 1} for start in (12, 3.3) for name in names]

    with serving(tmp_path / "www") as origin:
        document = timeline(clips, {name: f"{origin.url}/{name}/index.m3u8" for name in names})
        rendered = render(tmp_path, document, "--concurrency", "8", ffmpeg=packaged)

    assert [None] * 8 == failures(rendered)
    assert_picture(rendered, document, dict.fromkeys(names, MEDIA["v"]), ffmpeg=packaged)
    assert_clicks(rendered, document, ffmpeg=packaged)
