"""Zones and names: what is public is told from what isn't however it is written, and nothing leads inwards."""

import socket
from collections.abc import Mapping, Sequence
from typing import Any

import attrs
import pytest
import trio
import trio.testing

from clipcut.errors import Reason, SourceError
from clipcut.network.addresses import KEPT_S, AddressBook, Zone, may_lead, resolve_name, zone_by_name, zone_of

PUBLIC, PRIVATE = "203.0.113.7", "10.0.0.7"


def zone_in_tests(address: str) -> Zone:
    """Take an address that is kept for documents as a public one."""
    return Zone.PUBLIC if address == PUBLIC else zone_of(address)


@attrs.define
class Names:
    """A name service that remembers what it was asked."""

    known: Mapping[str, Sequence[str]]
    asked: list[str] = attrs.field(factory=list)

    async def __call__(self, host: str) -> Sequence[str]:
        """Look a name up."""
        self.asked.append(host)
        await trio.lowlevel.checkpoint()
        if host not in self.known:
            raise OSError(host)
        return self.known[host]


def make_book(**known: Sequence[str]) -> tuple[AddressBook, Names]:
    """Make a book of a few names."""
    names = Names(known)
    return AddressBook(names, zone_in_tests), names


# One address


@pytest.mark.parametrize(
    ("address", "zone"),
    [
        pytest.param("8.8.8.8", Zone.PUBLIC, id="v4"),
        pytest.param("2606:4700::1111", Zone.PUBLIC, id="v6"),
        pytest.param("::ffff:8.8.8.8", Zone.PUBLIC, id="mapped public"),
        pytest.param("64:ff9b::8.8.8.8", Zone.PUBLIC, id="NAT64 public"),
        pytest.param("2002:808:808::1", Zone.PUBLIC, id="6to4 public"),
        pytest.param("10.1.2.3", Zone.PRIVATE, id="10/8"),
        pytest.param("172.16.0.1", Zone.PRIVATE, id="172.16/12"),
        pytest.param("172.32.0.1", Zone.PUBLIC, id="behind 172.16/12"),
        pytest.param("192.168.1.1", Zone.PRIVATE, id="192.168/16"),
        pytest.param("100.64.0.1", Zone.PRIVATE, id="CGNAT"),
        pytest.param("100.128.0.1", Zone.PUBLIC, id="behind CGNAT"),
        pytest.param("198.18.0.1", Zone.PRIVATE, id="benchmarks"),
        pytest.param("203.0.113.1", Zone.PRIVATE, id="documents"),
        pytest.param("0.1.2.3", Zone.PRIVATE, id="this network"),
        pytest.param("fd12::1", Zone.PRIVATE, id="v6 unique local"),
        pytest.param("fec0::1", Zone.PRIVATE, id="v6 site local"),
        pytest.param("::ffff:10.0.0.1", Zone.PRIVATE, id="mapped private"),
        pytest.param("64:ff9b::10.0.0.1", Zone.PRIVATE, id="NAT64 private"),
        pytest.param("2002:c0a8:101::1", Zone.PRIVATE, id="6to4 private"),
        pytest.param("127.0.0.1", Zone.LOOPBACK, id="v4 loopback"),
        pytest.param("127.9.9.9", Zone.LOOPBACK, id="all of 127/8"),
        pytest.param("::1", Zone.LOOPBACK, id="v6 loopback"),
        pytest.param("::ffff:127.0.0.1", Zone.LOOPBACK, id="mapped loopback"),
        pytest.param("64:ff9b::7f00:1", Zone.LOOPBACK, id="NAT64 loopback"),
        pytest.param("2002:7f00:1::", Zone.LOOPBACK, id="6to4 loopback"),
        pytest.param("169.254.169.254", Zone.LINK_LOCAL, id="v4 link-local"),
        pytest.param("::ffff:169.254.169.254", Zone.LINK_LOCAL, id="mapped link-local"),
        pytest.param("fe80::1%eth0", Zone.LINK_LOCAL, id="v6 link-local with its interface"),
        pytest.param("0.0.0.0", Zone.RESERVED, id="v4 unspecified"),  # noqa: S104  nothing is bound
        pytest.param("::", Zone.RESERVED, id="v6 unspecified"),
        pytest.param("224.0.0.1", Zone.RESERVED, id="v4 multicast"),
        pytest.param("ff02::1", Zone.RESERVED, id="v6 multicast"),
        pytest.param("255.255.255.255", Zone.RESERVED, id="broadcast"),
        pytest.param("240.0.0.1", Zone.RESERVED, id="reserved"),
        pytest.param("::127.0.0.1", Zone.RESERVED, id="compatible"),
        pytest.param("64:ff9b:1::7f00:1", Zone.RESERVED, id="NAT64 of one's own"),
        pytest.param("127.1", Zone.RESERVED, id="abbreviated"),
        pytest.param("example.com", Zone.RESERVED, id="a name"),
        pytest.param("", Zone.RESERVED, id="nothing"),
    ],
)
def test_each_address_has_its_zone(address: str, zone: Zone) -> None:
    """Wrapped ones have that of what they wrap, and what can't be read is never public."""
    assert zone == zone_of(address)


