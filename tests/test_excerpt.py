"""Excerpts: from any kind of group of pictures and container, exactly the packets that a clip needs."""

from fractions import Fraction
from pathlib import Path

import av
import pytest
from golden import Numbered, assert_clicks, assert_picture, render, timeline
from media import make_source

from clipcut.errors import SourceError
from clipcut.ffmpeg.excerpt import make_excerpt
from clipcut.ffmpeg.need import Need
from clipcut.ffmpeg.probe import open_media, probe

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


def test_a_source_replaced_while_rendering_is_not_cut_by_the_old_index(tmp_path: Path, packaged: str) -> None:
    """What was found out of a file does not hold for another of the same name."""
    path = make_source(tmp_path / "v.mp4", ffmpeg=packaged, source_id=6, seconds=2)
    info = probe(path)
    make_source(tmp_path / "other.mp4", ffmpeg=packaged, source_id=7, seconds=2, audio=False).replace(path)
    need = Need(first=Fraction(1), last=Fraction(3, 2), sound=None, end=Fraction(3, 2), tolerance=Fraction(1, 30))

    with pytest.raises(SourceError, match="was changed"):
        make_excerpt(info, need, tmp_path / "x.excerpt", check=lambda: None)


def test_a_long_group_of_pictures_costs_no_memory(tmp_path: Path, packaged: str) -> None:
    """Pictures before a later keyframe are forgotten, on disk: the excerpt begins at the last keyframe."""
    args = (*X264, "-x264-params", "keyint=60:scenecut=0")
    path = make_source(tmp_path / "v.mp4", ffmpeg=packaged, source_id=6, seconds=6, video_args=args)
    info = probe(path)
    need = Need(
        first=Fraction(43, 10), last=Fraction(44, 10), sound=None, end=Fraction(9, 2), tolerance=Fraction(1, 30)
    )

    excerpt = make_excerpt(info, need, tmp_path / "x.excerpt", check=lambda: None)

    assert Fraction(4) == excerpt.keyframe
    assert [Fraction(n, 30) for n in (129, 130, 131, 132)] == [pts * info.video.time_base for pts in excerpt.pictures]


def test_an_excerpt_can_be_ended_at_any_time(tmp_path: Path, packaged: str) -> None:
    """What ``check`` raises passes through."""
    path = make_source(tmp_path / "v.mp4", ffmpeg=packaged, source_id=6, seconds=2)
    need = Need(first=Fraction(1), last=Fraction(3, 2), sound=None, end=Fraction(3, 2), tolerance=Fraction(1, 30))

    def stop() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        make_excerpt(probe(path), need, tmp_path / "x.excerpt", check=stop)


@pytest.mark.parametrize("filler", [b"\0", b"\x47\xe1\x07", b""], ids=["zeros", "noise", "lost"])
def test_a_transport_stream_with_a_hole_fails_the_clips_over_it(tmp_path: Path, packaged: str, filler: bytes) -> None:
    """Demuxers pass over it and say nothing: the picture before it would be held. Clips elsewhere are right."""
    source = make_source(tmp_path / "v.ts", ffmpeg=packaged, source_id=6, seconds=6, pattern=False)
    with open_media(source) as file:
        begins = [packet.pos for packet in file.demux(video=0) if packet.pos is not None]
    whole, first, end = source.read_bytes(), begins[100], begins[118]
    source.write_bytes(whole[:first] + (filler * (end - first))[: end - first] + whole[end:])
    assert filler or (end - first) % (188 * 16)  # sixteen packets that are lost leave no trace in the counters
    clips = [{"video_id": "v", "start": start, "duration": 0.5} for start in (2.2, 3.2, 3.5, 4.1)]
    document = timeline(clips, {"v": str(source)})

    rendered = render(tmp_path, document, ffmpeg=packaged)

    assert [None, "undecodable", "undecodable", None] == [clip["fallback_reason"] for clip in rendered.report["clips"]]
    document["clips"] = [clip | ({"video_id": "x"} if n in (1, 2) else {}) for n, clip in enumerate(clips)]
    assert_picture(rendered, document, {"v": Numbered(6, frames=180)}, ffmpeg=packaged)


def test_pictures_before_the_clip_that_nothing_refers_to_are_left_out(tmp_path: Path, packaged: str) -> None:
    """Those of the clip are all there, and before it those that others refer to."""
    args = (*X264, "-x264-params", "keyint=60:scenecut=0:bframes=3:b-pyramid=none:b-adapt=0")
    path = make_source(tmp_path / "v.mp4", ffmpeg=packaged, source_id=6, seconds=2, video_args=args)
    half = Fraction(1, 60)
    need = Need(first=1 + half, last=Fraction(3, 2) + half, sound=None, end=Fraction(3, 2), tolerance=half)

    excerpt = make_excerpt(probe(path), need, tmp_path / "x.excerpt", check=lambda: None)

    with av.open(str(excerpt.video)) as container:
        shown = {packet.pts for packet in container.demux() if packet.size}
    numbers = {round((pts * excerpt.time_base - excerpt.video_shift) * 30) for pts in shown}
    assert {0, 4, 8, 12, 16, 20, 24, 28} == {number for number in numbers if number < 29}
    assert set(range(30, 46)) <= numbers
