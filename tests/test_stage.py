"""What is staged of a video: each piece once, looked at, decrypted, and gone after its last reader."""

import contextlib
import errno
import functools
import io
import random
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

import attrs
import httpx
import pytest
import trio
from packaged import encrypt

from clipcut.errors import Reason, RenderError, SourceError
from clipcut.events import Retry
from clipcut.network.addresses import AddressBook, Zone
from clipcut.network.ask import Access
from clipcut.network.body import FileSink
from clipcut.network.fetch import Fetcher
from clipcut.network.http import Wire
from clipcut.sources.gather import gather
from clipcut.sources.segments import segment as segment_module
from clipcut.sources.segments.playlist import Key, Resource
from clipcut.sources.segments.segment import Kind, decrypt, kind_of
from clipcut.sources.segments.stage import HEAD, Item, Stage

HERE = "https://cdn.example"
MEDIA = (b"G" + bytes(187)) * 20
LONG = (b"G" + bytes(range(187))) * 2000
FRAGMENT = b"\0\0\0\x0cstypmsdh" + b"\0\0\0\x20moof" + bytes(24) + b"\0\0\1\0mdat" + bytes(248)
LARGE_BOX, END_BOX = b"\0\0\0\1mdat" + (50).to_bytes(8) + bytes(34), b"\0\0\0\0mdat" + bytes(77)
SECRET, OTHER_SECRET = b"0123456789abcdef", b"fedcba9876543210"
IV = bytes(range(16))
KEY = Key(url=f"{HERE}/key", iv=IV)
PAGE = b"\n<!DOCTYPE html><title>Sign in</title>"

Answer = bytes | int | AsyncIterator[bytes]


@attrs.define
class Web:
    """Answers with what there is by path: a body, a status, or one of several in turn; remembers what was asked."""

    bodies: dict[str, Answer | list[Answer]]
    asked: list[str] = attrs.field(factory=list)
    ranges: list[str | None] = attrs.field(factory=list)

    async def answer(self, request: httpx.Request) -> httpx.Response:
        """Answer one request."""
        await trio.lowlevel.checkpoint()
        name = request.url.path[1:]
        self.asked.append(name)
        self.ranges.append(request.headers.get("range"))
        found = self.bodies[name]
        if isinstance(found, list):
            found = found.pop(0)
        if isinstance(found, int):
            return httpx.Response(found)
        if isinstance(found, bytes) and (asked := request.headers.get("range")) is not None:
            first, last = (int(number) for number in asked.removeprefix("bytes=").split("-"))
            part = found[first : last + 1]
            told = {"Content-Range": f"bytes {first}-{first + len(part) - 1}/{len(found)}"}
            return httpx.Response(206, content=part, headers=told)
        return httpx.Response(200, content=found)


@contextlib.asynccontextmanager
async def staging(folder: Path, bodies: Mapping[str, Any], *, max_retry: int = 0) -> AsyncIterator[tuple[Stage, Web]]:
    """Give a stage over a web of these bodies."""

    async def resolve(_: str) -> list[str]:
        await trio.lowlevel.checkpoint()
        return ["192.0.2.1"]

    web = Web(dict(bodies))
    book = AddressBook(resolve, zone=lambda _: Zone.PUBLIC)
    wire = Wire(book, {}, transport=httpx.MockTransport(web.answer))
    fetcher = Fetcher(wire=wire, max_retry=lambda: max_retry, jitter=lambda _: 0)
    async with trio.open_nursery() as nursery:
        yield Stage(fetcher, Access(url=HERE), folder, nursery, trio.CapacityLimiter(4)), web
        nursery.cancel_scope.cancel()
    await wire.aclose()


def item(name: str = "a", key: Key | None = None, byte_range: tuple[int, int] | None = None) -> Item:
    """A piece beside the playlist, called ``segment NAME``."""
    resource = Resource(url=f"{HERE}/{name}", byte_range=byte_range)
    return Item(resource=resource, key=key, what=f"segment {name}", led_by=Zone.PUBLIC)


def ignore(_: Retry) -> None:
    """Somebody who isn't interested in retries."""


def files(folder: Path) -> list[bytes]:
    """The contents of all that lies in a folder, in order of the names."""
    return [path.read_bytes() for path in sorted(folder.iterdir())]


