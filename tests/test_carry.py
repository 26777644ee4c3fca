"""``carry_query``: the query of a source's address goes with every request to its origin, and to no other."""

from pathlib import Path

import pytest
from answers import Clock, Site, fine, make_ask, make_fetcher, status, untold
from golden import Numbered, assert_picture, render, timeline
from media import make_source
from origin import Answer, Origin, Reply, Seen, redirect
from packaged import encrypt, package, read_segments, serving, write_playlist

from clipcut.jsonio import load_timeline
from clipcut.jsonout import timeline_document
from clipcut.network.ask import Access
from clipcut.network.carry import with_query
from clipcut.plan import build_plan


@pytest.mark.parametrize(
    ("url", "query", "carried"),
    [
        pytest.param("http://a/s.ts", "t=1", "http://a/s.ts?t=1", id="one"),
        pytest.param("http://a/s.ts", "t=a%2Bb&u=%7E/~'&flag&e=", "http://a/s.ts?t=a%2Bb&u=%7E/~'&flag&e=", id="as is"),
        pytest.param("http://a/s.ts?n=1", "t=1", "http://a/s.ts?n=1&t=1", id="beside its own"),
        pytest.param("http://a/s.ts?t=2", "t=1&u=3", "http://a/s.ts?t=2&u=3", id="its own first"),
        pytest.param("http://a/s.ts?t", "t=1", "http://a/s.ts?t", id="its own without a value"),
        pytest.param("http://a/s.ts?t=1&u=3", "t=1&u=3", "http://a/s.ts?t=1&u=3", id="the address itself"),
        pytest.param("http://a/s.ts", "", "http://a/s.ts", id="none"),
        pytest.param("http://a/s.ts", "t=1&t=2", "http://a/s.ts?t=1&t=2", id="one name twice"),
        pytest.param("http://a/x//s.ts", "t=1", "http://a/x//s.ts?t=1", id="empty segments"),
    ],
)
def test_a_query_is_added(url: str, query: str, carried: str) -> None:
    """What an address has by itself counts."""
    assert carried == with_query(url, query)


OWN = "http://a.test/p.m3u8?token=a%2Bb"


@pytest.mark.parametrize(
    ("other", "is_same"),
    [
        pytest.param("http://a.test/s", True, id="path"),
        pytest.param("http://A.test:80/s", True, id="ordinary port"),
        pytest.param("http://b.test/s", False, id="host"),
        pytest.param("http://x.a.test/s", False, id="host below"),
        pytest.param("http://a.test:8080/s", False, id="port"),
        pytest.param("https://a.test/s", False, id="scheme"),
        pytest.param("http://a.test@b.test/s", False, id="as user"),
    ],
)
async def test_a_query_goes_to_its_own_origin_only(other: str, is_same: bool, autojump_clock: Clock) -> None:
    """Directly, by a redirect and back, and when the request is sent again."""
    away, back = status(302, {"Location": other}), status(302, {"Location": "http://a.test/back"})
    site = Site([fine, away, status(503), away, back, fine])
    fetcher = make_fetcher(site=site)
    access = Access(url=OWN, carries_query=True)
    await fetcher.fetch_bytes(make_ask(other, access=access), untold)
    _, answer = await fetcher.fetch_bytes(make_ask("http://a.test/s", access=access), untold)

    assert [is_same, True, is_same, True, is_same, True] == ["token=a%2Bb" in url for url in site.urls]
    assert "http://a.test/back?token=a%2Bb" == answer.url
    assert "a%2B" not in repr(access)


async def test_a_query_stays_where_it_is_unless_it_is_to_be_carried(autojump_clock: Clock) -> None:
    """As it may be the address of the playlist and of nothing else."""
    site = Site([fine])
    await make_fetcher(site=site).fetch_bytes(make_ask("http://a.test/s", access=Access(url=OWN)), untold)

    assert ["http://a.test/s"] == site.urls


def test_a_timeline_says_it_for_each_source(tmp_path: Path) -> None:
    """Its network rung has it, and what is shown of the timeline says so without the query."""
    given = b"""{"version": 1, "sources": {"v": {"url": "http://h/p?t=s3cret", "carry_query": true, "local": "x"},
        "w": {"url": "http://h/p?t=s3cret"},
        "t": {"twelvelabs": {"index_id": "i", "video_id": "v"}, "carry_query": true}},
        "clips": [{"video_id": "v", "start": 0, "end": 1}, {"video_id": "w", "start": 0, "end": 1},
        {"video_id": "t", "start": 0, "end": 1}]}"""
    found = load_timeline(given)
    rungs = [[rung.carries_query for rung in edit.ladder] for edit in build_plan(found, tmp_path).edits]

    assert [[True, False, False], [False, False], [True, False]] == rungs
    shown = timeline_document(found)["sources"]
    assert {"url": "http://h/p", "carry_query": True, "local": ["x"]} == shown["v"]
    assert {"url": "http://h/p"} == shown["w"]


