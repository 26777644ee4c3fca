"""``clipcut verify``: what was damaged is found, and named; what was only wrapped anew passes."""

import itertools
import json
import subprocess
import tracemalloc
from collections.abc import Callable, Iterator, Mapping, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import attrs
import av
import pytest
from golden import render, timeline
from hypothesis import given
from hypothesis import strategies as st
from media import make_source

from clipcut.cli import run
from clipcut.ffmpeg.coded import DIGEST_BYTES, length_size, parameter_units, picture_units, sound_payload, split_units
from clipcut.ffmpeg.readback import Track, place

pytestmark = pytest.mark.media

RATE = 24000
FPS = Fraction(30000, 1001)
LENGTHS = {"one": 30, "two": 36, "three": 40, "four": 31}
"""The clips and their frames; together they last 4571.23 ms, which MP4 files of others round down."""


def document(*, first: int = 10, muted: Sequence[str] = ()) -> dict[str, Any]:
    """Make a timeline of four clips, from frame ``first`` on, some of them silent; a click is inside each."""
    clips, start = [], first
    for name, frames in LENGTHS.items():
        begin, end = (round(float(frame / FPS), 9) for frame in (start, start + frames))
        clips.append({"id": name, "video_id": "v", "start": begin, "end": end, "mute": name in muted})
        start += frames
    return timeline(clips, {"v": "v.mp4"}, fps="30000/1001", audio={"sample_rate": RATE, "fade_ms": 5})


@attrs.frozen
class Renders:
    """Three renders with the same settings: the one in question, one of other pictures, one that is silent."""

    folder: Path
    mix: Path
    other: Path
    silent: Path

    @property
    def report(self) -> Path:
        return self.mix.with_suffix(".report.json")


@pytest.fixture(scope="module")
def renders(tmp_path_factory: pytest.TempPathFactory, packaged: str) -> Renders:
    """Render all three once."""
    folder = tmp_path_factory.mktemp("renders")
    make_source(folder / "v.mp4", ffmpeg=packaged, source_id=1, seconds=8, fps=FPS, width=320, height=180, gop=30)
    (folder / "other").mkdir()
    (folder / "silent").mkdir()
    for name, changed in (("", document()), ("other", document(first=60)), ("silent", document(muted=[*LENGTHS]))):
        changed["sources"]["v"]["url"] = str(folder / "v.mp4")
        assert render(folder / name, changed, "--no-cache", ffmpeg=packaged).exit_code == 0
    return Renders(folder, folder / "mix.mp4", folder / "other" / "mix.mp4", folder / "silent" / "mix.mp4")


Packets = list[tuple[bytes, int, int]]
"""Of each packet its data, when it is shown and when it is stored, in ticks."""

Change = Callable[[Packets, Packets], None]


def read_packets(path: Path, kind: str) -> Packets:
    """Read a stream's packets in the order they are stored."""
    with av.open(str(path)) as container:
        stream = getattr(container.streams, kind)[0]
        return [(bytes(one), one.pts or 0, one.dts or 0) for one in container.demux(stream) if one.size]


def damage(source: Path, target: Path, change: Change) -> Path:
    """Write a file anew with some of its packets changed, those of the picture and those of the sound."""
    packets = {kind: read_packets(source, kind) for kind in ("video", "audio")}
    change(packets["video"], packets["audio"])
    with av.open(str(source)) as old, av.open(str(target), "w") as new:
        ways = {kind: getattr(old.streams, kind)[0] for kind in packets}
        made = {kind: new.add_stream_from_template(way) for kind, way in ways.items()}
        entries = [
            (dts * ways[kind].time_base, kind, data, pts, dts) for kind in packets for data, pts, dts in packets[kind]
        ]
        for _, kind, data, pts, dts in sorted(entries, key=lambda entry: entry[:2]):
            packet = av.Packet(data)
            packet.stream, packet.time_base = made[kind], ways[kind].time_base
            packet.pts, packet.dts = pts, dts
            new.mux(packet)
    return target


