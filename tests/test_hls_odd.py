"""Playlists as people have them: attributes with commas, variables, renditions that aren't there, packed segments."""

from collections.abc import Mapping
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from golden import Numbered, Rendered, assert_clicks, assert_picture, render, timeline
from hypothesis import given
from hypothesis import strategies as st
from media import make_source
from packaged import package, read_segments, serving

from clipcut.sources.hls.master import MasterPlaylist
from clipcut.sources.hls.reader import parse_playlist
from clipcut.sources.hls.values import attributes
from clipcut.sources.segments.playlist import MediaPlaylist

URL = "http://h/a/p.m3u8?token=a%2Bb&n=1&none"
SECONDS = 12
MEDIA = {"v": Numbered(1, frames=SECONDS * 30)}
CLIPS = [{"video_id": "v", "start": start, "end": end} for start, end in ((0, 1.1), (3.5, 5.2), (10, 12))]


@pytest.fixture(scope="session")
def packed(tmp_path_factory: pytest.TempPathFactory, packaged: str) -> Path:
    """A numbered source of 12 s, packaged in segments of 2 s."""
    folder = tmp_path_factory.mktemp("odd")
    source = make_source(folder / "source.mp4", ffmpeg=packaged, source_id=1, seconds=SECONDS)
    package(source, folder / "www", ffmpeg=packaged, seconds=2)
    return folder / "www"


def check(folder: Path, url: str, ffmpeg: str, **source: Any) -> Rendered:
    """Render clips of one address, and hold the result against the rule."""
    document = timeline(CLIPS, {"v": {"url": url, **source}})
    rendered = render(folder, document, "--no-cache", ffmpeg=ffmpeg)

    assert ([None] * len(CLIPS), 0) == (messages(rendered), rendered.exit_code)
    assert_picture(rendered, document, MEDIA, ffmpeg=ffmpeg)
    assert_clicks(rendered, document, ffmpeg=ffmpeg)
    return rendered


def messages(rendered: Rendered) -> list[str | None]:
    """Return what went wrong with each clip's first rung."""
    return [clip["attempts"][0]["message"] for clip in rendered.report["clips"]]


def media(*lines: str, **given: Any) -> MediaPlaylist:
    """Read a media playlist of these lines."""
    found = parse_playlist("\n".join(["#EXTM3U", *lines, "#EXT-X-ENDLIST"]).encode(), URL, **given)
    assert isinstance(found, MediaPlaylist)
    return found


def master(*lines: str) -> MasterPlaylist:
    """Read a master playlist of these lines."""
    found = parse_playlist("\n".join(["#EXTM3U", *lines]).encode(), URL)
    assert isinstance(found, MasterPlaylist)
    return found


# Attributes


@pytest.mark.parametrize(
    ("line", "seconds"),
    [
        ('#EXTINF:4,tvg-name="a,b",t', 4),
        ('#EXTINF:4 tvg-name="a,b",t', 4),
        ('#EXTINF:4.5 tvg-id="1" tvg-name="a,b,c",Title, with, commas', 4.5),
        ("#EXTINF:4.5 tvg-name='a,b',t", 4.5),
        ('#EXTINF:4.5\ttvg-name="a,b"', 4.5),
        ("#EXTINF: 4.5 , t", 4.5),
        ("#EXTINF:4. x", 4),
        ("#EXTINF:.5 x,y", 0.5),
        ('#EXTINF:4,"a,b', 4),
        ("#EXTINF:4", 4),
    ],
)
def test_a_duration_ends_where_attributes_begin(line: str, seconds: float) -> None:
    """Whatever commas they have."""
    assert [Fraction(seconds)] == [segment.duration for segment in media(line, "s.ts").segments]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ('A="x,y",B=1', {"a": "x,y", "b": "1"}),
        ("A='x,y',B=1", {"a": "x,y", "b": "1"}),
        ('A="it\'s, ok",B="x=y, z=\'"', {"a": "it's, ok", "b": "x=y, z='"}),
        ("A=it's,B=that's", {"a": "it's", "b": "that's"}),
        ("A=it's,B=\"x'y\"", {"a": "it's", "b": "x'y"}),
        (' A = "x" , B-C = y z ,', {"a": "x", "b_c": "y z"}),
        ('A="",B=', {"a": "", "b": ""}),
        ("A,B=1,C", {"b": "1"}),
        (",,A=1,,", {"a": "1"}),
        ('A="x"y,B=1', {"a": '"x"y', "b": "1"}),
        ('A="x,B=1', {"a": "", "b": "1"}),
        ("", {}),
        ("=", {"": ""}),
    ],
)
def test_attributes_are_read(text: str, found: Mapping[str, str]) -> None:
    """Quotes hold commas together, and apostrophes hold nothing."""
    assert found == attributes(f"#EXT-X-MEDIA:{text}")


@given(st.text(alphabet="a=,'\" \t", max_size=40))
def test_no_attribute_list_is_too_odd(text: str) -> None:
    """What a server sends is never a bug of ours."""
    assert all("=" not in name for name in attributes(f"#X:{text}"))


def test_a_long_list_of_attributes_is_read_at_once() -> None:
    """Its length doesn't count twice."""
    for text in ("a=',", "=", ",", " ", '="', "='a,", '="a="', "a=\"b',"):
        assert attributes("#X:" + text * (65_536 // len(text))) is not None


@pytest.mark.parametrize(
    "lines",
    [
        ('#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="a,b",NAME="it\'s, ok",DEFAULT=YES,URI="s,1"', 'NAME="x, y",AUDIO="a,b"'),
        ('#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="a",NAME=Director\'s cut,DEFAULT=YES,URI="s,1",X=\'', 'AUDIO="a",Y=\''),
    ],
)
def test_a_master_playlist_is_read_whatever_its_names_are(lines: tuple[str, str]) -> None:
    """Its sound is found, its size, its codecs."""
    stream = f'#EXT-X-STREAM-INF:BANDWIDTH=9,{lines[1]},RESOLUTION=1280x720,CODECS="avc1.4d401e, mp4a.40.2"'
    (variant,) = master(lines[0], stream, "v,1").variants

    assert ("http://h/a/v,1", "http://h/a/s,1") == (variant.url, variant.audio)
    assert (720, 9, ("avc1.4d401e", "mp4a.40.2")) == (variant.height, variant.bandwidth, variant.codecs)


@pytest.mark.media
def test_a_playlist_of_a_receiver_is_cut(tmp_path: Path, packed: Path, packaged: str) -> None:
    """Each of its segments has a name with commas."""
    lines = [f'#EXTINF:{length} tvg-name="a, b",c,\n{name}' for length, name in read_segments(packed / "index.m3u8")]
    (packed / "names.m3u8").write_text("\n".join(["#EXTM3U", *lines, "#EXT-X-ENDLIST"]))
    with serving(packed) as origin:
        check(tmp_path, f"{origin.url}/names.m3u8", packaged)
