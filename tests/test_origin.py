"""The breakable server: each fault is really made, to the byte, and what was asked is really on record."""

import gzip
import json
import os
import signal
import ssl
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable
from email.utils import formatdate
from pathlib import Path
from types import SimpleNamespace

import httpx
import pytest
import trio
import trustme
from origin import Origin, Reply, Seen, main, open_origin, redirect, retry_after_seconds

DATA = bytes(range(256)) * 40
"""What /a.ts holds: 10240 bytes."""

DELAY = 0.03
"""Seconds that are told from none at all."""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a file, another in a folder of its own, and a secret next to the folder."""
    (tmp_path / "www" / "low water").mkdir(parents=True)
    (tmp_path / "www" / "a.ts").write_bytes(DATA)
    (tmp_path / "www" / "low water" / "ü%.mp4").write_bytes(b"decoded")
    (tmp_path / "secret").write_bytes(b"secret")
    (tmp_path / "www" / "link").symlink_to(tmp_path / "secret")
    return tmp_path / "www"


@pytest.fixture
async def origin(folder: Path) -> AsyncIterator[Origin]:
    """An origin of that folder."""
    async with open_origin(folder) as one:
        yield one


def make_client(origin: Origin, trust: ssl.SSLContext | None = None) -> httpx.AsyncClient:
    """Make a client of one origin that neither looks for a proxy nor loads the world's certificates."""
    context = trust or ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    return httpx.AsyncClient(base_url=origin.url, verify=context, trust_env=False, timeout=5)


@pytest.fixture
async def client(origin: Origin) -> AsyncIterator[httpx.AsyncClient]:
    """A client of that origin."""
    async with make_client(origin) as one:
        yield one


async def dial(origin: Origin) -> trio.SocketStream:
    """Open a plain connection."""
    url = httpx.URL(origin.url)
    assert url.port is not None
    return await trio.open_tcp_stream(url.host, url.port)


async def read_all(stream: trio.abc.ReceiveStream) -> bytes:
    """Read to the end of a connection."""
    return b"".join([piece async for piece in stream])


async def talk(origin: Origin, target: str, *headers: str, method: str = "GET", version: str = "HTTP/1.1") -> bytes:
    """Send one request as it stands, and return all that comes until the server closes."""
    head = "\r\n".join([f"{method} {target} {version}", "Host: x", *headers, "", ""])
    with trio.fail_after(5):
        async with await dial(origin) as stream:
            await stream.send_all(head.encode())
            return await read_all(stream)


async def ask(origin: Origin, target: str, *headers: str, method: str = "GET") -> tuple[int, dict[str, str], bytes]:
    """Send one request on a connection of its own; return status, headers by lower-case name, and the raw body."""
    head, _, body = (await talk(origin, target, "Connection: close", *headers, method=method)).partition(b"\r\n\r\n")
    first, *lines = head.decode().split("\r\n")
    fields = {name.lower(): value for name, value in (line.split(": ", 1) for line in lines)}
    return int(first.split(" ")[1]), fields, body


async def wait_until(is_so: Callable[[], bool]) -> None:
    """Wait until something is so, for a second at most."""
    with trio.fail_after(1):
        while not is_so():  # noqa: ASYNC110  counts are what a test asks an origin for, and they have no event
            await trio.sleep(0.001)


# The decent server


async def test_a_file_comes_with_its_validators(origin: Origin, folder: Path) -> None:
    """Length, kind, date, a strong tag, and that ranges are served."""
    modified = (folder / "a.ts").stat().st_mtime
    status, headers, body = await ask(origin, "/a.ts")

    assert (200, DATA) == (status, body)
    assert headers.pop("etag").startswith('"')
    assert headers.pop("date")
    assert {
        "accept-ranges": "bytes",
        "last-modified": formatdate(modified, usegmt=True),
        "content-type": "video/mp2t",
        "content-length": "10240",
        "connection": "close",
    } == headers


