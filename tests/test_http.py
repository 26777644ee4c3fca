"""The way to the network: each failure by its reason, safe connections only, proxies, and nothing that leads inwards.

All of it over real sockets on loopback, where 127.0.0.1 plays a public address and 127.0.0.2 a private one.
"""

import contextlib
import datetime as dt
import gc
import re
import socket
import ssl
import sys
import traceback
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs
import httpx
import pytest
import trio
import trio.testing
import trustme
from origin import Origin, Reply, open_origin

from clipcut import __version__
from clipcut.errors import Reason, RenderError, SourceError
from clipcut.network import addresses
from clipcut.network.addresses import AddressBook, Zone, zone_of
from clipcut.network.http import Wire, proxy_for

OUTSIDE, INSIDE = "127.0.0.1", "127.0.0.2"
CANARY = "c4n4ry"

Handler = Callable[[trio.abc.Stream], Awaitable[None]]


def zone_in_tests(address: str) -> Zone:
    """Tell two loopback addresses apart."""
    return {OUTSIDE: Zone.PUBLIC, INSIDE: Zone.PRIVATE}.get(address) or zone_of(address)


@attrs.define
class Names:
    """A name service; names that it doesn't know are all outside."""

    known: dict[str, Sequence[str]] = attrs.field(factory=dict)

    async def __call__(self, host: str) -> Sequence[str]:
        """Look a name up."""
        await trio.lowlevel.checkpoint()
        return self.known.get(host, [OUTSIDE])


@contextlib.asynccontextmanager
async def open_wire(
    names: Names | None = None, environ: Mapping[str, str] | None = None, context: ssl.SSLContext | None = None
) -> AsyncIterator[Wire]:
    """Open a way to the network that trusts nobody unless it is told to."""
    book = AddressBook(names or Names(), zone_in_tests)
    wire = Wire(book, environ or {}, context=context or ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT))
    yield wire
    await wire.aclose()


@pytest.fixture
async def wire() -> AsyncIterator[Wire]:
    """A way to the network."""
    async with open_wire() as one:
        yield one


@pytest.fixture
async def origin() -> AsyncIterator[Origin]:
    """An origin outside."""
    async with open_origin() as one:
        one.script("/a", Reply(body=b"abc"))
        yield one


@pytest.fixture
async def inner() -> AsyncIterator[Origin]:
    """An origin inside."""
    async with open_origin(host=INSIDE) as one:
        one.script("/a", Reply(body=b"inside"))
        yield one


def port_of(origin: Origin) -> int:
    """Return an origin's port."""
    return int(origin.url.rpartition(":")[2])


async def get(
    wire: Wire,
    url: str,
    headers: Mapping[str, str] | None = None,
    *,
    led_by: Zone | None = None,
    connect_s: float = 5,
    silence_s: float = 5,
) -> bytes:
    """Get all of a body."""
    body = b""
    with trio.fail_after(5):
        async with wire.get(url, headers or {}, led_by=led_by, connect_s=connect_s, silence_s=silence_s) as reply:
            while piece := await reply.read():
                body += piece
    return body


async def fail(
    wire: Wire, url: str, *, led_by: Zone | None = None, connect_s: float = 5, silence_s: float = 5
) -> SourceError:
    """Get something that can't be had; return why."""
    with pytest.raises(SourceError) as caught:
        await get(wire, url, led_by=led_by, connect_s=connect_s, silence_s=silence_s)
    return caught.value


async def wait_until(is_so: Callable[[], bool]) -> None:
    """Wait until something is so, for a second at most."""
    with trio.fail_after(1):
        while not is_so():  # noqa: ASYNC110  counts are what a test asks an origin for, and they have no event
            await trio.sleep(0.001)


@contextlib.asynccontextmanager
async def open_raw(handle: Handler, tls: ssl.SSLContext | None = None) -> AsyncIterator[int]:
    """Give each connection to ``handle``; its port."""

    async def handle_quietly(stream: trio.SocketStream | trio.SSLStream[trio.SocketStream]) -> None:
        with contextlib.suppress(trio.BrokenResourceError, trio.ClosedResourceError):
            async with stream:
                await handle(stream)

    plain = await trio.open_tcp_listeners(0, host=OUTSIDE)
    async with trio.open_nursery() as nursery:
        if tls is None:
            await nursery.start(trio.serve_listeners, handle_quietly, plain)
        else:
            await nursery.start(trio.serve_listeners, handle_quietly, [trio.SSLListener(one, tls) for one in plain])
        yield int(plain[0].socket.getsockname()[1])
        nursery.cancel_scope.cancel()


async def be_silent(stream: trio.abc.Stream) -> None:
    """Take a connection, and say nothing on it."""
    await trio.sleep_forever()


async def hang_up(stream: trio.abc.Stream) -> None:
    """Close as soon as something came."""
    await stream.receive_some()


async def babble(stream: trio.abc.Stream) -> None:
    """Say something that isn't HTTP."""
    await stream.receive_some()
    await stream.send_all(b"220 mail.test ESMTP\r\n")


