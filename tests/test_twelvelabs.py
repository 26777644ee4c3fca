"""Videos of a TwelveLabs index: asked for once, again when their address has run out, and the key goes nowhere else."""

import contextlib
import datetime as dt
import functools
import gzip
import itertools
import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs
import httpx
import pytest
import trio
import trio.testing
from golden import Numbered, Rendered, assert_picture, render, timeline
from media import make_source
from origin import Origin, Reply, Seen, redirect, retry_after_seconds
from packaged import package, serving
from test_secrets import all_bytes, watching_ffmpeg
from twelvelabs_api import INDEX, KEY, Said, StandIn, document, rate_limit, stream, video_document

from clipcut.errors import Reason, SourceError
from clipcut.jsonio import load_timeline
from clipcut.network.addresses import AddressBook, Zone
from clipcut.network.ask import Patience
from clipcut.network.fetch import Fetcher
from clipcut.network.http import Wire
from clipcut.sources import remote
from clipcut.sources.twelvelabs import JITTER_S, TwelveLabsApi, rate_limit_pause
from clipcut.sources.twelvelabs_key import open_key_file

MEDIA = {name: Numbered(number, frames=240) for number, name in enumerate(("v1", "v2", "v3"), 1)}
BLACK = "fallback-placeholder"
SIGNATURE = "canary-in-a-signature"
NOW = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
ENVIRON = {"TWELVELABS_API_KEY": KEY}
PLAYLIST = "https://cdn.example/v1/index.m3u8"
LookUp = Callable[[str], Awaitable[tuple[str, Zone]]]


@pytest.fixture(scope="session")
def www(tmp_path_factory: pytest.TempPathFactory, packaged: str) -> Path:
    """Three numbered videos of 8 s in segments of 2 s, each under two addresses; their sources lie beside it."""
    folder = tmp_path_factory.mktemp("twelvelabs")
    for name, numbered in MEDIA.items():
        path = folder / f"{name}.mp4"
        make_source(path, ffmpeg=packaged, source_id=numbered.source_id, seconds=8, pattern=False)
        package(path, folder / "www" / name, ffmpeg=packaged, seconds=2)
        (folder / "www" / "later").mkdir(exist_ok=True)
        (folder / "www" / "later" / name).symlink_to(folder / "www" / name)
    return folder / "www"


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Never ask the real API, which needs a key; wait less than usual."""
    monkeypatch.setenv("TWELVELABS_BASE_URL", "http://127.0.0.1:1/v1.3")
    monkeypatch.setenv("TWELVELABS_API_KEY", KEY)
    monkeypatch.delenv("TWELVELABS_API_KEY_FILE", raising=False)
    patience = Patience(connect_s=2, silence_s=2, total_s=5, backoff_s=0.01)
    monkeypatch.setattr(remote, "Fetcher", functools.partial(Fetcher, patience=patience))
    monkeypatch.setattr(remote, "TwelveLabsApi", functools.partial(TwelveLabsApi, jitter=lambda _: 0.0))


@attrs.frozen
class Lab:
    """The API behind an origin of its own, and the origin on another host that has the streams."""

    api: StandIn
    door: Origin
    cdn: Origin
    www: Path
    monkeypatch: pytest.MonkeyPatch

    def address(self, video: str, folder: str = "") -> str:
        """Return the address of a video's playlist."""
        return f"{self.cdn.url}{folder}/{video}/index.m3u8"

    def local(self, video: str) -> str:
        """Return the path of a video's local copy."""
        return str(self.www.parent / f"{video}.mp4")

    def render(self, folder: Path, document: Mapping[str, Any], *flags: str, ffmpeg: str) -> Rendered:
        """Render against this API."""
        self.monkeypatch.setenv("TWELVELABS_BASE_URL", self.api.install(self.door))
        return render(folder, document, *flags, ffmpeg=ffmpeg)


@pytest.fixture
def lab(www: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Lab]:
    """An API that knows no video yet."""
    with serving(www, host="127.0.0.2") as cdn, serving(www / "none") as door:
        yield Lab(StandIn(), door, cdn, www, monkeypatch)


def source(video: str, **more: Any) -> dict[str, Any]:
    """Make a source."""
    return {"twelvelabs": {"index_id": INDEX, "video_id": video}, **more}


def clips(video: str, *starts: float) -> list[dict[str, Any]]:
    """Make clips of 0.6 s."""
    return [{"video_id": video, "start": start, "duration": 0.6} for start in starts]


