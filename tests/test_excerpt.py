"""Excerpts: from any kind of group of pictures and container, exactly the packets that a clip needs."""

from pathlib import Path

import pytest
from golden import Numbered, assert_clicks, assert_picture, render, timeline
from media import make_source

pytestmark = pytest.mark.media

X264 = ("-c:v", "libx264", "-preset", "veryfast", "-pix_fmt", "yuv420p")
CLIPS = [{"video_id": "v", "start": start, "duration": 0.7} for start in (0, 0.9, 1.967, 2.0, 3.1, 4.633, 5.3)]
KINDS = {
    "closed": ("v.mp4", (*X264, "-x264-params", "keyint=30:bframes=3")),
    "open-gop": ("v.mp4", (*X264, "-x264-params", "open-gop=1:keyint=24:min-keyint=24:bframes=3:scenecut=0")),
    "one-long-group": ("v.mp4", (*X264, "-x264-params", "keyint=infinite:scenecut=0")),
    "every-frame-a-keyframe": ("v.mp4", (*X264, "-x264-params", "keyint=1")),
    "transport-stream": ("v.ts", (*X264, "-x264-params", "keyint=30:bframes=3")),
    "open-gop-transport-stream": ("v.ts", (*X264, "-x264-params", "open-gop=1:keyint=24:min-keyint=24:bframes=3")),
    "intra-refresh": ("v.ts", (*X264, "-x264-params", "intra-refresh=1:keyint=30:bframes=0")),
    "matroska": ("v.mkv", (*X264, "-x264-params", "keyint=30:bframes=3")),
    "fragmented": ("v.mp4", (*X264, "-x264-params", "keyint=30", "-movflags", "frag_keyframe+empty_moov")),
    "mpeg2-open-gop": ("v.ts", ("-c:v", "mpeg2video", "-b:v", "4M", "-g", "15", "-bf", "2")),
}


@pytest.mark.parametrize("kind", KINDS)
def test_any_group_of_pictures_is_cut_exactly(tmp_path: Path, packaged: str, ffmpeg: str, kind: str) -> None:
    """Frames and clicks are right wherever the keyframes lie, and whatever leads them."""
    name, args = KINDS[kind]
    source = make_source(tmp_path / name, ffmpeg=packaged, source_id=6, seconds=6, video_args=args)
    document = timeline(CLIPS, {"v": str(source)})

    rendered = render(tmp_path, document, ffmpeg=ffmpeg)

    assert [] == [clip["attempts"][0]["message"] for clip in rendered.report["clips"] if clip["status"] != "success"]
    assert_picture(rendered, document, {"v": Numbered(6, frames=180)}, ffmpeg=packaged)
    assert_clicks(rendered, document, ffmpeg=packaged)
