"""Playlists that can't be used: every mistake in words, whatever the bytes are, and no secret in any message."""

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st
from playlists import DRM, IV, KEY, SEGMENT, URL, VARIANT, lines

from clipcut.errors import Reason, SourceError
from clipcut.sources.hls.master import MAX_BYTES, MasterPlaylist, choose_variant
from clipcut.sources.hls.reader import parse_playlist
from clipcut.sources.hls.tags import MAX_SEGMENTS, MAX_VARIANTS, TAGS

CANARY = "c4n4ry"


def error_of(data: bytes, url: str = URL) -> SourceError | None:
    """What is wrong with a document, the choice of a variant included; None if nothing is."""
    try:
        playlist = parse_playlist(data, url)
        if isinstance(playlist, MasterPlaylist):
            assert choose_variant(playlist, 720) in playlist.variants
    except SourceError as exc:
        return exc
    return None


@pytest.mark.parametrize(
    ("data", "words"),
    [
        pytest.param(b"", "#EXTM3U: it is empty", id="empty"),
        pytest.param(b" \n<!DOCTYPE HTML><p>Log in", "looks like an HTML page", id="html"),
        pytest.param(b"<html lang=en>", "looks like an HTML page", id="html without doctype"),
        pytest.param(b'<?xml version="1.0"?><MPD>', "looks like a DASH manifest", id="dash"),
        pytest.param(b"<Error><Code>AccessDenied", "looks like XML", id="xml"),
        pytest.param(b'{"error": "c4n4ry"}', "looks like JSON$", id="json"),
        pytest.param(b"Not Found: " + b"x" * 1000, 'begins with "Not Found"$', id="words"),
        pytest.param(b"\x00\x00\x00\x18ftypmp42", "looks like something else", id="binary"),
        pytest.param(lines(*SEGMENT) + b"#\xff", "not UTF-8", id="not UTF-8"),
        pytest.param(b"#EXTM3U" + b"\n" * MAX_BYTES, "larger than 16 MiB", id="too large"),
        pytest.param(lines(*["#"] * 1_000_001), "more than 1,000,000 lines", id="too many lines"),
        pytest.param(lines(*SEGMENT * (MAX_SEGMENTS + 1)), "more than 100,000 segments", id="too many segments"),
        pytest.param(lines(*VARIANT * (MAX_VARIANTS + 1)), "more than 1,000 variants", id="too many variants"),
        pytest.param(lines(*["#EXT-X-MEDIA:"] * 10_001), "more than 10,000 renditions", id="too many renditions"),
        pytest.param(
            lines(*[f'#EXT-X-KEY:METHOD=A,KEYFORMAT="{i}"' for i in range(101)]), "more than 100 formats", id="formats"
        ),
        pytest.param(lines(f"#EXTINF:6,{'x' * 65_536}", "a.ts"), "65,536 characters in the EXTINF", id="long tag"),
        pytest.param(lines("#EXTINF:6,", "x" * 65_537), "segment 0 an address that can't", id="long address"),
        pytest.param(lines(), "no segments", id="nothing"),
        pytest.param(lines("#EXT-X-ENDLIST"), "no segments", id="end only"),
        pytest.param(
            lines('#EXT-X-I-FRAME-STREAM-INF:BANDWIDTH=1,URI="i"'), "no segments", id="key frame variant only"
        ),
        pytest.param(lines("a.ts"), "an address with neither", id="address only"),
        pytest.param(lines(*SEGMENT, "b.ts", *SEGMENT), "an address with neither", id="address without EXTINF"),
        pytest.param(lines("#EXT-X-BYTERANGE:1@0", "a.ts"), "segment 0 no duration", id="byte range without EXTINF"),
        pytest.param(lines(*SEGMENT, "#EXTINF:6,"), "segment 1 no address", id="last has no address"),
        pytest.param(lines("#EXTINF:6,", *SEGMENT), "segment 0 no address", id="first has no address"),
        pytest.param(lines("#EXTINF:nan,", "a.ts"), 'segment 0 the duration "nan", which is no number', id="nan"),
        pytest.param(lines("#EXTINF:inf,", "a.ts"), '"inf", which is no number', id="infinite"),
        pytest.param(lines("#EXTINF:,", "a.ts"), '"", which is no number', id="no duration"),
        pytest.param(lines("#EXTINF", "a.ts"), '"", which is no number', id="no colon"),
        pytest.param(lines("#EXTINF:1_0,", "a.ts"), "is no number", id="underscore"),
        pytest.param(lines("#EXTINF:1e9999999,", "a.ts"), "is no number", id="exponent"),
        pytest.param(lines("#EXTINF:" + "1" * 5000, "a.ts"), '1{40}", which is no number', id="5000 digits"),
        pytest.param(lines("#EXTINF:x\x07\u202ey", "a.ts"), r'"x\?\?y"', id="unprintable"),
        pytest.param(lines(*SEGMENT, "#EXTINF:-1,", "b.ts"), "segment 1 the duration -1; that is 0 to", id="negative"),
        pytest.param(lines("#EXTINF:1000000.1,", "a.ts"), "that is 0 to 1,000,000 s", id="absurd"),
        pytest.param(lines("#EXT-X-KEY:METHOD", *SEGMENT), "has a key without METHOD", id="bad tag"),
        pytest.param(lines("#EXT-X-KEY", *SEGMENT), "has a key without METHOD", id="bare tag"),
        pytest.param(lines(*SEGMENT, "#EXT-X-PLAYLIST-TYPE"), "at the EXT-X-PLAYLIST-TYPE after 1", id="bare type"),
        pytest.param(lines("#EXT-X-MEDIA-SEQUENCE:x", *SEGMENT), "at the EXT-X-MEDIA-SEQUENCE", id="bad sequence"),
        pytest.param(lines("#EXT-X-MEDIA-SEQUENCE:-1", *SEGMENT), "out of range", id="negative sequence"),
        pytest.param(lines(f"#EXT-X-MEDIA-SEQUENCE:{2**64}", *SEGMENT), "out of range", id="huge sequence"),
        pytest.param(lines(*SEGMENT, "#EXT-X-MEDIA-SEQUENCE:1"), "after its first segment", id="late sequence"),
        pytest.param(lines("#EXT-X-I-FRAMES-ONLY", *SEGMENT), "key frames only", id="key frames only"),
        pytest.param(lines("#EXT-X-IMAGES-ONLY", *SEGMENT), "pictures only", id="pictures only"),
        pytest.param(lines("#EXT-X-SKIP:SKIPPED-SEGMENTS=3", *SEGMENT), "leaves segments out", id="delta update"),
        pytest.param(lines(*SEGMENT, *VARIANT), "both segments and variants", id="both"),
        pytest.param(lines(*VARIANT, *SEGMENT), "both segments and variants", id="both, variants first"),
        pytest.param(lines('#EXT-X-KEY:URI="k"', *SEGMENT), "key without METHOD", id="no method"),
        pytest.param(lines("#EXT-X-KEY:METHOD=AES-128", *SEGMENT), "a key no address", id="no key address"),
        pytest.param(lines('#EXT-X-KEY:METHOD=AES-128,URI=""', *SEGMENT), "a key no address", id="empty key address"),
        pytest.param(lines(f"{KEY},IV=0x0102", *SEGMENT), "IV that isn't 0x and 32", id="short IV"),
        pytest.param(lines(f"{KEY},IV={IV}00", *SEGMENT), "IV that isn't 0x and 32", id="long IV"),
        pytest.param(lines(f"{KEY},IV={IV[2:]}", *SEGMENT), "IV that isn't 0x and 32", id="IV without 0x"),
        pytest.param(lines(f"{KEY},IV=0x{'g' * 32}", *SEGMENT), "IV that isn't 0x and 32", id="IV of letters"),
        pytest.param(
            lines(KEY, '#EXT-X-MAP:URI="i"', *SEGMENT), "EXT-X-MAP before segment 0 without an IV", id="map IV"
        ),
        pytest.param(lines('#EXT-X-MAP:BYTERANGE="1@0"', *SEGMENT), "segment 0 no address", id="map without address"),
        pytest.param(lines('#EXT-X-MAP:URI="i', *SEGMENT), "segment 0 no address", id="quote that stays open"),
        pytest.param(lines('#EXT-X-MAP:URI="i",BYTERANGE="x"', *SEGMENT), "byte range that is none", id="map range"),
        pytest.param(
            lines("#EXT-X-BYTERANGE:x", *SEGMENT), "segment 0 a byte range that is none", id="range of letters"
        ),
        pytest.param(lines("#EXT-X-BYTERANGE:-5@0", *SEGMENT), "a byte range that is none", id="negative range"),
        pytest.param(lines("#EXT-X-BYTERANGE:5@-1", *SEGMENT), "a byte range that is none", id="negative begin"),
        pytest.param(
            lines("#EXT-X-BYTERANGE:" + "9" * 5000, *SEGMENT), "range that is none", id="range of 5000 digits"
        ),
        pytest.param(lines("#EXT-X-BYTERANGE:0@5", *SEGMENT), "a byte range that is empty", id="empty range"),
        pytest.param(lines("#EXT-X-BYTERANGE:5", *SEGMENT), "segment 0 a byte range without a begin", id="first range"),
        pytest.param(
            lines(*SEGMENT, "#EXT-X-BYTERANGE:5", *SEGMENT), "1 a byte range without a begin", id="range after a whole"
        ),
        pytest.param(
            lines("#EXT-X-BYTERANGE:5@0", *SEGMENT, "#EXT-X-BYTERANGE:5", "#EXTINF:6,", "b.ts"),
            "1 a byte range without a begin",
            id="range after another resource",
        ),
        pytest.param(lines("#EXTINF:6,", "http://["), "segment 0 an address that can't", id="bracket"),
        pytest.param(lines("#EXTINF:6,", "http://h:99999/a"), "segment 0 an address that can't", id="port"),
        pytest.param(lines("#EXTINF:6,", "a\x00.ts"), "segment 0 an address that can't", id="unprintable address"),
        pytest.param(lines(*VARIANT, "#EXT-X-STREAM-INF:BANDWIDTH=1"), "variant 1 no address", id="last variant"),
        pytest.param(lines("#EXT-X-STREAM-INF:BANDWIDTH=1", *VARIANT), "variant 0 no address", id="first variant"),
        pytest.param(lines(*VARIANT, "w.m3u8"), "an address with neither", id="address without EXT-X-STREAM-INF"),
        pytest.param(lines("#EXT-X-STREAM-INF:BANDWIDTH=x", "v"), "at the EXT-X-STREAM-INF", id="bandwidth of letters"),
        pytest.param(
            lines("#EXT-X-STREAM-INF:BANDWIDTH=1e999", "v"), "at the EXT-X-STREAM-INF", id="infinite bandwidth"
        ),
        pytest.param(lines("#EXT-X-STREAM-INF:BANDWIDTH=-1", "v"), "BANDWIDTH that is out", id="negative bandwidth"),
        pytest.param(lines("#EXT-X-STREAM-INF:RESOLUTION=720p", "v"), "RESOLUTION that can't", id="resolution"),
        pytest.param(
            lines('#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="a",URI=""', *VARIANT), "a rendition no address", id="rendition"
        ),
    ],
)
def test_parse_playlist_when_bad(data: bytes, words: str) -> None:
    """What is wrong is said in words: what, and of which segment."""
    with pytest.raises(SourceError, match=words) as caught:
        parse_playlist(data, URL)
    assert Reason.BAD_PLAYLIST == caught.value.reason


