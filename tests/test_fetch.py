"""Requests as clipcut means them: sent again when it helps, bounded in everything, exactly the bytes asked for.

What waits runs on a virtual clock, against a transport that plays back answers; what is about bytes and connections
runs against a real server on loopback.
"""

import contextlib
import datetime as dt
import email.utils
import gc
import gzip
import logging
import re
import ssl
import traceback
import tracemalloc
import zlib
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from pathlib import Path

import attrs
import httpx
import pytest
import stamina.instrumentation
import trio
import trio.testing
import trustme
from hypothesis import given
from hypothesis import strategies as st
from origin import Origin, Reply, open_origin, redirect, retry_after_seconds

from clipcut.errors import Reason, RenderError, SourceError
from clipcut.events import Retry
from clipcut.network import body
from clipcut.network.addresses import AddressBook, Zone, zone_of
from clipcut.network.ask import Access, Answer, Ask, Patience, fill_in, variables_of
from clipcut.network.body import FileSink, MemorySink, content_range
from clipcut.network.fetch import MAX_REDIRECTS, Fetcher, retry_after
from clipcut.network.http import Wire

OUTSIDE, INSIDE = "127.0.0.1", "127.0.0.2"
CANARY = "c4n4ry"
DATA = bytes(range(256)) * 40
"""What /a holds: 10240 bytes."""

NOW = dt.datetime(2026, 1, 2, 3, 4, 5, tzinfo=dt.UTC)
LARGE = 1 << 20

Clock = trio.testing.MockClock
Give = Callable[[], httpx.Response]


def zone_in_tests(address: str) -> Zone:
    """Tell two loopback addresses apart."""
    return {OUTSIDE: Zone.PUBLIC, INSIDE: Zone.PRIVATE}.get(address) or zone_of(address)


async def look_up(host: str) -> Sequence[str]:
    """Find every name outside, but for those that say that they are inside."""
    return [INSIDE if "inner" in host or host == INSIDE else OUTSIDE]


def make_ask(url: str, **given: object) -> Ask:
    """Make an ask for something; ``headers`` are its source's."""
    headers = given.pop("headers", {})
    assert isinstance(headers, dict)
    values: dict[str, object] = {"what": "it", "access": Access(url=url, headers=headers), "max_bytes": LARGE}
    return Ask(url=url, **(values | given))  # type: ignore[arg-type]  # by name


def untold(retry: Retry) -> None:
    """Nobody wants to know."""


# Answers on a virtual clock


def status(code: int, headers: Mapping[str, str] | None = None) -> Give:
    """Answer with a status."""
    return lambda: httpx.Response(code, headers=headers, content=b"")


def fine() -> httpx.Response:
    """Answer as hoped for."""
    return httpx.Response(200, content=b"fine")


def failing(kind: type[httpx.TransportError]) -> Give:
    """Give no answer."""

    def give() -> httpx.Response:
        raise kind(CANARY)

    return give


def too_short() -> httpx.Response:
    """Answer with a body that ends too soon."""

    async def pieces() -> AsyncIterator[bytes]:
        yield b"fi"
        raise httpx.RemoteProtocolError(CANARY)

    return httpx.Response(200, content=pieces())


def slow(size: int, seconds: float, count: int = 1_000_000) -> Give:
    """Answer by ``size`` bytes every so many seconds."""

    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(count):
            yield bytes(size)
            await trio.sleep(seconds)

    return lambda: httpx.Response(200, content=pieces())


@attrs.define
class Site:
    """Plays back answers in order, the last for all that follow, and remembers what was asked when."""

    answers: list[Give]
    seen: list[tuple[float, httpx.Request]] = attrs.field(factory=list)

    def __call__(self, request: httpx.Request) -> httpx.Response:
        """Answer."""
        self.seen.append((trio.current_time(), request))
        return (self.answers.pop(0) if len(self.answers) > 1 else self.answers[0])()

    @property
    def times(self) -> list[float]:
        """When it was asked."""
        return [at for at, _ in self.seen]

    @property
    def urls(self) -> list[str]:
        """What it was asked for."""
        return [str(request.url) for _, request in self.seen]


def longest(most: float) -> float:
    """Wait as long as may be."""
    return most


def at_once(most: float) -> float:
    """Don't wait."""
    return 0.0


def make_fetcher(*answers: Give, site: Callable[..., object] | None = None, **given: object) -> Fetcher:
    """Make a fetcher of a site that gives these answers."""
    transport = httpx.MockTransport(site or Site(list(answers)))  # type: ignore[arg-type]  # either kind of handler
    wire = Wire(AddressBook(look_up, zone_in_tests), {}, transport=transport)
    return Fetcher(wire=wire, **({"jitter": longest} | given))  # type: ignore[arg-type]  # by name


async def fail(fetcher: Fetcher, ask: Ask | None = None, told: Callable[[Retry], None] = untold) -> SourceError:
    """Fetch something that can't be had; return why."""
    with pytest.raises(SourceError) as caught:
        await fetcher.fetch_bytes(ask or make_ask("http://a.test/"), told)
    return caught.value


