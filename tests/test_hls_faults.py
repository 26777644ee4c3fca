"""What goes wrong between an HLS origin and a clip: for each fault its outcome, its reason, how often was asked."""

import functools
import ssl
from collections.abc import Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
import trustme
from golden import Numbered, Rendered, assert_picture, render, timeline
from media import make_source
from origin import Origin, Reply, redirect, retry_after_seconds
from packaged import pack_audio, package, read_segments, serving, write_playlist

from clipcut.network.addresses import AddressBook, Zone
from clipcut.network.ask import Patience
from clipcut.network.fetch import Fetcher
from clipcut.sources import remote

pytestmark = pytest.mark.media

MEDIA = {"v": Numbered(1, frames=360), "w": Numbered(1, frames=360)}
FAULTY = "/s001.ts"
BLACK = "fallback-placeholder"
PAST = {"Retry-After": "Wed, 21 Oct 2015 07:28:00 GMT"}
BEFORE, INSIDE, AFTER = ({"video_id": "v", "start": start, "duration": 1} for start in (0.5, 3, 5))
"""Segments are 2 s long: a clip in the first, in the second (which is faulty), in the third."""


@pytest.fixture(scope="session")
def www(tmp_path_factory: pytest.TempPathFactory, packaged: str) -> Path:
    """A numbered source of 12 s, packaged in six segments of 2 s; the source itself lies beside the folder."""
    folder = tmp_path_factory.mktemp("faults")
    source = make_source(folder / "source.mp4", ffmpeg=packaged, source_id=1, seconds=12, pattern=False)
    package(source, folder / "www", ffmpeg=packaged, seconds=2)
    return folder / "www"


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wait a little less than usual."""
    patience = Patience(connect_s=2, silence_s=0.4, total_s=5, window_s=0.3, least_rate=2000, pause_s=2, backoff_s=0.01)
    monkeypatch.setattr(remote, "Fetcher", functools.partial(Fetcher, patience=patience))


@pytest.fixture
def origin(www: Path) -> Iterator[Origin]:
    """An origin of the packaged source that can be broken."""
    with serving(www) as found:
        yield found


def render_three(folder: Path, url: str, ffmpeg: str, *flags: str, **source: Any) -> Rendered:
    """Render the three clips, and see that those that came out fine show what they must."""
    document = timeline([BEFORE, INSIDE, AFTER], {"v": {"url": url, **source}})
    rendered = render(folder, document, "--max-retry", "2", *flags, ffmpeg=ffmpeg)
    if rendered.exit_code in (0, 3):
        statuses = [clip["status"] for clip in rendered.report["clips"]]
        fates = zip(document["clips"], statuses, strict=True)
        document["clips"] = [clip | ({"video_id": "x"} if fate == BLACK else {}) for clip, fate in fates]
        assert_picture(rendered, document, MEDIA, ffmpeg=ffmpeg)
    return rendered


def reasons(rendered: Rendered) -> list[str | None]:
    """Return each clip's reason for falling back."""
    return [clip["fallback_reason"] for clip in rendered.report["clips"]]


