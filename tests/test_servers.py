"""Servers as people have them: what they answer that is allowed, or common, and the bytes that come of it."""

import functools
import gzip
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pytest
import trio
from answers import DATA, fail, fetch, make_ask, open_fetcher, untold
from golden import Numbered, Rendered, assert_clicks, assert_picture, render, timeline
from media import make_source
from origin import Origin, Reply, Seen
from packaged import serving

from clipcut.errors import Reason, SourceError
from clipcut.events import Retry
from clipcut.network.body import FileSink, Sink
from clipcut.network.fetch import Fetcher
from clipcut.network.parts import FREE_PARTS, LEAST_PART
from clipcut.sources.file.shadow import OffsetSink

SECONDS = 20
MEDIA = {"v": Numbered(1, frames=SECONDS * 30)}
CLIPS = [{"video_id": "v", "start": start, "end": end} for start, end in ((0, 1.1), (8, 10), (18.6, 20))]


@pytest.fixture(scope="session")
def www(tmp_path_factory: pytest.TempPathFactory, packaged: str) -> Path:
    """A folder with a numbered source of 20 s and about 900 kB, its index at the end."""
    args = ("-c:v", "libx264", "-preset", "ultrafast", "-crf", "20", "-g", "60", "-pix_fmt", "yuv420p")
    folder = tmp_path_factory.mktemp("servers")
    make_source(folder / "v.mp4", ffmpeg=packaged, source_id=1, seconds=SECONDS, video_args=args)
    return folder


def check(folder: Path, url: str, ffmpeg: str) -> Rendered:
    """Render clips of one address, and hold the result against the rule."""
    document = timeline(CLIPS, {"v": url})
    rendered = render(folder, document, "--no-cache", ffmpeg=ffmpeg)

    assert ([None] * len(CLIPS), 0) == (messages(rendered), rendered.exit_code)
    assert_picture(rendered, document, MEDIA, ffmpeg=ffmpeg)
    assert_clicks(rendered, document, ffmpeg=ffmpeg)
    return rendered


def messages(rendered: Rendered) -> list[str | None]:
    """Return what went wrong with each clip's first rung."""
    return [clip["attempts"][0]["message"] for clip in rendered.report["clips"]]


def asked(seen: Seen) -> tuple[int, int]:
    """Return the range that was asked for, half-open."""
    assert seen.range is not None
    first, last = seen.range.removeprefix("bytes=").split("-")
    return int(first), int(last) + 1


# Less of a range than was asked for


def capped(data: bytes, most: int, *, grid: bool = False, total: str | None = None) -> Callable[[Seen], Reply]:
    """Answer with ``most`` bytes of a range at a time; on a grid, with what lies before its next line."""

    def answer(seen: Seen) -> Reply:
        first, end = asked(seen)
        end = min(end, len(data), first + most - (first % most if grid else 0))
        if first >= len(data):
            return Reply(status=416)
        stated = f"bytes {first}-{end - 1}/{total or len(data)}"
        return Reply(status=206, body=data[first:end], headers={"Content-Range": stated, "ETag": '"same"'})

    return answer


@pytest.mark.parametrize(
    ("wanted", "most", "ranges"),
    [
        pytest.param((0, 10240), 5000, ["0-10239", "5000-10239", "10000-10239"], id="from the begin"),
        pytest.param((1000, 9000), 4000, ["1000-8999", "5000-8999"], id="a multiple"),
        pytest.param((1000, 9000), 8000, ["1000-8999"], id="just enough"),
        pytest.param((1000, 9000), 7999, ["1000-8999", "8999-8999"], id="all but one byte"),
    ],
)
async def test_the_rest_of_a_range_is_asked_for(
    origin: Origin, fetcher: Fetcher, wanted: tuple[int, int], most: int, ranges: Sequence[str]
) -> None:
    """Where a server gives less than it was asked for, and each byte comes once."""
    origin.script("/a", capped(DATA, most))

    assert DATA[slice(*wanted)] == await fetch(fetcher, f"{origin.url}/a", byte_range=wanted)
    assert [f"bytes={span}" for span in ranges] == [seen.range for seen in origin.requests]
    assert (wanted[1] - wanted[0], 0) == (fetcher.bytes_fetched, fetcher.retries)


