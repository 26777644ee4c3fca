"""Copies: which pictures of a clip are the source's own, and that the finished video is as exact as an encoded one."""

import subprocess
from collections.abc import Callable, Mapping
from fractions import Fraction
from pathlib import Path
from typing import Any

import attrs
import av
import pytest
from conftest import ffmpegs
from golden import Numbered, Rendered, assert_clicks, assert_picture, render, timeline, wanted_frames
from hypothesis import given
from hypothesis import strategies as st
from media import make_source, packet_times, read_frames, read_samples
from packaged import serving

from clipcut import smart
from clipcut.ffmpeg.h264 import read_sps, tagged
from clipcut.ffmpeg.nal import IDR, PPS, SPS, escape, kind, ue_text, unescape, units
from clipcut.ffmpeg.parameters import OURS, Form, form_of, read_avcc
from clipcut.ffmpeg.renumber import SLOTS, new_number
from clipcut.smart import Copy, Picture, Why, find_copy, limits_of, pays, places_of

BT709 = "setparams=range=tv:color_primaries=bt709:color_trc=bt709:colorspace=bt709,setsar=1"
FORM = ("-c:v", "libx264", "-preset", "veryfast", "-pix_fmt", "yuv420p", "-x264-params")


def stored(text: str) -> list[Picture]:
    """Write pictures down as they are stored: their times, an IDR picture with an exclamation mark."""
    return [Picture(int(word.rstrip("!")), word.endswith("!")) for word in text.split()]


def placed(pictures: list[Picture], first: int, frames: int) -> dict[int, int]:
    """Return the frames of pictures one tick apart, in a slot that begins with the one at ``first``."""
    found = places_of(sorted(one.pts for one in pictures), range(first, first + frames))
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("text", "first", "frames", "wanted"),
    [
        pytest.param("0! 1 2 3! 4 5 6! 7", 0, 6, (0, (0, 1, 2, 3, 4, 5)), id="whole-groups"),
        pytest.param("0! 1 2 3! 4 5 6! 7", 1, 6, (3, (2, 3, 4, 5)), id="begins-in-a-group"),
        pytest.param("0! 3 1 2 4! 7 5 6 8!", 2, 4, (4, (2,)), id="ends-before-pictures-that-need-a-later-one"),
        pytest.param("0! 3 1 2 4! 7 5 6 8!", 2, 6, (4, (2, 5, 3, 4)), id="ends-with-all-that-were-stored"),
        pytest.param("0! 3 1 2 6 4 5 9 7 8", 0, 7, (0, (0, 3, 1, 2, 6, 4, 5)), id="open-group-goes-on"),
        pytest.param("0! 3 1 2 4 5", 1, 3, None, id="inside-one-group"),
        pytest.param("0! 4 3 2 1 5! 6", 0, 5, (0, (0,)), id="too-deeply-reordered"),
        pytest.param("0! 1 2! 3", 2, 2, (2, (0, 1)), id="begins-at-a-keyframe"),
    ],
)
def test_find_copy(text: str, first: int, frames: int, wanted: tuple[int, tuple[int, ...]] | None) -> None:
    """A copy begins at an IDR picture, and ends where all that was stored was shown."""
    pictures = stored(text)
    copy = find_copy(pictures, placed(pictures, first, frames), frames, 2)

    assert wanted == (None if copy is None else (copy.index, copy.places))


@pytest.mark.parametrize(
    ("times", "wanted"),
    [
        pytest.param([0, 1, 2, 3, 4], {1: 0, 2: 1, 3: 2}, id="one-each"),
        pytest.param([0, 1, 3, 4], None, id="one-is-held"),
        pytest.param([0, 1, 2, 2, 3], None, id="two-at-once"),
        pytest.param([0, 1, 2], None, id="ends-too-soon"),
        pytest.param([2, 3, 4], None, id="begins-too-late"),
    ],
)
def test_places_when(times: list[int], wanted: dict[int, int] | None) -> None:
    """Pictures have places only where each frame of the slot shows another one, and none is left out."""
    assert wanted == places_of(times, [1, 2, 3])


