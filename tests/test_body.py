"""The bytes that were asked for and no others, over real connections: whole, ranges, compressed, given up."""

import gc
import gzip
import tracemalloc
import zlib
from pathlib import Path

import attrs
import pytest
import trio
import trio.testing
from answers import DATA, LARGE, fail, fetch, make_ask, open_fetcher, untold
from hypothesis import given
from hypothesis import strategies as st
from origin import Origin, Reply

from clipcut.errors import Reason, RenderError
from clipcut.events import Retry
from clipcut.network import body
from clipcut.network.ask import Patience
from clipcut.network.body import FileSink, content_range
from clipcut.network.fetch import Fetcher

# Bodies over real connections


@pytest.mark.parametrize(
    "reply",
    [
        pytest.param(Reply(), id="file"),
        pytest.param(Reply(chunked=True), id="chunked"),
        pytest.param(Reply(headers={"Content-Length": ""}, cut_at=len(DATA)), id="until it closes"),
        pytest.param(Reply(drip=(1000, 0)), id="in pieces"),
    ],
)
async def test_a_body_comes_whole(origin: Origin, fetcher: Fetcher, reply: Reply) -> None:
    """However it is framed; its bytes are counted."""
    origin.script("/a", reply)

    assert DATA == await fetch(fetcher, f"{origin.url}/a")
    assert (1, 0, len(DATA)) == (fetcher.requests, fetcher.retries, fetcher.bytes_fetched)


async def test_an_empty_body_is_one(origin: Origin, fetcher: Fetcher) -> None:
    """Whether it is of use is for others to say."""
    origin.script("/e", Reply(body=b""))

    assert b"" == await fetch(fetcher, f"{origin.url}/e")


@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        pytest.param(Reply(reset=True), Reason.CONNECTION, id="reset"),
        pytest.param(Reply(reset=True, cut_at=4000), Reason.CONNECTION, id="reset in the body"),
        pytest.param(Reply(cut_at=4000), Reason.TRUNCATED, id="cut"),
        pytest.param(Reply(declared=len(DATA) + 1), Reason.TRUNCATED, id="declared longer"),
        pytest.param(Reply(chunked=True, cut_at=4000), Reason.TRUNCATED, id="chunks cut"),
        pytest.param(Reply(hang=True), Reason.TIMEOUT, id="silent"),
        pytest.param(Reply(drip=(10_000, 0.5)), Reason.TIMEOUT, id="silent in the body"),
        pytest.param(Reply(drip=(1, 0.02)), Reason.TIMEOUT, id="dripping"),
    ],
)
async def test_a_broken_answer_is_fetched_anew(origin: Origin, reply: Reply, reason: Reason) -> None:
    """Exactly the right bytes are there in the end, in memory as in a file."""
    origin.script("/a", reply, reply, Reply())
    patience = Patience(silence_s=0.2, window_s=0.05)
    told: list[Retry] = []
    async with open_fetcher(max_retry=2, patience=patience) as fetcher:
        data, _ = await fetcher.fetch_bytes(make_ask(f"{origin.url}/a"), told.append)

    assert DATA == data
    assert [reason, reason] == [retry.reason for retry in told]
    assert (3, 3, 2) == (origin.count(), fetcher.requests, fetcher.retries)


async def test_the_bytes_of_failed_tries_are_counted_too(origin: Origin) -> None:
    """They were fetched."""
    origin.script("/a", Reply(cut_at=4000), Reply())
    async with open_fetcher(max_retry=1) as fetcher:
        await fetch(fetcher, f"{origin.url}/a")

    assert 4000 + len(DATA) == fetcher.bytes_fetched


@pytest.mark.parametrize("cut_at", [10, 3_000_000], ids=["before anything was written", "after"])
async def test_a_file_has_nothing_of_a_failed_try(origin: Origin, tmp_path: Path, cut_at: int) -> None:
    """Though some of it was on disk already; nor of a file that was there before."""
    old, new = bytes(4_000_000), DATA * 200
    path = tmp_path / "file"
    path.write_bytes(b"x" * 5_000_000)
    origin.script("/f", Reply(body=old, cut_at=cut_at), Reply(body=new))
    async with open_fetcher(max_retry=1) as fetcher:
        answer = await fetcher.fetch(make_ask(f"{origin.url}/f", max_bytes=1 << 23), FileSink(path, threads()), untold)

    assert new == path.read_bytes()
    assert f"{origin.url}/f" == answer.url


