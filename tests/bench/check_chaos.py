"""Render with chaos, seed by seed: one request of five goes wrong, limits change, and all must be right all the same.

nox -s chaos                                  10 seeds of 300 clips
nox -s chaos -- --first 17 --seeds 1          that seed again
nox -s chaos -- --memory                      peak memory for 100, 1,000 and 3,000 local clips
"""

import argparse
import faulthandler
import json
import sys
import tempfile
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from chaos import FPS, SECONDS, make_media, run_seed
from check_exact import watched
from golden import timeline

from clipcut.ffmpeg.tools import find_ffmpeg

MOST_S = 300
"""A seed that takes longer hangs: its threads are printed, and the process ends."""
GROWTH_KB = 20
"""What each clip more may take: its task, its result and its part of the report, and none of its media."""


def check_seeds(folder: Path, ffmpeg: str, first: int, seeds: int, clips: int) -> int:
    """Run seeds; return how many had a mistake."""
    make_media(folder, ffmpeg)
    run_seed(folder, -1, clips=1, ffmpeg=ffmpeg)  # what is loaded once for all isn't left behind
    bad, faults = 0, Counter[str]()
    for seed in range(first, first + seeds):
        faulthandler.dump_traceback_later(MOST_S, exit=True)
        outcome = run_seed(folder, seed, clips=clips, ffmpeg=ffmpeg)
        faulthandler.cancel_dump_traceback_later()
        faults += outcome.faults
        bad += bool(outcome.mistakes)
        stats = outcome.rendered.report["clip_stats"]
        print(
            f"seed {seed}: exit {outcome.rendered.exit_code}, {outcome.seconds:.0f} s; "
            f"{stats['success_tasks']} as asked, "
            f"{stats['fallback_local_tasks']} local, {stats['placeholder_tasks']} placeholders; "
            f"{stats['requests']} requests, {outcome.faults.total()} faults, {outcome.changes} changes of limits; "
            f"{len(outcome.mistakes)} mistakes",
            flush=True,
        )
        for mistake in outcome.mistakes[:20]:
            print(f"  {mistake}", flush=True)
    print("faults: " + ", ".join(f"{count} {name}" for name, count in faults.most_common()))
    return bad


def check_memory(folder: Path, ffmpeg: str, counts: list[int]) -> int:
    """Render more and more local clips; return 1 if a clip more takes more than its share."""
    make_media(folder, ffmpeg, count=1)
    source, peaks = str(folder / "local" / "v0.mp4"), []
    for count in counts:
        clips = [
            {"video_id": f"v{n % 4}", "start": n * 7 % ((SECONDS - 1) * FPS) / FPS, "duration": 0.2}
            for n in range(count)
        ]
        document = timeline(clips, {f"v{n}": source for n in range(4)}, width=160, height=90, fps=FPS)
        path, output = folder / "memory.json", folder / "memory.mp4"
        path.write_text(json.dumps(document))
        command = [sys.executable, "-m", "clipcut", "render", str(path), "-o", str(output), "--ffmpeg", ffmpeg]
        code, memory, files = watched([*command, "--concurrency", "4", "--per-video", "4", "-q", "--no-cache"])
        peaks.append(memory)
        print(f"{count} clips: exit {code}; Python {memory:.0f} MB at most, {files} open files at most", flush=True)
        if code:
            return 1
    growth = (peaks[-1] - peaks[0]) * 1024 / (counts[-1] - counts[0])
    print(f"{growth:.1f} kB a clip")
    return int(growth > GROWTH_KB)


def main() -> int:
    """Check, print; 1 if anything was wrong."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--first", type=int, default=1)
    parser.add_argument("--clips", type=int, default=300)
    parser.add_argument("--ffmpeg", default=None)
    parser.add_argument("--memory", action="store_true")
    parser.add_argument("--counts", type=int, nargs="+", default=[100, 1000, 3000], help="with --memory")
    arguments = parser.parse_args()
    ffmpeg = find_ffmpeg(arguments.ffmpeg, "flag")[0]
    with tempfile.TemporaryDirectory() as folder:
        if arguments.memory:
            return check_memory(Path(folder), ffmpeg, arguments.counts)
        return int(bool(check_seeds(Path(folder), ffmpeg, arguments.first, arguments.seeds, arguments.clips)))


if __name__ == "__main__":
    sys.exit(main())
