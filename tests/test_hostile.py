"""What may be sent to us or lie under a name of ours, and what becomes of it; ``docs/security.md`` has the table."""

import functools
import itertools
import json
import os
import re
import shutil
import struct
import subprocess
import zlib
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import attrs
import pytest
from golden import render, timeline
from media import make_source
from origin import Reply
from packaged import package, read_segments, serving, write_playlist
from playlists import SEGMENT, URL, VARIANT, lines
from test_argv import EDIT, EXCERPT, MEDIA, TARGETS

from clipcut.cache.identity import local_identity
from clipcut.errors import Reason, SourceError, TimelineError
from clipcut.ffmpeg import argv as build
from clipcut.ffmpeg.mux import count_frames
from clipcut.ffmpeg.probe import probe, probe_sound
from clipcut.jsonio import load_timeline
from clipcut.network.addresses import AddressBook, Zone
from clipcut.sources import remote
from clipcut.sources.hls.reader import parse_playlist
from clipcut.timeline import Output, Soundtrack

ROOT = Path(__file__).parents[1]
DEMO = ROOT / "fixtures" / "media" / "harbor.mp4"

Make = Callable[[Path], object]


def box(kind: bytes, *parts: bytes) -> bytes:
    """Build a box of an MP4 file."""
    body = b"".join(parts)
    return struct.pack(">I", 8 + len(body)) + kind + body


def many_tracks(path: Path, count: int) -> None:
    """Write an MP4 of so many video tracks, none of which says its codec."""
    tracks = [
        box(
            b"trak",
            box(b"tkhd", struct.pack(">IIIII", 0, 0, 0, number, 0) + bytes(64)),
            box(
                b"mdia",
                box(b"mdhd", struct.pack(">IIIIIHH", 0, 0, 0, 1000, 1000, 0, 0)),
                box(b"hdlr", struct.pack(">II4s", 0, 0, b"vide") + bytes(13)),
                box(b"minf", box(b"stbl")),
            ),
        )
        for number in range(1, count + 1)
    ]
    path.write_bytes(box(b"ftyp", b"isom\0\0\0\0isom") + box(b"moov", box(b"mvhd", bytes(100)), *tracks))


def picture(path: Path, side: int) -> None:
    """Write a grey PNG that says it is a square of this side; there are at most 100 kB of pixels in it."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0)
    pixels = zlib.compress(bytes(min(side * (side + 1), 100_000)))
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b""))


# Playlists


@pytest.mark.parametrize(
    "address",
    [
        "file:///etc/passwd",
        "data:,x",
        "concat:a|b",
        "subfile:,start,0,end,9,,:/etc/passwd",
        "crypto+file:///etc/passwd",
        "async:file:///etc/passwd",
        "pipe:0",
        "unix:/run/x",
        "gopher://127.0.0.1/",
        "tcp://127.0.0.1:1",
    ],
)
@pytest.mark.parametrize(
    "write",
    [
        pytest.param(lambda to: ["#EXTINF:6,", to], id="segment"),
        pytest.param(lambda to: [f'#EXT-X-MAP:URI="{to}"', *SEGMENT], id="map"),
        pytest.param(lambda to: [f'#EXT-X-KEY:METHOD=AES-128,URI="{to}"', *SEGMENT], id="key"),
        pytest.param(lambda to: [VARIANT[0], to], id="variant"),
        pytest.param(lambda to: [f'#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="a",URI="{to}"', *VARIANT], id="rendition"),
    ],
)
def test_a_playlist_leads_to_nothing_but_http(write: Callable[[str], list[str]], address: str) -> None:
    """Whichever tag has the address, and whatever FFmpeg would make of it."""
    with pytest.raises(SourceError, match=r"only http\(s\) is followed") as caught:
        parse_playlist(lines(*write(address)), URL)

    assert Reason.REFUSED == caught.value.reason


@pytest.mark.media
def test_the_init_section_of_a_public_playlist_is_on_no_private_host(
    tmp_path: Path, packaged: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """127.0.0.1 plays a public host, 127.0.0.2 a private one, which isn't even connected to."""

    def zone(address: str) -> Zone:
        return Zone.PRIVATE if address == "127.0.0.2" else Zone.PUBLIC

    monkeypatch.setattr(remote, "AddressBook", functools.partial(AddressBook, zone=zone))
    source = make_source(tmp_path / "source.mp4", ffmpeg=packaged, source_id=1, seconds=4, pattern=False)
    segments = read_segments(package(source, tmp_path / "www", ffmpeg=packaged, seconds=2))
    written = [f"#EXTINF:{seconds},\n{name}" for seconds, name in segments]
    with serving(tmp_path / "www") as public, serving(tmp_path / "www", host="127.0.0.2") as private:
        written[-1] = f'#EXT-X-MAP:URI="{private.url}/init.mp4"\n{written[-1]}'
        public.script("/index.m3u8", Reply(body=write_playlist(tmp_path / "list", written).read_bytes()))
        clips = [{"video_id": "v", "start": start, "duration": 0.2} for start in (0.2, 3)]
        rendered = render(tmp_path, timeline(clips, {"v": f"{public.url}/index.m3u8"}), ffmpeg=packaged)

    assert [None, "refused"] == [clip["attempts"][0]["reason"] for clip in rendered.report["clips"]]
    assert 0 == private.connections