@pytest.mark.parametrize(
    ("replies", "reason", "asked"),
    [
        pytest.param([Reply(status=404)], "http_404", 1, id="404"),
        pytest.param([Reply(status=410)], "http_410", 1, id="410"),
        pytest.param([Reply(status=401)], "http_401", 1, id="401"),
        pytest.param([Reply(status=403)], "http_403", 1, id="403, a signed address that ran out"),
        pytest.param([Reply(status=418)], "http_4xx", 1, id="another refusal"),
        pytest.param([Reply(status=500)], "http_5xx", 3, id="500"),
        pytest.param([Reply(status=503)], "http_5xx", 3, id="503"),
        pytest.param([Reply(status=429)], "http_429", 3, id="429"),
        pytest.param([Reply(status=408)], "http_4xx", 3, id="408"),
        pytest.param([Reply(body=bytes(range(256)) * 50)], "undecodable", 1, id="random bytes"),
        pytest.param([Reply(body=b"<html>sign in</html>")], "undecodable", 1, id="captive portal"),
        pytest.param([Reply(cut_at=5000)], "truncated", 3, id="half a body"),
        pytest.param([Reply(declared=18800)], "truncated", 1, id="wrong length, whole packets"),
        pytest.param([Reply(declared=20000)], "truncated", 3, id="wrong length"),
        pytest.param([Reply(hang=True)], "timeout", 3, id="no answer"),
        pytest.param([Reply(drip=(100, 0.1))], "timeout", 3, id="drip"),
        pytest.param([Reply(reset=True)], "connection", 3, id="reset"),
        pytest.param([Reply(reset=True, cut_at=3000)], "connection", 3, id="reset in the middle"),
        pytest.param([redirect("/s001.ts")], "refused", 9, id="redirect loop"),
        pytest.param([redirect("file:///etc/passwd")], "refused", 1, id="redirect to a file"),
        pytest.param([Reply(status=429, headers=retry_after_seconds(86400))], "http_429", 1, id="absurd Retry-After"),
        pytest.param([Reply(body=b"")], "undecodable", 1, id="nothing"),
    ],
)
def test_a_segment_that_stays_bad_fails_its_clip_only(
    tmp_path: Path, packaged: str, origin: Origin, replies: Sequence[Reply], reason: str, asked: int
) -> None:
    """The clip that needs it becomes a placeholder with the reason; the others are right; nobody hammers."""
    origin.script(FAULTY, *replies)

    rendered = render_three(tmp_path, f"{origin.url}/index.m3u8", packaged)

    assert ([None, reason, None], 3) == (reasons(rendered), rendered.exit_code)
    assert (asked, 1) == (origin.count(FAULTY), origin.count("/index.m3u8"))
    assert max(0, asked - 1) * (reason != "refused") == rendered.report["clip_stats"]["retries"]


@pytest.mark.parametrize(
    "reply",
    [
        pytest.param(Reply(status=503), id="503"),
        pytest.param(Reply(status=429), id="429"),
        pytest.param(Reply(status=429, headers=retry_after_seconds(1)), id="429 with Retry-After"),
        pytest.param(Reply(status=503, headers=PAST), id="a date that is past"),
        pytest.param(Reply(cut_at=5000), id="half a body"),
        pytest.param(Reply(declared=20000), id="wrong length"),
        pytest.param(Reply(reset=True), id="reset"),
        pytest.param(Reply(hang=True), id="no answer"),
        pytest.param(Reply(status=425), id="too early"),
    ],
)
def test_a_segment_that_fails_once_costs_a_retry(tmp_path: Path, packaged: str, origin: Origin, reply: Reply) -> None:
    """It is asked for once more, which is counted and logged, and the clip is right."""
    origin.script(FAULTY, reply, Reply())

    rendered = render_three(tmp_path, f"{origin.url}/index.m3u8", packaged)

    assert ([None] * 3, 0) == (reasons(rendered), rendered.exit_code)
    assert (2, 1) == (origin.count(FAULTY), rendered.report["clip_stats"]["retries"])
    assert [0, 1, 0] == [clip["attempts"][0]["retries"] for clip in rendered.report["clips"]]
    assert 1 == (tmp_path / "log").read_text().count('"clip.retry"')


@pytest.mark.parametrize("when", ["playlist", "head"])
def test_one_request_in_a_row_that_fails_once_is_no_placeholder(
    tmp_path: Path, packaged: str, origin: Origin, when: str
) -> None:
    """Playlists and heads are asked for again too."""
    origin.script("/index.m3u8" if when == "playlist" else "/s000.ts", Reply(status=500), Reply())

    rendered = render_three(tmp_path, f"{origin.url}/index.m3u8", packaged)

    assert ([None] * 3, 0) == (reasons(rendered), rendered.exit_code)
    assert 1 == rendered.report["clip_stats"]["retries"]


