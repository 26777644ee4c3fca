"""One request, one answer: the only importer of httpx, and the only way to the network.

Connections reach only the addresses they may. There is one pool for each zone, and a connection is used again only for
requests that may go to its zone: nothing that a server sends can ride on a connection which the user's own address
opened. Every failure leaves as a ``SourceError``, and none of its words come from a header.
"""

import contextlib
import os
import socket
import ssl
import urllib.request
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable, Iterable, Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit

import attrs
import httpcore
import httpx
import trio

from clipcut import __version__
from clipcut.errors import Reason, SourceError, raise_if_machine
from clipcut.network.addresses import AddressBook, Zone, may_lead, refusal, zone_by_name
from clipcut.redact import redact_url

IDLE_S = 30.0
"""How long a connection that isn't used is kept, in seconds."""


class _Backend(httpcore.AsyncNetworkBackend):
    """Connects to those addresses of a host that lie in one zone, one after the other."""

    def __init__(self, book: AddressBook, zone: Zone) -> None:
        self._book = book
        self._zone = zone
        self._inner = httpcore.TrioBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109  httpcore's signature
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        try:
            addresses = await self._book.within(host, self._zone)
        except OSError as exc:
            raise httpcore.ConnectError(str(exc)) from exc
        share = timeout / len(addresses) if timeout is not None else None
        for address in addresses[:-1]:
            with contextlib.suppress(httpcore.ConnectError, httpcore.ConnectTimeout):
                return await self._inner.connect_tcp(address, port, share, local_address, socket_options)
        try:
            return await self._inner.connect_tcp(addresses[-1], port, share, local_address, socket_options)
        except (httpcore.ConnectError, httpcore.ConnectTimeout):
            self._book.forget(host)
            raise

    async def sleep(self, seconds: float) -> None:
        await trio.sleep(seconds)


@contextlib.contextmanager
def _as_httpx() -> Iterator[None]:
    """Let httpcore's errors be httpx's, which have the same names."""
    try:
        yield
    except (
        httpcore.TimeoutException,
        httpcore.NetworkError,
        httpcore.ProtocolError,
        httpcore.UnsupportedProtocol,
        httpcore.ProxyError,
    ) as exc:
        raise getattr(httpx, type(exc).__name__)(str(exc)) from exc


class _Body(httpx.AsyncByteStream):
    def __init__(self, stream: AsyncIterable[bytes]) -> None:
        self._stream = stream

    async def __aiter__(self) -> AsyncIterator[bytes]:
        with _as_httpx():
            async for part in self._stream:
                yield part

    async def aclose(self) -> None:
        await self._stream.aclose()  # type: ignore[attr-defined]  # every stream of a pool has it


