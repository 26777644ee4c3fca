"""What one host may be asked for: six requests at once, evenly spread, and none while it wants to be left alone."""

from collections.abc import Callable
from fractions import Fraction

import pytest
import trio
import trio.testing

from clipcut.errors import Reason, SourceError
from clipcut.network.hosts import CONNECTIONS, Host, Hosts

LONGEST = 120.0


def make_host(rate: Callable[[], float | None] = lambda: None) -> Host:
    """Make a host."""
    return Host("h", rate, LONGEST)


async def starts(host: Host, count: int, lasting: float = 0.0) -> list[float]:
    """Ask ``count`` times at once; return when each had its place."""
    times: list[float] = []

    async def ask() -> None:
        async with host.place():
            times.append(trio.current_time())
            await trio.sleep(lasting)

    async with trio.open_nursery() as nursery:
        for _ in range(count):
            nursery.start_soon(ask)
    return times


@pytest.mark.parametrize(
    ("rate", "gap"),
    [pytest.param(2, 0.5, id="2"), pytest.param(Fraction(1, 10), 10, id="a tenth"), pytest.param(None, 0, id="none")],
)
async def test_requests_are_spread_evenly_when_there_is_a_rate(
    rate: float | None, gap: float, autojump_clock: trio.testing.MockClock
) -> None:
    """The first goes at once, n of them take n - 1 gaps."""
    assert [pytest.approx(number * gap) for number in range(20)] == await starts(make_host(lambda: rate), 20)


async def test_no_tokens_are_saved_up(autojump_clock: trio.testing.MockClock) -> None:
    """A host that was left alone for long isn't asked in a burst afterwards."""
    host = make_host(lambda: 2)
    await starts(host, 1)
    await trio.sleep(100)

    assert [100, 100.5, 101] == await starts(host, 3)


@pytest.mark.parametrize("later", [pytest.param(2.0, id="faster"), pytest.param(None, id="none")])
async def test_a_rate_that_changes_counts_at_once(later: float | None, autojump_clock: trio.testing.MockClock) -> None:
    """Also for who waits for a token of the old one, an hour away."""
    rate: list[float | None] = [1 / 3600]
    host = make_host(lambda: rate[0])

    async with trio.open_nursery() as nursery:

        async def change() -> None:
            await trio.sleep(10.5)
            rate[0] = later

        nursery.start_soon(change)
        times = await starts(host, 3)
    gap = 0 if later is None else 1 / later
    assert [0, 11, 11 + gap] == times


async def test_who_gives_up_waiting_takes_no_token_along(autojump_clock: trio.testing.MockClock) -> None:
    """Those behind come as early as if it had never been there."""
    host = make_host(lambda: 1)
    await starts(host, 1)
    with trio.move_on_after(0.25):
        await starts(host, 4)

    assert [1, 2] == await starts(host, 2)


async def test_six_requests_are_under_way_at_once(autojump_clock: trio.testing.MockClock) -> None:
    """The others wait for their places."""
    assert 6 == CONNECTIONS
    assert [0] * 6 + [10] * 6 + [20] == await starts(make_host(), 13, lasting=10)


async def test_a_place_is_free_again_when_its_request_fails(autojump_clock: trio.testing.MockClock) -> None:
    """Or is cancelled, while it has the place or while it waits for it."""
    host = make_host()
    for _ in range(CONNECTIONS + 1):
        with pytest.raises(ZeroDivisionError):
            async with host.place():
                raise ZeroDivisionError
    with trio.move_on_after(1):
        await starts(host, 10, lasting=5)

    assert [1] * 6 == await starts(host, 6)


async def test_a_pause_is_for_all_requests_of_the_host(autojump_clock: trio.testing.MockClock) -> None:
    """And a shorter one doesn't end it."""
    host = make_host()
    host.pause(30)
    host.pause(3)

    assert 30 == host.pause_left
    assert [30] * 8 == await starts(host, 8)
    assert 0 == host.pause_left


async def test_a_pause_that_grows_meanwhile_is_kept_to_its_end(autojump_clock: trio.testing.MockClock) -> None:
    """It counts from when it was asked for."""
    host = make_host()
    host.pause(30)
    async with trio.open_nursery() as nursery:

        async def pause_more() -> None:
            await trio.sleep(20)
            host.pause(50)

        nursery.start_soon(pause_more)
        assert [70] == await starts(host, 1)


async def test_the_end_of_a_pause_is_no_burst(autojump_clock: trio.testing.MockClock) -> None:
    """The rate holds for those who waited for it, too."""
    host = make_host(lambda: 2)
    host.pause(30)

    assert [30 + number / 2 for number in range(8)] == await starts(host, 8)


async def test_pause_after_pause_is_given_up(autojump_clock: trio.testing.MockClock) -> None:
    """At twice the longest sensible one."""
    host = make_host()
    host.pause(100)

    async def pause_on() -> None:
        while True:
            await trio.sleep(50)
            host.pause(100)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(pause_on)
        with pytest.raises(SourceError, match="h asks for pause after pause") as caught:
            async with host.place():
                pass
        assert trio.current_time() <= 2 * LONGEST
        nursery.cancel_scope.cancel()

    assert Reason.HTTP_429 == caught.value.reason
    assert not caught.value.is_passing


async def test_each_host_is_by_itself(autojump_clock: trio.testing.MockClock) -> None:
    """By its name, in upper or lower case."""
    hosts = Hosts(lambda: 0.1, LONGEST)
    hosts["a.test"].pause(60)

    assert hosts["a.test"] is hosts["A.Test"]
    assert [0, 10] == await starts(hosts["b.test"], 2)
    assert [60] == await starts(hosts["a.test"], 1)