PASSING = [
    pytest.param(failing(httpx.ConnectError), Reason.CONNECTION, id="refused"),
    pytest.param(failing(httpx.ReadError), Reason.CONNECTION, id="reset"),
    pytest.param(failing(httpx.RemoteProtocolError), Reason.CONNECTION, id="closed"),
    pytest.param(failing(httpx.ConnectTimeout), Reason.TIMEOUT, id="no connection"),
    pytest.param(failing(httpx.ReadTimeout), Reason.TIMEOUT, id="silent"),
    pytest.param(too_short, Reason.TRUNCATED, id="truncated"),
    pytest.param(status(408), Reason.HTTP_4XX, id="408"),
    pytest.param(status(425), Reason.HTTP_4XX, id="425"),
    pytest.param(status(429), Reason.HTTP_429, id="429"),
    pytest.param(status(500), Reason.HTTP_5XX, id="500"),
    pytest.param(status(502), Reason.HTTP_5XX, id="502"),
    pytest.param(status(503), Reason.HTTP_5XX, id="503"),
    pytest.param(status(599), Reason.HTTP_5XX, id="599"),
]

LASTING = [
    pytest.param(status(400), Reason.HTTP_4XX, id="400"),
    pytest.param(status(401), Reason.HTTP_401, id="401"),
    pytest.param(status(403), Reason.HTTP_403, id="403"),
    pytest.param(status(404), Reason.HTTP_404, id="404"),
    pytest.param(status(410), Reason.HTTP_410, id="410"),
    pytest.param(status(416), Reason.HTTP_4XX, id="416"),
    pytest.param(status(451), Reason.HTTP_4XX, id="451"),
    pytest.param(status(204), Reason.HTTP_4XX, id="204"),
    pytest.param(status(206), Reason.HTTP_4XX, id="206 that nobody asked for"),
    pytest.param(status(302), Reason.HTTP_4XX, id="redirect to nowhere"),
    pytest.param(status(304, {"Location": "/"}), Reason.HTTP_4XX, id="304"),
    pytest.param(failing(httpx.LocalProtocolError), Reason.REFUSED, id="not to be sent"),
]


@pytest.mark.parametrize(("give", "reason"), PASSING)
async def test_what_fails_in_passing_is_sent_again(give: Give, reason: Reason, autojump_clock: Clock) -> None:
    """Until it goes well; who waits is told of each time, with the reason."""
    told: list[Retry] = []
    fetcher = make_fetcher(give, give, fine)
    data, answer = await fetcher.fetch_bytes(make_ask("http://a.test/"), told.append)

    assert (b"fine", "http://a.test/", Zone.PUBLIC) == (data, answer.url, answer.zone)
    assert [Retry(1, 0.5, reason), Retry(2, 1.0, reason)] == told
    assert (3, 2) == (fetcher.requests, fetcher.retries)


@pytest.mark.parametrize(("give", "reason"), PASSING)
async def test_what_never_goes_well_is_given_up(give: Give, reason: Reason, autojump_clock: Clock) -> None:
    """After ``max_retry`` more tries; it says how often it asked."""
    told: list[Retry] = []
    site = Site([give])
    fetcher = make_fetcher(site=site, max_retry=lambda: 2)
    error = await fail(fetcher, told=told.append)

    assert (reason, True) == (error.reason, error.is_passing)
    assert re.fullmatch(r"it: .* \(asked 3 times\)", str(error))
    assert [0, 0.5, 1.5] == site.times
    assert [1, 2] == [retry.attempt for retry in told]
    assert (3, 2) == (fetcher.requests, fetcher.retries)


@pytest.mark.parametrize(("give", "reason"), LASTING)
async def test_what_will_not_go_better_is_given_up_at_once(give: Give, reason: Reason, autojump_clock: Clock) -> None:
    """Nobody is asked twice, and nobody waits."""
    told: list[Retry] = []
    fetcher = make_fetcher(give, fine)
    error = await fail(fetcher, told=told.append)

    assert (reason, False) == (error.reason, error.is_passing)
    assert str(error).startswith("it: ")
    assert "asked" not in str(error)
    assert (1, 0, [], 0) == (fetcher.requests, fetcher.retries, told, trio.current_time())


async def test_nothing_is_sent_again_when_it_may_not(autojump_clock: Clock) -> None:
    """``max_retry`` can be 0."""
    fetcher = make_fetcher(status(503), fine, max_retry=lambda: 0)

    assert "it: the server answers 503" == str(await fail(fetcher))
    assert (1, 0) == (fetcher.requests, fetcher.retries)


async def test_a_lasting_failure_ends_the_tries(autojump_clock: Clock) -> None:
    """It is the one that is told."""
    fetcher = make_fetcher(status(503), status(404))
    error = await fail(fetcher)

    assert (Reason.HTTP_404, False) == (error.reason, error.is_passing)
    assert "it: the server answers 404 (asked 2 times)" == str(error)


