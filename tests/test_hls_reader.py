"""Playlists, read: every feature that matters, in any way that it is written, with exact times."""

import itertools
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st
from playlists import DRM, HERE, IV, IV_BYTES, KEY, URL, VARIANT, at, key, master, media
from strategies import decimals

from clipcut.sources.hls.master import Variant
from clipcut.sources.hls.reader import is_playlist, parse_playlist
from clipcut.sources.segments.playlist import Init, Key, MediaPlaylist, Segment


def test_media_playlist_when_plain() -> None:
    """Each segment has its place, its address and its exact time."""
    playlist = media("#EXT-X-VERSION:3", "#EXTINF:6.006,first", "a.ts", "#EXTINF:4,", "b.ts?x=1", "#EXT-X-ENDLIST")
    first = Segment(
        number=0,
        resource=at("a.ts"),
        begin=Fraction(0),
        duration=Fraction(6006, 1000),
        run=0,
        init=None,
        key=None,
        is_gap=False,
    )
    second = Segment(
        number=1,
        resource=at("b.ts?x=1"),
        begin=Fraction(6006, 1000),
        duration=Fraction(4),
        run=0,
        init=None,
        key=None,
        is_gap=False,
    )
    assert (first, second) == playlist.segments
    assert Fraction(10006, 1000) == second.end == playlist.seconds
    assert ((first, second),) == playlist.runs
    assert playlist.runs is playlist.runs


@pytest.mark.parametrize(
    ("tags", "is_live"),
    [
        pytest.param([], True, id="nothing said"),
        pytest.param(["#EXT-X-PLAYLIST-TYPE:EVENT"], True, id="event that goes on"),
        pytest.param(["#EXT-X-PLAYLIST-TYPE:EVENT", "#EXT-X-ENDLIST"], False, id="event that is over"),
        pytest.param(["#EXT-X-PLAYLIST-TYPE:VOD"], False, id="video on demand"),
        pytest.param(["#EXT-X-ENDLIST"], False, id="end"),
    ],
)
def test_media_playlist_when_it_may_grow(tags: list[str], is_live: bool) -> None:
    """A playlist is live until it says that nothing is added."""
    assert is_live == media(*tags, "#EXTINF:6,", "a.ts").is_live


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        pytest.param("6.006", Fraction(6006, 1000), id="a float has it not"),
        pytest.param("10", Fraction(10), id="whole"),
        pytest.param(" 9.9 ", Fraction(99, 10), id="spaces"),
        pytest.param(".5", Fraction(1, 2), id="nothing before the dot"),
        pytest.param("5.", Fraction(5), id="nothing after the dot"),
        pytest.param("0", Fraction(0), id="nothing"),
        pytest.param("5.00500000000000000000000001", 5 + Fraction(500000000000000000000001, 10**26), id="26 places"),
        pytest.param("1000000", Fraction(10**6), id="longest"),
    ],
)
def test_duration_when_good(text: str, seconds: Fraction) -> None:
    """A duration is the decimal that is written, however many places it has."""
    assert seconds == media(f"#EXTINF:{text},", "a.ts").seconds
    assert seconds == media(f"#EXTINF:{text}", "a.ts").seconds


