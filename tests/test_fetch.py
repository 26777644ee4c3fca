"""Requests as clipcut means them: sent again when it helps, bounded in everything, exactly the bytes asked for.

What waits runs on a virtual clock, against a transport that plays back answers; what is about bytes and connections
runs against a real server on loopback.
"""

import contextlib
import datetime as dt
import email.utils
import logging
import re
import ssl
import traceback
from collections.abc import AsyncIterator, Iterator, Sequence

import httpx
import pytest
import stamina.instrumentation
import trio
import trio.testing
import trustme
from answers import (
    CANARY,
    NOW,
    Clock,
    Give,
    Site,
    fail,
    failing,
    fetch,
    fine,
    make_ask,
    make_fetcher,
    open_fetcher,
    slow,
    status,
    too_short,
    untold,
)
from hypothesis import given
from hypothesis import strategies as st
from origin import Origin, Reply, open_origin, redirect, retry_after_seconds

from clipcut.errors import Reason, RenderError, SourceError
from clipcut.events import Retry
from clipcut.network.addresses import Zone
from clipcut.network.ask import Answer
from clipcut.network.body import MemorySink
from clipcut.network.fetch import Fetcher, retry_after

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


async def test_the_server_says_when_to_come_back_by_a_date(autojump_clock: Clock, now: dt.datetime) -> None:
    """By the clock on the wall, to the second."""
    moment = now + dt.timedelta(seconds=60)
    site = Site([status(503, {"Retry-After": email.utils.format_datetime(moment, usegmt=True)}), fine])
    await make_fetcher(site=site).fetch_bytes(make_ask("http://a.test/"), untold)

    assert [0, 60] == site.times


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


async def test_a_lasting_failure_can_ask_for_a_pause_in_words_of_its_own(autojump_clock: Clock) -> None:
    """Others keep to it, and the failure is told as it is."""
    site = Site([status(403), fine])
    fetcher = make_fetcher(site=site)
    error = await fail(fetcher, make_ask("http://a.test/", pause=lambda *_: 500.0))
    await fetcher.fetch_bytes(make_ask("http://a.test/"), untold)

    assert "it: the server answers 403" == str(error)
    assert [0, 120] == site.times


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
