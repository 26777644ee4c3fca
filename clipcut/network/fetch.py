"""A request as clipcut means it: redirects by hand, the bytes asked for and no others, retries, bounds on everything.

``http`` sends one request; here is what becomes of the answers.
"""

import datetime as dt
import email.utils
import random
from collections.abc import Callable
from urllib.parse import urlsplit

import attrs
import stamina
import stamina.instrumentation
import trio

from clipcut.errors import Reason, SourceError
from clipcut.events import Retry, Told
from clipcut.network.addresses import Zone
from clipcut.network.ask import Answer, Ask, Patience, Trace
from clipcut.network.body import MemorySink, Pace, Sink, Window
from clipcut.network.hosts import Hosts
from clipcut.network.http import Reply, Wire
from clipcut.network.parts import Parts
from clipcut.network.references import resolve_reference

MAX_REDIRECTS = 8
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_EXACT_REASONS = {401: Reason.HTTP_401, 403: Reason.HTTP_403, 404: Reason.HTTP_404, 410: Reason.HTTP_410}
_PASSING_STATUSES = frozenset({408, 425, 429})


def retry_after(value: str | None, now: dt.datetime) -> float | None:
    """Return how many seconds a ``Retry-After`` asks for; a moment that is past is 0, what can't be read is None."""
    if value is None:
        return None
    value = value.strip()
    if value.isascii() and value.isdigit():
        return float(value[:12])
    try:
        moment = email.utils.parsedate_to_datetime(value)
    except (ValueError, TypeError, OverflowError):
        return None
    moment = moment if moment.tzinfo is not None else moment.replace(tzinfo=dt.UTC)
    return max(0.0, (moment - now).total_seconds())


def _is_passing(status: int) -> bool:
    """Tell whether a server that answers so may answer otherwise a moment later."""
    return status in _PASSING_STATUSES or status >= 500


def _status_failure(reply: Reply, what: str) -> SourceError:
    status = reply.status
    reason = Reason.HTTP_5XX if status >= 500 else _EXACT_REASONS.get(status, Reason.HTTP_4XX)
    reason = Reason.HTTP_429 if status == 429 else reason
    return SourceError(reason, f"{what}: the server answers {status}", is_passing=_is_passing(status))


