"""What a user would do instead of clipcut: the same clips to the same settings, with the same FFmpeg.

    python tests/bench/peers.py two_at_a_time TIMELINE OUTPUT --ffmpeg FFMPEG

Each way is a function of a timeline and an output; ``bench.py`` runs them in a process of their own, as it does
clipcut. All encode with x264 ``veryfast`` at CRF 23, 30 frames a second, and AAC at 192 kbit/s, and begin from the
timeline's exact times.
"""

import argparse
import importlib
import importlib.util
import json
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import attrs

PICTURE = ["-c:v", "libx264", "-preset", "veryfast", "-crf", "23", "-pix_fmt", "yuv420p"]
SOUND = ["-c:a", "aac", "-b:a", "192k", "-ar", "48000", "-ac", "2"]
RAW_SOUND = ["-c:a", "pcm_s16le", "-ar", "48000", "-ac", "2"]
ONE_THREAD = ["-threads", "1"]
MOST_INPUTS = 100
"""More inputs than this aren't given to one FFmpeg: each has a decoder and its threads open at once."""


@attrs.frozen
class Task:
    """What a peer is to do: a timeline, as a file and as read; the output; the program."""

    timeline: Path
    document: dict[str, Any]
    output: Path
    ffmpeg: str

    def source(self, clip: dict[str, Any]) -> str:
        """Return where a clip's media is: an address, or a path."""
        url: str = self.document["sources"][clip["video_id"]]["url"]
        return url if "://" in url else str(self.timeline.parent / url)

    def cut(self, clip: dict[str, Any]) -> list[str]:
        """Return the options that open a clip's source at its start, and end with it."""
        return ["-ss", f"{clip['start']:.6f}", "-t", f"{clip['end'] - clip['start']:.6f}", "-i", self.source(clip)]

    def run(self, arguments: Sequence[str], *, threads: Sequence[str] = ()) -> None:
        """Run FFmpeg."""
        subprocess.run([self.ffmpeg, "-v", "error", "-nostdin", "-y", *threads, *arguments], check=True)


def _per_clip(task: Task, at_once: int) -> None:
    """Cut each clip with an FFmpeg of one thread, so many at a time, then copy the picture and encode the sound."""
    clips = task.document["clips"]
    with tempfile.TemporaryDirectory(dir=task.output.parent) as folder:

        def cut(index: int) -> None:
            coded = [*PICTURE, *ONE_THREAD, "-r", "30", *RAW_SOUND, f"{folder}/{index:05}.mov"]
            task.run([*task.cut(clips[index]), *coded], threads=ONE_THREAD)

        with ThreadPoolExecutor(at_once) as pool:
            list(pool.map(cut, range(len(clips))))
        listing = Path(folder) / "list.txt"
        listing.write_text("".join(f"file {index:05}.mov\n" for index in range(len(clips))))
        joined = ["-f", "concat", "-i", str(listing), "-c:v", "copy", *SOUND, "-movflags", "+faststart"]
        task.run([*joined, str(task.output)])


def two_at_a_time(task: Task) -> None:
    """Cut with two single-threaded FFmpegs at a time, and join: what a careful user writes."""
    _per_clip(task, 2)


def four_at_a_time(task: Task) -> None:
    """Cut with four FFmpegs at a time: over a slow network, waiting costs more than too many encoders."""
    _per_clip(task, 4)


def concat_filter(task: Task) -> None:
    """Give all clips to one FFmpeg, as inputs of a concat filter, with as many threads as it likes."""
    clips = task.document["clips"]
    inputs = [word for clip in clips for word in task.cut(clip)]
    pads = "".join(f"[{index}:v:0][{index}:a:0]" for index in range(len(clips)))
    graph = f"{pads}concat=n={len(clips)}:v=1:a=1[v][a]"
    coded = [*PICTURE, "-r", "30", *SOUND, "-movflags", "+faststart", str(task.output)]
    task.run([*inputs, "-filter_complex", graph, "-map", "[v]", "-map", "[a]", *coded])


