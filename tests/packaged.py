"""HLS packages of a numbered source, made by FFmpeg; and an origin that serves a folder while a render runs."""

import contextlib
import subprocess
import threading
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import trio
from cryptography.hazmat.primitives import padding
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from origin import Origin, open_origin


@contextlib.contextmanager
def serving(folder: Path, **manner: Any) -> Iterator[Origin]:
    """Serve a folder from a thread of its own, as the render runs in this one; see ``open_origin``."""
    ready: list[Origin] = []
    started, failed = threading.Event(), []
    cancel: list[Any] = []

    async def serve() -> None:
        async with open_origin(folder, **manner) as origin:
            with trio.CancelScope() as scope:
                token = trio.lowlevel.current_trio_token()
                cancel.append(lambda: token.run_sync_soon(scope.cancel))
                ready.append(origin)
                started.set()
                await trio.sleep_forever()

    def run() -> None:
        try:
            trio.run(serve)
        except BaseException as exc:
            failed.append(exc)
            raise
        finally:
            started.set()

    thread = threading.Thread(target=run)
    thread.start()
    started.wait()
    try:
        yield ready[0]
    finally:
        cancel[0]()
        thread.join()
    if failed:
        raise failed[0]


def package(
    source: Path, folder: Path, *, ffmpeg: str, seconds: float = 4, args: Sequence[str] = (), suffix: str = "ts"
) -> Path:
    """Package a file as HLS without encoding it anew; returns the playlist's path."""
    folder.mkdir(parents=True, exist_ok=True)
    playlist = folder / "index.m3u8"
    number = "" if "single_file" in args else "%03d"
    names = ["-hls_segment_filename", f"{folder}/s{number}.{suffix}"]
    command = [ffmpeg, "-v", "error", "-y", "-i", str(source), "-c", "copy", "-f", "hls", "-hls_time", str(seconds)]
    subprocess.run([*command, "-hls_playlist_type", "vod", *names, *args, str(playlist)], check=True)
    return playlist


def read_segments(playlist: Path) -> list[tuple[str, str]]:
    """Return each segment of a playlist: its EXTINF as written, and its name."""
    lines = playlist.read_text().splitlines()
    return [
        (line.partition(":")[2].rstrip(","), lines[at + 1])
        for at, line in enumerate(lines)
        if line.startswith("#EXTINF")
    ]


def write_playlist(path: Path, segments: Iterable[str], *, head: Sequence[str] = (), ended: bool = True) -> Path:
    """Write a media playlist by hand; each of ``segments`` is a segment's lines."""
    lines = ["#EXTM3U", "#EXT-X-VERSION:7", "#EXT-X-TARGETDURATION:10", *head, *segments]
    path.write_text("\n".join([*lines, *(["#EXT-X-ENDLIST"] if ended else [])]) + "\n")
    return path


def encrypt(data: bytes, key: bytes, iv: bytes) -> bytes:
    """Encrypt as AES-128 of HLS does: CBC, padded."""
    padder = padding.PKCS7(128).padder()
    encryptor = Cipher(algorithms.AES(key), modes.CBC(iv)).encryptor()
    return encryptor.update(padder.update(data) + padder.finalize()) + encryptor.finalize()


def pack_audio(source: Path, folder: Path, *, ffmpeg: str, begin: int, seconds: float = 4) -> Path:
    """Package a file's sound as packed audio: ADTS with the time of each segment in an ID3 tag.

    Args:
        source: A file with AAC sound.
        folder: Where segments and ``audio.m3u8`` go.
        ffmpeg: The program.
        begin: The time of the first sample, in ticks of 1/90000 s.
        seconds: How long a segment is, about.
    """
    command = [ffmpeg, "-v", "error", "-i", str(source), "-map", "0:a", "-c", "copy", "-f", "adts", "-"]
    data = subprocess.run(command, check=True, capture_output=True).stdout
    frames = []
    while data:
        length = (data[3] & 3) << 11 | data[4] << 3 | data[5] >> 5
        frames.append(data[:length])
        data = data[length:]
    each = round(seconds * 48000 / 1024)
    segments = []
    for number, first in enumerate(range(0, len(frames), each)):
        some = frames[first : first + each]
        stamp = (begin + first * 1024 * 90000 // 48000) % 2**33
        (folder / f"a{number}").write_bytes(_id3(stamp) + b"".join(some))
        segments.append(f"#EXTINF:{len(some) * 1024 / 48000:.5f},\na{number}")
    return write_playlist(folder / "audio.m3u8", segments)


def _id3(stamp: int) -> bytes:
    body = b"com.apple.streaming.transportStreamTimestamp\0" + stamp.to_bytes(8)
    frame = b"PRIV" + len(body).to_bytes(4) + b"\0\0" + body
    return b"ID3\x04\0\0" + bytes([0, 0, 0, len(frame)]) + frame
