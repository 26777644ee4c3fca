"""Relative addresses: RFC 3986's own examples, and paths with empty segments, which are as good as any other."""

from pathlib import Path
from urllib.parse import urljoin

import pytest
from golden import Numbered, assert_picture, render, timeline
from hypothesis import given
from hypothesis import strategies as st
from media import make_source
from origin import Origin, Reply, redirect
from packaged import encrypt, package, read_segments, serving, write_playlist

from clipcut.network.references import resolve_reference

RFC = {
    "g:h": "g:h",
    "g": "http://a/b/c/g",
    "./g": "http://a/b/c/g",
    "g/": "http://a/b/c/g/",
    "/g": "http://a/g",
    "//g": "http://g",
    "?y": "http://a/b/c/d;p?y",
    "g?y": "http://a/b/c/g?y",
    "#s": "http://a/b/c/d;p?q#s",
    "g#s": "http://a/b/c/g#s",
    "g?y#s": "http://a/b/c/g?y#s",
    ";x": "http://a/b/c/;x",
    "g;x": "http://a/b/c/g;x",
    "g;x?y#s": "http://a/b/c/g;x?y#s",
    "": "http://a/b/c/d;p?q",
    ".": "http://a/b/c/",
    "./": "http://a/b/c/",
    "..": "http://a/b/",
    "../": "http://a/b/",
    "../g": "http://a/b/g",
    "../..": "http://a/",
    "../../": "http://a/",
    "../../g": "http://a/g",
    "../../../g": "http://a/g",
    "../../../../g": "http://a/g",
    "/./g": "http://a/g",
    "/../g": "http://a/g",
    "g.": "http://a/b/c/g.",
    ".g": "http://a/b/c/.g",
    "g..": "http://a/b/c/g..",
    "..g": "http://a/b/c/..g",
    "./../g": "http://a/b/g",
    "./g/.": "http://a/b/c/g/",
    "g/./h": "http://a/b/c/g/h",
    "g/../h": "http://a/b/c/h",
    "g;x=1/./y": "http://a/b/c/g;x=1/y",
    "g;x=1/../y": "http://a/b/c/y",
    "g?y/./x": "http://a/b/c/g?y/./x",
    "g?y/../x": "http://a/b/c/g?y/../x",
    "g#s/./x": "http://a/b/c/g#s/./x",
    "g#s/../x": "http://a/b/c/g#s/../x",
    "http:g": "http://a/b/c/g",
}
"""All of its section 5.4."""


@pytest.mark.parametrize("reference", RFC)
def test_a_reference_means_what_the_standard_says(reference: str) -> None:
    """Each of its examples."""
    assert RFC[reference] == resolve_reference("http://a/b/c/d;p?q", reference)


@pytest.mark.parametrize(
    ("base", "reference", "meant"),
    [
        pytest.param("http://a/b//c/p?q", "s.ts", "http://a/b//c/s.ts", id="in the base"),
        pytest.param("http://a//p", "s.ts", "http://a//s.ts", id="at the begin of the base"),
        pytest.param("http://a/b//", "s.ts", "http://a/b//s.ts", id="at the end of the base"),
        pytest.param("http://a/b/p", "x//s.ts", "http://a/b/x//s.ts", id="in the reference"),
        pytest.param("http://a/b/p", "/x//s.ts", "http://a/x//s.ts", id="in an absolute path"),
        pytest.param("http://a/b/p", "x///s.ts", "http://a/b/x///s.ts", id="three"),
        pytest.param("http://a/b/p", "x//", "http://a/b/x//", id="at the end of the reference"),
        pytest.param("http://a/b//c/p", "../s.ts", "http://a/b//s.ts", id="up to them"),
        pytest.param("http://a/b//p", "../s.ts", "http://a/b/s.ts", id="up over one of them"),
        pytest.param("http://a/b//p", "../../s.ts", "http://a/s.ts", id="up over both"),
        pytest.param("http://a//b/p", "./x//../s.ts", "http://a//b/x/s.ts", id="up inside"),
        pytest.param("http://a/b//p?q", "?y", "http://a/b//p?y", id="another query"),
        pytest.param("http://a/b//p?q", "#f", "http://a/b//p?q#f", id="a fragment"),
        pytest.param("http://a/b/p", "//c/x//s.ts", "http://c/x//s.ts", id="of another host"),
        pytest.param("http://a/b/p", "https://c/x//s.ts", "https://c/x//s.ts", id="of another scheme"),
        pytest.param("http://a", "s.ts", "http://a/s.ts", id="a base without a path"),
        pytest.param("http://a/p?q", "?", "http://a/p", id="an empty query"),
        pytest.param("http://a/p?x=b//c/d", "s.ts", "http://a/s.ts", id="slashes in the query"),
    ],
)
def test_empty_segments_of_a_path_are_kept(base: str, reference: str, meant: str) -> None:
    """Wherever they are."""
    assert meant == resolve_reference(base, reference)


@given(st.lists(st.sampled_from(["a", "b.ts", ".", "..", "é", "x y", "a:b"]), min_size=1), st.booleans())
def test_other_references_mean_what_urllib_says(segments: list[str], is_absolute: bool) -> None:
    """Where no segment is empty."""
    reference = "/" * is_absolute + "/".join(segments)
    if not is_absolute and ":" in segments[0]:
        return  # a scheme

    assert urljoin("http://h/one/two/three", reference) == resolve_reference("http://h/one/two/three", reference)


@pytest.mark.media
def test_playlists_segments_keys_and_redirects_keep_their_slashes(tmp_path: Path, packaged: str) -> None:
    """An object store takes each address as it is, and knows no other."""
    source = make_source(tmp_path / "source.mp4", ffmpeg=packaged, source_id=1, seconds=6, pattern=False)
    playlist = package(
        source, tmp_path / "packed", ffmpeg=packaged, seconds=2, args=("-hls_segment_type", "fmp4"), suffix="m4s"
    )
    key, iv = b"k" * 16, bytes(16)
    names = read_segments(playlist)
    head = [f'#EXT-X-KEY:METHOD=AES-128,URI="keys//k",IV=0x{iv.hex()}', '#EXT-X-MAP:URI="..//v//init.mp4"']
    lines = [f"#EXTINF:{length},\nx//{name}" for length, name in names]
    media = write_playlist(tmp_path / "media.m3u8", lines, head=head).read_bytes()
    master = b"#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\n.//v//media.m3u8\n"
    store = {"/b//master.m3u8": master, "/b///v//media.m3u8": media, "/b///v//keys//k": key}
    packed = tmp_path / "packed"
    store["/b///v//v//init.mp4"] = encrypt((packed / "init.mp4").read_bytes(), key, iv)
    store |= {f"/b///v//x//{name}": encrypt((packed / name).read_bytes(), key, iv) for _, name in names}
    document = timeline([{"video_id": "v", "start": 1.5, "end": 4.5}], {"v": ""})

    def script(origin: Origin, target: str, body: bytes) -> None:
        origin.script(target, lambda seen: Reply(body=body) if seen.target == target else Reply(status=404))

    with serving(tmp_path) as origin:
        for target, body in store.items():
            script(origin, target, body)
        origin.script("/b/go", redirect(".//master.m3u8"))
        document["sources"]["v"]["url"] = f"{origin.url}/b/go"
        rendered = render(tmp_path, document, ffmpeg=packaged)

    assert [] == sorted({seen.target for seen in origin.requests} - {"/b/go", *store})
    assert 0 == rendered.exit_code
    assert_picture(rendered, document, {"v": Numbered(1, frames=180)}, ffmpeg=packaged)
