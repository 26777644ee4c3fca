"""Playlists as people have them: attributes with commas, variables, renditions that aren't there, packed segments."""

import gzip
import random
import re
from collections.abc import Callable, Mapping
from fractions import Fraction
from pathlib import Path
from typing import Any

import attrs
import pytest
from golden import Numbered, Rendered, assert_clicks, assert_picture, render, timeline
from hypothesis import given
from hypothesis import strategies as st
from media import make_source
from origin import Answer, Reply, Seen
from packaged import encrypt, package, read_segments, serving

from clipcut.errors import Reason, SourceError
from clipcut.sources.hls.master import MasterPlaylist
from clipcut.sources.hls.reader import parse_playlist
from clipcut.sources.hls.values import attributes
from clipcut.sources.segments.packed import unpack
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


def segments(packed: Path) -> list[tuple[str, str]]:
    """Return the length and the name of each segment."""
    return read_segments(packed / "index.m3u8")


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
    lines = [f'#EXTINF:{length} tvg-name="a, b",c,\n{name}' for length, name in segments(packed)]
    (packed / "names.m3u8").write_text("\n".join(["#EXTM3U", *lines, "#EXT-X-ENDLIST"]))
    with serving(packed) as origin:
        check(tmp_path, f"{origin.url}/names.m3u8", packaged)


# Variables


def defined(*lines: str, **given: Any) -> list[str]:
    """Return the addresses of a media playlist's segments."""
    return [segment.resource.url for segment in media(*lines, **given).segments]


@pytest.mark.parametrize(
    ("lines", "url"),
    [
        pytest.param(['#EXT-X-DEFINE:NAME="x",VALUE="b/c"', "#EXTINF:1,", "{$x}.ts"], "http://h/a/b/c.ts", id="value"),
        pytest.param(
            ['#EXT-X-DEFINE:VALUE="//k,1/",NAME="x_Y-1"', "#EXTINF:1,", "{$x_Y-1}b.ts?{$x_Y-1}"],
            "http://k,1/b.ts?//k,1/",
            id="twice",
        ),
        pytest.param(['#EXT-X-DEFINE:NAME="x",VALUE=""', "#EXTINF:1,", "b{$x}.ts"], "http://h/a/b.ts", id="empty"),
        pytest.param(
            ['#EXT-X-DEFINE:NAME="x",VALUE="b"', '#EXT-X-DEFINE:NAME="y",VALUE="{$x}{$x}"', "#EXTINF:1,", "{$y}.ts"],
            "http://h/a/bb.ts",
            id="of another",
        ),
        pytest.param(
            ['#EXT-X-DEFINE:QUERYPARAM="token"', "#EXTINF:1,", "s.ts?t={$token}"],
            "http://h/a/s.ts?t=a%2Bb",
            id="parameter, byte for byte",
        ),
        pytest.param(['#EXT-X-DEFINE:IMPORT="x"', "#EXTINF:1,", "{$x}.ts"], "http://h/a/imported.ts", id="import"),
        pytest.param(
            ['#EXT-X-DEFINE:NAME="x",VALUE="b"', "#EXTINF:1,{$no}", "#{$no}", "{$x}{no}$x.ts"],
            "http://h/a/b{no}$x.ts",
            id="no references",
        ),
        pytest.param(["#EXTINF:1,", "{$x}.ts"], "http://h/a/{$x}.ts", id="no variables"),
    ],
)
def test_variables_are_put_in(lines: list[str], url: str) -> None:
    """By value, from the address, from the master playlist; and a text is a text."""
    assert [url] == defined(*lines, imported={"x": "imported", "y": "z"})