@pytest.mark.parametrize(
    ("data", "words"),
    [
        pytest.param(
            lines(*SEGMENT * 3, DRM, *SEGMENT),
            r"^segment 3 is protected \(SAMPLE-AES, com.apple.streamingkeydelivery\): clipcut opens no DRM$",
            id="fairplay",
        ),
        pytest.param(
            lines('#EXT-X-KEY:METHOD=SAMPLE-AES,URI="k"', *SEGMENT), r"\(SAMPLE-AES, identity\)", id="samples"
        ),
        pytest.param(
            lines('#EXT-X-KEY:METHOD=SAMPLE-AES-CTR,URI="k",KEYFORMAT="com.widevine.alpha"', *SEGMENT),
            r"\(SAMPLE-AES-CTR, com.widevine.alpha\)",
            id="counter mode",
        ),
        pytest.param(
            lines('#EXT-X-KEY:METHOD=AES-128,URI="k",KEYFORMAT="com.microsoft.playready"', *SEGMENT),
            r"\(AES-128, com.microsoft.playready\)",
            id="another key format",
        ),
        pytest.param(lines('#EXT-X-KEY:METHOD=NEW,URI="k"', *SEGMENT), r"\(NEW, identity\)", id="unknown method"),
        pytest.param(
            lines(KEY, *SEGMENT, "#EXT-X-KEY:METHOD=NONE", DRM, *SEGMENT), "^segment 1 is protected", id="ours is over"
        ),
        pytest.param(
            lines(KEY, '#EXT-X-KEY:METHOD=SAMPLE-AES,URI="k"', *SEGMENT), "^segment 0 is protected", id="replaced"
        ),
        pytest.param(
            lines(DRM, '#EXT-X-MAP:URI="i"', "#EXT-X-KEY:METHOD=NONE", *SEGMENT),
            "^the EXT-X-MAP before segment 0 is protected",
            id="map",
        ),
        pytest.param(
            lines(DRM.replace("EXT-X-KEY", "EXT-X-SESSION-KEY"), *VARIANT),
            "^the playlist is protected",
            id="session key",
        ),
        pytest.param(
            lines("#EXTINF:6,", "file:///etc/passwd"),
            r"^the playlist leads to a file: address, and only http\(s\) is followed$",
            id="segment in a file",
        ),
        pytest.param(lines("#EXTINF:6,", r"C:\video\a.ts"), "to a c: address", id="segment on a drive"),
        pytest.param(lines("#EXTINF:6,", "x" * 70 + ":1"), "to a x{20}: address", id="segment of a long scheme"),
        pytest.param(lines("#EXTINF:6,", "http:///a.ts"), "an address without a host", id="segment without a host"),
        pytest.param(lines('#EXT-X-MAP:URI="data:,x"', *SEGMENT), "to a data: address", id="map of data"),
        pytest.param(lines('#EXT-X-KEY:METHOD=AES-128,URI="skd://x"', *SEGMENT), "to a skd: address", id="key"),
        pytest.param(lines(VARIANT[0], "ftp://h/v"), "to a ftp: address", id="variant"),
        pytest.param(
            lines('#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="a",URI="file:///a"', *VARIANT),
            "to a file: address",
            id="rendition",
        ),
    ],
)
def test_parse_playlist_when_refused(data: bytes, words: str) -> None:
    """Protected media isn't opened, and nothing but http(s) is followed."""
    with pytest.raises(SourceError, match=words) as caught:
        parse_playlist(data, URL)
    assert Reason.REFUSED == caught.value.reason


