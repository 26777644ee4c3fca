"""A file of which the server gives ranges: each byte once, in its place, however many ask and whatever fails."""

import contextlib
import functools
import random
import threading
from collections.abc import AsyncIterator
from pathlib import Path

import attrs
import httpx
import pytest
import trio
import trio.testing
from answers import make_fetcher, untold

from clipcut.errors import Reason, SourceError
from clipcut.network.ask import Access
from clipcut.network.fetch import Fetcher
from clipcut.sources.file import index
from clipcut.sources.file.index import Range
from clipcut.sources.file.ranged import RangedFile
from clipcut.sources.file.shadow import make_shadow

CONTENT = random.Random(1).randbytes(10_000)
URL = "http://a.test/video.mp4"
ETAG = '"one"'


@attrs.define
class Server:
    """Gives ranges of a file, and remembers which."""

    content: bytes = CONTENT
    size: int | None = None
    etag: str = ETAG
    failing: list[int] = attrs.field(factory=list)
    asked: list[Range] = attrs.field(factory=list)
    conditions: set[str | None] = attrs.field(factory=set)
    gate: trio.Event = attrs.field(factory=trio.Event)

    async def __call__(self, request: httpx.Request) -> httpx.Response:
        """Answer."""
        first, last = (int(part) for part in request.headers["range"].removeprefix("bytes=").split("-"))
        self.asked.append((first, last + 1))
        self.conditions.add(request.headers.get("if-range"))
        await self.gate.wait()
        if self.failing:
            return httpx.Response(self.failing.pop(0))
        if request.headers.get("if-range", self.etag) != self.etag:
            return httpx.Response(200, content=self.content, headers={"ETag": self.etag})
        headers = {"Content-Range": f"bytes {first}-{last}/{self.size or len(self.content)}", "ETag": self.etag}
        return httpx.Response(206, content=self.content[first : last + 1], headers=headers)


@contextlib.asynccontextmanager
async def opened(
    folder: Path, server: Server, *, is_open: bool = True, max_retry: int = 0
) -> AsyncIterator[RangedFile]:
    """Open a file of a server, which waits with its answers until its gate is open."""
    path = folder / "file"
    make_shadow(path, len(CONTENT))
    if is_open:
        server.gate.set()
    fetcher: Fetcher = make_fetcher(site=server, max_retry=lambda: max_retry, jitter=lambda _: 0.0)
    with trio.fail_after(5):
        async with trio.open_nursery() as nursery:
            yield RangedFile(
                access=Access(url=URL),
                led_by=None,
                path=path,
                size=len(CONTENT),
                validator=ETAG,
                fetcher=fetcher,
                nursery=nursery,
                threads=trio.CapacityLimiter(4),
            )
            nursery.cancel_scope.cancel()


async def failure_of(file: RangedFile, ranges: list[Range]) -> SourceError:
    """Ask for what can't be had; return why."""
    with pytest.raises(SourceError) as caught:
        await file.need(ranges, untold)
    return caught.value


def bytes_asked(server: Server) -> list[int]:
    """Return every byte that was asked for, as often as it was."""
    return sorted(byte for first, end in server.asked for byte in range(first, end))


async def test_need_when_ranges_lie_apart(tmp_path: Path) -> None:
    """Their bytes come to their places, and no others; the file's validator goes along."""
    server = Server()
    async with opened(tmp_path, server) as file:
        await file.need([(5000, 6000), (100, 200)], untold)

        data = file.path.read_bytes()
        assert CONTENT[100:200] == data[100:200]
        assert CONTENT[5000:6000] == data[5000:6000]
        assert bytes(100) + bytes(4800) + bytes(4000) == data[:100] + data[200:5000] + data[6000:]
        assert [True, True, False] == [file.has(*each) for each in ((100, 200), (5500, 6000), (99, 200))]
    assert ([(100, 200), (5000, 6000)], {ETAG}) == (sorted(server.asked), server.conditions)


async def test_need_when_many_ask_for_what_overlaps(tmp_path: Path) -> None:
    """Each byte is asked for once, and everybody gets all of theirs."""
    server = Server()
    dice = random.Random(2)
    needs = [[(at, at + dice.randrange(1, 3000)) for at in dice.sample(range(9000), 3)] for _ in range(20)]

    async with opened(tmp_path, server, is_open=False) as file:

        async def ask(ranges: list[Range]) -> None:
            await file.need(ranges, untold)
            data = file.path.read_bytes()
            assert all(CONTENT[first:end] == data[first:end] for first, end in ranges)

        async with trio.open_nursery() as nursery:
            for ranges in needs:
                nursery.start_soon(ask, ranges)
            await trio.testing.wait_all_tasks_blocked()
            server.gate.set()

    asked = bytes_asked(server)
    assert sorted({byte for ranges in needs for each in ranges for byte in range(*each) if byte < 10_000}) == asked