def test_variables_are_put_into_attributes() -> None:
    """Of keys, initialization sections, renditions and variants."""
    define = '#EXT-X-DEFINE:NAME="x",VALUE="b,c"'
    key = '#EXT-X-KEY:METHOD=AES-128,URI="k{$x}",IV=0x{$iv}'
    (segment,) = media(
        define, f'#EXT-X-DEFINE:NAME="iv",VALUE="{"01" * 16}"', key, '#EXT-X-MAP:URI="i{$x}"', "#EXTINF:1,", "s"
    ).segments
    playlist = master(
        define,
        '#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="g{$x}",NAME="n",URI="{$x}.m3u8"',
        '#EXT-X-STREAM-INF:BANDWIDTH=1,AUDIO="gb,c",CODECS="avc1.{$x}"',
        "v{$x}",
    )

    assert segment.key is not None
    assert segment.init is not None
    assert ("http://h/a/kb,c", b"\1" * 16) == (segment.key.url, segment.key.iv)
    assert "http://h/a/ib,c" == segment.init.resource.url
    assert ("http://h/a/b,c.m3u8", "http://h/a/vb,c") == (playlist.variants[0].audio, playlist.variants[0].url)
    assert {"x": "b,c"} == playlist.variables
    assert "b,c" not in repr(playlist.variables and attrs.evolve(playlist, variants=()))


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        (["#EXTINF:1,", "{$x}.ts", '#EXT-X-DEFINE:NAME="x",VALUE="b"'], '"x" before it defines it'),
        (['#EXT-X-DEFINE:NAME="x",VALUE="b"', '#EXT-X-DEFINE:NAME="x",VALUE="b"'], '"x" twice'),
        (['#EXT-X-DEFINE:NAME="x",VALUE="b"', '#EXT-X-DEFINE:IMPORT="x"'], '"x" twice'),
        (['#EXT-X-DEFINE:NAME="x"'], '"x" without a value'),
        (['#EXT-X-DEFINE:VALUE="x"'], "names no variable"),
        (["#EXT-X-DEFINE"], "names no variable"),
        (['#EXT-X-DEFINE:NAME="x",VALUE="b",IMPORT="x"'], "of two kinds"),
        (['#EXT-X-DEFINE:IMPORT="x"'], '"x", which no master playlist has'),
        (['#EXT-X-DEFINE:QUERYPARAM="other"'], '"other" from the query'),
        (['#EXT-X-DEFINE:QUERYPARAM="none"'], '"none" from the query'),
        ([f'#EXT-X-DEFINE:NAME="x",VALUE="{"b" * 40_000}"', "#EXTINF:1,", "{$x}{$x}"], "65,536 characters in a line"),
        (
            ['#EXT-X-DEFINE:NAME="v0",VALUE="bb"']
            + [f'#EXT-X-DEFINE:NAME="v{n + 1}",VALUE="{f"{{$v{n}}}" * 4}"' for n in range(20)],
            "65,536 characters in a line",
        ),
        (
            [f'#EXT-X-DEFINE:NAME="x",VALUE="{"b" * 60_000}"', *["#EXTINF:1,", "{$x}"] * 300],
            "larger than 16 MiB with its variables",
        ),
    ],
)
def test_a_playlist_with_wrong_variables_says_so(lines: list[str], words: str) -> None:
    """And never grows past its bounds."""
    with pytest.raises(SourceError, match=re.escape(words)) as caught:
        media(*lines, "#EXTINF:1,", "s.ts")

    assert Reason.BAD_PLAYLIST == caught.value.reason
    assert "a%2Bb" not in str(caught.value)


@pytest.mark.media
def test_a_playlist_of_variables_is_cut(tmp_path: Path, packed: Path, packaged: str) -> None:
    """Names, folders and tokens in master and media playlist; the token is in no report and no log."""
    lines = [f"#EXTINF:{length},\n{{$base}}{{$kind}}{name[1:]}?t={{$token}}" for length, name in segments(packed)]
    defines = [
        '#EXT-X-DEFINE:IMPORT="base"',
        '#EXT-X-DEFINE:QUERYPARAM="token"',
        '#EXT-X-DEFINE:NAME="kind",VALUE="s"',
    ]
    (packed / "media-vars.m3u8").write_text("\n".join(["#EXTM3U", *defines, *lines, "#EXT-X-ENDLIST"]))
    head = ['#EXT-X-DEFINE:QUERYPARAM="token"', '#EXT-X-DEFINE:NAME="base",VALUE="/"']
    stream = ["#EXT-X-STREAM-INF:BANDWIDTH=1", "{$base}media-vars.m3u8?token={$token}"]
    (packed / "vars.m3u8").write_text("\n".join(["#EXTM3U", *head, *stream]))
    with serving(packed) as origin:
        check(tmp_path, f"{origin.url}/vars.m3u8?token=s%2Becret", packaged)

    assert {"t=s%2Becret"} == {seen.query for seen in origin.requests if seen.path.endswith(".ts")}
    assert [] == [path for path in tmp_path.iterdir() if path.name != "timeline.json" and b"ecret" in path.read_bytes()]


# Sound that isn't where it should be