def test_parse_playlist_when_its_own_address_is_a_path() -> None:
    """A playlist of a file leads nowhere but to absolute addresses."""
    with pytest.raises(SourceError, match="to a relative address") as caught:
        parse_playlist(lines(*SEGMENT), "show/index.m3u8")
    assert Reason.REFUSED == caught.value.reason


OTHER_TAGS = ["#EXT-X-PART", "#EXT-X-DATERANGE", "#EXT-X-SKIP", "#EXT-X-DEFINED", "#EXT-X-MEDIAN", "#", "#EXTM3U"]
ANY_TAGS = st.sampled_from([*TAGS, *OTHER_TAGS])
NAMES = st.one_of(
    st.sampled_from(["METHOD", "URI", "IV", "KEYFORMAT", "BYTERANGE", "TYPE", "GROUP-ID", "DEFAULT", "AUTOSELECT"]),
    st.sampled_from(["BANDWIDTH", "RESOLUTION", "CODECS", "AUDIO", "FRAME-RATE", "PROGRAM-ID", "X"]),
)
VALUES = st.one_of(
    st.sampled_from(
        ["AES-128", "SAMPLE-AES", "NONE", "AUDIO", "YES", "identity", "g", "k", "", "1x1", "avc1,mp4a", IV]
    ),
    st.sampled_from(["https://h/a", "http://[", "file:///a", "//", "http://h:x/", "5", "5@0", "-1", "nan", "1e999"]),
    st.integers().map(str),
    st.floats().map(str),
    st.text(max_size=8),
    st.text("\"',=@?:#/x1", max_size=8),
)