def verify(capsys: pytest.CaptureFixture[str], path: Path, report: Path, *flags: str) -> tuple[int, str]:
    """Run the command; return its exit code and what it printed to standard output."""
    capsys.readouterr()
    code = run(["verify", str(path), "--report", str(report), *flags])
    return code, capsys.readouterr().out


def bad_clips(capsys: pytest.CaptureFixture[str], path: Path, report: Path) -> dict[str, tuple[str, str]]:
    """Return what became of each clip that isn't fine: its pictures, its sound."""
    code, out = verify(capsys, path, report, "--json")
    told = json.loads(out)
    assert code == (0 if told["ok"] else 1)
    ends = {clip["id"]: (clip["picture"], clip["sound"]) for clip in told["clips"]}
    return {name: end for name, end in ends.items() if end != ("ok", "ok")}


def first_of(name: str) -> int:
    """Return a clip's first frame."""
    names = list(LENGTHS)
    return sum(LENGTHS[earlier] for earlier in names[: names.index(name)])


# What passes


def test_verify_when_nothing_happened(renders: Renders, capsys: pytest.CaptureFixture[str]) -> None:
    """A finished video is what its report says; the report is found beside it."""
    capsys.readouterr()

    code = run(["verify", str(renders.mix)])

    assert (0, f"{renders.mix}: fine, 4 clips, 137 frames, 4.571 s\n") == (code, capsys.readouterr().out)


def test_verify_when_asked_for_json(renders: Renders, capsys: pytest.CaptureFixture[str]) -> None:
    """The verdict as JSON has the whole and each clip."""
    code, out = verify(capsys, renders.mix, renders.report, "--json")

    told = json.loads(out)
    assert (0, True, []) == (code, told["ok"], told["problems"])
    assert {"reported": 137, "found": 137} == told["frames"]
    assert {"reported": 4.571233, "found": 4.571233} == told["duration_s"]
    clip = {"id": "two", "index": 1, "start_frame": 30, "frames": 36, "picture": "ok", "sound": "ok"}
    assert clip == told["clips"][1]


REMUXES = {
    "mp4": ("copy.mp4",),
    "mov": ("copy.mov",),
    "mkv": ("copy.mkv",),
    "ts": ("copy.ts",),
    "fragmented": ("copy.mp4", "-movflags", "frag_keyframe+delay_moov"),
    "fragmented-without-edits": ("copy.mp4", "-movflags", "frag_keyframe+empty_moov"),
    "late": ("copy.mkv", "-output_ts_offset", "3.3"),
}