async def test_waits_are_random_up_to_a_bound_that_doubles(autojump_clock: Clock) -> None:
    """Full jitter, with a limit to the bound."""
    bounds: list[float] = []

    def pick(most: float) -> float:
        bounds.append(most)
        return most / 4

    site = Site([status(503)])
    await fail(make_fetcher(site=site, max_retry=lambda: 7, jitter=pick))

    assert [0.5, 1, 2, 4, 8, 15, 15] == bounds
    assert [bound / 4 for bound in bounds] == [
        after - at for at, after in zip(site.times, site.times[1:], strict=False)
    ]


def test_the_ordinary_wait_is_between_nothing_and_its_bound() -> None:
    """Evenly, so that those who failed together don't come back together."""
    jitter = Fetcher(wire=make_fetcher(fine).wire).jitter
    waits = [jitter(8) for _ in range(200)]

    assert all(0 <= wait <= 8 for wait in waits)
    assert min(waits) < 2
    assert max(waits) > 6


async def test_as_many_tries_as_the_settings_allow_are_no_problem(autojump_clock: Clock) -> None:
    """The bound doesn't grow without end."""
    fetcher = make_fetcher(status(503), max_retry=lambda: 100)
    await fail(fetcher)

    assert 101 == fetcher.requests


@pytest.mark.parametrize(("before", "after", "requests"), [(1, 3, 4), (5, 0, 2)], ids=["raised", "lowered"])
async def test_the_number_of_retries_can_change_meanwhile(
    before: int, after: int, requests: int, autojump_clock: Clock
) -> None:
    """It counts when a request has failed."""
    allowed = [before]
    fetcher = make_fetcher(status(503), max_retry=lambda: allowed[0])

    async def change() -> None:
        await trio.sleep(0.25)
        allowed[0] = after

    async with trio.open_nursery() as nursery:
        nursery.start_soon(change)
        await fail(fetcher)
    assert requests == fetcher.requests


async def test_a_wait_can_be_cancelled(autojump_clock: Clock) -> None:
    """And is the only thing that ends."""
    fetcher = make_fetcher(status(503), fine)
    with trio.move_on_after(0.25) as scope:
        await fetcher.fetch_bytes(make_ask("http://a.test/"), untold)

    assert scope.cancelled_caught
    assert (1, 0) == (fetcher.requests, fetcher.retries)
    assert b"fine" == (await fetcher.fetch_bytes(make_ask("http://a.test/"), untold))[0]


@pytest.mark.parametrize("bug", [ZeroDivisionError(), RenderError("no room"), KeyboardInterrupt()], ids=repr)
async def test_what_is_no_fault_of_a_source_passes_through(bug: BaseException, autojump_clock: Clock) -> None:
    """It isn't tried again."""
    fetcher = make_fetcher(fine)

    class Full(MemorySink):
        async def write(self, data: bytes) -> None:
            raise bug

    with pytest.raises(type(bug)):
        await fetcher.fetch(make_ask("http://a.test/"), Full(), untold)
    assert 1 == fetcher.requests


async def test_what_will_not_do_when_it_is_there_is_fetched_anew(autojump_clock: Clock) -> None:
    """Whoever takes it looks at it before the try is over."""
    fetcher = make_fetcher(fine)

    class Choosy(MemorySink):
        async def finish(self) -> None:
            if fetcher.requests < 3:
                raise SourceError(Reason.UNDECODABLE, "it: no media", is_passing=True)

    sink = Choosy()
    await fetcher.fetch(make_ask("http://a.test/"), sink, untold)

    assert (b"fine", 3, 2) == (bytes(sink.data), fetcher.requests, fetcher.retries)


# Retry-After


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        pytest.param(None, None, id="none"),
        pytest.param("120", 120, id="seconds"),
        pytest.param(" 7 ", 7, id="spaces"),
        pytest.param("0", 0, id="zero"),
        pytest.param("9" * 5000, 999_999_999_999, id="absurd"),
        pytest.param("Fri, 02 Jan 2026 03:05:05 GMT", 60, id="date"),
        pytest.param("Friday, 02-Jan-26 03:05:05 GMT", 60, id="date of RFC 850"),
        pytest.param("Fri Jan  2 03:05:05 2026", 60, id="date of asctime"),
        pytest.param("Fri, 02 Jan 2026 04:05:05 +0100", 60, id="date with an offset"),
        pytest.param("Fri, 02 Jan 2026 03:04:05 GMT", 0, id="now"),
        pytest.param("Wed, 21 Oct 2015 07:28:00 GMT", 0, id="past"),
        pytest.param("", None, id="empty"),
        pytest.param("-1", None, id="negative"),
        pytest.param("1.5", None, id="fraction"),
        pytest.param("1, 2", None, id="twice"),
        pytest.param("²", None, id="another digit"),
        pytest.param("٣", None, id="a digit of another script"),
        pytest.param("soon", None, id="word"),
        pytest.param("Fri, 99 Jan 2026 03:05:05 GMT", None, id="no date"),
        pytest.param("Fri, 02 Jan 2026 03:05:05 +999999999", None, id="no offset"),
    ],
)
def test_both_forms_of_retry_after_are_read(value: str | None, seconds: float | None) -> None:
    """A moment in the past is none to wait for."""
    assert seconds == retry_after(value, NOW)