async def test_the_tag_changes_when_the_file_does(origin: Origin, folder: Path) -> None:
    """Same size, another time of change: another file."""
    tags = [(await ask(origin, "/a.ts"))[1]["etag"] for _ in range(2)]
    os.utime(folder / "a.ts", ns=(0, 1))

    assert tags[0] == tags[1]
    assert tags[0] != (await ask(origin, "/a.ts"))[1]["etag"]


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("x.m3u8", "application/vnd.apple.mpegurl"),
        ("x.ts", "video/mp2t"),
        ("x.m4s", "video/mp4"),
        ("x.MP4", "video/mp4"),
        ("x.aac", "audio/aac"),
        ("x", "application/octet-stream"),
    ],
)
async def test_the_suffix_decides_the_content_type(origin: Origin, name: str, kind: str) -> None:
    """As a CDN would state it."""
    origin.script(f"/{name}", Reply(body=b"x"))

    assert kind == (await ask(origin, f"/{name}"))[1]["content-type"]


async def test_head_has_the_headers_and_no_body(origin: Origin, client: httpx.AsyncClient) -> None:
    """All of GET but the bytes, and the connection goes on."""
    head = await client.head("/a.ts", headers={"Range": "bytes=0-1"})
    await client.get("/a.ts")

    assert (200, "10240", b"") == (head.status_code, head.headers["content-length"], head.content)
    assert (1, len(DATA)) == (origin.connections, origin.bytes_sent)


@pytest.mark.parametrize(
    ("asked", "stated", "part"),
    [
        ("bytes=0-0", "bytes 0-0/10240", DATA[:1]),
        ("bytes=100-299", "bytes 100-299/10240", DATA[100:300]),
        ("bytes=10000-", "bytes 10000-10239/10240", DATA[10000:]),
        ("bytes=10000-99999", "bytes 10000-10239/10240", DATA[10000:]),
        ("bytes=-7", "bytes 10233-10239/10240", DATA[-7:]),
        ("bytes=-99999", "bytes 0-10239/10240", DATA),
    ],
)
async def test_a_range_is_served(origin: Origin, asked: str, stated: str, part: bytes) -> None:
    """Both ends count, an open one is the file's, and a suffix counts from the end."""
    status, headers, body = await ask(origin, "/a.ts", f"Range: {asked}")

    assert (206, stated, str(len(part)), part) == (status, headers["content-range"], headers["content-length"], body)


@pytest.mark.parametrize("asked", ["bytes=10240-", "bytes=99999-100000", "bytes=-0"])
async def test_a_range_that_is_not_there_gets_416(origin: Origin, asked: str) -> None:
    """The answer states the size, and nothing else."""
    status, headers, body = await ask(origin, "/a.ts", f"Range: {asked}")

    assert (416, "bytes */10240", b"") == (status, headers["content-range"], body)


@pytest.mark.parametrize("asked", ["bytes=0-1,5-6", "bytes=5-4", "bytes=-", "lines=0-1", "bytes=" + "9" * 5000 + "-"])
async def test_a_range_that_is_none_gets_everything(origin: Origin, asked: str) -> None:
    """What isn't one plain range is ignored, as the standard allows."""
    status, _, body = await ask(origin, "/a.ts", f"Range: {asked}")

    assert (200, DATA) == (status, body)


@pytest.mark.parametrize("validator", ["etag", "last-modified"])
async def test_if_range_gives_the_range_when_nothing_changed(origin: Origin, validator: str) -> None:
    """Either validator will do."""
    value = (await ask(origin, "/a.ts"))[1][validator]

    assert 206 == (await ask(origin, "/a.ts", "Range: bytes=0-9", f"If-Range: {value}"))[0]


@pytest.mark.parametrize("other", ['"other"', "Thu, 01 Jan 1970 00:00:00 GMT"])
async def test_if_range_gives_everything_when_the_file_changed(origin: Origin, other: str) -> None:
    """A part of another file would be worse than none."""
    status, _, body = await ask(origin, "/a.ts", "Range: bytes=0-9", f"If-Range: {other}")

    assert (200, DATA) == (status, body)


async def test_if_range_is_held_against_the_tag_that_was_stated(origin: Origin) -> None:
    """A scripted tag counts instead of the true one."""
    origin.script("/a.ts", Reply(headers={"etag": '"mine"'}))

    assert 206 == (await ask(origin, "/a.ts", "Range: bytes=0-9", 'If-Range: "mine"'))[0]


