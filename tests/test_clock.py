"""Transport streams whose clock doesn't run on: nothing is held in place of what nobody can place."""

import subprocess
from pathlib import Path

import pytest
from golden import render, timeline
from media import make_source

pytestmark = pytest.mark.media


@pytest.mark.parametrize(
    ("offset", "reason", "words"),
    [
        pytest.param("5000", "undecodable", "its clock jumps from", id="jumps"),
        pytest.param("0", "short_source", "its clock begins again", id="begins again"),
    ],
)
def test_a_clip_over_it_fails_and_says_where(
    tmp_path: Path, packaged: str, offset: str, reason: str, words: str
) -> None:
    """Two recordings of 2 s behind each other: the first is cut, and nothing is made up of the second."""
    source = make_source(tmp_path / "v.mp4", ffmpeg=packaged, source_id=1, seconds=2)
    both = tmp_path / "both.ts"
    for begin in ("0", offset):
        path = tmp_path / "part.ts"
        copy = ["-i", str(source), "-c", "copy", "-output_ts_offset", begin, str(path)]
        subprocess.run([packaged, "-v", "error", "-y", *copy], check=True)
        with both.open("ab") as file:
            file.write(path.read_bytes())
    clips = [{"video_id": "v", "start": start, "duration": 0.8} for start in (0.5, 2.2)]

    rendered = render(tmp_path, timeline(clips, {"v": str(both)}), "--no-cache", ffmpeg=packaged)

    first, second = rendered.report["clips"]
    assert ("success", reason) == (first["status"], second["fallback_reason"])
    assert words in second["attempts"][0]["message"]
