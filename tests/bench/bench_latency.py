"""Benchmark: 60 clips over an origin or a runner with latency, one after another and four at a time.

    python tests/bench/bench_latency.py
    python tests/bench/bench_latency.py --where origin --latency 0.7 --runs 2 --json latency.json

``origin``: each rung waits before its media is looked at, as a download would make it wait; clipcut is told to wait in
place of fetching, everything else is the ordinary command. ``runner``: each FFmpeg that cuts begins late; ``--ffmpeg``
names a script that sleeps and then becomes the packaged FFmpeg. A late FFmpeg holds an encoder place, and there are as
many of those as cores, so on two cores at most two such waits overlap.

Runs of both sides are interleaved (1 4 1 4), as the machine's speed may drift. The figures come from the reports.
"""

import argparse
import json
import os
import shlex
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any
from unittest import mock

import attrs
import trio

from clipcut import cli, pipeline
from clipcut.cut import FFmpegCutter
from clipcut.events import Told
from clipcut.ffmpeg.tools import find_ffmpeg
from clipcut.limits import usable_cores
from clipcut.plan import Edit, Method, Rung
from clipcut.results import CutFile

CASE = Path(__file__).parents[2] / "fixtures" / "slow_render_case.json"
TARGET = 0.6
"""At four places at most this share of the time that one place takes."""


def render_over_slow_origin(latency: float, arguments: list[str]) -> int:
    """Run the command line with a cutter that waits before every rung with media, and return its exit code."""

    @attrs.define(kw_only=True)
    class SlowOrigin(FFmpegCutter):
        async def cut(self, edit: Edit, rung: Rung, told: Told) -> tuple[CutFile, ...]:
            if rung.method is not Method.PLACEHOLDER:
                await trio.sleep(latency)
            return await FFmpegCutter.cut(self, edit, rung, told)

    with mock.patch.object(pipeline, "FFmpegCutter", SlowOrigin):
        return cli.run(arguments)


def write_slow_runner(path: Path, ffmpeg: str, latency: float) -> Path:
    """Write a script that sleeps before it becomes FFmpeg, if it is to encode a picture."""
    late = f'case " $* " in *" libx264 "*) sleep {latency} ;; esac'
    path.write_text(f'#!/bin/sh\n{late}\nexec {shlex.quote(ffmpeg)} "$@"\n')
    path.chmod(0o755)
    return path


def measure(where: str, concurrency: int, arguments: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Render once in a process of its own; return wall seconds and what the report says."""
    output, ffmpeg = folder / "slow.mp4", find_ffmpeg(None, "")[0]
    if where == "runner":
        ffmpeg = str(write_slow_runner(folder / "slow-ffmpeg", ffmpeg, arguments.latency))
    program = [__file__, "--as-origin", str(arguments.latency)] if where == "origin" else ["-m", "clipcut"]
    limits = ["--concurrency", str(concurrency), "--per-video", str(arguments.per_video)]
    flags = ["-o", str(output), "--ffmpeg", ffmpeg, *limits, "-q", "--no-cache"]
    began = time.perf_counter()
    subprocess.run([sys.executable, *program, "render", str(arguments.case), *flags], check=True)
    wall = time.perf_counter() - began
    report = json.loads(output.with_suffix(".report.json").read_text())
    return {"concurrency": concurrency, "wall_s": round(wall, 2), "clip_stats": report["clip_stats"]}


def show(run: dict[str, Any]) -> str:
    """Write one run as a line."""
    stats = run["clip_stats"]
    totals = f"{stats['success_tasks']} of {stats['total_tasks']} clips, peak {stats['peak_parallelism']}"
    times = f"avg {stats['avg_duration_ms']} ms, p95 {stats['p95_duration_ms']} ms, max {stats['max_duration_ms']} ms"
    return f"  --concurrency {run['concurrency']}: {run['wall_s']:6.2f} s  ({totals}; {times})"


def compare(where: str, arguments: argparse.Namespace) -> dict[str, Any]:
    """Run both sides in turn; print each run, and the share of time that four places need."""
    print(f"{where}, {arguments.latency} s of latency a clip, --per-video {arguments.per_video}:", flush=True)
    runs, ratios = [], []
    with tempfile.TemporaryDirectory(prefix="clipcut-latency-") as name:
        for _ in range(arguments.runs):
            pair = []
            for concurrency in (1, 4):
                pair.append(measure(where, concurrency, arguments, Path(name)))
                print(show(pair[-1]), flush=True)
            runs += pair
            ratios.append(pair[1]["wall_s"] / pair[0]["wall_s"])
    ratio = statistics.median(ratios)
    verdict = "kept" if ratio <= TARGET else "MISSED"
    print(f"  {1 - ratio:.0%} less time (median of {len(ratios)}); target at least {1 - TARGET:.0%}: {verdict}")
    return {"where": where, "runs": runs, "ratio": round(ratio, 3)}


def main() -> int:
    """Measure, print, and write the figures; 1 if the target was missed."""
    if sys.argv[1:2] == ["--as-origin"]:
        return render_over_slow_origin(float(sys.argv[2]), sys.argv[3:])
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--case", type=Path, default=CASE, help="the timeline")
    parser.add_argument("--where", choices=("origin", "runner", "both"), default="both", help="where the latency is")
    parser.add_argument("--latency", type=float, default=0.7, help="seconds a clip")
    parser.add_argument("--per-video", type=int, default=2)
    parser.add_argument("--runs", type=int, default=2, help="runs of each side")
    parser.add_argument("--json", type=Path, default=None, help="write the figures there")
    arguments = parser.parse_args()
    print(f"{arguments.case.name}, {usable_cores()} usable cores of {os.cpu_count()}")
    places = ("origin", "runner") if arguments.where == "both" else (arguments.where,)
    found = [compare(where, arguments) for where in places]
    if arguments.json is not None:
        arguments.json.write_text(json.dumps({"latency_s": arguments.latency, "found": found}, indent=2))
    return 0 if all(part["ratio"] <= TARGET for part in found) else 1


if __name__ == "__main__":
    sys.exit(main())