async def failure_of(stage: Stage, wanted: Item) -> SourceError:
    """Get something that can't be had."""
    with pytest.raises(SourceError) as caught:
        await stage.get(wanted, ignore)
    return caught.value


async def test_get_when_many_ask(tmp_path: Path) -> None:
    """A piece is fetched once, whatever it is called, and everybody gets the same file."""
    renamed = attrs.evolve(item(), what="the same", led_by=Zone.LOOPBACK)

    async with staging(tmp_path, {"a": MEDIA, "b": LONG}) as (stage, web):
        wanted = [item("a"), item("b"), item("a"), renamed]
        paths = await gather(*(functools.partial(stage.get, each, ignore) for each in wanted))
        again = await stage.get(item("a"), ignore)

    assert ["a", "b"] == sorted(web.asked)
    assert [paths[0]] * 3 == [paths[2], paths[3], again]
    assert [MEDIA, LONG] == [paths[0].read_bytes(), paths[1].read_bytes()]


async def test_get_when_a_request_is_sent_again(tmp_path: Path) -> None:
    """One of those who wait is told, for the key too, and the file has only what came in the end."""
    told: list[Retry] = []
    bodies = {"a": [503, encrypt(MEDIA, SECRET, IV)], "key": [500, SECRET]}

    async with staging(tmp_path, bodies, max_retry=1) as (stage, _):
        paths = await gather(*[functools.partial(stage.get, item(key=KEY), told.append)] * 3)

    assert [Reason.HTTP_5XX] * 2 == [retry.reason for retry in told]
    assert MEDIA == paths[0].read_bytes()


async def test_get_when_it_failed_before(tmp_path: Path) -> None:
    """A lasting failure is told without a request, as long as somebody may still want the piece."""
    async with staging(tmp_path, {"a": [404, 410, MEDIA]}) as (stage, web):
        stage.expect([item()], 0)
        failures = [await failure_of(stage, item()) for _ in range(2)]
        await stage.release(0)
        failures.append(await failure_of(stage, item()))

    assert [(Reason.HTTP_404, False), (Reason.HTTP_404, True), (Reason.HTTP_410, False)] == [
        (failure.reason, failure.is_known) for failure in failures
    ]
    assert (["a", "a"], []) == (web.asked, files(tmp_path))


async def test_release_when_others_still_read(tmp_path: Path) -> None:
    """A piece is kept until its last reader has gone, and then it is gone from the disk too; others stay."""
    async with staging(tmp_path, {"a": MEDIA, "b": LONG}) as (stage, _):
        stage.expect([item("a"), item("b")], 0)
        stage.expect([item("a")], 1)
        stage.expect([item("b")], 2)
        for name in "ab":
            await stage.get(item(name), ignore)

        await stage.release(0)
        assert [MEDIA, LONG] == files(tmp_path)

        await stage.release(1)
        assert [LONG] == files(tmp_path)
        assert (False, True) == (stage.is_expected(item("a")), stage.is_expected(item("b")))


async def test_release_when_a_reader_expects_twice(tmp_path: Path) -> None:
    """A reader that says again what it needs still counts once."""
    async with staging(tmp_path, {"a": MEDIA}) as (stage, _):
        for _ in range(2):
            stage.expect([item()], 0)
        await stage.get(item(), ignore)
        await stage.release(0)

    assert [] == files(tmp_path)


async def test_release_when_it_was_never_fetched(tmp_path: Path) -> None:
    """A reader that got nothing, or that nobody knows, is forgotten, and nothing is asked for."""
    async with staging(tmp_path, {"a": MEDIA}) as (stage, web):
        stage.expect([item("a"), item("never")], 0)
        stage.expect([item("a")], 1)
        await stage.release(0)
        await stage.release(99)

        assert (True, False) == (stage.is_expected(item("a")), stage.is_expected(item("never")))
        assert [] == web.asked
        assert MEDIA == (await stage.get(item("a"), ignore)).read_bytes()


async def test_get_when_it_was_dropped(tmp_path: Path) -> None:
    """Whoever needs it once more has it fetched once more."""
    async with staging(tmp_path, {"a": MEDIA}) as (stage, web):
        for reader in range(2):
            stage.expect([item()], reader)
            assert MEDIA == (await stage.get(item(), ignore)).read_bytes()
            await stage.release(reader)

    assert (["a", "a"], []) == (web.asked, files(tmp_path))