async def test_an_empty_file_is_written(origin: Origin, fetcher: Fetcher, tmp_path: Path) -> None:
    """So that there is one."""
    origin.script("/e", Reply(body=b""))
    await fetcher.fetch(make_ask(f"{origin.url}/e"), FileSink(tmp_path / "file", threads()), untold)

    assert b"" == (tmp_path / "file").read_bytes()


def threads() -> trio.CapacityLimiter:
    """Give a place for a thread."""
    return trio.CapacityLimiter(1)


async def test_a_full_disk_is_no_fault_of_a_source(origin: Origin, fetcher: Fetcher) -> None:
    """It ends the render."""
    with pytest.raises(RenderError, match="no room"):
        await fetcher.fetch(make_ask(f"{origin.url}/a"), FileSink(Path("/dev/full"), threads()), untold)


async def test_a_file_is_written_in_few_pieces(tmp_path: Path) -> None:
    """Each of them takes a thread."""
    sink, sizes = FileSink(tmp_path / "file", threads()), []
    for _ in range(40):
        await sink.write(bytes(60_000))
        path = tmp_path / "file"
        sizes.append(path.stat().st_size if path.exists() else 0)
    await sink.finish()

    assert [0, 1_080_000, 2_160_000] == sorted(set(sizes))
    assert 2_400_000 == (tmp_path / "file").stat().st_size


@pytest.mark.parametrize("size", [1000, 1001])
@pytest.mark.parametrize("is_chunked", [False, True], ids=["declared", "undeclared"])
async def test_a_body_has_a_bound(origin: Origin, fetcher: Fetcher, is_chunked: bool, size: int) -> None:
    """One that says so is not even read."""
    origin.script("/b", Reply(body=bytes(size), chunked=is_chunked))
    if size == 1000:
        assert bytes(1000) == await fetch(fetcher, f"{origin.url}/b", max_bytes=1000)
        return
    error = await fail(fetcher, make_ask(f"{origin.url}/b", max_bytes=1000))

    assert (Reason.TOO_LARGE, False) == (error.reason, error.is_passing)
    assert "it: is larger than 1000 bytes" == str(error)
    assert (1001 if is_chunked else 0) == fetcher.bytes_fetched


async def test_a_body_without_end_is_given_up(origin: Origin, fetcher: Fetcher) -> None:
    """As soon as it is larger than it may be."""
    origin.script("/b", Reply(body=bytes(1 << 25), chunked=True))
    error = await fail(fetcher, make_ask(f"{origin.url}/b", max_bytes=1000))

    assert Reason.TOO_LARGE == error.reason
    assert fetcher.bytes_fetched <= 1 << 17


# Ranges


@pytest.mark.parametrize(
    ("value", "found"),
    [
        pytest.param("bytes 0-99/1000", (0, 100), id="ordinary"),
        pytest.param("bytes 5-5/*", (5, 6), id="of an unknown size"),
        pytest.param(" Bytes  0-99/1000 ", (0, 100), id="odd"),
        pytest.param("bytes 0-99", (0, 100), id="without a size"),
        pytest.param("", None, id="nothing"),
        pytest.param("bytes", None, id="only the unit"),
        pytest.param("bytes */1000", None, id="not satisfied"),
        pytest.param("bytes 5-4/10", None, id="backwards"),
        pytest.param("bytes -5/10", None, id="no begin"),
        pytest.param("bytes 5-/10", None, id="no end"),
        pytest.param("items 0-9/10", None, id="another unit"),
        pytest.param("bytes 0-9-9/10", None, id="too many"),
        pytest.param("bytes ²-3/9", None, id="another digit"),
        pytest.param("bytes 0-٣/9", None, id="a digit of another script"),
        pytest.param(f"bytes 0-{'9' * 5000}/*", None, id="absurd"),
    ],
)
def test_a_content_range_is_read(value: str, found: tuple[int, int] | None) -> None:
    """As a half-open range."""
    assert found == content_range(value)


@given(st.text() | st.from_regex(r"bytes [\d²-]{0,20}-[\d²]{0,20}(/.*)?"))
def test_no_content_range_is_too_odd(value: str) -> None:
    """What a server sends is never a bug of ours."""
    found = content_range(value)

    assert found is None or 0 <= found[0] < found[1]