async def test_need_when_one_waiter_is_cancelled(tmp_path: Path) -> None:
    """The other one gets the bytes, and they are asked for once."""
    server = Server()
    async with opened(tmp_path, server, is_open=False) as file:
        async with trio.open_nursery() as others:
            others.start_soon(file.need, [(0, 100)], untold)
            await trio.testing.wait_all_tasks_blocked()
            async with trio.open_nursery() as nursery:
                nursery.start_soon(file.need, [(50, 150)], untold)
                await trio.testing.wait_all_tasks_blocked()
                nursery.cancel_scope.cancel()
            server.gate.set()

        assert CONTENT[:100] == await file.take(0, 100)
    assert 1 == server.asked.count((0, 100))


async def test_need_when_all_waiters_were_cancelled(tmp_path: Path) -> None:
    """Whoever asks later has them fetched anew."""
    server = Server()
    async with opened(tmp_path, server, is_open=False) as file:
        with trio.move_on_after(0.01):
            await file.need([(0, 100)], untold)
        server.gate.set()

        assert CONTENT[50:80] == await file.read(50, 80, untold)


async def test_need_when_it_failed_in_passing(tmp_path: Path) -> None:
    """It is asked for again by whoever comes later."""
    server = Server(failing=[503])
    async with opened(tmp_path, server) as file:
        failure = await failure_of(file, [(0, 100)])
        assert (Reason.HTTP_5XX, False, False) == (failure.reason, failure.is_known, file.has(0, 1))

        await file.need([(0, 100)], untold)
        assert CONTENT[:100] == await file.take(0, 100)
    assert [(0, 100)] * 2 == server.asked


async def test_need_when_it_failed_for_good(tmp_path: Path) -> None:
    """It is known from then on, and isn't asked for again; other bytes are."""
    server = Server(failing=[404])
    async with opened(tmp_path, server) as file:
        failures = [await failure_of(file, [(0, 100)]), await failure_of(file, [(50, 70)])]
        await file.need([(100, 200)], untold)

    assert [(Reason.HTTP_404, False), (Reason.HTTP_404, True)] == [(each.reason, each.is_known) for each in failures]
    assert [(0, 100), (100, 200)] == server.asked


@pytest.mark.parametrize(
    "server",
    [
        pytest.param(Server(etag='"two"'), id="other validator"),
        pytest.param(Server(size=10_001), id="other length"),
    ],
)
async def test_need_when_the_file_was_changed(tmp_path: Path, server: Server) -> None:
    """That is said, and none of its bytes count."""
    server.gate = trio.Event()
    async with opened(tmp_path, server, max_retry=2) as file:
        failure = await failure_of(file, [(0, 100)])

        assert (True, Reason.UNDECODABLE, False) == (failure.is_changed, failure.reason, file.has(0, 1))
        assert bytes(100) == file.path.read_bytes()[:100]


async def test_need_when_it_is_much(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is asked for in parts, and one that fails is asked for again without the others."""
    monkeypatch.setattr(index, "PART", 1000)
    server = Server(failing=[503])
    async with opened(tmp_path, server, max_retry=1) as file:
        assert CONTENT[500:3000] == await file.read(500, 3000, untold)
    assert {(500, 1500), (1500, 2500), (2500, 3000)} == set(server.asked)
    assert 4 == len(server.asked)


async def test_put_when_bytes_came_already(tmp_path: Path) -> None:
    """They are in place and aren't asked for; what is missing is what nobody has asked for."""
    server = Server()
    async with opened(tmp_path, server) as file:
        await file.put(0, CONTENT[:500])

        assert [(500, 600), (9000, 9500)] == file.missing([(9000, 9500), (400, 600), (10, 20)])
        assert CONTENT[400:600] == await file.read(400, 600, untold)
        assert [] == file.missing([(0, 600)])
    assert [(500, 600)] == server.asked


@pytest.mark.parametrize(("first", "end"), [(9990, 10_000), (9990, 20_000), (10_000, 10_010), (20_000, 30_000), (5, 5)])
async def test_read_when_at_the_end(tmp_path: Path, first: int, end: int) -> None:
    """As much comes as there is, and nothing past it is asked for."""
    server = Server()
    async with opened(tmp_path, server) as file:
        assert CONTENT[first:end] == await file.read(first, end, untold)
        assert CONTENT[first:end] == await file.take(first, end)
    assert all(end <= len(CONTENT) for _, end in server.asked)


async def test_now_when_bytes_come_later(tmp_path: Path) -> None:
    """It tells what was there at the moment."""
    async with opened(tmp_path, Server()) as file:
        await file.put(0, CONTENT[:500])
        now = file.now()
        await file.need([(500, 600)], untold)

        assert [True, False] == [now(0, 500), now(0, 501)]
        assert file.has(0, 600)


async def test_has_when_asked_from_a_thread(tmp_path: Path) -> None:
    """What is there stays there for a thread that looks while more comes."""
    done = threading.Event()

    def watch(file: RangedFile) -> bool:
        is_there = True
        while not done.is_set():
            is_there = is_there and file.has(0, 100)
        return is_there

    async with opened(tmp_path, Server()) as file:
        await file.put(0, CONTENT[:100])
        async with trio.open_nursery() as nursery:
            seen: list[bool] = []

            async def look() -> None:
                seen.append(await trio.to_thread.run_sync(functools.partial(watch, file)))

            nursery.start_soon(look)
            for at in (*range(200, 9000, 400), *range(100, 9000, 400)):
                await file.need([(at, at + 50)], untold)
            done.set()
        assert [True] == seen