@pytest.mark.parametrize(
    ("written", "url"),
    [
        pytest.param("a.ts", f"{HERE}/a.ts", id="relative"),
        pytest.param("../x/a.ts", "https://cdn.example/x/a.ts", id="up"),
        pytest.param("/a.ts", "https://cdn.example/a.ts", id="from the root"),
        pytest.param("//b.example:8443/a.ts", "https://b.example:8443/a.ts", id="of the same protocol"),
        pytest.param("http://b.example/a.ts", "http://b.example/a.ts", id="absolute"),
        pytest.param("?part=1", f"{HERE}/index.m3u8?part=1", id="query only"),
        pytest.param("größe 1.ts", f"{HERE}/größe 1.ts", id="letters and a space"),
        pytest.param("HTTPS://B.example/a.ts", "https://B.example/a.ts", id="capitals"),
    ],
)
def test_address_when_good(written: str, url: str) -> None:
    """Addresses are relative to the playlist's own, and its query isn't theirs."""
    assert url == media("#EXTINF:6,", written).segments[0].resource.url


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"#EXTM3U\r\n#EXTINF:6,\r\na.ts\r\n", id="carriage returns"),
        pytest.param(b"#EXTM3U\r#EXTINF:6,\ra.ts\r", id="carriage returns only"),
        pytest.param(b"\xef\xbb\xbf#EXTM3U\n#EXTINF:6,\na.ts\n", id="byte order mark"),
        pytest.param(b"#EXTM3U\n#EXTINF:6,\na.ts", id="no newline at the end"),
        pytest.param(b"\n \n#EXTM3U\n\n  #EXTINF:6,\n\n\t\n a.ts \n\n", id="blanks"),
        pytest.param("#EXTM3U\n#EXTINF:6,a\u2028b\x85c\x0bd\na.ts\n".encode(), id="odd characters in a title"),
        pytest.param(b'#EXTM3U x-tvg-url="x"\n#EXTINF:6,\na.ts', id="attributes after the first tag"),
    ],
)
def test_media_playlist_when_written_oddly(data: bytes) -> None:
    """Only line feeds and carriage returns end a line, and white space around it means nothing."""
    playlist = parse_playlist(data, URL)
    assert isinstance(playlist, MediaPlaylist)
    assert [(at("a.ts"), Fraction(6))] == [(segment.resource, segment.duration) for segment in playlist.segments]


def test_media_playlist_when_it_has_what_does_not_matter() -> None:
    """What no cut depends on is passed over, even if it is written wrongly."""
    playlist = media(
        "# a comment",
        "#EXT-X-TARGETDURATION:six",
        "#EXT-X-VERSION:",
        "#EXT-X-DISCONTINUITY-SEQUENCE:x",
        "#EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD=YES,PART-HOLD-BACK=x",
        "#EXT-X-PART-INF:PART-TARGET=x",
        "#EXT-X-START:TIME-OFFSET=x",
        "#EXT-X-I-FRAME-STREAM-INF:BANDWIDTH=x",
        "#EXT-X-PROGRAM-DATE-TIME:yesterday",
        "#EXT-X-DATERANGE:ID=1,DURATION=x",
        "#EXT-X-CUE-OUT:30",
        "#EXT-X-BITRATE:x",
        "#EXT-X-GAPLESS:1",
        '#EXT-X-PART:DURATION=x,URI="a.0.ts"',
        "#EXTINF:6,",
        "a.ts",
        '#EXT-X-PART:DURATION=2,URI="b.0.ts"',
        '#EXT-X-PRELOAD-HINT:TYPE=PART,URI="b.1.ts",BYTERANGE-START=x',
        "#EXT-X-RENDITION-REPORT:LAST-MSN=x",
    )
    assert [(at("a.ts"), False)] == [(segment.resource, segment.is_gap) for segment in playlist.segments]


def test_byte_ranges_when_implicit() -> None:
    """A range without a begin goes on where the one before ended; an explicit one may be anywhere."""
    playlist = media(
        *["#EXT-X-BYTERANGE:100@20", "#EXTINF:6,", "a.ts"],
        *["#EXTINF:6,", "#EXT-X-BYTERANGE:50", "a.ts"],
        *["#EXTINF:6,", "#EXT-X-BYTERANGE:7", "../show/a.ts"],
        *["#EXTINF:6,", "#EXT-X-BYTERANGE:5@0", "b.ts"],
        *["#EXTINF:6,", "#EXT-X-BYTERANGE:5", "b.ts"],
        *["#EXTINF:6,", "c.ts"],
    )
    ranges = [(20, 120), (120, 170), (170, 177), (0, 5), (5, 10), None]
    assert ranges == [segment.resource.byte_range for segment in playlist.segments]