def test_places_when_a_picture_is_never_shown() -> None:
    """At twice the rate, every other picture is left out: that is no copy."""
    assert places_of([0, 1, 2, 3, 4, 5], [0, 2, 4]) is None


@pytest.mark.parametrize("fps", [Fraction(30), Fraction(30000, 1001), Fraction(24)])
@pytest.mark.parametrize("tick", [Fraction(1, 1000), Fraction(1, 90000), Fraction(1001, 30000)])
def test_limits_are_exact(fps: Fraction, tick: Fraction) -> None:
    """The limit of a frame is the last tick at or before its middle, however far in."""
    start = Fraction(10007, 300)
    limits = limits_of(start, fps, tick, 2000)

    assert [(start + (k + Fraction(1, 2)) / fps) // tick for k in range(2000)] == limits


def test_copying_pays_when_it_is_long() -> None:
    """A clip of many groups is copied; one of which nearly all is encoded anyway is not; small pictures are cheap."""
    pictures = [Picture(n, n % 60 == 0) for n in range(1000)]
    long, short = Copy(index=60, places=tuple(range(30, 900))), Copy(index=60, places=tuple(range(55, 60)))

    assert pays(long, pictures, 900, Fraction(9))
    assert not pays(short, pictures, 60, Fraction(9))
    assert not pays(Copy(index=60, places=tuple(range(30, 60))), pictures, 60, Fraction(2048))


@pytest.fixture
def cheap(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let an FFmpeg cost nothing: then copying pays for small pictures too."""
    monkeypatch.setattr(smart, "CHILD_PIXELS", 0)


Make = Callable[..., Path]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, packaged: str) -> Make:
    """Makes numbered sources in the output's form, each once."""
    folder = tmp_path_factory.mktemp("smart")

    def make(name: str, number: int, params: str, **more: Any) -> Path:
        path = folder / name
        if not path.exists():
            settings: dict[str, Any] = {"video_filter": BT709, "seconds": 6, "video_args": (*FORM, params)} | more
            make_source(path, ffmpeg=packaged, source_id=number, **settings)
        return path

    return make


def plain(made: Make) -> Path:
    """Make the source that most tests copy: closed groups of 30, B-frames as references."""
    return made("plain.mp4", 1, "keyint=30:scenecut=0:bframes=3:b-pyramid=normal")


def copied(rendered: Rendered) -> list[int]:
    """Return how many frames of each clip were copied."""
    return [clip["copied_frames"] for clip in rendered.report["clips"]]


def reasons(rendered: Rendered) -> list[str | None]:
    """Return why clips were encoded."""
    return [clip["why_encoded"] for clip in rendered.report["clips"]]


def assert_clean(path: Path, *ffmpegs: str) -> None:
    """Assert that FFmpeg, at its strictest, finds nothing to complain of."""
    for ffmpeg in ffmpegs:
        command = [ffmpeg, "-v", "error", "-xerror", "-err_detect", "explode", "-i", str(path), "-f", "null", "-"]
        done = subprocess.run(command, capture_output=True, check=False)
        assert (0, b"") == (done.returncode, done.stderr)


def auto(folder: Path, document: Mapping[str, Any], ffmpeg: str, *flags: str, **more: Any) -> Rendered:
    """Render with ``--cut auto``."""
    return render(folder, document, "--cut", "auto", *flags, ffmpeg=ffmpeg, **more)


EDGES = [
    {"video_id": "v", "start": 1, "end": 3},
    {"video_id": "v", "start": 0.3, "end": 3.45},
    {"video_id": "v", "start": 2, "duration": 1.7666},
    {"video_id": "v", "start": 0.9666, "duration": 2.0334},
    {"video_id": "v", "start": 1.034, "end": 1.967},
    {"video_id": "v", "start": 4.2, "end": 6},
    {"video_id": "v", "start": 0, "end": 6},
    {"video_id": "v", "start": 3, "duration": 0.0334},
]


@pytest.mark.media
@pytest.mark.usefixtures("cheap")
def test_copies_are_exact_at_and_off_keyframes(made: Make, tmp_path: Path, ffmpeg: str) -> None:
    """Every frame and click is right, whatever a clip's ends; a clip inside one group is encoded."""
    document = timeline(EDGES, {"v": str(plain(made))})

    rendered = auto(tmp_path, document, ffmpeg)

    assert 0 == rendered.exit_code
    assert_picture(rendered, document, {"v": Numbered(1, frames=180)}, ffmpeg=ffmpeg)
    assert_clicks(rendered, document, ffmpeg=ffmpeg)
    whole_groups = [60, 60, 30, 60, 0, 30, 180, 1]
    assert all(a <= b < a + 30 for a, b in zip(whole_groups, copied(rendered), strict=True))
    assert [None] * 4 + [Why.KEYFRAMES] + [None] * 3 == reasons(rendered)
    assert_clean(rendered.output, *ffmpegs())
    assert [Fraction(n, 30) for n in range(rendered.report["output"]["frames"])] == packet_times(rendered.output)


def sources_of_all_kinds(made: Make) -> dict[str, tuple[Path, int]]:
    """Make sources in the output's form that are stored in different ways, and their numbers."""
    closed = "keyint=30:scenecut=0:bframes=3:b-pyramid=normal"
    return {
        "plain": (plain(made), 1),
        "open": (made("open.mp4", 2, "keyint=30:min-keyint=30:scenecut=0:bframes=3:open-gop=1"), 2),
        "repeated": (made("repeated.mp4", 3, f"{closed}:repeat-headers=1"), 3),
        "matroska": (made("matroska.mkv", 4, closed), 4),
        "one-group": (made("one-group.mp4", 5, "keyint=infinite:scenecut=0:bframes=3"), 5),
        "shapeless": (made("shapeless.mp4", 6, closed, video_filter=BT709.replace("setsar=1", "setsar=0")), 6),
    }


@pytest.mark.media
@pytest.mark.usefixtures("cheap")
def test_copies_of_all_kinds_of_sources_stand_side_by_side(made: Make, tmp_path: Path, packaged: str) -> None:
    """However a source is stored, each frame is right, beside encoded clips and placeholders, and players agree."""
    sources = sources_of_all_kinds(made)
    clips: list[dict[str, Any]] = [{"video_id": name, "start": 0.7, "duration": 2.4} for name in sources]
    clips += [{"video_id": "gone", "start": 0, "duration": 0.5}, {"video_id": "open", "start": 0, "duration": 4.7}]
    clips += [{"video_id": "one-group", "start": 0, "duration": 1.3}, {"video_id": "plain", "start": 5, "end": 6}]
    paths = {name: str(path) for name, (path, _) in sources.items()} | {"gone": "nowhere.mp4"}
    document = timeline(clips, paths)

    rendered = auto(tmp_path, document, packaged)

    assert 3 == rendered.exit_code
    media = {name: Numbered(number, frames=180) for name, (_, number) in sources.items()}
    assert_picture(rendered, document, media, ffmpeg=packaged)
    least = [60, 0, 60, 60, 0, 60, 0, 138, 36, 30]
    assert all(a <= b for a, b in zip(least, copied(rendered), strict=True))
    with av.open(str(rendered.output)) as container:
        kinds = [{kind(unit) for unit in units(bytes(packet))} for packet in container.demux(video=0) if packet.size]
        marked = [entry.is_keyframe for entry in container.streams.video[0].index_entries]
    assert [] == [one for one in kinds if one & {SPS, PPS}]
    assert [IDR in one for one in kinds] == marked
    encoded = {1: Why.KEYFRAMES, 4: Why.KEYFRAMES, 6: Why.PLACEHOLDER}
    assert [encoded.get(number) for number in range(10)] == reasons(rendered)
    assert_clean(rendered.output, *ffmpegs())


@pytest.mark.media
@pytest.mark.usefixtures("cheap")
def test_copies_are_exact_at_a_broken_rate(made: Make, tmp_path: Path, packaged: str) -> None:
    """At 29.97 frames a second, from MP4 and from Matroska's milliseconds, in MP4 and in Matroska."""
    rate = Fraction(30000, 1001)
    params = "keyint=30:scenecut=0:bframes=3"
    paths = {name: str(made(f"rate.{name}", 7, params, fps=rate)) for name in ("mp4", "mkv")}
    clips = [{"video_id": name, "start": start, "duration": 2.3} for name in paths for start in (0.4, 1.001, 3.33)]
    document = timeline(clips, paths, fps="30000/1001")

    rendered = auto(tmp_path, document, packaged, name="mix.mkv")

    media = {name: Numbered(7, rate, 180) for name in paths}
    assert_picture(rendered, document, media, ffmpeg=packaged)
    assert all(count >= 30 for count in copied(rendered))
    assert_clean(rendered.output, packaged)


@pytest.mark.media
@pytest.mark.usefixtures("cheap")
def test_sources_that_contradict_each_other_share_a_track(made: Make, tmp_path: Path, packaged: str) -> None:
    """Their parameter sets get numbers of their own, with CABAC and with CAVLC, and with several slices a picture."""
    closed = "keyint=30:scenecut=0:bframes=3"
    paths = {
        "plain": (plain(made), 1),
        "other": (made("other.mp4", 9, f"{closed}:ref=4:weightp=0:8x8dct=0"), 9),
        "cavlc": (
            made("cavlc.mp4", 10, f"{closed}:cabac=0:slices=3:aud=1:nal-hrd=vbr:vbv-maxrate=2000:vbv-bufsize=2000"),
            10,
        ),
        "third": (made("third.mkv", 11, "keyint=30:scenecut=0:bframes=0:repeat-headers=1:sps-id=2"), 11),
    }
    clips = [{"video_id": name, "start": start, "duration": 1.9} for start in (0.5, 3.1) for name in paths]
    document = timeline(clips, {name: str(path) for name, (path, _) in paths.items()})

    rendered = auto(tmp_path, document, packaged)

    assert [None] * 8 == reasons(rendered)
    assert all(count >= 30 for count in copied(rendered))
    media = {name: Numbered(number, frames=180) for name, (_, number) in paths.items()}
    assert_picture(rendered, document, media, ffmpeg=packaged)
    assert_clicks(rendered, document, ffmpeg=packaged)
    assert_clean(rendered.output, *ffmpegs())


@pytest.mark.parametrize("slot", SLOTS)
def test_new_numbers_are_apart_and_8_bits_longer(slot: int) -> None:
    """No two numbers of any slots are the same, nor the one of our own encodes."""
    numbers = [new_number(number, slot) for number in range(15)]

    assert [len(ue_text(number)) + 8 for number in range(15)] == [len(ue_text(number)) for number in numbers]
    assert not {OURS, *(new_number(n, other) for other in SLOTS if other != slot for n in range(15))} & {*numbers}
    with pytest.raises(ValueError, match="renumbered"):
        new_number(15, slot)


@given(payload=st.lists(st.sampled_from(range(5)), max_size=60).map(bytes))
def test_what_is_escaped_is_unescaped(payload: bytes) -> None:
    """And never looks like the begin of another unit."""
    assert payload == unescape(escape(payload))
    assert not any(escape(payload).find(b"\0\0" + bytes([byte])) >= 0 for byte in range(3))


@pytest.mark.media
@pytest.mark.usefixtures("cheap")
def test_copies_in_order_stand_beside_edges_that_are_not(made: Make, tmp_path: Path, packaged: str) -> None:
    """A source has no B-frames, our own encodes have them: nothing is dropped where one follows the other."""
    args = ("-c:v", "libx264", "-profile:v", "baseline", "-pix_fmt", "yuv420p", "-x264-params", "keyint=30:scenecut=0")
    path = made("order.mov", 15, "", video_args=args)
    clips = [{"video_id": "v", "start": start, "duration": 1.7} for start in (0.5, 2, 0.9, 4.3)]
    document = timeline(clips, {"v": str(path)}, video={"preset": "veryfast"})

    rendered = auto(tmp_path, document, packaged, name="mix.mov")

    assert_picture(rendered, document, {"v": Numbered(15, frames=180)}, ffmpeg=packaged)
    assert_clicks(rendered, document, ffmpeg=packaged)
    assert [36, 51, 48, 30] == copied(rendered)
    assert_clean(rendered.output, *ffmpegs())


@pytest.mark.media
@pytest.mark.usefixtures("cheap")
def test_what_does_not_fit_is_encoded_and_says_why(made: Make, tmp_path: Path, packaged: str) -> None:
    """Every frame is right all the same."""
    closed = "keyint=30:scenecut=0:bframes=3"
    uneven = f"setpts='(N+floor(N/10)*2)/30/TB',{BT709}"
    other = {
        Why.FRAME_RATE: made("uneven.mp4", 8, closed, video_filter=uneven),
        Why.PARAMETERS: made("ours.mp4", 9, f"{closed}:sps-id=31"),
        Why.CONTAINER: made("stream.ts", 10, closed),
        Why.COLOUR: made("pale.mp4", 11, closed, video_filter="setsar=1"),
        Why.CODEC: made("old.mp4", 12, "", video_args=("-c:v", "mpeg4", "-q:v", "4")),
        Why.SHAPE: made("small.mp4", 13, closed, width=160, height=90),
        Why.PIXELS: made("fine.mp4", 14, closed, video_args=("-c:v", "libx264", "-pix_fmt", "yuv444p")),
    }
    paths = {"v": str(plain(made))} | {str(why): str(path) for why, path in other.items()}
    document = timeline([{"video_id": name, "start": 0.5, "duration": 2} for name in paths], paths)

    rendered = auto(tmp_path, document, packaged, "--concurrency", "1")

    assert [None, *other] == reasons(rendered)
    assert [True] + [False] * len(other) == [count > 0 for count in copied(rendered)]
    numbers = {"v": 1} | {str(why): number for number, why in enumerate(other, 8) if why is not Why.FRAME_RATE}
    wanted = wanted_frames(document, {name: Numbered(number, frames=180) for name, number in numbers.items()})
    found = read_frames(rendered.output, ffmpeg=packaged)
    assert len(wanted) == len(found)
    assert [] == [n for n, (a, b) in enumerate(zip(wanted, found, strict=True)) if a is not None and a != b]


@pytest.mark.media
@pytest.mark.usefixtures("cheap")
def test_sound_is_that_of_an_encoded_clip(made: Make, tmp_path: Path, packaged: str) -> None:
    """Sample for sample, with gain, silence and fades."""
    clips: list[dict[str, Any]] = [
        {"video_id": "v", "start": 0.31, "duration": 2.5, "gain_db": -6},
        {"video_id": "v", "start": 2, "duration": 1.5, "mute": True},
        {"video_id": "v", "start": 3.4, "duration": 2.2},
    ]
    document = timeline(clips, {"v": str(plain(made))}, audio={"fade_ms": 20})
    found = []
    for cut in ("auto", "encode"):
        (tmp_path / cut).mkdir()
        rendered = render(tmp_path / cut, document, "--cut", cut, ffmpeg=packaged)
        assert [cut == "auto"] * 3 == [count > 0 for count in copied(rendered)]
        found.append(read_samples(rendered.output, ffmpeg=packaged))

    assert (found[0] == found[1]).all()
    assert abs(found[0]).max() > 0.1


@pytest.mark.media
@pytest.mark.usefixtures("cheap")
def test_a_damaged_source_is_not_copied(made: Make, tmp_path: Path, packaged: str) -> None:
    """What was copied is decoded before it counts: the clip fails as an encoded one does; a clip beside it is whole."""
    with av.open(str(plain(made))) as container:
        places = [(p.pos, p.size) for p in container.demux(video=0) if p.pts and 2.1 < p.pts * p.time_base < 2.5]
    data = bytearray(plain(made).read_bytes())
    for offset, size in places:
        data[offset + 8 : offset + size] = bytes(size - 8)
    (tmp_path / "bad.mp4").write_bytes(data)
    clips = [{"video_id": "bad", "start": start, "duration": 2} for start in (1, 3)]
    document = timeline(clips, {"bad": str(tmp_path / "bad.mp4")})

    rendered = auto(tmp_path, document, packaged)

    assert (3, [0, 60]) == (rendered.exit_code, copied(rendered))
    assert "undecodable" == rendered.report["clips"][0]["fallback_reason"]


@pytest.mark.media
@pytest.mark.usefixtures("cheap")
def test_copies_are_kept_for_later_renders(made: Make, tmp_path: Path, packaged: str) -> None:
    """With what they are; not for another ``--cut``, and made anew where they contradict the track."""
    other = made("other.mp4", 9, "keyint=30:scenecut=0:bframes=3:ref=4:weightp=0:8x8dct=0")
    clips = [{"video_id": "v", "start": 0.5, "duration": 2}, {"video_id": "w", "start": 0.5, "duration": 1.9}]
    sources = {"v": str(plain(made)), "w": str(other)}
    flags = ("--concurrency", "1", "--force")
    alone = [auto(tmp_path, timeline([one], sources), packaged, *flags) for one in clips]
    document = timeline(clips, sources)
    both = auto(tmp_path, document, packaged, *flags)
    again = auto(tmp_path, document, packaged, *flags)
    assert_picture(again, document, {"v": Numbered(1, frames=180), "w": Numbered(9, frames=180)}, ffmpeg=packaged)
    encoded = render(tmp_path, document, *flags, ffmpeg=packaged)

    cached = [[clip["cached"] for clip in one.report["clips"]] for one in (*alone, both, again, encoded)]
    assert [[False], [False], [True, False], [True, True], [False, False]] == cached
    counts = [*copied(alone[0]), *copied(alone[1])]
    assert 0 < min(counts)
    assert [counts, counts, [0, 0]] == [copied(one) for one in (both, again, encoded)]
    assert [None, None] == reasons(encoded)


@pytest.mark.media
@pytest.mark.usefixtures("cheap")
def test_what_comes_over_the_network_is_encoded(made: Make, tmp_path: Path, packaged: str) -> None:
    """And says so; its local copy is copied."""
    source = plain(made)
    with serving(source.parent) as origin:
        clips = [{"video_id": name, "start": 1, "duration": 1} for name in ("far", "near")]
        sources = {
            "far": f"{origin.url}/{source.name}",
            "near": {"url": f"{origin.url}/none.mp4", "local": str(source)},
        }
        rendered = auto(tmp_path, timeline(clips, sources), packaged)

    assert [Why.REMOTE, None] == reasons(rendered)
    assert [0, 30] == copied(rendered)


@pytest.mark.media
@pytest.mark.usefixtures("cheap")
def test_the_summary_says_how_many_frames_were_copied(
    made: Make, tmp_path: Path, packaged: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Beside those that were finished before."""
    auto(tmp_path, timeline([{"video_id": "v", "start": 1, "duration": 1}], {"v": str(plain(made))}), packaged)

    assert "1 of 1 clip as asked for (30 frames copied)." in capsys.readouterr().err


@given(data=st.binary(max_size=80), at=st.integers(0, 60))
def test_no_parameter_set_ends_a_render(data: bytes, at: int) -> None:
    """Whatever a file says of itself, it is copied, or there is a reason not to."""
    good = bytes.fromhex(
        "0164001fffe1001d6764001f4b365014016ec05a810100a0000003002000000781e30632c0010005684af8fcb0fdf8f800"
    )

    for avcc in (data, good[:at] + data, good[:at] + data + good[at + len(data) :]):
        assert isinstance(form_of(avcc, (1280, 720), 2), Why | Form)
    form = form_of(good, (1280, 720), 2)
    assert isinstance(form, Form)
    assert form.told.avcc() == read_avcc(form.told.avcc()).avcc()


def test_a_source_that_says_nothing_of_colours_is_told_what_they_are() -> None:
    """Its parameter set says BT.709 and square pixels in the output, and all else as before."""
    unit = bytes.fromhex("6764001f4b365014016ec05a810100a0000003002000000781e30632c0")
    before, after = read_sps(unit), read_sps(tagged(unit, read_sps(unit)))

    assert ((2, 2, 1), (1, 1, 1), (1, 1)) == (before.colours, after.colours, after.aspect)
    assert after == attrs.evolve(before, colours=after.colours, aspect=after.aspect)
