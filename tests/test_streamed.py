"""A file that comes as a whole, from its begin on: who waits for what, where it ends, and what if it breaks off."""

import contextlib
import random
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import trio
from answers import open_fetcher, untold
from origin import Origin, Reply, open_origin

from clipcut.errors import Reason, SourceError
from clipcut.events import Retry
from clipcut.network.ask import Access
from clipcut.sources.file import streamed
from clipcut.sources.file.shadow import make_shadow
from clipcut.sources.file.streamed import MAX_STREAMED, StreamedFile

CONTENT = random.Random(1).randbytes(2_000_000)


@contextlib.asynccontextmanager
async def opened(
    folder: Path,
    *replies: Reply,
    size: int = len(CONTENT),
    rate: int | None = None,
    max_retry: int = 0,
    validator: str | None = None,
) -> AsyncIterator[tuple[StreamedFile, Origin]]:
    """Open a file of a server that answers so, after another."""
    (folder / "www").mkdir()
    (folder / "www" / "a").write_bytes(CONTENT)
    path = folder / "file"
    make_shadow(path, size)
    async with open_origin(folder / "www", rate=rate) as origin, open_fetcher(max_retry) as fetcher:
        origin.script("/a", *replies)
        async with trio.open_nursery() as nursery:
            file = StreamedFile(
                access=Access(url=f"{origin.url}/a"),
                led_by=None,
                path=path,
                size=size,
                validator=validator,
                fetcher=fetcher,
                nursery=nursery,
                threads=trio.CapacityLimiter(4),
            )
            yield file, origin
            nursery.cancel_scope.cancel()


async def failure_of(file: StreamedFile, end: int = 1_900_000) -> SourceError:
    """Ask for what can't be had; return why."""
    with pytest.raises(SourceError) as caught:
        await file.need([(0, end)], untold)
    return caught.value


async def test_need_when_it_comes_bit_by_bit(tmp_path: Path) -> None:
    """Each is served as soon as its bytes are there, by one request."""
    async with opened(tmp_path, rate=4_000_000) as (file, origin):
        sent: list[int] = []
        for first, end in ((0, 100), (500_000, 600_000), (300, 400), (1_999_990, 2_000_000)):
            assert CONTENT[first:end] == await file.read(first, end, untold)
            sent.append(origin.bytes_sent)

        assert [True, False] == [bytes_there < len(CONTENT) for bytes_there in (sent[1], sent[3])]
        assert CONTENT == file.path.read_bytes()
        assert (1, True, []) == (origin.count(), file.has(0, 2_000_000), file.missing([(0, 2_000_000)]))


async def test_need_when_more_is_wanted_than_there_is(tmp_path: Path) -> None:
    """As much comes as there is."""
    async with opened(tmp_path) as (file, _):
        assert CONTENT[-10:] == await file.read(1_999_990, 3_000_000, untold)
        assert b"" == await file.read(3_000_000, 4_000_000, untold)


async def test_now_when_more_comes(tmp_path: Path) -> None:
    """It tells what was there at the moment."""
    async with opened(tmp_path) as (file, _):
        now = file.now()
        await file.need([(0, 100)], untold)

        assert ([False, True], [False, True]) == ([now(0, 1), now(0, 0)], [file.has(-1, 1), file.has(0, 100)])


async def test_stop_at_when_it_is_enough(tmp_path: Path) -> None:
    """The download ends there, and the server sees the connection close."""
    async with opened(tmp_path, rate=4_000_000) as (file, origin):
        file.stop_at = 300_000
        assert CONTENT[:300_000] == await file.read(0, 300_000, untold)
        with trio.fail_after(2):
            while origin.open_now:  # noqa: ASYNC110  it has no event for that
                await trio.sleep(0.01)

        assert origin.bytes_sent < 1_000_000
        assert 1 == origin.count()


async def test_stop_at_when_it_was_not_enough(tmp_path: Path) -> None:
    """Whoever needs more has all of it fetched anew, and gets it right."""
    async with opened(tmp_path) as (file, origin):
        file.stop_at = 100_000
        await file.need([(0, 100_000)], untold)

        assert CONTENT == await file.read(0, 2_000_000, untold)
        assert CONTENT[:100] == await file.read(0, 100, untold)
        assert origin.count() <= 2


