"""A TwelveLabs video to the address of its playlist, through the API v1.3: one request a video and render."""

import datetime as dt
import json
import random
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import quote

import trio

from clipcut.errors import Reason, SourceError
from clipcut.events import Told
from clipcut.network.addresses import Zone
from clipcut.network.ask import Access, Ask
from clipcut.network.fetch import Fetcher
from clipcut.sources.twelvelabs_key import KEY_VARIABLE, base_url, is_address, read_key

JITTER_S = 0.5
"""How long a look-up waits at most before it is sent, so that a render's first look-ups aren't one burst."""

_MAX_BYTES = 4 * 1024 * 1024
_NEVER = frozenset({"CANCELED", "CANCELLED", "ERROR"})
_INDEXING = frozenset({"PENDING", "QUEUED", "INDEXING"})


def rate_limit_pause(headers: Mapping[str, str], status: int, now: dt.datetime) -> float | None:
    """Return for how many seconds the API wants to be left alone, by its rate-limit headers; None if it doesn't say.

    Both spellings count: ``X-Ratelimit-Remaining`` and ``-Reset`` (seconds since 1970), and the same with
    ``-Request`` before the last word. They count when nothing remains, or when the answer is 429.
    """

    def number(word: str) -> int | None:
        for name in (f"x-ratelimit-{word}", f"x-ratelimit-request-{word}"):
            text = headers.get(name, "").strip()
            if text.isascii() and text.isdigit():
                return int(text[:15])
        return None

    remaining, reset = number("remaining"), number("reset")
    if reset is None or (status != 429 and remaining != 0):
        return None
    return max(0.0, reset - now.timestamp()) if reset > 1_000_000_000 else float(reset)


class TwelveLabsApi:
    """The API, as one render uses it."""

    def __init__(
        self,
        fetcher: Fetcher,
        environ: Mapping[str, str],
        jitter: Callable[[float], float] = lambda most: random.uniform(0, most),  # noqa: S311
    ) -> None:
        """Send nothing yet, and read no key: a render without such sources needs none."""
        self._fetcher = fetcher
        self._environ = environ
        self._jitter = jitter
        self._access: Access | None = None

    async def resolve(self, index_id: str, video_id: str, told: Told) -> tuple[str, Zone]:
        """Look up where a video's playlist is.

        Args:
            index_id: The index.
            video_id: The video in it.
            told: Is told of requests that are sent again.

        Returns:
            The playlist's address, and the zone of the API, which named it.

        Raises:
            SourceError: ``http_401`` or ``http_403`` (the key), ``http_404`` (no such video), ``no_video`` (it was
                uploaded without a stream), ``not_ready`` (it is being prepared), or what a request fails with.
        """
        await trio.sleep(self._jitter(JITTER_S))
        try:
            data, zone = await self._get(f"indexes/{quote(index_id, '')}/indexed-assets/{quote(video_id, '')}", told)
        except SourceError as exc:
            if exc.reason is not Reason.HTTP_404:
                raise
            data, zone = await self._get_older(index_id, video_id, told)
        return _address(data, index_id, video_id), zone

    async def _get_older(self, index_id: str, video_id: str, told: Told) -> tuple[bytes, Zone]:
        """Ask by the older route, for videos that were indexed before there were assets."""
        try:
            return await self._get(f"indexes/{quote(index_id, '')}/videos/{quote(video_id, '')}", told)
        except SourceError as exc:
            if exc.reason is not Reason.HTTP_404:
                raise
            words = f"TwelveLabs knows no video {video_id} in index {index_id}"
            raise exc.again(words) from exc

    async def _get(self, path: str, told: Told) -> tuple[bytes, Zone]:
        access = self._access = self._access or await self._open()
        ask = Ask(
            url=f"{access.url}/{path}",
            what="TwelveLabs",
            access=access,
            max_bytes=_MAX_BYTES,
            gzip=True,
            pause=rate_limit_pause,
        )
        try:
            data, answer = await self._fetcher.fetch_bytes(ask, told)
        except SourceError as exc:
            if exc.reason in (Reason.HTTP_401, Reason.HTTP_403):
                words = f"TwelveLabs doesn't accept the API key ({exc}); look at {KEY_VARIABLE}"
                raise exc.again(words) from exc
            raise
        return data, answer.zone

    async def _open(self) -> Access:
        key = await trio.to_thread.run_sync(read_key, self._environ)
        return Access(url=base_url(self._environ), headers={"x-api-key": key})


def _address(data: bytes, index_id: str, video_id: str) -> str:
    """Find the playlist's address in what the API says of a video."""
    name = f"the TwelveLabs video {video_id} of index {index_id}"
    try:
        document = json.loads(data)
    except (ValueError, RecursionError):
        document = None
    if not isinstance(document, dict):
        raise SourceError(Reason.UNDECODABLE, f"what TwelveLabs says of {name} can't be read")
    hls: Any = document.get("hls")
    if not isinstance(hls, dict):
        raise _no_stream(name, document.get("status"))
    status, url = hls.get("status"), hls.get("video_url")
    if isinstance(status, str) and status.upper() in _NEVER:
        raise SourceError(Reason.NO_VIDEO, f"{name} has no stream: preparing it ended with {status[:20]!r}")
    if not isinstance(url, str) or not url or (isinstance(status, str) and status.upper() != "COMPLETE"):
        said = status[:20] if isinstance(status, str) else "nothing"
        raise SourceError(Reason.NOT_READY, f"{name} isn't ready yet; its status is {said!r}")
    if not is_address(url):
        raise SourceError(Reason.REFUSED, f"TwelveLabs leads to something that is no http(s) address for {name}")
    return url


def _no_stream(name: str, status: object) -> SourceError:
    """Tell a video that is still being indexed, and may get a stream, from one that was uploaded without."""
    if isinstance(status, str) and status.upper() in _INDEXING:
        return SourceError(Reason.NOT_READY, f"{name} isn't ready yet; its status is {status!r}")
    words = "has no stream: it was uploaded without enable_video_stream"
    return SourceError(Reason.NO_VIDEO, f"{name} {words}")