@st.composite
def attribute_lists(draw: st.DrawFn) -> str:
    """Attributes, quoted or not, with names that mean something."""
    pairs = draw(st.lists(st.tuples(NAMES, VALUES, st.sampled_from(['"', "", "'"])), max_size=5))
    return ",".join(f"{name}={quote}{value}{quote}" for name, value, quote in pairs)


@st.composite
def documents(draw: st.DrawFn) -> str:
    """A document of tags in any order with any values, with segments or variants between them."""
    tags = st.builds("{}{}{}".format, ANY_TAGS, st.sampled_from([":", ":", ":", ""]), attribute_lists() | VALUES)
    tags |= st.sampled_from([KEY, DRM, "#EXT-X-BYTERANGE:5@0", "#EXT-X-BYTERANGE:5", '#EXT-X-MAP:URI="i"'])
    addresses = st.sampled_from(["a.ts", "a.ts", "b.ts", "a.ts#"]) | VALUES
    if draw(st.booleans()):
        blocks = st.builds("#EXT-X-STREAM-INF:{}\n{}".format, attribute_lists(), addresses)
    else:
        blocks = st.builds("#EXTINF:6,\n{}\n{}".format, tags, addresses)
    written = draw(st.lists(blocks | tags, max_size=5)) + draw(st.lists(VALUES, max_size=1))
    return "\n".join(["#EXTM3U", draw(blocks), *written])