@pytest.mark.parametrize("target", ["/none", "/", "/low%20water", "/a.ts/x", "/" + "x" * 5000, "/%00", "/a.ts%3Fx"])
async def test_what_is_not_there_gets_404(origin: Origin, target: str) -> None:
    """Neither missing files, nor folders, nor names that can't be."""
    status, _, body = await ask(origin, target)

    assert (404, b"") == (status, body)


@pytest.mark.parametrize(
    "target", ["/../secret", "/%2e%2e/secret", "/low%20water/../../secret", "/..%2Fsecret", "/link", "//../secret"]
)
async def test_no_path_leads_out_of_the_folder(origin: Origin, target: str) -> None:
    """Neither dots, however they are written, nor links."""
    status, _, body = await ask(origin, target)

    assert (404, b"") == (status, body)


async def test_an_absolute_path_stays_below_the_folder(origin: Origin, folder: Path) -> None:
    """Two slashes don't begin anew at the root."""
    assert 404 == (await ask(origin, f"/{folder.parent / 'secret'}"))[0]
    assert 200 == (await ask(origin, "//a.ts"))[0]


async def test_the_path_is_decoded(origin: Origin) -> None:
    """Once, and as UTF-8."""
    status, _, body = await ask(origin, "/low%20water/%C3%BC%25.mp4?token=a%20b")

    assert (200, b"decoded") == (status, body)
    seen = origin.requests[0]
    assert ("/low water/ü%.mp4", "token=a%20b") == (seen.path, seen.query)
    assert "/low%20water/%C3%BC%25.mp4?token=a%20b" == seen.target


async def test_there_is_nothing_without_a_folder() -> None:
    """Only what is scripted."""
    async with open_origin() as origin:
        origin.script("/b", Reply(body=b"b"))

        assert [404, 200] == [(await ask(origin, path))[0] for path in ("/a.ts", "/b")]


async def test_other_methods_are_refused(origin: Origin) -> None:
    """And the body that may follow isn't taken for a request."""
    status, headers, _ = await ask(origin, "/a.ts", method="DELETE")

    assert (405, "GET, HEAD") == (status, headers["allow"])


@pytest.mark.parametrize("head", [b"nonsense", b"GET a.ts HTTP/1.1", b"GET /a.ts HTTP/2", b"GET /a.ts HTTP/1.1\r\nno"])
async def test_what_is_no_request_gets_400(origin: Origin, head: bytes) -> None:
    """It isn't on record, and the connection is closed."""
    async with await dial(origin) as stream:
        await stream.send_all(head + b"\r\n\r\n")

        assert (await read_all(stream)).startswith(b"HTTP/1.1 400 ")
    assert [] == origin.requests


async def test_an_endless_head_is_cut_off(origin: Origin) -> None:
    """A client that never comes to the point doesn't fill the memory."""
    async with await dial(origin) as stream:
        with pytest.raises(trio.BrokenResourceError):
            await stream.send_all(b"x" * 50_000_000)


# Connections


async def test_a_connection_is_kept(origin: Origin, client: httpx.AsyncClient) -> None:
    """Two requests, one connection, whatever the first one got."""
    await client.get("/none")
    await client.get("/a.ts", headers={"Range": "bytes=0-1"})
    await client.get("/a.ts")

    assert [0, 0, 0] == [seen.connection for seen in origin.requests]
    assert (1, 1, 1) == (origin.connections, origin.open_now, origin.most_open)


async def test_requests_may_come_all_at_once(origin: Origin) -> None:
    """Pipelined, and in pieces that end anywhere, they are answered in order."""
    origin.script("/b", Reply(body=b"b"))
    async with await dial(origin) as stream:
        await stream.send_all(b"GET /none HTTP/1.1\r\n\r\nGET /b HTTP/1.1\r\nConnection: clo")
        await trio.sleep(0.002)
        await stream.send_all(b"se\r\n\r\n")

        answers = await read_all(stream)
    assert 2 == answers.count(b"HTTP/1.1 ")
    assert answers.endswith(b"\r\n\r\nb")