# Scripts under the names of videos


SCRIPTS = [
    pytest.param("ffconcat version 1.0\nfile harbor.mp4\n", id="ffconcat"),
    pytest.param("#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\nharbor.mp4\n#EXT-X-ENDLIST\n", id="playlist"),
    pytest.param("<?xml version='1.0'?><MPD xmlns='urn:mpeg:dash:schema:mpd:2011'/>", id="dash"),
    pytest.param("v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nm=video 9 RTP/AVP 96\n", id="sdp"),
]


@pytest.mark.parametrize("script", SCRIPTS)
def test_a_script_named_as_a_video_is_no_media(tmp_path: Path, script: str) -> None:
    """What it names isn't opened, though it lies beside it and is a good video."""
    shutil.copy(DEMO, tmp_path)
    path = tmp_path / "video.mp4"
    path.write_text(script)

    for look in (probe, probe_sound):
        with pytest.raises(SourceError) as caught:
            look(path)
        assert Reason.UNDECODABLE == caught.value.reason
    with pytest.raises(SourceError, match="can't be read"):
        count_frames(path, Fraction(30))


@pytest.mark.media
@pytest.mark.parametrize("script", [SCRIPTS[0], SCRIPTS[2], SCRIPTS[3]])
def test_a_script_that_is_sent_as_a_video_is_no_media(tmp_path: Path, packaged: str, script: str) -> None:
    """Nothing that it names is asked for; a playlist is left out here, as clipcut reads it whatever its name."""
    (tmp_path / "www").mkdir()
    shutil.copy(DEMO, tmp_path / "www")
    (tmp_path / "www" / "video.mp4").write_text(script)
    with serving(tmp_path / "www") as origin:
        document = timeline([{"video_id": "v", "start": 0, "duration": 0.1}], {"v": f"{origin.url}/video.mp4"})
        rendered = render(tmp_path, document, ffmpeg=packaged)

    assert (1, "undecodable") == (rendered.exit_code, rendered.report["clips"][0]["attempts"][0]["reason"])
    assert {"/video.mp4"} == {seen.path for seen in origin.requests}


# Files that ask for too much


@pytest.mark.parametrize(
    "make",
    [
        pytest.param(lambda path: many_tracks(path, 2), id="unknown-codec"),
        pytest.param(lambda path: many_tracks(path, 5000), id="many-streams"),
        pytest.param(lambda path: picture(path, 60_000), id="huge-picture"),
    ],
)
def test_an_absurd_file_fails_alone(tmp_path: Path, make: Make) -> None:
    """It is no bug, and no lack of memory that would end the whole render."""
    make(tmp_path / "a.mp4")

    with pytest.raises(SourceError) as caught:
        probe(tmp_path / "a.mp4")
    assert Reason.UNDECODABLE == caught.value.reason


@pytest.mark.media
def test_a_picture_of_too_many_pixels_is_refused(tmp_path: Path, packaged: str) -> None:
    """A few bytes that unfold to 100 million pixels are not unfolded."""
    picture(tmp_path / "a.png", 10_000)
    document = timeline([{"video_id": "v", "start": 0, "duration": 0.1}], {"v": "a.png"})

    rendered = render(tmp_path, document, ffmpeg=packaged)

    assert (1, "refused") == (rendered.exit_code, rendered.report["clips"][0]["attempts"][0]["reason"])