def moviepy(task: Task) -> None:
    """Cut and join with MoviePy."""
    editor: Any = importlib.import_module("moviepy")  # may be missing
    files = {name: editor.VideoFileClip(str(task.timeline.parent / source["url"])) for name, source in _sources(task)}
    parts = [files[clip["video_id"]].subclipped(clip["start"], clip["end"]) for clip in task.document["clips"]]
    whole = editor.concatenate_videoclips(parts)
    extra = ["-crf", "23", "-pix_fmt", "yuv420p", "-movflags", "+faststart"]
    whole.write_videofile(
        str(task.output),
        fps=30,
        codec="libx264",
        preset="veryfast",
        audio_codec="aac",
        audio_bitrate="192k",
        ffmpeg_params=extra,
        logger=None,
    )


def _sources(task: Task) -> list[tuple[str, dict[str, Any]]]:
    return list(task.document["sources"].items())


def melt(task: Task) -> None:
    """Cut and join with melt, by whole frames."""
    words = ["melt", "-silent"]
    for clip in task.document["clips"]:
        first, end = round(clip["start"] * 30), round(clip["end"] * 30)
        words += [task.source(clip), f"in={first}", f"out={end - 1}"]
    coded = ["vcodec=libx264", "preset=veryfast", "crf=23", "acodec=aac", "ab=192k", "pix_fmt=yuv420p"]
    shape = ["width=1280", "height=720", "frame_rate_num=30", "frame_rate_den=1", "real_time=-2", "threads=2"]
    subprocess.run([*words, "-consumer", f"avformat:{task.output}", *coded, *shape], check=True)


def make_floor(task: Task) -> None:
    """Make the two halves that ``floor`` encodes: the timeline's frames and sound, coded as the sources are."""
    document, middle = task.document, len(task.document["clips"]) // 2
    for number, clips in enumerate((document["clips"][:middle], document["clips"][middle:])):
        with tempfile.TemporaryDirectory(dir=task.output.parent) as folder:
            listing = Path(folder) / "list.txt"
            like_sources = ["-c:v", "libx264", "-preset", "veryfast", "-crf", "26", "-g", "60", "-pix_fmt", "yuv420p"]
            for index, clip in enumerate(clips):
                task.run([*task.cut(clip), *like_sources, "-r", "30", *RAW_SOUND, f"{folder}/{index:05}.mov"])
            listing.write_text("".join(f"file {index:05}.mov\n" for index in range(len(clips))))
            half = half_of(task.output.parent, len(document["clips"]), number)
            task.run(["-f", "concat", "-i", str(listing), "-c:v", "copy", *SOUND, str(half)])


def half_of(folder: Path, clips: int, number: int) -> Path:
    """Return where a half of the floor's frames is, for a timeline of so many clips."""
    return folder / f"half-{clips}-{number}.mp4"


def floor(task: Task) -> None:
    """Encode the same frames and sound two at a time, with no seeking, no start-ups and no join: nobody is faster."""
    clips = len(task.document["clips"])

    def encode(number: int) -> None:
        half = half_of(task.output.parent, clips, number)
        target = task.output.with_name(f"floor-{number}.mp4")
        task.run(["-i", str(half), *PICTURE, *ONE_THREAD, *SOUND, str(target)], threads=ONE_THREAD)

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(encode, range(2)))


WAYS: dict[str, Callable[[Task], None]] = {
    way.__name__: way for way in (two_at_a_time, four_at_a_time, concat_filter, moviepy, melt, make_floor, floor)
}


def why_not(way: str, clips: int) -> str | None:
    """Say why a way can't be gone here; None if it can."""
    if way == "moviepy" and importlib.util.find_spec("moviepy") is None:
        return "MoviePy is not installed"
    if way == "melt" and shutil.which("melt") is None:
        return "melt is not installed"
    if way == "concat_filter" and clips > MOST_INPUTS:
        return f"{clips} inputs at once are too many for one FFmpeg"
    return None


def main() -> None:
    """Go one way."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("way", choices=sorted(WAYS))
    parser.add_argument("timeline", type=Path)
    parser.add_argument("output", type=Path)
    parser.add_argument("--ffmpeg", required=True)
    found = parser.parse_args()
    WAYS[found.way](Task(found.timeline, json.loads(found.timeline.read_text()), found.output, found.ffmpeg))


if __name__ == "__main__":
    main()
