"""A stand-in of the TwelveLabs API v1.3, written from its published specification: the two routes that tell of a video.

``GET /v1.3/indexes/{index}/indexed-assets/{id}`` and the older ``/v1.3/indexes/{index}/videos/{id}``::

    api = StandIn()
    api.add("v1", Reply(status=503), stream("https://cdn.example/v1/index.m3u8"))
    monkeypatch.setenv("TWELVELABS_BASE_URL", api.install(origin))

fails once and then knows the video. It answers through an origin (``install``) or in place of one (``handle``).
"""

import json
import re
from collections import Counter
from collections.abc import Mapping
from typing import Any

import attrs
import httpx
import trio
from origin import Origin, Reply, Seen

KEY = "tlk_canary-in-a-key"
INDEX = "65a0c0ffee0ddba11ca5cade"

_ROUTE = re.compile(r"/v1\.3/indexes/(?P<index>[^/]+)/(?P<kind>indexed-assets|videos)/(?P<video>[^/]+)")
_JSON = {"Content-Type": "application/json", "X-Api-Version": "1.3.0"}
_MOMENT = "2026-01-01T00:00:00Z"

Stream = Mapping[str, Any]
Said = Stream | Reply | None
"""What is said of a video once: its ``hls`` object, None for a document without one, or any other reply."""


def stream(url: str | None, status: str = "COMPLETE") -> Stream:
    """Make an ``hls`` object."""
    found: dict[str, Any] = {"thumbnail_urls": [], "status": status, "updated_at": _MOMENT}
    return found if url is None else {"video_url": url, **found}


def rate_limit(remaining: int, reset: int, *, word: str = "") -> dict[str, str]:
    """Make the headers of a limit of 50; ``word`` is what stands before the last word in the other spelling."""
    values = {"Limit": 50, "Remaining": remaining, "Used": 50 - remaining, "Reset": reset}
    return {f"X-Ratelimit-{word}{name}": str(value) for name, value in values.items()}


def document(status: int, value: object) -> Reply:
    """Make a reply with a JSON document."""
    return Reply(status=status, body=json.dumps(value).encode(), headers=_JSON)


def video_document(video_id: str, hls: Stream | None, *, status: str | None = "ready") -> dict[str, Any]:
    """Make what is said of a video; the older route has no ``status``."""
    facts = {"filename": f"{video_id}.mp4", "duration": 8.0, "fps": 30.0, "width": 320, "height": 180, "size": 123456}
    found: dict[str, Any] = {"_id": video_id, "created_at": _MOMENT, "updated_at": _MOMENT, "indexed_at": _MOMENT}
    found["system_metadata"] = facts
    if status is not None:
        found["status"] = status
    return found if hls is None else found | {"hls": hls}


@attrs.define
class StandIn:
    """The API.

    Attributes:
        key: The key that it accepts.
        headers: What each document is sent with beside the ordinary headers.
        requests: What it was asked, in order.
    """

    key: str = KEY
    headers: Mapping[str, str] = attrs.field(factory=dict)
    requests: list[Seen] = attrs.field(factory=list)
    _videos: dict[str, list[Said]] = attrs.field(factory=dict)
    _older: set[str] = attrs.field(factory=set)

    @property
    def calls(self) -> Counter[str]:
        """How often it was asked for each video."""
        return Counter(seen.path.rpartition("/")[2] for seen in self.requests)

    def add(self, video_id: str, *said: Said, is_older: bool = False) -> None:
        """Say these of a video, in order, the last for ever; without any it is unknown.

        Args:
            video_id: The video.
            said: What is said of it.
            is_older: Whether only the older route knows it.
        """
        self._videos[video_id] = list(said)
        if is_older:
            self._older.add(video_id)

    def install(self, origin: Origin) -> str:
        """Answer through an origin, of the videos that were added; return the API's address."""
        for video_id in self._videos:
            for kind in ("indexed-assets", "videos"):
                origin.script(f"/v1.3/indexes/{INDEX}/{kind}/{video_id}", self.answer)
        return f"{origin.url}/v1.3"

    def handle(self, request: httpx.Request) -> httpx.Response:
        """Answer a request of httpx."""
        seen = Seen(
            method=request.method,
            path=request.url.path,
            query=request.url.query.decode(),
            headers=dict(request.headers),
            connection=0,
            began=trio.current_time(),
            target=request.url.raw_path.decode(),
        )
        reply = self.answer(seen)
        return httpx.Response(reply.status, headers=reply.headers, content=reply.body or b"")

    def answer(self, seen: Seen) -> Reply:
        """Answer a request."""
        self.requests.append(seen)
        if seen.headers.get("x-api-key") != self.key:
            return document(401, {"code": "api_key_invalid", "message": "The API key is invalid."})
        reply = self._find(seen)
        return attrs.evolve(reply, headers={**reply.headers, **self.headers})

    def _find(self, seen: Seen) -> Reply:
        route = _ROUTE.fullmatch(seen.path)
        if route is None:
            return document(404, {"code": "endpoint_not_exist", "message": "There is no such endpoint."})
        kind, video_id = route["kind"], route["video"]
        said = self._videos.get(video_id) if route["index"] == INDEX else None
        if not said or (kind == "indexed-assets" and video_id in self._older):
            return document(404, {"code": "resource_not_exist", "message": f"There is no {video_id} in {kind}."})
        item = said.pop(0) if len(said) > 1 else said[0]
        if isinstance(item, Reply):
            return item
        reply = document(200, video_document(video_id, item, status="ready" if kind == "indexed-assets" else None))
        return attrs.evolve(reply, gzip="gzip" in seen.headers.get("accept-encoding", ""))
