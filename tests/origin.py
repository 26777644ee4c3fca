"""A breakable HTTP server: HTTP/1.1 over plain sockets on loopback, whose faults are exact to the byte.

It serves the files of a folder as a decent server would: with ranges, validators and kept connections. What it does
otherwise is written down for each path beforehand::

    async with open_origin(folder) as origin:
        origin.script("/v1.mp4", Reply(status=503), Reply(cut_at=1000), Reply())

fails once, breaks off once, and serves the file from then on. Every request is on record in ``origin.requests``.

As a program, ``python tests/origin.py FOLDER``, it writes the address it listens on, serves until SIGTERM or SIGINT,
and then writes what it saw as JSON. The same JSON answers ``GET /__stats``; neither that request nor a connection
that was opened for it is counted.
"""

import argparse
import contextlib
import gzip
import io
import itertools
import json
import os
import re
import signal
import socket
import ssl
import struct
import sys
import zlib
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from email.utils import formatdate
from http import HTTPStatus
from http.client import responses
from pathlib import Path
from typing import BinaryIO
from urllib.parse import unquote

import attrs
import trio

STATS_PATH = "/__stats"
CONTENT_TYPES = {
    ".m3u8": "application/vnd.apple.mpegurl",
    ".ts": "video/mp2t",
    ".m4s": "video/mp4",
    ".mp4": "video/mp4",
    ".aac": "audio/aac",
}

_PIECE = 1 << 16
_PACED_PIECE = 1 << 14
_HEAD_LIMIT = 1 << 16
_BAD_REQUEST = b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
_BODILESS = (204, 304)

Stream = trio.SocketStream | trio.SSLStream[trio.SocketStream]


@attrs.frozen(kw_only=True)
class Reply:
    """How one request is answered. The default is the decent server.

    Attributes:
        status: Status to state. Ranges are served with 200 only; the file of the path with any 2xx.
        body: What to send instead of the file of that path. Without either, a 2xx becomes a 404, others are empty.
        headers: Added to the ordinary headers, or in place of them; a value of "" removes that header.
        delay: Seconds before the status line.
        drip: Send so many bytes of body, wait so many seconds, and so on.
        cut_at: Close after so many bytes of body, whatever the headers promised.
        reset: Close with a TCP reset and without an answer; with ``cut_at``, at that byte of the body.
        declared: Content-Length to state. The body is sent whole all the same; then the connection is closed.
        ignore_range: Answer with everything although a range was asked for.
        gzip: Send the body gzip'd. A range is one of the gzip'd bytes then.
        hang: Take the request and never answer, until the client closes.
        chunked: Send the body in chunks, without a Content-Length.
    """

    status: int = 200
    body: bytes | None = None
    headers: Mapping[str, str] = attrs.field(factory=dict)
    delay: float = 0.0
    drip: tuple[int, float] | None = None
    cut_at: int | None = None
    reset: bool = False
    declared: int | None = None
    ignore_range: bool = False
    gzip: bool = False
    hang: bool = False
    chunked: bool = False


@attrs.frozen(kw_only=True)
class Seen:
    """One request as it came.

    Attributes:
        method: GET, HEAD or another.
        path: The decoded path, without the query.
        query: What stood behind the question mark, as it came.
        headers: By name in lower case; what came twice is joined by commas.
        connection: Number of its connection, from 0.
        began: When its head was complete, in Trio's time.
        target: Path and query as they came.
        version: The protocol's name and version.
    """

    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    connection: int
    began: float
    target: str
    version: str = "HTTP/1.1"

    @property
    def range(self) -> str | None:
        """The Range header."""
        return self.headers.get("range")


Answer = Reply | Callable[[Seen], Reply]


def redirect(location: str, status: int = 302) -> Reply:
    """Make a reply that sends the client elsewhere."""
    return Reply(status=status, headers={"Location": location})


def retry_after_seconds(seconds: int) -> dict[str, str]:
    """Make the headers of a reply that asks the client to come back later."""
    return {"Retry-After": str(seconds)}