@pytest.mark.parametrize("total", [None, "*"], ids=["length told", "length untold"])
async def test_a_range_past_the_end_comes_in_parts_up_to_the_end(
    origin: Origin, fetcher: Fetcher, total: str | None
) -> None:
    """The end is where the length says, or where there is nothing more."""
    origin.script("/a", capped(DATA, 6000, total=total))

    assert DATA == await fetch(fetcher, f"{origin.url}/a", byte_range=(0, 65536), may_be_shorter=True)
    assert (2 if total is None else 3) == origin.count()


async def test_a_first_part_may_be_tiny(origin: Origin, fetcher: Fetcher) -> None:
    """As a server's slices begin at multiples of their size."""
    data = DATA * 30
    origin.script("/a", capped(data, 20_000, grid=True))

    assert data[19_999:300_000] == await fetch(fetcher, f"{origin.url}/a", byte_range=(19_999, 300_000))
    assert 15 == origin.count()


async def test_parts_that_are_too_small_are_given_up(origin: Origin) -> None:
    """At once, whatever they might become."""
    origin.script("/a", capped(DATA * 30, 16))
    async with open_fetcher(max_retry=3) as fetcher:
        error = await fail(fetcher, make_ask(f"{origin.url}/a", byte_range=(0, 300_000)))

    assert (Reason.TRUNCATED, False, FREE_PARTS + 1) == (error.reason, error.is_passing, origin.count())
    assert "it: the server gives 16 bytes at a time, too few" == str(error)
    assert LEAST_PART > 16


@pytest.mark.parametrize(
    ("stated", "tag"),
    [
        pytest.param("bytes 4999-9999/10240", '"same"', id="from a byte before"),
        pytest.param("bytes 5001-9999/10240", '"same"', id="from a byte behind"),
        pytest.param("bytes 5000-9999/10241", '"same"', id="another length"),
        pytest.param("bytes 5000-9999/10240", '"other"', id="another tag"),
        pytest.param("", '"same"', id="none"),
    ],
)
async def test_a_second_part_must_fit_the_first(origin: Origin, stated: str, tag: str) -> None:
    """If it doesn't, nothing is put together of the two."""
    wrong = Reply(status=206, body=DATA[5000:10_000], headers={"Content-Range": stated, "ETag": tag})
    origin.script("/a", capped(DATA, 5000), wrong)
    async with open_fetcher(max_retry=0) as fetcher:
        error = await fail(fetcher, make_ask(f"{origin.url}/a", byte_range=(0, 10_000)))

    assert (Reason.TRUNCATED, True) == (error.reason, error.is_passing)


async def test_a_thing_that_changes_between_parts_is_fetched_anew(origin: Origin) -> None:
    """So that it is of one piece."""
    old, new = capped(bytes(10_240), 5000), Reply(body=DATA, headers={"ETag": '"new"'})
    origin.script("/a", old, new)
    async with open_fetcher(max_retry=1) as fetcher:
        assert DATA[:10_000] == await fetch(fetcher, f"{origin.url}/a", byte_range=(0, 10_000))

    assert ["bytes=0-9999", "bytes=5000-9999", "bytes=0-9999"] == [seen.range for seen in origin.requests]


async def test_a_second_answer_may_be_the_whole(origin: Origin, fetcher: Fetcher) -> None:
    """What of it had come is passed over."""
    origin.script("/a", capped(DATA, 5000), Reply(ignore_range=True, headers={"ETag": '"same"'}))

    assert DATA[:9000] == await fetch(fetcher, f"{origin.url}/a", byte_range=(0, 9000))


def make_file_sink(path: Path) -> Sink:
    """Write to a file."""
    return FileSink(path, trio.CapacityLimiter(1))


def make_offset_sink(path: Path, batch: int) -> Sink:
    """Write into a file, at its begin, so many bytes at once."""
    path.write_bytes(bytes(9000))
    return OffsetSink(path, 0, trio.CapacityLimiter(1), batch)