async def name_on(stream: trio.abc.Stream) -> None:
    """Never come to the end of the head."""
    await stream.receive_some()
    await stream.send_all(b"HTTP/1.1 200 OK\r\n")
    while True:
        await stream.send_all(b"X-More: and more\r\n" * 1000)


@contextlib.contextmanager
def full_queue(host: str = OUTSIDE) -> Iterator[int]:
    """Give a port of Linux on which connections are never made: nobody takes those that stand in line."""
    with contextlib.ExitStack() as stack:
        server = stack.enter_context(socket.socket())
        server.bind((host, 0))
        server.listen(0)
        for _ in range(4):
            client = stack.enter_context(socket.socket())
            client.setblocking(False)
            client.connect_ex(server.getsockname())
        yield int(server.getsockname()[1])


only_linux = pytest.mark.skipif(sys.platform != "linux", reason="other systems refuse who finds a full queue")


# What is sent, and what comes back


async def test_an_answer_is_told_with_its_zone(wire: Wire, origin: Origin) -> None:
    """Status, headers by name in lower case, where it came from, and the body in pieces."""
    origin.script("/a", Reply(status=404, body=b"gone", headers={"X-Why": "because"}))
    async with wire.get(f"{origin.url}/a?q", {}, led_by=None, connect_s=5, silence_s=5) as reply:
        assert (404, Zone.PUBLIC, "because") == (reply.status, reply.zone, reply.headers["x-why"])
        assert [b"gone", b"", b""] == [await reply.read() for _ in range(3)]

    assert "/a?q" == origin.requests[0].target


async def test_nothing_is_asked_for_that_nobody_wants(wire: Wire, origin: Origin) -> None:
    """No compression, no cookies; and who asks is told."""
    origin.script("/a", Reply(body=b"", headers={"Set-Cookie": "a=b"}))
    await get(wire, f"{origin.url}/a")
    await get(wire, f"{origin.url}/a")

    sent = {"accept": "*/*", "accept-encoding": "identity", "user-agent": f"clipcut/{__version__}"}
    assert [sent | {"host": origin.url.removeprefix("http://")}] * 2 == [seen.headers for seen in origin.requests]


@pytest.mark.parametrize("name", ["User-Agent", "user-agent", "USER-AGENT"])
async def test_a_header_of_the_source_takes_the_place_of_ours(wire: Wire, origin: Origin, name: str) -> None:
    """However it is written: sent twice, it would be another value."""
    await get(wire, f"{origin.url}/a", {name: "mine", "X-Key": CANARY})

    assert ("mine", CANARY) == (origin.requests[0].headers["user-agent"], origin.requests[0].headers["x-key"])


async def test_user_information_is_sent_as_such(wire: Wire, origin: Origin) -> None:
    """Not as a part of the host's name."""
    await get(wire, f"{origin.url}/a".replace("//", f"//user:{CANARY}@"))

    assert origin.requests[0].headers["authorization"].startswith("Basic ")
    assert origin.requests[0].headers["host"] == origin.url.removeprefix("http://")


async def test_a_header_of_the_source_goes_before_user_information(wire: Wire, origin: Origin) -> None:
    """Whoever gave both meant the header."""
    await get(wire, f"{origin.url}/a".replace("//", "//user:word@"), {"authorization": CANARY})

    assert origin.requests[0].headers["authorization"] == CANARY


async def test_a_connection_is_used_again(wire: Wire, origin: Origin) -> None:
    """After a whole body, and after none."""
    origin.script("/none", Reply(status=302, headers={"Location": "/a"}))
    for path in ("/a", "/none", "/a"):
        async with wire.get(f"{origin.url}{path}", {}, led_by=None, connect_s=5, silence_s=5) as reply:
            while path == "/a" and await reply.read():
                pass

    assert (3, 1) == (origin.count(), origin.connections)


async def test_every_connection_is_closed_at_the_end(origin: Origin) -> None:
    """Those that wait for another request."""
    async with open_wire() as wire:
        await get(wire, f"{origin.url}/a")
        assert 1 == origin.open_now

    await wait_until(lambda: origin.open_now == 0)


async def test_a_body_can_be_given_up_early(wire: Wire, origin: Origin) -> None:
    """Its connection is closed, without waiting for the rest, and the next request finds everything in order."""
    origin.script("/b", Reply(body=bytes(9000), drip=(10, 0.02)))
    with trio.fail_after(1):
        async with wire.get(f"{origin.url}/b", {}, led_by=None, connect_s=5, silence_s=5) as reply:
            assert bytes(10) == await reply.read()
        await wait_until(lambda: origin.open_now == 0)
    gc.collect()

    assert b"abc" == await get(wire, f"{origin.url}/a")


async def test_a_body_can_be_given_up_unread_by_an_error(wire: Wire, origin: Origin) -> None:
    """It passes through as it is."""
    origin.script("/b", Reply(body=bytes(9000), drip=(10, 0.02)))
    with trio.fail_after(1), pytest.raises(ZeroDivisionError):
        async with wire.get(f"{origin.url}/b", {}, led_by=None, connect_s=5, silence_s=5):
            raise ZeroDivisionError
    gc.collect()

    assert b"abc" == await get(wire, f"{origin.url}/a")