async def test_a_range_is_asked_for_and_comes(origin: Origin, fetcher: Fetcher) -> None:
    """Both ends as HTTP counts them; nothing else is fetched."""
    assert DATA[100:300] == await fetch(fetcher, f"{origin.url}/a", byte_range=(100, 300), max_bytes=200)
    assert ("bytes=100-299", 200) == (origin.requests[0].range, fetcher.bytes_fetched)
    assert 1 == origin.open_now


async def test_a_range_may_be_larger_than_its_bound_no_more_than_anything_else(
    origin: Origin, fetcher: Fetcher
) -> None:
    """Whoever asked for it."""
    error = await fail(fetcher, make_ask(f"{origin.url}/a", byte_range=(100, 300), max_bytes=199))

    assert Reason.TOO_LARGE == error.reason


@pytest.mark.parametrize(
    ("stated", "body"),
    [
        pytest.param("bytes 0-199/10240", DATA[:200], id="another begin"),
        pytest.param("bytes 99-299/10240", DATA[99:300], id="one byte before"),
        pytest.param("bytes 100-298/10240", DATA[100:299], id="shorter"),
        pytest.param("bytes 100-99/10240", DATA[100:300], id="backwards"),
        pytest.param("", DATA[100:300], id="none"),
        pytest.param("bytes */10240", DATA[100:300], id="not satisfied"),
        pytest.param("bytes 100-29²/10240", DATA[100:300], id="another digit"),
        pytest.param("bytes 100-299/10240", DATA[100:299], id="right, but with less"),
    ],
)
async def test_other_bytes_are_not_taken_for_those_asked_for(
    origin: Origin, fetcher: Fetcher, stated: str, body: bytes
) -> None:
    """They fail in passing, as another server of the same name may do better."""
    origin.script("/a", Reply(status=206, body=body, headers={"Content-Range": stated}))
    error = await fail(fetcher, make_ask(f"{origin.url}/a", byte_range=(100, 300)))

    assert (Reason.TRUNCATED, True) == (error.reason, error.is_passing)


@pytest.mark.parametrize("end", [300, 200])
async def test_more_bytes_than_were_stated_are_left_away(origin: Origin, fetcher: Fetcher, end: int) -> None:
    """The range counts that the server states, and nobody waits for what follows it."""
    stated = {"Content-Range": f"bytes 100-{end - 1}/{10240 if end == 300 else end}"}
    drip = (150, 0.005)
    origin.script("/a", Reply(status=206, body=DATA[100:], headers=stated, chunked=True, drip=drip))

    assert DATA[100:end] == await fetch(fetcher, f"{origin.url}/a", byte_range=(100, 300), may_be_shorter=end < 300)
    assert fetcher.bytes_fetched < len(DATA) / 2


async def test_nobody_waits_for_what_follows_a_range(origin: Origin, fetcher: Fetcher) -> None:
    """Where a server ignores ranges: the last byte that was asked for is the last that is waited for."""
    origin.script("/a", Reply(ignore_range=True, drip=(100, 60)))

    assert DATA[:100] == await fetch(fetcher, f"{origin.url}/a", byte_range=(0, 100))


@pytest.mark.parametrize(
    ("wanted", "came"),
    [
        pytest.param((10_000, 99_999), DATA[10_000:], id="past the end"),
        pytest.param((0, 100), DATA[:100], id="inside"),
        pytest.param((0, 99_999), DATA, id="all of it"),
    ],
)
@pytest.mark.parametrize("ignores", [False, True], ids=["206", "200"])
async def test_a_range_may_reach_past_the_end(
    origin: Origin, fetcher: Fetcher, wanted: tuple[int, int], came: bytes, ignores: bool
) -> None:
    """If that was said; else it is truncated."""
    origin.script("/a", Reply(ignore_range=ignores))
    assert came == await fetch(fetcher, f"{origin.url}/a", byte_range=wanted, may_be_shorter=True)
    if wanted[1] > len(DATA):
        assert Reason.TRUNCATED == (await fail(fetcher, make_ask(f"{origin.url}/a", byte_range=wanted))).reason


async def test_a_part_of_what_may_be_shorter_is_told_by_its_head(origin: Origin, fetcher: Fetcher) -> None:
    """A body that is shorter than its own head says is truncated all the same."""
    origin.script("/a", Reply(cut_at=50))
    error = await fail(fetcher, make_ask(f"{origin.url}/a", byte_range=(0, 100), may_be_shorter=True))

    assert Reason.TRUNCATED == error.reason