@pytest.mark.parametrize(
    ("body", "words"),
    [
        pytest.param(PAGE, "segment a: is no media; it begins with an HTML page", id="page"),
        pytest.param(b"", "segment a: is no media; it begins with nothing", id="empty"),
        pytest.param(b"\x80\x01\x02\xff56789", "begins with 80 01 02 ff 35 36 37 38$", id="random"),
        pytest.param(b"Gone fishing", "begins with 47 6f 6e 65", id="words with the first letter of a packet"),
        pytest.param(b"G" + bytes(400), "begins with 47 00", id="no second packet"),
        pytest.param(b"#EXTM3U\n", "begins with 23 45", id="playlist"),
    ],
)
async def test_get_when_it_is_no_media(body: bytes, words: str, tmp_path: Path) -> None:
    """What comes with status 200 and isn't media is undecodable, and doesn't stay."""
    async with staging(tmp_path, {"a": body}) as (stage, _):
        failure = await failure_of(stage, item())

    assert Reason.UNDECODABLE == failure.reason
    assert not failure.is_passing
    with pytest.raises(SourceError, match=words):
        raise failure
    assert [] == files(tmp_path)


@pytest.mark.parametrize(
    ("size", "asked", "byte_range", "begin", "count"),
    [
        pytest.param(200_000, "bytes=0-65535", None, 0, HEAD, id="long"),
        pytest.param(1880, "bytes=0-65535", None, 0, 1880, id="short"),
        pytest.param(200_000, "bytes=1880-67415", (1880, 188_000), 1880, HEAD, id="long range"),
        pytest.param(200_000, "bytes=1880-3759", (1880, 3760), 1880, 1880, id="short range"),
    ],
)
async def test_get_when_it_is_a_head(
    size: int, asked: str, byte_range: tuple[int, int] | None, begin: int, count: int, tmp_path: Path
) -> None:
    """Its first bytes are asked for and no others, and fewer are enough where there are no more."""
    body = LONG[:size]

    async with staging(tmp_path, {"a": body}) as (stage, web):
        path = await stage.get(item(byte_range=byte_range).head(), ignore)

        assert [asked] == web.ranges
        assert body[begin : begin + count] == path.read_bytes()


async def test_get_when_head_and_whole_are_wanted(tmp_path: Path) -> None:
    """They are pieces of their own: a head doesn't stand for the whole, nor the other way round."""
    async with staging(tmp_path, {"a": LONG}) as (stage, _):
        head = await stage.get(item().head(), ignore)
        whole = await stage.get(item(), ignore)

        assert (LONG[:HEAD], LONG) == (head.read_bytes(), whole.read_bytes())
        assert "the head of segment a" == item().head().what


async def test_get_when_it_is_a_byte_range(tmp_path: Path) -> None:
    """Exactly those bytes are asked for and staged; too few are a failure."""
    async with staging(tmp_path, {"a": MEDIA}) as (stage, web):
        path = await stage.get(item(byte_range=(188, 564)), ignore)
        failure = await failure_of(stage, item(byte_range=(188, 1_000_000)))

        assert MEDIA[188:564] == path.read_bytes()
        assert (Reason.TRUNCATED, ["bytes=188-563", "bytes=188-999999"]) == (failure.reason, web.ranges)


@pytest.mark.parametrize(
    ("body", "is_whole"),
    [
        pytest.param(MEDIA, True, id="packets"),
        pytest.param(MEDIA[:-1], False, id="packets without the last byte"),
        pytest.param(MEDIA + b"G", False, id="packets and one more byte"),
        pytest.param(FRAGMENT, True, id="boxes"),
        pytest.param(FRAGMENT + END_BOX, True, id="a box to the end"),
        pytest.param(FRAGMENT + LARGE_BOX, True, id="a box with a large size"),
        pytest.param(FRAGMENT[:-1], False, id="boxes without the last byte"),
        pytest.param(FRAGMENT + LARGE_BOX[:-1], False, id="a box with a large size without its last byte"),
        pytest.param(FRAGMENT + LARGE_BOX[:12], False, id="part of a large size"),
        pytest.param(FRAGMENT + b"\0\0\0", False, id="part of a header"),
        pytest.param(FRAGMENT + bytes(8), False, id="zeros"),
        pytest.param(b"\xff\xf1\x50", True, id="packed audio, of any length"),
    ],
)
async def test_get_when_it_ends_somewhere(body: bytes, *, is_whole: bool, tmp_path: Path) -> None:
    """A segment that ends within a packet or box was cut off, whatever length was announced; a head may be."""
    async with staging(tmp_path, {"a": body}) as (stage, _):
        head = await stage.get(item().head(), ignore)
        assert body == head.read_bytes()

        if is_whole:
            assert body == (await stage.get(item(), ignore)).read_bytes()
            return
        failure = await failure_of(stage, item())
        assert (Reason.TRUNCATED, True) == (failure.reason, failure.is_passing)
        assert [body] == files(tmp_path)


