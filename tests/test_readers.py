"""Readers are real children here: what a hostile file makes of one, that others go on, and that none is left behind."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import traceback
from array import array
from collections.abc import AsyncIterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import attrs
import av
import pytest
import trio
import trio.testing
from golden import Numbered, assert_picture, render, timeline
from packaged import package, serving
from test_argv import MEDIA
from test_process import is_running, python, wait_until_gone

from clipcut.errors import Reason, RenderError, SourceError
from clipcut.ffmpeg import asking, readers
from clipcut.ffmpeg.asking import Child, EndedError, ReaderBugError, read_once, reader_argv
from clipcut.ffmpeg.excerpt import make_excerpt
from clipcut.ffmpeg.need import Need, There, UncoveredError
from clipcut.ffmpeg.probe import AudioInfo, MediaInfo, file_identity, has_sound, probe, probe_sound
from clipcut.ffmpeg.readers import Readers, open_readers
from clipcut.ffmpeg.wire import Form, RubbishError, to_plain
from clipcut.sources.file.index import Index, Samples, read_index

DEMO = Path(__file__).parents[1] / "fixtures" / "media" / "harbor.mp4"
HOSTILE = reader_argv("hostile_reader")


@pytest.fixture
async def warnings() -> list[tuple[str, str]]:
    """What readers warn of."""
    return []


@pytest.fixture
async def hostile(warnings: list[tuple[str, str]]) -> AsyncIterator[Readers]:
    """One reader that does what a file's name says."""
    async with open_readers(1, lambda event, words: warnings.append((event, words)), argv=HOSTILE) as one:
        yield one


def named(folder: Path, stem: str) -> Path:
    """Return a good video of a name that makes the hostile reader misbehave."""
    return Path(shutil.copy(DEMO, folder / f"{stem}.mp4"))


async def reason_of(one: Readers, path: Path) -> str:
    """Return why a file can't be probed."""
    with pytest.raises(SourceError) as caught:
        await one.run(probe, path)
    return f"{caught.value.reason}: {caught.value}"


# What comes back


async def test_a_reader_gives_what_the_function_gives(tmp_path: Path) -> None:
    """Every value is exact, and the files are the same."""
    info = probe(DEMO)
    begin, end = Fraction(1), Fraction(4, 3)
    need = Need(first=begin, last=end, sound=(begin, end), end=end, tolerance=Fraction(0))
    late = attrs.evolve(need, end=Fraction(500), last=Fraction(499))
    ours = make_excerpt(info, need, tmp_path / "a.ours")
    (tmp_path / "theirs").mkdir()
    async with open_readers(2, print) as some:
        assert info == await some.run(probe, DEMO)
        assert probe_sound(DEMO) == await some.run(probe_sound, DEMO)
        assert read_index(DEMO) == await some.run(read_index, DEMO)
        theirs = await some.run(make_excerpt, info, need, tmp_path / "theirs" / "a.x", False)
        with pytest.raises(SourceError, match=r"ends .* before the clip does") as caught:
            await some.run(make_excerpt, info, late, tmp_path / "theirs" / "b.x", False)

    assert Reason.SHORT_SOURCE == caught.value.reason
    assert ours.sound is not None
    assert ours == attrs.evolve(theirs, video=ours.video, sound=ours.sound)
    for name in ("a.video", "a.sound"):
        assert (tmp_path / name).read_bytes() == (tmp_path / "theirs" / name).read_bytes()


async def test_a_reader_knows_which_bytes_are_there(tmp_path: Path) -> None:
    """A clip whose bytes have not come is not cut from zeros."""
    info = attrs.evolve(probe(DEMO), has_bytes=There(((0, 100),)))
    need = Need(first=Fraction(1), last=Fraction(4, 3), sound=None, end=Fraction(4, 3), tolerance=Fraction(0))
    async with open_readers(1, print) as some:
        with pytest.raises(UncoveredError):
            await some.run(make_excerpt, info, need, tmp_path / "a.x", False)