@given(st.text() | st.text("0123456789 :,+-.GMTWedJan/²٣\x1c", max_size=40))
def test_no_retry_after_is_too_odd(value: str) -> None:
    """What a server sends is never a bug of ours."""
    seconds = retry_after(value, NOW)

    assert seconds is None or seconds >= 0


@pytest.mark.parametrize("code", [429, 503, 408])
async def test_the_server_says_when_to_come_back(code: int, autojump_clock: Clock) -> None:
    """Not sooner, though our own wait would be shorter."""
    told: list[Retry] = []
    site = Site([status(code, retry_after_seconds(30)), fine])
    await make_fetcher(site=site).fetch_bytes(make_ask("http://a.test/"), told.append)

    assert [0, 30] == site.times
    assert [30] == [retry.delay_s for retry in told]


async def test_the_server_says_when_to_come_back_by_a_date(autojump_clock: Clock) -> None:
    """By the clock on the wall, to the second."""
    moment = dt.datetime.now(dt.UTC) + dt.timedelta(seconds=60)
    site = Site([status(503, {"Retry-After": email.utils.format_datetime(moment, usegmt=True)}), fine])
    await make_fetcher(site=site).fetch_bytes(make_ask("http://a.test/"), untold)

    assert 50 < site.times[1] <= 60


@pytest.mark.parametrize("value", ["0", "Wed, 21 Oct 2015 07:28:00 GMT", "soon", ""])
async def test_our_own_wait_is_the_least(value: str, autojump_clock: Clock) -> None:
    """Whatever the server says, or tries to say."""
    site = Site([status(503, {"Retry-After": value}), fine])
    await make_fetcher(site=site).fetch_bytes(make_ask("http://a.test/"), untold)

    assert [0, 0.5] == site.times


@pytest.mark.parametrize(("code", "reason"), [(429, Reason.HTTP_429), (503, Reason.HTTP_5XX)])
@pytest.mark.parametrize("value", ["121", "86400", "9" * 30, "Fri, 31 Dec 9999 23:59:59 GMT"])
async def test_an_absurd_pause_is_given_up_at_once(
    code: int, reason: Reason, value: str, autojump_clock: Clock
) -> None:
    """For its reason, without a wait; nor do others wait."""
    fetcher = make_fetcher(status(code, {"Retry-After": value}), fine)
    error = await fail(fetcher)

    assert (reason, False) == (error.reason, error.is_passing)
    assert re.fullmatch(rf"it: the server answers {code}, and asks for \d+ s of patience, more than 120", str(error))
    assert (1, 0) == (fetcher.requests, trio.current_time())
    assert b"fine" == (await fetcher.fetch_bytes(make_ask("http://a.test/"), untold))[0]
    assert 0 == trio.current_time()


@pytest.mark.parametrize("retries", [3, 0])
async def test_a_pause_is_for_the_whole_host(retries: int, autojump_clock: Clock) -> None:
    """Other requests to it wait as well, even if the one that was told is given up; other hosts are asked meanwhile."""
    times = {}
    fetcher = make_fetcher(status(429, retry_after_seconds(30)), fine, max_retry=lambda: retries)

    async def ask(url: str) -> None:
        await trio.sleep(1)
        await fetcher.fetch_bytes(make_ask(url), untold)
        times[url] = trio.current_time()

    async with trio.open_nursery() as nursery:
        for url in ("http://a.test/1", "https://A.test:8443/2", "http://b.test/"):
            nursery.start_soon(ask, url)
        with contextlib.suppress(SourceError):
            await fetcher.fetch_bytes(make_ask("http://a.test/"), untold)
    assert {"http://a.test/1": 30, "https://A.test:8443/2": 30, "http://b.test/": 1} == times


async def test_a_lasting_failure_asks_for_no_pause(autojump_clock: Clock) -> None:
    """Where nobody comes back, nobody waits."""
    fetcher = make_fetcher(status(404, retry_after_seconds(30)), fine)
    await fail(fetcher)
    await fetcher.fetch_bytes(make_ask("http://a.test/"), untold)

    assert 0 == trio.current_time()


@pytest.mark.parametrize(("pause", "after"), [(7.0, 7), (500.0, 120), (None, 0)])
async def test_an_answer_can_ask_for_a_pause_in_words_of_its_own(
    pause: float | None, after: float, autojump_clock: Clock
) -> None:
    """Although it is a good one; no longer than is sensible."""
    site = Site([fine])
    fetcher = make_fetcher(site=site)
    await fetcher.fetch_bytes(make_ask("http://a.test/", pause=lambda *_: pause), untold)
    await fetcher.fetch_bytes(make_ask("http://a.test/"), untold)

    assert [0, after] == site.times


# Limits and bounds


async def fetch_many(fetcher: Fetcher, count: int, host: str = "a.test") -> None:
    """Fetch ``count`` things of a host at once."""
    async with trio.open_nursery() as nursery:
        for number in range(count):
            nursery.start_soon(fetcher.fetch_bytes, make_ask(f"http://{host}/{number}"), untold)


