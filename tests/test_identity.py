"""What a source is known by: no video is taken for another, and a new signature makes no other video."""

import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from golden import Numbered, Rendered, assert_picture, render, timeline
from media import make_source
from origin import Origin, Reply, Seen
from packaged import encrypt, package, read_segments, serving, write_playlist

from clipcut.digest import known_address, known_headers

MEDIA = {"a": Numbered(1, frames=180), "b": Numbered(2, frames=180)}


@pytest.mark.parametrize(
    ("query", "kept"),
    [
        *((f"{name}=1", 1) for name in ("id", "v", "session", "sid", "author", "policy", "exp", "acl", "tokenid")),
        *((f"{name}=1", 1) for name in ("expires", "Key-Pair-Id", "sv", "se", "sp", "st", "nonce", "auth", "md5")),
        *((f"{name}=1", 1) for name in ("x-amz-meta-video", "x-ms-video", "sessionid", "signatures", "my_token_name")),
        *((f"{name}=1", 0) for name in ("token", "access_token", "TOKEN", "jwt", "Signature", "sig", "api_key")),
        *((f"{name}=1", 0) for name in ("hdnts", "hdnea", "auth_key", "__token__")),
        ("video", 1),
        ("X-Amz-Algorithm=1&X-Amz-Credential=1&X-Amz-Date=1&X-Amz-Expires=1&X-Amz-SignedHeaders=1", 0),
        ("X-Amz-Signature=1&X-Amz-Security-Token=1&x-amz-content-sha256=1", 0),
        ("X-Goog-Algorithm=1&X-Goog-Credential=1&X-Goog-Date=1&X-Goog-Expires=1&X-Goog-Signature=1", 0),
        ("AWSAccessKeyId=1&Expires=1&Signature=1", 0),
        ("GoogleAccessId=1&Expires=1&Signature=1", 0),
        ("Expires=1&KeyName=1&Signature=1", 0),
        ("Policy=1&Signature=1&Key-Pair-Id=1", 0),
        ("Expires=1&Signature=1&Key-Pair-Id=1", 0),
        ("Policy=1&Signature=1", 1),
        ("Policy=1&Key-Pair-Id=1", 2),
        ("sv=1&sr=b&sp=r&st=1&se=1&spr=https&sig=1", 0),
        ("sv=1&sr=b&se=1", 3),
        ("sr=b&sig=1", 1),
        ("sv=1&se=1&sig=1&rsct=video/mp4", 1),
        ("token=1&expires=1&token_path=/", 0),
        ("md5=1&expires=1", 0),
        ("txSecret=1&txTime=1", 0),
        ("txTime=1", 1),
        ("id=7&token=1&expires=1", 1),
    ],
)
def test_a_parameter_counts_unless_it_is_a_credential_and_nothing_else(query: str, kept: int) -> None:
    """By its exact name; what is a credential only in company is none alone."""
    (*_, parameters) = known_address(f"https://a.example/v?{query}")

    assert isinstance(parameters, list)
    assert kept == len(parameters)


@pytest.mark.parametrize(
    ("one", "other", "is_same"),
    [
        pytest.param("https://a.example/v.m3u8?id=1", "https://a.example/v.m3u8?id=2", False, id="id"),
        pytest.param("https://a.example/v?session=1", "https://a.example/v?session=2", False, id="session"),
        pytest.param(
            "https://a.example/v.m3u8?id=1&token=x", "https://a.example/v.m3u8?id=1&token=y", True, id="token"
        ),
        pytest.param("https://u:p@A.example/v", "https://a.example/v", True, id="user"),
        pytest.param("https://a.example/v?X-Amz-Signature=1", "https://a.example/v?X-Amz-Signature=2", True, id="aws"),
        pytest.param(
            "https://a.example/v?Expires=1&Signature=3&Key-Pair-Id=2", "https://a.example/v", True, id="cloudfront"
        ),
        pytest.param("https://a.example/v?sv=1&sig=2&se=3", "https://a.example/v?sv=1&sig=9&se=4", True, id="azure"),
        pytest.param("https://a.example/v?se=3", "https://a.example/v?se=4", False, id="no-azure"),
        pytest.param("https://a.example/v", "https://a.example/w", False, id="path"),
        pytest.param("https://a.example/v", "http://a.example/v", False, id="scheme"),
        pytest.param("https://a.example/v", "https://a.example:8443/v", False, id="port"),
    ],
)
def test_an_address_is_known_by_what_says_which_thing_is_meant(one: str, other: str, is_same: bool) -> None:
    """Not by who asks, nor for how long it is good."""
    assert is_same == (known_address(one) == known_address(other))


