"""Benchmark: clipcut beside two plain single-threaded FFmpegs at a time, the same clips, the same FFmpeg.

    nox -s bench
    nox -s bench -- --runs 3 --clips 30 --json bench.json

Both sides begin from the same timeline of local files and end with one MP4. Runs are interleaved (A B A B ...), so that
a machine whose speed drifts hurts both alike; what counts is the ratio run by run, and its median. The plain side is
what a careful user would write: per clip one ``ffmpeg -ss … -i … -t …`` with ``-threads 1`` to H.264 with PCM, two at a
time, then a concat that copies the picture and encodes the sound.
"""

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from make_case import make_sources, make_timeline, write_timeline

from clipcut.ffmpeg.tools import find_ffmpeg


def run_clipcut(timeline: Path, output: Path, ffmpeg: str, concurrency: int) -> None:
    """Render with clipcut in a process of its own, as a user does; its cache is empty at first."""
    command = [sys.executable, "-m", "clipcut", "render", str(timeline), "-o", str(output), "--ffmpeg", ffmpeg]
    with tempfile.TemporaryDirectory() as cache:
        flags = ["--concurrency", str(concurrency), "--force", "-q", "--cache-dir", cache]
        subprocess.run([*command, *flags], check=True)


def run_plain(timeline: Path, output: Path, ffmpeg: str, at_once: int) -> None:
    """Do the same with plain FFmpegs, ``at_once`` at a time, and a concat."""
    document = json.loads(timeline.read_text())
    with tempfile.TemporaryDirectory(dir=output.parent) as folder:
        base = [ffmpeg, "-v", "error", "-nostdin", "-y", "-threads", "1"]
        code = ["-c:v", "libx264", "-preset", "veryfast", "-crf", "23", "-threads", "1", "-pix_fmt", "yuv420p"]

        def cut(index: int) -> None:
            clip = document["clips"][index]
            source = timeline.parent / document["sources"][clip["video_id"]]["url"]
            length = f"{clip['end'] - clip['start']:.6f}"
            seek = ["-ss", f"{clip['start']:.6f}", "-i", str(source), "-t", length]
            target = f"{folder}/{index:05}.mov"
            subprocess.run(
                [*base, *seek, *code, "-r", "30", "-c:a", "pcm_s16le", "-ar", "48000", "-ac", "2", target], check=True
            )

        with ThreadPoolExecutor(at_once) as pool:
            list(pool.map(cut, range(len(document["clips"]))))
        listing = Path(folder) / "list.txt"
        listing.write_text("".join(f"file {index:05}.mov\n" for index in range(len(document["clips"]))))
        join = ["-f", "concat", "-i", str(listing), "-c:v", "copy", "-c:a", "aac", "-b:a", "192k"]
        subprocess.run(
            [ffmpeg, "-v", "error", "-nostdin", "-y", *join, "-movflags", "+faststart", str(output)], check=True
        )


def timed(run: Any, *arguments: Any) -> dict[str, float]:
    """Run something and return wall and CPU seconds, children's included."""
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    run(*arguments)
    wall, after = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return {"wall_s": round(wall, 3), "cpu_s": round(cpu, 3)}


def main() -> None:
    """Make the case if need be, run both sides in turn, print and write the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=5, help="counted runs of each side")
    parser.add_argument("--clips", type=int, default=60)
    parser.add_argument("--concurrency", type=int, default=4)
    parser.add_argument("--ffmpeg", default=None, help="the FFmpeg of both sides; default: the packaged one")
    parser.add_argument(
        "--case", type=Path, default=Path(tempfile.gettempdir()) / "clipcut-bench", help="where sources are kept"
    )
    parser.add_argument("--json", type=Path, default=None, help="write the figures there")
    arguments = parser.parse_args()
    ffmpeg = find_ffmpeg(arguments.ffmpeg, "flag")[0]
    case: Path = arguments.case
    make_sources(case, ffmpeg)
    timeline = write_timeline(case / "bench.json", make_timeline(clips=arguments.clips, seed=7, milliseconds=False))
    print(f"{arguments.clips} clips, {os.cpu_count()} cores, {ffmpeg}")
    rows: list[dict[str, Any]] = []
    run_clipcut(timeline, case / "warm-up.mp4", ffmpeg, arguments.concurrency)
    for number in range(arguments.runs):
        ours = timed(run_clipcut, timeline, case / "clipcut.mp4", ffmpeg, arguments.concurrency)
        plain = timed(run_plain, timeline, case / "plain.mp4", ffmpeg, 2)
        ratio = round(ours["wall_s"] / plain["wall_s"], 3)
        rows.append({"clipcut": ours, "plain": plain, "ratio": ratio})
        print(
            f"run {number + 1}: clipcut {ours['wall_s']:6.2f} s, plain {plain['wall_s']:6.2f} s, ratio {ratio:.3f}",
            flush=True,
        )
    median = statistics.median(row["ratio"] for row in rows)
    print(f"median ratio of {len(rows)} interleaved runs: {median:.3f}")
    if arguments.json is not None:
        arguments.json.write_text(
            json.dumps({"clips": arguments.clips, "runs": rows, "median_ratio": median}, indent=2)
        )


if __name__ == "__main__":
    main()
