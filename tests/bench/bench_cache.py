"""Benchmark: the first render, the same again, after one clip was edited, and by a deadline of a third of the time.

    nox -s cache
    nox -s cache -- --runs 3 --clips 40 --json cache.json

Each run has a cache of its own that is empty at first. What counts is the ratio to the first render of the same run.
Every frame of every output is read back.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from make_case import SECONDS, VIDEOS, make_sources, make_timeline, write_timeline

sys.path.insert(0, str(Path(__file__).parents[1]))

from golden import Numbered, wanted_frames
from media import read_frames

from clipcut.ffmpeg.tools import find_ffmpeg


def render(document: dict[str, Any], case: Path, cache: Path, ffmpeg: str, *flags: str) -> tuple[float, dict[str, Any]]:
    """Render in a process of its own, as a user does; return wall seconds and the report."""
    timeline, output = write_timeline(case / "cache.json", document), case / "cache.mp4"
    command = [sys.executable, "-m", "clipcut", "render", str(timeline), "-o", str(output), "--ffmpeg", ffmpeg]
    began = time.perf_counter()
    subprocess.run([*command, "--cache-dir", str(cache), "--force", "-q", *flags], check=False, stderr=subprocess.PIPE)
    return time.perf_counter() - began, json.loads(output.with_suffix(".report.json").read_text())


def count_wrong(document: dict[str, Any], report: dict[str, Any], case: Path, ffmpeg: str) -> int:
    """Return how many frames of the output are wrong; those of placeholders are not looked at."""
    fates = zip(document["clips"], report["clips"], strict=True)
    clips = [clip | ({"video_id": "x"} if "placeholder" in fate["status"] else {}) for clip, fate in fates]
    media = {f"v{number}": Numbered(number, frames=SECONDS * 30) for number in range(1, VIDEOS + 1)}
    wanted, found = wanted_frames(document | {"clips": clips}, media), read_frames(case / "cache.mp4", ffmpeg=ffmpeg)
    wrong = sum(a != b for a, b in zip(wanted, found, strict=False) if a is not None)
    return wrong + abs(len(wanted) - len(found))


def edited(document: dict[str, Any]) -> dict[str, Any]:
    """Return the timeline with its middle clip half a second earlier or later."""
    clips = list(document["clips"])
    middle = clips[len(clips) // 2]
    step = 0.5 if middle["start"] < 1 else -0.5
    clips[len(clips) // 2] = middle | {"start": middle["start"] + step, "end": middle["end"] + step}
    return document | {"clips": clips}


def one_run(document: dict[str, Any], case: Path, ffmpeg: str) -> dict[str, Any]:
    """Render four times: first, again, edited, and with an empty cache by a deadline."""
    with tempfile.TemporaryDirectory() as cache, tempfile.TemporaryDirectory() as other:
        row: dict[str, Any] = {}
        steps = {"first": (document, cache), "again": (document, cache), "edited": (edited(document), cache)}
        steps["deadline"] = (document, other)
        for name, (wanted, folder) in steps.items():
            flags = ["--deadline", f"{row['first']['wall_s'] / 3:.2f}"] if name == "deadline" else []
            wall, report = render(wanted, case, Path(folder), ffmpeg, *flags)
            stats = report["clip_stats"]
            row[name] = {
                "wall_s": round(wall, 3),
                "exit_code": report["exit_code"],
                "cached": stats["cached_tasks"],
                "placeholders": stats["placeholder_tasks"],
                "late": sum(clip["fallback_reason"] == "deadline" for clip in report["clips"]),
                "wrong_frames": count_wrong(wanted, report, case, ffmpeg),
            }
    return row


def main() -> None:
    """Make the case if need be, run, print and write the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--clips", type=int, default=40)
    parser.add_argument("--ffmpeg", default=None)
    parser.add_argument("--case", type=Path, default=Path(tempfile.gettempdir()) / "clipcut-bench")
    parser.add_argument("--json", type=Path, default=None, help="write the figures there")
    arguments = parser.parse_args()
    ffmpeg, case = find_ffmpeg(arguments.ffmpeg, "flag")[0], arguments.case
    make_sources(case, ffmpeg)
    document = make_timeline(clips=arguments.clips, seed=7, milliseconds=False)
    rows = []
    for number in range(arguments.runs):
        rows.append(row := one_run(document, case, ffmpeg))
        print(f"run {number + 1}:")
        for name, found in row.items():
            facts = ", ".join(f"{value} {key.replace('_', ' ')}" for key, value in found.items() if key != "wall_s")
            ratio = found["wall_s"] / row["first"]["wall_s"]
            print(f"  {name:8} {found['wall_s']:6.2f} s, {ratio:.3f} of the first; {facts}", flush=True)
    medians = {
        name: round(statistics.median(row[name]["wall_s"] / row["first"]["wall_s"] for row in rows), 3)
        for name in ("again", "edited", "deadline")
    }
    print(f"median ratios of {len(rows)} runs: {medians}")
    if arguments.json is not None:
        arguments.json.write_text(json.dumps({"clips": arguments.clips, "runs": rows, "medians": medians}, indent=2))


if __name__ == "__main__":
    main()
