"""Where redirects may lead, and what goes along: each hop is looked at as if a playlist had named it."""

from collections.abc import Sequence

import httpx
import pytest
from answers import CANARY, INSIDE, Clock, Give, Site, fail, fine, make_ask, make_fetcher, status, untold
from origin import Origin, Reply, open_origin, redirect

from clipcut.errors import Reason
from clipcut.network.addresses import Zone
from clipcut.network.ask import Access, fill_in, variables_of
from clipcut.network.fetch import MAX_REDIRECTS, Fetcher

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