def reasons(rendered: Rendered) -> list[str | None]:
    """Return each clip's reason for falling back."""
    return [clip["fallback_reason"] for clip in rendered.report["clips"]]


def messages(rendered: Rendered) -> list[str | None]:
    """Return what each clip's first rung says."""
    return [clip["attempts"][0]["message"] for clip in rendered.report["clips"]]


def assert_right(rendered: Rendered, document: dict[str, Any], ffmpeg: str) -> None:
    """Assert that every frame is right of the clips that are no placeholders."""
    fates = zip(document["clips"], rendered.report["clips"], strict=True)
    shown = [clip | ({"video_id": "x"} if fate["status"] == BLACK else {}) for clip, fate in fates]
    assert_picture(rendered, document | {"clips": shown}, MEDIA, ffmpeg=ffmpeg)


def expire(origin: Origin, www: Path, folder: str, after: int, delay: float = 0.0) -> list[Seen]:
    """Answer 403 below a folder after so many requests; return the list of those that were refused."""
    numbers, refused = itertools.count(), []

    def answer(seen: Seen) -> Reply:
        if next(numbers) < after:
            return Reply()
        refused.append(seen)
        return Reply(status=403, delay=delay)

    for path in (www / folder).iterdir():
        origin.script(f"/{folder}/{path.name}", answer)
    return refused


# Whole renders