@pytest.mark.media
@pytest.mark.parametrize("rendition", ['GROUP-ID="other",URI="no.m3u8"', 'GROUP-ID="sound"', ""])
def test_a_variant_without_its_audio_group_plays_with_its_own_sound(
    tmp_path: Path, packed: Path, packaged: str, rendition: str
) -> None:
    """As where the group has no address of its own."""
    lines = [f'#EXT-X-MEDIA:TYPE=AUDIO,NAME="n",DEFAULT=YES,{rendition}'] if rendition else []
    stream = ['#EXT-X-STREAM-INF:BANDWIDTH=1,AUDIO="sound"', "index.m3u8"]
    (packed / "group.m3u8").write_text("\n".join(["#EXTM3U", *lines, *stream]))
    with serving(packed) as origin:
        check(tmp_path, f"{origin.url}/group.m3u8", packaged)


# Packed segments


def packed_part(packed: Path) -> Answer:
    """Pack what was asked for, after the range was taken: that is no good manner, and common."""

    def answer(seen: Seen) -> Reply:
        data = (packed / seen.path[1:]).read_bytes()
        if seen.range is None:
            return Reply(gzip=True)
        last = int(seen.range.rpartition("-")[2])
        stated = {"Content-Encoding": "gzip", "Content-Range": f"bytes 0-{last}/{len(data)}"}
        return Reply(status=206, body=gzip.compress(data[: last + 1]), headers=stated)

    return answer


@pytest.mark.media
@pytest.mark.parametrize(
    "make",
    [
        pytest.param(lambda _: Reply(gzip=True), id="packed, and ranges of that"),
        pytest.param(lambda _: Reply(gzip=True, ignore_range=True), id="packed, and always the whole"),
        pytest.param(lambda _: Reply(gzip=True, chunked=True, ignore_range=True), id="packed on the way"),
        pytest.param(packed_part, id="packed after the range was taken"),
        pytest.param(
            lambda folder: lambda seen: Reply(body=gzip.compress((folder / seen.path[1:]).read_bytes())),
            id="stored packed, and never said so",
        ),
    ],
)
def test_packed_segments_are_unpacked(
    tmp_path: Path, packed: Path, packaged: str, make: Callable[[Path], Answer]
) -> None:
    """Whether the server says so or not, wherever a clip begins; the report counts what came."""
    with serving(packed) as origin:
        for _, name in segments(packed):
            origin.script(f"/{name}", make(packed))
        rendered = check(tmp_path, f"{origin.url}/index.m3u8", packaged)

    late = timeline(CLIPS[1:], {"v": ""})
    with serving(packed) as origin:  # here the first segment is wanted for its begin alone
        for _, name in segments(packed):
            origin.script(f"/{name}", make(packed))
        late["sources"]["v"]["url"] = f"{origin.url}/index.m3u8"
        again = render(tmp_path, late, "--no-cache", "--force", ffmpeg=packaged)

    assert_picture(again, late, MEDIA, ffmpeg=packaged)
    assert 0 == rendered.report["clip_stats"]["retries"] == again.report["clip_stats"]["retries"]


@pytest.mark.media
def test_clips_of_packed_segments_are_kept(tmp_path: Path, packed: Path, packaged: str) -> None:
    """As the begin of the first segment says what video it is, packed or not; it isn't fetched twice."""
    cached = []
    with serving(packed) as origin:
        for _, name in segments(packed):
            origin.script(f"/{name}", Reply(gzip=True))
        document = timeline(CLIPS[1:], {"v": f"{origin.url}/index.m3u8"})
        for _ in range(2):
            rendered = render(tmp_path, document, "--force", ffmpeg=packaged)
            assert_picture(rendered, document, MEDIA, ffmpeg=packaged)
            cached.append((rendered.report["clip_stats"]["cached_tasks"], origin.count("/s000.ts")))

    assert [(0, 1), (2, 2)] == cached


@pytest.mark.media
def test_packed_and_encrypted_segments_are_cut(tmp_path: Path, packed: Path, packaged: str) -> None:
    """Packed before or after, with a key that is packed as well."""
    key, iv = b"k" * 16, bytes(16)
    lines = [f"#EXTINF:{length},\n{name}" for length, name in segments(packed)]
    head = ["#EXTM3U", f'#EXT-X-KEY:METHOD=AES-128,URI="key",IV=0x{iv.hex()}']
    (packed / "keys.m3u8").write_text("\n".join([*head, *lines, "#EXT-X-ENDLIST"]))
    with serving(packed) as origin:
        origin.script("/key", Reply(body=key, gzip=True))
        for number, (_, name) in enumerate(segments(packed)):
            data = (packed / name).read_bytes()
            before = Reply(body=encrypt(gzip.compress(data), key, iv))
            origin.script(f"/{name}", before if number % 2 else Reply(body=encrypt(data, key, iv), gzip=True))
        check(tmp_path, f"{origin.url}/keys.m3u8", packaged)


