"""Check a large render frame by frame and click by click: the benchmark's case, read back from the finished file.

nox -s exact                                  60 clips, cuts on the sources' frames
nox -s exact -- --milliseconds                the same cuts, rounded to the millisecond
nox -s exact -- --clips 500 --length 0.2      500 short ones
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from fractions import Fraction
from pathlib import Path

from make_case import SECONDS, VIDEOS, make_sources, make_timeline, write_timeline

sys.path.insert(0, str(Path(__file__).parents[1]))

from golden import Numbered, wanted_clicks, wanted_frames
from media import packet_times, read_clicks, read_frames

from clipcut.ffmpeg.tools import find_ffmpeg


def watched(command: list[str]) -> tuple[int, float, int]:
    """Run clipcut; return its exit code, its own peak memory in MB (children not counted) and most open files."""
    memory, files = 0.0, 0
    with subprocess.Popen(command) as process:
        while process.poll() is None:
            try:
                status = Path(f"/proc/{process.pid}/status").read_text()
                memory = max(memory, int(status.split("VmHWM:")[1].split()[0]) / 1024)
                files = max(files, len(list(Path(f"/proc/{process.pid}/fd").iterdir())))
            except (OSError, IndexError):
                pass
            time.sleep(0.05)
    return process.returncode, memory, files


def main() -> int:
    """Render, read back, print; 1 if a single frame or click is wrong."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clips", type=int, default=60)
    parser.add_argument("--length", type=float, default=None, help="seconds of every clip; default 1.5 to 3.5")
    parser.add_argument("--milliseconds", action="store_true")
    parser.add_argument("--concurrency", type=int, default=6)
    parser.add_argument("--ffmpeg", default=None)
    parser.add_argument("--case", type=Path, default=Path(tempfile.gettempdir()) / "clipcut-bench")
    arguments = parser.parse_args()
    ffmpeg, case = find_ffmpeg(arguments.ffmpeg, "flag")[0], arguments.case
    make_sources(case, ffmpeg)
    shortest, longest = (1.5, 3.5) if arguments.length is None else (arguments.length, arguments.length)
    document = make_timeline(
        clips=arguments.clips, seed=7, shortest=shortest, longest=longest, milliseconds=arguments.milliseconds
    )
    timeline, output = write_timeline(case / "exact.json", document), case / "exact.mp4"
    command = [sys.executable, "-m", "clipcut", "render", str(timeline), "-o", str(output), "--ffmpeg", ffmpeg]
    code, memory, files = watched(
        [*command, "--concurrency", str(arguments.concurrency), "--force", "-q", "--no-cache"]
    )
    stats = json.loads(output.with_suffix(".report.json").read_text())["clip_stats"]

    media = {f"v{number}": Numbered(number, frames=SECONDS * 30) for number in range(1, VIDEOS + 1)}
    wanted, found = wanted_frames(document, media), read_frames(output, ffmpeg=ffmpeg)
    wrong = sum(a != b for a, b in zip(wanted, found, strict=False)) + abs(len(wanted) - len(found))
    uneven = sum(moment != Fraction(n, 30) for n, moment in enumerate(packet_times(output)))
    clicks, heard = wanted_clicks(document), read_clicks(output, ffmpeg=ffmpeg)
    worst = max(min(abs(click - other) for other in heard) for click in clicks) * 1000
    print(f"exit {code}; {len(found)} frames, {wrong} wrong, {uneven} uneven")
    print(f"{len(clicks)} clicks, {len(heard)} heard, worst {worst:.4f} ms")
    peaks = f"{stats['peak_parallelism']} of {stats['max_parallelism']}, per video {stats['peak_per_video']}"
    print(f"at once: {peaks}; Python {memory:.0f} MB, {files} open files")
    return int(bool(code or wrong or uneven or worst > 2))


if __name__ == "__main__":
    sys.exit(main())