@pytest.mark.parametrize(
    ("host", "zone"),
    [
        pytest.param("example.com", Zone.PUBLIC, id="name"),
        pytest.param("example.com.", Zone.PUBLIC, id="name with its last dot"),
        pytest.param("8.8.8.8", Zone.PUBLIC, id="literal"),
        pytest.param("localhost", Zone.LOOPBACK, id="localhost"),
        pytest.param("LOCALHOST.", Zone.LOOPBACK, id="loud localhost"),
        pytest.param("a.localhost", Zone.LOOPBACK, id="below localhost"),
        pytest.param("127.0.0.1", Zone.LOOPBACK, id="loopback"),
        pytest.param("127.0.0.1.", Zone.LOOPBACK, id="loopback with a last dot"),
        pytest.param("127.1", Zone.LOOPBACK, id="abbreviated"),
        pytest.param("0x7f.1", Zone.LOOPBACK, id="hexadecimal"),
        pytest.param("017700000001", Zone.LOOPBACK, id="octal"),
        pytest.param("2130706433", Zone.LOOPBACK, id="one number"),
        pytest.param("::1", Zone.LOOPBACK, id="v6"),
        pytest.param("[::ffff:127.0.0.1]", Zone.LOOPBACK, id="mapped, in brackets"),
        pytest.param("169.254.169.254", Zone.LINK_LOCAL, id="link-local"),
        pytest.param("10.0.0.1", Zone.PRIVATE, id="private"),
        pytest.param("printer", Zone.PRIVATE, id="one label"),
        pytest.param("nas.local", Zone.PRIVATE, id="local"),
        pytest.param("NAS.LAN.", Zone.PRIVATE, id="lan"),
        pytest.param("localhost.localdomain", Zone.PRIVATE, id="localdomain"),
        pytest.param("db.internal", Zone.PRIVATE, id="internal"),
        pytest.param("tv.home.arpa", Zone.PRIVATE, id="home"),
        pytest.param("local.example", Zone.PUBLIC, id="no suffix"),
        pytest.param("127%2e0.0.1", Zone.RESERVED, id="with an escape"),
        pytest.param("", Zone.PRIVATE, id="nothing"),
        pytest.param("ü", Zone.PRIVATE, id="not ASCII"),
        pytest.param("a\0b.com", Zone.PUBLIC, id="with a NUL"),
    ],
)
def test_a_host_that_a_proxy_looks_up_is_told_by_how_it_is_written(host: str, zone: Zone) -> None:
    """Literal addresses in every form, and names that no public host has."""
    assert zone == zone_by_name(host)


@pytest.mark.parametrize(
    ("own", "targets"),
    [
        pytest.param(None, set(Zone), id="the user"),
        pytest.param(Zone.PUBLIC, {Zone.PUBLIC}, id="public"),
        pytest.param(Zone.PRIVATE, {Zone.PUBLIC, Zone.PRIVATE}, id="private"),
        pytest.param(Zone.LINK_LOCAL, {Zone.PUBLIC, Zone.LINK_LOCAL}, id="link-local"),
        pytest.param(Zone.LOOPBACK, {Zone.PUBLIC, Zone.PRIVATE, Zone.LOOPBACK}, id="loopback"),
        pytest.param(Zone.RESERVED, {Zone.PUBLIC, Zone.RESERVED}, id="reserved"),
    ],
)
def test_nothing_leads_from_outside_to_the_inside(own: Zone | None, targets: set[Zone]) -> None:
    """Outwards and within one network always; inwards only for the user."""
    assert targets == {target for target in Zone if may_lead(own, target)}


# The book


