"""Benchmark: ``--cut auto`` beside ``--cut encode`` and beside smartcut, three clips of 30 s from one matching source.

    nox -s cut
    nox -s cut -- --runs 5 --smartcut /tmp/venv-smartcut/bin/smartcut --json cut.json

The source has what the output has: 1280x720 at 30/s, H.264 with B-frames, a keyframe each 2 s, BT.709, AAC. Runs are
interleaved, and what counts is the ratio run by run, and its median. Then every frame of our videos is read back.
smartcut (``pip install smartcut``, in an environment of its own) is left out where it isn't there.
"""

import argparse
import json
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from make_case import write_timeline

sys.path.insert(0, str(Path(__file__).parents[1]))

from golden import Numbered, wanted_frames
from media import make_source, read_frames

from clipcut.ffmpeg.tools import find_ffmpeg

SECONDS, LENGTH = 120, 30
STARTS = (5.5, 41.3, 80.7)
TAGS = "setparams=range=tv:color_primaries=bt709:color_trc=bt709:colorspace=bt709"


def make_case(folder: Path, ffmpeg: str) -> Path:
    """Make the source, unless it is there, and the timeline; return the latter."""
    folder.mkdir(parents=True, exist_ok=True)
    source = folder / "matching.mp4"
    if not source.exists():
        args = ("-c:v", "libx264", "-preset", "veryfast", "-bf", "3", "-pix_fmt", "yuv420p")
        part = source.with_suffix(".part.mp4")
        make_source(
            part,
            ffmpeg=ffmpeg,
            source_id=1,
            seconds=SECONDS,
            width=1280,
            height=720,
            gop=60,
            video_args=args,
            video_filter=TAGS,
        )
        part.rename(source)
    clips = [{"video_id": "v", "start": start, "duration": LENGTH} for start in STARTS]
    return write_timeline(folder / "cut.json", {"version": 1, "sources": {"v": {"url": source.name}}, "clips": clips})


def run_clipcut(timeline: Path, output: Path, ffmpeg: str, cut: str) -> None:
    """Render in a process of its own, with nothing kept from before."""
    command = [sys.executable, "-m", "clipcut", "render", str(timeline), "-o", str(output), "--ffmpeg", ffmpeg]
    subprocess.run([*command, "--cut", cut, "--no-cache", "--force", "-q"], check=True)


def run_smartcut(program: str, source: Path, output: Path) -> None:
    """Cut the same ranges with smartcut."""
    ranges = ",".join(f"{start},{start + LENGTH}" for start in STARTS)
    subprocess.run([program, str(source), str(output), "--keep", ranges], check=True, capture_output=True)


def timed(run: Callable[..., None], *arguments: Any) -> dict[str, float]:
    """Run something; return wall and processor seconds, children's included."""
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    run(*arguments)
    wall, after = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return {"wall_s": round(wall, 3), "cpu_s": round(cpu, 3)}


def wrong_frames(timeline: Path, output: Path, ffmpeg: str) -> int:
    """Count the frames that are not the ones asked for, and those too many or too few."""
    document = {"output": {}} | json.loads(timeline.read_text())
    wanted = wanted_frames(document, {"v": Numbered(1, frames=SECONDS * 30)})
    found = read_frames(output, ffmpeg=ffmpeg)
    return sum(a != b for a, b in zip(wanted, found, strict=False)) + abs(len(wanted) - len(found))


def ratios(rows: list[dict[str, Any]], other: str) -> str:
    """Write the median ratio to another side, by the clock and by the processors' time."""
    of_wall, of_cpu = (
        statistics.median(row["auto"][what] / row[other][what] for row in rows) for what in ("wall_s", "cpu_s")
    )
    return f"auto/{other}: {of_wall:.3f} (CPU {of_cpu:.3f})"


def main() -> int:
    """Make the case if need be, run all sides in turn, print and write the figures; 1 if a frame is wrong."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=5, help="counted runs of each side")
    parser.add_argument("--smartcut", default=shutil.which("smartcut"), help="its program; default: the PATH's")
    parser.add_argument("--ffmpeg", default=None, help="the FFmpeg of clipcut; default: the packaged one")
    parser.add_argument("--case", type=Path, default=Path(tempfile.gettempdir()) / "clipcut-bench")
    parser.add_argument("--json", type=Path, default=None, help="write the figures there")
    arguments = parser.parse_args()
    ffmpeg, case = find_ffmpeg(arguments.ffmpeg, "flag")[0], arguments.case
    timeline = make_case(case, ffmpeg)
    rows: list[dict[str, Any]] = []
    run_clipcut(timeline, case / "warm-up.mp4", ffmpeg, "auto")
    for number in range(arguments.runs):
        row: dict[str, Any] = {}
        for cut in ("auto", "encode"):
            row[cut] = timed(run_clipcut, timeline, case / f"cut-{cut}.mp4", ffmpeg, cut)
        if arguments.smartcut:
            row["smartcut"] = timed(run_smartcut, arguments.smartcut, case / "matching.mp4", case / "smartcut.mp4")
        rows.append(row)
        times = ", ".join(f"{side} {row[side]['wall_s']:.2f} s (CPU {row[side]['cpu_s']:.2f})" for side in row)
        print(f"run {number + 1}: {times}", flush=True)
    sides = [side for side in rows[0] if side != "auto"] if rows else []
    print(f"median of {len(rows)} interleaved runs: " + "; ".join(ratios(rows, side) for side in sides))
    clips = json.loads((case / "cut-auto.report.json").read_text())["clips"]
    wrong = wrong_frames(timeline, case / "cut-auto.mp4", ffmpeg)
    copied, frames = sum(clip["copied_frames"] for clip in clips), sum(clip["frames"] for clip in clips)
    print(f"{wrong} wrong frames of {frames}; {copied} were copied")
    if arguments.json is not None:
        arguments.json.write_text(json.dumps({"runs": rows, "wrong_frames": wrong, "copied": copied}, indent=2))
    return int(wrong > 0)


if __name__ == "__main__":
    sys.exit(main())
