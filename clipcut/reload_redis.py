"""Listens for changes on a Redis channel, in a thread, as redis-py is; a lost server never hurts a render."""

import threading
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs
import trio

from clipcut.errors import SettingsError
from clipcut.redact import redact_url
from clipcut.reload import REFUSED, Apply, Warn, message_change, refusal
from clipcut.settings import Settings

if TYPE_CHECKING:
    import redis

URL_VARIABLE, CHANNEL_VARIABLE = "RENDER_REDIS_URL", "RENDER_CONFIG_CHANNEL"
DEFAULT_CHANNEL = "render:config"
UNAVAILABLE = "render.redis_unavailable"

GLANCE_S = 0.5
"""How long the thread listens before it looks whether it is still wanted, in seconds."""
FIRST_WAIT_S, LONGEST_WAIT_S = 0.5, 30.0
"""How long a lost server is left alone: at first, and at most; in seconds."""
CONNECT_S = 5.0
"""How long a connection may take, and an answer; in seconds."""


@attrs.frozen
class RedisWatch:
    """Takes messages of one channel.

    Attributes:
        url: The server's; may hold a password.
        channel: The channel's name.
        base: The folder that relative paths in messages start from.
        start: The settings that the render began with.
        apply: Lets a change hold.
        warn: Told of what can't be used, and once of a server that isn't there.
    """

    url: str = attrs.field(repr=redact_url)
    channel: str
    base: Path
    start: Settings
    apply: Apply
    warn: Warn

    async def run(self) -> None:
        """Listen until cancelled. The thread is left behind then: it ends at its next glance, or with the program."""
        stopped = threading.Event()
        try:
            await trio.to_thread.run_sync(_Ear(self, stopped).listen, abandon_on_cancel=True)
        finally:
            stopped.set()


class _Ear:
    """What runs in the thread."""

    def __init__(self, watch: RedisWatch, stopped: threading.Event) -> None:
        self._watch = watch
        self._stopped = stopped
        self._has_warned = False
        self._wait_s = FIRST_WAIT_S

    def listen(self) -> None:
        """Subscribe, again and again if the server is lost, until stopped."""
        try:
            import redis  # noqa: PLC0415  an extra
        except ImportError:
            self._warn_once("redis-py isn't installed; pip install 'clipcut[redis]'")
            return
        while not self._stopped.is_set():
            try:
                client = redis.Redis.from_url(self._watch.url, **_options())
            except (ValueError, TypeError):  # their words may quote a part of a password
                self._warn_once(f"{URL_VARIABLE} holds no address of a Redis; write redis://HOST:PORT/0")
                return
            try:
                self._take_messages(client)
            except (redis.RedisError, OSError, UnicodeError, TypeError) as exc:
                where = redact_url(self._watch.url)
                self._warn_once(f"{where} can't be reached ({type(exc).__name__}); it is tried again in silence")
            self._stopped.wait(self._wait_s)
            self._wait_s = min(2 * self._wait_s, LONGEST_WAIT_S)

    def _take_messages(self, client: "redis.Redis") -> None:
        with client, client.pubsub(ignore_subscribe_messages=True) as channel:  # type: ignore[no-untyped-call]
            channel.subscribe(self._watch.channel)
            self._wait_s = FIRST_WAIT_S
            while not self._stopped.is_set():
                message = channel.get_message(timeout=GLANCE_S)
                if message is not None:
                    self._take(message["data"])

    def _take(self, data: bytes) -> None:
        """Let a message's change hold, or nothing of it."""
        try:
            change = message_change(data, self._watch.start, self._watch.base)
        except SettingsError as exc:
            trio.from_thread.run_sync(self._watch.warn, REFUSED, refusal(exc))
        else:
            trio.from_thread.run_sync(self._watch.apply, change)

    def _warn_once(self, message: str) -> None:
        if not self._has_warned:
            self._has_warned = True
            trio.from_thread.run_sync(self._watch.warn, UNAVAILABLE, message)


def _options() -> dict[str, Any]:
    """Return how a connection is kept: nothing waits without end, and a failure is told at once, not tried again."""
    from redis.backoff import NoBackoff  # noqa: PLC0415
    from redis.retry import Retry  # noqa: PLC0415

    return {
        "socket_connect_timeout": CONNECT_S,
        "socket_timeout": CONNECT_S,
        "socket_keepalive": True,
        "health_check_interval": 15,
        "retry": Retry(NoBackoff(), 0),
    }


def redis_watch(environ: Mapping[str, str], base: Path, start: Settings, apply: Apply, warn: Warn) -> RedisWatch | None:
    """Return what listens, where the environment names a server; None where it names none."""
    url = environ.get(URL_VARIABLE)
    if not url:
        return None
    return RedisWatch(url, environ.get(CHANNEL_VARIABLE) or DEFAULT_CHANNEL, base, start, apply, warn)