@pytest.mark.parametrize(
    ("reply", "reason", "asked"),
    [
        pytest.param(Reply(status=404), "http_404", 1, id="404"),
        pytest.param(Reply(status=410), "http_410", 1, id="410"),
        pytest.param(Reply(status=403), "http_403", 1, id="403"),
        pytest.param(Reply(body=b"<html>sign in</html>"), "bad_playlist", 1, id="captive portal"),
        pytest.param(Reply(body=b"#EXTM3U\n#EXTINF:x,\ns\n"), "bad_playlist", 1, id="nonsense"),
        pytest.param(Reply(body=b"#EXTM3U\n" + b"#\n" * 9_000_000), "too_large", 1, id="too large"),
        pytest.param(Reply(body=b"#EXTM3U\n" + b"#\n" * 9_000_000, gzip=True), "too_large", 1, id="gzip bomb"),
        pytest.param(Reply(body=b"#EXTM3U\n#EXTINF:2,\nfile:///etc/passwd\n"), "refused", 1, id="leads to a file"),
    ],
)
def test_a_video_whose_playlist_is_bad_falls_back_as_a_whole(
    tmp_path: Path, packaged: str, origin: Origin, www: Path, reply: Reply, reason: str, asked: int
) -> None:
    """Exactly its clips fall back, whoever asks first; the playlist isn't asked for again."""
    origin.script("/index.m3u8", reply)
    other = {"video_id": "w", "start": 1, "duration": 1}
    sources = {"v": f"{origin.url}/index.m3u8", "w": str(www.parent / "source.mp4")}
    document = timeline([BEFORE, other, INSIDE, AFTER], sources)

    rendered = render(tmp_path, document, ffmpeg=packaged)

    clips = rendered.report["clips"]
    assert ([reason, None, reason, reason], 3) == (reasons(rendered), rendered.exit_code)
    assert asked == origin.count()
    outcomes = sorted(clip["attempts"][0]["outcome"] for clip in clips if clip["video_id"] == "v")
    assert outcomes == (["failed", "skipped", "skipped"] if reason in ("http_404", "http_410") else ["failed"] * 3)
    stats = rendered.report["clip_stats"]
    assert (4, 1, 3) == (stats["total_tasks"], stats["success_tasks"], stats["placeholder_tasks"])
    document["clips"] = [clip | ({} if clip is other else {"video_id": "x"}) for clip in document["clips"]]
    assert_picture(rendered, document, MEDIA, ffmpeg=packaged)


def test_a_video_that_is_gone_falls_back_to_its_local_copy(
    tmp_path: Path, packaged: str, origin: Origin, www: Path
) -> None:
    """The ladder: remote, then local, and the render is complete."""
    origin.script("/index.m3u8", Reply(status=404))

    rendered = render_three(
        tmp_path, f"{origin.url}/index.m3u8", packaged, local=["gone.mp4", str(www.parent / "source.mp4")]
    )

    assert 0 == rendered.exit_code
    assert ["fallback-local"] * 3 == [clip["status"] for clip in rendered.report["clips"]]
    assert ["remote", "local", "local"] == [a["method"] for a in rendered.report["clips"][0]["attempts"]]


def test_one_segment_in_ten_that_fails_once_makes_no_placeholder(tmp_path: Path, packaged: str, www: Path) -> None:
    """Twelve clips over twenty segments of which two fail once: all are fine, two requests were sent again."""
    args = ("-hls_flags", "split_by_time")
    package(www.parent / "source.mp4", tmp_path / "www", ffmpeg=packaged, seconds=0.6, args=args)
    clips = [{"video_id": "v", "start": start, "duration": 1} for start in range(11)]

    with serving(tmp_path / "www") as origin:
        for number, reply in ((3, Reply(status=503)), (13, Reply(cut_at=400))):
            origin.script(f"/s{number:03}.ts", reply, Reply())
        document = timeline(clips, {"v": f"{origin.url}/index.m3u8"})
        rendered = render(tmp_path, document, ffmpeg=packaged)

    assert (0, 2) == (rendered.exit_code, rendered.report["clip_stats"]["retries"])
    assert_picture(rendered, document, MEDIA, ffmpeg=packaged)