@attrs.define
class Origin:
    """What a test scripts, and what it asks afterwards.

    Attributes:
        url: Scheme, host and port, without a slash at the end.
        folder: Where the files are.
        requests: Every request, in the order in which the heads were complete.
        bytes_sent: Bytes of body handed to the sockets, before any framing.
    """

    url: str
    folder: Path | None = None
    requests: list[Seen] = attrs.field(factory=list)
    bytes_sent: int = 0
    _scripts: dict[str, list[Answer]] = attrs.field(factory=dict)
    _numbers: Iterator[int] = attrs.field(factory=itertools.count)
    _edges: list[tuple[int, int]] = attrs.field(factory=list)
    """(connection, 1) where one was opened and (connection, -1) where it was closed, in order."""

    @property
    def connections(self) -> int:
        """How many connections were opened so far."""
        return sum(step > 0 for _, step in self._edges)

    @property
    def open_now(self) -> int:
        """How many connections are open."""
        return sum(step for _, step in self._edges)

    @property
    def most_open(self) -> int:
        """How many connections were open at once, at most."""
        return max(itertools.accumulate(step for _, step in self._edges), default=0)

    def script(self, path: str, *replies: Answer) -> None:
        """Answer requests of ``path`` by these, in order; the last is for all that follow. None undo the script."""
        if replies:
            self._scripts[path] = list(replies)
        else:
            self._scripts.pop(path, None)

    def count(self, path: str | None = None) -> int:
        """Count the requests, or those of one path."""
        return sum(path in (None, seen.path) for seen in self.requests)

    def report(self) -> dict[str, object]:
        """Sum up what was seen, ready for JSON."""
        ranges: dict[str, list[str]] = {}
        for seen in self.requests:
            if seen.range is not None:
                ranges.setdefault(seen.path, []).append(seen.range)
        return {
            "requests": len(self.requests),
            "connections": self.connections,
            "most_open": self.most_open,
            "bytes_sent": self.bytes_sent,
            "paths": dict(Counter(seen.path for seen in self.requests)),
            "ranges": ranges,
        }

    def _take_reply(self, seen: Seen) -> Reply:
        answers = self._scripts.get(seen.path)
        if answers is None:
            return Reply() if seen.method in {"GET", "HEAD"} else Reply(status=405, headers={"Allow": "GET, HEAD"})
        answer = answers.pop(0) if len(answers) > 1 else answers[0]
        return answer if isinstance(answer, Reply) else answer(seen)

    def _note_opened(self) -> int:
        number = next(self._numbers)
        self._edges.append((number, 1))
        return number

    def _note_closed(self, number: int) -> None:
        if (number, 1) in self._edges:
            self._edges.append((number, -1))

    def _forget_unless_used(self, number: int) -> None:
        if all(seen.connection != number for seen in self.requests):
            self._edges = [edge for edge in self._edges if edge[0] != number]


@contextlib.asynccontextmanager
async def open_origin(
    folder: Path | None = None,
    *,
    host: str = "127.0.0.1",
    port: int = 0,
    tls: ssl.SSLContext | None = None,
    connection_delay: float = 0,
    request_delay: float = 0,
    rate: int | None = None,
) -> AsyncIterator[Origin]:
    """Serve ``folder`` for as long as the block runs.

    Args:
        folder: Where the files are; without one, only scripted paths are there.
        host: Address to listen on.
        port: Port to listen on; 0 takes a free one.
        tls: Speak TLS by this context; the address is that of ``localhost`` then.
        connection_delay: Seconds to wait after each accept.
        request_delay: Seconds to wait before each answer.
        rate: Bytes of body a second, for each connection.
    """
    alone: BaseException | None = None
    try:
        async with trio.open_nursery() as nursery:
            plain = await trio.open_tcp_listeners(port, host=host)
            origin = Origin(_make_url(plain[0], tls), folder)
            server = _Server(origin, connection_delay, request_delay, rate)
            if tls is None:
                await nursery.start(trio.serve_listeners, server.handle, plain)
            else:
                await nursery.start(trio.serve_listeners, server.handle, [trio.SSLListener(one, tls) for one in plain])
            yield origin
            nursery.cancel_scope.cancel()
    except BaseExceptionGroup as group:
        if len(group.exceptions) > 1:
            raise
        alone = group.exceptions[0]
    if alone is not None:
        raise alone  # as it was: a test's own pytest.raises stands outside, and doesn't know of our nursery