async def test_http_1_0_is_closed_after_its_answer(origin: Origin) -> None:
    """Without being asked to."""
    assert b"Connection: close" in await talk(origin, "/a.ts", version="HTTP/1.0")


async def test_connections_are_counted_as_they_come_and_go(origin: Origin) -> None:
    """All of them, those at the moment, and the most at once."""
    async with await dial(origin), await dial(origin):
        await wait_until(lambda: origin.open_now == 2)
    await wait_until(lambda: origin.open_now == 0)
    async with await dial(origin):
        await wait_until(lambda: origin.open_now == 1)

    assert (3, 2) == (origin.connections, origin.most_open)


async def test_a_request_is_on_record(origin: Origin) -> None:
    """As it came, with its time and its connection."""
    before = trio.current_time()
    await ask(origin, "/none")
    await ask(origin, "/a.ts?x=1&y", "Range: bytes=5-", "X-Two: a", "x-two: b", method="HEAD")

    first, second = origin.requests
    assert ("GET", "/none", "", None, 0) == (first.method, first.path, first.query, first.range, first.connection)
    assert ("HEAD", "/a.ts", "x=1&y", "bytes=5-", 1) == (
        second.method,
        second.path,
        second.query,
        second.range,
        second.connection,
    )
    assert "a, b" == second.headers["x-two"]
    assert before <= first.began <= second.began <= trio.current_time()


async def test_requests_are_counted_by_path(origin: Origin) -> None:
    """All of them, or those of one path whatever their query."""
    for target in ("/a.ts", "/a.ts?again", "/none"):
        await ask(origin, target)

    assert (3, 2, 0) == (origin.count(), origin.count("/a.ts"), origin.count("/b"))


async def test_the_report_sums_up(origin: Origin) -> None:
    """What a program would write at its end."""
    await ask(origin, "/a.ts", "Range: bytes=0-9")
    await ask(origin, "/a.ts")

    assert {
        "requests": 2,
        "connections": 2,
        "most_open": 1,
        "bytes_sent": 10 + len(DATA),
        "paths": {"/a.ts": 2},
        "ranges": {"/a.ts": ["bytes=0-9"]},
    } == origin.report()


async def test_the_stats_count_neither_themselves_nor_their_connection(origin: Origin) -> None:
    """Whoever looks doesn't change what is seen; a connection that was used before stays counted."""
    async with make_client(origin) as used, make_client(origin) as fresh:
        await used.get("/a.ts")
        reports = [(await client.get("/__stats")).json() for client in (fresh, used)]

    assert [origin.report()] * 2 == reports
    assert (1, 1, 1) == (origin.count(), origin.connections, origin.most_open)
    await wait_until(lambda: origin.open_now == 0)


async def test_a_client_that_leaves_in_the_middle_is_no_fault(origin: Origin, client: httpx.AsyncClient) -> None:
    """The server goes on, and knows that the connection is gone."""
    origin.script("/big", Reply(body=bytes(50_000_000)))
    async with client.stream("GET", "/big"):
        pass
    await wait_until(lambda: origin.open_now == 0)

    assert origin.bytes_sent < 50_000_000
    assert DATA == (await client.get("/a.ts")).content


async def test_leaving_closes_everything(folder: Path) -> None:
    """Nobody listens any more, and who was waiting is let go."""
    async with open_origin(folder) as origin:
        origin.script("/a.ts", Reply(delay=60))
        stream = await dial(origin)
        await stream.send_all(b"GET /a.ts HTTP/1.1\r\n\r\n")
        await wait_until(lambda: origin.count() == 1)

    async with stream:
        assert b"" == await stream.receive_some()
    assert 0 == origin.open_now
    with pytest.raises(OSError, match="connect"):
        await dial(origin)


async def test_an_error_in_the_block_comes_out_as_it_is() -> None:
    """Not in a group: pytest.raises stands outside the block."""
    with pytest.raises(KeyError, match="mine"):
        async with open_origin():
            raise KeyError("mine")


# The faults