async def test_get_when_a_head_is_encrypted(tmp_path: Path) -> None:
    """It is decrypted as far as it goes, though its end has no padding; that of a short one stays."""
    bodies = {"a": encrypt(LONG, SECRET, IV), "b": encrypt(MEDIA, SECRET, IV), "key": SECRET}

    async with staging(tmp_path, bodies) as (stage, _):
        long, short = [await stage.get(item(name, KEY).head(), ignore) for name in "ab"]

        assert LONG[:HEAD] == long.read_bytes()
        assert MEDIA == short.read_bytes()[: len(MEDIA)]


async def test_get_when_many_have_one_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The key is fetched once, is never written, and each piece has its own initialization vector."""
    written: list[bytes] = []
    put = FileSink._put

    def watch(sink: FileSink, data: bytes, at: int) -> None:
        written.append(data)
        put(sink, data, at)

    monkeypatch.setattr(FileSink, "_put", watch)
    vectors = {name: bytes([number] * 16) for number, name in enumerate("abcd")}
    bodies = {name: encrypt(MEDIA, SECRET, iv) for name, iv in vectors.items()}

    async with staging(tmp_path, {**bodies, "key": SECRET}) as (stage, web):
        wanted = [item(name, Key(url=KEY.url, iv=iv)) for name, iv in vectors.items()]
        await gather(*(functools.partial(stage.get, each, ignore) for each in wanted[:3]))
        await stage.get(wanted[3], ignore)

    assert ["a", "b", "c", "d", "key"] == sorted(web.asked)
    assert [MEDIA] * 4 == files(tmp_path)
    assert sorted(bodies.values()) == sorted(written)


async def test_get_when_keys_rotate(tmp_path: Path) -> None:
    """Each key is fetched, and used for what it was made for."""
    bodies = {"a": encrypt(MEDIA, SECRET, IV), "b": encrypt(LONG, OTHER_SECRET, IV), "key": SECRET}
    other = Key(url=f"{HERE}/other", iv=IV)

    async with staging(tmp_path, {**bodies, "other": OTHER_SECRET}) as (stage, _):
        paths = [await stage.get(each, ignore) for each in (item("a", KEY), item("b", other))]

        assert [MEDIA, LONG] == [path.read_bytes() for path in paths]


async def test_get_when_the_key_is_gone(tmp_path: Path) -> None:
    """Every piece that needs it fails with its reason, and it is asked for once."""
    async with staging(tmp_path, {"a": MEDIA, "b": MEDIA, "key": 404}) as (stage, web):
        failures = [await failure_of(stage, item(name, KEY)) for name in "ab"]

    assert [(Reason.HTTP_404, "the key: the server answers 404")] * 2 == [(each.reason, str(each)) for each in failures]
    assert (1, []) == (web.asked.count("key"), files(tmp_path))


@pytest.mark.parametrize(
    ("body", "key", "words"),
    [
        pytest.param(encrypt(MEDIA, SECRET, IV), b"", "the key has 0 bytes, and AES-128 needs 16", id="empty key"),
        pytest.param(encrypt(MEDIA, SECRET, IV), SECRET[:15], "the key has 15 bytes", id="short key"),
        pytest.param(encrypt(MEDIA, SECRET, IV), SECRET * 2, "the key has 32 bytes", id="long key"),
        pytest.param(encrypt(MEDIA, SECRET, IV), OTHER_SECRET, "segment a: can't be decrypted with", id="other key"),
        pytest.param(encrypt(MEDIA, SECRET, IV)[:-3], SECRET, "can't be decrypted", id="part of a block"),
        pytest.param(encrypt(MEDIA, SECRET, IV) + b"xyz", SECRET, "can't be decrypted", id="more than its blocks"),
        pytest.param(encrypt(MEDIA, SECRET, IV)[:-16], SECRET, "can't be decrypted", id="no last block"),
        pytest.param(b"", SECRET, "can't be decrypted", id="nothing"),
        pytest.param(encrypt(PAGE, SECRET, IV), SECRET, "no media; it begins with an HTML page", id="encrypted page"),
    ],
)
async def test_get_when_it_can_not_be_decrypted(body: bytes, key: bytes, words: str, tmp_path: Path) -> None:
    """It is undecodable, and neither the encrypted nor half a clear file stays."""
    async with staging(tmp_path, {"a": body, "key": key}) as (stage, _):
        failure = await failure_of(stage, item(key=KEY))

    assert Reason.UNDECODABLE == failure.reason
    assert words in str(failure)
    assert [] == files(tmp_path)


async def test_get_when_cancelled_in_the_middle_of_a_download(tmp_path: Path) -> None:
    """What came so far doesn't stay, and who asks afterwards gets the whole."""
    half = trio.Event()

    async def stuck() -> AsyncIterator[bytes]:
        for _ in range(8):
            yield LONG
        half.set()
        await trio.sleep_forever()

    async with staging(tmp_path, {"a": [stuck(), MEDIA]}) as (stage, web):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(stage.get, item(), ignore)
            await half.wait()
            assert 1 == len(files(tmp_path))
            nursery.cancel_scope.cancel()
        path = await stage.get(item(), ignore)

        assert [MEDIA] == files(tmp_path) == [path.read_bytes()]
        assert ["a", "a"] == web.asked


