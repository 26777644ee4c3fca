"""A browser plays what ``--cut auto`` makes: one track, one description, pictures of two encoders."""

import base64
import contextlib
import json
import shutil
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from golden import Numbered, render, timeline, wanted_frames
from media import FrameCode, decode_strips, make_source
from real import free_port, needs, program

from clipcut import smart

FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--autoplay-policy=no-user-gesture-required",
)

SCRIPT = """
const [data, moments, begin, done] = arguments;
const video = document.createElement("video"), canvas = document.createElement("canvas");
const context = canvas.getContext("2d", {willReadFrequently: true}), shown = [], played = [];
const strip = () => {
  context.drawImage(video, 0, 0);
  const row = context.getImageData(0, 7, canvas.width, 1).data, width = canvas.width / 32;
  return [...Array(32).keys()].map(block => row[4 * Math.round((block + 0.5) * width)]);
};
const fail = what => done({error: what});
const seek = () => {
  if (shown.length === moments.length) return play();
  video.currentTime = moments[shown.length];
};
const play = () => {
  const note = (_, facts) => {
    played.push([facts.mediaTime, strip()]);
    played.length < 45 && !video.ended ? video.requestVideoFrameCallback(note) : done({shown, played});
  };
  video.onseeked = () => { video.requestVideoFrameCallback(note); video.play().catch(why => fail(String(why))); };
  video.onended = () => done({shown, played});
  video.currentTime = begin;
};
video.muted = true;
video.onerror = () => fail(video.error.message);
video.onseeked = () => { shown.push(strip()); seek(); };
video.onloadeddata = () => {
  canvas.width = video.videoWidth; canvas.height = video.videoHeight; video.onloadeddata = null; seek();
};
const bytes = Uint8Array.from(atob(data), letter => letter.charCodeAt(0));
video.src = URL.createObjectURL(new Blob([bytes], {type: "video/mp4"}));
"""
"""Show the frame at each moment, then play from another one; give the strips' levels."""


def ask(address: str, method: str, **body: Any) -> Any:
    """Send chromedriver a command and return its answer's value."""
    request = urllib.request.Request(  # noqa: S310  of our own
        address,
        json.dumps(body).encode() if method == "POST" else None,
        {"Content-Type": "application/json"},
        method=method,
    )
    with urllib.request.urlopen(request, timeout=60) as answer:  # noqa: S310
        return json.load(answer)["value"]


@contextlib.contextmanager
def browser(folder: Path) -> Iterator[str]:
    """Run Chromium without a window; give the address of its session."""
    port = free_port()
    options = {"binary": shutil.which("chromium"), "args": [*FLAGS, f"--user-data-dir={folder}"]}
    wanted = {"alwaysMatch": {"goog:chromeOptions": options, "timeouts": {"script": 60_000}}}
    with program("chromedriver", f"--port={port}", port=port):
        begun = ask(f"http://127.0.0.1:{port}/session", "POST", capabilities=wanted)
        session = f"http://127.0.0.1:{port}/session/{begun['sessionId']}"
        try:
            yield session
        finally:
            ask(session, "DELETE")


@pytest.mark.media
@needs("chromium")
@needs("chromedriver")
def test_a_browser_shows_every_frame_around_the_joins(
    tmp_path: Path, packaged: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Copies of two sources, edges, an encoded clip, a placeholder: each moment shows its frame, sought or played."""
    monkeypatch.setattr(smart, "CHILD_PIXELS", 0)
    args = ("-c:v", "libx264", "-preset", "veryfast", "-pix_fmt", "yuv420p", "-g", "30", "-bf", "3")
    tags = "setparams=range=tv:color_primaries=bt709:color_trc=bt709:colorspace=bt709"
    source = make_source(
        tmp_path / "v.mp4", ffmpeg=packaged, source_id=1, seconds=4, video_args=args, video_filter=tags
    )
    more = (*args, "-refs", "4", "-x264-params", "8x8dct=0:weightp=0:slices=2")
    other = make_source(tmp_path / "w.mp4", ffmpeg=packaged, source_id=2, seconds=4, video_args=more, video_filter=tags)
    clips: list[dict[str, Any]] = [
        {"video_id": "v", "start": 0.7, "duration": 1.9},
        {"video_id": "v", "start": 2.1, "duration": 0.5},
        {"video_id": "gone", "start": 0, "duration": 0.4},
        {"video_id": "v", "start": 1, "duration": 1.45},
        {"video_id": "w", "start": 0.95, "duration": 1.7},
    ]
    document = timeline(clips, {"v": str(source), "w": str(other), "gone": "nowhere.mp4"})
    rendered = render(tmp_path, document, "--cut", "auto", ffmpeg=packaged)
    assert [True, False, False, True, True] == [clip["copied_frames"] > 0 for clip in rendered.report["clips"]]
    wanted = wanted_frames(document, {"v": Numbered(1, frames=120), "w": Numbered(2, frames=120)})
    # 127 and 128 are groups of one picture. Chromium seeks by the times at which pictures are stored, and is a picture
    # late there, with --cut encode too; they are played
    frames = [8, 9, 54, 56, 57, 71, 72, 83, 84, 85, 112, 126, 129, 130, 150, 178]

    with browser(tmp_path / "profile") as session:
        ask(f"{session}/url", "POST", url="about:blank")
        data = base64.b64encode(rendered.output.read_bytes()).decode()
        moments = [(frame + 0.5) / 30 for frame in frames]
        found = ask(f"{session}/execute/async", "POST", script=SCRIPT, args=[data, moments, 118.5 / 30])

    assert "error" not in found, found
    assert [wanted[frame] for frame in frames] == decode_strips(found["shown"])
    played: list[FrameCode | None] = decode_strips([strip for _, strip in found["played"]])
    numbers = [round(moment * 30) for moment, _ in found["played"]]
    assert {127, 128} & {*numbers}
    late = [n for n, one in zip(numbers, played, strict=True) if one not in wanted[n : n + 2]]  # drawn a moment after
    assert [] == late