async def test_a_script_is_played_and_its_last_reply_stays(origin: Origin, client: httpx.AsyncClient) -> None:
    """Two failures, then the file for good; other paths aren't concerned."""
    origin.script("/a.ts", Reply(status=503), Reply(status=599), Reply())

    got = [await client.get("/a.ts") for _ in range(4)]
    assert [503, 599, 200, 200] == [one.status_code for one in got]
    assert [b"", b"", DATA, DATA] == [one.content for one in got]
    assert 404 == (await client.get("/none")).status_code


async def test_a_script_can_be_undone(origin: Origin) -> None:
    """No replies: the file again."""
    origin.script("/a.ts", Reply(status=503))
    origin.script("/a.ts")

    assert 200 == (await ask(origin, "/a.ts"))[0]


async def test_a_reply_can_depend_on_the_request(origin: Origin) -> None:
    """A function gets the request as it is on record."""

    def answer(seen: Seen) -> Reply:
        return Reply() if seen.query == "token=good" else Reply(status=403)

    origin.script("/a.ts", answer)

    assert [403, 200] == [(await ask(origin, target))[0] for target in ("/a.ts?token=bad", "/a.ts?token=good")]


async def test_an_error_in_such_a_function_is_not_swallowed() -> None:
    """A test that asserts there is heard."""

    def answer(seen: Seen) -> Reply:
        raise AssertionError(seen.path)

    async def run() -> None:
        async with open_origin() as origin:
            origin.script("/b", answer)
            await talk(origin, "/b")
            await trio.sleep_forever()

    with pytest.raises(ExceptionGroup) as caught:
        await run()
    assert caught.group_contains(AssertionError, match="/b")


async def test_a_body_stands_for_the_file(origin: Origin) -> None:
    """With any status; ranges and a tag of its own go with 200."""
    origin.script("/a.ts", Reply(body=b"other"), Reply(status=500, body=b"sorry"))

    status, headers, body = await ask(origin, "/a.ts", "Range: bytes=1-2")
    assert (206, b"th") == (status, body)
    assert "etag" in headers
    assert "last-modified" not in headers
    status, _, body = await ask(origin, "/a.ts", "Range: bytes=1-2")
    assert (500, b"sorry") == (status, body)


async def test_headers_are_added_replaced_and_removed(origin: Origin) -> None:
    """Whatever the case of their names."""
    changes = {"X-Cache": "HIT", "content-type": "text/html", "etag": ""}
    origin.script("/a.ts", Reply(headers=changes))

    status, headers, _ = await ask(origin, "/a.ts")
    assert (200, "HIT", "text/html") == (status, headers["x-cache"], headers["content-type"])
    assert "etag" not in headers
    assert "accept-ranges" in headers


async def test_a_body_without_a_length_ends_with_the_connection(origin: Origin) -> None:
    """The client can't know otherwise; it didn't ask for a close here."""
    origin.script("/a.ts", Reply(headers={"Content-Length": ""}))

    assert (await talk(origin, "/a.ts")).endswith(b"\r\n\r\n" + DATA)


async def test_no_content_has_neither_body_nor_length(origin: Origin, client: httpx.AsyncClient) -> None:
    """Statuses that exclude a body leave the connection in order."""
    origin.script("/a.ts", Reply(status=204), Reply(status=304), Reply())

    got = [await client.get("/a.ts") for _ in range(3)]
    assert [(204, b""), (304, b""), (200, DATA)] == [(one.status_code, one.content) for one in got]
    assert "content-length" not in got[0].headers
    assert 1 == origin.connections


async def test_a_redirect_names_its_place(origin: Origin) -> None:
    """302 unless told otherwise, and a client follows it."""
    origin.script("/old", redirect("/a.ts"))
    origin.script("/older", redirect("/old", 307))

    async with make_client(origin) as client:
        got = await client.get("/older", follow_redirects=True)
    assert ([307, 302], DATA) == ([one.status_code for one in got.history], got.content)


async def test_retry_after_is_stated_in_seconds(origin: Origin) -> None:
    """As headers for whichever status."""
    origin.script("/a.ts", Reply(status=429, headers=retry_after_seconds(7)))

    status, headers, _ = await ask(origin, "/a.ts")
    assert (429, "7") == (status, headers["retry-after"])