@pytest.mark.parametrize(
    "make",
    [
        pytest.param(make_file_sink, id="file"),
        pytest.param(functools.partial(make_offset_sink, batch=100), id="in place"),
        pytest.param(functools.partial(make_offset_sink, batch=1 << 20), id="in place, at once"),
    ],
)
async def test_a_part_that_breaks_off_is_asked_for_alone(
    origin: Origin, tmp_path: Path, make: Callable[[Path], Sink]
) -> None:
    """Those before it are kept, and each part has its own retries."""
    part = capped(DATA, 3000)

    def broken(seen: Seen) -> Reply:
        reply = part(seen)
        return Reply(status=206, body=reply.body, headers=reply.headers, cut_at=1000)

    origin.script("/a", part, broken, part, Reply(status=503), part)
    told: list[Retry] = []
    async with open_fetcher(max_retry=1) as fetcher:
        ask = make_ask(f"{origin.url}/a", byte_range=(0, 9000))
        await fetcher.fetch(ask, make(tmp_path / "file"), told.append)

    assert DATA[:9000] == (tmp_path / "file").read_bytes()
    spans = ["0-8999", "3000-8999", "3000-8999", "6000-8999", "6000-8999"]
    assert [f"bytes={span}" for span in spans] == [seen.range for seen in origin.requests]
    assert [(1, Reason.TRUNCATED), (1, Reason.HTTP_5XX)] == [(retry.attempt, retry.reason) for retry in told]


async def test_a_whole_that_will_not_do_is_asked_for_no_more_often_for_its_parts(
    origin: Origin, tmp_path: Path
) -> None:
    """Its parts came well each time, and still it is given up."""

    class Picky(FileSink):
        async def finish(self) -> None:
            raise SourceError(Reason.TRUNCATED, "it won't do", is_passing=True)

    origin.script("/a", capped(DATA, 5000))
    async with open_fetcher(max_retry=2) as fetcher:
        sink = Picky(tmp_path / "file", trio.CapacityLimiter(1))
        with pytest.raises(SourceError, match="asked 3 times"):
            await fetcher.fetch(make_ask(f"{origin.url}/a", byte_range=(0, 10_000)), sink, untold)

    assert 6 == origin.count("/a")


@pytest.mark.parametrize("wanted", [(0, 100), (100, 300), (9000, 10_240), (10_000, 20_000)])
async def test_more_of_a_range_than_was_asked_for_is_not_waited_for(
    origin: Origin, fetcher: Fetcher, wanted: tuple[int, int]
) -> None:
    """Where a server gives a megabyte from the begin that it is asked for, whatever the end."""
    data = DATA * 400

    def answer(seen: Seen) -> Reply:
        first, end = asked(seen)[0], min(asked(seen)[0] + 1_000_000, len(data))
        stated = {"Content-Range": f"bytes {first}-{end - 1}/{len(data)}"}
        return Reply(status=206, body=data[first:end], headers=stated, drip=(50_000, 0.001))

    origin.script("/a", answer)

    assert data[slice(*wanted)] == await fetch(fetcher, f"{origin.url}/a", byte_range=wanted)
    assert fetcher.bytes_fetched < 500_000
    assert 1 == origin.count()


# If-Range


def of(seen: Seen, data: bytes, headers: Mapping[str, str], *, whole: bool = False) -> Reply:
    """Answer with the range that was asked for, or with the whole."""
    if whole or seen.range is None:
        return Reply(body=data, headers=headers, ignore_range=True)
    first, end = asked(seen)
    end = min(end, len(data))
    stated = f"bytes {first}-{end - 1}/{len(data)}"
    return Reply(status=206, body=data[first:end], headers={**headers, "Content-Range": stated})


TIME = "Tue, 01 Jul 2025 10:00:00 GMT"


@pytest.mark.parametrize(
    ("known", "headers"),
    [
        pytest.param('"tag"', {"ETag": '"tag"'}, id="tag"),
        pytest.param('"tag"', {"ETag": 'W/"tag"'}, id="weak tag"),
        pytest.param('"tag"', {"ETag": '"tag"', "Last-Modified": "another"}, id="tag before time"),
        pytest.param(TIME, {"ETag": "", "Last-Modified": TIME}, id="time"),
        pytest.param(TIME, {"ETag": 'W/"x"', "Last-Modified": TIME}, id="time and weak tag"),
    ],
)
async def test_the_whole_of_the_same_file_is_no_change(
    origin: Origin, fetcher: Fetcher, known: str, headers: Mapping[str, str]
) -> None:
    """A server that knows no If-Range is asked for the range without it, from then on, and no whole is read."""
    data = DATA * 400
    origin.script("/a", lambda seen: of(seen, data, headers, whole="if-range" in seen.headers))
    for first in (5000, 3_000_000):
        ask = {"byte_range": (first, first + 300), "of_size": len(data), "if_range": known}
        assert data[first : first + 300] == await fetch(fetcher, f"{origin.url}/a", **ask)

    assert [True, False, False] == ["if-range" in seen.headers for seen in origin.requests]
    assert fetcher.bytes_fetched <= 600 + (1 << 17)


