"""Benchmark: the same clips over a slow origin and from local files, in turn; and every frame read back.

    python tests/bench/bench_network.py
    python tests/bench/bench_network.py --form file --runs 5 --json file.json

``--form hls``: each video in segments of 6 s. ``--form file``: each video one MP4, its index at the end.

The origin runs in a process of its own on loopback: 80 ms a connection, 80 ms a request, 2 MB/s a connection. Beside
the ratio of the times it prints what the origin saw: requests, connections, bytes, and how many bytes the clips need,
counted from the packets: from the keyframe at or before a clip's first picture to its last, and its sound with one
packet of lead, as lossy codecs overlap. For HLS it is the segments that have such packets. And it prints what
``clipcut plan`` had foretold.
"""

import argparse
import json
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
from make_case import SECONDS, VIDEOS, make_sources, make_timeline, write_timeline

sys.path.insert(0, str(Path(__file__).parents[1]))

from golden import Numbered, wanted_frames
from media import read_frames
from packaged import package

from clipcut.ffmpeg.tools import find_ffmpeg

ORIGIN = Path(__file__).parents[1] / "origin.py"


class SlowOrigin:
    """An origin in a process of its own."""

    def __init__(self, folder: Path, *, delay: float, rate: int) -> None:
        """Start it; ``delay`` in seconds a connection and a request, ``rate`` in bytes a second and connection."""
        flags = ["--connection-delay", str(delay), "--request-delay", str(delay), "--rate", str(rate)]
        command = [sys.executable, str(ORIGIN), str(folder), *flags]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        self.url = self._process.stdout.readline().strip()

    def stop(self) -> dict[str, Any]:
        """End it, and return what it saw."""
        self._process.send_signal(signal.SIGTERM)
        said, _ = self._process.communicate()
        found: dict[str, Any] = json.loads(said)
        return found


def package_sources(case: Path, ffmpeg: str) -> None:
    """Package the case's sources in segments of 6 s, unless they are there."""
    for number in range(1, VIDEOS + 1):
        if not (case / "www" / f"v{number}" / "index.m3u8").exists():
            package(case / f"v{number}.mp4", case / "www" / f"v{number}", ffmpeg=ffmpeg, seconds=6)


def packets(segment: Path) -> Iterator[tuple[str, Fraction, Fraction, bool]]:
    """Yield a segment's packets: kind, presentation time and end in seconds, whether it is a keyframe."""
    with av.open(str(segment)) as container:
        for packet in container.demux():
            if packet.pts is not None and packet.time_base is not None:
                begin = packet.pts * packet.time_base
                end = begin + (packet.duration or 0) * packet.time_base
                yield packet.stream.type, begin, end, packet.is_keyframe


def needed_of_segments(www: Path, document: dict[str, Any]) -> tuple[int, int]:
    """Return how many bytes and how many segments the clips need of their videos, each segment once."""
    needed: set[Path] = set()
    for name in document["sources"]:
        found = [(path, list(packets(path))) for path in sorted((www / name).glob("*.ts"))]
        zero = min(begin for kind, begin, _, _ in found[0][1] if kind == "video")
        keyframes = sorted(begin for _, some in found for kind, begin, _, is_key in some if kind == "video" and is_key)
        for clip in document["clips"]:
            if clip["video_id"] != name:
                continue
            start, end = (zero + Fraction(str(clip[field])) for field in ("start", "end"))
            half = Fraction(1, 60)
            first = max((moment for moment in keyframes if moment <= start + half), default=zero)
            needed |= {
                path
                for path, some in found
                if any(
                    (kind == "video" and first <= begin <= end - half)
                    or (kind == "audio" and stop > start - Fraction(1024, 48000) and begin < end)
                    for kind, begin, stop, _ in some
                )
            }
    return sum(path.stat().st_size for path in needed), len(needed)


def needed_of_files(case: Path, document: dict[str, Any]) -> tuple[int, int]:
    """Return how many bytes the samples have that the clips need, overlaps once, and how many samples that is."""
    needed: set[tuple[str, int, int]] = set()
    for name in document["sources"]:
        with av.open(str(case / f"{name}.mp4")) as container:
            some = [
                (packet.stream.type, packet.pts * packet.time_base, packet.is_keyframe, packet.pos, packet.size)
                for packet in container.demux()
                if packet.pts is not None and packet.time_base is not None
            ]
        for clip in document["clips"]:
            if clip["video_id"] != name:
                continue
            start, end = (Fraction(str(clip[field])) for field in ("start", "end"))
            half, lead = Fraction(1, 60), Fraction(1024, 48000)
            first = max(
                begin for kind, begin, is_key, _, _ in some if kind == "video" and is_key and begin <= start + half
            )
            needed |= {
                (name, place, size)
                for kind, begin, _, place, size in some
                if (kind == "video" and first <= begin <= end - half)
                or (kind == "audio" and start - 2 * lead <= begin < end)
            }
    return sum(size for _, _, size in needed), len(needed)


def index_bytes(path: Path) -> int:
    """Return how long an MP4's movie box is."""
    data, at = path.read_bytes(), 0
    while data[at + 4 : at + 8] != b"moov":
        at += int.from_bytes(data[at : at + 4])
    return int.from_bytes(data[at : at + 4])


def render(timeline: Path, output: Path, ffmpeg: str) -> tuple[float, dict[str, Any]]:
    """Render in a process of its own, whose cache is empty at first; return wall seconds and the report."""
    command = [sys.executable, "-m", "clipcut", "render", str(timeline), "-o", str(output), "--ffmpeg", ffmpeg]
    with tempfile.TemporaryDirectory() as cache:
        began = time.perf_counter()
        flags = ["--concurrency", "6", "--per-video", "2", "--force", "-q", "--cache-dir", cache]
        subprocess.run([*command, *flags], check=True)
        wall = time.perf_counter() - began
    return wall, json.loads(output.with_suffix(".report.json").read_text())