@pytest.mark.parametrize(
    ("address", "reason"),
    [
        pytest.param("http://no-such-host.invalid/index.m3u8", "dns", id="unknown name"),
        pytest.param("http://127.0.0.1:1/index.m3u8", "connection", id="refused port"),
    ],
)
def test_a_host_that_cant_be_reached_is_asked_again_and_then_given_up(
    tmp_path: Path, packaged: str, www: Path, address: str, reason: str
) -> None:
    """Its clips fall back, with the reason."""
    document = timeline([BEFORE], {"v": {"url": address, "local": str(www.parent / "source.mp4")}})

    rendered = render(tmp_path, document, "--max-retry", "2", ffmpeg=packaged)

    assert ([reason], 0) == (reasons(rendered), rendered.exit_code)
    assert 2 == rendered.report["clip_stats"]["retries"]


def test_on_missing_fail_and_max_placeholders_end_the_render(tmp_path: Path, packaged: str, origin: Origin) -> None:
    """Network clips are judged like others."""
    origin.script(FAULTY, Reply(status=404))
    url = f"{origin.url}/index.m3u8"

    assert 1 == render_three(tmp_path, url, packaged, "--on-missing", "fail").exit_code
    assert 1 == render_three(tmp_path, url, packaged, "--max-placeholders", "0").exit_code
    assert 3 == render_three(tmp_path, url, packaged, "--max-placeholders", "1").exit_code


def test_a_range_that_is_ignored_gives_the_right_bytes(tmp_path: Path, packaged: str, www: Path) -> None:
    """A server that answers 200 with the whole file: what was asked for is taken out of it."""
    package(www.parent / "source.mp4", tmp_path / "www", ffmpeg=packaged, seconds=2, args=("-hls_flags", "single_file"))

    with serving(tmp_path / "www") as origin:
        origin.script("/s.ts", Reply(ignore_range=True))
        rendered = render_three(tmp_path, f"{origin.url}/index.m3u8", packaged)

    assert ([None] * 3, 0) == (reasons(rendered), rendered.exit_code)