CARRIED = "s3cr%2Bet"


def guarded(answer: Answer) -> Answer:
    """Answer those only who have the token, byte for byte."""

    def guard(seen: Seen) -> Reply:
        if f"token={CARRIED}" not in seen.query.split("&"):
            return Reply(status=403)
        return answer(seen) if callable(answer) else answer

    return guard


@pytest.mark.media
@pytest.mark.parametrize("carries", [True, False])
def test_a_video_whose_pieces_need_the_query_is_cut(
    tmp_path: Path, packaged: str, capfd: pytest.CaptureFixture[str], carries: bool
) -> None:
    """Playlists, keys, initialization section, segments, redirects at home; nothing of it elsewhere, or in any file."""
    source = make_source(tmp_path / "source.mp4", ffmpeg=packaged, source_id=1, seconds=8, pattern=False)
    www, job, key, iv = tmp_path / "www", tmp_path / "job", b"k" * 16, bytes(16)
    args = ("-hls_segment_type", "fmp4")
    names = read_segments(package(source, www, ffmpeg=packaged, seconds=2, args=args, suffix="m4s"))
    job.mkdir()
    for path in [www / "init.mp4", *(www / name for _, name in names)]:
        path.write_bytes(encrypt(path.read_bytes(), key, iv))
    with serving(www) as own, serving(www, host="localhost") as other:
        places = [names[0][1], f"moved?n=1&token={CARRIED}", f"{other.url}/{names[2][1]}", "away"]
        lines = [f"#EXTINF:{length},\n{place}" for (length, _), place in zip(names, places, strict=True)]
        head = [f'#EXT-X-KEY:METHOD=AES-128,URI="key",IV=0x{iv.hex()}', '#EXT-X-MAP:URI="init.mp4"']
        write_playlist(www / "list.m3u8", lines, head=head)
        (www / "master.m3u8").write_text("#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\nlist.m3u8\n")
        script(own, {"/key": Reply(body=key), "/moved": redirect("/" + names[1][1])})
        script(own, {"/away": redirect(f"{other.url}/{names[3][1]}")})
        script(own, {f"/{path.name}": Reply() for path in www.iterdir()})
        listed = {"url": f"{own.url}/master.m3u8?token={CARRIED}"} | ({"carry_query": True} if carries else {})
        clips = [{"video_id": "v", "start": start, "duration": 1} for start in (0.5, 2.5, 4.5, 6.5)]
        document = timeline(clips, {"v": listed})
        rendered = render(job, document, "-v", ffmpeg=packaged)

    if not carries:
        assert ["http_403"] * 4 == [clip["fallback_reason"] for clip in rendered.report["clips"]]
        return
    assert 0 == rendered.exit_code
    assert_picture(rendered, document, {"v": Numbered(1, frames=240)}, ffmpeg=packaged)
    assert {""} == {seen.query for seen in other.requests}
    assert 2 == len({seen.path for seen in other.requests})
    (job / "timeline.json").unlink()
    said = b"".join(path.read_bytes() for path in job.rglob("*") if path.is_file())
    assert b"s3cr" not in said + "".join(capfd.readouterr()).encode()


def script(origin: Origin, answers: dict[str, Answer]) -> None:
    """Answer these paths, to those who have the token."""
    for path, answer in answers.items():
        origin.script(path, guarded(answer))


@pytest.mark.media
def test_a_clip_is_made_anew_where_the_query_goes_along(tmp_path: Path, packaged: str) -> None:
    """As its segments may be others then; and is taken from the cache where nothing has changed."""
    source = make_source(tmp_path / "source.mp4", ffmpeg=packaged, source_id=1, seconds=4, pattern=False)
    package(source, tmp_path / "www", ffmpeg=packaged, seconds=2)
    cached = []
    with serving(tmp_path / "www") as origin:
        for carries in (False, False, True, True):
            listed = {"url": f"{origin.url}/index.m3u8?lang=de", "carry_query": carries}
            document = timeline([{"video_id": "v", "start": 1, "duration": 2}], {"v": listed})
            rendered = render(tmp_path, document, "--force", ffmpeg=packaged)
            cached.append(rendered.report["clip_stats"]["cached_tasks"])

    assert [0, 1, 0, 1] == cached