def test_runs_when_timestamps_break() -> None:
    """A run begins at a discontinuity and at another EXT-X-MAP, not at the same one, and once where both stand."""
    one, two = '#EXT-X-MAP:URI="1.mp4"', '#EXT-X-MAP:URI="2.mp4"'
    playlist = media(
        *["#EXT-X-DISCONTINUITY", one, "#EXTINF:6,", "a.m4s"],
        *[one, "#EXTINF:6,", "b.m4s"],
        *["#EXT-X-DISCONTINUITY", "#EXT-X-DISCONTINUITY", "#EXTINF:6,", "c.m4s"],
        *["#EXTINF:6,", two, "d.m4s"],
        *["#EXT-X-DISCONTINUITY", one, "#EXTINF:6,", "e.m4s"],
        *["#EXTINF:6,", "f.m4s"],
    )
    assert [0, 0, 1, 2, 3, 3] == [segment.run for segment in playlist.segments]
    assert [[0, 1], [2], [3], [4, 5]] == [[segment.number for segment in run] for run in playlist.runs]


def test_runs_when_only_the_key_of_the_map_changes() -> None:
    """The same bytes under another key begin no run; another part of the same resource does."""
    one, two = f"{KEY},IV={IV}", "#EXT-X-KEY:METHOD=NONE"
    init = '#EXT-X-MAP:URI="i.mp4",BYTERANGE="9@0"'
    playlist = media(
        *[one, init, "#EXTINF:6,", "a.m4s"],
        *[two, init, "#EXTINF:6,", "b.m4s"],
        *['#EXT-X-MAP:URI="i.mp4",BYTERANGE="9@9"', "#EXTINF:6,", "c.m4s"],
        *['#EXT-X-MAP:URI="i.mp4"', "#EXTINF:6,", "d.m4s"],
    )
    assert [0, 0, 1, 2] == [segment.run for segment in playlist.segments]
    assert [key(iv=IV_BYTES), None, None, None] == [s.init and s.init.key for s in playlist.segments]


def test_runs_when_the_first_map_comes_late() -> None:
    """A segment that needs no initialization section and one that does belong to different runs."""
    playlist = media("#EXTINF:6,", "a.ts", '#EXT-X-MAP:URI="i.mp4"', "#EXTINF:6,", "b.m4s")
    assert [(0, None), (1, Init(resource=at("i.mp4"), key=None))] == [(s.run, s.init) for s in playlist.segments]


@pytest.mark.parametrize(
    ("tags", "init"),
    [
        pytest.param(['#EXT-X-MAP:URI="i.mp4"'], Init(resource=at("i.mp4"), key=None), id="whole"),
        pytest.param(
            ['#EXT-X-MAP:URI="i.mp4",BYTERANGE="720@30"'],
            Init(resource=at("i.mp4", (30, 750)), key=None),
            id="byte range",
        ),
        pytest.param(
            ['#EXT-X-MAP:BYTERANGE="720",URI="i.mp4"'], Init(resource=at("i.mp4", (0, 720)), key=None), id="from 0"
        ),
        pytest.param(
            [f"{KEY},IV={IV}", '#EXT-X-MAP:URI="i.mp4"', "#EXT-X-KEY:METHOD=NONE"],
            Init(resource=at("i.mp4"), key=key(iv=IV_BYTES)),
            id="key in force where it stands",
        ),
        pytest.param(['#EXT-X-MAP:URI="i.mp4"', KEY], Init(resource=at("i.mp4"), key=None), id="key after it"),
    ],
)
def test_init_when(tags: list[str], init: Init) -> None:
    """An initialization section has its own bytes and its own key."""
    assert init == media(*tags, "#EXTINF:6,", "a.m4s").segments[0].init


def test_keys_when_they_change() -> None:
    """A key is in force until the next; without an IV the media sequence number is it."""
    playlist = media(
        "#EXT-X-MEDIA-SEQUENCE:300",
        *["#EXTINF:6,", "a.ts"],
        *[KEY, "#EXTINF:6,", "b.ts"],
        *["#EXTINF:6,", "c.ts"],
        *["#EXTINF:6,", f'#EXT-X-KEY:METHOD=AES-128, URI="2",IV={IV},KEYFORMAT="identity"', "d.ts"],
        *["#EXTINF:6,", "e.ts"],
        *["#EXT-X-KEY:METHOD=NONE", "#EXTINF:6,", "f.ts"],
        *[f'#EXT-X-KEY:METHOD=AES-128,URI="//keys.example/k",IV={IV.lower()}', "#EXTINF:6,", "g.ts"],
    )
    far = Key(url="https://keys.example/k", iv=IV_BYTES)
    expected = [None, key(iv=301), key(iv=302), key("2", IV_BYTES), key("2", IV_BYTES), None, far]
    assert expected == [segment.key for segment in playlist.segments]