class ZoneTransport(httpx.AsyncBaseTransport):
    """Sends httpx's requests over connections to one zone."""

    def __init__(self, book: AddressBook, zone: Zone, context: ssl.SSLContext) -> None:
        """Open no connection yet."""
        self._pool = httpcore.AsyncConnectionPool(
            ssl_context=context,
            max_connections=None,  # ``hosts`` bounds them
            keepalive_expiry=IDLE_S,
            network_backend=_Backend(book, zone),
        )

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request."""
        url = httpcore.URL(
            scheme=request.url.raw_scheme,
            host=request.url.raw_host,
            port=request.url.port,
            target=request.url.raw_path,
        )
        sent = httpcore.Request(request.method, url, headers=request.headers.raw, extensions=request.extensions)
        with _as_httpx():
            answer = await self._pool.handle_async_request(sent)
        assert isinstance(answer.stream, AsyncIterable)  # noqa: S101  an asynchronous pool's
        return httpx.Response(
            answer.status, headers=answer.headers, stream=_Body(answer.stream), extensions=answer.extensions
        )

    async def aclose(self) -> None:
        """Close every connection."""
        await self._pool.aclose()


@attrs.define
class Reply:
    """What a server answers: its status, its headers (names in lower case), its zone, and a body to read."""

    status: int
    headers: Mapping[str, str] = attrs.field(repr=False)
    zone: Zone
    _chunks: AsyncIterator[bytes] = attrs.field(repr=False)

    async def read(self) -> bytes:
        """Return some more of the body as it was sent; nothing at its end.

        Raises:
            SourceError: ``truncated``, ``timeout`` or ``connection``.
        """
        with _translated(in_body=True):
            while (chunk := await anext(self._chunks, None)) is not None:
                if chunk:
                    return chunk
        return b""

    async def abandon(self) -> None:
        """Read no more. Cancelled from inside, so that each of the generators that the body comes through ends."""
        with trio.CancelScope() as scope, contextlib.suppress(httpx.HTTPError):
            scope.cancel()
            while await anext(self._chunks, None) is not None:
                pass


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        if isinstance(error, BaseExceptionGroup):  # Trio's, of all its attempts to connect
            for one in error.exceptions:
                yield from _causes(one)
        error = error.__cause__ or error.__context__


def _connect_failure(error: Exception) -> SourceError:
    """Tell a certificate that isn't valid from a connection that can't be had."""
    for cause in _causes(error):
        raise_if_machine(cause)
        if isinstance(cause, ssl.SSLEOFError | ssl.SSLZeroReturnError):
            break
        if isinstance(cause, ssl.SSLError):
            why = getattr(cause, "verify_message", None) or cause.reason or "the handshake failed"
            return SourceError(Reason.TLS, f"no safe connection: {why}")
        if isinstance(cause, socket.gaierror):
            return SourceError(Reason.DNS, "the name of the host is not known", is_passing=True)
    numbers = (
        cause.errno for cause in _causes(error) if isinstance(cause, OSError) and not isinstance(cause, ssl.SSLError)
    )
    told = next((os.strerror(number) for number in numbers if number), "refused or broken off")
    return SourceError(Reason.CONNECTION, f"no connection: {told}", is_passing=True)


@contextlib.contextmanager
def _translated(*, in_body: bool = False) -> Iterator[None]:
    """Turn httpx's errors into ours. Their own words may quote a header, so they are left away."""
    try:
        yield
    except httpx.ConnectTimeout as exc:
        raise SourceError(Reason.TIMEOUT, "no connection in good time", is_passing=True) from exc
    except httpx.TimeoutException as exc:
        raise SourceError(Reason.TIMEOUT, "nothing more came in good time", is_passing=True) from exc
    except httpx.ConnectError as exc:
        raise _connect_failure(exc) from exc
    except httpx.ProxyError as exc:
        raise SourceError(Reason.CONNECTION, "the proxy refused the connection", is_passing=True) from exc
    except httpx.RemoteProtocolError as exc:
        if in_body:
            raise SourceError(Reason.TRUNCATED, "the answer ended too soon", is_passing=True) from exc
        raise SourceError(Reason.CONNECTION, "the server ended the connection", is_passing=True) from exc
    except (httpx.NetworkError, trio.BrokenResourceError) as exc:
        raise SourceError(Reason.CONNECTION, "the connection broke off", is_passing=True) from exc
    except (httpx.LocalProtocolError, httpx.UnsupportedProtocol, httpx.InvalidURL, ValueError):
        # ValueError: a header in other letters than ASCII's; for ssl, a host that begins with a dot
        raise SourceError(Reason.REFUSED, "the address or a header can't be sent as it is") from None


def _handshake_closer() -> Callable[[str, Mapping[str, Any]], Awaitable[None]]:
    """Return a trace for httpcore that closes a connection whose handshake is cancelled; by itself it would be lost."""
    opened: httpcore.AsyncNetworkStream | None = None

    async def trace(event: str, info: Mapping[str, Any]) -> None:
        nonlocal opened
        if event.endswith(".connect_tcp.complete"):
            opened = info["return_value"]
        elif event.endswith(".start_tls.failed") and opened is not None:
            with trio.CancelScope(shield=True):
                await opened.aclose()

    return trace


def proxy_for(url: str, environ: Mapping[str, str]) -> str | None:
    """Return the proxy that the environment names for an address; None for none.

    ``http_proxy``, ``https_proxy``, ``all_proxy`` and ``no_proxy`` count, in lower case before upper case.
    """
    parts = urlsplit(url)
    names = {name.lower(): value for name, value in environ.items() if name.isupper()}
    names |= {name: value for name, value in environ.items() if not name.isupper()}
    proxies = {"no": names.get("no_proxy", "")}
    if urllib.request.proxy_bypass_environment(parts.netloc.rpartition("@")[2], proxies):  # type: ignore[attr-defined]
        return None
    found = names.get(f"{parts.scheme}_proxy") or names.get("all_proxy")
    return f"http://{found}" if found and "://" not in found else found or None


