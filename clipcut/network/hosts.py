"""How much may be asked of one host: connections at once, requests a second, and the pauses that it asks for."""

import contextlib
from collections.abc import AsyncIterator, Callable

import trio

from clipcut.errors import Reason, SourceError

CONNECTIONS = 6
"""Requests under way at once to one host."""

_GLANCE_S = 1.0
"""How long a wait for a token goes on, at most, before the rate is looked at again, in seconds."""


class Host:
    """One host's places, its token bucket, and until when it wants to be left alone."""

    def __init__(self, name: str, rate: Callable[[], float | None], longest_pause_s: float) -> None:
        """Open the places; ``rate`` tells how many requests a second are allowed now, None for any number."""
        self.name = name
        self._rate = rate
        self._longest_pause_s = longest_pause_s
        self._places = trio.CapacityLimiter(CONNECTIONS)
        self._turn = trio.Lock()
        self._last_token = -float("inf")
        self._paused_until = -float("inf")

    @contextlib.asynccontextmanager
    async def place(self) -> AsyncIterator[None]:
        """Wait for a connection's place, for a token, for the end of a pause; hold the place inside the block.

        Raises:
            SourceError: ``http_429``: the host has had us wait for longer than is sensible.
        """
        async with self._places:
            async with self._turn:  # one after the other, so that the end of a pause isn't a burst
                await self._wait_for_token()
                await self._wait_for_pause()
                self._last_token = trio.current_time()
            yield

    def pause(self, seconds: float) -> None:
        """Send nothing more to this host for a while: it asked for it, of one request, and all are meant."""
        self._paused_until = max(self._paused_until, trio.current_time() + seconds)

    @property
    def pause_left(self) -> float:
        """How many seconds of its pause are left; 0 if there is none."""
        return max(0.0, self._paused_until - trio.current_time())

    async def _wait_for_pause(self) -> None:
        began = trio.current_time()
        while left := self.pause_left:
            if trio.current_time() + left - began > 2 * self._longest_pause_s:
                raise SourceError(Reason.HTTP_429, f"{self.name} asks for pause after pause")
            await trio.sleep_until(self._paused_until)

    async def _wait_for_token(self) -> None:
        """Wait for the next token. The bucket holds one: requests are spread evenly and never come in a burst."""
        while (rate := self._rate()) is not None:
            now, at = trio.current_time(), self._last_token + 1 / rate
            if now >= at:
                return
            await trio.sleep_until(min(at, now + _GLANCE_S))


class Hosts:
    """All hosts of one render, by name."""

    def __init__(self, rate: Callable[[], float | None], longest_pause_s: float) -> None:
        """Know none yet; see ``Host``."""
        self._rate = rate
        self._longest_pause_s = longest_pause_s
        self._hosts: dict[str, Host] = {}

    def __getitem__(self, name: str) -> Host:
        """Return a host; names differ in more than upper and lower case."""
        name = name.lower()
        if name not in self._hosts:
            self._hosts[name] = Host(name, self._rate, self._longest_pause_s)
        return self._hosts[name]