def test_keys_when_the_sequence_is_the_largest() -> None:
    """The number of the last segment still fits the IV."""
    playlist = media(f"#EXT-X-MEDIA-SEQUENCE:{2**64 - 1}", KEY, "#EXTINF:6,", "a.ts", "#EXTINF:6,", "b.ts")
    assert [key(iv=2**64 - 1), key(iv=2**64)] == [segment.key for segment in playlist.segments]


@pytest.mark.parametrize(
    "tags",
    [
        pytest.param([DRM, KEY], id="ours last"),
        pytest.param([KEY, DRM], id="ours first"),
        pytest.param([DRM, '#EXT-X-KEY:METHOD=AES-128,URI="x",KEYFORMAT="org.x"', KEY], id="three"),
    ],
)
def test_keys_when_several_stand_for_a_segment(tags: list[str]) -> None:
    """One key that can be used is enough."""
    assert key() == media(*tags, "#EXTINF:6,", "a.ts").segments[0].key


def test_gap_when_a_segment_is_missing() -> None:
    """A gap is said of one segment, which keeps its time."""
    playlist = media("#EXTINF:6,", "#EXT-X-GAP", "a.ts", "#EXTINF:6,", "b.ts")
    assert [(True, Fraction(0)), (False, Fraction(6))] == [
        (segment.is_gap, segment.begin) for segment in playlist.segments
    ]


def test_media_playlist_when_twenty_thousand_segments() -> None:
    """A day and more of video is read, and nothing drifts."""
    count = 20_000
    each = [KEY, "#EXTINF:6.006,", "#EXT-X-BYTERANGE:10", "a.ts"]
    playlist = media("#EXT-X-BYTERANGE:10@0", "#EXTINF:6.006,", "a.ts", *each * (count - 1))
    assert count == len(playlist.segments)
    assert Fraction("6.006") * count == playlist.seconds
    assert (10 * count - 10, 10 * count) == playlist.segments[-1].resource.byte_range


@pytest.mark.parametrize(
    ("head", "expected"),
    [
        pytest.param(b"#EXTM3U", True, id="plain"),
        pytest.param(b"\xef\xbb\xbf#EXTM3U\r\n", True, id="byte order mark"),
        pytest.param(b"\xef\xbb\xbf \n#EXTM3U", True, id="byte order mark and white space"),
        pytest.param(b"", False, id="empty"),
        pytest.param(b"#EXTM3", False, id="cut off"),
        pytest.param(b"# #EXTM3U", False, id="later"),
        pytest.param(b"\x47@\x00", False, id="a transport stream"),
    ],
)
def test_is_playlist_when(head: bytes, expected: bool) -> None:
    """A playlist is known by its first tag."""
    assert expected == is_playlist(head)


AUDIO = '#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="g"'


def test_master_playlist_when_plain() -> None:
    """Variants keep their order; those of key frames, subtitles and angles are left out."""
    playlist = master(
        "#EXT-X-INDEPENDENT-SEGMENTS",
        '#EXT-X-SESSION-KEY:METHOD=AES-128,URI="k"',
        '#EXT-X-MEDIA:TYPE=SUBTITLES,GROUP-ID="s",NAME="x",URI="file:///s.m3u8"',
        f'{AUDIO},NAME="x",DEFAULT=YES,URI="a.m3u8"',
        '#EXT-X-STREAM-INF:BANDWIDTH=5000000,RESOLUTION=1920x1080,CODECS="avc1.640028, mp4a.40.2",AUDIO="g"',
        "1080.m3u8",
        '#EXT-X-I-FRAME-STREAM-INF:BANDWIDTH=1,URI="i.m3u8"',
        "#EXT-X-STREAM-INF:FRAME-RATE=25,RESOLUTION=0x0",
        "//b.example/v.m3u8",
    )
    tall = Variant(
        url=f"{HERE}/1080.m3u8",
        height=1080,
        bandwidth=5_000_000,
        codecs=("avc1.640028", "mp4a.40.2"),
        audio=f"{HERE}/a.m3u8",
    )
    other = Variant(url="https://b.example/v.m3u8", height=None, bandwidth=0, codecs=(), audio=None)
    assert (tall, other) == playlist.variants