async def test_a_name_of_any_bytes_is_found(tmp_path: Path) -> None:
    """Names are bytes, also those that are no UTF-8."""
    path = Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff\n\xc3\xa9.mp4"))
    shutil.copy(DEMO, path)

    async with open_readers(1, print) as some:
        assert path == (await some.run(probe, path)).path


def test_a_soundtrack_is_looked_at_in_a_reader_of_its_own(tmp_path: Path) -> None:
    """Before a render begins there are no others."""
    assert read_once(has_sound, DEMO)
    with pytest.raises(SourceError, match="there is no file"):
        read_once(has_sound, tmp_path / "none")


def test_a_soundtrack_that_crashes_its_reader_is_a_mistake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And no crash of clipcut."""
    monkeypatch.setattr(asking, "reader_argv", lambda: HOSTILE)

    with pytest.raises(SourceError, match=r"can't be read: its reader crashed \(SIGSEGV\)"):
        read_once(probe, named(tmp_path, "crash"))


# What a hostile file makes of it


@pytest.mark.parametrize(
    ("stem", "why"),
    [
        ("crash", r"ffmpeg: .* its reader crashed \(SIGSEGV\)"),
        ("exit", r"ffmpeg: .* its reader ended with 7"),
        ("rubbish", r"ffmpeg: .* no JSON"),
        ("pickle", r"ffmpeg: .* no JSON"),
        ("deep", r"ffmpeg: .* no JSON"),
        ("number", r"ffmpeg: .* neither a value nor a failure"),
        ("reason", r"ffmpeg: .* a reason that is none"),
        ("path", r"ffmpeg: .* a value that is none"),
        ("endless", r"ffmpeg: .* its reader's answer was longer than any"),
        ("hang", r"ffmpeg: .* its reader said nothing for .* and was ended"),
    ],
)
async def test_one_that_can_no_more_is_replaced(
    hostile: Readers,
    warnings: list[tuple[str, str]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    stem: str,
    why: str,
) -> None:
    """The file that did it fails, the log says so, and the next file is read by a new one."""
    assert DEMO == (await hostile.run(probe, DEMO)).path
    pid = pids(hostile)[0]
    monkeypatch.setattr(asking, "ANSWER_LIMIT", 2500)
    monkeypatch.setattr(asking, "STALL_S", 0.3 if stem == "hang" else 60)

    said = await reason_of(hostile, named(tmp_path, stem))

    assert re.fullmatch(why, said)
    assert [("source.reader_ended", f"{said.removeprefix('ffmpeg: ')}; a new reader takes over")] == warnings
    assert not is_running(pid)
    monkeypatch.undo()
    assert DEMO == (await hostile.run(probe, DEMO)).path
    assert [pid] != pids(hostile)


def pids(some: Readers) -> list[int]:
    """Return the process ids of readers."""
    return [child.process.pid for child in some._children]


async def test_the_bounds_of_the_system_hold(hostile: Readers, tmp_path: Path) -> None:
    """No core, 4 GiB of address space, and no file much larger than what is read."""
    assert await hostile.run(has_sound, tmp_path / "limits")


async def test_one_that_takes_too_much_memory_goes_on(hostile: Readers, warnings: list[object], tmp_path: Path) -> None:
    """What the system refuses is an answer."""
    why = await reason_of(hostile, named(tmp_path, "eat_memory"))

    assert ("undecodable: it takes more memory than a reader may have", []) == (why, warnings)


async def test_an_excerpt_that_outgrows_its_source_is_too_large(
    hostile: Readers, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An index may name the same bytes again and again. It is the source's fault and no full disk."""
    monkeypatch.setenv("HOME", str(tmp_path))

    why = await reason_of(hostile, named(tmp_path, "grow"))

    assert "too_large: what is cut out of it is larger than itself" == why
    assert (tmp_path / "grown").stat().st_size <= 64 * 1024**2