@pytest.mark.parametrize("way", REMUXES)
def test_verify_when_remuxed(
    way: str, renders: Renders, tmp_path: Path, ffmpeg: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """A lossless remux passes, whatever its container does to the packets' wrapping and times."""
    name, *options = REMUXES[way]
    copy = tmp_path / name
    subprocess.run([ffmpeg, "-v", "error", "-i", str(renders.mix), "-c", "copy", *options, str(copy)], check=True)

    assert (0, f"{copy}: fine, 4 clips, 137 frames, 4.571 s\n") == verify(capsys, copy, renders.report)


def test_verify_when_remuxed_twice(
    renders: Renders, tmp_path: Path, packaged: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """The way through a transport stream and back changes nothing."""
    through, back = tmp_path / "copy.ts", tmp_path / "back.mp4"
    for source, target in ((renders.mix, through), (through, back)):
        subprocess.run([packaged, "-v", "error", "-i", str(source), "-c", "copy", str(target)], check=True)

    assert {} == bad_clips(capsys, back, renders.report)


def test_verify_when_written_packet_by_packet(
    renders: Renders, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What the tests below do to a file is no damage by itself."""
    assert {} == bad_clips(capsys, damage(renders.mix, tmp_path / "same.mp4", lambda *_: None), renders.report)


# What is found


def test_verify_when_frames_of_a_clip_are_swapped(
    renders: Renders, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Two pictures of a clip that change places damage that clip."""

    def swap(pictures: Packets, _: Packets) -> None:
        by_time = sorted(range(len(pictures)), key=lambda at: pictures[at][1])
        one, two = by_time[first_of("two") + 5], by_time[first_of("two") + 9]
        (a, *times_a), (b, *times_b) = pictures[one], pictures[two]
        pictures[one], pictures[two] = (b, *times_a), (a, *times_b)  # type: ignore[assignment]

    bad = bad_clips(capsys, damage(renders.mix, tmp_path / "bad.mp4", swap), renders.report)

    assert {"two": ("differs", "ok")} == bad


def test_verify_when_two_clips_change_places(
    renders: Renders, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Pictures of two clips of equal length, exchanged as a whole, damage both."""

    def swap(pictures: Packets, _: Packets) -> None:
        one, four, length = first_of("one"), first_of("four"), LENGTHS["one"]
        for at in range(length):
            (a, *times_a), (b, *times_b) = pictures[one + at], pictures[four + at]
            pictures[one + at], pictures[four + at] = (b, *times_a), (a, *times_b)  # type: ignore[assignment]

    bad = bad_clips(capsys, damage(renders.mix, tmp_path / "bad.mp4", swap), renders.report)

    assert {"one": ("differs", "ok"), "four": ("differs", "ok")} == bad


def test_verify_when_frames_in_the_middle_are_replaced(
    renders: Renders, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Ten pictures in the middle of a clip, coded the same way, but of something else, damage that clip."""
    others = read_packets(renders.other, "video")

    def replace(pictures: Packets, _: Packets) -> None:
        middle = first_of("three") + 15
        for at in range(middle, middle + 10):
            pictures[at] = (others[at][0], *pictures[at][1:])

    code, out = verify(capsys, damage(renders.mix, tmp_path / "bad.mp4", replace), renders.report)

    assert code == 1
    *_, line = out.splitlines()
    assert "  clip three (frames 66 to 105, 2.202 to 3.537 s): picture differs" == line


def test_verify_when_a_clip_is_silent(renders: Renders, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Silence in the place of a clip's sound damages that clip and no other."""
    nothing = read_packets(renders.silent, "audio")

    def silence(_: Packets, sounds: Packets) -> None:
        start, end = (frame / FPS * RATE / 1024 for frame in (first_of("three"), first_of("four")))
        for at in range(int(start) + 3, int(end) - 1):
            sounds[at] = (nothing[at][0], *sounds[at][1:])

    bad = damage(renders.mix, tmp_path / "bad.mp4", silence)

    told = bad_clips(capsys, bad, renders.report)
    assert {"three"} == set(told)
    assert "ok" == told["three"][0]
    assert told["three"][1] in ("differs", "silent")


def test_verify_when_sound_is_encoded_anew_with_a_hole(
    renders: Renders, tmp_path: Path, packaged: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Where all sound was encoded anew, each clip's differs, and the one that became silent is told apart."""
    start, end = (float(first_of(name) / FPS) for name in ("three", "four"))
    mute = f"volume=0:enable='between(t,{start},{end})'"
    bad = tmp_path / "bad.mp4"
    subprocess.run([packaged, "-v", "error", "-i", str(renders.mix), "-c:v", "copy", "-af", mute, str(bad)], check=True)

    code, out = verify(capsys, bad, renders.report)

    assert code == 1
    assert ["differs", "differs", "silent", "differs"] == [line.split()[-1] for line in out.splitlines()[1:5]]
    assert "Every clip differs" in out


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_verify_when_truncated(
    suffix: str, renders: Renders, tmp_path: Path, packaged: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """A file that was cut off lacks the clips behind the cut, and says how many frames are there."""
    whole = tmp_path / f"whole{suffix}"
    subprocess.run(
        [packaged, "-v", "error", "-i", str(renders.mix), "-c", "copy", "-movflags", "+faststart", str(whole)],
        check=True,
    )
    bad = tmp_path / f"bad{suffix}"
    bad.write_bytes(whole.read_bytes()[: whole.stat().st_size * 6 // 10])

    code, out = verify(capsys, bad, renders.report, "--json")

    told = json.loads(out)
    assert (1, False) == (code, told["ok"])
    assert told["frames"]["found"] < 137
    assert "missing" == told["clips"][3]["picture"]
    assert "ok" == told["clips"][0]["picture"]


def test_verify_when_next_to_nothing_is_left(
    renders: Renders, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A file that can't be opened has no clip left, which is a verdict and not a failure."""
    bad = tmp_path / "bad.mp4"
    bad.write_bytes(renders.mix.read_bytes()[:300])

    assert dict.fromkeys(LENGTHS, ("missing", "missing")) == bad_clips(capsys, bad, renders.report)


def test_verify_when_a_bit_is_flipped(renders: Renders, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One bit of one coded picture damages its clip."""

    def flip(pictures: Packets, _: Packets) -> None:
        data, *times = pictures[first_of("two") + 3]
        changed = bytearray(data)
        changed[-5] ^= 1
        pictures[first_of("two") + 3] = (bytes(changed), *times)  # type: ignore[assignment]

    bad = bad_clips(capsys, damage(renders.mix, tmp_path / "bad.mp4", flip), renders.report)

    assert {"two": ("differs", "ok")} == bad


def test_verify_when_the_first_frames_are_gone(
    renders: Renders, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Where a file begins late, the clips behind it are still in their places."""

    def drop(pictures: Packets, _: Packets) -> None:
        del pictures[: LENGTHS["one"]]

    bad = bad_clips(capsys, damage(renders.mix, tmp_path / "bad.mp4", drop), renders.report)

    assert {"one": ("missing", "ok")} == bad


def test_verify_when_sound_in_the_middle_is_gone(
    renders: Renders, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Packets of sound that are gone leave the others where they were."""

    def drop(_: Packets, sounds: Packets) -> None:
        del sounds[40:45]

    bad = bad_clips(capsys, damage(renders.mix, tmp_path / "bad.mp4", drop), renders.report)

    assert {"two": ("ok", "missing")} == bad


def test_verify_when_sound_is_out_of_step(
    renders: Renders, tmp_path: Path, packaged: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Sound that begins too early to the picture is no clip's damage, and is damage."""
    bad, mix = tmp_path / "bad.mp4", str(renders.mix)
    late = ["-itsoffset", "0.1", "-i", mix, "-i", mix, "-map", "0:v", "-map", "1:a", "-c", "copy"]
    subprocess.run([packaged, "-v", "error", *late, str(bad)], check=True)

    code, out = verify(capsys, bad, renders.report)

    assert (1, f"{bad}: DAMAGED\n  its sound is 0.100 s too early\n") == (code, out)


def test_verify_when_there_is_no_sound(
    renders: Renders, tmp_path: Path, packaged: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """A copy without the sound track lacks every clip's sound."""
    bad = tmp_path / "bad.mp4"
    subprocess.run([packaged, "-v", "error", "-i", str(renders.mix), "-an", "-c", "copy", str(bad)], check=True)

    assert dict.fromkeys(LENGTHS, ("ok", "missing")) == bad_clips(capsys, bad, renders.report)


def test_verify_when_encoded_anew(
    renders: Renders, tmp_path: Path, packaged: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Another encoding isn't what the render wrote, and the verdict says what it looks like."""
    bad = tmp_path / "bad.mp4"
    subprocess.run([packaged, "-v", "error", "-i", str(renders.mix), "-c:a", "copy", str(bad)], check=True)

    code, out = verify(capsys, bad, renders.report)

    assert code == 1
    assert out.splitlines()[-1] == "  Every clip differs: this is another render, or it was encoded anew."


# Reports that can't be used


def changed_report(renders: Renders, target: Path, change: Callable[[dict[str, Any]], object]) -> Path:
    """Write the report with something changed."""
    report = json.loads(renders.report.read_text())
    change(report)
    target.write_text(json.dumps(report))
    return target


BAD_REPORTS: Mapping[str, tuple[Callable[[dict[str, Any]], object], Sequence[str]]] = {
    "no-output": (lambda report: report.update(output=None), ["$.output: is null"]),
    "no-report": (lambda report: report.pop("clip_stats"), ["$: is no version 1 report"]),
    "old": (
        lambda report: [report["output"].pop("fps"), report["clips"][2].pop("sound_hash")],
        ["$.output.fps: is missing", "$.clips[2].sound_hash: is missing: 32 hex digits"],
    ),
    "values": (
        lambda report: [report["output"].update(fps="0"), report["clips"][0].update(frames=True)],
        ['$.output.fps: "0" should be', "$.clips[0].frames: true should be"],
    ),
    "spans": (lambda report: report["clips"].pop(1), ["$.clips: their frames don't make the output's"]),
    "endless": (lambda report: report["output"].update(frames=10**12), ["$.output.frames: 1000000000000 is more"]),
    "too-many": (lambda report: report["output"].update(fps="9999999999"), ["$.output.frames: 137 is more"]),
    "ultrasound": (lambda report: report["output"].update(sample_rate=10**12), ["$.output.sample_rate: 1000000000000"]),
    "no-clips": (lambda report: report.update(clips={}), ["$.clips: is no list of clips"]),
}


@pytest.mark.parametrize("case", BAD_REPORTS)
def test_verify_when_the_report_is_bad(
    case: str, renders: Renders, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A report that can't be held against anything is bad usage, with every mistake and its path."""
    change, words = BAD_REPORTS[case]
    report = changed_report(renders, tmp_path / "bad.json", change)

    code = run(["verify", str(renders.mix), "--report", str(report)])

    said = capsys.readouterr()
    assert (2, "") == (code, said.out)
    assert all(word in said.err for word in words)


@pytest.mark.parametrize(
    ("output", "report", "words"),
    [
        pytest.param("nix.mp4", "mix.report.json", "nix.mp4: is no file", id="no-output"),
        pytest.param("mix.mp4", "nix.json", "nix.json: can't be read: No such file", id="no-report"),
        pytest.param("mix.mp4", "v.mp4", "v.mp4: is no JSON", id="no-json"),
    ],
)
def test_verify_when_a_file_is_missing(
    output: str,
    report: str,
    words: str,
    renders: Renders,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What isn't there is bad usage."""
    monkeypatch.chdir(renders.folder)

    code = run(["verify", output, "--report", report])

    assert code == 2
    assert words in capsys.readouterr().err


def test_verify_when_ffmpeg_is_missing(renders: Renders, capsys: pytest.CaptureFixture[str]) -> None:
    """Without a decoder there is no verdict."""
    code = run(["verify", str(renders.mix), "--ffmpeg", "/nowhere/ffmpeg"])

    said = capsys.readouterr()
    assert (1, "") == (code, said.out)
    assert "/nowhere/ffmpeg" in said.err


# Units and places


def annex_b(units: Sequence[bytes], start: bytes = b"\0\0\0\1") -> bytes:
    return b"".join(start + unit for unit in units)


def prefixed(units: Sequence[bytes], size: int) -> bytes:
    return b"".join(len(unit).to_bytes(size, "big") + unit for unit in units)


def units() -> st.SearchStrategy[list[bytes]]:
    """Units as an encoder writes them: no start code within, no zero at the end."""
    escaped = st.binary(max_size=40).map(lambda data: data.replace(b"\0\0", b"\0\3") + b"\x80")
    kinds = st.sampled_from([1, 5, 6, 7, 8, 9, 12])
    return st.lists(st.builds(lambda kind, data: bytes([0x60 | kind]) + data, kinds, escaped), min_size=1, max_size=6)


@given(units(), st.sampled_from([1, 2, 4]), st.sampled_from([b"\0\0\1", b"\0\0\0\1"]))
def test_picture_units_when_wrapped_in_either_way(wanted: list[bytes], size: int, start: bytes) -> None:
    """Lengths and start codes are taken off, and the same is left."""
    assert wanted == list(picture_units(prefixed(wanted, size), size)) == list(picture_units(annex_b(wanted, start), 0))


@given(st.binary(max_size=200), st.sampled_from([0, 1, 2, 4]))
def test_picture_units_when_any_bytes(data: bytes, size: int) -> None:
    """Damaged packets are read as far as they go."""
    split_units(picture_units(data, size))
    list(parameter_units(data))
    sound_payload(data)


def test_parameter_units_when_in_either_head() -> None:
    """Both kinds of head have the same parameter sets."""
    sets, pictures = [b"\x67abc", b"\x68d"], [b"\x68e"]
    head = bytes([1, 100, 0, 31, 0xFF, 0xE1]) + prefixed(sets[:1], 2) + bytes([2]) + prefixed([*sets[1:], *pictures], 2)

    assert 4 == length_size(head)
    assert 0 == length_size(annex_b(sets))
    assert [*sets, *pictures] == list(parameter_units(head)) == list(parameter_units(annex_b([*sets, *pictures])))


@pytest.mark.parametrize("head", [b"", b"\xff\xf1" + bytes(5), b"\xff\xf0" + bytes(7), b"\xff\xf9" + bytes(5)])
def test_sound_payload_when_wrapped(head: bytes) -> None:
    """An ADTS header is taken off, with and without its checksum, in both of its versions."""
    assert b"\x21sound!" == sound_payload(head + b"\x21sound!")


def numbered(count: int) -> Iterator[bytes]:
    return (bytes([at]) * DIGEST_BYTES for at in range(1, count + 1))


@given(
    st.permutations(range(12)), st.sets(st.integers(0, 11)), st.sampled_from([Fraction(1, 90000), Fraction(1, 1000)])
)
def test_place_when_packets_are_gone(order: list[int], gone: set[int], tick: Fraction) -> None:
    """Whatever the storage order, each packet has its own place, and the first empty one is told."""
    track, digests = Track(tick), list(numbered(12))
    for at in order:
        if at not in gone:
            track.times.append(round(at / FPS / tick))
            track.digests += digests[at]

    table, wrong = place(track, Fraction(0), FPS, 12, Fraction(1, 1000))

    assert wrong == min(gone, default=None)
    for start, end in itertools.combinations(range(13), 2):
        assert (None if gone & {*range(start, end)} else digests[start:end]) == table.between(start, end)
    assert table.between(11, 13) is None


@given(st.integers(0, 11), st.integers(0, 11))
def test_place_when_one_is_where_another_is(one: int, other: int) -> None:
    """Two packets at one place, and none at another, are wrong at the first of them."""
    track = Track(Fraction(1, 30000))
    for at, data in enumerate(numbered(12)):
        track.times.append(1001 * (other if at == one else at))
        track.digests += data

    _, wrong = place(track, Fraction(0), FPS, 12, Fraction(1, 1000))

    assert wrong == (None if one == other else min(one, other))


@pytest.mark.parametrize(("off", "wrong"), [(30, None), (31, 5), (-30, None), (-31, 5)])
def test_place_when_one_is_beside_its_place(off: int, wrong: int | None) -> None:
    """A millisecond is what Matroska's rounding may do; more is not."""
    track = Track(Fraction(1, 30000))
    for at, data in enumerate(numbered(12)):
        track.times.append(1001 * at + (off if at == 5 else 0))
        track.digests += data

    assert wrong == place(track, Fraction(0), FPS, 12, Fraction(1, 1000))[1]


@pytest.mark.parametrize("places", [1_000, 10**15])
def test_place_when_far_more_is_claimed_than_is_there(places: int) -> None:
    """What is reserved depends on the packets, and not on how many there should be."""
    track = Track(Fraction(1, 30000))
    for at, data in enumerate(numbered(12)):
        track.times.append(1001 * at)
        track.digests += data
    tracemalloc.start()
    try:
        table, wrong = place(track, Fraction(0), FPS, places, Fraction(1, 1000))
        missing = table.between(6, places)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()

    assert (12, None) == (wrong, missing)
    assert peak < 20_000


def test_verify_when_the_report_claims_days(
    renders: Renders, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is held against the file all the same."""
    told = json.loads(renders.report.read_text())
    last, frames = told["clips"][-1], 240 * 10**6 - 1
    last["frames"] = frames - last["start_frame"]
    told["output"] |= {"fps": "240", "frames": frames}
    (tmp_path / "claims.json").write_text(json.dumps(told))

    code, out = verify(capsys, renders.mix, tmp_path / "claims.json")

    assert (1, True) == (code, f"it has 137 frames instead of {frames}" in out)