PLAIN = random.Random(1).randbytes(3_000_000)
BOUND = 1 << 22


def unpacked(folder: Path, content: bytes, *, most: int = 1 << 24, is_head: bool = False) -> bytes:
    """Unpack something."""
    (folder / "packed").write_bytes(content)
    unpack(folder / "packed", folder / "plain", "it", most, is_head=is_head)
    return (folder / "plain").read_bytes()


@pytest.mark.parametrize(
    ("content", "found"),
    [
        pytest.param(gzip.compress(PLAIN), PLAIN, id="one"),
        pytest.param(gzip.compress(PLAIN[:1000]) * 1000, PLAIN[:1000] * 1000, id="a thousand"),
        pytest.param(gzip.compress(PLAIN) + bytes(600_000), PLAIN, id="zeros behind it"),
        pytest.param(gzip.compress(b"a") + bytes(300_000) + gzip.compress(b"b"), b"ab", id="zeros between"),
        pytest.param(gzip.compress(bytes(1 << 20)), bytes(1 << 20), id="all stuffing, and small"),
        pytest.param(gzip.compress(b""), b"", id="nothing"),
    ],
)
def test_what_is_packed_is_unpacked(tmp_path: Path, content: bytes, found: bytes) -> None:
    """To the byte, as gzip does it."""
    assert found == unpacked(tmp_path, content)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        pytest.param(gzip.compress(random.Random(2).randbytes(BOUND + 1)), Reason.TOO_LARGE, id="more than its bound"),
        pytest.param(gzip.compress(bytes(BOUND // 2)), Reason.TOO_LARGE, id="more than a hundred times its size"),
        pytest.param(gzip.compress(bytes(1 << 28)), Reason.TOO_LARGE, id="bomb"),
        pytest.param(gzip.compress(b"x") * 100_000, Reason.UNDECODABLE, id="many, of nothing"),
        pytest.param(gzip.compress(PLAIN)[:-1], Reason.TRUNCATED, id="its end is missing"),
        pytest.param(gzip.compress(PLAIN)[:50], Reason.TRUNCATED, id="much is missing"),
        pytest.param(gzip.compress(PLAIN)[:-8] + bytes(8), Reason.UNDECODABLE, id="wrong sum"),
        pytest.param(gzip.compress(b"x") + b"more", Reason.UNDECODABLE, id="something behind it"),
        pytest.param(b"\x1f\x8b\x08" + b"\xff" * 99, Reason.UNDECODABLE, id="not packed"),
    ],
)
def test_what_is_packed_has_bounds(tmp_path: Path, content: bytes, reason: Reason) -> None:
    """Its size, and how much larger it becomes; what is written until then has them too."""
    most = BOUND if reason is Reason.TOO_LARGE else 1 << 24
    with pytest.raises(SourceError, match=r"^it: ") as caught:
        unpacked(tmp_path, content, most=most)

    assert (reason, reason is Reason.TRUNCATED) == (caught.value.reason, caught.value.is_passing)
    assert (tmp_path / "plain").stat().st_size <= most


def test_a_packed_head_ends_where_it_may(tmp_path: Path) -> None:
    """In the middle of what is packed, or where it is enough."""
    whole = gzip.compress(PLAIN)

    assert PLAIN[:65_536] == unpacked(tmp_path, whole, most=65_536, is_head=True)
    assert PLAIN.startswith(unpacked(tmp_path, whole[:500], most=65_536, is_head=True))
    assert bytes(65_536) == unpacked(tmp_path, gzip.compress(bytes(1 << 26)), most=65_536, is_head=True)


@pytest.mark.media
def test_a_bomb_fails_its_clips_alone(tmp_path: Path, packed: Path, packaged: str) -> None:
    """By the words that say why."""
    with serving(packed) as origin:
        origin.script("/s005.ts", Reply(body=b"G" + bytes(1 << 27), gzip=True))
        document = timeline(CLIPS, {"v": f"{origin.url}/index.m3u8"})
        rendered = render(tmp_path, document, "--no-cache", ffmpeg=packaged)

    assert [None, None, "segment 5: unpacks to more than 100 times its size"] == messages(rendered)
    assert "too_large" == rendered.report["clips"][2]["fallback_reason"]