@pytest.mark.parametrize(
    ("renditions", "audio"),
    [
        pytest.param(['URI="1"', 'AUTOSELECT=YES,URI="2"', 'AUTOSELECT=YES,DEFAULT=YES,URI="3"'], "3", id="default"),
        pytest.param(['AUTOSELECT=YES,URI="1"', 'DEFAULT=YES,URI="2"'], "2", id="default that isn't selected"),
        pytest.param(['DEFAULT=NO,URI="1"', 'AUTOSELECT=YES,URI="2"', 'AUTOSELECT=YES,URI="3"'], "2", id="automatic"),
        pytest.param(['URI="1"', 'URI="2"'], "1", id="first"),
        pytest.param(['URI="1"', "DEFAULT=YES"], None, id="default is in the variant"),
    ],
)
def test_variant_audio_when(renditions: list[str], audio: str | None) -> None:
    """The default rendition is taken, or else one to select, or else the first; it may be in the variant."""
    tags = [f"{AUDIO},{rendition}" for rendition in renditions]
    playlist = master(*tags, '#EXT-X-STREAM-INF:BANDWIDTH=1,AUDIO="g"', "v.m3u8", *VARIANT)
    expected = None if audio is None else f"{HERE}/{audio}"
    assert [expected, None] == [variant.audio for variant in playlist.variants]


def test_session_keys_when_one_can_be_used() -> None:
    """A protection that isn't the only one is no reason to refuse."""
    session = [tag.replace("EXT-X-KEY", "EXT-X-SESSION-KEY") for tag in (DRM, KEY)]
    assert 1 == len(master(*session, *VARIANT).variants)


@st.composite
def segments(draw: st.DrawFn) -> tuple[list[str], Fraction, tuple[str, int] | None, bool]:
    """A segment's lines, its duration, its resource and size if it is a range, and whether it begins a run."""
    text, seconds = draw(decimals())
    name, size, breaks = draw(st.sampled_from("abc")), draw(st.none() | st.integers(1, 10**6)), draw(st.booleans())
    tags = [f"#EXTINF:{text},", *(["#EXT-X-DISCONTINUITY"] if breaks else [])]
    return [*draw(st.permutations(tags)), name], seconds, None if size is None else (name, size), breaks


@given(st.lists(segments(), min_size=1, max_size=40), st.integers(0, 10**6))
def test_media_playlist_when_any(
    each: list[tuple[list[str], Fraction, tuple[str, int] | None, bool]], first: int
) -> None:
    """Begins are running sums, runs are contiguous, and implicit byte ranges tile each resource."""
    written: list[str] = []
    expected: list[tuple[int, int] | None] = []
    previous: tuple[str, int] | None = None
    for tags, _, part, _ in each:
        begin = first
        if part is not None:
            is_implicit = previous is not None and previous[0] == part[0] and expected[-1] is not None
            begin = expected[-1][1] if is_implicit and expected[-1] is not None else first
            written.append(f"#EXT-X-BYTERANGE:{part[1]}" + ("" if is_implicit else f"@{begin}"))
        expected.append(None if part is None else (begin, begin + part[1]))
        written += tags
        previous = part
    playlist = media(*written)

    assert expected == [segment.resource.byte_range for segment in playlist.segments]
    sums = list(itertools.accumulate((seconds for _, seconds, _, _ in each), initial=Fraction(0)))
    assert sums == [*(segment.begin for segment in playlist.segments), playlist.seconds]
    assert list(itertools.pairwise(sums)) == [(segment.begin, segment.end) for segment in playlist.segments]
    assert list(range(len(each))) == [segment.number for segment in playlist.segments]
    breaks = [breaks for _, _, _, breaks in each[1:]]
    assert list(itertools.accumulate(breaks, initial=0)) == [segment.run for segment in playlist.segments]
    assert playlist.segments == tuple(itertools.chain(*playlist.runs))
    assert list(range(len(playlist.runs))) == [run[0].run for run in playlist.runs]
