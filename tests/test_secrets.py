"""A canary in a header and one in a query: they reach the origin that they are for, and nothing else."""

import os
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from golden import render, timeline
from media import make_source
from origin import Reply
from packaged import package, read_segments, serving, write_playlist

pytestmark = pytest.mark.media

HEADER, QUERY, INNER = "canary-in-a-header", "canary-in-a-query", "canary-in-a-segment-query"
CANARIES = (HEADER, QUERY, INNER)


def watching_ffmpeg(path: Path, ffmpeg: str) -> Path:
    """Write a script that notes each child's arguments and environment and then becomes FFmpeg."""
    path.write_text(f'#!/bin/sh\n{{ printf "%s\\n" "$@"; env; }} >> "{path}.seen"\nexec "{ffmpeg}" "$@"\n')
    path.chmod(0o755)
    return path


def all_bytes(folder: Path) -> bytes:
    """Return the bytes, names included, of every file below a folder."""
    return b"".join(str(path).encode() + path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file())


@pytest.mark.parametrize("is_gone", [False, True], ids=["retried", "gone"])
def test_canaries_reach_their_origin_and_nothing_else(
    tmp_path: Path, packaged: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], is_gone: bool
) -> None:
    """Not another origin, no argument or variable of a child, no log, report or file; also on a retried request."""
    monkeypatch.setenv("CDN_TOKEN", HEADER)
    source = make_source(tmp_path / "source.mp4", ffmpeg=packaged, source_id=1, seconds=8, pattern=False)
    segments = read_segments(package(source, tmp_path / "www", ffmpeg=packaged, seconds=2))
    job = tmp_path / "job"
    job.mkdir()
    with serving(tmp_path / "www") as own, serving(tmp_path / "www", host="localhost") as other:
        addresses = [f"{other.url if n == 1 else own.url}/{name}?t={INNER}" for n, (_, name) in enumerate(segments)]
        lines = [f"#EXTINF:{segments[n][0]},\n{address}" for n, address in enumerate(addresses)]
        own.script("/index.m3u8", Reply(body=write_playlist(tmp_path / "list", lines).read_bytes()))
        own.script("/s002.ts", *([Reply(status=403)] if is_gone else [Reply(status=503), Reply()]))
        url = f"{own.url.replace('//', '//user:' + QUERY + '@')}/index.m3u8?token={QUERY}"
        headers = {"X-Token": "Bearer ${CDN_TOKEN}", "X-Api-Key": HEADER}
        document = timeline(
            [{"video_id": "v", "start": start, "duration": 1} for start in (0, 2.5, 4.5)],
            {"v": {"url": url, "headers": headers}},
        )
        (job / "timeline.json").touch()
        ffmpeg = watching_ffmpeg(tmp_path / "ffmpeg", packaged)
        rendered = render(job, document, "-v", ffmpeg=str(ffmpeg))

    (job / "timeline.json").unlink()  # the user's own, the only file that has them
    assert (3 if is_gone else 0) == rendered.exit_code
    assert all(f"Bearer {HEADER}" == seen.headers["x-token"] for seen in own.requests)
    assert all(HEADER == seen.headers["x-api-key"] for seen in own.requests)
    assert {"/s001.ts"} == {seen.path for seen in other.requests}
    assert not any(HEADER in value or QUERY in value for seen in other.requests for value in seen.headers.values())
    said = "".join(capfd.readouterr()).encode() + all_bytes(job) + (tmp_path / "ffmpeg.seen").read_bytes()
    assert urlsplit(own.url).netloc.encode() in said
    assert [] == [canary for canary in CANARIES if canary.encode() in said]
    assert HEADER == os.environ["CDN_TOKEN"]
