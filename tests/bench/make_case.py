"""Make the benchmark's case: 60 clips of 1.5 to 3.5 s from six 120 s sources of 1280x720 at 30/s, from a seed."""

import json
import random
import sys
from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from media import make_source

VIDEOS = 6
SECONDS = 120


def make_sources(folder: Path, ffmpeg: str) -> None:
    """Make the six sources, unless they are there: keyframe each 2 s, numbered frames, a click each second."""
    folder.mkdir(parents=True, exist_ok=True)

    def make(number: int) -> None:
        target = folder / f"v{number}.mp4"
        if not target.exists():
            args = ("-c:v", "libx264", "-preset", "veryfast", "-crf", "26", "-pix_fmt", "yuv420p", "-threads", "1")
            part = target.with_suffix(".part.mp4")
            make_source(
                part, ffmpeg=ffmpeg, source_id=number, seconds=SECONDS, width=1280, height=720, gop=60, video_args=args
            )
            part.rename(target)

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(make, range(1, VIDEOS + 1)))


def make_timeline(
    *, clips: int, seed: int, shortest: float = 1.5, longest: float = 3.5, milliseconds: bool
) -> dict[str, Any]:
    """Make a timeline whose cuts lie on the sources' frames, written exactly or rounded to the millisecond."""
    chance = random.Random(seed)
    entries = []
    for index in range(clips):
        frames = chance.randint(round(shortest * 30), round(longest * 30))
        first = chance.randint(0, SECONDS * 30 - frames)
        places = 3 if milliseconds else 12
        entries.append(
            {
                "video_id": f"v{index % VIDEOS + 1}",
                "start": float(round(Fraction(first, 30), places)),
                "end": float(round(Fraction(first + frames, 30), places)),
            }
        )
    sources = {f"v{number}": {"url": f"v{number}.mp4"} for number in range(1, VIDEOS + 1)}
    return {"version": 1, "output": {"path": "mix.mp4"}, "sources": sources, "clips": entries}


def write_timeline(path: Path, document: dict[str, Any]) -> Path:
    """Write a timeline as JSON."""
    path.write_text(json.dumps(document, indent=1))
    return path