async def test_a_range_behind_the_end_fails_for_good(origin: Origin) -> None:
    """416 is no better a moment later."""
    async with open_fetcher(max_retry=3) as fetcher:
        error = await fail(fetcher, make_ask(f"{origin.url}/a", byte_range=(99_000, 99_999), may_be_shorter=True))

    assert (Reason.HTTP_4XX, 1) == (error.reason, origin.count())
    assert "it: the server answers 416" == str(error)


async def test_a_server_that_ignores_ranges_is_read_up_to_the_end_of_the_range(
    origin: Origin, fetcher: Fetcher
) -> None:
    """The right bytes are taken, and nobody waits for the rest."""
    origin.script("/a", Reply(ignore_range=True, drip=(100, 0.005)))

    assert DATA[150:350] == await fetch(fetcher, f"{origin.url}/a", byte_range=(150, 350))
    assert 350 <= fetcher.bytes_fetched < len(DATA) / 2


async def test_a_range_far_inside_is_not_read_up_to(
    origin: Origin, fetcher: Fetcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where a server ignores ranges."""
    monkeypatch.setattr(body, "MAX_SKIP", 149)
    origin.script("/a", Reply(ignore_range=True))
    error = await fail(fetcher, make_ask(f"{origin.url}/a", byte_range=(150, 350)))

    assert (Reason.TOO_LARGE, False, 0) == (error.reason, error.is_passing, fetcher.bytes_fetched)
    assert DATA[149:350] == await fetch(fetcher, f"{origin.url}/a", byte_range=(149, 350))


async def test_a_range_is_of_what_was_looked_into_before(origin: Origin, fetcher: Fetcher) -> None:
    """The server is told which, and says how long it is; a whole is not asked for like that."""
    ask = {"of_size": len(DATA), "if_range": '"tag"'}
    origin.script("/a", Reply(headers={"ETag": '"tag"'}))
    assert DATA[:9] == await fetch(fetcher, f"{origin.url}/a", byte_range=(0, 9), **ask)
    await fetch(fetcher, f"{origin.url}/a", **ask)

    assert ['"tag"', None] == [seen.headers.get("if-range") for seen in origin.requests]


@pytest.mark.parametrize(
    "reply",
    [
        pytest.param(Reply(headers={"ETag": '"other"'}), id="another tag"),
        pytest.param(
            Reply(status=206, body=DATA[:9], headers={"ETag": '"other"', "Content-Range": f"bytes 0-8/{len(DATA)}"}),
            id="another tag, and If-Range ignored",
        ),
        pytest.param(Reply(body=DATA + b"x", headers={"ETag": '"tag"'}), id="another length"),
    ],
)
async def test_a_range_of_something_else_is_told_as_such(origin: Origin, reply: Reply) -> None:
    """It is not asked for again: whoever knows what it was must look into it anew."""
    origin.script("/a", reply)
    async with open_fetcher(max_retry=3) as fetcher:
        ask = make_ask(f"{origin.url}/a", byte_range=(0, 9), of_size=len(DATA), if_range='"tag"')
        error = await fail(fetcher, ask)

    assert (Reason.UNDECODABLE, False, True, 1) == (error.reason, error.is_passing, error.is_changed, origin.count())


# Compressed bodies


def packed(data: bytes) -> bytes:
    """Pack as gzip does."""
    return gzip.compress(data, mtime=0)


def as_gzip(content: bytes, coding: str = "gzip") -> Reply:
    """Reply with something that is said to be packed."""
    return Reply(body=content, headers={"Content-Encoding": coding})


@pytest.mark.parametrize("coding", ["gzip", "X-GZip", "identity", ""])
async def test_a_packed_body_is_unpacked(origin: Origin, fetcher: Fetcher, coding: str) -> None:
    """If that was allowed; its bytes are counted as they came."""
    content = DATA if coding in ("identity", "") else packed(DATA)
    origin.script("/g", as_gzip(content, coding))

    assert DATA == await fetch(fetcher, f"{origin.url}/g", gzip=True)
    assert ("gzip", len(content)) == (origin.requests[0].headers["accept-encoding"], fetcher.bytes_fetched)


@pytest.mark.parametrize(
    ("coding", "allowed"),
    [("gzip", False), ("br", True), ("gzip, gzip", True), ("deflate", False)],
)
async def test_a_body_that_nobody_asked_for_so_is_not_guessed_at(
    origin: Origin, fetcher: Fetcher, coding: str, allowed: bool
) -> None:
    """It is told how it came."""
    origin.script("/g", as_gzip(packed(DATA), coding))
    error = await fail(fetcher, make_ask(f"{origin.url}/g", gzip=allowed))

    assert (Reason.UNDECODABLE, False) == (error.reason, error.is_passing)
    assert f"it: the server compressed it ('{coding}'), which nobody asked for" == str(error)
    assert ("gzip" if allowed else "identity") == origin.requests[0].headers["accept-encoding"]


def endless() -> bytes:
    """Pack nothing, at length: empty blocks, one after the other."""
    packer = zlib.compressobj(wbits=31)
    return packer.compress(b"") + packer.flush(zlib.Z_FULL_FLUSH) + b"\0\0\0\xff\xff" * 400_000


@pytest.mark.parametrize(
    ("content", "reason", "is_passing"),
    [
        pytest.param(packed(DATA)[:-1], Reason.TRUNCATED, True, id="its end is missing"),
        pytest.param(packed(DATA)[:50], Reason.TRUNCATED, True, id="much is missing"),
        pytest.param(b"", Reason.TRUNCATED, True, id="all is missing"),
        pytest.param(b"<html>" * 9, Reason.UNDECODABLE, False, id="not packed"),
        pytest.param(packed(DATA)[:-8] + bytes(8), Reason.UNDECODABLE, False, id="wrong sum"),
        pytest.param(packed(DATA) + b"more", Reason.UNDECODABLE, False, id="something behind it"),
        pytest.param(packed(DATA) + packed(DATA), Reason.UNDECODABLE, False, id="another behind it"),
        pytest.param(packed(bytes(LARGE + 1)), Reason.TOO_LARGE, False, id="too large"),
        pytest.param(packed(b"") + bytes(2 * LARGE), Reason.UNDECODABLE, False, id="much behind it"),
        pytest.param(endless(), Reason.TOO_LARGE, False, id="without end, of nothing"),
    ],
)
async def test_a_packed_body_that_is_broken_fails(
    origin: Origin, fetcher: Fetcher, content: bytes, reason: Reason, is_passing: bool
) -> None:
    """Nothing of it is silently left away."""
    origin.script("/g", attrs.evolve(as_gzip(content), chunked=True))
    error = await fail(fetcher, make_ask(f"{origin.url}/g", gzip=True))

    assert (reason, is_passing) == (error.reason, error.is_passing)
    assert fetcher.bytes_fetched <= LARGE + (1 << 16)


async def test_a_packed_body_may_be_as_large_as_any_other(origin: Origin, fetcher: Fetcher) -> None:
    """To the byte."""
    origin.script("/g", as_gzip(packed(bytes(LARGE))))

    assert bytes(LARGE) == await fetch(fetcher, f"{origin.url}/g", gzip=True)


async def test_a_bomb_takes_no_more_room_than_its_bound(origin: Origin, fetcher: Fetcher) -> None:
    """It is left before it is unpacked."""
    origin.script("/g", as_gzip(packed(bytes(1 << 26))))
    tracemalloc.start()
    try:
        error = await fail(fetcher, make_ask(f"{origin.url}/g", gzip=True))
        most = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()

    assert Reason.TOO_LARGE == error.reason
    assert most < 4 * LARGE


# Given up


async def test_a_cancelled_fetch_leaves_everything_usable(origin: Origin, tmp_path: Path) -> None:
    """Places, connections and files."""
    origin.script("/a", Reply(drip=(100, 0.02)))
    async with open_fetcher() as fetcher:
        async with trio.open_nursery() as nursery:
            for number in range(8):
                ask = make_ask(f"{origin.url}/a")
                nursery.start_soon(fetcher.fetch, ask, FileSink(tmp_path / str(number), threads()), untold)
            while origin.most_open < 6 or not fetcher.bytes_fetched:  # noqa: ASYNC110  it has no event
                await trio.sleep(0.001)
            nursery.cancel_scope.cancel()
        gc.collect()
        assert 6 == origin.most_open == fetcher.requests
        origin.script("/a")
        assert DATA == await fetch(fetcher, f"{origin.url}/a")


async def test_a_refusal_in_the_middle_leaves_everything_usable(origin: Origin, fetcher: Fetcher) -> None:
    """What was too large isn't read to its end."""
    origin.script("/b", Reply(body=bytes(1 << 20), drip=(2000, 0.01), chunked=True))
    for _ in range(8):
        assert Reason.TOO_LARGE == (await fail(fetcher, make_ask(f"{origin.url}/b", max_bytes=3000))).reason
    gc.collect()

    assert DATA == await fetch(fetcher, f"{origin.url}/a")