@pytest.mark.parametrize(
    "reply",
    [pytest.param(Reply(hang=True), id="head"), pytest.param(Reply(body=bytes(900), drip=(3, 0.02)), id="body")],
)
async def test_a_cancelled_request_leaves_nothing_behind(wire: Wire, origin: Origin, reply: Reply) -> None:
    """Neither its connection nor a generator, wherever it was."""
    origin.script("/b", reply)
    with trio.move_on_after(0.05) as scope:
        await get(wire, f"{origin.url}/b")
    gc.collect()

    assert scope.cancelled_caught
    await wait_until(lambda: origin.open_now == 0)
    assert b"abc" == await get(wire, f"{origin.url}/a")


async def test_a_cancelled_handshake_leaves_nothing_behind(wire: Wire) -> None:
    """By itself, httpcore would leave its connection to Python's collector."""
    closed = trio.Event()

    async def listen(stream: trio.abc.Stream) -> None:
        while await stream.receive_some():
            pass
        closed.set()

    async with open_raw(listen) as port:
        with trio.move_on_after(0.05) as scope:
            await get(wire, f"https://one.test:{port}/")
        assert scope.cancelled_caught
        gc.collect()
        with trio.fail_after(1):
            await closed.wait()


# What goes wrong


@pytest.mark.parametrize(
    ("reply", "reason", "words"),
    [
        pytest.param(Reply(reset=True), Reason.CONNECTION, "the connection broke off", id="reset"),
        pytest.param(
            Reply(body=bytes(9), reset=True, cut_at=4), Reason.CONNECTION, "broke off", id="reset in the body"
        ),
        pytest.param(Reply(body=bytes(9), cut_at=4), Reason.TRUNCATED, "ended too soon", id="cut"),
        pytest.param(Reply(body=bytes(9), declared=10), Reason.TRUNCATED, "ended too soon", id="shorter than declared"),
        pytest.param(Reply(body=bytes(9), chunked=True, cut_at=4), Reason.TRUNCATED, "too soon", id="chunks cut"),
        pytest.param(Reply(hang=True), Reason.TIMEOUT, "nothing more came", id="silent"),
        pytest.param(
            Reply(body=bytes(12), drip=(4, 0.1)), Reason.TIMEOUT, "nothing more came", id="silent in the body"
        ),
    ],
)
async def test_what_breaks_off_fails_in_passing(
    wire: Wire, origin: Origin, reply: Reply, reason: Reason, words: str
) -> None:
    """It may go well a moment later; the connection isn't used again."""
    origin.script("/b", reply)
    error = await fail(wire, f"{origin.url}/b", silence_s=0.05)

    assert (reason, True) == (error.reason, error.is_passing)
    assert words in str(error)
    await wait_until(lambda: origin.open_now == 0)


async def test_a_body_that_is_longer_than_declared_ends_there(wire: Wire, origin: Origin) -> None:
    """What comes behind it is nobody's answer."""
    origin.script("/b", Reply(body=b"abcdef", declared=3))

    assert b"abc" == await get(wire, f"{origin.url}/b")


@pytest.mark.parametrize(
    ("handle", "words"),
    [
        pytest.param(hang_up, "the server ended the connection", id="closes without an answer"),
        pytest.param(babble, "the server ended the connection", id="no HTTP"),
        pytest.param(name_on, "the server ended the connection", id="endless head"),
    ],
)
async def test_what_is_no_answer_is_a_connection_that_fails(wire: Wire, handle: Handler, words: str) -> None:
    """An endless head isn't read to its end."""
    async with open_raw(handle) as port:
        error = await fail(wire, f"http://one.test:{port}/")

    assert (Reason.CONNECTION, True) == (error.reason, error.is_passing)
    assert words in str(error)


async def test_a_refused_connection_fails_in_passing(wire: Wire) -> None:
    """The system's words are told."""
    async with open_origin() as origin:
        url = origin.url
    error = await fail(wire, url)

    assert (Reason.CONNECTION, True) == (error.reason, error.is_passing)
    assert "Connection refused" in str(error)


@only_linux
async def test_a_connection_that_is_never_made_is_given_up(wire: Wire) -> None:
    """After ``connect_s``."""
    with full_queue() as port:
        error = await fail(wire, f"http://one.test:{port}/", connect_s=0.05)

    assert (Reason.TIMEOUT, True) == (error.reason, error.is_passing)
    assert "no connection in good time" == str(error)


async def test_a_handshake_that_is_never_made_is_given_up(wire: Wire) -> None:
    """After ``connect_s``, too."""
    async with open_raw(be_silent) as port:
        error = await fail(wire, f"https://one.test:{port}/", connect_s=0.05)

    assert (Reason.TIMEOUT, True) == (error.reason, error.is_passing)
    assert "no connection in good time" == str(error)


