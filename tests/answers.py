"""What tests of requests share: answers to play back on a virtual clock, and a fetcher over real connections."""

import contextlib
import datetime as dt
import ssl
from collections.abc import AsyncIterator, Callable, Mapping, Sequence

import attrs
import httpx
import pytest
import trio
import trio.testing

from clipcut.errors import SourceError
from clipcut.events import Retry
from clipcut.network.addresses import AddressBook, Zone, zone_of
from clipcut.network.ask import Access, Ask, Patience
from clipcut.network.fetch import Fetcher
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


@contextlib.asynccontextmanager
async def open_fetcher(
    max_retry: int = 0, patience: Patience | None = None, context: ssl.SSLContext | None = None
) -> AsyncIterator[Fetcher]:
    """Open a fetcher over real sockets that doesn't wait before it asks again."""
    wire = Wire(AddressBook(look_up, zone_in_tests), {}, context=context or ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT))
    with trio.fail_after(10):
        yield Fetcher(wire=wire, max_retry=lambda: max_retry, patience=patience or Patience(), jitter=at_once)
        await wire.aclose()


async def fetch(fetcher: Fetcher, url: str, **given: object) -> bytes:
    """Fetch something; return it."""
    return (await fetcher.fetch_bytes(make_ask(url, **given), untold))[0]