@given(st.binary(max_size=300) | st.text(max_size=300).map(str.encode), st.booleans())
def test_parse_playlist_when_any_bytes(data: bytes, is_begun: bool) -> None:
    """Whatever comes, it is read or its failure is foreseen, in few and printable characters."""
    error = error_of(b"#EXTM3U\n" + data if is_begun else data)
    assert error is None or (str(error).isprintable() and len(str(error)) < 200)


@given(documents())
def test_parse_playlist_when_any_tags(document: str) -> None:
    """Tags in any order with any values are read or their failure is foreseen, and variants can be chosen from."""
    error = error_of(document.encode())
    assert error is None or (str(error).isprintable() and len(str(error)) < 200)


@st.composite
def secret_addresses(draw: st.DrawFn) -> str:
    """An address that is bad in some way, with a canary in its user information and its query."""
    odd = st.text(string.punctuation.replace("@", "").replace("?", "") + " \x07ä", max_size=3)
    scheme = draw(st.sampled_from(["https:", "http:", "file:", "ftp:", "skd:", ""]))
    host = draw(st.sampled_from(["h", "[", "h:99999", "h:x", "", "h\u2100"]))
    user, query = draw(st.sampled_from(["{}", "u:{}", "{}:p"])), draw(st.sampled_from(["{}", "t={}", "a=b&t={}"]))
    return f"{scheme}//{user.format(CANARY)}{draw(odd)}@{host}/{draw(odd)}?{query.format(CANARY)}{draw(odd)}"


PLACES = [
    "{}",
    "#EXTM3U\n{}",
    "#EXTM3U\n#EXTINF:6,\n{}",
    "#EXTM3U\n#EXTINF:{},\na.ts",
    "#EXTM3U\n#EXTINF:6,{}\n",
    '#EXTM3U\n#EXT-X-MAP:URI="{}"\n#EXTINF:6,\na.ts',
    '#EXTM3U\n#EXT-X-MAP:URI="i",BYTERANGE="{}"\n#EXTINF:6,\na.ts',
    "#EXTM3U\n#EXT-X-BYTERANGE:{}\n#EXTINF:6,\na.ts",
    '#EXTM3U\n#EXT-X-KEY:METHOD=AES-128,URI="{}"\n#EXTINF:6,\na.ts',
    '#EXTM3U\n#EXT-X-KEY:METHOD=AES-128,URI="k",IV={}\n#EXTINF:6,\na.ts',
    "#EXTM3U\n#EXT-X-KEY:METHOD={}\n#EXTINF:6,\na.ts",
    '#EXTM3U\n#EXT-X-KEY:METHOD=SAMPLE-AES,KEYFORMAT="{}"\n#EXTINF:6,\na.ts',
    '#EXTM3U\n#EXT-X-SESSION-KEY:METHOD=AES-128,KEYFORMAT="{}"\n#EXT-X-STREAM-INF:BANDWIDTH=1\nv',
    "#EXTM3U\n#EXT-X-MEDIA-SEQUENCE:{}\n#EXTINF:6,\na.ts",
    "#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\n{}",
    "#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH={}\nv",
    "#EXTM3U\n#EXT-X-STREAM-INF:RESOLUTION={}\nv",
    '#EXTM3U\n#EXT-X-STREAM-INF:AUDIO="{}"\nv',
    '#EXTM3U\n#EXT-X-STREAM-INF:CODECS="{}"\nv',
    '#EXTM3U\n#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="g",URI="{}"\n#EXT-X-STREAM-INF:AUDIO="g"\nv',
    '#EXTM3U\n#EXT-X-DEFINE:NAME="x",VALUE="{}"',
]


@given(st.sampled_from(PLACES), secret_addresses(), secret_addresses())
def test_messages_when_addresses_have_secrets(place: str, address: str, base: str) -> None:
    """No user information and no query gets into a message, wherever the address stands, nor into what caused it."""
    error = error_of(place.format(address).encode(), base)
    assert error is None or (str(error).isprintable() and CANARY not in str(error))
    assert error is None or error.__context__ is None or error.__suppress_context__