async def test_a_bug_in_a_reader_is_a_bug(hostile: Readers, tmp_path: Path) -> None:
    """It isn't taken for a fault of the source."""
    with pytest.raises(ReaderBugError) as caught:
        await hostile.run(probe, named(tmp_path, "bug"))
    assert "KeyError: 'NO SUCH KEY'" == str(caught.value)
    assert "in hostile_probe" in "".join(traceback.format_exception(caught.value))


async def test_nothing_is_done_that_is_not_on_the_list(tmp_path: Path) -> None:
    """Neither here nor there."""
    async with open_readers(1, print) as some:
        with pytest.raises(TypeError, match="no reader does"):
            await some.run(file_identity, DEMO)
    async with open_readers(1, print, names=("clipcut.ffmpeg.probe:file_identity",)) as some:
        with pytest.raises(ReaderBugError, match="a reader doesn't do"):
            await some.run(file_identity, DEMO)


async def test_a_cancelled_one_is_ended(hostile: Readers, tmp_path: Path) -> None:
    """It can't be told to stop; whoever comes next has a new one at once."""
    await hostile.run(probe, DEMO)
    pid = pids(hostile)[0]
    with trio.move_on_after(0.1):
        await hostile.run(probe, named(tmp_path, "hang"))

    assert not is_running(pid)
    assert DEMO == (await hostile.run(probe, DEMO)).path


async def test_one_that_died_at_rest_is_nobodys_fault(hostile: Readers) -> None:
    """The system may kill any process; the file that comes next is read all the same."""
    await hostile.run(probe, DEMO)
    child = next(iter(hostile._children))
    child.process.kill()
    await child.process.wait()

    assert DEMO == (await hostile.run(probe, DEMO)).path


async def test_there_are_no_more_than_allowed(hostile: Readers) -> None:
    """Who finds none free waits, and none is lost to one that waited in vain."""
    async with trio.open_nursery() as nursery:
        for _ in range(5):
            nursery.start_soon(hostile.run, probe, DEMO)
        with trio.move_on_after(0.001):
            await hostile.run(probe, DEMO)

    assert 1 == len(pids(hostile))


async def test_one_that_cannot_be_started_ends_the_render() -> None:
    """No source is to blame, and no clip would go better."""
    with pytest.RaisesGroup(pytest.RaisesExc(RenderError, match="can't be started: its reader ended with 1")):
        async with open_readers(1, print, argv=python("raise SystemExit(1)")) as some:
            await some.run(probe, DEMO)


async def test_none_is_left() -> None:
    """Whatever ends the block."""
    found: list[int] = []
    with trio.CancelScope() as scope:
        async with open_readers(2, print) as some:
            async with trio.open_nursery() as nursery:
                for _ in range(20):
                    nursery.start_soon(some.run, probe, DEMO)
            found = pids(some)
            scope.cancel()
            await trio.lowlevel.checkpoint()

    assert found
    assert not any(is_running(pid) for pid in found)