@attrs.define(kw_only=True)
class Fetcher:
    """Fetches things for one render.

    Attributes:
        wire: Sends the requests.
        rate: Tells how many requests a second one host may get; None for any number.
        patience: How long is waited for what.
        max_retry: Tells how often a request may be sent again.
        trace: Whom to tell of the render's trace.
        jitter: Picks a wait between 0 and its argument, in seconds.
        requests, retries, bytes_fetched: Counted over the whole render; bytes of bodies, as they came.
    """

    wire: Wire
    rate: Callable[[], float | None] = lambda: None
    patience: Patience = attrs.field(factory=Patience)
    max_retry: Callable[[], int] = lambda: 3
    trace: Trace = attrs.field(factory=Trace)
    jitter: Callable[[float], float] = lambda most: random.uniform(0, most)  # noqa: S311
    requests: int = 0
    retries: int = 0
    bytes_fetched: int = 0
    hosts: Hosts = attrs.field(init=False)
    _unconditional: set[str] = attrs.field(init=False, factory=set, repr=False)
    """Addresses whose server takes ``If-Range`` for a wish for the whole, though nothing was changed."""

    def __attrs_post_init__(self) -> None:
        """Know no host yet; and keep stamina from logging by itself: its hooks would show a call's arguments."""
        self.hosts = Hosts(self.rate, self.patience.pause_s)
        stamina.instrumentation.set_on_retry_hooks([])

    async def fetch(self, ask: Ask, sink: Sink, told: Told) -> Answer:
        """Fetch something, again and again if it fails in passing; of a range that comes in parts only what is missing.

        Args:
            ask: What is wanted.
            sink: Where it goes.
            told: Is told of each time that it is sent again.

        Raises:
            SourceError: It can't be had.
        """
        failures: list[SourceError] = []
        waits: list[float] = []
        parts = Parts(ask, sends_if_range=ask.url not in self._unconditional)

        def wait(exc: Exception) -> bool | float:
            if not isinstance(exc, SourceError) or not exc.is_passing or len(waits) >= self.max_retry():
                return False
            failures.append(exc)
            backoff = min(self.patience.backoff_most_s, self.patience.backoff_s * 2 ** len(waits))
            waits.append(max(self.jitter(backoff), self.hosts[_host(ask.url)].pause_left))
            return waits[-1]

        try:
            async for attempt in stamina.retry_context(on=wait, attempts=None, timeout=None):
                with attempt:
                    if failures:
                        self.retries += 1
                        told(Retry(len(failures), waits[-1], failures[-1].reason))
                    parts.spent_s = 0.0
                    await sink.restart(parts.taken)
                    while not parts.is_over:
                        if await self._follow(parts, sink):
                            failures.clear()
                            waits.clear()
                    answer = parts.answer
                    assert answer is not None  # noqa: S101  it is over
                    parts.begin_anew()  # if the whole of it won't do
                    await sink.finish()
                    return answer
        except SourceError as exc:
            if not failures:
                raise
            words = f"{exc} (asked {len(failures) + 1} times)"
            raise exc.again(words) from exc
        raise AssertionError("unreachable")

    async def fetch_bytes(self, ask: Ask, told: Told) -> tuple[bytes, Answer]:
        """Fetch something small into memory."""
        sink = MemorySink()
        answer = await self.fetch(ask, sink, told)
        return bytes(sink.data), answer

    async def _follow(self, parts: Parts, sink: Sink) -> bool:
        """Go where redirects lead; each hop is looked at as if a playlist had named it.

        Returns:
            Whether the thing has come further than ever, and isn't there yet.
        """
        ask = parts.rest
        url, led_by = ask.url, ask.led_by
        for _ in range(MAX_REDIRECTS + 1):
            answer, window = await self._once(ask, url, led_by, parts, sink)
            if window is not None:
                return parts.note(answer, window)
            if "location" not in answer.headers or answer.status not in _REDIRECTS:
                return False
            url, led_by = _join(url, answer.headers["location"], ask.what), answer.zone
        raise SourceError(Reason.REFUSED, f"{ask.what}: redirected more than {MAX_REDIRECTS} times")

    async def _once(
        self, ask: Ask, url: str, led_by: Zone | None, parts: Parts, sink: Sink
    ) -> tuple[Answer, Window | None]:
        """Send one request; return where the answer came from, and what it brought.

        That is None if it is a redirect, or if something else has to be asked for, or nothing more.
        """
        url = ask.access.address_for(url)
        headers = dict(ask.access.headers_for(url))
        if "traceparent" not in {name.lower() for name in headers}:  # a source may have its own
            headers |= self.trace.headers_for(url)
        if ask.byte_range is not None and parts.sends_range:
            headers["Range"] = f"bytes={ask.byte_range[0]}-{ask.byte_range[1] - 1}"
            if ask.if_range is not None and parts.sends_if_range:
                headers["If-Range"] = ask.if_range
        if ask.gzip:
            headers["Accept-Encoding"] = "gzip"
        total_s = ask.total_s or self.patience.total_s
        async with self.hosts[_host(url)].place():
            self.requests += 1
            began = trio.current_time()
            try:
                with trio.fail_after(max(0.0, total_s - parts.spent_s)):
                    async with self.wire.get(
                        url,
                        headers,
                        led_by=led_by,
                        connect_s=self.patience.connect_s,
                        silence_s=self.patience.silence_s,
                    ) as reply:
                        return await self._take(ask, url, reply, parts, sink)
            except trio.TooSlowError as exc:
                words = f"{ask.what}: took longer than {total_s:.0f} s"
                raise SourceError(Reason.TIMEOUT, words, is_passing=True) from exc
            except SourceError as exc:
                if str(exc).startswith(f"{ask.what}: "):
                    raise
                raise exc.again(f"{ask.what}: {exc}") from exc
            finally:
                parts.spent_s += trio.current_time() - began

    async def _take(self, ask: Ask, url: str, reply: Reply, parts: Parts, sink: Sink) -> tuple[Answer, Window | None]:
        answer = Answer(url=url, zone=reply.zone, status=reply.status, headers=reply.headers)
        if reply.status in _REDIRECTS and "location" in reply.headers:
            return answer, None
        if parts.must_turn(ask, reply):
            if not parts.sends_if_range:
                self._unconditional.add(ask.url)
            return answer, None
        if reply.status not in (200, 206) or (reply.status == 206 and ask.byte_range is None):
            raise self._refused(ask, url, reply)
        if (asked := _asked_pause(ask, reply)) is not None:
            self.hosts[_host(url)].pause(min(asked, self.patience.pause_s))
        window = Window(ask, reply, has_if_range=parts.sends_if_range)
        pace = Pace(self.patience, ask.what)
        parts.accept(answer)
        while not window.is_full and (chunk := await reply.read()):
            self.bytes_fetched += len(chunk)
            pace.note(len(chunk))
            await sink.write(window.take(chunk))
        window.check_end()
        return answer, window

    def _refused(self, ask: Ask, url: str, reply: Reply) -> SourceError:
        """Turn a status into a failure, and let the host have the pause that it asks for."""
        failure = _status_failure(reply, ask.what)
        asked = _asked_pause(ask, reply)
        if asked is None:
            return failure
        if asked > self.patience.pause_s and failure.is_passing:
            words = f"{failure}, and asks for {asked:.0f} s of patience, more than {self.patience.pause_s:.0f}"
            return SourceError(failure.reason, words)
        self.hosts[_host(url)].pause(min(asked, self.patience.pause_s))
        return failure


def _asked_pause(ask: Ask, reply: Reply) -> float | None:
    """Return for how many seconds an answer asks to leave its host alone; None if it doesn't."""
    now = dt.datetime.now(dt.UTC)
    asked = retry_after(reply.headers.get("retry-after"), now) if _is_passing(reply.status) else None
    if asked is None and ask.pause is not None:
        return ask.pause(reply.headers, reply.status, now)
    return asked


def _host(url: str) -> str:
    return urlsplit(url).hostname or ""


def _join(url: str, location: str, what: str) -> str:
    """Return where a redirect leads.

    Raises:
        SourceError: ``refused``; it isn't an http(s) address.
    """
    try:
        target = resolve_reference(url, location)
        parts = urlsplit(target)
        is_fine = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError:
        is_fine = False
    if not is_fine:
        raise SourceError(Reason.REFUSED, f"{what}: redirected to something that is no http(s) address")
    return target