def _make_url(listener: trio.SocketListener, tls: ssl.SSLContext | None) -> str:
    host, port = listener.socket.getsockname()[:2]
    if tls is not None:
        return f"https://localhost:{port}"
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


@attrs.define
class _Connection:
    number: int
    stream: Stream
    unread: bytearray = attrs.field(factory=bytearray)

    async def read_head(self) -> bytes | None:
        """Read up to the next empty line; None where the client closes, or never comes to the point."""
        while (end := self.unread.find(b"\r\n\r\n")) < 0:
            piece = await self.stream.receive_some(_PIECE)
            if not piece or len(self.unread) > _HEAD_LIMIT:
                return None
            self.unread += piece
        head = bytes(self.unread[:end])
        del self.unread[: end + 4]
        return head

    async def wait_closed(self) -> None:
        """Wait until the client closes, whatever else it says."""
        while await self.stream.receive_some(_PIECE):
            pass

    def reset(self) -> None:
        """Close with a TCP reset, under TLS too."""
        plain = self.stream.transport_stream if isinstance(self.stream, trio.SSLStream) else self.stream
        plain.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        plain.socket.close()


@attrs.frozen
class _Server:
    origin: Origin
    connection_delay: float
    request_delay: float
    rate: int | None

    async def handle(self, stream: Stream) -> None:
        """Serve one connection until either side has had enough."""
        connection = _Connection(self.origin._note_opened(), stream)
        # Clients that leave in the middle are the ordinary case here.
        with contextlib.suppress(trio.BrokenResourceError, trio.ClosedResourceError):
            try:
                await trio.sleep(self.connection_delay)
                while await self._answer_next(connection):
                    pass
                await stream.aclose()
            finally:
                self.origin._note_closed(connection.number)

    async def _answer_next(self, connection: _Connection) -> bool:
        """Answer one request; tell whether the connection is good for another."""
        head = await connection.read_head()
        if head is None:
            return False
        try:
            seen = _parse_head(head, connection.number)
        except ValueError:
            await connection.stream.send_all(_BAD_REQUEST)
            return False
        if seen.path == STATS_PATH:
            self.origin._forget_unless_used(connection.number)
            await connection.stream.send_all(_format_stats(self.origin))
            return True
        self.origin.requests.append(seen)
        return await self._answer(connection, seen, self.origin._take_reply(seen))

    async def _answer(self, connection: _Connection, seen: Seen, reply: Reply) -> bool:
        if reply.hang:
            await connection.wait_closed()
            return False
        await trio.sleep(self.request_delay + reply.delay)
        if reply.reset and reply.cut_at is None:
            connection.reset()
            return False
        content = _open_content(self.origin.folder, seen, reply)
        with content.file:
            await connection.stream.send_all(_format_head(content, seen, reply))
            whole = not content.has_body(seen) or await self._send_body(connection, content, reply)
        if reply.reset:
            connection.reset()
        return whole and _is_kept(content, seen, reply)

    async def _send_body(self, connection: _Connection, content: "_Content", reply: Reply) -> bool:
        """Send the part of the content that is due; tell whether that was all of it."""
        began, sent = trio.current_time(), 0
        due = len(content.part) if reply.cut_at is None else min(reply.cut_at, len(content.part))
        content.file.seek(content.part.start)
        while piece := content.file.read(min(self._piece_size(reply), due - sent)):
            sent += len(piece)
            if self.rate is not None:
                await trio.sleep_until(began + sent / self.rate)  # never from piece to piece: that would drift
            self.origin.bytes_sent += len(piece)  # first, so that whoever has read the body finds it counted
            await connection.stream.send_all(_frame(piece) if reply.chunked else piece)
            if reply.drip is not None and sent < due:
                await trio.sleep(reply.drip[1])
        whole = sent == len(content.part)  # a file can have become shorter meanwhile
        if whole and reply.chunked:
            await connection.stream.send_all(_frame(b""))
        return whole

    def _piece_size(self, reply: Reply) -> int:
        if reply.drip is not None:
            return reply.drip[0]
        # A slow connection is one that trickles, not one that is silent for seconds.
        return _PIECE if self.rate is None else max(1, min(_PACED_PIECE, self.rate // 20))


def _parse_head(head: bytes, connection: int) -> Seen:
    first, *lines = head.decode("latin-1").split("\r\n")
    method, target, version = first.split(" ")
    if not target.startswith("/") or not version.startswith("HTTP/1."):
        raise ValueError(first)
    path, _, query = target.partition("?")
    headers: dict[str, str] = {}
    for line in lines:
        name, colon, value = line.partition(":")
        if not colon:
            raise ValueError(line)
        key = name.lower()
        headers[key] = f"{headers[key]}, {value.strip()}" if key in headers else value.strip()
    return Seen(
        method=method,
        path=unquote(path),
        query=query,
        headers=headers,
        connection=connection,
        began=trio.current_time(),
        target=target,
        version=version,
    )


@attrs.frozen(kw_only=True)
class _Content:
    """What is to be sent, before the faults of sending: the status, the bytes, and which of them."""

    status: int
    file: BinaryIO
    size: int
    part: range
    headers: Mapping[str, str]

    def has_body(self, seen: Seen) -> bool:
        """Tell whether bytes follow the head at all."""
        return seen.method != "HEAD" and self.status not in _BODILESS


def _open_content(folder: Path | None, seen: Seen, reply: Reply) -> _Content:
    if not HTTPStatus.OK <= reply.status < HTTPStatus.MULTIPLE_CHOICES:
        return _select(reply.status, _open_bytes(reply.body or b""), {}, seen, reply)
    file = _open_file(folder, seen.path) if reply.body is None else _open_bytes(reply.body)
    if file is None:
        return _select(404, _open_bytes(b""), {}, seen, reply)
    headers = {"Accept-Ranges": "bytes"} | _make_validators(file, reply)
    return _select(reply.status, file, headers, seen, reply)


def _select(status: int, file: BinaryIO, headers: Mapping[str, str], seen: Seen, reply: Reply) -> _Content:
    """Choose the part of a file that a request asks for."""
    if reply.gzip:
        with file:
            file = io.BytesIO(gzip.compress(file.read(), 1, mtime=0))
    size = file.seek(0, os.SEEK_END)
    part = range(size)
    asked = _find_range(seen, size) if status == HTTPStatus.OK and _allows_range(seen, headers, reply) else None
    if asked is not None:
        status, part = (206, asked) if asked else (416, range(0))
        stated = f"{asked.start}-{asked.stop - 1}" if asked else "*"
        headers = {**headers, "Content-Range": f"bytes {stated}/{size}"}
    return _Content(status=status, file=file, size=size, part=part, headers=headers)


def _allows_range(seen: Seen, headers: Mapping[str, str], reply: Reply) -> bool:
    if reply.ignore_range or seen.method != "GET":
        return False
    stated = {name.lower(): value for name, value in (*headers.items(), *reply.headers.items())}
    wanted = seen.headers.get("if-range")
    return wanted is None or wanted in {stated.get("etag"), stated.get("last-modified")}


def _find_range(seen: Seen, size: int) -> range | None:
    """Find which bytes are asked for: None for all of them, an empty range where they aren't there."""
    match = re.fullmatch(r"bytes=([0-9]{0,18})-([0-9]{0,18})", seen.range or "")
    if match is None:
        return None
    first, last = match.groups()
    if first and last and int(last) < int(first):
        return None
    if first:
        return range(int(first), min(int(last) + 1, size) if last else size)
    return range(max(0, size - int(last)), size) if last else None


def _open_bytes(body: bytes) -> BinaryIO:
    return io.BytesIO(body)


def _open_file(folder: Path | None, path: str) -> BinaryIO | None:
    if folder is None:
        return None
    try:
        file = (folder / path.lstrip("/")).resolve()
        # Resolved first, so that neither dots nor links lead out of the folder.
        return file.open("rb") if file.is_relative_to(folder.resolve()) and file.is_file() else None
    except (OSError, ValueError):
        return None  # too long for a name, or with a NUL in it


def _make_validators(file: BinaryIO, reply: Reply) -> dict[str, str]:
    coding = "-gzip" if reply.gzip else ""
    if reply.body is not None:
        return {"ETag": f'"{len(reply.body):x}-{zlib.crc32(reply.body):x}{coding}"'}
    status = os.fstat(file.fileno())
    return {
        "ETag": f'"{status.st_size:x}-{status.st_mtime_ns:x}{coding}"',
        "Last-Modified": formatdate(status.st_mtime, usegmt=True),
    }


def _format_head(content: _Content, seen: Seen, reply: Reply) -> bytes:
    lines = [f"HTTP/1.1 {content.status} {responses.get(content.status, 'Unknown')}"]
    lines += [f"{name}: {value}" for name, value in _make_headers(content, seen, reply).items()]
    return "\r\n".join([*lines, "", ""]).encode("latin-1")


def _make_headers(content: _Content, seen: Seen, reply: Reply) -> dict[str, str]:
    headers = {"Date": formatdate(usegmt=True), **content.headers}
    if content.status not in _BODILESS:
        headers |= _make_body_headers(content, seen, reply)
    if _wants_close(seen):
        headers["Connection"] = "close"
    replaced = {name.lower() for name in reply.headers}
    kept = {name: value for name, value in headers.items() if name.lower() not in replaced}
    return kept | {name: value for name, value in reply.headers.items() if value}


def _make_body_headers(content: _Content, seen: Seen, reply: Reply) -> dict[str, str]:
    headers = {"Content-Type": CONTENT_TYPES.get(Path(seen.path).suffix.lower(), "application/octet-stream")}
    if reply.gzip:
        headers["Content-Encoding"] = "gzip"
    if reply.chunked:
        headers["Transfer-Encoding"] = "chunked"
    else:
        headers["Content-Length"] = str(len(content.part) if reply.declared is None else reply.declared)
    return headers


def _wants_close(seen: Seen) -> bool:
    return seen.version == "HTTP/1.0" or seen.headers.get("connection", "").lower() == "close"


def _is_kept(content: _Content, seen: Seen, reply: Reply) -> bool:
    """Tell whether the client can know where the body ended, and we where its next request begins."""
    headers = {name.lower(): value for name, value in _make_headers(content, seen, reply).items()}
    if headers.get("connection", "").lower() == "close" or seen.headers.keys() & {
        "content-length",
        "transfer-encoding",
    }:
        return False
    framed = "transfer-encoding" in headers or headers.get("content-length") == str(len(content.part))
    return framed or not content.has_body(seen)


def _frame(piece: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(piece), piece)


def _format_stats(origin: Origin) -> bytes:
    body = json.dumps(origin.report()).encode()
    return b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)


async def serve_until_signalled(options: argparse.Namespace) -> Origin:
    """Write the address, serve until SIGTERM or SIGINT, and return what was seen."""
    with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
        async with open_origin(
            options.folder,
            port=options.port,
            connection_delay=options.connection_delay,
            request_delay=options.request_delay,
            rate=options.rate,
        ) as origin:
            sys.stdout.write(f"{origin.url}\n")
            sys.stdout.flush()
            await anext(aiter(signals))
    return origin


def main() -> None:
    """Serve a folder, as a program of its own: its processor time is not its client's."""
    parser = argparse.ArgumentParser(description="Serve a folder over HTTP on loopback, as slowly as asked.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--connection-delay", type=float, default=0.0, metavar="SECONDS")
    parser.add_argument("--request-delay", type=float, default=0.0, metavar="SECONDS")
    parser.add_argument("--rate", type=int, metavar="BYTES", help="bytes a second, for each connection")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--record", type=Path, metavar="FILE", help="where to leave the JSON at the end")
    options = parser.parse_args()
    if not options.folder.is_dir():
        parser.error(f"{options.folder} is not a folder")
    report = json.dumps(trio.run(serve_until_signalled, options).report())
    if options.record is not None:
        options.record.write_text(f"{report}\n")
    sys.stdout.write(f"{report}\n")


if __name__ == "__main__":
    main()