@pytest.mark.parametrize("stem", ["harbor", "hang"], ids=["at-rest", "at-work"])
def test_no_reader_outlives_a_killed_clipcut(tmp_path: Path, stem: str) -> None:
    """After ``kill -9`` of the parent its input ends, and so does it, though it heeds nothing else."""
    parent_code = f"""
import sys, trio
from pathlib import Path
from clipcut.ffmpeg.probe import probe
from clipcut.ffmpeg.readers import open_readers
async def main():
    async with open_readers(1, print, argv={HOSTILE!r}) as some, trio.open_nursery() as nursery:
        await some.run(probe, Path({str(DEMO)!r}))
        nursery.start_soon(some.run, probe, Path({str(named(tmp_path, stem))!r}))
        await trio.sleep(0.2)
        print(*(child.process.pid for child in some._children), flush=True)
        await trio.sleep_forever()
trio.run(main)
"""
    with subprocess.Popen(python(parent_code), stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        assert is_running(pid)
        parent.send_signal(signal.SIGKILL)
        parent.wait()

        assert wait_until_gone(pid, 2)


# How long one is waited for


class Mute:
    """A process that is there, and answers when told to."""

    def __init__(self) -> None:
        """Say nothing yet."""
        self.stdin, _ = trio.testing.memory_stream_one_way_pair()
        self.mouth, self.stdout = trio.testing.memory_stream_one_way_pair()


async def test_one_that_says_nothing_is_given_up_in_time(autojump_clock: trio.testing.MockClock) -> None:
    """Two minutes, and no more."""
    began = trio.current_time()

    with pytest.raises(EndedError, match="said nothing for 120 s"):
        await Child(Mute()).ask(b"x\n")  # type: ignore[arg-type]

    assert 120 == pytest.approx(trio.current_time() - began)


async def test_one_that_is_at_work_is_waited_for(autojump_clock: trio.testing.MockClock) -> None:
    """A long clip of a slow disk may take as long as it needs."""
    mute = Mute()

    async def work() -> None:
        for _ in range(10):
            await trio.sleep(100)
            await mute.mouth.send_all(b"\n")
        await mute.mouth.send_all(b"done\n")

    async with trio.open_nursery() as nursery:
        nursery.start_soon(work)

        assert b"done" == await Child(mute).ask(b"x\n")  # type: ignore[arg-type]


# What may go and come


def index() -> Index:
    """An index of two pictures."""
    times, places, sizes, keys = (array("q", numbers) for numbers in ((0, 1), (5, 15), (10, 10), (0,)))
    return Index(Samples(Fraction(1, 30), times, places, sizes, keys, 0), None)


SOUND = AudioInfo(
    index=1, time_base=Fraction(1, 48000), sample_rate=48000, channels=2, seams=((0, None), (9, Fraction(-7, 3)))
)


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        (MediaInfo, MEDIA),
        (MediaInfo, attrs.evolve(MEDIA, has_bytes=There(((0, 5), (7, 9))), identity=(1, 2**63 + 5, 3), audio=SOUND)),
        (Index, index()),
    ],
    ids=["whole", "piece", "index"],
)
def test_a_value_comes_as_it_went(kind: type, value: object) -> None:
    """Exact, through JSON."""
    assert value == Form().read(kind, json.loads(json.dumps(to_plain(value))))


def changed(value: Any, *path: Any) -> Any:
    """Return a value's JSON with another value at a place in it."""
    plain = at = to_plain(value)
    for key in path[:-2]:
        at = at[key]
    at[path[-2]] = path[-1]
    return plain


@pytest.mark.parametrize(
    ("kind", "plain"),
    [
        pytest.param(MediaInfo, changed(MEDIA, "path", "/etc/passwd"), id="another-path"),
        pytest.param(MediaInfo, changed(MEDIA, "path", 7), id="no-path"),
        pytest.param(MediaInfo, changed(MEDIA, "video", "codec", "h264 -i x"), id="two-words"),
        pytest.param(MediaInfo, changed(MEDIA, "video", "codec", "h" * 65), id="long-word"),
        pytest.param(MediaInfo, changed(MEDIA, "name", "\x1b[2J"), id="terminal-sequence"),
        pytest.param(MediaInfo, changed(MEDIA, "video", "width", 1.5), id="float"),
        pytest.param(MediaInfo, changed(MEDIA, "video", "width", True), id="bool-for-int"),
        pytest.param(MediaInfo, changed(MEDIA, "video", "width", 10**30), id="huge"),
        pytest.param(MediaInfo, changed(MEDIA, "video", "full_range", 1), id="int-for-bool"),
        pytest.param(MediaInfo, changed(MEDIA, "video", "zero", "1/0"), id="by-nothing"),
        pytest.param(MediaInfo, changed(MEDIA, "video", "zero", "1e9999999/1"), id="exponent"),
        pytest.param(MediaInfo, changed(MEDIA, "video", "time_base", "0/1"), id="no-tick"),
        pytest.param(MediaInfo, changed(MEDIA, "video", None), id="no-video"),
        pytest.param(MediaInfo, changed(MEDIA, "more", 1), id="more-fields"),
        pytest.param(MediaInfo, [], id="no-object"),
        pytest.param(Index, changed(index(), "video", "sizes", ""), id="rows-apart"),
        pytest.param(Index, changed(index(), "video", "sizes", "AAA="), id="half-a-number"),
        pytest.param(Index, changed(index(), "video", "sizes", "%"), id="no-base64"),
        pytest.param(Index, changed(index(), "video", "keys", to_plain(array("q", [2]))), id="key-beyond"),
        pytest.param(tuple[int, Fraction], [1], id="too-few"),
    ],
)
def test_no_other_value_is_taken(kind: Any, plain: Any) -> None:
    """Whoever has taken a reader over gets nothing in that a sound one would not say."""
    with pytest.raises(RubbishError):
        Form((MEDIA.path,)).read(kind, plain)