async def test_a_name_that_is_never_found_is_given_up(autojump_clock: trio.testing.MockClock) -> None:
    """After ``connect_s`` as well: the system's own patience can be minutes."""

    async def never(host: str) -> Sequence[str]:
        await trio.sleep_forever()
        raise AssertionError

    wire = Wire(AddressBook(never), {}, transport=httpx.MockTransport(lambda _: httpx.Response(200)))
    with pytest.raises(SourceError, match=r"one\.test was not found in good time") as caught:
        async with wire.get("http://one.test/", {}, led_by=None, connect_s=15, silence_s=30):
            pass

    assert 15 == trio.current_time()
    assert (Reason.TIMEOUT, True) == (caught.value.reason, caught.value.is_passing)


@pytest.mark.parametrize(
    "error",
    [socket.gaierror(socket.EAI_NONAME, "no name"), UnicodeError("label too long"), OSError("no address")],
    ids=["unknown", "impossible", "other"],
)
async def test_a_name_that_is_not_known_fails_in_passing(error: Exception) -> None:
    """A name service has its moments, too."""

    async def look_up(host: str) -> Sequence[str]:
        raise error

    wire = Wire(AddressBook(look_up), {}, context=ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT))
    failure = await fail(wire, "http://one.test/")

    assert (Reason.DNS, True) == (failure.reason, failure.is_passing)
    assert "the name one.test is not known" == str(failure)


async def test_a_machine_at_its_limits_is_no_fault_of_a_source() -> None:
    """It ends the render instead."""

    async def look_up(host: str) -> Sequence[str]:
        raise OSError(24, "too many open files")

    wire = Wire(AddressBook(look_up), {}, context=ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT))
    with pytest.raises(RenderError, match="lower --concurrency"):
        await get(wire, "http://one.test/")