async def test_need_when_one_waiter_is_cancelled(tmp_path: Path) -> None:
    """The download goes on, for those who wait and those who come later."""
    async with opened(tmp_path, rate=8_000_000) as (file, origin):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(file.need, [(0, 2_000_000)], untold)
            await file.need([(0, 100)], untold)
            nursery.cancel_scope.cancel()

        assert CONTENT == await file.read(0, 2_000_000, untold)
        assert 1 == origin.count()


async def test_need_when_it_failed_for_good(tmp_path: Path) -> None:
    """The failure reaches everybody who waits, and who comes later knows it; nobody asks again."""
    async with opened(tmp_path, Reply(status=404, delay=0.05)) as (file, origin):
        failures: list[SourceError] = []

        async def ask() -> None:
            failures.append(await failure_of(file))

        async with trio.open_nursery() as nursery:
            for _ in range(5):
                nursery.start_soon(ask)
        await ask()

        assert [Reason.HTTP_404] * 6 == [each.reason for each in failures]
        assert (5, 1) == (sum(each.is_known for each in failures), origin.count())
        assert 6 == len({id(each) for each in failures})


async def test_need_when_it_failed_in_passing(tmp_path: Path) -> None:
    """Whoever needs more has it fetched anew; whoever needs what came gets that without a request."""
    async with opened(tmp_path, Reply(cut_at=700_000), Reply()) as (file, origin):
        failure = await failure_of(file)
        assert CONTENT[:300_000] == await file.read(0, 300_000, untold)
        assert (True, 1) == (failure.is_passing, origin.count())

        assert CONTENT == await file.read(0, 2_000_000, untold)
        assert 2 == origin.count()


async def test_need_when_the_stream_breaks(tmp_path: Path) -> None:
    """It is begun anew by itself, one of those who wait is told once, and the bytes are right."""
    told: list[Retry] = []
    async with opened(tmp_path, Reply(cut_at=700_000), Reply(status=503), Reply(), max_retry=3) as (file, origin):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(file.need, [(0, 2_000_000)], told.append)
            nursery.start_soon(file.need, [(0, 1_500_000)], told.append)

        assert CONTENT == file.path.read_bytes()
        assert (3, 2) == (origin.count(), len(told))


async def test_need_when_it_was_changed_meanwhile(tmp_path: Path) -> None:
    """What comes after a break is of another file: nobody gets a mixture, and it isn't asked for again."""
    first = Reply(headers={"ETag": '"one"'}, cut_at=700_000)
    async with opened(tmp_path, first, Reply(headers={"ETag": '"two"'}), max_retry=3, validator='"one"') as (
        file,
        origin,
    ):
        failure = await failure_of(file)

        assert (Reason.UNDECODABLE, True, 2) == (failure.reason, failure.is_changed, origin.count())


async def test_need_when_the_size_is_unknown(tmp_path: Path) -> None:
    """Its end is where it ends, and the local file is as long."""
    async with opened(tmp_path, Reply(chunked=True), size=MAX_STREAMED) as (file, origin):
        await file.need([(0, 10)], untold)
        await file.need([(0, file.size)], untold)

        assert (2_000_000, 1) == (file.size, origin.count())
        assert 2_000_000 == file.path.stat().st_size
        assert CONTENT == file.path.read_bytes()


@pytest.mark.parametrize("chunked", [pytest.param(False, id="declared"), pytest.param(True, id="chunked")])
async def test_need_when_it_is_too_large(tmp_path: Path, chunked: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is given up when that is known, for good."""
    monkeypatch.setattr(streamed, "MAX_STREAMED", 1_000_000)
    async with opened(tmp_path, Reply(chunked=chunked), max_retry=3) as (file, origin):
        failures = [await failure_of(file), await failure_of(file)]

        assert [Reason.TOO_LARGE] * 2 == [each.reason for each in failures]
        assert ([False, True], 1) == ([each.is_known for each in failures], origin.count())


async def test_need_when_nothing_is_needed(tmp_path: Path) -> None:
    """Nobody waits."""
    async with opened(tmp_path, Reply(hang=True)) as (file, _):
        with trio.fail_after(1):
            await file.need([], untold)