async def test_a_delay_comes_before_the_status_line(origin: Origin) -> None:
    """Nothing arrives earlier."""
    origin.script("/a.ts", Reply(delay=DELAY))
    async with await dial(origin) as stream:
        await stream.send_all(b"GET /a.ts HTTP/1.1\r\n\r\n")
        await stream.receive_some()

    assert DELAY <= trio.current_time() - origin.requests[0].began


async def test_a_drop_is_just_so_many_bytes(origin: Origin) -> None:
    """Then nothing comes until the wait is over."""
    origin.script("/a.ts", Reply(drip=(3, 60)))
    async with await dial(origin) as stream:
        await stream.send_all(b"GET /a.ts HTTP/1.1\r\n\r\n")
        got = b""
        with trio.move_on_after(DELAY):
            while piece := await stream.receive_some():
                got += piece

    assert got.endswith(b"\r\n\r\n" + DATA[:3])


async def test_a_drip_goes_on_to_the_end(origin: Origin) -> None:
    """Drop and wait, again and again, without a wait at the end."""
    origin.script("/a.ts", Reply(body=b"abcdefgh", drip=(3, 0.015)), Reply(body=b"abc", drip=(3, 60)))

    began = trio.current_time()
    assert b"abcdefgh" == (await ask(origin, "/a.ts"))[2]
    assert 0.03 <= trio.current_time() - began
    assert b"abc" == (await ask(origin, "/a.ts"))[2]


@pytest.mark.parametrize("cut_at", [0, 1, 10239])
async def test_a_cut_body_ends_at_that_byte(origin: Origin, cut_at: int) -> None:
    """Cleanly, with the whole length promised."""
    origin.script("/a.ts", Reply(cut_at=cut_at))

    head, _, body = (await talk(origin, "/a.ts")).partition(b"\r\n\r\n")
    assert b"Content-Length: 10240" in head
    assert DATA[:cut_at] == body
    assert cut_at == origin.bytes_sent


async def test_a_cut_range_ends_at_that_byte_of_the_range(origin: Origin) -> None:
    """What counts is the body, not the file."""
    origin.script("/a.ts", Reply(cut_at=5))

    assert DATA[100:105] == (await ask(origin, "/a.ts", "Range: bytes=100-199"))[2]


async def test_a_client_hears_that_a_body_was_cut(origin: Origin, client: httpx.AsyncClient) -> None:
    """It is an error there, and the next try has a connection of its own."""
    origin.script("/a.ts", Reply(cut_at=5), Reply())

    with pytest.raises(httpx.RemoteProtocolError, match="received 5 bytes, expected 10240"):
        await client.get("/a.ts")
    assert DATA == (await client.get("/a.ts")).content
    assert 2 == origin.connections


async def test_a_reset_comes_without_an_answer(origin: Origin) -> None:
    """It is a true reset, not an end."""
    origin.script("/a.ts", Reply(reset=True))

    with pytest.raises(trio.BrokenResourceError) as caught:
        await talk(origin, "/a.ts")
    assert isinstance(caught.value.__cause__, ConnectionResetError)
    assert (1, 0) == (origin.count(), origin.bytes_sent)


async def test_a_reset_can_come_in_the_body(origin: Origin) -> None:
    """With a cut, at that byte."""
    origin.script("/a.ts", Reply(reset=True, cut_at=5))

    with pytest.raises(trio.BrokenResourceError) as caught:
        await talk(origin, "/a.ts")
    assert isinstance(caught.value.__cause__, ConnectionResetError)
    assert 5 == origin.bytes_sent


@pytest.mark.parametrize("declared", [3, 99999])
async def test_a_declared_length_may_be_false(origin: Origin, declared: int) -> None:
    """The body is whole all the same, and its end is that of the connection."""
    origin.script("/a.ts", Reply(declared=declared))

    head, _, body = (await talk(origin, "/a.ts")).partition(b"\r\n\r\n")
    assert f"Content-Length: {declared}".encode() in head
    assert DATA == body