def test_what_is_no_value_can_not_go() -> None:
    """A function, say."""
    with pytest.raises(TypeError, match="a function can't go"):
        to_plain(lambda: None)


# A whole render


@pytest.mark.media
def test_no_source_is_opened_in_our_own_process(
    tmp_path: Path, sources: Path, packaged: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither local files nor what came over the network, nor a soundtrack: only what FFmpeg wrote."""
    www = tmp_path / "www"
    package(sources / "v1.mp4", www, ffmpeg=packaged)
    shutil.copy(sources / "v2.mp4", www / "v2.mp4")
    opened: list[str] = []
    real = av.open

    def watched(file: str, *rest: Any, **more: Any) -> Any:
        opened.append(Path(file.removeprefix("file:")).name)
        return real(file, *rest, **more)

    monkeypatch.setattr(av, "open", watched)
    with serving(www) as origin:
        urls = {"a": str(sources / "v1.mp4"), "b": f"{origin.url}/index.m3u8", "c": f"{origin.url}/v2.mp4"}
        clips = [{"video_id": name, "start": 5, "duration": 0.3} for name in urls]
        document = timeline(clips, urls) | {"soundtrack": {"path": str(sources / "v2.mp4"), "mode": "mix"}}
        rendered = render(tmp_path, document, ffmpeg=packaged)

    assert 0 == rendered.exit_code
    media = {"a": Numbered(1, frames=360), "b": Numbered(1, frames=360), "c": Numbered(2, Fraction(25), frames=300)}
    assert_picture(rendered, document, media, ffmpeg=packaged)
    assert {"000000-0.mov"} < set(opened)
    assert not [name for name in opened if not re.fullmatch(r"\d+-\d+\.mov|(picture|sound)\.\w+|\.mix\..*\.part", name)]


@pytest.mark.media
def test_a_source_that_crashes_its_reader_fails_alone(
    tmp_path: Path, sources: Path, packaged: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All its clips fall back, at the price of one crash; the others are exact."""
    monkeypatch.setattr(readers, "reader_argv", lambda: HOSTILE)
    shutil.copy(DEMO, tmp_path / "crash.mp4")
    urls = {"bad": "crash.mp4", "good": str(sources / "v1.mp4")}
    clips = [{"video_id": name, "start": 1, "duration": 0.2} for name in ("bad", "good", "bad", "good")]
    document = timeline(clips, urls)

    rendered = render(tmp_path, document, "--log-format", "json", ffmpeg=packaged)

    reasons = [clip["attempts"][0]["reason"] for clip in rendered.report["clips"]]
    assert (3, ["ffmpeg", None, "ffmpeg", None]) == (rendered.exit_code, reasons)
    assert_picture(rendered, document, {"good": Numbered(1, frames=360)}, ffmpeg=packaged)
    events = [json.loads(line)["event"] for line in (tmp_path / "log").read_text().splitlines()]
    assert 1 == events.count("source.reader_ended")


def test_a_reader_finds_modules_where_this_process_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also by a relative path over a link, which leads elsewhere when it is normalised."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", ["link/../modules", "", "/else"])

    assert [str(tmp_path / "link/../modules"), str(tmp_path), "/else"] == reader_argv()[-4:-1]
