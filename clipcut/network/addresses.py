"""Which network an address belongs to, and where what a server sends may lead.

The timeline is the user's own and may name any host. A playlist or a redirect is not: it leads to public addresses, to
its own network, and from this machine to a private network, but never from outside to the inside.
"""

import enum
import ipaddress
import socket
from collections.abc import Awaitable, Callable, Sequence

import trio

from clipcut.errors import Reason, SourceError

KEPT_S = 60.0
"""How long an answer of the name service is used, in seconds."""

_NAT64 = ipaddress.ip_network("64:ff9b::/96")
_PRIVATE_NAMES = (".local", ".localdomain", ".internal", ".home.arpa", ".lan")

_Address = ipaddress.IPv4Address | ipaddress.IPv6Address

Resolve = Callable[[str], Awaitable[Sequence[str]]]
"""Turns a host into the text of its addresses, best first; raises ``OSError`` if it has none."""


class Zone(enum.Enum):
    """A kind of network, as seen from here."""

    PUBLIC = "public"
    PRIVATE = "private"
    LINK_LOCAL = "link-local"
    LOOPBACK = "loopback"
    RESERVED = "reserved"


def _inner(address: _Address) -> _Address:
    """Return the IPv4 address that an IPv6 one wraps (mapped, 6to4, NAT64), or the address itself."""
    if isinstance(address, ipaddress.IPv4Address):
        return address
    if address in _NAT64:
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return address.ipv4_mapped or address.sixtofour or address


def zone_of(text: str) -> Zone:
    """Return the zone of an address; one that can't be read is reserved."""
    try:
        address = _inner(ipaddress.ip_address(text))
    except ValueError:
        return Zone.RESERVED
    if address.is_loopback:
        return Zone.LOOPBACK
    if address.is_link_local:
        return Zone.LINK_LOCAL
    if address.is_multicast or address.is_unspecified or address.is_reserved:
        return Zone.RESERVED
    is_site_local = isinstance(address, ipaddress.IPv6Address) and address.is_site_local  # is_global calls it global
    return Zone.PUBLIC if address.is_global and not is_site_local else Zone.PRIVATE


def zone_by_name(host: str) -> Zone:
    """Return the zone of a host that a proxy looks up: told by a literal address, or a name that is never public."""
    name = host.rstrip(".").lower()
    try:
        return zone_of(socket.inet_ntoa(socket.inet_aton(name)))  # also 0x7f.1 and 2130706433
    except (OSError, UnicodeError, ValueError):
        pass
    if ":" in name:
        return zone_of(name.strip("[]"))
    if name == "localhost" or name.endswith(".localhost"):
        return Zone.LOOPBACK
    if "%" in name:  # the proxy may decode it, and find something else
        return Zone.RESERVED
    return Zone.PRIVATE if name.endswith(_PRIVATE_NAMES) or "." not in name else Zone.PUBLIC


def may_lead(own: Zone | None, target: Zone) -> bool:
    """Tell whether what came from ``own`` may lead to ``target``; None stands for the user, who may name any."""
    if own is None or target is Zone.PUBLIC:
        return True
    return target is own or (own is Zone.LOOPBACK and target is Zone.PRIVATE)


async def resolve_name(host: str) -> Sequence[str]:
    """Ask the system for a host's addresses."""
    found = await trio.socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    return tuple(dict.fromkeys(str(entry[4][0]) for entry in found))


class AddressBook:
    """The addresses of hosts: asked for once a minute, and told apart by zone."""

    def __init__(self, resolve: Resolve = resolve_name, zone: Callable[[str], Zone] = zone_of) -> None:
        """Look up with ``resolve`` and tell apart with ``zone``; tests give their own."""
        self._resolve = resolve
        self._zone = zone
        self._known: dict[str, tuple[float, Sequence[str]]] = {}

    async def _addresses(self, host: str) -> Sequence[str]:
        asked, found = self._known.get(host, (-KEPT_S, ()))
        if not found or trio.current_time() - asked >= KEPT_S:
            found = await self._resolve(host)
            self._known[host] = (trio.current_time(), found)
        return found

    async def zone(self, host: str, led_by: Zone | None) -> Zone:
        """Return the zone of the best address of a host that may be used.

        Args:
            host: A name or a literal address.
            led_by: The zone of the document that names it; None for the user.

        Raises:
            SourceError: ``refused``, if none of its addresses may be used.
            OSError: It has no address.
        """
        zones = [self._zone(address) for address in await self._addresses(host)]
        allowed = [zone for zone in zones if may_lead(led_by, zone)]
        if allowed:
            return allowed[0]
        found = zones[0].value if zones else "unknown"
        raise refusal(host, found, led_by)

    async def within(self, host: str, zone: Zone) -> list[str]:
        """Return a host's addresses that lie in a zone.

        Raises:
            OSError: It has none there (any more).
        """
        found = [address for address in await self._addresses(host) if self._zone(address) is zone]
        if not found:
            raise OSError(f"{host} has no {zone.value} address")
        return found

    def forget(self, host: str) -> None:
        """Ask anew next time: none of its addresses could be reached."""
        self._known.pop(host, None)


def refusal(host: str, found: str, led_by: Zone | None) -> SourceError:
    """Say that a document must not lead to a host."""
    own = led_by.value if led_by is not None else "unknown"
    return SourceError(Reason.REFUSED, f"a {own} host leads to {host}, a {found} address: that is not followed")