async def test_a_range_can_be_ignored(origin: Origin) -> None:
    """Then everything comes, as if none had been asked for."""
    origin.script("/a.ts", Reply(ignore_range=True))

    status, headers, body = await ask(origin, "/a.ts", "Range: bytes=5-9")
    assert (200, DATA) == (status, body)
    assert "content-range" not in headers


async def test_a_body_can_be_compressed(origin: Origin, client: httpx.AsyncClient) -> None:
    """Even for a client that didn't ask; it is another representation, with another tag."""
    plain = (await ask(origin, "/a.ts"))[1]["etag"]
    origin.script("/a.ts", Reply(gzip=True))

    _, headers, body = await ask(origin, "/a.ts", "Accept-Encoding: identity")
    assert ("gzip", str(len(body))) == (headers["content-encoding"], headers["content-length"])
    assert DATA == gzip.decompress(body)
    assert plain != headers["etag"]
    assert DATA == (await client.get("/a.ts")).content


async def test_a_range_of_a_compressed_body_is_one_of_what_is_sent(origin: Origin) -> None:
    """As the standard has it."""
    origin.script("/a.ts", Reply(gzip=True))
    whole = (await ask(origin, "/a.ts"))[2]

    status, headers, body = await ask(origin, "/a.ts", "Range: bytes=2-5")
    assert (206, f"bytes 2-5/{len(whole)}", whole[2:6]) == (status, headers["content-range"], body)


async def test_a_request_can_be_left_hanging(origin: Origin) -> None:
    """It is taken and never answered; once the client is gone, so is the connection."""
    origin.script("/a.ts", Reply(hang=True))
    async with await dial(origin) as stream:
        await stream.send_all(b"GET /a.ts HTTP/1.1\r\n\r\n")
        await wait_until(lambda: origin.count() == 1)
        with trio.move_on_after(DELAY) as scope:
            await stream.receive_some()

    assert scope.cancelled_caught
    await wait_until(lambda: origin.open_now == 0)


async def test_a_body_can_come_in_chunks(origin: Origin, client: httpx.AsyncClient) -> None:
    """Without a length, and the connection is kept."""
    origin.script("/b", Reply(body=b"abcdefghijklm", chunked=True, drip=(12, 0)))

    _, headers, body = await ask(origin, "/b")
    assert b"c\r\nabcdefghijkl\r\n1\r\nm\r\n0\r\n\r\n" == body
    assert "chunked" == headers["transfer-encoding"]
    assert "content-length" not in headers
    assert 13 == origin.bytes_sent
    assert [b"abcdefghijklm"] * 2 == [(await client.get("/b")).content for _ in range(2)]
    assert 2 == origin.connections


async def test_chunks_can_be_cut(origin: Origin) -> None:
    """Then the last one, which says that it is the last, is missing."""
    origin.script("/b", Reply(body=b"abcdef", chunked=True, cut_at=4))

    assert b"4\r\nabcd\r\n" == (await ask(origin, "/b"))[2]


# Delays of the whole server, TLS, and the program


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """What an origin whose clock stands still waits for, in seconds; it goes on when the tasks of others had a turn."""
    told: list[float] = []

    async def tell(seconds: float) -> None:
        told.extend([seconds] if seconds else [])
        await trio.lowlevel.checkpoint()

    standing = {"current_time": lambda: 0.0, "sleep": tell, "sleep_until": tell}
    monkeypatch.setattr("origin.trio", SimpleNamespace(**vars(trio) | standing))
    return told


async def test_each_connection_waits_once_and_each_request_again(folder: Path, waits: list[float]) -> None:
    """As packets on their way would make it."""
    async with open_origin(folder, connection_delay=0.08, request_delay=0.01) as origin, make_client(origin) as client:
        for _ in range(2):
            await client.get("/none")

    assert [0.08, 0.01, 0.01] == waits


async def test_the_rate_is_kept_on_average(folder: Path, waits: list[float]) -> None:
    """By many small pieces, each at its own time, not by one late lump."""
    (folder / "b").write_bytes(bytes(100_000))
    async with open_origin(folder, rate=1_000_000) as origin:
        await ask(origin, "/b")

    assert [0.016384, 0.032768, 0.049152, 0.065536, 0.08192, 0.098304, 0.1] == waits