def over_network(form: str, case: Path, document: dict[str, Any], ffmpeg: str) -> dict[str, Any]:
    """Ask for a plan and then render, each over a fresh slow origin; return times, report, and what was seen."""
    found: dict[str, Any] = {}
    for step in ("plan", "render"):
        origin = SlowOrigin(case / "www" if form == "hls" else case, delay=0.08, rate=2_000_000)
        end = "/index.m3u8" if form == "hls" else ".mp4"
        sources = {name: {"url": f"{origin.url}/{name}{end}"} for name in document["sources"]}
        timeline = write_timeline(case / "network.json", document | {"sources": sources})
        try:
            if step == "plan":
                command = [sys.executable, "-m", "clipcut", "plan", str(timeline), "--json"]
                said = subprocess.run(command, check=True, capture_output=True, text=True).stdout
                found["totals"] = json.loads(said)["totals"]
            else:
                found["wall"], found["report"] = render(timeline, case / "network.mp4", ffmpeg)
        finally:
            found["seen"] = origin.stop()
    return found


def count_wrong(output: Path, document: dict[str, Any], ffmpeg: str) -> tuple[int, int]:
    """Return how many frames the output has, and how many of them are wrong."""
    media = {f"v{number}": Numbered(number, frames=SECONDS * 30) for number in range(1, VIDEOS + 1)}
    wanted, found = wanted_frames(document, media), read_frames(output, ffmpeg=ffmpeg)
    wrong = sum(a != b for a, b in zip(wanted, found, strict=False)) + abs(len(wanted) - len(found))
    return len(found), wrong


def show_traffic(form: str, found: dict[str, Any], needed: tuple[int, int], extra: int) -> float:
    """Print what the origin saw; return the bytes fetched over those that were needed and the ``extra`` ones."""
    seen, stats, totals = found["seen"], found["report"]["clip_stats"], found["totals"]
    share = seen["bytes_sent"] / (needed[0] + extra)
    print(f"  {seen['requests']} requests, {seen['connections']} connections (most at once {seen['most_open']})")
    if form == "hls":
        whole = Counter({path: n for path, n in seen["paths"].items() if path.endswith(".ts")})
        heads = Counter({path: len(ranges) for path, ranges in seen["ranges"].items()})
        twice = [path for path, n in (whole - heads).items() if n > 1]
        print(f"  {len(whole - heads)} segments fetched, {len(twice)} of them twice, {sum(heads.values())} heads")
    what = "segments" if form == "hls" else "samples"
    print(f"  {seen['bytes_sent'] / 1e6:.2f} MB; {needed[1]} {what} of {needed[0] / 1e6:.2f} MB needed: {share:.3f}")
    size = "unknown" if totals["bytes"] is None else f"{totals['bytes'] / 1e6:.2f} MB"
    print(f"  plan foretold {totals['requests']} requests, {size}; the report says {stats['requests']}, ", end="")
    print(f"{stats['bytes_fetched'] / 1e6:.2f} MB")
    return float(share)


def main() -> int:
    """Make the case if need be, run both sides in turn, print and write the figures; 1 if a frame is wrong."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--form", choices=("hls", "file"), default="hls")
    parser.add_argument("--runs", type=int, default=3, help="counted runs of each side")
    parser.add_argument("--clips", type=int, default=60)
    parser.add_argument("--ffmpeg", default=None, help="the FFmpeg of both sides; default: the packaged one")
    parser.add_argument("--case", type=Path, default=Path(tempfile.gettempdir()) / "clipcut-bench")
    parser.add_argument("--json", type=Path, default=None, help="write the figures there")
    arguments = parser.parse_args()
    ffmpeg, case, form = find_ffmpeg(arguments.ffmpeg, "flag")[0], arguments.case, arguments.form
    make_sources(case, ffmpeg)
    package_sources(case, ffmpeg)
    document = make_timeline(clips=arguments.clips, seed=7, milliseconds=False)
    local = write_timeline(case / "local.json", document)
    videos = [f"v{number}" for number in range(1, VIDEOS + 1)]
    if form == "hls":
        needed = needed_of_segments(case / "www", document)
        extra = sum((case / "www" / name / "index.m3u8").stat().st_size for name in videos)
    else:
        needed = needed_of_files(case, document)
        extra = sum(index_bytes(case / f"{name}.mp4") for name in videos)
    rows: list[dict[str, Any]] = []
    render(local, case / "local.mp4", ffmpeg)
    for number in range(arguments.runs):
        found = over_network(form, case, document, ffmpeg)
        base, _ = render(local, case / "local.mp4", ffmpeg)
        wall, ratio = found["wall"], found["wall"] / base
        print(f"run {number + 1}: {form} {wall:6.2f} s, local {base:6.2f} s, ratio {ratio:.3f}", flush=True)
        share = show_traffic(form, found, needed, extra)
        row = {"network_s": round(wall, 2), "local_s": round(base, 2), "ratio": round(ratio, 3)}
        rows.append(row | {"bytes_over_needed": round(share, 4), "foretold": found["totals"], "seen": found["seen"]})
    frames, wrong = count_wrong(case / "network.mp4", document, ffmpeg)
    median = statistics.median(row["ratio"] for row in rows)
    print(f"median ratio of {len(rows)} interleaved runs: {median:.3f}; {frames} frames, {wrong} wrong")
    if arguments.json is not None:
        arguments.json.write_text(json.dumps({"runs": rows, "median_ratio": median, "wrong": wrong}, indent=2))
    return int(bool(wrong))


if __name__ == "__main__":
    sys.exit(main())