def test_headers_that_may_choose_the_thing_count_and_credentials_do_not() -> None:
    """As written: what is in a variable never does."""
    secret = {"Authorization": "Bearer ${T}", "X-Api-Key": "k", "X-Amz-Security-Token": "s"}
    headers = {"X-Video": "7", "X-Session": "1", "Cookie": "${C}", "Author": "b", "Accept": "${A}"}

    known = [("accept", "${A}"), ("author", "b"), ("cookie", "${C}"), ("x-session", "1"), ("x-video", "7")]
    assert known == known_headers(secret | headers)


def by_query(name: str) -> Callable[[str, str], Mapping[str, Any]]:
    """Return how sources are written that a parameter tells apart."""
    return lambda url, number: {"url": f"{url}?{name}={number}"}


def by_header(name: str) -> Callable[[str, str], Mapping[str, Any]]:
    """Return how sources are written that a header tells apart."""
    return lambda url, number: {"url": url, "headers": {name: number}}


def chosen(seen: Seen) -> str:
    """Return which video a request is for: whatever stands behind the mark, else what its header says."""
    said = (seen.query, *(seen.headers.get(name, "") for name in ("x-session", "cookie", "authorization")))
    return next(text for text in said if text)[-1]


@pytest.mark.media
@pytest.mark.parametrize("is_encrypted", [False, True], ids=["plain", "encrypted"])
@pytest.mark.parametrize(
    "written",
    [
        pytest.param(by_query("v"), id="v"),
        pytest.param(by_query("session"), id="session"),
        pytest.param(by_query("token"), id="token"),
        pytest.param(by_header("X-Session"), id="X-Session"),
        pytest.param(by_header("Cookie"), id="Cookie"),
        pytest.param(by_header("Authorization"), id="Authorization"),
    ],
)
def test_videos_with_equal_playlists_are_not_mixed_up(
    tmp_path: Path, packaged: str, written: Callable[[str, str], Mapping[str, Any]], is_encrypted: bool
) -> None:
    """Whatever tells them apart, a pure credential too: each clip has its own video's pictures, also the next day."""
    for number in (1, 2):
        path = tmp_path / f"{number}.mp4"
        source = make_source(path, ffmpeg=packaged, source_id=number, seconds=6, pattern=False)
        playlist = package(source, tmp_path / f"www{number}", ffmpeg=packaged, seconds=2)
        if is_encrypted:
            encrypt_all(playlist)
    playlists = [read_segments(tmp_path / f"www{number}" / "index.m3u8") for number in (1, 2)]
    assert playlists[0] == playlists[1]

    def choose(seen: Seen) -> Reply:
        body = (tmp_path / f"www{chosen(seen)}" / seen.path[1:]).read_bytes()
        return Reply(body=body.replace(b".ts", f".ts?{seen.query}".encode()) if seen.path == "/index.m3u8" else body)

    with serving(tmp_path / "www1") as origin:
        for name in ("index.m3u8", "s000.ts", "s001.ts", "s002.ts"):
            origin.script(f"/{name}", choose)
        for names, cached in (("a", 0), ("b", 0), ("ab", 2), ("ba", 2)):
            rendered = cut(tmp_path, origin, names, written, packaged)
            assert cached == rendered.report["clip_stats"]["cached_tasks"]


def cut(
    folder: Path, origin: Origin, names: str, written: Callable[[str, str], Mapping[str, Any]], ffmpeg: str
) -> Rendered:
    """Cut a clip of each video, and see that its pictures are the right ones."""
    sources = {name: written(f"{origin.url}/index.m3u8", str("ab".index(name) + 1)) for name in names}
    document = timeline([{"video_id": name, "start": 3, "duration": 0.5} for name in names], sources)
    rendered = render(folder, document, ffmpeg=ffmpeg)
    assert_picture(rendered, document, MEDIA, ffmpeg=ffmpeg)
    return rendered