async def test_connections_do_not_share_the_rate(folder: Path, waits: list[float]) -> None:
    """Each of six sends its last byte when it would alone."""
    (folder / "b").write_bytes(bytes(40_000))
    async with open_origin(folder, rate=1_000_000) as origin, trio.open_nursery() as nursery:
        for _ in range(6):
            nursery.start_soon(ask, origin, "/b")

    assert sorted([0.016384, 0.032768, 0.04] * 6) == sorted(waits)


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    """Whoever vouches for localhost."""
    return trustme.CA()


@pytest.fixture
def trust(authority: trustme.CA) -> ssl.SSLContext:
    """A client's context that believes that authority."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    authority.configure_trust(context)
    return context


@pytest.fixture
async def secure(folder: Path, authority: trustme.CA) -> AsyncIterator[Origin]:
    """An origin that speaks TLS."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(context)
    async with open_origin(folder, tls=context) as one:
        yield one


async def test_tls_is_spoken(secure: Origin, trust: ssl.SSLContext) -> None:
    """By the name of localhost, with connections kept; who doesn't trust it goes away."""
    async with make_client(secure, trust) as client, make_client(secure) as stranger:
        assert secure.url.startswith("https://localhost:")
        assert [DATA, DATA] == [(await client.get("/a.ts")).content for _ in range(2)]
        assert 1 == secure.connections
        with pytest.raises(httpx.ConnectError):
            await stranger.get("/a.ts")

    assert 2 == secure.count()


async def test_a_cut_is_clean_under_tls_and_a_reset_is_not(secure: Origin, trust: ssl.SSLContext) -> None:
    """A cut comes with TLS's own goodbye, so that nothing but the length tells."""
    secure.script("/a.ts", Reply(cut_at=3), Reply(reset=True, cut_at=3))
    port = httpx.URL(secure.url).port
    assert port is not None

    async def fetch() -> bytes:
        async with await trio.open_ssl_over_tcp_stream("localhost", port, ssl_context=trust) as stream:
            await stream.send_all(b"GET /a.ts HTTP/1.1\r\n\r\n")
            return await read_all(stream)

    assert (await fetch()).endswith(b"\r\n\r\n" + DATA[:3])
    with pytest.raises(trio.BrokenResourceError):
        await fetch()


@pytest.mark.parametrize("end", [signal.SIGTERM, signal.SIGINT])
def test_it_runs_as_a_program(folder: Path, tmp_path: Path, end: signal.Signals) -> None:
    """It says where it is, serves with its delays, and ends on a signal with its record."""
    record = tmp_path / "record.json"
    flags = ["--connection-delay", "0.02", "--request-delay", "0.02", "--rate", "2000000", "--record", str(record)]
    program = [sys.executable, "-W", "error", str(Path(__file__).with_name("origin.py")), str(folder), *flags]
    with subprocess.Popen(program, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        try:
            stats = use_program(child.stdout.readline().strip())
        finally:
            child.send_signal(end)
        rest = child.stdout.read()

    assert 0 == child.returncode
    assert {
        "requests": 1,
        "connections": 1,
        "most_open": 1,
        "bytes_sent": len(DATA) - 5,
        "paths": {"/a.ts": 1},
        "ranges": {"/a.ts": ["bytes=5-"]},
    } == stats
    assert stats == json.loads(rest) == json.loads(record.read_text())


def use_program(url: str) -> object:
    """Fetch a range from a slow program, see that it takes its time, and return its stats."""
    with httpx.Client(base_url=url, trust_env=False, verify=ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)) as client:
        began = time.monotonic()
        assert DATA[5:] == client.get("/a.ts", headers={"Range": "bytes=5-"}).content
        assert 0.04 + len(DATA[5:]) / 2_000_000 <= time.monotonic() - began
        return client.get("/__stats").json()


def test_the_program_wants_a_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A mistyped one is an error at once, not a 404 later."""
    monkeypatch.setattr(sys, "argv", ["origin.py", str(tmp_path / "none")])
    with pytest.raises(SystemExit, match="2"):
        main()

    assert "is not a folder" in capsys.readouterr().err