async def test_a_name_is_asked_for_once_a_minute(autojump_clock: trio.testing.MockClock) -> None:
    """Every use in between has the same answer."""
    book, names = make_book(one=[PUBLIC])
    for _ in range(3):
        assert Zone.PUBLIC == await book.zone("one", Zone.PUBLIC)
    assert [PUBLIC] == await book.within("one", Zone.PUBLIC)
    assert ["one"] == names.asked

    await trio.sleep(KEPT_S)
    await book.zone("one", None)
    assert ["one", "one"] == names.asked


async def test_a_forgotten_name_is_asked_for_anew() -> None:
    """As its addresses were of no use."""
    book, names = make_book(one=[PUBLIC])
    await book.zone("one", None)
    book.forget("one")
    book.forget("never heard of")
    names.known = {"one": [PRIVATE]}

    assert Zone.PRIVATE == await book.zone("one", None)


async def test_a_failed_look_up_is_not_kept() -> None:
    """The next one may go well."""
    book, names = make_book()
    with pytest.raises(OSError, match="one"):
        await book.zone("one", None)
    names.known = {"one": [PUBLIC]}

    assert Zone.PUBLIC == await book.zone("one", None)


@pytest.mark.parametrize(
    ("led_by", "zone"),
    [
        pytest.param(None, Zone.PRIVATE, id="user"),
        pytest.param(Zone.PRIVATE, Zone.PRIVATE, id="private"),
        pytest.param(Zone.PUBLIC, Zone.PUBLIC, id="public"),
        pytest.param(Zone.LINK_LOCAL, Zone.PUBLIC, id="link-local"),
    ],
)
async def test_the_best_address_that_may_be_used_tells_the_zone(led_by: Zone | None, zone: Zone) -> None:
    """A host with addresses inside and outside is for each who it may be."""
    book, _ = make_book(both=[PRIVATE, PUBLIC, "127.0.0.1"])

    assert zone == await book.zone("both", led_by)


async def test_only_the_addresses_of_one_zone_are_connected_to() -> None:
    """In the order of the name service; none of them is an error."""
    book, _ = make_book(both=[PRIVATE, "8.8.8.8", "10.0.0.8", PUBLIC])

    assert ["8.8.8.8", PUBLIC] == await book.within("both", Zone.PUBLIC)
    assert [PRIVATE, "10.0.0.8"] == await book.within("both", Zone.PRIVATE)
    with pytest.raises(OSError, match="both has no loopback address"):
        await book.within("both", Zone.LOOPBACK)


@pytest.mark.parametrize(
    ("addresses", "kind"),
    [
        pytest.param([PRIVATE], "private", id="private"),
        pytest.param(["127.0.0.1", PRIVATE], "loopback", id="loopback"),
        pytest.param(["169.254.169.254"], "link-local", id="link-local"),
        pytest.param([], "unknown", id="none"),
    ],
)
async def test_a_public_host_that_leads_inwards_is_refused(addresses: Sequence[str], kind: str) -> None:
    """By its addresses, whatever its name."""
    book, _ = make_book(inner=addresses)
    with pytest.raises(SourceError) as caught:
        await book.zone("inner", Zone.PUBLIC)

    assert Reason.REFUSED == caught.value.reason
    assert not caught.value.is_passing
    assert f"a public host leads to inner, a {kind} address: that is not followed" == str(caught.value)


@pytest.mark.parametrize("host", ["127.0.0.1", "127.1", "0x7f.1", "2130706433", "0177.1", "::ffff:127.0.0.1", "::1"])
async def test_an_odd_literal_is_what_the_system_takes_it_for(host: str) -> None:
    """The real name service tells, without asking anybody, so that what is judged is what is connected to."""
    with pytest.raises(SourceError, match="a loopback address"):
        await AddressBook().zone(host, Zone.PUBLIC)


class Twice(trio.abc.HostnameResolver):
    """A system that has everything twice."""

    async def getaddrinfo(self, host: bytes | None, port: object, *_: object) -> list[Any]:
        """Look a name up."""
        assert b"one.test" == host
        kind = socket.SOCK_STREAM
        found: list[Any] = [
            (socket.AF_INET6, kind, 6, "", ("::1", 0, 0, 0)),
            (socket.AF_INET, kind, 6, "", (PUBLIC, 0)),
        ]
        return found * 2

    async def getnameinfo(self, *_: object) -> tuple[str, str]:
        """Nobody asks."""
        raise AssertionError


async def test_each_address_of_a_name_is_listed_once() -> None:
    """In the order of the system, whose order is the one to try them in."""
    trio.socket.set_custom_hostname_resolver(Twice())

    assert ("::1", PUBLIC) == await resolve_name("one.test")