@pytest.mark.parametrize(("rate", "gap"), [(2, 0.5), (None, 0)])
async def test_a_host_is_asked_at_a_rate(rate: float | None, gap: float, autojump_clock: Clock) -> None:
    """Each host for itself."""
    site = Site([fine])
    fetcher = make_fetcher(site=site, rate=lambda: rate)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(fetch_many, fetcher, 9)
        nursery.start_soon(fetch_many, fetcher, 9, "b.test")

    assert sorted([number * gap for number in range(9)] * 2) == site.times


async def test_retries_and_redirects_count_for_the_rate(autojump_clock: Clock) -> None:
    """Every request does."""
    site = Site([status(302, {"Location": "/x"}), status(503), status(302, {"Location": "/x"}), fine])
    await make_fetcher(site=site, rate=lambda: 0.1).fetch_bytes(make_ask("http://a.test/"), untold)

    assert [0, 10, 20, 30] == site.times


async def test_six_requests_are_under_way_at_once(autojump_clock: Clock) -> None:
    """To one host; from the request to the last byte."""
    under_way, most = 0, 0

    async def answer(request: httpx.Request) -> httpx.Response:
        nonlocal under_way, most
        under_way += 1
        most = max(most, under_way)
        await trio.sleep(1)

        async def pieces() -> AsyncIterator[bytes]:
            nonlocal under_way
            yield b"x"
            await trio.sleep(1)
            under_way -= 1
            yield b"x"

        return httpx.Response(200, content=pieces())

    await fetch_many(make_fetcher(site=answer), 18)

    assert (6, 6) == (most, trio.current_time())


async def test_a_dripping_server_is_given_up(autojump_clock: Clock) -> None:
    """After a window with fewer bytes than are worth waiting for."""
    error = await fail(make_fetcher(slow(900, 1), max_retry=lambda: 0))

    assert (Reason.TIMEOUT, True) == (error.reason, error.is_passing)
    assert re.fullmatch(r"it: came at \d+ bytes a second, which is given up", str(error))
    assert 10 == trio.current_time()


async def test_a_server_that_begins_well_and_drips_later_is_given_up(autojump_clock: Clock) -> None:
    """Every window counts for itself."""

    async def pieces() -> AsyncIterator[bytes]:
        for size in [500_000, *[10] * 100]:
            yield bytes(size)
            await trio.sleep(1)

    error = await fail(make_fetcher(lambda: httpx.Response(200, content=pieces()), max_retry=lambda: 0))

    assert Reason.TIMEOUT == error.reason
    assert 20 == trio.current_time()


async def test_a_slow_server_is_waited_for(autojump_clock: Clock) -> None:
    """If it brings the least rate."""
    data, _ = await make_fetcher(slow(1024, 1, 60)).fetch_bytes(make_ask("http://a.test/"), untold)

    assert 60 * 1024 == len(data)
    assert 60 == trio.current_time()


async def test_an_answer_that_takes_too_long_in_all_is_given_up(autojump_clock: Clock) -> None:
    """Though it never stops."""
    error = await fail(make_fetcher(slow(1024, 1), max_retry=lambda: 0))

    assert (Reason.TIMEOUT, True) == (error.reason, error.is_passing)
    assert "it: took longer than 600 s" == str(error)
    assert 600 == trio.current_time()


async def test_the_wait_for_ones_turn_is_not_the_servers_fault(autojump_clock: Clock) -> None:
    """The bounds count from the request on."""
    fetcher = make_fetcher(fine, rate=lambda: 0.001)
    await fetch_many(fetcher, 2)

    assert (2, 1000) == (fetcher.requests, trio.current_time())


# Redirects


@pytest.mark.parametrize(
    ("location", "url"),
    [
        pytest.param("c", "http://a.test:8/x/c", id="relative"),
        pytest.param("../c?d", "http://a.test:8/c?d", id="up"),
        pytest.param("?d", "http://a.test:8/x/b?d", id="query"),
        pytest.param("/c", "http://a.test:8/c", id="path"),
        pytest.param("//b.test/c", "http://b.test/c", id="without its scheme"),
        pytest.param("https://b.test/c", "https://b.test/c", id="absolute"),
        pytest.param("HTTP://B.test/c", "http://B.test/c", id="in capitals"),
    ],
)
@pytest.mark.parametrize("code", [301, 302, 303, 307, 308])
async def test_a_redirect_is_followed(code: int, location: str, url: str, autojump_clock: Clock) -> None:
    """The answer says where it came from in the end."""
    site = Site([status(code, {"Location": location}), fine])
    fetcher = make_fetcher(site=site)
    data, answer = await fetcher.fetch_bytes(make_ask("http://a.test:8/x/b?old"), untold)

    assert (b"fine", url) == (data, answer.url)
    assert httpx.URL(url) == site.seen[1][1].url
    assert (2, 0) == (fetcher.requests, fetcher.retries)