class Wire:
    """Sends requests, over a pool for each zone and each proxy.

    Args of the constructor: the addresses, the environment (proxies, ``SSL_CERT_FILE`` through the context), and a
    transport that tests put in the place of every connection.
    """

    def __init__(
        self,
        book: AddressBook,
        environ: Mapping[str, str],
        *,
        context: ssl.SSLContext | None = None,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        """Open no connection yet."""
        self._book = book
        self._environ = environ
        self._context = context
        self._transport = transport
        self._transports: dict[Zone | str, httpx.AsyncBaseTransport] = {}
        self._making = trio.Lock()

    async def aclose(self) -> None:
        """Close every connection."""
        for transport in self._transports.values():
            await transport.aclose()
        self._transports.clear()

    async def _ssl_context(self) -> ssl.SSLContext:
        """Return what certificates are trusted; read once, however many ask at once, as that takes 25 ms each time."""
        async with self._making:
            if self._context is None:
                try:
                    self._context = await trio.to_thread.run_sync(httpx.create_ssl_context)  # reads SSL_CERT_FILE
                except OSError as exc:
                    raise_if_machine(exc)
                    words = "no safe connection: the certificates that SSL_CERT_FILE names can't be read"
                    raise SourceError(Reason.TLS, words) from exc
            return self._context

    async def _zone(self, host: str, proxy: str | None, led_by: Zone | None, connect_s: float) -> Zone:
        """Return the zone that a request goes to, if it may; behind a proxy only names and literal addresses tell."""
        if proxy is not None:
            zone = zone_by_name(host)
            if not may_lead(led_by, zone):
                raise refusal(host, zone.value, led_by)
            return zone
        try:
            with trio.fail_after(connect_s):
                return await self._book.zone(host, led_by)
        except trio.TooSlowError as exc:
            raise SourceError(Reason.TIMEOUT, f"the name {host} was not found in good time", is_passing=True) from exc
        except (OSError, UnicodeError) as exc:
            raise_if_machine(exc)
            raise SourceError(Reason.DNS, f"the name {host} is not known", is_passing=True) from exc

    async def _open(self, zone: Zone, proxy: str | None) -> httpx.AsyncBaseTransport:
        """Return what sends requests to a zone, or to a proxy. No client of httpx: it would log whole addresses."""
        key = proxy or zone
        if key not in self._transports:
            transport = self._transport
            if transport is None and proxy is not None:
                transport = self._proxy_transport(proxy, await self._ssl_context())
            elif transport is None:
                transport = ZoneTransport(self._book, zone, await self._ssl_context())
            self._transports.setdefault(key, transport)
        return self._transports[key]

    def _proxy_transport(self, proxy: str, context: ssl.SSLContext) -> httpx.AsyncBaseTransport:
        limits = httpx.Limits(max_connections=None, keepalive_expiry=IDLE_S)
        try:
            is_secure = proxy.lower().startswith("https:")
            through = httpx.Proxy(proxy, ssl_context=context if is_secure else None)
            return httpx.AsyncHTTPTransport(verify=context, proxy=through, limits=limits)
        except (ValueError, ImportError, httpx.InvalidURL) as exc:
            words = f"the proxy {redact_url(proxy)} can't be used; name an http:// or https:// one"
            raise SourceError(Reason.CONNECTION, words) from exc

    @contextlib.asynccontextmanager
    async def get(
        self, url: str, headers: Mapping[str, str], *, led_by: Zone | None, connect_s: float, silence_s: float
    ) -> AsyncIterator[Reply]:
        """Send a GET and give what is answered; the connection is free again, or closed, when the block is left.

        Args:
            url: An absolute http(s) address.
            headers: What is sent beside the ordinary headers.
            led_by: The zone of the document that led here; None for the user.
            connect_s: How long a connection may take, in seconds.
            silence_s: How long the server may say nothing, in seconds.

        Raises:
            SourceError: There is no answer. What it says (404, say) is the caller's business.
        """
        timeout = httpx.Timeout(silence_s, connect=connect_s, pool=None).as_dict()
        sent = httpx.Headers({"User-Agent": f"clipcut/{__version__}", "Accept": "*/*", "Accept-Encoding": "identity"})
        with _translated():
            sent.update(headers)
            extensions = {"timeout": timeout, "trace": _handshake_closer()}
            request = httpx.Request("GET", url, headers=sent, extensions=extensions)
            if request.url.userinfo and "authorization" not in sent:
                next(httpx.BasicAuth(request.url.username, request.url.password).auth_flow(request))
        proxy = proxy_for(url, self._environ)
        # the host as httpx sends it, which is not always what ``urlsplit`` sees
        zone = await self._zone(request.url.raw_host.decode("ascii"), proxy, led_by, connect_s)
        transport = await self._open(zone, proxy)
        with _translated():
            response = await transport.handle_async_request(request)
        reply = Reply(response.status_code, dict(response.headers), zone, aiter(response.stream))  # type: ignore[arg-type]
        try:
            yield reply
        finally:
            with trio.CancelScope(shield=True):
                await reply.abandon()
                await response.aclose()