@pytest.mark.parametrize(
    "headers",
    [
        pytest.param({"ETag": '"other"'}, id="another tag"),
        pytest.param({"ETag": '"other"', "Last-Modified": TIME}, id="another tag, the same time"),
        pytest.param({"ETag": ""}, id="no tag"),
        pytest.param({"ETag": "", "Last-Modified": TIME}, id="a time, and no tag"),
    ],
)
@pytest.mark.parametrize("knows", [False, True], ids=["200", "206 without If-Range"])
async def test_what_may_be_another_file_is_a_change(origin: Origin, headers: Mapping[str, str], knows: bool) -> None:
    """Whatever is not known to be the same is looked into anew."""
    first = Reply(body=DATA, ignore_range=True, headers={"ETag": '"tag"'})
    answers = [first] if knows else []
    origin.script("/a", *answers, lambda seen: of(seen, DATA, headers, whole=not knows))
    async with open_fetcher(max_retry=3) as fetcher:
        ask = make_ask(f"{origin.url}/a", byte_range=(0, 9), of_size=len(DATA), if_range='"tag"')
        error = await fail(fetcher, ask)

    assert (True, len(answers) + 1) == (error.is_changed, origin.count())


async def test_a_server_that_has_forgotten_ranges_is_read_up_to_the_end_of_the_range(
    origin: Origin, fetcher: Fetcher
) -> None:
    """Within bounds, as its tag says that it is the same file."""
    origin.script("/a", Reply(ignore_range=True, headers={"ETag": '"tag"'}))
    ask = {"byte_range": (5000, 5300), "of_size": len(DATA), "if_range": '"tag"'}

    assert DATA[5000:5300] == await fetch(fetcher, f"{origin.url}/a", **ask)
    assert 2 == origin.count()


# 416


@pytest.mark.parametrize(
    ("stated", "second"),
    [
        pytest.param(f"bytes */{len(DATA)}", f"bytes=0-{len(DATA) - 1}", id="length told"),
        pytest.param("", None, id="length untold"),
        pytest.param("bytes */*", None, id="length unknown"),
    ],
)
async def test_a_range_past_the_end_is_asked_for_as_far_as_it_goes(
    origin: Origin, fetcher: Fetcher, stated: str, second: str | None
) -> None:
    """A server that gives nothing of it, though it should, is asked once more."""

    def strict(seen: Seen) -> Reply:
        if seen.range is not None and asked(seen)[1] > len(DATA):
            return Reply(status=416, headers={"Content-Range": stated})
        return Reply()

    origin.script("/a", strict)

    assert DATA == await fetch(fetcher, f"{origin.url}/a", byte_range=(0, 65_536), may_be_shorter=True)
    assert ["bytes=0-65535", second] == [seen.range for seen in origin.requests]


@pytest.mark.parametrize(
    "stated", ["bytes */10240", "bytes */0", "bytes */100", "bytes */1", "", "bytes */99999999999"]
)
async def test_a_server_that_refuses_every_range_is_asked_twice_at_the_most(
    origin: Origin, fetcher: Fetcher, stated: str
) -> None:
    """Whatever length it tells."""
    origin.script("/a", Reply(status=416, headers={"Content-Range": stated}))
    error = await fail(fetcher, make_ask(f"{origin.url}/a", byte_range=(0, 65_536), may_be_shorter=True))

    assert Reason.HTTP_4XX == error.reason
    assert origin.count() <= 2


@pytest.mark.media
def test_a_file_smaller_than_the_first_range_is_cut(tmp_path: Path, packaged: str) -> None:
    """From a server that refuses ranges which go past the end, and tells its length or not."""
    www = tmp_path / "www"
    www.mkdir()
    args = ("-c:v", "libx264", "-preset", "ultrafast", "-crf", "40", "-pix_fmt", "yuv420p")
    path = make_source(www / "v.mp4", ffmpeg=packaged, source_id=1, seconds=1, pattern=False, video_args=args)
    assert path.stat().st_size < 65_536
    document = timeline([{"video_id": "v", "start": 0.2, "end": 0.8}], {"v": ""})
    for stated in (f"bytes */{path.stat().st_size}", ""):

        def strict(seen: Seen, stated: str = stated) -> Reply:
            is_past = seen.range is not None and asked(seen)[1] > path.stat().st_size
            return Reply(status=416, headers={"Content-Range": stated}) if is_past else Reply()

        with serving(www) as origin:
            origin.script("/v.mp4", strict)
            document["sources"]["v"]["url"] = f"{origin.url}/v.mp4"
            rendered = render(tmp_path, document, "--no-cache", "--force", ffmpeg=packaged)

        assert ([None], 0) == (messages(rendered), rendered.exit_code)
        assert_picture(rendered, document, {"v": Numbered(1, frames=30)}, ffmpeg=packaged)