@pytest.mark.media
def test_no_decoder_off_the_list_is_opened_in_our_own_process(tmp_path: Path, packaged: str) -> None:
    """Not even to find out the form of the picture."""
    path = tmp_path / "a.avi"
    command = [packaged, "-v", "error", "-f", "lavfi", "-i", "testsrc2=s=32x32:d=0.2", "-c:v", "magicyuv", str(path)]
    subprocess.run(command, check=True)

    assert ("magicyuv", None) == (probe(path).video.codec, probe(path).video.pixel_format)


@pytest.mark.media
@pytest.mark.parametrize("suffix", [pytest.param("ts", id="rare"), pytest.param("mp4", id="unknown")])
def test_sound_of_a_codec_off_the_list_is_never_silence(tmp_path: Path, packaged: str, suffix: str) -> None:
    """A clip that is to be heard falls back; a muted one needs no sound."""
    path = tmp_path / f"a.{suffix}"
    if suffix == "mp4":
        path.write_bytes(DEMO.read_bytes().replace(b"mp4a", b"zzzz").replace(b"esds", b"zzzz"))
    else:
        command = [packaged, "-v", "error", "-i", str(DEMO), "-t", "1", "-c:v", "copy", "-c:a", "dca", "-strict", "-2"]
        subprocess.run([*command, str(path)], check=True)
    clips = [{"video_id": "v", "start": 0.5, "duration": 0.1, "mute": mute} for mute in (True, False)]

    rendered = render(tmp_path, timeline(clips, {"v": path.name}), ffmpeg=packaged)

    assert [None, "refused"] == [clip["attempts"][0]["reason"] for clip in rendered.report["clips"]]


def test_whatever_reads_media_has_every_bound() -> None:
    """Each input of each command: local files, a few formats and decoders, so many pixels, one thread."""
    output, path = Output(), Path("/media/a.mp4")
    media = attrs.evolve(MEDIA, path=path)
    commands = [
        build.decode_argv("ffmpeg", path, "mov,matroska,mpegts"),
        build.cut_argv("ffmpeg", EDIT, MEDIA, EXCERPT, output, TARGETS),
        build.placeholder_argv("ffmpeg", EDIT, media, output, TARGETS),
        build.soundtrack_argv("ffmpeg", Soundtrack(path=str(path)), output.audio, 48000, Path("/work/s.pcm")),
    ]

    for command in commands:
        for place in (at for at, word in enumerate(command) if word == "-i"):
            before = dict(itertools.pairwise(command[: place + 1]))
            assert ("file", "1", "67108864") == tuple(
                before[name] for name in ("-protocol_whitelist", "-threads", "-max_pixels")
            )
            assert {"-format_whitelist", "-codec_whitelist"} <= before.keys()
            assert command[place + 1].startswith("file:/")
            assert not re.search(r"concat|hls|dash|sdp|image2|lavfi|tee", before["-format_whitelist"])


@pytest.mark.media
def test_a_file_that_lies_about_its_length_is_as_long_as_its_pictures(tmp_path: Path, packaged: str) -> None:
    """A clip far behind the end is short, at once; one within the file is fine."""
    data = DEMO.read_bytes()
    for kind, length in ((b"mvhd", 16), (b"tkhd", 20), (b"mdhd", 16)):
        for found in reversed(list(re.finditer(kind, data))):
            at = found.end() + length
            data = data[:at] + b"\x7f\xff\xff\xff" + data[at + 4 :]
    (tmp_path / "long.mp4").write_bytes(data)
    clips = [{"video_id": "v", "start": start, "duration": 0.1} for start in (1, 500_000)]

    rendered = render(tmp_path, timeline(clips, {"v": "long.mp4"}), ffmpeg=packaged)

    assert [None, "short_source"] == [clip["attempts"][0]["reason"] for clip in rendered.report["clips"]]


# What is no file


@pytest.mark.parametrize(
    "make",
    [
        pytest.param(os.mkfifo, id="pipe"),
        pytest.param(lambda path: path.symlink_to("/dev/zero"), id="device"),
        pytest.param(lambda path: path.symlink_to(path.name), id="circle"),
        pytest.param(lambda path: path.mkdir(), id="folder"),
    ],
)
def test_what_is_no_file_is_not_waited_for(tmp_path: Path, make: Make) -> None:
    """A pipe without a writer would hang, a device has no end; neither is read, nor known for the cache."""
    path = tmp_path / "a.mp4"
    make(path)

    with pytest.raises(SourceError) as caught:
        probe(path)
    assert Reason.MISSING_FILE == caught.value.reason