def test_a_certificate_that_isnt_trusted_fails_and_isnt_retried(
    tmp_path: Path, packaged: str, www: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A good host's playlist leads to segments of one with a certificate of nobody: ``tls``, at once."""
    good, bad = trustme.CA(), trustme.CA()
    good.cert_pem.write_to_path(tmp_path / "ca.pem")
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    segments = read_segments(www / "index.m3u8")

    with (
        serving(www, host="localhost", tls=_server_context(good)) as fine,
        serving(www, host="localhost", tls=_server_context(bad)) as other,
    ):
        lines = [f"#EXTINF:{seconds},\n{other.url if name == 's001.ts' else ''}/{name}" for seconds, name in segments]
        fine.script("/index.m3u8", Reply(body=write_playlist(tmp_path / "list", lines).read_bytes()))
        rendered = render_three(tmp_path, f"{fine.url}/index.m3u8", packaged)

    assert ([None, "tls", None], 0) == (reasons(rendered), rendered.report["clip_stats"]["retries"])


def _server_context(ca: trustme.CA) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ca.issue_cert("localhost").configure_cert(context)
    return context


@pytest.mark.parametrize("how", ["segment", "redirect", "key"])
def test_a_public_playlist_leads_to_no_private_host(
    tmp_path: Path, packaged: str, www: Path, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    """127.0.0.1 plays a public host, 127.0.0.2 a private one: nothing is sent there, by whichever way."""

    def zone(address: str) -> Zone:
        return Zone.PRIVATE if address == "127.0.0.2" else Zone.PUBLIC

    monkeypatch.setattr(remote, "AddressBook", functools.partial(AddressBook, zone=zone))
    with serving(www) as public, serving(www, host="127.0.0.2") as private:
        target = f"{private.url}/s001.ts"
        lines = [f"#EXTINF:{seconds},\n{name}" for seconds, name in read_segments(www / "index.m3u8")]
        if how == "segment":
            lines[1] = lines[1].replace("s001.ts", target)
        elif how == "key":
            lines[1] = f'#EXT-X-KEY:METHOD=AES-128,URI="{private.url}/key"\n{lines[1]}\n#EXT-X-KEY:METHOD=NONE'
        else:
            public.script(FAULTY, redirect(target))
        public.script("/index.m3u8", Reply(body=write_playlist(tmp_path / "list", lines).read_bytes()))
        rendered = render_three(tmp_path, f"{public.url}/index.m3u8", packaged)
        own = render_three(tmp_path, f"{private.url}/index.m3u8", packaged)

    assert ([None, "refused", None], 3) == (reasons(rendered), rendered.exit_code)
    assert {"/index.m3u8", *(f"/s00{number}.ts" for number in range(4))} == {seen.path for seen in private.requests}
    assert 0 == own.exit_code  # the user's own address may be private, and leads to its own network


def picture_begins(segment: bytes) -> list[int]:
    """Return where in a transport stream a picture begins: packets that begin a unit of the video's."""
    return [
        at
        for at in range(0, len(segment), 188)
        if segment[at + 1] & 0x40 and (segment[at + 1] & 0x1F) << 8 | segment[at + 2] == 0x100
    ]


@pytest.mark.parametrize("missing", [1, 2, 10, 40])
@pytest.mark.parametrize("mute", [False, True], ids=["with sound", "mute"])
def test_a_segment_that_lost_its_last_pictures_is_no_whole_one(
    tmp_path: Path, packaged: str, origin: Origin, www: Path, missing: int, mute: bool
) -> None:
    """Cut off at the end of a picture, with an honest length: all that is there decodes, and a hole remains."""
    whole = (www / "s001.ts").read_bytes()
    origin.script(FAULTY, Reply(body=whole[: picture_begins(whole)[-missing]]))
    spans = ((1.5, 3), (5, 1), (2.1, 0.3))
    clips = [{"video_id": "v", "start": start, "duration": length, "mute": mute} for start, length in spans]

    rendered = render(tmp_path, timeline(clips, {"v": f"{origin.url}/index.m3u8"}), ffmpeg=packaged)

    assert ["truncated", None, None] == reasons(rendered)


@pytest.mark.parametrize("filler", [b"\0", b"\x47\xe1\x07", b""], ids=["zeros", "noise", "lost"])
def test_a_segment_with_a_hole_is_no_good_one(
    tmp_path: Path, packaged: str, origin: Origin, www: Path, filler: bytes
) -> None:
    """Demuxers look for the next packet and say nothing; sound goes on behind the hole, so it is no short segment."""
    whole = (www / "s001.ts").read_bytes()
    first, end = picture_begins(whole)[-30], len(whole) - 188 * 8
    hole = (filler * (end - first))[: end - first]
    origin.script(FAULTY, Reply(body=whole[:first] + hole + whole[end:]))
    clips = [{"video_id": "v", "start": start, "duration": 0.5} for start in (3.4, 5, 0.5)]

    rendered = render(tmp_path, timeline(clips, {"v": f"{origin.url}/index.m3u8"}), ffmpeg=packaged)

    assert (["undecodable", None, None], 3) == (reasons(rendered), rendered.exit_code)


def test_packed_audio_that_lost_its_last_frames_is_no_whole_one(tmp_path: Path, www: Path, packaged: str) -> None:
    """Cut off at the end of a frame: all that is there decodes, and the next segment begins too late."""
    source, www = www.with_name("source.mp4"), tmp_path / "www"
    package(source, www, ffmpeg=packaged, args=("-an",))
    pack_audio(source, www, ffmpeg=packaged, begin=round(Fraction("1.4") * 90000) - 1024 * 90000 // 48000)
    whole = (www / "a0").read_bytes()
    frame = whole.index(whole[73:76], len(whole) * 3 // 4)
    assert b"\xff\xf1" == whole[73:75]
    (www / "a0").write_bytes(whole[:frame])
    master = ["#EXTM3U", '#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="a",NAME="x",DEFAULT=YES,URI="audio.m3u8"']
    master += ['#EXT-X-STREAM-INF:BANDWIDTH=1,CODECS="avc1.4d401e,mp4a.40.2",AUDIO="a"', "index.m3u8"]
    (www / "master.m3u8").write_text("\n".join(master))
    clips = [{"video_id": "v", "start": start, "duration": 2} for start in (3, 6)]

    with serving(www) as origin:
        rendered = render(tmp_path, timeline(clips, {"v": f"{origin.url}/master.m3u8"}), ffmpeg=packaged)

    assert ["truncated", None] == reasons(rendered)