async def test_redirects_in_a_ring_are_refused(autojump_clock: Clock) -> None:
    """After eight."""
    fetcher = make_fetcher(status(302, {"Location": "/"}))
    error = await fail(fetcher)

    assert (8, 9) == (MAX_REDIRECTS, fetcher.requests)
    assert (Reason.REFUSED, False) == (error.reason, error.is_passing)
    assert "it: redirected more than 8 times" == str(error)


async def test_eight_redirects_are_followed(autojump_clock: Clock) -> None:
    """And no body of theirs is taken for the answer's."""
    away: list[Give] = [lambda: httpx.Response(302, headers={"Location": "/"}, content=b"away")] * 8

    assert b"fine" == (await make_fetcher(*away, fine).fetch_bytes(make_ask("http://a.test/"), untold))[0]


@pytest.mark.parametrize(
    "location",
    [
        "file:///etc/passwd",
        "ftp://a.test/",
        "javascript:alert(1)",
        "data:,x",
        "https:///x",
        "https://",
        "http://[::1",
        "http://a.test:99999/",
        "http://a.test:x/",
        "http://a℀b/",
    ],
)
async def test_a_redirect_to_something_else_is_refused(location: str, autojump_clock: Clock) -> None:
    """Only http(s) addresses with a host are followed."""
    fetcher = make_fetcher(lambda: httpx.Response(302, headers=[(b"location", location.encode())]), fine)
    error = await fail(fetcher)

    assert (Reason.REFUSED, False, 1) == (error.reason, error.is_passing, fetcher.requests)
    assert "it: redirected to something that is no http(s) address" == str(error)


async def test_a_redirected_request_begins_anew_when_it_is_sent_again(autojump_clock: Clock) -> None:
    """At its own address, as the other may have been a passing one."""
    site = Site([status(302, {"Location": "http://b.test/"}), status(503), fine])
    await make_fetcher(site=site).fetch_bytes(make_ask("http://a.test/"), untold)

    assert ["http://a.test/", "http://b.test/", "http://a.test/"] == site.urls


@pytest.mark.parametrize(
    ("own", "other", "is_same"),
    [
        pytest.param("http://a.test/x", "http://a.test/y?z", True, id="path"),
        pytest.param("http://a.test/", "http://A.TEST:80/", True, id="ordinary port"),
        pytest.param("https://a.test:443/", "https://a.test/", True, id="ordinary port of https"),
        pytest.param("http://a.test/", "http://b.test/", False, id="host"),
        pytest.param("http://a.test/", "http://x.a.test/", False, id="host below"),
        pytest.param("http://a.test/", "http://a.test:8080/", False, id="port"),
        pytest.param("http://a.test/", "https://a.test/", False, id="to https"),
        pytest.param("https://a.test/", "http://a.test/", False, id="to http"),
        pytest.param("https://a.test/", "http://a.test:443/", False, id="to http on the same port"),
        pytest.param("http://a.test/", "http://a.test@b.test/", False, id="as user"),
    ],
)
async def test_headers_go_to_their_own_origin_only(own: str, other: str, is_same: bool, autojump_clock: Clock) -> None:
    """Directly, by a redirect and back, and when the request is sent again."""
    away, back = status(302, {"Location": other}), status(302, {"Location": own})
    site = Site([away, status(503), away, back, fine, fine])
    fetcher = make_fetcher(site=site)
    access = Access(url=own, headers={"X-Key": CANARY, "Authorization": CANARY})
    await fetcher.fetch_bytes(make_ask(own, access=access), untold)
    await fetcher.fetch_bytes(make_ask(other, access=access), untold)

    had = [request.headers.get("x-key") == CANARY for _, request in site.seen]
    assert [True, is_same, True, is_same, True, is_same] == had
    assert [CANARY in str(request.headers.raw) for _, request in site.seen] == had


async def test_user_information_stays_with_its_address(autojump_clock: Clock) -> None:
    """Relative addresses keep it, absolute ones have their own or none."""
    site = Site([status(302, {"Location": "b"}), status(302, {"Location": "http://c.test/"}), fine])
    await make_fetcher(site=site).fetch_bytes(make_ask("http://u:p@a.test/a"), untold)

    assert [True, True, False] == ["authorization" in request.headers for _, request in site.seen]


@pytest.mark.parametrize("name", ["Range", "range", "Accept-Encoding", "connection", "If-Range", "content-length"])
def test_headers_that_are_our_own_business_are_left_away(name: str) -> None:
    """A source's own would make the answer one that nobody can trust."""
    assert {"X-Key": "value"} == fill_in({name: "x", "X-Key": "${KEY}"}, {"KEY": "value"})


def test_variables_are_filled_in_once() -> None:
    """What they hold is no template, and what isn't there is nothing."""
    assert ["A", "B"] == variables_of("x${A}${B}")
    assert {"X": "x${B}-"} == fill_in({"X": "x${A}-${B}"}, {"A": "${B}"})


# Trust


