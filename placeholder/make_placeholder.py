"""Make the placeholder clip: 3 s of black, 1280x720, 30 frames a second, with one soft beep at the start.

The beep is 1 kHz for 200 ms at -20 dBFS with soft edges, 100 ms after the start, in both channels; the rest is
silent and begins and ends at zero, so the clip loops without a click. Pictures are H.264, sound is AAC at 48 kHz;
3 s are 90 frames and 144000 samples. The file is made the same way each time:

    python placeholder/make_placeholder.py --ffmpeg ffmpeg
"""

import argparse
import subprocess
from pathlib import Path

SECONDS = 3
BEEP_START = 0.1
BEEP_END = 0.3
FADE = 0.03
BEEP_HZ = 1000
LEVEL = 0.1
"""Peak of the beep; 1.0 is full scale, so 0.1 is -20 dBFS."""


def beep_source() -> str:
    """Write the sound as an FFmpeg source: a sine that fades in and out over 30 ms, then silence."""
    rise = f"clip((t-{BEEP_START})/{FADE},0,1)"
    fall = f"clip(({BEEP_END}-t)/{FADE},0,1)"
    smooth = f"pow(sin(PI/2*min({rise},{fall})),2)"
    tone = f"{LEVEL}*{smooth}*sin(2*PI*{BEEP_HZ}*t)"
    return f"aevalsrc=exprs='{tone}|{tone}':channel_layout=stereo:sample_rate=48000:duration={SECONDS}"


def make_placeholder(path: Path, ffmpeg: str) -> None:
    """Write the placeholder clip to `path` with the program `ffmpeg`."""
    command = [ffmpeg, "-v", "error", "-y"]
    command += ["-f", "lavfi", "-i", f"color=c=black:s=1280x720:r=30:d={SECONDS},format=yuv420p"]
    command += ["-f", "lavfi", "-i", beep_source()]
    command += ["-c:v", "libx264", "-preset", "slow", "-crf", "23", "-g", "30", "-pix_fmt", "yuv420p"]
    command += ["-color_range", "tv", "-colorspace", "bt709", "-color_primaries", "bt709", "-color_trc", "bt709"]
    command += ["-c:a", "aac", "-b:a", "96k", "-fflags", "+bitexact", "-flags:v", "+bitexact"]
    command += ["-flags:a", "+bitexact", "-movflags", "+faststart", str(path)]
    subprocess.run(command, check=True)


def main() -> None:
    """Read the command line and make the clip."""
    parser = argparse.ArgumentParser(description="Make the placeholder clip.")
    parser.add_argument("--ffmpeg", default="ffmpeg", help="the FFmpeg program (default: ffmpeg)")
    parser.add_argument("--output", type=Path, default=Path(__file__).with_name("clip_placeholder.mp4"))
    options = parser.parse_args()
    make_placeholder(options.output, options.ffmpeg)


if __name__ == "__main__":
    main()