def encrypt_all(playlist: Path) -> None:
    """Encrypt the segments of a playlist with a key that lies beside them."""
    key, iv = bytes(range(16)), bytes(16)
    (playlist.parent / "key").write_bytes(key)
    for path in playlist.parent.glob("*.ts"):
        path.write_bytes(encrypt(path.read_bytes(), key, iv))
    tag = f'#EXT-X-KEY:METHOD=AES-128,URI="key",IV=0x{iv.hex()}\n'
    playlist.write_text(playlist.read_text().replace("#EXTINF", f"{tag}#EXTINF", 1))


@pytest.mark.media
def test_a_video_that_was_packaged_anew_under_its_names_is_cut_again(tmp_path: Path, packaged: str) -> None:
    """Its playlist is the same to the byte."""
    for number in (2, 1):
        source = make_source(tmp_path / f"{number}.mp4", ffmpeg=packaged, source_id=number, seconds=6, pattern=False)
        package(source, tmp_path / f"www{number}", ffmpeg=packaged, seconds=2)
    with serving(tmp_path / "www1") as origin:
        cut(tmp_path, origin, "a", lambda url, _: {"url": url}, packaged)
        shutil.copytree(tmp_path / "www2", tmp_path / "www1", dirs_exist_ok=True)
        cut(tmp_path, origin, "b", lambda url, _: {"url": url}, packaged)


@pytest.mark.media
def test_segments_that_only_a_token_tells_apart_are_not_mixed_up(tmp_path: Path, packaged: str) -> None:
    """The token says which segment is meant; each clip has its own segment's pictures."""
    source = make_source(tmp_path / "1.mp4", ffmpeg=packaged, source_id=1, seconds=6, pattern=False)
    segments = read_segments(package(source, tmp_path / "www", ffmpeg=packaged, seconds=2))
    write_playlist(
        tmp_path / "www" / "index.m3u8", [f"#EXTINF:{seconds},\ns?token={name}" for seconds, name in segments]
    )
    clips = [{"video_id": "a", "start": start, "duration": 0.5} for start in (0.5, 2.5, 1, 4.5)]
    with serving(tmp_path / "www") as origin:
        origin.script("/s", lambda seen: Reply(body=(tmp_path / "www" / seen.query[6:]).read_bytes()))
        document = timeline(clips, {"a": f"{origin.url}/index.m3u8"})
        rendered = render(tmp_path, document, "--concurrency", "1", ffmpeg=packaged)

    assert 0 == rendered.exit_code
    assert_picture(rendered, document, MEDIA, ffmpeg=packaged)


@pytest.mark.media
def test_a_video_whose_first_segment_is_gone_costs_only_its_clips_and_keeps_nothing(
    tmp_path: Path, packaged: str
) -> None:
    """After a discontinuity everything is there; but what the video is can't be told, so it is cut again each time."""
    source = make_source(tmp_path / "1.mp4", ffmpeg=packaged, source_id=1, seconds=6, pattern=False)
    playlist = package(source, tmp_path / "www", ffmpeg=packaged, seconds=2)
    first, second, third = (f"#EXTINF:{seconds},\n{name}" for seconds, name in read_segments(playlist))
    write_playlist(playlist, [first, f"#EXT-X-DISCONTINUITY\n{second}", third])
    clips = [{"video_id": "a", "start": 0.5, "duration": 0.5}, {"video_id": "a", "start": 4.5, "duration": 0.5}]
    with serving(tmp_path / "www") as origin:
        origin.script("/s000.ts", Reply(status=404))
        for _ in range(2):
            rendered = render(tmp_path, timeline(clips, {"a": f"{origin.url}/index.m3u8"}), ffmpeg=packaged)
            assert [("fallback-placeholder", False), ("success", False)] == [
                (clip["status"], clip["cached"]) for clip in rendered.report["clips"]
            ]