async def interrupted(begun: threading.Event, leave: threading.Event, work: Callable[[], Awaitable[object]]) -> None:
    """Cancel work when a thread of its has begun, and let that thread end only then."""
    async with trio.open_nursery() as nursery:
        nursery.start_soon(work)
        await trio.to_thread.run_sync(begun.wait)
        nursery.cancel_scope.cancel()
    leave.set()


@pytest.mark.parametrize("function", [pytest.param("_look_into", id="look"), pytest.param("decrypt", id="decrypt")])
async def test_get_when_cancelled_while_a_thread_works(
    function: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A thread ends its work whatever happens, and its file doesn't outlive the reader that left meanwhile."""
    begun, leave = threading.Event(), threading.Event()
    original = getattr(segment_module, function)

    def slow(*args: Any, **more: Any) -> Any:
        begun.set()
        leave.wait()
        return original(*args, **more)

    monkeypatch.setattr(segment_module, function, slow)
    async with staging(tmp_path, {"a": encrypt(MEDIA, SECRET, IV), "key": SECRET}) as (stage, _):
        stage.expect([item(key=KEY)], 0)
        await interrupted(begun, leave, functools.partial(stage.get, item(key=KEY), ignore))
        await stage.release(0)

    assert [] == files(tmp_path)


@pytest.mark.parametrize("suffix", [pytest.param("", id="download"), pytest.param(".clear", id="decryption")])
async def test_get_when_the_disk_is_full(suffix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The render can't go on: it is no fault of the source; what was written goes, so that others have room."""
    opened = Path.open

    class Full(io.BytesIO):
        def write(self, _: Any) -> int:
            raise OSError(errno.ENOSPC, "No space left on device")

    def open_on_full_disk(path: Path, mode: str = "r", *more: Any) -> Any:
        file = opened(path, mode, *more)
        if "w" not in mode or path.suffix != suffix:
            return file
        file.close()
        return Full()

    monkeypatch.setattr(Path, "open", open_on_full_disk)
    async with staging(tmp_path, {"a": encrypt(MEDIA, SECRET, IV), "key": SECRET}) as (stage, _):
        with pytest.raises(RenderError, match="no room"):
            await stage.get(item(key=KEY), ignore)

    assert [] == files(tmp_path)


async def test_get_when_no_file_can_be_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Too few descriptors are the machine's fault, also when a piece is only looked at."""
    opened = Path.open

    def open_none(path: Path, mode: str = "r", *more: Any) -> Any:
        if "r" in mode:
            raise OSError(errno.EMFILE, "Too many open files")
        return opened(path, mode, *more)

    async with staging(tmp_path, {"a": MEDIA}) as (stage, _):
        with monkeypatch.context() as patch:
            patch.setattr(Path, "open", open_none)
            with pytest.raises(RenderError, match="lower --concurrency"):
                await stage.get(item(), ignore)

    assert [] == files(tmp_path)


@pytest.mark.parametrize(
    ("head", "kind"),
    [
        pytest.param(MEDIA[:256], Kind.TRANSPORT_STREAM, id="packets"),
        pytest.param(MEDIA[:188], Kind.TRANSPORT_STREAM, id="one packet"),
        pytest.param(b"G" + bytes(255), None, id="no second packet"),
        pytest.param(b"GIF89a", None, id="shorter than a packet"),
        *(
            pytest.param(bytes(4) + name + bytes(8), Kind.FRAGMENT, id=name.decode())
            for name in (b"ftyp", b"styp", b"moov", b"moof", b"sidx", b"emsg", b"prft", b"mdat")
        ),
        pytest.param(b"moof" + bytes(8), None, id="no box"),
        pytest.param(b"ID3\x04\0\0", Kind.PACKED_AUDIO, id="tag"),
        pytest.param(b"\xff\xf1\x50\x80", Kind.PACKED_AUDIO, id="ADTS"),
        pytest.param(b"\xff\xf9\x50\x80", Kind.PACKED_AUDIO, id="ADTS of MPEG-2"),
        pytest.param(b"\xff\xfb\x90\x64", Kind.PACKED_AUDIO, id="MP3"),
        pytest.param(b"\x0b\x77", Kind.PACKED_AUDIO, id="AC-3"),
        pytest.param(b"\xff\xfeh\0t\0", None, id="text in UTF-16"),
        pytest.param(b"\xff\xd8\xff\xe0", None, id="JPEG"),
        pytest.param(b"\x1f\x8b\x08\0", None, id="gzip"),
        pytest.param(b"\x1aE\xdf\xa3", Kind.CLUSTER, id="WebM"),
        pytest.param(b"WEBVTT\n", None, id="subtitles"),
        pytest.param(PAGE, None, id="page"),
        pytest.param(b"", None, id="nothing"),
    ],
)
def test_kind_of_when_it_begins_with(head: bytes, kind: Kind | None) -> None:
    """The kinds of segments that HLS has are known by their first bytes, and nothing else is taken for one."""
    assert kind is kind_of(head)


@pytest.mark.parametrize("length", [0, 1, 15, 16, 17, (1 << 20) - 1, 1 << 20, (1 << 20) + 17])
def test_decrypt_when_padded(length: int, tmp_path: Path) -> None:
    """It undoes encryption, whatever the length."""
    data = random.Random(length).randbytes(length)
    (tmp_path / "a").write_bytes(encrypt(data, SECRET, IV))

    decrypt(tmp_path / "a", tmp_path / "b", SECRET, IV, is_padded=True)

    assert data == (tmp_path / "b").read_bytes()


@pytest.mark.parametrize(
    ("cut", "count"),
    [pytest.param(64, 64, id="blocks"), pytest.param(70, 64, id="part of a block"), pytest.param(0, 0, id="nothing")],
)
def test_decrypt_when_not_padded(cut: int, count: int, tmp_path: Path) -> None:
    """As many whole blocks as there are come out."""
    (tmp_path / "a").write_bytes(encrypt(LONG, SECRET, IV)[:cut])

    decrypt(tmp_path / "a", tmp_path / "b", SECRET, IV, is_padded=False)

    assert LONG[:count] == (tmp_path / "b").read_bytes()


async def test_a_large_segment_is_looked_at_when_all_of_it_came(tmp_path: Path) -> None:
    """It is written in batches, and a batch ends in the middle of a packet."""
    data = (b"G" + bytes(187)) * 12_000
    sink = segment_module.SegmentSink(
        tmp_path / "a", trio.CapacityLimiter(1), "a", b"", b"", is_head=False, most=1 << 20
    )

    await sink.restart()
    for first in range(0, len(data), 700_000):
        await sink.write(data[first : first + 700_000])
    await sink.finish()

    assert data == (tmp_path / "a").read_bytes()