@pytest.mark.parametrize(
    ("led_by", "location", "reason"),
    [
        pytest.param(Zone.PUBLIC, "http://inner.test/", Reason.REFUSED, id="inside"),
        pytest.param(None, "http://inner.test/", Reason.REFUSED, id="inside, from the user's own host outside"),
        pytest.param(Zone.PUBLIC, "http://b.test/", None, id="outside"),
    ],
)
async def test_a_redirect_leads_where_a_playlist_may(
    led_by: Zone | None, location: str, reason: Reason | None, autojump_clock: Clock
) -> None:
    """What a public host sends never leads inwards, whoever named the host; and isn't asked again."""
    fetcher = make_fetcher(status(302, {"Location": location}), fine)
    ask = make_ask("http://a.test/", led_by=led_by)
    if reason is None:
        assert Zone.PUBLIC == (await fetcher.fetch_bytes(ask, untold))[1].zone
        return
    error = await fail(fetcher, ask)

    assert (reason, False) == (error.reason, error.is_passing)
    assert "it: a public host leads to inner.test, a private address: that is not followed" == str(error)
    assert 0 == fetcher.retries


async def test_who_was_led_outside_is_not_led_back(autojump_clock: Clock) -> None:
    """From the inside to the outside it goes, and from there nowhere else."""
    site = Site([status(302, {"Location": "http://a.test/"}), status(302, {"Location": "http://inner.test/2"}), fine])
    error = await fail(make_fetcher(site=site), make_ask("http://inner.test/"))

    assert Reason.REFUSED == error.reason
    assert ["http://inner.test/", "http://a.test/"] == site.urls


async def test_the_user_may_name_any_host(autojump_clock: Clock) -> None:
    """And a host inside may lead to its neighbours."""
    site = Site([status(302, {"Location": "http://inner2.test/"}), fine])
    _, answer = await make_fetcher(site=site).fetch_bytes(make_ask("http://inner.test/"), untold)

    assert ("http://inner2.test/", Zone.PRIVATE) == (answer.url, answer.zone)


@pytest.fixture
async def origin(tmp_path: Path) -> AsyncIterator[Origin]:
    """An origin outside, with a file."""
    (tmp_path / "www").mkdir()
    (tmp_path / "www" / "a").write_bytes(DATA)
    async with open_origin(tmp_path / "www") as one:
        yield one


@contextlib.asynccontextmanager
async def open_fetcher(
    max_retry: int = 0, patience: Patience | None = None, context: ssl.SSLContext | None = None
) -> AsyncIterator[Fetcher]:
    """Open a fetcher over real sockets that doesn't wait before it asks again."""
    wire = Wire(AddressBook(look_up, zone_in_tests), {}, context=context or ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT))
    with trio.fail_after(10):
        yield Fetcher(wire=wire, max_retry=lambda: max_retry, patience=patience or Patience(), jitter=at_once)
        await wire.aclose()


@pytest.fixture
async def fetcher() -> AsyncIterator[Fetcher]:
    """A fetcher over real sockets that asks once."""
    async with open_fetcher() as one:
        yield one


@pytest.mark.parametrize("host", [INSIDE, "inner.test", "127.0.0.3", "[::1]", "2130706434"])
async def test_nobody_inside_is_connected_to_by_a_redirect(origin: Origin, fetcher: Fetcher, host: str) -> None:
    """However the host is written."""

    async def resolve(name: str) -> Sequence[str]:
        return [INSIDE] if name in ("inner.test", "2130706434") else [name]

    fetcher.wire._book._resolve = resolve
    async with open_origin(host=INSIDE) as inner:
        inner.script("/", Reply(body=b"inside"))
        port = inner.url.rpartition(":")[2]
        origin.script("/r", redirect(f"http://{host}:{port}/"))
        error = await fail(fetcher, make_ask(f"{origin.url}/r"))

        assert (Reason.REFUSED, 0) == (error.reason, inner.connections)
        assert b"inside" == (await fetcher.fetch_bytes(make_ask(f"http://inner.test:{port}/"), untold))[0]


# Bodies over real connections


async def fetch(fetcher: Fetcher, url: str, **given: object) -> bytes:
    """Fetch something; return it."""
    return (await fetcher.fetch_bytes(make_ask(url, **given), untold))[0]


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
        answer = await fetcher.fetch_file(make_ask(f"{origin.url}/f", max_bytes=1 << 23), path, threads(), untold)

    assert new == path.read_bytes()
    assert f"{origin.url}/f" == answer.url


async def test_an_empty_file_is_written(origin: Origin, fetcher: Fetcher, tmp_path: Path) -> None:
    """So that there is one."""
    origin.script("/e", Reply(body=b""))
    await fetcher.fetch_file(make_ask(f"{origin.url}/e"), tmp_path / "file", threads(), untold)

    assert b"" == (tmp_path / "file").read_bytes()


def threads() -> trio.CapacityLimiter:
    """Give a place for a thread."""
    return trio.CapacityLimiter(1)