async def test_a_machine_without_descriptors_is_no_fault_of_a_source(
    wire: Wire, origin: Origin, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Although Trio wraps what the system says in a group."""

    def have_none(*_: object) -> None:
        raise OSError(24, "too many open files")

    monkeypatch.setattr("trio._highlevel_open_tcp_stream.socket", have_none)
    with pytest.raises(RenderError, match="lower --concurrency"):
        await get(wire, f"{origin.url}/a")


async def test_the_other_addresses_are_tried_when_one_refuses(origin: Origin) -> None:
    """And the name is kept, as one of them is fine."""
    async with open_wire(Names({"one.test": ["127.0.0.3", "127.0.0.4", OUTSIDE]})) as wire:
        wire._book._zone = lambda _: Zone.PUBLIC
        assert b"abc" == await get(wire, f"http://one.test:{port_of(origin)}/a")


@only_linux
async def test_the_other_addresses_are_tried_when_one_is_silent() -> None:
    """They share the time that there is for a connection."""
    with full_queue("127.0.0.3") as port:
        async with open_origin(port=port) as origin, open_wire(Names({"one.test": ["127.0.0.3", OUTSIDE]})) as wire:
            origin.script("/a", Reply(body=b"abc"))
            wire._book._zone = lambda _: Zone.PUBLIC
            began = trio.current_time()
            assert b"abc" == await get(wire, f"http://one.test:{port}/a", connect_s=1)
            assert 0.5 <= trio.current_time() - began < 1


async def test_a_host_that_can_not_be_reached_is_looked_up_anew(origin: Origin) -> None:
    """It may have moved."""
    names = Names({"one.test": ["127.0.0.3"]})
    async with open_wire(names) as wire:
        wire._book._zone = lambda _: Zone.PUBLIC
        assert Reason.CONNECTION == (await fail(wire, f"http://one.test:{port_of(origin)}/a")).reason
        names.known = {"one.test": [OUTSIDE]}
        assert b"abc" == await get(wire, f"http://one.test:{port_of(origin)}/a")


@pytest.mark.parametrize(
    ("url", "headers"),
    [
        pytest.param("http://one.test/", {"X-Key": f"{CANARY}\n"}, id="line end in a header"),
        pytest.param("http://one.test/", {"X-Key": f"{CANARY}ü"}, id="other letters in a header"),
        pytest.param("http://one.test/", {f"{CANARY} ": "x"}, id="space in a header's name"),
        pytest.param(f"http://one.test/?{CANARY}\x00", {}, id="NUL in the address"),
        pytest.param(f"http://one.test/{CANARY * 20_000}", {}, id="long address"),
        pytest.param(f"http://１２7.0.0.1/?{CANARY}", {}, id="wide digits"),  # noqa: RUF001  that is the point
    ],
)
async def test_what_can_not_be_sent_is_refused(origin: Origin, url: str, headers: Mapping[str, str]) -> None:
    """And isn't quoted, as it may be a secret, not even in a traceback."""
    async with open_wire() as wire:
        with pytest.raises(SourceError, match="the address or a header can't be sent") as caught:
            await get(wire, url.replace("one.test", f"one.test:{port_of(origin)}"), headers)

    assert (Reason.REFUSED, False) == (caught.value.reason, caught.value.is_passing)
    assert CANARY not in "".join(traceback.format_exception(caught.value))
    assert 0 == origin.count()


async def test_the_words_of_a_failure_quote_nothing_that_was_sent(origin: Origin) -> None:
    """Nor does what stands for an answer."""
    origin.script("/a", Reply(status=302, headers={"Location": f"/?{CANARY}"}), Reply(reset=True))
    async with open_wire() as wire:
        url, headers = f"{origin.url}/a?{CANARY}".replace("//", f"//{CANARY}:{CANARY}@"), {"X-Key": CANARY}
        async with wire.get(url, headers, led_by=None, connect_s=5, silence_s=5) as reply:
            assert CANARY not in repr(reply)
        with pytest.raises(SourceError) as caught:
            await get(wire, url, headers)

    assert CANARY not in "".join(traceback.format_exception(caught.value))


# Safe connections


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    """Whoever vouches for one.test."""
    return trustme.CA()


@pytest.fixture
def trust(authority: trustme.CA) -> ssl.SSLContext:
    """A client's context that believes that authority."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    authority.configure_trust(context)
    return context


def certify(authority: trustme.CA, name: str = "one.test", ends: dt.datetime | None = None) -> ssl.SSLContext:
    """Return a server's context with a certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(name, not_after=ends).configure_cert(context)
    return context


@pytest.fixture
async def secure(authority: trustme.CA) -> AsyncIterator[Origin]:
    """An origin that speaks TLS, as one.test."""
    async with open_origin(tls=certify(authority)) as one:
        one.script("/a", Reply(body=b"safe"))
        one.url = one.url.replace("localhost", "one.test")
        yield one


async def test_a_trusted_server_is_spoken_to(secure: Origin, trust: ssl.SSLContext) -> None:
    """By its name, whatever its address."""
    async with open_wire(context=trust) as wire:
        assert [b"safe", b"safe"] == [await get(wire, f"{secure.url}/a") for _ in range(2)]

    assert 1 == secure.connections


async def test_the_certificates_of_the_environment_are_trusted(
    secure: Origin, authority: trustme.CA, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """``SSL_CERT_FILE`` names them."""
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    wire = Wire(AddressBook(Names(), zone_in_tests), {})
    assert b"safe" == await get(wire, f"{secure.url}/a")
    await wire.aclose()


async def test_certificates_are_read_once(origin: Origin, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where several ask at once, as the first clips of a render do."""
    made: list[ssl.SSLContext] = []

    def make() -> ssl.SSLContext:
        made.append(ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT))
        return made[-1]

    monkeypatch.setattr(httpx, "create_ssl_context", make)
    async with contextlib.aclosing(Wire(AddressBook(Names(), zone_in_tests), {})) as wire, trio.open_nursery() as many:
        for _ in range(4):
            many.start_soon(get, wire, f"{origin.url}/a")

    assert 1 == len(made)


@pytest.mark.parametrize("content", [None, "no certificate"], ids=["missing", "broken"])
async def test_certificates_that_can_not_be_read_are_told(
    secure: Origin, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: str | None
) -> None:
    """As a failure of the source; others are not trusted instead."""
    if content is not None:
        (tmp_path / "ca.pem").write_text(content)
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    error = await fail(Wire(AddressBook(Names(), zone_in_tests), {}), f"{secure.url}/a")

    assert (Reason.TLS, False) == (error.reason, error.is_passing)
    assert "SSL_CERT_FILE" in str(error)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        pytest.param(lambda _: certify(trustme.CA()), "self-signed certificate|local issuer", id="untrusted"),
        pytest.param(lambda ca: certify(ca, "two.test"), "not valid for 'one.test'", id="wrong name"),
        pytest.param(lambda ca: certify(ca, ends=dt.datetime(2020, 1, 1, tzinfo=dt.UTC)), "has expired", id="expired"),
    ],
)
async def test_a_server_that_is_not_trusted_is_not_spoken_to(
    authority: trustme.CA, trust: ssl.SSLContext, make: Callable[[trustme.CA], ssl.SSLContext], words: str
) -> None:
    """It will be no better a moment later."""
    async with open_origin(tls=make(authority)) as origin, open_wire(context=trust) as wire:
        error = await fail(wire, f"https://one.test:{port_of(origin)}/")

        assert (Reason.TLS, False) == (error.reason, error.is_passing)
        assert re.search(words, str(error))
        assert 0 == origin.count()


async def test_a_server_that_does_not_speak_tls_is_told_as_such(wire: Wire) -> None:
    """Nothing is said to it without."""
    async with open_raw(babble) as port:
        error = await fail(wire, f"https://one.test:{port}/")

    assert (Reason.TLS, False) == (error.reason, error.is_passing)


async def test_a_server_that_closes_in_the_handshake_fails_in_passing(wire: Wire) -> None:
    """That says nothing of its certificate."""
    async with open_raw(hang_up) as port:
        error = await fail(wire, f"https://one.test:{port}/")

    assert (Reason.CONNECTION, True) == (error.reason, error.is_passing)


async def test_a_host_that_no_certificate_can_name_is_refused(wire: Wire, origin: Origin) -> None:
    """By our own side of TLS, should the name service know it."""
    error = await fail(wire, f"https://.one.test:{port_of(origin)}/")

    assert (Reason.REFUSED, False) == (error.reason, error.is_passing)


# Proxies


@pytest.mark.parametrize(
    ("environ", "url", "proxy"),
    [
        pytest.param({}, "http://a.test/", None, id="none"),
        pytest.param({"http_proxy": "http://p:1"}, "http://a.test/", "http://p:1", id="http"),
        pytest.param({"http_proxy": "http://p:1"}, "https://a.test/", None, id="another scheme's"),
        pytest.param({"HTTPS_PROXY": "https://p:1"}, "https://a.test/", "https://p:1", id="upper case"),
        pytest.param({"http_proxy": "http://l", "HTTP_PROXY": "http://u"}, "http://a.test/", "http://l", id="both"),
        pytest.param(
            {"HTTP_PROXY": "http://u", "http_proxy": "http://l"}, "http://a.test/", "http://l", id="both, too"
        ),
        pytest.param({"all_proxy": "http://p:1"}, "https://a.test/", "http://p:1", id="for all"),
        pytest.param({"ALL_PROXY": "http://a", "http_proxy": "http://p"}, "http://a.test/", "http://p", id="its own"),
        pytest.param({"http_proxy": "p:3128"}, "http://a.test/", "http://p:3128", id="without a scheme"),
        pytest.param({"http_proxy": ""}, "http://a.test/", None, id="empty"),
        pytest.param({"http_proxy": "http://p", "no_proxy": "a.test"}, "http://a.test/", None, id="excepted"),
        pytest.param({"http_proxy": "http://p", "NO_PROXY": "x,.test"}, "http://b.a.test/", None, id="excepted domain"),
        pytest.param({"http_proxy": "http://p", "no_proxy": "*"}, "http://a.test/", None, id="all excepted"),
        pytest.param({"http_proxy": "http://p", "no_proxy": "b.test"}, "http://a.test/", "http://p", id="others"),
        pytest.param({"http_proxy": "http://p", "no_proxy": "a.test"}, "http://u:p@a.test:8/", None, id="with a port"),
        pytest.param({"http_proxy": "http://p", "no_proxy": "a.test:9"}, "http://a.test:8/", "http://p", id="port"),
        pytest.param({"http_proxy": "http://p", "no_proxy": ""}, "http://a.test/", "http://p", id="none excepted"),
    ],
)
def test_the_environment_names_the_proxy(environ: Mapping[str, str], url: str, proxy: str | None) -> None:
    """As it does for other programs."""
    assert proxy == proxy_for(url, environ)


@attrs.define
class Proxy:
    """A proxy that answers by itself, and makes tunnels to loopback."""

    answer: bytes = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nproxy"
    heads: list[str] = attrs.field(factory=list)

    @property
    def asked(self) -> list[str]:
        """The request lines, without the protocol's name."""
        return [head.splitlines()[0].removesuffix(" HTTP/1.1") for head in self.heads]

    async def handle(self, stream: trio.abc.Stream) -> None:
        """Serve one connection."""
        head = b""
        while b"\r\n\r\n" not in head:
            if not (piece := await stream.receive_some()):
                return
            head += piece
        self.heads.append(head.decode())
        if head.startswith(b"CONNECT ") and b" 200 " in self.answer:
            port = int(head.split()[1].rpartition(b":")[2])
            await stream.send_all(b"HTTP/1.1 200 Connected\r\n\r\n")
            async with await trio.open_tcp_stream(OUTSIDE, port) as target, trio.open_nursery() as nursery:
                nursery.start_soon(pump, stream, target)
                nursery.start_soon(pump, target, stream)
        else:
            await stream.send_all(self.answer)


async def pump(source: trio.abc.Stream, target: trio.abc.Stream) -> None:
    """Hand on what comes, and its end."""
    with contextlib.suppress(trio.BrokenResourceError, trio.ClosedResourceError):
        async for data in source:
            await target.send_all(data)
        if isinstance(target, trio.SocketStream):
            await target.send_eof()


@pytest.mark.parametrize("name", ["http_proxy", "HTTP_PROXY", "all_proxy"])
async def test_a_proxy_is_sent_the_whole_address(name: str) -> None:
    """And looks the name up: we never do."""

    async def look_up(host: str) -> Sequence[str]:
        raise AssertionError(host)

    proxy = Proxy()
    async with open_raw(proxy.handle) as port:
        wire = Wire(AddressBook(look_up), {name: f"http://u:p@127.0.0.1:{port}"}, context=ssl.create_default_context())
        assert b"proxy" == await get(wire, "http://one.test/a?b", {"X-Key": "v"})
        await wire.aclose()

    assert ["GET http://one.test/a?b"] == proxy.asked
    assert "x-key: v" in proxy.heads[0].lower()
    assert "proxy-authorization: basic" in proxy.heads[0].lower()


async def test_an_excepted_host_is_asked_itself(origin: Origin) -> None:
    """By ``no_proxy``, in either case."""
    proxy = Proxy()
    async with open_raw(proxy.handle) as port:
        environ = {"http_proxy": f"http://127.0.0.1:{port}", "NO_PROXY": "one.test"}
        async with open_wire(environ=environ) as wire:
            assert b"abc" == await get(wire, f"http://one.test:{port_of(origin)}/a")
            assert b"proxy" == await get(wire, f"http://two.test:{port_of(origin)}/a")

    assert [f"GET http://two.test:{port_of(origin)}/a"] == proxy.asked


async def test_a_safe_connection_goes_through_a_proxy(secure: Origin, trust: ssl.SSLContext) -> None:
    """In a tunnel: the proxy sees neither path nor headers."""
    proxy = Proxy()
    async with open_raw(proxy.handle) as port:
        async with open_wire(environ={"https_proxy": f"http://127.0.0.1:{port}"}, context=trust) as wire:
            assert [b"safe"] * 2 == [await get(wire, f"{secure.url}/a?q", {"X-Key": "v"}) for _ in range(2)]
        await wait_until(lambda: secure.open_now == 0)

    assert [f"CONNECT one.test:{port_of(secure)}"] == proxy.asked
    assert "x-key" not in proxy.heads[0].lower()
    assert (2, 1) == (secure.count(), secure.connections)


async def test_a_safe_connection_to_the_proxy_is_trusted_likewise(authority: trustme.CA, trust: ssl.SSLContext) -> None:
    """By the same certificates as a server."""
    proxy = Proxy()
    async with open_raw(proxy.handle, tls=certify(authority, "localhost")) as port:
        environ = {"http_proxy": f"https://localhost:{port}"}
        async with open_wire(environ=environ, context=trust) as wire, open_wire(environ=environ) as stranger:
            assert b"proxy" == await get(wire, "http://one.test/")
            assert Reason.TLS == (await fail(stranger, "http://one.test/")).reason

    assert ["GET http://one.test/"] == proxy.asked


async def test_a_server_behind_a_proxy_is_trusted_no_sooner(secure: Origin) -> None:
    """The tunnel is no proof."""
    async with open_raw(Proxy().handle) as port, open_wire(environ={"https_proxy": f"127.0.0.1:{port}"}) as wire:
        error = await fail(wire, f"{secure.url}/a")

    assert (Reason.TLS, False) == (error.reason, error.is_passing)
    assert 0 == secure.count()


class Nobody(trio.abc.HostnameResolver):
    """A system that knows no name."""

    async def getaddrinfo(self, host: bytes | None, port: object, *_: object) -> list[Any]:
        """Know nothing."""
        raise socket.gaierror(socket.EAI_NONAME, "no name")

    async def getnameinfo(self, *_: object) -> tuple[str, str]:
        """Nobody asks."""
        raise AssertionError


async def test_a_proxy_that_nobody_knows_is_a_name_that_is_not_known() -> None:
    """Its name is looked up by the system."""
    trio.socket.set_custom_hostname_resolver(Nobody())
    async with open_wire(environ={"http_proxy": "http://proxy.test:3128"}) as wire:
        error = await fail(wire, "http://one.test/")

    assert (Reason.DNS, True) == (error.reason, error.is_passing)


async def test_a_proxy_that_refuses_is_a_connection_that_fails() -> None:
    """What it says is left away."""
    proxy = Proxy(b"HTTP/1.1 403 %b\r\nContent-Length: 0\r\n\r\n" % CANARY.encode())
    async with open_raw(proxy.handle) as port, open_wire(environ={"https_proxy": f"127.0.0.1:{port}"}) as wire:
        error = await fail(wire, "https://one.test/")

    assert (Reason.CONNECTION, True) == (error.reason, error.is_passing)
    assert "the proxy refused the connection" == str(error)


@pytest.mark.parametrize("kind", ["socks5", "ftp"])
async def test_a_proxy_of_another_kind_is_told(kind: str) -> None:
    """Without its password; nobody is asked without it instead."""
    async with open_wire(environ={"http_proxy": f"{kind}://user:{CANARY}@127.0.0.1:1"}) as wire:
        error = await fail(wire, "http://one.test/")

    assert (Reason.CONNECTION, False) == (error.reason, error.is_passing)
    assert f"the proxy {kind}://127.0.0.1:1 can't be used; name an http:// or https:// one" == str(error)


@pytest.mark.parametrize(
    "host",
    [
        "localhost",
        "LOCALHOST.",
        "a.localhost",
        "nas.local",
        "printer",
        "127.0.0.1",
        "127.0.0.1.",
        "127.0.0。1",
        "127.0.0%2e1",
        "a.b。localhost",
        "0x7f.1",
        "2130706433",
        "[::1]",
        "[::ffff:127.0.0.1]",
        "10.0.0.7",
        "169.254.169.254",
    ],
)
async def test_a_public_document_leads_no_proxy_inwards(host: str) -> None:
    """As far as names and literal addresses tell; the user may name any host."""
    proxy = Proxy()
    async with open_raw(proxy.handle) as port, open_wire(environ={"http_proxy": f"127.0.0.1:{port}"}) as wire:
        error = await fail(wire, f"http://{host}/", led_by=Zone.PUBLIC)
        assert (Reason.REFUSED, False) == (error.reason, error.is_passing)
        assert [] == proxy.asked
        assert b"proxy" == await get(wire, "http://one.test/", led_by=Zone.PUBLIC)
        assert b"proxy" == await get(wire, f"http://{host}/")


# Trust


@pytest.mark.parametrize(
    ("led_by", "host", "body"),
    [
        pytest.param(None, OUTSIDE, b"abc", id="user to public"),
        pytest.param(None, INSIDE, b"inside", id="user to private"),
        pytest.param(None, "inner.test", b"inside", id="user to private by name"),
        pytest.param(Zone.PUBLIC, OUTSIDE, b"abc", id="public to public"),
        pytest.param(Zone.PRIVATE, OUTSIDE, b"abc", id="private to public"),
        pytest.param(Zone.PRIVATE, INSIDE, b"inside", id="private to private"),
        pytest.param(Zone.LOOPBACK, INSIDE, b"inside", id="loopback to private"),
        pytest.param(Zone.PUBLIC, INSIDE, None, id="public to private"),
        pytest.param(Zone.PUBLIC, "inner.test", None, id="public to private by name"),
        pytest.param(Zone.LINK_LOCAL, INSIDE, None, id="link-local to private"),
    ],
)
async def test_a_document_leads_only_where_it_may(
    origin: Origin, inner: Origin, led_by: Zone | None, host: str, body: bytes | None
) -> None:
    """By the address that is connected to, whatever the name."""
    port = port_of(origin if host == OUTSIDE else inner)
    async with open_wire(Names({"inner.test": [INSIDE], INSIDE: [INSIDE]})) as wire:
        url = f"http://{host}:{port}/a"
        if body is not None:
            assert body == await get(wire, url, led_by=led_by)
            return
        error = await fail(wire, url, led_by=led_by)

    assert (Reason.REFUSED, False) == (error.reason, error.is_passing)
    assert 0 == inner.connections


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "127.1", "0x7f.1", "2130706433", "0177.0.0.1", "[::ffff:127.0.0.1]", "[::1]", "0"]
)
async def test_no_odd_literal_leads_a_public_document_to_this_machine(origin: Origin, host: str) -> None:
    """The real name service and the real zones say so."""
    async with contextlib.aclosing(Wire(AddressBook(), {}, context=ssl.create_default_context())) as wire:
        error = await fail(wire, f"http://{host}:{port_of(origin)}/a", led_by=Zone.PUBLIC)

    assert (Reason.REFUSED, False) == (error.reason, error.is_passing)
    assert 0 == origin.connections


async def test_a_host_inside_and_outside_is_only_found_outside(inner: Origin) -> None:
    """Even if nobody is there, and the address inside would answer."""
    async with open_wire(Names({"both.test": [INSIDE, OUTSIDE]})) as wire:
        error = await fail(wire, f"http://both.test:{port_of(inner)}/a", led_by=Zone.PUBLIC)

    assert Reason.CONNECTION == error.reason
    assert 0 == inner.connections


async def test_a_connection_of_the_users_own_is_not_used_by_others(inner: Origin) -> None:
    """A document from outside must not reach a private host by a name that is public as well."""
    async with open_origin(port=port_of(inner)) as origin, open_wire(Names({"both.test": [INSIDE, OUTSIDE]})) as wire:
        origin.script("/a", Reply(body=b"outside"))
        url = f"http://both.test:{port_of(inner)}/a"

        assert b"inside" == await get(wire, url)
        assert 1 == inner.open_now
        assert b"outside" == await get(wire, url, led_by=Zone.PUBLIC)
        assert b"inside" == await get(wire, url)
        assert (1, 1) == (inner.connections, origin.connections)


async def test_a_name_that_moves_inside_is_refused(origin: Origin, inner: Origin) -> None:
    """An answer of the name service counts for a minute, and never longer than its check."""
    names = Names({"one.test": [OUTSIDE]})
    async with open_wire(names) as wire:
        assert b"abc" == await get(wire, f"http://one.test:{port_of(origin)}/a", led_by=Zone.PUBLIC)
        names.known = {"one.test": [INSIDE]}
        wire._book.forget("one.test")
        error = await fail(wire, f"http://one.test:{port_of(inner)}/a", led_by=Zone.PUBLIC)

    assert Reason.REFUSED == error.reason
    assert 0 == inner.connections


async def test_a_name_that_moves_between_check_and_connection_is_not_followed(
    inner: Origin, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is connected to is what was checked."""
    monkeypatch.setattr(addresses, "KEPT_S", 0.0)
    answers = iter([[OUTSIDE], [INSIDE], [INSIDE]])

    async def look_up(host: str) -> Sequence[str]:
        return next(answers)

    wire = Wire(AddressBook(look_up, zone_in_tests), {}, context=ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT))
    error = await fail(wire, f"http://one.test:{port_of(inner)}/a", led_by=Zone.PUBLIC)
    await wire.aclose()

    assert (Reason.CONNECTION, True) == (error.reason, error.is_passing)
    assert 0 == inner.connections
    assert [INSIDE] == next(answers)