@pytest.mark.media
def test_each_video_is_asked_for_once_when_it_has_many_clips(
    tmp_path: Path, packaged: str, lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Three videos, nine clips, three calls, each by the newer route; and every frame is right."""
    monkeypatch.setattr(remote, "TwelveLabsApi", TwelveLabsApi)  # with its jitter
    for video in MEDIA:
        lab.api.add(video, stream(lab.address(video)))
    listed = [*clips("v1", 0, 3.1), *clips("v2", 1.5, 7.4, 4), *clips("v3", 6, 2, 0.5, 5.2)]
    document = timeline(listed[::2] + listed[1::2], {video: source(video) for video in MEDIA})

    rendered = lab.render(tmp_path, document, "--concurrency", "6", ffmpeg=packaged)

    assert ([None] * 9, 0) == (reasons(rendered), rendered.exit_code)
    assert dict.fromkeys(MEDIA, 1) == lab.api.calls
    assert len(lab.door.requests) + len(lab.cdn.requests) == rendered.report["clip_stats"]["requests"]
    assert {f"twelvelabs:{INDEX}/{video}" for video in MEDIA} == {clip["source"] for clip in rendered.report["clips"]}
    assert_right(rendered, document, packaged)


@pytest.mark.media
def test_each_thing_that_can_be_wrong_has_its_reason_and_words(tmp_path: Path, packaged: str, lab: Lab) -> None:
    """No stream, not ready, unknown: the clips fall back, each to its local copy where it has one; older ones work."""
    lab.api.add("mute", None)
    lab.api.add("early", stream(None, "PROCESSING"))
    lab.api.add("broken", stream(None, "ERROR"))
    lab.api.add("lost")
    lab.api.add("garbage", Reply(body=b"<html>sign in</html>"))
    lab.api.add("strange", stream("http://[::1/index.m3u8"))
    lab.api.add("v3", stream(lab.address("v3")), is_older=True)
    document = timeline(
        [
            *(clip | {"video_id": "v1"} for clip in clips("mute", 1, 2)),
            *(clip | {"video_id": "v2"} for clip in clips("early", 3)),
            *(clip for name in ("lost", "broken", "garbage", "strange") for clip in clips(name, 4)),
            *clips("v3", 5),
        ],
        {
            "v1": source("mute", local=lab.local("v1")),
            "v2": source("early", local=["gone.mp4", lab.local("v2")]),
            **{name: source(name) for name in ("lost", "broken", "garbage", "strange")},
            "v3": source("v3"),
        },
    )

    rendered = lab.render(tmp_path, document, ffmpeg=packaged)

    expected = ["no_video", "no_video", "not_ready", "http_404", "no_video", "undecodable", "refused", None]
    assert (expected, 3) == (reasons(rendered), rendered.exit_code)
    assert ["fallback-local"] * 3 + [BLACK] * 4 + ["success"] == [clip["status"] for clip in rendered.report["clips"]]
    words = [
        "video mute of index " + INDEX + " has no stream: it was uploaded without enable_video_stream",
        "video mute of index " + INDEX + " has no stream",
        "video early of index " + INDEX + " isn't ready yet; its status is 'PROCESSING'",
        "TwelveLabs knows no video lost in index " + INDEX,
        "video broken of index " + INDEX + " has no stream: preparing it ended with 'ERROR'",
        "what TwelveLabs says of the TwelveLabs video garbage of index " + INDEX + " can't be read",
        "TwelveLabs leads to something that is no http(s) address",
    ]
    found = messages(rendered)
    assert [] == [(text, said) for text, said in zip(words, found, strict=False) if text not in (said or "")]
    assert {"mute": 1, "early": 1, "broken": 1, "lost": 2, "garbage": 1, "strange": 1, "v3": 2} == lab.api.calls
    assert_right(rendered, document, packaged)


@pytest.mark.media
def test_a_key_that_isnt_accepted_makes_the_clips_fall_back(tmp_path: Path, packaged: str, lab: Lab) -> None:
    """``http_401``, and words that name the variable; one call for each video, however many clips it has."""
    lab.api.key = "another"
    lab.api.add("v1", stream(lab.address("v1")))
    document = timeline(clips("v1", 1, 3, 5), {"v1": source("v1", local=lab.local("v1"))})

    rendered = lab.render(tmp_path, document, ffmpeg=packaged)

    assert (["http_401"] * 3, 0) == (reasons(rendered), rendered.exit_code)
    assert {
        "TwelveLabs doesn't accept the API key (TwelveLabs: the server answers 401); look at TWELVELABS_API_KEY"
    } == {*messages(rendered)}
    assert ({"v1": 1}, 0) == (lab.api.calls, lab.cdn.count())
    assert_right(rendered, document, packaged)


@pytest.mark.media
@pytest.mark.parametrize(
    ("after", "delay"),
    [
        pytest.param(0, 0.0, id="before the playlist"),
        pytest.param(1, 0.4, id="after the playlist, met by all clips at once"),
        pytest.param(4, 0.0, id="in the middle"),
    ],
)
def test_an_address_that_runs_out_is_asked_for_once_more(
    tmp_path: Path, packaged: str, lab: Lab, after: int, delay: float
) -> None:
    """One more call for that video and none for others; no placeholder, every frame right."""
    lab.api.add("v1", stream(lab.address("v1")), stream(lab.address("v1", "/later")))
    lab.api.add("v2", stream(lab.address("v2")))
    refused = expire(lab.cdn, lab.www, "v1", after, delay)
    document = timeline(
        [*clips("v1", 0.5, 2.5), *clips("v2", 3), *clips("v1", 4.5, 6.5, 1.8)], {"v1": source("v1"), "v2": source("v2")}
    )

    rendered = lab.render(tmp_path, document, "--concurrency", "6", "--per-video", "5", ffmpeg=packaged)

    assert ([None] * 6, 0) == (reasons(rendered), rendered.exit_code)
    assert {"v1": 2, "v2": 1} == lab.api.calls
    assert (4 if delay else 1) <= len(refused)
    assert ["remote"] * 6 == [attempt["method"] for clip in rendered.report["clips"] for attempt in clip["attempts"]]
    assert_right(rendered, document, packaged)


@pytest.mark.media
@pytest.mark.parametrize("after", [0, 1], ids=["the playlist", "its segments"])
def test_an_address_that_is_forbidden_for_ever_is_given_up(tmp_path: Path, packaged: str, lab: Lab, after: int) -> None:
    """One more call, then the clips fall back, with the reason; whoever comes later doesn't ask again."""
    lab.api.add("v1", stream(lab.address("v1")), stream(lab.address("v1", "/later")))
    refused = [expire(lab.cdn, lab.www, folder, after) for folder in ("v1", "later/v1")]
    document = timeline(clips("v1", 0.5, 2.5, 4.5, 6.5), {"v1": source("v1", local=lab.local("v1"))})

    rendered = lab.render(tmp_path, document, ffmpeg=packaged)

    assert (["http_403"] * 4, 0) == (reasons(rendered), rendered.exit_code)
    assert {"v1": 2} == lab.api.calls
    assert [1, 1] == [lab.cdn.count(f"{folder}/v1/index.m3u8") for folder in ("", "/later")]
    assert max(map(len, refused)) <= 5
    assert_right(rendered, document, packaged)


@pytest.mark.media
@pytest.mark.parametrize(
    ("is_file", "is_accepted"),
    [
        pytest.param(False, True, id="variable"),
        pytest.param(True, True, id="file"),
        pytest.param(False, False, id="not accepted"),
    ],
)
def test_the_key_reaches_the_api_and_nothing_else(
    tmp_path: Path,
    packaged: str,
    lab: Lab,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    is_file: bool,
    is_accepted: bool,
) -> None:
    """No other origin, no argument or variable of a child, no log, report or file; on requests sent again too."""
    if is_file:
        (tmp_path / "key").write_text(f"{KEY}\n")
        monkeypatch.delenv("TWELVELABS_API_KEY")
        monkeypatch.setenv("TWELVELABS_API_KEY_FILE", str(tmp_path / "key"))
    lab.api.key = KEY if is_accepted else "another"
    again = [Reply(status=503), Reply(status=429, headers=rate_limit(0, 1))]
    lab.api.add("v1", *again, stream(f"{lab.address('v1')}?Signature={SIGNATURE}"))
    lab.cdn.script("/v1/s001.ts", Reply(status=503), Reply())
    job = tmp_path / "job"
    job.mkdir()
    document = timeline(clips("v1", 0.5, 2.5), {"v1": source("v1", local=lab.local("v1"))})

    ffmpeg = watching_ffmpeg(tmp_path / "ffmpeg", packaged)
    rendered = lab.render(job, document, "-v", ffmpeg=str(ffmpeg))

    assert 0 == rendered.exit_code
    assert (["success"] if is_accepted else ["fallback-local"]) * 2 == [
        clip["status"] for clip in rendered.report["clips"]
    ]
    assert [KEY] * (3 if is_accepted else 1) == [seen.headers["x-api-key"] for seen in lab.door.requests]
    assert is_accepted == any(SIGNATURE in seen.query for seen in lab.cdn.requests)
    assert [] == [seen for seen in lab.cdn.requests if "x-api-key" in seen.headers or KEY in str(seen)]
    said = "".join(capfd.readouterr()).encode() + all_bytes(job) + (tmp_path / "ffmpeg.seen").read_bytes()
    assert INDEX.encode() in said
    assert [] == [canary for canary in (KEY, SIGNATURE) if canary.encode() in said]


@pytest.mark.media
def test_a_public_api_leads_to_no_private_host(
    tmp_path: Path, packaged: str, lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    """127.0.0.1 plays the public API, 127.0.0.2 a private host: nothing is sent there, not by a redirect either."""

    def zone(address: str) -> Zone:
        return Zone.PRIVATE if address == "127.0.0.2" else Zone.PUBLIC

    monkeypatch.setattr(remote, "AddressBook", functools.partial(AddressBook, zone=zone))
    lab.api.add("v1", stream(lab.address("v1")))
    lab.api.add("v2", redirect(lab.address("v2")))
    document = timeline(
        [*clips("v1", 1), *clips("v2", 2)], {video: source(video, local=lab.local(video)) for video in ("v1", "v2")}
    )

    rendered = lab.render(tmp_path, document, ffmpeg=packaged)

    assert (["refused"] * 2, 0) == (reasons(rendered), rendered.exit_code)
    assert 0 == lab.cdn.count()
    assert_right(rendered, document, packaged)


# Before any work


@pytest.mark.parametrize(
    ("variables", "files", "words"),
    [
        pytest.param({}, {}, "needs a TwelveLabs API key: set TWELVELABS_API_KEY", id="none"),
        pytest.param({"TWELVELABS_API_KEY": " "}, {}, "needs a TwelveLabs API key", id="an empty one"),
        pytest.param({"TWELVELABS_API_KEY": "a\x1bb"}, {}, "what no header can carry", id="an odd one"),
        pytest.param({"TWELVELABS_API_KEY_FILE": "key"}, {}, "can't be read: No such file", id="no file"),
        pytest.param({"TWELVELABS_API_KEY_FILE": "."}, {}, "can't be read: Is a directory", id="a folder"),
        pytest.param(
            {"TWELVELABS_API_KEY_FILE": "key"}, {"key": b"\n"}, "needs a TwelveLabs API key", id="an empty file"
        ),
        pytest.param(
            {"TWELVELABS_API_KEY_FILE": "key"}, {"key": b"\xff"}, "names a file that isn't text", id="no text"
        ),
        pytest.param({"TWELVELABS_API_KEY_FILE": "key"}, {"key": b"a\nb"}, "what no header can carry", id="two lines"),
    ],
)
def test_a_timeline_with_such_sources_is_a_mistake_when_there_is_no_key(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    variables: Mapping[str, str],
    files: Mapping[str, bytes],
    words: str,
) -> None:
    """Exit 2 before any work, one mistake for each source that has clips, and the key isn't shown."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("TWELVELABS_API_KEY")
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    for name, data in files.items():
        (tmp_path / name).write_bytes(data)
    listed = {name: source(name) for name in ("v.1", "spare", "v2")}
    document = timeline([*clips("v.1", 1), *clips("v2", 1, 2)], listed)

    rendered = render(tmp_path, document, ffmpeg="ffmpeg")

    lines = capfd.readouterr().err.splitlines()
    assert (2, {}) == (rendered.exit_code, rendered.report)
    assert ['  $.sources["v.1"].twelvelabs', "  $.sources.v2.twelvelabs"] == [line.split(": ")[0] for line in lines[1:]]
    assert [] == [line for line in lines[1:] if words not in line or "\x1b" in line]
    assert {"timeline.json", *files} == {path.name for path in tmp_path.iterdir()}


@pytest.mark.parametrize(
    "base", ["api.twelvelabs.io/v1.3", "ftp://api.example", "http://", "http://[", "http://a:99999"]
)
def test_an_address_of_the_api_that_is_none_is_a_mistake(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], base: str
) -> None:
    """Exit 2 before any work."""
    monkeypatch.setenv("TWELVELABS_BASE_URL", base)

    rendered = render(tmp_path, timeline(clips("v1", 1), {"v1": source("v1")}), ffmpeg="ffmpeg")

    assert 2 == rendered.exit_code
    assert "$.sources.v1.twelvelabs: TWELVELABS_BASE_URL is no http(s) address" in capfd.readouterr().err


@pytest.mark.media
def test_sources_that_no_clip_uses_need_no_key(
    tmp_path: Path, packaged: str, www: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They may lie in a timeline that others use with a key."""
    monkeypatch.delenv("TWELVELABS_API_KEY")
    sources = {"v1": str(www.parent / "v1.mp4"), "v2": source("v2")}

    assert 0 == render(tmp_path, timeline(clips("v1", 1), sources), ffmpeg=packaged).exit_code


def test_looking_at_the_key_loads_neither_httpx_nor_trio() -> None:
    """A start that renders nothing stays light."""
    code = "import sys, clipcut.sources.twelvelabs_key; print(sorted({'httpx', 'trio'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert "[]\n" == done.stdout


def test_the_guides_snippet_makes_a_timeline_of_search_results(tmp_path: Path) -> None:
    """It is run on three results of two videos."""
    snippet = (Path(__file__).parents[1] / "docs" / "twelvelabs.md").read_text().split("```python\n")[1].split("```")[0]
    found = [("b1", 12.5, 17.0), ("a1", 0, 3.25), ("b1", 60.1, 62)]
    results = [{"video_id": video, "start": start, "end": end, "rank": 1} for video, start, end in found]
    (tmp_path / "results.json").write_text(json.dumps(results))

    subprocess.run([sys.executable, "-c", snippet], cwd=tmp_path, check=True)
    document = load_timeline((tmp_path / "reel.json").read_bytes())

    assert {name: name for name, _, _ in found} == {
        name: listed.twelvelabs.video_id for name, listed in document.sources.items() if listed.twelvelabs is not None
    }
    assert found == [(clip.video_id, float(clip.start), float(clip.start + clip.length)) for clip in document.clips]


# Look-ups by themselves, over a virtual clock


@contextlib.asynccontextmanager
async def asking(
    api: StandIn, environ: Mapping[str, str] = ENVIRON, jitter: Callable[[float], float] | None = lambda _: 0.0
) -> AsyncIterator[LookUp]:
    """Give a function that looks a video up, in a network of public hosts that is nothing but the stand-in.

    Args:
        api: The stand-in.
        environ: Where the key is, and the API's address.
        jitter: Picks the wait before a look-up; None for the API's own.
    """

    async def resolve_name(host: str) -> Sequence[str]:
        await trio.lowlevel.checkpoint()
        return [host]

    book = AddressBook(resolve=resolve_name, zone=lambda _: Zone.PUBLIC)
    wire = Wire(book, {}, transport=httpx.MockTransport(api.handle))
    fetcher = Fetcher(wire=wire, jitter=lambda _: 0.0)
    asked = TwelveLabsApi(fetcher, environ) if jitter is None else TwelveLabsApi(fetcher, environ, jitter)

    async def look_up(video_id: str) -> tuple[str, Zone]:
        return await asked.resolve(INDEX, video_id, lambda _: None)

    try:
        yield look_up
    finally:
        await wire.aclose()


def moments(api: StandIn) -> list[float]:
    """Return when the API was asked, each counted from the one before."""
    times = [seen.began for seen in api.requests]
    return [later - before for before, later in itertools.pairwise(times)]


@pytest.mark.parametrize(
    ("base", "host", "path"),
    [
        pytest.param(None, "api.twelvelabs.io", "/v1.3/indexes/", id="none"),
        pytest.param("", "api.twelvelabs.io", "/v1.3/indexes/", id="an empty one"),
        pytest.param("https://proxy.example/v1.3", "proxy.example", "/v1.3/indexes/", id="another host"),
        pytest.param(" https://proxy.example/v1.3/ ", "proxy.example", "/v1.3/indexes/", id="slash and white space"),
    ],
)
async def test_the_base_address_is_obeyed(base: str | None, host: str, path: str) -> None:
    """Routes are put behind it; without one the usual address counts. Nothing of this is really sent."""
    api = StandIn()
    api.add("v1", stream(PLAYLIST))
    async with asking(api, ENVIRON if base is None else ENVIRON | {"TWELVELABS_BASE_URL": base}) as look_up:
        assert (PLAYLIST, Zone.PUBLIC) == await look_up("v1")

    assert [(host, f"{path}{INDEX}/indexed-assets/v1", KEY)] == [
        (seen.headers["host"], seen.target, seen.headers["x-api-key"]) for seen in api.requests
    ]


@pytest.mark.parametrize(
    ("said", "reason", "words"),
    [
        pytest.param(None, "no_video", "without enable_video_stream", id="no hls"),
        pytest.param(stream(None, "CANCELED"), "no_video", "ended with 'CANCELED'", id="canceled"),
        pytest.param(stream(PLAYLIST, "ERROR"), "no_video", "ended with 'ERROR'", id="failed, with an address"),
        pytest.param(stream(PLAYLIST, "PROCESSING"), "not_ready", "status is 'PROCESSING'", id="an address too early"),
        pytest.param(stream(PLAYLIST, "A" * 999), "not_ready", "status is 'AAAAAAAAAAAAAAAAAAAA'", id="a long status"),
        pytest.param(stream(None), "not_ready", "isn't ready yet", id="no address"),
        pytest.param({}, "not_ready", "status is 'nothing'", id="an empty hls"),
        pytest.param(stream("", "COMPLETE"), "not_ready", "isn't ready yet", id="an empty address"),
        pytest.param(stream("file:///etc/passwd"), "refused", "no http(s) address", id="a file"),
        pytest.param(stream("//cdn.example/v1"), "refused", "no http(s) address", id="no scheme"),
        pytest.param(stream("https://"), "refused", "no http(s) address", id="no host"),
        pytest.param(stream("https://[cdn/v1"), "refused", "no http(s) address", id="half an address"),
        pytest.param(stream("https://cdn:99999/v1"), "refused", "no http(s) address", id="an impossible port"),
        pytest.param(stream("https://cdn\u2100/v1"), "refused", "no http(s) address", id="a host that is two"),
        pytest.param(Reply(body=b"<html>"), "undecodable", "can't be read", id="a page"),
        pytest.param(Reply(body=b"\xff\xfe\xff"), "undecodable", "can't be read", id="garbage"),
        pytest.param(Reply(body=b"[" * 100_000), "undecodable", "can't be read", id="a deep document"),
        pytest.param(
            Reply(body=b'{"hls": {"video_url": ' + b"9" * 5000), "undecodable", "can't be read", id="a number"
        ),
        pytest.param(Reply(body=b"[]"), "undecodable", "can't be read", id="a list"),
        pytest.param(Reply(body=b"null"), "undecodable", "can't be read", id="null"),
        pytest.param(Reply(body=b""), "undecodable", "can't be read", id="nothing"),
        pytest.param(Reply(body=b" " * 5_000_000), "too_large", "larger than 4194304 bytes", id="huge"),
        pytest.param(
            Reply(body=gzip.compress(b" " * 5_000_000), headers={"Content-Encoding": "gzip"}),
            "too_large",
            "larger than 4194304 bytes",
            id="huge when unpacked",
        ),
        pytest.param(Reply(status=403), "http_403", "doesn't accept the API key", id="forbidden"),
        pytest.param(Reply(status=400), "http_4xx", "answers 400", id="another refusal"),
        pytest.param(redirect("file:///etc/passwd"), "refused", "no http(s) address", id="redirect to a file"),
    ],
)
async def test_what_cant_be_used_is_a_failure_with_its_reason(said: Said, reason: str, words: str) -> None:
    """Whatever the API answers; and it is asked once."""
    api = StandIn()
    api.add("v1", said)
    async with asking(api) as look_up:
        with pytest.raises(SourceError, match=words.replace("(", r"\(").replace(")", r"\)")) as caught:
            await look_up("v1")

    assert (reason, {"v1": 1}) == (caught.value.reason, api.calls)
    assert KEY not in str(caught.value)


@pytest.mark.parametrize("status", ["pending", "queued", "indexing"])
async def test_a_video_without_stream_isnt_ready_when_it_is_being_indexed(status: str) -> None:
    """It may get one yet, so nothing is said of how it was uploaded."""
    api = StandIn()
    api.add("v1", document(200, video_document("v1", None, status=status)))
    async with asking(api) as look_up:
        with pytest.raises(SourceError, match=f"its status is '{status}'") as caught:
            await look_up("v1")

    assert Reason.NOT_READY == caught.value.reason


async def test_the_key_isnt_sent_along_a_redirect_to_another_host() -> None:
    """The other host is asked without it."""
    api = StandIn()
    api.add("v1", redirect("https://other.example/v1.3/elsewhere"))
    async with asking(api) as look_up:
        with pytest.raises(SourceError):
            await look_up("v1")

    assert [("api.twelvelabs.io", KEY), ("other.example", None)] == [
        (seen.headers["host"], seen.headers.get("x-api-key")) for seen in api.requests
    ]


async def test_ids_are_quoted_when_they_arent_plain() -> None:
    """What stands in a timeline is one step of the path and no more."""
    api = StandIn()
    async with asking(api) as look_up:
        with pytest.raises(SourceError, match=r"knows no video a/b\?c#d e in index"):
            await look_up("a/b?c#d e")

    assert [f"/v1.3/indexes/{INDEX}/{kind}/a%2Fb%3Fc%23d%20e" for kind in ("indexed-assets", "videos")] == [
        seen.target for seen in api.requests
    ]


async def test_a_lookup_waits_for_a_moment_before_it_is_sent(autojump_clock: trio.testing.MockClock) -> None:
    """Between nothing and half a second, each another; as the function that was passed says."""
    api, bounds = StandIn(), list[float]()
    api.add("v1", stream(PLAYLIST))

    def pick(most: float) -> float:
        bounds.append(most)
        return 0.25

    async with asking(api, jitter=pick) as look_up:
        await look_up("v1")
        await look_up("v1")
    assert ([JITTER_S] * 2, [0.25]) == (bounds, moments(api))

    async with asking(api, jitter=None) as look_up:
        for _ in range(40):
            await look_up("v1")
    waits = moments(api)[2:]
    assert 0 <= min(waits) < 0.15
    assert 0.35 < max(waits) <= 0.5 == JITTER_S


@pytest.mark.parametrize("word", ["", "Request-"], ids=["short", "long"])
async def test_nothing_more_is_asked_when_the_limit_is_reached(
    autojump_clock: trio.testing.MockClock, now: dt.datetime, word: str
) -> None:
    """An answer that says that nothing remains is used, and what is asked next waits for the reset."""
    api, reset = StandIn(), round(now.timestamp()) + 40
    api.add("v1", stream(PLAYLIST))
    async with asking(api) as look_up:
        api.headers = rate_limit(1, reset, word=word)
        await look_up("v1")
        api.headers = rate_limit(0, reset, word=word)
        await look_up("v1")
        api.headers = {}
        async with trio.open_nursery() as nursery:
            nursery.start_soon(look_up, "v1")
            nursery.start_soon(look_up, "v1")

    assert [0, 40, 0] == moments(api)


@pytest.mark.parametrize(
    ("headers", "waited"),
    [
        pytest.param(lambda now: rate_limit(0, now + 30), 30, id="reset"),
        pytest.param(lambda now: rate_limit(0, now + 30, word="Request-"), 30, id="long spelling"),
        pytest.param(lambda now: {"X-Ratelimit-Reset": str(now + 30)}, 30, id="reset alone"),
        pytest.param(lambda now: rate_limit(0, now + 30) | retry_after_seconds(7), 7, id="Retry-After wins"),
        pytest.param(lambda _: rate_limit(0, 12), 12, id="a reset in seconds from now"),
        pytest.param(lambda now: rate_limit(0, now - 30), 0, id="a reset that is past"),
        pytest.param(lambda _: {}, 0, id="none"),
    ],
)
async def test_a_429_is_waited_out_and_asked_again(
    autojump_clock: trio.testing.MockClock, now: dt.datetime, headers: Callable[[int], dict[str, str]], waited: float
) -> None:
    """Its body is empty; when to come back stands in its headers."""
    api = StandIn()
    api.add("v1", Reply(status=429, headers=headers(round(now.timestamp()))), stream(PLAYLIST))
    async with asking(api) as look_up:
        assert PLAYLIST == (await look_up("v1"))[0]

    assert [waited] == moments(api)


async def test_a_limit_that_ends_too_late_is_a_failure_at_once(
    autojump_clock: trio.testing.MockClock, now: dt.datetime
) -> None:
    """Nobody waits for a day; the answers that came before are used all the same."""
    api = StandIn()
    api.add("v1", Reply(status=429, headers=rate_limit(0, round(now.timestamp()) + 86400)))
    async with asking(api) as look_up:
        with pytest.raises(SourceError, match=r"asks for 86[34]\d\d s of patience") as caught:
            await look_up("v1")

    assert (Reason.HTTP_429, {"v1": 1}) == (caught.value.reason, api.calls)


@pytest.mark.parametrize(
    ("headers", "status", "pause"),
    [
        pytest.param({}, 429, None, id="none"),
        pytest.param({"x-ratelimit-remaining": "0"}, 429, None, id="no reset"),
        pytest.param({"x-ratelimit-remaining": "1", "x-ratelimit-reset": "1767225630"}, 200, None, id="one left"),
        pytest.param({"x-ratelimit-reset": "1767225630"}, 200, None, id="reset alone"),
        pytest.param({"x-ratelimit-remaining": "0", "x-ratelimit-reset": "1767225630"}, 200, 30, id="none left"),
        pytest.param({"x-ratelimit-request-remaining": "0", "x-ratelimit-reset": "1767225630"}, 200, 30, id="mixed"),
        pytest.param({"x-ratelimit-remaining": "1", "x-ratelimit-reset": "1767225630"}, 429, 30, id="429 all the same"),
        pytest.param({"x-ratelimit-reset": "soon"}, 429, None, id="no number"),
        pytest.param({"x-ratelimit-reset": "-5"}, 429, None, id="a negative one"),
        pytest.param({"x-ratelimit-reset": "٣"}, 429, None, id="other digits"),
        pytest.param({"x-ratelimit-reset": " 5 "}, 429, 5, id="white space"),
    ],
)
def test_rate_limit_headers_when_read(headers: Mapping[str, str], status: int, pause: float | None) -> None:
    """They count when nothing remains or the answer is 429, and say when the limit ends."""
    assert pause == rate_limit_pause(headers, status, NOW)


@pytest.mark.media
@pytest.mark.parametrize(
    ("mode", "is_variable", "is_used", "is_told"),
    [
        pytest.param(0o644, False, True, True, id="everybody"),
        pytest.param(0o640, False, True, True, id="group"),
        pytest.param(0o600, False, True, False, id="owner"),
        pytest.param(0o644, True, True, False, id="not-used"),
        pytest.param(0o644, False, False, False, id="no-such-source"),
    ],
)
def test_a_key_file_that_others_may_read_is_told(
    lab: Lab,
    tmp_path: Path,
    packaged: str,
    monkeypatch: pytest.MonkeyPatch,
    mode: int,
    is_variable: bool,
    is_used: bool,
    is_told: bool,
) -> None:
    """Once, and the render goes on."""
    path = tmp_path / "key"
    path.write_text(KEY)
    path.chmod(mode)
    monkeypatch.setenv("TWELVELABS_API_KEY_FILE", str(path))
    if not is_variable:
        monkeypatch.delenv("TWELVELABS_API_KEY")
    lab.api.add("v1", stream(lab.address("v1")))
    used = source("v1") if is_used else {"url": f"{lab.cdn.url}/v1/index.m3u8"}

    rendered = lab.render(tmp_path, timeline(clips("v1", 0.5), {"v1": used}), ffmpeg=packaged)

    words = f"{path} has the TwelveLabs key, and others may get at it (mode {mode:04o}); chmod 600 it"
    log = (tmp_path / "log").read_text()
    assert (0, is_told) == (rendered.exit_code, log.count("source.open_key_file") == 1 and words in log)
    assert KEY not in log


def test_a_key_file_of_another_owner_is_not_judged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It was mounted, say; nor is one that isn't there."""
    (tmp_path / "key").write_text(KEY)
    (tmp_path / "key").chmod(0o644)
    environ = {"TWELVELABS_API_KEY_FILE": str(tmp_path / "key")}
    assert open_key_file(environ) is not None

    monkeypatch.setattr(os, "geteuid", lambda: os.getuid() + 1)

    assert open_key_file(environ) is None
    assert open_key_file({"TWELVELABS_API_KEY_FILE": "/nowhere"}) is None