async def test_a_full_disk_is_no_fault_of_a_source(origin: Origin, fetcher: Fetcher) -> None:
    """It ends the render."""
    with pytest.raises(RenderError, match="no room"):
        await fetcher.fetch_file(make_ask(f"{origin.url}/a"), Path("/dev/full"), threads(), untold)


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
        pytest.param("bytes 100-300/10240", DATA[100:301], id="longer"),
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


async def test_more_bytes_than_were_stated_are_left_away(origin: Origin, fetcher: Fetcher) -> None:
    """The range counts."""
    stated = {"Content-Range": "bytes 100-299/10240"}
    origin.script("/a", Reply(status=206, body=DATA[100:9000], headers=stated, chunked=True))

    assert DATA[100:300] == await fetch(fetcher, f"{origin.url}/a", byte_range=(100, 300))


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
    origin.script("/a", *[Reply(drip=(100, 0.01))] * 7, Reply())
    async with open_fetcher() as fetcher:
        with trio.move_on_after(0.05) as scope:
            async with trio.open_nursery() as nursery:
                for number in range(8):
                    ask = make_ask(f"{origin.url}/a")
                    nursery.start_soon(fetcher.fetch_file, ask, tmp_path / str(number), threads(), untold)
        gc.collect()
        assert scope.cancelled_caught
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


# Safe connections, and secrets


@pytest.mark.parametrize("name", ["one.test", "two.test"])
async def test_a_server_that_is_not_trusted_is_asked_once(name: str) -> None:
    """Neither a strange authority nor a wrong name becomes better."""
    authority, context = trustme.CA(), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(name).configure_cert(context)
    trust = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    if name == "two.test":
        authority.configure_trust(trust)
    async with open_origin(tls=context) as origin, open_fetcher(max_retry=3, context=trust) as fetcher:
        error = await fail(fetcher, make_ask(origin.url.replace("localhost", "one.test")))

        assert (Reason.TLS, False) == (error.reason, error.is_passing)
        assert (1, 0, 1) == (fetcher.requests, fetcher.retries, origin.connections)


async def test_a_host_that_nobody_knows_is_asked_for_again(autojump_clock: Clock) -> None:
    """As the name service may have been the one that failed."""

    async def unknown(host: str) -> Sequence[str]:
        raise OSError(host)

    fetcher = make_fetcher(fine)
    fetcher.wire._book._resolve = unknown
    error = await fail(fetcher)

    assert Reason.DNS == error.reason
    assert "it: the name a.test is not known (asked 4 times)" == str(error)


def words_of(error: BaseException | None) -> Iterator[str]:
    """Give all that is said of an error and of those behind it."""
    while error is not None:
        yield from (str(error), repr(error))
        error = error.__cause__ or error.__context__


SECRET = f"http://{CANARY}:{CANARY}@a.test/x?{CANARY}"


@pytest.mark.parametrize(
    "give",
    [
        *(param.values[0] for param in LASTING[:-1]),
        *(param.values[0] for param in PASSING if "failing" not in repr(param.values[0])),
        status(503, retry_after_seconds(999)),
        status(302, {"Location": f"file:///{CANARY}"}),
        status(302, {"Location": f"/?{CANARY}"}),
        status(302, {"Location": f"http://inner.test/?{CANARY}"}),
        slow(10, 1),
        lambda: httpx.Response(200, headers={"Content-Length": "9999999"}, content=b""),
    ],
)
async def test_no_failure_tells_a_secret(give: Give, autojump_clock: Clock) -> None:
    """Neither a header nor what is in the address, on the first try or a later one."""
    told: list[Retry] = []
    ask = make_ask(SECRET, headers={"X-Key": CANARY})
    if give is too_short:
        give = status(500)  # its own words have it, and those of httpx are not ours
    error = await fail(make_fetcher(give), ask, told.append)

    assert CANARY not in "".join(words_of(error))
    assert CANARY not in "".join(traceback.format_exception(error))
    assert CANARY not in repr(told)


def test_no_value_shows_a_secret() -> None:
    """A representation may end up anywhere."""
    headers = {"X-Key": CANARY}
    ask = make_ask(SECRET, headers=headers)

    assert "http://a.test/x" in repr(ask)
    assert CANARY not in repr((ask, ask.access, Answer(url=SECRET, zone=Zone.PUBLIC, headers=headers)))


async def test_nobody_but_us_tells_of_a_retry(autojump_clock: Clock) -> None:
    """The hooks of the library would show a call's arguments, and are off."""
    stamina.instrumentation.set_on_retry_hooks(None)
    make_fetcher(fine)

    assert () == stamina.instrumentation.get_on_retry_hooks()


async def test_no_library_logs_a_secret(origin: Origin, caplog: pytest.LogCaptureFixture) -> None:
    """Not even when it is asked for everything, about a request that is sent again."""
    origin.script("/a", Reply(status=503), Reply(reset=True), redirect("/a?b"), Reply())
    async with open_fetcher(max_retry=2) as fetcher:
        with caplog.at_level(logging.DEBUG):
            await fetch(fetcher, f"{origin.url}/a?{CANARY}", headers={"X-Key": CANARY})

    assert 4 == origin.count()
    assert CANARY not in caplog.text