def test_a_pipe_has_no_identity_and_is_not_waited_for(tmp_path: Path) -> None:
    """The cache looks at it without blocking."""
    os.mkfifo(tmp_path / "a.mp4")

    assert local_identity(tmp_path / "a.mp4") is None


# Names


@pytest.mark.parametrize(
    "name", ["../x", "/etc/passwd", "a/b", ".hidden", "-y", "", "a\0b", "x" * 65, "a;b", "$(x)", "`x`", "a\n", "é"]
)
def test_an_id_is_a_plain_word(name: str) -> None:
    """Neither a clip nor a source has a name that means something to a shell, a path or FFmpeg."""
    clip = {"video_id": "v", "start": 0, "duration": 1}
    as_clip = timeline([clip | {"id": name}], {"v": "v.mp4"})
    as_source = timeline([clip | {"video_id": name}], {name: "v.mp4"})

    for document in (as_clip, as_source):
        with pytest.raises(TimelineError, match=r"letter or digit|control character"):
            load_timeline(json.dumps(document).encode())


def test_working_files_are_not_named_after_anything() -> None:
    """Their names come from the clip's place, whatever its id is."""
    named = attrs.evolve(EDIT, clip=attrs.evolve(EDIT.clip, id="CON", video_id="nul.mp4", label="../x"))

    assert EDIT.stem == named.stem
    assert re.fullmatch(r"[0-9]{6,}-[0-9]+", named.stem)


ODD_NAMES = [
    "-i.mp4",
    "col:on.mp4",
    "pipe:1.mp4",
    "tee:o.mp4",
    "concat:a|b.mp4",
    "lit%03d.mp4",
    "still%03d.png",
    "a 'b' \\ # * [0:v] é.mp4",
    "; touch canary; $(touch canary) `touch canary` && touch canary.mp4",
]


@pytest.mark.parametrize("name", ["a\nb.mp4", "a\0b.mp4", "a\x1b[2Jb.mp4"], ids=["newline", "nul", "escape"])
@pytest.mark.parametrize("field", ["url", "local", "label", "soundtrack", "output", "header"])
def test_no_text_has_control_characters(field: str, name: str) -> None:
    """What a list of FFmpeg's can't express, and what a terminal would obey, can't be written."""
    document = timeline([{"video_id": "v", "start": 0, "duration": 1}], {"v": "v.mp4"})
    if field == "label":
        document["clips"][0]["label"] = name
    elif field == "soundtrack":
        document["soundtrack"] = {"path": name}
    elif field == "output":
        document["output"]["path"] = name
    else:
        document["sources"]["v"] |= {"headers": {"X": name}} if field == "header" else {field: name}

    with pytest.raises(TimelineError, match=r"control character|can't be sent|header"):
        load_timeline(json.dumps(document).encode())


@pytest.mark.media
def test_no_name_is_more_than_a_name(tmp_path: Path, packaged: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """No option, protocol, pattern, list, filter or command: not of a source, an output, a label or a soundtrack."""
    job = tmp_path / "$(touch canary); 'job' %d"
    job.mkdir()
    monkeypatch.chdir(job)
    for name in ODD_NAMES:
        if name.endswith(".png"):
            picture(job / name, 64)
        else:
            shutil.copy(DEMO, job / name)
    sources = {f"s{number}": {"url": f"./{name}"} for number, name in enumerate(ODD_NAMES)}
    clips = [
        {"video_id": name, "start": 0.5, "duration": 0.1, "label": f"$(touch canary) ' [x] {number}"}
        for number, name in enumerate(sources)
    ]
    document = timeline(clips, sources, width=64, height=64) | {"soundtrack": {"path": ODD_NAMES[-1]}}
    output = "-o%d:tee ' ; touch canary.mp4"
    before = {path.name for path in job.iterdir()}

    rendered = render(job, document, ffmpeg=packaged, name=output)

    assert (0, len(clips)) == (rendered.exit_code, rendered.report["clip_stats"]["success_tasks"])
    made = {"log", "timeline.json", output, output.replace(".mp4", ".report.json")}
    assert before | made == {path.name for path in job.iterdir()}
    assert [] == list(tmp_path.rglob("canary"))