# Whole files


@pytest.mark.media
def test_a_file_is_cut_from_a_server_that_knows_no_if_range(tmp_path: Path, www: Path, packaged: str) -> None:
    """Range by range, and never as a whole."""

    def answer(seen: Seen) -> Reply:
        return Reply(ignore_range="if-range" in seen.headers)

    with serving(www) as origin:
        origin.script("/v.mp4", answer)
        rendered = check(tmp_path, f"{origin.url}/v.mp4", packaged)

    assert rendered.report["clip_stats"]["bytes_fetched"] < (www / "v.mp4").stat().st_size
    assert 1 == sum("if-range" in seen.headers for seen in origin.requests)


@pytest.mark.media
def test_a_file_comes_in_parts_of_the_servers_choice(tmp_path: Path, www: Path, packaged: str) -> None:
    """As the widely copied example of a video server has it: no answer without a range, and its end ignored."""
    data = (www / "v.mp4").read_bytes()

    def answer(seen: Seen) -> Reply:
        if seen.range is None:
            return Reply(status=400)
        first = asked(seen)[0]
        end = min(first + 100_000, len(data))
        return Reply(
            status=206,
            body=data[first:end],
            headers={"Content-Range": f"bytes {first}-{end - 1}/{len(data)}", "ETag": ""},
        )

    with serving(www) as origin:
        origin.script("/v.mp4", answer)
        check(tmp_path, f"{origin.url}/v.mp4", packaged)


@pytest.mark.media
@pytest.mark.parametrize("most", [30_000, 100_000])
@pytest.mark.parametrize("grid", [False, True], ids=["from where it is asked", "slices"])
def test_a_file_comes_in_parts(tmp_path: Path, www: Path, packaged: str, most: int, grid: bool) -> None:
    """Its clips are right, and no byte is fetched twice."""
    with serving(www) as origin:
        origin.script("/v.mp4", capped((www / "v.mp4").read_bytes(), most, grid=grid))
        rendered = check(tmp_path, f"{origin.url}/v.mp4", packaged)

    stats = rendered.report["clip_stats"]
    assert (origin.bytes_sent, origin.count(), 0) == (stats["bytes_fetched"], stats["requests"], stats["retries"])
    assert stats["bytes_fetched"] < (www / "v.mp4").stat().st_size


# Packed files


@pytest.mark.media
@pytest.mark.parametrize(
    ("make", "words"),
    [
        pytest.param(
            lambda _: Reply(gzip=True), "the server compressed it ('gzip'), which nobody asked for", id="gzip"
        ),
        pytest.param(
            lambda _: Reply(gzip=True, ignore_range=True),
            "the file: the server compressed it ('gzip'), which nobody asked for; no video can be cut from that: "
            "have it sent as it is",
            id="gzip, always the whole",
        ),
        pytest.param(
            lambda path: Reply(body=gzip.compress(path.read_bytes() * 20, 1), headers={"Content-Encoding": "gzip"}),
            "the server compressed it ('gzip')",
            id="larger than a playlist may be",
        ),
        pytest.param(
            lambda path: Reply(body=path.read_bytes(), headers={"Content-Encoding": "br"}),
            "('br')",
            id="something else",
        ),
        pytest.param(
            lambda path: Reply(body=gzip.compress(path.read_bytes())),
            "the file is packed with gzip, and no video can be cut from that",
            id="stored so, and never said so",
        ),
    ],
)
def test_a_packed_file_says_that_it_is(
    tmp_path: Path, www: Path, packaged: str, make: Callable[[Path], Reply], words: str
) -> None:
    """And is not taken for a playlist that is none."""
    with serving(www) as origin:
        origin.script("/v.mp4", make(www / "v.mp4"))
        rendered = render(tmp_path, timeline(CLIPS[:1], {"v": f"{origin.url}/v.mp4"}), ffmpeg=packaged)

    assert ["undecodable"] == [clip["fallback_reason"] for clip in rendered.report["clips"]]
    assert words in str(messages(rendered)[0])
